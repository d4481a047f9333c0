//! The collector's disk is full: who is to be paged is paged, also for that.

use std::time::Duration;

use hallwatch_tests::disk;
use hallwatch_tests::namespace::isolated;
use hallwatch_tests::prometheus::{http, try_get};
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;
use serde_json::Value as Json;

const NAME: &str = "a_full_disk_pages_and_does_not_silence_what_else_fires";
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_full_disk_pages_and_does_not_silence_what_else_fires() {
    isolated(NAME, full());
}

async fn full() {
    let mut site = Site::start(Options::default()).await;
    site.collector.kill();
    let folder = site.directory().join("collector");
    // A 16th of it is the reserve: 32 MiB.
    disk::mount(&folder, "512m");
    site.restart_collector();
    site.reads("collector_disk_reserve_bytes == 33554432", PATIENCE).await;
    site.reads("device_up{device=\"utility-meter\"} == 1", PATIENCE).await;

    disk::fill(&folder);
    site.pager.alert("CollectorDiskReserveUsed", "firing", PATIENCE).await;
    assert!(!folder.join("reserve").exists(), "it is in use");
    // Nothing but that is different.
    site.cause("generator-will-not-start").await;
    site.cause("utility-off").await;
    for alert in ["UtilityLost", "GeneratorNotDelivering"] {
        site.pager.alert(alert, "firing", PATIENCE).await;
    }
    assert!(site.collector.is_running());

    std::fs::remove_file(folder.join("fill")).expect("room again");
    site.reads("collector_disk_reserve_bytes == 33554432", PATIENCE).await;
    site.pager.alert("CollectorDiskReserveUsed", "resolved", PATIENCE).await;
    site.end("utility-off").await;
    site.pager.alert("UtilityLost", "resolved", PATIENCE).await;
    assert!(site.collector.is_running(), "{}", site.collector.output());
}

const BEYOND: &str = "beyond_the_reserve_alerts_go_on_in_memory_and_come_back_to_the_disk";

/// One alert that comes and goes without a reading, and one that rests on readings.
const RULES: &str = r#"
groups:
- name: g
  rules:
  - alert: Clockwork
    expr: (vector(time()) % 10) < 5
    flapping: off
  - alert: UtilityLost
    expr: ats_source_available{source="1"} == 0
"#;

/// One more, which fires as soon as it is there.
const BEGUN: &str = "  - alert: Begun\n    expr: vector(1)\n";

#[test]
fn beyond_the_reserve_alerts_go_on_in_memory_and_come_back_to_the_disk() {
    isolated(BEYOND, beyond());
}

async fn beyond() {
    let mut site = Site::start(Options { rules: Some(RULES.into()), ..Options::default() }).await;
    site.collector.kill();
    let folder = site.directory().join("collector");
    // The smallest that leaves the reserve something to be.
    disk::mount(&folder, "64m");
    site.restart_collector();
    site.reads("collector_disk_reserve_bytes > 0", PATIENCE).await;
    site.cause("utility-off").await;
    site.pager.alert("UtilityLost", "firing", PATIENCE).await;
    let says = async |site: &Site, ok: bool| {
        wait_for(&format!("the state to be {ok}"), PATIENCE, async || {
            let answer = http().get(format!("{}/readyz", site.api)).send().await.ok()?;
            let answer: Json = answer.json().await.ok()?;
            let part = answer["parts"].as_array()?.iter().find(|part| part["part"] == "state")?;
            (part["ok"] == ok).then(|| part["text"].as_str().unwrap_or_default().to_owned())
        })
        .await
    };
    says(&site, true).await;
    disk::fill(&folder);
    // The reserve is in use from the next write on; then that is full, too.
    wait_for("the reserve to be in use", PATIENCE, async || {
        (!folder.join("reserve").exists()).then_some(())
    })
    .await;
    disk::fill(&folder);
    assert_eq!(
        says(&site, false).await,
        "the disk is full: alerts and messages are in memory only"
    );

    // Whoever is to be told is told, each thing once; also of what begins only now.
    let rules = site.directory().join("rules.yaml");
    std::fs::write(rules, format!("{RULES}{BEGUN}")).expect("other rules");
    let reload = http().post(format!("{}/-/reload", site.api)).send().await.expect("an answer");
    assert!(reload.status().is_success(), "{reload:?}");
    site.pager.alert("Begun", "firing", PATIENCE).await;
    goes_on(&site).await;
    let pages = site.pager.pages();
    let same = |a: &Json, b: &Json| a["alerts"] == b["alerts"];
    let twice = pages.windows(2).filter(|two| same(&two[0].1, &two[1].1)).count();
    assert_eq!(twice, 0, "{pages:?}");
    assert!(site.collector.is_running(), "{}", site.collector.output());

    std::fs::remove_file(folder.join("fill")).expect("room again");
    assert_eq!(says(&site, true).await, "on the disk");
    // What was decided in memory is there after a crash, and nobody is told of it again.
    let began = [active_since(&site, "Begun").await, active_since(&site, "UtilityLost").await];
    site.collector.kill();
    site.restart_collector();
    goes_on(&site).await;
    let after = [active_since(&site, "Begun").await, active_since(&site, "UtilityLost").await];
    assert_eq!(after, began, "they are the same alerts");
    assert_eq!(["Begun", "UtilityLost"].map(|name| told(&site, name, "firing")), [1, 1]);
    site.end("utility-off").await;
    site.pager.alert("UtilityLost", "resolved", PATIENCE).await;
}

/// How often an alert was told of in this status.
fn told(site: &Site, name: &str, status: &str) -> usize {
    let is = |alert: &&Json| alert["labels"]["alertname"] == name && alert["status"] == status;
    site.pager.alerts().iter().filter(is).count()
}

/// Waits for news of the clockwork: rules are evaluated, and people told.
async fn goes_on(site: &Site) {
    for status in ["resolved", "firing"] {
        let before = told(site, "Clockwork", status);
        wait_for("news of the clockwork", PATIENCE, async || {
            (told(site, "Clockwork", status) >= before + 2).then_some(())
        })
        .await;
    }
}

/// Since when an alert is active that fires, as the API tells it.
async fn active_since(site: &Site, name: &str) -> String {
    wait_for(&format!("{name} to fire"), PATIENCE, async || {
        let answer = try_get(&site.api, "/api/v1/alerts", &[]).await.ok()?;
        let mut alerts = answer["data"]["alerts"].as_array()?.iter();
        let is = |alert: &&Json| alert["labels"]["alertname"] == name && alert["state"] == "firing";
        alerts.find(is)?["activeAt"].as_str().map(str::to_owned)
    })
    .await
}
