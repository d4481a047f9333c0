//! One that shares a line: how it is, what it costs, when its turns are.

use std::time::Duration;

use hallwatch_model::Uptime;

use super::{Cost, Health};

#[derive(Debug)]
pub(super) struct Unit {
    pub(super) interval: Duration,
    /// The turn after the one that it waits for or had.
    pub(super) next: Option<Uptime>,
    pub(super) cost: Cost,
    /// None when nothing is known.
    pub(super) health: Option<Health>,
    /// As in [`Ended::Silence`], of the last poll.
    pub(super) late: Option<Duration>,
    pub(super) chance: Chance,
}

/// A device that is heard too late is asked once more as one that is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Chance {
    #[default]
    Open,
    Given,
    /// Not again before it answers.
    Taken,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Answers,
    Unknown,
    Silent,
}

impl Unit {
    pub(super) fn class(&self) -> Class {
        match self.health {
            Some(Health::Online) => Class::Answers,
            None => Class::Unknown,
            Some(_) if self.chance == Chance::Given => Class::Unknown,
            Some(_) => Class::Silent,
        }
    }

    /// The least and the longest wait to be planned for when it is silent.
    pub(super) fn waits(&self) -> (Duration, Duration) {
        match self.late {
            Some(_) => (self.cost.longest, self.cost.longest),
            None => (self.cost.least, self.cost.usual),
        }
    }

    /// What comes between the wait and the quiet time.
    pub(super) fn late(&self) -> Duration {
        self.late.unwrap_or_default()
    }

    /// The least that it costs when it stays silent.
    pub(super) fn total(&self) -> Duration {
        self.waits().0 + self.late() + self.cost.quiet
    }

    /// Its next turn: one that is past by less than the interval is about to come, one that is past
    /// by more was skipped.
    pub(super) fn due(&self, now: Uptime) -> Option<Uptime> {
        let next = self.next?;
        let past = now.since(next);
        if past < self.interval { Some(next) } else { Some(self.after(next, now)) }
    }

    /// The first turn after `now`; `next` is one.
    pub(super) fn after(&self, next: Uptime, now: Uptime) -> Uptime {
        if next > now {
            return next;
        }
        let interval = self.interval.max(Duration::from_millis(1));
        let turns = now.since(next).as_nanos() / interval.as_nanos() + 1;
        next + interval.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
    }
}

/// How long a silent device may be waited for when `after` has to fit as well.
pub(super) fn fitting(unit: &Unit, spare: Option<Duration>, after: Duration) -> Option<Duration> {
    let (least, usual) = unit.waits();
    let wait = spare.map_or(usual, |spare| spare.saturating_sub(after).min(usual));
    (wait >= least).then_some(wait)
}
