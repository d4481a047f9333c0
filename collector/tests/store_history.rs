//! Long history: what is answered from summaries is what the samples would have given, after any
//! order of arrival and any restart; it is kept, deleted, copied and read through like samples.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hallwatch_collector::store::backup::{backup, restore};
use hallwatch_collector::store::verify::verify;
use hallwatch_collector::store::{Deletion, Options, Store};
use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Missing, Sample, Timestamp};
use hallwatch_promql::{
    Answer, Limits, Matchers, MemorySource, Query, Series, Source, Value, instant, range,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A midnight.
const START: i64 = 1_795_219_200_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const DAYS: Duration = Duration::from_secs(24 * 60 * 60);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Samples for two days, minutes for twenty, hours for ever.
fn options() -> Options {
    Options {
        retention_age: Some(DAYS * 2),
        minute_age: Some(DAYS * 20),
        hour_age: Some(DAYS * 9_999),
        ..Options::default()
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &options()).unwrap()
}

fn labels(series: usize) -> Labels {
    Labels::metric("energy_joules_total", [("device", format!("d-{series}").as_str())])
}

/// Lets everything come to rest at `now`.
fn settle(store: &mut Store, now: i64) {
    for _ in 0..100_000 {
        if !store.maintain(at(now)).unwrap() {
            return;
        }
    }
    panic!("the store never rests");
}

fn ask(source: &dyn Source, text: &str, (start, end, step): (i64, i64, i64)) -> Answer {
    let query = Query::parse(text).unwrap();
    let step = Duration::from_millis(step.unsigned_abs());
    range(&query, at(start), at(end), step, source, &Limits::default()).unwrap()
}

fn values(answer: &Answer) -> BTreeMap<(String, i64), f64> {
    let Value::Matrix(series) = &answer.value else { panic!("a matrix") };
    let each = series.iter().flat_map(|series| {
        let points = series.times.iter().zip(&series.values);
        points.map(|(time, value)| ((series.labels.to_string(), *time), *value))
    });
    each.collect()
}

fn assert_same(found: &Answer, expected: &Answer, what: &str) {
    let (found, expected) = (values(found), values(expected));
    let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
    let more: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(missing.is_empty() && more.is_empty(), "{what}: without {missing:?}, but {more:?}");
    for (key, value) in expected {
        let got = found[&key];
        let close = (got - value).abs() <= 1e-9 * value.abs().max(1.0);
        assert!(close || (got.is_nan() && value.is_nan()), "{what} {key:?}: {got}, not {value}");
    }
}

/// What one step of the test does.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A sample after so many seconds, raised by so much; a counter starts again at 0.
    Sample(i64, u16),
    Again(i64),
    Missing(i64),
    /// Nothing for hours.
    Gap(i64),
    /// One that comes late by so many minutes.
    Late(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (60i64..900, any::<u16>()).prop_map(|(after, more)| Step::Sample(after, more)),
        2 => (60i64..900).prop_map(Step::Again),
        2 => (60i64..900).prop_map(Step::Missing),
        1 => (1i64..9).prop_map(Step::Gap),
        3 => (1i64..2_600).prop_map(Step::Late),
        1 => Just(Step::Restart),
    ]
}

#[test]
fn summaries_give_what_the_samples_would_have_given() {
    let config = Config { cases: 6, failure_persistence: None, ..Config::default() };
    let strategy = prop::collection::vec(step(), 900..1_400);
    TestRunner::new(config)
        .run(&strategy, |steps| {
            play(&steps);
            Ok(())
        })
        .unwrap();
}

fn play(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let mut known: [BTreeMap<i64, f64>; 2] = Default::default();
    let (mut now, mut count) = (START, [0.0f64; 2]);
    for (i, step) in steps.iter().enumerate() {
        let series = i % 2;
        let (time, value) = match *step {
            Step::Sample(after, more) => {
                now += after * 1_000 / 2;
                count[series] += f64::from(more) / 10.0;
                (now, Ok(count[series]))
            }
            Step::Again(after) => {
                now += after * 1_000 / 2;
                count[series] = 0.0;
                (now, Ok(0.0))
            }
            Step::Missing(after) => {
                now += after * 1_000 / 2;
                (now, Err(Missing::Timeout))
            }
            Step::Gap(hours) => {
                now += hours * HOUR;
                continue;
            }
            Step::Late(minutes) => (now - minutes * MINUTE, Ok(f64::from(u8::from(i % 3 == 0)))),
            Step::Restart => {
                drop(store);
                store = open(dir.path());
                continue;
            }
        };
        // What is older than the retention is not taken by `commit`; `record` takes all.
        if time < START {
            continue;
        }
        let sample = Sample { time: at(time), value };
        store.record(&[(labels(series), sample)], at(now)).unwrap();
        known[series].entry(time).or_insert_with(|| to_float(value));
        store.maintain(at(now)).unwrap();
    }
    settle(&mut store, now);
    let mut oracle = MemorySource::new();
    oracle.extend(known.iter().enumerate().map(|(series, known)| Series {
        labels: labels(series),
        times: known.keys().copied().collect(),
        values: known.values().copied().collect(),
    }));
    let end = (now - START) / DAY * DAY + START;
    for round in 0..2 {
        let reader = store.reader();
        for (window, step) in [("1h", HOUR), ("6h", HOUR), ("1d", 6 * HOUR), ("30m", 30 * MINUTE)] {
            for function in [
                "min_over_time",
                "max_over_time",
                "sum_over_time",
                "count_over_time",
                "avg_over_time",
                "last_over_time",
                "first_over_time",
                "present_over_time",
                "increase",
                "rate",
                "delta",
            ] {
                let text = format!("{function}(energy_joules_total[{window}])");
                let times = (START, end + 2 * HOUR, step);
                let (found, expected) = (ask(&reader, &text, times), ask(&oracle, &text, times));
                assert_same(&found, &expected, &text);
                if now - START > 4 * DAY {
                    assert!(!found.infos.is_empty(), "{text} does not say what it is from");
                }
            }
        }
        let times = (START, end, HOUR);
        let text = "energy_joules_total";
        assert_same(&ask(&reader, text, times), &ask(&oracle, text, times), text);
        drop(reader);
        if round == 0 {
            drop(store);
            store = open(dir.path());
        }
    }
    let stats = store.reader().stats();
    assert!(stats.damage.is_empty(), "{stats:?}");
    let found = verify(dir.path()).unwrap();
    assert!(found.damaged == 0 && (found.rollups > 0 || now - START < 2 * DAY), "{found:?}");
}

/// A sample a minute of two series, for `days`, all of it at rest.
fn filled(dir: &Path, days: i64) -> Store {
    let mut store = open(dir);
    for minute in 0..days * 24 * 12 {
        let time = START + minute * 5 * MINUTE;
        let sample = |value| Sample { time: at(time), value: Ok(value) };
        let both = [(labels(0), sample(minute as f64)), (labels(1), sample(0.5))];
        store.record(&both, at(time)).unwrap();
        store.maintain(at(time)).unwrap();
    }
    settle(&mut store, START + days * DAY);
    store
}

fn count(store: &Store, selector: &str, now: i64) -> BTreeMap<String, f64> {
    let query = Query::parse(&format!("count_over_time({selector}[10d])")).unwrap();
    let answer = instant(&query, at(now), &store.reader(), &Limits::default()).unwrap();
    let Value::Vector(samples) = answer.value else { panic!("a vector") };
    let device = |labels: &Labels| labels.get("device").unwrap_or_default().to_owned();
    samples.iter().map(|sample| (device(&sample.labels), sample.value)).collect()
}

#[test]
fn samples_go_and_summaries_stay_for_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path(), 6);
    let now = START + 6 * DAY;
    let stats = store.reader().stats();
    assert!(stats.windows <= 26 && stats.summary_bytes > 0, "{stats:?}");
    // Every sample is still counted, and the series is still listed when nothing else is there.
    let all = 6.0 * 24.0 * 12.0;
    assert_eq!(count(&store, "energy_joules_total", now).get("d-0"), Some(&(all - 1.0)));
    let reader = store.reader();
    let listed = reader.series(&[], at(START + HOUR), at(START + 2 * HOUR)).unwrap();
    assert_eq!(listed.len(), 2);
    // Between two summaries, and by a function that needs every sample: said, not silent.
    let times = (START + 90_000, START + DAY, HOUR);
    let odd = ask(&reader, "energy_joules_total", times);
    assert!(odd.infos.iter().any(|info| info.contains("move back")), "{:?}", odd.infos);
    let quantile = ask(&reader, "quantile_over_time(0.5, energy_joules_total[1h])", times);
    assert!(quantile.infos.iter().any(|info| info.contains("last one")), "{:?}", quantile.infos);
    assert!(!values(&odd).is_empty() && !values(&quantile).is_empty());
    // Of what is there as samples, nothing is said.
    let recent = (now - 3 * HOUR, now, MINUTE);
    assert!(ask(&reader, "energy_joules_total", recent).infos.is_empty());
    drop(reader);
    // After twenty days the minutes go, the hours stay.
    settle(&mut store, START + 30 * DAY);
    let connection = rusqlite::Connection::open(dir.path().join("store.sqlite")).unwrap();
    let rows = |resolution: i64| -> i64 {
        let query = "SELECT count(*) FROM rollup WHERE resolution = ?1";
        connection.query_row(query, [resolution], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows(MINUTE), rows(HOUR)), (0, 12));
    assert_eq!(count(&store, "energy_joules_total", now).get("d-1"), Some(&(all - 1.0)));
}

#[test]
fn deleted_samples_are_in_no_summary_and_others_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path(), 6);
    let now = START + 6 * DAY;
    let before = count(&store, "energy_joules_total", now);
    let delete = |store: &mut Store, selector: &str, start: i64, end: i64| {
        let selectors = vec![Matchers::parse(selector).unwrap()];
        let deletion = Deletion { selectors, tenant: None, start: at(start), end: at(end) };
        store.delete(&deletion, at(now)).unwrap();
    };
    // A part, of the time of summaries and of that of samples.
    let first = r#"{device="d-0"}"#;
    delete(&mut store, first, START + DAY + 1, START + DAY + 4 * HOUR);
    delete(&mut store, first, now - DAY + 1, now - DAY + 4 * HOUR);
    let left = before["d-0"] - 2.0 * 48.0;
    assert_eq!(count(&store, "energy_joules_total", now)["d-0"], left);
    settle(&mut store, now);
    assert!(store.reader().deletions().unwrap().iter().all(|one| one.purged.is_some()));
    assert_eq!(count(&store, "energy_joules_total", now)["d-0"], left);
    assert_eq!(count(&store, "energy_joules_total", now)["d-1"], before["d-1"]);
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(count(&store, "energy_joules_total", now)["d-0"], left);
    // All of a series, as of a tenant.
    delete(&mut store, first, i64::MIN, i64::MAX);
    assert!(!count(&store, "energy_joules_total", now).contains_key("d-0"));
    settle(&mut store, now);
    let connection = rusqlite::Connection::open(dir.path().join("store.sqlite")).unwrap();
    for table in ["rollup", "stale", "chunk"] {
        let query = format!("SELECT count(DISTINCT series) FROM {table}");
        let series: i64 = connection.query_row(&query, [], |row| row.get(0)).unwrap();
        assert!(series <= 1, "{series} series left in {table}");
    }
    assert_eq!(count(&store, "energy_joules_total", now)["d-1"], before["d-1"]);
}

#[test]
fn summaries_are_copied_restored_and_checked() {
    let [dir, copy, back] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let store = filled(dir.path(), 5);
    let now = START + 5 * DAY;
    let expected = count(&store, "energy_joules_total", now);
    let copied = backup(dir.path(), copy.path(), Duration::from_secs(60)).unwrap();
    assert!(copied.content.rollups > 0 && copied.content.damaged == 0);
    restore(copy.path(), back.path()).unwrap();
    let restored = open(back.path());
    assert_eq!(count(&restored, "energy_joules_total", now), expected);
    drop(restored);
    let file = back.path().join("store.sqlite");
    let connection = rusqlite::Connection::open(file).unwrap();
    let damage = "UPDATE rollup SET data = x'0011223344' WHERE resolution = 3600000 AND series = 1";
    let damaged = connection.execute(damage, []).unwrap();
    drop(connection);
    let found = verify(back.path()).unwrap();
    assert_eq!(found.damaged, damaged as u64);
    assert!(found.damages.iter().all(|one| one.part == "rollup"), "{found:?}");
    let restored = open(back.path());
    let found = count(&restored, "energy_joules_total", now);
    assert_eq!(found["d-1"], expected["d-1"]);
    // Of the last two days the samples are still there, and stand in for the summaries.
    assert!((500.0..=600.0).contains(&found["d-0"]), "{found:?}");
    assert!(restored.reader().stats().damage.chunks > 0);
}
