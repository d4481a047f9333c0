//! What came too late to be news: it is evaluated as of its own time, for the digest alone.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::sample::from_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::Source;

use super::shard::Site;
use super::{GroupInfo, PushEngine, Pushed, Received, RuleInfo, Timing};
use crate::rules::alert::{Alert, AlertState, Memory};
use crate::rules::engine::{Evaluation, Transition};

/// How many are kept.
const MAX_HISTORICAL: usize = 1000;
/// A site whose backlog has not grown for so long has none any more.
const IDLE: Duration = Duration::from_secs(600);

/// An alert that would have fired, had the data come in time. Nobody was paged.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoricalAlert {
    /// The rule: `group/name`.
    pub rule: Arc<str>,
    /// What identifies the alert.
    pub labels: Labels,
    /// Texts for people, filled in.
    pub annotations: Vec<(Arc<str>, String)>,
    /// The value when it would have fired.
    pub value: f64,
    /// When it would have fired.
    pub fired_at: Timestamp,
    /// When it would have been resolved; `None` when the backlog ended before that.
    pub resolved_at: Option<Timestamp>,
    /// When the collector learnt of it.
    pub learnt_at: Timestamp,
}

/// The backlogs of sites that catch up, and what came of them.
#[derive(Debug, Default)]
pub(super) struct Histories {
    catching_up: HashMap<usize, Backlog>,
    pub(super) digest: VecDeque<HistoricalAlert>,
    /// Since it was last written down.
    pub(super) changed: bool,
}

/// The backlog of a site.
#[derive(Debug)]
struct Backlog {
    engine: Box<PushEngine>,
    /// When it last grew.
    grew: Timestamp,
    /// By rule and labels: what fires in it and is in the digest. The end of all else is that of an
    /// alert that people were told of, and ends no other.
    open: HashSet<(Arc<str>, Labels)>,
}

impl Histories {
    /// The site sends news again: what is left of its backlog is over.
    pub(super) fn live(&mut self, shard: usize, now: Timestamp) {
        if let Some(backlog) = self.catching_up.get(&shard)
            && now.since(backlog.grew) > Duration::from_secs(5)
        {
            self.catching_up.remove(&shard);
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.catching_up.retain(|_, backlog| now.since(backlog.grew) <= IDLE);
    }

    /// Takes note of a change in a backlog, in which these are `open`.
    fn note(
        &mut self,
        change: &Transition,
        open: &mut HashSet<(Arc<str>, Labels)>,
        learnt_at: Timestamp,
    ) {
        let alert = &change.alert;
        let key = (change.rule.clone(), alert.labels.clone());
        if change.to == AlertState::Firing && change.from != AlertState::Firing {
            open.insert(key);
            self.digest.push_back(HistoricalAlert {
                rule: change.rule.clone(),
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                value: alert.value,
                fired_at: change.at,
                resolved_at: None,
                learnt_at,
            });
            self.changed = true;
        } else if change.to == AlertState::Resolved && open.remove(&key) {
            // The newest of its name is the one that is open.
            let known = self.digest.iter_mut().rev();
            let mut known = known.filter(|known| known.rule == key.0 && known.labels == key.1);
            if let Some(entry) = known.next() {
                entry.resolved_at = Some(change.at);
                self.changed = true;
            }
        }
        while self.digest.len() > MAX_HISTORICAL {
            self.digest.pop_front();
        }
    }
}

impl PushEngine {
    /// Evaluates old samples as of their own time. Only rules of a site alone: of all others it is
    /// not known what they would have seen.
    pub(super) fn backfill(&mut self, old: &[Pushed], now: Timestamp, source: &dyn Source) {
        let mut by_shard: HashMap<usize, Vec<(Labels, Sample)>> = HashMap::new();
        for Pushed { handle, time, value } in old {
            let shard = self.site_of(*handle);
            let Some(labels) = self.routes.labels(*handle) else { continue };
            let sample = Sample { time: *time, value: from_float(*value) };
            by_shard.entry(shard).or_default().push((labels.clone(), sample));
        }
        for (shard, mut samples) in by_shard {
            samples.sort_by_key(|(_, sample)| sample.time);
            let (Some(first), Some(last)) = (samples.first(), samples.last()) else { continue };
            let (first, last) = (first.1.time, last.1.time);
            let mut backlog = match self.histories.catching_up.remove(&shard) {
                Some(known) => known,
                None => self.begin(shard, first, now, source),
            };
            // A moment at a time: what lasted for a second has to be seen.
            for moment in samples.chunk_by(|(_, a), (_, b)| a.time == b.time) {
                let Some((_, sample)) = moment.first() else { continue };
                let received = Received { samples: moment, watermark: None, backfill: false };
                let mut evaluation = backlog.engine.receive(received, sample.time, source);
                let ticked = backlog.engine.tick(sample.time, source);
                evaluation.transitions.extend(ticked.transitions);
                self.note_past(shard, &mut backlog, evaluation, now);
            }
            let ended = backlog.engine.tick(last, source);
            self.note_past(shard, &mut backlog, ended, now);
            backlog.grew = now;
            self.histories.catching_up.insert(shard, backlog);
        }
    }

    /// Takes note of what of this is not known to people as an alert of its time.
    fn note_past(
        &mut self,
        shard: usize,
        backlog: &mut Backlog,
        evaluation: Evaluation,
        now: Timestamp,
    ) {
        for change in evaluation.transitions {
            let fires = change.to == AlertState::Firing && change.from != AlertState::Firing;
            if !(fires && self.fired(shard, &change.rule, &change.alert.labels, change.at)) {
                self.histories.note(&change, &mut backlog.open, now);
            }
        }
    }

    /// Whether people know of an alert that fired then: after a restart a backlog of some seconds is
    /// all that an alert of hours has of its past.
    fn fired(&self, shard: usize, rule: &str, labels: &Labels, then: Timestamp) -> bool {
        let is_it = |alert: &Alert| {
            let lasted = match alert.resolved_at {
                Some(resolved) => then <= resolved,
                // Of what is only remembered the first releases did not write down when it ended.
                None => alert.state == AlertState::Firing,
            };
            alert.labels == *labels && alert.fired_at.is_some_and(|fired| fired <= then) && lasted
        };
        self.live(shard, rule, labels).is_some_and(is_it) || self.resolved.iter().any(is_it)
    }

    fn live(&self, shard: usize, rule: &str, labels: &Labels) -> Option<&Alert> {
        let mut runs = self.shards[shard].runs.values().map(|run| &run.rule);
        runs.find(|run| &*run.key == rule)?.alerts.get(labels)
    }

    /// A backlog that begins, or goes on after an interruption.
    fn begin(
        &mut self,
        shard: usize,
        first: Timestamp,
        now: Timestamp,
        source: &dyn Source,
    ) -> Backlog {
        let engine = Box::new(self.past(shard, first, source));
        let mut backlog = Backlog { engine, grew: now, open: HashSet::new() };
        let open = self.open_entries(shard, first);
        if !open.is_empty() {
            let began = backlog.resume(open, first, source);
            self.note_past(shard, &mut backlog, began, now);
        }
        backlog
    }

    /// An engine for what was, with the past of the site before `first`.
    fn past(&self, shard: usize, first: Timestamp, source: &dyn Source) -> Self {
        let local: Vec<RuleInfo> = self.rules.iter().filter(|info| info.local).cloned().collect();
        let group = |info: &GroupInfo| GroupInfo {
            group: info.group.clone(),
            interval: info.interval,
            last: None,
            rules: 0..0,
        };
        let groups = self.groups.iter().map(group).collect();
        let timing = Timing { wait: Duration::ZERO };
        let mut engine = Self::of(groups, local, self.options.clone(), timing);
        let is_of_site = |labels: &Labels| self.by_site.get(&Site::of(labels)) == Some(&shard);
        if let Err(error) = engine.seed_some(just_before(first), source, &is_of_site) {
            tracing::warn!(%error, "a backlog is evaluated without what was before it");
        }
        engine
    }

    /// What of the digest may go on at `first`: the newest of its name, if it did not end, and none
    /// began since that was seen in time.
    fn open_entries(&self, shard: usize, first: Timestamp) -> Vec<HistoricalAlert> {
        let mut seen = HashSet::new();
        let another = |entry: &HistoricalAlert| {
            let live = self.live(shard, &entry.rule, &entry.labels);
            live.is_some_and(|alert| {
                alert.is_active() && alert.active_at > entry.fired_at && alert.active_at <= first
            })
        };
        let goes_on = |entry: &&HistoricalAlert| {
            entry.resolved_at.is_none()
                && entry.fired_at < first
                && self.by_site.get(&Site::of(&entry.labels)) == Some(&shard)
                && !self.fired(shard, &entry.rule, &entry.labels, first)
                && !another(entry)
        };
        let entries = self.histories.digest.iter().rev();
        let newest = entries.filter(|&entry| seen.insert((&*entry.rule, &entry.labels)));
        newest.filter(goes_on).cloned().collect()
    }
}

impl Backlog {
    /// Goes on with those of the alerts whose expression holds right before `first`, so that they do
    /// not fire anew. When the others ended is not known. What fires then beside them fires at
    /// `first`.
    fn resume(
        &mut self,
        alerts: Vec<HistoricalAlert>,
        first: Timestamp,
        source: &dyn Source,
    ) -> Evaluation {
        let mut resumed = Vec::new();
        for of in alerts {
            let engine = &mut self.engine;
            let is_it = |info: &RuleInfo| info.key == of.rule && info.rule.alerting().is_some();
            let Some(rule) = engine.rules.iter().position(is_it) else { continue };
            let added = engine.rules[rule].rule.labels.iter().map(|(name, _)| &**name);
            let added: Vec<&str> = added.chain(["alertname"]).collect();
            let result = of.labels.without(|name| added.contains(&name));
            let shard = engine.shard_for(rule, &of.labels);
            engine.ensure_run(rule, shard);
            let Some(run) = engine.shards[shard].runs.get_mut(&rule) else { continue };
            run.rule.restore(of.alert(result));
            resumed.push((rule, shard, (of.rule, of.labels)));
        }
        let mut looked = self.engine.tick(just_before(first), source);
        looked.transitions.retain_mut(|change| {
            change.at = first;
            let of = |(_, _, (rule, labels)): &(usize, usize, (Arc<str>, Labels))| {
                *rule == change.rule && *labels == change.alert.labels
            };
            !resumed.iter().any(of)
        });
        for (rule, shard, key) in resumed {
            let Some(run) = self.engine.shards[shard].runs.get_mut(&rule) else { continue };
            let holds = |alert: &Alert| {
                alert.state == AlertState::Firing
                    && alert.held.is_none()
                    && alert.keep_firing_since.is_none()
                    && alert.memory.latched_since.is_none()
            };
            if run.rule.alerts.get(&key.1).is_some_and(holds) {
                self.open.insert(key);
            } else {
                run.rule.alerts.remove(&key.1);
            }
        }
        looked
    }
}

fn just_before(first: Timestamp) -> Timestamp {
    first - Duration::from_millis(1)
}

impl HistoricalAlert {
    /// As an alert that fires.
    fn alert(&self, result: Labels) -> Alert {
        Alert {
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            state: AlertState::Firing,
            value: self.value,
            active_at: self.fired_at,
            fired_at: Some(self.fired_at),
            resolved_at: None,
            held: None,
            reason: String::new(),
            keep_firing_since: None,
            paused: Duration::ZERO,
            result,
            inputs: Vec::new(),
            memory: Memory::default(),
        }
    }
}
