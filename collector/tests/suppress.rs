//! What is not told of, because it follows from something that is.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_collector::notify::{NotifiedAlert, Options, Router};
use hallwatch_collector::rules::{
    Alert, AlertState, Cause, Evaluation, Held, Reason, SavedAlert, Transition,
};
use hallwatch_collector::state::State;
use hallwatch_collector::topology::{Kind, Node, Plan, Power, Rack, Suppressed, Suppressor};
use hallwatch_model::{AgentPath, Id, Labels, Timestamp};
use proptest::prelude::*;

const WAIT: Duration = Duration::from_secs(30);

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(second)
}

/// Utility and generator, a switch, two UPS with two PDU each, one PDU on raw mains.
fn plan() -> Arc<Plan> {
    let node = |name: &str, kind, fed_by: &[usize]| Node {
        name: name.into(),
        kind,
        meter: None,
        fed_by: fed_by.to_vec(),
    };
    let nodes = vec![
        node("utility", Kind::Utility, &[]),
        node("generator", Kind::Generator, &[]),
        node("ats", Kind::Ats, &[0, 1]),
        node("ups-a", Kind::Ups, &[2]),
        node("ups-b", Kind::Ups, &[2]),
        node("pdu-a1", Kind::Pdu, &[3]),
        node("pdu-a2", Kind::Pdu, &[3]),
        node("pdu-b1", Kind::Pdu, &[4]),
        node("pdu-raw", Kind::Pdu, &[2]),
        node("pdu-ab", Kind::Pdu, &[3, 4]),
    ];
    let rack = Rack { name: "r01".into(), fed_by: vec![5, 7] };
    let id = |text| Id::new(text).unwrap();
    Arc::new(Plan {
        tenant: id("acme"),
        site: id("fra-1"),
        agent: Some(id("gw-1")),
        power: Power::new(nodes, vec![rack]).unwrap(),
        zones: Vec::new(),
        uplinks: Vec::new(),
    })
}

/// An alert of the site: its name, what the rule says of the topology, what it reads, more labels.
#[derive(Clone, Copy, Debug)]
struct Kinds {
    name: &'static str,
    part: &'static str,
    reads: &'static str,
    label: (&'static str, &'static str),
}

const fn kind(
    name: &'static str,
    part: &'static str,
    reads: &'static str,
    label: (&'static str, &'static str),
) -> Kinds {
    Kinds { name, part, reads, label }
}

const UPS_A_OFF: Kinds = kind("UpsOutputOff", "no output", "ups_output_off", ("device", "ups-a"));
const UPS_B_OFF: Kinds = kind("UpsOutputOff", "no output", "ups_output_off", ("device", "ups-b"));
const NO_SOURCE: Kinds =
    kind("NoPowerSource", "no output", "ats_source_available", ("device", "ats"));
const PDU_A1: Kinds =
    kind("PduFeedLost", "no input", "pdu_inlet_voltage_volts", ("device", "pdu-a1"));
const PDU_B1: Kinds =
    kind("PduFeedLost", "no input", "pdu_inlet_voltage_volts", ("device", "pdu-b1"));
const PDU_AB: Kinds =
    kind("PduFeedLost", "no input", "pdu_inlet_voltage_volts", ("device", "pdu-ab"));
const PDU_RAW: Kinds =
    kind("PduFeedLost", "no input", "pdu_inlet_voltage_volts", ("device", "pdu-raw"));
const RACK: Kinds =
    kind("RackPowerRedundancyLost", "lost redundancy", "rack_power_first_out", ("node", "ups-a"));
const AGENT: Kinds = kind("AgentOffline", "agent offline", "agent_up", ("agent", "gw-1"));
const PDU_A1_OFFLINE: Kinds =
    kind("DeviceOffline", "device offline", "device_up", ("device", "pdu-a1"));
const UPS_A_OFFLINE: Kinds =
    kind("DeviceOffline", "device offline", "device_up", ("device", "ups-a"));
const ERRORS: Kinds = kind("DeviceErrors", "", "device_errors_total", ("device", "ups-a"));
const LOAD: Kinds = kind("UpsLoadHigh", "", "ups_load_ratio", ("device", "ups-a"));
const SMOKE: Kinds = kind("Burning", "no input", "environment_smoke", ("device", "pdu-a1"));

const ALL: [Kinds; 14] = [
    UPS_A_OFF,
    UPS_B_OFF,
    NO_SOURCE,
    PDU_A1,
    PDU_B1,
    PDU_AB,
    PDU_RAW,
    RACK,
    AGENT,
    PDU_A1_OFFLINE,
    UPS_A_OFFLINE,
    ERRORS,
    LOAD,
    SMOKE,
];

impl Kinds {
    fn labels(self) -> Labels {
        let labels = [("alertname", self.name), ("tenant", "acme"), ("site", "fra-1"), self.label];
        Labels::from_pairs(labels)
    }

    fn alert(self, state: AlertState, held: bool, second: u64) -> Alert {
        let annotations = match self.part {
            "" => Vec::new(),
            part => vec![("topology".into(), part.to_owned())],
        };
        let inputs = vec![Labels::metric(self.reads, [self.label])];
        let cause = Cause::InputsGone(inputs.clone());
        Alert {
            labels: self.labels(),
            annotations,
            state,
            value: 1.0,
            active_at: at(0),
            fired_at: Some(at(second)),
            resolved_at: None,
            held: held.then(|| Held { since: at(second), cause }),
            reason: String::new(),
            keep_firing_since: None,
            paused: Duration::ZERO,
            result: self.labels(),
            inputs,
            memory: hallwatch_collector::rules::Memory::default(),
        }
    }

    fn change(self, from: AlertState, to: AlertState, held: bool, second: u64) -> Transition {
        Transition {
            rule: format!("site/{}", self.name).into(),
            query: format!("{} == 1", self.reads).into(),
            alert: self.alert(to, held, second),
            from,
            to,
            reason: Reason::HeldFor(Duration::ZERO),
            at: at(second),
        }
    }

    fn fires(self, second: u64) -> Transition {
        self.change(AlertState::Pending, AlertState::Firing, false, second)
    }

    fn ends(self, second: u64) -> Transition {
        self.change(AlertState::Firing, AlertState::Resolved, false, second)
    }

    fn held(self, held: bool, second: u64) -> Transition {
        self.change(AlertState::Firing, AlertState::Firing, held, second)
    }
}

fn suppressor(active: &[Alert], saved: Vec<Suppressed>) -> Suppressor {
    Suppressor::new([plan()], WAIT, "http://collector:8600", active, saved)
}

fn told(alerts: &[NotifiedAlert]) -> Vec<String> {
    let name = |alert: &NotifiedAlert| {
        let labels = &alert.labels;
        let of = ["device", "node", "agent"].iter().find_map(|name| labels.get(name));
        let end = if alert.ends_at.is_some() { " ended" } else { "" };
        format!("{} {}{end}", labels.get("alertname").unwrap(), of.unwrap())
    };
    alerts.iter().map(name).collect()
}

#[test]
fn what_follows_from_what() {
    let cases: &[(&str, &[Kinds], Kinds, bool)] = &[
        ("a PDU on a UPS that is off", &[UPS_A_OFF], PDU_A1, true),
        ("a PDU on the other UPS", &[UPS_A_OFF], PDU_B1, false),
        ("a PDU on both, one is on", &[UPS_A_OFF], PDU_AB, false),
        ("a PDU on both, both off", &[UPS_A_OFF, UPS_B_OFF], PDU_AB, true),
        ("no source: the UPS have batteries", &[NO_SOURCE], PDU_A1, false),
        ("no source: raw mains are gone", &[NO_SOURCE], PDU_RAW, true),
        ("a UPS is not suppressed by its source", &[NO_SOURCE], UPS_A_OFF, false),
        ("redundancy, when its node pages", &[UPS_A_OFF], RACK, true),
        ("redundancy, when another node pages", &[UPS_B_OFF], RACK, false),
        ("a PDU without power does not answer", &[UPS_A_OFF], PDU_A1_OFFLINE, true),
        ("a UPS that does not answer", &[NO_SOURCE], UPS_A_OFFLINE, false),
        ("a device of an agent that is offline", &[AGENT], UPS_A_OFFLINE, true),
        ("its errors", &[UPS_A_OFFLINE], ERRORS, true),
        ("its errors, by the agent", &[AGENT], ERRORS, true),
        ("what was measured is believed", &[UPS_A_OFFLINE, AGENT], LOAD, false),
        ("smoke, whatever else", &[UPS_A_OFF, AGENT], SMOKE, false),
        ("an agent follows from nothing", &[UPS_A_OFF, UPS_A_OFFLINE], AGENT, false),
        ("nothing fires", &[], PDU_A1, false),
    ];
    for (name, causes, follower, expected) in cases {
        let mut one = suppressor(&[], Vec::new());
        // In one evaluation, what follows first.
        let mut changes = vec![follower.fires(1)];
        changes.extend(causes.iter().map(|cause| cause.fires(1)));
        one.handle(&changes, at(1));
        assert_eq!(one.suppressed_by(&follower.labels()).is_some(), *expected, "{name}");
    }
}

#[test]
fn a_no_data_rule_about_a_device_that_is_offline_follows_from_that() {
    let mut one = suppressor(&[], Vec::new());
    let mut change = LOAD.fires(2);
    change.reason = Reason::NoDataFires(1);
    one.handle(&[UPS_A_OFFLINE.fires(1), change], at(2));
    assert_eq!(one.suppressed_by(&LOAD.labels()), Some(&UPS_A_OFFLINE.labels()));
    let mut change = SMOKE.fires(3);
    change.reason = Reason::NoDataFires(1);
    let now = one.handle(&[PDU_A1_OFFLINE.fires(3), change], at(3));
    assert_eq!(told(&now), ["DeviceOffline pdu-a1", "Burning pdu-a1"]);
}

const AGENT_2: Kinds = kind("AgentOffline", "agent offline", "agent_up", ("agent", "gw-2"));

fn gateway(name: &str) -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id(name) }
}

/// The site with two agents: gw-1 reads ups-a, gw-2 reads pdu-a1.
fn two_agents() -> Suppressor {
    let plan = Plan { agent: None, ..(*plan()).clone() };
    let mut one = Suppressor::new([Arc::new(plan)], WAIT, "http://collector:8600", &[], Vec::new());
    one.read(&gateway("gw-1"), "ups-a", at(0));
    one.read(&gateway("gw-2"), "pdu-a1", at(0));
    one
}

#[test]
fn of_two_agents_the_one_that_is_offline_explains_its_own_devices_only() {
    let mut change = LOAD.fires(2);
    change.reason = Reason::NoDataFires(1);
    for (cause, explains_ups, explains_pdu) in [(AGENT, true, false), (AGENT_2, false, true)] {
        let mut one = two_agents();
        let changes = [cause.fires(1), ERRORS.fires(2), change.clone(), PDU_A1_OFFLINE.fires(2)];
        one.handle(&changes, at(2));
        let is = |kind: Kinds| one.suppressed_by(&kind.labels()).is_some();
        let found = [is(ERRORS), is(LOAD), is(PDU_A1_OFFLINE)];
        assert_eq!(found, [explains_ups, explains_ups, explains_pdu], "{cause:?}");
    }
    // A device of which nobody has sent anything pages.
    let plan = Plan { agent: None, ..(*plan()).clone() };
    let mut one = Suppressor::new([Arc::new(plan)], WAIT, "http://collector:8600", &[], Vec::new());
    let now = one.handle(&[AGENT.fires(1), UPS_A_OFFLINE.fires(2)], at(2));
    assert_eq!(told(&now), ["AgentOffline gw-1", "DeviceOffline ups-a"]);
}

#[test]
fn a_device_that_another_agent_reads_by_now_is_no_longer_explained() {
    let mut one = two_agents();
    let now = one.handle(&[AGENT.fires(1), UPS_A_OFFLINE.fires(2)], at(2));
    assert_eq!((told(&now), one.count()), (vec!["AgentOffline gw-1".to_owned()], 1));
    // What is older than what is known changes nothing; the other's news does.
    one.read(&gateway("gw-2"), "ups-a", Timestamp::MIN);
    assert!(one.handle(&[], at(10)).is_empty() && one.count() == 1);
    one.read(&gateway("gw-2"), "ups-a", at(10));
    assert!(one.handle(&[], at(10)).is_empty(), "it may end by itself now");
    assert_eq!(told(&one.handle(&[], at(40))), ["DeviceOffline ups-a"]);
}

#[test]
fn a_site_without_a_topology_knows_who_reads_what_too() {
    let mut one = Suppressor::new([], WAIT, "http://collector:8600", &[], Vec::new());
    let (first, second) = (gateway("gw-1"), gateway("gw-2"));
    // pdu-a1 was moved from one to the other: both have described it.
    one.described([(&first, "ups-a"), (&first, "pdu-a1"), (&second, "pdu-a1")]);
    let changes = [AGENT.fires(1), UPS_A_OFFLINE.fires(2), PDU_A1_OFFLINE.fires(2)];
    let now = one.handle(&changes, at(2));
    assert_eq!(told(&now), ["AgentOffline gw-1", "DeviceOffline pdu-a1"], "in doubt");
    // A site of another tenant with the same names is another site.
    let other = AgentPath { tenant: Id::new("globex").unwrap(), ..second };
    one.read(&other, "ups-a", at(100));
    assert!(one.handle(&[], at(200)).is_empty() && one.count() == 1);
}

#[test]
fn what_remains_when_the_cause_has_ended_is_told_of() {
    let mut one = suppressor(&[], Vec::new());
    let now = one.handle(&[UPS_A_OFF.fires(1), PDU_A1.fires(6), RACK.fires(10)], at(10));
    assert_eq!((told(&now), one.count()), (vec!["UpsOutputOff ups-a".to_owned()], 2));
    let now = one.handle(&[UPS_A_OFF.ends(20), RACK.ends(21)], at(21));
    assert_eq!(told(&now), ["UpsOutputOff ups-a ended"], "nobody knew of the rack");
    assert!(one.handle(&[], at(50)).is_empty(), "it may still end by itself");
    assert_eq!(told(&one.handle(&[], at(51))), ["PduFeedLost pdu-a1"]);
    assert_eq!(one.count(), 0);
    assert_eq!(told(&one.handle(&[PDU_A1.ends(60)], at(60))), ["PduFeedLost pdu-a1 ended"]);
}

#[test]
fn a_cause_that_comes_back_in_time_goes_on_suppressing_and_a_held_one_does_not() {
    let mut one = suppressor(&[], Vec::new());
    one.handle(&[UPS_A_OFF.fires(1), PDU_A1.fires(6)], at(6));
    one.handle(&[UPS_A_OFF.ends(20)], at(20));
    one.handle(&[UPS_A_OFF.fires(30)], at(30));
    assert!(one.handle(&[], at(100)).is_empty());
    // Nobody knows any more whether the UPS is off.
    one.handle(&[UPS_A_OFF.held(true, 110)], at(110));
    let now = one.handle(&[PDU_A1_OFFLINE.fires(111)], at(111));
    assert_eq!(told(&now), ["DeviceOffline pdu-a1"], "in doubt");
    assert_eq!(told(&one.handle(&[], at(140))), ["PduFeedLost pdu-a1"]);
    // The clock is set back while one waits.
    let mut one = suppressor(&[], Vec::new());
    one.handle(&[UPS_A_OFF.fires(1), PDU_A1.fires(6)], at(1000));
    one.handle(&[UPS_A_OFF.ends(20)], at(1020));
    assert!(one.handle(&[], at(20)).is_empty());
    assert_eq!(told(&one.handle(&[], at(50))), ["PduFeedLost pdu-a1"]);
}

#[test]
fn a_restart_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = State::open(directory.path()).unwrap();
    let mut router = Router::new(Options::default(), &[], Vec::new());
    let mut one = suppressor(&[], Vec::new());
    one.handle(&[UPS_A_OFF.fires(1), PDU_A1.fires(6), RACK.fires(10)], at(10));
    one.handle(&[UPS_A_OFF.ends(20)], at(20));
    let saved = |kind: Kinds| SavedAlert {
        rule: format!("site/{}", kind.name).into(),
        alert: kind.alert(AlertState::Firing, false, 6),
    };
    let evaluation =
        Evaluation { changed: vec![saved(PDU_A1), saved(LOAD)], ..Evaluation::default() };
    state.commit_with(&evaluation, &mut router, Some(&mut one), &[]).unwrap();
    assert!(!one.is_changed());
    let before = one.save();
    drop(state);

    let state = State::open(directory.path()).unwrap();
    let active: Vec<Alert> = state.alerts().unwrap().into_iter().map(|saved| saved.alert).collect();
    let kept = state.suppressed().unwrap();
    assert_eq!(kept, before);
    let mut one = suppressor(&active, kept);
    assert_eq!(one.count(), 1, "the rack's ended while nobody ran, and the load's was told of");
    assert!(one.is_changed());
    assert!(one.handle(&[], at(49)).is_empty());
    let now = one.handle(&[], at(50));
    assert_eq!(told(&now), ["PduFeedLost pdu-a1"]);
    assert_eq!((now[0].starts_at, &now[0].annotations), (at(6), &active[0].annotations));
}

/// What happens next: which alert, and what of it.
fn events() -> impl Strategy<Value = Vec<(usize, u8, u64)>> {
    prop::collection::vec((0..ALL.len(), 0..4_u8, 0..40_u64), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever comes in whatever order, restarts included: what is suppressed has a cause that
    /// fires, or had one a short while ago; and what fires without one is told of, once.
    #[test]
    fn nothing_is_lost_and_nothing_is_suppressed_without_a_cause(events in events()) {
        let mut one = suppressor(&[], Vec::new());
        let mut firing: BTreeMap<Labels, (Kinds, bool, u64)> = BTreeMap::new();
        // What whoever is paged knows to fire.
        let mut known: BTreeSet<Labels> = BTreeSet::new();
        let mut second = 0;
        let mut last_doubt: BTreeMap<Labels, u64> = BTreeMap::new();
        for (which, what, pause) in events {
            second += pause;
            let kind = ALL[which];
            let labels = kind.labels();
            let changes = match (what, firing.get(&labels).copied()) {
                (0 | 1, None) => {
                    firing.insert(labels, (kind, false, second));
                    vec![kind.fires(second)]
                }
                (2, Some(_)) => {
                    firing.remove(&labels);
                    vec![kind.ends(second)]
                }
                (1, Some((_, held, since))) => {
                    firing.insert(labels, (kind, !held, since));
                    vec![kind.held(!held, second)]
                }
                (3, _) => {
                    let alerts: Vec<Alert> = firing
                        .values()
                        .map(|(kind, held, since)| kind.alert(AlertState::Firing, *held, *since))
                        .collect();
                    let saved = one.save();
                    one = suppressor(&alerts, saved);
                    Vec::new()
                }
                _ => Vec::new(),
            };
            for alert in one.handle(&changes, at(second)) {
                if alert.ends_at.is_some() {
                    prop_assert!(known.remove(&alert.labels), "{} ended, unheard of", alert.labels);
                } else {
                    prop_assert!(known.insert(alert.labels.clone()), "{} twice", alert.labels);
                }
            }
            for suppressed in one.save() {
                let labels = suppressed.alert.labels.clone();
                prop_assert!(firing.contains_key(&labels), "{labels} does not fire");
                prop_assert!(labels != suppressed.cause);
                prop_assert!(labels.get("alertname") != Some("Burning"));
                let cause = firing.get(&suppressed.cause);
                let sure = cause.is_some_and(|(_, held, _)| !held);
                prop_assert!(sure || suppressed.cause_ended.is_some(), "{}", labels);
                // Of two causes that explain it together only one may be left.
                if suppressed.cause_ended.is_none() {
                    last_doubt.remove(&labels);
                } else {
                    let since = *last_doubt.entry(labels.clone()).or_insert(second);
                    prop_assert!(second - since < WAIT.as_secs(), "{} waits too long", labels);
                }
            }
            last_doubt.retain(|labels, _| one.suppressed_by(labels).is_some());
            // Everything that fires is told of or suppressed, and nothing is both.
            for labels in firing.keys() {
                let suppressed = one.suppressed_by(labels).is_some();
                prop_assert!(suppressed != known.contains(labels), "{}", labels);
            }
            prop_assert!(known.iter().all(|labels| firing.contains_key(labels)));
        }
        // Without any cause left, everything that fires is told of in the end.
        let causes: Vec<Kinds> = firing
            .values()
            .map(|(kind, ..)| *kind)
            .filter(|kind| !kind.part.is_empty() && kind.part != "lost redundancy")
            .collect();
        let ends: Vec<Transition> = causes.iter().map(|kind| kind.ends(second)).collect();
        firing.retain(|labels, _| !causes.iter().any(|kind| kind.labels() == *labels));
        let mut rest = one.handle(&ends, at(second));
        rest.extend(one.handle(&[], at(second) + WAIT));
        known.extend(rest.iter().filter(|alert| alert.ends_at.is_none()).map(|a| a.labels.clone()));
        prop_assert_eq!(one.count(), 0);
        prop_assert!(firing.keys().all(|labels| known.contains(labels)));
    }
}
