//! The gateway's clock steps, or was never set: readings keep their time, and no alert moves.

use std::path::PathBuf;
use std::time::Duration;

use hallwatch_tests::journal::stored;
use hallwatch_tests::pager::now;
use hallwatch_tests::site::{Options, Site};
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(60);

fn faketime() -> PathBuf {
    let architectures = std::fs::read_dir("/usr/lib").expect("/usr/lib");
    architectures
        .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .find(|path| path.exists())
        .expect("libfaketime is missing: apt-get install libfaketime, or run tests/run")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_clock_moves_no_reading_and_the_epoch_is_never_stored() {
    let began = now().as_millis();
    let mut site = Site::start(Options::default()).await;
    let clock = site.directory().join("clock");
    let set = |offset: &str| std::fs::write(&clock, offset).expect("the clock");
    let faked = |mut command: std::process::Command| {
        command.env("LD_PRELOAD", faketime());
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_TIMESTAMP_FILE", &clock);
        command
    };
    assert!(site.agent.terminate().await.success());
    set("+0");
    site.restart_agent_as(faked);
    let started = now().as_seconds();
    site.reads(&format!("agent_watermark_seconds > {started} + 2"), PATIENCE).await;

    for (offset, hours) in [("-3600", "< -3500"), ("+7200", "> 7100")] {
        set(offset);
        site.reads(&format!("agent_clock_offset_seconds {hours}"), PATIENCE).await;
        let at = now().as_seconds();
        sleep(Duration::from_secs(3)).await;
        let seen = site.reads(&format!("agent_watermark_seconds > {at}"), PATIENCE).await;
        assert!((seen[0].last() - now().as_seconds()).abs() < 10.0, "{offset}");
        let firing = site.reads(
            "count(ALERTS{alertstate=\"firing\", alertname!~\"A(gent|ccess).*\"}) or vector(0)",
            PATIENCE,
        );
        assert!(firing.await[0].last() < 1.0, "a clock is no reason to page for a device");
    }
    site.reads("agent_clock_steps_total >= 2", PATIENCE).await;

    // A gateway without a battery: it starts in 1970, and learns the time from its collector.
    assert!(site.agent.terminate().await.success());
    let epoch = format!("-{}", now().as_millis() / 1_000 - 100);
    set(&epoch);
    site.restart_agent_as(faked);
    let started = now().as_seconds();
    site.reads(&format!("agent_watermark_seconds > {started} + 2"), PATIENCE).await;
    site.reads("agent_clock_unset == 0 and agent_clock_offset_seconds < -1e9", PATIENCE).await;

    assert!(site.agent.terminate().await.success());
    assert!(site.collector.terminate().await.success());
    let ended = now().as_millis();
    let stored = stored(&site.directory().join("collector"));
    assert!(stored.len() > 200, "{} series", stored.len());
    for (labels, readings) in &stored {
        for time in readings.keys() {
            assert!((began - 60_000..=ended + 10_000).contains(time), "{labels} at {time}");
        }
    }
}
