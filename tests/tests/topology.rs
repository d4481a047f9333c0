//! A UPS fails: one page that names it, what follows is shown and not paged, and what remains when it
//! is back pages after all.

use std::time::Duration;

use hallwatch_tests::pager::now;
use hallwatch_tests::prometheus;
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;
use serde_json::Value as Json;

const PATIENCE: Duration = Duration::from_secs(120);

/// The alerts of a name that fire, as the API tells them.
async fn firing(site: &Site, name: &str) -> Vec<Json> {
    let answer = prometheus::get(&site.api, "/api/v1/alerts", &[]).await;
    let all = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
    let wanted = |alert: &Json| alert["labels"]["alertname"] == name && alert["state"] == "firing";
    all.into_iter().filter(wanted).collect()
}

/// The alerts of a name that were paged as firing, by one of their labels.
fn paged(site: &Site, name: &str, label: &str) -> Vec<String> {
    let alerts = site.pager.alerts();
    let wanted = |a: &&Json| a["labels"]["alertname"] == name && a["status"] == "firing";
    let label = |a: &Json| a["labels"][label].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<String> = alerts.iter().filter(wanted).map(label).collect();
    found.sort();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ups_that_fails_pages_once_and_what_remains_after_it_pages_too() {
    let mut site = Site::start(Options::default()).await;
    for rack in ["r01", "r02"] {
        site.reads(&format!("rack_power_paths_healthy{{rack=\"{rack}\"}} == 2"), PATIENCE).await;
    }
    site.cause("ups-a-off").await;
    let page = site.pager.alert("UpsOutputOff", "firing", PATIENCE).await;
    assert_eq!(page["labels"]["device"], "ups-a", "what failed first");
    site.reads("rack_power_first_out{rack=\"r01\", node=\"ups-a\"} == 1", PATIENCE).await;

    // What follows is there, with its cause, and nobody is paged for it.
    for (name, count) in [("PduFeedLost", 2), ("RackPowerRedundancyLost", 2)] {
        let found = wait_for(&format!("{count} of {name}"), PATIENCE, async || {
            Some(firing(&site, name).await).filter(|found| found.len() == count)
        })
        .await;
        for alert in found {
            assert_eq!(alert["suppressedBy"]["alertname"], "UpsOutputOff", "{alert}");
            assert_eq!(alert["suppressedBy"]["device"], "ups-a", "{alert}");
        }
        assert_eq!(site.pager.place(name, "firing"), None, "{name} paged");
    }
    let racks = firing(&site, "RackPowerRedundancyLost").await;
    assert!(racks.iter().all(|alert| alert["labels"]["node"] == "ups-a"), "{racks:?}");

    // A restart forgets none of it.
    site.collector.kill();
    site.restart_collector();
    let started = now().as_seconds();
    // What was read and decided since then, not what the store had before.
    for series in ["ups_output_off{device=\"ups-a\"}", "ALERTS{alertname=\"PduFeedLost\"}"] {
        site.reads(&format!("{series} == 1 and timestamp({series}) > {started}"), PATIENCE).await;
    }
    let kept = wait_for("the alerts after a restart", PATIENCE, async || {
        Some(firing(&site, "PduFeedLost").await).filter(|found| found.len() == 2)
    })
    .await;
    assert!(kept.iter().all(|alert| alert["suppressedBy"]["device"] == "ups-a"), "{kept:?}");
    assert_eq!(site.pager.place("PduFeedLost", "firing"), None, "it paged after the restart");

    // The UPS comes back; one PDU does not, for its own breaker has opened meanwhile.
    site.cause("pdu-a1-off").await;
    site.end("ups-a-off").await;
    site.pager.alert("UpsOutputOff", "resolved", PATIENCE).await;
    site.pager.alert("PduFeedLost", "firing", PATIENCE).await;
    assert_eq!(paged(&site, "PduFeedLost", "device"), ["pdu-a1"]);
    assert!(!paged(&site, "RackPowerRedundancyLost", "node").contains(&"ups-a".to_owned()));

    site.end("pdu-a1-off").await;
    site.pager.alert("PduFeedLost", "resolved", PATIENCE).await;
    for rack in ["r01", "r02"] {
        site.reads(&format!("rack_power_paths_healthy{{rack=\"{rack}\"}} == 2"), PATIENCE).await;
    }
    assert!(firing(&site, "RackPowerRedundancyLost").await.is_empty());
}
