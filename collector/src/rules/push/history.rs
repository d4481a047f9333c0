//! What came too late to be news: it is evaluated as of its own time, for the digest alone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::sample::from_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::Source;

use super::{GroupInfo, PushEngine, Pushed, Received, RuleInfo, Timing};
use crate::rules::alert::{Alert, AlertState};
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
    catching_up: HashMap<usize, (Box<PushEngine>, Timestamp)>,
    pub(super) digest: VecDeque<HistoricalAlert>,
    /// Since it was last written down.
    pub(super) changed: bool,
}

impl Histories {
    /// The site sends news again: what is left of its backlog is over.
    pub(super) fn live(&mut self, shard: usize, now: Timestamp) {
        if let Some((_, last)) = self.catching_up.get(&shard)
            && now.since(*last) > Duration::from_secs(5)
        {
            self.catching_up.remove(&shard);
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.catching_up.retain(|_, (_, last)| now.since(*last) <= IDLE);
    }

    fn note(&mut self, evaluation: &Evaluation, learnt_at: Timestamp) {
        for change in &evaluation.transitions {
            let alert = &change.alert;
            if change.to == AlertState::Firing && change.from != AlertState::Firing {
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
            } else if change.to == AlertState::Resolved {
                let open = self.digest.iter_mut().rev().find(|known| {
                    known.rule == change.rule
                        && known.labels == alert.labels
                        && known.resolved_at.is_none()
                });
                if let Some(open) = open {
                    open.resolved_at = Some(change.at);
                    self.changed = true;
                }
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
            let (mut engine, _) = match self.histories.catching_up.remove(&shard) {
                Some(known) => known,
                None => (Box::new(self.past(first, source)), now),
            };
            // A moment at a time: what lasted for a second has to be seen.
            for moment in samples.chunk_by(|(_, a), (_, b)| a.time == b.time) {
                let Some((_, sample)) = moment.first() else { continue };
                let received = Received { samples: moment, watermark: None, backfill: false };
                let mut evaluation = engine.receive(received, sample.time, source);
                let ticked = engine.tick(sample.time, source);
                evaluation.transitions.extend(ticked.transitions);
                self.note_past(shard, evaluation, now);
            }
            let ended = engine.tick(last, source);
            self.note_past(shard, ended, now);
            self.histories.catching_up.insert(shard, (engine, now));
        }
    }

    /// Takes note of what of this is not known to people as an alert of its time.
    fn note_past(&mut self, shard: usize, mut evaluation: Evaluation, now: Timestamp) {
        evaluation.transitions.retain(|change| {
            change.to != AlertState::Firing || !self.fired(shard, &change.rule, change)
        });
        self.histories.note(&evaluation, now);
    }

    /// Whether the alert fired then, as of what was known then: after a restart a backlog of some
    /// seconds is all that an alert of hours has of its past.
    fn fired(&self, shard: usize, rule: &str, then: &Transition) -> bool {
        let is_it = |alert: &Alert| {
            alert.labels == then.alert.labels
                && alert.fired_at.is_some_and(|fired| fired <= then.at)
                && alert.resolved_at.is_none_or(|resolved| then.at <= resolved)
        };
        let mut runs = self.shards[shard].runs.values().map(|run| &run.rule);
        let live = runs.find(|run| &*run.key == rule);
        let live = live.and_then(|run| run.alerts.get(&then.alert.labels));
        live.is_some_and(is_it) || self.resolved.iter().any(is_it)
    }

    /// An engine for what was, with the past before `first`.
    fn past(&self, first: Timestamp, source: &dyn Source) -> Self {
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
        if let Err(error) = engine.seed(first - Duration::from_millis(1), source) {
            tracing::warn!(%error, "a backlog is evaluated without what was before it");
        }
        engine
    }
}
