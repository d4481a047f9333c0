//! The collector's disk is full: who is to be paged is paged, also for that.

use std::time::Duration;

use hallwatch_tests::disk;
use hallwatch_tests::namespace::isolated;
use hallwatch_tests::prometheus::http;
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;

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
    let began = site.reads("ALERTS_FOR_STATE{alertname=\"UtilityLost\"}", PATIENCE).await;

    let says = async |site: &Site, ok: bool| {
        wait_for(&format!("the state to be {ok}"), PATIENCE, async || {
            let answer = http().get(format!("{}/readyz", site.api)).send().await.ok()?;
            let answer: serde_json::Value = answer.json().await.ok()?;
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

    // Whoever is to be told is told, each thing once.
    let told = |site: &Site, status: &str| {
        let is = |alert: &&serde_json::Value| {
            alert["labels"]["alertname"] == "Clockwork" && alert["status"] == status
        };
        site.pager.alerts().iter().filter(is).count()
    };
    for status in ["resolved", "firing"] {
        let before = told(&site, status);
        wait_for("news of the clockwork", PATIENCE, async || {
            (told(&site, status) >= before + 2).then_some(())
        })
        .await;
    }
    let pages = site.pager.pages();
    let same = |a: &serde_json::Value, b: &serde_json::Value| a["alerts"] == b["alerts"];
    let twice = pages.windows(2).filter(|two| same(&two[0].1, &two[1].1)).count();
    assert_eq!(twice, 0, "{pages:?}");
    assert!(site.collector.is_running(), "{}", site.collector.output());

    std::fs::remove_file(folder.join("fill")).expect("room again");
    assert_eq!(says(&site, true).await, "on the disk");
    // What was decided in memory is there after a crash.
    site.collector.kill();
    site.restart_collector();
    let after = site.reads("ALERTS_FOR_STATE{alertname=\"UtilityLost\"}", PATIENCE).await;
    assert_eq!(after[0].samples[0].1, began[0].samples[0].1, "it is the same alert");
    site.end("utility-off").await;
    site.pager.alert("UtilityLost", "resolved", PATIENCE).await;
}
