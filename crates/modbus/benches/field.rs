//! What reading costs: `cargo bench -p hallwatch-modbus [-- SECONDS]`.
//!
//! Side by side with `tokio-modbus` used naively (no timeout, no checks, one connection, one read
//! after the other), in one run against one server; every measurement is a process of its own, so
//! that processor time and memory are those of the client alone. The server is a process, too.
#![expect(clippy::unwrap_used, reason = "a benchmark ends when something is wrong")]
#![expect(clippy::print_stdout, reason = "its result is a table")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::env::{args, current_exe};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hallwatch_modbus::plan::{Limits, Plan, Span, plan};
use hallwatch_modbus::{Client, Data, Options, Read, Table, TcpEndpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant as Tick, sleep_until};
use tokio_modbus::client::{Context, Reader, tcp};

const READS: u32 = 20_000;
const DEVICES: u64 = 500;
const REGISTERS: u16 = 40;

/// The same number of registers as a device has them: in groups, with a gap small enough to read
/// along and one that is not.
fn device() -> Plan {
    let groups = [100..116, 118..130, 400..412];
    let points: Vec<Span> = groups
        .into_iter()
        .flatten()
        .map(|address| Span { table: Table::HoldingRegisters, address, width: 1 })
        .collect();
    assert_eq!(points.len(), usize::from(REGISTERS));
    plan(&points, &Limits { hole: 8, ..Limits::default() }).unwrap()
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve"] => serve().await,
        ["ours", "reads", address, _] => our_reads(address).await,
        ["naive", "reads", address, _] => naive_reads(address).await,
        ["ours", "fleet", address, seconds] => {
            fleet(address, seconds, |_| Client::tcp(TcpEndpoint::new(address), Options::default()))
                .await;
        }
        ["naive", "fleet", address, seconds] => {
            let mut contexts = Vec::new();
            for _ in 0..DEVICES {
                contexts.push(tcp::connect(address.parse().unwrap()).await.unwrap());
            }
            fleet(address, seconds, |_| contexts.pop().unwrap()).await;
        }
        [] => table("15"),
        [seconds, ..] => table(seconds),
    }
}

/// Runs every measurement and prints what it says.
fn table(seconds: &str) {
    let (mut server, address) = start(&["serve"]);
    println!(
        "{:<7} {:>9} {:>22}   one connection, {READS} reads of {REGISTERS} registers",
        "client", "reads/s", "us CPU/1000 registers"
    );
    for client in ["naive", "ours", "naive", "ours"] {
        let (mut child, line) = start(&[client, "reads", &address, seconds]);
        println!("{client:<7} {line}");
        child.wait().unwrap();
    }
    println!();
    println!(
        "{:<7} {:>9} {:>9} {:>7} {:>9} {:>14} {:>9}   {DEVICES} connections, {REGISTERS} registers each every second, {seconds} s",
        "client", "CPU %", "RSS MB", "polls", "late > 1s", "requests/cycle", "least"
    );
    for client in ["naive", "ours"] {
        let (mut child, line) = start(&[client, "fleet", &address, seconds]);
        println!("{client:<7} {line}");
        child.wait().unwrap();
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

/// This program with other arguments, and the line that it prints.
fn start(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(current_exe().unwrap())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim_end().to_owned())
}

/// How many holding registers were asked for so far; input registers hold it.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Answers every read of holding registers with their addresses, one of input registers with the
/// number of those reads.
async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    while let Ok((mut stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut request = [0; 12];
            let mut answer = Vec::new();
            while stream.read_exact(&mut request).await.is_ok() {
                let [t1, t2, _, _, _, _, unit, function, a1, a2, c1, c2] = request;
                let (address, count) = (u16::from_be_bytes([a1, a2]), u16::from_be_bytes([c1, c2]));
                let bytes = u8::try_from(count * 2).unwrap();
                answer.clear();
                answer.extend([t1, t2, 0, 0, 0, bytes + 3, unit, function, bytes]);
                if function == 4 {
                    assert_eq!(count, 4);
                    answer.extend(REQUESTS.load(Ordering::Relaxed).to_be_bytes());
                } else {
                    REQUESTS.fetch_add(1, Ordering::Relaxed);
                    answer.extend((address..address + count).flat_map(u16::to_be_bytes));
                }
                stream.write_all(&answer).await.unwrap();
            }
        });
    }
}

/// Processor time of this process so far, user and system, in steps of 10 ms.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Resident memory in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// One question, and its answer looked at.
trait Ask: Send + 'static {
    fn ask(&mut self, read: &Read) -> impl Future<Output = ()> + Send;
}

impl Ask for Client {
    async fn ask(&mut self, read: &Read) {
        let data = self.read(1, read).await.unwrap();
        let all = read.address()..read.address() + read.count();
        assert_eq!(data, Data::Registers(all.collect()));
    }
}

impl Ask for Context {
    async fn ask(&mut self, read: &Read) {
        let (from, count) = (read.address(), read.count());
        let data = self.read_holding_registers(from, count).await.unwrap().unwrap();
        assert!(data.into_iter().eq(from..from + count));
    }
}

/// How many questions the server has heard.
async fn requests(address: &str) -> u64 {
    let read = Read::new(Table::InputRegisters, 0, 4).unwrap();
    let mut client = Client::tcp(TcpEndpoint::new(address), Options::default());
    let Data::Registers(words) = client.read(1, &read).await.unwrap() else { panic!() };
    words.iter().fold(0, |sum, word| sum << 16 | u64::from(*word))
}

async fn our_reads(address: &str) {
    reads(Client::tcp(TcpEndpoint::new(address), Options::default())).await;
}

async fn naive_reads(address: &str) {
    reads(tcp::connect(address.parse().unwrap()).await.unwrap()).await;
}

async fn reads(mut client: impl Ask) {
    let read = Read::new(Table::HoldingRegisters, 100, REGISTERS).unwrap();
    client.ask(&read).await;
    let (start, before) = (Instant::now(), processor());
    for _ in 0..READS {
        client.ask(&read).await;
    }
    let (took, used) = (start.elapsed(), processor() - before);
    let registers = f64::from(READS) * f64::from(REGISTERS);
    println!(
        "{:>9.0} {:>22.1}",
        f64::from(READS) / took.as_secs_f64(),
        used.as_secs_f64() * 1e9 / registers
    );
}

/// Polls all devices every second, spread over the second, with the reads of the planner.
async fn fleet<A: Ask>(address: &str, seconds: &str, mut client: impl FnMut(u64) -> A) {
    let cycles: u64 = seconds.parse().unwrap();
    let reads = device().reads;
    let least = DEVICES * u64::try_from(reads.len()).unwrap();
    let heard = requests(address).await;
    let mut tasks = JoinSet::new();
    // The first second is for connecting.
    let start = Tick::now() + Duration::from_secs(1);
    let mut before = Duration::ZERO;
    for device in 0..DEVICES {
        let mut client = client(device);
        let slot = start + Duration::from_millis(device * 1000 / DEVICES);
        let reads = reads.clone();
        tasks.spawn(async move {
            for read in &reads {
                client.ask(read).await;
            }
            let mut late = 0u64;
            for cycle in 0..cycles {
                sleep_until(slot + Duration::from_secs(cycle)).await;
                for read in &reads {
                    client.ask(read).await;
                }
                late += (slot + Duration::from_secs(cycle)).elapsed().as_secs();
            }
            late
        });
        if device == DEVICES - 1 {
            sleep_until(start).await;
            before = processor();
        }
    }
    sleep_until(start + Duration::from_secs(cycles) - Duration::from_millis(500)).await;
    let memory = resident();
    let late: u64 = tasks.join_all().await.into_iter().sum();
    let used = processor() - before;
    let share = used.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    // With the one that connects.
    let asked = (requests(address).await - heard) as f64 / (cycles + 1) as f64;
    assert!((asked - least as f64).abs() < f64::EPSILON, "{asked} requests, {least} are enough");
    let polls = cycles * DEVICES;
    println!("{share:>9.2} {memory:>9.1} {polls:>7} {late:>9} {asked:>14} {least:>9}");
}
