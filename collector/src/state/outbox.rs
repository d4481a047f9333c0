//! Messages on their way: kept until they were delivered or given up.

use hallwatch_model::{Labels, Timestamp};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Error, State, rows, understood};
use crate::notify::Notification;
use crate::notify::delivery::Verdict;

/// The most messages that wait for one receiver; of more, the oldest are given up.
const MAX_PENDING: i64 = 1000;
/// The most messages that are kept after they were given up.
const MAX_FAILURES: i64 = 1000;

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its number, ascending.
    pub id: i64,
    /// The labels of the group it tells of.
    pub group_labels: Labels,
    /// What is sent.
    pub body: String,
    /// When it was decided on.
    pub at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is to be sent next.
    pub due: Timestamp,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Who should have had it.
    pub receiver: String,
    /// The labels of the group it told of.
    pub group_labels: Labels,
    /// When it was decided on.
    pub at: Timestamp,
    /// When it was given up.
    pub given_up: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong.
    pub error: String,
}

pub(super) fn put(
    transaction: &Transaction<'_>,
    notification: &Notification,
    labels: &str,
    body: &str,
) -> rusqlite::Result<()> {
    let (receiver, at) = (&notification.receiver, notification.at.as_millis());
    let sql = "INSERT INTO outbox (receiver, labels, body, at, attempts, due)
               VALUES (?1, ?2, ?3, ?4, 0, ?4)";
    transaction.prepare_cached(sql)?.execute(params![receiver, labels, body, at])?;
    let sql = "UPDATE outbox SET given_up = ?2, error = coalesce(error, 'too many messages wait')
               WHERE given_up IS NULL AND receiver = ?1 AND id NOT IN (
                   SELECT id FROM outbox WHERE given_up IS NULL AND receiver = ?1
                   ORDER BY id DESC LIMIT ?3)";
    transaction.prepare_cached(sql)?.execute(params![receiver, at, MAX_PENDING])?;
    Ok(())
}

impl State {
    /// The oldest message for `receiver` that was neither delivered nor given up. Messages of one
    /// receiver are sent in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_message(&self, receiver: &str) -> Result<Option<Message>, Error> {
        let sql = "SELECT id, labels, body, at, attempts, due FROM outbox
                   WHERE receiver = ? AND given_up IS NULL ORDER BY id LIMIT 1";
        let read = |row: &Row<'_>| {
            let labels: String = row.get(1)?;
            Ok(Message {
                id: row.get(0)?,
                group_labels: group_labels(&labels),
                body: row.get(2)?,
                at: Timestamp::from_millis(row.get(3)?),
                attempts: row.get(4)?,
                due: Timestamp::from_millis(row.get(5)?),
            })
        };
        let found = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([receiver], read).optional());
        found.map_err(|source| self.unread(source))
    }

    /// Notes what became of an attempt at the message `id`.
    ///
    /// # Errors
    /// When it cannot be written; the message will be tried again then.
    pub fn attempted(&mut self, id: i64, verdict: &Verdict, now: Timestamp) -> Result<(), Error> {
        let write = || match verdict {
            Verdict::Delivered => {
                self.connection.execute("DELETE FROM outbox WHERE id = ?", [id]).map(|_| ())
            }
            Verdict::Retry { at, error } => {
                let sql = "UPDATE outbox SET attempts = attempts + 1, due = ?, error = ?
                           WHERE id = ?";
                self.connection.execute(sql, params![at.as_millis(), error, id]).map(|_| ())
            }
            Verdict::GivenUp { error } => {
                let sql = "UPDATE outbox SET attempts = attempts + 1, given_up = ?, error = ?
                           WHERE id = ?";
                self.connection.execute(sql, params![now.as_millis(), error, id])?;
                let sql = "DELETE FROM outbox WHERE given_up IS NOT NULL AND id NOT IN (
                               SELECT id FROM outbox WHERE given_up IS NOT NULL
                               ORDER BY id DESC LIMIT ?)";
                self.connection.execute(sql, [MAX_FAILURES]).map(|_| ())
            }
        };
        write().map_err(|source| self.unwritten(source))
    }

    /// The messages that were given up, the newest first; at most 1,000.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn failures(&self) -> Result<Vec<Failure>, Error> {
        let sql = "SELECT receiver, labels, at, given_up, attempts, coalesce(error, '') FROM outbox
                   WHERE given_up IS NOT NULL ORDER BY id DESC LIMIT ?";
        let read = |row: &Row<'_>| {
            let labels: String = row.get(1)?;
            Ok(Failure {
                receiver: row.get(0)?,
                group_labels: group_labels(&labels),
                at: Timestamp::from_millis(row.get(2)?),
                given_up: Timestamp::from_millis(row.get(3)?),
                attempts: row.get(4)?,
                error: row.get(5)?,
            })
        };
        let found = self.connection.prepare_cached(sql).and_then(|mut statement| {
            statement.query_map([MAX_FAILURES], read)?.collect::<Result<Vec<_>, _>>()
        });
        found.map_err(|source| self.unread(source))
    }

    /// How many messages wait, by receiver.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pending(&self) -> Result<Vec<(String, u64)>, Error> {
        let sql = "SELECT receiver, count(*) FROM outbox WHERE given_up IS NULL GROUP BY receiver";
        let found = self.connection.prepare_cached(sql).and_then(|mut statement| {
            let count = |count: i64| u64::try_from(count).unwrap_or(0);
            let rows = statement.query_map([], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
            rows.collect::<Result<Vec<_>, _>>()
        });
        found.map_err(|source| self.unread(source))
    }
}

fn group_labels(data: &str) -> Labels {
    let pairs: Vec<(String, String)> = understood("message", "outbox", data).unwrap_or_default();
    rows::labels(&pairs)
}
