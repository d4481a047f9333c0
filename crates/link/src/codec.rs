//! Packets to bytes and back. Sizes are checked before anything is collected.

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    ConnAckProperties, Connect, ConnectProperties, ConnectReturnCode, Filter, LastWill, Login,
    Packet, PubAck, Publish, RetainForwardRule, Subscribe, SubscribeReasonCode, check,
};
use rumqttc::v5::mqttbytes::{Error, QoS};

use crate::event::Message;
use crate::options::Options;

const CONNACK: u8 = 2;
const PUBACK: u8 = 4;
const DISCONNECT: u8 = 14;

/// What the broker says, in the terms of [`crate::session`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    ConnAck {
        session_present: bool,
        reason_code: u8,
        limits: Limits,
    },
    /// `acknowledge` is the packet id to acknowledge; none for QoS 0.
    Publish {
        message: Message,
        acknowledge: Option<u16>,
    },
    PubAck {
        id: u16,
        reason_code: u8,
    },
    SubAck {
        id: u16,
        reason_codes: Vec<u8>,
    },
    PingResp,
    Disconnect {
        reason_code: u8,
    },
    /// Nothing that a broker may say to us.
    Unexpected,
}

/// What the broker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) receive_maximum: u16,
    pub(crate) max_packet_bytes: Option<u32>,
    pub(crate) keep_alive_seconds: Option<u16>,
    pub(crate) retain: bool,
    pub(crate) qos1: bool,
}

impl Default for Limits {
    /// What the standard says where a broker says nothing.
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            max_packet_bytes: None,
            keep_alive_seconds: None,
            retain: true,
            qos1: true,
        }
    }
}

/// Takes the next whole packet from `buffer`; `None` when there is none yet.
pub(crate) fn decode(buffer: &mut BytesMut, most: u32) -> Result<Option<Incoming>, Error> {
    let header = match check(buffer.iter(), Some(most)) {
        Ok(header) => header,
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if let Some(incoming) = decode_here(buffer, header.frame_length()) {
        return Ok(Some(incoming));
    }
    Ok(Some(match Packet::read(buffer, Some(most))? {
        Packet::ConnAck(packet) => Incoming::ConnAck {
            session_present: packet.session_present,
            reason_code: connect_code(packet.code),
            limits: packet.properties.map(limits).unwrap_or_default(),
        },
        Packet::Publish(packet) => publish(packet)?,
        Packet::SubAck(packet) => Incoming::SubAck {
            id: packet.pkid,
            reason_codes: packet.return_codes.into_iter().map(suback_code).collect(),
        },
        Packet::PingResp(_) => Incoming::PingResp,
        _ => Incoming::Unexpected,
    }))
}

/// What `rumqttc` refuses although brokers say it: a PUBACK with a reason that it does not list
/// (mosquitto's 149), a DISCONNECT of less than two bytes, and the CONNACK of a broker that knows
/// only MQTT 3.1.1. `length` is that of the whole packet, which the buffer holds.
fn decode_here(buffer: &mut BytesMut, length: usize) -> Option<Incoming> {
    let kind = buffer.first()? >> 4;
    let size_ends = buffer.iter().skip(1).position(|byte| *byte < 0x80)? + 2;
    let body = buffer.get(size_ends..length)?;
    let incoming = match (kind, body) {
        (PUBACK, [high, low, rest @ ..]) => Incoming::PubAck {
            id: u16::from_be_bytes([*high, *low]),
            reason_code: rest.first().copied().unwrap_or(0),
        },
        (DISCONNECT, body) => {
            Incoming::Disconnect { reason_code: body.first().copied().unwrap_or(0) }
        }
        (CONNACK, [_, code]) => Incoming::ConnAck {
            session_present: false,
            // Below 0x80 it spoke 3.1.1 to our MQTT 5, whatever it means by it.
            reason_code: if *code < 0x80 { 0x84 } else { *code },
            limits: Limits::default(),
        },
        _ => return None,
    };
    drop(buffer.split_to(length));
    Some(incoming)
}

fn publish(packet: Publish) -> Result<Incoming, Error> {
    // An alias would need a table; we never allow the broker any.
    if packet.topic.is_empty() || packet.qos == QoS::ExactlyOnce {
        return Ok(Incoming::Unexpected);
    }
    let topic = std::str::from_utf8(&packet.topic).map_err(|_| Error::TopicNotUtf8)?.to_owned();
    let message = Message { topic, payload: packet.payload, retain: packet.retain };
    let acknowledge = (packet.qos == QoS::AtLeastOnce).then_some(packet.pkid);
    Ok(Incoming::Publish { message, acknowledge })
}

fn limits(properties: ConnAckProperties) -> Limits {
    Limits {
        // 0 is forbidden; a broker that says it means that nothing can be sent.
        receive_maximum: properties.receive_max.unwrap_or(u16::MAX).max(1),
        max_packet_bytes: properties.max_packet_size,
        keep_alive_seconds: properties.server_keep_alive,
        retain: properties.retain_available != Some(0),
        qos1: properties.max_qos != Some(0),
    }
}

/// The first packet of a connection.
pub(crate) fn connect(options: &Options, out: &mut BytesMut) -> Result<(), Error> {
    let seconds = |duration: std::time::Duration| duration.as_secs();
    let keep_alive = u16::try_from(seconds(options.keep_alive).max(1)).unwrap_or(u16::MAX);
    let expiry = u32::try_from(seconds(options.session_expiry)).unwrap_or(u32::MAX);
    let properties = ConnectProperties {
        session_expiry_interval: (expiry > 0).then_some(expiry),
        receive_maximum: Some(options.receive_maximum.max(1)),
        max_packet_size: Some(options.max_packet_bytes.max(1)),
        ..ConnectProperties::new()
    };
    let connect = Connect {
        keep_alive,
        client_id: options.client_id.clone(),
        clean_start: options.clean_start,
        properties: Some(properties),
    };
    let will = options.will.as_ref().map(|will| LastWill {
        topic: Bytes::copy_from_slice(will.topic.as_bytes()),
        message: will.payload.clone(),
        qos: QoS::AtLeastOnce,
        retain: will.retain,
        properties: None,
    });
    let login = options.username.as_ref().map(|username| Login {
        username: username.clone(),
        password: options.password.clone().unwrap_or_default(),
    });
    Packet::Connect(connect, will, login).write(out, None).map(drop)
}

/// A message as the packet that carries it; QoS 0 when `id` is none.
pub(crate) fn publish_packet(message: &Message, id: Option<u16>) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: if id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
        retain: message.retain,
        topic: Bytes::copy_from_slice(message.topic.as_bytes()),
        pkid: id.unwrap_or(0),
        payload: message.payload.clone(),
        properties: None,
    })
}

/// All filters at once, QoS 1. Messages are marked as retained only when they come from what the
/// broker kept, and kept ones come at every subscription.
pub(crate) fn subscribe(id: u16, filters: &[String], out: &mut BytesMut) -> Result<(), Error> {
    let filters = filters.iter().map(|path| Filter {
        path: path.clone(),
        qos: QoS::AtLeastOnce,
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::OnEverySubscribe,
    });
    let packet = Subscribe { pkid: id, ..Subscribe::new_many(filters, None) };
    Packet::Subscribe(packet).write(out, None).map(drop)
}

/// We have it.
pub(crate) fn puback(id: u16, out: &mut BytesMut) -> Result<(), Error> {
    Packet::PubAck(PubAck::new(id, None)).write(out, None).map(drop)
}

/// Are you there?
pub(crate) fn ping(out: &mut BytesMut) {
    out.extend_from_slice(&[0xc0, 0]);
}

/// Goodbye; without it the broker would publish the will.
pub(crate) fn disconnect(out: &mut BytesMut) {
    out.extend_from_slice(&[0xe0, 0]);
}

fn suback_code(reason: SubscribeReasonCode) -> u8 {
    match reason {
        SubscribeReasonCode::Success(QoS::AtMostOnce) => 0,
        SubscribeReasonCode::Success(QoS::AtLeastOnce) => 1,
        SubscribeReasonCode::Success(QoS::ExactlyOnce) => 2,
        SubscribeReasonCode::Failure | SubscribeReasonCode::Unspecified => 0x80,
        SubscribeReasonCode::ImplementationSpecific => 0x83,
        SubscribeReasonCode::NotAuthorized => 0x87,
        SubscribeReasonCode::TopicFilterInvalid => 0x8f,
        SubscribeReasonCode::PkidInUse => 0x91,
        SubscribeReasonCode::QuotaExceeded => 0x97,
        SubscribeReasonCode::SharedSubscriptionsNotSupported => 0x9e,
        SubscribeReasonCode::SubscriptionIdNotSupported => 0xa1,
        SubscribeReasonCode::WildcardSubscriptionsNotSupported => 0xa2,
    }
}

fn connect_code(code: ConnectReturnCode) -> u8 {
    use ConnectReturnCode as C;
    match code {
        C::Success => 0,
        C::UnspecifiedError => 0x80,
        C::MalformedPacket => 0x81,
        C::ProtocolError => 0x82,
        C::ImplementationSpecificError => 0x83,
        C::RefusedProtocolVersion | C::UnsupportedProtocolVersion => 0x84,
        C::BadClientId | C::ClientIdentifierNotValid => 0x85,
        C::BadUserNamePassword => 0x86,
        C::NotAuthorized => 0x87,
        C::ServiceUnavailable | C::ServerUnavailable => 0x88,
        C::ServerBusy => 0x89,
        C::Banned => 0x8a,
        C::BadAuthenticationMethod => 0x8c,
        C::TopicNameInvalid => 0x90,
        C::PacketTooLarge => 0x95,
        C::QuotaExceeded => 0x97,
        C::PayloadFormatInvalid => 0x99,
        C::RetainNotSupported => 0x9a,
        C::QoSNotSupported => 0x9b,
        C::UseAnotherServer => 0x9c,
        C::ServerMoved => 0x9d,
        C::ConnectionRateExceeded => 0x9f,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_codec_refuses_is_understood() {
        let cases: [(&[u8], Incoming); 7] = [
            (&[0x40, 2, 1, 2], Incoming::PubAck { id: 0x102, reason_code: 0 }),
            (&[0x40, 3, 1, 2, 0x95], Incoming::PubAck { id: 0x102, reason_code: 0x95 }),
            (&[0x40, 4, 1, 2, 0xff, 0], Incoming::PubAck { id: 0x102, reason_code: 0xff }),
            (&[0xe0, 0], Incoming::Disconnect { reason_code: 0 }),
            (&[0xe0, 1, 0x8e], Incoming::Disconnect { reason_code: 0x8e }),
            (&[0xe0, 2, 0x8b, 0], Incoming::Disconnect { reason_code: 0x8b }),
            (
                &[0x20, 2, 0, 1],
                Incoming::ConnAck {
                    session_present: false,
                    reason_code: 0x84,
                    limits: Limits::default(),
                },
            ),
        ];
        for (bytes, want) in cases {
            let mut buffer = BytesMut::from(bytes);
            assert_eq!(decode(&mut buffer, 1000).ok().flatten(), Some(want), "{bytes:x?}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_packet_larger_than_agreed_is_refused_before_it_is_collected() {
        let mut buffer = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
        assert!(decode(&mut buffer, 1000).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_always_shrink(
            first in any::<u8>(),
            rest in proptest::collection::vec(any::<u8>(), 0..200),
            framed in any::<bool>(),
        ) {
            let mut buffer = BytesMut::new();
            buffer.extend_from_slice(&[first]);
            if framed {
                let length = u8::try_from(rest.len().min(127)).unwrap();
                buffer.extend_from_slice(&[length]);
            }
            buffer.extend_from_slice(&rest);
            loop {
                let before = buffer.len();
                match decode(&mut buffer, 500) {
                    Ok(Some(_)) => prop_assert!(buffer.len() < before),
                    Ok(None) | Err(_) => break,
                }
            }
        }
    }
}
