//! What can be asked of a graph: results, changes, and what it keeps.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use super::{Change, Graph, RootId, SeriesId, newest};
use crate::error::{Error, millis};
use crate::incremental::leaf::Leaf;
use crate::incremental::memory::Memory;
use crate::incremental::node::{Names, Node, Op, at};
use crate::incremental::scalar::scalar;
use crate::incremental::series::Track;
use crate::matchers::Matchers;

impl Graph {
    /// What has changed since it was last asked.
    pub fn changes(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        for change in &changed {
            match change {
                Change::Root(root) => {
                    if let Op::Root(of) = &mut self.nodes[at(self.roots[at(root.0)].0)].op {
                        of.told = false;
                    }
                }
                Change::Watch(watch) => self.watches[at(watch.0)] = false,
            }
        }
        changed
    }

    /// The result of a query, without an order.
    ///
    /// # Errors
    /// When the expression cannot be evaluated on these data.
    pub fn result(&self, root: RootId) -> Result<Vec<(Labels, f64)>, Error> {
        let Op::Root(of) = &self.nodes[at(self.roots[at(root.0)].0)].op else {
            return Ok(Vec::new());
        };
        for node in &self.roots[at(root.0)].1 {
            if let Some(error) = self.nodes[at(*node)].error(&self.nodes) {
                return Err(error);
            }
        }
        if of.is_scalar {
            return Ok(vec![(Labels::empty(), scalar(&self.nodes, of.node, self.now))]);
        }
        if of.index.clashes() {
            return Err(Error::SameLabels);
        }
        Ok(of.rows.values().cloned().collect())
    }

    /// Whether a query has any result now; a failing one has none.
    #[must_use]
    pub fn is_empty(&self, root: RootId) -> bool {
        match &self.nodes[at(self.roots[at(root.0)].0)].op {
            Op::Root(of) => !of.is_scalar && of.rows.is_empty(),
            _ => true,
        }
    }

    /// Hands over the newest sample of each series that matches and is read by anything.
    pub fn latest(&self, matchers: &Matchers, mut f: impl FnMut(&Labels, Timestamp, f64)) {
        let mut found = |id: u32| {
            let track = &self.series[at(id)];
            if let Some((time, value)) = track.last() {
                f(&track.labels, Timestamp::from_millis(time), value);
            }
        };
        // What is watched has a row for each series that matches: none has to be searched for.
        match self.watched_leaf(matchers) {
            Some((_, leaf)) => leaf.rows.iter().for_each(|row| found(row.series)),
            None => self.matching(matchers).into_iter().for_each(found),
        }
    }

    /// The newest sample of the series with these labels, if it is read by anything.
    #[must_use]
    pub fn newest(&self, labels: &Labels) -> Option<(Timestamp, f64)> {
        let (time, value) = self.series[at(self.by_labels.get(labels)?.0)].last()?;
        Some((Timestamp::from_millis(time), value))
    }

    /// A number that becomes another one when other series that match have a value, as of the last
    /// [`Graph::settle`]; `None` when these are not watched.
    #[must_use]
    pub fn version(&self, matchers: &Matchers) -> Option<u64> {
        self.watched_leaf(matchers).map(|(node, _)| node.flips)
    }

    fn watched_leaf(&self, matchers: &Matchers) -> Option<(&Node, &Leaf)> {
        let node = &self.nodes[at(*self.known.get(&newest(matchers))?)];
        match &node.op {
            Op::Leaf(leaf) if node.is_watched => Some((node, leaf)),
            _ => None,
        }
    }

    /// How far back the operators read: what has to be pushed again into a new graph.
    #[must_use]
    pub fn reach(&self) -> Duration {
        let reach = self.nodes.iter().map(|node| match &node.op {
            Op::Leaf(leaf) => {
                let (window, history) = leaf.reach(self.lookback);
                window.max(history)
            }
            _ => 0,
        });
        let reach = reach.fold(self.lookback, i64::max);
        Duration::from_millis(u64::try_from(reach).unwrap_or(0))
    }

    /// How many series have had no sample for so long that no operator can have a value of them.
    #[must_use]
    pub fn forgotten(&self) -> usize {
        let reach = millis(self.reach());
        let before = self.now.saturating_sub(reach);
        self.series.iter().filter(|track| track.last().is_none_or(|(at, _)| at < before)).count()
    }

    /// How many series are read.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// The samples that are kept of each series that is not forgotten, for a new graph.
    pub fn kept(&self) -> impl Iterator<Item = (&Labels, Vec<(Timestamp, f64)>)> {
        let before = self.now.saturating_sub(millis(self.reach()));
        let mut future: HashMap<u32, Vec<(Timestamp, f64)>> = HashMap::new();
        for (time, samples) in &self.future {
            for (series, value) in samples {
                let sample = (Timestamp::from_millis(*time), *value);
                future.entry(series.0).or_default().push(sample);
            }
        }
        let alive = self.series.iter().zip(0..).filter(move |(track, id)| {
            track.last().is_some_and(|(at, _)| at >= before) || future_has(&self.future, *id)
        });
        alive.map(move |(track, id)| {
            let mut samples: BTreeMap<i64, f64> = BTreeMap::new();
            samples.extend(track.kept(&self.tapes));
            samples.extend(track.last());
            let kept =
                samples.into_iter().map(|(time, value)| (Timestamp::from_millis(time), value));
            let later = future.get(&id).into_iter().flatten().copied();
            (&track.labels, kept.chain(later).collect())
        })
    }

    /// When something will change without a sample.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        let future = self.future.first_key_value().map(|(time, _)| *time);
        let next = match (self.timers.next(), future) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        next.map(Timestamp::from_millis)
    }

    /// The time that has come.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// What it takes.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let rows = |node: &Node| match &node.op {
            Op::Root(root) => root.rows.len(),
            _ => node.out.values.len(),
        };
        let bytes = |node: &Node| {
            let names = match &node.out.names {
                Names::Own(names) => names.capacity() * size_of::<(Labels, bool)>(),
                Names::Of { .. } => 0,
            };
            let own = match &node.op {
                Op::Leaf(leaf) => leaf.bytes(),
                Op::Aggregate(aggregate) => aggregate.bytes(),
                Op::Sets(sets) => sets.matched.bytes(),
                Op::Join(join) => join.state.bytes(),
                Op::Relabel(relabel) => relabel.index.bytes(),
                Op::Root(root) => root.bytes(),
                Op::Each(_) | Op::Scalar(_) | Op::Absent(_) | Op::Vector(_) => 0,
            };
            size_of::<Node>()
                + node.out.values.capacity() * 8
                + (node.inbox.capacity() + node.parents.capacity() + node.observers.capacity()) * 8
                + (node.out.changed.capacity() + node.out.flipped.capacity()) * 4
                + names
                + own
        };
        let future: usize = self.future.values().map(Vec::len).sum();
        Memory {
            series: self.series.len(),
            samples: self.series.iter().map(Track::len).sum::<usize>() + self.tapes.len() + future,
            series_bytes: self.series.iter().map(Track::bytes).sum::<usize>()
                + self.tapes.bytes()
                + self.by_labels.capacity() * (size_of::<(Labels, SeriesId)>() + 1)
                + future * 16,
            operators: self.nodes.len(),
            rows: self.nodes.iter().map(rows).sum(),
            operator_bytes: self.nodes.iter().map(bytes).sum::<usize>() + self.timers.len() * 8,
            timers: self.timers.len(),
        }
    }
}

fn future_has(future: &BTreeMap<i64, Vec<(SeriesId, f64)>>, id: u32) -> bool {
    future.values().flatten().any(|(series, _)| series.0 == id)
}
