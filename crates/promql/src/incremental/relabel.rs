//! Functions on labels, and the watch over rows that must not have the same ones.

use std::collections::HashMap;

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;
use regex::Regex;

use super::node::{Node, NodeId, Out, Slot, at, is_absent, name, number};
use crate::error::Error;
use crate::functions::label;

/// Rows with a value by their labels: no two may have the same.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: HashMap<(Labels, bool), u32>,
    /// Rows with a value, by key.
    counts: Vec<u32>,
    /// The key of each row that ever had a value, and whether it has one.
    rows: Vec<Option<(u32, bool)>>,
    clashes: usize,
}

impl Index {
    pub(super) fn note(
        &mut self,
        slot: Slot,
        present: bool,
        labels: impl FnOnce() -> (Labels, bool),
    ) {
        if self.rows.len() <= at(slot) {
            if !present {
                return;
            }
            self.rows.resize(at(slot) + 1, None);
        }
        let row = &mut self.rows[at(slot)];
        if row.is_none() {
            if !present {
                return;
            }
            let next = number(self.counts.len());
            let key = *self.keys.entry(labels()).or_insert(next);
            if key == next {
                self.counts.push(0);
            }
            *row = Some((key, false));
        }
        let Some((key, had)) = row else { return };
        if *had == present {
            return;
        }
        *had = present;
        let count = &mut self.counts[at(*key)];
        if present {
            *count += 1;
            self.clashes += usize::from(*count == 2);
        } else {
            *count -= 1;
            self.clashes -= usize::from(*count == 1);
        }
    }

    pub(super) fn clashes(&self) -> bool {
        self.clashes > 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.capacity() * (size_of::<(Labels, bool)>() + 8)
            + self.counts.capacity() * 4
            + self.rows.capacity() * size_of::<Option<(u32, bool)>>()
    }
}

/// `label_replace` and `label_join`.
#[derive(Debug)]
pub(super) struct Relabel {
    pub(super) vector: NodeId,
    pub(super) what: What,
    pub(super) index: Index,
}

#[derive(Debug)]
pub(super) enum What {
    Replace { destination: String, replacement: String, source: String, pattern: Regex },
    Join { destination: String, separator: String, sources: Vec<String> },
}

impl What {
    fn of(&self, labels: &Labels, drop_name: bool) -> (Labels, bool) {
        match self {
            Self::Replace { destination, replacement, source, pattern } => {
                match label::replace(labels, destination, replacement, source, pattern) {
                    Some(replaced) => (replaced, drop_name && destination != METRIC_NAME),
                    None => (labels.clone(), drop_name),
                }
            }
            Self::Join { destination, separator, sources } => {
                let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
                let joined = label::join(labels, destination, separator, &sources);
                (joined, drop_name && destination != METRIC_NAME)
            }
        }
    }
}

impl Relabel {
    pub(super) fn process(&mut self, below: &[Node], inbox: &[(u8, Slot)], out: &mut Out) {
        let values = &below[at(self.vector)].out.values;
        while out.values.len() < values.len() {
            let (labels, drop_name) = name(below, self.vector, number(out.values.len()));
            let (labels, drop_name) = self.what.of(labels, drop_name);
            out.row(labels, drop_name);
        }
        for (_, slot) in inbox {
            let value = values[at(*slot)];
            out.set(*slot, value);
            self.index.note(*slot, !is_absent(value), || {
                let (labels, drop_name) = name(below, self.vector, *slot);
                self.what.of(labels, drop_name)
            });
        }
    }

    pub(super) fn error(&self) -> Option<Error> {
        self.index.clashes().then_some(Error::SameLabels)
    }
}
