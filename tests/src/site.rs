//! A whole site: broker, plant, agent and collector, each a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hallwatch_sim::site::{self, Device};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::pager::Pager;
use crate::peers::{Mosquitto, free_address, listens};
use crate::process::{Process, binary};
use crate::prometheus::{self, Series, http};
use crate::wait::wait_for;

/// A running site. Ends when dropped.
pub struct Site {
    /// The plant.
    pub plant: Process,
    /// The agent.
    pub agent: Process,
    /// The collector.
    pub collector: Process,
    /// The broker.
    pub broker: Mosquitto,
    /// Where pages go.
    pub pager: Pager,
    /// The plant's control.
    pub control: String,
    /// The collector's base URL.
    pub api: String,
    sink: Option<String>,
    directory: TempDir,
}

/// What can be chosen about a site.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much faster than the clock the plant runs.
    pub speed: u32,
    /// How often devices are read.
    pub interval: String,
    /// How long the journal keeps what is acknowledged.
    pub keep: String,
    /// An InfluxDB v2 base URL that the collector writes to.
    pub sink: Option<String>,
    /// The text of a rule file in place of the shipped rules.
    pub rules: Option<String>,
    /// What `[broker]` says of the agent and of the collector when they meet at another broker than
    /// the site's mosquitto, which then has the sensors only.
    pub broker: Option<[String; 2]>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            speed: 1,
            interval: "1s".into(),
            keep: "0s".into(),
            sink: None,
            rules: None,
            broker: None,
        }
    }
}

impl Site {
    /// Starts everything and waits until readings arrive.
    pub async fn start(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let broker = Mosquitto::start(path).await;
        let pager = Pager::start().await;
        let (control, listen) = (free_address(), free_address());
        let plant = start_plant(path, control, &broker.url(), options.speed);
        listens(control).await;
        let control = format!("http://{control}");
        let devices = devices(&control).await;
        let url = broker.url();
        let webhook = pager.url();
        let rules = options.rules.as_ref().map(|text| {
            let file = path.join("rules.yaml");
            write(&file, text);
            file
        });
        let configuration = site::Site {
            broker: &url,
            data: path,
            interval: &options.interval,
            keep: &options.keep,
            listen,
            webhook: &webhook,
            rules: rules.as_deref(),
        };
        let texts =
            [site::agent_toml(&configuration, &devices), site::collector_toml(&configuration)];
        let [agent, collector] = match &options.broker {
            None => texts,
            Some([agent, collector]) => {
                let [agent_text, collector_text] = texts;
                [at_broker(&agent_text, &url, agent), at_broker(&collector_text, &url, collector)]
            }
        };
        write(&path.join("agent.toml"), &agent);
        write(&path.join("collector.toml"), &collector);
        let agent = start_agent(path);
        let collector = start_collector(path, options.sink.as_deref());
        let api = format!("http://{listen}");
        let site = Self {
            plant,
            agent,
            collector,
            broker,
            pager,
            control,
            api,
            sink: options.sink,
            directory,
        };
        site.reads("device_up{device=\"utility-meter\"} == 1", Duration::from_secs(30)).await;
        site
    }

    /// The directory that holds everything of this site.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The agent's journal.
    pub fn journal(&self) -> PathBuf {
        self.directory().join("agent").join("journal.sqlite")
    }

    /// Starts the agent again.
    pub fn restart_agent(&mut self) {
        self.agent = start_agent(self.directory());
    }

    /// Starts the agent again, by a command that is made of its own one, such as one that runs it
    /// under other conditions.
    pub fn restart_agent_as(&mut self, change: impl FnOnce(Command) -> Command) {
        let directory = self.directory.path();
        let command = change(agent_command(&directory.join("agent.toml")));
        self.agent = Process::start("agent", directory, command).expect("hallwatch-agent run");
    }

    /// Starts the collector again.
    pub fn restart_collector(&mut self) {
        self.collector = start_collector(self.directory(), self.sink.as_deref());
    }

    /// Causes a fault.
    pub async fn cause(&self, fault: &str) {
        let answer = http().post(format!("{}/faults/{fault}", self.control)).send().await;
        let status = answer.expect("the plant's control").status();
        assert!(status.is_success(), "cannot cause {fault}: {status}");
    }

    /// Ends a fault.
    pub async fn end(&self, fault: &str) {
        let answer = http().delete(format!("{}/faults/{fault}", self.control)).send().await;
        let status = answer.expect("the plant's control").status();
        assert!(status.is_success(), "cannot end {fault}: {status}");
    }

    /// Sets a register of a device, whatever the physics says.
    pub async fn set_register(&self, device: &str, address: u16, word: u16) {
        let url = format!("{}/registers/{device}/{address}", self.control);
        let body = format!("{{\"word\": {word}}}");
        let request = http().post(url).header("content-type", "application/json").body(body);
        let status = request.send().await.expect("the plant's control").status();
        assert!(status.is_success(), "cannot set {device} {address}: {status}");
    }

    /// Waits until the collector answers `expr` with something.
    pub async fn reads(&self, expr: &str, within: Duration) -> Vec<Series> {
        wait_for(&format!("an answer to {expr}"), within, async || {
            prometheus::try_query(&self.api, expr).await.ok().filter(|series| !series.is_empty())
        })
        .await
    }
}

/// `text`, whose broker is at `url`, with other `lines` in `[broker]`.
fn at_broker(text: &str, url: &str, lines: &str) -> String {
    let section = format!("[broker]\nurl = {url:?}\n");
    assert!(text.contains(&section), "no {section} in {text}");
    text.replacen(&section, &format!("[broker]\n{lines}\n"), 1)
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn start_plant(directory: &Path, control: SocketAddr, broker: &str, speed: u32) -> Process {
    let mut command = Command::new(binary("hallwatch-sim"));
    command.args(["plant", "--control", &control.to_string(), "--broker", broker]);
    command.args(["--speed", &speed.to_string()]);
    Process::start("plant", directory, command).expect("hallwatch-sim plant")
}

fn start_agent(directory: &Path) -> Process {
    let command = agent_command(&directory.join("agent.toml"));
    Process::start("agent", directory, command).expect("hallwatch-agent run")
}

/// An agent with this configuration.
pub fn agent_command(configuration: &Path) -> Command {
    let mut command = Command::new(binary("hallwatch-agent"));
    command.args(["run", "--config"]).arg(configuration);
    command
}

fn start_collector(directory: &Path, sink: Option<&str>) -> Process {
    let mut command = Command::new(binary("hallwatch-collector"));
    command.args(["run", "--config"]).arg(directory.join("collector.toml"));
    if let Some(url) = sink {
        command.arg("--sink").arg(format!("influx={url}"));
    }
    Process::start("collector", directory, command).expect("hallwatch-collector run")
}

/// The Modbus devices of a running plant.
pub async fn devices(control: &str) -> Vec<Device> {
    let list = prometheus::get(control, "/devices", &[]).await;
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    list.as_array()
        .expect("a list of devices")
        .iter()
        .map(|device| Device {
            name: text(&device["name"]),
            profile: text(&device["profile"]),
            address: text(&device["address"]).parse().expect("an address"),
            unit: device["unit"].as_u64().and_then(|unit| u8::try_from(unit).ok()).expect("a unit"),
        })
        .collect()
}
