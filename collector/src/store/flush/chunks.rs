//! A window from the head to its chunks, a few series with every commit.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::bytes::{key, seal, unseal};
use super::super::head::{Columns, merge, window_end, window_start};
use super::super::record::{read_ids, write_ids};
use super::super::rollup::note_stale;
use super::super::shared::{Filled, count, reading};
use super::super::summaries::{day_of, day_of_window};
use super::super::times::{Common, read_times, release_times};
use super::super::{Store, codec};
use super::pace::{self, STEP};
use super::{Pass, Step};

/// What stands in one chunk.
pub(in super::super) struct Part {
    pub(in super::super) bytes: u64,
    pub(in super::super) content: Option<(Vec<i64>, Vec<f64>)>,
    /// Under which number its times stand, if not within.
    pub(in super::super) times_at: Option<u32>,
}

impl Store {
    pub(super) fn write_chunks(
        &self,
        connection: &Connection,
        pass: &Pass,
        step: &mut Step,
    ) -> rusqlite::Result<()> {
        let window = pass.window;
        let known = reading(&self.shared.windows).get(&window).copied();
        let new = Filled { latest: Some(i64::MIN), ..Filled::default() };
        let mut filled = known.unwrap_or(new);
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
            let mut read = Columns::default();
            let (start, end) = (window_start(window), window_end(window));
            if let Some(head) = self.head(*id) {
                head.read(start, end, &mut read);
            }
            let (mut times, mut values) = read;
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
            let newest = times.last().copied().unwrap_or(i64::MIN);
            filled.latest = filled.latest.map(|latest| latest.max(newest));
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
        self.note_latest(connection, window, filled.latest)?;
        step.window = window;
        step.filled = Some(filled);
        Ok(())
    }

    /// Notes the newest sample in the chunks of the newest window: a start in the midst of it need
    /// not take them for as long as the window.
    fn note_latest(
        &self,
        connection: &Connection,
        window: i64,
        latest: Option<i64>,
    ) -> rusqlite::Result<()> {
        let newest = reading(&self.shared.windows).last_key_value().map(|(newest, _)| *newest);
        if newest.is_some_and(|newest| newest > window) {
            return Ok(());
        }
        let mut insert = connection
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
        insert.execute(params!["newest_window", window])?;
        insert.execute(params!["newest_window_latest", latest.unwrap_or(window_end(window))])?;
        Ok(())
    }

    /// What chunks a series has in a window, by part.
    pub(in super::super) fn parts(
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
}
