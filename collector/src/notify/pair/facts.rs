//! What a notification says, in short.

use std::collections::BTreeMap;

use hallwatch_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::notify::dedup::Why;
use crate::notify::fingerprint::fingerprint;
use crate::notify::route::Notification;

/// What a notification says, in short: alerts by fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Those that fire, since when.
    pub firing: BTreeMap<u64, Timestamp>,
    /// Those that were resolved, when.
    pub resolved: BTreeMap<u64, Timestamp>,
    /// A reminder: what was told before this does not count.
    pub reminds_after: Option<Timestamp>,
}

impl From<&Notification> for Facts {
    fn from(notification: &Notification) -> Self {
        let mut facts = Self::default();
        for alert in &notification.alerts {
            let fingerprint = fingerprint(&alert.labels);
            match alert.ends_at {
                None => facts.firing.insert(fingerprint, alert.starts_at),
                Some(at) => facts.resolved.insert(fingerprint, at),
            };
        }
        if let Why::Repeat(since) = notification.why {
            // Whoever reminded less than half the time ago has reminded.
            facts.reminds_after = Some(notification.at - since / 2);
        }
        facts
    }
}

/// [`Facts`] as they are kept on disk.
#[derive(Serialize, Deserialize)]
pub(crate) struct FactsRow {
    firing: BTreeMap<u64, i64>,
    resolved: BTreeMap<u64, i64>,
    reminds_after: Option<i64>,
}

impl From<&Facts> for FactsRow {
    fn from(facts: &Facts) -> Self {
        let millis = |times: &BTreeMap<u64, Timestamp>| {
            times.iter().map(|(fingerprint, at)| (*fingerprint, at.as_millis())).collect()
        };
        Self {
            firing: millis(&facts.firing),
            resolved: millis(&facts.resolved),
            reminds_after: facts.reminds_after.map(Timestamp::as_millis),
        }
    }
}

impl From<FactsRow> for Facts {
    fn from(row: FactsRow) -> Self {
        let times = |millis: BTreeMap<u64, i64>| {
            let time = |(fingerprint, at)| (fingerprint, Timestamp::from_millis(at));
            millis.into_iter().map(time).collect()
        };
        Self {
            firing: times(row.firing),
            resolved: times(row.resolved),
            reminds_after: row.reminds_after.map(Timestamp::from_millis),
        }
    }
}
