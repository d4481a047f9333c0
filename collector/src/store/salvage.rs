//! A file that SQLite cannot write to, or not even open, any more: what can be read of it is saved
//! into a new one at the next start, and the old one stays beside it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::replay::rows;
use super::shared::{Found, count};
use super::{Error, numbers, schema};

/// The tables in the order in which they are saved, and their columns.
const TABLES: [(&str, usize, &str); 14] = [
    ("time", 4, "window, id"),
    ("deletion", 13, "id"),
    ("agent", 4, "id"),
    ("series", 2, "id"),
    ("dictionary", 5, "agent, dictionary, id"),
    ("received", 5, "agent, boot"),
    ("exporter", 2, "name"),
    ("window", 5, "window"),
    ("log", 4, "id"),
    ("stale", 2, "day, series"),
    ("rolled", 5, "resolution, day"),
    ("rollup", 4, "resolution, day, series"),
    ("event", 8, "id"),
    ("chunk", 4, "window, series, part"),
];

/// Asks the next start to salvage. Where even that cannot be written, the next write will fail
/// again and ask again.
pub(super) fn ask(file: &Path) {
    let _ = std::fs::write(note(file), "a write met a damaged page\n");
}

/// Whether the last run asked for it.
pub(super) fn is_asked(file: &Path) -> bool {
    note(file).exists()
}

fn note(file: &Path) -> PathBuf {
    beside(file, ".salvage")
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Puts the new file into its place, where a crash left the place empty.
pub(super) fn finish(file: &Path) -> Result<(), Error> {
    let half = beside(file, ".new");
    if file.exists() || !half.exists() {
        return Ok(());
    }
    let failed = |source| Error::Folder { path: file.to_owned(), source };
    std::fs::rename(half, file).map_err(failed)?;
    if is_asked(file) { std::fs::remove_file(note(file)).map_err(failed) } else { Ok(()) }
}

/// Moves the damaged file aside, makes a new one and saves what is readable.
pub(super) fn salvage(file: &Path, found: &Found) -> Result<Connection, Error> {
    count(&found.rows);
    let failed = |source| Error::Folder { path: file.to_owned(), source };
    let half = beside(file, ".new");
    for suffix in ["", "-wal", "-shm"] {
        let old = beside(&half, suffix);
        if old.exists() {
            std::fs::remove_file(old).map_err(failed)?;
        }
    }
    let attempt = "save what is readable of a damaged store";
    // The new one is whole before it takes the place of the old one.
    let new = schema::open(&half).map_err(Error::write(attempt))?;
    if let Ok(old) = Connection::open(file) {
        copy(&old, &new, &found.rows).map_err(Error::write(attempt))?;
    }
    new.close().map_err(|(_, source)| Error::write(attempt)(source))?;
    let aside = |n: u32| beside(file, &format!(".damaged-{n}"));
    let free = (1..).map(aside).find(|aside| !aside.exists()).unwrap_or_else(|| aside(0));
    for suffix in ["-wal", "-shm", ""] {
        let from = beside(file, suffix);
        if from.exists() {
            std::fs::rename(from, beside(&free, suffix)).map_err(failed)?;
        }
    }
    std::fs::rename(&half, file).map_err(failed)?;
    if is_asked(file) {
        std::fs::remove_file(note(file)).map_err(failed)?;
    }
    schema::open(file).map_err(Error::write("open the store"))
}

/// Removes the damaged files that were put aside; gives how many.
pub(super) fn remove_copies(file: &Path) -> Result<u64, Error> {
    let failed = |source| Error::Folder { path: file.to_owned(), source };
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(0) };
    let prefix = format!("{}.damaged-", name.to_string_lossy());
    let mut removed = 0;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            std::fs::remove_file(entry.path()).map_err(failed)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn copy(old: &Connection, new: &Connection, damaged: &AtomicU64) -> rusqlite::Result<()> {
    for (table, columns, key) in TABLES {
        let places = vec!["?"; columns].join(", ");
        let insert = format!("INSERT OR IGNORE INTO {table} VALUES ({places})");
        let descending = key.replace(',', " DESC,") + " DESC";
        let transaction = new.unchecked_transaction()?;
        // From both ends: a scan stops at the first page that is damaged.
        for order in [key, &descending] {
            let select = format!("SELECT * FROM {table} ORDER BY {order}");
            let read = rows(old, damaged, &select, [], |row| {
                let values: Vec<Value> =
                    (0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?;
                // A value of the wrong type is no use to anybody.
                let inserted =
                    transaction.prepare_cached(&insert)?.execute(params_from_iter(values));
                match inserted {
                    Err(error) if is_refused(&error) => Ok(None),
                    inserted => inserted.map(|_| Some(())),
                }
            });
            match read {
                Err(error) if schema::is_damage(&error) || is_unreadable(&error) => count(damaged),
                read => read?,
            }
        }
        transaction.commit()?;
    }
    // Of what is gone for its age the summaries must stay.
    let floor = "SELECT value FROM meta WHERE key = 'floor'";
    if let Ok(floor) = old.query_row(floor, [], |row| row.get::<_, i64>(0)) {
        new.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('floor', ?1)", [floor])?;
    }
    // Series that are lost keep their numbers.
    match numbers::given(old) {
        Err(error) if is_unreadable(&error) => (),
        given => given?.map_or(Ok(()), |given| numbers::note_given(new, given))?,
    }
    // Log rows never get a number again: windows and exporters remember them. Where the replay
    // starts is found out again.
    new.execute_batch(
        "DELETE FROM sqlite_sequence WHERE name = 'log';
         INSERT INTO sqlite_sequence (name, seq) SELECT 'log', max(
            coalesce((SELECT max(id) FROM log), 0),
            coalesce((SELECT max(upto) FROM window), 0),
            coalesce((SELECT max(position) FROM exporter), 0));",
    )
}

fn is_refused(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

/// A table that is missing from the schema.
fn is_unreadable(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown)
}
