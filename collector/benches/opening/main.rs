//! How long the store takes to open after a crash: a store of a given size is made, a writer is
//! killed with SIGKILL under full load, again and again, and each time the opening is timed.
//!
//! `cargo bench -p hallwatch-collector --bench opening [-- MEGABYTES SERIES ROUNDS [FOLDER]]`
//!
//! `10000 100000 5` is the long form; without numbers it is a short one of seconds. MEGABYTES are
//! those of chunks, each about as large as one of facility-like values every 10 s. The store writes
//! two hours of them; the hours before get copies of these rows, so that the file has the tables,
//! pages and lists of a store of that size in minutes. (Samples of copies cannot be read: a chunk is
//! sealed for its place. Opening reads none.) With a folder the store is made there, or used as it
//! is when there is one, and stays. Fails when any opening takes 5 s, or when the file is not chunks
//! for the most part.

#![expect(clippy::print_stdout, reason = "a measuring command")]
#![expect(clippy::unwrap_used, reason = "a measuring command")]

#[path = "../side_by_side/facility.rs"]
mod facility;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use facility::Facility;
use hallwatch_collector::store::{Incoming, Options, Store};
use hallwatch_model::{AgentPath, Batch, Describe, Id, Reading, Readings, SeriesId, Timestamp};

/// The beginning of a chunk.
const START: i64 = 1_795_276_800_000;
const STEP_MILLIS: i64 = 10_000;
/// While filling: 90 random floats to a chunk are about 0.8 kB.
const FILL_MILLIS: i64 = 80_000;
const FILL_STEPS: u64 = 90;
/// What opening may take.
const MOST_SECONDS: f64 = 5.0;
/// What says to the process that it is to write: `fill` or `load`.
const ROLE: &str = "HALLWATCH_BENCH_OPENING";

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = |at: usize| arguments.get(at).and_then(|arg| arg.parse::<u64>().ok());
    let megabytes = number(0).unwrap_or(5);
    let series = u32::try_from(number(1).unwrap_or(1_000)).unwrap();
    let rounds = number(2).unwrap_or(2);
    let temporary = tempfile::tempdir().unwrap();
    let dir = arguments.get(3).map_or(temporary.path(), Path::new);
    match std::env::var(ROLE).as_deref() {
        Ok("fill") => return fill(dir, series, megabytes << 20),
        Ok("load") => return load(dir, series),
        _ => (),
    }
    let writer = |role: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args([megabytes.to_string(), series.to_string(), rounds.to_string()])
            .arg(dir)
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    if !dir.join("store.sqlite").exists() {
        assert!(writer("fill").wait().unwrap().success());
    }
    let size = std::fs::metadata(dir.join("store.sqlite")).unwrap().len();
    let share = chunk_bytes(dir) as f64 / size as f64;
    println!(
        "{series} series, {:.2} GB, of them chunks {:.0} %, killed under load {rounds} times",
        size as f64 / 1e9,
        share * 100.0
    );
    assert!(share > 0.5, "the file is not chunks for the most part");
    let mut slowest = 0.0f64;
    for round in 0..rounds {
        let mut child = writer("load");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The log grows until it is written away, and falls then: the last rounds are killed at
        // its peaks, as nearly as can be seen from here; the first one before it ever was full.
        let mut peaks = 0;
        let mut before = 0u64;
        while let Some(Ok(line)) = lines.next() {
            let Some((batches, log)) = line.split_once(' ') else { continue };
            let log: u64 = log.parse().unwrap();
            peaks += u64::from(log < before);
            before = log;
            let enough = if round == 0 { log > 16 << 20 } else { peaks > 0 };
            if enough || batches.parse::<u64>().unwrap() > 2_000 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (from, cpu) = (clock(), cpu_seconds());
        let store = Store::open(dir, &Options::default()).unwrap();
        let (took, cpu) = (from.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let stats = store.reader().stats();
        assert!(stats.damage.is_empty(), "{stats:?}");
        slowest = slowest.max(took);
        let size = std::fs::metadata(dir.join("store.sqlite")).unwrap().len();
        println!(
            "opened in {took:.2} s, {cpu:.2} CPU seconds: {} series, {} windows, a file of {:.2} GB, \
             {:.2} GB of it chunks, {:.1} MB of log, load {}",
            stats.series,
            stats.windows,
            size as f64 / 1e9,
            stats.chunk_bytes as f64 / 1e9,
            stats.log_bytes as f64 / 1e6,
            std::fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap()
        );
        // Without an orderly end: the next round finds the log longer.
        drop(store);
    }
    println!("slowest {slowest:.2} s");
    assert!(slowest < MOST_SECONDS, "opening takes too long");
}

fn agent() -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
}

fn describe(store: &mut Store, series: u32) {
    for (part, ids) in (0..series).collect::<Vec<_>>().chunks(2_000).enumerate() {
        let series = ids.iter().map(|id| (SeriesId(*id), facility::labels(*id))).collect();
        let part = u32::try_from(part).unwrap();
        let described = Describe { dictionary: 1, part, series, ..Describe::default() };
        store.describe(&agent(), &described).unwrap();
    }
}

fn incoming(seq: u64, now: i64, readings: Vec<Reading>) -> Incoming {
    let batch = Batch {
        boot: 1,
        seq,
        oldest: 1,
        watermark: Timestamp::from_millis(now),
        readings: Readings { dictionary: 1, readings, ..Readings::default() },
        ..Batch::default()
    };
    Incoming { agent: agent(), batch, received: Timestamp::from_millis(now) }
}

fn reading((id, time, value): (u32, i64, f64)) -> Reading {
    Reading { series: SeriesId(id), time: Timestamp::from_millis(time), value: Ok(value) }
}

/// Chunks of noise that no codec makes smaller.
fn fill(dir: &Path, series: u32, bytes: u64) {
    // Twice the log of a window: no chunk is written before its window is full, for it would be
    // written again, and each is written before the next one is full.
    let replay_bytes = u64::from(series) * FILL_STEPS * 32;
    let options = Options { replay_bytes, ..Options::default() };
    let mut store = Store::open(dir, &options).unwrap();
    describe(&mut store, series);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut noise = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for seq in 1..=FILL_STEPS {
        let now = START + (seq.cast_signed() - 1) * FILL_MILLIS;
        let mut time = now;
        let readings = (0..series).map(|id| {
            // The points of a device are read together, some milliseconds late.
            if id.is_multiple_of(5) {
                time = now + (noise() % 8).cast_signed();
            }
            reading((id, time, f64::from_bits(noise())))
        });
        store.commit(&[incoming(seq, now, readings.collect())]).unwrap();
    }
    store.flush_all().unwrap();
    let stats = store.reader().stats();
    drop(store);
    let windows = i64::try_from(stats.windows).unwrap();
    copy(dir, windows, i64::try_from(bytes.div_ceil(stats.chunk_bytes)).unwrap());
}

fn chunk_bytes(dir: &Path) -> i64 {
    let connection = rusqlite::Connection::open(dir.join("store.sqlite")).unwrap();
    connection.query_row("SELECT sum(bytes) FROM window", [], |row| row.get(0)).unwrap()
}

/// Puts copies of all `windows` before them, until they are there so many times.
fn copy(dir: &Path, windows: i64, times: i64) {
    let connection = rusqlite::Connection::open(dir.join("store.sqlite")).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -65536").unwrap();
    let columns = [
        ("window", "upto, bytes, samples, series"),
        ("chunk", "series, part, data"),
        ("time", "id, uses, data"),
    ];
    for back in (1..times).rev() {
        let earlier = back * windows;
        for (table, columns) in columns {
            let copy = format!(
                "INSERT INTO {table} (window, {columns}) SELECT window - {earlier}, {columns} \
                 FROM {table} WHERE window > (SELECT max(window) FROM window) - {windows}"
            );
            connection.execute(&copy, []).unwrap();
        }
    }
}

/// Facility-like values as fast as they are taken, for ever; tells the bytes of the log.
fn load(dir: &Path, series: u32) {
    let mut store = Store::open(dir, &Options::default()).unwrap();
    let mut facility = Facility::new(series);
    let reader = store.reader();
    let first = store.ack(&agent(), 1).upto + 1;
    let mut now = store.latest_reception().as_millis();
    for seq in first.. {
        now += STEP_MILLIS;
        let readings = facility.step(now).map(reading).collect();
        store.commit(&[incoming(seq, now, readings)]).unwrap();
        println!("{} {}", seq - first, reader.log_bytes());
    }
}

#[expect(clippy::disallowed_methods, reason = "a measuring command")]
fn clock() -> Instant {
    Instant::now()
}

/// CPU time of this process and its threads, user and system, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}
