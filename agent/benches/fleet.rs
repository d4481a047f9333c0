//! What the whole agent costs: `cargo bench -p hallwatch-agent --bench fleet [-- [short] [plain]]`.
//!
//! The built program, its journal on the disk, a mosquitto, 500 Modbus TCP devices of 40 registers,
//! each with a connection of its own and read every second, and a collector that acknowledges.
//! Devices, broker and collector are other processes, so that processor time and memory, which the
//! kernel counts, are those of the agent alone. Requests are counted where they arrive. It runs with
//! the environment that `deploy/systemd` gives it; `plain` is without.
#![expect(clippy::unwrap_used, reason = "a benchmark ends when something is wrong")]
#![expect(clippy::print_stdout, reason = "its result is a table")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::env::{args, current_exe, temp_dir};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _, stdin};
use std::net::{Ipv4Addr, TcpListener as PortFinder, TcpStream as Knock};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio, id};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hallwatch_agent::io::clock::Clock;
use hallwatch_agent::profile::Profile;
use hallwatch_config::Source;
use hallwatch_link::{Event, Message, Options, Publisher, open};
use hallwatch_model::wire::{decode_batch, decode_status, encode_ack};
use hallwatch_model::{Ack, AgentPath, Id, Status, Topic, TopicKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const DEVICES: u64 = 500;
/// Devices that one process serves: each needs two of its file descriptors.
const SERVED: u64 = 250;
const REGISTERS: usize = 40;
/// As in `deploy/systemd/hallwatch-agent.service`.
const ENVIRONMENT: &[(&str, &str)] = &[("MALLOC_ARENA_MAX", "1")];

/// 40 registers as a device has them: in groups, with a gap small enough to read along and one that
/// is not; each is a sample.
const PROFILE: &str = r#"
manufacturer = "Example"
model = "a rack PDU of 40 outlets"
kind = "pdu"
confidence = "high"
source = ["this benchmark"]

[limits]
max_hole = 8

[defaults]
table = "holding"

[[point]]
name = "first"
address = 100
type = "u16"
scale = 0.01
metric = "pdu_outlet_current_amperes"
repeat = { label = "outlet", count = 16, from = 1, step = 1 }

[[point]]
name = "second"
address = 118
type = "u16"
scale = 0.01
metric = "pdu_outlet_current_amperes"
repeat = { label = "outlet", count = 12, from = 17, step = 1 }

[[point]]
name = "third"
address = 400
type = "u16"
scale = 0.01
metric = "pdu_outlet_current_amperes"
repeat = { label = "outlet", count = 12, from = 29, step = 1 }
"#;

fn main() {
    let arguments: Vec<String> = args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let minute = (Duration::from_secs(20), Duration::from_secs(60));
    let short = (Duration::from_secs(5), Duration::from_secs(5));
    let (times, environment) = match words[..] {
        ["serve"] => return on_one_thread(serve()),
        [] => (minute, ENVIRONMENT),
        ["plain"] => (minute, &[][..]),
        ["short"] => (short, ENVIRONMENT),
        ["short", "plain"] => (short, &[][..]),
        _ => panic!("{words:?}: nothing but `short` and `plain` can be said"),
    };
    let run = measure(times, environment);
    tokio::runtime::Runtime::new().unwrap().block_on(run);
}

fn on_one_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

// The devices.

/// Requests so far.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Says the ports of its devices in one line, then the number of requests after each line that it is
/// told.
async fn serve() {
    let mut ports = Vec::new();
    for _ in 0..SERVED {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        ports.push(listener.local_addr().unwrap().port().to_string());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
    }
    println!("{}", ports.join(" "));
    let asked = tokio::task::spawn_blocking(|| {
        for _ in stdin().lines().map_while(Result::ok) {
            println!("{}", REQUESTS.load(Ordering::Relaxed));
        }
    });
    asked.await.unwrap();
}

/// Answers with a number that depends on the register; that of each second register moves.
async fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let (mut request, mut answer, mut count) = ([0; 12], Vec::new(), 0u16);
    while stream.read_exact(&mut request).await.is_ok() {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        count = count.wrapping_add(7);
        let [t1, t2, _, _, _, _, unit, function, a1, a2, c1, c2] = request;
        let (from, registers) = (u16::from_be_bytes([a1, a2]), u16::from_be_bytes([c1, c2]));
        let bytes = u8::try_from(registers * 2).unwrap();
        answer.clear();
        answer.extend([t1, t2, 0, 0, 0, bytes + 3, unit, function, bytes]);
        let value = |register: u16| register + 1_000 + (register % 2) * (count % 100);
        answer.extend((from..from + registers).map(value).flat_map(u16::to_be_bytes));
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// A process of this program that serves [`SERVED`] devices.
struct Servers {
    process: Running,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Servers {
    /// Starts it, and says at which ports.
    fn start() -> (Self, Vec<String>) {
        let mut child = Command::new(current_exe().unwrap())
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, said) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut servers = Self { process: Running(child), told, said: BufReader::new(said) };
        let ports = servers.line().split_whitespace().map(str::to_owned).collect();
        (servers, ports)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn requests(&mut self) -> u64 {
        self.told.write_all(b"\n").unwrap();
        self.line().parse().unwrap()
    }
}

/// A process that ends with this one.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// What stands behind the agent.

/// A directory that goes at the end.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn mosquitto(directory: &Path) -> (Running, u16) {
    let port = PortFinder::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let file = directory.join("mosquitto.conf");
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n");
    fs::write(&file, text).unwrap();
    let paths = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
    let program = paths.into_iter().find(|path| Path::new(path).exists());
    let child = Command::new(program.expect("mosquitto is needed: apt-get install mosquitto"))
        .arg("-c")
        .arg(file)
        .stderr(Stdio::null())
        .spawn();
    let broker = Running(child.unwrap());
    for _ in 0..500 {
        if Knock::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return (broker, port);
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("mosquitto does not listen");
}

/// What the collector has heard.
#[derive(Clone, Default)]
struct Heard {
    readings: u64,
    missing: u64,
    entries: u64,
    status: Option<Status>,
}

/// Acknowledges every entry at once, and counts.
fn collect(port: u16) -> Arc<Mutex<Heard>> {
    let heard: Arc<Mutex<Heard>> = Arc::default();
    let subscriptions = Topic::collector_filters().to_vec();
    let options = Options { subscriptions, ..Options::new("127.0.0.1", port, "collector") };
    let (publisher, mut events) = open(options);
    let (kept, clock) = (Arc::clone(&heard), Clock::start());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let Event::Message(message) = event else { continue };
            let Some(topic) = Topic::parse(&message.topic) else { continue };
            let mut kept = kept.lock().unwrap();
            match topic.kind {
                // As a collector does: nothing is sent before one has said what time it is.
                TopicKind::Status => {
                    let status = decode_status(&message.payload).unwrap();
                    let ack = Ack { boot: status.boot, time: clock.time(), ..Ack::default() };
                    kept.status = Some(status);
                    acknowledge(&publisher, topic.agent, &ack);
                }
                TopicKind::Data => {
                    let batch = decode_batch(&message.payload).unwrap();
                    let readings = &batch.readings.readings;
                    kept.entries += 1;
                    kept.readings += u64::try_from(readings.len()).unwrap();
                    let missing = readings.iter().filter(|reading| reading.value.is_err()).count();
                    kept.missing += u64::try_from(missing).unwrap();
                    let (boot, upto, time) = (batch.boot, batch.seq, clock.time());
                    acknowledge(
                        &publisher,
                        topic.agent,
                        &Ack { boot, upto, time, ..Ack::default() },
                    );
                }
                TopicKind::Describe(_) | TopicKind::Ack(_) => {}
            }
        }
    });
    heard
}

fn acknowledge(publisher: &Publisher, agent: AgentPath, ack: &Ack) {
    let kind = TopicKind::Ack(Id::new("c-1").unwrap());
    let topic = Topic { agent, kind }.to_string();
    let payload = encode_ack(ack).into();
    publisher.try_publish(Message { topic, payload, retain: false }).unwrap();
}

/// The configuration; `ports` are those of the devices.
fn site(directory: &Path, broker: u16, ports: &[String]) -> PathBuf {
    fs::write(directory.join("pdu.toml"), PROFILE).unwrap();
    let data = directory.join("data");
    let mut text = format!(
        "[agent]\nid = \"gw-1\"\ntenant = \"acme\"\nsite = \"fra-1\"\ndata = {data:?}\n\
         collectors = [\"c-1\"]\n[broker]\nurl = \"mqtt://127.0.0.1:{broker}\"\n"
    );
    for (number, port) in ports.iter().enumerate() {
        write!(
            text,
            "[[device]]\nname = \"pdu-{number}\"\nroom = \"hall-1\"\ninterval = \"1s\"\n\
             modbus_tcp = {{ address = \"127.0.0.1:{port}\", unit = 1, profile = \"./pdu.toml\" }}\n"
        )
        .unwrap();
    }
    let file = directory.join("agent.toml");
    fs::write(&file, text).unwrap();
    file
}

// The agent, as the kernel sees it.

/// Processor time of a process so far, user and system, in milliseconds, in steps of ten.
fn processor(process: u32) -> [u64; 2] {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    [fields[11], fields[12]].map(|ticks| ticks.parse::<u64>().unwrap() * 10)
}

/// A line of its status, in MB, such as `VmRSS`.
fn memory(process: u32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1.024 / 1e3
}

/// Runs the agent in `environment` for `warm`, then measures for `time`.
async fn measure((warm, time): (Duration, Duration), environment: &[(&str, &str)]) {
    let directory = Directory(temp_dir().join(format!("hallwatch-fleet-{}", id())));
    fs::create_dir_all(&directory.0).unwrap();
    let profile = Profile::parse("pdu", &Source::new("pdu.toml", PROFILE));
    let profile = profile.unwrap_or_else(|invalid| panic!("{}", invalid.render(false)));
    assert_eq!(profile.series().len(), REGISTERS);
    let least = DEVICES * u64::try_from(profile.reads().len()).unwrap();
    let (mut servers, mut ports) = (Vec::new(), Vec::new());
    for _ in 0..DEVICES / SERVED {
        let (server, some) = Servers::start();
        servers.push(server);
        ports.extend(some);
    }
    let (_broker, port) = mosquitto(&directory.0).await;
    let heard = collect(port);
    let child = Command::new(env!("CARGO_BIN_EXE_hallwatch-agent"))
        .args(["run", "--config"])
        .arg(site(&directory.0, port, &ports))
        .env("RUST_LOG", "warn")
        .env_remove("MALLOC_ARENA_MAX")
        .envs(environment.iter().copied())
        .spawn();
    let agent = Running(child.unwrap());
    let process = agent.0.id();

    sleep(warm).await;
    let before = heard.lock().unwrap().clone();
    let mut asked = servers.iter_mut().map(Servers::requests).sum::<u64>();
    let (start, mut used) = (Instant::now(), processor(process));
    let mut most: f64 = 0.0;
    while start.elapsed() < time {
        sleep((time - start.elapsed()).min(Duration::from_secs(1))).await;
        most = most.max(memory(process, "VmRSS"));
    }
    for (now, then) in processor(process).into_iter().zip(&mut used) {
        *then = now - *then;
    }
    let seconds = start.elapsed().as_secs_f64();
    asked = servers.iter_mut().map(Servers::requests).sum::<u64>() - asked;
    let after = heard.lock().unwrap().clone();
    drop(agent);
    for server in &mut servers {
        assert!(server.process.0.try_wait().unwrap().is_none());
    }

    let share = |millis: u64| float(millis) / 10.0 / seconds;
    let rate = |count: u64| float(count) / seconds;
    println!("{DEVICES} devices of {REGISTERS} registers, each every second, {seconds:.0} s");
    println!("{:<58}{:>12}", "share of one core (goal 10 %)", percent(share(used[0] + used[1])));
    println!("{:<58}{:>12}", "  of it in the kernel", percent(share(used[1])));
    println!("{:<58}{:>12}", "resident at most (goal 30 MB)", format!("{most:.1} MB"));
    println!("{:<58}{asked:>12.1}", "requests a cycle, at the devices", asked = rate(asked));
    println!("{:<58}{least:>12}", "the planner's least");
    let readings = rate(after.readings - before.readings);
    println!("{:<58}{readings:>12.0}", "readings a second that the collector acknowledged");
    let missing = after.missing - before.missing;
    println!("{:<58}{missing:>12}", "of them missing, in all");
    println!("{:<58}{:>12.1}", "entries a second", rate(after.entries - before.entries));
    if let Some(status) = after.status
        && let Some(each) = status.written_bytes.checked_div(status.written_readings)
    {
        println!("{:<58}{each:>12}", "bytes that the journal wrote for each reading");
    }
}

fn percent(share: f64) -> String {
    format!("{share:.2} %")
}

#[expect(clippy::cast_precision_loss, reason = "none is that large")]
fn float(count: u64) -> f64 {
    count as f64
}
