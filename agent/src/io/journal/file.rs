//! The journal's file, once it is open.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hallwatch_model::wire::decode_readings;
use hallwatch_model::{Gap, Id, Labels, SeriesId, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::clock::{self, Shift};
use super::gap::{extend, lost};
use super::{Entry, Run, open};
use crate::ranges::Ranges;

/// Unused pages that stay in the file, for the next entries: 8 MiB.
const SPARE_PAGES: i64 = 2_048;
/// Pages in use up to which the file is written anew to be rid of unused ones: 4 MiB.
const FEW_PAGES: i64 = 1_024;
/// Of an entry's id the low bits are its number, the others its run.
const SEQ_BITS: u32 = 40;
pub(super) const MAX_SEQ: u64 = (1 << SEQ_BITS) - 1;

#[derive(Debug)]
pub(super) struct File {
    pub(super) connection: Connection,
    path: PathBuf,
    pub(super) run: i64,
    /// Which start of the machine this is, and its uptime, in milliseconds, at uptime zero.
    pub(super) machine: (i64, i64),
    /// Entries whose times are to be corrected wherever they are read.
    pub(super) shifts: RefCell<Vec<Shift>>,
    pub(super) dictionary: u64,
    /// The number of the last entry of this run.
    pub(super) last: u64,
    /// On a disk, not in memory.
    pub(super) durable: bool,
}

/// Numbers of 64 bits as SQLite holds them.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

pub(super) fn entry_id(run: i64, seq: u64) -> i64 {
    run << SEQ_BITS | signed(seq.min(MAX_SEQ))
}

pub(super) fn run_and_seq(id: i64) -> (i64, u64) {
    (id >> SEQ_BITS, unsigned(id) & MAX_SEQ)
}

/// Names and values in turn, a line each; neither can have a control character.
fn labels_text(labels: &Labels) -> String {
    labels.iter().map(|label| format!("{}\n{}\n", label.name, label.value)).collect()
}

/// Whether the disk takes no writes for now: to be waited out. A file system that turned read-only
/// shows as a failed write, so it is tried; a failed sync is something else.
pub(super) fn is_full(error: &rusqlite::Error, path: &Path) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => true,
        Some(ErrorCode::SystemIoFailure) => {
            let code = error.sqlite_error().map(|error| error.extended_code);
            let synced = [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC];
            !code.is_some_and(|code| synced.contains(&code)) && refuses_writes(path)
        }
        Some(ErrorCode::CannotOpen) => refuses_writes(path),
        _ => false,
    }
}

/// Whether no file can be made beside `path` for lack of room, or because nothing may be written.
pub(super) fn refuses_writes(path: &Path) -> bool {
    use std::io::{ErrorKind, Write as _};
    let probe = path.with_extension("probe");
    let written = std::fs::File::create(&probe)
        .and_then(|mut file| file.write_all(&[0; 8_192]).and_then(|()| file.sync_all()));
    let _ = std::fs::remove_file(&probe);
    written.is_err_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::PermissionDenied
        )
    })
}

impl File {
    /// The open file of the run `run`, which has no entries yet.
    pub(super) fn new(
        connection: Connection,
        path: PathBuf,
        run: i64,
        machine: (i64, i64),
        dictionary: u64,
    ) -> Result<Self, rusqlite::Error> {
        let (shifts, last) = (RefCell::default(), 0);
        let file = Self { connection, path, run, machine, shifts, dictionary, last, durable: true };
        file.know_shifts()?;
        Ok(file)
    }

    /// This is in memory, in place of a file at `path` that cannot be written.
    pub(super) fn forget_disk(&mut self, path: &Path) {
        self.durable = false;
        self.path = path.to_owned();
    }

    /// Whether nothing is here that anyone still waits for.
    pub(super) fn is_delivered(&self) -> Result<bool, rusqlite::Error> {
        let owed: i64 = self.connection.query_row(
            "SELECT count(*) FROM (SELECT 1 FROM entry WHERE done = 0 LIMIT 1)",
            [],
            |row| row.get(0),
        )?;
        Ok(owed == 0)
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
        // What is not read now is read at the next start.
        let _ = self.know_shifts();
    }

    pub(super) fn append(
        &self,
        seq: u64,
        series: &[(SeriesId, Labels)],
        time: Timestamp,
        personal: bool,
        bytes: &[u8],
    ) -> Result<i64, rusqlite::Error> {
        for (id, labels) in series {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO series VALUES (?, ?)")?
                .execute(params![id.0, labels_text(labels)])?;
        }
        self.connection
            .prepare_cached("INSERT INTO entry (id, time, personal, bytes) VALUES (?, ?, ?, ?)")?
            .execute(params![entry_id(self.run, seq), time.as_millis(), personal, bytes])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// The ids that entries `first` to `last` of a boot have; none when the boot is not known.
    fn ids(&self, boot: u64, first: u64, last: u64) -> Result<Option<[i64; 2]>, rusqlite::Error> {
        let run: Option<i64> = self
            .connection
            .prepare_cached("SELECT id FROM run WHERE boot = ?")?
            .query_row([signed(boot)], |row| row.get(0))
            .optional()?;
        Ok(run.map(|run| [entry_id(run, first), entry_id(run, last)]))
    }

    /// Deletes entries by their ids. Those that hold names of people are overwritten; of others
    /// it would double what is written to the disk.
    fn delete(&self, condition: &str, ids: &[i64]) -> Result<(), rusqlite::Error> {
        let of = |what: &str| format!("{what} FROM entry WHERE {condition}");
        let personal: bool = self
            .connection
            .prepare_cached(&of("SELECT coalesce(max(personal), 0)"))?
            .query_row(rusqlite::params_from_iter(ids), |row| row.get(0))?;
        if personal {
            self.connection.pragma_update(None, "secure_delete", true)?;
        }
        let deleted = self
            .connection
            .prepare_cached(&of("DELETE"))
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(ids)));
        if personal {
            self.connection.pragma_update(None, "secure_delete", "fast")?;
        }
        deleted.map(drop)
    }

    /// The collector is owed everything that is here; all runs of which entries are left.
    pub(super) fn replay(&self, collector: &Id, store: u64) -> Result<Vec<Run>, rusqlite::Error> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('store:' || ?, ?)")?
            .execute(params![collector.as_str(), signed(store)])?;
        self.connection.execute("UPDATE entry SET done = 0 WHERE done = 1", [])?;
        self.connection.execute("DELETE FROM acked WHERE collector = ?", [collector.as_str()])?;
        open::runs(&self.connection)
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
        let Some(ids) = self.ids(boot, first, last)? else { return Ok(()) };
        if keep {
            self.connection
                .prepare_cached("UPDATE entry SET done = 1 WHERE id BETWEEN ? AND ?")?
                .execute(ids)?;
            return Ok(());
        }
        self.delete("id BETWEEN ? AND ?", &ids)
    }

    /// Deletes what everyone has and what was kept long enough.
    pub(super) fn forget(&self, before: Timestamp) -> Result<(), rusqlite::Error> {
        let before = before.as_millis();
        let mut others = "done = 1 AND time <= ?".to_owned();
        for Shift { run, upto, by } in self.shifts.borrow().iter() {
            let (first, last) = (entry_id(*run, 0), entry_id(*run, *upto));
            self.delete(
                "done = 1 AND time <= ? AND id BETWEEN ? AND ?",
                &[before.saturating_sub(*by), first, last],
            )?;
            let _ = write!(others, " AND id NOT BETWEEN {first} AND {last}");
        }
        self.delete(&others, &[before])
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
            "SELECT entry.id, boot, seq, time, done, bytes FROM entry JOIN run ON run.id = entry.run
             ORDER BY entry.id LIMIT ?",
        )?;
        let mut rows = query.query([i64::try_from(most).unwrap_or(i64::MAX)])?;
        let mut dropped: Vec<(u64, u64)> = Vec::new();
        let mut gap: Option<Gap> = None;
        let mut last_id = None;
        while let Some(row) = rows.next()? {
            let (boot, seq) = (unsigned(row.get(1)?), unsigned(row.get(2)?));
            let time = Timestamp::from_millis(row.get(3)?).moved(self.shift(row.get(0)?));
            if time > until {
                break;
            }
            last_id = Some(row.get::<_, i64>(0)?);
            match dropped.last_mut() {
                Some((known, upto)) if *known == boot => *upto = seq.max(*upto),
                _ => dropped.push((boot, seq)),
            }
            if row.get::<_, i64>(4)? == 0 {
                let bytes = row.get_ref(5)?.as_blob().unwrap_or_default();
                let readings = decode_readings(bytes).map_or(0, |found| found.readings.len());
                let mut lost = lost(time, cause, u64::try_from(readings).unwrap_or(u64::MAX));
                lost.ranges.push((boot, seq, seq));
                match &mut gap {
                    Some(gap) => extend(gap, &lost),
                    None => gap = Some(lost),
                }
                // The gaps that it told of are to be told again.
                self.connection
                    .prepare_cached("UPDATE gap SET entry = NULL WHERE entry = ?")?
                    .execute([row.get::<_, i64>(0)?])?;
            }
        }
        if let Some(id) = last_id {
            self.delete("id <= ?", &[id])?;
        }
        if let Some(gap) = gap {
            self.gap(&gap)?;
        }
        Ok(dropped)
    }

    pub(super) fn fetch(
        &self,
        boot: u64,
        first: u64,
        last: u64,
    ) -> Result<Vec<Entry>, rusqlite::Error> {
        let Some(ids) = self.ids(boot, first, last)? else { return Ok(Vec::new()) };
        let mut query = self.connection.prepare_cached(
            "SELECT id, time, bytes FROM entry WHERE id BETWEEN ? AND ? ORDER BY id",
        )?;
        let rows = query.query_map(ids, |row| {
            let (id, bytes) = (row.get(0)?, row.get::<_, Vec<u8>>(2)?);
            let by = self.shift(id);
            let moved = if by == 0 { None } else { clock::moved(&bytes, boot, by) };
            Ok(Entry {
                seq: run_and_seq(id).1,
                time: Timestamp::from_millis(row.get(1)?).moved(by),
                bytes: moved.unwrap_or_else(|| Bytes::from(bytes)),
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

    /// Gives unused pages back to the disk when there are many, and little else is in the file:
    /// what is in use is written anew.
    pub(super) fn shrink(&self) -> Result<(), rusqlite::Error> {
        let number =
            |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let unused = number("freelist_count")?;
        if unused > SPARE_PAGES && number("page_count")?.saturating_sub(unused) <= FEW_PAGES {
            self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
        }
        Ok(())
    }

    /// From now on the disk is full.
    #[cfg(test)]
    pub(super) fn fill(&mut self) {
        self.connection.pragma_update(None, "max_page_count", 1).unwrap();
    }
}
