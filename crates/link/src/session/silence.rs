//! What silence means: when to ping, when to ask again, when to give the peer up.

use std::time::Duration;

use bytes::BytesMut;

use super::{Fault, Session};
use crate::codec;

impl Session {
    /// The peer lives.
    pub(super) fn heard(&mut self, now: Duration) {
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

    /// Pings a silent peer, gives up a dead one, and asks again for what was refused. Whoever sends
    /// nothing hears nothing either, so the ping after half a keep-alive of silence also keeps the
    /// broker content.
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
