//! What rules cost: the engine that samples push, and Prometheus and vmalert on VictoriaMetrics (as
//! installed here) on the same series and rules, each evaluating once a second.
//!
//! `cargo bench -p hallwatch-collector --bench rules [-- SERIES RULES [SECONDS_OF_PEERS]]`
//!
//! A tenth of the rules are of each kind (thresholds, rates, windows, sums, joins and so on), each on
//! the ten devices of a rack: a thousand rules read every one of ten thousand series. The
//! CPU time of the peers is that of their processes, scraping and storing included; the engine's is
//! that of its thread, without the store. Prometheus' share of scraping is measured by a run without
//! rules, and told. Latency is from a sample to the firing alert.

#![expect(clippy::print_stdout, reason = "a measuring command")]
#![expect(clippy::unwrap_used, reason = "a measuring command")]
#![expect(clippy::disallowed_methods, reason = "a measuring command")]

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hallwatch_collector::rules::push::Timing;
use hallwatch_collector::rules::{AlertState, Options, PushEngine, load};
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::MemorySource;

const START: i64 = 1_795_276_800_000;

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let series = numbers.first().copied().unwrap_or(10_000);
    let rules = numbers.get(1).copied().unwrap_or(1_000);
    let peers = numbers.get(2).copied().unwrap_or(30);
    println!("{series} series once a second, {rules} rules");
    let own = pushed(series, rules, 0, 180);
    println!("pushed           {}", own.line());
    println!(
        "  memory: {:.0} B per series, {:.0} B per rule, in {} operators with {} rows",
        own.per_series, own.per_rule, own.operators, own.rows
    );
    for unrelated in [100, 1_000, 10_000] {
        let run = pushed(series, 100, unrelated, 60);
        println!(
            "  with 100 rules and {unrelated:>6} unrelated ones: {:.0} ns a sample pushed, {:.0} ns ticks included",
            run.nanos_pushed, run.nanos
        );
    }
    if peers > 0 {
        let base = prometheus(series, 0, peers);
        println!("Prometheus, no rules {}", base.line());
        println!("Prometheus       {}", prometheus(series, rules, peers).line());
        if Command::new("vmalert").arg("-version").output().is_ok() {
            println!("vmalert + VictoriaMetrics {}", victoria(series, rules, peers).line());
        }
    }
}

/// Ten devices of ten metrics to a rack, more or less.
fn labels(number: u32) -> Labels {
    let (device, metric) = (number / 10, number % 10);
    let name =
        if metric < 3 { format!("bench_{metric}_total") } else { format!("bench_{metric}_value") };
    Labels::metric(
        &name,
        [
            ("tenant", "acme"),
            ("site", "fra-1"),
            ("device", &*format!("d{device}")),
            ("rack", &*format!("r{}", device / 10)),
        ],
    )
}

fn value(number: u32, second: u32) -> f64 {
    let noise = f64::from(
        (number.wrapping_mul(2_654_435_761).wrapping_add(second.wrapping_mul(40_503))) % 1000,
    );
    if number % 10 < 3 { f64::from(second) * 3.0 + f64::from(number % 7) } else { noise / 10.0 }
}

fn rule_file(series: u32, rules: u32, unrelated: u32) -> String {
    let mut file = String::from("groups:\n- name: bench\n  interval: 1s\n  rules:\n");
    let racks = (series / 100).max(1);
    for rule in 0..rules {
        // A thousand rules read each of ten thousand series.
        let r = format!("rack=\"r{}\"", (rule / 10) % racks);
        let expr = match rule % 10 {
            0 => format!("rate(bench_0_total{{{r}}}[1m]) > 100"),
            1 => format!("increase(bench_1_total{{{r}}}[1m]) > 100000"),
            2 => format!("absent(bench_2_total{{{r}}})"),
            3 => format!("bench_3_value{{{r}}} > 1000"),
            4 => format!("bench_4_value{{{r}}} > 1000"),
            5 => format!("avg_over_time(bench_5_value{{{r}}}[1m]) > 1000"),
            6 => format!("sum by (tenant, site, rack) (bench_6_value{{{r}}}) > 100000"),
            7 => format!(
                "bench_7_value{{{r}}} > 1000 and on (tenant, site, device) bench_8_value{{{r}}} > 2"
            ),
            8 => format!(
                "bench_8_value{{{r}}} / on (tenant, site, device) bench_3_value{{{r}}} > 1e9"
            ),
            _ => format!("max_over_time(bench_9_value{{{r}}}[1m]) > 1000"),
        };
        writeln!(file, "  - alert: A{rule}\n    expr: {expr}").unwrap();
    }
    for rule in 0..unrelated {
        writeln!(file, "  - alert: U{rule}\n    expr: other_{rule}_value > 1").unwrap();
    }
    writeln!(file, "  - alert: Probe\n    expr: probe_value > 0").unwrap();
    file
}

struct Measured {
    cpu_per_minute: f64,
    median: Duration,
    worst: Duration,
    nanos: f64,
    nanos_pushed: f64,
    per_series: f64,
    per_rule: f64,
    operators: usize,
    rows: usize,
}

impl Measured {
    fn line(&self) -> String {
        format!(
            "{:8.3} CPU s a minute; sample to alert: median {:?}, p99 {:?}",
            self.cpu_per_minute, self.median, self.worst
        )
    }
}

fn percentile(times: &mut [Duration], part: usize) -> Duration {
    times.sort_unstable();
    times
        .get((times.len() * part / 100).min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn pushed(series: u32, rules: u32, unrelated: u32, seconds: u32) -> Measured {
    let set = load(&[("bench.yaml", &rule_file(series, rules, unrelated))]).unwrap();
    let options = Options::default();
    let mut engine = PushEngine::new(set, Vec::new(), options, Timing::default());
    let mut handles: Vec<_> = (0..series).map(|number| engine.resolve(&labels(number))).collect();
    for number in 0..unrelated {
        engine.resolve(&Labels::metric(&format!("other_{number}_value"), []));
    }
    let probe_labels = Labels::metric("probe_value", [("site", "fra-1"), ("tenant", "acme")]);
    let mut probe = engine.resolve(&probe_labels);
    let source = MemorySource::new();
    let warm = 70;
    let (mut cpu, mut in_push) = (0.0, Duration::ZERO);
    let mut latencies = Vec::new();
    for second in 0..warm + seconds {
        let counts = second >= warm;
        let from = cpu_seconds("self");
        let time = Timestamp::from_millis(START + i64::from(second) * 1000);
        // A hundred batches, as of a hundred agents.
        let began = Instant::now();
        for batch in
            (0..series).collect::<Vec<_>>().chunks(usize::try_from(series.div_ceil(100)).unwrap())
        {
            for number in batch {
                let sample = Sample { time, value: Ok(value(*number, second)) };
                let handle = &mut handles[usize::try_from(*number).unwrap()];
                if !engine.push(*handle, sample) {
                    *handle = engine.resolve(&labels(*number));
                    assert!(engine.push(*handle, sample));
                }
            }
            engine.look(time, &source);
        }
        if counts {
            in_push += began.elapsed();
        }
        for flip in 0..10 {
            let time = time + Duration::from_millis(10 + flip * 10);
            let began = Instant::now();
            let sample = Sample { time, value: Ok(if flip % 2 == 0 { 1.0 } else { 0.0 }) };
            if !engine.push(probe, sample) {
                probe = engine.resolve(&probe_labels);
                assert!(engine.push(probe, sample));
            }
            let evaluation = engine.look(time, &source);
            let expected = if flip % 2 == 0 { AlertState::Firing } else { AlertState::Resolved };
            assert!(evaluation.transitions.iter().any(|change| change.to == expected));
            latencies.push(began.elapsed());
        }
        engine.tick(time + Duration::from_millis(500), &source);
        if counts {
            cpu += cpu_seconds("self") - from;
        }
    }
    let usage = engine.usage();
    let samples = f64::from(series) * f64::from(seconds);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let per = |bytes: usize, of: u32| bytes as f64 / f64::from(of);
    Measured {
        cpu_per_minute: cpu * 60.0 / f64::from(seconds),
        median: percentile(&mut latencies, 50),
        worst: percentile(&mut latencies, 99),
        nanos: cpu * 1e9 / samples,
        nanos_pushed: in_push.as_secs_f64() * 1e9 / samples,
        per_series: per(usage.memory.series_bytes, series),
        per_rule: per(usage.memory.operator_bytes, rules + unrelated),
        operators: usage.memory.operators,
        rows: usage.memory.rows,
    }
}

/// Serves the series as text; the probe's value is what `raised` says.
fn exposition(series: u32, raised: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let raised = Arc::clone(raised);
    let began = Instant::now();
    let names: Vec<String> = (0..series).map(|number| labels(number).to_string()).collect();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let second = u32::try_from(began.elapsed().as_secs()).unwrap();
            let mut body = String::with_capacity(names.len() * 100);
            for (number, name) in (0..).zip(&names) {
                writeln!(body, "{name} {}", value(number, second)).unwrap();
            }
            writeln!(body, "probe_value {}", u8::from(raised.load(Ordering::Relaxed))).unwrap();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body.as_bytes());
        }
    });
    port
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    let _ = write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

struct Peer(Vec<Child>);

impl Drop for Peer {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(program: &str, args: &[String], dir: &Path) -> Child {
    Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn scrape(port: u16) -> String {
    format!(
        "scrape_configs:\n- job_name: bench\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n"
    )
}

fn prometheus(series: u32, rules: u32, seconds: u32) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let raised = Arc::new(AtomicBool::new(false));
    let port = exposition(series, &raised);
    let config =
        format!("global:\n  evaluation_interval: 1s\nrule_files: [rules.yaml]\n{}", scrape(port));
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    std::fs::write(dir.path().join("rules.yaml"), rule_file(series, rules, 0)).unwrap();
    let own = free_port();
    let args = [format!("--web.listen-address=127.0.0.1:{own}"), "--storage.tsdb.path=data".into()];
    let peer = Peer(vec![spawn("prometheus", &args, dir.path())]);
    watch(&peer, own, &raised, seconds)
}

fn victoria(series: u32, rules: u32, seconds: u32) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let raised = Arc::new(AtomicBool::new(false));
    let port = exposition(series, &raised);
    std::fs::write(dir.path().join("scrape.yml"), scrape(port)).unwrap();
    std::fs::write(dir.path().join("rules.yaml"), rule_file(series, rules, 0)).unwrap();
    let (store, alert) = (free_port(), free_port());
    let store_args = [
        format!("-httpListenAddr=127.0.0.1:{store}"),
        "-storageDataPath=data".into(),
        "-promscrape.config=scrape.yml".into(),
        "-search.latencyOffset=0s".into(),
    ];
    let store_process = spawn("victoria-metrics", &store_args, dir.path());
    std::thread::sleep(Duration::from_secs(3));
    let alert_args = [
        format!("-httpListenAddr=127.0.0.1:{alert}"),
        format!("-datasource.url=http://127.0.0.1:{store}"),
        "-rule=rules.yaml".into(),
        "-evaluationInterval=1s".into(),
        "-notifier.blackhole".into(),
        format!("-remoteWrite.url=http://127.0.0.1:{store}"),
    ];
    let peer = Peer(vec![store_process, spawn("vmalert", &alert_args, dir.path())]);
    watch(&peer, alert, &raised, seconds)
}

/// Lets it run, takes its CPU time, then raises the probe a few times and waits for the alert.
fn watch(peer: &Peer, port: u16, raised: &AtomicBool, seconds: u32) -> Measured {
    let cpu = || peer.0.iter().map(|child| cpu_seconds(&child.id().to_string())).sum::<f64>();
    std::thread::sleep(Duration::from_secs(10));
    let (from, began) = (cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(u64::from(seconds)));
    let cpu_per_minute = (cpu() - from) * 60.0 / began.elapsed().as_secs_f64();
    let mut latencies = Vec::new();
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(1_500 + round * 130));
        raised.store(true, Ordering::Relaxed);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if get(port, "/api/v1/alerts").contains("Probe") {
                latencies.push(began.elapsed());
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        raised.store(false, Ordering::Relaxed);
    }
    Measured {
        cpu_per_minute,
        median: percentile(&mut latencies, 50),
        worst: percentile(&mut latencies, 99),
        nanos: 0.0,
        nanos_pushed: 0.0,
        per_series: 0.0,
        per_rule: 0.0,
        operators: 0,
        rows: 0,
    }
}

/// CPU time of a process so far; of a second there are a hundred ticks.
fn cpu_seconds(process: &str) -> f64 {
    if process == "self" {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos: f64 = text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0.0);
        return nanos / 1e9;
    }
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let field =
        |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (field(11) + field(12)) / 100.0
}
