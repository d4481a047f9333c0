//! Agent and collector with each broker between them, killed under load: what the agent had
//! journalled is in the store, once, with the right value. `kill.rs` does so with mosquitto and MQTT 5.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hallwatch_link::{Error, Event, Events, Message, Options as LinkOptions, Peer, Tls, open};
use hallwatch_model::Topic;
use hallwatch_tests::brokers::{NatsCluster, NodePlan, Rumqttd};
use hallwatch_tests::complete::{Complete, complete};
use hallwatch_tests::pager::now;
use hallwatch_tests::peers::Mosquitto;
use hallwatch_tests::process::binary;
use hallwatch_tests::site::{Options, Site};
use serde_json::Value as Json;
use tokio::time::{sleep, timeout};

async fn site(agent: String, collector: String) -> Site {
    let options = Options {
        interval: "200ms".into(),
        keep: "1h".into(),
        broker: Some([agent, collector]),
        ..Options::default()
    };
    Site::start(options).await
}

/// Under load, and not always at the same point of a cycle.
async fn a_while(round: u64) {
    sleep(Duration::from_millis(2_500 + 370 * round)).await;
}

#[expect(clippy::print_stdout, reason = "a figure for whoever runs this")]
async fn nothing_is_missing(site: &mut Site) {
    let Complete { journal, series, readings } = complete(site).await;
    assert_eq!(journal.gaps(), 0);
    assert!(series > 200, "{series} series");
    assert!(readings > 1_000, "{readings} readings are not much of a load");
    println!("{readings} readings of {series} series, all there");
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_in_mqtt_3_1_1_killed_under_load() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut broker = Mosquitto::start(directory.path()).await;
    let section = format!("url = \"{}\"\nversion = \"3.1.1\"", broker.url());
    let mut site = site(section.clone(), section).await;
    for round in 0..3 {
        a_while(round).await;
        broker.kill_and_restart().await;
    }
    a_while(0).await;
    nothing_is_missing(&mut site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rumqttd_killed_under_load() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut broker = Rumqttd::start(directory.path()).await;
    // One side with MQTT 5, the other with 3.1.1: the broker is what they have in common.
    let agent = format!("url = \"mqtt://{}\"", broker.v5);
    let collector = format!("url = \"mqtt://{}\"\nversion = \"3.1.1\"", broker.v311);
    let mut site = site(agent, collector).await;
    for round in 0..3 {
        a_while(round).await;
        broker.kill_and_restart().await;
    }
    a_while(0).await;
    nothing_is_missing(&mut site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nats_nodes_each_killed_under_load_when_the_one_before_is_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster = NatsCluster::start(directory.path()).await;
    // They meet through the cluster: each starts at a node of its own.
    let mut site = site(cluster.broker(0), cluster.broker(1)).await;
    let output = Command::new(binary("hallwatch-agent"))
        .args(["check", "--json", "--listen", "1", "--config"])
        .arg(site.directory().join("agent.toml"))
        .output()
        .expect("hallwatch-agent check");
    let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("checks");
    let brokers: Vec<_> = checks.iter().filter(|check| check["name"] == "broker").collect();
    assert_eq!(brokers.len(), 3, "each address: {report}");
    assert!(brokers.iter().all(|check| check["verdict"] == "ok"), "{brokers:?}");

    for (round, node) in (0..).zip([0, 1, 2]) {
        a_while(round).await;
        cluster.kill(node);
        // Two nodes of three go on: readings of after the kill arrive.
        let since = now().as_seconds();
        let fresh = format!("agent_watermark_seconds > {}", since + 1.0);
        site.reads(&fresh, Duration::from_secs(90)).await;
        println!("node {node} killed, nothing arrived for {:.1} s", now().as_seconds() - since);
        cluster.restart(node).await;
    }
    a_while(0).await;
    nothing_is_missing(&mut site).await;
}

/// A CA, and certificates for the brokers, an agent, another agent, and a collector.
const CERTIFICATES: &str = r#"
set -eu
new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
$new -x509 -days 2 -keyout ca.key -out ca.pem -subj "/CN=Test CA"
sign() { # name subject
    $new -keyout $1.key -out $1.csr -subj "$2"
    printf 'subjectAltName = IP:127.0.0.1\n' > $1.ext
    openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
        -extfile $1.ext -out $1.pem
}
sign broker /CN=nats
sign agent '/CN=acme\/fra-1\/gw-1'
sign stranger '/CN=acme\/fra-1\/gw-9'
sign collector /CN=c-1
"#;

fn as_whom(directory: &Path, name: &str, options: LinkOptions) -> LinkOptions {
    let file = |name: String| directory.join(name);
    let (certificate, key) = (file(format!("{name}.pem")), file(format!("{name}.key")));
    let tls = Tls::load(&directory.join("ca.pem"), Some((&certificate, &key)));
    LinkOptions { tls: Some(tls.expect("certificates")), ..options }
}

/// The sample configuration, with this machine's paths, addresses and ports.
fn sample(directory: &Path, plan: &NodePlan) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/nats.conf");
    let mut text = std::fs::read_to_string(path).expect("deploy/nats.conf");
    let mut replace = |from: &str, to: &str| {
        assert!(text.contains(from), "no {from} in the sample");
        text = text.replace(from, to);
    };
    for (number, route) in (1..).zip(plan.routes) {
        replace(&format!("192.0.2.2{number}:6222"), &route.to_string());
    }
    replace("node: nats-1", &format!("node: nats-{}", plan.number + 1));
    replace("address: 192.0.2.21", "address: 127.0.0.1");
    replace("port: 6222", &format!("port: {}", plan.routes[plan.number].port()));
    replace("port: 8883", &format!("port: {}", plan.mqtt.port()));
    replace("port: 4222", "port: -1");
    replace("/etc/hallwatch", &directory.display().to_string());
    replace("/var/lib/nats", &plan.store.display().to_string());
    text
}

async fn until_connected(events: &mut Events) {
    let connected =
        async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    timeout(Duration::from_secs(60), connected).await.expect("a connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_nats_configuration_lets_each_do_what_is_its_own_and_no_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(path).output();
    let made = made.expect("sh");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let own = path.to_owned();
    let cluster = NatsCluster::start_as(
        path,
        |plan| sample(path, plan),
        Box::new(move |options| as_whom(&own, "agent", options)),
    )
    .await;

    let collector = as_whom(path, "collector", cluster.options(1, "c-1"));
    let subscriptions = Topic::collector_filters().into();
    let others = vec![Peer { host: collector.host.clone(), port: cluster.options(2, "").port }];
    let (_collector, mut heard) = open(LinkOptions { subscriptions, others, ..collector });
    until_connected(&mut heard).await;

    // As large as a batch may be.
    let largest = hallwatch_model::wire::MAX_MESSAGE_BYTES;
    let message = |agent: &str, bytes: usize| Message {
        topic: format!("hallwatch/v1/acme/fra-1/{agent}/data"),
        payload: vec![7; bytes].into(),
        retain: false,
    };
    let subscriptions = vec!["hallwatch/v1/acme/fra-1/gw-1/ack/+".to_owned()];
    let (agent, mut events) = open(LinkOptions { subscriptions, ..cluster.options(0, "gw-1") });
    until_connected(&mut events).await;
    tokio::spawn(async move { while events.next().await.is_some() {} });
    // In the name of another, which nobody may hear; and its own, again until it is heard: the
    // broker hangs up on the first.
    agent.publish(message("gw-2", 1)).await.expect("a task");
    let arrives = async {
        loop {
            match timeout(Duration::from_secs(3), heard.next()).await {
                Ok(Some(Event::Message(message))) => break message,
                Ok(event) => assert!(event.is_some(), "the end"),
                Err(_) => agent.publish(message("gw-1", largest)).await.expect("a task"),
            }
        }
    };
    let arrived = timeout(Duration::from_secs(60), arrives).await.expect("a message");
    assert_eq!(arrived.topic, "hallwatch/v1/acme/fra-1/gw-1/data");
    assert_eq!(arrived.payload.len(), largest);
    let log = std::fs::read_to_string(path.join("nats-0.log")).expect("its log");
    let denied = log.lines().find(|line| line.contains("Violation"));
    assert!(denied.is_some_and(|line| line.contains("gw-2.data")), "{denied:?}");

    // A good certificate of somebody who is not known.
    let stranger = as_whom(path, "stranger", cluster.options(2, "gw-9"));
    let (_stranger, mut events) = open(stranger);
    let event = timeout(Duration::from_secs(60), events.next()).await.expect("an event");
    assert!(
        matches!(
            event,
            Some(Event::Disconnected {
                error: Error::Refused { .. } | Error::Authentication { .. }
            })
        ),
        "{event:?}"
    );
}
