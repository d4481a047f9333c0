//! Subscribing, once for a connection, and again for what the broker refuses for now.

use std::time::Duration;

use bytes::BytesMut;

use super::{Fault, Happening, Session};
use crate::codec;
use crate::event::Event;
use crate::options::Qos;

/// The pause before a refused subscription is tried again; it doubles up to [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause before a refused subscription is tried again.
const LAST_RETRY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Subscribing {
    pub(super) id: u16,
    filters: Vec<String>,
    pub(super) sent: Duration,
    /// The pause that went before; none the first time.
    pause: Option<Duration>,
}

/// Filters that the broker does not accept, for now. A cluster that is electing a leader refuses,
/// and without another try this connection would stay deaf while everything else looks well.
#[derive(Debug)]
pub(super) struct RefusedFilters {
    pub(super) filters: Vec<String>,
    pub(super) pause: Duration,
    pub(super) again: Duration,
}

impl Session {
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

    pub(super) fn ask(
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
    pub(super) fn subscribed(
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
}
