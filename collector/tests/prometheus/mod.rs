//! Debian's Prometheus beside a collector's API over a real store, both holding the same samples.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hallwatch_collector::api::{Api, Guarded, RulesForm};
use hallwatch_collector::store::{Options, Store};
use hallwatch_collector::telemetry::Telemetry;
use hallwatch_model::sample::from_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// When the samples begin: a whole hour.
pub(crate) const T0: i64 = 1_699_999_200_000;

/// Prometheus' staleness marker, as it travels.
pub(crate) const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Prometheus 3 leaves the sample out that is as old as the look-back; Prometheus 2 takes it. A
/// millisecond less makes the older one choose the same samples.
const LOOKBACK: &str = "--query.lookback-delta=299999ms";

/// A series with its samples: milliseconds and values.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    /// Its labels, the name among them.
    pub labels: Labels,
    /// Its samples, by time.
    pub points: Vec<(i64, f64)>,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status code.
    pub status: u16,
    /// The body; null when it is no JSON.
    pub body: Json,
}

/// The two servers, as long as it lives.
pub(crate) struct Pair {
    /// `http://…` of the collector's API.
    pub ours: String,
    /// `http://…` of Prometheus.
    pub theirs: String,
    store: Store,
    _prometheus: Process,
    _rules: watch::Sender<Arc<RulesForm>>,
    _folder: tempfile::TempDir,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn clock() -> Timestamp {
    Timestamp::from_millis(T0 + 7_200_000)
}

impl Pair {
    /// Starts both and gives both `data`, whose series must be sorted: ties are broken by order.
    pub(crate) async fn start(data: &[Timeline]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), &Options::default()).unwrap();
        let (rules_sender, rules) = watch::channel(Arc::new(RulesForm::default()));
        let (_, health) = watch::channel(Arc::new(Vec::new()));
        let (_, picture) = watch::channel("".into());
        let telemetry = Telemetry::new().unwrap();
        let archive = Arc::new(store.reader());
        let api = Api::new(archive, rules, health, picture, telemetry, clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(Guarded::new(listener), api.router()).await });

        let (prometheus, theirs) = prometheus(folder.path());
        wait_until_ready(&theirs).await;
        let mut pair = Self {
            ours,
            theirs,
            store,
            _prometheus: prometheus,
            _rules: rules_sender,
            _folder: folder,
        };
        pair.record(data).await;
        pair
    }

    /// Gives both these samples.
    pub(crate) async fn record(&mut self, data: &[Timeline]) {
        let samples: Vec<(Labels, Sample)> = data
            .iter()
            .flat_map(|timeline| timeline.points.iter().map(move |point| (timeline, point)))
            .map(|(timeline, (time, value))| {
                let time = Timestamp::from_millis(*time);
                (timeline.labels.clone(), Sample { time, value: from_float(*value) })
            })
            .collect();
        self.store.record(&samples, clock()).unwrap();
        remote_write(&self.theirs, data).await;
    }
}

/// Starts Prometheus on a free port, which it tells.
fn prometheus(folder: &Path) -> (Process, String) {
    let config = folder.join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .args(["--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0"])
        .args(["--web.enable-remote-write-receiver", LOOKBACK])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("prometheus is needed: apt-get install prometheus");
    let mut process = Process(child);
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let address = loop {
        let Some(Ok(line)) = lines.next() else { panic!("prometheus ended:\n{said}") };
        if line.contains("msg=\"Listening on\"") {
            break line.rsplit("address=").next().unwrap().trim().to_owned();
        }
        said.push_str(&line);
        said.push('\n');
    };
    // A full pipe would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    (process, format!("http://{address}"))
}

static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap()
});

async fn wait_until_ready(base: &str) {
    for _ in 0..600 {
        if let Ok(answer) = CLIENT.get(format!("{base}/-/ready")).send().await
            && answer.status().is_success()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("prometheus does not get ready");
}

/// Prometheus takes staleness markers by remote write only. Everything goes in one request: later
/// ones must not begin an hour before what is there, and series are numbered as they come.
async fn remote_write(base: &str, data: &[Timeline]) {
    let mut message = Vec::new();
    for timeline in data {
        let mut series = Vec::new();
        for label in &timeline.labels {
            let mut pair = Vec::new();
            field(&mut pair, 1, label.name.as_bytes());
            field(&mut pair, 2, label.value.as_bytes());
            field(&mut series, 1, &pair);
        }
        for (time, value) in &timeline.points {
            let mut sample = vec![1 << 3 | 1];
            sample.extend(value.to_bits().to_le_bytes());
            sample.push(2 << 3);
            varint(&mut sample, time.cast_unsigned());
            field(&mut series, 2, &sample);
        }
        field(&mut message, 1, &series);
    }
    let answer = CLIENT
        .post(format!("{base}/api/v1/write"))
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(snappy(&message))
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A length-delimited protobuf field.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The form of a Snappy block, nothing compressed.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 1000 + 16);
    varint(&mut out, bytes.len() as u64);
    for literal in bytes.chunks(1 << 16) {
        out.push(61 << 2);
        out.extend(u16::try_from(literal.len() - 1).unwrap().to_le_bytes());
        out.extend_from_slice(literal);
    }
    out
}

/// `name=value&…`, everything escaped that could be taken for something else.
pub(crate) fn form(parameters: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let one = |byte: u8| {
            if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(one).collect()
    };
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(key, value)| format!("{}={}", escaped(key), escaped(value)))
        .collect();
    pairs.join("&")
}

/// One request: `GET`, with the parameters in the URL, or `POST`, with a form.
pub(crate) async fn ask(
    base: &str,
    method: &str,
    path: &str,
    parameters: &[(&str, &str)],
) -> Reply {
    let request = if method == "POST" {
        CLIENT
            .post(format!("{base}{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(parameters))
    } else {
        let method = method.parse().unwrap();
        CLIENT.request(method, format!("{base}{path}?{}", form(parameters)))
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    Reply { status, body: serde_json::from_str(&text).unwrap_or_default() }
}
