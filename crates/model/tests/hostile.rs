//! Decoders meet bytes from anywhere: they refuse, they do not panic, and what they accept they
//! can write again.

use hallwatch_model::batch::{Ack, Batch, Reading, Readings, SeriesId};
use hallwatch_model::wire::{self, MAX_MESSAGE_BYTES, WireError};
use hallwatch_model::{Missing, Timestamp};
use proptest::prelude::*;

fn any_batch() -> impl Strategy<Value = Batch> {
    let value = prop_oneof![
        any::<f64>().prop_map(|f| if f.is_nan() { Ok(1.0) } else { Ok(f) }),
        any::<u8>().prop_map(|code| Err(Missing::Exception(code))),
        Just(Err(Missing::Timeout)),
    ];
    let reading = (any::<u32>(), any::<i64>(), value).prop_map(|(series, millis, value)| Reading {
        series: SeriesId(series),
        time: Timestamp::from_millis(millis),
        value,
    });
    let readings = proptest::collection::vec(reading, 0..50);
    (any::<[u64; 3]>(), any::<i64>(), any::<bool>(), readings).prop_map(
        |([boot, seq, dictionary], watermark, backfill, readings)| {
            let seq = seq.max(1);
            Batch {
                boot,
                seq,
                oldest: 1 + boot % seq,
                watermark: Timestamp::from_millis(watermark),
                backfill,
                sender: dictionary,
                readings: Readings { dictionary, readings, ..Readings::default() },
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(batch in any_batch()) {
        prop_assert_eq!(wire::decode_batch(&wire::encode_batch(&batch)), Ok(batch));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = wire::decode_batch(&bytes);
        let _ = wire::decode_readings(&bytes);
        let _ = wire::decode_describe(&bytes);
        let _ = wire::decode_status(&bytes);
        let _ = wire::decode_ack(&bytes);
    }

    #[test]
    fn a_damaged_batch_is_read_or_refused(
        batch in any_batch(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = wire::encode_batch(&batch);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = wire::decode_batch(&bytes) {
            let again = wire::encode_batch(&read);
            prop_assert_eq!(wire::encode_batch(&wire::decode_batch(&again)?), again);
        }
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let message = |bytes: &[u8]| wire::decode_batch(bytes).map(drop).map_err(|e| e.to_string());
    let refused = |text: &str| Err::<(), _>(text.to_owned());
    assert_eq!(
        message(&vec![0; MAX_MESSAGE_BYTES + 1]),
        refused("a message has 1048577 bytes, at most 1048576 are read")
    );
    assert_eq!(message(b"not protobuf"), refused("a message is not the protobuf of a batch"));
    assert_eq!(message(&[0x08, 2]), refused("a batch has version 2, only version 1 is read here"));
    assert_eq!(message(&[]), refused("a batch has version 0, only version 1 is read here"));
    assert_eq!(
        message(&[0x08, 1]),
        refused("a batch has a sequence number that cannot be: they start at 1")
    );
    // Two ids and no time.
    assert_eq!(
        wire::decode_readings(&[0x08, 1, 0x22, 2, 1, 2]),
        Err(WireError::Columns { ids: 2, times: 0, values: 0 })
    );
    // A series whose label has a name and no value; one without a metric name; one with a label
    // that Prometheus would refuse.
    let describe = |labels: &[&str]| {
        let mut series = Vec::new();
        for label in labels {
            series.extend([0x12, label.len() as u8]);
            series.extend(label.as_bytes());
        }
        let mut bytes = vec![0x08, 1, 0x22, series.len() as u8];
        bytes.extend(series);
        wire::decode_describe(&bytes).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(
        describe(&["__name__"]),
        refused("a dictionary has a label that cannot be: it has a name and no value")
    );
    assert_eq!(
        describe(&["a", "b"]),
        refused("a dictionary has a __name__ that cannot be: there is none")
    );
    assert!(describe(&["__name__", "up", "bad-name", "x"]).is_err());
    assert!(describe(&["__name__", "up", "device", "x\ny"]).is_err());
    assert!(describe(&["__name__", "up{}"]).is_err());
    assert_eq!(describe(&["__name__", "up", "device", "x"]), Ok(()));
    // Ranges that overlap.
    let ack = Ack { boot: 1, upto: 5, beyond: vec![(5, 6)], ..Ack::default() };
    assert!(wire::decode_ack(&wire::encode_ack(&ack)).is_err());
}
