//! Packets to bytes and back, in either version of the protocol: `v5` and `v311` know what each
//! one looks like, nobody else does. Sizes are checked before anything is collected.

mod v311;
mod v5;

use bytes::{Buf as _, BytesMut};

use crate::error::CodecError;
use crate::event::Message;
use crate::options::{Options, Qos, Version};

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const DISCONNECT: u8 = 14;

/// What the broker says, in the terms of the session. Reason codes are those of MQTT 5.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The answer to our first packet.
    ConnAck {
        /// Whether our session was remembered.
        session_present: bool,
        /// 0 when it takes us in.
        reason_code: u8,
        /// What it takes from us.
        limits: Limits,
    },
    /// A message.
    Publish {
        /// The message.
        message: Message,
        /// The packet id to acknowledge; none for QoS 0.
        acknowledge: Option<u16>,
    },
    /// A message larger than we take, of which only the topic was read. MQTT 3.1.1 only: a broker
    /// that speaks MQTT 5 is told what we take.
    TooLarge {
        /// Its topic.
        topic: String,
        /// The packet id to acknowledge; none for QoS 0.
        acknowledge: Option<u16>,
    },
    /// What became of a message of ours.
    PubAck {
        /// Its packet id.
        id: u16,
        /// 0x80 or above: it was refused.
        reason_code: u8,
    },
    /// What became of our subscriptions.
    SubAck {
        /// The packet id.
        id: u16,
        /// One for each filter, 0x80 or above: it was refused.
        reason_codes: Vec<u8>,
    },
    /// It is there.
    PingResp,
    /// Goodbye.
    Disconnect {
        /// Why.
        reason_code: u8,
    },
    /// Nothing that a broker may say to us.
    Unexpected,
}

/// What the broker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages on the way unacknowledged; at least 1.
    pub receive_maximum: u16,
    /// Bytes of a packet; none: as many as there are.
    pub max_packet_bytes: Option<u32>,
    /// The keep-alive that it wants, in seconds, when that is not ours.
    pub keep_alive_seconds: Option<u16>,
    /// Whether it keeps messages for later subscribers.
    pub retain: bool,
    /// Whether it takes more than QoS 0.
    pub qos1: bool,
}

impl Default for Limits {
    /// What the standard says where a broker says nothing; in MQTT 3.1.1 it cannot say anything.
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

/// Reads what one connection brings.
#[derive(Debug)]
pub struct Decoder {
    version: Version,
    most: u32,
    /// What is still to come, and to be thrown away, of a message that is too large.
    skip: usize,
}

impl Decoder {
    /// Packets of at most `most` bytes, or a little more.
    #[must_use]
    pub fn new(version: Version, most: u32) -> Self {
        Self { version, most, skip: 0 }
    }

    /// Takes the next whole packet from `buffer`; `None` when there is none yet.
    ///
    /// # Errors
    /// When it is none, or in MQTT 5 one that is too large: nothing behind it can be read.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Incoming>, CodecError> {
        let skipped = self.skip.min(buffer.len());
        buffer.advance(skipped);
        self.skip -= skipped;
        match self.version {
            _ if self.skip > 0 => Ok(None),
            Version::V5 => v5::decode(buffer, self.most),
            Version::V311 => v311::decode(buffer, self.most, &mut self.skip),
        }
    }
}

/// The body of the whole packet of `length` bytes at the front of `buffer`, and its type.
fn body(buffer: &[u8], length: usize) -> Option<(u8, &[u8])> {
    let kind = buffer.first()? >> 4;
    let size_ends = buffer.iter().skip(1).position(|byte| *byte < 0x80)? + 2;
    Some((kind, buffer.get(size_ends..length)?))
}

/// The first packet of a connection.
pub(crate) fn connect(options: &Options, out: &mut BytesMut) -> Result<(), CodecError> {
    match options.version {
        Version::V5 => v5::connect(options, out),
        Version::V311 => v311::connect(options, out),
    }
}

/// The `keep_alive` of `options` in whole seconds, at least one.
fn keep_alive(options: &Options) -> u16 {
    u16::try_from(options.keep_alive.as_secs().max(1)).unwrap_or(u16::MAX)
}

/// Writes `message`, QoS 0 when `id` is none; false, and nothing, if that takes more than `most`
/// bytes.
pub(crate) fn publish(
    version: Version,
    message: &Message,
    id: Option<u16>,
    most: u32,
    out: &mut BytesMut,
) -> Result<bool, CodecError> {
    let fits = |size: usize| u32::try_from(size).is_ok_and(|size| size <= most);
    match version {
        Version::V5 => {
            let packet = v5::publish_packet(message, id);
            if !fits(packet.size()) {
                return Ok(false);
            }
            packet.write(out, None)?;
        }
        Version::V311 => {
            let packet = v311::publish_packet(message, id);
            if !fits(packet.size()) {
                return Ok(false);
            }
            packet.write(out, usize::MAX)?;
        }
    }
    Ok(true)
}

/// All filters at once, QoS 1. Messages are marked as retained only when they come from what the
/// broker kept, and kept ones come at every subscription.
pub(crate) fn subscribe(
    version: Version,
    id: u16,
    filters: &[String],
    qos: Qos,
    out: &mut BytesMut,
) -> Result<(), CodecError> {
    match version {
        Version::V5 => v5::subscribe(id, filters, qos, out),
        Version::V311 => v311::subscribe(id, filters, qos, out),
    }
}

/// We have it.
pub(crate) fn puback(id: u16, out: &mut BytesMut) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[0x40, 2, high, low]);
}

/// Are you there?
pub(crate) fn ping(out: &mut BytesMut) {
    out.extend_from_slice(&[0xc0, 0]);
}

/// Goodbye; without it the broker would publish the will.
pub(crate) fn disconnect(out: &mut BytesMut) {
    out.extend_from_slice(&[0xe0, 0]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_always_shrink(
            first in any::<u8>(),
            rest in proptest::collection::vec(any::<u8>(), 0..200),
            framed in any::<bool>(),
            most in 20u32..500,
        ) {
            for version in [Version::V5, Version::V311] {
                let mut decoder = Decoder::new(version, most);
                let mut buffer = BytesMut::new();
                buffer.extend_from_slice(&[first]);
                if framed {
                    let length = u8::try_from(rest.len().min(127)).unwrap();
                    buffer.extend_from_slice(&[length]);
                }
                buffer.extend_from_slice(&rest);
                loop {
                    let before = buffer.len();
                    match decoder.decode(&mut buffer) {
                        Ok(Some(_)) => prop_assert!(buffer.len() < before),
                        Ok(None) | Err(_) => break,
                    }
                }
            }
        }

        #[test]
        fn what_is_written_is_read_in_whatever_pieces_it_comes(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            retain in any::<bool>(),
            id in proptest::option::of(1u16..),
            cut in 1usize..50,
        ) {
            for version in [Version::V5, Version::V311] {
                let message = Message { topic: "a/b".into(), payload: payload.clone().into(), retain };
                let mut sent = BytesMut::new();
                prop_assert!(publish(version, &message, id, 1_000, &mut sent).unwrap());
                let mut decoder = Decoder::new(version, 1_000);
                let (mut buffer, mut read) = (BytesMut::new(), None);
                for piece in sent.chunks(cut) {
                    prop_assert!(read.is_none());
                    buffer.extend_from_slice(piece);
                    read = decoder.decode(&mut buffer).unwrap();
                }
                prop_assert_eq!(read, Some(Incoming::Publish { message, acknowledge: id }));
            }
        }
    }
}
