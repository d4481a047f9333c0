//! Brokers beside mosquitto: `rumqttd`, and NATS servers with their MQTT listeners.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hallwatch_link::{Event, Options, Version};

use crate::peers::{free_address, listens, program};
use crate::process::{Process, binary};
use crate::wait::wait_for;

/// A `rumqttd`, which has a listener for each version of MQTT.
pub struct Rumqttd {
    /// Where it speaks MQTT 5.
    pub v5: SocketAddr,
    /// Where it speaks MQTT 3.1.1.
    pub v311: SocketAddr,
    directory: PathBuf,
    process: Process,
}

impl Rumqttd {
    /// Starts one.
    pub async fn start(directory: &Path) -> Self {
        let (v5, v311) = (free_address(), free_address());
        let process = Self::spawn(directory, v5, v311).await;
        Self { v5, v311, directory: directory.to_owned(), process }
    }

    async fn spawn(directory: &Path, v5: SocketAddr, v311: SocketAddr) -> Process {
        let mut command = Command::new(binary("rumqttd"));
        command.args([v5, v311].map(|address| address.port().to_string()));
        let process = Process::start("rumqttd", directory, command).expect("rumqttd");
        listens(v5).await;
        listens(v311).await;
        process
    }

    /// kill -9, then a new one on the same ports. It knows nothing.
    pub async fn kill_and_restart(&mut self) {
        self.process.kill();
        self.process = Self::spawn(&self.directory, self.v5, self.v311).await;
    }
}

/// Three NATS servers in a cluster, with JetStream and MQTT, each stream on all three.
pub struct NatsCluster {
    nodes: [Node; 3],
    directory: PathBuf,
}

struct Node {
    mqtt: SocketAddr,
    config: PathBuf,
    process: Process,
}

impl NatsCluster {
    /// Starts the three and waits until each takes MQTT connections.
    pub async fn start(directory: &Path) -> Self {
        let routes = [free_address(), free_address(), free_address()];
        let list = routes.map(|route| format!("\"nats-route://{route}\"")).join(", ");
        let nodes = std::array::from_fn(|number| {
            let (mqtt, route) = (free_address(), routes[number]);
            let config = directory.join(format!("nats-{number}.conf"));
            let store = directory.join(format!("nats-{number}"));
            let text = format!(
                "server_name: n{number}\n\
                 listen: \"127.0.0.1:-1\"\n\
                 jetstream {{ store_dir: {store:?}, max_file_store: 1G }}\n\
                 cluster {{ name: hallwatch, listen: \"{route}\", routes: [{list}] }}\n\
                 mqtt {{ listen: \"{mqtt}\", stream_replicas: 3 }}\n"
            );
            std::fs::write(&config, text).expect("a configuration");
            let process = spawn(directory, &config, number);
            Node { mqtt, config, process }
        });
        let cluster = Self { nodes, directory: directory.to_owned() };
        for number in 0..3 {
            cluster.takes_connections(number).await;
        }
        cluster
    }

    /// The lines of `[broker]` for somebody who tries node `first` first.
    pub fn broker(&self, first: usize) -> String {
        let url = |number: usize| format!("\"mqtt://{}\"", self.nodes[number % 3].mqtt);
        let [url, second, third] = [url(first), url(first + 1), url(first + 2)];
        format!("url = {url}\nothers = [{second}, {third}]\nversion = \"3.1.1\"")
    }

    /// kill -9 of one.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].process.kill();
    }

    /// Starts one again and waits until it takes MQTT connections.
    pub async fn restart(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        node.process = spawn(&self.directory, &node.config, number);
        self.takes_connections(number).await;
    }

    /// A node takes MQTT connections once the cluster has elected leaders that it can reach.
    async fn takes_connections(&self, number: usize) {
        let address = self.nodes[number].mqtt;
        let id = format!("probe-{number}");
        let options = Options {
            version: Version::V311,
            ..Options::new(&address.ip().to_string(), address.port(), &id)
        };
        let (_publisher, mut events) = hallwatch_link::open(options);
        let what = format!("a connection to NATS node {number}");
        wait_for(&what, Duration::from_secs(90), async || {
            let event = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
            matches!(event, Ok(Some(Event::Connected { .. }))).then_some(())
        })
        .await;
    }
}

fn spawn(directory: &Path, config: &Path, number: usize) -> Process {
    let mut command = Command::new(program("nats-server", "nats-server"));
    command.arg("-c").arg(config);
    Process::start(&format!("nats-{number}"), directory, command).expect("nats-server")
}
