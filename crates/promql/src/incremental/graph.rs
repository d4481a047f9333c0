//! The operators of many queries, and the series that they read: what moves them.
//!
//! Reading order: `wiring` (how compiling puts operators together), here (how samples and time go
//! through them), `answers` (what can be asked).

mod answers;
mod wiring;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};
use std::time::Duration;

use hallwatch_model::sample::is_missing;
use hallwatch_model::{Labels, Timestamp};

use super::compile::is_scalar;
use super::leaf::{Arrived, Leaf, Moment, Noticed};
use super::node::{ABSENT, Names, Node, NodeId, Op, Slot, at, number};
use super::obstacle::Obstacle;
use super::relabel::Index;
use super::root::Root;
use super::scalar::scalar;
use super::series::Track;
use super::tape::Tapes;
use super::timers::Timers;
use crate::error::millis;
use crate::matchers::Matchers;
use crate::plan::Kind;
use crate::query::Query;

/// A query in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(u32);

/// A watch over which series have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(u32);

/// A series in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(u32);

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The result of a query.
    Root(RootId),
    /// Which series have a value.
    Watch(WatchId),
}

/// Queries as operators with state.
#[derive(Debug)]
pub struct Graph {
    lookback: i64,
    now: i64,
    nodes: Vec<Node>,
    /// Operators by what they do and read: equal ones are there once.
    known: HashMap<String, NodeId>,
    /// Leaves by the metric name that they ask for; those that ask for none in particular.
    leaves: HashMap<String, Vec<NodeId>>,
    nameless: Vec<NodeId>,
    series: Vec<Track>,
    tapes: Tapes,
    by_labels: HashMap<Labels, SeriesId>,
    by_name: HashMap<String, Vec<u32>>,
    /// Samples of times that have not come.
    future: BTreeMap<i64, Vec<(SeriesId, f64)>>,
    timers: Timers,
    /// Operators with something to do, the lowest first.
    queue: BinaryHeap<Reverse<NodeId>>,
    timed_scalars: HashSet<NodeId>,
    /// Operators whose results change from one moment to the next.
    timed: BTreeSet<NodeId>,
    /// Operators that may fail, whether they do, and whose results depend on them.
    fallible: HashMap<NodeId, (bool, Vec<RootId>)>,
    /// The operator of each query, and those below it that may fail, in the order of the text.
    roots: Vec<(NodeId, Vec<NodeId>)>,
    /// Of each watch, whether it is in the list of what changed.
    watches: Vec<bool>,
    watched: HashMap<NodeId, WatchId>,
    changed: Vec<Change>,
}

impl Graph {
    /// An empty one, at the beginning of time. `lookback` is how old a sample may be and still be
    /// the value of its series.
    #[must_use]
    pub fn new(lookback: Duration) -> Self {
        Self {
            lookback: millis(lookback),
            now: i64::MIN,
            nodes: Vec::new(),
            known: HashMap::new(),
            leaves: HashMap::new(),
            nameless: Vec::new(),
            series: Vec::new(),
            tapes: Tapes::default(),
            by_labels: HashMap::new(),
            by_name: HashMap::new(),
            future: BTreeMap::new(),
            timers: Timers::default(),
            queue: BinaryHeap::new(),
            timed_scalars: HashSet::new(),
            timed: BTreeSet::new(),
            fallible: HashMap::new(),
            roots: Vec::new(),
            watches: Vec::new(),
            watched: HashMap::new(),
            changed: Vec::new(),
        }
    }

    /// Adds a query. Its result is there after the next [`Graph::settle`].
    ///
    /// # Errors
    /// What in the query has to stay with batch evaluation. The graph may have grown by operators
    /// that nobody reads; see [`Graph::supports`].
    pub fn add(&mut self, query: &Query) -> Result<RootId, Obstacle> {
        if matches!(query.plan.kind, Kind::Text(_)) {
            return Err(Obstacle::Type);
        }
        let is_scalar = is_scalar(&query.plan);
        let node = if is_scalar { self.scalar(&query.plan)? } else { self.vector(&query.plan)? };
        let root = RootId(number(self.roots.len()));
        let root_op = Root {
            id: root,
            node,
            is_scalar,
            rows: BTreeMap::new(),
            index: Index::default(),
            told: false,
        };
        let id = self.push_node(Op::Root(Box::new(root_op)), Names::Own(Vec::new()), &[(node, 0)]);
        let mut below = vec![node];
        let (mut seen, mut fallible) = (HashSet::new(), Vec::new());
        while let Some(node) = below.pop() {
            if !seen.insert(node) {
                continue;
            }
            if let Some((_, roots)) = self.fallible.get_mut(&node) {
                roots.push(root);
                fallible.push(node);
            }
            below.extend(self.children(node));
        }
        fallible.sort_unstable();
        self.roots.push((id, fallible));
        if is_scalar && self.is_timed_scalar(node) {
            self.note_timed(id);
        }
        Ok(root)
    }

    /// Whether a query can be added.
    ///
    /// # Errors
    /// What in it has to stay with batch evaluation.
    pub fn supports(query: &Query) -> Result<(), Obstacle> {
        Self::new(Duration::ZERO).add(query).map(|_| ())
    }

    /// Watches which of these series have a value.
    pub fn watch(&mut self, matchers: &Matchers) -> WatchId {
        let leaf = Leaf::new(matchers.clone(), 0, super::leaf::Kind::Value, false);
        let known = self.len();
        let leaf = self.intern(newest(matchers), Op::Leaf(leaf), Names::Own(Vec::new()), &[]);
        if self.len() > known {
            self.note_leaf(leaf);
        }
        if let Some(watch) = self.watched.get(&leaf) {
            return *watch;
        }
        let watch = WatchId(number(self.watches.len()));
        self.watches.push(false);
        self.watched.insert(leaf, watch);
        self.nodes[at(leaf)].is_watched = true;
        watch
    }

    /// The numbers of the series that match, of those that are read.
    fn matching(&self, matchers: &Matchers) -> Vec<u32> {
        let matches = |id: &u32| matchers.matches(&self.series[at(*id)].labels);
        match matchers.metric_name().filter(|name| !name.is_empty()) {
            Some(name) => {
                self.by_name.get(name).into_iter().flatten().copied().filter(matches).collect()
            }
            None => (0..number(self.series.len())).filter(matches).collect(),
        }
    }

    /// The series with these labels; `None` when no query reads it. Ask again after a query was
    /// added.
    pub fn series(&mut self, labels: &Labels) -> Option<SeriesId> {
        if let Some(known) = self.by_labels.get(labels) {
            return Some(*known);
        }
        let name = labels.name().unwrap_or("");
        let named = self.leaves.get(name).into_iter().flatten();
        let readers: Vec<NodeId> = named
            .chain(&self.nameless)
            .copied()
            .filter(|leaf| match &self.nodes[at(*leaf)].op {
                Op::Leaf(leaf) => leaf.matchers.matches(labels),
                _ => false,
            })
            .collect();
        if readers.is_empty() {
            return None;
        }
        let id = SeriesId(number(self.series.len()));
        self.series.push(Track::new(labels.clone()));
        self.by_labels.insert(labels.clone(), id);
        self.by_name.entry(name.to_owned()).or_default().push(id.0);
        for leaf in readers {
            self.subscribe(leaf, id.0);
        }
        Some(id)
    }

    /// Takes a sample; one of the same series and time is replaced. It counts once its time has
    /// come. Values are as `hallwatch_model::sample::to_float` makes them.
    pub fn push(&mut self, series: SeriesId, time: Timestamp, value: f64) {
        let time = time.as_millis();
        if time > self.now {
            self.future.entry(time).or_default().push((series, value));
            return;
        }
        self.take(series, time, value);
    }

    /// Loads what [`Graph::push`] of this series will look at first; changes nothing. A processor
    /// waits for the memory of many series at once when nothing else stands between: to foresee some
    /// dozens, and then [their samples](Graph::foresee_samples), before they are pushed takes less
    /// time than to wait for each of them.
    #[inline]
    pub fn foresee(&self, series: SeriesId) {
        if let Some(track) = self.series.get(at(series.0)) {
            track.foresee();
        }
    }

    /// Loads what [`Graph::push`] of this series will look at of its samples.
    #[inline]
    pub fn foresee_samples(&self, series: SeriesId) {
        if let Some(track) = self.series.get(at(series.0)) {
            track.foresee_samples();
        }
    }

    fn take(&mut self, series: SeriesId, time: i64, value: f64) {
        let track = &mut self.series[at(series.0)];
        let stays = track.has_value(self.now, self.lookback) && !is_missing(value);
        let before = track.last();
        let taken = track.take(time, value, self.now, &mut self.tapes);
        let (now, lookback) = (self.now, self.lookback);
        let arrived = Arrived { time, value, before, taken, now, lookback };
        let mut at_rest = track.at_rest;
        // With a value before and after, nothing happens for those who observe.
        for ((leaf, slot), bit) in track.readers(!stays) {
            let node = &mut self.nodes[at(*leaf)];
            let Op::Leaf(of) = &mut node.op else { continue };
            if at_rest & bit != 0 && !of.is_woken_by(&arrived) {
                continue;
            }
            at_rest &= !bit;
            match of.notice(*slot, &arrived, &mut node.out) {
                Noticed::Nothing => continue,
                Noticed::Rest => {
                    at_rest |= bit;
                    continue;
                }
                Noticed::Value => {}
                Noticed::Row => node.inbox.push((0, *slot)),
            }
            if !std::mem::replace(&mut node.queued, true) {
                self.queue.push(Reverse(*leaf));
            }
        }
        self.series[at(series.0)].at_rest = at_rest;
    }

    /// Lets time pass; it never goes back. Call [`Graph::settle`] afterwards.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now.as_millis());
        while let Some(first) = self.future.first_entry() {
            if *first.key() > self.now {
                break;
            }
            let (time, samples) = first.remove_entry();
            for (series, value) in samples {
                self.take(series, time, value);
            }
        }
        while let Some((due, rows)) = self.timers.pop(self.now) {
            for (leaf, slot) in rows {
                let node = &mut self.nodes[at(leaf)];
                let Op::Leaf(of) = &mut node.op else { continue };
                let row = &mut of.rows[at(slot)];
                if row.armed != due {
                    continue;
                }
                row.armed = i64::MIN;
                if !std::mem::replace(&mut row.queued, true) {
                    node.inbox.push((0, slot));
                }
                if !std::mem::replace(&mut node.queued, true) {
                    self.queue.push(Reverse(leaf));
                }
            }
        }
    }

    /// Carries what has changed through the operators.
    pub fn settle(&mut self) {
        while let Some(Reverse(id)) = self.queue.pop() {
            self.process(id);
        }
    }

    /// As [`Graph::settle`], and calculates anew what changes with time alone from one moment to
    /// the next.
    pub fn tick(&mut self) {
        for id in &self.timed {
            let node = &mut self.nodes[at(*id)];
            node.refresh = true;
            if !std::mem::replace(&mut node.queued, true) {
                self.queue.push(Reverse(*id));
            }
        }
        self.settle();
    }

    fn process(&mut self, id: NodeId) {
        let (below, rest) = self.nodes.split_at_mut(at(id));
        let Some(node) = rest.first_mut() else { return };
        node.queued = false;
        let refresh = std::mem::take(&mut node.refresh);
        let mut inbox = std::mem::take(&mut node.inbox);
        let vectors: &[NodeId] = match &node.op {
            Op::Aggregate(aggregate) => &[aggregate.vector],
            Op::Sets(sets) => &sets.sides,
            Op::Join(join) => &join.sides,
            Op::Relabel(relabel) => &[relabel.vector],
            Op::Root(root) if !root.is_scalar => &[root.node],
            _ => &[],
        };
        if refresh {
            for (vector, port) in vectors.iter().zip(0..) {
                let rows = below[at(*vector)].out.values.len();
                inbox.extend((0..number(rows)).map(|slot| (port, slot)));
            }
        }
        let (now, out) = (self.now, &mut node.out);
        let mut tells = false;
        match &mut node.op {
            Op::Leaf(leaf) => {
                let (series, tapes) = (&mut self.series[..], &self.tapes);
                let mut moment = Moment { now, lookback: self.lookback, series, tapes, node: id };
                leaf.process(below, &inbox, refresh, &mut moment, (out, &mut self.timers));
            }
            Op::Each(each) => each.process(below, &inbox, refresh, now, out),
            Op::Scalar(_) => tells = true,
            Op::Aggregate(aggregate) => aggregate.process(below, &inbox, refresh, now, out),
            Op::Sets(sets) => sets.process(below, &inbox, out),
            Op::Join(join) => join.process(below, &inbox, out),
            Op::Relabel(relabel) => relabel.process(below, &inbox, out),
            Op::Absent(vector) => {
                out.set(0, if below[at(*vector)].out.present == 0 { 1.0 } else { ABSENT });
            }
            Op::Vector(of) => out.set(0, scalar(below, *of, now)),
            Op::Root(root) => {
                root.process(below, &inbox);
                if !std::mem::replace(&mut root.told, true) {
                    self.changed.push(Change::Root(root.id));
                }
            }
        }
        inbox.clear();
        node.inbox = inbox;
        if tells {
            node.out.changed.push(0);
        }
        self.tell(id);
        let node = &mut self.nodes[at(id)];
        if node.is_fallible {
            self.check(id);
        }
    }

    /// Tells those who read an operator what has changed.
    fn tell(&mut self, id: NodeId) {
        let out = &mut self.nodes[at(id)].out;
        let mut changed = std::mem::take(&mut out.changed);
        let mut flipped = std::mem::take(&mut out.flipped);
        self.hand_over(id, &changed, |node| &mut node.parents);
        self.hand_over(id, &flipped, |node| &mut node.observers);
        if !flipped.is_empty()
            && self.nodes[at(id)].is_watched
            && let Some(watch) = self.watched.get(&id)
        {
            self.nodes[at(id)].flips += 1;
            if !std::mem::replace(&mut self.watches[at(watch.0)], true) {
                self.changed.push(Change::Watch(*watch));
            }
        }
        changed.clear();
        flipped.clear();
        let out = &mut self.nodes[at(id)].out;
        (out.changed, out.flipped) = (changed, flipped);
    }

    fn hand_over(
        &mut self,
        id: NodeId,
        rows: &[Slot],
        readers: fn(&mut Node) -> &mut Vec<(NodeId, u8)>,
    ) {
        if rows.is_empty() {
            return;
        }
        let told = std::mem::take(readers(&mut self.nodes[at(id)]));
        for (reader, port) in &told {
            let node = &mut self.nodes[at(*reader)];
            node.inbox.extend(rows.iter().map(|slot| (*port, *slot)));
            self.enqueue(*reader);
        }
        *readers(&mut self.nodes[at(id)]) = told;
    }

    /// Whether an operator that may fail does so.
    fn check(&mut self, id: NodeId) {
        let fails = self.nodes[at(id)].error(&self.nodes).is_some();
        let Some((failed, roots)) = self.fallible.get_mut(&id) else { return };
        let before = std::mem::replace(failed, fails);
        if !before && !fails {
            return;
        }
        for root in roots {
            let node = &mut self.nodes[at(self.roots[at(root.0)].0)];
            if let Op::Root(of) = &mut node.op
                && !std::mem::replace(&mut of.told, true)
            {
                self.changed.push(Change::Root(*root));
            }
        }
    }
}

/// The key of the leaf with the newest value of each series that matches.
fn newest(matchers: &Matchers) -> String {
    format!("leaf {matchers} 0 false {:?} []", super::leaf::Kind::Value)
}
