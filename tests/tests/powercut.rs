//! What was acknowledged is there after the power is cut: a file system that forgets everything
//! that was not synced. Needs root, for it mounts one. `HALLWATCH_POWER_CUTS=100` for more rounds of
//! the store, which is what the figures of the collector's README are of.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![expect(clippy::print_stdout, reason = "the process that is cut off says how far it is")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hallwatch_collector::store::{Options, Store};
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::{Matchers, Select, Source as _};
use hallwatch_tests::journal::{Journal, stored};
use hallwatch_tests::namespace::is_isolated;
use hallwatch_tests::pager::now;
use hallwatch_tests::powercut::Disk;
use hallwatch_tests::prometheus::try_get;
use hallwatch_tests::site::{Options as SiteOptions, Site};
use hallwatch_tests::wait::wait_for;

const NAME: &str = "every_acknowledged_sample_survives_a_power_cut";
const FOLDER: &str = "HALLWATCH_TEST_POWERCUT";
const ROUNDS: &str = "HALLWATCH_POWER_CUTS";
const START: i64 = 1_795_276_800_000;
const SERIES: i64 = 20;

fn open(dir: &Path) -> Store {
    // A small log makes many chunks and many deletions.
    Store::open(dir, &Options { replay_bytes: 40_000, ..Options::default() }).unwrap()
}

fn value(number: i64, series: i64) -> f64 {
    ((number * 37 + series) % 5_000) as f64 / 10.0
}

fn write_until_cut(dir: &Path) {
    let mut store = open(dir);
    for number in 1.. {
        let time = Timestamp::from_millis(START + number * 60_000);
        let sample = |series: i64| {
            let device = series.to_string();
            let labels = Labels::metric("power_watts", [("device", device.as_str())]);
            (labels, Sample { time, value: Ok(value(number, series)) })
        };
        let samples: Vec<_> = (0..SERIES).map(sample).collect();
        if store.record(&samples, time).is_err() {
            return;
        }
        println!("\nacknowledged {number}");
    }
}

#[test]
fn every_acknowledged_sample_survives_a_power_cut() {
    if let Ok(dir) = std::env::var(FOLDER) {
        return write_until_cut(Path::new(&dir));
    }
    if !is_isolated(NAME) {
        return;
    }
    let rounds: u64 = std::env::var(ROUNDS).ok().map_or(3, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (mut total, mut slowest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let mut disk = Disk::new(&dir.path().join("disk"), 160);
        let folder = disk.path().join("data");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (said, lines) =
            (AtomicI64::new(0), BufReader::new(child.stdout.take().unwrap()).lines());
        let acknowledged = std::thread::scope(|scope| {
            scope.spawn(|| {
                for line in lines.map_while(Result::ok) {
                    let number = line.strip_prefix("acknowledged ").and_then(|n| n.parse().ok());
                    said.fetch_max(number.unwrap_or(0), Ordering::SeqCst);
                }
            });
            while said.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(200 + round.wrapping_mul(7_919) % 1_300));
            // What is said while the power goes may be lost: only what was said before counts.
            let before = said.load(Ordering::SeqCst);
            disk.cut();
            child.kill().unwrap();
            child.wait().unwrap();
            before
        });
        disk.power_up();
        let began = hallwatch_collector::clock::uptime();
        let store = open(&folder);
        slowest = slowest.max(hallwatch_collector::clock::uptime().since(began));
        let matchers = Matchers::parse("power_watts").unwrap();
        let request = Select::new(&matchers, Timestamp::MIN, Timestamp::MAX);
        let found = store.reader().select(&request).unwrap();
        assert_eq!(found.len() as i64, SERIES);
        for series in found {
            let device: i64 = series.labels.get("device").unwrap().parse().unwrap();
            let count = series.times.len() as i64;
            assert!(count >= acknowledged, "round {round}: {count} of {acknowledged}");
            for (number, (time, found)) in (1..).zip(series.times.iter().zip(&series.values)) {
                assert_eq!((*time, *found), (START + number * 60_000, value(number, device)));
            }
        }
        assert!(store.reader().stats().damage.is_empty());
        total += acknowledged * SERIES;
        drop(store);
    }
    assert!(total > 0);
    println!("{rounds} power cuts, {total} acknowledged samples, 0 lost; opened in {slowest:.0?}");
}

const PATIENCE: Duration = Duration::from_secs(60);
/// What may be missing before a cut: a turn, the time that an entry stays open, one commit.
const UNSYNCED: i64 = 1_500;

async fn drained(site: &Site) {
    let since = now().as_seconds();
    let drained =
        format!("agent_journal_backlog < 5 and timestamp(agent_journal_backlog) > {since} + 5");
    site.reads(&drained, PATIENCE).await;
}

/// What the journal has is in the store, with its value.
fn compare(site: &Site, last: i64) -> usize {
    let journal = Journal::open(&site.journal());
    assert_eq!(journal.owed(last), 0, "entries that the collector has not acknowledged");
    let stored = stored(&site.directory().join("collector"));
    let mut count = 0;
    for (labels, readings) in &journal.readings(last, "acme", "fra-1") {
        for (time, bits) in readings {
            let kept = stored.get(labels).and_then(|kept| kept.get(time));
            assert_eq!(kept, Some(bits), "{labels} at {time}");
            count += 1;
        }
    }
    count
}

fn options() -> SiteOptions {
    SiteOptions { interval: "200ms".into(), keep: "1h".into(), ..SiteOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_loses_with_its_power_is_its_last_moment_and_a_gap() {
    if !is_isolated("what_an_agent_loses_with_its_power_is_its_last_moment_and_a_gap") {
        return;
    }
    let mut site = Site::start(options()).await;
    assert!(site.agent.terminate().await.success());
    let mut disk = Disk::new(&site.directory().join("agent"), 64);
    site.restart_agent();
    let mut cuts = Vec::new();
    for round in 0..3_u64 {
        let since = now().as_seconds();
        site.reads(&format!("agent_watermark_seconds > {since}"), PATIENCE).await;
        tokio::time::sleep(Duration::from_millis(1_700 + round * 433)).await;
        let at = now().as_millis();
        disk.cut();
        // What was synced before the power was really off is on the disk.
        let off = now().as_millis();
        // The machine is off: nothing of it speaks any more.
        site.agent.kill();
        disk.power_up();
        site.restart_agent();
        cuts.push((at, off));
    }
    drained(&site).await;
    assert!(site.agent.terminate().await.success());
    let last = Journal::open(&site.journal()).newest();
    site.restart_agent();
    drained(&site).await;
    let answer = try_get(&site.api, "/api/v1/gaps?state=lost&cause=agent_down", &[]).await;
    let answer = answer.expect("the ledger");
    let rows = answer["data"].as_array().expect("rows");
    let rows: Vec<(i64, i64)> = rows
        .iter()
        .map(|row| (row["start"].as_i64().expect("a start"), row["end"].as_i64().expect("an end")))
        .collect();
    assert!(site.agent.terminate().await.success());
    assert!(site.collector.terminate().await.success());
    let count = compare(&site, last);
    assert!(count > 1_000, "{count} readings are not much of a load");
    let stored = stored(&site.directory().join("collector"));
    for (cut, off) in cuts {
        for device in ["ups-a", "pdu-a1", "generator"] {
            let own = stored.iter().filter(|(labels, _)| labels.get("device") == Some(device));
            let times: BTreeSet<i64> =
                own.flat_map(|(_, readings)| readings.keys()).copied().collect();
            let before = *times.range(..off).next_back().expect("readings before");
            let after = *times.range(off..).next().expect("readings after");
            assert!(cut - before <= UNSYNCED, "{device}: {} ms are missing", cut - before);
            let covered =
                rows.iter().any(|(start, end)| *start <= before + 1_000 && *end >= after - 1_000);
            assert!(covered, "{device}: nothing from {before} to {after}, and no gap in {rows:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_loses_nothing_with_its_power() {
    if !is_isolated("a_collector_loses_nothing_with_its_power") {
        return;
    }
    let mut site = Site::start(options()).await;
    assert!(site.collector.terminate().await.success());
    let mut disk = Disk::new(&site.directory().join("collector"), 160);
    site.restart_collector();
    for round in 0..3_u64 {
        let since = now().as_seconds();
        site.reads(&format!("agent_watermark_seconds > {since}"), PATIENCE).await;
        tokio::time::sleep(Duration::from_millis(1_700 + round * 433)).await;
        disk.cut();
        site.collector.kill();
        disk.power_up();
        site.restart_collector();
    }
    drained(&site).await;
    assert!(site.agent.terminate().await.success());
    let last = Journal::open(&site.journal()).newest();
    site.restart_agent();
    drained(&site).await;
    // What was a hole while the backlog came is none any more.
    wait_for("a ledger without open gaps", PATIENCE, async || {
        let answer = try_get(&site.api, "/api/v1/gaps?state=open", &[]).await.ok()?;
        answer["data"].as_array()?.is_empty().then_some(())
    })
    .await;
    assert!(site.agent.terminate().await.success());
    assert!(site.collector.terminate().await.success());
    let count = compare(&site, last);
    assert!(count > 1_000, "{count} readings are not much of a load");
}
