//! What the journal costs: `cargo bench -p hallwatch-agent --bench journal [-- short]`.
//!
//! Every measurement is a process of its own, so that processor time, memory and writes are those
//! of the journal alone. The peer in the same run is the physical limit: the same bytes appended to
//! a plain file and synced. Bytes written are those that the kernel counts for the process, in
//! pages; where a file system can be mounted (as root), also those that arrive at a block device,
//! the journal of the file system included.
#![expect(clippy::unwrap_used, reason = "a benchmark ends when something is wrong")]
#![expect(clippy::print_stdout, reason = "its result is a table")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::collections::BTreeMap;
use std::env::{args, current_exe};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant, SystemTime};

use hallwatch_agent::config::JournalBounds;
use hallwatch_agent::io::journal::{Append, Command, Entry, Journal, Machine, Opened, Told};
use hallwatch_agent::outbox::{Earlier, Order, Outbox, Pace};
use hallwatch_model::wire::{encode_journalled, encode_readings};
use hallwatch_model::{Ack, Batch, Id, Reading, Readings, SeriesId, Timestamp, Uptime};
use tokio::sync::mpsc::Receiver;

/// Points of a usual site, read every second.
const POINTS: u32 = 425;
/// The same for a large one.
const MANY: u32 = 10_000;
/// Entries of a day, one a second.
const DAY: u64 = 24 * 60 * 60;
const START: i64 = 1_795_276_800_000;
const BOUNDS: JournalBounds = JournalBounds {
    max_bytes: 1 << 40,
    max_age: Duration::from_secs(366 * 24 * 60 * 60),
    keep: Duration::ZERO,
};

/// How much is measured.
struct Size {
    /// Entries of an append or drain measurement.
    entries: u64,
    /// Entries of a measurement in the rhythm of life.
    live: u64,
    /// Entries of a day's backlog.
    day: u64,
    /// Bytes of the large journal.
    large: u64,
}

const FULL: Size = Size { entries: 20_000, live: 2_000, day: DAY, large: 1_000_000_000 };
const SHORT: Size = Size { entries: 500, live: 50, day: 500, large: 10_000_000 };

fn main() {
    let arguments: Vec<String> = args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["append", at, points, entries] => append(Path::new(at), number(points), number(entries)),
        ["file", at, points, entries] => file(Path::new(at), number(points), number(entries)),
        ["live", at, points, entries] => live(Path::new(at), number(points), number(entries)),
        ["fill", at, day, bytes] => fill(Path::new(at), number(day), number(bytes)),
        ["open", at] => open(Path::new(at)),
        ["drain", at, entries] => drain(Path::new(at), number(entries)),
        [] => table(&FULL),
        ["short"] => table(&SHORT),
        _ => panic!("{words:?}: nothing but `short` can be said"),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().unwrap()
}

// What is measured, each in a process of its own.

/// What is read in one second at a site with `points` points; slow, noisy and constant values.
fn readings(points: u32, second: u64) -> Readings {
    let value = |point: u32| {
        let step = f64::from((point * 7 + u32::try_from(second % 1_000).unwrap()) % 100);
        match point % 4 {
            0 => 21.0 + step / 10.0,
            1 => 1_000.0 + step * 3.0,
            2 => 1.0,
            _ => 230.0 + step / 100.0,
        }
    };
    let reading = |point: u32| Reading {
        series: SeriesId(point),
        time: at(second) + Duration::from_millis((point / 25).into()),
        value: Ok(value(point)),
    };
    let readings = (0..points).map(reading).collect();
    Readings { dictionary: 9, readings, ..Readings::default() }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START) + Duration::from_secs(second)
}

fn entry(readings: &Readings, second: u64) -> Command {
    let bytes = encode_readings(readings).into();
    let count = readings.readings.len().try_into().unwrap();
    Command::Append(Append {
        series: Vec::new(),
        bytes,
        readings: count,
        time: at(second),
        personal: false,
    })
}

/// Hands over a command, and waits while the queue is full.
fn tell(journal: &Journal, mut command: Command) {
    while let Err(back) = journal.tell(command) {
        command = back;
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Reads away what is told until the end.
fn listen(mut told: Receiver<Told>) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut committed = 0;
        while let Some(told) = told.blocking_recv() {
            committed += u64::from(matches!(told, Told::Committed(_)));
        }
        committed
    })
}

/// Entries as fast as they are taken, encoding included.
fn append(directory: &Path, points: u32, entries: u64) {
    let (journal, told, _) = Journal::open(directory, BOUNDS, &Machine::default()).unwrap();
    let listening = listen(told);
    let seconds: Vec<Readings> = (0..16).map(|second| readings(points, second)).collect();
    let meter = Meter::start();
    for (second, readings) in (0..entries).zip(seconds.iter().cycle()) {
        tell(&journal, entry(readings, second));
    }
    tell(&journal, Command::Stop);
    assert_eq!(listening.join().unwrap(), entries);
    drop(journal);
    meter.report(&[("disk", size(directory))]);
}

/// The peer: a plain file, synced after each entry.
fn file(directory: &Path, points: u32, entries: u64) {
    fs::create_dir_all(directory).unwrap();
    let mut file = File::create(directory.join("plain")).unwrap();
    let seconds: Vec<Readings> = (0..16).map(|second| readings(points, second)).collect();
    let mut took = Vec::new();
    let meter = Meter::start();
    for (_, readings) in (0..entries).zip(seconds.iter().cycle()) {
        let start = Instant::now();
        file.write_all(&encode_readings(readings)).unwrap();
        file.sync_data().unwrap();
        took.push(start.elapsed());
    }
    let [half, most] = percentiles(took);
    meter.report(&[("p50", half), ("p99", most), ("disk", size(directory))]);
}

/// An entry after the other, each acknowledged when it is on the disk, as in usual operation.
fn live(directory: &Path, points: u32, entries: u64) {
    let (journal, mut told, opened) =
        Journal::open(directory, BOUNDS, &Machine::default()).unwrap();
    let collector = Id::new("c-1").unwrap();
    let mut outbox = Outbox::new(Pace::default(), vec![collector.clone()], opened.boot, Vec::new());
    let mut took = Vec::new();
    let meter = Meter::start();
    for second in 0..entries {
        let command = entry(&readings(points, second), second);
        let start = Instant::now();
        tell(&journal, command);
        let Entry { seq, time, bytes } = committed(&mut told);
        took.push(start.elapsed());
        outbox.committed(seq, time, bytes, time, Uptime::new(Duration::from_secs(second)));
        let ack = Ack { boot: opened.boot, upto: seq, ..Ack::default() };
        for order in outbox.acknowledged(&collector, &ack) {
            tell(&journal, ordered(order));
        }
        if second % 10 == 9 {
            tell(&journal, Command::Trim { now: at(second) });
        }
    }
    tell(&journal, Command::Stop);
    while told.blocking_recv().is_some() {}
    drop(journal);
    let [half, most] = percentiles(took);
    meter.report(&[("p50", half), ("p99", most), ("disk", size(directory))]);
}

fn committed(told: &mut Receiver<Told>) -> Entry {
    loop {
        match told.blocking_recv().unwrap() {
            Told::Committed(entry) => return entry,
            Told::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
}

fn ordered(order: Order) -> Command {
    match order {
        Order::Remember { collector, boot, ranges } => Command::Acked { collector, boot, ranges },
        Order::Done { boot, first, last } => Command::Done { boot, first, last },
        Order::Fetch { boot, first, last } => Command::Fetch { boot, first, last },
        Order::Send(outgoing) => panic!("{outgoing:?}"),
    }
}

/// A backlog: until it has `bytes`; then waits to be killed. Says how much memory it took with
/// `day` entries.
fn fill(directory: &Path, day: u64, bytes: u64) {
    let (journal, told, _) = Journal::open(directory, BOUNDS, &Machine::default()).unwrap();
    listen(told);
    let readings = readings(POINTS, 0);
    let entries = bytes / u64::try_from(encode_readings(&readings).len()).unwrap();
    let meter = Meter::start();
    let mut memory = 0;
    for second in 0..entries.max(day) {
        tell(&journal, entry(&readings, second));
        if second + 1 == day {
            memory = resident();
        }
    }
    // Not the last pages of the queue, but nearly all are on the disk.
    std::thread::sleep(Duration::from_secs(1));
    meter.report(&[("day", memory), ("entries", entries.max(day)), ("disk", size(directory))]);
    std::thread::sleep(Duration::from_secs(3_600));
}

/// A start, until the journal takes entries.
fn open(directory: &Path) {
    let meter = Meter::start();
    let (journal, mut told, opened) =
        Journal::open(directory, BOUNDS, &Machine::default()).unwrap();
    let outbox = outbox(&opened);
    let opening = meter.start.elapsed();
    tell(&journal, entry(&readings(POINTS, 0), DAY * 300));
    committed(&mut told);
    let ready = meter.start.elapsed();
    let backlog = outbox.backlog();
    meter.report(&[("open", micros(opening)), ("ready", micros(ready)), ("backlog", backlog)]);
}

fn outbox(opened: &Opened) -> Outbox {
    let earlier = opened.runs.iter().map(|run| Earlier {
        boot: run.boot,
        first: run.first,
        last: run.last,
        done: run.done.clone(),
        acked: run.acked.clone(),
    });
    let pace = Pace { backlog_rate: 1_000_000, ..Pace::default() };
    let mut outbox =
        Outbox::new(pace, vec![Id::new("c-1").unwrap()], opened.boot, earlier.collect());
    outbox.connected();
    outbox
}

/// The backlog as fast as the agent can read, wrap and let it go, acknowledged at once.
fn drain(directory: &Path, entries: u64) {
    let (journal, mut told, opened) =
        Journal::open(directory, BOUNDS, &Machine::default()).unwrap();
    let (mut outbox, collector) = (outbox(&opened), Id::new("c-1").unwrap());
    let meter = Meter::start();
    let (mut sent, mut millis, mut memory) = (0, 0, 0);
    while sent < entries {
        millis += 50;
        let uptime = Uptime::new(Duration::from_millis(millis));
        let Some(fetch) = outbox.tick(uptime) else { continue };
        tell(&journal, ordered(fetch));
        let (boot, first, last, entries) = loop {
            match told.blocking_recv().unwrap() {
                Told::Fetched { boot, first, last, entries } => break (boot, first, last, entries),
                Told::Failed(error) => panic!("{error}"),
                _ => {}
            }
        };
        let entries = entries.into_iter().map(|one| (one.seq, one.time, one.bytes)).collect();
        for order in outbox.fetched(boot, (first, last), entries, at(DAY * 300), uptime) {
            let Order::Send(out) = order else { panic!("{order:?}") };
            let batch = Batch { boot, seq: out.seq, oldest: out.oldest, ..Batch::default() };
            assert!(encode_journalled(&batch, out.bytes.to_vec()).len() > 1_000);
            sent += 1;
            let ack = Ack { boot, upto: out.seq, ..Ack::default() };
            for order in outbox.acknowledged(&collector, &ack) {
                tell(&journal, ordered(order));
            }
        }
        memory = memory.max(resident());
    }
    tell(&journal, Command::Stop);
    while told.blocking_recv().is_some() {}
    drop(journal);
    meter.report(&[("memory", memory), ("entries", sent)]);
}

// Meters.

struct Meter {
    start: Instant,
    processor: u64,
    written: u64,
}

impl Meter {
    fn start() -> Self {
        Self { processor: processor(), written: written(), start: Instant::now() }
    }

    /// Prints what was used since the start, and `more`, in one line.
    fn report(self, more: &[(&str, u64)]) {
        let wall = micros(self.start.elapsed());
        let processor = (processor() - self.processor) * 1_000;
        let all = [
            ("wall", wall),
            ("processor", processor),
            ("written", written() - self.written),
            ("resident", resident()),
        ];
        let words = all.iter().chain(more).map(|(name, value)| format!("{name}={value}"));
        println!("{}", words.collect::<Vec<_>>().join(" "));
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap()
}

/// Processor time of this process so far in milliseconds, user and system, in steps of ten.
fn processor() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (number::<u64>(fields[11]) + number::<u64>(fields[12])) * 10
}

/// Bytes that this process has made the disk write: pages made dirty.
fn written() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap();
    number(text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap())
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    number(line.split_whitespace().nth(1).unwrap())
}

/// Bytes of all files in a directory.
fn size(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// The middle one and the one that 1 % exceed, in microseconds.
fn percentiles(mut took: Vec<Duration>) -> [u64; 2] {
    took.sort();
    [50, 99].map(|part| micros(took[(took.len() - 1) * part / 100]))
}

// The table.

/// What a measurement printed.
struct Report(BTreeMap<String, u64>);

impl Report {
    fn read(line: &str) -> Self {
        let word = |word: &str| {
            let (name, value) = word.split_once('=').unwrap();
            (name.to_owned(), number(value))
        };
        Self(line.split_whitespace().map(word).collect())
    }

    #[expect(clippy::cast_precision_loss, reason = "none is that large")]
    fn get(&self, name: &str) -> f64 {
        self.0[name] as f64
    }
}

/// Runs this program with other arguments until it has printed a line; then it is killed, as in a
/// power cut, if it has not ended.
fn measure(arguments: &[&str]) -> Report {
    let mut child = Process::new(current_exe().unwrap())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if arguments[0] == "fill" {
        child.kill().unwrap();
    }
    child.wait().unwrap();
    Report::read(&line)
}

/// A file system of its own in a file, if this user may have one.
struct Device {
    image: PathBuf,
    mount: PathBuf,
    /// Such as `loop0`.
    name: String,
}

impl Device {
    fn make(directory: &Path) -> Option<Self> {
        let (image, mount) = (directory.join("image"), directory.join("mount"));
        fs::create_dir_all(&mount).unwrap();
        File::create(&image).unwrap().set_len(256 << 20).unwrap();
        let run = |program: &str, words: &[&str]| {
            let done = Process::new(program)
                .args(words)
                .args([&image])
                .args((program == "mount").then_some(&mount))
                .stderr(Stdio::null())
                .status();
            done.is_ok_and(|status| status.success())
        };
        let mounted = run("mkfs.ext4", &["-qF"]) && run("mount", &["-o", "loop"]);
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let line = mounts.lines().find(|line| line.contains(mount.to_str().unwrap()))?;
        let name = line.strip_prefix("/dev/")?.split(' ').next()?.to_owned();
        mounted.then_some(Self { image, mount, name })
    }

    /// Bytes that were written to it.
    fn written(&self) -> u64 {
        assert!(Process::new("sync").arg("-f").arg(&self.mount).status().unwrap().success());
        let stat = fs::read_to_string(format!("/sys/block/{}/stat", self.name)).unwrap();
        number::<u64>(stat.split_whitespace().nth(6).unwrap()) * 512
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg(&self.mount).status();
        let _ = fs::remove_file(&self.image);
    }
}

fn table(size: &Size) {
    let directory = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    heading();
    appending(&path, size);
    living(&path, directory.path(), size);
    backlog(&path, size);
}

fn heading() {
    let seconds = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let date = Process::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%F"]).output();
    let date = String::from_utf8(date.unwrap().stdout).unwrap();
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism().unwrap();
    println!("{}, {cores} cores, {}", date.trim(), model.unwrap_or("unknown processor"));
}

fn row(what: &str, figures: [String; 3]) {
    let [first, second, third] = figures;
    println!("{what:<41}{first:>13}{second:>13}{third:>13}");
}

fn title(what: &str, columns: [&str; 3]) {
    println!();
    row(what, columns.map(str::to_owned));
}

/// As fast as it goes.
fn appending(path: &dyn Fn(&str) -> String, size: &Size) {
    title("append, as fast as it goes", ["/CPU second", "/second", "B/sample"]);
    for (points, entries) in [(POINTS, size.entries), (MANY, size.entries / 20)] {
        for (mode, name) in [("append", "journal"), ("file", "plain file, synced")] {
            let (at, count, rows) = (path("append"), points.to_string(), entries.to_string());
            let report = measure(&[mode, &at, &count, &rows]);
            let samples = report_samples(points, entries);
            let figures = [
                format!("{:.0}", samples / processor_of(&report) * 1e6),
                format!("{:.0}", samples / report.get("wall") * 1e6),
                format!("{:.1}", report.get("disk") / samples),
            ];
            row(&format!("{name}, entries of {points}"), figures);
            fs::remove_dir_all(at).unwrap();
        }
    }
}

/// In microseconds; it is counted in steps of 10 ms.
fn processor_of(report: &Report) -> f64 {
    report.get("processor").max(10_000.0)
}

#[expect(clippy::cast_precision_loss, reason = "none is that large")]
fn report_samples(points: u32, entries: u64) -> f64 {
    f64::from(points) * entries as f64
}

/// One entry a second, acknowledged.
fn living(path: &dyn Fn(&str) -> String, directory: &Path, size: &Size) {
    title("from append to durable, each acknowledged", ["p50", "p99", ""]);
    let device = Device::make(directory);
    let at = device.as_ref().map_or_else(|| path("live"), |_| path("mount/live"));
    let mut wear = Vec::new();
    for points in [POINTS / 4, POINTS, MANY] {
        for (mode, name) in [("live", "journal"), ("file", "plain file, synced")] {
            let (count, rows) = (points.to_string(), size.live.to_string());
            let before = device.as_ref().map(Device::written);
            let report = measure(&[mode, &at, &count, &rows]);
            let written = device.as_ref().map(Device::written);
            fs::remove_dir_all(&at).unwrap();
            let samples = report_samples(points, size.live);
            let millis = |name: &str| format!("{:.2} ms", report.get(name) / 1e3);
            let process = report.get("written") / samples;
            let name = format!("{name}, entries of {points}");
            row(&name, [millis("p50"), millis("p99"), String::new()]);
            let device = written.zip(before).map(|(after, before)| after - before);
            wear.push((name, process, device, samples));
        }
    }
    title("bytes written per sample", ["by process", "at device", ""]);
    for (name, process, device, samples) in wear {
        #[expect(clippy::cast_precision_loss, reason = "none is that large")]
        let device = device.map(|bytes| format!("{:.1}", bytes as f64 / samples));
        row(&name, [format!("{process:.1}"), device.unwrap_or("-".to_owned()), String::new()]);
    }
}

/// A backlog that nobody took yet.
fn backlog(path: &dyn Fn(&str) -> String, size: &Size) {
    let (empty, full) = (path("empty"), path("full"));
    let (day, large) = (size.day.to_string(), size.large.to_string());
    let fill = measure(&["fill", &full, &day, &large]);
    title("a journal with a backlog", ["empty", "full", ""]);
    let megabytes = |kibibytes: f64| format!("{:.1} MB", kibibytes / 1e3 * 1.024);
    let entries = fill.get("entries");
    row("entries of 425 samples", ["0".to_owned(), format!("{entries:.0}"), String::new()]);
    let disk = format!("{:.0} MB", fill.get("disk") / 1e6);
    row("on disk", ["-".to_owned(), disk, String::new()]);
    row(
        "resident, being filled, a day's backlog",
        ["-".to_owned(), megabytes(fill.get("day")), String::new()],
    );
    row(
        "resident, being filled, at the end",
        ["-".to_owned(), megabytes(fill.get("resident")), String::new()],
    );
    let cold = |at: &str| {
        // What of it the kernel holds in memory goes.
        let file = format!("if={at}/journal.sqlite");
        let words = [file.as_str(), "iflag=nocache", "count=0", "status=none"];
        let _ = Process::new("dd").args(words).status();
    };
    let first = measure(&["open", &empty]);
    cold(&full);
    let opened = measure(&["open", &full]);
    let again = [measure(&["open", &empty]), measure(&["open", &full])];
    assert!(opened.get("backlog") > entries * 0.9, "{}", opened.get("backlog"));
    let millis = |report: &Report, name: &str| format!("{:.0} ms", report.get(name) / 1e3);
    let name = "start after kill -9, cold, to first entry";
    row(name, [millis(&first, "ready"), millis(&opened, "ready"), String::new()]);
    let name = "start again, warm, to first entry";
    row(name, [millis(&again[0], "ready"), millis(&again[1], "ready"), String::new()]);
    let memory = [megabytes(first.get("resident")), megabytes(opened.get("resident"))];
    let [small, more] = memory;
    row("resident after the start", [small, more, String::new()]);
    let drained = measure(&["drain", &full, &size.entries.to_string()]);
    row(
        "resident at most while it drains",
        ["-".to_owned(), megabytes(drained.get("memory")), String::new()],
    );
    title("drain, as fast as it goes", ["/CPU second", "/second", "B/sample"]);
    let samples = drained.get("entries") * f64::from(POINTS);
    let figures = [
        format!("{:.0}", samples / processor_of(&drained) * 1e6),
        format!("{:.0}", samples / drained.get("wall") * 1e6),
        format!("{:.1}", drained.get("written") / samples),
    ];
    row("samples read, wrapped, let go", figures);
}
