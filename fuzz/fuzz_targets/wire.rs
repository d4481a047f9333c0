//! What comes over MQTT: whatever can be read can be written, and is then read as the same.
#![no_main]

use hallwatch_model::{topic, wire};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Compared as text: missing values among them are not equal to themselves.
    macro_rules! twice {
        ($decode:path, $encode:path) => {
            if let Ok(first) = $decode(bytes) {
                let again = $decode(&$encode(&first));
                assert_eq!(format!("{:?}", again.ok()), format!("{:?}", Some(first)));
            }
        };
    }
    twice!(wire::decode_readings, wire::encode_readings);
    twice!(wire::decode_batch, wire::encode_batch);
    twice!(wire::decode_describe, wire::encode_describe);
    twice!(wire::decode_status, wire::encode_status);
    twice!(wire::decode_ack, wire::encode_ack);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = topic::Topic::parse(text);
    }
});
