//! Which inputs of a rule have a fresh value, at one evaluation.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::sample::is_missing;
use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::{Select, Source, SourceError};

use super::inputs::Input;

/// The most inputs that an alert remembers; a rule over more of them is held by the first ones.
pub(super) const MAX_REMEMBERED: usize = 64;

/// What is there, input by input.
pub(super) struct Evidence<'r> {
    inputs: Vec<(&'r Input, BTreeMap<Labels, bool>)>,
    /// So many of them are those of the rule's own expression.
    own: usize,
}

impl<'r> Evidence<'r> {
    /// Looks at the last sample of every series of `own` and `more` within `lookback`.
    pub(super) fn gather(
        own: &'r [Input],
        more: &'r [Input],
        source: &dyn Source,
        now: Timestamp,
        lookback: Duration,
    ) -> Result<Self, SourceError> {
        let mut found = Vec::with_capacity(own.len() + more.len());
        for input in own.iter().chain(more) {
            // As a selector has it: what is as old as `lookback` is no value any more.
            let start = now - lookback + Duration::from_millis(1);
            let request = Select::new(&input.matchers, start, now);
            let series = source.select(&request)?;
            let fresh = series.into_iter().filter_map(|series| {
                let last = series.values.last()?;
                Some((series.labels, !is_missing(*last)))
            });
            found.push((input, fresh.collect()));
        }
        Ok(Self { inputs: found, own: own.len() })
    }

    /// A number that stays the same as long as the same series are fresh.
    pub(super) fn signature(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (index, (_, series)) in self.inputs.iter().enumerate() {
            index.hash(&mut hasher);
            series
                .iter()
                .filter(|(_, fresh)| **fresh)
                .for_each(|(labels, _)| labels.hash(&mut hasher));
        }
        hasher.finish()
    }

    /// The fresh series that the result `result` may rest on.
    pub(super) fn behind(&self, result: &Labels) -> Vec<Labels> {
        let mut behind = BTreeSet::new();
        for (input, series) in &self.inputs {
            let fresh = series.iter().filter(|(_, fresh)| **fresh).map(|(labels, _)| labels);
            behind.extend(fresh.filter(|labels| input.feeds(labels, result, None)).cloned());
        }
        behind.into_iter().take(MAX_REMEMBERED).collect()
    }

    /// The series, fresh or not, that a result which agrees with `result` in `on` may rest on.
    pub(super) fn near(&self, result: &Labels, on: Option<&[Arc<str>]>) -> BTreeSet<Labels> {
        let mut near = BTreeSet::new();
        for (input, series) in &self.inputs {
            near.extend(series.keys().filter(|labels| input.feeds(labels, result, on)).cloned());
        }
        near
    }

    /// Those of `remembered` that have no fresh value.
    pub(super) fn gone(&self, remembered: &[Labels]) -> Vec<Labels> {
        let fresh = |labels: &&Labels| {
            self.inputs.iter().any(|(_, series)| series.get(*labels).is_some_and(|fresh| *fresh))
        };
        remembered.iter().filter(|labels| !fresh(labels)).cloned().collect()
    }

    /// The labels that results would have which rest on a series whose last value is missing, and
    /// how many such series each has.
    pub(super) fn missing(&self) -> BTreeMap<Labels, usize> {
        let mut missing = BTreeMap::new();
        for (input, series) in self.inputs.iter().take(self.own) {
            for (labels, _) in series.iter().filter(|(_, fresh)| !**fresh) {
                *missing.entry(input.carried(labels)).or_insert(0) += 1;
            }
        }
        missing
    }
}
