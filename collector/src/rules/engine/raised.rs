//! What an expression comes to, as alerts: their labels, texts and series.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Labels, Sample, Timestamp};

use super::Options;
use crate::rules::alert::{Alert, AlertState, Memory, Reason};
use crate::rules::rule::{Alerting, Rule};
use crate::rules::template::Facts;

/// An alert as the expression has it.
pub(super) struct Raised {
    pub(super) result: Labels,
    pub(super) value: f64,
    pub(super) annotations: Vec<(Arc<str>, String)>,
    /// How many inputs are gone, when that is what raised it.
    pub(super) without_data: Option<usize>,
}

pub(super) fn raise(
    rule: &Rule,
    alerting: &Alerting,
    (found, value, without_data): (Labels, f64, Option<usize>),
    options: &Options,
) -> (Labels, Raised) {
    // Templates see the metric's name, the alert does not have it.
    let facts = Facts { labels: &found, value, external_url: &options.external_url };
    let result = found.without(|name| name == METRIC_NAME);
    let mut labels = result.clone();
    for (name, template) in &rule.labels {
        labels = labels.with(name, &template.expand(facts));
    }
    labels = labels.with("alertname", &rule.name);
    let filled = |(name, template): &(Arc<str>, crate::rules::template::Template)| {
        (name.clone(), template.expand(facts))
    };
    let annotations = alerting.annotations.iter().map(filled).collect();
    (labels, Raised { result, value, annotations, without_data })
}

pub(super) fn begin(labels: &Labels, found: &Raised, now: Timestamp) -> Alert {
    Alert {
        labels: labels.clone(),
        annotations: Vec::new(),
        state: AlertState::Pending,
        value: found.value,
        active_at: now,
        fired_at: None,
        resolved_at: None,
        held: None,
        reason: Reason::Began(found.value).to_string(),
        keep_firing_since: None,
        paused: Duration::ZERO,
        result: found.result.clone(),
        inputs: Vec::new(),
        memory: Memory::default(),
    }
}

/// `ALERTS` and `ALERTS_FOR_STATE`.
pub(super) fn series_of(alert: &Alert, now: Timestamp) -> impl Iterator<Item = (Labels, Sample)> {
    let state = alert.labels.with(METRIC_NAME, "ALERTS").with("alertstate", alert.state.word());
    let since = alert.labels.with(METRIC_NAME, "ALERTS_FOR_STATE");
    let began = alert.active_at.as_seconds().floor();
    let sample = move |value| Sample { time: now, value: Ok(value) };
    [(state, sample(1.0)), (since, sample(began))].into_iter()
}
