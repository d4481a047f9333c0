//! One rule at one evaluation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Labels, Missing, Sample, Timestamp, chain};
use hallwatch_promql::{InstantSample, Source};

use super::batch::Batch;
use super::conditions::{Expressions, Lazy, Sequence, followed};
use super::desk::Desk;
use super::raised::{begin, raise, series_of};
use super::{Evaluation, Options};
use crate::rules::alert::{Alert, AlertState, Cause, Reason, Seen, Timing};
use crate::rules::evidence::{Evidence, Newest};
use crate::rules::inputs::Input;
use crate::rules::rule::{Alerting, Flapping, NoData, Purpose, Rule};
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
        if alert.is_active() {
            self.written.extend(series_of(&alert, alert.active_at).map(|(labels, _)| labels));
        }
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
        let rule = Arc::clone(&self.rule);
        let batch = Batch { rule: &rule, now, source, options };
        self.conclude(&batch, now, Newest::Source(source), limit, options, evaluation)
    }

    /// The samples that it writes when this is what its expressions say.
    pub(in crate::rules) fn conclude(
        &mut self,
        expressions: &dyn Expressions,
        now: Timestamp,
        newest: Newest<'_>,
        limit: usize,
        options: &Options,
        evaluation: &mut Evaluation,
    ) -> Vec<(Labels, Sample)> {
        let rule = Arc::clone(&self.rule);
        let outcome = match &rule.purpose {
            Purpose::Record => {
                expressions.own().and_then(|vector| self.record(vector, limit, now)).map(Some)
            }
            Purpose::Alert(_) => {
                self.alert(expressions, now, newest, limit, options, evaluation).map(|()| None)
            }
        };
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
            let active = self.alerts.values().filter(|alert| alert.is_active());
            active.flat_map(|alert| series_of(alert, now)).collect()
        });
        let written: BTreeSet<Labels> = samples.iter().map(|(labels, _)| labels.clone()).collect();
        let ended = Sample { time: now, value: Err(Missing::NotAvailable) };
        samples.extend(self.written.difference(&written).map(|labels| (labels.clone(), ended)));
        self.written = written;
        samples
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
        expressions: &dyn Expressions,
        now: Timestamp,
        newest: Newest<'_>,
        limit: usize,
        options: &Options,
        evaluation: &mut Evaluation,
    ) -> Result<(), String> {
        let rule = Arc::clone(&self.rule);
        let Purpose::Alert(alerting) = &rule.purpose else { return Ok(()) };
        let mut raised = BTreeMap::new();
        for found in expressions.own()? {
            let facts = (found.labels, found.value, None);
            let (labels, alert) = raise(&rule, alerting, facts, options);
            if raised.insert(labels, alert).is_some() {
                return Err(SAME_LABELS.into());
            }
        }
        let fires = alerting.no_data == NoData::Fire;
        let quiet = raised.is_empty() && !self.rests_on_data() && !fires;
        let gather = Gather { quiet, newest, now, options };
        let more = alerting.clear.as_ref().map_or(&[][..], |clear| &clear.inputs);
        let evidence = gather.of(&rule.inputs, more)?;
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

        let timing = timing(alerting, options);
        let clear_rows = || expressions.clear();
        let clear = Lazy::new(&clear_rows, None);
        let expect_rows = || expressions.expect();
        let sequence = match &alerting.expect {
            Some(expect) => Some(Sequence {
                expect,
                lazy: Lazy::new(&expect_rows, expect.on.as_deref()),
                evidence: gather.of(&[], &expect.condition.inputs)?,
                no_data: alerting.no_data,
            }),
            None => None,
        };
        // An error of a condition must not leave half of the alerts changed.
        let asked = !(raised.is_empty() && self.alerts.is_empty());
        if asked && let Some(sequence) = &sequence {
            sequence.lazy.holds(&Labels::empty())?;
        }
        let ends = |alert: &Alert| {
            alert.state == AlertState::Firing && !raised.contains_key(&alert.labels)
        };
        if alerting.clear.is_some() && (sequence.is_some() || self.alerts.values().any(ends)) {
            clear.holds(&Labels::empty())?;
        }

        let mut desk = Desk { key: &self.key, query: &self.query, now, timing, evaluation };
        // As long as the same inputs are fresh, each alert rests on the same ones: many alerts on
        // many series would cost the product of both.
        let signature = if quiet { 0 } else { evidence.signature() };
        for (labels, found) in &raised {
            let mut new = false;
            let alert = self.alerts.entry(labels.clone()).or_insert_with(|| {
                new = true;
                begin(labels, found, now)
            });
            if alert.memory.fulfilled && !alert.is_active() {
                continue;
            }
            if !alert.is_active() {
                new = true;
                let changes = std::mem::take(&mut alert.memory.changes);
                *alert = begin(labels, found, now);
                alert.memory.changes = changes;
            }
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
            let mut seen = found.without_data.map_or(Seen::True, Seen::TrueWithoutData);
            if let Some(sequence) = &sequence {
                remembers |= alert.state == AlertState::Pending && sequence.remember(alert);
                let expected = sequence.expected(alert)?;
                seen = followed(seen, expected, alert, timing, now);
                if seen == Seen::Fulfilled {
                    if new {
                        // It was there already: nothing has to be waited for.
                        alert.memory.fulfilled = true;
                        desk.settle(alert);
                        continue;
                    }
                    if alert.state == AlertState::Firing
                        && alerting.clear.is_some()
                        && !clear.holds(&alert.result)?
                    {
                        seen = Seen::Uncleared { inputs: alert.inputs.len() };
                    }
                }
            }
            let fulfils = seen == Seen::Fulfilled;
            let before = alert.timers();
            let mut changes = alert.step(seen, timing, now);
            remembers |= alert.timers() != before;
            alert.memory.fulfilled |= fulfils && !alert.is_active();
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
            tell_of_flapping(alert, alerting);
            desk.note(alert, changes, remembers);
        }
        for (_, alert) in self.alerts.iter_mut().filter(|(labels, _)| !raised.contains_key(labels))
        {
            let gone = evidence.gone(&alert.inputs);
            let mut seen = match alerting.no_data {
                _ if gone.is_empty() => Seen::False { inputs: alert.inputs.len() },
                NoData::Hold => Seen::Unknown(Cause::InputsGone(gone)),
                NoData::Fire => Seen::TrueWithoutData(gone.len()),
                NoData::Resolve => Seen::FalseWithoutData,
            };
            if !alert.is_active() {
                let over = matches!(seen, Seen::False { .. } | Seen::FalseWithoutData);
                desk.dormant(alert, over);
                continue;
            }
            if let Some(sequence) = &sequence {
                let expected = sequence.expected(alert)?;
                seen = followed(seen, expected, alert, timing, now);
            }
            let ceases = matches!(seen, Seen::False { .. } | Seen::Fulfilled);
            if ceases
                && alert.state == AlertState::Firing
                && alerting.clear.is_some()
                && !clear.holds(&alert.result)?
            {
                seen = Seen::Uncleared { inputs: alert.inputs.len() };
            }
            let fulfils = seen == Seen::Fulfilled;
            let before = alert.timers();
            let changes = alert.step(seen, timing, now);
            alert.memory.fulfilled |= fulfils && !alert.is_active();
            let timer = alert.timers() != before;
            tell_of_flapping(alert, alerting);
            desk.note(alert, changes, timer);
        }
        self.alerts.retain(|_, alert| alert.is_active() || alert.rest(timing, now));
        let alerts = &self.alerts;
        self.signatures.retain(|labels, _| alerts.get(labels).is_some_and(Alert::is_active));
        Ok(())
    }

    /// Whether it matters to any of its alerts which inputs are there: not to those of which only
    /// the changes are remembered.
    pub(in crate::rules) fn rests_on_data(&self) -> bool {
        self.alerts.values().any(|alert| alert.is_active() || alert.memory.fulfilled)
    }

    /// Which inputs were fresh has been counted by others until now.
    pub(in crate::rules) fn forget_signatures(&mut self) {
        self.signatures.clear();
    }

    /// Whether a change of `clear` could matter.
    pub(in crate::rules) fn waits_to_be_cleared(&self) -> bool {
        let ending = |alert: &Alert| {
            alert.keep_firing_since.is_some()
                || alert.memory.latched_since.is_some()
                || alert.memory.changes.flapping.is_some()
        };
        self.alerts.values().any(ending)
    }

    /// Whether a change of `expect` could matter.
    pub(in crate::rules) fn waits(&self) -> bool {
        self.alerts.values().any(Alert::is_active)
    }

    /// Whether there is no series that ends when it is not written again.
    pub(in crate::rules) fn written_nothing(&self) -> bool {
        self.written.is_empty()
    }

    /// When a timer of one of its alerts runs out, if nothing else happens.
    pub(in crate::rules) fn due(&self, options: &Options, now: Timestamp) -> Option<Timestamp> {
        let timing = timing(self.rule.alerting()?, options);
        self.alerts.values().filter_map(|alert| alert.due(timing, now)).min()
    }

    /// Nothing is known about any of its alerts.
    fn hold(&mut self, error: &str, now: Timestamp, evaluation: &mut Evaluation) {
        let timing =
            Timing { hold: Duration::MAX, keep_firing: Duration::MAX, within: None, chatter: None };
        let mut desk = Desk { key: &self.key, query: &self.query, now, timing, evaluation };
        for alert in self.alerts.values_mut().filter(|alert| alert.is_active()) {
            let unknown = Seen::Unknown(Cause::RuleFailed(error.to_owned()));
            let changes = alert.step(unknown, timing, now);
            desk.note(alert, changes, false);
        }
    }
}

const SAME_LABELS: &str =
    "vector contains metrics with the same labelset after applying rule labels";

/// Where evidence is gathered, if it is needed at all.
struct Gather<'e> {
    quiet: bool,
    newest: Newest<'e>,
    now: Timestamp,
    options: &'e Options,
}

impl<'e> Gather<'e> {
    fn of(&self, own: &'e [Input], more: &'e [Input]) -> Result<Evidence<'e>, String> {
        let (own, more) = if self.quiet { (&[][..], &[][..]) } else { (own, more) };
        Evidence::gather(own, more, self.newest, self.now, self.options.lookback)
            .map_err(|error| chain(&error))
    }
}

/// Receivers are told that it is flapping, too.
fn tell_of_flapping(alert: &mut Alert, alerting: &Alerting) {
    const NAME: &str = "flapping";
    if alerting.annotations.iter().any(|(name, _)| &**name == NAME) {
        return;
    }
    alert.annotations.retain(|(name, _)| &**name != NAME);
    if let Some(changes) = alert.flapping() {
        alert.annotations.push((NAME.into(), format!("it changed {changes} times of late")));
    }
}

fn timing(alerting: &Alerting, options: &Options) -> Timing {
    Timing {
        hold: alerting.hold,
        keep_firing: alerting.keep_firing,
        within: alerting.expect.as_ref().map(|expect| expect.within),
        chatter: match alerting.flapping {
            Flapping::Default => options.flapping,
            Flapping::Off => None,
            Flapping::Beyond(chatter) => Some(chatter),
        },
    }
}
