//! What has to be looked at again at a time to come.

use std::collections::BTreeMap;

use super::node::{NodeId, Slot};

/// Rows by the event time (milliseconds) at which they change without a sample. Samples of one
/// batch share their time, so there are far fewer times than rows.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<i64, Vec<(NodeId, Slot)>>,
    count: usize,
}

impl Timers {
    pub(super) fn add(&mut self, at: i64, node: NodeId, slot: Slot) {
        self.due.entry(at).or_default().push((node, slot));
        self.count += 1;
    }

    /// The rows of the earliest time, if it has come.
    pub(super) fn pop(&mut self, now: i64) -> Option<(i64, Vec<(NodeId, Slot)>)> {
        let first = self.due.first_entry()?;
        if *first.key() > now {
            return None;
        }
        let (at, rows) = first.remove_entry();
        self.count -= rows.len();
        Some((at, rows))
    }

    pub(super) fn next(&self) -> Option<i64> {
        self.due.first_key_value().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }
}
