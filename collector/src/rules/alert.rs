//! One alert and how it changes: inactive, pending, firing, resolved, and held where nothing is
//! known.

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
    /// Pending => Firing, Pending => Inactive, Firing => Resolved; or held, and no longer held.
    pub(super) fn step(&mut self, seen: Seen, timing: Timing, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        let reason = match seen {
            Seen::Unknown(cause) => {
                self.hold(cause, now, &mut changes);
                return changes;
            }
            Seen::Overdue(cause) => {
                self.hold(cause, now, &mut changes);
                self.fire(None, timing, now, &mut changes);
                return changes;
            }
            Seen::True | Seen::TrueWithoutData(_) => {
                self.known(now, &mut changes);
                let without = match seen {
                    Seen::TrueWithoutData(inputs) => Some(Reason::NoDataFires(inputs)),
                    _ => None,
                };
                self.fire(without, timing, now, &mut changes);
                return changes;
            }
            Seen::Uncleared { .. } if self.state == AlertState::Firing => {
                self.known(now, &mut changes);
                self.keep_firing_since = None;
                if self.memory.latched_since.is_none() {
                    self.memory.latched_since = Some(now);
                    self.remark(Reason::WaitsForClear, &mut changes);
                }
                self.settle(true, timing, now, &mut changes);
                return changes;
            }
            Seen::False { inputs } | Seen::Uncleared { inputs } => {
                Reason::Ended { inputs, kept: Duration::ZERO }
            }
            Seen::Fulfilled => Reason::Fulfilled,
            Seen::FalseWithoutData => Reason::NoDataResolves,
        };
        self.known(now, &mut changes);
        self.cease(reason, timing, now, &mut changes);
        changes
    }

    /// The expression holds, or what was expected has not come.
    fn fire(
        &mut self,
        without_data: Option<Reason>,
        timing: Timing,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        self.keep_firing_since = None;
        self.memory.latched_since = None;
        match self.state {
            AlertState::Pending if self.held_for(timing, now) >= self.delay(timing) => {
                let reason = match (without_data, timing.within) {
                    (Some(reason), _) => reason,
                    (None, Some(within)) => Reason::NotFulfilled(within),
                    (None, None) => Reason::HeldFor(timing.hold),
                };
                self.enter(AlertState::Firing, reason, now, changes);
                self.changed(true, timing, now, changes);
            }
            AlertState::Firing => self.settle(true, timing, now, changes),
            _ => {}
        }
    }

    /// The expression holds no longer, or what was expected has come.
    fn cease(
        &mut self,
        mut reason: Reason,
        timing: Timing,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        self.memory.latched_since = None;
        if self.state != AlertState::Firing {
            self.enter(AlertState::Inactive, reason, now, changes);
            return;
        }
        self.settle(false, timing, now, changes);
        if !timing.keep_firing.is_zero() {
            let since = *self.keep_firing_since.get_or_insert(now);
            let spent = now.since(since);
            if spent < timing.keep_firing {
                return;
            }
            if let Reason::Ended { kept, .. } = &mut reason {
                *kept = spent;
            }
        }
        if self.memory.changes.flapping.is_some() {
            return;
        }
        if let Some(chatter) = timing.chatter
            && self.memory.changes.is_full(chatter, now)
        {
            // Resolving it would be one change too many.
            self.changed(false, timing, now, changes);
            return;
        }
        self.changed(false, timing, now, changes);
        self.enter(AlertState::Resolved, reason, now, changes);
    }

    /// Takes note of a change, which may be one too many.
    fn changed(&mut self, on: bool, timing: Timing, now: Timestamp, changes: &mut Vec<Change>) {
        let known = &mut self.memory.changes;
        if let (true, Some(chatter)) = (known.note(on, timing.chatter, now), timing.chatter) {
            let reason = Reason::Flapping { changes: known.times.len(), within: chatter.within };
            self.remark(reason, changes);
        }
    }

    /// While it is flapping: whether it is calm again.
    fn settle(&mut self, on: bool, timing: Timing, now: Timestamp, changes: &mut Vec<Change>) {
        if self.memory.changes.flapping.is_none() {
            return;
        }
        self.changed(on, timing, now, changes);
        let known = &mut self.memory.changes;
        if let Some(chatter) = timing.chatter
            && known.calm_at(timing.chatter).is_some_and(|calm| calm <= now)
        {
            known.flapping = None;
            known.expire(chatter, now);
            self.remark(Reason::Calm(chatter.within), changes);
        }
    }

    /// Something is known again.
    fn known(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        if let Some(held) = self.held.take() {
            let stood = now.since(held.since);
            self.paused = self.paused.saturating_add(stood);
            self.memory.changes.interrupt(now);
            changes.push((self.state, self.state, Reason::Known(stood)));
        }
    }

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

    fn hold(&mut self, cause: Cause, now: Timestamp, changes: &mut Vec<Change>) {
        self.keep_firing_since = None;
        match &mut self.held {
            Some(held) => held.cause = cause,
            None => {
                changes.push((self.state, self.state, Reason::Held(cause.clone())));
                self.held = Some(Held { since: now, cause });
            }
        }
    }

    /// Says something of a state that stays.
    fn remark(&mut self, reason: Reason, changes: &mut Vec<Change>) {
        self.reason = reason.to_string();
        changes.push((self.state, self.state, reason));
    }

    /// Ends it, whatever is known.
    pub(super) fn end(&mut self, reason: Reason, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        if !self.is_active() {
            return changes;
        }
        self.held = None;
        let to = match self.state {
            AlertState::Firing => AlertState::Resolved,
            _ => AlertState::Inactive,
        };
        self.enter(to, reason, now, &mut changes);
        changes
    }

    fn enter(&mut self, to: AlertState, reason: Reason, now: Timestamp, changes: &mut Vec<Change>) {
        let from = std::mem::replace(&mut self.state, to);
        match to {
            AlertState::Firing => self.fired_at = Some(now),
            AlertState::Resolved => self.resolved_at = Some(now),
            AlertState::Inactive | AlertState::Pending => {}
        }
        self.reason = reason.to_string();
        changes.push((from, to, reason));
    }
}
