//! Readings on their way to the journal.

use std::time::Duration;

use hallwatch_model::wire::{MAX_EVENTS, MAX_GAPS, MAX_READINGS};
use hallwatch_model::{Event, Gap, Reading, Readings, Timestamp, Uptime};

/// How long an entry stays open: short, because it is a part of the way from a register to a page.
const OPEN: Duration = Duration::from_millis(250);
/// Readings at which an entry is closed early: its message stays below 256 KiB.
const READINGS: usize = MAX_READINGS / 5;
/// Events at which an entry is closed early.
const EVENTS: usize = MAX_EVENTS / 2;
/// Readings that wait for the time to be known; of more the oldest go, and become a gap.
const HELD: usize = 200_000;
/// The cause of that gap.
const CLOCK: &str = "clock";

/// The open entry.
#[derive(Debug, Default)]
pub(super) struct Pending {
    readings: Vec<Reading>,
    events: Vec<Event>,
    gaps: Vec<Gap>,
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

    pub(super) fn gap(&mut self, gap: Gap, now: Uptime) {
        self.since.get_or_insert(now);
        self.gaps.push(gap);
    }

    /// When the entry is to be closed.
    pub(super) fn due(&self) -> Option<Uptime> {
        let since = self.since?;
        let full = self.readings.len() >= READINGS || self.events.len() >= EVENTS;
        Some(if full { since } else { since + OPEN })
    }

    /// Closes the entry; no more than an entry can hold, the rest stays for the next one.
    pub(super) fn take(&mut self) -> Readings {
        let readings = take_up_to(&mut self.readings, MAX_READINGS / 2);
        let events = take_up_to(&mut self.events, MAX_EVENTS);
        let gaps = take_up_to(&mut self.gaps, MAX_GAPS);
        if self.readings.is_empty() && self.events.is_empty() && self.gaps.is_empty() {
            self.since = None;
        }
        Readings { dictionary: 0, readings, events, gaps }
    }

    /// The time is not known: the entry stays open, within bounds.
    pub(super) fn hold(&mut self, now: Uptime) {
        self.since = Some(now);
        let excess = self.readings.len().saturating_sub(HELD);
        let lost: Vec<Reading> = self.readings.drain(..excess).collect();
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            let readings = u64::try_from(lost.len()).unwrap_or(u64::MAX);
            match self.gaps.iter_mut().find(|gap| gap.cause == CLOCK) {
                Some(gap) => {
                    gap.last = gap.last.max(last.time);
                    gap.readings = gap.readings.saturating_add(readings);
                }
                None => self.gaps.push(Gap {
                    first: first.time,
                    last: last.time.max(first.time),
                    cause: CLOCK.to_owned(),
                    readings,
                    ..Gap::default()
                }),
            }
        }
        let excess = self.events.len().saturating_sub(HELD);
        self.events.drain(..excess);
    }

    /// All times move.
    pub(super) fn shift(&mut self, millis: i64) {
        let shift = |time: &mut Timestamp| {
            *time = Timestamp::from_millis(time.as_millis().saturating_add(millis));
        };
        self.readings.iter_mut().for_each(|reading| shift(&mut reading.time));
        self.events.iter_mut().for_each(|event| shift(&mut event.time));
        for gap in &mut self.gaps {
            shift(&mut gap.first);
            shift(&mut gap.last);
        }
    }
}

fn take_up_to<T>(from: &mut Vec<T>, most: usize) -> Vec<T> {
    let rest = from.split_off(from.len().min(most));
    std::mem::replace(from, rest)
}
