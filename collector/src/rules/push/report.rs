//! What the engine shows of itself.

use std::sync::Arc;

use hallwatch_model::Timestamp;
use hallwatch_promql::incremental::{Memory, Obstacle};

use super::{HistoricalAlert, PushEngine};
use crate::rules::engine::SavedAlert;
use crate::rules::view::{GroupView, Health, Inside, Reload, RuleView, View};

/// A rule that is evaluated in batch at the interval of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The rule: `group/name`.
    pub rule: Arc<str>,
    /// Why.
    pub obstacle: Obstacle,
}

/// What the engine takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of operators and series.
    pub memory: Memory,
    /// Rules in the sites where they have something to read.
    pub instances: usize,
    /// Sites, and one for everything.
    pub shards: usize,
}

impl PushEngine {
    /// The rules that cannot be pushed.
    #[must_use]
    pub fn fallbacks(&self) -> Vec<Fallback> {
        let of = |info: &super::RuleInfo| {
            let obstacle = info.obstacle?;
            Some(Fallback { rule: info.key.clone(), obstacle })
        };
        self.rules.iter().filter_map(of).collect()
    }

    /// What it takes.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let memory = self.shards.iter().map(|shard| shard.graph.memory());
        Usage {
            memory: memory.fold(Memory::default(), Memory::plus),
            instances: self.shards.iter().map(|shard| shard.runs.len()).sum(),
            shards: self.shards.len(),
        }
    }

    /// Alerts of the past that were learnt of too late, the newest last; at most 1,000.
    pub fn digest(&self) -> impl Iterator<Item = &HistoricalAlert> {
        self.histories.digest.iter()
    }

    /// The digest, when it has changed since it was asked for.
    pub fn changed_digest(&mut self) -> Option<Vec<HistoricalAlert>> {
        std::mem::take(&mut self.histories.changed).then(|| self.digest().cloned().collect())
    }

    /// Goes on with the digest that was saved.
    pub fn restore_digest(&mut self, digest: Vec<HistoricalAlert>) {
        self.histories.digest = digest.into();
    }

    /// When something will happen without a sample, in event time.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(|shard| shard.next_timer()).min()
    }

    /// All alerts, for an engine with other rules to go on with.
    #[must_use]
    pub fn save(&self) -> Vec<SavedAlert> {
        let runs = self.shards.iter().flat_map(|shard| shard.runs.values());
        let saved = runs.flat_map(|run| {
            run.rule
                .alerts
                .values()
                .map(|alert| SavedAlert { rule: run.rule.key.clone(), alert: alert.clone() })
        });
        saved.chain(self.orphans.iter().cloned()).collect()
    }

    /// What there is to be seen, and what it takes.
    #[must_use]
    pub fn inside(&self, reload: Reload) -> Inside {
        Inside {
            view: self.view(),
            fallbacks: self.fallbacks(),
            digest: self.digest().cloned().collect(),
            usage: self.usage(),
            reload,
        }
    }

    /// What there is to be seen.
    #[must_use]
    pub fn view(&self) -> View {
        let rules: Vec<(usize, RuleView)> = (0..self.rules.len()).map(|at| self.rule(at)).collect();
        let mut rules = rules.into_iter().peekable();
        let mut groups = Vec::with_capacity(self.groups.len());
        for (number, info) in self.groups.iter().enumerate() {
            let mut of = Vec::new();
            while let Some((_, rule)) = rules.next_if(|(group, _)| *group == number) {
                of.push(rule);
            }
            groups.push(GroupView {
                file: info.group.file.clone(),
                name: info.group.name.clone(),
                interval: info.interval,
                limit: info.group.limit,
                last_evaluation: info.last,
                rules: of,
            });
        }
        View { groups, resolved: self.resolved.iter().cloned().collect() }
    }

    /// A rule with its alerts of all sites; and its group.
    fn rule(&self, rule: usize) -> (usize, RuleView) {
        let info = &self.rules[rule];
        let last = self.groups[info.group].last;
        let mut runs = self.shards.iter().filter_map(|shard| shard.runs.get(&rule));
        let mut view = match runs.next() {
            Some(run) => run.rule.view(last, &self.options),
            // No site has anything for it to read.
            None => {
                let mut run = super::Run::new(info.rule.clone(), info.key.clone()).rule;
                if last.is_some() {
                    run.health = Health::Ok;
                }
                run.view(last, &self.options)
            }
        };
        for run in runs {
            let other = run.rule.view(last, &self.options);
            if matches!(other.health, Health::Err(_)) {
                view.health = other.health;
            }
            if let (Some(view), Some(other)) = (&mut view.alerting, other.alerting) {
                view.alerts.extend(other.alerts);
                view.alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
            }
        }
        (info.group, view)
    }
}
