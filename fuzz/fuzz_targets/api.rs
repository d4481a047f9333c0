//! The collector's HTTP API: parameters in URLs and forms, and whatever else a request holds. Each is
//! answered, none with an error of our own, and what says that it is JSON is JSON.
//!
//! Over a real connection, because what reads a request is the server's.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use arbitrary::Arbitrary;
use hallwatch_collector::api::{Api, Guarded, RulesForm};
use hallwatch_collector::gaps::Gaps;
use hallwatch_collector::page::Health;
use hallwatch_collector::store::{Options, Store};
use hallwatch_collector::telemetry::Telemetry;
use hallwatch_model::{Ack, Labels, Sample, Timestamp};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// 2026-11-21T16:00:00Z.
const T0: i64 = 1_795_276_800_000;

/// What has parameters, or a part of the path that is one.
const PATHS: [&str; 20] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/series",
    "/api/v1/labels",
    "/api/v1/label/device/values",
    "/api/v1/label/",
    "/api/v1/metadata",
    "/api/v1/format_query",
    "/api/v1/query_exemplars",
    "/api/v1/targets",
    "/api/v1/targets/metadata",
    "/api/v1/rules",
    "/api/v1/rules/explain",
    "/api/v1/alerts",
    "/api/v1/gaps",
    "/api/v1/completeness",
    "/api/v1/admin/tsdb/delete_series",
    "/api/v1/pair/heartbeat",
    "/api/v1/pair/fill",
    "/",
];

const NAMES: [&str; 20] = [
    "query",
    "time",
    "start",
    "end",
    "step",
    "timeout",
    "limit",
    "match[]",
    "metric",
    "type",
    "tenant",
    "site",
    "device",
    "day",
    "alert",
    "lookback_delta",
    "known",
    "points",
    "stats",
    "state",
];

/// Values that are nearly right lead further than random ones.
const VALUES: [&str; 12] = [
    "ups_load_ratio",
    "{site=\"fra-1\"}",
    "sum by (device) (rate(ups_load_ratio[1m]))",
    "ups_load_ratio offset 5m",
    "1795276800",
    "1795276830.25",
    "2026-11-21T16:00:10Z",
    "2026-11-21",
    "15s",
    "1h30m",
    "-1",
    "NaN",
];

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    path: u8,
    more_path: &'a str,
    method: u8,
    of_url: Vec<(Word<'a>, Word<'a>)>,
    of_form: Vec<(Word<'a>, Word<'a>)>,
    /// Put behind them as it is.
    raw: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Word<'a> {
    Known(u8),
    Any(&'a str),
}

impl Word<'_> {
    fn text<'w>(&'w self, known: &[&'w str]) -> &'w str {
        match self {
            Self::Known(at) => known[usize::from(*at) % known.len()],
            Self::Any(text) => text,
        }
    }
}

fn encoded(text: &str) -> String {
    let byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => {
            char::from(*byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.as_bytes().iter().map(byte).collect()
}

fn form(pairs: &[(Word<'_>, Word<'_>)]) -> String {
    let pairs = pairs.iter().take(50).map(|(name, value)| {
        format!("{}={}", encoded(name.text(&NAMES)), encoded(value.text(&VALUES)))
    });
    pairs.collect::<Vec<_>>().join("&")
}

impl Case<'_> {
    fn request(&self) -> Vec<u8> {
        let method = ["GET", "POST", "PUT", "GET", "POST"][usize::from(self.method) % 5];
        let path = PATHS[usize::from(self.path) % PATHS.len()];
        let (more, of_url, of_form) =
            (encoded(self.more_path), form(&self.of_url), form(&self.of_form));
        // A line of the head ends where it is said to.
        let visible = self.raw.iter().copied().filter(|byte| (0x21..0x7f).contains(byte));
        let mut request = format!("{method} {path}{more}?{of_url}").into_bytes();
        request.extend(visible);
        let length = if method == "GET" { 0 } else { of_form.len() + self.raw.len() };
        request.extend(
            format!(
                " HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {length}\r\n\r\n"
            )
            .into_bytes(),
        );
        if method != "GET" {
            request.extend(of_form.as_bytes());
            request.extend(self.raw);
        }
        request
    }
}

struct Server {
    runtime: Runtime,
    address: std::net::SocketAddr,
    connection: Option<TcpStream>,
    // What the handlers read from.
    _store: Store,
    _rules: watch::Sender<Arc<RulesForm>>,
    _health: watch::Sender<Arc<Vec<Health>>>,
    _picture: watch::Sender<Arc<str>>,
}

fn clock() -> Timestamp {
    Timestamp::from_millis(T0 + 30_250)
}

impl Server {
    fn start() -> Self {
        // One, whoever ran before: nothing else tells this program when it ends.
        let folder = std::env::temp_dir().join("hallwatch-fuzz-api");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut store = Store::open(&folder, &Options::default()).unwrap();
        let sample = |device: &str, second: i64| {
            let pairs = [("tenant", "acme"), ("site", "fra-1"), ("device", device)];
            let time = Timestamp::from_millis(T0 + second * 1000);
            (Labels::metric("ups_load_ratio", pairs), Sample { time, value: Ok(second as f64) })
        };
        let samples: Vec<_> = (0..30).flat_map(|at| [sample("a", at), sample("b", at)]).collect();
        store.record(&samples, clock()).unwrap();
        let (rules_sender, rules) = watch::channel(Arc::default());
        let (health_sender, health) = watch::channel(Arc::default());
        let (picture_sender, picture) = watch::channel("".into());
        let archive = Arc::new(store.reader());
        let api = Api::new(archive, rules, health, picture, Telemetry::new().unwrap(), clock);
        let api = api.with_gaps(Gaps::open(&folder, |_, _| Ack::default()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(Guarded::new(listener), api.router()).await });
        Self {
            runtime,
            address,
            connection: None,
            _store: store,
            _rules: rules_sender,
            _health: health_sender,
            _picture: picture_sender,
        }
    }

    /// Status, head and body of the answer.
    fn ask(&mut self, request: &[u8]) -> (u16, String, Vec<u8>) {
        let (address, kept) = (self.address, self.connection.take());
        let (answer, kept) = self.runtime.block_on(async move {
            let mut connection = match kept {
                Some(connection) => connection,
                None => TcpStream::connect(address).await.unwrap(),
            };
            connection.write_all(request).await.unwrap();
            let (mut answer, mut bytes) = (Vec::new(), [0; 4096]);
            loop {
                if let Some((status, head, body)) = whole(&answer) {
                    let ends = head.contains("connection: close") || status == 400;
                    break ((status, head, body), (!ends).then_some(connection));
                }
                let count = connection.read(&mut bytes).await.unwrap();
                assert!(count > 0, "no answer: {}", String::from_utf8_lossy(&answer));
                answer.extend(&bytes[..count]);
            }
        });
        self.connection = kept;
        answer
    }
}

/// Status, head and body, when all of it is there.
fn whole(answer: &[u8]) -> Option<(u16, String, Vec<u8>)> {
    let ends = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..ends]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let body = &answer[ends..];
    if let Some((_, length)) = head.split_once("content-length: ") {
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        return (body.len() >= length).then(|| (status, head, body.to_vec()));
    }
    // In pieces, of which the last is empty; none of these is JSON.
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    body.ends_with(b"0\r\n\r\n").then(|| (status, head, Vec::new()))
}

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(Server::start());
}

fuzz_target!(|case: Case<'_>| {
    let request = case.request();
    let (status, head, body) = SERVER.with_borrow_mut(|server| server.ask(&request));
    assert!(status != 500 && status >= 200, "{status}: {}", String::from_utf8_lossy(&body));
    if head.contains("application/json") && !body.is_empty() {
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok(), "{head}");
    }
});
