//! What an agent has journalled, and what a collector has stored, read from their disks.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use hallwatch_collector::store::{Options, Store};
use hallwatch_model::{Labels, SeriesId, Timestamp, sample, wire};
use hallwatch_promql::{Matchers, Select, Source as _};
use rusqlite::{Connection, OpenFlags};

/// By series, by time in milliseconds: the bits of the values, a missing one's reason among them.
pub type Readings = BTreeMap<Labels, BTreeMap<i64, u64>>;

/// An agent's journal on disk.
pub struct Journal(Connection);

impl Journal {
    /// Opens the journal for reading. The agent must not be running: it keeps its journal locked.
    pub fn open(path: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(path, flags)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a timeout");
        Self(connection)
    }

    /// The newest entry.
    pub fn newest(&self) -> i64 {
        self.number("SELECT coalesce(max(id), 0) FROM entry WHERE id > ?1", 0)
    }

    /// How many entries up to `entry` are not acknowledged by every collector.
    pub fn owed(&self, entry: i64) -> i64 {
        self.number("SELECT count(*) FROM entry WHERE done = 0 AND id <= ?1", entry)
    }

    /// How many entries that were closed up to this time, in milliseconds, are not acknowledged by
    /// every collector.
    pub fn owed_before(&self, time: i64) -> i64 {
        self.number(
            "SELECT count(*) FROM entry JOIN run ON run.id = entry.run
             WHERE done = 0 AND time + coalesce(shift, 0) * (seq <= coalesce(upto, seq)) <= ?1",
            time,
        )
    }

    /// How many runs of the agent have journalled something.
    pub fn runs(&self) -> i64 {
        self.number("SELECT count(DISTINCT run) FROM entry WHERE id > ?1", 0)
    }

    /// How many gaps are on record.
    pub fn gaps(&self) -> i64 {
        self.number("SELECT count(*) FROM gap WHERE id > ?1", 0)
    }

    fn number(&self, query: &str, parameter: i64) -> i64 {
        self.0.query_row(query, [parameter], |row| row.get(0)).expect("a number")
    }

    /// All readings up to the entry `last`, under the labels that the collector gives them. Panics
    /// if the sequence numbers of a run have a hole.
    pub fn readings(&self, last: i64, tenant: &str, site: &str) -> Readings {
        let mut query = self.0.prepare("SELECT id, labels FROM series").expect("series");
        let series: HashMap<u32, Labels> = query
            .query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)))
            .expect("series")
            .map(|row| {
                let (id, text) = row.expect("a series");
                let words: Vec<&str> = text.split('\n').collect();
                let pairs = words.as_chunks::<2>().0.iter().map(|[name, value]| (*name, *value));
                let labels = Labels::from_pairs(pairs);
                (id, labels.with("tenant", tenant).with("site", site))
            })
            .collect();
        let mut query = self
            .0
            .prepare(
                "SELECT run, seq, bytes,
                     CASE WHEN seq <= coalesce(upto, seq) THEN coalesce(shift, 0) ELSE 0 END
                 FROM entry JOIN run ON run.id = entry.run WHERE entry.id <= ?1 ORDER BY run, seq",
            )
            .expect("entries");
        let mut rows = query.query([last]).expect("entries");
        let mut readings = Readings::new();
        let mut before: Option<(i64, i64)> = None;
        while let Some(row) = rows.next().expect("an entry") {
            let (run, seq): (i64, i64) = (row.get(0).expect("run"), row.get(1).expect("seq"));
            if let Some((before_run, before_seq)) = before
                && before_run == run
            {
                assert_eq!(seq, before_seq + 1, "run {run} has a hole");
            }
            before = Some((run, seq));
            let bytes: Vec<u8> = row.get(2).expect("bytes");
            // By so much the times were wrong that this run gave.
            let shift: i64 = row.get(3).expect("a shift");
            for reading in wire::decode_readings(&bytes).expect("readings").readings {
                let SeriesId(id) = reading.series;
                let bits = sample::to_float(reading.value).to_bits();
                let labels = series.get(&id).expect("a described series");
                let times = readings.entry(labels.clone()).or_default();
                times.entry(reading.time.moved(shift).as_millis()).or_insert(bits);
            }
        }
        readings
    }
}

/// Everything in a collector's store, which must not be running. Panics if a series has a time
/// twice.
pub fn stored(directory: &Path) -> Readings {
    let store = Store::open(directory, &Options::default()).expect("the store");
    let all = Matchers::parse(r#"{__name__=~".+"}"#).expect("matchers");
    let request = Select::new(&all, Timestamp::MIN, Timestamp::MAX);
    let mut readings = Readings::new();
    for series in store.reader().select(&request).expect("everything") {
        let times = readings.entry(series.labels.clone()).or_default();
        for (time, value) in series.times.iter().zip(&series.values) {
            let twice = times.insert(*time, value.to_bits());
            assert_eq!(twice, None, "{} has {time} twice", series.labels);
        }
    }
    readings
}
