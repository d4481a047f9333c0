//! Arithmetic and comparisons between two vectors.

use std::collections::HashMap;
use std::sync::Arc;

use hallwatch_model::Labels;

use super::matched::{Key, Matched, NONE};
use super::node::{ABSENT, Node, NodeId, Out, Slot, at, is_absent, name};
use super::relabel::Index;
use crate::error::Error;
use crate::functions::binary::Operator;
use crate::functions::label::is_metadata;
use crate::plan::Cardinality;

/// The side that may have several rows in a group.
const MANY: usize = 0;
/// The side that may have one.
const ONE: usize = 1;

#[derive(Debug)]
pub(super) struct Join {
    pub(super) op: Operator,
    pub(super) bool_result: bool,
    pub(super) cardinality: Cardinality,
    pub(super) on: bool,
    pub(super) labels: Vec<Arc<str>>,
    pub(super) include: Vec<Arc<str>>,
    /// The "many" side and the "one" side.
    pub(super) sides: [NodeId; 2],
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) matched: Matched,
    /// The row of the result that each row of the "many" side has now, and for which partner.
    current: Vec<(Slot, Slot)>,
    by_pair: HashMap<(Slot, Slot), Slot>,
    /// Groups with several rows on the "one" side.
    several_ones: usize,
    /// Groups with several rows on the "many" side that meet one, where one was expected.
    several_manys: usize,
    index: Index,
}

impl State {
    pub(super) fn new(key: Key) -> Self {
        Self {
            matched: Matched::new(key),
            current: Vec::new(),
            by_pair: HashMap::new(),
            several_ones: 0,
            several_manys: 0,
            index: Index::default(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.matched.bytes()
            + self.index.bytes()
            + self.current.capacity() * 8
            + self.by_pair.capacity() * 16
    }
}

impl Join {
    pub(super) fn process(&mut self, below: &[Node], inbox: &[(u8, Slot)], out: &mut Out) {
        let mut todo = Vec::with_capacity(inbox.len());
        for (side, slot) in inbox {
            let node = self.sides[usize::from(*side)];
            let present = !is_absent(below[at(node)].out.values[at(*slot)]);
            let group = self.state.matched.group(below, node, (*side, *slot));
            let to_one = self.cardinality == Cardinality::OneToOne;
            let [manys, ones] = &mut self.state.matched.members[at(group)];
            let bad = |manys: usize, ones: usize| (ones > 1, to_one && manys > 1 && ones > 0);
            let before = bad(manys.rows().len(), ones.rows().len());
            if usize::from(*side) == MANY {
                manys.update(*slot, present);
                todo.push((*slot, group));
            } else {
                ones.update(*slot, present);
                todo.extend(manys.rows().iter().map(|many| (*many, group)));
            }
            let after = bad(manys.rows().len(), ones.rows().len());
            let state = &mut self.state;
            state.several_ones = state.several_ones + usize::from(after.0) - usize::from(before.0);
            state.several_manys =
                state.several_manys + usize::from(after.1) - usize::from(before.1);
        }
        // Usually both sides come together.
        todo.sort_unstable();
        todo.dedup();
        for (many, group) in todo {
            self.row(below, many, group, out);
        }
        if self.cardinality != Cardinality::OneToOne {
            for slot in &out.changed {
                let (values, names) = (&out.values, &out.names);
                self.state.index.note(*slot, !is_absent(values[at(*slot)]), || match names {
                    super::node::Names::Own(names) => names[at(*slot)].clone(),
                    super::node::Names::Of { .. } => (Labels::empty(), false),
                });
            }
        }
    }

    fn row(&mut self, below: &[Node], many: Slot, group: u32, out: &mut Out) {
        let value = below[at(self.sides[MANY])].out.values[at(many)];
        let ones = &below[at(self.sides[ONE])].out.values;
        let one = self.state.matched.members[at(group)][ONE].rows().first().copied();
        let result = match one {
            Some(one) if !is_absent(value) => self.calculate(value, ones[at(one)]),
            _ => ABSENT,
        };
        let partner = if self.include.is_empty() { NONE } else { one.unwrap_or(NONE) };
        let state = &mut self.state;
        if state.current.len() <= at(many) {
            state.current.resize(at(many) + 1, (NONE, NONE));
        }
        let (current, of) = state.current[at(many)];
        let known = if current != NONE && of == partner {
            Some(current)
        } else {
            state.by_pair.get(&(many, partner)).copied()
        };
        let row = match known {
            Some(row) => row,
            None if is_absent(result) => current,
            None => {
                let (labels, drop_name) = name(below, self.sides[MANY], many);
                let one = one.map(|one| name(below, self.sides[ONE], one).0);
                let labels = self.result_labels(labels, one);
                let drop_name = self.bool_result || (drop_name && !self.op.is_arithmetic());
                let row = out.row(labels, drop_name);
                self.state.by_pair.insert((many, partner), row);
                row
            }
        };
        if current != NONE && current != row {
            out.set(current, ABSENT);
        }
        if row != NONE {
            // A row that has no value is kept, for whichever partner it was.
            let of = if row == current && known.is_none() { of } else { partner };
            self.state.current[at(many)] = (row, of);
            out.set(row, result);
        }
    }

    fn calculate(&self, many: f64, one: f64) -> f64 {
        let swapped = self.cardinality == Cardinality::OneToMany;
        let (left, right) = if swapped { (one, many) } else { (many, one) };
        let result = self.op.apply(left, right);
        if self.op.is_comparison() && !self.bool_result {
            return if result == 0.0 { ABSENT } else { left };
        }
        result
    }

    fn result_labels(&self, many: &Labels, one: Option<&Labels>) -> Labels {
        crate::functions::label::joined(
            many,
            one,
            |name| {
                let named = self.labels.iter().any(|label| &**label == name);
                let to_one = self.cardinality == Cardinality::OneToOne;
                (self.op.is_arithmetic() && is_metadata(name)) || (to_one && self.on != named)
            },
            &self.include,
        )
    }

    /// Duplicates only matter where both sides have anything.
    pub(super) fn error(&self, nodes: &[Node]) -> Option<Error> {
        let live = self.sides.iter().all(|side| nodes[at(*side)].out.present > 0);
        if live && self.state.several_ones > 0 {
            return self.duplicate(nodes);
        }
        if live && self.state.several_manys > 0 {
            return Some(Error::ManyToOne);
        }
        self.state.index.clashes().then_some(Error::GroupingNotUnique)
    }

    fn duplicate(&self, nodes: &[Node]) -> Option<Error> {
        let matched = &self.state.matched;
        let group = matched.members.iter().position(|[_, ones]| ones.rows().len() > 1)?;
        let [first, second, ..] = matched.members[group][ONE].rows() else { return None };
        let swapped = self.cardinality == Cardinality::OneToMany;
        let side = if swapped { "left" } else { "right" };
        let labels = |slot| name(nodes, self.sides[ONE], slot).0;
        let group = &matched.groups.labels[group];
        Some(Error::duplicate(group, side, labels(*first), labels(*second)))
    }
}
