//! One alert: inactive, pending, firing, resolved, and held where nothing is known; and its timers.
//! How it changes: `step`.

mod step;

use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use super::flapping::Changes;
use super::rule::Chatter;

/// The states of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertState {
    /// The expression does not hold.
    Inactive,
    /// It holds, but not for long enough.
    Pending,
    /// Someone has to act.
    Firing,
    /// It fired, and does so no longer.
    Resolved,
}

impl AlertState {
    /// As Prometheus spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// An active alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What identifies it, `alertname` included.
    pub labels: Labels,
    /// Texts for people, filled in.
    pub annotations: Vec<(Arc<str>, String)>,
    /// Pending or firing; resolved in the list of what was.
    pub state: AlertState,
    /// The last value of the expression.
    pub value: f64,
    /// Since when the expression holds.
    pub active_at: Timestamp,
    /// Since when it fires.
    pub fired_at: Option<Timestamp>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Since when, and why, nothing is known about it.
    pub held: Option<Held>,
    /// Why it is in its state.
    pub reason: String,
    /// When the expression ceased to hold, while it is kept firing nevertheless.
    pub keep_firing_since: Option<Timestamp>,
    /// For how long the `for` timer stood still.
    pub paused: Duration,
    /// The labels of the expression's result.
    pub result: Labels,
    /// The series that it rested on when the expression last held.
    pub inputs: Vec<Labels>,
    /// What the additional keys of its rule ask to be remembered.
    pub memory: Memory,
}

/// What `clear`, `expect` and flapping need to know of an alert's past.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Since when the expression does not hold and `clear` is waited for.
    pub latched_since: Option<Timestamp>,
    /// What was expected has come: nothing more happens until the expression ceases to hold.
    pub fulfilled: bool,
    /// The series that `expect` rests on.
    pub expected: Vec<Labels>,
    /// When it changed of late.
    pub changes: Changes,
}

/// An alert that cannot change, because nothing is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub cause: Cause,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// These series have no fresh value.
    InputsGone(Vec<Labels>),
    /// The rule could not be evaluated.
    RuleFailed(String),
}

/// What an evaluation found out about an alert.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    /// The expression holds.
    True,
    /// It is taken to hold because these inputs are gone (`no_data: fire`).
    TrueWithoutData(usize),
    /// What was expected in time has not come, and nothing more is known of what called for it.
    Overdue(Cause),
    /// It does not hold, and so many inputs are there to prove it.
    False { inputs: usize },
    /// It does not hold, but neither does `clear`.
    Uncleared { inputs: usize },
    /// What was expected has come.
    Fulfilled,
    /// It does not hold, its inputs are gone, and that shall do (`no_data: resolve`).
    FalseWithoutData,
    /// Nothing is known.
    Unknown(Cause),
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) hold: Duration,
    pub(super) keep_firing: Duration,
    /// `within`, of a sequence.
    pub(super) within: Option<Duration>,
    /// Beyond this it is flapping.
    pub(super) chatter: Option<Chatter>,
}

/// Why an alert changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The expression began to hold, with this value.
    Began(f64),
    /// It has held for long enough.
    HeldFor(Duration),
    /// It is taken to hold because this many inputs are gone.
    NoDataFires(usize),
    /// It holds no longer; so many inputs prove it.
    Ended {
        /// How many.
        inputs: usize,
        /// For how long it was kept firing after that.
        kept: Duration,
    },
    /// It holds no longer, and the rule does not ask for evidence.
    NoDataResolves,
    /// Nothing is known any more: the state stays.
    Held(Cause),
    /// Something is known again, after this time.
    Known(Duration),
    /// What was expected has not come in this time.
    NotFulfilled(Duration),
    /// What was expected has come.
    Fulfilled,
    /// The expression holds no longer, but `clear` does not hold yet.
    WaitsForClear,
    /// It comes and goes: it changed so often in this time, and keeps firing until it is calm.
    Flapping {
        /// How often.
        changes: usize,
        /// In which time.
        within: Duration,
    },
    /// It has not changed for this long: it is flapping no more.
    Calm(Duration),
    /// The rule is not there any more.
    RuleRemoved,
}

/// From where to where, and why. Both are the same when an alert is held or no longer held.
pub(super) type Change = (AlertState, AlertState, Reason);

impl Alert {
    /// How long it waits before it fires.
    fn delay(&self, timing: Timing) -> Duration {
        timing.within.unwrap_or(timing.hold)
    }

    /// For how long the expression is known to have held. What is expected in time is late however
    /// little was known meanwhile.
    fn held_for(&self, timing: Timing, now: Timestamp) -> Duration {
        let whole = now.since(self.active_at);
        if timing.within.is_some() { whole } else { whole.saturating_sub(self.paused) }
    }

    /// Whether the time for what is expected is over.
    pub(super) fn is_overdue(&self, timing: Timing, now: Timestamp) -> bool {
        timing.within.is_some_and(|within| now.since(self.active_at) >= within)
    }

    /// When a timer of it runs out, if nothing else happens. `now` bounds what waits for knowledge.
    pub(super) fn due(&self, timing: Timing, now: Timestamp) -> Option<Timestamp> {
        let changes = &self.memory.changes;
        match self.state {
            AlertState::Pending => match timing.within {
                // Held or not: it is evaluated when the time is over, and after that on news.
                Some(within) => Some(self.active_at + within).filter(|at| *at > now),
                None => (self.held.is_none()).then(|| self.active_at + timing.hold + self.paused),
            },
            AlertState::Firing if self.held.is_some() => None,
            AlertState::Firing => {
                let kept = self.keep_firing_since.map(|since| since + timing.keep_firing);
                match (kept, changes.calm_at(timing.chatter)) {
                    (Some(kept), Some(calm)) => Some(kept.max(calm)),
                    (kept, calm) => kept.or(calm),
                }
            }
            AlertState::Inactive | AlertState::Resolved => {
                changes.forgotten_at(timing.chatter).filter(|_| !self.memory.fulfilled)
            }
        }
    }

    /// What must be written down when it changes, though the state stays.
    pub(super) fn timers(&self) -> impl PartialEq + use<> {
        let Memory { latched_since, changes, .. } = &self.memory;
        (self.keep_firing_since, *latched_since, changes.flapping, changes.times.last().copied())
    }

    /// Whether it is pending or firing; all others see no other alerts.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.state, AlertState::Pending | AlertState::Firing)
    }

    /// Whether something is to be remembered of an alert that is over; then it is dormant.
    pub(super) fn rest(&mut self, timing: Timing, now: Timestamp) -> bool {
        match timing.chatter {
            Some(chatter) => self.memory.changes.expire(chatter, now),
            None => self.memory.changes = Changes::default(),
        }
        self.state = AlertState::Inactive;
        self.memory.fulfilled || !self.memory.changes.times.is_empty()
    }

    /// How often it changed, while it is flapping.
    #[must_use]
    pub fn flapping(&self) -> Option<usize> {
        self.memory.changes.flapping.map(|_| self.memory.changes.times.len())
    }
}
