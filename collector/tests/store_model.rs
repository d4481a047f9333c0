//! The store against a naive model: whatever the order, the repetition and the restarts, the
//! content is the same.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use hallwatch_collector::store::{Incoming, Options, Outcome, Store};
use hallwatch_model::sample::to_float;
use hallwatch_model::{
    AgentPath, Batch, Describe, Event, Id, Labels, Missing, Reading, Readings, Sample, SeriesId,
    Timestamp,
};
use hallwatch_promql::{Matchers, Select, Source as _};
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The start of a two-hour window.
const START: i64 = 1_795_276_800_000;
const SERIES: u32 = 4;

type Content = BTreeMap<String, BTreeMap<i64, u64>>;

fn agent(name: &str) -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id(name) }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &Options { most_ahead: DAY * 365, ..Options::default() }).unwrap()
}

fn describe(dictionary: u64) -> Describe {
    let labels = |i: u32| {
        let device = format!("d-{i}");
        // What a payload claims of tenant and site is not believed.
        Labels::metric("power_watts", [("device", device.as_str()), ("tenant", "evil")])
    };
    let series = (0..SERIES).map(|i| (SeriesId(i + 10), labels(i))).collect();
    Describe { dictionary, part: 0, series, ..Describe::default() }
}

fn content(store: &Store) -> Content {
    content_between(store, i64::MIN, i64::MAX)
}

fn content_between(store: &Store, start: i64, end: i64) -> Content {
    let matchers = Matchers::parse(r#"{__name__=~".+"}"#).unwrap();
    let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
    let request = Select::new(&matchers, start, end);
    let mut content = Content::new();
    for series in store.reader().select(&request).unwrap() {
        assert!(series.times.is_sorted_by(|a, b| a < b), "{}", series.labels);
        let samples = series.times.into_iter().zip(series.values.into_iter().map(f64::to_bits));
        let twice = content.insert(series.labels.to_string(), samples.collect());
        assert_eq!(twice, None, "{} twice", series.labels);
    }
    content
}

fn label(series: u32) -> String {
    format!(r#"power_watts{{device="d-{series}", site="fra-1", tenant="acme"}}"#)
}

fn incoming(seq: u64, readings: Vec<Reading>, received: i64) -> Incoming {
    let batch = Batch {
        boot: 1,
        seq,
        oldest: 1,
        watermark: Timestamp::from_millis(0),
        backfill: false,
        sender: 0,
        readings: Readings { dictionary: 5, readings, ..Readings::default() },
    };
    Incoming { agent: agent("gw-1"), batch, received: Timestamp::from_millis(received) }
}

fn reading(series: u32, time: i64, value: f64) -> Reading {
    let (series, time) = (SeriesId(series + 10), Timestamp::from_millis(time));
    Reading { series, time, value: hallwatch_model::sample::from_float(value) }
}

/// What the tests do to a store.
#[derive(Clone, Debug)]
enum Step {
    /// Commits these batches together, by number.
    Commit(Vec<u64>),
    Reopen,
    FlushAll,
    /// Time passes: windows become due.
    Wait,
    /// Reads what lies between two slots: what is read again may be recalled.
    Read(i64, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => prop::collection::vec(1u64..40, 1..6).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::FlushAll),
        2 => Just(Step::Wait),
        4 => prop_oneof![Just((0, 1_000)), (0i64..1_000, 0i64..1_000)]
            .prop_map(|(start, end)| Step::Read(start, end)),
    ];
    prop::collection::vec(step, 1..40)
}

/// The samples of each batch: a function of its number, each series and time in one batch only, so
/// that no order can matter; spread over five windows.
fn batch(seq: u64) -> Vec<Reading> {
    (0..SERIES)
        .flat_map(|series| (0..5).map(move |i| (series, i)))
        .map(|(series, i)| {
            let mix = (seq * 31 + u64::from(series) * 7 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let slot = (seq * 5 + i) * 2_654_435_761 % 1_000;
            let value = match mix % 5 {
                0 => to_float(Err(Missing::Exception(mix.to_le_bytes()[1]))),
                1 => f64::from_bits(mix),
                _ => (mix >> 54) as f64 / 10.0,
            };
            reading(series, START + slot.cast_signed() * 36_000, value)
        })
        .collect()
}

fn model(committed: &BTreeSet<u64>) -> Content {
    let mut content = Content::new();
    for reading in committed.iter().flat_map(|seq| batch(*seq)) {
        let series = content.entry(label(reading.series.0 - 10)).or_default();
        let bits = to_float(reading.value).to_bits();
        assert_eq!(series.insert(reading.time.as_millis(), bits), None, "the model is ambiguous");
    }
    content
}

fn between(mut content: Content, start: i64, end: i64) -> Content {
    for samples in content.values_mut() {
        samples.retain(|time, _| (start..=end).contains(time));
    }
    content.retain(|_, samples| !samples.is_empty());
    content
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_order_repetition_and_restart_gives_the_content_of_the_model(
        steps in steps(),
        ends in (0i64..1_000, 0i64..1_000),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        store.describe(&agent("gw-1"), &describe(5)).unwrap();
        let (mut committed, mut now) = (BTreeSet::new(), START);
        for step in steps {
            match step {
                Step::Commit(seqs) => {
                    now += 1_000;
                    let batches: Vec<Incoming> =
                        seqs.iter().map(|seq| incoming(*seq, batch(*seq), now)).collect();
                    let outcomes = store.commit(&batches).unwrap();
                    for (seq, outcome) in seqs.iter().zip(outcomes) {
                        let new = committed.insert(*seq);
                        let stored = matches!(outcome, Outcome::Stored { samples: 20, .. });
                        prop_assert_eq!(stored, new, "{:?}", outcome);
                        prop_assert_eq!(outcome == Outcome::Duplicate { lost: vec![] }, !new);
                    }
                }
                Step::Reopen => {
                    drop(store);
                    store = open(dir.path());
                }
                Step::FlushAll => store.flush_all().unwrap(),
                Step::Wait => {
                    now += 3 * 60 * 60 * 1000;
                    store.maintain(Timestamp::from_millis(now)).unwrap();
                }
                Step::Read(start, end) => {
                    let (start, end) = (START + start * 36_000, START + end * 36_000);
                    let expected = between(model(&committed), start, end);
                    prop_assert_eq!(content_between(&store, start, end), expected);
                }
            }
        }
        let expected = model(&committed);
        prop_assert_eq!(content(&store), expected.clone());
        let ack = store.ack(&agent("gw-1"), 1);
        let acked: BTreeSet<u64> = (1..=ack.upto)
            .chain(ack.beyond.iter().flat_map(|(first, last)| *first..=*last))
            .collect();
        prop_assert_eq!(&acked, &committed);

        let (start, end) = (START + ends.0 * 36_000, START + ends.1 * 36_000);
        prop_assert_eq!(content_between(&store, start, end), between(expected.clone(), start, end));

        store.flush_all().unwrap();
        prop_assert_eq!(content(&store), expected.clone());
        prop_assert_eq!(store.reader().stats().log_bytes, 0);
        drop(store);
        let store = open(dir.path());
        prop_assert_eq!(content(&store), expected);
        prop_assert!(store.reader().stats().damage.is_empty());
    }
}

#[test]
fn of_two_samples_of_one_time_the_first_stays_in_head_chunk_and_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    store.commit(&[incoming(1, vec![reading(0, START, 1.0)], START)]).unwrap();
    let expect = |store: &Store, seq: u64| {
        let all = content(store);
        assert_eq!(all[&label(0)], BTreeMap::from([(START, 1f64.to_bits())]), "after {seq}");
    };
    for seq in 2..8 {
        match seq {
            3 => {
                drop(store);
                store = open(dir.path());
            }
            4 | 6 => store.flush_all().unwrap(),
            _ => (),
        }
        let value = seq as f64;
        store.commit(&[incoming(seq, vec![reading(0, START, value)], START)]).unwrap();
        expect(&store, seq);
    }
    store.flush_all().unwrap();
    expect(&store, 8);
}

#[test]
fn late_samples_find_their_place_in_windows_that_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    let edge = START + 2 * 60 * 60 * 1000;
    let times = [edge - 1, edge, edge + 1, edge - 10_000, edge + 10_000, START, edge * 2];
    let mut expected = BTreeMap::new();
    for (seq, time) in (1..).zip(times) {
        let value = to_float(Err(Missing::Timeout));
        let outcome = store.commit(&[incoming(seq, vec![reading(1, time, value)], START)]).unwrap();
        expected.insert(time, value.to_bits());
        if time == edge * 2 {
            let ignored = matches!(
                &outcome[0],
                Outcome::Stored { samples: 0, ignored, .. } if ignored.in_future == 1
            );
            assert!(ignored, "{outcome:?}");
            expected.remove(&time);
        }
        store.flush_all().unwrap();
        assert_eq!(content(&store)[&label(1)], expected);
    }
    drop(store);
    assert_eq!(content(&open(dir.path()))[&label(1)], expected);
}

#[test]
fn unknown_series_are_asked_for_and_neither_stored_nor_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let one = incoming(1, vec![reading(0, START, 1.0)], START);
    assert_eq!(store.commit(std::slice::from_ref(&one)).unwrap(), [Outcome::UnknownSeries]);
    let ack = store.ack(&agent("gw-1"), 1);
    assert!(ack.describe && ack.upto == 0 && ack.beyond.is_empty());
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    assert!(!store.ack(&agent("gw-1"), 1).describe);
    let unknown = incoming(2, vec![reading(0, START, 1.0), reading(99, START, 1.0)], START);
    let outcomes = store.commit(&[one, unknown]).unwrap();
    assert!(matches!(outcomes[0], Outcome::Stored { samples: 1, new_series: 1, .. }));
    assert_eq!(outcomes[1], Outcome::UnknownSeries);
    assert_eq!(store.ack(&agent("gw-1"), 1).upto, 1);
    assert!(store.ack(&agent("gw-1"), 1).describe);
    assert_eq!(content(&store).len(), 1);
}

#[test]
fn what_the_agent_gave_up_is_reported_once_and_may_still_come() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    let mut ninth = incoming(9, vec![reading(0, START, 9.0)], START);
    ninth.batch.oldest = 6;
    let outcome = store.commit(&[ninth.clone()]).unwrap();
    assert!(matches!(&outcome[0], Outcome::Stored { lost, .. } if *lost == [(1, 5)]));
    assert_eq!(store.ack(&agent("gw-1"), 1).upto, 5);
    assert_eq!(store.ack(&agent("gw-1"), 1).beyond, [(9, 9)]);
    ninth.batch.oldest = 8;
    assert_eq!(store.commit(&[ninth]).unwrap(), [Outcome::Duplicate { lost: vec![(6, 7)] }]);
    drop(store);
    let mut store = open(dir.path());
    let third = incoming(3, vec![reading(0, START + 1, 3.0)], START);
    let outcomes = store.commit(&[third.clone(), third]).unwrap();
    assert!(matches!(&outcomes[0], Outcome::Stored { samples: 1, lost, .. } if lost.is_empty()));
    assert_eq!(outcomes[1], Outcome::Duplicate { lost: vec![] });
    assert_eq!(content(&store)[&label(0)].len(), 2);
}

#[test]
fn too_many_holes_are_refused_and_close_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    let one =
        |seq: u64| incoming(seq, vec![reading(0, START + seq.cast_signed(), seq as f64)], START);
    let scattered: Vec<Incoming> = (1..=1_100).map(|i| one(i * 2)).collect();
    let outcomes = store.commit(&scattered).unwrap();
    let stored = outcomes.iter().filter(|o| matches!(o, Outcome::Stored { .. })).count();
    let refused = outcomes.iter().filter(|o| **o == Outcome::OutOfWindow).count();
    assert_eq!((stored, refused), (1_024, 76));
    assert_eq!(store.ack(&agent("gw-1"), 1).beyond.len(), 1_024);
    let all: Vec<Incoming> = (1..=2_200).map(one).collect();
    store.commit(&all).unwrap();
    assert_eq!(store.ack(&agent("gw-1"), 1).upto, 2_200);
    assert_eq!(content(&store)[&label(0)].len(), 2_200);
}

#[test]
fn exporters_read_the_log_by_cursor_and_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    store.set_cursor("history", 0).unwrap();
    for seq in 1..=10 {
        store.commit(&[incoming(seq, batch(seq), START)]).unwrap();
    }
    let up = Labels::metric("agent_up", [("agent", "gw-1")]);
    let own = Sample { time: Timestamp::from_millis(START), value: Ok(1.0) };
    store.record(&[(up.clone(), own)], Timestamp::from_millis(START)).unwrap();
    store.flush_all().unwrap();
    let first = store.log(0, 4).unwrap();
    assert_eq!(first.iter().map(|entry| entry.position).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(first[0].samples.len(), 20);
    assert_eq!(first[0].samples[0].0.to_string(), label(0));
    store.set_cursor("history", 4).unwrap();
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.cursor("history"), Some(4));
    assert_eq!(store.cursor("other"), None);
    let rest = store.log(4, 100).unwrap();
    assert_eq!(rest.len(), 7);
    assert_eq!(rest.last().unwrap().samples, [(up, own)]);
    assert!(store.log(11, 100).unwrap().is_empty());
    let head = store.reader().stats().head_bytes;
    assert!(head < 2_000, "what an exporter holds is not replayed into memory: {head} bytes");
    store.set_cursor("history", 11).unwrap();
    store.commit(&[incoming(11, batch(11), START)]).unwrap();
    store.flush_all().unwrap();
    assert_eq!(store.log(0, 100).unwrap().len(), 1, "row 12 waits for the exporter");
    store.remove_cursor("history").unwrap();
    store.commit(&[incoming(12, batch(12), START)]).unwrap();
    store.flush_all().unwrap();
    assert_eq!(store.reader().stats().log_bytes, 0);
    assert_eq!(content(&store).len(), 5);
}

#[test]
fn what_is_too_old_goes_as_whole_windows_and_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { retention_age: Some(DAY), ..Options::default() };
    let mut store = Store::open(dir.path(), &options).unwrap();
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    let hour = 60 * 60 * 1000;
    let hourly = |from: i64, to: i64| {
        (from..to).map(|h| reading(0, START + h * hour, h as f64)).collect::<Vec<_>>()
    };
    store.commit(&[incoming(1, hourly(0, 24), START + 23 * hour)]).unwrap();
    store.flush_all().unwrap();
    let now = START + 34 * hour + 1;
    store.commit(&[incoming(2, hourly(24, 34), now)]).unwrap();
    while store.maintain(Timestamp::from_millis(now)).unwrap() {}
    let times: Vec<i64> =
        content(&store)[&label(0)].keys().map(|time| (time - START) / hour).collect();
    assert_eq!(times, (10..34).collect::<Vec<_>>());
    let outcome = store.commit(&[incoming(3, hourly(0, 12), now)]).unwrap();
    let ignored = |o: &Outcome| match o {
        Outcome::Stored { ignored, samples, .. } => (*samples, ignored.too_old, ignored.known),
        other => panic!("{other:?}"),
    };
    assert_eq!(ignored(&outcome[0]), (1, 11, 0), "chunks are not looked into by a commit");
    drop(store);
    let store = Store::open(dir.path(), &options).unwrap();
    assert_eq!(content(&store)[&label(0)].len(), 24);
}

#[test]
fn a_store_that_grows_too_large_drops_its_oldest_windows() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { retention_bytes: Some(20_000), ..Options::default() };
    let mut store = Store::open(dir.path(), &options).unwrap();
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    let mut seq = 0;
    for window in 0..10i64 {
        let start = START + window * 2 * 60 * 60 * 1000;
        seq += 1;
        let noise = |i: i64| f64::from_bits((seq + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let readings = (0..700).map(|i| reading(0, start + i * 1_000, noise(i))).collect();
        store.commit(&[incoming(seq, readings, start)]).unwrap();
        store.flush_all().unwrap();
    }
    while store.maintain(Timestamp::from_millis(START)).unwrap() {}
    let stats = store.reader().stats();
    assert!((2..=4).contains(&stats.windows), "{stats:?}");
    assert!(stats.chunk_bytes <= 20_000, "{stats:?}");
    assert_eq!(content(&store)[&label(0)].len(), stats.windows * 700);
}

#[test]
fn series_labels_and_latest_are_found_in_head_and_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    let hour = 60 * 60 * 1000;
    store.commit(&[incoming(1, vec![reading(0, START, 1.0)], START)]).unwrap();
    store.flush_all().unwrap();
    store.commit(&[incoming(2, vec![reading(1, START + 9 * hour, 2.0)], START)]).unwrap();
    for _ in 0..2 {
        let reader = store.reader();
        let between = |from: i64, to: i64| {
            let at = |h: i64| Timestamp::from_millis(START + h * hour);
            let mut found: Vec<String> = reader
                .series(&[], at(from), at(to))
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect();
            found.sort();
            found
        };
        assert_eq!(between(0, 1), [label(0)]);
        assert_eq!(between(2, 7), [""; 0]);
        assert_eq!(between(8, 9), [label(1)]);
        assert_eq!(between(0, 9), [label(0), label(1)]);
        let (min, max) = (Timestamp::MIN, Timestamp::MAX);
        let tenants = reader.label_values("tenant", &[], min, max).unwrap();
        assert_eq!(tenants.iter().map(|v| &**v).collect::<Vec<_>>(), ["acme"]);
        let sets = [Matchers::parse(r#"{device="d-1"}"#).unwrap()];
        let devices = reader.label_values("device", &sets, min, max).unwrap();
        assert_eq!(devices.iter().map(|v| &**v).collect::<Vec<_>>(), ["d-1"]);
        assert_eq!(reader.label_names(&sets, min, max).unwrap().len(), 4);
        let all = Matchers::parse("power_watts").unwrap();
        let mut latest = reader.latest(&all).unwrap();
        latest.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(latest.iter().map(|l| l.1.value).collect::<Vec<_>>(), [Ok(1.0), Ok(2.0)]);
        store.flush_all().unwrap();
        drop(store);
        store = open(dir.path());
    }
}

#[test]
fn times_from_the_ends_of_time_are_samples_like_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &Options::default()).unwrap();
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    let times = [0, i64::MIN, -1, i64::MAX, i64::MIN + 1, START];
    let readings = times.iter().map(|time| reading(0, *time, 1.0)).collect();
    let outcome = store.commit(&[incoming(u64::MAX, readings, START)]).unwrap();
    assert!(
        matches!(&outcome[0], Outcome::Stored { samples: 5, ignored, .. } if ignored.in_future == 1),
        "{outcome:?}"
    );
    let expected = [i64::MIN, i64::MIN + 1, -1, 0, START];
    let kept = |store: &Store| content(store)[&label(0)].keys().copied().collect::<Vec<_>>();
    assert_eq!(kept(&store), expected);
    store.flush_all().unwrap();
    assert_eq!(kept(&store), expected);
    drop(store);
    assert_eq!(kept(&open(dir.path())), expected);
}

#[test]
fn events_are_kept_once_with_their_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let event = |millis: i64, person: &str| Event {
        time: Timestamp::from_millis(millis),
        device: "reader-1".into(),
        door: "hall 1".into(),
        person: person.into(),
        result: "denied".into(),
    };
    let mut batch = incoming(1, vec![], START);
    batch.batch.readings.events = vec![event(1, "a"), event(3, "b"), event(2, "c")];
    store.commit(&[batch.clone(), batch.clone()]).unwrap();
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.commit(&[batch]).unwrap(), [Outcome::Duplicate { lost: vec![] }]);
    let at = Timestamp::from_millis;
    let events = |from, to, limit| store.reader().events(at(from), at(to), limit).unwrap();
    let own = |event| (agent("gw-1"), event);
    assert_eq!(events(0, 9, 9), [own(event(3, "b")), own(event(2, "c")), own(event(1, "a"))]);
    assert_eq!(events(1, 2, 1), [own(event(2, "c"))]);
}

#[test]
fn more_series_than_allowed_are_refused_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { most_series: 6, ..Options::default() };
    let mut store = Store::open(dir.path(), &options).unwrap();
    store.describe(&agent("gw-1"), &describe(5)).unwrap();
    let more = (0..3).map(|i| {
        let device = format!("more-{i}");
        (SeriesId(i + 50), Labels::metric("power_watts", [("device", device.as_str())]))
    });
    let more = Describe { dictionary: 6, part: 0, series: more.collect(), ..Describe::default() };
    let error = store.describe(&agent("gw-2"), &more).unwrap_err();
    assert!(!error.is_fatal() && error.to_string().contains("gw-2"), "{error}");
    assert_eq!(store.reader().stats().series, 4);
    // The same series from another agent are the same series.
    store.describe(&agent("gw-2"), &describe(7)).unwrap();
    let mut moved = incoming(1, vec![reading(0, START, 1.0)], START);
    (moved.agent, moved.batch.readings.dictionary) = (agent("gw-2"), 7);
    store.commit(&[moved, incoming(1, vec![reading(0, START + 1, 2.0)], START)]).unwrap();
    assert_eq!(content(&store)[&label(0)].len(), 2);
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = Store::open(dir.path(), &Options::default()).unwrap_err();
    assert!(!second.is_fatal() && second.to_string().contains("in use"), "{second}");
    drop(store);
    open(dir.path());
}
