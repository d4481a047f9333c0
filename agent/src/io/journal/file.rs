//! The journal's file.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hallwatch_model::{Id, Labels, SeriesId, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::{Entry, Opened, Run};
use crate::error::Error;
use crate::ranges::Ranges;

const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    CREATE TABLE series (id INTEGER PRIMARY KEY, labels TEXT NOT NULL) STRICT;
    CREATE TABLE run (id INTEGER PRIMARY KEY AUTOINCREMENT, boot INTEGER NOT NULL UNIQUE) STRICT;
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        time INTEGER NOT NULL,
        done INTEGER NOT NULL DEFAULT 0,
        bytes BLOB NOT NULL,
        UNIQUE (run, seq)
    ) STRICT;
    CREATE INDEX entry_done ON entry (time) WHERE done = 1;
    CREATE TABLE acked (
        collector TEXT NOT NULL,
        boot INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (boot, collector, first)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE gap (
        id INTEGER PRIMARY KEY,
        first_time INTEGER NOT NULL,
        last_time INTEGER NOT NULL,
        entries INTEGER NOT NULL,
        cause TEXT NOT NULL
    ) STRICT;
    PRAGMA user_version = 1;
";
const VERSION: i64 = 1;
/// Unused pages that stay in the file, for the next entries: 8 MiB.
const SPARE_PAGES: i64 = 2_048;

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

/// All recorded gaps, oldest first.
pub type Gaps = Vec<Gap>;

#[derive(Debug)]
pub(super) struct File {
    connection: Connection,
    path: PathBuf,
    run: i64,
    /// The number of the last entry of this run.
    pub(super) last: u64,
}

/// Numbers of 64 bits as SQLite holds them.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// Opens the journal at `path`; a damaged one is renamed and a new one made.
pub(super) fn open(path: &Path) -> Result<(File, Opened), Error> {
    let failed = |source| Error::Journal { what: "open", path: path.to_owned(), source };
    match load(path) {
        Ok(found) => Ok(found),
        Err(error) if is_busy(&error) => Err(Error::JournalInUse { path: path.to_owned() }),
        Err(error) if is_damage(&error) => {
            let aside = set_aside(path)?;
            let (file, mut opened) = load(path).map_err(failed)?;
            let gap = Gap {
                first_time: Timestamp::from_millis(0),
                last_time: Timestamp::from_millis(0),
                entries: 0,
                cause: "damaged".to_owned(),
            };
            file.gap(&gap).map_err(failed)?;
            opened.set_aside = Some(aside);
            Ok((file, opened))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whether the disk is full: to be waited out.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        error => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

/// Renames the file, and what SQLite keeps beside it, to the first free number.
fn set_aside(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::SetAside { path: path.to_owned(), source };
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut number = 1u32;
    let aside = loop {
        let aside = with(&format!(".damaged-{number}"));
        if !aside.exists() {
            break aside;
        }
        number += 1;
    };
    fs::rename(path, &aside).map_err(failed)?;
    for beside in ["-wal", "-shm"] {
        let from = with(beside);
        if from.exists() {
            fs::rename(&from, with(&format!(".damaged-{number}{beside}"))).map_err(failed)?;
        }
    }
    Ok(aside)
}

fn load(path: &Path) -> Result<(File, Opened), rusqlite::Error> {
    let mut connection = Connection::open(path)?;
    // `auto_vacuum` first: it can only be chosen before the first table is made.
    connection.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA journal_size_limit = 16777216;",
    )?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
        0 => {
            transaction.execute_batch(SCHEMA)?;
            transaction.execute("INSERT INTO meta VALUES ('dictionary', random())", [])?;
        }
        VERSION => {
            let checked: String =
                transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if checked != "ok" {
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                    Some(checked),
                ));
            }
        }
        // A newer agent's: not ours to change.
        _ => {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
                Some("it was written by a newer version".to_owned()),
            ));
        }
    }
    // Runs of which nothing is left.
    transaction.execute("DELETE FROM run WHERE id NOT IN (SELECT run FROM entry)", [])?;
    transaction.execute("DELETE FROM acked WHERE boot NOT IN (SELECT boot FROM run)", [])?;
    let dictionary =
        transaction.query_row("SELECT value FROM meta WHERE name = 'dictionary'", [], |row| {
            row.get::<_, i64>(0)
        })?;
    let series = series(&transaction)?;
    let runs = runs(&transaction)?;
    transaction.execute("INSERT INTO run (boot) VALUES (random())", [])?;
    let run = transaction.last_insert_rowid();
    let boot = transaction
        .query_row("SELECT boot FROM run WHERE id = ?", [run], |row| row.get::<_, i64>(0))?;
    transaction.commit()?;
    let opened = Opened {
        boot: unsigned(boot),
        dictionary: unsigned(dictionary),
        series,
        runs,
        set_aside: None,
    };
    let file = File { connection, path: path.to_owned(), run, last: 0 };
    Ok((file, opened))
}

/// The dictionary; damage when a number is missing.
fn series(connection: &Connection) -> Result<Vec<Labels>, rusqlite::Error> {
    let mut query = connection.prepare("SELECT id, labels FROM series ORDER BY id")?;
    let mut rows = query.query([])?;
    let mut series = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
        let labels = labels_from(&text).filter(|_| usize::try_from(id) == Ok(series.len()));
        series.push(labels.ok_or(rusqlite::Error::QueryReturnedNoRows)?);
    }
    Ok(series)
}

/// Names and values in turn, a line each; neither can have a control character.
fn labels_text(labels: &Labels) -> String {
    labels.iter().map(|label| format!("{}\n{}\n", label.name, label.value)).collect()
}

fn labels_from(text: &str) -> Option<Labels> {
    let lines: Vec<&str> = text.lines().collect();
    let (pairs, rest) = lines.as_chunks::<2>();
    let labels = Labels::from_pairs(pairs.iter().map(|[name, value]| (*name, *value)));
    (rest.is_empty() && labels.name().is_some()).then_some(labels)
}

fn runs(connection: &Connection) -> Result<Vec<Run>, rusqlite::Error> {
    let mut query = connection.prepare(
        "SELECT run.id, run.boot, min(seq), max(seq) FROM run JOIN entry ON entry.run = run.id
         GROUP BY run.id ORDER BY run.id",
    )?;
    let rows = query.query_map([], |row| {
        let id: i64 = row.get(0)?;
        let [boot, first, last] = [row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?].map(unsigned);
        Ok((id, Run { boot, first, last, done: Ranges::default(), acked: Vec::new() }))
    })?;
    let mut runs = rows.collect::<Result<Vec<_>, _>>()?;
    for (id, run) in &mut runs {
        let mut query =
            connection.prepare_cached("SELECT seq FROM entry WHERE run = ? AND done = 1")?;
        let mut rows = query.query([*id])?;
        while let Some(row) = rows.next()? {
            let seq = unsigned(row.get(0)?);
            run.done.insert(seq, seq);
        }
        let mut query = connection.prepare_cached(
            "SELECT collector, first, last FROM acked WHERE boot = ? ORDER BY collector, first",
        )?;
        let mut rows = query.query([signed(run.boot)])?;
        while let Some(row) = rows.next()? {
            let collector: String = row.get(0)?;
            let Ok(collector) = Id::new(&collector) else { continue };
            let (first, last) = (unsigned(row.get(1)?), unsigned(row.get(2)?));
            match run.acked.last_mut() {
                Some((id, ranges)) if *id == collector => ranges.insert(first, last),
                _ => {
                    let mut ranges = Ranges::default();
                    ranges.insert(first, last);
                    run.acked.push((collector, ranges));
                }
            }
        }
    }
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

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

impl File {
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
                let gap = gap.get_or_insert_with(|| Gap {
                    first_time: time,
                    last_time: time,
                    entries: 0,
                    cause: cause.to_owned(),
                });
                gap.first_time = gap.first_time.min(time);
                gap.last_time = gap.last_time.max(time);
                gap.entries += 1;
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
}
