//! Backup while it is written, restore, verify; and the commands that do it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hallwatch_collector::gaps::Gaps;
use hallwatch_collector::store::backup::{backup, restore};
use hallwatch_collector::store::verify::verify;
use hallwatch_collector::store::{Error, Options, Store};
use hallwatch_model::{Ack, AgentPath, Id, Labels, Sample, Timestamp};
use hallwatch_promql::{Matchers, Select, Source as _};
use rusqlite::Connection;

const START: i64 = 1_795_276_800_000;
const PATIENCE: Duration = Duration::from_secs(60);
type Content = BTreeMap<String, Vec<(i64, u64)>>;

/// A minute: 20 series, read in pairs, a few milliseconds late.
fn minute(store: &mut Store, minute: i64) {
    let now = START + minute * 60_000;
    let sample = |i: i64| {
        let labels = Labels::metric("power_watts", [("device", format!("d-{i:02}").as_str())]);
        let time = Timestamp::from_millis(now + (minute * 7 + i / 2) % 9);
        (labels, Sample { time, value: Ok(((minute * 31 + i) % 700) as f64 / 10.0) })
    };
    let samples: Vec<_> = (0..20).map(sample).collect();
    store.record(&samples, Timestamp::from_millis(now)).unwrap();
}

fn content(dir: &Path, upto: i64) -> Content {
    let store = Store::open(dir, &Options::default()).unwrap();
    let matchers = Matchers::parse("power_watts").unwrap();
    let end = Timestamp::from_millis(upto);
    let request = Select::new(&matchers, Timestamp::MIN, end);
    let found = store.reader().select(&request).unwrap();
    assert!(store.reader().stats().damage.is_empty());
    let samples = |series: hallwatch_promql::Series| {
        let bits = series.values.iter().map(|value| value.to_bits());
        (series.labels.to_string(), series.times.iter().copied().zip(bits).collect())
    };
    found.into_iter().map(samples).collect()
}

#[test]
fn a_backup_of_a_busy_store_restores_every_sample_up_to_a_moment() {
    let (dir, copy, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(dir.path(), &Options::default()).unwrap();
    (0..400).for_each(|i| minute(&mut store, i));
    let done = AtomicBool::new(false);
    let (before, upto) = std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let copied = backup(dir.path(), copy.path(), PATIENCE);
            done.store(true, Ordering::SeqCst);
            copied
        });
        let mut next = 400;
        while !done.load(Ordering::SeqCst) {
            minute(&mut store, next);
            next += 1;
        }
        let copied = copying.join().unwrap().unwrap();
        assert_eq!((copied.content.damaged, copied.content.series), (0, 20));
        (400, next)
    });
    drop(store);
    let restored = restore(copy.path(), other.path()).unwrap();
    assert_eq!(restored.content.damaged, 0);
    let got = content(other.path(), i64::MAX);
    let minutes = got.values().next().unwrap().len() as i64;
    assert!(minutes >= before && minutes <= upto, "{minutes} of {upto} minutes");
    assert_eq!(got, content(dir.path(), START + minutes * 60_000 - 1));

    let again = restore(copy.path(), other.path());
    assert!(matches!(again, Err(Error::Occupied { .. })), "{again:?}");
    let again = backup(dir.path(), copy.path(), PATIENCE);
    assert!(matches!(again, Err(Error::Occupied { .. })), "{again:?}");
    // Cut off, or never finished: refused, and nothing is touched.
    let file = std::fs::OpenOptions::new().write(true).open(copy.path().join("store.sqlite"));
    file.unwrap().set_len(20_000).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let cut = restore(copy.path(), fresh.path());
    assert!(matches!(cut, Err(Error::NotABackup { .. })), "{cut:?}");
    std::fs::remove_file(copy.path().join("backup.whole")).unwrap();
    assert!(matches!(restore(copy.path(), fresh.path()), Err(Error::NotABackup { .. })));
    assert!(!fresh.path().join("store.sqlite").exists());
}

#[test]
fn a_backup_that_takes_too_long_is_given_up() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(dir.path(), &Options::default()).unwrap();
    (0..600).for_each(|i| minute(&mut store, i));
    assert!(backup(dir.path(), copy.path(), Duration::ZERO).is_err());
    assert!(!copy.path().join("backup.whole").exists());
    minute(&mut store, 600);
}

#[test]
fn verify_names_what_is_damaged_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &Options::default()).unwrap();
    (0..300).for_each(|i| minute(&mut store, i));
    store.flush_all().unwrap();
    (300..310).for_each(|i| minute(&mut store, i));
    let sound = verify(dir.path()).unwrap();
    assert_eq!((sound.damaged, sound.series, sound.log_samples), (0, 20, 200));
    assert_eq!(sound.chunk_samples, 6_000);
    drop(store);
    let connection = Connection::open(dir.path().join("store.sqlite")).unwrap();
    let flip = |table: &str, column: &str, row: &str| {
        let select = format!("SELECT {column} FROM {table} WHERE {row}");
        let mut blob: Vec<u8> = connection.query_row(&select, [], |row| row.get(0)).unwrap();
        let middle = blob.len() / 2;
        blob[middle] ^= 4;
        let update = format!("UPDATE {table} SET {column} = ?1 WHERE {row}");
        assert_eq!(connection.execute(&update, [blob]).unwrap(), 1);
    };
    let window: i64 =
        connection.query_row("SELECT min(window) FROM chunk", [], |row| row.get(0)).unwrap();
    flip("chunk", "data", &format!("window = {window} AND series = 5"));
    flip("log", "data", "id = (SELECT max(id) FROM log)");
    // Common times of two series: both chunks are lost.
    flip("time", "data", &format!("window = {window} AND id = 1"));
    drop(connection);
    let found = verify(dir.path()).unwrap();
    let mut parts: Vec<&str> = found.damages.iter().map(|one| one.part).collect();
    parts.sort_unstable();
    assert_eq!(parts, ["chunk", "chunk", "chunk", "log"], "{found:?}");
    assert!(found.damages.iter().any(|one| one.which.contains(r#"device="d-04""#)));
    assert_eq!(found.damaged, 4);
}

fn collector(dir: &Path, arguments: &[&str]) -> Output {
    let path = dir.join("collector.toml");
    let text = format!(
        "collector = {{ id = 'c-1', data = '{}', listen = '127.0.0.1:1' }}\n\
         broker = {{ url = 'mqtt://127.0.0.1:1' }}\n\
         site = [{{ id = 'fra-1', tenant = 'acme', agents = ['gw-1'] }}]\n",
        dir.join("data").display()
    );
    std::fs::write(&path, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_hallwatch-collector"))
        .args(arguments)
        .args(["--config", &path.display().to_string()])
        .output()
        .unwrap()
}

#[test]
fn the_commands_work_on_a_collector_that_does_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let run = |arguments: &[&str]| {
        let output = collector(dir.path(), arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, text) = run(&["query", "up"]);
    assert!(code == Some(70) && text.contains("there is no store"), "{text}");
    assert!(!data.exists(), "asking made a store");

    let mut store = Store::open(&data, &Options::default()).unwrap();
    (0..200).for_each(|i| minute(&mut store, i));
    drop(store);
    let (code, text) = run(&["query", r#"last_over_time(power_watts{device="d-01"}[100y])"#]);
    assert_eq!((code, text.trim_end()), (Some(0), "power_watts{device=d-01}  57"));
    let (code, text) = run(&["query", "vector(3)", "--since", "1h", "--step", "5m", "--json"]);
    assert!(code == Some(0) && text.contains(r#""resultType":"matrix""#), "{text}");
    let (code, text) = run(&["query", "sum by"]);
    assert!(code == Some(70) && text.contains("error: "), "{text}");

    let (code, text) = run(&["verify"]);
    assert!(code == Some(0) && text.contains("20 series") && text.contains("all sound"), "{text}");
    let copy = dir.path().join("copy");
    let (code, text) = run(&["backup", &copy.display().to_string()]);
    assert!(code == Some(0) && text.contains("all sound"), "{text}");
    let (code, text) = run(&["delete", r#"power_watts{device=~"d-0."}"#]);
    assert!(code == Some(0) && text.contains("10 series") && text.contains("gone"), "{text}");
    let (_, text) = run(&["query", "count(last_over_time(power_watts[100y]))"]);
    assert_eq!(text.trim_end(), "{}  10");

    std::fs::remove_dir_all(&data).unwrap();
    let (code, text) = run(&["restore", &copy.display().to_string()]);
    assert!(code == Some(0), "{text}");
    let (_, text) = run(&["query", "count(last_over_time(power_watts[100y]))"]);
    assert_eq!(text.trim_end(), "{}  20");
    let (code, text) = run(&["restore", &copy.display().to_string()]);
    assert!(code == Some(70) && text.contains("not empty"), "{text}");
}

#[test]
fn the_gap_ledger_is_part_of_a_backup_and_goes_with_its_tenant() {
    let (dir, copy, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(dir.path(), &Options::default()).unwrap();
    minute(&mut store, 0);
    let agent = |tenant: &str| {
        let id = |text: &str| Id::new(text).unwrap();
        AgentPath { tenant: id(tenant), site: id("fra-1"), agent: id("gw-secretly-named") }
    };
    let now = Timestamp::from_millis(START);
    let gaps = Gaps::open(dir.path(), |_, _| Ack::default()).unwrap();
    for tenant in ["acme", "globex"] {
        gaps.change(|ledger| ledger.heard(&agent(tenant), Some(false), now)).unwrap();
    }
    let rows = gaps.rows(|_| true);
    assert_eq!(rows.len(), 2);
    backup(dir.path(), copy.path(), PATIENCE).unwrap();
    restore(copy.path(), other.path()).unwrap();
    let restored = Gaps::open(other.path(), |_, _| Ack::default()).unwrap();
    assert_eq!(restored.rows(|_| true), rows);

    let tenant = Id::new("acme").unwrap();
    let earlier = now - Duration::from_secs(60);
    assert_eq!(restored.delete_tenant(&tenant, Timestamp::MIN, earlier).unwrap(), 0);
    assert_eq!(restored.delete_tenant(&tenant, Timestamp::MIN, Timestamp::MAX).unwrap(), 1);
    drop(restored);
    for file in std::fs::read_dir(other.path()).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().contains("gaps.sqlite") {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(10).any(|window| window == b"acme/fra-1");
            assert!(!found, "{}", path.display());
        }
    }
    let left = Gaps::open(other.path(), |_, _| Ack::default()).unwrap().rows(|_| true);
    assert_eq!(left.iter().map(|row| row.agent.clone()).collect::<Vec<_>>(), [agent("globex")]);
}
