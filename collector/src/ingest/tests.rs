use hallwatch_model::{Batch, Labels, Readings, SeriesId};
use proptest::prelude::*;

use super::*;

fn path(tenant: &str, site: &str, agent: &str) -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id(tenant), site: id(site), agent: id(agent) }
}

fn ingest() -> Ingest {
    let agents = [path("acme", "fra-1", "gw-1"), path("acme", "ams-1", "gw-1")];
    Ingest::new(agents.into_iter().collect())
}

fn batch() -> Batch {
    Batch {
        boot: 7,
        seq: 3,
        oldest: 2,
        watermark: Timestamp::from_millis(5),
        backfill: false,
        sender: 0,
        readings: Readings { dictionary: 9, ..Readings::default() },
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const DATA: &str = "hallwatch/v1/acme/fra-1/gw-1/data";

#[test]
fn takes_what_expected_agents_say() {
    let gateway = path("acme", "fra-1", "gw-1");
    let incoming = Incoming { agent: gateway.clone(), batch: batch(), received: NOW };
    let taken = ingest().handle(DATA, &wire::encode_batch(&batch()), false, NOW);
    assert_eq!(taken, Decision::Batch(incoming));

    let series = vec![(SeriesId(1), Labels::metric("up", []))];
    let describe = Describe { dictionary: 9, part: 4, series, ..Describe::default() };
    let payload = wire::encode_describe(&describe);
    let topic = "hallwatch/v1/acme/fra-1/gw-1/describe/4";
    let taken = ingest().handle(topic, &payload, true, NOW);
    assert_eq!(taken, Decision::Describe(gateway.clone(), describe));

    let status = Status {
        boot: 7,
        online: true,
        version: "0.1.0".into(),
        started: NOW,
        sent: NOW,
        backlog: 0,
        journal_bytes: 0,
        durable: true,
        ..Status::default()
    };
    let payload = wire::encode_status(&status);
    let topic = "hallwatch/v1/acme/fra-1/gw-1/status";
    assert_eq!(ingest().handle(topic, &payload, true, NOW), Decision::Status(gateway, status));
}

#[test]
fn refuses_everything_else_with_a_reason() {
    let good = wire::encode_batch(&batch());
    let describe =
        wire::encode_describe(&Describe { dictionary: 9, part: 4, ..Describe::default() });
    let version = [8, 2];
    let large = vec![0; MAX_MESSAGE_BYTES + 1];
    let retained = true;
    let table: &[(&str, &[u8], bool, Reason)] = &[
        ("", &good, !retained, Reason::Topic),
        ("sensors/hall/1", &good, !retained, Reason::Topic),
        ("hallwatch/v1/acme/fra-1/gw-1/ack/c-1", &good, !retained, Reason::Topic),
        ("hallwatch/v1/evil/fra-1/gw-1/data", &good, !retained, Reason::UnknownTenant),
        ("hallwatch/v1/acme/lon-1/gw-1/data", &good, !retained, Reason::UnknownSite),
        ("hallwatch/v1/acme/fra-1/gw-9/data", &good, !retained, Reason::UnknownAgent),
        (DATA, &large, !retained, Reason::Oversized),
        (DATA, &[], retained, Reason::Empty),
        (DATA, &version, !retained, Reason::Version),
        (DATA, b"{\"value\": 1}", !retained, Reason::Malformed),
        (DATA, &good[..good.len() - 1], !retained, Reason::Malformed),
        (DATA, &good, retained, Reason::Retained),
        ("hallwatch/v1/acme/fra-1/gw-1/describe/0", &describe, retained, Reason::Part),
    ];
    let mut ingest = ingest();
    for (topic, payload, retained, expected) in table {
        match ingest.handle(topic, payload, *retained, NOW) {
            Decision::Refused { reason, .. } => assert_eq!(reason, *expected, "{topic}"),
            other => panic!("{topic} gave {other:?}"),
        }
    }
    let counted: u64 = ingest.refused().map(|(_, count)| count).sum();
    assert_eq!(counted, table.len() as u64);
    let never: Vec<_> = ingest.refused().filter(|(_, count)| *count == 0).collect();
    assert_eq!(never, [(Reason::SecondAgent, 0)]);
}

#[test]
fn batches_of_a_second_agent_are_not_taken() {
    let mut ingest = ingest();
    let mut taken = |boot, sender, second: i64| {
        let payload = wire::encode_batch(&Batch { boot, sender, ..batch() });
        let now = Timestamp::from_millis(second * 1_000);
        match ingest.handle(DATA, &payload, false, now) {
            Decision::Batch(_) => true,
            Decision::Refused { reason, .. } => {
                assert_eq!(reason, Reason::SecondAgent);
                false
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(taken(7, 0, 0));
    assert!(taken(8, 0, 1), "a restart");
    assert!(taken(7, 8, 2), "what the run before left");
    assert!(taken(7, 0, 3), "which is still alive");
    assert!(!taken(8, 0, 4) && !taken(7, 8, 5), "the second one is not heard any more");
    let now = Timestamp::from_millis(6_000);
    assert!(ingest.is_conflict(&path("acme", "fra-1", "gw-1"), now));
    assert!(!ingest.is_conflict(&path("acme", "ams-1", "gw-1"), now));
}

#[test]
fn the_same_refusal_is_logged_once_a_minute() {
    let mut ingest = ingest();
    let mut logs = |topic: &str, millis: i64| {
        let decision = ingest.handle(topic, b"?", false, Timestamp::from_millis(millis));
        matches!(decision, Decision::Refused { log: true, .. })
    };
    assert!(logs(DATA, 1_000_000));
    assert!(!logs(DATA, 1_059_999));
    assert!(logs("hallwatch/v1/acme/ams-1/gw-1/data", 1_059_999), "another agent");
    assert!(logs(DATA, 1_060_000));
    assert!(logs(DATA, 5_000), "the clock was set back");
    assert!(logs("hallwatch/v1/a/b/c/data", 1_000));
    assert!(!logs("hallwatch/v1/x/b/c/data", 1_000), "made-up names share an entry");
    assert!(ingest.logged.len() <= 3);
}

proptest! {
    #[test]
    fn hostile_payloads_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        for topic in [DATA, "hallwatch/v1/acme/fra-1/gw-1/status",
                      "hallwatch/v1/acme/fra-1/gw-1/describe/0"] {
            ingest().handle(topic, &payload, false, NOW);
        }
    }
}
