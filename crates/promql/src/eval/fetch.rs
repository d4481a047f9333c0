//! Getting samples from the source, once for each selector of a query, however often it stands there.

use std::collections::HashMap;

use hallwatch_model::Timestamp;

use super::{Eval, summaries};
use crate::error::Error;
use crate::matchers::Matchers;
use crate::plan::{Kind, Node};
use crate::source::{Budget, Found, Purpose, Select, Series};

/// What was read for the selectors that stand in a query more than once.
#[derive(Default)]
pub(super) struct Cache {
    uses: HashMap<String, Uses>,
    read: HashMap<String, Read>,
}

/// Where a selector stands.
#[derive(Default)]
struct Uses {
    /// How often it is still to be asked for.
    left: usize,
    /// Somewhere for windows, which need each sample.
    in_windows: bool,
}

struct Read {
    after: i64,
    end: i64,
    /// Samples, or the last ones.
    found: Found,
}

impl Cache {
    pub(super) fn new(plan: &Node) -> Self {
        let mut uses: HashMap<String, Uses> = HashMap::new();
        plan.visit(&mut |node| {
            if let Kind::Select(select) | Kind::Window { select, .. } = &node.kind {
                let uses = uses.entry(select.matchers.to_string()).or_default();
                uses.left += 1;
                uses.in_windows |= matches!(node.kind, Kind::Window { .. });
            }
        });
        uses.retain(|_, uses| uses.left > 1);
        Self { uses, read: HashMap::new() }
    }

    /// Whether to keep what is read for this selector now, and whether windows need it, too.
    fn is_shared(&mut self, key: &str) -> (bool, bool) {
        self.uses.get_mut(key).map_or((false, false), |uses| {
            uses.left = uses.left.saturating_sub(1);
            (uses.left > 0, uses.in_windows)
        })
    }

    fn get(&self, key: &str, after: i64, end: i64, only_last: bool) -> Option<Found> {
        let read = self.read.get(key)?;
        match &read.found {
            Found::Samples(series) if read.after <= after && read.end >= end => {
                Some(Found::Samples(cut(series, after, end)))
            }
            // These are the last before no other time.
            Found::Lasts(lasts) if only_last && (read.after, read.end) == (after, end) => {
                Some(Found::Lasts(lasts.clone()))
            }
            _ => None,
        }
    }
}

fn cut(series: &[Series], after: i64, end: i64) -> Vec<Series> {
    let cut = series.iter().map(|series| {
        let from = series.times.partition_point(|time| *time <= after);
        let to = series.times.partition_point(|time| *time <= end).max(from);
        let (times, values) = (&series.times[from..to], &series.values[from..to]);
        let labels = series.labels.clone();
        Series { labels, times: times.to_vec(), values: values.to_vec() }
    });
    cut.filter(|series| !series.times.is_empty()).collect()
}

pub(super) fn length(series: &[Series]) -> usize {
    series.iter().map(|series| series.times.len()).sum()
}

/// How many cells it takes.
fn size(found: &Found) -> usize {
    match found {
        Found::Samples(series) => length(series),
        Found::Lasts(lasts) => lasts.len(),
        Found::Summaries(found) => summaries::length(&found.series),
    }
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
        let (shared, in_windows) = self.cache.is_shared(&key);
        let purpose = Purpose { only_last: purpose.only_last && !in_windows, ..*purpose };
        if let Some(found) = self.cache.get(&key, after, end, purpose.only_last) {
            self.hold(size(&found))?;
            if !shared && let Some(read) = self.cache.read.remove(&key) {
                self.release(size(&read.found));
            }
            return Ok(found);
        }
        let found = self.read(matchers, (after, end), &purpose)?;
        if shared && !matches!(found, Found::Summaries(_)) {
            self.hold(size(&found))?;
            let read = Read { after, end, found: found.clone() };
            if let Some(replaced) = self.cache.read.insert(key, read) {
                self.release(size(&replaced.found));
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
        let budget = Budget::new(self.limits, self.held);
        let end = Timestamp::from_millis(end);
        let request = Select { matchers, start, end, budget: Some(&budget) };
        let found = match self.source.select_for(&request, purpose) {
            Ok(found) => found,
            Err(_) if budget.is_spent() => {
                return Err(Error::TooManySamples { limit: self.limits.max_samples });
            }
            Err(source) => {
                // Who gave up because of the query says nothing of the source.
                self.check()?;
                return Err(Error::Source { matchers: matchers.to_string(), source });
            }
        };
        if let Found::Summaries(summaries) = &found {
            self.remark(summaries, purpose);
        }
        let read = size(&found);
        self.samples_read += read;
        self.hold(read)?;
        Ok(found)
    }
}
