//! The operators of many queries, and the series that they read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};
use std::time::Duration;

use hallwatch_model::sample::is_missing;
use hallwatch_model::{Labels, Timestamp};

use super::compile::is_scalar;
use super::leaf::{Leaf, Moment};
use super::memory::Memory;
use super::node::{ABSENT, Names, Node, NodeId, Op, at, is_absent, number};
use super::obstacle::Obstacle;
use super::relabel::Index;
use super::root::Root;
use super::scalar::scalar;
use super::series::{Taken, Track};
use super::timers::Timers;
use crate::error::{Error, millis};
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
    watches: Vec<(NodeId, Vec<bool>, bool)>,
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
        let key = format!("leaf {matchers} 0 false {:?} []", super::leaf::Kind::Value);
        let known = self.len();
        let leaf = self.intern(key, Op::Leaf(leaf), Names::Own(Vec::new()), &[]);
        if self.len() > known {
            self.note_leaf(leaf);
        }
        if let Some(watch) = self.watched.get(&leaf) {
            return *watch;
        }
        let watch = WatchId(number(self.watches.len()));
        self.watches.push((leaf, Vec::new(), false));
        self.watched.insert(leaf, watch);
        self.nodes[at(leaf)].is_watched = true;
        watch
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

    fn take(&mut self, series: SeriesId, time: i64, value: f64) {
        let track = &mut self.series[at(series.0)];
        let between = track.take(time, value, self.now) == Taken::Between;
        for (leaf, slot) in &track.readers {
            let node = &mut self.nodes[at(*leaf)];
            let Op::Leaf(of) = &mut node.op else { continue };
            // Nobody asks for more than whether there is a value, and there is one before and after.
            if node.parents.is_empty()
                && !is_missing(value)
                && matches!(of.kind, super::leaf::Kind::Value)
                && of.offset == 0
                && !is_absent(node.out.values[at(*slot)])
            {
                continue;
            }
            let row = &mut of.rows[at(*slot)];
            row.reset |= between;
            if !std::mem::replace(&mut row.queued, true) {
                node.inbox.push((0, *slot));
            }
            if !std::mem::replace(&mut node.queued, true) {
                self.queue.push(Reverse(*leaf));
            }
        }
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
                let (lookback, series) = (self.lookback, &self.series[..]);
                let moment = Moment { now, lookback, series, node: id };
                leaf.process(below, &inbox, refresh, &moment, (out, &mut self.timers));
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
        let mut changed = std::mem::take(&mut node.out.changed);
        if tells {
            changed.push(0);
        }
        if node.is_watched
            && let Some(watch) = self.watched.get(&id)
        {
            let (_, had, told) = &mut self.watches[at(watch.0)];
            had.resize(node.out.values.len(), false);
            for slot in &changed {
                let present = !is_absent(node.out.values[at(*slot)]);
                if std::mem::replace(&mut had[at(*slot)], present) != present
                    && !std::mem::replace(told, true)
                {
                    self.changed.push(Change::Watch(*watch));
                }
            }
        }
        inbox.clear();
        node.inbox = inbox;
        if !changed.is_empty() {
            let parents = std::mem::take(&mut self.nodes[at(id)].parents);
            for (parent, port) in &parents {
                let node = &mut self.nodes[at(*parent)];
                node.inbox.extend(changed.iter().map(|slot| (*port, *slot)));
                self.enqueue(*parent);
            }
            self.nodes[at(id)].parents = parents;
        }
        changed.clear();
        let node = &mut self.nodes[at(id)];
        node.out.changed = changed;
        if node.is_fallible {
            self.check(id);
        }
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
                Change::Watch(watch) => self.watches[at(watch.0)].2 = false,
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

    /// The newest sample of each series that matches and is read by anything.
    pub fn latest(&self, matchers: &Matchers) -> Vec<(Labels, Timestamp, f64)> {
        let found = |track: &Track| {
            let (time, value) = track.last?;
            let matches = matchers.matches(&track.labels);
            matches.then(|| (track.labels.clone(), Timestamp::from_millis(time), value))
        };
        match matchers.metric_name().filter(|name| !name.is_empty()) {
            Some(name) => {
                let named = self.by_name.get(name).into_iter().flatten();
                named.filter_map(|id| found(&self.series[at(*id)])).collect()
            }
            None => self.series.iter().filter_map(found).collect(),
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
        self.series.iter().filter(|track| track.last.is_none_or(|(at, _)| at < before)).count()
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
            track.last.is_some_and(|(at, _)| at >= before) || future_has(&self.future, *id)
        });
        alive.map(move |(track, id)| {
            let mut samples: BTreeMap<i64, f64> = BTreeMap::new();
            for buffer in [&track.samples, &track.history] {
                samples.extend(buffer.times().iter().copied().zip(buffer.values().iter().copied()));
            }
            samples.extend(track.last);
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
                Op::Leaf(leaf) => leaf.rows.capacity() * size_of::<super::leaf::Row>(),
                Op::Aggregate(aggregate) => aggregate.bytes(),
                Op::Sets(sets) => sets.matched.bytes(),
                Op::Join(join) => join.state.bytes(),
                Op::Relabel(relabel) => relabel.index.bytes(),
                Op::Root(root) => root.bytes(),
                Op::Each(_) | Op::Scalar(_) | Op::Absent(_) | Op::Vector(_) => 0,
            };
            size_of::<Node>()
                + node.out.values.capacity() * 8
                + (node.inbox.capacity() + node.parents.capacity()) * 8
                + node.out.changed.capacity() * 4
                + names
                + own
        };
        let samples = |track: &Track| track.samples.times().len() + track.history.times().len();
        let future: usize = self.future.values().map(Vec::len).sum();
        Memory {
            series: self.series.len(),
            samples: self.series.iter().map(samples).sum::<usize>() + future,
            series_bytes: self.series.iter().map(Track::bytes).sum::<usize>()
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

/// What compiling does.
impl Graph {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The operator with this key, made if need be.
    pub(super) fn intern(
        &mut self,
        key: String,
        op: Op,
        names: Names,
        children: &[(NodeId, u8)],
    ) -> NodeId {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let id = self.push_node(op, names, children);
        self.known.insert(key, id);
        id
    }

    fn push_node(&mut self, op: Op, names: Names, children: &[(NodeId, u8)]) -> NodeId {
        let id = number(self.nodes.len());
        for (child, port) in children {
            let node = &mut self.nodes[at(*child)];
            node.parents.push((id, *port));
            // While nobody read it, not every sample was taken in.
            if node.parents.len() == 1 {
                node.refresh = true;
                self.enqueue(*child);
            }
        }
        self.nodes.push(Node::new(op, names));
        self.enqueue(id);
        id
    }

    fn enqueue(&mut self, id: NodeId) {
        if !std::mem::replace(&mut self.nodes[at(id)].queued, true) {
            self.queue.push(Reverse(id));
        }
    }

    fn children(&self, id: NodeId) -> Vec<NodeId> {
        use super::aggregate::What as Grouped;
        use super::each::What as Each;
        use super::leaf::{Kind, Over};
        use super::scalar::Scalar;
        match &self.nodes[at(id)].op {
            Op::Leaf(leaf) => match &leaf.kind {
                Kind::Window { over: Over::Quantile(a) | Over::Predict(a), .. } => vec![*a],
                Kind::Window { over: Over::Smooth(a, b), .. } => vec![*a, *b],
                _ => Vec::new(),
            },
            Op::Each(each) => {
                let mut children = vec![each.vector];
                match &each.what {
                    Each::With { scalar, .. } => children.push(*scalar),
                    Each::Clamp(a, b) => children.extend([a, b]),
                    Each::ClampMin(a) | Each::ClampMax(a) => children.push(*a),
                    Each::Round(nearest) => children.extend(nearest),
                    Each::Map(_) | Each::Negate | Each::Timestamp => {}
                }
                children
            }
            Op::Scalar(scalar) => match scalar {
                Scalar::Constant(_) | Scalar::Time | Scalar::Date(_) => Vec::new(),
                Scalar::Negate(a) | Scalar::Of(a) => vec![*a],
                Scalar::Binary(_, a, b) | Scalar::MaxOf(a, b) | Scalar::MinOf(a, b) => {
                    vec![*a, *b]
                }
            },
            Op::Aggregate(aggregate) => match aggregate.what {
                Grouped::Fold(_) => vec![aggregate.vector],
                Grouped::Quantile(a) | Grouped::Best { k: a, .. } | Grouped::Histogram(a) => {
                    vec![aggregate.vector, a]
                }
            },
            Op::Sets(sets) => sets.sides.to_vec(),
            Op::Join(join) => join.sides.to_vec(),
            Op::Relabel(relabel) => vec![relabel.vector],
            Op::Absent(child) | Op::Vector(child) => vec![*child],
            Op::Root(root) => vec![root.node],
        }
    }

    pub(super) fn add_row(&mut self, id: NodeId, labels: Labels) {
        self.nodes[at(id)].out.row(labels, false);
    }

    pub(super) fn is_timed_scalar(&self, id: NodeId) -> bool {
        self.timed_scalars.contains(&id)
    }

    pub(super) fn note_timed_scalar(&mut self, id: NodeId) {
        self.timed_scalars.insert(id);
    }

    pub(super) fn note_timed(&mut self, id: NodeId) {
        self.timed.insert(id);
    }

    pub(super) fn note_fallible(&mut self, id: NodeId) {
        self.fallible.entry(id).or_default();
        self.nodes[at(id)].is_fallible = true;
    }

    /// A new leaf: series that are known may be its own.
    pub(super) fn note_leaf(&mut self, id: NodeId) {
        let Op::Leaf(leaf) = &self.nodes[at(id)].op else { return };
        let matchers = leaf.matchers.clone();
        match matchers.metric_name().filter(|name| !name.is_empty()) {
            Some(name) => {
                self.leaves.entry(name.to_owned()).or_default().push(id);
                for series in self.by_name.get(name).cloned().unwrap_or_default() {
                    if matchers.matches(&self.series[at(series)].labels) {
                        self.subscribe(id, series);
                    }
                }
            }
            None => {
                self.nameless.push(id);
                for series in 0..number(self.series.len()) {
                    if matchers.matches(&self.series[at(series)].labels) {
                        self.subscribe(id, series);
                    }
                }
            }
        }
    }

    fn subscribe(&mut self, leaf: NodeId, series: u32) {
        let node = &mut self.nodes[at(leaf)];
        let Op::Leaf(of) = &mut node.op else { return };
        let track = &mut self.series[at(series)];
        let (reach, history_reach) = of.reach(self.lookback);
        // What was kept so far is all there is to begin with.
        let first = |reach: &mut i64, wanted: i64| {
            let begins = *reach == 0 && wanted > 0;
            *reach = (*reach).max(wanted);
            begins
        };
        let (windows, history) =
            (first(&mut track.reach, reach), first(&mut track.history_reach, history_reach));
        if (windows || history)
            && let Some((time, value)) = track.last
            && !(windows && is_missing(value) && !history)
        {
            track.take(time, value, self.now);
        }
        let slot = of.add(series, track, &mut node.out);
        track.readers.push((leaf, slot));
        node.inbox.push((0, slot));
        of.rows[at(slot)].queued = true;
        self.enqueue(leaf);
    }
}
