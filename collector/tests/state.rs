//! What must survive a restart.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::time::Duration;

use hallwatch_collector::notify::{Options, Router};
use hallwatch_collector::rules::{
    Alert, AlertState, Cause, Changes, Evaluation, Flaps, Held, HistoricalAlert, Memory, SavedAlert,
};
use hallwatch_collector::state::State;
use hallwatch_model::{Labels, Timestamp};

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(second)
}

#[test]
fn what_rules_remember_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let labels = Labels::from_pairs([("alertname", "A"), ("device", "ups-1")]);
    let mut alert = Alert {
        annotations: vec![("summary".into(), "it \"fails\"".into())],
        state: AlertState::Firing,
        value: 1.5,
        active_at: at(0),
        fired_at: Some(at(5)),
        resolved_at: None,
        held: Some(Held { since: at(4), cause: Cause::InputsGone(vec![labels.clone()]) }),
        reason: "because".into(),
        keep_firing_since: Some(at(3)),
        paused: Duration::from_secs(2),
        result: labels.clone(),
        inputs: vec![labels.clone()],
        memory: Memory::default(),
        labels,
    };
    alert.memory.latched_since = Some(at(3));
    alert.memory.expected = vec![Labels::metric("running", [("device", "gen")])];
    alert.memory.changes = Changes {
        times: vec![at(1), at(2)],
        flapping: Some(Flaps { since: at(2), on: false, calm_since: at(2) }),
    };
    let mut dormant = alert.clone();
    dormant.labels = dormant.labels.with("device", "ups-2");
    dormant.state = AlertState::Inactive;
    dormant.resolved_at = Some(at(6));
    dormant.memory.fulfilled = true;
    let late = HistoricalAlert {
        rule: "g/A".into(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        value: 2.5,
        fired_at: at(1),
        resolved_at: Some(at(2)),
        learnt_at: at(100),
    };
    let saved: Vec<SavedAlert> =
        [alert, dormant].map(|alert| SavedAlert { rule: "g/A".into(), alert }).into();
    let mut state = State::open(dir.path()).unwrap();
    let evaluation = Evaluation { changed: saved.clone(), ..Evaluation::default() };
    let mut router = Router::new(Options::default(), &[], Vec::new());
    state.commit(&evaluation, &mut router, &[]).unwrap();
    state.put_digest(&[late.clone(), late.clone()]).unwrap();
    state.put_digest(std::slice::from_ref(&late)).unwrap();
    drop(state);
    let state = State::open(dir.path()).unwrap();
    assert_eq!(state.alerts().unwrap(), saved);
    assert_eq!(state.digest().unwrap(), [late]);
}
