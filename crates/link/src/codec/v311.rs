//! MQTT 3.1.1 (OASIS, 2014), for brokers that know nothing newer.
//!
//! What it lacks is put up with as follows. Nobody says how large a packet may be, or how many may
//! be under way: a message that is too large for us is passed over, unread, and TCP holds back a
//! broker that is too fast. A publish is acknowledged even when it was thrown away: nobody here
//! takes that for more than a sign of life. A session has no expiry of its own.

use bytes::{Buf as _, BytesMut};
use rumqttc::mqttbytes::v4::{
    Connect, LastWill, Login, Packet, Publish, Subscribe, SubscribeFilter, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Error, Protocol, QoS, check};

use super::{CONNACK, Incoming, Limits, PUBLISH, body};
use crate::error::CodecError;
use crate::event::Message;
use crate::options::{self, Options};

/// See [`super::Decoder::decode`]; what is to be skipped next goes to `skip`.
pub(super) fn decode(
    buffer: &mut BytesMut,
    most: u32,
    skip: &mut usize,
) -> Result<Option<Incoming>, CodecError> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let header = match check(buffer.iter(), most) {
        Ok(header) => header,
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(Error::PayloadSizeLimitExceeded(length))
            if buffer.first().is_some_and(|first| first >> 4 == PUBLISH) =>
        {
            return too_large(buffer, length, skip);
        }
        Err(error) => return Err(error.into()),
    };
    let length = header.frame_length();
    if let Some((CONNACK, [flags, code, ..])) = body(buffer, length) {
        let incoming = Incoming::ConnAck {
            session_present: flags & 1 == 1,
            reason_code: connect_code(*code),
            limits: Limits::default(),
        };
        buffer.advance(length);
        return Ok(Some(incoming));
    }
    Ok(Some(match Packet::read(buffer, most)? {
        Packet::Publish(packet) => publish(packet),
        Packet::PubAck(packet) => Incoming::PubAck { id: packet.pkid, reason_code: 0 },
        Packet::SubAck(packet) => Incoming::SubAck {
            id: packet.pkid,
            reason_codes: packet.return_codes.into_iter().map(suback_code).collect(),
        },
        Packet::PingResp => Incoming::PingResp,
        _ => Incoming::Unexpected,
    }))
}

/// The head of a PUBLISH whose body is `length` bytes long: topic and id are read, the rest is left
/// to be skipped.
fn too_large(
    buffer: &mut BytesMut,
    length: usize,
    skip: &mut usize,
) -> Result<Option<Incoming>, CodecError> {
    let malformed = CodecError::from(Error::MalformedPacket);
    let Some(first) = buffer.first().copied() else { return Ok(None) };
    let qos = (first >> 1) & 3;
    if qos > 1 {
        return Err(CodecError::from(Error::InvalidQoS(qos)));
    }
    let Some(size) = buffer.iter().skip(1).position(|byte| *byte < 0x80) else { return Ok(None) };
    let body = buffer.get(size + 2..).unwrap_or_default();
    let Some((topic_length, rest)) = body.split_first_chunk::<2>() else { return Ok(None) };
    let topic_length = usize::from(u16::from_be_bytes(*topic_length));
    let id_length = usize::from(qos) * 2;
    let head = 2 + topic_length + id_length;
    if head > length {
        return Err(malformed);
    }
    let Some((topic, rest)) = rest.split_at_checked(topic_length) else { return Ok(None) };
    let acknowledge = match (qos, rest) {
        (0, _) => None,
        (_, [high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
        _ => return Ok(None),
    };
    if acknowledge == Some(0) {
        return Err(CodecError::from(Error::PacketIdZero));
    }
    let topic = std::str::from_utf8(topic).map_err(|_| Error::TopicNotUtf8)?.to_owned();
    buffer.advance(size + 2 + head);
    *skip = length - head;
    Ok(Some(Incoming::TooLarge { topic, acknowledge }))
}

fn publish(packet: Publish) -> Incoming {
    if packet.topic.is_empty() || packet.qos == QoS::ExactlyOnce {
        return Incoming::Unexpected;
    }
    let Publish { topic, payload, retain, qos, pkid, .. } = packet;
    let acknowledge = (qos == QoS::AtLeastOnce).then_some(pkid);
    Incoming::Publish { message: Message { topic, payload, retain }, acknowledge }
}

/// A session outlives its connection only where both `clean_start` and `session_expiry` say so: the
/// one flag that there is stands for both.
pub(super) fn connect(options: &Options, out: &mut BytesMut) -> Result<(), CodecError> {
    let last_will = options.will.as_ref().map(|will| LastWill {
        topic: will.topic.clone(),
        message: will.payload.clone(),
        qos: QoS::AtLeastOnce,
        retain: will.retain,
    });
    let login = options.username.as_ref().map(|username| Login {
        username: username.clone(),
        password: options.password.clone().unwrap_or_default(),
    });
    let connect = Connect {
        protocol: Protocol::V4,
        keep_alive: super::keep_alive(options),
        client_id: options.client_id.clone(),
        clean_session: options.clean_start || options.session_expiry.as_secs() == 0,
        last_will,
        login,
    };
    Packet::Connect(connect).write(out, usize::MAX)?;
    Ok(())
}

/// A message as the packet that carries it; QoS 0 when `id` is none.
pub(super) fn publish_packet(message: &Message, id: Option<u16>) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: if id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
        retain: message.retain,
        topic: message.topic.clone(),
        pkid: id.unwrap_or(0),
        payload: message.payload.clone(),
    })
}

/// See [`super::subscribe`].
pub(super) fn subscribe(
    id: u16,
    filters: &[String],
    qos: options::Qos,
    out: &mut BytesMut,
) -> Result<(), CodecError> {
    let qos = match qos {
        options::Qos::AtMostOnce => QoS::AtMostOnce,
        options::Qos::AtLeastOnce => QoS::AtLeastOnce,
    };
    let filters = filters.iter().map(|path| SubscribeFilter { path: path.clone(), qos });
    let packet = Subscribe { pkid: id, ..Subscribe::new_many(filters) };
    Packet::Subscribe(packet).write(out, usize::MAX)?;
    Ok(())
}

fn suback_code(code: SubscribeReasonCode) -> u8 {
    match code {
        SubscribeReasonCode::Success(QoS::AtMostOnce) => 0,
        SubscribeReasonCode::Success(QoS::AtLeastOnce) => 1,
        SubscribeReasonCode::Success(QoS::ExactlyOnce) => 2,
        SubscribeReasonCode::Failure => 0x80,
    }
}

/// The return codes of 3.2.2.3 as the reason codes of MQTT 5. Those from 0x80 on are of a broker
/// that spoke MQTT 5 to us.
fn connect_code(code: u8) -> u8 {
    match code {
        0 => 0,
        1 => 0x84,
        2 => 0x85,
        3 => 0x88,
        4 => 0x86,
        5 => 0x87,
        6..0x80 => 0x80,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::Decoder;
    use crate::options::Version;

    fn decoded(bytes: &[u8]) -> Option<Incoming> {
        let mut buffer = BytesMut::from(bytes);
        let read = Decoder::new(Version::V311, 1_000).decode(&mut buffer).ok().flatten();
        assert!(read.is_none() || buffer.is_empty(), "{bytes:x?}");
        read
    }

    #[test]
    fn answers_to_connect_are_given_in_the_codes_of_mqtt_5() {
        let codes = [(0, 0), (1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87), (6, 0x80)];
        for (code, reason_code) in codes {
            for session_present in [false, true] {
                let bytes = [0x20, 2, session_present.into(), code];
                let limits = Limits::default();
                let want = Incoming::ConnAck { session_present, reason_code, limits };
                assert_eq!(decoded(&bytes), Some(want), "{code}");
            }
        }
        // It speaks MQTT 5.
        assert!(matches!(
            decoded(&[0x20, 3, 0, 0x84, 0]),
            Some(Incoming::ConnAck { reason_code: 0x84, .. })
        ));
    }

    #[test]
    fn other_answers_are_understood() {
        let cases: [(&[u8], Option<Incoming>); 6] = [
            (&[0x40, 2, 1, 2], Some(Incoming::PubAck { id: 0x102, reason_code: 0 })),
            (
                &[0x90, 4, 0, 7, 1, 0x80],
                Some(Incoming::SubAck { id: 7, reason_codes: vec![1, 0x80] }),
            ),
            (&[0xd0, 0], Some(Incoming::PingResp)),
            // No broker says DISCONNECT before MQTT 5.
            (&[0xe0, 0], Some(Incoming::Unexpected)),
            (&[0x20, 1, 0], None),
            (&[0x40, 1, 0], None),
        ];
        for (bytes, want) in cases {
            assert_eq!(decoded(bytes), want, "{bytes:x?}");
        }
    }

    #[test]
    fn the_connect_says_version_4_and_keeps_a_session_only_where_it_may() {
        let options = Options { version: Version::V311, ..Options::new("b", 1883, "gw") };
        for (clean_start, expiry, flags) in
            [(true, 0, 2), (true, 60, 2), (false, 0, 2), (false, 60, 0)]
        {
            let session_expiry = Duration::from_secs(expiry);
            let mut out = BytesMut::new();
            connect(&Options { clean_start, session_expiry, ..options.clone() }, &mut out).unwrap();
            let want = [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 10, 0, 2, b'g', b'w'];
            assert_eq!(&out[..], want);
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_passed_over_and_the_next_is_read() {
        for (qos, acknowledge) in [(0, None), (1, Some(0x102))] {
            let message = |bytes| Message {
                topic: "t/x".into(),
                payload: vec![7; bytes].into(),
                retain: false,
            };
            let mut sent = BytesMut::new();
            publish_packet(&message(70_000), acknowledge).write(&mut sent, usize::MAX).unwrap();
            publish_packet(&message(5), acknowledge).write(&mut sent, usize::MAX).unwrap();
            for cut in [1, 2, 3, 1_000, 100_000] {
                let mut decoder = Decoder::new(Version::V311, 1_000);
                let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
                for piece in sent.chunks(cut) {
                    buffer.extend_from_slice(piece);
                    while let Some(incoming) = decoder.decode(&mut buffer).unwrap() {
                        read.push(incoming);
                    }
                    assert!(buffer.len() <= cut.max(1_000), "it is not collected");
                }
                let topic = "t/x".to_owned();
                let message = message(5);
                let want = [
                    Incoming::TooLarge { topic, acknowledge },
                    Incoming::Publish { message, acknowledge },
                ];
                assert_eq!(read, want, "QoS {qos} in pieces of {cut}");
            }
        }
    }

    #[test]
    fn what_is_too_large_and_no_message_is_refused() {
        for bytes in [
            &[0x20, 0xff, 0xff, 0xff, 0x7f][..],
            // A topic longer than the packet, an id of 0, QoS 2.
            &[0x30, 0xe9, 0x07, 0x04, 0x00],
            &[0x32, 0xff, 0x7f, 0, 1, b't', 0, 0],
            &[0x34, 0xff, 0x7f, 0, 1, b't', 0, 1],
        ] {
            let mut buffer = BytesMut::from(bytes);
            let refused = Decoder::new(Version::V311, 1_000).decode(&mut buffer);
            assert!(refused.is_err(), "{bytes:x?}: {refused:?}");
        }
    }
}
