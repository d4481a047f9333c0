//! How compiling puts operators together.

use std::cmp::Reverse;

use hallwatch_model::Labels;

use super::Graph;
use crate::incremental::node::{Names, Node, NodeId, Op, at, number};

impl Graph {
    pub(in crate::incremental) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The operator with this key, made if need be.
    pub(in crate::incremental) fn intern(
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

    pub(super) fn push_node(&mut self, op: Op, names: Names, children: &[(NodeId, u8)]) -> NodeId {
        let id = number(self.nodes.len());
        for (child, port) in children {
            let node = &mut self.nodes[at(*child)];
            if op.observes(*port) {
                node.observers.push((id, *port));
                continue;
            }
            node.parents.push((id, *port));
            if node.parents.len() == 1 {
                self.begin_to_read(*child);
            }
        }
        self.nodes.push(Node::new(op, names));
        self.enqueue(id);
        id
    }

    /// While nobody read an operator, not every sample was taken in.
    fn begin_to_read(&mut self, id: NodeId) {
        let node = &mut self.nodes[at(id)];
        node.refresh = true;
        if let Op::Leaf(leaf) = &node.op
            && leaf.is_newest()
        {
            for (row, slot) in leaf.rows.iter().zip(0..) {
                self.series[at(row.series)].make_reader((id, slot));
            }
        }
        self.enqueue(id);
    }

    pub(super) fn enqueue(&mut self, id: NodeId) {
        if !std::mem::replace(&mut self.nodes[at(id)].queued, true) {
            self.queue.push(Reverse(id));
        }
    }

    pub(super) fn children(&self, id: NodeId) -> Vec<NodeId> {
        use crate::incremental::aggregate::What as Grouped;
        use crate::incremental::each::What as Each;
        use crate::incremental::leaf::{Kind, Over};
        use crate::incremental::scalar::Scalar;
        match &self.nodes[at(id)].op {
            Op::Leaf(leaf) => match &leaf.kind {
                Kind::Window { over: Over::Quantile(a) | Over::Predict(a), .. } => vec![*a],
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

    pub(in crate::incremental) fn add_row(&mut self, id: NodeId, labels: Labels) {
        self.nodes[at(id)].out.row(labels, false);
    }

    pub(in crate::incremental) fn is_timed_scalar(&self, id: NodeId) -> bool {
        self.timed_scalars.contains(&id)
    }

    pub(in crate::incremental) fn note_timed_scalar(&mut self, id: NodeId) {
        self.timed_scalars.insert(id);
    }

    pub(in crate::incremental) fn note_timed(&mut self, id: NodeId) {
        self.timed.insert(id);
    }

    pub(in crate::incremental) fn note_fallible(&mut self, id: NodeId) {
        self.fallible.entry(id).or_default();
        self.nodes[at(id)].is_fallible = true;
    }

    /// A new leaf: series that are known may be its own.
    pub(in crate::incremental) fn note_leaf(&mut self, id: NodeId) {
        let Op::Leaf(leaf) = &self.nodes[at(id)].op else { return };
        let matchers = leaf.matchers.clone();
        match matchers.metric_name().filter(|name| !name.is_empty()) {
            Some(name) => self.leaves.entry(name.to_owned()).or_default().push(id),
            None => self.nameless.push(id),
        }
        for series in self.matching(&matchers) {
            self.subscribe(id, series);
        }
    }

    pub(super) fn subscribe(&mut self, leaf: NodeId, series: u32) {
        let node = &mut self.nodes[at(leaf)];
        let Op::Leaf(of) = &mut node.op else { return };
        let track = &mut self.series[at(series)];
        track.ask(of.reach(self.lookback), self.now, &mut self.tapes);
        let slot = of.add(series, track, &mut node.out);
        let observes = of.is_newest() && node.parents.is_empty();
        if observes {
            track.add_observer((leaf, slot));
        } else {
            track.add_reader((leaf, slot));
        }
        node.inbox.push((0, slot));
        of.rows[at(slot)].queued = true;
        self.enqueue(leaf);
    }
}
