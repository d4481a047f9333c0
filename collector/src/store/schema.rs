//! The one SQLite file: how it is opened, and its tables.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// The name of the file in the store's folder.
pub(super) const FILE: &str = "store.sqlite";
/// What `user_version` says.
pub(super) const VERSION: i64 = 3;

/// Chunks are keyed by window first, so that a window is written, read and deleted as neighbours.
/// A blob is sealed by a checksum. A chunk has a part above 0 only when part 0 is damaged.
///
/// `window.upto`: the samples of this window in log rows up to there are all in chunks.
/// `window.series`: which series have chunks in it.
/// `meta.replay_from`: log rows below it are wholly in chunks. `meta.floor`: samples before it were
/// deleted for their age. `meta.log_bytes`: the bytes of the log up to the row `meta.log_bytes_upto`.
/// `meta.series_given`: the highest number that a series ever had, with its checksum.
/// `meta.newest_window_latest`: no sample in chunks of the window `meta.newest_window` is later.
const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE agent (
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, site TEXT NOT NULL, agent TEXT NOT NULL,
        UNIQUE (tenant, site, agent));
    CREATE TABLE series (id INTEGER PRIMARY KEY, labels BLOB NOT NULL);
    CREATE TABLE dictionary (
        agent INTEGER NOT NULL, dictionary INTEGER NOT NULL, id INTEGER NOT NULL,
        series INTEGER NOT NULL, sum INTEGER NOT NULL,
        PRIMARY KEY (agent, dictionary, id)) WITHOUT ROWID;
    CREATE TABLE received (
        agent INTEGER NOT NULL, boot INTEGER NOT NULL, ranges BLOB NOT NULL,
        watermark INTEGER NOT NULL, seen INTEGER NOT NULL,
        PRIMARY KEY (agent, boot)) WITHOUT ROWID;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY AUTOINCREMENT, agent INTEGER NOT NULL, received INTEGER NOT NULL,
        data BLOB NOT NULL);
    CREATE TABLE chunk (
        window INTEGER NOT NULL, series INTEGER NOT NULL, part INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (window, series, part)) WITHOUT ROWID;
    CREATE TABLE window (
        window INTEGER PRIMARY KEY, upto INTEGER NOT NULL, bytes INTEGER NOT NULL,
        samples INTEGER NOT NULL, series BLOB NOT NULL);
    CREATE TABLE exporter (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE event (
        id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, time INTEGER NOT NULL,
        received INTEGER NOT NULL, device TEXT NOT NULL, door TEXT NOT NULL,
        person TEXT NOT NULL, result TEXT NOT NULL);
    CREATE INDEX event_by_time ON event (time);
";

/// What version 2 adds. The numbers in `deletion.series` go with the last of the samples; `count`
/// stays. `time` has times that several chunks of a window have in common, sealed; with the last
/// chunk that uses them they go.
const SECOND: &str = "
    CREATE TABLE deletion (
        id INTEGER PRIMARY KEY AUTOINCREMENT, requested INTEGER NOT NULL, purged INTEGER,
        start INTEGER NOT NULL, end INTEGER NOT NULL, upto INTEGER NOT NULL, tenant TEXT,
        series BLOB NOT NULL, count INTEGER NOT NULL, chunk_samples INTEGER NOT NULL DEFAULT 0,
        log_samples INTEGER NOT NULL DEFAULT 0, events INTEGER NOT NULL DEFAULT 0,
        damaged INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE time (
        window INTEGER NOT NULL, id INTEGER NOT NULL, uses INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (window, id)) WITHOUT ROWID;
";

/// What version 3 adds: long history. `rollup` has the summaries of a day of one series, sealed, by
/// resolution in milliseconds. A day in `rolled` is done when all its series have theirs; `stale`
/// has those that are to be made again.
const THIRD: &str = "
    CREATE TABLE rollup (
        resolution INTEGER NOT NULL, day INTEGER NOT NULL, series INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (resolution, day, series)) WITHOUT ROWID;
    CREATE TABLE rolled (
        resolution INTEGER NOT NULL, day INTEGER NOT NULL, done INTEGER NOT NULL,
        bytes INTEGER NOT NULL, series BLOB NOT NULL,
        PRIMARY KEY (resolution, day)) WITHOUT ROWID;
    CREATE TABLE stale (
        day INTEGER NOT NULL, series INTEGER NOT NULL, PRIMARY KEY (day, series)) WITHOUT ROWID;
";

/// The writer's connection.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // Chunks of up to about 4 kB lie in a page of this size without an overflow page each.
    connection.pragma_update(None, "page_size", 16_384)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    // After a long commit the write-ahead log does not stay as long as it was.
    connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    connection.set_prepared_statement_cache_capacity(64);
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let missing = match version {
        0 => Some(format!("{TABLES}{SECOND}{THIRD}")),
        1 => Some(format!("{SECOND}{THIRD}")),
        2 => Some(THIRD.to_owned()),
        _ => None,
    };
    if let Some(tables) = missing {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {tables} PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
    }
    Ok(connection)
}

/// What version the file has.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// A connection for a reader.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// Whether the error means that the file is not what was written.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::{Error, ErrorCode};
    match error {
        Error::SqliteFailure(failure, text) => {
            // Statements are right: it is the schema that was changed.
            let schema = ["no such column", "no such table", "has no column named"];
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || text.as_ref().is_some_and(|text| schema.iter().any(|one| text.contains(one)))
        }
        Error::InvalidColumnType(..)
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..)
        | Error::SqlInputError { .. } => true,
        _ => false,
    }
}
