//! A site: what is to be seen of it, by its plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hallwatch_model::Timestamp;

use super::{Device, OPEN, SiteWatch};
use crate::topology::plan::{Kind, Plan};

impl SiteWatch {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
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
}
