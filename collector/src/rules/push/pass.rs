//! One look at the rules that have something to say, in the order of the files: a rule sees what
//! the rules before it have recorded.

use std::collections::BTreeSet;

use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Sample, Timestamp, chain};
use hallwatch_promql::incremental::{Graph, RootId};
use hallwatch_promql::{InstantSample, Source};

use super::PushEngine;
use super::routes::Target;
use super::shard::Roots;
use crate::rules::alert::AlertState;
use crate::rules::engine::conditions::{self, Expressions};
use crate::rules::engine::{Evaluation, MAX_RESOLVED, RESOLVED_SHOWN};
use crate::rules::evidence::Newest;
use crate::rules::overlay::Overlay;

impl PushEngine {
    /// Looks at these shards. At a tick, `due` says which groups, in order, are to be evaluated
    /// whatever has changed.
    pub(super) fn pass(
        &mut self,
        shards: &BTreeSet<usize>,
        due: Option<&[usize]>,
        now: Timestamp,
        source: &dyn Source,
        evaluation: &mut Evaluation,
    ) {
        // What a rule records for one before it is seen at the next look, as in Prometheus.
        let mut work = BTreeSet::new();
        let mut later = BTreeSet::new();
        for (rule, shard) in std::mem::take(&mut self.work) {
            let set = if shards.contains(&shard) { &mut work } else { &mut later };
            set.insert((rule, shard));
        }
        for shard in shards {
            let time = self.event_time(*shard, now);
            let of = &mut self.shards[*shard];
            of.advance(time);
            if due.is_some() {
                of.graph.tick();
            } else {
                of.graph.settle();
            }
            let concerned = of.changed().into_iter().chain(of.timers());
            work.extend(concerned.map(|rule| (rule, *shard)));
        }
        if let Some(due) = due {
            for shard in shards.iter().filter(|shard| !self.shards[**shard].busy.is_empty()) {
                let busy = &self.shards[*shard].busy;
                let rules =
                    due.iter().flat_map(|group| busy.range(self.groups[*group].rules.clone()));
                work.extend(rules.map(|rule| (*rule, *shard)));
            }
        }
        while let Some((rule, shard)) = work.pop_first() {
            let batch = self.shards[shard].runs.get(&rule).is_none_or(|run| run.roots.is_none());
            let group = self.rules[rule].group;
            if batch && due.is_none_or(|due| due.binary_search(&group).is_err()) {
                continue;
            }
            let written = self.conclude(rule, shard, due.is_some(), source, evaluation);
            for (labels, sample) in written {
                let handle = self.meet(&labels);
                let value = to_float(sample.value);
                self.find_targets(handle);
                let targets = self.routes.get(handle).and_then(|route| route.targets);
                for Target { shard: to, series } in targets.into_iter().flatten().flatten() {
                    let to = to as usize;
                    let of = &mut self.shards[to];
                    of.graph.push(series, sample.time, value);
                    of.graph.settle();
                    for next in of.changed() {
                        let set = if next > rule && shards.contains(&to) {
                            &mut work
                        } else {
                            &mut later
                        };
                        set.insert((next, to));
                    }
                }
                evaluation.samples.push((labels, sample));
            }
        }
        self.work.append(&mut later);
        self.remember(now, evaluation);
    }

    /// The samples that a rule has to write.
    fn conclude(
        &mut self,
        rule: usize,
        shard: usize,
        tick: bool,
        source: &dyn Source,
        evaluation: &mut Evaluation,
    ) -> Vec<(Labels, Sample)> {
        let info = &self.rules[rule];
        let group = &self.groups[info.group];
        let (limit, interval) = (group.group.limit, group.interval);
        let of = &mut self.shards[shard];
        let now = of.now;
        let Some(run) = of.runs.get_mut(&rule) else { return Vec::new() };
        let samples = match run.roots {
            Some(roots) => {
                let newest = Newest::Operators(&of.graph);
                let operators = Operators { graph: &of.graph, roots, now };
                run.rule.conclude(&operators, now, newest, limit, &self.options, evaluation)
            }
            None => {
                let fresh = std::mem::take(&mut evaluation.samples);
                let overlay = Overlay { below: source, fresh };
                let samples = run.rule.evaluate(now, &overlay, limit, &self.options, evaluation);
                evaluation.samples = overlay.fresh;
                samples
            }
        };
        // Between ticks only what is new is written; at a tick what was not written of late.
        let half = interval / 2;
        let wrote = &mut run.wrote;
        let written = samples
            .into_iter()
            .filter(|(labels, sample)| {
                let Ok(value) = sample.value else {
                    wrote.remove(labels);
                    return true;
                };
                let known = wrote.get(labels).copied();
                let news = known.is_none_or(|(bits, at)| {
                    bits != value.to_bits() || (tick && now.since(at) >= half && now > at)
                });
                if news {
                    wrote.insert(labels.clone(), (value.to_bits(), now));
                }
                news
            })
            .collect();
        of.set_timer(rule, &self.options);
        of.set_busy(rule);
        written
    }

    /// How far the time of a shard has come. Agents that hang back further than the wait, and sites
    /// that do, are not waited for; nobody is ahead of the collector's clock.
    pub(super) fn event_time(&self, shard: usize, now: Timestamp) -> Timestamp {
        let earliest = now - self.timing.wait;
        let reached = if shard == 0 {
            let sites = self.shards.iter().skip(1).filter(|shard| !shard.watermarks.is_empty());
            sites.filter_map(|shard| slowest(shard.watermarks.values(), earliest)).min()
        } else {
            slowest(self.shards[shard].watermarks.values(), earliest)
        };
        let waits = !self.shards[shard].watermarks.is_empty() || (shard == 0 && reached.is_some());
        let time = reached.unwrap_or(if waits { earliest } else { now });
        time.clamp(earliest, now).max(self.shards[shard].now)
    }

    fn remember(&mut self, now: Timestamp, evaluation: &Evaluation) {
        for transition in &evaluation.transitions {
            if transition.to == AlertState::Resolved {
                self.resolved.push_back(transition.alert.clone());
            }
        }
        let old = |alert: &crate::rules::Alert| {
            alert.resolved_at.is_none_or(|resolved| now.since(resolved) > RESOLVED_SHOWN)
        };
        while self.resolved.len() > MAX_RESOLVED || self.resolved.front().is_some_and(old) {
            self.resolved.pop_front();
        }
    }
}

/// What a rule's operators say.
struct Operators<'g> {
    graph: &'g Graph,
    roots: Roots,
    now: Timestamp,
}

impl Operators<'_> {
    fn rows(&self, root: Option<RootId>) -> conditions::Result {
        let Some(root) = root else { return Ok(Vec::new()) };
        let rows = self.graph.result(root).map_err(|error| chain(&error))?.into_iter();
        let row = |(labels, value)| InstantSample { labels, time: self.now, value };
        Ok(rows.map(row).collect())
    }
}

impl Expressions for Operators<'_> {
    fn own(&self) -> conditions::Result {
        self.rows(Some(self.roots.own))
    }

    fn clear(&self) -> conditions::Result {
        self.rows(self.roots.clear)
    }

    fn expect(&self) -> conditions::Result {
        self.rows(self.roots.expect)
    }
}

/// The watermark that is furthest behind, of those that are not left behind.
fn slowest<'w>(
    watermarks: impl Iterator<Item = &'w Timestamp>,
    earliest: Timestamp,
) -> Option<Timestamp> {
    watermarks.copied().filter(|watermark| *watermark > earliest).min()
}
