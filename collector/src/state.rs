//! What must survive a restart beside the samples: alerts, what receivers were told, and the
//! messages on their way to them. One SQLite file, one owner.
//!
//! Everything that an evaluation changes is written in one transaction that is on the disk before
//! anybody is told ([`State::commit`]): after a crash an alert is neither forgotten nor told twice
//! by us; a message whose delivery was cut off is sent again. Only when the disk has no room, and no
//! reserve, it goes on in memory (`spare`).

mod file;
mod outbox;
mod rows;
mod spare;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hallwatch_model::Labels;
use rusqlite::{Connection, OptionalExtension as _, params};
use thiserror::Error;

use crate::disk::Reserve;
use crate::notify::pair::Facts;
use crate::notify::pair::facts::FactsRow;
use crate::notify::{Notification, NotifiedAlert, Router, SavedGroup, webhook};
use crate::rules::{Evaluation, HistoricalAlert, SavedAlert};
use crate::topology::{Suppressed, Suppressor};
use file::{VERSION, connect, is_damage, put_aside};
pub use outbox::{Failure, Message};
use rows::{AlertRow, GroupRow, HistoricalRow, SuppressedRow};

/// The file's name within the collector's data directory.
const FILE: &str = "state.sqlite";

/// The file.
#[derive(Debug)]
pub struct State {
    /// To the file; to a copy in memory while the disk is full.
    connection: Connection,
    path: PathBuf,
    damaged: Option<PathBuf>,
    /// Given up when there is no room on the disk.
    reserve: Option<Arc<Reserve>>,
    /// The connection to the file while `connection` is another.
    disk: Option<Connection>,
}

/// Why the file could not be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be opened.
    #[error("cannot open the state in {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// It was written by a newer version.
    #[error("the state in {path} has version {found}, this program knows {VERSION}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A damaged file cannot be put aside.
    #[error("cannot put the damaged state aside as {path}")]
    PutAside {
        /// The new name.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be read.
    #[error("cannot read the state in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// It cannot be written.
    #[error("cannot write the state in {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// Something cannot be written as JSON.
    #[error("cannot encode the state")]
    Encode(#[source] serde_json::Error),
}

impl State {
    /// Opens the state in the directory `dir`, which must exist. A damaged file is put aside
    /// ([`damaged`](Self::damaged)), for its loss must not stop the watch.
    ///
    /// # Errors
    /// When the file cannot be opened, or is of a newer version.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let opened = |connection, damaged| Self {
            connection,
            path: path.clone(),
            damaged,
            reserve: None,
            disk: None,
        };
        let damaged = match connect(&path) {
            Ok(connection) => return Ok(opened(connection, None)),
            Err(Error::Open { source, .. }) if is_damage(&source) => put_aside(&path)?,
            Err(error) => return Err(error),
        };
        Ok(opened(connect(&path)?, Some(damaged)))
    }

    /// With a reserve, which is given up when the disk is full. Without one, or when that is used up,
    /// the state goes on in memory.
    #[must_use]
    pub fn with_reserve(mut self, reserve: Arc<Reserve>) -> Self {
        self.reserve = Some(reserve);
        self
    }

    /// Where the damaged file was put, if there was one.
    #[must_use]
    pub fn damaged(&self) -> Option<&Path> {
        self.damaged.as_deref()
    }

    /// The alerts. Rows that cannot be understood are left out and logged.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alerts(&self) -> Result<Vec<SavedAlert>, Error> {
        let rows = self.rows("SELECT rule, data FROM alert ORDER BY rule, labels")?;
        let alerts = rows.into_iter().filter_map(|(rule, data)| {
            let row: AlertRow = understood("alert", &rule, &data)?;
            Some(SavedAlert { rule: rule.into(), alert: row.into() })
        });
        Ok(alerts.collect())
    }

    /// Alerts of the past that were learnt of too late, the newest last. Rows that cannot be
    /// understood are left out and logged.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn digest(&self) -> Result<Vec<HistoricalAlert>, Error> {
        let rows = self.rows("SELECT CAST(id AS TEXT), data FROM digest ORDER BY id")?;
        let alerts = rows.into_iter().filter_map(|(id, data)| {
            let row: HistoricalRow = understood("historical alert", &id, &data)?;
            Some(row.into())
        });
        Ok(alerts.collect())
    }

    /// Writes the digest, all of it.
    ///
    /// # Errors
    /// When it cannot be written; then it is as before.
    pub fn put_digest(&mut self, digest: &[HistoricalAlert]) -> Result<(), Error> {
        let rows = digest.iter().map(|alert| encode(&HistoricalRow::from(alert)));
        let rows: Vec<String> = rows.collect::<Result<_, Error>>()?;
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM digest", [])?;
            for row in &rows {
                let sql = "INSERT INTO digest (data) VALUES (?)";
                transaction.prepare_cached(sql)?.execute(params![row])?;
            }
            transaction.commit()
        };
        self.write(write)
    }

    /// What receivers were told. Rows that cannot be understood are left out and logged.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn told(&self) -> Result<Vec<SavedGroup>, Error> {
        let rows = self.rows("SELECT receiver, data FROM told ORDER BY receiver, labels")?;
        let groups = rows.into_iter().filter_map(|(receiver, data)| {
            let row: GroupRow = understood("group", &receiver, &data)?;
            Some(row.into_group(receiver))
        });
        Ok(groups.collect())
    }

    /// The alerts that are kept from paging. Rows that cannot be understood are left out and logged:
    /// those alerts count as told.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn suppressed(&self) -> Result<Vec<Suppressed>, Error> {
        let rows = self.rows("SELECT labels, data FROM suppressed ORDER BY labels")?;
        let suppressed = rows.into_iter().filter_map(|(labels, data)| {
            understood::<SuppressedRow>("suppressed", &labels, &data).map(Into::into)
        });
        Ok(suppressed.collect())
    }

    /// The alerts that `receiver` is told of who groups them himself. None when the row cannot be
    /// understood, which is logged.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn feed(&self, receiver: &str) -> Result<Vec<NotifiedAlert>, Error> {
        let read = || {
            let sql = "SELECT data FROM told WHERE receiver = ? AND labels = ?";
            let mut statement = self.connection.prepare_cached(sql)?;
            let labels = Labels::empty().to_string();
            statement.query_row([receiver, &labels], |row| row.get::<_, String>(0)).optional()
        };
        let row = read().map_err(|source| self.unread(source))?;
        let row = row.and_then(|data| understood::<GroupRow>("group", receiver, &data));
        Ok(row.map_or_else(Vec::new, |row| row.into_group(receiver.to_owned()).alerts))
    }

    /// Writes what an evaluation changed, what the router knows and what is to be sent, all or
    /// nothing; on the disk when it returns. Cheap when nothing changed.
    ///
    /// # Errors
    /// When it cannot be written; nothing has changed then, and nobody must be told.
    pub fn commit(
        &mut self,
        evaluation: &Evaluation,
        router: &mut Router,
        notifications: &[Notification],
    ) -> Result<(), Error> {
        self.commit_with(evaluation, router, None, notifications)
    }

    /// [`commit`](Self::commit), and what is kept from paging.
    ///
    /// # Errors
    /// When it cannot be written; nothing has changed then, and nobody must be told.
    pub fn commit_with(
        &mut self,
        evaluation: &Evaluation,
        router: &mut Router,
        suppressor: Option<&mut Suppressor>,
        notifications: &[Notification],
    ) -> Result<(), Error> {
        let Evaluation { changed, ended, .. } = evaluation;
        let groups = router.is_changed().then(|| router.save());
        let suppressor = suppressor.filter(|suppressor| suppressor.is_changed());
        let suppressed = suppressor.as_ref().map(|suppressor| suppressor.save());
        let quiet = changed.is_empty() && ended.is_empty() && notifications.is_empty();
        if quiet && groups.is_none() && suppressed.is_none() {
            return Ok(());
        }
        let suppressed = suppressed.as_ref().map(|all| {
            let rows = all
                .iter()
                .map(|one| Ok((one.alert.labels.to_string(), encode(&SuppressedRow::from(one))?)));
            rows.collect::<Result<Vec<_>, Error>>()
        });
        let suppressed = suppressed.transpose()?;
        let alerts = changed.iter().map(|saved| {
            let row = AlertRow::from(&saved.alert);
            Ok((&*saved.rule, saved.alert.labels.to_string(), encode(&row)?))
        });
        let alerts: Vec<_> = alerts.collect::<Result<_, Error>>()?;
        let told = groups.as_ref().map(|groups| {
            let rows = groups.iter().map(|group| {
                let row = encode(&GroupRow::from(group))?;
                Ok((&*group.receiver, group.labels.to_string(), row))
            });
            rows.collect::<Result<Vec<_>, Error>>()
        });
        let told = told.transpose()?;
        let messages = notifications.iter().map(|notification| {
            let body = webhook::body(notification).map_err(Error::Encode)?;
            let facts = encode(&FactsRow::from(&Facts::from(notification)))?;
            Ok((notification, encode(&rows::pairs(&notification.group_labels))?, body, facts))
        });
        let messages: Vec<_> = messages.collect::<Result<_, Error>>()?;

        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            for (rule, labels, data) in &alerts {
                let sql = "INSERT OR REPLACE INTO alert (rule, labels, data) VALUES (?, ?, ?)";
                transaction.prepare_cached(sql)?.execute(params![rule, labels, data])?;
            }
            for (rule, labels) in ended {
                let sql = "DELETE FROM alert WHERE rule = ? AND labels = ?";
                transaction.prepare_cached(sql)?.execute(params![&**rule, labels.to_string()])?;
            }
            if let Some(told) = &told {
                transaction.execute("DELETE FROM told", [])?;
                for (receiver, labels, data) in told {
                    let sql = "INSERT INTO told (receiver, labels, data) VALUES (?, ?, ?)";
                    transaction.prepare_cached(sql)?.execute(params![receiver, labels, data])?;
                }
            }
            if let Some(suppressed) = &suppressed {
                transaction.execute("DELETE FROM suppressed", [])?;
                for (labels, data) in suppressed {
                    let sql = "INSERT OR REPLACE INTO suppressed (labels, data) VALUES (?, ?)";
                    transaction.prepare_cached(sql)?.execute(params![labels, data])?;
                }
            }
            for (notification, labels, body, facts) in &messages {
                outbox::put(&transaction, notification, (labels, body, facts))?;
            }
            transaction.commit()
        };
        self.write(write)?;
        router.saved();
        if let Some(suppressor) = suppressor {
            suppressor.saved();
        }
        Ok(())
    }

    fn rows(&self, sql: &str) -> Result<Vec<(String, String)>, Error> {
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|source| self.unread(source))
    }

    fn unread(&self, source: rusqlite::Error) -> Error {
        Error::Read { path: self.path.clone(), source }
    }

    fn unwritten(&self, source: rusqlite::Error) -> Error {
        Error::Write { path: self.path.clone(), source }
    }
}

fn encode<T: serde::Serialize>(row: &T) -> Result<String, Error> {
    serde_json::to_string(row).map_err(Error::Encode)
}

fn understood<T: serde::de::DeserializeOwned>(what: &str, of: &str, data: &str) -> Option<T> {
    serde_json::from_str(data)
        .inspect_err(|error| tracing::error!(what, of, %error, "a row of the state is damaged"))
        .ok()
}
