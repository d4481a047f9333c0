//! What was acknowledged is there after SIGKILL at any moment, once; and readers see every sample
//! at every moment of its way from head to chunk.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![expect(clippy::print_stdout, reason = "the process that is killed says how far it is")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hallwatch_collector::store::{Incoming, Options, Outcome, Store};
use hallwatch_model::{
    AgentPath, Batch, Describe, Id, Labels, Reading, Readings, SeriesId, Timestamp,
};
use hallwatch_promql::{Limits, Matchers, Query, Select, Source as _, Value, range};

const START: i64 = 1_795_276_800_000;
const MINUTE: i64 = 60_000;
/// More than are written as chunks with one commit.
const SERIES: u32 = 300;
/// Batches, of a minute each: time for some chunks.
const ENOUGH: u64 = 500;
/// How often the writer is killed, when [`KILLS`] does not say.
const ROUNDS: u64 = 5;
const KILLS: &str = "HALLWATCH_KILLS";
const FOLDER: &str = "HALLWATCH_TEST_STORE";

fn agent() -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
}

fn describe() -> Describe {
    let labels = |i: u32| Labels::metric("power_watts", [("device", format!("{i:03}").as_str())]);
    let series = (0..SERIES).map(|i| (SeriesId(i), labels(i))).collect();
    Describe { dictionary: 5, part: 0, series, ..Describe::default() }
}

fn value(series: u32, time: i64) -> f64 {
    ((time / 10 + i64::from(series)) % 10_000) as f64 / 10.0
}

/// One sample of each series, and one of one series from three hours ago.
fn incoming(seq: u64) -> Incoming {
    let time = START + seq.cast_signed() * MINUTE;
    let late = late(seq);
    let all = (0..SERIES).map(|series| (series, time)).chain([late]);
    let reading = |(series, time): (u32, i64)| Reading {
        series: SeriesId(series),
        time: Timestamp::from_millis(time),
        value: Ok(value(series, time)),
    };
    let batch = Batch {
        boot: 1,
        seq,
        oldest: 1,
        watermark: Timestamp::from_millis(time),
        backfill: false,
        sender: 0,
        readings: Readings {
            dictionary: 5,
            readings: all.map(reading).collect(),
            ..Readings::default()
        },
    };
    Incoming { agent: agent(), batch, received: Timestamp::from_millis(time) }
}

fn late(seq: u64) -> (u32, i64) {
    ((seq % u64::from(SERIES)) as u32, START + seq.cast_signed() * MINUTE - 181 * MINUTE - 1)
}

fn open(dir: &Path) -> Store {
    // A small log makes many chunks and many deletions; days are summed up, too.
    let age = Some(Duration::from_secs(10 * 365 * 24 * 60 * 60));
    let options =
        Options { replay_bytes: 100_000, minute_age: age, hour_age: age, ..Options::default() };
    Store::open(dir, &options).unwrap()
}

/// Checks that the content is exactly that of the batches 1 to `upto`.
fn check(store: &Store, upto: u64) {
    let matchers = Matchers::parse("power_watts").unwrap();
    let (start, end) = (Timestamp::MIN, Timestamp::MAX);
    let request = Select::new(&matchers, start, end);
    let mut all = store.reader().select(&request).unwrap();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    assert_eq!(all.len(), SERIES as usize);
    for (id, series) in (0..SERIES).zip(all) {
        let mut times: Vec<i64> =
            (1..=upto).map(|seq| START + seq.cast_signed() * MINUTE).collect();
        times.extend((1..=upto).map(late).filter(|late| late.0 == id).map(|late| late.1));
        times.sort_unstable();
        assert_eq!(series.times, times, "series {id} of {upto} batches");
        let values: Vec<f64> = times.iter().map(|time| value(id, *time)).collect();
        assert_eq!(series.values, values, "series {id}");
    }
}

/// Checks that whole days are counted right, where they are summed up.
fn check_summaries(store: &Store, upto: u64) {
    const DAY: i64 = 24 * 60 * MINUTE;
    let times = |id: u32| {
        let late = (1..=upto).map(late).filter(move |late| late.0 == id).map(|late| late.1);
        (1..=upto).map(|seq| START + seq.cast_signed() * MINUTE).chain(late)
    };
    let query = Query::parse(r#"count_over_time(power_watts{device="007"}[1d])"#).unwrap();
    let day = Duration::from_millis(DAY.unsigned_abs());
    let start = (START / DAY + 1) * DAY;
    let end = start + upto.cast_signed() * MINUTE / DAY * DAY;
    let (from, to) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
    let answer = range(&query, from, to, day, &store.reader(), &Limits::default()).unwrap();
    let summed = answer.infos.iter().any(|info| info.contains("summaries"));
    assert_eq!(summed, store.reader().stats().summary_bytes > 0, "{:?}", answer.infos);
    let Value::Matrix(series) = answer.value else { panic!("a matrix") };
    for (time, count) in series[0].times.iter().zip(&series[0].values) {
        let there = times(7).filter(|one| (time - DAY + 1..=*time).contains(one)).count();
        assert_eq!(*count, there as f64, "up to {time}");
    }
}

/// The process that is killed: commits, and says what is acknowledged, for ever.
fn commit_until_killed(dir: &Path) {
    let mut store = open(dir);
    store.describe(&agent(), &describe()).unwrap();
    let mut next = store.ack(&agent(), 1).upto + 1;
    loop {
        // Two at a time, the later first, and one again.
        let batches = [incoming(next + 1), incoming(next), incoming(next.saturating_sub(1).max(1))];
        let outcomes = store.commit(&batches).unwrap();
        assert!(matches!(outcomes[1], Outcome::Stored { .. }));
        next += 2;
        println!("\nacknowledged {}", store.ack(&agent(), 1).upto);
    }
}

#[test]
fn what_is_acknowledged_survives_kill_9_at_any_moment() {
    if let Ok(dir) = std::env::var(FOLDER) {
        commit_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    let rounds = std::env::var(KILLS).ok().and_then(|rounds| rounds.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS);
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_is_acknowledged_survives_kill_9_at_any_moment", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let number = |line: &str| line.strip_prefix("acknowledged ")?.parse::<u64>().ok();
        let first = lines.by_ref().map_while(Result::ok).find_map(|line| number(&line)).unwrap();
        std::thread::sleep(Duration::from_micros(round.wrapping_mul(7_919) % 97 * 1_000 + round));
        child.kill().unwrap();
        // The last line may be cut off, and its number be shorter than it was.
        let said: Vec<u64> = lines.map_while(Result::ok).filter_map(|line| number(&line)).collect();
        child.wait().unwrap();
        let acknowledged = said.iter().rev().nth(1).copied().unwrap_or(first);
        let store = open(dir.path());
        let ack = store.ack(&agent(), 1);
        assert!(ack.upto >= acknowledged, "{acknowledged} acknowledged, {ack:?} there");
        assert!(ack.upto > before && ack.beyond.is_empty(), "{ack:?} after {before}");
        check(&store, ack.upto);
        let stats = store.reader().stats();
        assert!(stats.damage.is_empty(), "{stats:?}");
        before = ack.upto;
    }
    let mut store = open(dir.path());
    // On a busy machine the kills came before enough time had passed for a chunk.
    for next in before + 1..=ENOUGH {
        store.commit(&[incoming(next)]).unwrap();
        before = next;
    }
    let now = store.latest_reception();
    while store.maintain(now).unwrap() {}
    let stats = store.reader().stats();
    assert!(stats.windows > 0 && stats.chunk_samples > 0, "no chunk was written: {stats:?}");
    println!("{rounds} kills, {before} batches acknowledged, none lost: {stats:?}");
    check_summaries(&store, before);
}

#[test]
fn readers_miss_nothing_while_samples_move_from_head_to_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.describe(&agent(), &describe()).unwrap();
    let (committed, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let rounds = AtomicU64::new(0);
    let reader = store.reader();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let matchers = Matchers::parse(r#"power_watts{device=~"00.|299"}"#).unwrap();
            while !done.load(Ordering::SeqCst) {
                let least = committed.load(Ordering::SeqCst);
                if least == 0 {
                    std::thread::yield_now();
                    continue;
                }
                let (start, end) = (Timestamp::from_millis(START + 1), Timestamp::MAX);
                let request = Select::new(&matchers, start, end);
                let found = reader.select(&request).unwrap();
                assert_eq!(found.len(), 11);
                for series in found {
                    assert!(series.times.is_sorted_by(|a, b| a < b));
                    let regular =
                        series.times.iter().filter(|time| (*time - START) % MINUTE == 0).count();
                    assert!(regular as u64 >= least, "{regular} of {least}");
                }
                rounds.fetch_add(1, Ordering::SeqCst);
            }
        });
        for seq in 1..=600 {
            store.commit(&[incoming(seq)]).unwrap();
            committed.store(seq, Ordering::SeqCst);
            // However fast the one and slow the other is, they are at it together.
            while rounds.load(Ordering::SeqCst) < seq / 50 && !reading.is_finished() {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::SeqCst);
        reading.join().unwrap();
    });
    assert!(store.reader().stats().windows >= 3);
    check(&store, 600);
}
