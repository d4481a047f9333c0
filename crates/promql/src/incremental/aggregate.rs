//! Aggregations: a group is calculated anew when one of its rows has changed.

use hallwatch_model::Labels;

use super::matched::{Groups, Key, Members, NONE};
use super::node::{ABSENT, Node, NodeId, Out, Slot, at, is_absent, name};
use super::scalar::scalar;
use crate::error::Error;
use crate::functions::aggregate::{
    Aggregation, Best, Count, Deviation, Fold, Group as Any, Max, Min, Variance,
};
use crate::functions::histogram::{self, Bucket};
use crate::functions::sum::{Mean, Sum, quantile};

#[derive(Debug)]
pub(super) struct Aggregate {
    pub(super) vector: NodeId,
    pub(super) what: What,
    groups: Groups,
    group_of: Vec<u32>,
    states: Vec<State>,
    /// Of histograms: the upper bound of each row.
    bounds: Vec<f64>,
    error: Option<Bad>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Fold(Aggregation),
    Quantile(NodeId),
    /// `topk` and `bottomk`.
    Best {
        largest: bool,
        k: NodeId,
    },
    /// `histogram_quantile`.
    Histogram(NodeId),
}

#[derive(Clone, Debug, Default)]
struct State {
    members: Members,
    dirty: bool,
    /// Of `topk`: the rows that are in the result.
    kept: Vec<Slot>,
}

/// A parameter that `topk` cannot take.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Nan,
    Overflow(f64),
}

impl Aggregate {
    pub(super) fn new(vector: NodeId, key: Key, what: What) -> Self {
        Self {
            vector,
            what,
            groups: Groups::new(key),
            group_of: Vec::new(),
            states: Vec::new(),
            bounds: Vec::new(),
            error: None,
        }
    }

    /// Whether only matters which rows have a value.
    pub(super) fn counts(&self) -> bool {
        matches!(self.what, What::Fold(Aggregation::Count | Aggregation::Group))
    }

    /// The input with number 0 is the vector; a change of the parameter concerns all groups.
    pub(super) fn process(
        &mut self,
        below: &[Node],
        inbox: &[(u8, Slot)],
        refresh: bool,
        now: i64,
        out: &mut Out,
    ) {
        let values = &below[at(self.vector)].out.values;
        let mut dirty: Vec<u32> = Vec::new();
        for (_, slot) in inbox.iter().filter(|(port, _)| *port == 0) {
            let Some(group) = self.group(below, *slot, out) else { continue };
            let state = &mut self.states[at(group)];
            state.members.update(*slot, !is_absent(values[at(*slot)]));
            if !std::mem::replace(&mut state.dirty, true) {
                dirty.push(group);
            }
        }
        if refresh || inbox.iter().any(|(port, _)| *port > 0) {
            dirty = (0..super::node::number(self.states.len())).collect();
        }
        let param = match self.what {
            What::Fold(_) => 0.0,
            What::Quantile(param) | What::Best { k: param, .. } | What::Histogram(param) => {
                scalar(below, param, now)
            }
        };
        if let What::Best { largest, .. } = self.what {
            out.grow(values.len());
            self.error = bad(param);
            if self.error.is_none() {
                dirty.iter().for_each(|group| self.best(*group, values, (largest, param), out));
            }
            return;
        }
        for group in dirty {
            let state = &mut self.states[at(group)];
            state.dirty = false;
            let members = state.members.rows().iter().map(|slot| values[at(*slot)]);
            let value = match self.what {
                What::Fold(op) => folded(op, members),
                What::Quantile(_) => {
                    let mut members: Vec<f64> = members.collect();
                    if members.is_empty() { ABSENT } else { quantile(param, &mut members) }
                }
                _ => {
                    let bounds = &self.bounds;
                    let bucket = |slot: &Slot| Bucket {
                        upper_bound: bounds[at(*slot)],
                        count: values[at(*slot)],
                    };
                    let mut buckets: Vec<Bucket> =
                        state.members.rows().iter().map(bucket).collect();
                    if buckets.is_empty() {
                        ABSENT
                    } else {
                        histogram::quantile(param, &mut buckets).value
                    }
                }
            };
            out.set(group, value);
        }
    }

    fn group(&mut self, below: &[Node], slot: Slot, out: &mut Out) -> Option<u32> {
        if matches!(self.what, What::Histogram(_)) {
            if self.bounds.len() <= at(slot) {
                self.bounds.resize(at(slot) + 1, f64::NAN);
            }
            let (labels, _) = name(below, self.vector, slot);
            // What has no bound is no bucket.
            self.bounds[at(slot)] = labels.get("le").unwrap_or("").parse().ok()?;
        }
        let group = self.groups.of(&mut self.group_of, below, self.vector, slot);
        if self.states.len() <= at(group) {
            self.states.resize(at(group) + 1, State::default());
            if !matches!(self.what, What::Best { .. }) {
                let labels: Labels = self.groups.labels[at(group)].clone();
                out.row(labels, matches!(self.what, What::Histogram(_)));
            }
        }
        (group != NONE).then_some(group)
    }

    fn best(&mut self, group: u32, values: &[f64], (largest, k): (bool, f64), out: &mut Out) {
        let state = &mut self.states[at(group)];
        state.dirty = false;
        let mut best = Best::new(count_of(k).min(state.members.rows().len()), largest);
        state.members.rows().iter().for_each(|slot| best.offer(values[at(*slot)], at(*slot)));
        let mut kept: Vec<Slot> =
            best.into_sorted().iter().map(|(_, slot)| super::node::number(*slot)).collect();
        kept.sort_unstable();
        for slot in state.kept.iter().filter(|slot| kept.binary_search(slot).is_err()) {
            out.set(*slot, ABSENT);
        }
        for slot in &kept {
            out.set(*slot, values[at(*slot)]);
        }
        state.kept = kept;
    }

    pub(super) fn error(&self) -> Option<Error> {
        self.error.map(|bad| match bad {
            Bad::Nan => Error::NotANumber { what: "Parameter" },
            Bad::Overflow(value) => Error::ParameterOverflow { value },
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let states = self
            .states
            .iter()
            .map(|state| size_of::<State>() + state.members.bytes() + state.kept.capacity() * 4);
        self.groups.bytes()
            + self.group_of.capacity() * 4
            + self.bounds.capacity() * 8
            + states.sum::<usize>()
    }
}

fn bad(k: f64) -> Option<Bad> {
    #[expect(clippy::cast_precision_loss, reason = "the bound itself is a float")]
    let limit = i64::MAX as f64;
    if k.is_nan() {
        Some(Bad::Nan)
    } else if (-limit..limit).contains(&k) {
        None
    } else {
        Some(Bad::Overflow(k))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to fit")]
fn count_of(k: f64) -> usize {
    if k < 1.0 { 0 } else { k as usize }
}

fn folded(op: Aggregation, values: impl Iterator<Item = f64>) -> f64 {
    match op {
        Aggregation::Sum => fold::<Sum>(values),
        Aggregation::Avg => fold::<Mean>(values),
        Aggregation::Count => fold::<Count>(values),
        Aggregation::Min => fold::<Min>(values),
        Aggregation::Max => fold::<Max>(values),
        Aggregation::Group => fold::<Any>(values),
        Aggregation::Stddev => fold::<Deviation>(values),
        Aggregation::Stdvar => fold::<Variance>(values),
        Aggregation::Topk
        | Aggregation::Bottomk
        | Aggregation::Limitk
        | Aggregation::LimitRatio
        | Aggregation::Quantile
        | Aggregation::CountValues => ABSENT,
    }
}

fn fold<F: Fold>(mut values: impl Iterator<Item = f64>) -> f64 {
    let Some(first) = values.next() else { return ABSENT };
    let mut state = F::new(first);
    values.for_each(|value| state.add(value));
    state.value()
}
