//! Whether a cause explains an alert: by the agent that reads its device, or by the power path.

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_model::{Id, Labels};

use super::{Cause, Part};
use crate::rules::{Alert, Reason};
use crate::topology::plan::{Kind, Plan};

/// What the watch tells of itself when an agent or a device is offline. An alert that rests on
/// nothing else says nothing of its own.
const FOLLOWS_OFFLINE: [&str; 8] = [
    "device_up",
    "device_errors_total",
    "device_missed_slots_total",
    "gaps_open",
    "completeness_ratio",
    "agent_up",
    "agent_watermark_seconds",
    "agent_journal_backlog",
];

/// What of an alert decides which causes explain it.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub(super) labels: Labels,
    pub(super) part: Option<Part>,
    /// It says nothing but that readings are missing.
    pub(super) of_absence: bool,
}

impl Follower {
    pub(super) fn new(alert: &Alert, reason: &Reason) -> Self {
        let about_watch =
            |input: &Labels| input.name().is_some_and(|name| FOLLOWS_OFFLINE.contains(&name));
        let rests_on_watch = !alert.inputs.is_empty() && alert.inputs.iter().all(about_watch);
        let of_absence = matches!(reason, Reason::NoDataFires(_)) || rests_on_watch;
        Self { labels: alert.labels.clone(), part: Part::of(alert), of_absence }
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name)
    }
}

/// Whether an alert follows from an agent that is offline: one of the agent itself, or of a device that
/// it reads. When nobody knows who does, it follows from nothing.
pub(super) fn by_agent(follower: &Follower, cause: &Labels, read_by: Option<&Id>) -> bool {
    if !follower.of_absence || follower.part == Some(Part::AgentOffline) {
        return false;
    }
    match (follower.label("agent"), cause.get("agent")) {
        (Some(own), Some(agent)) => own == agent,
        (None, Some(agent)) => {
            follower.label("device").is_some()
                && read_by.is_some_and(|read_by| read_by.as_str() == agent)
        }
        _ => false,
    }
}

/// What of a power path gives nothing, by the alerts that say so.
pub(super) struct Dead<'p> {
    plan: &'p Plan,
    nodes: BTreeSet<usize>,
}

impl<'p> Dead<'p> {
    pub(super) fn new(causes: &BTreeMap<Labels, Cause>, plan: &'p Plan) -> Self {
        let off = causes.iter().filter(|(_, cause)| cause.part == Part::NoOutput && !cause.held);
        let lost = off.filter_map(|(labels, _)| plan.power.find(labels.get("device")?));
        Self { plan, nodes: plan.power.dead(&lost.collect()) }
    }

    /// Whether the node that `cause` tells of is before the follower's, and all that feeds that one
    /// is dead.
    pub(super) fn explains(&self, follower: &Follower, cause: &Labels) -> bool {
        let power = &self.plan.power;
        let node = |name: Option<&str>| name.and_then(|name| power.find(name));
        let Some(from) = node(cause.get("device")) else { return false };
        let own = match follower.part {
            Some(Part::NoInput) => node(follower.label("device")),
            // Without its feed a PDU does not answer.
            Some(Part::DeviceOffline) => {
                node(follower.label("device")).filter(|node| power.nodes()[*node].kind == Kind::Pdu)
            }
            _ => None,
        };
        let Some(own) = own.filter(|own| *own != from) else { return false };
        let inputs = &power.nodes()[own].fed_by;
        let fed = inputs.iter().any(|by| !self.nodes.contains(by));
        !fed && !inputs.is_empty() && self.is_before(from, own)
    }

    fn is_before(&self, from: usize, node: usize) -> bool {
        let mut open = vec![node];
        let mut met = BTreeSet::new();
        while let Some(at) = open.pop() {
            if at == from {
                return true;
            }
            if met.insert(at) {
                open.extend(&self.plan.power.nodes()[at].fed_by);
            }
        }
        false
    }
}
