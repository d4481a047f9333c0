//! The brokers, each on a free loopback port, and what every test does with a connection.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use hallwatch_link::{Backoff, Error, Event, Events, Message, Options, Publisher, open};
use rumqttd::{ConnectionSettings, RouterConfig, ServerSettings};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A process that listens on a port and ends with the test.
#[derive(Default)]
struct Server(Option<Child>);

impl Server {
    fn kill(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// kill -9 if it runs, then starts the program of a Debian package, and waits until it listens.
    fn restart(&mut self, name: &str, config: &Path, port: u16) {
        self.kill();
        let log_path = config.with_extension("log");
        let log = fs::File::create(&log_path).unwrap();
        let program = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
            .into_iter()
            .map(|directory| Path::new(directory).join(name))
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("{name} is needed: apt-get install {name}"));
        let mut command = Command::new(program);
        command.arg("-c").arg(config).stdout(Stdio::null()).stderr(log);
        self.0 = Some(command.spawn().unwrap());
        assert!(listens(port), "{name}: {}", fs::read_to_string(log_path).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until somebody listens on `port`.
fn listens(port: u16) -> bool {
    (0..2_000).any(|_| {
        let connected = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        if !connected {
            std::thread::sleep(Duration::from_millis(10));
        }
        connected
    })
}

/// A mosquitto, which speaks MQTT 5 and 3.1.1.
pub(crate) struct Mosquitto {
    directory: TempDir,
    pub(crate) port: u16,
    server: Server,
}

impl Mosquitto {
    pub(crate) fn start(configuration: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let mut broker = Self { directory, port: free_port(), server: Server::default() };
        let text = format!("listener {} 127.0.0.1\n{configuration}\n", broker.port);
        fs::write(broker.config(), text).unwrap();
        broker.restart();
        broker
    }

    pub(crate) fn plain() -> Self {
        Self::start("allow_anonymous true\nuser root")
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("mosquitto.conf")
    }

    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    pub(crate) fn restart(&mut self) {
        self.server.restart("mosquitto", &self.config(), self.port);
    }

    pub(crate) fn options(&self, client_id: &str) -> Options {
        options(self.port, client_id)
    }
}

/// A single NATS server with its MQTT listener, which speaks 3.1.1 only.
pub(crate) struct Nats {
    _directory: TempDir,
    pub(crate) port: u16,
    _server: Server,
}

impl Nats {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let config = directory.path().join("nats.conf");
        let text = format!(
            "server_name: n1\nlisten: \"127.0.0.1:-1\"\n\
             jetstream {{ store_dir: {:?} }}\n\
             mqtt {{ listen: \"127.0.0.1:{port}\" }}\n",
            directory.path().join("store")
        );
        fs::write(&config, text).unwrap();
        let mut server = Server::default();
        server.restart("nats-server", &config, port);
        Self { _directory: directory, port, _server: server }
    }
}

/// The library that the demo embeds, with a listener for each version. Its threads end with the
/// process: it has no way to stop them.
pub(crate) struct Rumqttd {
    pub(crate) v5: u16,
    pub(crate) v311: u16,
}

pub(crate) static RUMQTTD: LazyLock<Rumqttd> = LazyLock::new(|| {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: 1 << 21,
        max_inflight_count: 500,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = |name: &str, port| {
        let server = ServerSettings {
            name: name.to_owned(),
            listen: (Ipv4Addr::LOCALHOST, port).into(),
            tls: None,
            next_connection_delay_ms: 1,
            connections: connections.clone(),
        };
        Some(HashMap::from([(name.to_owned(), server)]))
    };
    let router = RouterConfig {
        max_connections: 100,
        max_outgoing_packet_count: 200,
        max_segment_size: 10 << 20,
        max_segment_count: 10,
        custom_segment: None,
        initialized_filters: None,
        ..RouterConfig::default()
    };
    let ports = Rumqttd { v5: free_port(), v311: free_port() };
    let (v5, v4) = (server("v5", ports.v5), server("v4", ports.v311));
    let config = rumqttd::Config { id: 0, router, v5, v4, ..rumqttd::Config::default() };
    std::thread::spawn(move || rumqttd::Broker::new(config).start().unwrap());
    assert!(listens(ports.v5) && listens(ports.v311));
    ports
});

pub(crate) fn options(port: u16, client_id: &str) -> Options {
    Options { backoff: QUICK, ..Options::new("127.0.0.1", port, client_id) }
}

const QUICK: Backoff =
    Backoff { first: Duration::from_millis(50), most: Duration::from_millis(200) };

pub(crate) fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        retain: false,
    }
}

pub(crate) async fn next(events: &mut Events) -> Event {
    timeout(PATIENCE, events.next()).await.expect("an event in time").expect("an open connection")
}

pub(crate) async fn connected(events: &mut Events) {
    loop {
        if let Event::Connected { .. } = next(events).await {
            return;
        }
    }
}

pub(crate) async fn received(events: &mut Events) -> Message {
    loop {
        if let Event::Message(message) = next(events).await {
            return message;
        }
    }
}

pub(crate) async fn failed(options: Options) -> Error {
    let (_publisher, mut events) = open(options);
    match next(&mut events).await {
        Event::Disconnected { error } => error,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn subscriber(options: Options, filter: &str) -> (Publisher, Events) {
    open(Options { subscriptions: vec![filter.into()], ..options })
}

/// Until everything is sent and the goodbye is said.
pub(crate) async fn closed(publisher: Publisher, mut events: Events) {
    drop(publisher);
    while timeout(PATIENCE, events.next()).await.expect("an end in time").is_some() {}
}

/// Connects, and goes without a word: a runtime that is dropped closes its sockets as a killed
/// process does.
pub(crate) fn connect_and_vanish(options: Options) {
    let vanish = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ends = runtime.block_on(async {
            let (publisher, mut events) = open(options);
            connected(&mut events).await;
            (publisher, events)
        });
        drop(runtime);
        drop(ends);
    };
    std::thread::spawn(vanish).join().unwrap();
}
