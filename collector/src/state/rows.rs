//! Alerts and groups as they are kept on disk, version 1.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};
use serde::{Deserialize, Serialize};

use crate::notify::{Ledger, SavedGroup, alert as notified};
use crate::rules::{Alert, AlertState, Cause, Changes, Flaps, Held, HistoricalAlert, Memory};
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
    /// Absent in rows of the first releases, and of what was not resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved_at: Option<i64>,
    held: Option<HeldRow>,
    reason: String,
    keep_firing_since: Option<i64>,
    paused_millis: u64,
    result: Pairs,
    inputs: Vec<Pairs>,
    /// Absent in rows of the first releases, and where there is nothing to remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryRow>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct MemoryRow {
    /// Neither pending nor firing: only remembered.
    dormant: bool,
    latched_since: Option<i64>,
    fulfilled: bool,
    expected: Vec<Pairs>,
    changes: Vec<i64>,
    flapping: Option<FlapsRow>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct FlapsRow {
    since: i64,
    on: bool,
    calm_since: i64,
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
            resolved_at: alert.resolved_at.map(Timestamp::as_millis),
            held,
            reason: alert.reason.clone(),
            keep_firing_since: alert.keep_firing_since.map(Timestamp::as_millis),
            paused_millis: u64::try_from(alert.paused.as_millis()).unwrap_or(u64::MAX),
            result: pairs(&alert.result),
            inputs: alert.inputs.iter().map(pairs).collect(),
            memory: Some(MemoryRow::of(alert)).filter(|row| *row != MemoryRow::default()),
        }
    }
}

impl MemoryRow {
    fn of(alert: &Alert) -> Self {
        let Memory { latched_since, fulfilled, expected, changes } = &alert.memory;
        Self {
            dormant: !alert.is_active(),
            latched_since: latched_since.map(Timestamp::as_millis),
            fulfilled: *fulfilled,
            expected: expected.iter().map(pairs).collect(),
            changes: changes.times.iter().map(|time| time.as_millis()).collect(),
            flapping: changes.flapping.map(|flaps| FlapsRow {
                since: flaps.since.as_millis(),
                on: flaps.on,
                calm_since: flaps.calm_since.as_millis(),
            }),
        }
    }

    fn into_memory(self) -> Memory {
        Memory {
            latched_since: self.latched_since.map(Timestamp::from_millis),
            fulfilled: self.fulfilled,
            expected: self.expected.iter().map(|series| labels(series)).collect(),
            changes: Changes {
                times: self.changes.into_iter().map(Timestamp::from_millis).collect(),
                flapping: self.flapping.map(|flaps| Flaps {
                    since: Timestamp::from_millis(flaps.since),
                    on: flaps.on,
                    calm_since: Timestamp::from_millis(flaps.calm_since),
                }),
            },
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
        let memory = row.memory.unwrap_or_default();
        Self {
            labels: labels(&row.labels),
            annotations: row.annotations.into_iter().map(|(n, v)| (n.into(), v)).collect(),
            state: match (row.firing, memory.dormant) {
                (true, _) => AlertState::Firing,
                (false, true) => AlertState::Inactive,
                (false, false) => AlertState::Pending,
            },
            value: f64::from_bits(row.value),
            active_at: Timestamp::from_millis(row.active_at),
            fired_at: row.fired_at.map(Timestamp::from_millis),
            resolved_at: row.resolved_at.map(Timestamp::from_millis),
            held,
            reason: row.reason,
            keep_firing_since: row.keep_firing_since.map(Timestamp::from_millis),
            paused: Duration::from_millis(row.paused_millis),
            result: labels(&row.result),
            inputs: row.inputs.iter().map(|input| labels(input)).collect(),
            memory: memory.into_memory(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct HistoricalRow {
    rule: String,
    labels: Pairs,
    annotations: Pairs,
    /// As bits: JSON has no NaN.
    value: u64,
    fired_at: i64,
    resolved_at: Option<i64>,
    learnt_at: i64,
}

impl From<&HistoricalAlert> for HistoricalRow {
    fn from(alert: &HistoricalAlert) -> Self {
        let text = |(name, value): &(Arc<str>, String)| (name.to_string(), value.clone());
        Self {
            rule: alert.rule.to_string(),
            labels: pairs(&alert.labels),
            annotations: alert.annotations.iter().map(text).collect(),
            value: alert.value.to_bits(),
            fired_at: alert.fired_at.as_millis(),
            resolved_at: alert.resolved_at.map(Timestamp::as_millis),
            learnt_at: alert.learnt_at.as_millis(),
        }
    }
}

impl From<HistoricalRow> for HistoricalAlert {
    fn from(row: HistoricalRow) -> Self {
        Self {
            rule: row.rule.into(),
            labels: labels(&row.labels),
            annotations: row.annotations.into_iter().map(|(n, v)| (n.into(), v)).collect(),
            value: f64::from_bits(row.value),
            fired_at: Timestamp::from_millis(row.fired_at),
            resolved_at: row.resolved_at.map(Timestamp::from_millis),
            learnt_at: Timestamp::from_millis(row.learnt_at),
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
