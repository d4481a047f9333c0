//! How much is written with one commit: enough that the log stays short, and so little that no
//! commit takes long.

use super::super::Store;
use super::super::heads::SHARD;
use super::Pass;

/// Series written with one commit, at least.
pub(super) const STEP: usize = 256;
/// The rest of a pass, when there is no hurry, goes with about so many commits.
const COMMITS: usize = 256;
/// What one series costs, however few samples it has, in samples.
const SERIES_COST: u64 = 128;
/// Quickly encoded samples that cost as much as a compressed one.
const QUICK: u64 = 8;
/// What one commit writes at most to be done in time, before the log gets too long, in samples:
/// about a tenth of a second. Beyond it the log grows rather than the wait for a commit.
const MOST_COST: u64 = 500_000;
/// But as much as this for each sample that the commit before had: what comes in goes out.
const COST_EACH: u64 = 4;
/// A sample takes about so many bytes of log.
const LOG_BYTES: u64 = 6;
/// A series has about so many bytes of log before its window is written early: many series with a
/// few samples each would cost more to write than to take in.
const BYTES_PER_SERIES: u64 = 256;

/// What one series costs whose chunk has so many samples.
pub(super) fn cost(samples: usize, quick: bool) -> u64 {
    let samples = samples as u64;
    SERIES_COST + if quick { samples / QUICK } else { samples }
}

impl Store {
    /// How much log there may be before a window is written early.
    pub(super) fn replay_bytes(&self) -> u64 {
        let limit = self.options.replay_bytes;
        let pays = (self.shards.len() * SHARD) as u64 * BYTES_PER_SERIES;
        pays.clamp(limit, limit.saturating_mul(4))
    }

    /// How many series go with the next commit, and what they may cost beyond the first [`STEP`].
    pub(super) fn share(&self, pass: &Pass) -> (usize, u64) {
        let left = pass.series.len().saturating_sub(pass.next);
        let each = self.flush.each;
        let commits = pass.until.saturating_sub(self.flush.appended) / each.max(1);
        let commits = usize::try_from(commits).unwrap_or(usize::MAX).max(1);
        let count = STEP.max(pass.series.len().div_ceil(COMMITS)).max(left.div_ceil(commits));
        (count, MOST_COST.max(each / LOG_BYTES * COST_EACH))
    }
}
