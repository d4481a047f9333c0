//! What is read in the order in which it came: the log, for exporters, and events.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hallwatch_model::{AgentPath, Event, Id, Labels, Timestamp};
use rusqlite::params;

use super::record::{Point, read_row};
use super::shared::{count, lock, reading};
use super::{Entry, Error, Logged, Reader};

impl Reader {
    /// Entries of the log after the position `after`, at most `limit`. Damaged ones are counted
    /// and left out.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self, after: u64, limit: usize) -> Result<Vec<Logged>, Error> {
        let entries = self.entries(after, limit)?;
        let index = reading(&self.shared.index);
        let labels = |series| index.labels(series).cloned();
        Ok(entries.iter().map(|entry| entry.resolved(labels)).collect())
    }

    /// As [`Reader::log`], with the numbers of the series: for those who look at labels once, see
    /// [`Reader::labels`]. Who keeps up with the writer is given what the writer had in memory.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn entries(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, Error> {
        // First what is hidden: the recent entries are let go of before anything is shown again.
        let hidden = self.hidden();
        let recent = lock(&self.shared.recent).entries(after, limit);
        let entries = match recent {
            Some(entries) => entries,
            None => self.read_entries(after, limit)?,
        };
        if hidden.is_empty() {
            return Ok(entries);
        }
        let shown = entries.into_iter().map(|entry| {
            let covered = |point: &Point| {
                let mut hidden = hidden.iter().filter(|one| entry.position <= one.upto);
                hidden.any(|one| one.covers(point.series, point.time))
            };
            if !entry.points.iter().any(covered) {
                return entry;
            }
            let mut shown = Entry::clone(&entry);
            shown.points.retain(|point| !covered(point));
            Arc::new(shown)
        });
        Ok(shown.collect())
    }

    fn read_entries(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, Error> {
        self.with_connection("read the log", |connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, received, data, agent FROM log WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = select.query(params![after.cast_signed(), limit])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, received): (i64, i64) = (row.get(0)?, row.get(1)?);
                let data = row.get_ref(2)?.as_bytes().unwrap_or_default();
                let points = read_row(data).unwrap_or_else(|| {
                    count(&self.shared.found.log_rows);
                    Default::default()
                });
                entries.push(Arc::new(Entry::new(
                    id.cast_unsigned(),
                    received,
                    row.get(3)?,
                    points,
                )));
            }
            Ok(entries)
        })
    }

    /// The position of the newest entry of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log_end(&self) -> Result<u64, Error> {
        self.with_connection("find the end of the log", |connection| {
            let mut select = connection.prepare_cached("SELECT coalesce(max(id), 0) FROM log")?;
            select.query_row([], |row| row.get(0)).map(i64::cast_unsigned)
        })
    }

    /// Has the log after this position kept for the one thread of this process that goes along
    /// with it, as for an exporter; not beyond the end of the process.
    pub fn keep_log(&self, after: u64) {
        self.shared.followed.store(after, Ordering::Relaxed);
    }

    /// The labels of the series with this number; `None` when it is gone. As long as the store is
    /// open, a number is never given to another series.
    #[must_use]
    pub fn labels(&self, series: u32) -> Option<Labels> {
        reading(&self.shared.index).labels(series).cloned()
    }

    /// What happened at doors from `start` to `end`, both included, the newest first, at most
    /// `limit`. Personal data: who may see it is for the caller to decide.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn events(
        &self,
        start: Timestamp,
        end: Timestamp,
        limit: usize,
    ) -> Result<Vec<(AgentPath, Event)>, Error> {
        let hidden = self.hidden();
        self.with_connection("read events", |connection| {
            let mut select = connection.prepare_cached(
                "SELECT tenant, site, agent.agent, time, device, door, person, result \
                 FROM event JOIN agent ON agent.id = event.agent \
                 WHERE time BETWEEN ?1 AND ?2 ORDER BY time DESC, event.id DESC LIMIT ?3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = select.query(params![start.as_millis(), end.as_millis(), limit])?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                let id = |at: usize| row.get::<_, String>(at).map(|text| Id::new(&text).ok());
                let (Some(tenant), Some(site), Some(agent)) = (id(0)?, id(1)?, id(2)?) else {
                    count(&self.shared.found.rows);
                    continue;
                };
                let time: i64 = row.get(3)?;
                if hidden.iter().any(|one| {
                    one.tenant.as_deref() == Some(tenant.as_str())
                        && (one.start..=one.end).contains(&time)
                }) {
                    continue;
                }
                let event = Event {
                    time: Timestamp::from_millis(time),
                    device: row.get(4)?,
                    door: row.get(5)?,
                    person: row.get(6)?,
                    result: row.get(7)?,
                };
                events.push((AgentPath { tenant, site, agent }, event));
            }
            Ok(events)
        })
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::{Batch, Describe, Labels, Reading, Readings, SeriesId};
    use hallwatch_promql::Matchers;

    use super::super::{Deletion, Incoming, Options, Store};
    use super::*;

    const SERIES: u32 = 40;

    fn gateway() -> AgentPath {
        let id = |text| Id::new(text).unwrap();
        AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(1_795_276_800_000 + i64::try_from(second).unwrap() * 1_000)
    }

    /// A log that is cut as often as can be.
    fn open(directory: &std::path::Path) -> Store {
        let options = Options { replay_bytes: 4_000, ..Options::default() };
        let mut store = Store::open(directory, &options).unwrap();
        let device = |number: u32| Labels::metric("volts", [("device", &*format!("{number}"))]);
        let series = (0..SERIES).map(|number| (SeriesId(number), device(number))).collect();
        let describe = Describe { dictionary: 9, series, ..Describe::default() };
        store.describe(&gateway(), &describe).unwrap();
        store
    }

    fn send(store: &mut Store, seq: u64, few: u32) {
        let reading = |number: u32| {
            let value = f64::from(number) + f64::from(u32::try_from(seq).unwrap()) / 7.0;
            Reading { series: SeriesId(number), time: at(seq), value: Ok(value) }
        };
        let readings = (0..few).map(reading).collect();
        let readings = Readings { dictionary: 9, readings, ..Readings::default() };
        let backfill = seq.is_multiple_of(3);
        let batch = Batch { boot: 7, seq, oldest: 1, readings, backfill, ..Batch::default() };
        let outcomes =
            store.commit(&[Incoming { agent: gateway(), batch, received: at(seq) }]).unwrap();
        assert!(matches!(outcomes[0], super::super::Outcome::Stored { .. }), "{outcomes:?}");
    }

    /// One who goes along with the log, and what it was given: second, samples, whether it is old.
    #[derive(Default)]
    struct Follower {
        position: u64,
        seen: Vec<(u64, usize, bool)>,
    }

    impl Follower {
        fn follow(&mut self, reader: &Reader, limit: usize) {
            let entries = reader.entries(self.position, limit).unwrap();
            for entry in &entries {
                assert!(entry.position > self.position, "out of order, or twice");
                self.position = entry.position;
                let Some(first) = entry.points.first() else { continue };
                assert!(entry.points.iter().all(|point| point.time == first.time));
                let second = Timestamp::from_millis(first.time).since(at(0)).as_secs();
                self.seen.push((second, entry.points.len(), entry.backfill));
            }
        }
    }

    #[test]
    fn who_goes_along_is_given_each_entry_once_and_in_order_from_memory_or_disk() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path());
        let (mut quick, mut slow) = (Follower::default(), Follower::default());
        let mut sent = Vec::new();
        store.reader().keep_log(0);
        for seq in 1..=600 {
            let few = 1 + u32::try_from(seq).unwrap() * 7 % SERIES;
            send(&mut store, seq, few);
            sent.push((seq, few as usize, seq.is_multiple_of(3)));
            let reader = store.reader();
            if seq % 5 != 0 {
                quick.follow(&reader, 100);
            }
            if seq % 83 == 0 {
                // What memory says is what the disk says.
                let position = slow.position;
                assert_eq!(
                    reader.entries(position, 10).unwrap(),
                    reader.read_entries(position, 10).unwrap()
                );
                slow.follow(&reader, 60);
                reader.keep_log(slow.position);
            }
            if seq == 150 || seq == 450 {
                drop((store, reader));
                store = open(directory.path());
                store.reader().keep_log(slow.position);
            }
        }
        let reader = store.reader();
        for _ in 0..600 {
            quick.follow(&reader, 7);
            slow.follow(&reader, 7);
        }
        assert_eq!(quick.seen, sent);
        assert_eq!(slow.seen, sent);
        assert_eq!(quick.position, reader.log_end().unwrap());
        // Nobody holds it any more: the log is cut, in memory too.
        reader.keep_log(u64::MAX);
        store.flush_all().unwrap();
        assert_eq!(reader.entries(0, 100).unwrap(), reader.read_entries(0, 100).unwrap());
        assert!(reader.entries(0, 1_000).unwrap().len() < 100);
    }

    #[test]
    fn what_is_deleted_is_not_given_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path());
        let reader = store.reader();
        reader.keep_log(0);
        (1..=20).for_each(|seq| send(&mut store, seq, 3));
        let selectors = vec![Matchers::parse(r#"volts{device="1"}"#).unwrap()];
        let deletion = Deletion { selectors, tenant: None, start: at(5), end: at(14) };
        store.delete(&deletion, at(20)).unwrap();
        let shown = |seq: u64| if (5..15).contains(&seq) { 2 } else { 3 };
        let expected = |seq: u64| (seq, shown(seq), seq.is_multiple_of(3));
        let expected: Vec<_> = (1..=20).map(expected).collect();
        // Hidden; half on its way from the disk; gone.
        for _ in 0..3 {
            let mut follower = Follower::default();
            follower.follow(&reader, 100);
            assert_eq!(follower.seen, expected);
            store.maintain(at(21)).unwrap();
        }
        while store.reader().deletions().unwrap()[0].purged.is_none() {
            store.maintain(at(22)).unwrap();
        }
        // What comes after the deletion is shown, also from memory.
        send(&mut store, 21, 3);
        let mut follower = Follower::default();
        follower.follow(&reader, 100);
        assert_eq!(follower.seen[..20], expected);
        assert_eq!(follower.seen[20..], [(21, 3, true)]);
    }

    #[test]
    fn a_writer_may_go_on_while_somebody_goes_along() {
        const LAST: u64 = 1_500;
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path());
        let reader = store.reader();
        reader.keep_log(0);
        let follows = std::thread::spawn(move || {
            let mut follower = Follower::default();
            while follower.seen.last().is_none_or(|(second, ..)| *second < LAST) {
                follower.follow(&reader, 16);
                reader.keep_log(follower.position);
            }
            follower.seen
        });
        for seq in 1..=LAST {
            send(&mut store, seq, 5);
        }
        let expected: Vec<_> = (1..=LAST).map(|seq| (seq, 5, seq.is_multiple_of(3))).collect();
        assert_eq!(follows.join().unwrap(), expected);
    }
}
