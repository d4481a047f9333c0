//! Peers of an agent: a mosquitto, Modbus devices, a model of a collector.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_link::{Backoff, Event, Message, Options, Publisher, open};
use hallwatch_model::wire::{decode_batch, decode_describe, decode_status, encode_ack};
use hallwatch_model::{
    Ack, AgentPath, Batch, Event as DoorEvent, Id, Labels, SeriesId, Status, Topic, TopicKind,
    Value,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until `check` gives something.
pub(crate) async fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if let Some(found) = check() {
            return found;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain for {what}");
}

/// A mosquitto that ends with the test.
pub(crate) struct Broker {
    directory: TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n");
        fs::write(directory.path().join("mosquitto.conf"), text).unwrap();
        let mut broker = Self { directory, port, child: None };
        broker.restart();
        broker
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("mosquitto is needed: apt-get install mosquitto");
        let child = Command::new(program)
            .arg("-c")
            .arg(self.directory.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        for _ in 0..500 {
            if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("mosquitto does not listen");
    }

    pub(crate) fn options(&self, client_id: &str) -> Options {
        let (first, most) = (Duration::from_millis(50), Duration::from_millis(200));
        let backoff = Backoff { first, most };
        Options { backoff, ..Options::new("127.0.0.1", self.port, client_id) }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The registers of a device; those that are not set are zero.
#[derive(Default)]
pub(crate) struct Registers {
    pub(crate) holding: HashMap<u16, u16>,
    /// How often any were read.
    pub(crate) reads: u32,
    pub(crate) silent: bool,
}

/// A Modbus TCP server with one device.
#[derive(Clone)]
pub(crate) struct Device(pub(crate) Arc<Mutex<Registers>>);

impl Device {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let device = Self(Arc::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = device.clone();
        tokio::spawn(async move {
            let connected = |stream, from: SocketAddr| {
                let device = served.clone();
                async move { accept_tcp_connection(stream, from, |_| Ok(Some(device.clone()))) }
            };
            Server::new(listener).serve(&connected, |_| ()).await
        });
        (device, address)
    }

    /// Sets the float of two registers from `address` on, the high word first.
    pub(crate) fn set_float(&self, address: u16, value: f32) {
        let bits = value.to_bits();
        let mut registers = self.0.lock().unwrap();
        registers.holding.insert(address, u16::try_from(bits >> 16).unwrap());
        registers.holding.insert(address + 1, u16::try_from(bits & 0xffff).unwrap());
    }

    pub(crate) fn set_silent(&self, silent: bool) {
        self.0.lock().unwrap().silent = silent;
    }
}

impl Service for Device {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Result<Response, ExceptionCode>> + Send>>;

    fn call(&self, asked: SlaveRequest<'static>) -> Self::Future {
        let mut registers = self.0.lock().unwrap();
        let Request::ReadHoldingRegisters(from, count) = asked.request else {
            return Box::pin(future::ready(Err(ExceptionCode::IllegalFunction)));
        };
        registers.reads += 1;
        if registers.silent {
            return Box::pin(future::pending());
        }
        let all = (from..from + count).map(|at| registers.holding.get(&at).copied());
        let values = all.map(Option::unwrap_or_default).collect();
        Box::pin(future::ready(Ok(Response::ReadHoldingRegisters(values))))
    }
}

/// What a model collector holds.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) describes: HashMap<(u64, SeriesId), Labels>,
    /// By boot and number.
    pub(crate) batches: BTreeMap<(u64, u64), Batch>,
    pub(crate) duplicates: u64,
    /// Boot and number of each that was new, in the order in which they came.
    pub(crate) arrivals: Vec<(u64, u64)>,
    pub(crate) status: Option<Status>,
    /// The boots, in the order in which they were first heard of.
    pub(crate) boots: Vec<u64>,
    pub(crate) silent: bool,
    /// Acknowledgements that could not be queued.
    pub(crate) unsent: u64,
}

impl Held {
    /// All values of a series, by time: `name` with a label for each of `labels`.
    pub(crate) fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<Value> {
        let mut found = Vec::new();
        for ((_, _), batch) in &self.batches {
            for reading in &batch.readings.readings {
                let key = (batch.readings.dictionary, reading.series);
                let Some(series) = self.describes.get(&key) else { continue };
                let matches = series.name() == Some(name)
                    && labels.iter().all(|(name, value)| series.get(name) == Some(value));
                if matches {
                    found.push((reading.time, reading.value));
                }
            }
        }
        found.sort_by_key(|(time, _)| *time);
        found.into_iter().map(|(_, value)| value).collect()
    }

    pub(crate) fn last(&self, name: &str, labels: &[(&str, &str)]) -> Option<Value> {
        self.values(name, labels).last().copied()
    }

    pub(crate) fn events(&self) -> Vec<DoorEvent> {
        self.batches.values().flat_map(|batch| batch.readings.events.clone()).collect()
    }

    fn numbers(&self, boot: u64) -> Vec<u64> {
        self.batches.range((boot, 0)..=(boot, u64::MAX)).map(|((_, n), _)| *n).collect()
    }

    /// Whether of each boot every number from 1 to the last is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.boots.iter().all(|boot| self.numbers(*boot).into_iter().zip(1..).all(|(n, i)| n == i))
    }

    /// Asserts that of each boot every number from 1 on is there.
    pub(crate) fn assert_whole(&self) {
        for boot in &self.boots {
            let numbers = self.numbers(*boot);
            let count = u64::try_from(numbers.len()).unwrap();
            assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "boot {boot:x}");
        }
    }
}

/// A collector that holds everything in memory and acknowledges it.
pub(crate) struct Collector {
    pub(crate) held: Arc<Mutex<Held>>,
    publisher: Publisher,
    task: JoinHandle<()>,
}

impl Collector {
    pub(crate) fn start(broker: &Broker, name: &str) -> Self {
        let held: Arc<Mutex<Held>> = Arc::default();
        let subscriptions = Topic::collector_filters().to_vec();
        let (publisher, mut events) =
            open(Options { subscriptions, ..broker.options(&format!("collector-{name}")) });
        let (kept, acks, name) = (held.clone(), publisher.clone(), Id::new(name).unwrap());
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let Event::Message(message) = event else { continue };
                let mut held = kept.lock().unwrap();
                if let Some((agent, ack)) = held.take(&message) {
                    let topic = Topic { agent, kind: TopicKind::Ack(name.clone()) }.to_string();
                    let payload = encode_ack(&ack).into();
                    let message = Message { topic, payload, retain: false };
                    held.unsent += u64::from(acks.try_publish(message).is_err());
                }
            }
        });
        Self { held, publisher, task }
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Held) -> T) -> T {
        read(&self.held.lock().unwrap())
    }

    pub(crate) fn set_silent(&self, silent: bool) {
        self.held.lock().unwrap().silent = silent;
    }

    /// Waits until `check` gives something.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        mut check: impl FnMut(&Held) -> Option<T>,
    ) -> T {
        until(what, || self.read(&mut check)).await
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Held {
    fn take(&mut self, message: &Message) -> Option<(AgentPath, Ack)> {
        let topic = Topic::parse(&message.topic)?;
        match topic.kind {
            TopicKind::Describe(_) => {
                let describe = decode_describe(&message.payload).unwrap();
                for (id, labels) in describe.series {
                    let before = self.describes.insert((describe.dictionary, id), labels.clone());
                    assert!(before.is_none_or(|before| before == labels), "an id was reused");
                }
                None
            }
            TopicKind::Status => {
                let status = decode_status(&message.payload).unwrap();
                // By the answer a new run learns the time.
                let greeted = (status.online && !message.retain && !self.silent)
                    .then(|| (topic.agent, self.ack(status.boot)));
                self.status = Some(status);
                greeted
            }
            TopicKind::Data => {
                let batch = decode_batch(&message.payload).unwrap();
                if self.silent {
                    return None;
                }
                let dictionary = batch.readings.dictionary;
                let known = |id| self.describes.contains_key(&(dictionary, id));
                let known = batch.readings.readings.iter().all(|reading| known(reading.series));
                let boot = batch.boot;
                if !self.boots.contains(&boot) {
                    self.boots.push(boot);
                }
                if known {
                    let key = (boot, batch.seq);
                    if self.batches.insert(key, batch).is_some() {
                        self.duplicates += 1;
                    } else {
                        self.arrivals.push(key);
                    }
                }
                Some((topic.agent, Ack { describe: !known, ..self.ack(boot) }))
            }
            TopicKind::Ack(_) => None,
        }
    }

    /// What is here of a run.
    fn ack(&self, boot: u64) -> Ack {
        let numbers = self.batches.range((boot, 0)..=(boot, u64::MAX)).map(|((_, n), _)| *n);
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        let whole = ranges.first().filter(|(first, _)| *first == 1).copied();
        let upto = whole.map_or(0, |(_, last)| last);
        let beyond = ranges.into_iter().filter(|(first, _)| *first > upto).collect();
        let time = hallwatch_agent::io::clock::Clock::start().time();
        Ack { boot, upto, beyond, time, ..Ack::default() }
    }
}

/// An agent as a process of its own.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(config: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_hallwatch-agent"))
            .args(["run", "--config"])
            .arg(config)
            .env("RUST_LOG", "warn")
            .spawn()
            .unwrap();
        Self { child }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with a configuration in it.
pub(crate) struct Site {
    pub(crate) directory: TempDir,
    pub(crate) text: String,
}

impl Site {
    pub(crate) fn new(broker: &Broker, devices: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let text = format!(
            "[agent]\nid = \"gw-1\"\ntenant = \"acme\"\nsite = \"fra-1\"\ndata = \"{}\"\n\
             collectors = [\"c-1\"]\n[broker]\nurl = \"mqtt://127.0.0.1:{}\"\n{devices}",
            directory.path().join("data").display(),
            broker.port
        );
        Self { directory, text }
    }

    pub(crate) fn file(&self) -> PathBuf {
        let path = self.directory.path().join("agent.toml");
        fs::write(&path, &self.text).unwrap();
        path
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.directory.path().join("data/journal.sqlite")
    }
}
