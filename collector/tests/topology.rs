//! The topology: paths that are counted one by one, by brute force, and what a site's samples say.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_collector::topology::{Health, Kind, Node, Plan, Power, Rack, Watch, Zone};
use hallwatch_model::{AgentPath, Id, Labels, Missing, Sample, Timestamp, Value};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn at(second: u64) -> Timestamp {
    NOW + Duration::from_secs(second)
}

fn node(name: &str, kind: Kind, fed_by: &[usize]) -> Node {
    Node { name: name.into(), kind, meter: None, fed_by: fed_by.to_vec() }
}

/// A power path at random: any number of levels, any edges that go down.
fn powers() -> impl Strategy<Value = Power> {
    let kinds = prop::collection::vec(0..6_usize, 1..12);
    let edges = prop::collection::vec(any::<u16>(), 12);
    let racks = prop::collection::vec(any::<u16>(), 1..4);
    (kinds, edges, racks).prop_map(|(kinds, edges, racks)| {
        let bits = |mask: u16, upto: usize| (0..upto).filter(|bit| mask >> bit & 1 == 1).collect();
        let nodes = kinds.iter().enumerate().map(|(at, kind)| {
            // The first is a source, so that most of the rest can be reached.
            let kind = if at == 0 { Kind::Utility } else { Kind::WORDS[*kind].1 };
            let fed_by = if kind.is_source() { Vec::new() } else { bits(edges[at], at) };
            Node { name: format!("n{at}"), kind, meter: None, fed_by }
        });
        let nodes: Vec<Node> = nodes.collect();
        let racks = racks
            .iter()
            .enumerate()
            .map(|(at, mask)| Rack { name: format!("r{at}"), fed_by: bits(*mask, nodes.len()) });
        let racks = racks.collect();
        Power::new(nodes, racks).unwrap()
    })
}

/// Every way from a source to a node, as the nodes on it.
fn ways(power: &Power, to: usize, good: &BTreeSet<usize>) -> Vec<BTreeSet<usize>> {
    if !good.contains(&to) {
        return Vec::new();
    }
    let node = &power.nodes()[to];
    if node.kind.is_source() {
        return vec![BTreeSet::from([to])];
    }
    let above = node.fed_by.iter().flat_map(|by| ways(power, *by, good));
    above
        .map(|mut way| {
            way.insert(to);
            way
        })
        .collect()
}

/// The most ways that have only shared nodes in common, each by a feed of its own.
fn most(
    ways: &[(usize, BTreeSet<usize>)],
    used: &BTreeSet<usize>,
    feeds: &BTreeSet<usize>,
) -> usize {
    let Some(((feed, way), rest)) = ways.split_first() else { return 0 };
    let without = most(rest, used, feeds);
    if way.is_disjoint(used) && !feeds.contains(feed) {
        let used = used.union(way).copied().collect();
        let mut feeds = feeds.clone();
        feeds.insert(*feed);
        return without.max(1 + most(rest, &used, &feeds));
    }
    without
}

fn counted(power: &Power, rack: usize, good: &BTreeSet<usize>) -> usize {
    let mut all = Vec::new();
    for by in &power.racks()[rack].fed_by {
        for way in ways(power, *by, good) {
            let own: BTreeSet<usize> = way.into_iter().filter(|n| !power.is_shared(*n)).collect();
            if !all.contains(&(*by, own.clone())) {
                all.push((*by, own));
            }
        }
    }
    // Ways that contain others are never better.
    let better = |a: &(usize, BTreeSet<usize>)| {
        !all.iter().any(|b| b.0 == a.0 && b.1.is_subset(&a.1) && b.1 != a.1)
    };
    let mut least: Vec<_> = all.iter().filter(|way| better(way)).cloned().collect();
    least.truncate(14);
    most(&least, &BTreeSet::new(), &BTreeSet::new())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn paths_are_as_many_as_brute_force_finds(power in powers(), mask in any::<u16>()) {
        let good: BTreeSet<usize> =
            (0..power.nodes().len()).filter(|node| mask >> node & 1 == 1).collect();
        for rack in 0..power.racks().len() {
            let found = power.paths(rack, |node| good.contains(&node));
            prop_assert_eq!(found, counted(&power, rack, &good), "{:?}", &power);
        }
    }
}

#[test]
fn what_paths_may_share_ends_at_the_ups() {
    // Two feeds that come from one UPS are one path; those of one switch are two.
    let nodes = |ups_b: usize| {
        vec![
            node("utility", Kind::Utility, &[]),
            node("generator", Kind::Generator, &[]),
            node("ats", Kind::Ats, &[0, 1]),
            node("board", Kind::Board, &[2]),
            node("ups-a", Kind::Ups, &[3]),
            node("ups-b", Kind::Ups, &[3]),
            node("pdu-a", Kind::Pdu, &[4]),
            node("pdu-b", Kind::Pdu, &[ups_b]),
        ]
    };
    let rack = || vec![Rack { name: "r01".into(), fed_by: vec![6, 7] }];
    assert_eq!(Power::new(nodes(5), rack()).unwrap().configured(0), 2);
    assert_eq!(Power::new(nodes(4), rack()).unwrap().configured(0), 1);
    assert_eq!(Power::new(nodes(3), rack()).unwrap().configured(0), 2, "raw mains beside a UPS");
    assert!(Power::new(vec![node("pdu", Kind::Pdu, &[0])], Vec::new()).is_none(), "a circle");
}

/// Utility and generator, a switch, two UPS, two PDU for each of two racks; three cooling units.
fn plan() -> Arc<Plan> {
    let nodes = vec![
        node("utility", Kind::Utility, &[]),
        node("generator", Kind::Generator, &[]),
        node("ats", Kind::Ats, &[0, 1]),
        node("ups-a", Kind::Ups, &[2]),
        node("ups-b", Kind::Ups, &[2]),
        node("pdu-a1", Kind::Pdu, &[3]),
        node("pdu-b1", Kind::Pdu, &[4]),
        node("pdu-a2", Kind::Pdu, &[3]),
        node("pdu-b2", Kind::Pdu, &[4]),
    ];
    let racks = vec![
        Rack { name: "r01".into(), fed_by: vec![5, 6] },
        Rack { name: "r02".into(), fed_by: vec![7, 8] },
    ];
    let id = |text| Id::new(text).unwrap();
    Arc::new(Plan {
        tenant: id("acme"),
        site: id("fra-1"),
        agent: Some(id("gw-1")),
        power: Power::new(nodes, racks).unwrap(),
        zones: vec![Zone {
            name: "hall-1".into(),
            units: (1..=3).map(|n| format!("crac-{n}")).collect(),
            needs: 2,
        }],
        uplinks: vec!["isp-1".into(), "isp-2".into()],
    })
}

/// A site and what it has written.
struct Site {
    watch: Watch,
    written: BTreeMap<String, Value>,
    samples: usize,
}

impl Site {
    fn new() -> Self {
        let mut site = Self { watch: Watch::new([plan()]), written: BTreeMap::new(), samples: 0 };
        let out = site.watch.seed(&[], NOW);
        site.take(out);
        site
    }

    /// A site all of whose nodes are healthy.
    fn healthy() -> Self {
        let mut site = Self::new();
        for (labels, value) in every() {
            site.see(&labels, Ok(value), 1);
        }
        site
    }

    fn take(&mut self, out: Vec<(Labels, Sample)>) {
        self.samples += out.len();
        for (labels, sample) in out {
            let labels = labels.without(|name| matches!(name, "tenant" | "site"));
            self.written.insert(labels.to_string(), sample.value);
        }
    }

    fn see(&mut self, labels: &Labels, value: Value, second: u64) {
        let out = self.watch.observe(labels, Sample { time: at(second), value }, at(second));
        self.take(out);
    }

    fn is(&self, series: &str) -> f64 {
        self.written.get(series).unwrap_or_else(|| panic!("{series} was not written")).unwrap()
    }

    /// Paths of a rack: known to be good, and not known to be bad.
    fn paths(&self, rack: &str) -> (f64, f64) {
        let of = |kind: &str| self.is(&format!("rack_power_paths_{kind}{{rack=\"{rack}\"}}"));
        (of("healthy"), of("possible"))
    }

    /// What failed first of what a rack hangs on.
    fn first_out(&self, rack: &str) -> Vec<String> {
        let prefix = "rack_power_first_out{";
        let found = self.written.iter().filter(|(series, value)| {
            series.starts_with(prefix)
                && series.contains(&format!("rack=\"{rack}\""))
                && **value == Ok(1.0)
        });
        let node = |series: &String| {
            series.split("node=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        found.map(|(series, _)| node(series)).collect()
    }
}

fn series(metric: &str, device: &str, more: &[(&str, &str)]) -> Labels {
    let base = [("tenant", "acme"), ("site", "fra-1"), ("device", device)];
    Labels::metric(metric, base.into_iter().chain(more.iter().copied()))
}

fn output_off(ups: &str) -> Labels {
    series("ups_output_off", ups, &[])
}

fn voltage(pdu: &str) -> Labels {
    series("pdu_inlet_voltage_volts", pdu, &[("inlet", "1")])
}

fn available(source: &str) -> Labels {
    series("ats_source_available", "ats", &[("source", source)])
}

fn agent_up() -> Labels {
    Labels::metric("agent_up", [("tenant", "acme"), ("site", "fra-1"), ("agent", "gw-1")])
}

/// Every series that the site has, with the value of good days.
fn every() -> Vec<(Labels, f64)> {
    let mut all = vec![
        (available("1"), 1.0),
        (series("ats_source_connected", "ats", &[("source", "1")]), 1.0),
        (series("ats_source_connected", "ats", &[("source", "2")]), 0.0),
        (series("generator_mode", "generator", &[("mode", "auto")]), 1.0),
        (series("uplink_up", "isp-1", &[]), 1.0),
        (series("uplink_up", "isp-2", &[]), 1.0),
    ];
    all.extend(["ups-a", "ups-b"].map(|ups| (output_off(ups), 0.0)));
    all.extend(["pdu-a1", "pdu-b1", "pdu-a2", "pdu-b2"].map(|pdu| (voltage(pdu), 230.0)));
    all.extend([1, 2, 3].map(|n| (series("cooling_running", &format!("crac-{n}"), &[]), 1.0)));
    all
}

#[test]
fn nothing_known_is_neither_healthy_nor_failed() {
    let mut site = Site::new();
    assert_eq!(site.paths("r01"), (0.0, 2.0));
    assert_eq!(site.is(r#"power_node_health{health="unknown", kind="ups", node="ups-a"}"#), 1.0);
    assert_eq!(site.is(r#"cooling_zone_units_healthy{zone="hall-1"}"#), 0.0);
    assert_eq!(site.is(r#"cooling_zone_units_possible{zone="hall-1"}"#), 3.0);
    assert_eq!(site.is("site_uplinks_possible"), 2.0);
    for (labels, value) in every() {
        site.see(&labels, Ok(value), 1);
    }
    assert_eq!(site.paths("r01"), (2.0, 2.0));
    assert_eq!(site.is("site_uplinks_healthy"), 2.0);
    // A value that is missing, and a device that does not answer.
    site.see(&output_off("ups-a"), Err(Missing::Timeout), 2);
    assert_eq!(site.paths("r01"), (1.0, 2.0));
    site.see(&series("device_up", "pdu-b1", &[]), Ok(0.0), 3);
    assert_eq!(site.paths("r01"), (0.0, 2.0));
    assert_eq!(site.paths("r02"), (1.0, 2.0));
    assert!(site.first_out("r01").is_empty());
}

#[test]
fn a_failure_costs_paths_and_what_failed_first_is_named() {
    let mut site = Site::healthy();
    // Read in an unlucky order: the PDU first, the UPS that feeds it a moment later.
    site.see(&voltage("pdu-a1"), Ok(0.0), 10);
    assert_eq!(site.first_out("r01"), ["pdu-a1"]);
    site.see(&output_off("ups-a"), Ok(1.0), 11);
    site.see(&voltage("pdu-a2"), Ok(0.0), 12);
    for rack in ["r01", "r02"] {
        assert_eq!(site.paths(rack), (1.0, 1.0));
        assert_eq!(site.first_out(rack), ["ups-a"]);
    }
    // An hour later the other feed fails, too: that came second.
    site.see(&output_off("ups-b"), Ok(1.0), 200);
    assert_eq!(site.paths("r01"), (0.0, 0.0));
    assert_eq!(site.first_out("r01"), ["ups-a"]);
    site.see(&output_off("ups-a"), Ok(0.0), 210);
    assert_eq!(site.first_out("r01"), ["pdu-a1"], "its own breaker, for the earliest of the rest");
    site.see(&output_off("ups-b"), Ok(0.0), 211);
    site.see(&voltage("pdu-a1"), Ok(230.0), 212);
    assert_eq!(site.paths("r01"), (2.0, 2.0));
    assert!(site.first_out("r01").is_empty(), "it is over, and says so");
    assert_eq!(site.is(r#"rack_power_first_out{kind="ups", node="ups-a", rack="r01"}"#), 0.0);
}

#[test]
fn a_breaker_that_opened_long_before_its_ups_stays_the_first() {
    let mut site = Site::healthy();
    site.see(&voltage("pdu-a1"), Ok(0.0), 10);
    site.see(&output_off("ups-a"), Ok(1.0), 100);
    assert_eq!(site.first_out("r01"), ["pdu-a1"]);
    assert_eq!(site.first_out("r02"), ["ups-a"]);
}

#[test]
fn one_source_of_two_is_no_path_less() {
    let mut site = Site::healthy();
    site.see(&available("1"), Ok(0.0), 10);
    assert_eq!(
        site.is(r#"power_node_health{health="failed", kind="utility", node="utility"}"#),
        1.0
    );
    assert_eq!(site.paths("r01"), (2.0, 2.0), "the generator is ready");
    let fail = series("generator_alarm", "generator", &[("alarm", "fail_to_start")]);
    site.see(&fail, Ok(1.0), 25);
    assert_eq!(site.paths("r01"), (0.0, 0.0));
    assert_eq!(site.first_out("r01"), ["utility"], "neither alone would have done it");
}

#[test]
fn values_that_are_too_old_are_missing_and_an_agent_that_is_gone_leaves_all_open() {
    let mut site = Site::healthy();
    let before = site.watch.tick(at(200));
    site.take(before);
    assert_eq!(site.paths("r01"), (2.0, 2.0));
    site.see(&output_off("ups-b"), Ok(0.0), 299);
    let out = site.watch.tick(at(302));
    site.take(out);
    assert_eq!(site.paths("r01"), (0.0, 2.0));
    assert_eq!(site.is(r#"power_node_health{health="healthy", kind="ups", node="ups-b"}"#), 1.0);
    let out = site.watch.tick(at(600));
    site.take(out);
    assert_eq!(site.is(r#"power_node_health{health="unknown", kind="ups", node="ups-b"}"#), 1.0);

    let mut site = Site::healthy();
    site.see(&output_off("ups-a"), Ok(1.0), 5);
    site.see(&agent_up(), Ok(0.0), 10);
    assert_eq!(site.paths("r01"), (0.0, 2.0), "also what failed is not known to fail any more");
    assert_eq!(site.is("site_uplinks_healthy"), 0.0);
    site.see(&agent_up(), Ok(1.0), 20);
    assert_eq!(site.paths("r01"), (1.0, 1.0));
}

#[test]
fn of_two_agents_the_one_that_is_gone_leaves_its_own_devices_unknown_only() {
    let id = |text| Id::new(text).unwrap();
    let gateway = |name| AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id(name) };
    let up = |name: &'static str| agent_up().with("agent", name);
    let plan = Plan { agent: None, ..(*plan()).clone() };
    let watch = Watch::new([Arc::new(plan)]);
    let mut site = Site { watch, written: BTreeMap::new(), samples: 0 };
    for (labels, value) in every() {
        let device = labels.get("device").unwrap();
        let agent = if device == "ups-b" || device == "isp-2" { "gw-2" } else { "gw-1" };
        site.watch.read(&gateway(agent), device, at(1));
        site.see(&labels, Ok(value), 1);
    }
    assert_eq!((site.paths("r01"), site.is("site_uplinks_healthy")), ((2.0, 2.0), 2.0));
    site.see(&up("gw-2"), Ok(0.0), 10);
    assert_eq!((site.paths("r01"), site.is("site_uplinks_healthy")), ((1.0, 2.0), 1.0));
    // The other one reads the UPS as well, and has newer values.
    site.watch.read(&gateway("gw-1"), "ups-b", at(11));
    site.see(&output_off("ups-b"), Ok(0.0), 11);
    assert_eq!((site.paths("r01"), site.is("site_uplinks_healthy")), ((2.0, 2.0), 1.0));
    site.see(&up("gw-2"), Ok(1.0), 20);
    assert_eq!(site.is("site_uplinks_healthy"), 2.0);
}

#[test]
fn uplinks_are_counted_and_the_first_that_failed_is_named() {
    let mut site = Site::healthy();
    let first = |n: u8| format!(r#"site_uplink_first_out{{kind="uplink", node="isp-{n}"}}"#);
    let counted = |site: &Site| {
        ["configured", "possible", "healthy"].map(|what| site.is(&format!("site_uplinks_{what}")))
    };
    assert_eq!(counted(&site), [2.0, 2.0, 2.0]);
    site.see(&series("uplink_up", "isp-1", &[]), Err(Missing::Timeout), 2);
    assert_eq!(counted(&site), [2.0, 2.0, 1.0], "not heard is not down");
    assert!(!site.written.contains_key(&first(1)), "nothing has failed yet");
    site.see(&series("uplink_up", "isp-2", &[]), Ok(0.0), 3);
    assert_eq!(counted(&site), [2.0, 1.0, 0.0]);
    site.see(&series("uplink_up", "isp-1", &[]), Ok(0.0), 4);
    assert_eq!((site.is(&first(2)), site.written.get(&first(1))), (1.0, None));
    site.see(&series("uplink_up", "isp-2", &[]), Ok(1.0), 5);
    assert_eq!((site.is(&first(2)), site.is(&first(1))), (0.0, 1.0), "it is back, the other not");
    site.see(&series("uplink_up", "isp-1", &[]), Ok(1.0), 6);
    assert_eq!((counted(&site), site.is(&first(1))), ([2.0, 2.0, 2.0], 0.0));

    // A restart goes on with the one that failed first, and ends what the plan does not know.
    let derived = |node: &str| {
        let labels = [("tenant", "acme"), ("site", "fra-1"), ("node", node), ("kind", "uplink")];
        Labels::metric("site_uplink_first_out", labels)
    };
    let sample = |value, second| Sample { time: at(second), value: Ok(value) };
    let mut site = Site::new();
    let out = site.watch.seed(
        &[
            (series("uplink_up", "isp-1", &[]), sample(0.0, 1)),
            (series("uplink_up", "isp-2", &[]), sample(0.0, 2)),
            (derived("isp-2"), sample(1.0, 2)),
            (derived("isp-9"), sample(1.0, 2)),
        ],
        at(3),
    );
    site.take(out);
    assert_eq!((site.is(&first(2)), site.is(&first(9))), (1.0, 0.0));
}

#[test]
fn a_restart_goes_on_with_what_failed_first_and_ends_what_is_not_in_the_plan() {
    let derived = |node: &str, kind: &str| {
        let labels = [
            ("tenant", "acme"),
            ("site", "fra-1"),
            ("rack", "r01"),
            ("node", node),
            ("kind", kind),
        ];
        Labels::metric("rack_power_first_out", labels)
    };
    let mut latest: Vec<(Labels, Sample)> =
        every().into_iter().map(|(l, v)| (l, Sample { time: at(1), value: Ok(v) })).collect();
    let late = |labels, value| (labels, Sample { time: at(2), value: Ok(value) });
    latest.extend([
        late(voltage("pdu-a1"), 0.0),
        late(output_off("ups-b"), 1.0),
        late(derived("ups-b", "ups"), 1.0),
        late(derived("ups-9", "ups"), 1.0),
    ]);
    let mut site = Site::new();
    let out = site.watch.seed(&latest, at(3));
    site.take(out);
    assert_eq!(site.first_out("r01"), ["ups-b"], "pdu-a1 was read at the same time");
    assert_eq!(site.is(r#"rack_power_first_out{kind="ups", node="ups-9", rack="r01"}"#), 0.0);
}

#[test]
fn only_news_is_written_and_all_of_it_now_and_then() {
    let mut site = Site::healthy();
    let before = site.samples;
    for second in 2..20 {
        for (labels, value) in every() {
            site.see(&labels, Ok(value), second);
        }
    }
    assert_eq!(site.samples, before);
    let out = site.watch.tick(at(31));
    let names: BTreeSet<&str> = out.iter().filter_map(|(labels, _)| labels.name()).collect();
    assert!(names.len() >= 9, "{names:?}");
    assert!(
        names.iter().all(|name| hallwatch_model::vocabulary::find(name).is_some()),
        "{names:?}"
    );
    // Somebody else's devices of the same names are nobody's here.
    let other = output_off("ups-a").with("tenant", "globex");
    site.see(&other, Ok(1.0), 40);
    assert_eq!(site.paths("r01"), (2.0, 2.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever came before: what is written is what the last values of all devices say.
    #[test]
    fn events_lead_to_what_the_last_values_say(
        events in prop::collection::vec((0..15_usize, 0..3_u8), 0..80)
    ) {
        let mut site = Site::healthy();
        let all = every();
        let mut last: Vec<Value> = all.iter().map(|(_, value)| Ok(*value)).collect();
        for (second, (which, what)) in events.iter().enumerate() {
            let (labels, good) = &all[*which];
            let bad = if *good == 0.0 { 1.0 } else { 0.0 };
            let value = [Ok(*good), Ok(bad), Err(Missing::Timeout)][usize::from(*what)];
            last[*which] = value;
            site.see(labels, value, 2 + u64::try_from(second).unwrap());
        }
        let of = |labels: &Labels| last[all.iter().position(|(l, _)| l == labels).unwrap()];
        let state = |value: Value, good: f64| match value {
            Err(_) => Health::Unknown,
            Ok(value) if value == good => Health::Healthy,
            Ok(_) => Health::Failed,
        };
        let on = |source| of(&series("ats_source_connected", "ats", &[("source", source)]));
        let ats = match (on("1"), on("2")) {
            (Err(_), _) | (_, Err(_)) => Health::Unknown,
            (Ok(a), Ok(b)) if a + b == 0.0 => Health::Failed,
            _ => Health::Healthy,
        };
        let generator = match of(&series("generator_mode", "generator", &[("mode", "auto")])) {
            Ok(1.0) => Health::Healthy,
            // Not in automatic, and nobody says whether it runs.
            _ => Health::Unknown,
        };
        let utility = state(of(&available("1")), 1.0);
        let mut expected = vec![utility, generator, ats];
        expected.extend(["ups-a", "ups-b"].map(|ups| state(of(&output_off(ups)), 0.0)));
        let pdus = ["pdu-a1", "pdu-b1", "pdu-a2", "pdu-b2"];
        expected.extend(pdus.map(|pdu| state(of(&voltage(pdu)), 230.0)));
        let plan = plan();
        for (node, health) in plan.power.nodes().iter().zip(&expected) {
            let labels = format!(
                "power_node_health{{health=\"{health}\", kind=\"{}\", node=\"{}\"}}",
                node.kind.word(), node.name
            );
            prop_assert_eq!(site.is(&labels), 1.0, "{}", labels);
        }
        for (rack, name) in ["r01", "r02"].into_iter().enumerate() {
            let good = |wanted: fn(&Health) -> bool| -> BTreeSet<usize> {
                (0..expected.len()).filter(|node| wanted(&expected[*node])).collect()
            };
            let healthy = counted(&plan.power, rack, &good(|h| *h == Health::Healthy));
            let possible = counted(&plan.power, rack, &good(|h| *h != Health::Failed));
            let (h, p) = site.paths(name);
            prop_assert_eq!((h as usize, p as usize), (healthy, possible));
            // Something is named exactly when something known costs a path, and it has failed.
            let first = site.first_out(name);
            prop_assert_eq!(first.len(), usize::from(possible < 2));
            for node in first {
                prop_assert_eq!(expected[plan.power.find(&node).unwrap()], Health::Failed);
            }
        }
    }
}
