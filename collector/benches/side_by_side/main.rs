//! The collector's store beside Debian's VictoriaMetrics and Prometheus: the same samples, the
//! same queries, one after the other, each as a process of its own.
//!
//! `cargo bench -p hallwatch-collector --bench side_by_side [-- SERIES HOURS SECONDS ROUNDS]`: so
//! many series, over so many hours, a sample every so many seconds; each query so many times (20).
//! Prints the table of the README.

#![expect(clippy::print_stdout, reason = "a measuring command")]
#![expect(clippy::unwrap_used, reason = "a measuring command")]

mod facility;
mod http;
mod subject;

use std::time::{Duration, Instant};

use subject::Subject;

/// How often each query is asked, unless told. The best counts; the first is told, too.
const ROUNDS: i64 = 20;

struct Asked {
    title: &'static str,
    query: &'static str,
    /// Hours back, and the step in seconds; `None` for an instant.
    range: Option<(i64, i64)>,
}

const QUERIES: [Asked; 10] = [
    Asked { title: "instant, every series", query: r#"{__name__=~".+"}"#, range: None },
    Asked { title: "instant, sum by room", query: "sum by (room) (power_watts)", range: None },
    Asked { title: "instant, topk", query: "topk(10, power_watts)", range: None },
    Asked {
        title: "instant, rate of counters",
        query: "rate(energy_joules_total[5m])",
        range: None,
    },
    Asked {
        title: "instant, quantile over 1 h",
        query: r#"quantile_over_time(0.95, power_watts{room="hall-0"}[1h])"#,
        range: None,
    },
    Asked {
        title: "instant, join by device",
        query: "power_watts / on (device, rack, room) voltage_volts",
        range: None,
    },
    Asked {
        title: "24 h @ 2 min, 100 series",
        query: r#"temperature_celsius{rack=~"r-[0-9]"}"#,
        range: Some((24, 120)),
    },
    Asked {
        title: "1 h @ 15 s, average over 5 min",
        query: r#"avg_over_time(power_watts{room="hall-0"}[5m])"#,
        range: Some((1, 15)),
    },
    Asked {
        title: "1 h @ 15 s, sum by room",
        query: "sum by (room) (power_watts)",
        range: Some((1, 15)),
    },
    Asked {
        title: "6 h @ 1 min, rate, sum by rack",
        query: r#"sum by (rack) (rate(energy_joules_total{room=~"hall-[01]"}[5m]))"#,
        range: Some((6, 60)),
    },
];

struct Measured {
    name: &'static str,
    per_cpu_second: f64,
    per_second: f64,
    resident: f64,
    peak: f64,
    bytes: f64,
    queries: Vec<Times>,
}

/// How long a query takes, and how many series it gives.
struct Times {
    first: Option<Duration>,
    best: Duration,
    count: usize,
}

fn main() {
    if subject::serve_if_child() {
        return;
    }
    let numbers: Vec<i64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let series = u32::try_from(number(0, 10_000)).unwrap();
    let (hours, seconds) = (number(1, 24).max(1), number(2, 30).max(1));
    let rounds = number(3, ROUNDS).max(1);
    let end = now() / 60_000 * 60_000 - 60_000;
    let steps = hours * 3_600 / seconds;
    let start = end - (steps - 1) * seconds * 1_000;

    let makers: [fn(&std::path::Path, u32) -> Subject; 3] =
        [Subject::hallwatch, Subject::victoria_metrics, Subject::prometheus];
    let mut all = Vec::new();
    for make in makers {
        let folder = tempfile::tempdir().unwrap();
        let mut subject = make(folder.path(), series);
        eprintln_progress(subject.name);
        all.push(measure(&mut subject, series, steps, (start, seconds * 1_000), rounds));
    }
    let samples = i64::from(series) * steps;
    println!("\n{series} series, {hours} h, a sample every {seconds} s: {samples} samples\n");
    print_table(&all);
    for (i, asked) in QUERIES.iter().enumerate() {
        let counts: Vec<usize> = all.iter().map(|one| one.queries[i].count).collect();
        if counts.iter().any(|count| *count != counts[0]) {
            println!("note: {} gave {counts:?} series", asked.title);
        }
    }
}

fn measure(
    subject: &mut Subject,
    series: u32,
    steps: i64,
    (start, step): (i64, i64),
    rounds: i64,
) -> Measured {
    let mut facility = facility::Facility::new(series);
    let (cpu, mut wall) = (subject.cpu_seconds(), 0.0);
    for i in 0..steps {
        let now = start + i * step;
        let samples: Vec<_> = facility.step(now).collect();
        let from = clock();
        subject.ingest(now, &samples);
        wall += from.elapsed().as_secs_f64();
    }
    subject.settle();
    let cpu = subject.cpu_seconds() - cpu;
    let samples = f64::from(series) * steps as f64;
    let (resident, peak) = (subject.memory("VmRSS:"), subject.memory("VmHWM:"));
    let end = start + steps * step;
    let queries = QUERIES.iter().map(|asked| ask(subject, asked, end, rounds)).collect();
    let bytes = subject.disk_bytes() as f64 / samples;
    Measured {
        name: subject.name,
        per_cpu_second: samples / cpu / 1e6,
        per_second: samples / wall / 1e6,
        resident,
        peak,
        bytes,
        queries,
    }
}

fn ask(subject: &mut Subject, asked: &Asked, end: i64, rounds: i64) -> Times {
    let second = |millis: i64| (millis / 1_000).to_string();
    let mut times = Times { first: None, best: Duration::MAX, count: 0 };
    for _ in 0..rounds {
        let from = clock();
        let body = match asked.range {
            None => subject
                .http
                .form("/api/v1/query", &[("query", asked.query), ("time", &second(end))]),
            Some((hours, step)) => subject.http.form(
                "/api/v1/query_range",
                &[
                    ("query", asked.query),
                    ("start", &second(end - hours * 3_600_000)),
                    ("end", &second(end)),
                    ("step", &step.to_string()),
                ],
            ),
        };
        let took = from.elapsed();
        times.first.get_or_insert(took);
        times.best = times.best.min(took);
        times.count = body.windows(9).filter(|part| *part == b"\"metric\":").count();
    }
    times
}

fn print_table(all: &[Measured]) {
    let row = |title: &str, cell: &dyn Fn(&Measured) -> String| {
        let cells: Vec<String> = all.iter().map(cell).collect();
        println!("| {title} | {} |", cells.join(" | "));
    };
    row("", &|one| one.name.to_owned());
    println!("|---|{}", "---:|".repeat(all.len()));
    row("million samples per CPU second", &|one| format!("{:.2}", one.per_cpu_second));
    row("million samples per second", &|one| format!("{:.2}", one.per_second));
    row("resident after it, MB", &|one| format!("{:.0}", one.resident));
    row("resident at most, MB", &|one| format!("{:.0}", one.peak));
    row("bytes per sample on disk", &|one| format!("{:.3}", one.bytes));
    for (i, asked) in QUERIES.iter().enumerate() {
        row(&format!("{}, ms", asked.title), &|one| milliseconds(one.queries[i].best));
    }
    println!("\nasked for the first time:\n");
    for (i, asked) in QUERIES.iter().enumerate() {
        row(&format!("{}, ms", asked.title), &|one| {
            one.queries[i].first.map_or_else(String::new, milliseconds)
        });
    }
}

fn milliseconds(time: Duration) -> String {
    let time = time.as_secs_f64() * 1e3;
    // What is short is of interest to the hundredth.
    if time < 1.0 { format!("{time:.2}") } else { format!("{time:.1}") }
}

#[expect(clippy::disallowed_methods, reason = "a measuring command")]
fn clock() -> Instant {
    Instant::now()
}

fn now() -> i64 {
    hallwatch_collector::clock::now().as_millis()
}

#[expect(clippy::print_stderr, reason = "so that one sees it move")]
fn eprintln_progress(name: &str) {
    eprintln!("measuring {name}");
}
