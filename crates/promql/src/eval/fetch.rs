//! Getting samples from the source, once for each selector of a query, however often it stands there.

use std::collections::HashMap;

use hallwatch_model::Timestamp;

use super::{Eval, summaries};
use crate::error::Error;
use crate::matchers::Matchers;
use crate::plan::{Kind, Node};
use crate::source::{Found, Purpose, Select, Series};

/// What was read for the selectors that stand in a query more than once.
#[derive(Default)]
pub(super) struct Cache {
    /// How often each selector is still to be asked for.
    uses: HashMap<String, usize>,
    read: HashMap<String, Read>,
}

struct Read {
    after: i64,
    end: i64,
    series: Vec<Series>,
}

impl Cache {
    pub(super) fn new(plan: &Node) -> Self {
        let mut uses: HashMap<String, usize> = HashMap::new();
        plan.visit(&mut |node| {
            if let Kind::Select(select) | Kind::Window { select, .. } = &node.kind {
                *uses.entry(select.matchers.to_string()).or_default() += 1;
            }
        });
        uses.retain(|_, count| *count > 1);
        Self { uses, read: HashMap::new() }
    }

    /// Whether to keep what is read for this selector now.
    fn is_shared(&mut self, key: &str) -> bool {
        self.uses.get_mut(key).is_some_and(|count| {
            *count = count.saturating_sub(1);
            *count > 0
        })
    }

    fn get(&self, key: &str, after: i64, end: i64) -> Option<Vec<Series>> {
        let read = self.read.get(key).filter(|read| read.after <= after && read.end >= end)?;
        let cut = read.series.iter().map(|series| {
            let from = series.times.partition_point(|time| *time <= after);
            let to = series.times.partition_point(|time| *time <= end).max(from);
            let (times, values) = (&series.times[from..to], &series.values[from..to]);
            let labels = series.labels.clone();
            Series { labels, times: times.to_vec(), values: values.to_vec() }
        });
        Some(cut.filter(|series| !series.times.is_empty()).collect())
    }
}

pub(super) fn length(series: &[Series]) -> usize {
    series.iter().map(|series| series.times.len()).sum()
}

impl Eval<'_> {
    /// The samples later than `after` and up to `end`. The caller releases what they hold.
    pub(super) fn fetch(
        &mut self,
        matchers: &Matchers,
        (after, end): (i64, i64),
        purpose: &Purpose,
    ) -> Result<Found, Error> {
        self.check()?;
        if self.cache.uses.is_empty() {
            return self.read(matchers, (after, end), purpose);
        }
        let key = matchers.to_string();
        let shared = self.cache.is_shared(&key);
        if let Some(series) = self.cache.get(&key, after, end) {
            self.hold(length(&series))?;
            if !shared && let Some(read) = self.cache.read.remove(&key) {
                self.release(length(&read.series));
            }
            return Ok(Found::Samples(series));
        }
        let found = self.read(matchers, (after, end), purpose)?;
        if let (true, Found::Samples(series)) = (shared, &found) {
            self.hold(length(series))?;
            let read = Read { after, end, series: series.clone() };
            if let Some(replaced) = self.cache.read.insert(key, read) {
                self.release(length(&replaced.series));
            }
        }
        Ok(found)
    }

    fn read(
        &mut self,
        matchers: &Matchers,
        (after, end): (i64, i64),
        purpose: &Purpose,
    ) -> Result<Found, Error> {
        let start = Timestamp::from_millis(after.saturating_add(1));
        let request = Select { matchers, start, end: Timestamp::from_millis(end) };
        let found = self
            .source
            .select_for(&request, purpose)
            .map_err(|source| Error::Source { matchers: matchers.to_string(), source })?;
        let read = match &found {
            Found::Samples(series) => length(series),
            Found::Summaries(summaries) => {
                self.remark(summaries, purpose);
                summaries::length(&summaries.series)
            }
        };
        self.samples_read += read;
        self.hold(read)?;
        Ok(found)
    }
}
