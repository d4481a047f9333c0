//! One connection after the broker took us in: what is on its way, when to ping, when to give up.
//! Times are durations since the connection was made.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;

use crate::codec::{self, Incoming, Limits};
use crate::error::CodecError;
use crate::event::{Event, Message, reason};
use crate::options::{Qos, Version};

/// At most so many messages are on their way unacknowledged, even if the broker takes more.
const WINDOW: u16 = 256;

/// The pause before a refused subscription is tried again; it doubles up to [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause before a refused subscription is tried again.
const LAST_RETRY: Duration = Duration::from_secs(60);

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

#[derive(Debug)]
struct Subscribing {
    id: u16,
    filters: Vec<String>,
    sent: Duration,
    /// The pause that went before; none the first time.
    pause: Option<Duration>,
}

/// Filters that the broker does not accept, for now. A cluster that is electing a leader refuses,
/// and without another try this connection would stay deaf while everything else looks well.
#[derive(Debug)]
struct RefusedFilters {
    filters: Vec<String>,
    pause: Duration,
    again: Duration,
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

    /// Subscribes to `filters`; once for a connection.
    pub(crate) fn subscribe(
        &mut self,
        filters: Vec<String>,
        qos: Qos,
        now: Duration,
        out: &mut BytesMut,
    ) -> Result<(), Fault> {
        self.qos = qos;
        self.ask(filters, None, now, out)
    }

    fn ask(
        &mut self,
        filters: Vec<String>,
        pause: Option<Duration>,
        now: Duration,
        out: &mut BytesMut,
    ) -> Result<(), Fault> {
        if filters.is_empty() {
            return Ok(());
        }
        let id = self.free_id();
        codec::subscribe(self.version, id, &filters, self.qos, out)?;
        self.subscribing = Some(Subscribing { id, filters, sent: now, pause });
        Ok(())
    }

    /// The broker's word on each filter. What it refuses is tried again after a pause.
    fn subscribed(
        &mut self,
        id: u16,
        reason_codes: Vec<u8>,
        now: Duration,
    ) -> Result<Vec<Happening>, Fault> {
        let Some(asked) = self
            .subscribing
            .take()
            .filter(|asked| asked.id == id && asked.filters.len() == reason_codes.len())
        else {
            return Err(Fault::Protocol("its SUBACK answers no SUBSCRIBE"));
        };
        let pause = asked.pause.map_or(FIRST_RETRY, |pause| (pause * 2).min(LAST_RETRY));
        let (mut events, mut filters) = (Vec::new(), Vec::new());
        for (topic, reason_code) in asked.filters.into_iter().zip(reason_codes) {
            if reason_code >= 0x80 {
                filters.push(topic.clone());
                events.push(Event::Refused { topic, reason_code }.into());
            } else if asked.pause.is_some() {
                events.push(Event::Subscribed { filter: topic }.into());
            }
        }
        self.refused =
            (!filters.is_empty()).then(|| RefusedFilters { filters, pause, again: now + pause });
        Ok(events)
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

    /// The peer lives.
    fn heard(&mut self, now: Duration) {
        self.heard = now;
        self.pinged = None;
    }

    /// Nobody listened to the peer until now: all silence starts anew.
    pub(crate) fn deaf(&mut self, now: Duration) {
        self.heard(now);
        for message in self.in_flight.values_mut() {
            message.sent = now;
        }
        if let Some(asked) = &mut self.subscribing {
            asked.sent = now;
        }
        if let Some((_, last)) = &mut self.silence {
            *last = now;
        }
    }

    fn dead_after(&self) -> Duration {
        self.keep_alive * 3 / 2
    }

    /// When [`Self::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Duration {
        let silence = match self.pinged {
            None => self.heard + self.keep_alive / 2,
            Some(_) => self.heard + self.dead_after(),
        };
        let again = self.refused.as_ref().map(|refused| refused.again);
        let unanswered = self.oldest().map(|sent| sent + self.ack_timeout);
        let undelivered = self.silence.map(|(within, last)| last + within);
        [again, unanswered, undelivered].into_iter().flatten().fold(silence, Duration::min)
    }

    /// When the oldest packet was sent that still waits for its answer.
    fn oldest(&self) -> Option<Duration> {
        let asked = self.subscribing.as_ref().map(|asked| asked.sent);
        self.in_flight.values().map(|message| message.sent).chain(asked).min()
    }

    /// Pings a silent peer, gives up a dead one, and asks again for what was refused. Whoever sends nothing hears nothing either, so
    /// the ping after half a keep-alive of silence also keeps the broker content.
    pub(crate) fn tick(&mut self, now: Duration, out: &mut BytesMut) -> Result<(), Fault> {
        let silence = now.saturating_sub(self.heard);
        if silence >= self.dead_after() {
            return Err(Fault::Silent { what: "sign of life", after: self.dead_after() });
        }
        if self.oldest().is_some_and(|sent| now.saturating_sub(sent) >= self.ack_timeout) {
            return Err(Fault::Silent { what: "acknowledgement", after: self.ack_timeout });
        }
        if let Some((within, last)) = self.silence
            && now.saturating_sub(last) >= within
        {
            return Err(Fault::Silent { what: "message", after: within });
        }
        if let Some(refused) = self.refused.take_if(|refused| refused.again <= now) {
            self.ask(refused.filters, Some(refused.pause), now, out)?;
        }
        if self.pinged.is_none() && silence >= self.keep_alive / 2 {
            codec::ping(out);
            self.pinged = Some(now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn message(bytes: usize) -> Message {
        Message { topic: "t".into(), payload: vec![0; bytes].into(), retain: false }
    }

    fn session(limits: Limits) -> Session {
        Session::new(Version::V5, limits, 10 * S, 30 * S, Duration::ZERO)
    }

    #[test]
    fn the_window_of_the_broker_is_respected() {
        let mut session = session(Limits { receive_maximum: 2, ..Limits::default() });
        let mut out = BytesMut::new();
        for _ in 0..2 {
            assert!(session.ready());
            assert!(session.publish(message(1), S, &mut out).unwrap().is_none());
        }
        assert!(!session.ready());
        session.receive(Incoming::PubAck { id: 1, reason_code: 0 }, S).unwrap();
        assert!(session.ready());
    }

    #[test]
    fn what_the_broker_would_not_take_is_refused_here() {
        let limits = Limits { max_packet_bytes: Some(100), retain: false, ..Limits::default() };
        let mut session = session(limits);
        let mut out = BytesMut::new();
        let retained = Message { retain: true, ..message(1) };
        let wild = Message { topic: "a/+".into(), ..message(1) };
        for (message, code) in [(message(100), 0x95), (retained, 0x9a), (wild, 0x90)] {
            let refused = session.publish(message, S, &mut out).unwrap();
            assert!(
                matches!(refused, Some(Event::Refused { reason_code, .. }) if reason_code == code)
            );
        }
        assert!(out.is_empty() && session.idle());
    }

    #[test]
    fn a_silent_peer_is_pinged_and_then_left_after_one_and_a_half_keep_alives() {
        let mut session = session(Limits::default());
        let mut out = BytesMut::new();
        assert_eq!(session.deadline(), 5 * S);
        session.tick(5 * S, &mut out).unwrap();
        assert_eq!(&out[..], [0xc0, 0]);
        assert_eq!(session.deadline(), 15 * S);
        session.tick(14 * S, &mut out).unwrap();
        assert_eq!(out.len(), 2, "one ping is enough");
        session.receive(Incoming::PingResp, 14 * S).unwrap();
        assert_eq!(session.deadline(), 19 * S);
        session.tick(19 * S, &mut out).unwrap();
        assert!(matches!(session.tick(29 * S, &mut out), Err(Fault::Silent { .. })));
    }

    #[test]
    fn a_broker_that_pings_but_never_acknowledges_is_left() {
        let mut session = session(Limits::default());
        let mut out = BytesMut::new();
        session.publish(message(1), S, &mut out).unwrap();
        for second in 2..31 {
            session.receive(Incoming::PingResp, second * S).unwrap();
            session.tick(second * S, &mut out).unwrap();
        }
        assert!(matches!(
            session.tick(31 * S, &mut out),
            Err(Fault::Silent { what: "acknowledgement", .. })
        ));
    }

    #[test]
    fn a_refused_subscription_is_tried_again_with_growing_pauses_until_it_is_accepted() {
        let mut session = session(Limits::default());
        let mut out = BytesMut::new();
        let filters = ["a/+", "b"].map(String::from);
        session.subscribe(filters.into(), Qos::AtLeastOnce, Duration::ZERO, &mut out).unwrap();
        out.clear();
        let mut now = S;
        let mut id = session.last_id;
        for (round, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let codes = if round == 0 { vec![0x87, 1] } else { vec![0x80] };
            let told = session.receive(Incoming::SubAck { id, reason_codes: codes }, now).unwrap();
            assert!(
                matches!(&told[..], [Happening { event: Event::Refused { topic, .. }, .. }] if topic == "a/+")
            );
            // The peer lives all the time.
            let mut until = now + pause * S;
            while now + S < until {
                now += S;
                session.receive(Incoming::PingResp, now).unwrap();
                out.clear();
                session.tick(now, &mut out).unwrap();
                assert!(out.is_empty(), "too early: {now:?}, {until:?}");
            }
            std::mem::swap(&mut now, &mut until);
            assert!(session.deadline() <= now);
            session.tick(now, &mut out).unwrap();
            let want = [&[0x82, 9, 0, session.last_id as u8, 0, 0, 3][..], b"a/+\x01"].concat();
            assert_eq!(&out[..], want);
            id = session.last_id;
        }
        let told = session.receive(Incoming::SubAck { id, reason_codes: vec![1] }, now).unwrap();
        assert!(
            matches!(&told[..], [Happening { event: Event::Subscribed { filter }, .. }] if filter == "a/+")
        );
        assert!(session.refused.is_none());
    }

    #[test]
    fn a_subscription_that_is_never_answered_ends_the_connection() {
        let mut session = session(Limits::default());
        let mut out = BytesMut::new();
        session.subscribe(vec!["a".into()], Qos::AtMostOnce, S, &mut out).unwrap();
        assert_eq!(out.last(), Some(&0), "the QoS");
        session.receive(Incoming::PingResp, 30 * S).unwrap();
        session.tick(30 * S, &mut out).unwrap();
        assert_eq!(session.deadline(), 31 * S);
        assert!(matches!(session.tick(31 * S, &mut out), Err(Fault::Silent { .. })));
    }

    #[test]
    fn a_broker_that_answers_but_delivers_nothing_is_left_where_messages_are_expected() {
        let mut session = session(Limits::default());
        let mut out = BytesMut::new();
        session.expect_messages(30 * S, Duration::ZERO);
        let message = message(1);
        session.receive(Incoming::Publish { message, acknowledge: None }, 20 * S).unwrap();
        for second in 21..50 {
            session.receive(Incoming::PingResp, second * S).unwrap();
            session.tick(second * S, &mut out).unwrap();
        }
        assert_eq!(session.deadline(), 50 * S);
        assert!(matches!(
            session.tick(50 * S, &mut out),
            Err(Fault::Silent { what: "message", .. })
        ));
    }

    #[test]
    fn packet_ids_in_use_are_not_given_twice() {
        let mut session = session(Limits::default());
        let mut out = BytesMut::new();
        session.publish(message(1), S, &mut out).unwrap();
        for _ in 0..70_000 {
            let before = session.last_id;
            session.publish(message(1), S, &mut out).unwrap();
            let id = session.last_id;
            assert!(id != 1 && id != 0, "after {before}");
            session.receive(Incoming::PubAck { id, reason_code: 0 }, S).unwrap();
            out.clear();
        }
    }
}
