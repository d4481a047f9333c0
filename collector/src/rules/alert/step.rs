//! How an alert changes by what is seen of it.

use std::time::Duration;

use hallwatch_model::Timestamp;

use super::{Alert, AlertState, Cause, Change, Held, Reason, Seen, Timing};

impl Alert {
    /// Pending => Firing, Pending => Inactive, Firing => Resolved; or held, and no longer held.
    pub(in crate::rules) fn step(
        &mut self,
        seen: Seen,
        timing: Timing,
        now: Timestamp,
    ) -> Vec<Change> {
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
    pub(in crate::rules) fn end(&mut self, reason: Reason, now: Timestamp) -> Vec<Change> {
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
