//! Readings on their way to the journal.
//!
//! Each entry costs a sync and a few pages of flash, so there is one a second at most: of a device
//! that is read alone, one for each poll. What may be an alert does not wait for it: a state that
//! changed, a value that went missing or came back, an event, a gap. What a rule says is not known
//! here, so a number that jumps does not wait for long either.

use std::time::Duration;

use hallwatch_model::vocabulary::Kind;
use hallwatch_model::wire::{MAX_EVENTS, MAX_GAPS, MAX_READINGS};
use hallwatch_model::{Event, Gap, Reading, Readings, Timestamp, Uptime, Value};

/// How soon after the last entry the next one is closed.
const CALM: Duration = Duration::from_secs(1);
/// The same when a number has jumped.
const JUMP: Duration = Duration::from_millis(250);
/// The same when something may be an alert: it bounds what a contact that flutters can cost.
const ALARM: Duration = Duration::from_millis(50);
/// Readings at which an entry is closed early: its message stays below 256 KiB.
const READINGS: usize = MAX_READINGS / 5;
/// Events at which an entry is closed early.
const EVENTS: usize = MAX_EVENTS / 2;
/// Readings that wait for the time to be known; of more the oldest go, and become a gap.
const HELD: usize = 200_000;
/// The cause of that gap.
const CLOCK: &str = "clock";

/// The open entry.
#[derive(Debug)]
pub(super) struct Pending {
    readings: Vec<Reading>,
    events: Vec<Event>,
    gaps: Vec<Gap>,
    since: Option<Uptime>,
    /// When the last entry was closed.
    closed: Uptime,
    urgency: Urgency,
    /// The last reading of each series, by its number.
    latest: Vec<Option<Value>>,
}

/// How long an entry may stay open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    #[default]
    Calm,
    Jump,
    Alarm,
}

impl Urgency {
    /// Of a reading that follows another one. The first of a series says nothing new.
    fn of(kind: Kind, before: Option<Value>, value: Value) -> Self {
        match (before, value) {
            (Some(Ok(before)), Ok(value)) => match kind {
                Kind::State | Kind::Enum if before.to_bits() != value.to_bits() => Self::Alarm,
                // By more than half of the larger one: voltage lost, a generator that starts.
                Kind::Gauge if (value - before).abs() > before.abs().max(value.abs()) / 2.0 => {
                    Self::Jump
                }
                _ => Self::Calm,
            },
            (Some(Ok(_)), Err(_)) | (Some(Err(_)), Ok(_)) => Self::Alarm,
            (Some(Err(before)), Err(now)) if before != now => Self::Alarm,
            _ => Self::Calm,
        }
    }
}

impl Pending {
    /// The first entry, opened now.
    pub(super) fn new(now: Uptime) -> Self {
        Self {
            readings: Vec::new(),
            events: Vec::new(),
            gaps: Vec::new(),
            since: None,
            closed: now,
            urgency: Urgency::default(),
            latest: Vec::new(),
        }
    }

    /// A reading of a series of the kind `kind`.
    pub(super) fn reading(&mut self, reading: Reading, kind: Kind, now: Uptime) {
        self.since.get_or_insert(now);
        if let Ok(index) = usize::try_from(reading.series.0) {
            if self.latest.len() <= index {
                self.latest.resize(index + 1, None);
            }
            if let Some(latest) = self.latest.get_mut(index) {
                let before = latest.replace(reading.value);
                self.urgency = self.urgency.max(Urgency::of(kind, before, reading.value));
            }
        }
        self.readings.push(reading);
    }

    pub(super) fn event(&mut self, event: Event, now: Uptime) {
        self.since.get_or_insert(now);
        self.urgency = Urgency::Alarm;
        self.events.push(event);
    }

    pub(super) fn gap(&mut self, gap: Gap, now: Uptime) {
        self.since.get_or_insert(now);
        self.urgency = Urgency::Alarm;
        self.gaps.push(gap);
    }

    /// When the entry is to be closed.
    pub(super) fn due(&self) -> Option<Uptime> {
        let since = self.since?;
        let full = self.readings.len() >= READINGS || self.events.len() >= EVENTS;
        let wait = match self.urgency {
            Urgency::Calm => CALM,
            Urgency::Jump => JUMP,
            Urgency::Alarm => ALARM,
        };
        Some(if full { since } else { since.max(self.closed + wait) })
    }

    /// Closes the entry; no more than an entry can hold, the rest stays for the next one.
    pub(super) fn take(&mut self, now: Uptime) -> Readings {
        self.closed = now;
        self.urgency = Urgency::default();
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
        // Looked at again when the next one is due.
        self.closed = now;
        self.urgency = Urgency::default();
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
            for time in [&mut gap.first, &mut gap.last] {
                // The epoch is no time, see [`Gap`].
                if *time != Timestamp::default() {
                    shift(time);
                }
            }
        }
    }
}

fn take_up_to<T>(from: &mut Vec<T>, most: usize) -> Vec<T> {
    let rest = from.split_off(from.len().min(most));
    std::mem::replace(from, rest)
}

#[cfg(test)]
mod tests {
    use hallwatch_model::{Missing, SeriesId};

    use super::*;

    fn at(millis: u64) -> Uptime {
        Uptime::new(Duration::from_millis(millis))
    }

    /// After an entry that was closed at 10 s: when the next one is due that has a reading of
    /// 10.1 s, in milliseconds after 10 s.
    fn due(kind: Kind, before: Option<Value>, value: Value) -> u64 {
        let mut pending = Pending::new(at(0));
        let reading = |value| Reading { series: SeriesId(3), time: Timestamp::MIN, value };
        if let Some(before) = before {
            pending.reading(reading(before), kind, at(9_000));
        }
        pending.take(at(10_000));
        pending.reading(reading(value), kind, at(10_100));
        let due = pending.due().unwrap().since(at(10_000));
        due.as_millis().try_into().unwrap()
    }

    #[test]
    fn what_may_be_an_alert_does_not_wait_for_the_second() {
        let gone = Err(Missing::Timeout);
        for (what, kind, before, value, wanted) in [
            ("the first of a series", Kind::State, None, Ok(1.0), 1_000),
            ("a state that holds", Kind::State, Some(Ok(1.0)), Ok(1.0), 1_000),
            ("a state that changed", Kind::State, Some(Ok(1.0)), Ok(0.0), 100),
            ("a mode that changed", Kind::Enum, Some(Ok(0.0)), Ok(1.0), 100),
            ("a number that moves", Kind::Gauge, Some(Ok(230.0)), Ok(231.5), 1_000),
            ("a voltage that is lost", Kind::Gauge, Some(Ok(230.0)), Ok(0.0), 250),
            ("a generator that starts", Kind::Gauge, Some(Ok(0.0)), Ok(1_500.0), 250),
            ("a number that stays zero", Kind::Gauge, Some(Ok(0.0)), Ok(0.0), 1_000),
            ("a counter that starts", Kind::Counter, Some(Ok(0.0)), Ok(9.0), 1_000),
            ("a value that goes missing", Kind::Gauge, Some(Ok(230.0)), gone, 100),
            ("a value that stays missing", Kind::Gauge, Some(gone), gone, 1_000),
            ("another reason", Kind::Gauge, Some(gone), Err(Missing::DeviceOffline), 100),
            ("a value that is back", Kind::Counter, Some(gone), Ok(9.0), 100),
        ] {
            assert_eq!(due(kind, before, value), wanted, "{what}");
        }
    }

    #[test]
    fn a_contact_that_flutters_costs_twenty_entries_a_second_at_most() {
        let mut pending = Pending::new(at(0));
        let mut entries = 0;
        for millis in 0..1_000 {
            let value = Ok(f64::from(u8::from(millis % 2 == 0)));
            let reading = Reading { series: SeriesId(0), time: Timestamp::MIN, value };
            pending.reading(reading, Kind::State, at(millis));
            if pending.due().is_some_and(|due| at(millis) >= due) {
                pending.take(at(millis));
                entries += 1;
            }
        }
        assert!((15..=20).contains(&entries), "{entries}");
    }

    #[test]
    fn a_device_that_is_read_alone_has_an_entry_for_each_poll_and_none_waits() {
        let mut pending = Pending::new(at(0));
        for poll in 1..10 {
            let now = at(poll * 1_000);
            let reading = Reading { series: SeriesId(0), time: Timestamp::MIN, value: Ok(1.0) };
            pending.reading(reading, Kind::Gauge, now);
            assert_eq!(pending.due(), Some(now));
            assert_eq!(pending.take(now).readings.len(), 1);
            assert_eq!(pending.due(), None);
        }
    }
}
