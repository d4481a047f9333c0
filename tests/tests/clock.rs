//! The gateway's clock steps, or was never set: readings keep their time, and no alert moves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hallwatch_model::Labels;
use hallwatch_tests::journal::{Journal, Readings, stored};
use hallwatch_tests::pager::now;
use hallwatch_tests::peers::{free_address, program};
use hallwatch_tests::process::{Process, binary};
use hallwatch_tests::prometheus::{get, try_query};
use hallwatch_tests::site::{Options, Site};
use hallwatch_tests::wait::wait_for;
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
    let faked = |command| wrong(command, &clock);
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
        assert!((seen[0].last() - now().as_seconds()).abs() < 60.0, "{offset}");
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

const HOURS: i64 = 3 * 3_600;

/// `command`, for which the clock is wrong by what the file `clock` says.
fn wrong(mut command: Command, clock: &Path) -> Command {
    command.env("LD_PRELOAD", faketime());
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_TIMESTAMP_FILE", clock);
    command
}

/// A second collector of the site, and where its store is.
fn second(site: &Site) -> (Process, String, PathBuf) {
    let path = site.directory();
    let (listen, store) = (free_address(), path.join("second"));
    let replace = |name: &str, pairs: &[(&str, &str)]| {
        let mut text = std::fs::read_to_string(path.join(name)).expect(name);
        for (old, new) in pairs {
            assert!(text.contains(old), "{old} in {text}");
            text = text.replace(old, new);
        }
        text
    };
    let first = site.api.trim_start_matches("http://");
    let [own, other] = [path.join("collector"), store.clone()].map(|path| format!("{path:?}"));
    let text = replace(
        "collector.toml",
        &[("id = \"c-1\"", "id = \"c-2\""), (first, &listen.to_string()), (&own, &other)],
    );
    std::fs::write(path.join("second.toml"), text).expect("second.toml");
    let text = replace("agent.toml", &[("[\"c-1\"]", "[\"c-1\", \"c-2\"]")]);
    std::fs::write(path.join("agent.toml"), text).expect("agent.toml");
    let mut command = Command::new(binary("hallwatch-collector"));
    command.args(["run", "--config"]).arg(path.join("second.toml"));
    let process = Process::start("second", path, command).expect("hallwatch-collector run");
    (process, format!("http://{listen}"), store)
}

/// Waits until the agent has journalled at so many moments, which are a second apart. It keeps its
/// journal to itself, but not the size and the age of the file.
async fn journals(site: &Site, times: u32) {
    let log = site.journal().with_extension("sqlite-wal");
    let state = || {
        let found = std::fs::metadata(&log).ok()?;
        Some((found.len(), found.modified().ok()?))
    };
    for _ in 0..times {
        let before = state();
        wait_for("an entry of the journal", PATIENCE, async || {
            (state().is_some() && state() != before).then_some(())
        })
        .await;
        sleep(Duration::from_millis(900)).await;
    }
}

/// Rows of a ledger with this cause.
async fn rows(api: &str, cause: &str, from: i64) -> Vec<serde_json::Value> {
    let (start, end) = (from / 1_000 - 60, now().as_millis() / 1_000 + 60);
    let answer = get(api, &format!("/api/v1/gaps?start={start}&end={end}"), &[]).await;
    let rows = answer["data"].as_array().expect("rows").iter();
    rows.filter(|row| row["cause"] == cause).cloned().collect()
}

/// The first time at which a series has this value, in milliseconds.
fn first_time(readings: &Readings, labels: &[(&str, &str)], metric: &str, value: f64) -> i64 {
    let is_it = |found: &Labels| {
        found.name() == Some(metric)
            && labels.iter().all(|(name, value)| found.get(name) == Some(value))
    };
    let times: &BTreeMap<i64, u64> =
        readings.iter().find(|(found, _)| is_it(found)).expect("the series").1;
    let found = times.iter().find(|(_, bits)| **bits == value.to_bits());
    *found.unwrap_or_else(|| panic!("{metric} is never {value}")).0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_reads_before_it_knows_the_time_arrives_with_the_right_times() {
    let mut site = Site::start(Options { keep: "1h".into(), ..Options::default() }).await;
    let clock = site.directory().join("clock");
    std::fs::write(&clock, format!("-{HOURS}")).expect("the clock");
    let (mut second, second_api, second_store) = second(&site);
    assert!(site.agent.terminate().await.success());
    // A gateway that was never here before, and whose broker is away.
    std::fs::remove_dir_all(site.directory().join("agent")).expect("the journal");
    site.broker.kill();
    let began = now().as_millis();
    site.restart_agent_as(|command| wrong(command, &clock));
    journals(&site, 6).await;
    // The charge of its battery: 75 %, see `path.rs`.
    site.set_register("ups-a", 130, 38_400).await;
    let changed = now().as_millis();
    journals(&site, 4).await;
    // Its process dies; the next one knows no better.
    site.agent.kill();
    site.restart_agent_as(|command| wrong(command, &clock));
    journals(&site, 5).await;
    site.broker.restart().await;
    let healed = now().as_seconds();
    for api in [&site.api, &second_api] {
        let expr = format!(
            "agent_watermark_seconds > {healed} + 2 and on() agent_journal_backlog < 3 \
             and on() timestamp(agent_journal_backlog) > {healed} \
             and on() agent_clock_offset_seconds < -10000"
        );
        wait_for(&format!("{api}: {expr}"), PATIENCE, async || {
            try_query(api, &expr).await.ok().filter(|series| !series.is_empty())
        })
        .await;
    }
    assert!(site.agent.terminate().await.success());
    let ended = now().as_millis();
    let last = Journal::open(&site.journal()).newest();
    let mut corrected = Vec::new();
    for api in [&site.api, &second_api] {
        let found = rows(api, "clock_corrected", began).await;
        assert!(!found.is_empty() && found.iter().all(|row| row["state"] == "filled"), "{found:?}");
        corrected.push(found);
    }
    assert_eq!(corrected[0].len(), corrected[1].len());
    // Once more with the right clock, so that all that was under way has arrived.
    site.restart_agent();
    let started = now().as_seconds();
    for api in [&site.api, &second_api] {
        let expr = format!(
            "agent_journal_backlog < 5 and timestamp(agent_journal_backlog) > {started} + 11"
        );
        wait_for(&format!("{api}: {expr}"), PATIENCE, async || {
            try_query(api, &expr).await.ok().filter(|series| !series.is_empty())
        })
        .await;
    }
    assert!(site.agent.terminate().await.success());
    assert!(site.collector.terminate().await.success());
    assert!(second.terminate().await.success());

    let journalled = Journal::open(&site.journal()).readings(last, "acme", "fra-1");
    let stores = [stored(&site.directory().join("collector")), stored(&second_store)];
    let mut earliest = i64::MAX;
    for kept in &stores {
        for (labels, times) in &journalled {
            let found = kept.get(labels).unwrap_or_else(|| panic!("{labels} is not in the store"));
            for (time, bits) in times {
                assert_eq!(found.get(time), Some(bits), "{labels} at {time}");
                earliest = earliest.min(*time);
            }
        }
        // Nothing else is there of that time or of any wrong one: each exactly once. The next run's
        // time may be some seconds behind this test's, as the collector's word takes to come.
        for (labels, times) in &journalled {
            let there = kept[labels].keys().filter(|time| !times.contains_key(time));
            let more = there
                .filter(|time| **time < began - 60_000 || (began..ended - 4_000).contains(*time));
            let more: Vec<&i64> = more.collect();
            assert!(more.is_empty(), "{labels} also at {more:?}");
        }
        let labels = [("device", "ups-a")];
        let at = first_time(kept, &labels, "ups_battery_charge_ratio", 0.75);
        // A turn, and what the collector's word took to come.
        assert!((-4_000..=4_000).contains(&(at - changed)), "{} ms off", at - changed);
    }
    let first = earliest - began;
    assert!((-4_000..=30_000).contains(&first), "the first is of {first} ms");
}

/// Runs as after a start of the machine: in a namespace whose uptime begins now.
fn rebooted(command: &Command) -> Command {
    let uptime = std::fs::read_to_string("/proc/uptime").expect("an uptime");
    let seconds: f64 = uptime.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    let mut outer = Command::new(program("unshare", "util-linux"));
    outer.args([
        "--time",
        "--boottime",
        &format!("-{seconds:.0}", seconds = seconds.floor()),
        "--",
    ]);
    outer.arg(command.get_program()).args(command.get_args());
    outer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_between_two_starts_of_the_machine_is_kept_between_them_and_marked() {
    let mut site = Site::start(Options { keep: "1h".into(), ..Options::default() }).await;
    let clock = site.directory().join("clock");
    std::fs::write(&clock, format!("-{HOURS}")).expect("the clock");
    // It is written down that the time is known, and then the machine stops.
    site.reads("agent_watermark_seconds", PATIENCE).await;
    assert!(site.agent.terminate().await.success());
    site.broker.kill();
    let stopped = now().as_millis();
    site.restart_agent_as(|command| wrong(rebooted(&command), &clock));
    journals(&site, 8).await;
    site.agent.kill();
    // Once more, with the right clock, and somebody to ask.
    let restarted = now().as_millis();
    site.restart_agent_as(|command| rebooted(&command));
    site.broker.restart().await;
    let healed = now().as_seconds();
    let expr = format!(
        "agent_watermark_seconds > {healed} + 2 and on() agent_journal_backlog < 3 \
         and on() timestamp(agent_journal_backlog) > {healed}"
    );
    site.reads(&expr, PATIENCE).await;
    let found = rows(&site.api, "clock_uncertain", stopped).await;
    let [row] = &found[..] else { panic!("{found:?}") };
    let time = |name: &str| row[name].as_i64().expect("a time");
    assert_eq!(row["state"], "filled");
    assert!(time("start") <= stopped && time("end") >= restarted - 1_000, "{row}");
    assert!(site.agent.terminate().await.success());
    assert!(site.collector.terminate().await.success());
    let kept = stored(&site.directory().join("collector"));
    let up = kept.iter().find(|(labels, _)| {
        labels.name() == Some("device_up") && labels.get("device") == Some("ups-a")
    });
    let times: Vec<i64> = up.expect("the series").1.keys().copied().collect();
    assert!(times.iter().all(|time| *time > stopped - 120_000), "{times:?}");
    // What was read meanwhile is there, before the last start.
    let span = time("start")..=time("end");
    let meanwhile = times.iter().filter(|time| span.contains(*time));
    assert!(meanwhile.count() >= 3, "{times:?} in {row}");
}
