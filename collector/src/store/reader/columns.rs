//! Samples as columns, out of heads and chunks.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::super::bytes::{key, unseal};
use super::super::head::{Columns, merge, window_of};
use super::super::heads::shard_of;
use super::super::index::Series;
use super::super::shared::{count, reading};
use super::super::times::{SELECT_TIMES, select_times};
use super::super::{Error, codec, schema};
use super::Reader;
use super::halves::by_halves;

/// To look a chunk up costs as much as to pass over so many of its neighbours.
const PASSED_OVER: usize = 8;

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
    fn chunked_windows(&self, start: i64, end: i64) -> Vec<i64> {
        if start > end {
            return Vec::new();
        }
        let windows = reading(&self.shared.windows);
        let touched = windows.range(window_of(start)..=window_of(end));
        let late = touched.filter(|(_, filled)| filled.latest.is_none_or(|latest| latest >= start));
        late.map(|(window, _)| *window).collect()
    }

    /// The samples of each of the series, sorted by number, from `start` to `end`.
    pub(in super::super) fn columns(
        &self,
        series: &[Series],
        start: i64,
        end: i64,
    ) -> Result<Vec<Columns>, Error> {
        let start = start.max(self.shared.floor.load(Ordering::Relaxed));
        // Before anything is read: what is hidden now may be gone, or not, when it is read.
        let hidden = self.hidden();
        // The head first: what leaves it meanwhile is in chunks by then, and merging finds out.
        let heads = by_halves(series, |series| heads_of(series, start, end));
        let windows = self.chunked_windows(start, end);
        let conceal = |series: &Series, (mut times, mut values): Columns| {
            for one in hidden.iter().filter(|one| one.has(series.id)) {
                let from = times.partition_point(|time| *time < one.start);
                let to = times.partition_point(|time| *time <= one.end).max(from);
                times.drain(from..to);
                values.drain(from..to);
            }
            (times, values)
        };
        if windows.is_empty() || series.is_empty() {
            let all = series.iter().zip(heads);
            return Ok(all.map(|(series, head)| conceal(series, head)).collect());
        }
        let mut stored: Vec<Columns> = vec![Columns::default(); series.len()];
        self.with_connection("read chunks", |connection| {
            // One snapshot for all windows.
            let transaction = connection.unchecked_transaction()?;
            for window in windows {
                match self.read_window(&transaction, window, series, (start, end), &mut stored) {
                    Err(error) if schema::is_damage(&error) => count(&self.shared.found.chunks),
                    read => read?,
                }
            }
            transaction.finish()
        })?;
        let joined = series.iter().zip(stored).zip(heads).map(|((series, stored), head)| {
            let (mut times, mut values) = stored;
            let joined = match (times.last(), head.0.first()) {
                (None, _) => head,
                (Some(last), Some(first)) if first <= last => {
                    merge((&times, &values), (&head.0, &head.1))
                }
                _ => {
                    times.extend_from_slice(&head.0);
                    values.extend_from_slice(&head.1);
                    (times, values)
                }
            };
            conceal(series, joined)
        });
        Ok(joined.collect())
    }

    fn read_window(
        &self,
        connection: &Connection,
        window: i64,
        series: &[Series],
        (start, end): (i64, i64),
        stored: &mut [Columns],
    ) -> rusqlite::Result<()> {
        let (Some(first), Some(last)) = (series.first(), series.last()) else { return Ok(()) };
        // Series of one device have the same times, and come one after the other.
        let (mut common_id, mut common) = (None, Vec::new());
        let mut times_of = connection.prepare_cached(SELECT_TIMES)?;
        let mut elsewhere = |id: u32, times: &mut Vec<i64>| {
            if common_id != Some(id) {
                common = select_times(&mut times_of, window, id)?;
                common_id = Some(id);
            }
            times.extend_from_slice(&common);
            Some(())
        };
        let mut take = |id: u32, at: usize, data: &[u8]| {
            let Some((times, values)) = stored.get_mut(at) else { return };
            let had = times.len();
            let key = key(window, i64::from(id));
            let read = unseal(data, key).and_then(|data| {
                codec::decode_between(data, start, end, (&mut *times, &mut *values), &mut elsewhere)
            });
            if read.is_none() {
                count(&self.shared.found.chunks);
                return;
            }
            // A second part, beside a damaged first, may overlap with a third.
            if had > 0 && times.get(had).is_some_and(|next| times.get(had - 1) >= Some(next)) {
                let (old_times, new_times) = times.split_at(had);
                let (old_values, new_values) = values.split_at(had);
                (*times, *values) = merge((old_times, old_values), (new_times, new_values));
            }
        };
        let spread = (last.id - first.id) as usize + 1;
        if spread <= series.len().saturating_mul(PASSED_OVER) {
            let mut select = connection.prepare_cached(
                "SELECT series, data FROM chunk \
                 WHERE window = ?1 AND series BETWEEN ?2 AND ?3 ORDER BY series, part",
            )?;
            let mut rows = select.query(params![window, first.id, last.id])?;
            let mut wanted = series.iter().map(|series| series.id).enumerate().peekable();
            while let Some(row) = rows.next()? {
                let id: u32 = row.get(0)?;
                while wanted.next_if(|(_, next)| *next < id).is_some() {}
                if let Some((at, next)) = wanted.peek()
                    && *next == id
                {
                    take(id, *at, row.get_ref(1)?.as_bytes().unwrap_or_default());
                }
            }
            return Ok(());
        }
        let mut select = connection.prepare_cached(
            "SELECT data FROM chunk WHERE window = ?1 AND series = ?2 ORDER BY part",
        )?;
        for (at, series) in series.iter().enumerate() {
            let mut rows = select.query(params![window, series.id])?;
            while let Some(row) = rows.next()? {
                take(series.id, at, row.get_ref(0)?.as_bytes().unwrap_or_default());
            }
        }
        Ok(())
    }
}

/// What is in memory of each of the series.
fn heads_of(series: &[Series], start: i64, end: i64) -> Vec<Columns> {
    let mut all = Vec::with_capacity(series.len());
    // Read here first, so that of each series only what is there takes memory.
    let mut read = Columns::default();
    for neighbours in series.chunk_by(|a, b| shard_of(a.id) == shard_of(b.id)) {
        let Some(first) = neighbours.first() else { continue };
        let heads = first.heads().lock();
        for one in neighbours {
            read.0.clear();
            read.1.clear();
            heads.get(one.id).read(start, end, &mut read);
            all.push(read.clone());
        }
    }
    all
}
