//! The ledger on disk: one SQLite file beside the store's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hallwatch_model::{AgentPath, Id, Labels, Timestamp};
use rusqlite::{Connection, ErrorCode, params};
use thiserror::Error;

use super::ranges::Ranges;
use super::row::{Row, State};
use super::runs::{Known, Run};
use super::tally::{Day, Tally};
use super::{Key, Ledger};

const FILE: &str = "gaps.sqlite";
const VERSION: i64 = 1;
/// The state of a row that ends with its run: every program takes an unknown one for lost.
const TO_RUN_END: &str = "lost_to_run_end";
const BUSY: Duration = Duration::from_secs(5);
const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    CREATE TABLE gap (
        agent TEXT NOT NULL, key TEXT NOT NULL, cause TEXT NOT NULL, device TEXT NOT NULL,
        start INTEGER NOT NULL, end INTEGER, entries INTEGER NOT NULL, readings INTEGER NOT NULL,
        state TEXT NOT NULL, boot INTEGER NOT NULL, missing TEXT NOT NULL,
        PRIMARY KEY (agent, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE run (
        agent TEXT NOT NULL, boot INTEGER NOT NULL, sender INTEGER NOT NULL,
        first INTEGER NOT NULL, start INTEGER NOT NULL, last INTEGER NOT NULL, end INTEGER NOT NULL,
        PRIMARY KEY (agent, boot)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE interval (
        agent TEXT NOT NULL, part INTEGER NOT NULL, series TEXT NOT NULL,
        PRIMARY KEY (agent, part)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE day (
        day INTEGER NOT NULL, tenant TEXT NOT NULL, site TEXT NOT NULL, device TEXT NOT NULL,
        since INTEGER NOT NULL, present INTEGER NOT NULL, rate REAL NOT NULL,
        PRIMARY KEY (day, tenant, site, device)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('store', random()), ('position', 0);
    PRAGMA user_version = 1;
";

/// Why the ledger cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be opened or read.
    #[error("cannot open the gap ledger {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// It was written by a newer version.
    #[error("the gap ledger {} has version {found}, this program knows {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A damaged file cannot be put aside.
    #[error("cannot put the damaged gap ledger {} aside", path.display())]
    PutAside {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the gap ledger {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
}

/// The open file.
#[derive(Debug)]
pub(super) struct File {
    connection: Connection,
    path: PathBuf,
}

/// What the file holds.
pub(super) struct Content {
    pub(super) store: u64,
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
}

fn path_of(text: &str) -> Option<AgentPath> {
    let mut parts = text.split('/').map(Id::new);
    let mut next = || parts.next()?.ok();
    Some(AgentPath { tenant: next()?, site: next()?, agent: next()? })
}

impl File {
    /// Opens the ledger in the folder `dir`; a damaged one is put aside.
    pub(super) fn open(dir: &Path) -> Result<(Self, Content), Error> {
        let path = dir.join(FILE);
        match Self::load(&path) {
            Err(Error::Open { source, .. }) if is_damage(&source) => {
                let aside = path.with_extension("sqlite.damaged");
                tracing::error!(path = %aside.display(), "the gap ledger was damaged: put aside");
                let failed = |source| Error::PutAside { path: path.clone(), source };
                std::fs::rename(&path, &aside).map_err(failed)?;
                for companion in ["sqlite-wal", "sqlite-shm"] {
                    // They may not be there.
                    let _ = std::fs::remove_file(path.with_extension(companion));
                }
                Self::load(&path)
            }
            opened => opened,
        }
    }

    fn load(path: &Path) -> Result<(Self, Content), Error> {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let (connection, version) = connect(path).map_err(failed)?;
        if version != VERSION {
            return Err(Error::Newer { path: path.to_owned(), found: version });
        }
        let content = read(&connection).map_err(failed)?;
        Ok((Self { connection, path: path.to_owned() }, content))
    }

    fn write(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let write = || {
            let transaction = self.connection.transaction()?;
            work(&transaction)?;
            transaction.commit()
        };
        write().map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Writes rows, or deletes those that are gone.
    pub(super) fn save_rows(&mut self, rows: &[(Key, Option<Row>)]) -> Result<(), Error> {
        self.write(|connection| {
            for ((agent, key), row) in rows {
                let Some(row) = row else {
                    connection
                        .prepare_cached("DELETE FROM gap WHERE agent = ? AND key = ?")?
                        .execute(params![agent.to_string(), key])?;
                    continue;
                };
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    )?
                    .execute(params![
                        agent.to_string(),
                        key,
                        row.cause,
                        row.device,
                        row.start.as_millis(),
                        row.end.map(Timestamp::as_millis),
                        row.entries.cast_signed(),
                        row.readings.cast_signed(),
                        if row.to_run_end { TO_RUN_END } else { row.state.word() },
                        row.boot.cast_signed(),
                        row.missing.text(),
                    ])?;
            }
            Ok(())
        })
    }

    /// Writes what is known of the runs of one agent.
    pub(super) fn save_runs(&mut self, agents: &[(AgentPath, Known)]) -> Result<(), Error> {
        self.write(|connection| {
            for (agent, known) in agents {
                let name = agent.to_string();
                connection.prepare_cached("DELETE FROM run WHERE agent = ?")?.execute([&name])?;
                for (boot, run) in known.runs.iter().filter(|(_, run)| run.last > 0) {
                    connection
                        .prepare_cached("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)")?
                        .execute(params![
                            name,
                            boot.cast_signed(),
                            known.sender.cast_signed(),
                            run.first.cast_signed(),
                            run.start.as_millis(),
                            run.last.cast_signed(),
                            run.end.as_millis(),
                        ])?;
                }
            }
            Ok(())
        })
    }

    /// Writes the intervals, when they changed, and the days that were counted.
    pub(super) fn save_tally(
        &mut self,
        tally: &Tally,
        days: &[(i64, super::tally::Device)],
        intervals: bool,
    ) -> Result<(), Error> {
        self.write(|connection| {
            if intervals {
                connection.execute("DELETE FROM interval", [])?;
                for ((agent, part), series) in &tally.parts {
                    let pairs: Vec<(Vec<(&str, &str)>, u32)> = series
                        .iter()
                        .map(|(labels, millis)| {
                            (labels.iter().map(|l| (&*l.name, &*l.value)).collect(), *millis)
                        })
                        .collect();
                    let text = serde_json::to_string(&pairs).unwrap_or_default();
                    connection
                        .prepare_cached("INSERT INTO interval VALUES (?, ?, ?)")?
                        .execute(params![agent.to_string(), part, text])?;
                }
            }
            for key in days {
                let (day, (tenant, site, device)) = key;
                let Some(found) = tally.days.get(key) else { continue };
                connection
                    .prepare_cached("INSERT OR REPLACE INTO day VALUES (?, ?, ?, ?, ?, ?, ?)")?
                    .execute(params![
                        day,
                        tenant,
                        site,
                        device,
                        found.since,
                        found.present.cast_signed(),
                        found.rate
                    ])?;
            }
            let oldest = tally.days.keys().next().map_or(i64::MIN, |(day, _)| *day);
            connection.execute("DELETE FROM day WHERE day < ?", [oldest])?;
            connection.execute(
                "UPDATE meta SET value = ? WHERE name = 'position'",
                [tally.position.cast_signed()],
            )?;
            Ok(())
        })
    }

    /// Forgets a tenant's days from the first to the last, and with `all` its intervals; then
    /// what was deleted leaves the file's journal, too.
    pub(super) fn delete_tenant(
        &mut self,
        tenant: &str,
        (first, last): (i64, i64),
        all: bool,
    ) -> Result<(), Error> {
        self.write(|connection| {
            connection.execute(
                "DELETE FROM day WHERE tenant = ? AND day BETWEEN ? AND ?",
                params![tenant, first, last],
            )?;
            if all {
                let agents = format!("{tenant}/");
                connection.execute(
                    "DELETE FROM interval WHERE substr(agent, 1, length(?1)) = ?1",
                    [agents],
                )?;
            }
            Ok(())
        })?;
        let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        emptied.map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// The store is another one: a new number for it, and nothing is known of runs and days.
    pub(super) fn forget(&mut self) -> Result<u64, Error> {
        self.write(|connection| {
            connection.execute_batch(
                "DELETE FROM run; DELETE FROM day;
                 UPDATE meta SET value = random() WHERE name = 'store';
                 UPDATE meta SET value = 0 WHERE name = 'position';",
            )
        })?;
        let read = meta(&self.connection, "store");
        read.map_err(|source| Error::Open { path: self.path.clone(), source })
    }
}

fn meta(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let value: i64 =
        connection.query_row("SELECT value FROM meta WHERE name = ?", [name], |row| row.get(0))?;
    Ok(value.cast_unsigned())
}

fn connect(path: &Path) -> rusqlite::Result<(Connection, i64)> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is deleted on request is gone.
    connection.pragma_update(None, "secure_delete", "ON")?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(code, Some(sound)));
    }
    let version = |connection: &Connection| {
        connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
    };
    if version(&connection)? == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.commit()?;
    }
    let version = version(&connection)?;
    Ok((connection, version))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn read(connection: &Connection) -> rusqlite::Result<Content> {
    let time = Timestamp::from_millis;
    let mut query = connection.prepare("SELECT * FROM gap")?;
    let rows = query.query_map([], |row| {
        let (agent, state): (String, String) = (row.get(0)?, row.get(8)?);
        let found = Row {
            // Replaced below, or left out.
            agent: match path_of(&agent) {
                Some(agent) => agent,
                None => return Ok(None),
            },
            key: row.get(1)?,
            cause: row.get(2)?,
            device: row.get(3)?,
            start: time(row.get(4)?),
            end: row.get::<_, Option<i64>>(5)?.map(time),
            entries: row.get::<_, i64>(6)?.cast_unsigned(),
            readings: row.get::<_, i64>(7)?.cast_unsigned(),
            state: State::from_word(&state).unwrap_or(State::Lost),
            boot: row.get::<_, i64>(9)?.cast_unsigned(),
            missing: Ranges::parse(&row.get::<_, String>(10)?),
            to_run_end: state == TO_RUN_END,
        };
        Ok(Some(found))
    })?;
    let rows: Vec<Row> = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let mut query = connection.prepare("SELECT * FROM run")?;
    let mut found = query.query([])?;
    let (mut runs, mut senders) = (Vec::new(), Vec::new());
    while let Some(row) = found.next()? {
        let Some(agent) = path_of(&row.get::<_, String>(0)?) else { continue };
        let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let run = Run {
            first: number(3)?,
            start: time(row.get(4)?),
            last: number(5)?,
            end: time(row.get(6)?),
            ..Run::default()
        };
        senders.push((agent.clone(), number(2)?));
        runs.push((agent, number(1)?, run));
    }
    let mut tally = Tally { position: meta(connection, "position")?, ..Tally::default() };
    let mut query = connection.prepare("SELECT agent, part, series FROM interval")?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        let Some(agent) = path_of(&row.get::<_, String>(0)?) else { continue };
        // What cannot be read comes again with the dictionary.
        let pairs: Vec<(Vec<(String, String)>, u32)> =
            serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default();
        let series = pairs.iter().map(|(labels, millis)| {
            let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            (Labels::from_pairs(labels), *millis)
        });
        tally.parts.insert((agent, row.get(1)?), series.collect());
    }
    tally.index();
    let mut query = connection.prepare("SELECT * FROM day")?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        let present = row.get::<_, i64>(5)?.cast_unsigned();
        let day = Day { since: row.get(4)?, present, rate: row.get(6)? };
        tally.days.insert((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)), day);
    }
    let ledger = Ledger::restore(rows, runs, senders);
    Ok(Content { store: meta(connection, "store")?, ledger, tally })
}
