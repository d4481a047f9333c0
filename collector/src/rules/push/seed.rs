//! The past that the rules read, from the store: after a restart the operators know what they knew.

use std::collections::HashMap;

use hallwatch_model::sample::from_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::incremental::Graph;
use hallwatch_promql::{Matchers, Select, Series, Source, SourceError};

use super::routes::Routes;
use super::schedule::Schedule;
use super::{GroupInfo, PushEngine};
use crate::rules::rule::RuleSet;

impl PushEngine {
    /// Goes on with other rules: alerts of rules that have kept their group and name go on as they
    /// are, with their timers; those of rules that are gone end.
    ///
    /// # Errors
    /// When the source cannot be read; then the rules begin without a part of the past.
    pub fn reload(
        &mut self,
        rules: RuleSet,
        now: Timestamp,
        source: &dyn Source,
    ) -> Result<(), SourceError> {
        let mut next = Self::new(rules, self.save(), self.options.clone(), self.timing);
        // Whoever holds handles has to ask again.
        next.routes = Routes::after(&self.routes);
        for (site, index) in &self.by_site {
            let before = &self.shards[*index];
            let tenant_and_site = [("tenant", site.tenant()), ("site", site.site())];
            let shard = next.site(&Labels::from_pairs(tenant_and_site));
            next.shards[shard].watermarks.clone_from(&before.watermarks);
            next.shards[shard].advance(before.now);
        }
        next.shards[0].advance(self.shards[0].now);
        for group in &mut next.groups {
            let same = |of: &&GroupInfo| {
                of.group.file == group.group.file && of.group.name == group.group.name
            };
            group.last = self.groups.iter().find(same).and_then(|before| before.last);
        }
        next.schedule = Schedule::of(&next.groups);
        next.resolved = std::mem::take(&mut self.resolved);
        next.histories.digest = std::mem::take(&mut self.histories.digest);
        next.histories.changed = self.histories.changed;
        // What a site catches up with is evaluated by the rules of now.
        let read = next.seed_shards(now, source, &|_| true);
        *self = next;
        read
    }

    /// Reads back from `source` what the rules read of the time up to `now`, each as much as it
    /// needs.
    ///
    /// # Errors
    /// When the source cannot be read; what was read until then is known.
    pub fn seed(&mut self, now: Timestamp, source: &dyn Source) -> Result<(), SourceError> {
        self.seed_some(now, source, &|_| true)
    }

    /// As [`PushEngine::seed`], with these series alone.
    pub(super) fn seed_some(
        &mut self,
        now: Timestamp,
        source: &dyn Source,
        wanted: &dyn Fn(&Labels) -> bool,
    ) -> Result<(), SourceError> {
        for shard in &mut self.shards {
            shard.advance(now);
        }
        self.seed_shards(now, source, wanted)
    }

    /// Each shard at its own time: what is later than that waits.
    fn seed_shards(
        &mut self,
        now: Timestamp,
        source: &dyn Source,
        wanted: &dyn Fn(&Labels) -> bool,
    ) -> Result<(), SourceError> {
        let mut asked: HashMap<String, (Matchers, Timestamp)> = HashMap::new();
        for info in &self.rules {
            let mut graph = Graph::new(self.options.lookback);
            let pushed = info.rule.queries().all(|query| graph.add(query).is_ok());
            let start = if pushed { now - graph.reach() } else { now - self.options.lookback };
            for matchers in info.reads.iter() {
                let entry = asked.entry(matchers.to_string());
                let (_, from) = entry.or_insert_with(|| (matchers.clone(), start));
                *from = (*from).min(start);
            }
        }
        // A series that several selectors ask for is pushed with the longest past.
        let mut found: HashMap<Labels, Series> = HashMap::new();
        for (matchers, start) in asked.values() {
            let request = Select::new(matchers, *start, now);
            for series in source.select(&request)? {
                let longer = found
                    .get(&series.labels)
                    .is_none_or(|known| known.times.len() < series.times.len());
                if longer && wanted(&series.labels) {
                    found.insert(series.labels.clone(), series);
                }
            }
        }
        for (labels, Series { times, values, .. }) in found {
            for (time, value) in times.into_iter().zip(values) {
                let time = Timestamp::from_millis(time);
                self.push_to(&labels, Sample { time, value: from_float(value) });
            }
        }
        Ok(())
    }
}
