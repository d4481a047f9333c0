//! Asking a collector on this machine over HTTP; one that does not run is stood in for by its
//! store, behind the same API on a port of its own.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_collector::api::{Api, Guarded};
use hallwatch_collector::store::{Options, Store};
use hallwatch_collector::telemetry::Telemetry;
use hallwatch_collector::{Config, clock};
use hallwatch_model::chain;

/// Answers take no longer: a query may take 2 minutes.
const PATIENCE: Duration = Duration::from_secs(150);
/// Answers are no longer.
const MOST_BYTES: u64 = 1 << 30;

/// Who is asked.
pub(super) struct Client {
    address: SocketAddr,
    /// What stands in for a collector that does not run.
    _stand_in: Option<StandIn>,
}

struct StandIn {
    _runtime: tokio::runtime::Runtime,
    _store: Store,
}

impl Client {
    /// The collector, when it runs.
    pub(super) fn running(config: &Config) -> Option<Self> {
        let ip = match config.listen.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        let address = SocketAddr::new(ip, config.listen.port());
        TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
        Some(Self { address, _stand_in: None })
    }

    /// The collector when it runs, otherwise its store, of which nothing is changed.
    pub(super) fn any(config: &Config) -> Result<Self, String> {
        match Self::running(config) {
            Some(client) => Ok(client),
            None => Self::stand_in(config),
        }
    }

    fn stand_in(config: &Config) -> Result<Self, String> {
        if !config.data.join("store.sqlite").exists() {
            let data = config.data.display();
            return Err(format!("no collector runs, and there is no store in {data}"));
        }
        let store = Store::open(&config.data, &Options::default()).map_err(|e| chain(&e))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let telemetry = Telemetry::new().map_err(|error| error.to_string())?;
        let api = Api::new(
            Arc::new(store.reader()),
            tokio::sync::watch::Sender::new(Arc::default()).subscribe(),
            tokio::sync::watch::Sender::new(Arc::default()).subscribe(),
            tokio::sync::watch::Sender::new("".into()).subscribe(),
            telemetry,
            clock::now,
        );
        let bound = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = bound.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        runtime.spawn(async { axum::serve(Guarded::new(listener), api.router()).await });
        Ok(Self { address, _stand_in: Some(StandIn { _runtime: runtime, _store: store }) })
    }

    /// Where it is asked.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gets `path`.
    pub(super) fn get(&self, path: &str) -> Result<serde_json::Value, String> {
        self.send(&format!("GET {path} HTTP/1.0\r\n"), "").map(|(_, body)| body)
    }

    /// Posts a form; gives the head of the answer, too.
    pub(super) fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<(String, serde_json::Value), String> {
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let head =
            format!("POST {path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        self.send(&head, &fields.join("&"))
    }

    fn send(&self, head: &str, body: &str) -> Result<(String, serde_json::Value), String> {
        let exchange = || {
            let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let (host, length) = (self.address, body.len());
            let request = format!("{head}Host: {host}\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            stream.take(MOST_BYTES).read_to_end(&mut answer)?;
            std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = exchange()
            .map_err(|error| format!("the collector at {} is silent: {error}", self.address))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is cut off")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        let body = match body {
            "" => serde_json::Value::Null,
            text => serde_json::from_str(text)
                .map_err(|_| format!("the collector answers {status}, and no JSON"))?,
        };
        if !status.starts_with('2') {
            let error = body.get("error").and_then(serde_json::Value::as_str);
            return Err(error.map_or_else(|| format!("refused with {status}"), str::to_owned));
        }
        Ok((head.to_owned(), body))
    }
}

pub(super) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
