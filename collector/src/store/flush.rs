//! From the head to chunks, a few series with every commit, so that no commit takes long.

mod pace;
mod trim;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::bytes::{key, seal, unseal};
use super::head::{merge, window_end};
use super::record::{read_ids, write_ids};
use super::retention::Removal;
use super::rollup::note_stale;
use super::shared::{Filled, count, reading, writing};
use super::summaries::{day_of, day_of_window};
use super::times::{Common, read_times, release_times};
use super::{Store, codec};
use pace::STEP;
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
    pub(super) lost_rows: u64,
    pub(super) removed: Option<Removal>,
    /// Day and series whose summaries are not those of their chunks any more.
    stale: Vec<(i64, u32)>,
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

    fn write_chunks(
        &self,
        connection: &Connection,
        pass: &Pass,
        step: &mut Step,
    ) -> rusqlite::Result<()> {
        let window = pass.window;
        let known = reading(&self.shared.windows).get(&window).copied();
        let mut filled = known.unwrap_or_default();
        if pass.next == 0 {
            self.note_series(connection, pass, known.is_some())?;
        }
        let (count, mut rest) = self.share(pass);
        // What comes after the window's end will not be followed by more.
        let quick = pass.quick && window_end(window) > self.now;
        let part = pass.series.iter().skip(pass.next).take(count);
        let day = day_of_window(window);
        let summed = (self.has_summaries(day), self.has_summaries(day.saturating_sub(1)));
        let mut common = Common::default();
        for id in part {
            if rest == 0 && step.done >= STEP {
                break;
            }
            step.done += 1;
            let Some(series) = self.by_id(*id) else { continue };
            let (mut times, mut values) = (Vec::new(), Vec::new());
            let (start, end) = (super::head::window_start(window), window_end(window));
            series.head().read(start, end, &mut times, &mut values);
            if times.is_empty() {
                continue;
            }
            let mut place = 0;
            // Chunks of a new window can only be there when this pass was cut off by a crash.
            let parts = if pass.known { self.parts(connection, window, *id)? } else { Vec::new() };
            for (number, old) in parts {
                let old_samples = match &old.content {
                    Some((old_times, old_values)) => {
                        (times, values) = merge((old_times, old_values), (&times, &values));
                        old_times.len() as u64
                    }
                    None if self.flush.mended.contains(&(window, *id)) => 0,
                    None => {
                        place = place.max(number + 1);
                        continue;
                    }
                };
                connection
                    .prepare_cached(
                        "DELETE FROM chunk WHERE window = ?1 AND series = ?2 AND part = ?3",
                    )?
                    .execute(params![window, id, number])?;
                release_times(connection, window, old.times_at)?;
                filled.bytes = filled.bytes.saturating_sub(old.bytes);
                filled.samples = filled.samples.saturating_sub(old_samples);
            }
            // The first moment of a window may belong to the day before.
            let days = [day_of(times.first().copied().unwrap_or(end)), day];
            for one in days.into_iter().filter(|one| if *one == day { summed.0 } else { summed.1 })
            {
                note_stale(connection, one, *id)?;
                step.stale.push((one, *id));
            }
            let data = if quick {
                codec::encode(&times, &values)
            } else {
                common.compress(connection, window, *id, &times, &values)?
            };
            rest = rest.saturating_sub(pace::cost(times.len(), quick));
            let data = seal(data, key(window, i64::from(*id)));
            filled.bytes += data.len() as u64;
            filled.samples += times.len() as u64;
            connection
                .prepare_cached(
                    "INSERT INTO chunk (window, series, part, data) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![window, id, place, data])?;
        }
        filled.bytes += common.bytes;
        step.ended = pass.next + step.done >= pass.series.len();
        if step.ended {
            filled.upto = filled.upto.max(pass.upto);
        }
        connection
            .prepare_cached(
                "UPDATE window SET upto = ?2, bytes = ?3, samples = ?4 WHERE window = ?1",
            )?
            .execute(params![
                window,
                filled.upto.cast_signed(),
                filled.bytes.cast_signed(),
                filled.samples.cast_signed()
            ])?;
        step.window = window;
        step.filled = Some(filled);
        Ok(())
    }

    /// What chunks a series has in a window, by part.
    pub(super) fn parts(
        &self,
        connection: &Connection,
        window: i64,
        series: u32,
    ) -> rusqlite::Result<Vec<(i64, Part)>> {
        let mut select = connection
            .prepare_cached("SELECT part, data FROM chunk WHERE window = ?1 AND series = ?2")?;
        let mut rows = select.query(params![window, series])?;
        let mut parts = Vec::new();
        while let Some(row) = rows.next()? {
            let data = row.get_ref(1)?.as_bytes().unwrap_or_default();
            let (mut times, mut values) = (Vec::new(), Vec::new());
            let key = key(window, i64::from(series));
            let content = unseal(data, key);
            let times_at = content.and_then(codec::times_elsewhere);
            let mut elsewhere = |id, times: &mut Vec<i64>| {
                times.extend(read_times(connection, window, id)?);
                Some(())
            };
            let read = content
                .and_then(|data| codec::decode_with(data, &mut times, &mut values, &mut elsewhere));
            if read.is_none() {
                count(&self.shared.found.chunks);
            }
            let content = read.map(|()| (times, values));
            parts.push((row.get(0)?, Part { bytes: data.len() as u64, content, times_at }));
        }
        Ok(parts)
    }

    /// Notes which series will have chunks in the window, before the first of them has.
    fn note_series(
        &self,
        connection: &Connection,
        pass: &Pass,
        known: bool,
    ) -> rusqlite::Result<()> {
        let mut all = pass.series.clone();
        if known {
            let before: Option<Vec<u8>> = connection
                .prepare_cached("SELECT series FROM window WHERE window = ?1")?
                .query_row([pass.window], |row| row.get(0))
                .optional()?;
            all.extend(
                before.and_then(|before| read_ids(pass.window, &before)).unwrap_or_default(),
            );
            all.sort_unstable();
        }
        all.dedup();
        connection
            .prepare_cached(
                "INSERT INTO window (window, upto, bytes, samples, series) \
                 VALUES (?1, 0, 0, 0, ?2) ON CONFLICT (window) DO UPDATE SET \
                 series = excluded.series",
            )?
            .execute(params![pass.window, write_ids(pass.window, &all)])?;
        Ok(())
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
            writing(&self.shared.windows).insert(step.window, filled);
            for id in pass.series.iter().skip(pass.next).take(step.done) {
                if let Some(series) = self.by_id(*id) {
                    series.head().drop_window(step.window);
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

pub(super) struct Part {
    pub(super) bytes: u64,
    pub(super) content: Option<(Vec<i64>, Vec<f64>)>,
    /// Under which number its times stand, if not within.
    pub(super) times_at: Option<u32>,
}
