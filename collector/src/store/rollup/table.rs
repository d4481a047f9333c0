//! The rows of the tables of long history.

use hallwatch_promql::functions::summary::Summary;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::Store;
use super::super::record::{read_ids, write_ids};
use super::super::shared::count;
use super::super::summaries::{read, write};

impl Store {
    /// What stands there of a series, unless it is damaged, and its bytes.
    pub(in super::super) fn summaries(
        &self,
        connection: &Connection,
        (resolution, day): (i64, i64),
        id: u32,
    ) -> rusqlite::Result<Option<(Option<Vec<Summary>>, u64)>> {
        let mut select = connection.prepare_cached(
            "SELECT data FROM rollup WHERE resolution = ?1 AND day = ?2 AND series = ?3",
        )?;
        let data: Option<Vec<u8>> =
            select.query_row(params![resolution, day, id], |row| row.get(0)).optional()?;
        Ok(data.map(|data| {
            let summaries = read(resolution, day, id, &data);
            if summaries.is_none() {
                count(&self.shared.found.chunks);
            }
            (summaries, data.len() as u64)
        }))
    }
}

/// Notes that a series is to be summed up again.
pub(in super::super) fn note_stale(
    connection: &Connection,
    day: i64,
    series: u32,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO stale (day, series) VALUES (?1, ?2)")?
        .execute(params![day, series])?;
    Ok(())
}

/// Writes, or removes when there is nothing; gives the bytes.
pub(in super::super) fn put(
    connection: &Connection,
    (resolution, day): (i64, i64),
    id: u32,
    summaries: &[Summary],
) -> rusqlite::Result<u64> {
    if summaries.is_empty() {
        connection
            .prepare_cached(
                "DELETE FROM rollup WHERE resolution = ?1 AND day = ?2 AND series = ?3",
            )?
            .execute(params![resolution, day, id])?;
        return Ok(0);
    }
    let data = write(resolution, day, id, summaries);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO rollup (resolution, day, series, data) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![resolution, day, id, data])?;
    Ok(data.len() as u64)
}

/// Which series have summaries in a day.
pub(in super::super) fn listed(
    connection: &Connection,
    (resolution, day): (i64, i64),
) -> rusqlite::Result<Option<Vec<u32>>> {
    let mut select = connection
        .prepare_cached("SELECT series FROM rolled WHERE resolution = ?1 AND day = ?2")?;
    let data: Option<Vec<u8>> =
        select.query_row(params![resolution, day], |row| row.get(0)).optional()?;
    Ok(data.and_then(|data| read_ids(day, &data)))
}

/// Notes which series will have summaries in a day, before the first of them has.
pub(super) fn note_series(
    connection: &Connection,
    resolution: i64,
    day: i64,
    series: &[u32],
) -> rusqlite::Result<()> {
    let mut all = listed(connection, (resolution, day))?.unwrap_or_default();
    all.extend(series);
    all.sort_unstable();
    all.dedup();
    connection
        .prepare_cached(
            "INSERT INTO rolled (resolution, day, done, bytes, series) VALUES (?1, ?2, 0, 0, ?3) \
             ON CONFLICT (resolution, day) DO UPDATE SET series = excluded.series",
        )?
        .execute(params![resolution, day, write_ids(day, &all)])?;
    Ok(())
}
