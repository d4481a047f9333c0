//! The file: its tables, how it is opened, and what becomes of a damaged one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::Error;

/// The version of the tables, in `user_version`.
pub(super) const VERSION: i64 = 3;
/// How long another process (a backup) may keep the file locked.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE alert (
        rule TEXT NOT NULL, labels TEXT NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (rule, labels)
    ) WITHOUT ROWID;
    CREATE TABLE told (
        receiver TEXT NOT NULL, labels TEXT NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (receiver, labels)
    ) WITHOUT ROWID;
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        receiver TEXT NOT NULL, labels TEXT NOT NULL, body TEXT NOT NULL,
        at INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL,
        error TEXT, given_up INTEGER
    );
    CREATE INDEX outbox_pending ON outbox (receiver, id) WHERE given_up IS NULL;
";

/// All of them, and the numbers that messages had: none is given twice.
pub(super) const TABLES_OF_STATE: [&str; 7] =
    ["alert", "told", "outbox", "delivered", "suppressed", "digest", "sqlite_sequence"];

/// What version 2 adds: what a message says in short, and what was delivered, for the peer.
const SECOND: &str = "
    ALTER TABLE outbox ADD COLUMN facts TEXT;
    CREATE TABLE delivered (
        receiver TEXT NOT NULL, labels TEXT NOT NULL, fingerprint INTEGER NOT NULL,
        firing INTEGER NOT NULL, since INTEGER NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (receiver, labels, fingerprint, firing)
    ) WITHOUT ROWID;
    PRAGMA user_version = 2;
";

/// Added later: files of the first version may lack it, and older programs leave it alone.
const DIGEST: &str =
    "CREATE TABLE IF NOT EXISTS digest (id INTEGER PRIMARY KEY, data TEXT NOT NULL)";

/// What version 3 adds: alerts that are kept from paging.
const THIRD: &str = "
    CREATE TABLE suppressed (labels TEXT NOT NULL PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = 3;
";

pub(super) fn connect(path: &Path) -> Result<Connection, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(failed)?;
    let version = prepare(&connection).map_err(failed)?;
    let missing: &[&str] = match version {
        0 => &[TABLES, SECOND, THIRD],
        1 => &[SECOND, THIRD],
        2 => &[THIRD],
        VERSION => &[],
        found => return Err(Error::Newer { path: path.to_owned(), found }),
    };
    let add = |connection: &mut Connection| {
        let transaction = connection.transaction()?;
        missing.iter().try_for_each(|tables| transaction.execute_batch(tables))?;
        transaction.commit()
    };
    if !missing.is_empty() {
        add(&mut connection).map_err(failed)?;
    }
    connection.execute(DIGEST, []).map_err(failed)?;
    Ok(connection)
}

/// The tables, in a database that has none. Columns stand in the order in which they were added over
/// the versions, as in a file.
pub(super) fn add_tables(connection: &Connection) -> rusqlite::Result<()> {
    [TABLES, SECOND, THIRD, DIGEST].iter().try_for_each(|tables| connection.execute_batch(tables))
}

/// The version of the tables.
fn prepare(connection: &Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Alerts and messages can name people.
    connection.pragma_update(None, "secure_delete", "ON")?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(code, Some(sound)));
    }
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames the file and its companions; one damaged file is kept, the newest.
pub(super) fn put_aside(path: &Path) -> Result<PathBuf, Error> {
    let aside = path.with_extension("sqlite.damaged");
    let moved = std::fs::rename(path, &aside);
    moved.map_err(|source| Error::PutAside { path: aside.clone(), source })?;
    for companion in ["sqlite-wal", "sqlite-shm"] {
        // They may not be there.
        let _ = std::fs::remove_file(path.with_extension(companion));
    }
    Ok(aside)
}
