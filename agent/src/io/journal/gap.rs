//! What was lost.

use std::path::Path;

use bytes::Bytes;
use hallwatch_model::wire::{MAX_GAP_RANGES, encode_readings};
use hallwatch_model::{Gap, Readings, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Entry;
use super::file::{File, signed, unsigned};
use crate::error::Error;

/// Gaps that stay on record here after they were told.
const GAPS: i64 = 1_000;
/// Gaps told in one entry: with all their ranges they fit into a message.
const TOLD: usize = 100;
/// Losses of one cause that are no further apart are one gap.
const NEAR: i64 = 60_000;

/// One lost entry that never had a number.
#[must_use]
pub fn lost(time: Timestamp, cause: &str, readings: u64) -> Gap {
    let cause = cause.to_owned();
    Gap { first: time, last: time, cause, entries: 1, readings, ..Gap::default() }
}

/// Makes `gap` hold `other` as well.
pub fn extend(gap: &mut Gap, other: &Gap) {
    gap.first = gap.first.min(other.first);
    gap.last = gap.last.max(other.last);
    gap.entries = gap.entries.saturating_add(other.entries);
    gap.readings = gap.readings.saturating_add(other.readings);
    for (boot, first, last) in &other.ranges {
        match gap.ranges.last_mut() {
            Some((known, _, end)) if known == boot && end.saturating_add(1) == *first => {
                *end = *last;
            }
            _ => gap.ranges.push((*boot, *first, *last)),
        }
    }
}

/// All recorded gaps, oldest first.
pub type Gaps = Vec<Gap>;

/// The gaps recorded in the journal at `path`, which no agent uses at the moment.
///
/// # Errors
/// When the file cannot be read.
pub fn read_gaps(path: &Path) -> Result<Gaps, Error> {
    let read = || {
        let connection = Connection::open(path)?;
        select(
            &connection,
            "SELECT id, first_time, last_time, entries, readings, cause FROM gap ORDER BY id",
        )
    };
    let gaps = read().map_err(|source| Error::Journal {
        what: "read the gaps of",
        path: path.to_owned(),
        source,
    })?;
    Ok(gaps.into_iter().map(|(_, gap)| gap).collect())
}

/// Gaps with their rows, by a query for id, times, entries, readings and cause.
pub(super) fn select(
    connection: &Connection,
    query: &str,
) -> Result<Vec<(i64, Gap)>, rusqlite::Error> {
    let mut query = connection.prepare_cached(query)?;
    let rows = query.query_map([], |row| {
        let gap = Gap {
            first: Timestamp::from_millis(row.get(1)?),
            last: Timestamp::from_millis(row.get(2)?),
            entries: unsigned(row.get(3)?),
            readings: unsigned(row.get(4)?),
            cause: row.get(5)?,
            ..Gap::default()
        };
        Ok((row.get::<_, i64>(0)?, gap))
    })?;
    let mut gaps = rows.collect::<Result<Vec<_>, _>>()?;
    let mut ranges = connection
        .prepare_cached("SELECT boot, first, last FROM gap_range WHERE gap = ? ORDER BY id")?;
    for (id, gap) in &mut gaps {
        let rows = ranges.query_map([*id], |row| {
            Ok((unsigned(row.get(0)?), unsigned(row.get(1)?), unsigned(row.get(2)?)))
        })?;
        gap.ranges = rows.collect::<Result<_, _>>()?;
    }
    Ok(gaps)
}

impl File {
    /// Records a gap; one that continues the last one of the same cause makes that longer.
    pub(super) fn gap(&self, gap: &Gap) -> Result<(), rusqlite::Error> {
        let last: Option<(i64, String, i64, i64)> = self
            .connection
            .query_row(
                "SELECT id, cause, first_time, last_time FROM gap ORDER BY id DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .optional()?;
        let first = gap.first.as_millis();
        let continued = match last {
            // Its beginning is its name at collectors. What is of before, such as of entries from
            // before the own time was set back, is a gap of its own.
            Some((id, cause, begin, end))
                if cause == gap.cause && first >= begin && first.saturating_sub(end) <= NEAR =>
            {
                let most = i64::try_from(MAX_GAP_RANGES).unwrap_or(i64::MAX);
                let ranges: i64 = self.connection.query_row(
                    "SELECT count(*) FROM gap_range WHERE gap = ?",
                    [id],
                    |row| row.get(0),
                )?;
                let more = i64::try_from(gap.ranges.len()).unwrap_or(i64::MAX);
                (ranges.saturating_add(more) <= most).then_some(id)
            }
            _ => None,
        };
        let (entries, readings) = (signed(gap.entries), signed(gap.readings));
        let id = if let Some(id) = continued {
            self.connection.execute(
                "UPDATE gap SET last_time = max(last_time, ?), entries = entries + ?,
                     readings = readings + ?, entry = NULL
                 WHERE id = ?",
                params![gap.last.as_millis(), entries, readings, id],
            )?;
            id
        } else {
            self.connection.execute(
                "INSERT INTO gap (first_time, last_time, entries, readings, cause)
                 VALUES (?, ?, ?, ?, ?)",
                params![first, gap.last.as_millis(), entries, readings, gap.cause],
            )?;
            self.connection.last_insert_rowid()
        };
        for (boot, first, last) in &gap.ranges {
            let longer = self
                .connection
                .prepare_cached(
                    "UPDATE gap_range SET last = ?4 WHERE gap = ?1 AND boot = ?2 AND last = ?3 - 1",
                )?
                .execute(params![id, signed(*boot), signed(*first), signed(*last)])?;
            if longer == 0 {
                self.connection
                    .prepare_cached(
                        "INSERT INTO gap_range (gap, boot, first, last) VALUES (?, ?, ?, ?)",
                    )?
                    .execute(params![id, signed(*boot), signed(*first), signed(*last)])?;
            }
        }
        Ok(())
    }

    /// Makes an entry, numbered `seq`, of the gaps that were not told yet or have grown since;
    /// `None` when there are none.
    pub(super) fn tell_gaps(
        &self,
        seq: u64,
        time: Timestamp,
    ) -> Result<Option<Entry>, rusqlite::Error> {
        let mut untold = select(
            &self.connection,
            "SELECT id, first_time, last_time, entries, readings, cause FROM gap
             WHERE entry IS NULL ORDER BY id",
        )?;
        untold.truncate(TOLD);
        if untold.is_empty() {
            return Ok(None);
        }
        let (ids, gaps): (Vec<i64>, Vec<Gap>) = untold.into_iter().unzip();
        let readings = Readings { dictionary: self.dictionary, gaps, ..Readings::default() };
        let bytes = Bytes::from(encode_readings(&readings));
        let entry = self.append(seq, &[], time, false, &bytes)?;
        for id in ids {
            self.connection
                .prepare_cached("UPDATE gap SET entry = ? WHERE id = ?")?
                .execute(params![entry, id])?;
        }
        self.connection.execute(
            "DELETE FROM gap WHERE entry IS NOT NULL AND id <= (SELECT max(id) FROM gap) - ?",
            [GAPS],
        )?;
        self.connection
            .execute("DELETE FROM gap_range WHERE gap NOT IN (SELECT id FROM gap)", [])?;
        Ok(Some(Entry { seq, time, bytes }))
    }
}
