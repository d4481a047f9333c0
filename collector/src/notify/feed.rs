//! What is told to someone who groups, repeats and tells once himself, as Alertmanager does: every
//! alert that fires, and for a while those that were resolved.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use super::alert::NotifiedAlert;
use super::alertmanager::RESOLVED_FOR;
use super::delivery::GIVE_UP;
use super::fingerprint::fingerprint;
use super::route::SavedGroup;

/// How long a resolved alert is kept: as long as it is told of, after the longest time that the
/// news of it may be on its way.
const KEPT: Duration = RESOLVED_FOR.saturating_add(GIVE_UP);

/// The alerts of one receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Feed {
    alerts: BTreeMap<u64, NotifiedAlert>,
}

impl Feed {
    /// Goes on with what was saved for `receiver`. One that is new is told what fires, as far as
    /// others were told of it.
    pub(super) fn restore(receiver: &str, saved: &[SavedGroup]) -> Self {
        let is_own = |group: &&SavedGroup| group.receiver == receiver && group.labels.is_empty();
        let own = saved.iter().find(is_own);
        let others = saved.iter().filter(|_| own.is_none()).flat_map(|group| &group.alerts);
        let others = others.filter(|alert| alert.ends_at.is_none());
        let mut feed = Self::default();
        for alert in own.into_iter().flat_map(|group| &group.alerts).chain(others) {
            feed.put(alert.clone());
        }
        feed
    }

    /// Takes an alert in, or what has become of it.
    pub(super) fn put(&mut self, alert: NotifiedAlert) {
        self.alerts.insert(fingerprint(&alert.labels), alert);
    }

    /// Forgets what was resolved long ago. True when there was any.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.alerts.len();
        self.alerts.retain(|_, alert| alert.ends_at.is_none_or(|end| now.since(end) < KEPT));
        self.alerts.len() != before
    }

    /// As it survives a restart; `None` when there is nothing.
    pub(super) fn save(&self, receiver: &str) -> Option<SavedGroup> {
        (!self.alerts.is_empty()).then(|| SavedGroup {
            receiver: receiver.to_owned(),
            labels: Labels::empty(),
            alerts: self.alerts.values().cloned().collect(),
            told: None,
            due: Timestamp::MIN,
        })
    }
}
