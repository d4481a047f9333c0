//! Prometheus, and VictoriaMetrics with vmalert, each scraping the same text once a second.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::facility::{Bounds, labels, rule_file, value};
use super::process::{Measured, cpu_seconds};

/// How often the alert is raised whose latency is measured.
const RAISED: u64 = 10;

/// Serves the series as text; the probe's value is what `raised` says.
fn exposition(series: u32, raised: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let raised = Arc::clone(raised);
    let began = Instant::now();
    let names: Vec<String> = (0..series).map(|number| labels(number, series).to_string()).collect();
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
        .unwrap_or_else(|error| panic!("{program}: {error}; apt-get install {program}"))
}

fn scrape(port: u16) -> String {
    format!(
        "scrape_configs:\n- job_name: bench\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n"
    )
}

/// A number that counts evaluations, or scrapes where there are no rules.
struct Counter {
    port: u16,
    name: &'static str,
}

impl Counter {
    fn read(&self) -> f64 {
        let text = get(self.port, "/metrics");
        let lines = text.lines().filter(|line| line.starts_with(self.name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

pub(crate) fn prometheus(series: u32, rules: u32, seconds: u32) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let raised = Arc::new(AtomicBool::new(false));
    let port = exposition(series, &raised);
    let files = if rules > 0 { "rule_files: [rules.yaml]\n" } else { "" };
    let config = format!("global:\n  evaluation_interval: 1s\n{files}{}", scrape(port));
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    std::fs::write(dir.path().join("rules.yaml"), rule_file(rules, 0, Bounds::Far)).unwrap();
    let port = free_port();
    let args = [
        // Debian's would read the one of the system.
        "--config.file=prometheus.yml".into(),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--storage.tsdb.path=data".into(),
    ];
    let peer = Peer(vec![spawn("prometheus", &args, dir.path())]);
    let name = if rules > 0 {
        "prometheus_rule_evaluation_duration_seconds_count"
    } else {
        "prometheus_target_interval_length_seconds_count"
    };
    let expected = if rules > 0 { f64::from(rules + 1) } else { 1.0 };
    watch(&peer, (port, rules > 0), &raised, seconds, (&Counter { port, name }, expected))
}

pub(crate) fn victoria(series: u32, rules: u32, seconds: u32) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let raised = Arc::new(AtomicBool::new(false));
    let port = exposition(series, &raised);
    std::fs::write(dir.path().join("scrape.yml"), scrape(port)).unwrap();
    std::fs::write(dir.path().join("rules.yaml"), rule_file(rules, 0, Bounds::Far)).unwrap();
    let (store, alert) = (free_port(), free_port());
    let store_args = [
        format!("-httpListenAddr=127.0.0.1:{store}"),
        "-storageDataPath=data".into(),
        "-promscrape.config=scrape.yml".into(),
        "-promscrape.maxScrapeSize=64MB".into(),
        "-search.latencyOffset=0s".into(),
    ];
    let mut peer = Peer(vec![spawn("victoria-metrics", &store_args, dir.path())]);
    if rules == 0 {
        let counter = Counter { port: store, name: "vm_promscrape_scrapes_total" };
        return watch(&peer, (store, false), &raised, seconds, (&counter, 1.0));
    }
    std::thread::sleep(Duration::from_secs(3));
    let alert_args = [
        format!("-httpListenAddr=127.0.0.1:{alert}"),
        format!("-datasource.url=http://127.0.0.1:{store}"),
        "-rule=rules.yaml".into(),
        "-evaluationInterval=1s".into(),
        // Nobody is there to be told: this version cannot do without.
        "-notifier.url=http://127.0.0.1:1".into(),
        format!("-remoteWrite.url=http://127.0.0.1:{store}"),
    ];
    peer.0.push(spawn("vmalert", &alert_args, dir.path()));
    let counter = Counter { port: alert, name: "vmalert_execution_total" };
    watch(&peer, (alert, true), &raised, seconds, (&counter, f64::from(rules + 1)))
}

/// Lets it run, takes its CPU time, then raises the probe a few times and waits for the alert.
fn watch(
    peer: &Peer,
    (port, alerts): (u16, bool),
    raised: &AtomicBool,
    seconds: u32,
    (counter, expected): (&Counter, f64),
) -> Measured {
    let cpu = || peer.0.iter().map(|child| cpu_seconds(child.id())).sum::<f64>();
    std::thread::sleep(Duration::from_secs(15));
    let (counted, from, began) = (counter.read(), cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(u64::from(seconds)));
    let took = began.elapsed().as_secs_f64();
    let cpu = (cpu() - from) * 60.0 / took;
    let kept_up = (counter.read() - counted) / expected / took;
    let mut latencies = Vec::new();
    for round in 0..if alerts { RAISED } else { 0 } {
        std::thread::sleep(Duration::from_millis(1_500 + round * 130));
        raised.store(true, Ordering::Relaxed);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if get(port, "/api/v1/alerts").contains("Probe") {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        latencies.push(began.elapsed());
        raised.store(false, Ordering::Relaxed);
    }
    Measured { cpu, latencies, kept_up, ..Measured::default() }
}
