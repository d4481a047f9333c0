//! Readings on their way to the journal.

use std::time::Duration;

use hallwatch_model::wire::{MAX_EVENTS, MAX_READINGS};
use hallwatch_model::{Event, Reading, Uptime};

/// How long an entry stays open: short, because it is a part of the way from a register to a page.
const OPEN: Duration = Duration::from_millis(250);
/// Readings at which an entry is closed early: its message stays below 256 KiB.
const READINGS: usize = MAX_READINGS / 5;
/// Events at which an entry is closed early.
const EVENTS: usize = MAX_EVENTS / 2;

/// The open entry.
#[derive(Debug, Default)]
pub(super) struct Pending {
    readings: Vec<Reading>,
    events: Vec<Event>,
    since: Option<Uptime>,
}

impl Pending {
    pub(super) fn reading(&mut self, reading: Reading, now: Uptime) {
        self.since.get_or_insert(now);
        self.readings.push(reading);
    }

    pub(super) fn event(&mut self, event: Event, now: Uptime) {
        self.since.get_or_insert(now);
        self.events.push(event);
    }

    /// When the entry is to be closed.
    pub(super) fn due(&self) -> Option<Uptime> {
        let since = self.since?;
        let full = self.readings.len() >= READINGS || self.events.len() >= EVENTS;
        Some(if full { since } else { since + OPEN })
    }

    /// Closes the entry; no more than an entry can hold, the rest stays for the next one.
    pub(super) fn take(&mut self) -> (Vec<Reading>, Vec<Event>) {
        let readings = take_up_to(&mut self.readings, MAX_READINGS / 2);
        let events = take_up_to(&mut self.events, MAX_EVENTS);
        if self.readings.is_empty() && self.events.is_empty() {
            self.since = None;
        }
        (readings, events)
    }
}

fn take_up_to<T>(from: &mut Vec<T>, most: usize) -> Vec<T> {
    let rest = from.split_off(from.len().min(most));
    std::mem::replace(from, rest)
}
