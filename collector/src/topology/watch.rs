//! Follows how the nodes of all sites are, by their samples, and writes what that means.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{AgentPath, Id, Labels, Sample, Timestamp};

use super::facts::{Facts, Health, role};
use super::plan::{Kind, Plan};

/// What is derived is written anew after so long, so that it stays current.
const REFRESH: Duration = Duration::from_secs(30);
/// Devices are read in turn: what failed so much later than what hangs on it may have failed first.
const TURN: Duration = Duration::from_secs(30);

/// The series that a [`Watch`] writes.
pub const DERIVED: [&str; 14] = [
    "power_node_health",
    "rack_power_paths_configured",
    "rack_power_paths_healthy",
    "rack_power_paths_possible",
    "rack_power_first_out",
    "cooling_zone_units_configured",
    "cooling_zone_units_needed",
    "cooling_zone_units_healthy",
    "cooling_zone_units_possible",
    "cooling_zone_first_out",
    "site_uplinks_configured",
    "site_uplinks_healthy",
    "site_uplinks_possible",
    "site_uplink_first_out",
];

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

    /// Whether something hangs on the samples of this series.
    #[must_use]
    pub fn concerns(&self, labels: &Labels) -> bool {
        let key = [labels.get("tenant"), labels.get("site")];
        let [Some(tenant), Some(site)] = key.map(|text| text.map(str::to_owned)) else {
            return false;
        };
        self.sites.get(&(tenant, site)).is_some_and(|site| site.concerns(labels))
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

/// What a sample concerns.
enum Learnt {
    Nothing,
    Device(String),
    Everything,
}

impl SiteWatch {
    fn new(plan: Arc<Plan>) -> Self {
        let mut devices: HashMap<String, Device> = HashMap::new();
        let power = &plan.power;
        for (at, node) in power.nodes().iter().enumerate() {
            let mut seen_by = |name: &str| {
                devices.entry(name.to_owned()).or_default().nodes.insert(at);
            };
            match (&node.meter, node.kind) {
                (Some(meter), _) => seen_by(meter),
                (None, Kind::Utility | Kind::Board) => {}
                (None, _) => seen_by(&node.name),
            }
            if node.kind == Kind::Ats {
                let inputs = node.fed_by.iter();
                let utilities = inputs.filter(|by| power.nodes()[**by].kind == Kind::Utility);
                devices.entry(node.name.clone()).or_default().nodes.extend(utilities);
            }
        }
        for (at, zone) in plan.zones.iter().enumerate() {
            for unit in &zone.units {
                devices.entry(unit.clone()).or_default().zones.insert(at);
            }
        }
        for uplink in &plan.uplinks {
            devices.entry(uplink.clone()).or_default().uplink = true;
        }
        let mut below = vec![Vec::new(); power.nodes().len()];
        for rack in 0..power.racks().len() {
            power.ancestors(rack).iter().for_each(|node| below[*node].push(rack));
        }
        Self {
            nodes: vec![OPEN; power.nodes().len()],
            rack_first: vec![None; power.racks().len()],
            zone_first: vec![None; plan.zones.len()],
            uplink_first: None,
            units: HashMap::new(),
            blind: false,
            away: BTreeSet::new(),
            due: BTreeSet::new(),
            written: BTreeMap::new(),
            refreshed: Timestamp::MIN,
            devices,
            below,
            plan,
        }
    }

    /// What was derived by an earlier run: what failed first then did so still.
    fn remember(&mut self, labels: &Labels, sample: &Sample) {
        let Some(name) = labels.name().filter(|name| DERIVED.contains(name)) else { return };
        let Ok(value) = sample.value else { return };
        let label = |name| labels.get(name).unwrap_or_default();
        if value == 1.0 && name == "rack_power_first_out" {
            let rack = self.plan.power.racks().iter().position(|r| r.name == label("rack"));
            let node = self.plan.power.find(label("node"));
            match (rack, node) {
                (Some(rack), Some(node)) => self.rack_first[rack] = Some(node),
                // It is not in the plan any more: what fired for it shall end.
                _ => {
                    self.written.insert(labels.clone(), 0.0);
                    return;
                }
            }
        }
        if value == 1.0 && name == "cooling_zone_first_out" {
            let zone = self.plan.zones.iter().position(|zone| zone.name == label("zone"));
            let unit = |zone: usize| {
                self.plan.zones[zone].units.iter().position(|unit| unit == label("node"))
            };
            match zone.and_then(|zone| Some((zone, unit(zone)?))) {
                Some((zone, unit)) => self.zone_first[zone] = Some(unit),
                None => {
                    self.written.insert(labels.clone(), 0.0);
                    return;
                }
            }
        }
        if value == 1.0 && name == "site_uplink_first_out" {
            let uplink = self.plan.uplinks.iter().position(|uplink| uplink == label("node"));
            self.uplink_first = uplink;
            if uplink.is_none() {
                self.written.insert(labels.clone(), 0.0);
                return;
            }
        }
        if name.ends_with("_first_out") {
            self.written.insert(labels.clone(), value);
        }
    }

    /// Takes in what a sample says.
    fn concerns(&self, labels: &Labels) -> bool {
        let known = |device| self.devices.contains_key(device);
        labels.name() == Some("agent_up")
            || (labels.get("device").is_some_and(known) && role(labels).is_some())
    }

    fn learn(&mut self, labels: &Labels, sample: Sample, now: Timestamp) -> Learnt {
        if labels.name() == Some("agent_up") {
            let Some(agent) = labels.get("agent") else { return Learnt::Nothing };
            let gone = sample.value == Ok(0.0);
            let changed = match &self.plan.agent {
                Some(own) if own.as_str() == agent => {
                    std::mem::replace(&mut self.blind, gone) != gone
                }
                Some(_) => false,
                None if gone => self.away.insert(agent.to_owned()),
                None => self.away.remove(agent),
            };
            return if changed { Learnt::Everything } else { Learnt::Nothing };
        }
        let Some(name) = labels.get("device") else { return Learnt::Nothing };
        let Some(device) = self.devices.get_mut(name) else { return Learnt::Nothing };
        let Some((role, which)) = role(labels) else { return Learnt::Nothing };
        device.facts.put(role, which, sample);
        let name = name.to_owned();
        self.schedule(&name, now);
        Learnt::Device(name)
    }

    /// When the device is looked at without a sample. A value that came since then only makes that
    /// look one in vain.
    fn schedule(&mut self, name: &str, now: Timestamp) {
        let Some(device) = self.devices.get_mut(name).filter(|device| device.due.is_none()) else {
            return;
        };
        if let Some(at) = device.facts.expires(now) {
            device.due = Some(at);
            self.due.insert((at, name.to_owned()));
        }
    }

    /// Counts only when all is looked at: what failed first is not to be found in half of the truth.
    fn look_at_all(&mut self, now: Timestamp, out: &mut Out) {
        for node in 0..self.nodes.len() {
            let health = self.health(node, now);
            if self.nodes[node].enter(health, now) {
                self.write_node(node, now, out);
            }
        }
        for (name, device) in &self.devices {
            if device.uplink || !device.zones.is_empty() {
                let works = self.works(device, now);
                self.units.entry(name.clone()).or_insert(OPEN).enter(works, now);
            }
        }
        (0..self.plan.power.racks().len()).for_each(|rack| self.count_rack(rack, now, out));
        (0..self.plan.zones.len()).for_each(|zone| self.count_zone(zone, now, out));
        self.count_uplinks(now, out);
    }

    /// Looks at what hangs on a device. What fails has done so since `since`.
    fn look_at(&mut self, name: &str, since: Timestamp, now: Timestamp, out: &mut Out) {
        let Some(device) = self.devices.get(name) else { return };
        let (nodes, zones, uplink) = (device.nodes.clone(), device.zones.clone(), device.uplink);
        let works = self.works(device, now);
        for node in nodes {
            self.look_at_node(node, since, now, out);
        }
        if zones.is_empty() && !uplink {
            return;
        }
        let state = self.units.entry(name.to_owned()).or_insert(OPEN);
        if state.enter(works, since) {
            zones.into_iter().for_each(|zone| self.count_zone(zone, now, out));
            if uplink {
                self.count_uplinks(now, out);
            }
        }
    }

    fn look_at_node(&mut self, node: usize, since: Timestamp, now: Timestamp, out: &mut Out) {
        let health = self.health(node, now);
        if self.nodes[node].enter(health, since) {
            self.write_node(node, now, out);
            for rack in self.below[node].clone() {
                self.count_rack(rack, now, out);
            }
        }
    }

    /// Whether what is known of the device is of now: not when the agent that reads it is gone.
    fn is_seen(&self, device: &Device) -> bool {
        let gone = |(agent, _): &(Id, Timestamp)| self.away.contains(agent.as_str());
        !self.blind && !device.read_by.as_ref().is_some_and(gone)
    }

    /// How a cooling unit or an uplink is.
    fn works(&self, device: &Device, now: Timestamp) -> Health {
        if self.is_seen(device) { device.facts.works(now) } else { Health::Unknown }
    }

    /// How a node is.
    fn health(&self, at: usize, now: Timestamp) -> Health {
        let power = &self.plan.power;
        let node = &power.nodes()[at];
        let seen = |device: &&Device| self.is_seen(device);
        let facts = |name: &str| self.devices.get(name).filter(seen).map(|device| &device.facts);
        if node.kind == Kind::Board && node.meter.is_none() {
            return Health::Healthy;
        }
        if let Some(meter) = &node.meter {
            return facts(meter).map_or(Health::Unknown, |facts| facts.metered(now));
        }
        if node.kind != Kind::Utility {
            return facts(&node.name).map_or(Health::Unknown, |facts| facts.health(node.kind, now));
        }
        // By the switches that it feeds: one that sees it is believed before one that does not know.
        let seen = power.nodes().iter().enumerate().filter_map(|(ats, other)| {
            let fed = other.kind == Kind::Ats && other.fed_by.contains(&at);
            let number = power.source_number(ats, at).filter(|_| fed)?;
            Some(facts(&other.name)?.source(number, now))
        });
        let seen: Vec<Health> = seen.filter(|health| *health != Health::Unknown).collect();
        match (seen.contains(&Health::Healthy), seen.contains(&Health::Failed)) {
            (true, false) => Health::Healthy,
            (true, true) => Health::Degraded,
            (false, true) => Health::Failed,
            (false, false) => Health::Unknown,
        }
    }

    /// Counts the paths of a rack, and says what failed first.
    fn count_rack(&mut self, rack: usize, now: Timestamp, out: &mut Out) {
        let plan = Arc::clone(&self.plan);
        let power = &plan.power;
        let name = &power.racks()[rack].name;
        let healthy = power.paths(rack, |node| self.nodes[node].health == Health::Healthy);
        let possible = power.paths(rack, |node| self.nodes[node].health != Health::Failed);
        let configured = power.configured(rack);
        let label = [("rack", name.as_str())];
        self.write("rack_power_paths_configured", &label, count(configured), now, out);
        self.write("rack_power_paths_healthy", &label, count(healthy), now, out);
        self.write("rack_power_paths_possible", &label, count(possible), now, out);
        let first = if possible < configured { self.first_out(rack) } else { None };
        let before = std::mem::replace(&mut self.rack_first[rack], first);
        let nodes = power.nodes();
        let named = |node: usize| {
            [
                ("rack", name.as_str()),
                ("node", &nodes[node].name),
                ("kind", nodes[node].kind.word()),
            ]
        };
        self.write_first("rack_power_first_out", (before, first), named, now, out);
    }

    /// Of the nodes whose loss costs a path of the rack, or of all where it takes several, the one
    /// that failed first; and stays it as long as it fails. What failed in the same turn of reading
    /// and feeds it is taken for the first.
    fn first_out(&self, rack: usize) -> Option<usize> {
        let power = &self.plan.power;
        let failed: BTreeSet<usize> = power
            .ancestors(rack)
            .iter()
            .copied()
            .filter(|node| self.nodes[*node].health == Health::Failed)
            .collect();
        let alone = || failed.iter().copied().filter(|node| power.is_critical(rack, *node));
        let earliest = |nodes: &mut dyn Iterator<Item = usize>| {
            nodes.min_by_key(|node| (self.nodes[*node].failed_at, *node))
        };
        let stays = self.rack_first[rack].filter(|node| failed.contains(node));
        let first = stays
            .or_else(|| earliest(&mut alone()))
            .or_else(|| earliest(&mut failed.iter().copied()))?;
        let limit = self.nodes[first].failed_at + TURN;
        // The list has what feeds before what is fed.
        let feeds = failed.iter().copied().take_while(|node| *node < first).find(|node| {
            self.nodes[*node].failed_at <= limit
                && power.dead(&BTreeSet::from([*node])).contains(&first)
        });
        Some(feeds.unwrap_or(first))
    }

    fn count_zone(&mut self, zone: usize, now: Timestamp, out: &mut Out) {
        let plan = Arc::clone(&self.plan);
        let of = &plan.zones[zone];
        let states: Vec<State> =
            of.units.iter().map(|unit| self.units.get(unit).copied().unwrap_or(OPEN)).collect();
        let label = [("zone", of.name.as_str())];
        let (good, possible) = tally(&states);
        self.write("cooling_zone_units_configured", &label, count(of.units.len()), now, out);
        self.write("cooling_zone_units_needed", &label, count(of.needs), now, out);
        self.write("cooling_zone_units_healthy", &label, count(good), now, out);
        self.write("cooling_zone_units_possible", &label, count(possible), now, out);
        let first = first_failed(&states, self.zone_first[zone]);
        let before = std::mem::replace(&mut self.zone_first[zone], first);
        let named = |unit: usize| {
            [("zone", of.name.as_str()), ("node", &of.units[unit]), ("kind", "cooling")]
        };
        self.write_first("cooling_zone_first_out", (before, first), named, now, out);
    }

    fn count_uplinks(&mut self, now: Timestamp, out: &mut Out) {
        let plan = Arc::clone(&self.plan);
        let uplinks = &plan.uplinks;
        if uplinks.is_empty() {
            return;
        }
        let states: Vec<State> =
            uplinks.iter().map(|name| self.units.get(name).copied().unwrap_or(OPEN)).collect();
        let (good, possible) = tally(&states);
        self.write("site_uplinks_configured", &[], count(uplinks.len()), now, out);
        self.write("site_uplinks_healthy", &[], count(good), now, out);
        self.write("site_uplinks_possible", &[], count(possible), now, out);
        let first = first_failed(&states, self.uplink_first);
        let before = std::mem::replace(&mut self.uplink_first, first);
        let named = |uplink: usize| [("node", uplinks[uplink].as_str()), ("kind", "uplink")];
        self.write_first("site_uplink_first_out", (before, first), named, now, out);
    }

    fn write_node(&mut self, node: usize, now: Timestamp, out: &mut Out) {
        let plan = Arc::clone(&self.plan);
        let of = &plan.power.nodes()[node];
        for health in Health::ALL {
            let labels =
                [("node", of.name.as_str()), ("kind", of.kind.word()), ("health", health.word())];
            let value = if self.nodes[node].health == health { 1.0 } else { 0.0 };
            self.write("power_node_health", &labels, value, now, out);
        }
    }

    /// What failed first is 1; what did before, and all that was met, is 0: evidence that it ended.
    fn write_first<'l, const LABELS: usize>(
        &mut self,
        metric: &str,
        (before, first): (Option<usize>, Option<usize>),
        named: impl Fn(usize) -> [(&'l str, &'l str); LABELS],
        now: Timestamp,
        out: &mut Out,
    ) {
        if let Some(old) = before.filter(|_| before != first) {
            self.write(metric, &named(old), 0.0, now, out);
        }
        if let Some(new) = first {
            self.write(metric, &named(new), 1.0, now, out);
        }
    }

    /// Writes a value, when it is another.
    fn write(
        &mut self,
        metric: &str,
        labels: &[(&str, &str)],
        value: f64,
        now: Timestamp,
        out: &mut Out,
    ) {
        let site = [("tenant", self.plan.tenant.as_str()), ("site", self.plan.site.as_str())];
        let labels = Labels::metric(metric, site.into_iter().chain(labels.iter().copied()));
        if self.written.get(&labels) != Some(&value) {
            out.push((labels.clone(), Sample { time: now, value: Ok(value) }));
            self.written.insert(labels, value);
        }
    }

    /// Writes everything.
    fn refresh(&mut self, now: Timestamp, out: &mut Out) {
        self.refreshed = now;
        for node in 0..self.nodes.len() {
            self.write_node(node, now, out);
        }
        let fresh: BTreeSet<Labels> = out.iter().map(|(labels, _)| labels.clone()).collect();
        let rest = self.written.iter().filter(|(labels, _)| !fresh.contains(*labels));
        out.extend(
            rest.map(|(labels, value)| (labels.clone(), Sample { time: now, value: Ok(*value) })),
        );
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

/// Of the units of a list the one that failed first; `before` stays it as long as it fails.
fn first_failed(states: &[State], before: Option<usize>) -> Option<usize> {
    let failed =
        |unit: &usize| states.get(*unit).is_some_and(|state| state.health == Health::Failed);
    let earliest = (0..states.len()).filter(failed).min_by_key(|unit| states[*unit].failed_at);
    before.filter(failed).or(earliest)
}

/// How many are known to work, and how many are not known not to.
fn tally(states: &[State]) -> (usize, usize) {
    let good = states.iter().filter(|state| state.health == Health::Healthy);
    let possible = states.iter().filter(|state| state.health != Health::Failed);
    (good.count(), possible.count())
}

#[expect(clippy::cast_precision_loss, reason = "a site has fewer than 2^52 of anything")]
fn count(number: usize) -> f64 {
    number as f64
}
