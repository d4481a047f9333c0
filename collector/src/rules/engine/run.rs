//! One rule at one evaluation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Labels, Missing, Sample, Timestamp};
use hallwatch_promql::{InstantSample, Limits, Source, Value, instant};

use super::{Evaluation, Options, SavedAlert};
use crate::rules::alert::{Alert, AlertState, Cause, Reason, Seen, Timing};
use crate::rules::evidence::Evidence;
use crate::rules::rule::{Alerting, NoData, Purpose, Rule};
use crate::rules::template::Facts;
use crate::rules::view::Health;

#[derive(Debug)]
pub(in crate::rules) struct RuleRun {
    pub(in crate::rules) rule: Arc<Rule>,
    pub(in crate::rules) key: Arc<str>,
    query: Arc<str>,
    pub(in crate::rules) alerts: BTreeMap<Labels, Alert>,
    pub(in crate::rules) health: Health,
    /// By alert: which inputs were fresh when its own were last looked for.
    signatures: BTreeMap<Labels, u64>,
    /// The series written at the last evaluation, to end those that are not written again.
    written: BTreeSet<Labels>,
}

/// An alert as the expression has it.
struct Raised {
    result: Labels,
    value: f64,
    annotations: Vec<(Arc<str>, String)>,
    /// How many inputs are gone, when that is what raised it.
    without_data: Option<usize>,
}

impl RuleRun {
    pub(in crate::rules) fn new(rule: Arc<Rule>, key: Arc<str>) -> Self {
        let query = rule.query.text().into();
        let (alerts, written) = (BTreeMap::new(), BTreeSet::new());
        Self {
            rule,
            key,
            query,
            alerts,
            health: Health::Unknown,
            signatures: BTreeMap::new(),
            written,
        }
    }

    pub(in crate::rules) fn restore(&mut self, alert: Alert) {
        // What it wrote before the restart ends with it.
        self.written.extend(series_of(&alert, alert.active_at).map(|(labels, _)| labels));
        self.alerts.insert(alert.labels.clone(), alert);
    }

    /// The samples that it writes.
    pub(in crate::rules) fn evaluate(
        &mut self,
        now: Timestamp,
        source: &dyn Source,
        limit: usize,
        options: &Options,
        evaluation: &mut Evaluation,
    ) -> Vec<(Labels, Sample)> {
        let result = self.query(now, source, options);
        self.conclude(result, now, source, limit, options, evaluation)
    }

    /// The samples that it writes when this is what the expression says. `source` only has to have
    /// the newest sample of each input.
    pub(in crate::rules) fn conclude(
        &mut self,
        result: Result<Vec<InstantSample>, String>,
        now: Timestamp,
        source: &dyn Source,
        limit: usize,
        options: &Options,
        evaluation: &mut Evaluation,
    ) -> Vec<(Labels, Sample)> {
        let rule = Arc::clone(&self.rule);
        let outcome = result.and_then(|vector| match &rule.purpose {
            Purpose::Record => self.record(vector, limit, now).map(Some),
            Purpose::Alert(_) => {
                self.alert(vector, now, source, limit, options, evaluation).map(|()| None)
            }
        });
        let recorded = match outcome {
            Ok(recorded) => {
                self.health = Health::Ok;
                recorded
            }
            Err(error) => {
                self.hold(&error, now, evaluation);
                self.health = Health::Err(error);
                // A failed recording rule ends nothing: its series grow old, as in Prometheus.
                if self.rule.alerting().is_none() {
                    return Vec::new();
                }
                None
            }
        };
        let mut samples = recorded.unwrap_or_else(|| {
            self.alerts.values().flat_map(|alert| series_of(alert, now)).collect()
        });
        let written: BTreeSet<Labels> = samples.iter().map(|(labels, _)| labels.clone()).collect();
        let ended = Sample { time: now, value: Err(Missing::NotAvailable) };
        samples.extend(self.written.difference(&written).map(|labels| (labels.clone(), ended)));
        self.written = written;
        samples
    }

    fn query(
        &self,
        now: Timestamp,
        source: &dyn Source,
        options: &Options,
    ) -> Result<Vec<InstantSample>, String> {
        let limits = Limits { lookback: options.lookback, ..Limits::default() };
        let answer = instant(&self.rule.query, now, source, &limits).map_err(|e| chain(&e))?;
        match answer.value {
            Value::Vector(vector) => Ok(vector),
            Value::Scalar(time, value) => {
                Ok(vec![InstantSample { labels: Labels::empty(), time, value }])
            }
            Value::String(..) | Value::Matrix(_) => {
                Err("the result is not a vector or a scalar".into())
            }
        }
    }

    fn record(
        &self,
        vector: Vec<InstantSample>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(Labels, Sample)>, String> {
        let mut series = BTreeMap::new();
        for found in vector {
            let mut labels = found.labels.with(METRIC_NAME, &self.rule.name);
            for (name, value) in &self.rule.labels {
                labels = labels.with(name, value.text());
            }
            if series.insert(labels, Sample { time: now, value: Ok(found.value) }).is_some() {
                return Err(SAME_LABELS.into());
            }
        }
        if limit > 0 && series.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} series", series.len()));
        }
        Ok(series.into_iter().collect())
    }

    fn alert(
        &mut self,
        vector: Vec<InstantSample>,
        now: Timestamp,
        source: &dyn Source,
        limit: usize,
        options: &Options,
        evaluation: &mut Evaluation,
    ) -> Result<(), String> {
        let rule = Arc::clone(&self.rule);
        let Purpose::Alert(alerting) = &rule.purpose else { return Ok(()) };
        let mut raised = BTreeMap::new();
        for found in vector {
            let facts = (found.labels, found.value, None);
            let (labels, alert) = raise(&rule, alerting, facts, options);
            if raised.insert(labels, alert).is_some() {
                return Err(SAME_LABELS.into());
            }
        }
        let fires = alerting.no_data == NoData::Fire;
        let quiet = raised.is_empty() && self.alerts.is_empty() && !fires;
        let inputs = if quiet { &[][..] } else { &rule.inputs };
        let evidence = Evidence::gather(inputs, source, now, options.lookback)
            .map_err(|error| chain(&error))?;
        if fires {
            for (result, gone) in evidence.missing() {
                let facts = (result, f64::NAN, Some(gone));
                let (labels, alert) = raise(&rule, alerting, facts, options);
                raised.entry(labels).or_insert(alert);
            }
        }
        if limit > 0 && raised.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} alerts", raised.len()));
        }

        let timing = Timing { hold: alerting.hold, keep_firing: alerting.keep_firing };
        let mut desk = Desk { key: &self.key, query: &self.query, now, evaluation };
        // As long as the same inputs are fresh, each alert rests on the same ones: many alerts on
        // many series would cost the product of both.
        let signature = if quiet { 0 } else { evidence.signature() };
        for (labels, found) in &raised {
            let (alert, new) = match self.alerts.get_mut(labels) {
                Some(alert) => (alert, false),
                None => {
                    let alert = begin(labels, found, now);
                    (self.alerts.entry(labels.clone()).or_insert(alert), true)
                }
            };
            let mut remembers = false;
            let known = || self.signatures.get(labels) == Some(&signature);
            if found.without_data.is_none() && (new || !known()) {
                self.signatures.insert(labels.clone(), signature);
                let inputs = evidence.behind(&found.result);
                // None at all: what is read was recorded a moment ago, before they were gone.
                if !inputs.is_empty() && alert.inputs != inputs {
                    alert.inputs = inputs;
                    remembers = true;
                }
            }
            alert.value = found.value;
            alert.annotations.clone_from(&found.annotations);
            let seen = found.without_data.map_or(Seen::True, Seen::TrueWithoutData);
            let mut changes = alert.step(seen, timing, now);
            if new {
                match changes.first_mut() {
                    Some((from, ..)) => *from = AlertState::Inactive,
                    None => changes.push((
                        AlertState::Inactive,
                        AlertState::Pending,
                        Reason::Began(found.value),
                    )),
                }
            }
            desk.note(alert, changes, remembers);
        }
        for (_, alert) in self.alerts.iter_mut().filter(|(labels, _)| !raised.contains_key(labels))
        {
            let gone = evidence.gone(&alert.inputs);
            let seen = match alerting.no_data {
                _ if gone.is_empty() => Seen::False { inputs: alert.inputs.len() },
                NoData::Hold => Seen::Unknown(Cause::InputsGone(gone)),
                NoData::Fire => Seen::TrueWithoutData(gone.len()),
                NoData::Resolve => Seen::FalseWithoutData,
            };
            let before = alert.keep_firing_since;
            let changes = alert.step(seen, timing, now);
            let timer = alert.keep_firing_since != before;
            desk.note(alert, changes, timer);
        }
        self.alerts.retain(|_, alert| is_active(alert));
        let alerts = &self.alerts;
        self.signatures.retain(|labels, _| alerts.contains_key(labels));
        Ok(())
    }

    /// Whether there is no series that ends when it is not written again.
    pub(in crate::rules) fn written_nothing(&self) -> bool {
        self.written.is_empty()
    }

    /// When a timer of one of its alerts runs out, if nothing else happens.
    pub(in crate::rules) fn due(&self) -> Option<Timestamp> {
        let alerting = self.rule.alerting()?;
        let timers =
            self.alerts.values().filter(|alert| alert.held.is_none()).filter_map(|alert| {
                match (alert.state, alert.keep_firing_since) {
                    (AlertState::Pending, _) => {
                        Some(alert.active_at + alerting.hold + alert.paused)
                    }
                    (AlertState::Firing, Some(since)) => Some(since + alerting.keep_firing),
                    _ => None,
                }
            });
        timers.min()
    }

    /// Nothing is known about any of its alerts.
    fn hold(&mut self, error: &str, now: Timestamp, evaluation: &mut Evaluation) {
        let mut desk = Desk { key: &self.key, query: &self.query, now, evaluation };
        let timing = Timing { hold: Duration::MAX, keep_firing: Duration::MAX };
        for alert in self.alerts.values_mut() {
            let unknown = Seen::Unknown(Cause::RuleFailed(error.to_owned()));
            let changes = alert.step(unknown, timing, now);
            desk.note(alert, changes, false);
        }
    }
}

const SAME_LABELS: &str =
    "vector contains metrics with the same labelset after applying rule labels";

/// Writes down what happens to the alerts of one rule.
struct Desk<'e> {
    key: &'e Arc<str>,
    query: &'e Arc<str>,
    now: Timestamp,
    evaluation: &'e mut Evaluation,
}

impl Desk<'_> {
    fn note(&mut self, alert: &Alert, changes: Vec<crate::rules::alert::Change>, also: bool) {
        if !is_active(alert) {
            self.evaluation.ended.push((self.key.clone(), alert.labels.clone()));
        } else if also || !changes.is_empty() {
            let saved = SavedAlert { rule: self.key.clone(), alert: alert.clone() };
            self.evaluation.changed.push(saved);
        }
        self.evaluation.note(self.key, self.query, alert, changes, self.now);
    }
}

fn is_active(alert: &Alert) -> bool {
    matches!(alert.state, AlertState::Pending | AlertState::Firing)
}

fn raise(
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

fn begin(labels: &Labels, found: &Raised, now: Timestamp) -> Alert {
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
    }
}

/// `ALERTS` and `ALERTS_FOR_STATE`.
fn series_of(alert: &Alert, now: Timestamp) -> impl Iterator<Item = (Labels, Sample)> {
    let state = alert.labels.with(METRIC_NAME, "ALERTS").with("alertstate", alert.state.word());
    let since = alert.labels.with(METRIC_NAME, "ALERTS_FOR_STATE");
    let began = alert.active_at.as_seconds().floor();
    let sample = move |value| Sample { time: now, value: Ok(value) };
    [(state, sample(1.0)), (since, sample(began))].into_iter()
}

/// An error with its causes.
pub(in crate::rules) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}
