//! From the head to chunks, a few series with every commit, so that no commit takes long.

mod chunks;
mod pace;
mod trim;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::Store;
use super::head::window_end;
use super::retention::Removal;
use super::shared::{Filled, reading, writing};
use trim::TRIM_STEP;
pub(super) use trim::note_log_bytes;

/// How long after its end, and after its last sample, a window is written. Longer than queries for
/// the present look back (5 min), so that these need only the head.
const SETTLE_MILLIS: i64 = 10 * 60 * 1000;
/// Samples that keep coming for an old window are written at the latest after this.
const PATIENCE_MILLIS: i64 = 60 * 60 * 1000;
/// What waits to be written, and what is being written.
#[derive(Debug, Default)]
pub(super) struct Flush {
    /// By window: the series that have samples in the head.
    filling: BTreeMap<i64, Filling>,
    pass: Option<Pass>,
    pub(super) removal: Option<Removal>,
    /// There are more log rows that nobody needs any more.
    trimming: bool,
    /// Windows that are written as soon as they have samples: those of the past that are filled.
    hurried: BTreeSet<i64>,
    /// Windows and series whose damaged chunks are given up for what came in their place.
    mended: BTreeSet<(i64, u32)>,
    /// Bytes of log ever appended, as seen by this process.
    pub(super) appended: u64,
    /// Bytes of log that the last commit appended.
    pub(super) each: u64,
}

#[derive(Debug)]
struct Filling {
    series: Vec<u32>,
    /// The log row of its first sample.
    first_log: u64,
    /// `appended` at that row.
    first_byte: u64,
    opened: i64,
    touched: i64,
}

/// One window on its way to disk.
#[derive(Debug)]
struct Pass {
    window: i64,
    /// Samples of this window in log rows up to here will be in chunks.
    upto: u64,
    first_log: u64,
    series: Vec<u32>,
    next: usize,
    /// It is to be at its end when so much log was appended: the rest of the log grows meanwhile.
    until: u64,
    /// The window may have chunks already.
    known: bool,
    /// The window is not at its end, so that its chunks will be written again: quickly is enough.
    quick: bool,
}

/// What one transaction wrote; memory follows after the commit.
#[derive(Debug, Default)]
pub(super) struct Step {
    window: i64,
    filled: Option<Filled>,
    done: usize,
    ended: bool,
    pub(super) log_bytes_deleted: u64,
    trimmed: i64,
    /// The log begins after this row.
    pub(super) trimmed_upto: u64,
    pub(super) lost_rows: u64,
    pub(super) removed: Option<Removal>,
    /// Day and series whose summaries are not those of their chunks any more.
    stale: Vec<(i64, u32)>,
}

impl Step {
    /// What the window holds with this transaction, when a part of it was written.
    pub(super) fn filled(&self, window: i64) -> Option<Filled> {
        self.filled.filter(|_| self.window == window)
    }
}

impl Flush {
    pub(super) fn opened(&mut self, window: i64, series: u32, log: u64, now: i64) {
        let appended = self.appended;
        let filling = self.filling.entry(window).or_insert_with(|| Filling {
            series: Vec::new(),
            first_log: log,
            first_byte: appended,
            opened: now,
            touched: now,
        });
        filling.series.push(series);
    }

    pub(super) fn touched(&mut self, window: i64, now: i64) {
        if let Some(filling) = self.filling.get_mut(&window) {
            filling.touched = now;
        }
    }

    /// Has windows written as soon as they have samples, and damaged chunks given up.
    pub(super) fn hurry(
        &mut self,
        windows: impl IntoIterator<Item = i64>,
        mended: impl IntoIterator<Item = (i64, u32)>,
    ) {
        self.hurried.extend(windows);
        self.mended.extend(mended);
    }

    /// Whether the window has samples that are not in chunks.
    pub(super) fn waits(&self, window: i64) -> bool {
        self.filling.contains_key(&window) || self.passes(window)
    }

    /// The first window that has samples that are not in chunks.
    pub(super) fn first_window(&self) -> Option<i64> {
        let passing = self.pass.as_ref().map(|pass| pass.window);
        self.filling.keys().next().copied().into_iter().chain(passing).min()
    }

    /// Whether the window is on its way to disk.
    pub(super) fn passes(&self, window: i64) -> bool {
        self.pass.as_ref().is_some_and(|pass| pass.window == window)
    }

    /// Forgets what waits of a window; gives the series concerned.
    pub(super) fn forget(&mut self, window: i64) -> Vec<u32> {
        self.filling.remove(&window).map(|filling| filling.series).unwrap_or_default()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.pass.is_some() || self.removal.is_some() || self.trimming
    }

    /// The first log row that is not wholly in chunks, if there is one.
    fn first_log(&self) -> Option<u64> {
        let passing = self.pass.as_ref().map(|pass| pass.first_log);
        self.filling.values().map(|filling| filling.first_log).chain(passing).min()
    }

    fn due(&self, now: i64, replay_bytes: u64) -> Option<i64> {
        let oldest = self.filling.iter().min_by_key(|(_, filling)| filling.first_log)?;
        if self.appended.saturating_sub(oldest.1.first_byte) > replay_bytes {
            return Some(*oldest.0);
        }
        let due = |(window, filling): &(&i64, &Filling)| {
            let end = window_end(**window);
            now.saturating_sub(end.max(filling.touched)) >= SETTLE_MILLIS
                || now.saturating_sub(end.max(filling.opened)) >= PATIENCE_MILLIS
        };
        let hurried = self.filling.keys().find(|window| self.hurried.contains(window));
        hurried.copied().or_else(|| self.filling.iter().find(due).map(|(window, _)| *window))
    }
}

impl Store {
    pub(super) fn is_due(&self) -> bool {
        self.flush.due(self.now, self.replay_bytes()).is_some() || self.removal_due()
    }

    /// Starts the next pass when there is none and one is due; likewise a removal.
    pub(super) fn choose(&mut self) {
        if self.flush.removal.is_none() {
            self.choose_removal();
        }
        if self.flush.pass.is_none()
            && let Some(window) = self.flush.due(self.now, self.replay_bytes())
        {
            self.start(window, window_end(window) > self.now);
        }
    }

    /// Has a window written before others.
    pub(super) fn flush_next(&mut self, window: i64) {
        if self.flush.pass.is_none() {
            self.start(window, false);
        }
    }

    fn start(&mut self, window: i64, quick: bool) {
        let Some(mut filling) = self.flush.filling.remove(&window) else { return };
        filling.series.sort_unstable();
        // What was deleted and came again is there twice.
        filling.series.dedup();
        self.flush.pass = Some(Pass {
            window,
            upto: self.last_log,
            first_log: filling.first_log,
            series: filling.series,
            next: 0,
            until: self.flush.appended.saturating_add(self.replay_bytes() / 4),
            known: reading(&self.shared.windows).contains_key(&window),
            quick,
        });
    }

    /// Writes all of the head as chunks, and deletes the log rows that are not needed then: before
    /// an orderly end, so that the next start has nothing to replay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush_all(&mut self) -> Result<(), super::Error> {
        loop {
            if self.flush.pass.is_none() {
                match self.flush.filling.keys().next().copied() {
                    Some(window) => self.start(window, false),
                    None => break,
                }
            }
            self.maintain(hallwatch_model::Timestamp::from_millis(self.now))?;
        }
        // What is to be summed up can be so later.
        let mut busy = true;
        while busy {
            self.maintain(hallwatch_model::Timestamp::from_millis(self.now))?;
            let purging = self.purges.front().is_some_and(super::purge::Purge::writes);
            let due = self.flush.due(self.now, self.replay_bytes()).is_some();
            busy = self.flush.is_busy() || purging || due || self.give_back()?;
        }
        Ok(())
    }

    /// A part of the work, within the caller's transaction. Changes nothing in memory.
    pub(super) fn flush_step(&self, connection: &Connection) -> rusqlite::Result<Step> {
        let mut step = Step::default();
        if let Some(pass) = &self.flush.pass {
            self.write_chunks(connection, pass, &mut step)?;
        }
        self.trim_log(connection, &mut step)?;
        self.remove_step(connection, &mut step)?;
        Ok(step)
    }

    /// Lets memory follow what is on disk now.
    pub(super) fn flushed(&mut self, step: Step) {
        use std::sync::atomic::Ordering;
        self.shared.log_bytes.fetch_sub(step.log_bytes_deleted, Ordering::Relaxed);
        self.flush.trimming = step.trimmed >= TRIM_STEP;
        self.shared.export_lost_rows.fetch_add(step.lost_rows, Ordering::Relaxed);
        if !step.stale.is_empty() {
            let mut stale = writing(&self.shared.stale);
            for (day, series) in &step.stale {
                stale.entry(*day).or_default().insert(*series);
            }
        }
        if let (Some(filled), Some(mut pass)) = (step.filled, self.flush.pass.take()) {
            // Readers look into the head first and then here: so this comes first.
            let filled = self.shared.changed(filled);
            writing(&self.shared.windows).insert(step.window, filled);
            for id in pass.series.iter().skip(pass.next).take(step.done) {
                if let Some(mut head) = self.head(*id) {
                    head.drop_window(step.window);
                }
            }
            pass.next += step.done;
            if step.ended {
                let flush = &mut self.flush;
                flush.mended.retain(|(window, series)| {
                    *window != step.window || pass.series.binary_search(series).is_err()
                });
                if !flush.filling.contains_key(&step.window) {
                    flush.hurried.remove(&step.window);
                }
            } else {
                self.flush.pass = Some(pass);
            }
        }
        self.removed(&step);
    }
}
