//! Follows how the nodes of all sites are, by their samples, and writes what that means.
//!
//! Reading order: here what is told of all sites; of one `site`, then, `learn` (what a sample says),
//! `look` (how the nodes are), `count` (what is left, and what failed first), `write`.

mod count;
mod learn;
mod look;
mod site;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{AgentPath, Id, Labels, Sample, Timestamp};

use super::facts::{Facts, Health};
use super::plan::Plan;
use learn::Learnt;
pub use write::DERIVED;

/// What is derived is written anew after so long, so that it stays current.
const REFRESH: Duration = Duration::from_secs(30);

/// All sites that have a topology.
#[derive(Debug)]
pub struct Watch {
    sites: HashMap<(String, String), SiteWatch>,
}

/// How a node, a cooling unit or an uplink is, and since when it fails.
#[derive(Clone, Copy, Debug)]
struct State {
    health: Health,
    failed_at: Timestamp,
}

const OPEN: State = State { health: Health::Unknown, failed_at: Timestamp::MIN };

/// What depends on a device.
#[derive(Debug, Default)]
struct Device {
    facts: Facts,
    nodes: BTreeSet<usize>,
    zones: BTreeSet<usize>,
    uplink: bool,
    /// Of several agents the one whose values of it are the newest.
    read_by: Option<(Id, Timestamp)>,
    /// When it is looked at again without a sample.
    due: Option<Timestamp>,
}

#[derive(Debug)]
struct SiteWatch {
    plan: Arc<Plan>,
    devices: HashMap<String, Device>,
    nodes: Vec<State>,
    /// Cooling units and uplinks, by their devices.
    units: HashMap<String, State>,
    /// The racks that hang on each node.
    below: Vec<Vec<usize>>,
    rack_first: Vec<Option<usize>>,
    zone_first: Vec<Option<usize>>,
    uplink_first: Option<usize>,
    /// The site's only agent is known to be gone.
    blind: bool,
    /// Of several agents those that are known to be gone.
    away: BTreeSet<String>,
    due: BTreeSet<(Timestamp, String)>,
    /// What was written last, by series.
    written: BTreeMap<Labels, f64>,
    refreshed: Timestamp,
}

/// Series to write.
type Out = Vec<(Labels, Sample)>;

impl Watch {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(plans: impl IntoIterator<Item = Arc<Plan>>) -> Self {
        let sites = plans
            .into_iter()
            .map(|plan| ((plan.tenant.to_string(), plan.site.to_string()), SiteWatch::new(plan)));
        Self { sites: sites.collect() }
    }

    /// Whether no site has a topology.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// Begins with the latest sample of every series, what was derived before included.
    pub fn seed(&mut self, latest: &[(Labels, Sample)], now: Timestamp) -> Out {
        for (labels, sample) in latest {
            if let Some(site) = self.site(labels) {
                site.remember(labels, sample);
                site.learn(labels, *sample, now);
            }
        }
        let mut out = Vec::new();
        for site in self.sites.values_mut() {
            site.look_at_all(now, &mut out);
            site.refresh(now, &mut out);
        }
        out
    }

    /// A sample came: looks at what hangs on its device.
    pub fn observe(&mut self, labels: &Labels, sample: Sample, now: Timestamp) -> Out {
        let mut out = Vec::new();
        if let Some(site) = self.site(labels) {
            match site.learn(labels, sample, now) {
                Learnt::Nothing => {}
                Learnt::Device(device) => site.look_at(&device, sample.time, now, &mut out),
                Learnt::Everything => site.look_at_all(now, &mut out),
            }
        }
        out
    }

    /// An agent has sent a value of a device that was read at `time`: without that agent, nothing is
    /// known of the device. Of two that read it, the one with the newer values counts.
    pub fn read(&mut self, agent: &AgentPath, device: &str, time: Timestamp) {
        let key = (agent.tenant.to_string(), agent.site.to_string());
        let Some(site) = self.sites.get_mut(&key) else { return };
        let Some(device) = site.devices.get_mut(device) else { return };
        match &mut device.read_by {
            Some((_, until)) if *until > time => {}
            Some((known, until)) if *known == agent.agent => *until = time,
            other => *other = Some((agent.agent.clone(), time)),
        }
    }

    /// Time has passed: values that became too old are missing now.
    pub fn tick(&mut self, now: Timestamp) -> Out {
        let mut out = Vec::new();
        for site in self.sites.values_mut() {
            while let Some((due, _)) = site.due.first()
                && *due <= now
                && let Some((_, device)) = site.due.pop_first()
            {
                if let Some(known) = site.devices.get_mut(&device) {
                    known.due = None;
                }
                site.look_at(&device, now, now, &mut out);
                site.schedule(&device, now);
            }
            // A clock that was set back must not end this.
            if now.since(site.refreshed) >= REFRESH || site.refreshed > now {
                site.refresh(now, &mut out);
            }
        }
        out
    }

    fn site(&mut self, labels: &Labels) -> Option<&mut SiteWatch> {
        let key = (labels.get("tenant")?.to_owned(), labels.get("site")?.to_owned());
        self.sites.get_mut(&key)
    }
}

impl State {
    /// Whether it is another health now.
    fn enter(&mut self, health: Health, since: Timestamp) -> bool {
        let changed = self.health != health;
        if changed && health == Health::Failed {
            self.failed_at = since;
        }
        self.health = health;
        changed
    }
}
