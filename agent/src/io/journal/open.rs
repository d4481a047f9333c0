//! Opening the journal's file, and what to do with a damaged one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hallwatch_model::{Gap, Id, Labels, Timestamp};
use rusqlite::{Connection, ErrorCode};

use super::clock;
use super::file::{File, is_full, run_and_seq, signed, unsigned};
use super::{Machine, Opened, Run};
use crate::error::Error;
use crate::ranges::Ranges;

const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    CREATE TABLE series (id INTEGER PRIMARY KEY, labels TEXT NOT NULL) STRICT;
    CREATE TABLE run (id INTEGER PRIMARY KEY AUTOINCREMENT, boot INTEGER NOT NULL UNIQUE) STRICT;
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
";
/// Since version 2: `readings` counts those lost, `entry` is the one that told of the gap.
const GAPS_TOLD: &str = "
    ALTER TABLE gap ADD COLUMN readings INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE gap ADD COLUMN entry INTEGER;
    CREATE INDEX gap_entry ON gap (entry);
    CREATE TABLE gap_range (
        id INTEGER PRIMARY KEY,
        gap INTEGER NOT NULL,
        boot INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX gap_range_gap ON gap_range (gap);
    PRAGMA user_version = 2;
";
/// Since version 3: an entry's id is its run and its number, so that no index has to be written
/// with each entry or read at the start. Run and number are computed, for readers.
const ENTRIES: &str = "
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL AS (id >> 40) VIRTUAL,
        seq INTEGER NOT NULL AS (id & 1099511627775) VIRTUAL,
        time INTEGER NOT NULL,
        done INTEGER NOT NULL DEFAULT 0,
        personal INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE INDEX entry_done ON entry (time) WHERE done = 1;
    PRAGMA user_version = 3;
";
/// Of entries from before version 3 nobody knows whether they hold names.
const TAKE_ENTRIES: &str = "
    INSERT INTO entry (id, time, done, personal, bytes)
        SELECT run << 40 | seq, time, done, 1, bytes FROM old_entry ORDER BY run, seq;
    UPDATE gap SET entry =
        (SELECT run << 40 | seq FROM old_entry WHERE old_entry.id = gap.entry);
    DROP TABLE old_entry;
";
const VERSION: i64 = 4;
/// A journal that is not on the disk.
const MEMORY: &str = ":memory:";
/// How long another process may still hold the file, such as one that is just ending.
const BUSY: Duration = Duration::from_secs(1);

/// Opens the journal at `path`; a damaged one is renamed and a new one made.
///
/// What a start needs is read, and damage there is found. The whole file is only checked when
/// damage showed while it was in use, or was just found: reading a gigabyte takes many seconds on a
/// gateway, and nobody watches meanwhile.
pub(super) fn open(path: &Path, machine: &Machine) -> Result<(File, Opened), Error> {
    let failed = |source| Error::Journal { what: "open", path: path.to_owned(), source };
    let is_suspect = suspicion(path).exists();
    // Set aside, but the end came before that was on record.
    let is_lost = is_suspect && !path.exists();
    match load(path, machine, is_suspect) {
        Ok((file, opened)) => {
            if is_lost {
                file.gap(&damage()).map_err(failed)?;
            }
            let _ = fs::remove_file(suspicion(path));
            Ok((file, opened))
        }
        Err(error) if is_busy(&error) => Err(Error::JournalInUse { path: path.to_owned() }),
        Err(error) if is_full(&error, path) => {
            let (mut file, mut opened) = load(Path::new(MEMORY), machine, false).map_err(failed)?;
            file.forget_disk(path);
            opened.durable = false;
            let cause: &dyn std::error::Error = &error;
            tracing::error!(cause, "the disk takes no writes: the journal is in memory");
            Ok((file, opened))
        }
        Err(error) if is_damage(&error) => {
            suspect(path);
            let aside = set_aside(path)?;
            let (file, mut opened) = load(path, machine, false).map_err(failed)?;
            file.gap(&damage()).map_err(failed)?;
            let _ = fs::remove_file(suspicion(path));
            opened.set_aside = Some(aside);
            Ok((file, opened))
        }
        Err(error) => Err(failed(error)),
    }
}

/// The file that says that the journal at `path` is to be checked when it is next opened.
fn suspicion(path: &Path) -> PathBuf {
    path.with_extension("suspect")
}

/// Has the journal at `path` checked when it is next opened.
pub(super) fn suspect(path: &Path) {
    let made = fs::File::create(suspicion(path)).and_then(|file| file.sync_all());
    if let Err(error) = made {
        tracing::warn!(%error, "the next start will not check the journal");
    }
}

/// Of what time it was, nobody knows.
fn damage() -> Gap {
    Gap { cause: "damaged".to_owned(), ..Gap::default() }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
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

fn load(
    path: &Path,
    machine: &Machine,
    is_suspect: bool,
) -> Result<(File, Opened), rusqlite::Error> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // Without `auto_vacuum` there are no pages that say where each page belongs, to be written with
    // each entry.
    connection.execute_batch(
        "PRAGMA auto_vacuum = NONE;
         PRAGMA temp_store = MEMORY;
         PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = FAST;
         PRAGMA journal_size_limit = 16777216;",
    )?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
        0 => {
            transaction.execute_batch(SCHEMA)?;
            transaction.execute_batch(GAPS_TOLD)?;
            transaction.execute_batch(ENTRIES)?;
            transaction.execute_batch(clock::SCHEMA)?;
            transaction.execute("INSERT INTO meta VALUES ('dictionary', random())", [])?;
        }
        version @ 1..=VERSION => {
            if is_suspect {
                check(&transaction)?;
            }
            if version < 2 {
                transaction.execute_batch(GAPS_TOLD)?;
            }
            if version < 3 {
                transaction.execute_batch(
                    "DROP INDEX entry_done; ALTER TABLE entry RENAME TO old_entry",
                )?;
                transaction.execute_batch(ENTRIES)?;
                transaction.execute_batch(TAKE_ENTRIES)?;
            }
            if version < 4 {
                transaction.execute_batch(clock::SCHEMA)?;
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
    transaction.execute(
        "DELETE FROM run WHERE NOT EXISTS
             (SELECT 1 FROM entry WHERE entry.id BETWEEN run.id << 40 AND (run.id + 1 << 40) - 1)",
        [],
    )?;
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
    let stores = stores(&transaction)?;
    let (machine_id, origin) = enter_machine(&transaction, machine, run)?;
    let known = origin.map(|origin| Timestamp::from_millis(origin.saturating_add(machine.uptime)));
    transaction.commit()?;
    let opened = Opened {
        boot: unsigned(boot),
        dictionary: unsigned(dictionary),
        series,
        runs,
        set_aside: None,
        stores,
        durable: true,
        known,
    };
    let machine = (machine_id, machine.uptime);
    let file = File::new(connection, path.to_owned(), run, machine, opened.dictionary)?;
    Ok((file, opened))
}

/// Notes of which start of the machine the run is; the number of that, and the machine's time then,
/// if it is known.
fn enter_machine(
    connection: &Connection,
    machine: &Machine,
    run: i64,
) -> Result<(i64, Option<i64>), rusqlite::Error> {
    connection.execute(
        "DELETE FROM machine WHERE name IS NOT ?
             AND id NOT IN (SELECT machine FROM run WHERE machine IS NOT NULL)",
        [&machine.start],
    )?;
    // Where the system does not say, each run is taken for a start of its own.
    connection.execute(
        "INSERT OR IGNORE INTO machine (name) VALUES (coalesce(?1, 'run ' || ?2))",
        rusqlite::params![machine.start, run],
    )?;
    let found: (i64, Option<i64>) = connection.query_row(
        "SELECT id, origin FROM machine WHERE name = coalesce(?1, 'run ' || ?2)",
        rusqlite::params![machine.start, run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    connection.execute("UPDATE run SET machine = ? WHERE id = ?", [found.0, run])?;
    Ok(found)
}

/// Reads all of the file.
fn check(connection: &Connection) -> Result<(), rusqlite::Error> {
    let checked: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if checked == "ok" {
        return Ok(());
    }
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(corrupt, Some(checked)))
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

/// The inverse of `labels_text`.
fn labels_from(text: &str) -> Option<Labels> {
    let lines: Vec<&str> = text.lines().collect();
    let (pairs, rest) = lines.as_chunks::<2>();
    let labels = Labels::from_pairs(pairs.iter().map(|[name, value]| (*name, *value)));
    (rest.is_empty() && labels.name().is_some()).then_some(labels)
}

/// What collectors said of their stores.
fn stores(connection: &Connection) -> Result<Vec<(Id, u64)>, rusqlite::Error> {
    let mut query =
        connection.prepare("SELECT substr(name, 7), value FROM meta WHERE name GLOB 'store:*'")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, unsigned(row.get(1)?))))?;
    let known = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(known.into_iter().filter_map(|(id, store)| Some((Id::new(&id).ok()?, store))).collect())
}

pub(super) fn runs(connection: &Connection) -> Result<Vec<Run>, rusqlite::Error> {
    let mut query = connection.prepare(
        "SELECT id, boot,
             (SELECT entry.id & 1099511627775 FROM entry
              WHERE entry.id BETWEEN run.id << 40 AND (run.id + 1 << 40) - 1
              ORDER BY entry.id LIMIT 1) AS first,
             (SELECT entry.id & 1099511627775 FROM entry
              WHERE entry.id BETWEEN run.id << 40 AND (run.id + 1 << 40) - 1
              ORDER BY entry.id DESC LIMIT 1)
         FROM run WHERE first IS NOT NULL ORDER BY id",
    )?;
    let rows = query.query_map([], |row| {
        let id: i64 = row.get(0)?;
        let [boot, first, last] = [row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?].map(unsigned);
        Ok((id, Run { boot, first, last, done: Ranges::default(), acked: Vec::new() }))
    })?;
    let mut runs = rows.collect::<Result<Vec<_>, _>>()?;
    // By the index alone: the entries themselves are not read.
    let mut query =
        connection.prepare("SELECT id FROM entry INDEXED BY entry_done WHERE done = 1")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (of, seq) = run_and_seq(row.get(0)?);
        if let Ok(index) = runs.binary_search_by_key(&of, |(id, _)| *id)
            && let Some((_, run)) = runs.get_mut(index)
        {
            run.done.insert(seq, seq);
        }
    }
    for (_, run) in &mut runs {
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
