//! Two gateways from one disk image: the second one is refused, and somebody is paged.

use std::time::Duration;

use hallwatch_tests::process::Process;
use hallwatch_tests::prometheus::http;
use hallwatch_tests::site::{Options, Site, agent_command};
use hallwatch_tests::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_of_the_same_name_is_refused_and_alerted() {
    let mut site = Site::start(Options::default()).await;
    site.reads("agent_identity_conflict == 0", PATIENCE).await;
    let own = std::fs::read_to_string(site.directory().join("agent.toml")).expect("agent.toml");
    let (data, other) = (site.directory().join("agent"), site.directory().join("clone"));
    let clone = own.replace(&format!("{data:?}"), &format!("{other:?}"));
    assert_ne!(clone, own);
    let file = site.directory().join("clone.toml");
    std::fs::write(&file, clone).expect("clone.toml");
    let mut second = Process::start("clone", site.directory(), agent_command(&file)).expect("it");

    site.reads("agent_identity_conflict == 1", PATIENCE).await;
    site.reads("ALERTS{alertname=\"AgentIdentityConflict\", alertstate=\"firing\"}", PATIENCE)
        .await;
    let refused = wait_for("refused batches", PATIENCE, async || {
        let text =
            http().get(format!("{}/metrics", site.api)).send().await.ok()?.text().await.ok()?;
        let name = "hallwatch_collector_messages_refused_total{reason=\"second_agent\"} ";
        let count: f64 = text.lines().find_map(|line| line.strip_prefix(name))?.parse().ok()?;
        (count > 0.0).then_some(count)
    });
    refused.await;
    assert!(site.agent.is_running() && second.is_running());
    second.kill();
    // The first one goes on.
    let seen = site.reads("agent_watermark_seconds", PATIENCE).await[0].last();
    site.reads(&format!("agent_watermark_seconds > {seen} + 3"), PATIENCE).await;
}
