use hallwatch_model::Missing;

use super::*;

fn site() -> SiteFacts {
    let agent = Agent { id: "gw-1".into(), up: Some(true), seen: None, backlog: 0 };
    let name = "Frankfurt 1".into();
    SiteFacts { tenant: "acme".into(), id: "fra-1".into(), name, agents: vec![agent] }
}

fn sample(metric: &str, labels: &[(&str, &str)], value: Result<f64, Missing>) -> (Labels, Sample) {
    let base = [("tenant", "acme"), ("site", "fra-1")];
    let labels = Labels::metric(metric, base.into_iter().chain(labels.iter().copied()));
    (labels, Sample { time: Timestamp::from_millis(7_000), value })
}

fn alert(severity: &str, state: &str, device: &str) -> Alert {
    let labels = [
        ("alertname", "A"),
        ("severity", severity),
        ("tenant", "acme"),
        ("site", "fra-1"),
        ("device", device),
    ];
    let summary = |name: &str| (name == "description").then_some("because");
    Alert::new(&Labels::from_pairs(labels), summary, state, false, Timestamp::from_millis(1))
}

fn picture(latest: &[(Labels, Sample)], alerts: Vec<Alert>) -> Picture {
    let now = Timestamp::from_millis(8_000);
    Picture::new(now, "c-1", vec![site()], latest, alerts, Vec::new())
}

#[test]
fn devices_stand_in_their_rooms_with_their_values() {
    let ups = [("device", "ups-a"), ("room", "Power"), ("feed", "a")];
    let latest = [
        sample("ups_load_ratio", &ups, Ok(0.42)),
        sample("ups_battery_charge_ratio", &ups, Err(Missing::Timeout)),
        sample("ups_on_battery", &ups, Ok(1.0)),
        sample("pdu_inlet_voltage_volts", &[("device", "pdu-1"), ("inlet", "1")], Ok(230.4)),
        sample("meter_voltage_volts", &[("device", "m-1"), ("phase", "l1")], Ok(230.4)),
        sample("meter_voltage_volts", &[("device", "m-1"), ("phase", "l2")], Ok(231.0)),
        sample("device_up", &ups, Ok(1.0)),
        sample("environment_leak", &[("device", "leak-1")], Err(Missing::DeviceOffline)),
        sample("agent_up", &[("agent", "gw-1")], Ok(1.0)),
        sample("ALERTS", &[("device", "leak-1"), ("alertname", "A")], Ok(1.0)),
        sample("room:load:sum", &[("device", "leak-1")], Ok(1.0)),
    ];
    let alerts = vec![alert("warning", "firing", "ups-a"), alert("critical", "pending", "ups-a")];
    let picture = picture(&latest, alerts);
    let groups = &picture.sites[0].groups;
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["No room", "Power"]);
    let named = |device: &str| -> Vec<&str> {
        let found = groups[0].devices.iter().find(|found| found.device == device);
        found.unwrap().values.iter().map(|value| value.name.as_str()).collect()
    };
    assert_eq!(named("pdu-1"), ["Voltage"], "it has only one inlet");
    assert_eq!(named("m-1"), ["Voltage L1", "Voltage L2"]);
    let leak = &groups[0].devices[0];
    assert_eq!((leak.time, leak.up), (None, None), "it has no value, however fresh that news");
    let ups = &groups[1].devices[0];
    assert_eq!((ups.device.as_str(), ups.feed.as_str(), ups.up), ("ups-a", "a", Some(true)));
    assert_eq!(ups.time, Some(7_000));
    assert_eq!(ups.severity, "warning", "what is pending may never fire");
    assert_eq!(ups.flags[0].text, "on battery");
    let values: Vec<_> =
        ups.values.iter().map(|v| (v.name.as_str(), v.text.as_str(), &v.missing)).collect();
    let missing = Some("no answer in time".to_owned());
    assert_eq!(values, [("Battery", "", &missing), ("Load", "42", &None)]);
    assert_eq!(picture.alerts[0].cause, "because");
}

#[test]
fn racks_with_fewer_than_two_healthy_paths_are_named() {
    let paths = |rack: &str, configured: f64, healthy: f64, possible: f64| {
        let of = |kind: &str, value| {
            let metric = format!("rack_power_paths_{kind}");
            sample(&metric, &[("rack", rack)], Ok(value))
        };
        [of("configured", configured), of("healthy", healthy), of("possible", possible)]
    };
    let first = |node: &str, value| {
        sample("rack_power_first_out", &[("rack", "r02"), ("node", node)], Ok(value))
    };
    let mut latest = paths("r01", 2.0, 2.0, 2.0).to_vec();
    latest.extend(paths("r02", 2.0, 1.0, 1.0));
    latest.extend(paths("r03", 1.0, 1.0, 1.0));
    latest.extend(paths("r04", 2.0, 0.0, 2.0));
    latest.extend([first("ups-a", 1.0), first("ups-b", 0.0)]);
    let picture = picture(&latest, Vec::new());
    let rack = |rack: &str, healthy, possible, first: &str| Rack {
        rack: rack.into(),
        healthy,
        possible,
        first: first.into(),
    };
    let expected = [rack("r02", 1.0, 1.0, "ups-a"), rack("r04", 0.0, 2.0, "")];
    assert_eq!(picture.sites[0].racks, expected);
}

#[test]
fn one_tenant_is_never_shown_under_another() {
    let (labels, sample) = sample("ups_load_ratio", &[("device", "ups-a")], Ok(0.42));
    let latest = [(labels.with("tenant", "globex"), sample)];
    assert!(picture(&latest, Vec::new()).sites[0].groups.is_empty());
}

#[test]
fn too_much_is_cut_and_said_so() {
    let latest: Vec<_> = (0..2_001)
        .map(|i| sample("ups_load_ratio", &[("device", &format!("ups-{i}"))], Ok(0.42)))
        .collect();
    let mut alerts: Vec<_> = (0..600).map(|_| alert("warning", "pending", "x")).collect();
    alerts.push(alert("critical", "firing", "y"));
    let picture = picture(&latest, alerts);
    assert_eq!(picture.sites[0].groups[0].devices.len(), MAX_DEVICES);
    assert_eq!(picture.alerts.len(), MAX_ALERTS);
    assert_eq!(picture.alerts[0].device, "y", "what is urgent is kept");
    assert!(picture.health.iter().filter(|part| !part.ok).count() == 2);
}

#[test]
fn a_rule_with_very_many_alerts_hides_no_other_and_all_are_counted() {
    let of = |name: &str, severity: &str, device: &str| {
        let mut alert = alert(severity, "firing", device);
        alert.name = name.into();
        alert
    };
    let mut alerts: Vec<_> = (0..700).map(|i| of("Many", "critical", &format!("d{i}"))).collect();
    alerts.push(of("One", "info", "ups-a"));
    let latest = [sample("ups_load_ratio", &[("device", "d699")], Ok(0.42))];
    let picture = picture(&latest, alerts);
    assert_eq!(picture.alerts.len(), MAX_ALERTS);
    assert!(picture.alerts.iter().any(|alert| alert.name == "One"));
    let rules: Vec<_> =
        picture.rules.iter().map(|r| (&*r.name, &*r.severity, r.total, r.places)).collect();
    assert_eq!(rules, [("Many", "critical", 700, 700)]);
    let counts = serde_json::to_value(picture.counts).unwrap();
    assert_eq!((&counts["critical"], &counts["info"]), (&700.into(), &1.into()), "{counts}");
    // What is not shown as an alert still marks its device.
    assert_eq!(picture.sites[0].groups[0].devices[0].severity, "critical");
}

#[test]
fn what_is_cut_is_in_the_sum_of_its_rule() {
    let of = |name: &str, state: &str, device: &str, since: i64| {
        let mut alert = alert("critical", state, device);
        alert.key = format!("{name} {device}");
        (alert.name, alert.since) = (name.into(), since);
        alert.summary = format!("{device} is in trouble");
        alert.action = "Go there".into();
        alert
    };
    let cause = Labels::from_pairs([("alertname", "Old"), ("device", "ups-a"), ("site", "fra-1")]);
    let mut alerts = vec![of("Old", "firing", "ups-a", 5)];
    alerts[0].key = cause.to_string();
    alerts.extend((0..50).map(|i| of("Old", "firing", &format!("new-{i}"), 1_000 + i)));
    // Newer than the one that is told of, and than what is pending for longer.
    let follows = (0..800).map(|i| of("Feed", "firing", &format!("f{i}"), 2_000 + i));
    alerts.extend(follows.map(|alert| alert.following(&cause)));
    alerts.push(of("Feed", "firing", "own", 70));
    alerts.push(of("Feed", "pending", "own", 60));
    let mut held = of("Feed", "pending", "own", 50);
    (held.held, held.flapping, held.site) = (true, Some(3), "ber-1".into());
    alerts.push(held);
    alerts.extend((0..500).map(|i| of(&format!("Single {i:03}"), "firing", "x", 1)));
    let picture = picture(&[], alerts);
    assert_eq!(picture.alerts.len(), MAX_ALERTS);
    let shown = |name| -> Vec<_> {
        let of_rule = picture.alerts.iter().filter(|alert| alert.name == name);
        of_rule.map(|alert| (alert.device.as_str(), alert.suppressed_by.is_empty())).collect()
    };
    assert_eq!(shown("Feed"), [("own", true)], "what is told of");
    assert_eq!(shown("Old"), [("new-49", true)], "the newest");
    let [feed, old] = &picture.rules[..] else { panic!("{:?}", picture.rules) };
    let wanted = Rule {
        name: "Feed".into(),
        severity: "critical".into(),
        total: 803,
        firing: 801,
        held: 1,
        flapping: 1,
        suppressed: 800,
        causes: 1,
        cause: "Old ups-a".into(),
        since: 70,
        places: 801,
        sites: ["ber-1".into(), "fra-1".into()].into(),
        summary: String::new(),
        action: "Go there".into(),
    };
    assert_eq!(*feed, wanted);
    assert_eq!((old.total, old.since, old.causes, &*old.cause), (51, 5, 0, ""));
}

#[test]
fn what_follows_from_an_alert_is_counted_also_when_it_is_cut() {
    let cause = alert("critical", "firing", "ups-a");
    let labels = [("alertname", "A"), ("severity", "critical"), ("tenant", "acme")];
    let labels = labels.into_iter().chain([("site", "fra-1"), ("device", "ups-a")]);
    let labels = Labels::from_pairs(labels);
    let follower = |i| alert("warning", "firing", &format!("d{i}")).following(&labels);
    let mut alerts: Vec<_> = (0..700).map(follower).collect();
    alerts.push(cause);
    let picture = picture(&[], alerts);
    let first = &picture.alerts[0];
    assert_eq!((first.device.as_str(), first.followers), ("ups-a", 700));
    assert_eq!(picture.alerts[1].follows_from, "A ups-a");
}
