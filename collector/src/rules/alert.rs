//! One alert and how it changes: inactive, pending, firing, resolved, and held where nothing is
//! known.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use super::duration;

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
    /// It does not hold, and so many inputs are there to prove it.
    False { inputs: usize },
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
    /// The rule is not there any more.
    RuleRemoved,
}

/// From where to where, and why. Both are the same when an alert is held or no longer held.
pub(super) type Change = (AlertState, AlertState, Reason);

impl Alert {
    /// Pending => Firing, Pending => Inactive, Firing => Resolved; or held, and no longer held.
    pub(super) fn step(&mut self, seen: Seen, timing: Timing, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        let known = match seen {
            Seen::Unknown(cause) => {
                self.hold(cause, now, &mut changes);
                return changes;
            }
            known => known,
        };
        if let Some(held) = self.held.take() {
            let stood = now.since(held.since);
            self.paused = self.paused.saturating_add(stood);
            changes.push((self.state, self.state, Reason::Known(stood)));
        }
        match known {
            Seen::True | Seen::TrueWithoutData(_) => {
                self.keep_firing_since = None;
                if self.state == AlertState::Pending {
                    let reason = match known {
                        Seen::TrueWithoutData(inputs) => Reason::NoDataFires(inputs),
                        _ => Reason::HeldFor(timing.hold),
                    };
                    if self.held_for(now) >= timing.hold {
                        self.enter(AlertState::Firing, reason, now, &mut changes);
                    }
                }
            }
            Seen::False { .. } | Seen::FalseWithoutData | Seen::Unknown(_) => {
                let mut kept = Duration::ZERO;
                if self.state == AlertState::Firing && !timing.keep_firing.is_zero() {
                    let since = *self.keep_firing_since.get_or_insert(now);
                    kept = now.since(since);
                    if kept < timing.keep_firing {
                        return changes;
                    }
                }
                let reason = match known {
                    Seen::False { inputs } => Reason::Ended { inputs, kept },
                    _ => Reason::NoDataResolves,
                };
                let to = match self.state {
                    AlertState::Firing => AlertState::Resolved,
                    _ => AlertState::Inactive,
                };
                self.enter(to, reason, now, &mut changes);
            }
        }
        changes
    }

    /// For how long the expression is known to have held.
    fn held_for(&self, now: Timestamp) -> Duration {
        now.since(self.active_at).saturating_sub(self.paused)
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

    /// Ends it, whatever is known.
    pub(super) fn end(&mut self, reason: Reason, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began(value) => {
                write!(f, "the expression began to hold, its value is {value}")
            }
            Self::HeldFor(hold) if hold.is_zero() => f.write_str("the expression holds"),
            Self::HeldFor(hold) => {
                write!(f, "the expression has held for {}", duration::format(*hold))
            }
            Self::NoDataFires(1) => {
                f.write_str("an input is gone, and the rule fires without data")
            }
            Self::NoDataFires(inputs) => {
                write!(f, "{inputs} inputs are gone, and the rule fires without data")
            }
            Self::Ended { inputs, kept } => {
                let noun = if *inputs == 1 { "input proves" } else { "inputs prove" };
                write!(f, "the expression holds no longer, {inputs} {noun} it")?;
                if kept.is_zero() {
                    return Ok(());
                }
                write!(f, ", kept firing for {} after it", duration::format(*kept))
            }
            Self::NoDataResolves => {
                f.write_str("the expression holds no longer, and the rule asks for no evidence")
            }
            Self::Held(cause) => write!(f, "held: {cause}"),
            Self::Known(stood) => {
                write!(f, "no longer held, after {}", duration::format(*stood))
            }
            Self::RuleRemoved => f.write_str("the rule was removed"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputsGone(inputs) => {
                f.write_str("no fresh value of ")?;
                for (i, input) in inputs.iter().take(3).enumerate() {
                    write!(f, "{}{input}", if i == 0 { "" } else { ", " })?;
                }
                match inputs.len().saturating_sub(3) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::RuleFailed(error) => write!(f, "the rule cannot be evaluated: {error}"),
        }
    }
}
