//! What a broker says, in either version of MQTT, in whatever pieces it comes. The packets are taken
//! apart by `rumqttc`'s codec; this goes through what stands around it, which both programs use.
#![no_main]

use arbitrary::Arbitrary;
use bytes::BytesMut;
use hallwatch_link::Version;
use hallwatch_link::codec::{Decoder, Incoming};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    is_v5: bool,
    most: u16,
    piece: u8,
    /// Packets with the right length before them: random bytes seldom are whole ones.
    framed: Vec<(u8, &'a [u8])>,
    rest: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let version = if case.is_v5 { Version::V5 } else { Version::V311 };
    let most = u32::from(case.most) + 2;
    let mut sent = Vec::new();
    for (first, body) in case.framed {
        sent.push(first);
        let mut length = body.len();
        while length >= 0x80 {
            sent.push((length % 0x80) as u8 | 0x80);
            length /= 0x80;
        }
        sent.push(length as u8);
        sent.extend(body);
    }
    sent.extend(case.rest);

    let mut decoder = Decoder::new(version, most);
    let mut buffer = BytesMut::new();
    for piece in sent.chunks(usize::from(case.piece) + 1) {
        buffer.extend_from_slice(piece);
        loop {
            let before = buffer.len();
            let found = match decoder.decode(&mut buffer) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    return;
                }
            };
            assert!(buffer.len() < before, "nothing was taken for {found:?}");
            if let Incoming::Publish { message, .. } = found {
                assert!(message.payload.len() < most as usize);
            }
        }
        // What is too large is refused or thrown away, not collected, but for the header of five
        // bytes and, in 3.1.1, the topic, to say whose message it was.
        let topic = if case.is_v5 { 0 } else { usize::from(u16::MAX) + 4 };
        assert!(buffer.len() < most as usize + topic + usize::from(case.piece) + 6);
    }
});
