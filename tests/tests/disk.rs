//! The collector's disk is full: who is to be paged is paged, also for that.

use std::time::Duration;

use hallwatch_tests::disk;
use hallwatch_tests::namespace::is_isolated;
use hallwatch_tests::site::{Options, Site};

const NAME: &str = "a_full_disk_pages_and_does_not_silence_what_else_fires";
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_full_disk_pages_and_does_not_silence_what_else_fires() {
    if is_isolated(NAME) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(full());
    }
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
