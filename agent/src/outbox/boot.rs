//! The entries of one run, and who has them.

use hallwatch_model::{Ack, Id};

use super::Earlier;
use crate::ranges::Ranges;

/// Ranges kept of one collector; what would be more is asked for again.
const MAX_RANGES: usize = 4_096;

#[derive(Debug)]
pub(super) struct Boot {
    pub(super) number: u64,
    /// The lowest entry that may still be in the journal; those below are settled.
    pub(super) first: u64,
    /// The highest entry in the journal; 0 when there is none yet.
    last: u64,
    /// What nobody waits for any more: everyone has it, or it is gone.
    done: Ranges,
    acked: Vec<(Id, Ranges)>,
}

impl Boot {
    pub(super) fn new(number: u64, collectors: &[Id]) -> Self {
        let acked = collectors.iter().map(|id| (id.clone(), Ranges::default())).collect();
        Self { number, first: 1, last: 0, done: Ranges::default(), acked }
    }

    pub(super) fn earlier(earlier: Earlier, collectors: &[Id]) -> Self {
        let Earlier { boot, first, last, mut done, acked: known } = earlier;
        // What is below the first one left was settled before.
        if first > 1 {
            done.insert(1, first - 1);
        }
        let ranges = |id: &Id| known.iter().find(|(known, _)| known == id).map(|(_, r)| r.clone());
        let acked =
            collectors.iter().map(|id| (id.clone(), ranges(id).unwrap_or_default())).collect();
        Self { number: boot, first, last, done, acked }
    }

    pub(super) fn extend(&mut self, seq: u64) {
        self.last = self.last.max(seq);
    }

    pub(super) fn is_done(&self, seq: u64) -> bool {
        self.done.contains(seq)
    }

    /// The lowest entry that is still owed to anyone.
    pub(super) fn oldest(&self) -> u64 {
        self.done.next_out(self.first)
    }

    /// The lowest owed entry from `from` on.
    pub(super) fn owed_from(&self, from: u64) -> Option<u64> {
        let seq = self.done.next_out(from.max(self.first));
        (seq <= self.last).then_some(seq)
    }

    /// How many are owed.
    pub(super) fn owed(&self) -> u64 {
        if self.last < self.first {
            return 0;
        }
        self.last - self.first + 1 - self.done.count(self.first, self.last)
    }

    /// Takes what `collector` says; its new state, when it is known and said anything new.
    pub(super) fn acknowledge(&mut self, collector: &Id, ack: &Ack) -> Option<&Ranges> {
        let last = self.last;
        let (_, ranges) = self.acked.iter_mut().find(|(id, _)| id == collector)?;
        let before = ranges.clone();
        // Of what was never sent nothing can have arrived.
        ranges.insert(1, ack.upto.min(last));
        for (from, to) in &ack.beyond {
            if ranges.len() < MAX_RANGES {
                ranges.insert(*from, (*to).min(last));
            }
        }
        (*ranges != before).then_some(&*ranges)
    }

    pub(super) fn forget(&mut self, collector: &Id) {
        for (id, ranges) in &mut self.acked {
            if id == collector {
                *ranges = Ranges::default();
            }
        }
    }

    /// Ranges that everyone has since the last time this was asked.
    pub(super) fn newly_done(&mut self) -> Vec<(u64, u64)> {
        let common = Ranges::common(self.acked.iter().map(|(_, ranges)| ranges));
        let mut fresh = Vec::new();
        for (first, last) in common.iter() {
            let mut at = self.done.next_out(first.max(self.first));
            while at <= last {
                let end = self.done.next_in(at).map_or(last, |next| last.min(next - 1));
                fresh.push((at, end));
                at = self.done.next_out(end.saturating_add(1));
            }
        }
        for (first, last) in &fresh {
            self.done.insert(*first, *last);
        }
        self.first = self.done.next_out(self.first);
        fresh
    }

    pub(super) fn drop_upto(&mut self, upto: u64) {
        self.done.insert(1, upto);
        self.last = self.last.max(upto);
        self.first = self.done.next_out(self.first);
    }

    /// What of `first` to `last` was not found in the journal is gone.
    pub(super) fn absent(&mut self, first: u64, last: u64, found: &Ranges) {
        let mut at = found.next_out(first);
        while at <= last {
            let end = found.next_in(at).map_or(last, |next| last.min(next - 1));
            self.done.insert(at, end);
            at = found.next_out(end.saturating_add(1));
        }
        self.first = self.done.next_out(self.first);
    }
}
