//! `and`, `or`, `unless`: what matters of the other side is only whether anything is there.

use super::matched::{Key, Matched, NONE};
use super::node::{ABSENT, Node, NodeId, Out, Slot, at, is_absent, name};
use crate::functions::binary::Operator;

#[derive(Debug)]
pub(super) struct Sets {
    op: Operator,
    pub(super) sides: [NodeId; 2],
    pub(super) matched: Matched,
    /// Of `or`: the rows of the result, by the rows of each side.
    rows: [Vec<Slot>; 2],
}

impl Sets {
    pub(super) fn new(op: Operator, key: Key, sides: [NodeId; 2]) -> Self {
        Self { op, sides, matched: Matched::new(key), rows: Default::default() }
    }

    /// Whether of an input only matters which rows have a value.
    pub(super) fn observes(&self, port: u8) -> bool {
        port == 1 && self.op != Operator::Or
    }

    pub(super) fn process(&mut self, below: &[Node], inbox: &[(u8, Slot)], out: &mut Out) {
        let mut todo = Vec::with_capacity(inbox.len());
        for (side, slot) in inbox {
            let node = self.sides[usize::from(*side)];
            let present = !is_absent(below[at(node)].out.values[at(*slot)]);
            let group = self.matched.group(below, node, (*side, *slot));
            let members = &mut self.matched.members[at(group)];
            let (own, other) = (usize::from(*side), usize::from(1 - *side));
            let had = !members[own].is_empty();
            members[own].update(*slot, present);
            let decides = if self.op == Operator::Or { *side == 0 } else { *side == 1 };
            if decides && had == members[own].is_empty() {
                todo.extend(members[other].rows().iter().map(|slot| (1 - *side, *slot, group)));
            }
            if *side == 0 || self.op == Operator::Or {
                todo.push((*side, *slot, group));
            }
        }
        if self.op != Operator::Or {
            out.grow(below[at(self.sides[0])].out.values.len());
        }
        for (side, slot, group) in todo {
            let value = below[at(self.sides[usize::from(side)])].out.values[at(slot)];
            let [left, right] = &self.matched.members[at(group)];
            let kept = match (self.op, side) {
                (Operator::And, _) => !right.is_empty(),
                (Operator::Unless, _) => right.is_empty(),
                (_, 0) => true,
                _ => left.is_empty(),
            };
            let value = if kept { value } else { ABSENT };
            if self.op != Operator::Or {
                out.set(slot, value);
            } else if let Some(row) = self.row(below, side, slot, is_absent(value), out) {
                out.set(row, value);
            }
        }
    }

    /// The row of the result, made for the first value.
    fn row(
        &mut self,
        below: &[Node],
        side: u8,
        slot: Slot,
        absent: bool,
        out: &mut Out,
    ) -> Option<Slot> {
        let rows = &mut self.rows[usize::from(side)];
        if rows.len() <= at(slot) {
            rows.resize(at(slot) + 1, NONE);
        }
        let row = &mut rows[at(slot)];
        if *row == NONE {
            if absent {
                return None;
            }
            let (labels, drop_name) = name(below, self.sides[usize::from(side)], slot);
            *row = out.row(labels.clone(), drop_name);
        }
        Some(*row)
    }
}
