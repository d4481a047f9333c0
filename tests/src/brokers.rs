//! Brokers beside mosquitto: `rumqttd`, and NATS servers with their MQTT listeners.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hallwatch_link::{Event, Options, Version};
use serde_json::Value as Json;

use crate::peers::{free_address, listens, program};
use crate::process::{Process, binary};
use crate::prometheus::try_get;
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
    client: Client,
}

/// What a client of a cluster is told beside the address.
type Client = Box<dyn Fn(Options) -> Options + Send + Sync>;

struct Node {
    mqtt: SocketAddr,
    monitor: SocketAddr,
    config: PathBuf,
    process: Process,
}

/// What a node is made of.
pub struct NodePlan {
    /// From 0 to 2.
    pub number: usize,
    /// Where it takes MQTT connections.
    pub mqtt: SocketAddr,
    /// Where it tells about itself over HTTP.
    pub monitor: SocketAddr,
    /// Where the nodes meet.
    pub routes: [SocketAddr; 3],
    /// Where it may write.
    pub store: PathBuf,
}

impl NodePlan {
    fn plain(&self) -> String {
        let Self { number, mqtt, monitor, routes, store } = self;
        let list = routes.map(|route| format!("\"nats-route://{route}\"")).join(", ");
        let route = routes[*number];
        format!(
            "server_name: n{number}\n\
             listen: \"127.0.0.1:-1\"\n\
             http: \"{monitor}\"\n\
             jetstream {{ store_dir: {store:?}, max_file_store: 1G }}\n\
             cluster {{ name: hallwatch, listen: \"{route}\", routes: [{list}] }}\n\
             mqtt {{ listen: \"{mqtt}\", stream_replicas: 3 }}\n"
        )
    }
}

impl NatsCluster {
    /// Starts the three without TLS and waits until each takes MQTT connections.
    pub async fn start(directory: &Path) -> Self {
        Self::start_as(directory, NodePlan::plain, Box::new(|options| options)).await
    }

    /// Starts the three with these configurations; `client` is how a client has to be.
    pub async fn start_as(
        directory: &Path,
        configuration: impl Fn(&NodePlan) -> String,
        client: Client,
    ) -> Self {
        let routes = [free_address(), free_address(), free_address()];
        let nodes = std::array::from_fn(|number| {
            let store = directory.join(format!("nats-{number}"));
            let (mqtt, monitor) = (free_address(), free_address());
            let plan = NodePlan { number, mqtt, monitor, routes, store };
            let config = directory.join(format!("nats-{number}.conf"));
            std::fs::write(&config, configuration(&plan)).expect("a configuration");
            let process = spawn(directory, &config, number);
            Node { mqtt, monitor, config, process }
        });
        let cluster = Self { nodes, directory: directory.to_owned(), client };
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

    /// A connection to one node.
    pub fn options(&self, number: usize, client_id: &str) -> Options {
        let mqtt = self.nodes[number].mqtt;
        let options = Options::new(&mqtt.ip().to_string(), mqtt.port(), client_id);
        (self.client)(Options { version: Version::V311, ..options })
    }

    /// kill -9 of one.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].process.kill();
    }

    /// Starts one again and waits until it takes MQTT connections and has caught up: a node that is
    /// behind is still one that is lost, and the next would be the second.
    pub async fn restart(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        node.process = spawn(&self.directory, &node.config, number);
        self.takes_connections(number).await;
        let what = "three NATS nodes that each have everything";
        let whole = async || self.is_whole().await.then_some(());
        wait_for(what, Duration::from_secs(90), whole).await;
    }

    /// Whether every Raft group of the cluster and its streams could lose a node now: has a leader,
    /// and followers that have all that the leader has.
    async fn is_whole(&self) -> bool {
        let mut groups = BTreeMap::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let base = format!("http://{}", node.monitor);
            match try_get(&base, "/jsz?accounts=true&streams=true", &[]).await {
                Ok(told) => note(&mut groups, &format!("n{number}"), &told),
                Err(_) => return false,
            }
        }
        groups.values().all(|whole| *whole)
    }

    /// A node takes MQTT connections once the cluster has elected leaders that it can reach.
    async fn takes_connections(&self, number: usize) {
        let options = self.options(number, &format!("probe-{number}"));
        let (_publisher, mut events) = hallwatch_link::open(options);
        let what = format!("a connection to NATS node {number}");
        wait_for(&what, Duration::from_secs(90), async || {
            let event = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
            matches!(event, Ok(Some(Event::Connected { .. }))).then_some(())
        })
        .await;
    }
}

/// Notes what `server` tells of its Raft groups: whether each has a leader, whom all follow. Only the
/// leader knows, so what others tell makes a group known and no more. Without the consumers: NATS 2.9
/// may never copy one to a node that was down when it was made.
fn note(groups: &mut BTreeMap<String, bool>, server: &str, told: &Json) {
    let mut group = |name: String, cluster: &Json| {
        let follow = |replicas: &Vec<Json>| {
            replicas.len() == 2 && replicas.iter().all(|replica| replica["current"] == true)
        };
        let whole =
            cluster["leader"] == server && cluster["replicas"].as_array().is_some_and(follow);
        *groups.entry(name).or_default() |= whole;
    };
    group("the cluster's own".into(), &told["meta_cluster"]);
    let accounts = told["account_details"].as_array().into_iter().flatten();
    for stream in accounts.filter_map(|account| account["stream_detail"].as_array()).flatten() {
        group(stream["name"].to_string(), &stream["cluster"]);
    }
}

fn spawn(directory: &Path, config: &Path, number: usize) -> Process {
    let mut command = Command::new(program("nats-server", "nats-server"));
    command.arg("-c").arg(config);
    Process::start(&format!("nats-{number}"), directory, command).expect("nats-server")
}
