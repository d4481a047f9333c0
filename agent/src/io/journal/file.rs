//! The journal's file, once it is open.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use hallwatch_model::{Id, Labels, SeriesId, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::Entry;
use super::gap::Gap;
use crate::ranges::Ranges;

/// Unused pages that stay in the file, for the next entries: 8 MiB.
const SPARE_PAGES: i64 = 2_048;

#[derive(Debug)]
pub(super) struct File {
    connection: Connection,
    path: PathBuf,
    run: i64,
    /// The number of the last entry of this run.
    pub(super) last: u64,
}

/// Numbers of 64 bits as SQLite holds them.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// Names and values in turn, a line each; neither can have a control character.
fn labels_text(labels: &Labels) -> String {
    labels.iter().map(|label| format!("{}\n{}\n", label.name, label.value)).collect()
}

/// Whether the disk is full: to be waited out.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

impl File {
    /// The open file of the run `run`, which has no entries yet.
    pub(super) fn new(connection: Connection, path: PathBuf, run: i64) -> Self {
        Self { connection, path, run, last: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn begin(&self) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    pub(super) fn commit(&self) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("COMMIT")
    }

    /// Undoes what was not committed; SQLite may have done so already.
    pub(super) fn rollback(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    pub(super) fn append(
        &self,
        seq: u64,
        series: &[(SeriesId, Labels)],
        time: Timestamp,
        bytes: &[u8],
    ) -> Result<(), rusqlite::Error> {
        for (id, labels) in series {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO series VALUES (?, ?)")?
                .execute(params![id.0, labels_text(labels)])?;
        }
        self.connection
            .prepare_cached("INSERT INTO entry (run, seq, time, bytes) VALUES (?, ?, ?, ?)")?
            .execute(params![self.run, signed(seq), time.as_millis(), bytes])?;
        Ok(())
    }

    pub(super) fn acked(
        &self,
        collector: &Id,
        boot: u64,
        ranges: &Ranges,
    ) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached("DELETE FROM acked WHERE boot = ? AND collector = ?")?
            .execute(params![signed(boot), collector.as_str()])?;
        let mut insert = self.connection.prepare_cached("INSERT INTO acked VALUES (?, ?, ?, ?)")?;
        for (first, last) in ranges.iter() {
            insert.execute(params![
                collector.as_str(),
                signed(boot),
                signed(first),
                signed(last)
            ])?;
        }
        Ok(())
    }

    /// Marks entries as held by everyone; without `keep` they go at once.
    pub(super) fn done(
        &self,
        boot: u64,
        first: u64,
        last: u64,
        keep: bool,
    ) -> Result<(), rusqlite::Error> {
        let text = if keep {
            "UPDATE entry SET done = 1
             WHERE run = (SELECT id FROM run WHERE boot = ?) AND seq BETWEEN ? AND ?"
        } else {
            "DELETE FROM entry
             WHERE run = (SELECT id FROM run WHERE boot = ?) AND seq BETWEEN ? AND ?"
        };
        self.connection.prepare_cached(text)?.execute(params![
            signed(boot),
            signed(first),
            signed(last)
        ])?;
        Ok(())
    }

    /// Deletes what everyone has and what was kept long enough.
    pub(super) fn forget(&self, before: Timestamp) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached("DELETE FROM entry WHERE done = 1 AND time <= ?")?
            .execute([before.as_millis()])?;
        Ok(())
    }

    /// Deletes the oldest entry that is not younger than `until`, with up to `most` in all, and
    /// records those that not everyone had. Says up to where, per boot; empty when there is none.
    pub(super) fn drop_oldest(
        &self,
        until: Timestamp,
        most: usize,
        cause: &str,
    ) -> Result<Vec<(u64, u64)>, rusqlite::Error> {
        let mut query = self.connection.prepare_cached(
            "SELECT entry.id, boot, seq, time, done FROM entry JOIN run ON run.id = entry.run
             ORDER BY entry.id LIMIT ?",
        )?;
        let mut rows = query.query([i64::try_from(most).unwrap_or(i64::MAX)])?;
        let mut dropped: Vec<(u64, u64)> = Vec::new();
        let mut gap: Option<Gap> = None;
        let mut last_id = None;
        while let Some(row) = rows.next()? {
            let (boot, seq) = (unsigned(row.get(1)?), unsigned(row.get(2)?));
            let time = Timestamp::from_millis(row.get(3)?);
            if time > until {
                break;
            }
            last_id = Some(row.get::<_, i64>(0)?);
            match dropped.last_mut() {
                Some((known, upto)) if *known == boot => *upto = seq.max(*upto),
                _ => dropped.push((boot, seq)),
            }
            if row.get::<_, i64>(4)? == 0 {
                let lost = Gap::of(time, cause);
                match &mut gap {
                    Some(gap) => gap.extend(&lost),
                    None => gap = Some(lost),
                }
            }
        }
        if let Some(id) = last_id {
            self.connection.prepare_cached("DELETE FROM entry WHERE id <= ?")?.execute([id])?;
        }
        if let Some(gap) = gap {
            self.gap(&gap)?;
        }
        Ok(dropped)
    }

    /// Records a gap; one that continues the last one of the same cause makes that longer.
    pub(super) fn gap(&self, gap: &Gap) -> Result<(), rusqlite::Error> {
        let last: Option<(i64, String, i64)> = self
            .connection
            .query_row("SELECT id, cause, last_time FROM gap ORDER BY id DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let first = gap.first_time.as_millis();
        match last {
            Some((id, cause, end)) if cause == gap.cause && first.saturating_sub(end) <= 60_000 => {
                self.connection.execute(
                    "UPDATE gap SET last_time = max(last_time, ?), entries = entries + ?
                     WHERE id = ?",
                    params![gap.last_time.as_millis(), signed(gap.entries), id],
                )?;
            }
            _ => {
                self.connection.execute(
                    "INSERT INTO gap (first_time, last_time, entries, cause) VALUES (?, ?, ?, ?)",
                    params![first, gap.last_time.as_millis(), signed(gap.entries), gap.cause],
                )?;
            }
        }
        Ok(())
    }

    pub(super) fn fetch(
        &self,
        boot: u64,
        first: u64,
        last: u64,
    ) -> Result<Vec<Entry>, rusqlite::Error> {
        let mut query = self.connection.prepare_cached(
            "SELECT seq, time, bytes FROM entry
             WHERE run = (SELECT id FROM run WHERE boot = ?) AND seq BETWEEN ? AND ? ORDER BY seq",
        )?;
        let rows = query.query_map(params![signed(boot), signed(first), signed(last)], |row| {
            Ok(Entry {
                seq: unsigned(row.get(0)?),
                time: Timestamp::from_millis(row.get(1)?),
                bytes: Bytes::from(row.get::<_, Vec<u8>>(2)?),
            })
        })?;
        rows.collect()
    }

    /// Bytes in use in the file: pages that hold something.
    pub(super) fn bytes(&self) -> Result<u64, rusqlite::Error> {
        let number =
            |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
        Ok(unsigned(pages.max(0)).saturating_mul(unsigned(number("page_size")?)))
    }

    /// Gives unused pages back to the disk, a few at a time, when there are many.
    pub(super) fn shrink(&self) -> Result<(), rusqlite::Error> {
        let unused: i64 =
            self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if unused > SPARE_PAGES {
            let mut query = self.connection.prepare_cached("PRAGMA incremental_vacuum(1024)")?;
            let mut rows = query.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(())
    }

    /// From now on the disk is full.
    #[cfg(test)]
    pub(super) fn fill(&mut self) {
        self.connection.pragma_update(None, "max_page_count", 1).unwrap();
    }
}
