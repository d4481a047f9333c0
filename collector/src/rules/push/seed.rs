//! The past that the rules read, from the store: after a restart the operators know what they knew.

use std::collections::HashMap;

use hallwatch_model::sample::from_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::incremental::Graph;
use hallwatch_promql::{Matchers, Select, Series, Source, SourceError};

use super::PushEngine;

impl PushEngine {
    /// Reads back from `source` what the rules read of the time up to `now`, each as much as it
    /// needs.
    ///
    /// # Errors
    /// When the source cannot be read; what was read until then is known.
    pub fn seed(&mut self, now: Timestamp, source: &dyn Source) -> Result<(), SourceError> {
        let mut wanted: HashMap<String, (Matchers, Timestamp)> = HashMap::new();
        for info in &self.rules {
            let mut graph = Graph::new(self.options.lookback);
            let pushed = info.rule.queries().all(|query| graph.add(query).is_ok());
            let start = if pushed { now - graph.reach() } else { now - self.options.lookback };
            for matchers in info.reads.iter() {
                let entry = wanted.entry(matchers.to_string());
                let (_, from) = entry.or_insert_with(|| (matchers.clone(), start));
                *from = (*from).min(start);
            }
        }
        for shard in &mut self.shards {
            shard.advance(now);
        }
        // A series that several selectors ask for is pushed with the longest past.
        let mut found: HashMap<Labels, Series> = HashMap::new();
        for (matchers, start) in wanted.values() {
            let request = Select { matchers, start: *start, end: now };
            for series in source.select(&request)? {
                let longer = found
                    .get(&series.labels)
                    .is_none_or(|known| known.times.len() < series.times.len());
                if longer {
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
