//! Polled devices: when to ask, and what an answer or its absence says. Pure.

mod deadlines;
mod explore;
mod health;
mod lag;
mod queue;
mod reads;
mod slot;

use std::sync::Arc;
use std::time::Duration;

use hallwatch_modbus::Data;
use hallwatch_model::{Missing, Timestamp, Uptime};

use crate::profile::Profile;

pub use deadlines::Deadlines;
pub use explore::{Explorer, Known, Outcome};
pub use health::Health;
pub use lag::{Lag, Missed};
pub use queue::{Cost, Ended, Patience, Queue, Turn};
pub use reads::{Changes, Reads};
pub use slot::Slots;

/// What is told of a device that is offline, and what counts, is told again after this.
pub const REPEAT: Duration = Duration::from_secs(30);

/// Reasons of failed reads that are counted.
pub const REASONS: [Missing; 4] =
    [Missing::Timeout, Missing::Exception(0), Missing::Malformed, Missing::DeviceOffline];

/// A device is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which, by its index.
    pub device: usize,
    /// When it is to be asked again.
    pub next: Uptime,
}

/// The answers of one poll, in the order of the profile's reads.
#[derive(Clone, Debug)]
pub struct Polled {
    /// Which device, by its index.
    pub device: usize,
    /// The profile as it was placed in the device for this poll.
    pub profile: Arc<Profile>,
    /// What came.
    pub answers: Vec<Result<Data, Missing>>,
    /// The places of those that were not asked for, because they are put aside ([`Reads`]).
    pub aside: Vec<usize>,
    /// When the last answer had come.
    pub time: Timestamp,
    /// How long it took.
    pub took: Duration,
}

/// What is to be told of a device's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// The answers, whatever is in them.
    Answers,
    /// That all points are missing because the device is offline.
    Offline,
    /// Nothing new.
    Nothing,
}

/// A polled device over time.
#[derive(Debug)]
pub struct PollState {
    slots: Slots,
    interval: Duration,
    next: Uptime,
    /// The last turn that was taken or skipped.
    turn: Uptime,
    busy: bool,
    health: Health,
    retry_at: Uptime,
    repeat_at: Uptime,
    /// Turns that were skipped because the poll before was not over; none while the device is
    /// offline, when it is to wait.
    pub missed: u64,
    /// Failed reads by [`REASONS`].
    pub errors: [u64; REASONS.len()],
}

impl PollState {
    /// The device called `name`, to be asked every `interval`.
    #[must_use]
    pub fn new(name: &str, interval: Duration, now: Uptime) -> Self {
        let slots = Slots::new(name, interval);
        let (next, _) = slots.after(now, now);
        // The first poll does not wait for its turn: a site engineer looks at it.
        Self {
            slots,
            interval,
            next: now.min(next),
            turn: now,
            busy: false,
            health: Health::default(),
            retry_at: Uptime::ZERO,
            repeat_at: now,
            missed: 0,
            errors: [0; REASONS.len()],
        }
    }

    /// When [`Self::due`] or [`Self::repeat`] is worth asking again; later than the moment at which
    /// both were asked last.
    #[must_use]
    pub fn wake(&self) -> Uptime {
        self.next.min(self.repeat_at)
    }

    /// When [`Self::due`] is worth asking again.
    #[must_use]
    pub fn deadline(&self) -> Uptime {
        self.next
    }

    /// The last turn that was taken or skipped.
    #[must_use]
    pub fn turn(&self) -> Uptime {
        self.turn
    }

    /// How the device is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// Whether to ask now; the next turn is [`Self::deadline`] then. Turns that passed meanwhile are
    /// skipped; those that passed because the device was still busy are counted.
    pub fn due(&mut self, now: Uptime) -> bool {
        if now < self.next {
            return false;
        }
        let (next, passed) = self.slots.after(self.turn, now);
        self.turn = now;
        self.next = next;
        if self.busy {
            if !self.health.is_offline() {
                self.missed = self.missed.saturating_add(passed.max(1));
            }
            return false;
        }
        if now < self.retry_at {
            return false;
        }
        self.missed = self.missed.saturating_add(passed.saturating_sub(1));
        self.busy = true;
        true
    }

    /// A poll that was due could not be started: its turn is missed.
    pub fn skipped(&mut self) {
        self.busy = false;
        self.missed = self.missed.saturating_add(1);
    }

    /// A poll is over in which all reads were asked for but those at the places `aside`.
    pub fn finished(
        &mut self,
        answers: &[Result<Data, Missing>],
        aside: &[usize],
        now: Uptime,
    ) -> Tell {
        self.busy = false;
        // Nothing was asked, so nothing is known of it.
        if answers.is_empty() {
            return Tell::Nothing;
        }
        let asked = answers.iter().enumerate().filter(|(at, _)| !aside.contains(at));
        for missing in asked.filter_map(|(_, answer)| answer.as_ref().err()) {
            let same = |reason: &Missing| reason.word() == missing.word();
            let counter = REASONS.iter().position(same).and_then(|at| self.errors.get_mut(at));
            if let Some(counter) = counter {
                *counter = counter.saturating_add(1);
            }
        }
        let answered = answers.iter().any(is_answer);
        let before = self.health;
        if answered {
            self.health = before.answered();
            return Tell::Answers;
        }
        self.health = before.failed();
        self.retry_at = now + self.health.pause(self.interval);
        match (before.is_offline(), self.health.is_offline()) {
            (_, false) => Tell::Answers,
            (false, true) => {
                self.repeat_at = now + REPEAT;
                Tell::Offline
            }
            (true, true) => Tell::Nothing,
        }
    }

    /// Whether it is time to tell again what holds.
    pub fn repeat(&mut self, now: Uptime) -> bool {
        if now < self.repeat_at {
            return false;
        }
        self.repeat_at = now + REPEAT;
        true
    }
}

/// Whether a device is there. An exception is an answer, but for those by which a gateway says that
/// it has none; and what is not available is so of a device that answers.
pub(crate) const fn is_answer(answer: &Result<Data, Missing>) -> bool {
    match answer {
        Ok(_) | Err(Missing::NotAvailable) => true,
        Err(Missing::Exception(code)) => !is_gateways(*code),
        Err(_) => false,
    }
}

/// Whether a gateway says by this exception that the device does not answer it.
pub(crate) const fn is_gateways(code: u8) -> bool {
    matches!(code, 0x0a | 0x0b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Uptime {
        Uptime::new(Duration::from_millis(millis))
    }

    #[test]
    fn a_busy_device_is_not_asked_twice_and_its_turns_are_counted() {
        let mut state = PollState::new("pdu-1", S, at(0));
        assert!(state.due(at(0)));
        for millis in (0..5_000).step_by(10) {
            assert!(!state.due(at(millis)));
        }
        assert_eq!(state.missed, 5);
        state.finished(&[Ok(Data::Registers([1].into()))], &[], at(5_000));
        let polls = (5_000..15_000).step_by(10).filter(|millis| {
            let due = state.due(at(*millis));
            if due {
                state.finished(&[Err(Missing::Exception(2))], &[], at(*millis));
            }
            due
        });
        assert_eq!(polls.count(), 10);
        assert_eq!((state.missed, state.errors), (5, [0, 10, 0, 0]));
        let partly = [Ok(Data::Registers([1].into())), Err(Missing::Timeout)];
        state.finished(&partly, &[1], at(60_000));
        assert_eq!(state.errors, [0, 10, 0, 0], "what is not asked for does not fail");
        state.finished(&partly, &[], at(60_000));
        assert_eq!(state.errors.iter().sum::<u64>(), 11);
        assert_eq!(state.health(), Health::Online);
    }

    #[test]
    fn what_is_looked_at_when_it_wakes_needs_no_look_in_between() {
        let looks = |every_moment: bool| {
            let mut state = PollState::new("pdu-1", 45 * S, at(0));
            let (mut due, mut repeats) = (Vec::new(), Vec::new());
            for millis in (0..300_000).step_by(10) {
                if !every_moment && at(millis) < state.wake() {
                    continue;
                }
                if state.due(at(millis)) {
                    due.push(millis);
                    state.finished(&[Err(Missing::Timeout)], &[], at(millis));
                }
                if state.repeat(at(millis)) {
                    repeats.push(millis);
                }
                assert!(state.wake() > at(millis));
            }
            (due, repeats)
        };
        let (due, repeats) = looks(false);
        assert!(due.len() > 3 && repeats.len() > 8, "{due:?} {repeats:?}");
        assert_eq!((due, repeats), looks(true));
    }

    #[test]
    fn a_silent_device_is_told_offline_once_and_asked_more_and_more_seldom() {
        let mut state = PollState::new("pdu-1", S, at(0));
        let mut tells = Vec::new();
        for millis in (0..60_000).step_by(10) {
            if state.due(at(millis)) {
                tells.push(state.finished(&[Err(Missing::Timeout)], &[], at(millis)));
            }
        }
        assert_eq!(tells[..4], [Tell::Answers, Tell::Answers, Tell::Offline, Tell::Nothing]);
        assert!(tells.len() < 10, "{}", tells.len());
        assert_eq!(state.missed, 0, "leaving it alone is not missing a turn");
        let answer = [Ok(Data::Registers([1].into()))];
        assert_eq!(state.finished(&answer, &[], at(61_000)), Tell::Answers);
        assert_eq!(state.health(), Health::Online);
    }
}
