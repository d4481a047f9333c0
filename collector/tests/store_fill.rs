//! From one store to another: every bit, once, and nothing that must stay away.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hallwatch_collector::store::verify::verify;
use hallwatch_collector::store::{Frame, Incoming, Options, Store};
use hallwatch_model::{
    AgentPath, Batch, Describe, Id, Labels, Missing, Reading, Readings, Sample, SeriesId, Timestamp,
};
use hallwatch_promql::{Matchers, Select, Source as _};

const START: i64 = 1_795_276_800_000;
const HOUR: i64 = 60 * 60 * 1_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

fn agent() -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
}

type Content = BTreeMap<String, Vec<(i64, u64)>>;

fn content(store: &Store) -> Content {
    let all = Matchers::parse(r#"{__name__=~".+"}"#).unwrap();
    let request = Select::new(&all, Timestamp::MIN, Timestamp::MAX);
    let series = store.reader().select(&request).unwrap();
    let bits = |one: &hallwatch_promql::Series| {
        one.times.iter().copied().zip(one.values.iter().map(|value| value.to_bits())).collect()
    };
    series.iter().map(|one| (one.labels.to_string(), bits(one))).collect()
}

/// Readings of an agent, and samples of the collector's own that are `shift` milliseconds late.
fn fed(dir: &Path, hours: std::ops::Range<i64>, shift: i64) -> Store {
    let mut store = Store::open(dir, &Options::default()).unwrap();
    let labels = |i: u32| Labels::metric("power_watts", [("device", format!("d-{i}").as_str())]);
    let series = (0..5).map(|i| (SeriesId(i), labels(i)));
    let describe = Describe { dictionary: 1, series: series.collect(), ..Describe::default() };
    store.describe(&agent(), &describe).unwrap();
    for minute in hours.start * 60..hours.end * 60 {
        let time = at(minute * 60_000);
        let value = |i: u32| match (minute + i64::from(i)) % 7 {
            0 => Err(Missing::Exception(2)),
            1 => Ok(f64::INFINITY),
            _ => Ok(f64::from(i) * 1.5 + (minute % 100) as f64 / 8.0),
        };
        let readings = (0..5).map(|i| Reading { series: SeriesId(i), time, value: value(i) });
        let seq = u64::try_from(minute).unwrap() + 1;
        let batch = Batch {
            boot: 1,
            seq,
            oldest: 1,
            watermark: time,
            backfill: false,
            sender: 0,
            readings: Readings {
                dictionary: 1,
                readings: readings.collect(),
                ..Readings::default()
            },
        };
        store.commit(&[Incoming { agent: agent(), batch, received: time }]).unwrap();
        let up = Labels::metric("agent_up", [("agent", "gw-1")]);
        let late = at(minute * 60_000 + shift);
        store.record(&[(up, Sample { time: late, value: Ok(1.0) })], late).unwrap();
    }
    store
}

fn copy(from: &Store, to: &mut Store, now: Timestamp) -> u64 {
    let reader = from.reader();
    let mut new = 0;
    for window in reader.filled_windows(Timestamp::MIN).into_iter().rev() {
        let mut frames = Vec::new();
        reader
            .frames(window, &[], 3, |more| {
                frames.extend(more);
                true
            })
            .unwrap();
        new += to.fill(&frames, false, now).unwrap();
        while to.maintain(now).unwrap() {}
    }
    new
}

#[test]
fn an_empty_store_gets_every_bit_and_a_second_time_nothing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = fed(one.path(), 0..9, 0);
    let mut to = Store::open(two.path(), &Options::default()).unwrap();
    let now = at(9 * HOUR);
    let wanted = content(&from);
    let count: usize = wanted.values().map(Vec::len).sum();
    assert_eq!(copy(&from, &mut to, now), count as u64);
    assert_eq!(content(&to), wanted);
    let log = to.log(0, usize::MAX).unwrap();
    assert!(log.iter().all(|entry| entry.filled), "the rules must not see it");
    // What is of the past is in chunks at once, and in memory no more.
    assert!(to.reader().stats().chunk_samples as usize >= count * 3 / 4);
    assert_eq!(copy(&from, &mut to, now), 0);
    assert_eq!(content(&to), wanted);
    drop(to);
    let to = Store::open(two.path(), &Options::default()).unwrap();
    assert_eq!(content(&to), wanted);
    assert_eq!(verify(two.path()).unwrap().damaged, 0);
}

#[test]
fn what_both_have_stays_and_own_series_do_not_mix() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = fed(one.path(), 0..6, 0);
    let mut to = fed(two.path(), 3..6, 500);
    let own = content(&to);
    let now = at(6 * HOUR);
    copy(&from, &mut to, now);
    let (wanted, got) = (content(&from), content(&to));
    for (labels, samples) in &wanted {
        if labels.starts_with("power_watts") {
            assert_eq!(got.get(labels), Some(samples), "{labels}");
        } else {
            let first = own[labels][0].0;
            let theirs = samples.iter().filter(|(time, _)| *time < first).count();
            assert_eq!(got[labels].len(), theirs + own[labels].len(), "{labels}");
            assert!(got[labels].ends_with(&own[labels]));
        }
    }
    assert_eq!(copy(&from, &mut to, now), 0, "twice changes nothing");
}

#[test]
fn what_is_too_old_stays_away() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = fed(one.path(), 0..4, 0);
    let options =
        Options { retention_age: Some(Duration::from_secs(2 * 60 * 60)), ..Options::default() };
    let mut to = Store::open(two.path(), &options).unwrap();
    copy(&from, &mut to, at(4 * HOUR));
    let oldest = content(&to).values().flatten().map(|(time, _)| *time).min().unwrap();
    assert_eq!(oldest, at(2 * HOUR).as_millis());
}

#[test]
fn a_damaged_chunk_is_given_up_for_what_comes_in_its_place() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut from = fed(one.path(), 0..4, 0);
    from.flush_all().unwrap();
    let mut to = fed(two.path(), 0..4, 0);
    to.flush_all().unwrap();
    drop(to);
    let harm = "UPDATE chunk SET data = zeroblob(length(data)) WHERE series IN (2, 3, 4)";
    rusqlite::Connection::open(two.path().join("store.sqlite")).unwrap().execute(harm, []).unwrap();
    let found = verify(two.path()).unwrap();
    assert!(found.damaged >= 2, "{found:?}");
    let mut to = Store::open(two.path(), &Options::default()).unwrap();
    assert_ne!(content(&to), content(&from));
    let reader = from.reader();
    for window in reader.filled_windows(Timestamp::MIN) {
        let mut frames: Vec<Frame> = Vec::new();
        let take = |more| {
            frames.extend::<Vec<Frame>>(more);
            true
        };
        reader.frames(window, &[], 100, take).unwrap();
        // One series after the other, as an operator's command does.
        for frame in frames {
            to.fill(&[frame], true, at(4 * HOUR)).unwrap();
        }
        while to.maintain(at(4 * HOUR)).unwrap() {}
    }
    assert_eq!(verify(two.path()).unwrap().damaged, 0, "at once, not when the window settles");
    assert_eq!(content(&to), content(&from));
}
