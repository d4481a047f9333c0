//! An alert that fires and is resolved again and again: it is called flapping, keeps firing until it
//! is calm, and says how often it changed.

use hallwatch_model::Timestamp;

use super::rule::Chatter;

/// The most changes that are remembered of an alert.
pub(super) const MAX_CHANGES: usize = 1000;

/// What is remembered of an alert's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// When it fired and was resolved of late, the newest last.
    pub times: Vec<Timestamp>,
    /// While it is flapping.
    pub flapping: Option<Flaps>,
}

/// An alert that is flapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaps {
    /// Since when.
    pub since: Timestamp,
    /// Whether its condition holds.
    pub on: bool,
    /// Since when it has not changed.
    pub calm_since: Timestamp,
}

impl Changes {
    /// Takes note of a change; true when it is flapping from now on.
    pub(super) fn note(&mut self, on: bool, chatter: Option<Chatter>, now: Timestamp) -> bool {
        let Some(chatter) = chatter else {
            *self = Self::default();
            return false;
        };
        if let Some(flaps) = &mut self.flapping {
            if flaps.on == on {
                return false;
            }
            (flaps.on, flaps.calm_since) = (on, now);
        }
        self.expire(chatter, now);
        self.times.push(now);
        if self.times.len() > MAX_CHANGES {
            self.times.remove(0);
        }
        let begins = self.flapping.is_none() && self.times.len() > chatter.changes;
        if begins {
            self.flapping = Some(Flaps { since: now, on, calm_since: now });
        }
        begins
    }

    /// Forgets what was long ago.
    pub(super) fn expire(&mut self, chatter: Chatter, now: Timestamp) {
        self.times.retain(|time| now.since(*time) < chatter.within);
    }

    /// Whether another change would make it flapping.
    pub(super) fn is_full(&self, chatter: Chatter, now: Timestamp) -> bool {
        let recent = self.times.iter().filter(|time| now.since(**time) < chatter.within);
        recent.count() >= chatter.changes
    }

    /// Nothing was known for a while: whether it was calm is not known either.
    pub(super) fn interrupt(&mut self, now: Timestamp) {
        if let Some(flaps) = &mut self.flapping {
            flaps.calm_since = now;
        }
    }

    /// When it is calm if nothing changes; `None` when it is not flapping.
    pub(super) fn calm_at(&self, chatter: Option<Chatter>) -> Option<Timestamp> {
        Some(self.flapping?.calm_since + chatter?.within)
    }

    /// When the next of it is forgotten if nothing changes.
    pub(super) fn forgotten_at(&self, chatter: Option<Chatter>) -> Option<Timestamp> {
        Some(*self.times.first()? + chatter?.within)
    }
}
