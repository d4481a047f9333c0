//! The ledger of what was lost.

use std::path::Path;

use hallwatch_model::Timestamp;
use rusqlite::Connection;

use super::file::unsigned;
use crate::error::Error;

/// Something that was read, or should have been, and will never reach every collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The time of the first entry.
    pub first_time: Timestamp,
    /// The time of the last entry.
    pub last_time: Timestamp,
    /// How many entries.
    pub entries: u64,
    /// Why, in a word: `max_bytes`, `max_age`, `overload`, `damaged`.
    pub cause: String,
}

impl Gap {
    /// One lost entry.
    #[must_use]
    pub fn of(time: Timestamp, cause: &str) -> Self {
        Self { first_time: time, last_time: time, entries: 1, cause: cause.to_owned() }
    }

    /// Makes this gap hold `other` as well.
    pub fn extend(&mut self, other: &Self) {
        self.first_time = self.first_time.min(other.first_time);
        self.last_time = self.last_time.max(other.last_time);
        self.entries = self.entries.saturating_add(other.entries);
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
        let mut query = connection
            .prepare("SELECT first_time, last_time, entries, cause FROM gap ORDER BY id")?;
        let rows = query.query_map([], |row| {
            Ok(Gap {
                first_time: Timestamp::from_millis(row.get(0)?),
                last_time: Timestamp::from_millis(row.get(1)?),
                entries: unsigned(row.get(2)?),
                cause: row.get(3)?,
            })
        })?;
        rows.collect::<Result<Gaps, _>>()
    };
    read().map_err(|source| Error::Journal {
        what: "read the gaps of",
        path: path.to_owned(),
        source,
    })
}
