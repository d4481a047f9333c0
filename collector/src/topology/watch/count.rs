//! What is left of paths, cooling units and uplinks, and what failed first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::Timestamp;

use super::{OPEN, Out, SiteWatch, State};
use crate::topology::facts::Health;

/// Devices are read in turn: what failed so much later than what hangs on it may have failed first.
const TURN: Duration = Duration::from_secs(30);

impl SiteWatch {
    /// Counts the paths of a rack, and says what failed first.
    pub(super) fn count_rack(&mut self, rack: usize, now: Timestamp, out: &mut Out) {
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

    pub(super) fn count_zone(&mut self, zone: usize, now: Timestamp, out: &mut Out) {
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

    pub(super) fn count_uplinks(&mut self, now: Timestamp, out: &mut Out) {
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
