//! What the wall shows at one moment.
//!
//! Reading order: here the whole and its sites; `alert`, `rule`, `device`, `rack`.

mod alert;
mod device;
mod rack;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_model::{Labels, Sample, Timestamp, vocabulary};
use serde::Serialize;

pub use alert::Alert;
use alert::{Counts, rank};
use device::{Device, Gathered};
use rack::{Paths, Rack};
use rule::Rule;

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
    /// Alerts that are pending or firing, as many as anybody would read.
    pub alerts: Vec<Alert>,
    /// How many there are of which kind, also of those that are not in `alerts`.
    counts: Counts,
    /// What the alerts of each rule are together, also those that are not in `alerts`; for the rules
    /// that have more than one, and at least one in `alerts`.
    rules: Vec<Rule>,
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

#[derive(Clone, Debug, Serialize)]
struct Group {
    name: String,
    devices: Vec<Device>,
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
        let mut cut_off = 0_usize;
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
                cut_off += 1;
                continue;
            }
            devices.entry(key).or_default().add(labels, sample);
        }
        if cut_off > 0 {
            let text = format!("only the first {MAX_DEVICES} devices are shown");
            health.push(Health { part: "page".into(), ok: false, text, essential: false });
        }
        let counts = Counts::of(&alerts);
        let worst = worst(&alerts);
        for (of, gathered) in &mut devices {
            gathered.severity = worst.get(of).map(|severity| (*severity).to_owned());
        }
        if alerts.len() > MAX_ALERTS {
            let text = format!("{} alerts are active, {MAX_ALERTS} are shown", alerts.len());
            health.push(Health { part: "page".into(), ok: false, text, essential: false });
        }
        alert::prepare(&mut alerts);
        let mut rules = rule::rules(&alerts);
        alert::cut(&mut alerts, MAX_ALERTS);
        let shown: BTreeSet<_> = alerts.iter().map(rule::key).collect();
        rules.retain(|rule| shown.contains(&(&*rule.name, &*rule.severity)));
        let sites = sites
            .into_iter()
            .map(|facts| {
                let mut groups: BTreeMap<String, Vec<Device>> = BTreeMap::new();
                for ((tenant, site, name), gathered) in &mut devices {
                    if *tenant == facts.tenant && *site == facts.id {
                        let (group, device) = gathered.take(name);
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
        let now = now.as_millis();
        let gaps = Vec::new();
        Self { now, collector, version, sites, alerts, counts, rules, health, gaps }
    }
}

/// The worst severity of the firing alerts of each tenant's, site's, device.
fn worst(alerts: &[Alert]) -> BTreeMap<(&str, &str, &str), &str> {
    let mut worst: BTreeMap<_, &str> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert.is_firing()) {
        let of = (alert.tenant.as_str(), alert.site.as_str(), alert.device.as_str());
        let found = worst.entry(of).or_insert(&alert.severity);
        if rank(&alert.severity) < rank(found) {
            *found = &alert.severity;
        }
    }
    worst
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
