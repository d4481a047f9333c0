//! Taking deleted samples from the disk: from the log, from chunks, then from whatever SQLite and
//! damage have left beside them.

mod rollup;

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::bytes::{key, seal};
use super::deletion::Hidden;
use super::flush::{Step, note_log_bytes};
use super::head::window_of;
use super::record::{read_ids, read_row, write_ids, write_points};
use super::rollup::Rolled;
use super::salvage;
use super::shared::{Filled, reading, writing};
use super::times::release_times;
use super::{Error, Store, codec};

/// Log rows looked at with one commit.
const LOG_STEP: i64 = 64;
/// Chunks looked at with one commit.
const CHUNK_STEP: usize = 256;

/// A deletion on its way to the disk.
#[derive(Clone, Debug)]
pub(super) struct Purge {
    hidden: Arc<Hidden>,
    stage: Stage,
    gone: Gone,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The next log row.
    Log(u64),
    /// A window, or the first after it, and which of the series is next.
    Chunks(i64, usize),
    /// A resolution and a day, or the first after it, and which of the series is next.
    Summaries(i64, i64, usize),
    Events,
    /// Everything is overwritten; copies are left.
    Copies,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone {
    pub(super) chunk_samples: u64,
    pub(super) log_samples: u64,
    pub(super) events: u64,
    pub(super) damaged: u64,
}

impl Gone {
    /// Into the receipt, in the transaction in which it goes: a restart counts nothing twice.
    fn note(self, connection: &Connection, id: i64) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "UPDATE deletion SET chunk_samples = ?2, log_samples = ?3, events = ?4, \
                 damaged = ?5 WHERE id = ?1",
            )?
            .execute(params![
                id,
                self.chunk_samples.cast_signed(),
                self.log_samples.cast_signed(),
                self.events.cast_signed(),
                self.damaged.cast_signed()
            ])?;
        Ok(())
    }
}

/// What one transaction did; memory follows after the commit.
#[derive(Debug)]
pub(super) struct PurgeStep {
    purge: Purge,
    windows: Vec<(i64, Filled)>,
    log_bytes: u64,
    rolled: Vec<((i64, i64), Rolled)>,
    stale: Vec<(i64, u32)>,
}

impl PurgeStep {
    /// What there is of a day with this transaction, when a part of it went.
    pub(super) fn rolled(&self, at: (i64, i64)) -> Option<Rolled> {
        self.rolled.iter().rev().find(|(day, _)| *day == at).map(|(_, one)| *one)
    }
}

impl Purge {
    pub(super) fn new(hidden: Arc<Hidden>, gone: Gone) -> Self {
        Self { hidden, stage: Stage::Log(0), gone }
    }

    /// Whether there is more to do within transactions.
    pub(super) fn writes(&self) -> bool {
        !matches!(self.stage, Stage::Copies)
    }
}

impl Store {
    /// A part of the work, within the caller's transaction, in which there was a step of the flush
    /// before. Changes nothing in memory.
    pub(super) fn purge_step(
        &self,
        connection: &Connection,
        flush: &Step,
    ) -> rusqlite::Result<Option<PurgeStep>> {
        let Some(purge) = self.purges.front().filter(|purge| purge.writes()) else {
            return Ok(None);
        };
        let mut step = PurgeStep {
            purge: purge.clone(),
            windows: Vec::new(),
            log_bytes: 0,
            rolled: Vec::new(),
            stale: Vec::new(),
        };
        match purge.stage {
            Stage::Log(next) => {
                purge_log(connection, next, &mut step)?;
                let left = self.log_bytes().saturating_sub(step.log_bytes);
                note_log_bytes(connection, left, self.last_log)?;
            }
            Stage::Summaries(resolution, day, next) => {
                self.purge_summaries(connection, ((resolution, day), next), &mut step)?;
            }
            Stage::Chunks(window, next) => {
                self.purge_chunks(connection, (window, next), flush, &mut step)?;
            }
            Stage::Events => purge_events(connection, &mut step)?,
            Stage::Copies => (),
        }
        step.purge.gone.note(connection, step.purge.hidden.id)?;
        Ok(Some(step))
    }

    /// Lets memory follow.
    pub(super) fn purged(&mut self, step: Option<PurgeStep>) {
        let Some(step) = step else { return };
        self.shared.log_bytes.fetch_sub(step.log_bytes, std::sync::atomic::Ordering::Relaxed);
        {
            let mut windows = writing(&self.shared.windows);
            for (window, filled) in step.windows {
                // What was written to it, or that it went, in the same transaction is known by now.
                if let Some(now) = windows.get_mut(&window) {
                    let filled = Filled { upto: now.upto, latest: now.latest, ..filled };
                    *now = self.shared.changed(filled);
                }
            }
        }
        // What was deleted is not to stay in memory either.
        self.shared.recalled.forget();
        writing(&self.shared.rolled).extend(step.rolled);
        for (day, series) in step.stale {
            writing(&self.shared.stale).entry(day).or_default().insert(series);
        }
        if let Some(first) = self.purges.front_mut() {
            *first = step.purge;
        }
    }

    fn purge_chunks(
        &self,
        connection: &Connection,
        (mut window, mut next): (i64, usize),
        flush: &Step,
        step: &mut PurgeStep,
    ) -> rusqlite::Result<()> {
        let hidden = step.purge.hidden.clone();
        let last = window_of(hidden.end);
        let mut budget = CHUNK_STEP;
        while budget > 0 {
            let found = {
                let windows = reading(&self.shared.windows);
                let all = (window <= last).then(|| windows.range(window..=last).next());
                // What was written to it in this transaction is not known there yet.
                all.flatten()
                    .map(|(window, filled)| (*window, flush.filled(*window).unwrap_or(*filled)))
            };
            let Some((number, mut filled)) = found else {
                step.purge.stage = Stage::Summaries(i64::MIN, i64::MIN, 0);
                return Ok(());
            };
            if number != window {
                (window, next) = (number, 0);
            }
            let part = hidden.series.iter().skip(next).take(budget);
            for id in part.clone() {
                self.purge_chunk(connection, window, *id, &mut filled, step)?;
            }
            let done = part.len();
            budget -= done.max(1);
            next += done;
            connection
                .prepare_cached("UPDATE window SET bytes = ?2, samples = ?3 WHERE window = ?1")?
                .execute(params![
                    window,
                    filled.bytes.cast_signed(),
                    filled.samples.cast_signed()
                ])?;
            step.windows.push((window, filled));
            if next >= hidden.series.len() {
                note_gone(connection, window, &hidden.series)?;
                (window, next) = (window.saturating_add(1), 0);
            }
        }
        step.purge.stage = Stage::Chunks(window, next);
        Ok(())
    }

    fn purge_chunk(
        &self,
        connection: &Connection,
        window: i64,
        id: u32,
        filled: &mut Filled,
        step: &mut PurgeStep,
    ) -> rusqlite::Result<()> {
        let hidden = step.purge.hidden.clone();
        for (number, part) in self.parts(connection, window, id)? {
            let (times, values) = part.content.unwrap_or_else(|| {
                step.purge.gone.damaged += 1;
                (Vec::new(), Vec::new())
            });
            let kept = |time: &i64| !(hidden.start..=hidden.end).contains(time);
            let (kept_times, kept_values): (Vec<i64>, Vec<f64>) =
                times.iter().zip(&values).filter(|(time, _)| kept(time)).unzip();
            if kept_times.len() == times.len() && !times.is_empty() {
                continue;
            }
            let gone = (times.len() - kept_times.len()) as u64;
            step.purge.gone.chunk_samples += gone;
            filled.samples = filled.samples.saturating_sub(gone);
            filled.bytes = filled.bytes.saturating_sub(part.bytes);
            release_times(connection, window, part.times_at)?;
            if kept_times.is_empty() {
                connection
                    .prepare_cached(
                        "DELETE FROM chunk WHERE window = ?1 AND series = ?2 AND part = ?3",
                    )?
                    .execute(params![window, id, number])?;
                continue;
            }
            let key = key(window, i64::from(id));
            let data = seal(codec::compress(&kept_times, &kept_values), key);
            filled.bytes += data.len() as u64;
            connection
                .prepare_cached(
                    "UPDATE chunk SET data = ?4 WHERE window = ?1 AND series = ?2 AND part = ?3",
                )?
                .execute(params![window, id, number, data])?;
        }
        Ok(())
    }

    /// The last stage, outside of transactions: the write-ahead log is emptied into the file, and
    /// copies of damaged files are removed, for nobody can tell what is in them. While a reader
    /// holds the log this does nothing, and is to be tried again.
    pub(super) fn purge_copies(&mut self) -> Result<(), Error> {
        let Some(purge) = self.purges.front().filter(|purge| !purge.writes()) else {
            return Ok(());
        };
        let attempt = "empty the write-ahead log";
        let timeout =
            |millis| self.connection.busy_timeout(std::time::Duration::from_millis(millis));
        let emptied = timeout(50).and_then(|()| {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            self.connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0))
        });
        // Other writes wait for longer, whatever came of this one.
        let emptied = timeout(5_000).and(emptied).map_err(Error::write(attempt));
        let id = purge.hidden.id;
        let busy = self.written(emptied)?;
        if busy != 0 {
            return Ok(());
        }
        let copies = salvage::remove_copies(&self.shared.path)?;
        let written = self.connection.execute(
            "UPDATE deletion SET purged = ?2, damaged = damaged + ?3, series = x'', \
             tenant = NULL WHERE id = ?1",
            params![id, self.now, copies.cast_signed()],
        );
        self.written(written.map_err(Error::write("write a receipt")))?;
        self.purges.pop_front();
        let mut all = writing(&self.shared.hidden);
        let rest = all.iter().filter(|hidden| hidden.id != id).cloned().collect();
        *all = Arc::new(rest);
        Ok(())
    }
}

fn purge_log(connection: &Connection, next: u64, step: &mut PurgeStep) -> rusqlite::Result<()> {
    let hidden = step.purge.hidden.clone();
    let rows: Vec<(i64, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT id, data FROM log WHERE id >= ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
        )?
        .query_map(params![next.cast_signed(), hidden.upto.cast_signed(), LOG_STEP], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let Some((last, _)) = rows.last() else {
        step.purge.stage = Stage::Chunks(window_of(hidden.start), 0);
        return Ok(());
    };
    step.purge.stage = Stage::Log(last.cast_unsigned() + 1);
    for (id, data) in rows {
        let before = data.len() as u64;
        let row = read_row(&data);
        step.purge.gone.damaged += u64::from(row.is_none());
        let (mut points, backfill) = row.unwrap_or_default();
        let had = points.len();
        points.retain(|point| !hidden.covers(point.series, point.time));
        if points.len() == had && had > 0 {
            continue;
        }
        step.purge.gone.log_samples += (had - points.len()) as u64;
        step.log_bytes += before;
        if points.is_empty() {
            connection.prepare_cached("DELETE FROM log WHERE id = ?1")?.execute([id])?;
        } else {
            let data = write_points(&points, backfill);
            step.log_bytes = step.log_bytes.saturating_sub(data.len() as u64);
            connection
                .prepare_cached("UPDATE log SET data = ?2 WHERE id = ?1")?
                .execute(params![id, data])?;
        }
    }
    Ok(())
}

fn purge_events(connection: &Connection, step: &mut PurgeStep) -> rusqlite::Result<()> {
    step.purge.stage = Stage::Copies;
    let hidden = &step.purge.hidden;
    let Some(tenant) = &hidden.tenant else { return Ok(()) };
    let gone = connection.execute(
        "DELETE FROM event WHERE time BETWEEN ?2 AND ?3 \
         AND agent IN (SELECT id FROM agent WHERE tenant = ?1)",
        params![tenant, hidden.start, hidden.end],
    )?;
    step.purge.gone.events += gone as u64;
    Ok(())
}

/// Takes the series that have no chunk in the window any more from its list.
fn note_gone(connection: &Connection, window: i64, series: &[u32]) -> rusqlite::Result<()> {
    let list: Option<Vec<u8>> = connection
        .prepare_cached("SELECT series FROM window WHERE window = ?1")?
        .query_row([window], |row| row.get(0))
        .optional()?;
    // The window may have gone for its age or for its size just before, in this transaction.
    let Some(mut ids) = list.and_then(|list| read_ids(window, &list)) else { return Ok(()) };
    let mut select = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM chunk WHERE window = ?1 AND series = ?2)")?;
    let mut failed = None;
    ids.retain(|id| {
        series.binary_search(id).is_err()
            || select.query_row(params![window, id], |row| row.get(0)).unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    connection
        .prepare_cached("UPDATE window SET series = ?2 WHERE window = ?1")?
        .execute(params![window, write_ids(window, &ids)])?;
    Ok(())
}
