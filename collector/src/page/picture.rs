//! What the wall shows at one moment.

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_model::{Labels, Sample, Timestamp};
use serde::Serialize;

use super::reading::{Flag, MAX_VALUES, Reading, flag, reading};

/// Labels and lines beyond these would not be read, and could fill the page.
const MAX_ALERTS: usize = 500;
const MAX_DEVICES: usize = 2_000;

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
    /// When it was last heard.
    time: i64,
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
    time: Timestamp,
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
        let mut left_out = 0_usize;
        for (labels, sample) in latest {
            let label = |name| labels.get(name).unwrap_or_default();
            let key = (label("tenant"), label("site"), label("device"));
            if key.2.is_empty() {
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
            health.push(Health { part: "page".into(), ok: false, text });
        }
        if alerts.len() > MAX_ALERTS {
            let text = format!("{} alerts are active, {MAX_ALERTS} are shown", alerts.len());
            health.push(Health { part: "page".into(), ok: false, text });
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
                let SiteFacts { tenant, id, name, agents } = facts;
                Site { tenant, id, name, agents, groups }
            })
            .collect();
        let collector = collector.to_owned();
        let version = env!("CARGO_PKG_VERSION");
        Self { now: now.as_millis(), collector, version, sites, alerts, health }
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
        self.time = self.time.max(sample.time);
        if labels.name() == Some("device_up") {
            self.up = Some(sample.value == Ok(1.0));
        }
        self.flags.extend(flag(labels, sample.value));
        self.values.extend(reading(labels, sample.value));
    }

    fn take(&mut self, tenant: &str, site: &str, name: &str, alerts: &[Alert]) -> (String, Device) {
        let group = if self.room.is_empty() { "No room".to_owned() } else { self.room.clone() };
        self.values.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
        self.values.dedup_by(|a, b| a.name == b.name);
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
            time: self.time.as_millis(),
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
