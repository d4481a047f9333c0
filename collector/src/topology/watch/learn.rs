//! What a sample says: of a device, of an agent, or of what an earlier run has derived.

use hallwatch_model::{Labels, Sample, Timestamp};

use super::{DERIVED, SiteWatch};
use crate::topology::facts::role;

/// What a sample concerns.
pub(super) enum Learnt {
    Nothing,
    Device(String),
    Everything,
}

impl SiteWatch {
    /// What was derived by an earlier run: what failed first then did so still.
    pub(super) fn remember(&mut self, labels: &Labels, sample: &Sample) {
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
    pub(super) fn learn(&mut self, labels: &Labels, sample: Sample, now: Timestamp) -> Learnt {
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
    pub(super) fn schedule(&mut self, name: &str, now: Timestamp) {
        let Some(device) = self.devices.get_mut(name).filter(|device| device.due.is_none()) else {
            return;
        };
        if let Some(at) = device.facts.expires(now) {
            device.due = Some(at);
            self.due.insert((at, name.to_owned()));
        }
    }
}
