//! One connection after the broker took us in: what is on its way, when to ping, when to give up.
//! Times are durations since the connection was made.
//!
//! Reading order: here what is sent and received, `subscription`, `silence`.

mod silence;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;

use crate::codec::{self, Incoming, Limits};
use crate::error::CodecError;
use crate::event::{Event, Message, reason};
use crate::options::{Qos, Version};
use subscription::{RefusedFilters, Subscribing};

/// At most so many messages are on their way unacknowledged, even if the broker takes more.
const WINDOW: u16 = 256;

#[derive(Debug)]
pub(crate) struct Session {
    version: Version,
    limits: Limits,
    keep_alive: Duration,
    ack_timeout: Duration,
    in_flight: BTreeMap<u16, InFlight>,
    last_id: u16,
    qos: Qos,
    subscribing: Option<Subscribing>,
    refused: Option<RefusedFilters>,
    heard: Duration,
    pinged: Option<Duration>,
    /// How long no message may come, and when the last one did.
    silence: Option<(Duration, Duration)>,
}

#[derive(Debug)]
struct InFlight {
    topic: String,
    sent: Duration,
}

/// Why the connection has to be left.
#[derive(Debug)]
pub(crate) enum Fault {
    Silent { what: &'static str, after: Duration },
    Protocol(&'static str),
    Disconnected { reason_code: u8 },
    Codec(CodecError),
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

/// What a packet means for the owner of the connection. `acknowledge`: once it is handed over.
#[derive(Debug)]
pub(crate) struct Happening {
    pub(crate) event: Event,
    pub(crate) acknowledge: Option<u16>,
}

impl From<Event> for Happening {
    fn from(event: Event) -> Self {
        Self { event, acknowledge: None }
    }
}

impl Session {
    pub(crate) fn new(
        version: Version,
        limits: Limits,
        keep_alive: Duration,
        ack_timeout: Duration,
        now: Duration,
    ) -> Self {
        // A broker may shorten the keep-alive. 0 would switch it off: then ours stays, for us.
        let asked = limits.keep_alive_seconds.filter(|seconds| *seconds > 0);
        let keep_alive = asked.map_or(keep_alive, |seconds| Duration::from_secs(seconds.into()));
        Self {
            version,
            limits,
            keep_alive: keep_alive.max(Duration::from_secs(1)),
            ack_timeout,
            in_flight: BTreeMap::new(),
            last_id: 0,
            qos: Qos::AtLeastOnce,
            subscribing: None,
            refused: None,
            heard: now,
            pinged: None,
            silence: None,
        }
    }

    /// Gives up a peer that delivers no message for so long.
    pub(crate) fn expect_messages(&mut self, within: Duration, now: Duration) {
        self.silence = Some((within, now));
    }

    /// Whether one more message may be sent.
    pub(crate) fn ready(&self) -> bool {
        self.in_flight.len() < usize::from(self.limits.receive_maximum.min(WINDOW))
    }

    /// Whether nothing is on its way.
    pub(crate) fn idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Sends `message`, or says why the broker would not take it.
    pub(crate) fn publish(
        &mut self,
        message: Message,
        now: Duration,
        out: &mut BytesMut,
    ) -> Result<Option<Event>, Fault> {
        let refuse = |topic, reason_code| Ok(Some(Event::Refused { topic, reason_code }));
        let topic = message.topic.as_str();
        if topic.is_empty() || topic.len() > 65_535 || topic.contains(['+', '#', '\0']) {
            return refuse(message.topic, reason::TOPIC_NAME_INVALID);
        }
        if message.retain && !self.limits.retain {
            return refuse(message.topic, reason::RETAIN_NOT_SUPPORTED);
        }
        let id = self.limits.qos1.then(|| self.free_id());
        // The protocol itself ends at 256 MiB.
        let most = self.limits.max_packet_bytes.unwrap_or(u32::MAX).min(268_435_455);
        if !codec::publish(self.version, &message, id, most, out)? {
            return refuse(message.topic, reason::PACKET_TOO_LARGE);
        }
        if let Some(id) = id {
            self.in_flight.insert(id, InFlight { topic: message.topic, sent: now });
        }
        Ok(None)
    }

    /// The next packet id that is not in use; there always is one, the window is far smaller.
    fn free_id(&mut self) -> u16 {
        let subscribing = self.subscribing.as_ref().map(|asked| asked.id);
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.in_flight.contains_key(&self.last_id) && subscribing != Some(self.last_id) {
                return self.last_id;
            }
        }
    }

    pub(crate) fn receive(
        &mut self,
        packet: Incoming,
        now: Duration,
    ) -> Result<Vec<Happening>, Fault> {
        self.heard(now);
        if let (Some((_, last)), Incoming::Publish { .. }) = (&mut self.silence, &packet) {
            *last = now;
        }
        Ok(match packet {
            Incoming::Publish { message, acknowledge } => {
                vec![Happening { event: Event::Message(message), acknowledge }]
            }
            Incoming::TooLarge { topic, acknowledge } => {
                let event = Event::Refused { topic, reason_code: reason::PACKET_TOO_LARGE };
                vec![Happening { event, acknowledge }]
            }
            Incoming::PubAck { id, reason_code } => match self.in_flight.remove(&id) {
                Some(InFlight { topic, .. }) if reason_code >= 0x80 => {
                    vec![Event::Refused { topic, reason_code }.into()]
                }
                Some(_) => Vec::new(),
                None => return Err(Fault::Protocol("it acknowledged what was not sent")),
            },
            Incoming::SubAck { id, reason_codes } => self.subscribed(id, reason_codes, now)?,
            Incoming::PingResp => Vec::new(),
            Incoming::Disconnect { reason_code } => {
                return Err(Fault::Disconnected { reason_code });
            }
            Incoming::ConnAck { .. } => return Err(Fault::Protocol("it sent a second CONNACK")),
            Incoming::Unexpected => {
                return Err(Fault::Protocol("it sent a packet that no broker may send here"));
            }
        })
    }
}
