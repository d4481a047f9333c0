//! Which inputs of a rule have a fresh value, at one evaluation.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::sample::is_missing;
use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::incremental::Graph;
use hallwatch_promql::{Select, Source, SourceError};

use super::inputs::Input;

/// The most inputs that an alert remembers; a rule over more of them is held by the first ones.
pub(super) const MAX_REMEMBERED: usize = 64;

/// Who knows the newest sample of each series.
#[derive(Clone, Copy)]
pub(super) enum Newest<'e> {
    /// What is stored.
    Source(&'e dyn Source),
    /// The operators that the series push. They are asked where something has to be known, one by
    /// one: when many alerts come and go, to collect everything each time is what costs most.
    Operators(&'e Graph),
}

/// What is there, input by input.
pub(super) struct Evidence<'r> {
    inputs: Vec<&'r Input>,
    /// So many of them are those of the rule's own expression.
    own: usize,
    found: Found<'r>,
    /// The first time of a sample that counts, and the last.
    within: (Timestamp, Timestamp),
}

enum Found<'r> {
    /// By input: whether the newest sample is a value.
    Collected(Vec<BTreeMap<Labels, bool>>),
    Operators(&'r Graph),
}

impl<'r> Evidence<'r> {
    /// Looks at the last sample of every series of `own` and `more` within `lookback`.
    pub(super) fn gather(
        own: &'r [Input],
        more: &'r [Input],
        newest: Newest<'r>,
        now: Timestamp,
        lookback: Duration,
    ) -> Result<Self, SourceError> {
        let inputs: Vec<&Input> = own.iter().chain(more).collect();
        // As a selector has it: what is as old as `lookback` is no value any more.
        let within = (now - lookback + Duration::from_millis(1), now);
        let found = match newest {
            Newest::Operators(graph) => Found::Operators(graph),
            Newest::Source(source) => {
                let collect = |input: &&Input| {
                    let request = Select::new(&input.matchers, within.0, within.1);
                    let series = source.select(&request)?.into_iter();
                    let fresh = series.filter_map(|series| {
                        let last = series.values.last()?;
                        Some((series.labels, !is_missing(*last)))
                    });
                    Ok(fresh.collect())
                };
                Found::Collected(inputs.iter().map(collect).collect::<Result<_, SourceError>>()?)
            }
        };
        Ok(Self { inputs, own: own.len(), found, within })
    }

    /// Hands over the series of the input with this number, and whether they are fresh.
    fn each(&self, index: usize, mut f: impl FnMut(&Labels, bool)) {
        match &self.found {
            Found::Collected(found) => {
                found
                    .get(index)
                    .into_iter()
                    .flatten()
                    .for_each(|(labels, fresh)| f(labels, *fresh));
            }
            Found::Operators(graph) => {
                graph.latest(&self.inputs[index].matchers, |labels, at, value| {
                    if self.counts(at) {
                        f(labels, !is_missing(value));
                    }
                })
            }
        }
    }

    fn counts(&self, time: Timestamp) -> bool {
        (self.within.0..=self.within.1).contains(&time)
    }

    /// A number that stays the same as long as the same series are fresh.
    pub(super) fn signature(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (index, input) in self.inputs.iter().enumerate() {
            index.hash(&mut hasher);
            let version = match &self.found {
                Found::Operators(graph) => graph.version(&input.matchers),
                Found::Collected(_) => None,
            };
            match version {
                Some(version) => version.hash(&mut hasher),
                None => self.each(index, |labels, fresh| {
                    if fresh {
                        labels.hash(&mut hasher);
                    }
                }),
            }
        }
        hasher.finish()
    }

    /// The fresh series that the result `result` may rest on.
    pub(super) fn behind(&self, result: &Labels) -> Vec<Labels> {
        let mut behind = BTreeSet::new();
        for (index, input) in self.inputs.iter().enumerate() {
            self.each(index, |labels, fresh| {
                if fresh && input.feeds(labels, result, None) {
                    behind.insert(labels.clone());
                }
            });
        }
        behind.into_iter().take(MAX_REMEMBERED).collect()
    }

    /// The series, fresh or not, that a result which agrees with `result` in `on` may rest on.
    pub(super) fn near(&self, result: &Labels, on: Option<&[Arc<str>]>) -> BTreeSet<Labels> {
        let mut near = BTreeSet::new();
        for (index, input) in self.inputs.iter().enumerate() {
            self.each(index, |labels, _| {
                if input.feeds(labels, result, on) {
                    near.insert(labels.clone());
                }
            });
        }
        near
    }

    /// Those of `remembered` that have no fresh value.
    pub(super) fn gone(&self, remembered: &[Labels]) -> Vec<Labels> {
        let fresh = |labels: &&Labels| match &self.found {
            Found::Collected(found) => {
                found.iter().any(|series| series.get(*labels).is_some_and(|fresh| *fresh))
            }
            Found::Operators(graph) => graph.newest(labels).is_some_and(|(at, value)| {
                let is_input = || self.inputs.iter().any(|input| input.matchers.matches(labels));
                self.counts(at) && !is_missing(value) && is_input()
            }),
        };
        remembered.iter().filter(|labels| !fresh(labels)).cloned().collect()
    }

    /// The labels that results would have which rest on a series whose last value is missing, and
    /// how many such series each has.
    pub(super) fn missing(&self) -> BTreeMap<Labels, usize> {
        let mut missing = BTreeMap::new();
        for (index, input) in self.inputs.iter().take(self.own).enumerate() {
            self.each(index, |labels, fresh| {
                if !fresh {
                    *missing.entry(input.carried(labels)).or_insert(0) += 1;
                }
            });
        }
        missing
    }
}
