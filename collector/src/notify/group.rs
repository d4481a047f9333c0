//! Alerts of one receiver that are told of together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use super::alert::NotifiedAlert;
use super::dedup::{self, Quiet, Why};

/// What a receiver was told of a group, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Fingerprints of the alerts that fired.
    pub firing: BTreeSet<u64>,
    /// Fingerprints of the alerts that were resolved.
    pub resolved: BTreeSet<u64>,
    /// When.
    pub at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) labels: Labels,
    pub(super) alerts: BTreeMap<u64, NotifiedAlert>,
    pub(super) told: Option<Ledger>,
    /// When it is looked at next.
    pub(super) due: Timestamp,
}

impl Group {
    pub(super) fn new(labels: Labels, due: Timestamp) -> Self {
        Self { labels, alerts: BTreeMap::new(), told: None, due }
    }

    /// Takes an alert in, or what has become of it.
    pub(super) fn put(&mut self, fingerprint: u64, alert: NotifiedAlert) {
        self.alerts.insert(fingerprint, alert);
    }

    /// The alerts to tell of, the firing ones first, and why; and what then was told.
    pub(super) fn flush(
        &mut self,
        send_resolved: bool,
        repeat: Duration,
        now: Timestamp,
    ) -> Result<(Vec<NotifiedAlert>, Why), Quiet> {
        let set = |ended: bool| {
            let of = self.alerts.iter().filter(|(_, alert)| alert.ends_at.is_some() == ended);
            of.map(|(fingerprint, _)| *fingerprint).collect::<BTreeSet<u64>>()
        };
        let (firing, resolved) = (set(false), set(true));
        let news = dedup::news(self.told.as_ref(), &firing, &resolved, send_resolved, repeat, now);
        let outcome = news.map(|why| {
            let wanted = |ended: bool| {
                self.alerts.values().filter(move |alert| alert.ends_at.is_some() == ended)
            };
            let mut alerts: Vec<NotifiedAlert> = wanted(false).cloned().collect();
            if send_resolved {
                alerts.extend(wanted(true).cloned());
            }
            (alerts, why)
        });
        if outcome.is_ok() || matches!(outcome, Err(Quiet::ResolvedUnwanted)) {
            self.told = Some(Ledger { firing, resolved, at: now });
        }
        // Told, or never to be told: what is resolved has no place here any more.
        self.alerts.retain(|_, alert| alert.ends_at.is_none());
        outcome
    }
}
