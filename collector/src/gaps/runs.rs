//! What is known of the runs of an agent: when each began and ended, and which of its entries are
//! not here though later ones are.

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_model::{Ack, Timestamp};

use super::Arrived;

/// Runs that are remembered of an agent; of more the oldest are forgotten.
const MAX_RUNS: usize = 32;

/// An agent.
#[derive(Clone, Debug, Default)]
pub(in crate::gaps) struct Known {
    /// By boot.
    pub(super) runs: BTreeMap<u64, Run>,
    /// The run that was heard last; 0 for none.
    pub(super) sender: u64,
    /// There are rows with entries that are missing.
    pub(super) missing: bool,
    /// The row of what was refused last, and when that was.
    pub(super) refused: Option<(String, Timestamp)>,
    /// Runs have changed since they were written.
    pub(super) changed: bool,
}

/// One run. Times are those of its lowest and highest entry that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::gaps) struct Run {
    pub(super) first: u64,
    pub(super) start: Timestamp,
    pub(super) last: u64,
    pub(super) end: Timestamp,
    /// What is missing below what is here, and since when that is known.
    pub(super) holes: BTreeMap<(u64, u64), Timestamp>,
    pub(super) upto: u64,
    pub(super) beyond: Vec<(u64, u64)>,
    /// When entries beside holes began and ended, by number.
    pub(super) edges: BTreeMap<u64, (Timestamp, Timestamp)>,
}

impl Run {
    /// Takes what is on disk; whether holes have changed.
    pub(super) fn acknowledged(&mut self, ack: &Ack, now: Timestamp) -> bool {
        let (upto, beyond) = (ack.upto, &ack.beyond);
        self.upto = upto;
        if self.beyond.is_empty() && beyond.is_empty() {
            self.edges.retain(|seq, _| *seq == upto);
            return false;
        }
        let mut holes = BTreeMap::new();
        let mut below = upto;
        let mut kept = BTreeSet::from([upto]);
        for (first, last) in beyond {
            kept.extend([*first, *last]);
            let hole = (below + 1, first.saturating_sub(1));
            // It fills from its lower end.
            let known = self.holes.iter().find(|((_, end), _)| *end == hole.1);
            holes.insert(hole, known.map_or(now, |(_, since)| *since));
            below = *last;
        }
        self.edges.retain(|seq, _| kept.contains(seq));
        self.beyond.clone_from(beyond);
        std::mem::replace(&mut self.holes, holes) != self.holes
    }

    /// The times just before and after entries that are not here.
    pub(super) fn around(&self, first: u64, last: u64) -> (Option<Timestamp>, Option<Timestamp>) {
        let before = self.edges.get(&first.saturating_sub(1)).map(|(_, end)| *end);
        let after = self.edges.get(&last.saturating_add(1)).map(|(start, _)| *start);
        (before, after)
    }
}

impl Known {
    /// An entry came.
    pub(super) fn arrived(&mut self, entry: Arrived) {
        let Arrived { boot, seq, start, watermark, .. } = entry;
        let run = self.runs.entry(boot).or_default();
        if run.first == 0 || seq < run.first {
            (run.first, run.start) = (seq, start);
            self.changed = true;
        }
        if seq >= run.last {
            (run.last, run.end) = (seq, watermark);
            self.changed = true;
        }
        run.edges.insert(seq, (start, watermark));
        if self.runs.len() > MAX_RUNS {
            let oldest = self.runs.iter().min_by_key(|(_, run)| run.end).map(|(boot, _)| *boot);
            if let Some(oldest) = oldest {
                self.runs.remove(&oldest);
            }
        }
    }

    /// The end of the latest entry that is here.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.runs.values().filter(|run| run.last > 0).map(|run| run.end).max()
    }

    /// The times just before and after entries that were given up when `next` came.
    pub(super) fn around(
        &mut self,
        boot: u64,
        first: u64,
        last: u64,
        next: Arrived,
    ) -> (Timestamp, Timestamp) {
        let run = self.runs.get(&boot);
        let (before, after) = run.map_or((None, None), |run| run.around(first, last));
        let end = after.unwrap_or(next.start);
        let earlier = self.runs.values().filter(|run| run.last > 0 && run.end <= end);
        let earlier = earlier.map(|run| run.end).max();
        (before.or(earlier).unwrap_or(end), end)
    }

    /// The runs that began after another one had ended: boot, end of the one before, beginning.
    pub(super) fn restarts(&self) -> Vec<(u64, Timestamp, Timestamp)> {
        let mut runs: Vec<(u64, &Run)> = self
            .runs
            .iter()
            .filter(|(_, run)| run.last > 0)
            .map(|(boot, run)| (*boot, run))
            .collect();
        runs.sort_by_key(|(boot, run)| (run.start, *boot));
        let mut restarts = Vec::new();
        let mut ended: Option<Timestamp> = None;
        for (boot, run) in runs {
            // Of a run whose first entry is not here it is not known when it began.
            if let Some(ended) = ended
                && run.first == 1
            {
                restarts.push((boot, ended, run.start));
            }
            ended = ended.max(Some(run.end));
        }
        restarts
    }
}
