//! What is deleted is hidden at once from every reader, is then really gone from the disk, and
//! nothing else is.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use hallwatch_collector::store::{Deletion, Ignored, Incoming, Options, Outcome, Receipt, Store};
use hallwatch_model::{
    AgentPath, Batch, Describe, Event, Id, Labels, Reading, Readings, Sample, SeriesId, Timestamp,
};
use hallwatch_promql::{Matchers, Select, Source as _};

const START: i64 = 1_795_276_800_000;
const MINUTE: i64 = 60_000;
/// Its bytes stand in the file as they are: it is no decimal.
const CANARY: f64 = f64::from_bits(u64::from_le_bytes(*b"!canary@"));
const LABEL: &str = "canary-of-the-mine";

fn agent(tenant: &str) -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id(tenant), site: id("fra-1"), agent: id("gw-1") }
}

fn describe() -> Describe {
    let labels = |device: &str| Labels::metric("power_watts", [("device", device)]);
    let series = vec![(SeriesId(0), labels(LABEL)), (SeriesId(1), labels("d-1"))];
    Describe { dictionary: 5, part: 0, series, ..Describe::default() }
}

/// A minute of one tenant: the first series has the canary, the second something else.
fn incoming(tenant: &str, minute: u64) -> Incoming {
    let time = Timestamp::from_millis(START + minute.cast_signed() * MINUTE);
    let reading = |series, value| Reading { series: SeriesId(series), time, value: Ok(value) };
    let other = minute as f64 / 10.0;
    let event = Event {
        time,
        device: "door-1".to_owned(),
        door: "north".to_owned(),
        person: format!("{LABEL}-{tenant}"),
        result: "granted".to_owned(),
    };
    let batch = Batch {
        boot: 1,
        seq: minute + 1,
        oldest: 1,
        watermark: time,
        backfill: false,
        readings: Readings {
            dictionary: 5,
            readings: vec![reading(0, CANARY), reading(1, other)],
            events: if minute.is_multiple_of(100) { vec![event] } else { Vec::new() },
            ..Readings::default()
        },
        ..Batch::default()
    };
    Incoming { agent: agent(tenant), batch, received: time }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &Options::default()).unwrap()
}

/// Four hours in chunks, one in the log, of two tenants.
fn filled(dir: &Path) -> Store {
    let mut store = open(dir);
    for tenant in ["acme", "umbrella"] {
        store.describe(&agent(tenant), &describe()).unwrap();
    }
    for minute in 0..300 {
        store.commit(&[incoming("acme", minute), incoming("umbrella", minute)]).unwrap();
        if minute == 240 {
            store.flush_all().unwrap();
        }
    }
    let stats = store.reader().stats();
    assert!(stats.windows > 1 && stats.log_bytes > 0, "{stats:?}");
    store
}

fn minutes(store: &Store, selector: &str) -> Vec<i64> {
    let matchers = Matchers::parse(selector).unwrap();
    let request = Select::new(&matchers, Timestamp::MIN, Timestamp::MAX);
    let found = store.reader().select(&request).unwrap();
    found.iter().flat_map(|series| &series.times).map(|time| (time - START) / MINUTE).collect()
}

/// In how many places of which files it stands.
fn places(dir: &Path, bytes: &[u8]) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let count = |path| {
        let content = std::fs::read(path).unwrap();
        content.windows(bytes.len()).filter(|part| *part == bytes).count()
    };
    files.map(count).sum()
}

fn purge(store: &mut Store, now: i64) -> Receipt {
    for round in 0..1_000 {
        store.maintain(Timestamp::from_millis(now + round)).unwrap();
        let receipts = store.reader().deletions().unwrap();
        if receipts[0].purged.is_some() {
            return receipts[0];
        }
    }
    panic!("the disk is never clean: {:?}", store.reader().deletions());
}

fn selected(selector: &str) -> Deletion {
    Deletion {
        selectors: vec![Matchers::parse(selector).unwrap()],
        tenant: None,
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    }
}

#[test]
fn a_series_is_hidden_at_once_and_its_bytes_are_gone_after_the_purge() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    std::fs::write(dir.path().join("store.sqlite.damaged-1"), b"!canary@").unwrap();
    let rest = minutes(&store, r#"{device="d-1"}"#);
    assert_eq!(rest.len(), 600);
    let canary = CANARY.to_le_bytes();
    assert!(places(dir.path(), &canary) > 2 && places(dir.path(), LABEL.as_bytes()) > 2);

    let now = START + 301 * MINUTE;
    let receipt = store
        .delete(&selected(&format!(r#"{{device="{LABEL}"}}"#)), Timestamp::from_millis(now))
        .unwrap();
    assert_eq!((receipt.series, receipt.purged), (2, None));
    let hidden = |store: &Store| {
        assert_eq!(minutes(store, &format!(r#"{{device="{LABEL}"}}"#)), [0i64; 0]);
        let (min, max) = (Timestamp::MIN, Timestamp::MAX);
        let reader = store.reader();
        assert_eq!(reader.series(&[], min, max).unwrap().len(), 2);
        assert_eq!(reader.label_values("device", &[], min, max).unwrap(), ["d-1".into()]);
        let all = Matchers::parse("power_watts").unwrap();
        assert_eq!(reader.latest(&all).unwrap().len(), 2);
        let logged = reader.log(0, usize::MAX).unwrap();
        let samples = logged.iter().flat_map(|entry| &entry.samples);
        assert!(samples.clone().count() > 0);
        assert_eq!(samples.filter(|(_, sample)| sample.value == Ok(CANARY)).count(), 0);
        assert_eq!(minutes(store, r#"{device="d-1"}"#), rest);
    };
    hidden(&store);
    // It is not forgotten by a restart, wherever the purge was.
    drop(store);
    let mut store = open(dir.path());
    hidden(&store);
    assert!(places(dir.path(), &canary) > 0, "nothing was left for the purge to do");
    store.maintain(Timestamp::from_millis(now)).unwrap();
    drop(store);
    let mut store = open(dir.path());
    hidden(&store);

    let receipt = purge(&mut store, now);
    assert_eq!(receipt.chunk_samples + receipt.log_samples, 600, "{receipt:?}");
    assert_eq!(receipt.damaged, 1, "the copy of a damaged file: {receipt:?}");
    assert_eq!(places(dir.path(), &canary), 0);
    // Events of other people stay; the series' name is nowhere.
    let names = places(dir.path(), LABEL.as_bytes());
    let events = store.reader().events(Timestamp::MIN, Timestamp::MAX, 100).unwrap();
    assert_eq!((names, events.len()), (6, 6));
    hidden(&store);
    assert!(store.reader().stats().damage.is_empty());

    // Its agent is asked what it means, should it send more.
    let late = incoming("acme", 302);
    assert_ne!(store.commit(std::slice::from_ref(&late)).unwrap()[0], stored());
    store.describe(&agent("acme"), &describe()).unwrap();
    assert_eq!(store.commit(&[late]).unwrap()[0], stored());
    assert_eq!(minutes(&store, &format!(r#"{{device="{LABEL}"}}"#)), [302]);
}

fn stored() -> Outcome {
    Outcome::Stored { samples: 2, new_series: 1, ignored: Ignored::default(), lost: Vec::new() }
}

#[test]
fn a_time_range_costs_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    let at = |minute: i64| Timestamp::from_millis(START + minute * MINUTE);
    let mut deletion = selected(r#"power_watts{tenant="acme",device="d-1"}"#);
    (deletion.start, deletion.end) = (at(60), at(270));
    store.delete(&deletion, at(301)).unwrap();
    let left: Vec<i64> = (0..60).chain(271..300).collect();
    let of = r#"{tenant="acme",device="d-1"}"#;
    assert_eq!(minutes(&store, of), left);
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(minutes(&store, of), left);
    let receipt = purge(&mut store, at(301).as_millis());
    assert_eq!((receipt.series, receipt.chunk_samples + receipt.log_samples), (1, 211));
    drop(store);
    let store = open(dir.path());
    assert_eq!(minutes(&store, of), left);
    assert_eq!(minutes(&store, r#"{tenant="umbrella"}"#).len(), 600);
    assert_eq!(minutes(&store, &format!(r#"{{device="{LABEL}"}}"#)).len(), 600);
}

#[test]
fn a_tenant_goes_with_what_happened_at_its_doors() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    let name = format!("{LABEL}-acme");
    assert!(places(dir.path(), name.as_bytes()) > 0);
    // Asked for from another thread, as the API does.
    let reader = store.reader();
    let deletion = Deletion {
        selectors: Vec::new(),
        tenant: Some(Id::new("acme").unwrap()),
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    };
    let asking = std::thread::spawn(move || reader.delete(deletion));
    while !asking.is_finished() {
        store.maintain(Timestamp::from_millis(START + 301 * MINUTE)).unwrap();
    }
    assert_eq!(asking.join().unwrap().unwrap().series, 2);
    let events = store.reader().events(Timestamp::MIN, Timestamp::MAX, 100).unwrap();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|(agent, _)| agent.tenant.as_str() == "umbrella"));
    assert_eq!(minutes(&store, r#"{tenant="acme"}"#), [0i64; 0]);
    let receipt = purge(&mut store, START + 302 * MINUTE);
    assert_eq!((receipt.events, receipt.series), (3, 2));
    assert_eq!(places(dir.path(), name.as_bytes()), 0);
    assert_eq!(minutes(&store, r#"{tenant="umbrella"}"#).len(), 600);
}

/// A midnight.
const MIDNIGHT: i64 = 1_795_219_200_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// So many bytes in a row, of noise, are in no other place by chance.
const FRAGMENT: usize = 12;
/// By two numbers, resolution and day or window and part, and series.
type Blobs = BTreeMap<(i64, i64, i64), Vec<u8>>;

/// Samples of three days; what is older is in summaries alone.
fn open_with_history(dir: &Path) -> Store {
    let days = |count: u64| Some(Duration::from_secs(count * 24 * 60 * 60));
    let options = Options {
        retention_age: days(3),
        minute_age: days(999),
        hour_age: days(9_999),
        ..Options::default()
    };
    Store::open(dir, &options).unwrap()
}

fn settle(store: &mut Store, now: i64) {
    for _ in 0..100_000 {
        if !store.maintain(Timestamp::from_millis(now)).unwrap() {
            return;
        }
    }
    panic!("the store never rests");
}

/// Five days of forty series: of four, one is noise that no codec packs, one has the canary on its
/// second and fourth day and nothing else then, two are there to stay.
fn summed_up(dir: &Path) -> Store {
    let mut store = open_with_history(dir);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut noise = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for hour in 0..5 * 24 {
        let mut samples = Vec::new();
        for (step, series) in (0..12i64).flat_map(|step| (0..40).map(move |one| (step, one))) {
            let time = MIDNIGHT + hour * HOUR + (step + 1) * 5 * MINUTE;
            let (kind, value) = match series % 4 {
                0 => ("noise", f64::from_bits(noise() >> 2 | 1 << 61)),
                1 if matches!(hour / 24, 1 | 3) => ("canary", CANARY),
                1 => ("canary", 1.5),
                _ => ("other", (step + hour * series) as f64 / 10.0),
            };
            let labels = Labels::metric(kind, [("device", format!("d-{series:02}").as_str())]);
            samples.push((labels, Sample { time: Timestamp::from_millis(time), value: Ok(value) }));
        }
        let now = MIDNIGHT + (hour + 1) * HOUR;
        store.record(&samples, Timestamp::from_millis(now)).unwrap();
        store.maintain(Timestamp::from_millis(now)).unwrap();
    }
    settle(&mut store, MIDNIGHT + 5 * DAY + 6 * HOUR);
    store
}

/// What stands in the table of summaries.
fn blobs(dir: &Path) -> Blobs {
    selected_blobs(dir, "SELECT resolution, day, series, data FROM rollup")
}

fn selected_blobs(dir: &Path, query: &str) -> Blobs {
    let connection = rusqlite::Connection::open(dir.join("store.sqlite")).unwrap();
    let mut select = connection.prepare(query).unwrap();
    let rows = select.query_map([], |row| {
        Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get::<_, Vec<u8>>(3)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// How many fragments of these are in the raw files.
fn fragments_found(dir: &Path, fragments: &HashSet<&[u8]>) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let count = |path| {
        let content = std::fs::read(path).unwrap();
        content.windows(FRAGMENT).filter(|part| fragments.contains(part)).count()
    };
    files.map(count).sum()
}

#[test]
fn the_bytes_of_summaries_are_gone_after_the_purge() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = summed_up(dir.path());
    let now = MIDNIGHT + 5 * DAY + 6 * HOUR;
    let at = Timestamp::from_millis;
    let canary = CANARY.to_le_bytes();
    let before = blobs(dir.path());
    let of_canary = |blobs: &Blobs| -> Vec<(i64, i64)> {
        let has = |data: &[u8]| data.windows(canary.len()).any(|part| part == canary);
        let there = blobs.iter().filter(|(_, data)| has(data));
        there.map(|((resolution, day, _), _)| (*resolution, *day)).collect()
    };
    let first = MIDNIGHT / DAY;
    let ten = |resolution, day| std::iter::repeat_n((resolution, first + day), 10);
    let expected: Vec<(i64, i64)> = [(MINUTE, 1), (MINUTE, 3), (HOUR, 1), (HOUR, 3)]
        .into_iter()
        .flat_map(|(r, d)| ten(r, d))
        .collect();
    assert_eq!(of_canary(&before), expected);
    assert!(places(dir.path(), &canary) >= expected.len());
    let windows = store.reader().stats().windows;
    assert!((32..=36).contains(&windows), "samples of two days and a half: {windows}");

    // A time that is in summaries alone; then one whose other samples are still there.
    for (day, left) in [(1, &expected[..]), (3, &[][..])] {
        let mut deletion = selected("canary");
        let from = MIDNIGHT + day * DAY;
        (deletion.start, deletion.end) = (at(from + 1), at(from + DAY));
        store.delete(&deletion, at(now)).unwrap();
        purge(&mut store, now);
        settle(&mut store, now);
        let left: Vec<_> = left.iter().copied().filter(|one| one.1 == first + 3).collect();
        assert_eq!(of_canary(&blobs(dir.path())), left);
    }
    assert_eq!(places(dir.path(), &canary), 0);
    let of_others = |blobs: &Blobs| -> Blobs {
        let ids = blobs.iter().filter(|((.., id), _)| matches!((id - 1) % 4, 2 | 3));
        ids.map(|(key, data)| (*key, data.clone())).collect()
    };
    let rest = of_others(&before);
    assert_eq!(rest.len(), 20 * 5 * 2);
    assert_eq!(of_others(&blobs(dir.path())), rest);

    // Whole series: no piece of what no other series has is left, of any resolution or chunk.
    let chunks = selected_blobs(dir.path(), "SELECT window, part, series, data FROM chunk");
    let of_noise = |((.., id), _): &(&(i64, i64, i64), &Vec<u8>)| (id - 1) % 4 == 0;
    let noise: Vec<_> = before.iter().chain(&chunks).filter(of_noise).collect();
    assert_eq!(noise.len(), 10 * (5 * 2 + windows));
    let common: HashSet<&[u8]> = rest.values().flat_map(|data| data.windows(FRAGMENT)).collect();
    let own = |data: &'_ [u8]| -> Vec<Vec<u8>> {
        let varied = |part: &&[u8]| part.iter().collect::<HashSet<_>>().len() > FRAGMENT / 2;
        let parts = data.windows(FRAGMENT).filter(varied).filter(|part| !common.contains(part));
        parts.map(<[u8]>::to_vec).collect()
    };
    let own: Vec<Vec<Vec<u8>>> = noise.iter().map(|(_, data)| own(data)).collect();
    for (fragments, (key, _)) in own.iter().zip(&noise) {
        let fragments: HashSet<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
        assert!(fragments.len() > 5, "{key:?} has {} fragments", fragments.len());
    }
    let all: HashSet<&[u8]> = own.iter().flatten().map(Vec::as_slice).collect();
    assert!(fragments_found(dir.path(), &all) >= all.len());
    let receipt = store.delete(&selected("noise"), at(now)).unwrap();
    assert_eq!(receipt.series, 10);
    purge(&mut store, now);
    assert_eq!(fragments_found(dir.path(), &all), 0);
    settle(&mut store, now);
    assert_eq!(fragments_found(dir.path(), &all), 0);
    assert_eq!(of_others(&blobs(dir.path())), rest);
    drop(store);
    assert!(open_with_history(dir.path()).reader().stats().damage.is_empty());
}

#[test]
fn the_numbers_of_a_deletion_that_goes_on_are_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    let at = |minute: i64| Timestamp::from_millis(START + minute * MINUTE);
    store.delete(&selected("power_watts"), at(301)).unwrap();
    // A reader holds what was before, so that the purge has no end, and another start comes.
    let reader = rusqlite::Connection::open(dir.path().join("store.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM log").unwrap();
    let commit = |store: &mut Store, minute: u64| {
        store.describe(&agent("acme"), &describe()).unwrap();
        let outcome = store.commit(&[incoming("acme", minute)]).unwrap();
        assert!(matches!(outcome[0], Outcome::Stored { samples: 2, .. }), "{outcome:?}");
    };
    for minute in [302, 303] {
        store.maintain(at(301)).unwrap();
        assert_eq!(store.reader().deletions().unwrap()[0].purged, None);
        drop(store);
        store = open(dir.path());
        commit(&mut store, minute);
        let until = minute.cast_signed();
        let expected: Vec<i64> = (302..=until).collect();
        for device in ["d-1", LABEL] {
            assert_eq!(minutes(&store, &format!(r#"{{device="{device}"}}"#)), expected);
        }
    }
    drop((store, reader));
    let mut store = open(dir.path());
    purge(&mut store, START + 304 * MINUTE);
    store.flush_all().unwrap();
    drop(store);
    assert_eq!(minutes(&open(dir.path()), r#"{device="d-1"}"#), [302, 303]);
}

#[test]
fn a_window_that_is_written_and_purged_at_once_is_counted_right() {
    let late = |store: &mut Store, seq: u64, shift: i64| {
        let mut one = incoming("acme", seq);
        let time = Timestamp::from_millis(START + shift);
        one.batch.readings.events.clear();
        one.batch.readings.readings.remove(0);
        one.batch.readings.readings[0].time = time;
        store.commit(&[one]).unwrap();
    };
    let counted = |dir: &Path| -> (i64, bool) {
        let connection = rusqlite::Connection::open(dir.join("store.sqlite")).unwrap();
        let query = "SELECT sum(samples), min(bytes >= (SELECT sum(length(data)) FROM chunk \
                     WHERE chunk.window = window.window)) FROM window";
        connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let at = |minute: i64| Timestamp::from_millis(START + minute * MINUTE);
    // The purge comes to the chunks after some rounds: in one of these the window is written.
    for rounds in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        store.describe(&agent("acme"), &describe()).unwrap();
        for minute in 1..101 {
            store.commit(&[incoming("acme", minute)]).unwrap();
        }
        store.flush_all().unwrap();
        (0..20).for_each(|i| late(&mut store, 200 + i, i.cast_signed() * MINUTE + 90_500));
        let mut deletion = selected(&format!(r#"{{device="{LABEL}"}}"#));
        (deletion.start, deletion.end) = (at(0), at(40));
        store.delete(&deletion, at(101)).unwrap();
        for _ in 0..rounds {
            store.maintain(at(102)).unwrap();
        }
        store.flush_all().unwrap();
        let expect = |samples: i64| assert_eq!(counted(dir.path()), (samples, true), "{rounds}");
        expect(180);
        // Memory knows it too: what comes next is added to that.
        late(&mut store, 300, 91_000);
        store.flush_all().unwrap();
        purge(&mut store, at(103).as_millis());
        expect(181);
    }
}
