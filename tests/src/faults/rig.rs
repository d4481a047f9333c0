//! The site that faults happen to: who runs where, on which disk.
//!
//! The runner's own namespaces are the data center: a broker and two collectors. The site is a
//! network namespace of its own, with the plant, the witnesses, the sensors' broker and the agent.
//! Between both there is one link, see `relay`. Agent and collectors each have a small disk.
//! Everything is in namespaces of which the runner is the first process: it all ends with it,
//! however it ends.

mod cause;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hallwatch_sim::site::Device;

use super::barrier::Barrier;
use super::configure::{INTERVAL, configure, write};
use super::managed::{Managed, present};
use super::plan::Who;
use super::relay::Relay;
use super::{clock, witness};
use crate::disk::run;
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
/// So long after a fault of its disk a process may still end because of it.
const EXCUSE: Duration = Duration::from_secs(60);
/// By how many seconds the agent's clock is wrong when it is first started.
const FIRST_CLOCK: i64 = -3 * 3_600;
/// How long a process may take to end when it is asked to.
const GOODBYE: Duration = Duration::from_secs(20);
/// Collectors.
pub const COLLECTORS: usize = 2;

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
    /// When the agent was stopped: from, to, in milliseconds.
    pub frozen: Vec<(i64, i64)>,
    /// When the agent's disk took no writes: from, to, in milliseconds.
    pub undurable: Vec<(i64, i64)>,
    /// When the agent's clock was set to what: milliseconds, seconds from what is right.
    clock: Vec<(i64, i64)>,
    /// Processes that ended without reason.
    pub ended: Vec<String>,
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

        let [agent, collectors @ ..] = configure(directory, CORE_ADDRESS, &devices, keeps);
        // A gateway that does not know the time when it first starts.
        clock::set(directory, FIRST_CLOCK);
        clock::hide_time_service();
        let command = clock::wrong(there(&agent_command(&agent)), directory);
        let mut agent = Managed::new("agent", &command);
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
            frozen: Vec::new(),
            undurable: Vec::new(),
            clock: vec![(now().as_millis(), FIRST_CLOCK)],
            ended: Vec::new(),
        };
        for collector in 0..COLLECTORS {
            let well = format!(
                "count(device_up == 1) >= {} and on() count(agent_up == 1) == 1",
                rig.intervals().len()
            );
            rig.reaches(collector, &well, Duration::from_secs(60)).await;
        }
        rig.set_clock(0);
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

    /// From when on the agent's own time may be wrong by so much that nobody corrects it.
    pub fn skewed(&self) -> Vec<(i64, i64)> {
        clock::skews(&self.agent.starts, &self.clock, &self.undurable)
    }

    fn set_clock(&mut self, seconds: i64) {
        self.clock.push((now().as_millis(), seconds));
        clock::set(&self.directory, seconds);
    }
}
