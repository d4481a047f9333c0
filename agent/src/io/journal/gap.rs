//! What was lost.

use std::path::Path;

use hallwatch_model::{Gap, Timestamp};
use rusqlite::Connection;

use super::file::unsigned;
use crate::error::Error;

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
