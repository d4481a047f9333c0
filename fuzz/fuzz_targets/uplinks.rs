//! What comes back from probes of an uplink: answers of name servers, of web servers, echoes.
#![no_main]

use hallwatch_agent::uplink::dns::{DnsName, encode_query, parse_answer};
use hallwatch_agent::uplink::http::{MAX_STATUS_LINE_BYTES, Status};
use hallwatch_agent::uplink::icmp::{self, Family};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let name = DnsName::new("dc.example").unwrap();
    let _ = parse_answer(7, &name, bytes);
    // As an answer to the very question: so that what stands behind it is looked at.
    let mut answer = encode_query(7, &name);
    answer[2] |= 0x80;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        answer[2 + at] = *byte;
    }
    answer.extend(bytes.iter().skip(10));
    let _ = parse_answer(7, &name, &answer);

    match Status::parse(bytes) {
        Status::Partial => assert!(bytes.len() < MAX_STATUS_LINE_BYTES),
        Status::Code(code) => assert!((100..=999).contains(&code)),
        Status::Malformed => {}
    }

    for family in [Family::V4, Family::V6] {
        for message in [Some(bytes), icmp::in_ipv4(bytes)].into_iter().flatten() {
            if let Some(echo) = icmp::parse_reply(family, message) {
                assert!(echo.payload.len() <= message.len());
            }
            let _ = icmp::parse_request(family, message);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(name) = DnsName::new(text)
    {
        assert!(encode_query(1, &name).len() <= 512);
    }
});
