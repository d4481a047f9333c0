//! Alerts and groups as they are kept on disk, version 1.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};
use serde::{Deserialize, Serialize};

use crate::notify::{Ledger, SavedGroup, alert as notified};
use crate::rules::{Alert, AlertState, Cause, Held};
use crate::topology::Suppressed;

type Pairs = Vec<(String, String)>;

#[derive(Serialize, Deserialize)]
pub(super) struct AlertRow {
    labels: Pairs,
    annotations: Pairs,
    firing: bool,
    /// As bits: JSON has no NaN.
    value: u64,
    active_at: i64,
    fired_at: Option<i64>,
    held: Option<HeldRow>,
    reason: String,
    keep_firing_since: Option<i64>,
    paused_millis: u64,
    result: Pairs,
    inputs: Vec<Pairs>,
}

#[derive(Serialize, Deserialize)]
struct HeldRow {
    since: i64,
    gone: Vec<Pairs>,
    failed: Option<String>,
}

impl From<&Alert> for AlertRow {
    fn from(alert: &Alert) -> Self {
        let held = alert.held.as_ref().map(|held| {
            let (gone, failed) = match &held.cause {
                Cause::InputsGone(inputs) => (inputs.iter().map(pairs).collect(), None),
                Cause::RuleFailed(error) => (Vec::new(), Some(error.clone())),
            };
            HeldRow { since: held.since.as_millis(), gone, failed }
        });
        let text = |(name, value): &(Arc<str>, String)| (name.to_string(), value.clone());
        Self {
            labels: pairs(&alert.labels),
            annotations: alert.annotations.iter().map(text).collect(),
            firing: alert.state == AlertState::Firing,
            value: alert.value.to_bits(),
            active_at: alert.active_at.as_millis(),
            fired_at: alert.fired_at.map(Timestamp::as_millis),
            held,
            reason: alert.reason.clone(),
            keep_firing_since: alert.keep_firing_since.map(Timestamp::as_millis),
            paused_millis: u64::try_from(alert.paused.as_millis()).unwrap_or(u64::MAX),
            result: pairs(&alert.result),
            inputs: alert.inputs.iter().map(pairs).collect(),
        }
    }
}

impl From<AlertRow> for Alert {
    fn from(row: AlertRow) -> Self {
        let held = row.held.map(|held| Held {
            since: Timestamp::from_millis(held.since),
            cause: match held.failed {
                Some(error) => Cause::RuleFailed(error),
                None => Cause::InputsGone(held.gone.iter().map(|gone| labels(gone)).collect()),
            },
        });
        Self {
            labels: labels(&row.labels),
            annotations: row.annotations.into_iter().map(|(n, v)| (n.into(), v)).collect(),
            state: if row.firing { AlertState::Firing } else { AlertState::Pending },
            value: f64::from_bits(row.value),
            active_at: Timestamp::from_millis(row.active_at),
            fired_at: row.fired_at.map(Timestamp::from_millis),
            resolved_at: None,
            held,
            reason: row.reason,
            keep_firing_since: row.keep_firing_since.map(Timestamp::from_millis),
            paused: Duration::from_millis(row.paused_millis),
            result: labels(&row.result),
            inputs: row.inputs.iter().map(|input| labels(input)).collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct GroupRow {
    labels: Pairs,
    alerts: Vec<notified::AlertRow>,
    told: Option<LedgerRow>,
    due: i64,
}

#[derive(Serialize, Deserialize)]
struct LedgerRow {
    firing: BTreeSet<u64>,
    resolved: BTreeSet<u64>,
    at: i64,
}

impl From<&SavedGroup> for GroupRow {
    fn from(group: &SavedGroup) -> Self {
        Self {
            labels: pairs(&group.labels),
            alerts: group.alerts.iter().map(Into::into).collect(),
            told: group.told.as_ref().map(|told| LedgerRow {
                firing: told.firing.clone(),
                resolved: told.resolved.clone(),
                at: told.at.as_millis(),
            }),
            due: group.due.as_millis(),
        }
    }
}

impl GroupRow {
    pub(super) fn into_group(self, receiver: String) -> SavedGroup {
        SavedGroup {
            receiver,
            labels: labels(&self.labels),
            alerts: self.alerts.into_iter().map(Into::into).collect(),
            told: self.told.map(|told| Ledger {
                firing: told.firing,
                resolved: told.resolved,
                at: Timestamp::from_millis(told.at),
            }),
            due: Timestamp::from_millis(self.due),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SuppressedRow {
    alert: notified::AlertRow,
    cause: Pairs,
    cause_ended: Option<i64>,
    of_absence: bool,
}

impl From<&Suppressed> for SuppressedRow {
    fn from(suppressed: &Suppressed) -> Self {
        Self {
            alert: (&suppressed.alert).into(),
            cause: pairs(&suppressed.cause),
            cause_ended: suppressed.cause_ended.map(Timestamp::as_millis),
            of_absence: suppressed.of_absence,
        }
    }
}

impl From<SuppressedRow> for Suppressed {
    fn from(row: SuppressedRow) -> Self {
        Self {
            alert: row.alert.into(),
            cause: labels(&row.cause),
            cause_ended: row.cause_ended.map(Timestamp::from_millis),
            of_absence: row.of_absence,
        }
    }
}

pub(super) fn pairs(labels: &Labels) -> Pairs {
    notified::pairs(labels)
}

pub(super) fn labels(pairs: &[(String, String)]) -> Labels {
    notified::labels(pairs)
}
