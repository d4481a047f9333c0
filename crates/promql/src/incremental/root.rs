//! The result of a query.

use std::collections::BTreeMap;

use hallwatch_model::Labels;

use super::node::{Node, NodeId, Slot, at, is_absent, name};
use super::relabel::Index;
use crate::functions::label::is_metadata;

#[derive(Debug)]
pub(super) struct Root {
    pub(super) id: super::graph::RootId,
    pub(super) node: NodeId,
    pub(super) is_scalar: bool,
    /// Rows with a value.
    pub(super) rows: BTreeMap<Slot, (Labels, f64)>,
    pub(super) index: Index,
    /// It is in the list of results that changed.
    pub(super) told: bool,
}

impl Root {
    pub(super) fn process(&mut self, below: &[Node], inbox: &[(u8, Slot)]) {
        if self.is_scalar {
            return;
        }
        let values = &below[at(self.node)].out.values;
        for (_, slot) in inbox {
            let value = values[at(*slot)];
            let present = !is_absent(value);
            if let Some((_, known)) = self.rows.get_mut(slot)
                && present
            {
                *known = value;
                continue;
            }
            if !present {
                self.rows.remove(slot);
            }
            let labels = || {
                let (labels, drop_name) = name(below, self.node, *slot);
                if drop_name { labels.without(is_metadata) } else { labels.clone() }
            };
            if present {
                self.rows.insert(*slot, (labels(), value));
            }
            self.index.note(*slot, present, || (labels(), false));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * (size_of::<(Slot, (Labels, f64))>() + 8) + self.index.bytes()
    }
}
