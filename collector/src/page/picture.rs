//! What the wall shows at one moment.

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_model::{Labels, Sample, Timestamp, Value, vocabulary};
use serde::Serialize;

use super::reading::{Flag, MAX_VALUES, Reading, flag, reading};

/// Labels and lines beyond these would not be read, and could fill the page.
const MAX_ALERTS: usize = 500;
const MAX_DEVICES: usize = 2_000;
const MAX_GAPS: usize = 50;
const MAX_RACKS: usize = 200;

/// The whole wall.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// When, by the collector's clock, in milliseconds.
    pub now: i64,
    /// The collector's name.
    pub collector: String,
    /// Its version.
    pub version: &'static str,
    /// The sites that it serves.
    pub sites: Vec<Site>,
    /// Alerts that are pending or firing.
    pub alerts: Vec<Alert>,
    /// How the collector itself is.
    pub health: Vec<Health>,
    /// Gaps that are open, and those of the last 24 hours, the latest first.
    pub gaps: Vec<Gap>,
}

/// A time of which readings are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// What tells it from others.
    pub key: String,
    /// Where.
    pub site: String,
    /// Whose readings.
    pub agent: String,
    /// Of which device; empty for all.
    pub device: String,
    /// Why, in a word.
    pub cause: String,
    /// `open`, `filled` or `lost`.
    pub state: &'static str,
    /// Since when, in milliseconds.
    pub start: i64,
    /// Up to when; `None` while it lasts.
    pub end: Option<i64>,
}

/// A part of the collector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Which part.
    pub part: String,
    /// Whether it does its work.
    pub ok: bool,
    /// What there is to say.
    pub text: String,
    /// Whether the collector is not ready without it. A receiver that does not answer is bad, but
    /// no reason to send queries elsewhere.
    pub essential: bool,
}

/// An alert that is pending or firing.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    /// All labels: what tells it from others.
    pub key: String,
    /// The rule's name.
    pub name: String,
    /// `critical`, `warning`, `info` or whatever the rule says.
    pub severity: String,
    /// `pending` or `firing`.
    pub state: String,
    /// Its inputs are gone: it would have been resolved for lack of data, and is not.
    pub held: bool,
    /// Since when it is held, in milliseconds.
    pub held_since: Option<i64>,
    /// Which inputs are gone; empty unless it is held.
    pub held_because: String,
    /// How often it changed, when it is flapping: it keeps firing until it is calm.
    pub flapping: Option<usize>,
    /// The `key` of the alert that it follows from; it is not told of then. Empty for none.
    pub suppressed_by: String,
    /// Since when it is active, in milliseconds.
    pub since: i64,
    /// Whom it concerns.
    pub tenant: String,
    /// Where.
    pub site: String,
    /// Where exactly.
    pub room: String,
    /// Where exactly.
    pub rack: String,
    /// What.
    pub device: String,
    /// What is the matter.
    pub summary: String,
    /// Why that happens.
    pub cause: String,
    /// What it means.
    pub consequence: String,
    /// What to do.
    pub action: String,
}

impl Alert {
    /// An alert with these labels and annotations.
    pub fn new<'a>(
        labels: &Labels,
        annotation: impl Fn(&str) -> Option<&'a str>,
        state: &str,
        held: bool,
        since: Timestamp,
    ) -> Self {
        let label = |name: &str| labels.get(name).unwrap_or_default().to_owned();
        let annotated = |name: &str| annotation(name).unwrap_or_default().to_owned();
        Self {
            key: labels.to_string(),
            name: label("alertname"),
            severity: label("severity"),
            state: state.to_owned(),
            held,
            held_since: None,
            held_because: String::new(),
            flapping: None,
            suppressed_by: String::new(),
            since: since.as_millis(),
            tenant: label("tenant"),
            site: label("site"),
            room: label("room"),
            rack: label("rack"),
            device: label("device"),
            summary: annotated("summary"),
            cause: annotation("cause").or(annotation("description")).unwrap_or_default().to_owned(),
            consequence: annotated("consequence"),
            action: annotated("action"),
        }
    }
}

/// An agent as the page shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agent {
    /// Its name.
    pub id: String,
    /// Whether it is connected and sends; `None`: never heard.
    pub up: Option<bool>,
    /// When its last data came, in milliseconds.
    pub seen: Option<i64>,
    /// Journal entries that it still has to send.
    pub backlog: u64,
}

/// What is known of a site beside its samples.
#[derive(Clone, Debug)]
pub struct SiteFacts {
    /// Whose it is.
    pub tenant: String,
    /// Its name in labels.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its agents.
    pub agents: Vec<Agent>,
}

/// A site on the page.
#[derive(Clone, Debug, Serialize)]
pub struct Site {
    tenant: String,
    id: String,
    name: String,
    agents: Vec<Agent>,
    groups: Vec<Group>,
    /// Racks with fewer than two healthy power paths, though they are built with two.
    racks: Vec<Rack>,
}

/// A rack whose redundancy is lost, or not certain.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Rack {
    rack: String,
    /// Paths that are known to be healthy.
    healthy: f64,
    /// Paths that are not known to have failed.
    possible: f64,
    /// What failed first; empty when nothing has.
    first: String,
}

/// What the topology says of a rack.
#[derive(Clone, Debug, Default)]
struct Paths {
    configured: f64,
    healthy: f64,
    possible: f64,
    first: String,
}

#[derive(Clone, Debug, Serialize)]
struct Group {
    name: String,
    devices: Vec<Device>,
}

#[derive(Clone, Debug, Serialize)]
struct Device {
    device: String,
    rack: String,
    feed: String,
    /// `false`: it does not answer.
    up: Option<bool>,
    /// When its newest value was read; `None` when none of its values is there.
    time: Option<i64>,
    /// The worst severity of its firing alerts; empty for none.
    severity: String,
    flags: Vec<Flag>,
    values: Vec<Reading>,
}

#[derive(Default)]
struct Gathered {
    room: String,
    rack: String,
    feed: String,
    up: Option<bool>,
    time: Option<Timestamp>,
    flags: BTreeSet<Flag>,
    values: Vec<Reading>,
}

impl Picture {
    /// Makes the picture of `now` from the latest sample of each series and what else is known.
    #[must_use]
    pub fn new(
        now: Timestamp,
        collector: &str,
        sites: Vec<SiteFacts>,
        latest: &[(Labels, Sample)],
        mut alerts: Vec<Alert>,
        mut health: Vec<Health>,
    ) -> Self {
        let mut devices: BTreeMap<(&str, &str, &str), Gathered> = BTreeMap::new();
        let mut racks: BTreeMap<(&str, &str, &str), Paths> = BTreeMap::new();
        let mut left_out = 0_usize;
        for (labels, sample) in latest {
            let label = |name| labels.get(name).unwrap_or_default();
            let key = (label("tenant"), label("site"), label("device"));
            // Alerts and recorded series carry device labels, too, and are no news of the device.
            let name = labels.name().unwrap_or_default();
            if name.starts_with("rack_power_") && key.2.is_empty() {
                let key = (key.0, key.1, label("rack"));
                racks.entry(key).or_default().add(name, label("node"), sample.value);
            }
            if key.2.is_empty() || name.starts_with("ALERTS") || vocabulary::find(name).is_none() {
                continue;
            }
            if devices.len() >= MAX_DEVICES && !devices.contains_key(&key) {
                left_out += 1;
                continue;
            }
            devices.entry(key).or_default().add(labels, sample);
        }
        if left_out > 0 {
            let text = format!("only the first {MAX_DEVICES} devices are shown");
            health.push(Health { part: "page".into(), ok: false, text, essential: false });
        }
        if alerts.len() > MAX_ALERTS {
            let text = format!("{} alerts are active, {MAX_ALERTS} are shown", alerts.len());
            health.push(Health { part: "page".into(), ok: false, text, essential: false });
            // Firing and critical ones first, so that those are kept.
            alerts.sort_by_key(|alert| (alert.state != "firing", rank(&alert.severity)));
            alerts.truncate(MAX_ALERTS);
        }
        let sites = sites
            .into_iter()
            .map(|facts| {
                let mut groups: BTreeMap<String, Vec<Device>> = BTreeMap::new();
                for ((tenant, site, name), gathered) in &mut devices {
                    if *tenant == facts.tenant && *site == facts.id {
                        let (group, device) = gathered.take(tenant, site, name, &alerts);
                        groups.entry(group).or_default().push(device);
                    }
                }
                let groups =
                    groups.into_iter().map(|(name, devices)| Group { name, devices }).collect();
                let own =
                    racks.iter().filter(|((t, s, _), _)| *t == facts.tenant && *s == facts.id);
                let racks = own.filter_map(|((.., rack), paths)| paths.shown(rack));
                let racks = racks.take(MAX_RACKS).collect();
                let SiteFacts { tenant, id, name, agents } = facts;
                Site { tenant, id, name, agents, groups, racks }
            })
            .collect();
        let collector = collector.to_owned();
        let version = env!("CARGO_PKG_VERSION");
        Self { now: now.as_millis(), collector, version, sites, alerts, health, gaps: Vec::new() }
    }
}

impl Picture {
    /// With these gaps, as many as anybody would read.
    #[must_use]
    pub fn with_gaps(mut self, gaps: Vec<Gap>) -> Self {
        self.gaps = gaps;
        // What is open first, so that it is kept.
        self.gaps.sort_by_key(|gap| (gap.state != "open", std::cmp::Reverse(gap.start)));
        self.gaps.truncate(MAX_GAPS);
        self
    }
}

impl Paths {
    fn add(&mut self, metric: &str, node: &str, value: Value) {
        let Ok(value) = value else { return };
        match metric {
            "rack_power_paths_configured" => self.configured = value,
            "rack_power_paths_healthy" => self.healthy = value,
            "rack_power_paths_possible" => self.possible = value,
            "rack_power_first_out" if value == 1.0 => node.clone_into(&mut self.first),
            _ => {}
        }
    }

    /// The rack, when it has fewer than two of the paths that it should have.
    fn shown(&self, rack: &str) -> Option<Rack> {
        let short = self.healthy < 2.0 && self.healthy < self.configured;
        short.then(|| Rack {
            rack: rack.to_owned(),
            healthy: self.healthy,
            possible: self.possible,
            first: self.first.clone(),
        })
    }
}

impl Gathered {
    fn add(&mut self, labels: &Labels, sample: &Sample) {
        for (field, name) in
            [(&mut self.room, "room"), (&mut self.rack, "rack"), (&mut self.feed, "feed")]
        {
            if let (true, Some(value)) = (field.is_empty(), labels.get(name)) {
                *field = value.to_owned();
            }
        }
        let name = labels.name().unwrap_or_default();
        if name == "device_up" {
            self.up = Some(sample.value == Ok(1.0));
        }
        // What the agent says about a device says nothing about the age of the device's values.
        if sample.value.is_ok() && !name.starts_with("device_") {
            self.time = self.time.max(Some(sample.time));
        }
        self.flags.extend(flag(labels, sample.value));
        self.values.extend(reading(labels, sample.value));
    }

    fn take(&mut self, tenant: &str, site: &str, name: &str, alerts: &[Alert]) -> (String, Device) {
        let group = if self.room.is_empty() { "No room".to_owned() } else { self.room.clone() };
        self.values.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
        self.values.dedup_by(|a, b| a.name == b.name);
        for at in 0..self.values.len() {
            let same = self.values.iter().filter(|other| other.rank == self.values[at].rank);
            if same.count() == 1 {
                self.values[at].name = self.values[at].alone.to_owned();
            }
        }
        self.values.truncate(MAX_VALUES);
        let own = |alert: &&Alert| {
            alert.state == "firing"
                && alert.device == name
                && alert.site == site
                && alert.tenant == tenant
        };
        let severity = alerts.iter().filter(own).min_by_key(|alert| rank(&alert.severity));
        let mut flags: Vec<Flag> = std::mem::take(&mut self.flags).into_iter().collect();
        flags.sort_by(|a, b| b.bad.cmp(&a.bad).then_with(|| a.text.cmp(&b.text)));
        let device = Device {
            device: name.to_owned(),
            rack: self.rack.clone(),
            feed: self.feed.clone(),
            up: self.up,
            time: self.time.map(Timestamp::as_millis),
            severity: severity.map(|alert| alert.severity.clone()).unwrap_or_default(),
            flags,
            values: std::mem::take(&mut self.values),
        };
        (group, device)
    }
}

/// The most urgent first.
fn rank(severity: &str) -> u8 {
    match severity {
        "critical" => 0,
        "info" => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Missing;

    use super::*;

    fn site() -> SiteFacts {
        let agent = Agent { id: "gw-1".into(), up: Some(true), seen: None, backlog: 0 };
        let name = "Frankfurt 1".into();
        SiteFacts { tenant: "acme".into(), id: "fra-1".into(), name, agents: vec![agent] }
    }

    fn sample(
        metric: &str,
        labels: &[(&str, &str)],
        value: Result<f64, Missing>,
    ) -> (Labels, Sample) {
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
        let alerts =
            vec![alert("warning", "firing", "ups-a"), alert("critical", "pending", "ups-a")];
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
}
