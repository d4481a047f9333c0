//! Evaluates rules and keeps the alerts they raise.

mod batch;
pub(super) mod conditions;
mod desk;
mod raised;
pub(super) mod run;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::Source;

use super::alert::{Alert, AlertState, Reason};
use super::overlay::Overlay;
use super::rule::{Chatter, Flapping, Group, RuleSet};
use super::view::{AlertingView, ExpectView, GroupView, Health, RuleView, View};
use run::RuleRun;

/// How long a resolved alert is shown; Prometheus' retention for telling others of it.
pub(super) const RESOLVED_SHOWN: Duration = Duration::from_secs(15 * 60);
/// How many of them at most.
pub(super) const MAX_RESOLVED: usize = 1000;

/// What an engine has to know beside its rules.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interval of groups that name none.
    pub interval: Duration,
    /// How old a sample may be and still be the value of its series.
    pub lookback: Duration,
    /// Where people reach the collector; for templates.
    pub external_url: String,
    /// When alerts of rules that say nothing of it are flapping; `None`: never.
    pub flapping: Option<Chatter>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            lookback: Duration::from_secs(5 * 60),
            external_url: String::new(),
            flapping: Some(Chatter::DEFAULT),
        }
    }
}

/// All rules and their alerts.
#[derive(Debug)]
pub struct Engine {
    groups: Vec<GroupRun>,
    options: Options,
    /// Alerts of rules that are not there any more; ended at the first evaluation.
    orphans: Vec<SavedAlert>,
    resolved: VecDeque<Alert>,
}

#[derive(Debug)]
struct GroupRun {
    group: Group,
    interval: Duration,
    last: Option<Timestamp>,
    rules: Vec<RuleRun>,
}

/// What an evaluation brought about.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// What changed, in order.
    pub transitions: Vec<Transition>,
    /// Recorded series, `ALERTS` and `ALERTS_FOR_STATE`; series that ended get a missing value.
    pub samples: Vec<(Labels, Sample)>,
    /// Alerts to write down before anybody is told of them.
    pub changed: Vec<SavedAlert>,
    /// Alerts to forget: rule and labels.
    pub ended: Vec<(Arc<str>, Labels)>,
}

/// A change of an alert.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The rule: `group/name`, with a number where there are several of that name.
    pub rule: Arc<str>,
    /// The rule's expression.
    pub query: Arc<str>,
    /// The alert after the change.
    pub alert: Alert,
    /// The state before.
    pub from: AlertState,
    /// The state after; the same when an alert is held or no longer held.
    pub to: AlertState,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
}

/// An alert as it survives a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedAlert {
    /// The rule, as in [`Transition::rule`].
    pub rule: Arc<str>,
    /// The alert.
    pub alert: Alert,
}

impl Engine {
    /// An engine for `rules` that goes on with the alerts that were `saved`.
    #[must_use]
    pub fn new(rules: RuleSet, saved: Vec<SavedAlert>, options: Options) -> Self {
        let mut names = HashMap::<String, usize>::new();
        let mut groups: Vec<GroupRun> = Vec::with_capacity(rules.groups.len());
        for mut group in rules.groups {
            let rules = std::mem::take(&mut group.rules).into_iter().map(|rule| {
                let name = format!("{}/{}", group.name, rule.name);
                let count = names.entry(name.clone()).or_insert(0);
                *count += 1;
                let key = if *count == 1 { name } else { format!("{name}#{count}") };
                RuleRun::new(Arc::new(rule), key.into())
            });
            let rules = rules.collect();
            let interval = group.interval.unwrap_or(options.interval);
            groups.push(GroupRun { group, interval, last: None, rules });
        }
        let mut orphans = Vec::new();
        for saved in saved {
            let mut runs = groups.iter_mut().flat_map(|group| &mut group.rules);
            match runs.find(|run| run.key == saved.rule && run.rule.alerting().is_some()) {
                Some(run) => run.restore(saved.alert),
                None => orphans.push(saved),
            }
        }
        Self { groups, options, orphans, resolved: VecDeque::new() }
    }

    /// Evaluates every group whose interval has passed.
    pub fn evaluate(&mut self, now: Timestamp, source: &dyn Source) -> Evaluation {
        let mut evaluation = Evaluation::default();
        for mut orphan in std::mem::take(&mut self.orphans) {
            let changes = orphan.alert.end(Reason::RuleRemoved, now);
            evaluation.note(&orphan.rule, &"".into(), &orphan.alert, changes, now);
            evaluation.ended.push((orphan.rule, orphan.alert.labels));
        }
        let mut overlay = Overlay { below: source, fresh: Vec::new() };
        for group in &mut self.groups {
            if !group.is_due(now) {
                continue;
            }
            group.last = Some(now);
            for run in &mut group.rules {
                let written =
                    run.evaluate(now, &overlay, group.group.limit, &self.options, &mut evaluation);
                overlay.fresh.extend(written);
            }
        }
        evaluation.samples = overlay.fresh;
        for transition in &evaluation.transitions {
            if transition.to == AlertState::Resolved {
                self.resolved.push_back(transition.alert.clone());
            }
        }
        let old = |alert: &Alert| {
            alert.resolved_at.is_none_or(|resolved| now.since(resolved) > RESOLVED_SHOWN)
        };
        while self.resolved.len() > MAX_RESOLVED || self.resolved.front().is_some_and(old) {
            self.resolved.pop_front();
        }
        evaluation
    }

    /// All alerts, for an engine with other rules to go on with.
    #[must_use]
    pub fn save(&self) -> Vec<SavedAlert> {
        let runs = self.groups.iter().flat_map(|group| &group.rules);
        let saved = runs.flat_map(|run| {
            let of = |alert: &Alert| SavedAlert { rule: run.key.clone(), alert: alert.clone() };
            run.alerts.values().map(of)
        });
        saved.chain(self.orphans.iter().cloned()).collect()
    }

    /// What there is to be seen.
    #[must_use]
    pub fn view(&self) -> View {
        let groups = self.groups.iter().map(|group| group.view(&self.options)).collect();
        View { groups, resolved: self.resolved.iter().cloned().collect() }
    }
}

impl GroupRun {
    /// The first time, when the interval has passed, and when the clock was set back by more.
    fn is_due(&self, now: Timestamp) -> bool {
        self.last
            .is_none_or(|last| now.since(last) >= self.interval || last.since(now) > self.interval)
    }

    fn view(&self, options: &Options) -> GroupView {
        GroupView {
            file: self.group.file.clone(),
            name: self.group.name.clone(),
            interval: self.interval,
            limit: self.group.limit,
            last_evaluation: self.last,
            rules: self.rules.iter().map(|run| run.view(self.last, options)).collect(),
        }
    }
}

impl RuleRun {
    pub(super) fn view(&self, last_evaluation: Option<Timestamp>, options: &Options) -> RuleView {
        let texts = |pairs: &[(Arc<str>, super::template::Template)]| {
            pairs.iter().map(|(name, text)| (name.clone(), text.text().to_owned())).collect()
        };
        let alerting = self.rule.alerting().map(|alerting| AlertingView {
            hold: alerting.hold,
            keep_firing: alerting.keep_firing,
            annotations: texts(&alerting.annotations),
            clear: alerting.clear.as_ref().map(|clear| clear.query.text().to_owned()),
            deadband: alerting.deadband,
            expect: alerting.expect.as_ref().map(|expect| ExpectView {
                query: expect.condition.query.text().to_owned(),
                within: expect.within,
                on: expect.on.clone(),
            }),
            flapping: match alerting.flapping {
                Flapping::Default => options.flapping,
                Flapping::Off => None,
                Flapping::Beyond(chatter) => Some(chatter),
            },
            no_data: alerting.no_data,
            alerts: self.alerts.values().filter(|alert| alert.is_active()).cloned().collect(),
        });
        RuleView {
            name: self.rule.name.clone(),
            query: self.rule.query.text().to_owned(),
            labels: texts(&self.rule.labels),
            health: self.health.clone(),
            last_evaluation: last_evaluation.filter(|_| self.health != Health::Unknown),
            alerting,
        }
    }
}

impl Evaluation {
    /// What came about after this.
    pub fn append(&mut self, mut later: Self) {
        self.transitions.append(&mut later.transitions);
        self.samples.append(&mut later.samples);
        // What ended may have begun again, and the other way round: the last word counts.
        let same = |saved: &SavedAlert, (rule, labels): &(Arc<str>, Labels)| {
            saved.rule == *rule && saved.alert.labels == *labels
        };
        self.changed.retain(|saved| !later.ended.iter().any(|ended| same(saved, ended)));
        self.ended.retain(|ended| !later.changed.iter().any(|saved| same(saved, ended)));
        self.changed.append(&mut later.changed);
        self.ended.append(&mut later.ended);
    }

    pub(super) fn note(
        &mut self,
        rule: &Arc<str>,
        query: &Arc<str>,
        alert: &Alert,
        changes: Vec<super::alert::Change>,
        at: Timestamp,
    ) {
        self.transitions.extend(changes.into_iter().map(|(from, to, reason)| Transition {
            rule: rule.clone(),
            query: query.clone(),
            alert: alert.clone(),
            from,
            to,
            reason,
            at,
        }));
    }
}
