//! What is deleted is hidden at once from every reader, is then really gone from the disk, and
//! nothing else is.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

use hallwatch_collector::store::{Deletion, Ignored, Incoming, Options, Outcome, Receipt, Store};
use hallwatch_model::{
    AgentPath, Batch, Describe, Event, Id, Labels, Reading, Readings, SeriesId, Timestamp,
};
use hallwatch_promql::{Matchers, Select, Source as _};

const START: i64 = 1_795_276_800_000;
const MINUTE: i64 = 60_000;
/// Its bytes stand in the file as they are: it is no decimal.
const CANARY: f64 = f64::from_bits(u64::from_le_bytes(*b"!canary@"));
const LABEL: &str = "canary-of-the-mine";

fn agent(tenant: &str) -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id(tenant), site: id("fra-1"), agent: id("gw-1") }
}

fn describe() -> Describe {
    let labels = |device: &str| Labels::metric("power_watts", [("device", device)]);
    let series = vec![(SeriesId(0), labels(LABEL)), (SeriesId(1), labels("d-1"))];
    Describe { dictionary: 5, part: 0, series, ..Describe::default() }
}

/// A minute of one tenant: the first series has the canary, the second something else.
fn incoming(tenant: &str, minute: u64) -> Incoming {
    let time = Timestamp::from_millis(START + minute.cast_signed() * MINUTE);
    let reading = |series, value| Reading { series: SeriesId(series), time, value: Ok(value) };
    let other = minute as f64 / 10.0;
    let event = Event {
        time,
        device: "door-1".to_owned(),
        door: "north".to_owned(),
        person: format!("{LABEL}-{tenant}"),
        result: "granted".to_owned(),
    };
    let batch = Batch {
        boot: 1,
        seq: minute + 1,
        oldest: 1,
        watermark: time,
        backfill: false,
        readings: Readings {
            dictionary: 5,
            readings: vec![reading(0, CANARY), reading(1, other)],
            events: if minute.is_multiple_of(100) { vec![event] } else { Vec::new() },
            ..Readings::default()
        },
        ..Batch::default()
    };
    Incoming { agent: agent(tenant), batch, received: time }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &Options::default()).unwrap()
}

/// Four hours in chunks, one in the log, of two tenants.
fn filled(dir: &Path) -> Store {
    let mut store = open(dir);
    for tenant in ["acme", "umbrella"] {
        store.describe(&agent(tenant), &describe()).unwrap();
    }
    for minute in 0..300 {
        store.commit(&[incoming("acme", minute), incoming("umbrella", minute)]).unwrap();
        if minute == 240 {
            store.flush_all().unwrap();
        }
    }
    let stats = store.reader().stats();
    assert!(stats.windows > 1 && stats.log_bytes > 0, "{stats:?}");
    store
}

fn minutes(store: &Store, selector: &str) -> Vec<i64> {
    let matchers = Matchers::parse(selector).unwrap();
    let request = Select { matchers: &matchers, start: Timestamp::MIN, end: Timestamp::MAX };
    let found = store.reader().select(&request).unwrap();
    found.iter().flat_map(|series| &series.times).map(|time| (time - START) / MINUTE).collect()
}

/// In how many places of which files it stands.
fn places(dir: &Path, bytes: &[u8]) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let count = |path| {
        let content = std::fs::read(path).unwrap();
        content.windows(bytes.len()).filter(|part| *part == bytes).count()
    };
    files.map(count).sum()
}

fn purge(store: &mut Store, now: i64) -> Receipt {
    for round in 0..1_000 {
        store.maintain(Timestamp::from_millis(now + round)).unwrap();
        let receipts = store.reader().deletions().unwrap();
        if receipts[0].purged.is_some() {
            return receipts[0];
        }
    }
    panic!("the disk is never clean: {:?}", store.reader().deletions());
}

fn selected(selector: &str) -> Deletion {
    Deletion {
        selectors: vec![Matchers::parse(selector).unwrap()],
        tenant: None,
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    }
}

#[test]
fn a_series_is_hidden_at_once_and_its_bytes_are_gone_after_the_purge() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    std::fs::write(dir.path().join("store.sqlite.damaged-1"), b"!canary@").unwrap();
    let rest = minutes(&store, r#"{device="d-1"}"#);
    assert_eq!(rest.len(), 600);
    let canary = CANARY.to_le_bytes();
    assert!(places(dir.path(), &canary) > 2 && places(dir.path(), LABEL.as_bytes()) > 2);

    let now = START + 301 * MINUTE;
    let receipt = store
        .delete(&selected(&format!(r#"{{device="{LABEL}"}}"#)), Timestamp::from_millis(now))
        .unwrap();
    assert_eq!((receipt.series, receipt.purged), (2, None));
    let hidden = |store: &Store| {
        assert_eq!(minutes(store, &format!(r#"{{device="{LABEL}"}}"#)), [0i64; 0]);
        let (min, max) = (Timestamp::MIN, Timestamp::MAX);
        let reader = store.reader();
        assert_eq!(reader.series(&[], min, max).unwrap().len(), 2);
        assert_eq!(reader.label_values("device", &[], min, max).unwrap(), ["d-1".into()]);
        let all = Matchers::parse("power_watts").unwrap();
        assert_eq!(reader.latest(&all).unwrap().len(), 2);
        let logged = reader.log(0, usize::MAX).unwrap();
        let samples = logged.iter().flat_map(|entry| &entry.samples);
        assert!(samples.clone().count() > 0);
        assert_eq!(samples.filter(|(_, sample)| sample.value == Ok(CANARY)).count(), 0);
        assert_eq!(minutes(store, r#"{device="d-1"}"#), rest);
    };
    hidden(&store);
    // It is not forgotten by a restart, wherever the purge was.
    drop(store);
    let mut store = open(dir.path());
    hidden(&store);
    assert!(places(dir.path(), &canary) > 0, "nothing was left for the purge to do");
    store.maintain(Timestamp::from_millis(now)).unwrap();
    drop(store);
    let mut store = open(dir.path());
    hidden(&store);

    let receipt = purge(&mut store, now);
    assert_eq!(receipt.chunk_samples + receipt.log_samples, 600, "{receipt:?}");
    assert_eq!(receipt.damaged, 1, "the copy of a damaged file: {receipt:?}");
    assert_eq!(places(dir.path(), &canary), 0);
    // Events of other people stay; the series' name is nowhere.
    let names = places(dir.path(), LABEL.as_bytes());
    let events = store.reader().events(Timestamp::MIN, Timestamp::MAX, 100).unwrap();
    assert_eq!((names, events.len()), (6, 6));
    hidden(&store);
    assert!(store.reader().stats().damage.is_empty());

    // Its agent is asked what it means, should it send more.
    let late = incoming("acme", 302);
    assert_ne!(store.commit(std::slice::from_ref(&late)).unwrap()[0], stored());
    store.describe(&agent("acme"), &describe()).unwrap();
    assert_eq!(store.commit(&[late]).unwrap()[0], stored());
    assert_eq!(minutes(&store, &format!(r#"{{device="{LABEL}"}}"#)), [302]);
}

fn stored() -> Outcome {
    Outcome::Stored { samples: 2, new_series: 1, ignored: Ignored::default(), lost: Vec::new() }
}

#[test]
fn a_time_range_costs_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    let at = |minute: i64| Timestamp::from_millis(START + minute * MINUTE);
    let mut deletion = selected(r#"power_watts{tenant="acme",device="d-1"}"#);
    (deletion.start, deletion.end) = (at(60), at(270));
    store.delete(&deletion, at(301)).unwrap();
    let left: Vec<i64> = (0..60).chain(271..300).collect();
    let of = r#"{tenant="acme",device="d-1"}"#;
    assert_eq!(minutes(&store, of), left);
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(minutes(&store, of), left);
    let receipt = purge(&mut store, at(301).as_millis());
    assert_eq!((receipt.series, receipt.chunk_samples + receipt.log_samples), (1, 211));
    drop(store);
    let store = open(dir.path());
    assert_eq!(minutes(&store, of), left);
    assert_eq!(minutes(&store, r#"{tenant="umbrella"}"#).len(), 600);
    assert_eq!(minutes(&store, &format!(r#"{{device="{LABEL}"}}"#)).len(), 600);
}

#[test]
fn a_tenant_goes_with_what_happened_at_its_doors() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    let name = format!("{LABEL}-acme");
    assert!(places(dir.path(), name.as_bytes()) > 0);
    // Asked for from another thread, as the API does.
    let reader = store.reader();
    let deletion = Deletion {
        selectors: Vec::new(),
        tenant: Some(Id::new("acme").unwrap()),
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    };
    let asking = std::thread::spawn(move || reader.delete(deletion));
    while !asking.is_finished() {
        store.maintain(Timestamp::from_millis(START + 301 * MINUTE)).unwrap();
    }
    assert_eq!(asking.join().unwrap().unwrap().series, 2);
    let events = store.reader().events(Timestamp::MIN, Timestamp::MAX, 100).unwrap();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|(agent, _)| agent.tenant.as_str() == "umbrella"));
    assert_eq!(minutes(&store, r#"{tenant="acme"}"#), [0i64; 0]);
    let receipt = purge(&mut store, START + 302 * MINUTE);
    assert_eq!((receipt.events, receipt.series), (3, 2));
    assert_eq!(places(dir.path(), name.as_bytes()), 0);
    assert_eq!(minutes(&store, r#"{tenant="umbrella"}"#).len(), 600);
}
