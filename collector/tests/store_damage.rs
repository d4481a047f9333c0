//! Damage on disk costs what it touches, is counted, and never prevents the start.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;

use hallwatch_collector::store::{Damage, Incoming, Options, Outcome, Store};
use hallwatch_model::{
    AgentPath, Batch, Describe, Id, Labels, Reading, Readings, SeriesId, Timestamp,
};
use hallwatch_promql::{Matchers, Select, Source as _};
use rusqlite::Connection;

const START: i64 = 1_795_276_800_000;
const HOUR: i64 = 60 * 60 * 1000;
const SERIES: u32 = 5;

type Content = BTreeMap<String, BTreeMap<i64, u64>>;

fn agent() -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
}

fn describe() -> Describe {
    let labels = |i: u32| Labels::metric("power_watts", [("device", format!("{i}").as_str())]);
    let series = (0..SERIES).map(|i| (SeriesId(i), labels(i))).collect();
    Describe { dictionary: 5, part: 0, series, ..Describe::default() }
}

/// A minute's worth: a sample of each series every ten seconds.
fn incoming(seq: u64) -> Incoming {
    let start = START + seq.cast_signed() * 60_000;
    let reading = |(series, i): (u32, i64)| Reading {
        series: SeriesId(series),
        time: Timestamp::from_millis(start + i * 10_000),
        value: Ok(((seq * 37 + u64::from(series)) % 91) as f64 / 10.0),
    };
    let all = (0..SERIES).flat_map(|series| (0..6).map(move |i| (series, i)));
    let batch = Batch {
        boot: 1,
        seq,
        oldest: 1,
        watermark: Timestamp::from_millis(start),
        backfill: false,
        sender: 0,
        readings: Readings {
            dictionary: 5,
            readings: all.map(reading).collect(),
            ..Readings::default()
        },
    };
    Incoming { agent: agent(), batch, received: Timestamp::from_millis(start) }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &Options::default()).unwrap()
}

fn content(store: &Store) -> Content {
    let matchers = Matchers::parse(r#"{__name__=~".+"}"#).unwrap();
    let request = Select::new(&matchers, Timestamp::MIN, Timestamp::MAX);
    let columns = |series: hallwatch_promql::Series| {
        let samples = series.times.into_iter().zip(series.values.into_iter().map(f64::to_bits));
        (series.labels.to_string(), samples.collect())
    };
    store.reader().select(&request).unwrap().into_iter().map(columns).collect()
}

/// Eight hours in chunks, one in the log.
fn filled(dir: &Path) -> Content {
    let mut store = open(dir);
    store.describe(&agent(), &describe()).unwrap();
    let hours = |from: u64, to: u64| (from * 60..to * 60).map(incoming).collect::<Vec<_>>();
    store.commit(&hours(0, 8)[1..]).unwrap();
    store.flush_all().unwrap();
    for batches in hours(8, 9).chunks(10) {
        store.commit(batches).unwrap();
    }
    let stats = store.reader().stats();
    assert!(stats.windows == 4 && stats.log_bytes > 0, "{stats:?}");
    content(&store)
}

/// Flips a bit in the middle of a blob, behind the store's back.
fn flip(dir: &Path, table: &str, column: &str, row: &str) {
    let connection = Connection::open(dir.join("store.sqlite")).unwrap();
    let select = format!("SELECT {column} FROM {table} WHERE {row}");
    let mut blob: Vec<u8> = connection.query_row(&select, [], |row| row.get(0)).unwrap();
    let middle = blob.len() / 2;
    blob[middle] ^= 4;
    let update = format!("UPDATE {table} SET {column} = ?1 WHERE {row}");
    assert_eq!(connection.execute(&update, [blob]).unwrap(), 1);
}

fn window_of(time: i64) -> i64 {
    time.div_euclid(2 * HOUR)
}

#[test]
fn a_damaged_chunk_costs_its_own_samples_and_new_ones_are_kept_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = filled(dir.path());
    let window = window_of(START + 2 * HOUR);
    flip(dir.path(), "chunk", "data", &format!("window = {window} AND series = 2"));
    let mut store = open(dir.path());
    let name = expected.keys().find(|name| name.contains(r#"device="1""#)).unwrap().clone();
    let samples = expected.get_mut(&name).unwrap();
    let before = samples.len();
    samples.retain(|time, _| window_of(*time) != window);
    assert_eq!(before - samples.len(), 720);
    assert!(store.reader().stats().damage.is_empty());
    assert_eq!(content(&store), expected);
    assert_eq!(store.reader().stats().damage, Damage { chunks: 1, ..Damage::default() });
    // Late samples of the same two hours go beside it, twice.
    for seq in [1_000u64, 1_001] {
        let mut late = incoming(seq);
        let time = START + 2 * HOUR + seq.cast_signed();
        late.batch.readings.readings.retain(|reading| reading.series == SeriesId(1));
        late.batch.readings.readings.truncate(1);
        late.batch.readings.readings[0].time = Timestamp::from_millis(time);
        late.batch.readings.readings[0].value = Ok(1.5);
        store.commit(&[late]).unwrap();
        store.flush_all().unwrap();
        expected.get_mut(&name).unwrap().insert(time, 1.5f64.to_bits());
        assert_eq!(content(&store), expected);
    }
    drop(store);
    assert_eq!(content(&open(dir.path())), expected);
}

#[test]
fn a_chunk_in_the_place_of_another_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = filled(dir.path());
    let window = window_of(START);
    let connection = Connection::open(dir.path().join("store.sqlite")).unwrap();
    let swap = format!(
        "UPDATE chunk SET data = (SELECT data FROM chunk WHERE window = {window} AND series = 1) \
         WHERE window = {window} AND series = 2"
    );
    assert_eq!(connection.execute(&swap, []).unwrap(), 1);
    drop(connection);
    let name = expected.keys().find(|name| name.contains(r#"device="1""#)).unwrap().clone();
    expected.get_mut(&name).unwrap().retain(|time, _| window_of(*time) != window);
    assert_eq!(content(&open(dir.path())), expected);
}

#[test]
fn a_damaged_log_row_costs_its_own_samples() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = filled(dir.path());
    let connection = Connection::open(dir.path().join("store.sqlite")).unwrap();
    let id: i64 =
        connection.query_row("SELECT min(id) + 7 FROM log", [], |row| row.get(0)).unwrap();
    drop(connection);
    flip(dir.path(), "log", "data", &format!("id = {id}"));
    let store = open(dir.path());
    assert_eq!(store.reader().stats().damage, Damage { log_rows: 1, ..Damage::default() });
    for samples in expected.values_mut() {
        let from = START + 8 * HOUR + 7 * 60_000;
        samples.retain(|time, _| !(from..from + 60_000).contains(time));
    }
    assert_eq!(content(&store), expected);
}

#[test]
fn a_damaged_series_is_asked_for_again_and_goes_on_under_a_new_number() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = filled(dir.path());
    flip(dir.path(), "series", "labels", "id = 3");
    let mut store = open(dir.path());
    let damage = store.reader().stats().damage;
    assert_eq!(damage, Damage { series: 1, ..Damage::default() });
    let name = expected.keys().find(|name| name.contains(r#"device="2""#)).unwrap().clone();
    expected.remove(&name);
    assert_eq!(content(&store), expected);
    assert_eq!(store.commit(&[incoming(900)]).unwrap(), [Outcome::UnknownSeries]);
    assert!(store.ack(&agent(), 1).describe);
    store.describe(&agent(), &describe()).unwrap();
    let outcome = store.commit(&[incoming(900)]).unwrap();
    assert!(matches!(outcome[0], Outcome::Stored { samples: 30, .. }), "{outcome:?}");
    let now = content(&store);
    assert_eq!(now[&name].len(), 6);
    assert_eq!(now.len(), SERIES as usize);
}

#[test]
fn damaged_notes_cost_a_repetition_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let expected = filled(dir.path());
    flip(dir.path(), "received", "ranges", "boot = 1");
    flip(dir.path(), "window", "series", &format!("window = {}", window_of(START)));
    let connection = Connection::open(dir.path().join("store.sqlite")).unwrap();
    connection.execute("UPDATE dictionary SET series = 1 WHERE id = 4", []).unwrap();
    drop(connection);
    let mut store = open(dir.path());
    assert_eq!(store.reader().stats().damage.rows, 2);
    assert_eq!(content(&store), expected);
    assert_eq!(store.ack(&agent(), 1).upto, 0);
    assert_eq!(store.commit(&[incoming(70)]).unwrap(), [Outcome::UnknownSeries]);
    store.describe(&agent(), &describe()).unwrap();
    store.commit(&[incoming(70)]).unwrap();
    let (start, end) = (Timestamp::from_millis(START), Timestamp::from_millis(START + 1_000));
    let named = store.reader().series(&[], start, end).unwrap();
    assert_eq!(named.len(), SERIES as usize);
    store.flush_all().unwrap();
    assert_eq!(content(&store), expected);
}

/// Nothing wrong is ever read, whatever bytes of the file are flipped or cut off.
#[test]
fn no_damage_of_the_file_prevents_the_start_or_changes_a_sample() {
    let dir = tempfile::tempdir().unwrap();
    let expected = filled(dir.path());
    let whole = std::fs::read(dir.path().join("store.sqlite")).unwrap();
    let roots: Vec<usize> = {
        let connection = Connection::open(dir.path().join("store.sqlite")).unwrap();
        let select = "SELECT rootpage FROM sqlite_master WHERE rootpage > 0";
        let mut select = connection.prepare(select).unwrap();
        let rows = select.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        rows.map(|page| usize::try_from(page.unwrap()).unwrap() - 1).collect()
    };
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let (mut lost, mut salvaged) = (0, 0);
    for round in 0..80 {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        match round % 4 {
            // Pages of noise; at times the first.
            0 => {
                let page = if round % 12 == 0 { 0 } else { next(bytes.len() / 16_384) } * 16_384;
                bytes[page..page + 16_384].fill_with(|| next(256) as u8);
            }
            // The root of each table and index in turn.
            1 => {
                let page = roots[round / 4 % roots.len()] * 16_384;
                bytes[page..page + 16_384].fill_with(|| next(256) as u8);
            }
            2 => (0..20).for_each(|_| {
                let at = next(bytes.len());
                bytes[at] ^= 1 << next(8);
            }),
            _ => bytes.truncate(next(bytes.len())),
        }
        std::fs::write(dir.path().join("store.sqlite"), &bytes).unwrap();
        let mut store = open(dir.path());
        let check = |store: &Store| {
            for (name, samples) in content(store) {
                for (time, value) in samples.range(..START + 9 * HOUR) {
                    assert_eq!(expected[&name].get(time), Some(value), "round {round}, {name}");
                }
            }
        };
        check(&store);
        lost += usize::from(content(&store) != expected);
        // When a write meets the damage, the next start saves what can be read, and it goes on.
        let mut starts = 0;
        loop {
            let described = store.describe(&agent(), &describe());
            let committed = described.and_then(|()| store.commit(&[incoming(900)]));
            match committed.and_then(|_| store.flush_all()) {
                Ok(()) => break,
                Err(error) => assert!(error.is_fatal() && error.is_damage(), "{error:?}"),
            }
            drop(store);
            starts += 1;
            assert!(starts < 3, "round {round} does not recover");
            store = open(dir.path());
            check(&store);
        }
        salvaged += starts;
        drop(store);
        let store = open(dir.path());
        check(&store);
        let late: usize =
            content(&store).values().map(|s| s.range(START + 9 * HOUR..).count()).sum();
        assert_eq!(late, 30, "round {round}: what is stored after the damage stays");
    }
    assert!(lost > 10, "the damage did no harm: {lost}");
    assert!(salvaged > 0, "no write met the damage");
}

#[test]
fn a_column_that_has_lost_its_name_costs_nothing_after_the_second_start() {
    let dir = tempfile::tempdir().unwrap();
    let expected = filled(dir.path());
    let file = dir.path().join("store.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let name = b"agent INTEGER NOT NULL, received INTEGER NOT NULL,";
    let at = bytes.windows(name.len()).position(|part| part == name).unwrap();
    bytes[at + 24] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let mut store = open(dir.path());
    assert!(!store.reader().stats().damage.is_empty());
    let error = store.commit(&[incoming(900)]).unwrap_err();
    assert!(error.is_fatal() && error.is_damage(), "{error:?}");
    drop(store);
    assert_eq!(content(&open(dir.path())), expected);
}

/// Makes noise of the last leaf of a table that is more than one page long.
fn spoil_last_leaf(dir: &Path, table: &str) {
    let file = dir.join("store.sqlite");
    let connection = Connection::open(&file).unwrap();
    let query = format!("SELECT rootpage FROM sqlite_master WHERE name = '{table}'");
    let root: usize =
        connection.query_row(&query, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
    drop(connection);
    let mut bytes = std::fs::read(&file).unwrap();
    let page = |number: usize| (number - 1) * 16_384;
    let header = &bytes[page(root)..page(root) + 12];
    assert_eq!(header[0], 5, "a page that has children");
    let last = u32::from_be_bytes(header[8..12].try_into().unwrap()) as usize;
    bytes[page(last)..page(last + 1)].fill(0xa5);
    std::fs::write(&file, &bytes).unwrap();
}

#[test]
fn the_numbers_of_series_that_are_lost_are_not_given_again() {
    const MANY: u32 = 900;
    let many = |dictionary, series: Vec<u32>| {
        let labels = |i: &u32| Labels::metric("power_watts", [("device", format!("{i}").as_str())]);
        let series = series.iter().map(|i| (SeriesId(*i), labels(i))).collect();
        Describe { dictionary, part: 0, series, ..Describe::default() }
    };
    let of = |dictionary, seq, series: &[u32]| {
        let mut one = incoming(seq);
        let time = Timestamp::from_millis(START + seq.cast_signed() * 60_000);
        let reading =
            |i: &u32| Reading { series: SeriesId(*i), time, value: Ok(f64::from(*i) + 0.25) };
        one.batch.readings.readings = series.iter().map(reading).collect();
        one.batch.readings.dictionary = dictionary;
        one
    };
    // What says which numbers were given may be lost as well, or was never written.
    for without in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let all: Vec<u32> = (0..MANY).collect();
        store.describe(&agent(), &many(5, all.clone())).unwrap();
        for seq in 1..=3 {
            store.commit(&[of(5, seq, &all)]).unwrap();
        }
        store.flush_all().unwrap();
        drop(store);
        spoil_last_leaf(dir.path(), "series");
        if without {
            let connection = Connection::open(dir.path().join("store.sqlite")).unwrap();
            connection.execute("DELETE FROM meta WHERE key = 'series_given'", []).unwrap();
        }
        let fresh: Vec<u32> = (MANY..2 * MANY).collect();
        let mut store = open(dir.path());
        for start in 0..3 {
            assert!(!store.reader().stats().damage.is_empty() || start > 1);
            let described = store.describe(&agent(), &many(6, fresh.clone()));
            if described.and_then(|()| store.commit(&[of(6, 4, &fresh)])).is_ok() {
                break;
            }
            drop(store);
            store = open(dir.path());
        }
        store.describe(&agent(), &many(7, all.clone())).unwrap();
        store.commit(&[of(7, 5, &all)]).unwrap();
        for _ in 0..2 {
            let now = content(&store);
            assert_eq!(now.len(), 2 * MANY as usize);
            let mut kept = 0;
            for (i, fresh) in all.iter().map(|i| (i, false)).chain(fresh.iter().map(|i| (i, true)))
            {
                let name = now.keys().find(|name| name.contains(&format!(r#"device="{i}""#)));
                let samples = &now[name.unwrap()];
                let value = (f64::from(*i) + 0.25).to_bits();
                assert!(samples.values().all(|one| *one == value), "{i}: {samples:?}");
                let seqs: Vec<i64> = samples.keys().map(|time| (time - START) / 60_000).collect();
                match fresh {
                    true => assert_eq!(seqs, [4], "{i}"),
                    false => assert!(seqs == [5] || seqs == [1, 2, 3, 5], "{i}: {seqs:?}"),
                }
                kept += usize::from(seqs.len() == 4);
            }
            assert!((100..MANY as usize).contains(&kept), "{kept} series kept their samples");
            store.flush_all().unwrap();
            drop(store);
            store = open(dir.path());
        }
    }
}
