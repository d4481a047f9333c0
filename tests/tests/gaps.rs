//! What is missing is on record: silent devices, an agent that was off, a disk that took no writes,
//! a failed sync; and a collector that lost its disk gets back what the journal keeps.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hallwatch_tests::journal::{Journal, stored};
use hallwatch_tests::pager::now;
use hallwatch_tests::peers::program;
use hallwatch_tests::prometheus::try_get;
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;
use serde_json::Value as Json;

const PATIENCE: Duration = Duration::from_secs(60);

/// The first gap that the collector shows for this query.
async fn gap(site: &Site, query: &str) -> Json {
    wait_for(&format!("a gap with {query}"), PATIENCE, async || {
        let answer = try_get(&site.api, &format!("/api/v1/gaps?{query}"), &[]).await.ok()?;
        answer["data"].as_array()?.first().cloned()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_off_is_a_gap_and_a_new_store_gets_what_the_journal_keeps() {
    let options = Options { interval: "500ms".into(), keep: "1h".into(), ..Options::default() };
    let mut site = Site::start(options).await;
    site.reads("agent_watermark_seconds", PATIENCE).await;
    let before = now().as_millis();
    site.agent.kill();
    let silent = gap(&site, "state=open&cause=agent_offline").await;
    assert!(silent["end"].is_null(), "{silent}");
    let start = silent["start"].as_i64().expect("a start");
    assert!((before - 10_000..=before + 5_000).contains(&start), "{silent} at {before}");
    site.reads("gaps_open{cause=\"agent_offline\"} == 1", PATIENCE).await;
    let restarted = now().as_millis();
    site.restart_agent();
    let down = gap(&site, "state=lost&cause=agent_down").await;
    let start = down["start"].as_i64().expect("a start");
    let end = down["end"].as_i64().expect("an end");
    assert!((before - 3_000..=before + 500).contains(&start), "{down}, killed at {before}");
    assert!((restarted..restarted + 20_000).contains(&end), "{down}, started at {restarted}");
    site.reads(
        "gaps_open{cause=\"agent_offline\"} == 0 or absent(gaps_open{cause=\"agent_offline\"})",
        PATIENCE,
    )
    .await;
    let lost = site.reads("gap_seconds_total{cause=\"agent_down\"}", PATIENCE).await;
    assert!(lost[0].last() >= 1.0);
    let ratio = site.reads("completeness_ratio{device=\"utility-meter\"}", PATIENCE).await;
    assert!((0.05..=1.0).contains(&ratio[0].last()), "{}", ratio[0].last());
    let whole = try_get(&site.api, "/api/v1/completeness?device=utility-meter&points=true", &[]);
    let whole = whole.await.expect("completeness");
    let points = whole["data"]["points"].as_array().expect("points");
    assert!(points.len() > 5, "{whole}");
    assert!(points.iter().any(|point| point["ratio"].as_f64() > Some(0.05)), "{whole}");

    // The collector loses its disk. What the journal keeps comes again, and only what it has not
    // kept is a gap.
    assert!(site.collector.terminate().await.success());
    let data = site.directory().join("collector");
    std::fs::remove_dir_all(&data).expect("to remove the store");
    let started = now().as_seconds();
    site.restart_collector();
    let drained =
        format!("agent_journal_backlog < 5 and timestamp(agent_journal_backlog) > {started} + 5");
    site.reads(&drained, PATIENCE).await;
    assert!(site.agent.terminate().await.success());
    assert!(site.collector.terminate().await.success());
    let journal = Journal::open(&site.journal());
    let stored = stored(&data);
    let mut count = 0;
    for (labels, readings) in &journal.readings(journal.newest() - 20, "acme", "fra-1") {
        let kept = stored.get(labels).unwrap_or_else(|| panic!("{labels} was not sent again"));
        for (time, bits) in readings {
            assert_eq!(kept.get(time), Some(bits), "{labels} at {time}");
            count += 1;
        }
    }
    assert!(count > 1_000, "{count} readings");
}

/// A command that runs `inner` with a file system of its own at `directory`.
fn on_small_disk(inner: &Command, directory: &Path, options: &str, then: &str) -> Command {
    let mut command = Command::new(program("unshare", "util-linux"));
    let script = format!(
        "set -e; mkdir -p {0}; mount -t tmpfs -o {options} tmpfs {0}; {then}\nexec \"$@\"",
        directory.display()
    );
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command
}

/// Runs a script where the agent lives.
fn beside(site: &Site, script: &str) -> bool {
    let mut command = Command::new(program("nsenter", "util-linux"));
    command.args(["--target", &site.agent.id().to_string(), "--mount", "sh", "-c", script]);
    command.status().expect("nsenter").success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_one_alert_and_heals_by_itself() {
    let mut site = Site::start(Options::default()).await;
    assert!(site.agent.terminate().await.success());
    let data = site.directory().join("agent");
    site.restart_agent_as(|inner| on_small_disk(&inner, &data, "size=8m", ""));
    let started = now().as_seconds();
    // What the agent before it said still stands, and a new one is not yet on its own disk: only
    // what this one sends shows that it is.
    site.reads(&format!("agent_watermark_seconds > {started}"), PATIENCE).await;
    site.reads("agent_journal_durable == 1", PATIENCE).await;
    assert!(beside(&site, &format!("mountpoint --quiet {}", data.display())));
    // Until nothing fits any more: twice what the disk holds.
    let fill = format!("dd if=/dev/zero of={}/fill bs=4k count=4k 2>/dev/null", data.display());
    assert!(!beside(&site, &fill), "16 MiB fit on a disk of 8");
    site.reads("agent_journal_durable == 0", PATIENCE).await;
    let firing = "ALERTS{alertname=\"AgentNotDurable\", alertstate=\"firing\"}";
    assert_eq!(site.reads(firing, PATIENCE).await.len(), 1);
    assert!(site.agent.is_running());
    assert!(beside(&site, &format!("rm {}/fill", data.display())));
    let healed = now().as_seconds();
    site.reads("agent_journal_durable == 1", PATIENCE).await;
    site.reads(&format!("agent_watermark_seconds > {healed}"), PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_does_not_keep_the_agent_from_starting() {
    let mut site = Site::start(Options::default()).await;
    assert!(site.agent.terminate().await.success());
    let data = site.directory().join("agent");
    let remount = format!("mount -o remount,ro {}", data.display());
    site.restart_agent_as(|inner| on_small_disk(&inner, &data, "size=8m", &remount));
    let started = now().as_seconds();
    site.reads("agent_journal_durable == 0", PATIENCE).await;
    site.reads(&format!("agent_watermark_seconds > {started}"), PATIENCE).await;
    assert!(site.agent.is_running());
    // The disk is back: a new start uses it.
    assert!(beside(&site, &format!("mount -o remount,rw {}", data.display())));
    let status = site.agent.ended(PATIENCE).await;
    // The words are there, however the lines were broken.
    let words: Vec<String> = site.agent.output().split_whitespace().map(str::to_owned).collect();
    assert!(!status.success() && words.join(" ").contains("takes writes again"));
    site.restart_agent();
    site.reads("agent_journal_durable == 1", PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_the_agent_and_a_new_start_loses_nothing() {
    let mut site = Site::start(Options { keep: "1h".into(), ..Options::default() }).await;
    assert!(site.agent.terminate().await.success());
    site.restart_agent_as(|inner| {
        let mut command = Command::new(program("strace", "strace"));
        command.args(["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]);
        command.args(["-e", "inject=fsync,fdatasync:error=EIO:when=20+"]);
        command.arg(inner.get_program()).args(inner.get_args());
        command
    });
    let status = site.agent.ended(PATIENCE).await;
    assert!(!status.success());
    assert!(site.agent.output().contains("could not write the journal"), "{}", site.agent.output());
    let started = now().as_seconds();
    site.restart_agent();
    let drained =
        format!("agent_journal_backlog < 5 and timestamp(agent_journal_backlog) > {started} + 5");
    site.reads(&drained, PATIENCE).await;
    // The one before was over when the agent ran that failed.
    gap(&site, &format!("state=lost&cause=agent_down&start={started}")).await;
    assert!(site.agent.terminate().await.success());
    assert!(site.collector.terminate().await.success());
    let journal = Journal::open(&site.journal());
    let stored = stored(&site.directory().join("collector"));
    for (labels, readings) in &journal.readings(journal.newest() - 20, "acme", "fra-1") {
        for (time, bits) in readings {
            assert_eq!(stored.get(labels).and_then(|kept| kept.get(time)), Some(bits), "{labels}");
        }
    }
}
