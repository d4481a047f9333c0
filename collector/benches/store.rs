//! What the store costs: samples per CPU second, bytes per sample on disk, resident memory, and
//! the time of some queries, under facility-like values of many series.
//!
//! `cargo bench -p hallwatch-collector --bench store [-- SERIES STEPS [SAMPLES]]`
//!
//! Each commit takes a step of all series; with SAMPLES, about so many: of many series a part, of
//! few series several steps. So that different numbers of series differ in nothing else.

#![expect(clippy::print_stdout, reason = "a measuring command")]
#![expect(clippy::unwrap_used, reason = "a measuring command")]

use std::time::{Duration, Instant};

use hallwatch_collector::store::{Incoming, Options, Store};
use hallwatch_model::{
    AgentPath, Batch, Describe, Id, Labels, Reading, Readings, SeriesId, Timestamp,
};
use hallwatch_promql::{Limits, Matchers, Query, Select, Source as _, instant, range};

const START: i64 = 1_795_276_800_000;
const STEP_MILLIS: i64 = 10_000;

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let series = numbers.first().copied().unwrap_or(10_000);
    let steps = numbers.get(1).copied().unwrap_or(1_000);
    let each = numbers.get(2).copied().unwrap_or(series).max(1);
    let dir = tempfile::tempdir().unwrap();
    let id = |text| Id::new(text).unwrap();
    let agent = AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") };
    let mut store = Store::open(dir.path(), &Options::default()).unwrap();
    for (part, ids) in (0..series).collect::<Vec<_>>().chunks(2_000).enumerate() {
        let series = ids.iter().map(|id| (SeriesId(*id), labels(*id))).collect();
        let part = u32::try_from(part).unwrap();
        store
            .describe(&agent, &Describe { dictionary: 1, part, series, ..Describe::default() })
            .unwrap();
    }

    let mut sources: Vec<Walk> = (0..series).map(Walk::new).collect();
    let (mut cpu, mut wall, mut slowest, mut dearest) = (0.0, 0.0, Duration::ZERO, 0.0f64);
    let (mut incoming, mut waiting, mut seq, mut commits) = (Vec::new(), 0, 0, 0);
    for step in 0..steps {
        let now = START + i64::from(step) * STEP_MILLIS;
        let received = Timestamp::from_millis(now);
        for part in sources.chunks_mut(each as usize) {
            let readings: Vec<Reading> = part.iter_mut().map(|walk| walk.reading(now)).collect();
            waiting += readings.len();
            seq += 1;
            let batch = Batch {
                boot: 1,
                seq,
                oldest: 1,
                watermark: received,
                backfill: false,
                sender: 0,
                readings: Readings { dictionary: 1, readings, ..Readings::default() },
            };
            incoming.push(Incoming { agent: agent.clone(), batch, received });
            if waiting < each as usize && step + 1 < steps {
                continue;
            }
            let (from, before) = (clock(), cpu_seconds());
            store.commit(&incoming).unwrap();
            let cost = cpu_seconds() - before;
            cpu += cost;
            dearest = dearest.max(cost);
            wall += from.elapsed().as_secs_f64();
            slowest = slowest.max(from.elapsed());
            incoming.clear();
            (waiting, commits) = (0, commits + 1);
        }
    }
    let samples = f64::from(series) * f64::from(steps);
    let stats = store.reader().stats();
    println!("{series} series x {steps} steps of 10 s = {samples} samples, {commits} commits");
    println!("ingest    {:.2} M samples per CPU second", samples / cpu / 1e6);
    println!("          {:.2} M samples per second, synced", samples / wall / 1e6);
    println!("          slowest commit {slowest:.2?}, dearest {dearest:.3} CPU seconds");
    println!("head      {:.1} MB", stats.head_bytes as f64 / 1e6);
    println!("resident  {:.1} MB, at most {:.1} MB", status("VmRSS:"), status("VmHWM:"));

    queries(&store, series, START + i64::from(steps - 1) * STEP_MILLIS);

    drop(store);
    let (from, before) = (clock(), cpu_seconds());
    let mut store = Store::open(dir.path(), &Options::default()).unwrap();
    let (took, cpu) = (from.elapsed(), cpu_seconds() - before);
    let log = store.reader().stats().log_bytes as f64 / 1e6;
    println!(
        "reopened  in {took:.1?}, {cpu:.1} CPU seconds of one thread, with {log:.1} MB of log"
    );
    let before = cpu_seconds();
    store.flush_all().unwrap();
    let stats = store.reader().stats();
    println!("flushed   the rest in {:.2} CPU seconds", cpu_seconds() - before);
    println!(
        "on disk   {:.3} bytes per sample in {} windows",
        stats.chunk_bytes as f64 / stats.chunk_samples as f64,
        stats.windows
    );
    drop(store);
    let file = std::fs::metadata(dir.path().join("store.sqlite")).unwrap().len();
    println!("file      {:.3} bytes per sample, free pages and series included", {
        file as f64 / samples
    });
}

const KINDS: [&str; 5] = [
    "temperature_celsius",
    "power_watts",
    "ups_on_battery",
    "voltage_volts",
    "energy_joules_total",
];

fn labels(id: u32) -> Labels {
    let name = KINDS[id as usize % KINDS.len()];
    let (device, rack) = (format!("d-{}", id / 5), format!("r-{}", id / 50));
    let room = format!("hall-{}", id / 1_000);
    Labels::metric(name, [("device", &*device), ("rack", &*rack), ("room", &*room)])
}

/// A value that moves as such values do.
struct Walk {
    id: u32,
    random: u64,
    value: i64,
}

impl Walk {
    fn new(id: u32) -> Self {
        let random = (u64::from(id) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { id, random, value: i64::from(id % 97) }
    }

    fn reading(&mut self, now: i64) -> Reading {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let noise = (self.random >> 40) as i64;
        let value = match self.id % 5 {
            // Slow, in tenths: moves every tenth time or so.
            0 => {
                self.value += i64::from(noise % 20 == 0) - i64::from(noise % 20 == 1);
                (200 + self.value) as f64 / 10.0
            }
            // Noisy integers.
            1 => (4_000 + self.value * 10 + noise % 64) as f64,
            // A state.
            2 => f64::from(u8::from(noise % 5_000 == 0)),
            // Noisy, in tenths.
            3 => (2_300 + noise % 16) as f64 / 10.0,
            // A counter.
            _ => {
                self.value += 40_000 + noise % 640;
                self.value as f64
            }
        };
        // The device answers a few milliseconds after it was asked.
        let time = Timestamp::from_millis(now + noise % 8);
        Reading { series: SeriesId(self.id), time, value: Ok(value) }
    }
}

fn queries(store: &Store, series: u32, end: i64) {
    let reader = store.reader();
    let time = |from: &dyn Fn() -> usize| {
        let mut best = Duration::MAX;
        let mut count = 0;
        for _ in 0..5 {
            let start = clock();
            count = from();
            best = best.min(start.elapsed());
        }
        (best, count)
    };
    let at = Timestamp::from_millis(end);
    let all = Matchers::parse(r#"{__name__=~".+"}"#).unwrap();
    let one = Matchers::parse(r#"power_watts{device="d-7"}"#).unwrap();
    let rooms = Matchers::parse(r#"power_watts{room=~"hall-.*",rack!="r-3"}"#).unwrap();
    let select = |matchers: &Matchers, back: Duration| {
        let request = Select::new(matchers, at - back, at);
        reader.select(&request).unwrap().iter().map(|series| series.times.len()).sum::<usize>()
    };
    let minutes = |m: u64| Duration::from_secs(m * 60);
    for (what, (best, count)) in [
        ("select all, 5 min", time(&|| select(&all, minutes(5)))),
        ("select one, 5 min", time(&|| select(&one, minutes(5)))),
        ("select by regex, 5 min", time(&|| select(&rooms, minutes(5)))),
        ("select all, everything", time(&|| select(&all, minutes(60 * 24 * 365)))),
    ] {
        println!("query     {what}: {count} samples in {best:.2?}");
    }
    let limits = Limits::default();
    for text in [r#"{__name__=~".+"}"#, "sum by (room) (power_watts)", "power_watts"] {
        let query = Query::parse(text).unwrap();
        let (best, _) = time(&|| instant(&query, at, &reader, &limits).unwrap().samples_read);
        println!("query     instant {text} over {series} series: {best:.2?}");
    }
    let query = Query::parse(r#"avg_over_time(power_watts{room="hall-0"}[5m])"#).unwrap();
    let (best, count) = time(&|| {
        let (start, step) = (at - minutes(120), Duration::from_secs(15));
        range(&query, start, at, step, &reader, &limits).unwrap().samples_read
    });
    println!("query     2 h @15 s avg_over_time[5m], 200 series: {count} samples in {best:.2?}");
}

#[expect(clippy::disallowed_methods, reason = "a measuring command")]
fn clock() -> Instant {
    Instant::now()
}

/// CPU time of this process, user and system, from the scheduler's nanoseconds of its threads.
fn cpu_seconds() -> f64 {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        total += text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9;
    }
    total
}

fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e3
}
