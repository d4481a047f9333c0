//! How nodes, cooling units and uplinks are now, by what is known of their devices.

use hallwatch_model::{Id, Timestamp};

use super::{Device, OPEN, Out, SiteWatch};
use crate::topology::facts::Health;
use crate::topology::plan::Kind;

impl SiteWatch {
    /// Counts only when all is looked at: what failed first is not to be found in half of the truth.
    pub(super) fn look_at_all(&mut self, now: Timestamp, out: &mut Out) {
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
    pub(super) fn look_at(&mut self, name: &str, since: Timestamp, now: Timestamp, out: &mut Out) {
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
}
