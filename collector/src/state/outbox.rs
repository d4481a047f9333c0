//! Messages on their way: kept until they were delivered or given up.

use hallwatch_model::{Labels, Timestamp};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Error, State, rows, understood};
use crate::notify::Notification;
use crate::notify::delivery::Verdict;
use crate::notify::pair::facts::FactsRow;
use crate::notify::pair::{Beliefs, Facts, Queued, Told};

/// The most messages that wait for one receiver; of more, the oldest are given up.
const MAX_PENDING: i64 = 1000;
/// The most messages that are kept after they were given up.
const MAX_FAILURES: i64 = 1000;

/// Tellings that are remembered; of more, the oldest go.
const MAX_DELIVERED: i64 = 20_000;

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
    (labels, body, facts): (&str, &str, &str),
) -> rusqlite::Result<()> {
    let (receiver, at) = (&notification.receiver, notification.at.as_millis());
    let sql = "INSERT INTO outbox (receiver, labels, body, at, attempts, due, facts)
               VALUES (?1, ?2, ?3, ?4, 0, ?4, ?5)";
    transaction.prepare_cached(sql)?.execute(params![receiver, labels, body, at, facts])?;
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
        let found = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([receiver], message).optional());
        found.map_err(|source| self.unread(source))
    }

    /// The message `id`, when it was neither delivered nor given up.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn message(&self, id: i64) -> Result<Option<Message>, Error> {
        let sql = "SELECT id, labels, body, at, attempts, due FROM outbox
                   WHERE id = ? AND given_up IS NULL";
        let found = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([id], message).optional());
        found.map_err(|source| self.unread(source))
    }

    /// All messages for `receiver` that were neither delivered nor given up, in short, the oldest
    /// first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn queued(&self, receiver: &str) -> Result<Vec<Queued>, Error> {
        let sql = "SELECT id, labels, facts, at, due FROM outbox
                   WHERE receiver = ? AND given_up IS NULL ORDER BY id";
        let read = |row: &Row<'_>| {
            let labels: String = row.get(1)?;
            let facts: Option<String> = row.get(2)?;
            Ok(Queued {
                id: row.get(0)?,
                group: (receiver.to_owned(), group_labels(&labels).to_string()),
                facts: facts.as_deref().and_then(read_facts).unwrap_or_else(unknown_facts),
                at: Timestamp::from_millis(row.get(3)?),
                due: Timestamp::from_millis(row.get(4)?),
            })
        };
        let found = self.connection.prepare_cached(sql).and_then(|mut statement| {
            statement.query_map([receiver], read)?.collect::<Result<Vec<_>, _>>()
        });
        found.map_err(|source| self.unread(source))
    }

    /// The message `id` is not to be sent: its receiver knows what it says.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn known(&mut self, id: i64) -> Result<(), Error> {
        self.write(|file| file.execute("DELETE FROM outbox WHERE id = ?", [id]).map(|_| ()))
    }

    /// What this collector has told receivers, each alert's latest.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn delivered(&self) -> Result<Beliefs, Error> {
        let read = || {
            let sql = "SELECT receiver, labels, fingerprint, firing, since, at FROM delivered";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            let mut beliefs = Beliefs::default();
            while let Some(row) = rows.next()? {
                let time = |at: usize| row.get(at).map(Timestamp::from_millis);
                let told = Told { firing: row.get(3)?, since: time(4)?, at: time(5)? };
                let fingerprint = row.get::<_, i64>(2)?.cast_unsigned();
                beliefs.put(&(row.get(0)?, row.get(1)?), fingerprint, told);
            }
            Ok(beliefs)
        };
        read().map_err(|source| self.unread(source))
    }

    /// Notes what became of an attempt at the message `id`.
    ///
    /// # Errors
    /// When it cannot be written; the message will be tried again then.
    pub fn attempted(&mut self, id: i64, verdict: &Verdict, now: Timestamp) -> Result<(), Error> {
        self.write(|file| match verdict {
            Verdict::Delivered => {
                let transaction = file.transaction()?;
                note_delivery(&transaction, id, now)?;
                transaction.execute("DELETE FROM outbox WHERE id = ?", [id])?;
                transaction.commit()
            }
            Verdict::Retry { at, error } => {
                let sql = "UPDATE outbox SET attempts = attempts + 1, due = ?, error = ?
                           WHERE id = ?";
                file.execute(sql, params![at.as_millis(), error, id]).map(|_| ())
            }
            Verdict::GivenUp { error } => {
                let sql = "UPDATE outbox SET attempts = attempts + 1, given_up = ?, error = ?
                           WHERE id = ?";
                let transaction = file.transaction()?;
                transaction.execute(sql, params![now.as_millis(), error, id])?;
                let sql = "DELETE FROM outbox WHERE given_up IS NOT NULL AND id NOT IN (
                               SELECT id FROM outbox WHERE given_up IS NOT NULL
                               ORDER BY id DESC LIMIT ?)";
                transaction.execute(sql, [MAX_FAILURES])?;
                transaction.commit()
            }
        })
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

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let labels: String = row.get(1)?;
    Ok(Message {
        id: row.get(0)?,
        group_labels: group_labels(&labels),
        body: row.get(2)?,
        at: Timestamp::from_millis(row.get(3)?),
        attempts: row.get(4)?,
        due: Timestamp::from_millis(row.get(5)?),
    })
}

/// Remembers what the message `id` told its receiver.
fn note_delivery(transaction: &Transaction<'_>, id: i64, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "SELECT receiver, labels, facts FROM outbox WHERE id = ?";
    let found: Option<(String, String, Option<String>)> = transaction
        .prepare_cached(sql)?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((receiver, labels, facts)) = found else { return Ok(()) };
    let Some(facts) = facts.as_deref().and_then(read_facts) else { return Ok(()) };
    let group = group_labels(&labels).to_string();
    let firing = facts.firing.iter().map(|(fingerprint, since)| (fingerprint, true, since));
    let resolved = facts.resolved.iter().map(|(fingerprint, since)| (fingerprint, false, since));
    for (fingerprint, firing, since) in firing.chain(resolved) {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO delivered VALUES (?, ?, ?, ?, ?, ?)")?
            .execute(params![
            receiver,
            group,
            fingerprint.cast_signed(),
            firing,
            since.as_millis(),
            now.as_millis()
        ])?;
    }
    let sql = "DELETE FROM delivered WHERE at < (
                   SELECT at FROM delivered ORDER BY at DESC LIMIT 1 OFFSET ?)";
    transaction.prepare_cached(sql)?.execute([MAX_DELIVERED])?;
    Ok(())
}

fn read_facts(data: &str) -> Option<Facts> {
    understood::<FactsRow>("message", "outbox", data).map(Facts::from)
}

/// Of a message of which it is not known what it says nobody can have told the receiver.
fn unknown_facts() -> Facts {
    Facts { firing: [(0, Timestamp::MAX)].into(), ..Facts::default() }
}

fn group_labels(data: &str) -> Labels {
    let pairs: Vec<(String, String)> = understood("message", "outbox", data).unwrap_or_default();
    rows::labels(&pairs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

    use super::*;

    #[test]
    fn an_attempt_is_noted_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        let setup = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {MAX_FAILURES})
             INSERT INTO outbox (receiver, labels, body, at, attempts, due, given_up)
             SELECT 'noc', '[]', '', 0, 1, 0, iif(i <= {MAX_FAILURES}, 0, NULL) FROM n;
             CREATE TRIGGER stuck BEFORE DELETE ON outbox BEGIN SELECT RAISE(FAIL, 'stuck'); END"
        );
        state.connection.execute_batch(&setup).unwrap();
        let id = MAX_FAILURES + 1;
        let verdict = Verdict::GivenUp { error: "no answer".into() };
        state.attempted(id, &verdict, Timestamp::from_millis(1)).unwrap_err();
        assert_eq!(state.message(id).unwrap().unwrap().attempts, 1);
        state.connection.execute_batch("DROP TRIGGER stuck").unwrap();
        state.attempted(id, &verdict, Timestamp::from_millis(2)).unwrap();
        assert_eq!(state.message(id).unwrap(), None);
        let failures = state.failures().unwrap();
        assert_eq!((failures.len(), failures[0].attempts), (1000, 2));
    }
}
