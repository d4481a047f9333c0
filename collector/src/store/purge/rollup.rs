//! Taking what was made of deleted samples from long history.

use rusqlite::{Connection, params};

use super::super::Store;
use super::super::record::write_ids;
use super::super::rollup::{Rolled, listed, note_stale, overlaps, put};
use super::super::shared::reading;
use super::super::summaries::{DAY_MILLIS, day_of, windows_of};
use super::{CHUNK_STEP, PurgeStep, Stage};

impl Store {
    /// What was made of deleted samples goes too: a summary of which any part is deleted. Where the
    /// other samples are still there, it is made again.
    pub(super) fn purge_summaries(
        &self,
        connection: &Connection,
        (mut at, mut next): ((i64, i64), usize),
        step: &mut PurgeStep,
    ) -> rusqlite::Result<()> {
        let hidden = step.purge.hidden.clone();
        let days = day_of(hidden.start)..=day_of(hidden.end.saturating_add(DAY_MILLIS));
        let mut budget = CHUNK_STEP;
        while budget > 0 {
            let found = {
                let rolled = reading(&self.shared.rolled);
                let concerned = |((_, day), _): &(&(i64, i64), &Rolled)| days.contains(day);
                rolled.range(at..).find(concerned).map(|(at, one)| (*at, *one))
            };
            let Some((number, mut one)) = found else {
                step.purge.stage = Stage::Events;
                return Ok(());
            };
            if number != at {
                (at, next) = (number, 0);
            }
            let part = hidden.series.iter().skip(next).take(budget);
            for id in part.clone() {
                self.purge_series(connection, (at, *id), &mut one, step)?;
            }
            let done = part.len();
            budget -= done.max(1).min(budget);
            next += done;
            connection
                .prepare_cached("UPDATE rolled SET bytes = ?3 WHERE resolution = ?1 AND day = ?2")?
                .execute(params![at.0, at.1, one.bytes.cast_signed()])?;
            step.rolled.push((at, one));
            if next >= hidden.series.len() {
                note_unlisted(connection, at, &hidden.series)?;
                (at, next) = ((at.0, at.1.saturating_add(1)), 0);
            }
        }
        step.purge.stage = Stage::Summaries(at.0, at.1, next);
        Ok(())
    }

    fn purge_series(
        &self,
        connection: &Connection,
        (at, id): ((i64, i64), u32),
        one: &mut Rolled,
        step: &mut PurgeStep,
    ) -> rusqlite::Result<()> {
        let Some((summaries, bytes)) = self.summaries(connection, at, id)? else { return Ok(()) };
        let span = (step.purge.hidden.start, step.purge.hidden.end);
        step.purge.gone.damaged += u64::from(summaries.is_none());
        let mut summaries = summaries.unwrap_or_default();
        let had = summaries.len();
        summaries.retain(|summary| !overlaps(summary, at.0, span));
        if summaries.len() == had && had > 0 {
            return Ok(());
        }
        one.bytes = one.bytes.saturating_sub(bytes);
        one.bytes += put(connection, at, id, &summaries)?;
        let there = {
            let windows = reading(&self.shared.windows);
            windows.range(windows_of(at.1)).next().is_some()
        };
        if there && self.head(id).is_some() {
            note_stale(connection, at.1, id)?;
            step.stale.push((at.1, id));
        }
        Ok(())
    }
}

/// Takes the series that have no summaries in the day any more from its list.
fn note_unlisted(
    connection: &Connection,
    (resolution, day): (i64, i64),
    series: &[u32],
) -> rusqlite::Result<()> {
    let Some(ids) = listed(connection, (resolution, day))? else { return Ok(()) };
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM rollup WHERE resolution = ?1 AND day = ?2 AND series = ?3",
    )?;
    let mut left = Vec::with_capacity(ids.len());
    for id in ids {
        if series.binary_search(&id).is_err() || select.exists(params![resolution, day, id])? {
            left.push(id);
        }
    }
    connection
        .prepare_cached("UPDATE rolled SET series = ?3 WHERE resolution = ?1 AND day = ?2")?
        .execute(params![resolution, day, write_ids(day, &left)])?;
    Ok(())
}
