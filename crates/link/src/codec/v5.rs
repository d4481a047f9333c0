//! MQTT 5.

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    ConnAckProperties, Connect, ConnectProperties, ConnectReturnCode, Filter, LastWill, Login,
    Packet, Publish, RetainForwardRule, Subscribe, SubscribeReasonCode, check,
};
use rumqttc::v5::mqttbytes::{Error, QoS};

use super::{CONNACK, DISCONNECT, Incoming, Limits, PUBACK, body};
use crate::error::CodecError;
use crate::event::Message;
use crate::options::{self, Options};

/// See [`super::Decoder::decode`].
pub(super) fn decode(buffer: &mut BytesMut, most: u32) -> Result<Option<Incoming>, CodecError> {
    let header = match check(buffer.iter(), Some(most)) {
        Ok(header) => header,
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
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
    let incoming = match body(buffer, length)? {
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
pub(super) fn connect(options: &Options, out: &mut BytesMut) -> Result<(), CodecError> {
    let expiry = u32::try_from(options.session_expiry.as_secs()).unwrap_or(u32::MAX);
    let properties = ConnectProperties {
        session_expiry_interval: (expiry > 0).then_some(expiry),
        receive_maximum: Some(options.receive_maximum.max(1)),
        max_packet_size: Some(options.max_packet_bytes.max(1)),
        ..ConnectProperties::new()
    };
    let connect = Connect {
        keep_alive: super::keep_alive(options),
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
    Packet::Connect(connect, will, login).write(out, None)?;
    Ok(())
}

/// A message as the packet that carries it; QoS 0 when `id` is none.
pub(super) fn publish_packet(message: &Message, id: Option<u16>) -> Packet {
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
    let filters = filters.iter().map(|path| Filter {
        path: path.clone(),
        qos,
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::OnEverySubscribe,
    });
    let packet = Subscribe { pkid: id, ..Subscribe::new_many(filters, None) };
    Packet::Subscribe(packet).write(out, None)?;
    Ok(())
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
            assert_eq!(decode(&mut buffer, 1_000).ok().flatten(), Some(want), "{bytes:x?}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_packet_larger_than_agreed_is_refused_before_it_is_collected() {
        let mut buffer = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
        assert!(decode(&mut buffer, 1_000).is_err());
    }
}
