//! Agent and collector with each broker between them, killed under load: what the agent had
//! journalled is in the store, once, with the right value. `kill.rs` does so with mosquitto and MQTT 5.

use std::time::Duration;

use hallwatch_tests::brokers::{NatsCluster, Rumqttd};
use hallwatch_tests::complete::{Complete, complete};
use hallwatch_tests::peers::Mosquitto;
use hallwatch_tests::site::{Options, Site};
use tokio::time::sleep;

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
    assert!(readings > 10_000, "{readings} readings are not much of a load");
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
    for (round, node) in (0..).zip([0, 1, 2]) {
        a_while(round).await;
        cluster.kill(node);
        // Two nodes of three go on: readings of after the kill arrive.
        let since = hallwatch_tests::pager::now().as_seconds();
        let fresh = format!("agent_watermark_seconds > {}", since + 1.0);
        site.reads(&fresh, Duration::from_secs(90)).await;
        cluster.restart(node).await;
    }
    a_while(0).await;
    nothing_is_missing(&mut site).await;
}
