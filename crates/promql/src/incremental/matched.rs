//! Groups of rows that belong together: by the labels of a grouping, or of a match.

use std::collections::HashMap;
use std::sync::Arc;

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;

use super::node::{Node, NodeId, Slot, at, name, number};

/// No group, no row.
pub(super) const NONE: u32 = u32::MAX;

/// Which labels make a group.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// Only these.
    Only(Vec<Arc<str>>),
    /// All but these and the metric name.
    AllBut(Vec<Arc<str>>),
    /// All but this one: the metric name stays.
    AllButOne(&'static str),
}

impl Key {
    pub(super) fn of(&self, labels: &Labels) -> Labels {
        let named = |names: &[Arc<str>], name: &str| names.iter().any(|known| &**known == name);
        labels.without(|name| match self {
            Self::Only(names) => !named(names, name),
            Self::AllBut(names) => name == METRIC_NAME || named(names, name),
            Self::AllButOne(dropped) => name == *dropped,
        })
    }
}

/// The groups that were met, numbered, and which rows of an input are in which.
#[derive(Debug)]
pub(super) struct Groups {
    key: Key,
    by_labels: HashMap<Labels, u32>,
    pub(super) labels: Vec<Labels>,
}

impl Groups {
    pub(super) fn new(key: Key) -> Self {
        Self { key, by_labels: HashMap::new(), labels: Vec::new() }
    }

    /// The group of a row; `known` remembers it.
    pub(super) fn of(
        &mut self,
        known: &mut Vec<u32>,
        nodes: &[Node],
        node: NodeId,
        slot: Slot,
    ) -> u32 {
        let place = at(slot);
        if known.len() <= place {
            known.resize(place + 1, NONE);
        }
        if known[place] == NONE {
            let labels = self.key.of(name(nodes, node, slot).0);
            let next = number(self.labels.len());
            known[place] = match self.by_labels.get(&labels) {
                Some(group) => *group,
                None => {
                    self.by_labels.insert(labels.clone(), next);
                    self.labels.push(labels);
                    next
                }
            };
        }
        known[place]
    }

    pub(super) fn bytes(&self) -> usize {
        self.labels.len() * (size_of::<Labels>() * 2 + 64)
    }
}

/// The rows of a group that have a value, in order. Most groups have one row, which needs no memory
/// of its own: to wait for that would be most of what a match costs.
#[derive(Clone, Debug)]
pub(super) struct Members {
    /// The only one, unless there are `several`.
    one: Slot,
    several: Vec<Slot>,
}

impl Default for Members {
    fn default() -> Self {
        Self { one: NONE, several: Vec::new() }
    }
}

impl Members {
    pub(super) fn rows(&self) -> &[Slot] {
        if self.one == NONE { &self.several } else { std::slice::from_ref(&self.one) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows().is_empty()
    }

    /// Takes note of whether a row has a value.
    pub(super) fn update(&mut self, slot: Slot, present: bool) {
        match (self.rows().binary_search(&slot), present) {
            (Err(_), true) if self.is_empty() => self.one = slot,
            (Err(at), true) => {
                if self.one != NONE {
                    self.several.push(std::mem::replace(&mut self.one, NONE));
                }
                self.several.insert(at, slot);
            }
            (Ok(_), false) if self.one != NONE => self.one = NONE,
            (Ok(at), false) => {
                self.several.remove(at);
            }
            _ => {}
        }
    }

    /// Memory beside its own.
    pub(super) fn bytes(&self) -> usize {
        self.several.capacity() * size_of::<Slot>()
    }
}

/// The rows of both sides of an operation, by what they are matched on.
#[derive(Debug)]
pub(super) struct Matched {
    pub(super) groups: Groups,
    group_of: [Vec<u32>; 2],
    pub(super) members: Vec<[Members; 2]>,
}

impl Matched {
    pub(super) fn new(key: Key) -> Self {
        Self { groups: Groups::new(key), group_of: Default::default(), members: Vec::new() }
    }

    /// The group of a row of a side.
    pub(super) fn group(&mut self, nodes: &[Node], node: NodeId, (side, slot): (u8, Slot)) -> u32 {
        let known = &mut self.group_of[usize::from(side)];
        let group = self.groups.of(known, nodes, node, slot);
        if self.members.len() <= at(group) {
            self.members.resize(at(group) + 1, Default::default());
        }
        group
    }

    pub(super) fn bytes(&self) -> usize {
        let members = self.members.iter().flatten().map(|of| of.bytes() + size_of::<Members>());
        self.groups.bytes()
            + members.sum::<usize>()
            + self.group_of.iter().map(|known| known.capacity() * 4).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn members_are_a_sorted_set(steps in prop::collection::vec((0u32..5, any::<bool>()), 0..60)) {
            let (mut members, mut expected) = (Members::default(), BTreeSet::new());
            for (slot, present) in steps {
                members.update(slot, present);
                if present { expected.insert(slot); } else { expected.remove(&slot); }
                prop_assert_eq!(members.rows(), &expected.iter().copied().collect::<Vec<_>>()[..]);
                prop_assert_eq!(members.is_empty(), expected.is_empty());
            }
        }
    }
}
