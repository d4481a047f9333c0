//! The site that faults happen to: who runs where, on which disk.
//!
//! The runner's own namespaces are the data center: a broker and two collectors. The site is a
//! network namespace of its own, with the plant, the witnesses, the sensors' broker and the agent.
//! Between both there is one link, see `relay`. Agent and collectors each have a small disk.
//! Everything is in namespaces of which the runner is the first process: it all ends with it,
//! however it ends.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hallwatch_sim::site::{self, Device};
use tokio::time::Instant;

use super::barrier::Barrier;
use super::plan::{Fault, Who};
use super::relay::{Relay, Shape};
use super::witness;
use crate::pager::now;
use crate::peers::program;
use crate::process::{Process, binary};
use crate::prometheus;
use crate::site::{agent_command, devices};
use crate::wait::wait_for;

const CORE: &str = "core0";
const SITE: &str = "site0";
const CORE_ADDRESS: &str = "10.78.0.1";
const SITE_ADDRESS: &str = "10.78.0.2";
/// What a process that ended by itself waits for before its supervisor starts it again.
const RESTART: Duration = Duration::from_secs(1);
/// So long after a fault of its disk a process may still end because of it.
const EXCUSE: Duration = Duration::from_secs(60);
/// An agent that has run for so long has looked at its clock.
const KNOWS: Duration = Duration::from_secs(3);
/// How long a process may take to end when it is asked to.
const GOODBYE: Duration = Duration::from_secs(20);
/// Collectors.
pub const COLLECTORS: usize = 2;
/// How often the plant's devices are read, in milliseconds.
const INTERVAL: i64 = 1_000;

/// A process that is started again when it ends, as its unit would.
struct Managed {
    name: &'static str,
    command: Box<dyn Fn() -> Command + Send>,
    process: Option<Process>,
    /// Faults that keep it down.
    held: u32,
    restart_at: Option<Instant>,
    excused_until: Option<Instant>,
    started: Option<Instant>,
}

/// Everything that runs.
pub struct Rig {
    directory: PathBuf,
    agent: Managed,
    collectors: [Managed; COLLECTORS],
    broker: Managed,
    witnesses: Managed,
    _plant: Process,
    _sensors: Process,
    _ends: [Process; 2],
    relay: Relay,
    site: Process,
    /// The plant's devices.
    devices: Vec<Device>,
    half_open: Option<Barrier>,
    /// By how many seconds the agent's clock shall be wrong.
    clock: i64,
    /// When the agent was stopped: from, to, in milliseconds.
    pub frozen: Vec<(i64, i64)>,
    /// When the agent's disk took no writes: from, to, in milliseconds.
    pub undurable: Vec<(i64, i64)>,
    /// Processes that ended without reason.
    pub ended: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "the runner's own patience")]
fn present() -> Instant {
    Instant::now()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn set_clock(directory: &Path, seconds: i64) {
    // At once: half a number would be another step.
    let (file, new) = (directory.join("clock"), directory.join("clock.new"));
    let text = format!("{seconds:+}");
    if std::fs::read_to_string(&file).is_ok_and(|before| before == text) {
        return;
    }
    write(&new, &text);
    std::fs::rename(new, file).expect("the clock");
}

fn run(name: &str, package: &str, arguments: &[&str]) {
    let output = Command::new(program(name, package)).args(arguments).output().expect(name);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {}: {error}", arguments.join(" "));
}

fn faketime() -> PathBuf {
    let architectures = std::fs::read_dir("/usr/lib").expect("/usr/lib");
    architectures
        .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .find(|path| path.exists())
        .expect("libfaketime is missing: apt-get install libfaketime, or run tests/run")
}

/// `inner`, run in the network namespace of the process `holder`.
fn inside(holder: u32, inner: &Command) -> Command {
    let mut command = Command::new(program("nsenter", "util-linux"));
    command.args(["--target", &holder.to_string(), "--net", "--"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command
}

fn mosquitto(directory: &Path, name: &str, listener: &str, more: &str) -> Command {
    let config = directory.join(format!("{name}.conf"));
    let text = format!(
        "listener {listener}\nuser root\nallow_anonymous true\nmessage_size_limit 1100000\n\
         log_type error\nlog_type warning\nlog_type notice\n{more}"
    );
    write(&config, &text);
    let mut command = Command::new(program("mosquitto", "mosquitto"));
    command.arg("-c").arg(config);
    command
}

/// A command that can be given again and again.
fn again(command: &Command) -> impl Fn() -> Command + Send + use<> {
    let program = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let pairs =
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let pairs: Vec<_> = pairs.collect();
    move || {
        let mut command = Command::new(&program);
        command.args(&arguments).envs(pairs.iter().cloned());
        command
    }
}

impl Managed {
    fn new(name: &'static str, command: &Command) -> Self {
        let command = Box::new(again(command));
        Self {
            name,
            command,
            process: None,
            held: 0,
            restart_at: None,
            excused_until: None,
            started: None,
        }
    }

    fn start(&mut self, directory: &Path) {
        self.restart_at = None;
        self.started = Some(present());
        let started = Process::start(self.name, directory, (self.command)());
        self.process = Some(started.unwrap_or_else(|error| panic!("{}: {error}", self.name)));
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        self.restart_at = None;
    }

    fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            process.signal(name);
        }
    }

    fn excuse(&mut self, time: Duration) {
        self.excused_until = Some(present() + time);
    }

    /// Starts it again when it has ended; says so when it had no reason.
    fn supervise(&mut self, directory: &Path, ended: &mut Vec<String>) {
        if let Some(process) = &mut self.process
            && let Some(status) = process.status()
        {
            self.process = None;
            let excused = self.held > 0 || self.excused_until.is_some_and(|end| present() < end);
            if !excused {
                ended.push(format!("{} ended by itself: {status}", self.name));
            }
            self.restart_at = Some(present() + RESTART);
        }
        let due = self.restart_at.is_some_and(|at| present() >= at);
        if self.held == 0 && self.process.is_none() && due {
            self.start(directory);
        }
    }

    /// No fault keeps it down any more.
    fn release(&mut self, directory: &Path, ended: &mut Vec<String>) {
        self.held = self.held.saturating_sub(1);
        if self.held > 0 {
            return;
        }
        if let Some(process) = &mut self.process {
            // It was asked to end, and had its time.
            if process.is_running() {
                ended.push(format!("{} did not end when it was asked to", self.name));
            }
            self.kill();
        }
        self.start(directory);
    }
}

impl Rig {
    /// Builds the site in the present namespaces, in `directory`, and waits until all is well.
    pub async fn start(directory: &Path, seed: u64, keeps: bool) -> Self {
        run("ip", "iproute2", &["link", "set", "lo", "up"]);
        let mut holder = Command::new(program("unshare", "util-linux"));
        holder.args(["--net", "sleep", "infinity"]);
        let site = Process::start("site", directory, holder).expect("a namespace");
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        wait_for("the site's namespace", Duration::from_secs(10), async || {
            let other = std::fs::read_link(format!("/proc/{}/ns/net", site.id())).ok()?;
            (other != own).then_some(())
        })
        .await;
        let there = |command: &Command| inside(site.id(), command);
        let mut up = Command::new(program("ip", "iproute2"));
        up.args(["link", "set", "lo", "up"]);
        assert!(there(&up).status().expect("nsenter").success(), "the site has no loopback");

        let relay = Relay::start(directory, seed).expect("a relay");
        let socat = |end: usize, name: &str, address: &str| {
            let mut command = Command::new(program("socat", "socat"));
            command.args(["-b", "65536"]).args(relay.ends(end, name, &format!("{address}/30")));
            command
        };
        let start = |name: &str, command| Process::start(name, directory, command).expect(name);
        let ends = [
            start("end-a", socat(0, CORE, CORE_ADDRESS)),
            start("end-b", there(&socat(1, SITE, SITE_ADDRESS))),
        ];

        let database = directory.join("broker");
        std::fs::create_dir_all(&database).expect("a directory");
        let persistent = format!(
            "persistence true\npersistence_location {}/\nautosave_interval 2\n",
            database.display()
        );
        let broker = mosquitto(directory, "broker", "1883 0.0.0.0", &persistent);
        let mut broker = Managed::new("broker", &broker);
        broker.start(directory);
        let sensors = mosquitto(directory, "sensors", "1884 127.0.0.1", "persistence false\n");
        let sensors = start("sensors", there(&sensors));
        let mut witnesses = Command::new(std::env::current_exe().expect("this program"));
        witnesses.arg("--witness").arg(directory.join("served"));
        let mut witnesses = Managed::new("witnesses", &there(&witnesses));
        witnesses.start(directory);
        let mut plant = Command::new(binary("hallwatch-sim"));
        plant.args(["plant", "--control", "0.0.0.0:8601", "--broker", "mqtt://127.0.0.1:1884"]);
        let plant = start("plant", there(&plant));
        let control = format!("http://{SITE_ADDRESS}:8601");
        wait_for("the plant", Duration::from_secs(20), async || {
            prometheus::try_get(&control, "/devices", &[]).await.ok()
        })
        .await;
        let devices = devices(&control).await;

        let [agent, collectors @ ..] = configure(directory, &devices, keeps);
        let clock = directory.join("clock");
        let mut command = there(&agent_command(&agent));
        command.env("LD_PRELOAD", faketime());
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_TIMESTAMP_FILE", &clock);
        let mut agent = Managed::new("agent", &command);
        let (make, place) = (agent.command, directory.to_owned());
        // The time is known before an agent starts; what it does without is tested by itself.
        agent.command = Box::new(move || {
            set_clock(&place, 0);
            make()
        });
        let [one, two] = collectors.map(|path| {
            let mut command = Command::new(binary("hallwatch-collector"));
            command.args(["run", "--config"]).arg(path);
            command
        });
        let mut collectors = [Managed::new("c-1", &one), Managed::new("c-2", &two)];
        for collector in &mut collectors {
            collector.start(directory);
        }
        agent.start(directory);
        let mut rig = Self {
            directory: directory.to_owned(),
            agent,
            collectors,
            broker,
            witnesses,
            _plant: plant,
            _sensors: sensors,
            _ends: ends,
            relay,
            site,
            devices,
            half_open: None,
            clock: 0,
            frozen: Vec::new(),
            undurable: Vec::new(),
            ended: Vec::new(),
        };
        for collector in 0..COLLECTORS {
            let well = format!(
                "count(device_up == 1) >= {} and on() count(agent_up == 1) == 1",
                rig.intervals().len()
            );
            rig.reaches(collector, &well, Duration::from_secs(60)).await;
        }
        assert!(rig.ended.is_empty(), "{:?}", rig.ended);
        rig
    }

    /// The devices that are polled, and how often, in milliseconds.
    pub fn intervals(&self) -> std::collections::BTreeMap<String, i64> {
        let plant = self.devices.iter().map(|device| (device.name.clone(), INTERVAL));
        let witnesses =
            (0..witness::DEVICES).map(|device| (witness::name(device), witness::INTERVAL));
        plant.chain(witnesses).collect()
    }

    /// The base URL of a collector.
    pub fn api(collector: usize) -> String {
        format!("http://127.0.0.1:{}", 8_600 + collector)
    }

    /// The directory of a collector's store.
    pub fn store(&self, collector: usize) -> PathBuf {
        self.directory.join(format!("c-{}", collector + 1)).join("collector")
    }

    /// The record of the witnesses.
    pub fn served(&self) -> PathBuf {
        self.directory.join("served")
    }

    /// The agent's journal.
    pub fn journal(&self) -> PathBuf {
        self.disk(Who::Agent).join("journal.sqlite")
    }

    fn disk(&self, who: Who) -> PathBuf {
        match who {
            Who::Collector(number) => self.store(number),
            _ => self.directory.join("agent"),
        }
    }

    fn managed(&mut self, who: Who) -> &mut Managed {
        match who {
            Who::Agent => &mut self.agent,
            Who::Collector(number) => &mut self.collectors[number],
            Who::Broker => &mut self.broker,
            Who::Devices => &mut self.witnesses,
        }
    }

    /// Starts again what has ended by itself.
    pub fn supervise(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        let everybody = self.collectors.iter_mut().chain([
            &mut self.agent,
            &mut self.broker,
            &mut self.witnesses,
        ]);
        for managed in everybody {
            managed.supervise(&self.directory, &mut ended);
        }
        self.ended = ended;
        // An agent starts with the right time, and its clock is set while it runs.
        let runs = self.agent.started.is_some_and(|at| present() - at >= KNOWS);
        if runs && self.clock != 0 {
            self.set_clock(self.clock);
        }
    }

    /// Waits until a collector answers `expr` with something; panics when it does not.
    pub async fn reaches(&mut self, collector: usize, expr: &str, within: Duration) {
        let found = self.reached(collector, expr, within).await;
        assert!(found, "waited {within:?} in vain for {expr} at c-{}", collector + 1);
    }

    /// Waits until a collector answers `expr` with something; whether it did.
    pub async fn reached(&mut self, collector: usize, expr: &str, within: Duration) -> bool {
        let end = present() + within;
        while present() < end {
            self.supervise();
            let answer = prometheus::try_query(&Self::api(collector), expr).await;
            if answer.is_ok_and(|series| !series.is_empty()) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    /// Terminates a process for good; whether it ended well.
    pub async fn finish(&mut self, who: Who) -> bool {
        self.supervise();
        let managed = self.managed(who);
        managed.held += 1;
        let Some(process) = &mut managed.process else { return false };
        process.signal("TERM");
        let end = present() + GOODBYE;
        while present() < end {
            if let Some(status) = process.status() {
                managed.process = None;
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        managed.kill();
        false
    }

    /// Starts a process that was terminated.
    pub fn resume(&mut self, who: Who) {
        let directory = self.directory.clone();
        let managed = self.managed(who);
        managed.held = 0;
        managed.start(&directory);
    }

    /// Everything that a process has printed.
    pub fn output(&self, name: &str) -> String {
        let bytes = std::fs::read(self.directory.join(format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn set_clock(&self, seconds: i64) {
        set_clock(&self.directory, seconds);
    }

    fn at_site(&self, name: &str, package: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program(name, package));
        command.args(arguments);
        let output = inside(self.site.id(), &command).output().expect("nsenter");
        assert!(output.status.success(), "{name} {}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn remount(&self, who: Who, mode: &str) {
        let disk = self.disk(who);
        let disk = disk.to_str().expect("a path in UTF-8");
        run("mount", "mount", &["-o", &format!("remount,{mode}"), disk]);
    }

    /// A fault begins.
    pub fn begin(&mut self, fault: Fault) {
        self.supervise();
        match fault {
            Fault::Kill(who) => {
                let managed = self.managed(who);
                managed.held += 1;
                managed.kill();
            }
            Fault::Restart { .. } | Fault::Away(_) => {
                let who = match fault {
                    Fault::Away(number) => Who::Collector(number),
                    _ => Who::Broker,
                };
                let managed = self.managed(who);
                managed.held += 1;
                managed.signal("TERM");
            }
            Fault::Cut => Barrier::Cut.raise(CORE),
            Fault::Partition => Barrier::Partition.raise(CORE),
            Fault::Loss => Barrier::Loss.raise(CORE),
            Fault::Delay => self.relay.shape(Shape {
                delay: Duration::from_millis(500),
                jitter: Duration::from_millis(200),
                loss: 0,
                duplicate: 5,
                overtake: 5,
            }),
            Fault::HalfOpen => {
                let list = ["-Htn", "state", "established", "dst", CORE_ADDRESS];
                let known = self.at_site("ss", "iproute2", &list);
                let prefix = format!("{SITE_ADDRESS}:");
                let ports = known.split_whitespace().filter_map(|word| word.strip_prefix(&prefix));
                let barrier = Barrier::HalfOpen(ports.filter_map(|p| p.parse().ok()).collect());
                barrier.raise(CORE);
                self.half_open = Some(barrier);
            }
            Fault::DiskFull(who) => {
                self.undurable(who);
                self.managed(who).excuse(Duration::from_secs(3_600));
                fill(&self.disk(who));
            }
            Fault::ReadOnly(who) => {
                self.undurable(who);
                self.managed(who).excuse(Duration::from_secs(3_600));
                self.managed(who).kill();
                self.remount(who, "ro");
                let directory = self.directory.clone();
                let managed = self.managed(who);
                if managed.held == 0 {
                    managed.start(&directory);
                }
            }
            Fault::Clock(seconds) => self.clock = seconds,
            Fault::Freeze(who) => {
                if who == Who::Agent {
                    self.frozen.push((now().as_millis(), i64::MAX));
                }
                self.managed(who).signal("STOP");
            }
        }
    }

    fn undurable(&mut self, who: Who) {
        if who == Who::Agent {
            self.undurable.push((now().as_millis(), i64::MAX));
        }
    }

    /// A fault ends.
    pub fn end(&mut self, fault: Fault) {
        self.supervise();
        let directory = self.directory.clone();
        let mut ended = std::mem::take(&mut self.ended);
        match fault {
            Fault::Kill(who) => {
                self.managed(who).release(&directory, &mut ended);
            }
            Fault::Restart { persistent } => {
                if let Some(process) = &mut self.broker.process
                    && process.status().is_some()
                {
                    self.broker.process = None;
                }
                if !persistent {
                    let _ = std::fs::remove_file(directory.join("broker/mosquitto.db"));
                }
                self.broker.release(&directory, &mut ended);
            }
            Fault::Away(number) => self.collectors[number].release(&directory, &mut ended),
            Fault::Cut => Barrier::Cut.lower(),
            Fault::Partition => Barrier::Partition.lower(),
            Fault::Loss => Barrier::Loss.lower(),
            Fault::Delay => self.relay.shape(Shape::default()),
            Fault::HalfOpen => self.half_open.take().iter().for_each(Barrier::lower),
            Fault::DiskFull(who) => {
                std::fs::remove_file(self.disk(who).join("fill")).expect("the filler");
                self.healed(who);
            }
            Fault::ReadOnly(who) => {
                self.remount(who, "rw");
                self.healed(who);
            }
            Fault::Clock(_) => {
                self.clock = 0;
                self.set_clock(0);
            }
            Fault::Freeze(who) => {
                self.managed(who).signal("CONT");
                if let Some((_, to)) = self.frozen.last_mut().filter(|_| who == Who::Agent) {
                    *to = now().as_millis();
                }
            }
        }
        self.ended.extend(ended);
    }

    /// The disk is well: a process may take its time to notice.
    fn healed(&mut self, who: Who) {
        self.managed(who).excuse(EXCUSE);
        if let Some((_, to)) = self.undurable.last_mut().filter(|_| who == Who::Agent) {
            *to = now().as_millis() + i64::try_from(EXCUSE.as_millis()).unwrap_or(0);
        }
    }
}

/// Until nothing fits any more.
fn fill(disk: &Path) {
    let mut file = std::fs::File::create(disk.join("fill")).expect("a filler");
    for block in [vec![0; 1 << 16], vec![0; 1 << 12]] {
        while file.write_all(&block).is_ok() {}
    }
}

/// A disk of its own.
fn mount(directory: &Path, size: &str) {
    std::fs::create_dir_all(directory).expect("a directory");
    let at = directory.to_str().expect("a path in UTF-8");
    run("mount", "mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", at]);
}

/// Disks and configurations: the agent's, then the collectors'.
fn configure(directory: &Path, devices: &[Device], keeps: bool) -> [PathBuf; 1 + COLLECTORS] {
    let rules = directory.join("rules.yaml");
    write(
        &rules,
        "groups:\n  - name: some\n    rules:\n      - alert: DeviceDown\n        \
         expr: device_up == 0\n        labels: { severity: critical }\n        \
         annotations: { summary: down }\n",
    );
    let broker = format!("mqtt://{CORE_ADDRESS}:1883");
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let make = |data: &Path, broker: &str, listen| -> (String, String) {
        let site = site::Site {
            broker,
            data,
            interval: &format!("{INTERVAL}ms"),
            keep: if keeps { "2h" } else { "0s" },
            listen: at(listen),
            webhook: "http://127.0.0.1:9/page",
            rules: Some(&rules),
        };
        (site::agent_toml(&site, devices), site::collector_toml(&site))
    };
    let replaced = |text: &str, old: &str, new: &str| {
        assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
        text.replacen(old, new, 1)
    };
    mount(&directory.join("agent"), "64m");
    let (text, _) = make(directory, &broker, 0);
    let text = replaced(&text, "collectors = [\"c-1\"]", "collectors = [\"c-1\", \"c-2\"]");
    let text = replaced(
        &text,
        &format!("[sensors]\nurl = {broker:?}"),
        "[sensors]\nurl = \"mqtt://127.0.0.1:1884\"",
    );
    let profile = directory.join("witness.toml");
    write(&profile, &witness::profile());
    let agent = directory.join("agent.toml");
    write(&agent, &(text + &witness::devices(&profile)));
    let mut paths = [agent, PathBuf::new(), PathBuf::new()];
    for (number, path) in paths.iter_mut().skip(1).enumerate() {
        let name = format!("c-{}", number + 1);
        mount(&directory.join(&name).join("collector"), "96m");
        let port = 8_600 + u16::try_from(number).unwrap_or(0);
        let (_, text) = make(&directory.join(&name), "mqtt://127.0.0.1:1883", port);
        let text = replaced(&text, "id = \"c-1\"", &format!("id = \"{name}\""));
        *path = directory.join(&name).join("collector.toml");
        write(path, &text);
    }
    paths
}
