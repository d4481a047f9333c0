//! Deletion on request, in two steps: what is to go is hidden from every reader at once, and is
//! then taken from the disk, a part with every commit (`purge`). A receipt says what went.
//!
//! Of the request only numbers are kept: its selectors may name what must be forgotten. A series
//! that is deleted for all times is forgotten with its labels; should its agent send more, it asks
//! for the dictionary again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use hallwatch_model::{Id, Timestamp};
use hallwatch_promql::Matchers;
use rusqlite::params;

use super::commit::transact;
use super::purge::{Gone, Purge};
use super::record::{read_ids, write_ids};
use super::replay::rows;
use super::shared::{lock, reading, writing};
use super::{Error, Reader, Store};

/// How long an order waits for the writer, which takes orders at least once a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// Orders that may wait.
const MOST_ORDERS: usize = 64;

/// What is to be deleted.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// Series that match any of these.
    pub selectors: Vec<Matchers>,
    /// All series of a tenant, and what happened at its doors.
    pub tenant: Option<Id>,
    /// From when, inclusive; [`Timestamp::MIN`] and [`Timestamp::MAX`] forget the series, too.
    pub start: Timestamp,
    /// To when, inclusive.
    pub end: Timestamp,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its number.
    pub id: i64,
    /// When it was asked for, and hidden.
    pub requested: Timestamp,
    /// When the last of its bytes was gone from the disk, if they are.
    pub purged: Option<Timestamp>,
    /// From when, inclusive.
    pub start: Timestamp,
    /// To when, inclusive.
    pub end: Timestamp,
    /// How many series it concerns.
    pub series: u64,
    /// Samples taken from chunks.
    pub chunk_samples: u64,
    /// Samples taken from the log.
    pub log_samples: u64,
    /// What happened at doors.
    pub events: u64,
    /// Damaged chunks and log rows that might have held some of it, and copies of damaged files.
    pub damaged: u64,
}

/// Samples that nobody is shown any more.
#[derive(Debug)]
pub(super) struct Hidden {
    pub(super) id: i64,
    /// Sorted.
    pub(super) series: Vec<u32>,
    pub(super) start: i64,
    pub(super) end: i64,
    /// The last log row that it concerns.
    pub(super) upto: u64,
    pub(super) tenant: Option<String>,
}

impl Hidden {
    pub(super) fn has(&self, series: u32) -> bool {
        self.series.binary_search(&series).is_ok()
    }

    pub(super) fn covers(&self, series: u32, time: i64) -> bool {
        (self.start..=self.end).contains(&time) && self.has(series)
    }
}

/// A deletion that is not done, and what is gone by it.
pub(super) type Open = (Hidden, Gone);

/// What is hidden now.
pub(super) type AllHidden = Arc<Vec<Arc<Hidden>>>;

/// A deletion on its way to the writer.
#[derive(Debug)]
pub(super) struct Order {
    deletion: Arc<Deletion>,
    reply: mpsc::SyncSender<Result<Receipt, Error>>,
}

pub(super) type Orders = VecDeque<Order>;

const COLUMNS: &str = "id, requested, purged, start, end, count, chunk_samples, log_samples, \
                       events, damaged";

fn receipt(row: &rusqlite::Row<'_>) -> rusqlite::Result<Receipt> {
    let time = |at: usize| row.get(at).map(Timestamp::from_millis);
    let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    Ok(Receipt {
        id: row.get(0)?,
        requested: time(1)?,
        purged: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
        start: time(3)?,
        end: time(4)?,
        series: number(5)?,
        chunk_samples: number(6)?,
        log_samples: number(7)?,
        events: number(8)?,
        damaged: number(9)?,
    })
}

impl Reader {
    /// Has the writer delete, from any thread; the samples are hidden when this returns.
    ///
    /// # Errors
    /// When it cannot be written, or the writer does not take it in time: then it never will.
    pub fn delete(&self, deletion: Deletion) -> Result<Receipt, Error> {
        self.delete_within(PATIENCE, deletion)
    }

    fn delete_within(&self, patience: Duration, deletion: Deletion) -> Result<Receipt, Error> {
        let (reply, receiver) = mpsc::sync_channel(1);
        let deletion = Arc::new(deletion);
        {
            let mut orders = lock(&self.shared.orders);
            if orders.len() >= MOST_ORDERS {
                return Err(Error::NoAnswer);
            }
            orders.push_back(Order { deletion: deletion.clone(), reply });
        }
        if let Ok(done) = receiver.recv_timeout(patience) {
            return done;
        }
        let waits = {
            let mut orders = lock(&self.shared.orders);
            let before = orders.len();
            orders.retain(|order| !Arc::ptr_eq(&order.deletion, &deletion));
            orders.len() < before
        };
        // What the writer has begun with it ends, or it ends itself.
        let done = if waits { None } else { receiver.recv().ok() };
        done.unwrap_or(Err(Error::NoAnswer))
    }

    /// The receipts of all deletions, the newest first.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn deletions(&self) -> Result<Vec<Receipt>, Error> {
        self.with_connection("read the deletions", |connection| {
            let query = format!("SELECT {COLUMNS} FROM deletion ORDER BY id DESC LIMIT 1000");
            let mut select = connection.prepare_cached(&query)?;
            let receipts = select.query_map([], receipt)?;
            receipts.collect()
        })
    }

    pub(super) fn hidden(&self) -> AllHidden {
        reading(&self.shared.hidden).clone()
    }
}

impl Store {
    /// Deletes: hidden from all readers, also after a restart, when this returns. The disk is
    /// cleaned with the next commits and by [`Store::maintain`]; [`Reader::deletions`] tells when
    /// that is done.
    ///
    /// # Errors
    /// When it cannot be written: then nothing is hidden.
    pub fn delete(&mut self, deletion: &Deletion, now: Timestamp) -> Result<Receipt, Error> {
        self.check()?;
        self.now = self.now.max(now.as_millis());
        let mut sets = deletion.selectors.clone();
        if let Some(tenant) = &deletion.tenant {
            let matcher = hallwatch_promql::Matcher::equal("tenant", tenant.as_str());
            sets.push(Matchers::new(vec![matcher]));
        }
        // No selector must not mean every series here.
        let series: Vec<u32> = match sets.is_empty() {
            true => Vec::new(),
            false => self.reader.matching(&sets).iter().map(|series| series.id).collect(),
        };
        let (start, end) = (deletion.start.as_millis(), deletion.end.as_millis());
        let forget = start == i64::MIN && end == i64::MAX;
        let tenant = deletion.tenant.as_ref().map(|tenant| tenant.as_str().to_owned());
        let (upto, count) = (self.last_log, series.len() as u64);
        let written = transact(&self.connection, |connection| {
            connection.execute(
                "INSERT INTO deletion (requested, start, end, upto, tenant, series, count) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    self.now,
                    start,
                    end,
                    upto.cast_signed(),
                    tenant,
                    write_ids(0, &series),
                    count.cast_signed()
                ],
            )?;
            let id = connection.last_insert_rowid();
            if forget {
                let mut labels = connection.prepare_cached("DELETE FROM series WHERE id = ?1")?;
                for id in &series {
                    labels.execute([id])?;
                }
                connection.execute_batch(
                    "DELETE FROM dictionary WHERE series NOT IN (SELECT id FROM series)",
                )?;
            }
            Ok(id)
        });
        let id = self.written(written.map_err(Error::write("note a deletion")))?;
        let hidden = Hidden { id, series, start, end, upto, tenant };
        if forget {
            self.forget_series(&hidden.series);
        }
        self.hide(Arc::new(hidden), Gone::default());
        Ok(Receipt {
            id,
            requested: Timestamp::from_millis(self.now),
            purged: None,
            start: deletion.start,
            end: deletion.end,
            series: count,
            chunk_samples: 0,
            log_samples: 0,
            events: 0,
            damaged: 0,
        })
    }

    /// Takes the orders that came from readers.
    pub(super) fn take_orders(&mut self) {
        loop {
            let Some(order) = lock(&self.shared.orders).pop_front() else { return };
            let done = self.delete(&order.deletion, Timestamp::from_millis(self.now));
            // Whoever asked may have gone.
            let _ = order.reply.try_send(done);
        }
    }

    fn forget_series(&mut self, series: &[u32]) {
        {
            let mut index = writing(&self.shared.index);
            for id in series {
                index.remove(*id);
            }
        }
        for agent in self.agents.values_mut() {
            for dictionary in agent.dictionaries.values_mut() {
                dictionary.forget(series);
            }
        }
    }

    /// Hides, and begins to purge.
    fn hide(&mut self, hidden: Arc<Hidden>, gone: Gone) {
        {
            let mut all = writing(&self.shared.hidden);
            let mut more = (**all).clone();
            more.push(hidden.clone());
            *all = Arc::new(more);
        }
        for id in &hidden.series {
            if let Some(mut head) = self.head(*id) {
                head.remove(hidden.start, hidden.end);
            }
        }
        self.purges.push_back(Purge::new(hidden, gone));
    }

    /// What was asked for before the start, and is not done.
    pub(super) fn open_deletions(&self) -> rusqlite::Result<Vec<Open>> {
        let mut open = Vec::new();
        let query = "SELECT id, series, start, end, upto, tenant, chunk_samples, log_samples, \
                     events, damaged FROM deletion WHERE purged IS NULL ORDER BY id";
        rows(&self.connection, &self.shared.found.rows, query, [], |row| {
            let series = row.get_ref(1)?.as_bytes().unwrap_or_default();
            let Some(series) = read_ids(0, series) else { return Ok(None) };
            let count = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let gone = Gone {
                chunk_samples: count(6)?,
                log_samples: count(7)?,
                events: count(8)?,
                damaged: count(9)?,
            };
            let hidden = Hidden {
                id: row.get(0)?,
                series,
                start: row.get(2)?,
                end: row.get(3)?,
                upto: row.get::<_, i64>(4)?.cast_unsigned(),
                tenant: row.get(5)?,
            };
            open.push((hidden, gone));
            Ok(Some(()))
        })?;
        Ok(open)
    }

    /// Goes on with it.
    pub(super) fn resume(&mut self, open: Vec<Open>) {
        for (hidden, gone) in open {
            self.hide(Arc::new(hidden), gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::{Labels, Sample};

    use super::super::Options;
    use super::*;

    fn filled(dir: &std::path::Path) -> Store {
        let mut store = Store::open(dir, &Options::default()).unwrap();
        let now = Timestamp::from_millis(1_795_276_800_000);
        let labels = Labels::metric("power_watts", [("device", "d-1")]);
        store.record(&[(labels, Sample { time: now, value: Ok(1.5) })], now).unwrap();
        store
    }

    fn everything() -> Deletion {
        let selectors = vec![Matchers::parse("power_watts").unwrap()];
        Deletion { selectors, tenant: None, start: Timestamp::MIN, end: Timestamp::MAX }
    }

    #[test]
    fn what_was_not_taken_in_time_is_never_done() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(dir.path());
        let reader = store.reader();
        let answer = reader.delete_within(Duration::from_millis(20), everything());
        assert!(matches!(answer, Err(Error::NoAnswer)), "{answer:?}");
        store.maintain(Timestamp::from_millis(store.now)).unwrap();
        assert_eq!(reader.deletions().unwrap(), []);
        assert_eq!(reader.matching(&everything().selectors).len(), 1);
    }

    #[test]
    fn what_was_begun_with_is_answered_however_long_it_takes() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(dir.path());
        let reader = store.reader();
        let shared = reader.shared.clone();
        let asking = std::thread::spawn(move || {
            reader.delete_within(Duration::from_millis(200), everything())
        });
        let order = loop {
            if let Some(order) = lock(&shared.orders).pop_front() {
                break order;
            }
            std::thread::yield_now();
        };
        std::thread::sleep(Duration::from_millis(400));
        assert!(!asking.is_finished());
        let now = Timestamp::from_millis(store.now);
        order.reply.send(store.delete(&order.deletion, now)).unwrap();
        assert_eq!(asking.join().unwrap().unwrap().series, 1);
    }

    #[test]
    fn a_purge_that_fails_leaves_no_trace_but_the_note_that_a_write_failed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(dir.path());
        let now = Timestamp::from_millis(store.now);
        store.delete(&everything(), now).unwrap();
        // A reader in the log: the purge comes as far as the copies.
        let reader = rusqlite::Connection::open(dir.path().join("store.sqlite")).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM log").unwrap();
        while store.purges.front().is_some_and(Purge::writes) {
            store.maintain(now).unwrap();
        }
        let timeout = |store: &Store| -> i64 {
            store.connection.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).unwrap()
        };
        assert_eq!((store.purges.len(), timeout(&store)), (1, 5_000));
        // Within a transaction there is no checkpoint.
        store.connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM exporter").unwrap();
        let error = store.purge_copies().unwrap_err();
        store.connection.execute_batch("ROLLBACK").unwrap();
        assert!(error.is_fatal(), "{error:?}");
        assert_eq!((store.purges.len(), timeout(&store)), (1, 5_000));
        assert!(matches!(store.maintain(now), Err(Error::Broken)));
    }
}
