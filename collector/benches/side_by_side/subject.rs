//! The three that are measured, each as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use hallwatch_model::{
    AgentPath, Batch, Describe, Id, Reading, Readings, SeriesId, Timestamp, wire,
};

use crate::{facility, http};

/// Samples in one request, and in one batch.
pub(crate) const TOGETHER: usize = 10_000;
/// Says to the child that it is the one that is measured.
const CHILD: &str = "HALLWATCH_BENCH_STORE";

pub(crate) struct Subject {
    pub(crate) name: &'static str,
    child: Child,
    pub(crate) http: http::Client,
    folder: PathBuf,
    pipe: Option<(ChildStdin, BufReader<ChildStdout>)>,
    wire_labels: Vec<Vec<u8>>,
    sequence: u64,
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn listens(address: SocketAddr, path: &str) {
    for _ in 0..300 {
        if http::Client::new(address).get(path).is_ok_and(|(status, _)| status == 200) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("nobody listens on {address}");
}

impl Subject {
    pub(crate) fn hallwatch(folder: &Path, series: u32) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap();
        let mut subject = Self::new("Hallwatch", child, address, folder, 0);
        subject.pipe = Some((input, output));
        for (part, ids) in (0..series).collect::<Vec<_>>().chunks(2_000).enumerate() {
            let series = ids.iter().map(|id| (SeriesId(*id), facility::labels(*id))).collect();
            let part = u32::try_from(part).unwrap();
            let describe = Describe { dictionary: 1, part, series, ..Describe::default() };
            subject.frames(b'd', &[wire::encode_describe(&describe)]);
        }
        subject
    }

    pub(crate) fn victoria_metrics(folder: &Path, series: u32) -> Self {
        let address = free_address();
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-storageDataPath={}", folder.display()))
            .arg(format!("-httpListenAddr={address}"))
            .args(["-retentionPeriod=12", "-search.latencyOffset=0s", "-selfScrapeInterval=0"])
            .arg("-search.disableCache");
        let child = quiet(&mut command).spawn().expect("apt-get install victoria-metrics");
        listens(address, "/health");
        Self::new("VictoriaMetrics", child, address, folder, series)
    }

    pub(crate) fn prometheus(folder: &Path, series: u32) -> Self {
        let address = free_address();
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "global: { scrape_interval: 1h }\n").unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--web.enable-remote-write-receiver", "--web.enable-admin-api"])
            .arg("--storage.tsdb.retention.time=1y");
        let child = quiet(&mut command).spawn().expect("apt-get install prometheus");
        listens(address, "/-/ready");
        Self::new("Prometheus", child, address, folder, series)
    }

    fn new(
        name: &'static str,
        child: Child,
        address: SocketAddr,
        folder: &Path,
        series: u32,
    ) -> Self {
        let wire_labels = (0..series).map(|id| http::wire_labels(&facility::labels(id))).collect();
        let folder = folder.to_owned();
        let http = http::Client::new(address);
        Self { name, child, http, folder, pipe: None, wire_labels, sequence: 0 }
    }

    /// Hands over the samples of one step; they are kept, as the subject understands it, when this
    /// returns.
    pub(crate) fn ingest(&mut self, now: i64, samples: &[(u32, i64, f64)]) {
        if self.pipe.is_some() {
            let batches: Vec<Vec<u8>> =
                samples.chunks(TOGETHER).map(|part| self.batch(now, part)).collect();
            self.frames(b'b', &batches);
            return;
        }
        for part in samples.chunks(TOGETHER) {
            let labelled: Vec<_> = part
                .iter()
                .map(|(id, time, value)| (self.wire_labels[*id as usize].clone(), *time, *value))
                .collect();
            let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                           X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
            let message = http::remote_write(&labelled);
            let (status, body) = self.http.post("/api/v1/write", headers, &message).unwrap();
            assert!(status < 300, "{}: {status} {}", self.name, String::from_utf8_lossy(&body));
        }
    }

    fn batch(&mut self, now: i64, samples: &[(u32, i64, f64)]) -> Vec<u8> {
        self.sequence += 1;
        let readings = samples.iter().map(|(id, time, value)| Reading {
            series: SeriesId(*id),
            time: Timestamp::from_millis(*time),
            value: Ok(*value),
        });
        wire::encode_batch(&Batch {
            boot: 1,
            seq: self.sequence,
            oldest: 1,
            watermark: Timestamp::from_millis(now),
            backfill: false,
            readings: Readings {
                dictionary: 1,
                readings: readings.collect(),
                ..Readings::default()
            },
            ..Batch::default()
        })
    }

    /// Sends frames of one kind and waits until they are dealt with.
    fn frames(&mut self, kind: u8, frames: &[Vec<u8>]) {
        let (input, output) = self.pipe.as_mut().unwrap();
        input.write_all(&[kind]).unwrap();
        input.write_all(&(frames.len() as u32).to_le_bytes()).unwrap();
        for frame in frames {
            input.write_all(&(frame.len() as u32).to_le_bytes()).unwrap();
            input.write_all(frame).unwrap();
        }
        input.flush().unwrap();
        let mut done = [0];
        output.read_exact(&mut done).unwrap();
    }

    /// User and system time of the process so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // Hundredths, on every Linux that there is.
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// A line of the process' status, in megabytes.
    pub(crate) fn memory(&self, field: &str) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e3
    }

    /// Makes visible what was handed over.
    pub(crate) fn settle(&mut self) {
        if self.name == "VictoriaMetrics" {
            self.http.get("/internal/force_flush").unwrap();
        }
    }

    /// Has everything written and merged; gives the bytes on disk then.
    pub(crate) fn disk_bytes(&mut self) -> u64 {
        match self.name {
            "Hallwatch" => {
                self.frames(b'f', &[]);
                self.pipe = None;
                self.child.wait().unwrap();
                size(&self.folder)
            }
            "VictoriaMetrics" => {
                for path in ["/internal/force_flush", "/internal/force_merge"] {
                    self.http.get(path).unwrap();
                }
                // The merge runs in the background: until the size stays.
                let mut before = 0;
                for _ in 0..60 {
                    std::thread::sleep(Duration::from_secs(2));
                    let now = size(&self.folder);
                    if now == before {
                        break;
                    }
                    before = now;
                }
                self.stop();
                size(&self.folder)
            }
            _ => {
                // Blocks of everything, without the log that is kept for the newest hours.
                self.http.form("/api/v1/admin/tsdb/snapshot", &[]);
                size(&self.folder.join("data/snapshots"))
            }
        }
    }

    fn stop(&mut self) {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        self.child.wait().unwrap();
    }
}

/// Bytes of all files below.
fn size(folder: &Path) -> u64 {
    let mut total = 0;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    for entry in entries.flatten() {
        // Files may vanish while a merge runs.
        let Ok(data) = entry.metadata() else { continue };
        total += if data.is_dir() { size(&entry.path()) } else { data.len() };
    }
    total
}

/// In the child: the store with the API before it, fed through the pipe.
pub(crate) fn serve_if_child() -> bool {
    let Ok(folder) = std::env::var(CHILD) else { return false };
    serve(Path::new(&folder));
    true
}

fn serve(folder: &Path) {
    use hallwatch_collector::api::{Api, Guarded};
    use hallwatch_collector::store::{Incoming, Options, Store};

    let mut store = Store::open(folder, &Options::default()).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let rules = tokio::sync::watch::Sender::new(std::sync::Arc::default());
    let health = tokio::sync::watch::Sender::new(std::sync::Arc::default());
    let picture = tokio::sync::watch::Sender::new("".into());
    let api = Api::new(
        std::sync::Arc::new(store.reader()),
        rules.subscribe(),
        health.subscribe(),
        picture.subscribe(),
        hallwatch_collector::telemetry::Telemetry::new().unwrap(),
        hallwatch_collector::clock::now,
    );
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let mut output = std::io::stdout();
    writeln!(output, "{}", listener.local_addr().unwrap()).unwrap();
    runtime.spawn(async { axum::serve(Guarded::new(listener), api.router()).await });

    let id = |text| Id::new(text).unwrap();
    let agent = AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") };
    let mut input = std::io::BufReader::new(std::io::stdin());
    let mut kind = [0];
    while input.read_exact(&mut kind).is_ok() {
        let mut length = [0; 4];
        input.read_exact(&mut length).unwrap();
        let frames: Vec<Vec<u8>> = (0..u32::from_le_bytes(length))
            .map(|_| {
                input.read_exact(&mut length).unwrap();
                let mut frame = vec![0; u32::from_le_bytes(length) as usize];
                input.read_exact(&mut frame).unwrap();
                frame
            })
            .collect();
        match kind[0] {
            b'd' => {
                for frame in &frames {
                    store.describe(&agent, &wire::decode_describe(frame).unwrap()).unwrap();
                }
            }
            b'b' => {
                let incoming = frames.iter().map(|frame| {
                    let batch = wire::decode_batch(frame).unwrap();
                    Incoming { agent: agent.clone(), received: batch.watermark, batch }
                });
                store.commit(&incoming.collect::<Vec<_>>()).unwrap();
            }
            _ => store.flush_all().unwrap(),
        }
        output.write_all(b".").unwrap();
        output.flush().unwrap();
    }
}
