//! The series that are written: what is another, and now and then everything.

use std::collections::BTreeSet;
use std::sync::Arc;

use hallwatch_model::{Labels, Sample, Timestamp};

use super::{Out, SiteWatch};
use crate::topology::facts::Health;

/// The series that a [`Watch`](super::Watch) writes.
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

impl SiteWatch {
    pub(super) fn write_node(&mut self, node: usize, now: Timestamp, out: &mut Out) {
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
    pub(super) fn write_first<'l, const LABELS: usize>(
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
    pub(super) fn write(
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
    pub(super) fn refresh(&mut self, now: Timestamp, out: &mut Out) {
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
