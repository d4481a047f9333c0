use std::time::Duration;

use hallwatch_link as link;
use hallwatch_model::{Ack, Batch, Labels, Readings};

use super::*;
use crate::run::writer::{Done, Kept};
use crate::store;

fn core() -> (Core, Telemetry, Board) {
    let id = |text| Id::new(text).unwrap();
    let site = Site {
        tenant: id("acme"),
        id: id("fra-1"),
        name: "Frankfurt 1".into(),
        agents: vec![id("gw-1")],
    };
    let (telemetry, board) = (Telemetry::new().unwrap(), Board::new());
    let url = "mqtt://127.0.0.1:1883".to_owned();
    let at = Timestamp::from_millis(0);
    let core = Core::new(id("c-1"), vec![site], url, board.clone(), telemetry.clone(), at);
    (core, telemetry, board)
}

fn part(board: &Board, name: &str) -> (bool, String) {
    let part = board.all().into_iter().find(|part| part.part == name).unwrap();
    (part.ok, part.text)
}

fn evaluated(failing: (usize, Option<String>), notifications: usize) -> Event {
    Event::Evaluated(Evaluated {
        samples: Vec::new(),
        at: Timestamp::from_millis(0),
        took: Duration::from_millis(1),
        interval: true,
        notifications,
        shown: Some(Shown {
            rules: Arc::default(),
            alerts: Arc::default(),
            failing: failing.clone(),
            suppressed: 2,
            in_memory: failing.0 > 0,
        }),
    })
}

const NOW: Timestamp = Timestamp::from_millis(1_000);

#[test]
fn a_batch_goes_to_the_store_and_its_acknowledgement_to_the_agent() {
    let (mut core, telemetry, _) = core();
    let batch = Batch {
        boot: 7,
        seq: 1,
        oldest: 1,
        watermark: NOW,
        backfill: false,
        sender: 0,
        readings: Readings::default(),
    };
    let message = link::Message {
        topic: "hallwatch/v1/acme/fra-1/gw-1/data".into(),
        payload: hallwatch_model::wire::encode_batch(&batch).into(),
        retain: false,
    };
    let actions = core.handle(Event::Broker(link::Event::Message(message)), NOW);
    let [Action::Store(Job::Batch(incoming))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(incoming.batch, batch);
    let agent = incoming.agent.clone();
    let acks = vec![(agent.clone(), Ack { boot: 7, upto: 1, ..Ack::default() })];
    let kept = Kept { acks, stored: 1, samples: 3, batches: 1, ..Kept::default() };
    let actions = core.handle(Event::Store(Done::Kept(kept)), NOW);
    let [Action::Push(_), Action::Acknowledge(to, ack)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!((to, ack.upto), (&agent, 1));
    assert_eq!((telemetry.batches_stored.get(), telemetry.samples_stored.get()), (1, 3));
}

#[test]
fn a_message_of_a_stranger_is_counted_and_nothing_else() {
    let (mut core, telemetry, _) = core();
    for (topic, reason) in [
        ("hallwatch/v1/acme/fra-1/gw-9/data", "unknown_agent"),
        ("hallwatch/v1/globex/fra-1/gw-1/data", "unknown_tenant"),
        ("hallwatch/v1/acme/fra-1/gw-1/data", "malformed"),
        ("something/else", "topic"),
    ] {
        let payload = "garbage".into();
        let message = link::Message { topic: topic.into(), payload, retain: false };
        let actions = core.handle(Event::Broker(link::Event::Message(message)), NOW);
        assert!(actions.is_empty(), "{actions:?}");
        assert_eq!(telemetry.messages_refused.with_label_values(&[reason]).get(), 1);
    }
    let strangers = || {
        Telemetry::STRANGERS.map(|reason| telemetry.strangers.with_label_values(&[reason]).get())
    };
    assert_eq!(strangers(), [1, 0, 1]);
    // What the broker kept of an agent that was taken out is no stranger.
    let topic = "hallwatch/v1/acme/fra-1/gw-8/status".into();
    let message = link::Message { topic, payload: "old".into(), retain: true };
    core.handle(Event::Broker(link::Event::Message(message)), NOW);
    assert_eq!(strangers(), [1, 0, 1]);
}

#[test]
fn a_broker_that_refuses_the_collector_is_counted() {
    let (mut core, telemetry, _) = core();
    let peer = || link::Peer { host: "broker".into(), port: 8883 };
    let away = link::Error::Hangup { peer: peer() };
    let refused = link::Error::Refused { peer: peer(), reason_code: 0x86 };
    for (error, count) in [(away, 0), (refused, 1)] {
        core.handle(Event::Broker(link::Event::Disconnected { error }), NOW);
        assert_eq!(telemetry.broker_refusals.get(), count);
    }
    let topic = "hallwatch/v1/+/+/+/data".to_owned();
    core.handle(Event::Broker(link::Event::Refused { topic, reason_code: 0x87 }), NOW);
    assert_eq!(telemetry.broker_refusals.get(), 2);
    let actions = core.handle(Event::Second, NOW);
    let [Action::Store(Job::Record(samples, _)), ..] = &actions[..] else { panic!("{actions:?}") };
    let named = |labels: &Labels| labels.name() == Some("collector_broker_refusals_total");
    let found = samples.iter().find(|(labels, _)| named(labels)).unwrap();
    assert_eq!(found.1.value, Ok(2.0));
}

#[test]
fn a_failed_write_ends_the_process() {
    let (mut core, _, board) = core();
    let actions = core.handle(Event::Store(Done::Failed(store::Error::Broken)), NOW);
    assert!(matches!(actions[..], [Action::End(store::Error::Broken)]), "{actions:?}");
    assert!(!part(&board, "store").0);
}

#[test]
fn a_slow_evaluation_is_not_chased_by_others() {
    let (mut core, telemetry, board) = core();
    assert!(matches!(core.handle(Event::Interval, NOW)[..], [Action::Evaluate]));
    assert!(core.handle(Event::Interval, NOW).is_empty());
    assert_eq!(telemetry.rule_evaluations_missed.get(), 1);
    let actions = core.handle(evaluated((1, Some("A: too bad".into())), 0), NOW);
    assert!(matches!(actions[..], [Action::ShowRules(_)]), "{actions:?}");
    assert_eq!(part(&board, "failing rules"), (false, "1, such as A: too bad".into()));
    assert!(part(&board, "rules").0, "the others are evaluated");
    let full = "the disk is full: alerts and messages are in memory only";
    assert_eq!(part(&board, "state"), (false, full.into()));
    assert!(matches!(core.handle(Event::Interval, NOW)[..], [Action::Evaluate]));
    let actions = core.handle(evaluated((0, None), 1), NOW);
    assert!(matches!(actions[..], [Action::ShowRules(_), Action::Send]), "{actions:?}");
    assert!(part(&board, "failing rules").0);
    assert_eq!(part(&board, "state"), (true, "on the disk".into()));
}

#[test]
fn a_refused_subscription_is_as_bad_as_no_broker() {
    let (mut core, telemetry, board) = core();
    core.handle(Event::Broker(link::Event::Connected { session_present: false }), NOW);
    assert!(part(&board, "broker").0);
    assert_eq!(telemetry.broker_connected.get(), 1);
    let filters = ["hallwatch/v1/+/+/+/status", "hallwatch/v1/+/+/+/data"].map(String::from);
    for topic in filters.clone() {
        core.handle(Event::Broker(link::Event::Refused { topic, reason_code: 0x87 }), NOW);
    }
    let wanted = "the broker refuses the subscription hallwatch/v1/+/+/+/data: not authorized";
    assert_eq!(part(&board, "broker"), (false, wanted.into()));
    // It is well again when each of them is accepted.
    for (filter, well) in filters.into_iter().zip([false, true]) {
        core.handle(Event::Broker(link::Event::Subscribed { filter }), NOW);
        assert_eq!(part(&board, "broker").0, well);
    }
}

#[test]
fn what_was_given_up_is_told_again() {
    let (mut core, telemetry, board) = core();
    let report = |verdict| {
        Event::Report(Report {
            receiver: "noc".into(),
            group_labels: Labels::empty(),
            attempt: 9,
            verdict,
        })
    };
    let actions = core.handle(report(Verdict::GivenUp { error: "no".into() }), NOW);
    assert!(matches!(&actions[..], [Action::GivenUp(name, _)] if name == "noc"));
    assert_eq!(part(&board, "receiver noc"), (false, "given up: no".into()));
    assert!(core.handle(report(Verdict::Delivered), NOW).is_empty());
    assert!(part(&board, "receiver noc").0);
    let count = |result| telemetry.notifications.with_label_values(&["noc", result]).get();
    assert_eq!((count("given_up"), count("delivered")), (1, 1));
}

#[test]
fn pictures_are_made_while_somebody_looks() {
    let (mut core, telemetry, _) = core();
    let paints = |actions: Vec<Action>| {
        actions.iter().filter(|action| matches!(action, Action::Paint(..))).count()
    };
    assert_eq!(paints(core.handle(Event::Second, NOW)), 0);
    telemetry.pages_open.inc();
    assert_eq!(paints(core.handle(Event::Second, NOW)), 1);
}
