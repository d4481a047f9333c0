//! Samples as columns, out of heads and chunks.

use std::sync::atomic::Ordering;

use hallwatch_promql::{Budget, GivenUp};
use rusqlite::Connection;

use super::super::head::{Columns, WINDOW_MILLIS, merge, window_of};
use super::super::heads::shard_of;
use super::super::index::Series;
use super::super::shared::{count, reading};
use super::super::{Error, schema};
use super::Reader;
use super::chunks::Chunks;
use super::halves::by_halves;
use super::recalled::Versioned;

/// How much work a series is, for [`by_halves`]: its columns, a window of them out of its head, and
/// one out of a chunk.
const SERIES_WORK: usize = 4;
const HEAD_WORK: usize = 8;
const CHUNK_WORK: usize = 16;
/// Samples out of heads between two looks at the budget: a look takes as long as some of them.
const AT_ONCE: usize = 2_048;

impl Reader {
    /// The windows with chunks that the time touches.
    pub(super) fn windows(&self, start: i64, end: i64) -> Vec<i64> {
        if start > end {
            return Vec::new();
        }
        let windows = reading(&self.shared.windows);
        windows.range(window_of(start)..=window_of(end)).map(|(window, _)| *window).collect()
    }

    /// Those of them that may have a sample as late as `start`: a window that is written before its
    /// end, for the length of the log, ends before the present.
    fn chunked_windows(&self, (start, end): (i64, i64)) -> Vec<Versioned> {
        if start > end {
            return Vec::new();
        }
        let windows = reading(&self.shared.windows);
        let touched = windows.range(window_of(start)..=window_of(end));
        let late = touched.filter(|(_, filled)| filled.latest.is_none_or(|latest| latest >= start));
        late.map(|(window, filled)| Versioned { window: *window, version: filled.version })
            .collect()
    }

    /// The samples of each of the series, sorted by number, from `start` to `end`, as far as the
    /// budget goes.
    pub(in super::super) fn columns(
        &self,
        series: &[Series],
        (start, end): (i64, i64),
        budget: Option<&Budget<'_>>,
    ) -> Result<Vec<Columns>, Error> {
        let span = (start.max(self.shared.floor.load(Ordering::Relaxed)), end);
        // Before anything is read: what is hidden now may be gone, or not, when it is read.
        let hidden = self.hidden();
        let read = |series: &[Series]| self.columns_of(series, span, budget);
        let mut columns = by_halves(series, self.work(span), read)?;
        for hidden in hidden.iter().filter(|one| one.start <= span.1 && one.end >= span.0) {
            for (series, columns) in series.iter().zip(&mut columns) {
                if hidden.has(series.id) {
                    conceal(columns, hidden.start, hidden.end);
                }
            }
        }
        Ok(columns)
    }

    /// How much work one series is.
    fn work(&self, (start, end): (i64, i64)) -> usize {
        let asked = end.saturating_sub(start).clamp(0, WINDOW_MILLIS);
        let parts = asked / (WINDOW_MILLIS / HEAD_WORK as i64);
        let chunks = self.chunked_windows((start, end)).len();
        SERIES_WORK + usize::try_from(parts).unwrap_or(0) + chunks * CHUNK_WORK
    }

    /// As [`Reader::columns`], with what is hidden.
    fn columns_of(
        &self,
        series: &[Series],
        span: (i64, i64),
        budget: Option<&Budget<'_>>,
    ) -> Result<Vec<Columns>, Error> {
        // The head first: what leaves it meanwhile is in chunks by then, and merging finds out.
        let heads = heads_of(series, span, budget)?;
        let windows = self.chunked_windows(span);
        if windows.is_empty() || series.is_empty() {
            return Ok(heads);
        }
        let (recalled, damaged) = (&self.shared.recalled, &self.shared.found.chunks);
        let mut chunks = Chunks::new(series, span, (&heads, budget), (recalled, damaged));
        self.with_connection("read chunks", |connection| {
            // One snapshot for all windows.
            connection.prepare_cached("BEGIN")?.execute([])?;
            let read = self.read_windows(connection, &windows, &mut chunks);
            // Some failures have ended it already.
            if !connection.is_autocommit() {
                connection.prepare_cached("ROLLBACK")?.execute([])?;
            }
            read
        })?;
        let both = chunks.into_columns()?.into_iter().zip(heads);
        Ok(both.map(|(stored, head)| joined(stored, head)).collect())
    }

    fn read_windows(
        &self,
        connection: &Connection,
        windows: &[Versioned],
        chunks: &mut Chunks<'_>,
    ) -> rusqlite::Result<()> {
        for (window, following) in windows.iter().zip((0..windows.len()).rev()) {
            match chunks.read(connection, *window, following) {
                Err(error) if schema::is_damage(&error) => count(&self.shared.found.chunks),
                read => read?,
            }
        }
        Ok(())
    }
}

/// What is in chunks, and what is in memory.
fn joined((mut times, mut values): Columns, head: Columns) -> Columns {
    match (times.last(), head.0.first()) {
        (None, _) => return head,
        (Some(last), Some(first)) if first <= last => {
            return merge((&times, &values), (&head.0, &head.1));
        }
        _ => {}
    }
    times.extend_from_slice(&head.0);
    values.extend_from_slice(&head.1);
    (times, values)
}

/// Takes out what is from `start` to `end`.
fn conceal((times, values): &mut Columns, start: i64, end: i64) {
    let from = times.partition_point(|time| *time < start);
    let to = times.partition_point(|time| *time <= end).max(from);
    times.drain(from..to);
    values.drain(from..to);
}

/// What is in memory of each of the series.
fn heads_of(
    series: &[Series],
    (start, end): (i64, i64),
    budget: Option<&Budget<'_>>,
) -> Result<Vec<Columns>, GivenUp> {
    let (mut all, mut unspent) = (Vec::with_capacity(series.len()), 0);
    for neighbours in series.chunk_by(|a, b| shard_of(a.id) == shard_of(b.id)) {
        let Some(first) = neighbours.first() else { continue };
        let heads = first.heads().lock();
        for one in neighbours {
            let mut read = Columns::default();
            heads.get(one.id).read(start, end, &mut read);
            unspent += read.0.len();
            if unspent >= AT_ONCE {
                let spent = std::mem::take(&mut unspent);
                budget.map_or(Ok(()), |budget| budget.spend(spent))?;
            }
            // How many there would be was a guess; a sample is to take no more than the budget says.
            if read.0.capacity() - read.0.len() > read.0.len() / 8 {
                read.0.shrink_to_fit();
                read.1.shrink_to_fit();
            }
            all.push(read);
        }
    }
    budget.map_or(Ok(()), |budget| budget.spend(unspent))?;
    Ok(all)
}
