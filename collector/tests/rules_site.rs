//! The shipped rules in the engine, on a site that loses its power; and their alerts on the disk.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use hallwatch_collector::notify::{self, Router};
use hallwatch_collector::rules::{AlertState, Engine, Options, library, load};
use hallwatch_collector::state::State;
use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Missing, Timestamp};
use hallwatch_promql::MemorySource;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + second * 1000)
}

fn engine() -> Engine {
    Engine::new(load(&library::FILES).unwrap(), Vec::new(), Options::default())
}

fn push(source: &mut MemorySource, second: i64, metric: &str, labels: &[(&str, &str)], value: f64) {
    let site = [("tenant", "acme"), ("site", "fra-1")];
    let labels = site.into_iter().chain(labels.iter().copied());
    source.push(&Labels::metric(metric, labels), at(second), value);
}

/// The utility is lost at 10 s and back at 700 s; the generator is asked at 12 s and fails at 50 s.
fn utility_lost(source: &mut MemorySource, second: i64) {
    let state = |on: bool| if on { 1.0 } else { 0.0 };
    let out = (10..700).contains(&second);
    let (ats, ups) = (("device", "ats-1"), ("device", "ups-a"));
    push(source, second, "ats_source_available", &[ats, ("source", "1")], state(!out));
    push(source, second, "ats_source_available", &[ats, ("source", "2")], 0.0);
    let asked = (12..700).contains(&second);
    push(source, second, "ats_generator_start", &[ats, ("generator", "1")], state(asked));
    push(source, second, "ups_on_battery", &[ups], state(out));
    let spent = if out { f64::from(u32::try_from(second - 10).unwrap()) } else { 0.0 };
    push(source, second, "ups_battery_runtime_seconds", &[ups], 900.0 - spent * 1.2);
    push(source, second, "ups_battery_low", &[ups], state(out && second > 650));
    let failed = [("device", "gen-1"), ("alarm", "fail_to_start")];
    push(source, second, "generator_alarm", &failed, state((50..720).contains(&second)));
    push(
        source,
        second,
        "cooling_running",
        &[("device", "crac-1"), ("room", "hall-1")],
        state(!out),
    );
    push(
        source,
        second,
        "environment_temperature_celsius",
        &[("device", "t-1")],
        22.0 + spent / 60.0,
    );
}

#[test]
fn utility_lost_and_the_generator_fails_to_start() {
    let (mut engine, mut source) = (engine(), MemorySource::new());
    let (mut fired, mut resolved) = (Vec::new(), Vec::new());
    for second in 0..800 {
        utility_lost(&mut source, second);
        for transition in engine.evaluate(at(second), &source).transitions {
            let name = transition.alert.labels.get("alertname").unwrap().to_owned();
            match transition.to {
                AlertState::Firing => fired.push((second, name)),
                AlertState::Resolved => resolved.push(name),
                _ => {}
            }
        }
    }
    let order: Vec<&str> = fired.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(
        order,
        [
            "UtilityLost",
            "UpsOnBattery",
            "CoolingUnitStopped",
            "NoCooling",
            "NoPowerSource",
            "GeneratorNotDelivering",
            "GeneratorFailedToStart",
            "TemperatureRisesFast",
            "UpsRuntimeShort",
            "HallTemperatureHigh",
            "HallTemperatureCritical",
            "UpsBatteryLow",
        ],
        "{fired:?}"
    );
    resolved.sort();
    let mut all = order.clone();
    all.sort_unstable();
    assert_eq!(resolved, all, "all of them, once the power is back");
}

#[test]
fn a_silent_site_resolves_nothing_and_its_alerts_are_on_the_disk() {
    let (mut engine, mut source) = (engine(), MemorySource::new());
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path()).unwrap();
    let mut router = Router::new(notify::Options::default(), &[], Vec::new());
    let battery = Labels::metric(
        "ups_on_battery",
        [("tenant", "acme"), ("site", "fra-1"), ("device", "ups-a")],
    );
    for second in 0..30 {
        let value = if second < 10 { 1.0 } else { to_float(Err(Missing::DeviceOffline)) };
        source.push(&battery, at(second), value);
        let evaluation = engine.evaluate(at(second), &source);
        state.commit(&evaluation, &mut router, &[]).unwrap();
    }
    drop(state);
    let state = State::open(dir.path()).unwrap();
    let saved = state.alerts().unwrap();
    assert_eq!(saved.len(), 1);
    let view = engine.view();
    let rules = view.groups.iter().flat_map(|group| &group.rules);
    let alerts: Vec<_> =
        rules.filter_map(|r| r.alerting.as_ref()).flat_map(|a| &a.alerts).collect();
    assert_eq!(alerts, [&saved[0].alert]);
    let held = saved[0].alert.held.as_ref().unwrap();
    assert_eq!((held.since, saved[0].alert.fired_at), (at(10), Some(at(5))));

    // It goes on from there, and ends on evidence.
    let rules = load(&library::FILES).unwrap();
    let mut engine = Engine::new(rules, saved, Options::default());
    assert!(engine.evaluate(at(31), &source).transitions.is_empty());
    source.push(&battery, at(32), 0.0);
    let evaluation = engine.evaluate(at(32), &source);
    assert_eq!(evaluation.transitions.last().unwrap().to, AlertState::Resolved);
    let mut state = state;
    state.commit(&evaluation, &mut router, &[]).unwrap();
    assert!(state.alerts().unwrap().iter().all(|saved| !saved.alert.is_active()));
}
