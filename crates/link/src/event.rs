//! What a connection tells.

use bytes::Bytes;

use crate::error::Error;

/// A message on a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The topic, without wildcards.
    pub topic: String,
    /// Any bytes.
    pub payload: Bytes,
    /// Outgoing: the broker shall keep it for whoever subscribes later. Incoming: it was kept, its
    /// age is unknown.
    pub retain: bool,
}

/// Something that happened on the connection.
#[derive(Debug)]
pub enum Event {
    /// The broker took us in; the subscriptions are on their way.
    Connected {
        /// Whether the broker remembered our session.
        session_present: bool,
    },
    /// A connection broke or could not be made. The next attempt follows by itself.
    Disconnected {
        /// Why.
        error: Error,
    },
    /// A message came.
    Message(Message),
    /// A message was not taken (by the broker, or here because the broker would not), a
    /// subscription was refused (it is tried again after a pause), or a message from a broker that speaks MQTT 3.1.1 was larger than
    /// we take. The connection goes on.
    ///
    /// MQTT 3.1.1 has no word for a publish that is denied: the broker acknowledges it, or hangs up.
    Refused {
        /// The topic of the message, or the filter of the subscription.
        topic: String,
        /// MQTT 5's reason code, whatever was spoken, 0x80 or above; see [`reason`].
        reason_code: u8,
    },
    /// A subscription that was refused before is accepted now.
    Subscribed {
        /// Its filter.
        filter: String,
    },
}

/// Reason codes of MQTT 5 (OASIS MQTT 5.0, 2.4).
pub mod reason {
    /// The version of MQTT that we speak.
    pub const UNSUPPORTED_VERSION: u8 = 0x84;
    /// The identity may not do this.
    pub const NOT_AUTHORIZED: u8 = 0x87;
    /// The topic is malformed.
    pub const TOPIC_NAME_INVALID: u8 = 0x90;
    /// Larger than the broker takes.
    pub const PACKET_TOO_LARGE: u8 = 0x95;
    /// The broker keeps nothing.
    pub const RETAIN_NOT_SUPPORTED: u8 = 0x9a;

    /// Whether a broker says by this code that it does not let us in, or not do something, for who
    /// we are.
    #[must_use]
    pub fn is_refused_login(code: u8) -> bool {
        // Client identifier, password, authorization, banned, authentication method.
        matches!(code, 0x85 | 0x86 | NOT_AUTHORIZED | 0x8a | 0x8c)
    }

    /// What a code means, in the standard's words.
    #[must_use]
    pub fn text(code: u8) -> &'static str {
        match code {
            0x00 => "success",
            0x80 => "unspecified error",
            0x81 => "malformed packet",
            0x82 => "protocol error",
            0x83 => "implementation specific error",
            0x84 => "unsupported protocol version",
            0x85 => "client identifier not valid",
            0x86 => "bad user name or password",
            0x87 => "not authorized",
            0x88 => "server unavailable",
            0x89 => "server busy",
            0x8a => "banned",
            0x8b => "server shutting down",
            0x8c => "bad authentication method",
            0x8d => "keep alive timeout",
            0x8e => "session taken over",
            0x8f => "topic filter invalid",
            0x90 => "topic name invalid",
            0x91 => "packet identifier in use",
            0x93 => "receive maximum exceeded",
            0x95 => "packet too large",
            0x96 => "message rate too high",
            0x97 => "quota exceeded",
            0x98 => "administrative action",
            0x99 => "payload format invalid",
            0x9a => "retain not supported",
            0x9b => "quality of service not supported",
            0x9c => "use another server",
            0x9d => "server moved",
            0x9e => "shared subscriptions not supported",
            0x9f => "connection rate exceeded",
            0xa1 => "subscription identifiers not supported",
            0xa2 => "wildcard subscriptions not supported",
            _ => "no known reason",
        }
    }
}
