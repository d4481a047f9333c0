//! The newest entries of the log as they were committed: who keeps up with the writer need not have
//! them read from the disk and decoded again. What all have read is let go of.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Entry;

/// How many points are kept, an entry counting as [`ENTRY`] more: 3 MB. Of 100,000 series that is
/// a second and more; those who hang back further read the disk. Few in tests, so that these meet
/// both.
const MOST: usize = if cfg!(test) { 1 << 12 } else { 1 << 17 };
/// What an entry without points takes, in points.
const ENTRY: usize = 8;

/// The end of the log.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: VecDeque<Arc<Entry>>,
    weight: usize,
    /// All entries after this position are here; `None` when nothing is known.
    after: Option<u64>,
}

impl Recent {
    /// Takes an entry that was committed after all others.
    pub(super) fn push(&mut self, entry: Entry) {
        self.after.get_or_insert(entry.position.saturating_sub(1));
        self.weight += weight(&entry);
        self.entries.push_back(Arc::new(entry));
        while self.weight > MOST {
            self.drop_oldest();
        }
    }

    /// The log begins after this position now.
    pub(super) fn trim(&mut self, upto: u64) {
        while self.entries.front().is_some_and(|oldest| oldest.position <= upto) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.weight -= weight(&oldest);
            self.after = Some(oldest.position);
        }
    }

    /// Something but its ends has changed in the log: what is here is not what is there any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The entries after the position `after`, at most `limit`; `None` when some of them are only
    /// on the disk.
    pub(super) fn entries(&self, after: u64, limit: usize) -> Option<Vec<Arc<Entry>>> {
        if self.after.is_none_or(|from| after < from) {
            return None;
        }
        let first = self.entries.partition_point(|entry| entry.position <= after);
        Some(self.entries.range(first..).take(limit).cloned().collect())
    }
}

fn weight(entry: &Entry) -> usize {
    entry.points.len() + ENTRY
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::*;

    fn entry(position: u64, points: usize) -> Entry {
        let point = |at: usize| Point { series: 1, time: at.try_into().unwrap(), value: 0.0 };
        Entry::new(position, 0, 1, ((0..points).map(point).collect(), false))
    }

    fn positions(recent: &Recent, after: u64, limit: usize) -> Option<Vec<u64>> {
        let entries = recent.entries(after, limit)?;
        Some(entries.iter().map(|entry| entry.position).collect())
    }

    #[test]
    fn it_answers_only_when_nothing_is_left_out() {
        let mut recent = Recent::default();
        assert_eq!(positions(&recent, 0, 10), None);
        // Position 5 is a hole: what was to stand there was rolled back.
        for position in [4, 6, 7] {
            recent.push(entry(position, 10));
        }
        assert_eq!(positions(&recent, 2, 10), None);
        assert_eq!(positions(&recent, 3, 10), Some(vec![4, 6, 7]));
        assert_eq!(positions(&recent, 4, 1), Some(vec![6]));
        assert_eq!(positions(&recent, 5, 10), Some(vec![6, 7]));
        assert_eq!(positions(&recent, 7, 10), Some(vec![]));
        recent.trim(5);
        assert_eq!(positions(&recent, 3, 10), None);
        assert_eq!(positions(&recent, 4, 10), Some(vec![6, 7]));
        recent.clear();
        assert_eq!(positions(&recent, 7, 10), None);
        recent.push(entry(8, 10));
        assert_eq!(positions(&recent, 6, 10), None);
        assert_eq!(positions(&recent, 7, 10), Some(vec![8]));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut recent = Recent::default();
        for position in 1..=100_000 {
            recent.push(entry(position, 0));
        }
        let kept = MOST / ENTRY;
        assert_eq!((recent.entries.len(), recent.weight), (kept, kept * ENTRY));
        let oldest = 100_000 - u64::try_from(kept).unwrap();
        assert_eq!(positions(&recent, oldest - 1, 1), None);
        assert_eq!(positions(&recent, oldest, 1), Some(vec![oldest + 1]));
        // One that is larger than all there is room for.
        recent.push(entry(100_001, MOST));
        assert_eq!(positions(&recent, 100_000, 1), None);
        assert_eq!(positions(&recent, 100_001, 1), Some(vec![]));
    }
}
