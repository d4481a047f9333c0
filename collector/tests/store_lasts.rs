//! The last sample of each series is the one that a full read ends with, whatever is in the head,
//! in chunks, deleted or expired, and however the store got there.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hallwatch_collector::store::{Deletion, Incoming, Options, Reader, Store};
use hallwatch_model::sample::{from_float, to_float};
use hallwatch_model::{
    AgentPath, Batch, Describe, Id, Labels, Missing, Reading, Readings, SeriesId, Timestamp,
};
use hallwatch_promql::{Found, Matchers, Purpose, Select, Source as _, Want};
use proptest::prelude::*;

/// The start of a two-hour window.
const START: i64 = 1_795_276_800_000;
const HOUR: i64 = 60 * 60 * 1000;
const SERIES: u32 = 4;
/// What samples and questions are about: eight hours, in steps so wide that times meet.
const SLOTS: i64 = 480;
const SLOT: i64 = 60_000;

fn agent() -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
}

fn describe() -> Describe {
    let labels = |i: u32| Labels::metric("power_watts", [("device", format!("d-{i}").as_str())]);
    let series = (0..SERIES).map(|i| (SeriesId(i), labels(i))).collect();
    Describe { dictionary: 5, part: 0, series, ..Describe::default() }
}

fn open(dir: &Path, retention_bytes: Option<u64>) -> Store {
    let options = Options {
        most_ahead: Duration::from_secs(365 * 24 * 60 * 60),
        retention_age: Some(Duration::from_secs(7 * 60 * 60)),
        retention_bytes,
        // Windows are written, and written again, before they end.
        replay_bytes: 400,
        ..Options::default()
    };
    Store::open(dir, &options).unwrap()
}

/// Series, slot and value.
type Point = (u32, i64, u8);

/// What is done to a store.
#[derive(Clone, Debug)]
enum Step {
    /// Late, early, and twice with another value, as it comes.
    Commit(Vec<Point>),
    /// A sample of each series, later than those before.
    Scrape,
    /// Series, and the slots from and to.
    Delete(u32, i64, i64),
    /// A part of what waits to be done.
    Maintain,
    /// Windows become due.
    Wait,
    FlushAll,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let points = prop::collection::vec((0..SERIES, 0..SLOTS, any::<u8>()), 1..40);
    let step = prop_oneof![
        4 => points.prop_map(Step::Commit),
        8 => Just(Step::Scrape),
        2 => (0..SERIES, 0..SLOTS, 0..SLOTS).prop_map(|(one, a, b)| {
            Step::Delete(one, a.min(b), a.max(b))
        }),
        4 => Just(Step::Maintain),
        1 => Just(Step::Wait),
        1 => Just(Step::FlushAll),
        2 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..50)
}

fn value(number: u8) -> f64 {
    match number % 8 {
        0 => to_float(Err(Missing::Timeout)),
        1 => f64::NAN,
        _ => f64::from(number) / 10.0,
    }
}

fn incoming(seq: u64, points: &[Point], now: i64) -> Incoming {
    let reading = |(series, slot, number): &Point| {
        let time = Timestamp::from_millis(START + slot * SLOT);
        Reading { series: SeriesId(*series), time, value: from_float(value(*number)) }
    };
    let readings = points.iter().map(reading).collect();
    let batch = Batch {
        boot: 1,
        seq,
        oldest: 1,
        readings: Readings { dictionary: 5, readings, ..Readings::default() },
        ..Batch::default()
    };
    Incoming { agent: agent(), batch, received: Timestamp::from_millis(now) }
}

type Lasts = BTreeMap<String, (i64, u64)>;

/// The last samples, by the short way and by the full one.
fn both(reader: &Reader, start: i64, end: i64) -> (Lasts, Lasts) {
    let matchers = Matchers::parse(r#"{__name__=~".+"}"#).unwrap();
    let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
    let request = Select::new(&matchers, start, end);
    let want = Want::Last;
    let purpose = Purpose { want, range: 0, first: end.as_millis(), step: 0, only_last: true };
    let Found::Lasts(lasts) = reader.select_for(&request, &purpose).unwrap() else {
        panic!("all samples, where the last ones were enough");
    };
    let lasts = lasts.iter().map(|l| (l.labels.to_string(), (l.time, l.value.to_bits())));
    let all = reader.select(&request).unwrap();
    let full = all.iter().filter_map(|series| {
        let last = (*series.times.last()?, series.values.last()?.to_bits());
        Some((series.labels.to_string(), last))
    });
    (lasts.collect(), full.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_last_samples_are_those_of_a_full_read(
        steps in steps(),
        questions in prop::collection::vec((0..SLOTS, 0i64..200), 6),
        small in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let limit = small.then_some(1_500);
        let mut store = open(dir.path(), limit);
        store.describe(&agent(), &describe()).unwrap();
        let (mut seq, mut slot, mut now) = (0, 0, START);
        for step in &steps {
            match step {
                Step::Commit(points) => {
                    seq += 1;
                    store.commit(&[incoming(seq, points, now)]).unwrap();
                }
                Step::Scrape => {
                    (seq, slot) = (seq + 1, (slot + 7) % SLOTS);
                    now = now.max(START + slot * SLOT);
                    let number = seq.to_le_bytes()[0];
                    let points: Vec<Point> = (0..SERIES).map(|i| (i, slot, number)).collect();
                    store.commit(&[incoming(seq, &points, now)]).unwrap();
                }
                Step::Delete(series, from, to) => {
                    let selector = format!(r#"{{device="d-{series}"}}"#);
                    let deletion = Deletion {
                        selectors: vec![Matchers::parse(&selector).unwrap()],
                        tenant: None,
                        start: Timestamp::from_millis(START + from * SLOT),
                        end: Timestamp::from_millis(START + to * SLOT),
                    };
                    store.delete(&deletion, Timestamp::from_millis(now)).unwrap();
                }
                Step::Maintain => {
                    store.maintain(Timestamp::from_millis(now)).unwrap();
                }
                Step::Wait => {
                    now += HOUR;
                    store.maintain(Timestamp::from_millis(now)).unwrap();
                }
                Step::FlushAll => store.flush_all().unwrap(),
                Step::Reopen => {
                    drop(store);
                    store = open(dir.path(), limit);
                }
            }
            let reader = store.reader();
            let present = (slot, 5);
            for (end, back) in questions.iter().chain([&present, &(SLOTS, SLOTS)]) {
                let end = START + end * SLOT;
                let start = end - back * SLOT;
                let (lasts, full) = both(&reader, start, end);
                prop_assert_eq!(lasts, full, "{} to {} after {:?}", start, end, step);
            }
        }
    }
}
