//! The log is cut where nobody needs it any more, and free pages go back to the file system.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::super::{Error, Store};
use super::Step;

/// Log rows deleted with one commit, at most.
pub(super) const TRIM_STEP: i64 = 64;
/// Free pages of 16 kB that are kept, 4 MB, and that are given back at once.
const FREE_PAGES: i64 = 256;
const GIVE_BACK: i64 = 128;

impl Store {
    /// Gives pages that nothing stands on back to the file system, when there are many, a few at a
    /// time; gives whether there are more. Some are kept: the log needs them again.
    pub(in super::super) fn give_back(&self) -> Result<bool, Error> {
        let free = || self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0));
        let before: i64 = free().map_err(Error::read("count free pages"))?;
        if before <= FREE_PAGES {
            return Ok(false);
        }
        let give = format!("PRAGMA incremental_vacuum({GIVE_BACK})");
        self.connection.execute_batch(&give).map_err(Error::write("give back free pages"))?;
        let after: i64 = free().map_err(Error::read("count free pages"))?;
        Ok(after < before && after > FREE_PAGES)
    }

    /// Up to where all who go along with the log have read it; the largest number when nobody does.
    pub(in super::super) fn read_upto(&self) -> u64 {
        let followed = self.shared.followed.load(Ordering::Relaxed);
        self.cursors.values().fold(followed, |upto, cursor| upto.min(*cursor))
    }

    /// Deletes a few log rows that nobody needs any more.
    pub(super) fn trim_log(
        &self,
        connection: &Connection,
        step: &mut Step,
    ) -> rusqlite::Result<()> {
        // A pass that ends with this transaction counts as done: it is in the same transaction.
        let filling = self.flush.filling.values().map(|filling| filling.first_log).min();
        let needed = if step.ended { filling } else { self.flush.first_log() };
        let replay_from = needed.unwrap_or(self.last_log + 1);
        if step.ended {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO meta (key, value) VALUES ('replay_from', ?1)",
                )?
                .execute([replay_from.cast_signed()])?;
        }
        let exported = self.cursors.values().min().copied().unwrap_or(u64::MAX);
        let read = self.read_upto().saturating_add(1);
        let too_much = self.log_bytes() > self.options.export_bytes;
        let below = if too_much { replay_from } else { replay_from.min(read) };
        let mut select = connection.prepare_cached(
            "SELECT id, length(data) FROM log WHERE id < ?1 ORDER BY id LIMIT ?2",
        )?;
        let rows: Vec<(i64, i64)> = select
            .query_map(params![below.cast_signed(), TRIM_STEP], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut delete = connection.prepare_cached("DELETE FROM log WHERE id = ?1")?;
        step.trimmed = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        for (id, bytes) in rows {
            delete.execute([id])?;
            step.trimmed_upto = id.cast_unsigned();
            step.log_bytes_deleted += bytes.cast_unsigned();
            step.lost_rows += u64::from(id.cast_unsigned() > exported);
        }
        if step.ended || step.trimmed > 0 {
            let left = self.log_bytes().saturating_sub(step.log_bytes_deleted);
            note_log_bytes(connection, left, self.last_log)?;
        }
        Ok(())
    }
}

/// Notes how long the log is, so that a start need not walk over all of it.
pub(in super::super) fn note_log_bytes(
    connection: &Connection,
    bytes: u64,
    upto: u64,
) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
    insert.execute(params!["log_bytes", bytes.cast_signed()])?;
    insert.execute(params!["log_bytes_upto", upto.cast_signed()])?;
    Ok(())
}
