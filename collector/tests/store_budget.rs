//! A query that reads too much, or that nobody waits for any more, ends while it reads: not when
//! everything is in memory.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hallwatch_collector::store::{Incoming, Options, Reader, Store};
use hallwatch_model::{
    AgentPath, Batch, Describe, Id, Labels, Reading, Readings, SeriesId, Timestamp,
};
use hallwatch_promql::{Answer, Error, Limits, Query, Stop, Value, instant};

/// The start of a two-hour window.
const START: i64 = 1_795_276_800_000;
const SERIES: u32 = 50;
const HOURS: i64 = 48;
/// Of each series, one a minute.
const SAMPLES: usize = 48 * 60;

fn filled(store: &mut Store) {
    let id = |text| Id::new(text).unwrap();
    let agent = AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") };
    let labels = |i: u32| Labels::metric("power_watts", [("device", format!("d-{i}").as_str())]);
    let series = (0..SERIES).map(|i| (SeriesId(i), labels(i))).collect();
    let describe = Describe { dictionary: 5, part: 0, series, ..Describe::default() };
    store.describe(&agent, &describe).unwrap();
    for (hour, seq) in (0..HOURS).zip(1..) {
        let minute = |minute: i64| Timestamp::from_millis(START + (hour * 60 + minute) * 60_000);
        let readings = (0..60).flat_map(|at| {
            let reading = move |series| (SeriesId(series), minute(at));
            (0..SERIES).map(reading)
        });
        let readings =
            readings.map(|(series, time)| Reading { series, time, value: Ok(1.0) }).collect();
        let readings = Readings { dictionary: 5, readings, ..Readings::default() };
        let batch = Batch { boot: 1, seq, oldest: 1, readings, ..Batch::default() };
        store.commit(&[Incoming { agent: agent.clone(), batch, received: minute(60) }]).unwrap();
    }
    store.flush_all().unwrap();
}

fn ask(reader: &Reader, text: &str, limits: &Limits<'_>) -> Result<Answer, Error> {
    let end = Timestamp::from_millis(START + HOURS * 3_600_000);
    instant(&Query::parse(text).unwrap(), end, reader, limits)
}

fn counted<'a>(asked: &'a AtomicUsize, most: usize) -> impl Fn() -> Option<Stop> + Sync + 'a {
    move || (asked.fetch_add(1, Ordering::Relaxed) >= most).then_some(Stop::Canceled)
}

#[test]
fn reading_ends_where_the_limit_is_and_when_the_query_has_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { most_ahead: Duration::from_secs(365 * 24 * 60 * 60), ..Options::default() };
    let mut store = Store::open(dir.path(), &options).unwrap();
    filled(&mut store);
    drop(store);
    // What was read is recalled, which asks for less: each part begins with a store that was not.
    let open = || Store::open(dir.path(), &options).unwrap();
    let all = usize::try_from(SERIES).unwrap() * SAMPLES;
    let windows = usize::try_from(HOURS / 2).unwrap();

    // With a limit that suffices to the sample; and so often the reading asks whether to go on.
    let asked = AtomicUsize::new(0);
    let stop = counted(&asked, usize::MAX);
    let limits = Limits { max_samples: 2 * all, stop: &stop, ..Limits::default() };
    let text = "count_over_time(power_watts[2d])";
    let answer = ask(&open().reader(), text, &limits).unwrap();
    let Value::Vector(found) = &answer.value else { panic!("{answer:?}") };
    assert_eq!(found.len(), usize::try_from(SERIES).unwrap());
    assert_eq!(answer.samples_read, all - usize::try_from(SERIES).unwrap());
    let whole = asked.load(Ordering::Relaxed);
    assert!(whole > windows * usize::try_from(SERIES).unwrap(), "{whole}");

    // A tenth of that is not read to its end before it is found to be too much.
    let asked = AtomicUsize::new(0);
    let stop = counted(&asked, usize::MAX);
    let limits = Limits { max_samples: all / 10, stop: &stop, ..Limits::default() };
    let error = ask(&open().reader(), text, &limits).unwrap_err();
    assert!(matches!(error, Error::TooManySamples { limit } if limit == all / 10), "{error}");
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked < whole / 5, "{asked} of {whole}");

    // Whoever goes away is not read for any longer.
    for most in [whole / 10, whole / 2] {
        let asked = AtomicUsize::new(0);
        let stop = counted(&asked, most);
        let limits = Limits { stop: &stop, ..Limits::default() };
        let error = ask(&open().reader(), text, &limits).unwrap_err();
        assert!(matches!(error, Error::Canceled), "{error}");
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked <= most + 8, "{asked} of {most}");
    }

    // The last sample of each needs no room for the others.
    let limits = Limits { max_samples: 4 * usize::try_from(SERIES).unwrap(), ..Limits::default() };
    let answer = ask(&open().reader(), "power_watts", &limits).unwrap();
    assert!(matches!(answer.value, Value::Vector(found) if found.len() == 50));
}
