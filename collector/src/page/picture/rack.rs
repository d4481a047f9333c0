//! Racks that have lost a power path, by what the topology says of them.

use hallwatch_model::Value;
use serde::Serialize;

/// A rack whose redundancy is lost, or not certain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Rack {
    pub(super) rack: String,
    /// Paths that are known to be healthy.
    pub(super) healthy: f64,
    /// Paths that are not known to have failed.
    pub(super) possible: f64,
    /// What failed first; empty when nothing has.
    pub(super) first: String,
}

/// What the topology says of a rack.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    configured: f64,
    healthy: f64,
    possible: f64,
    first: String,
}

impl Paths {
    pub(super) fn add(&mut self, metric: &str, node: &str, value: Value) {
        let Ok(value) = value else { return };
        match metric {
            "rack_power_paths_configured" => self.configured = value,
            "rack_power_paths_healthy" => self.healthy = value,
            "rack_power_paths_possible" => self.possible = value,
            "rack_power_first_out" if value == 1.0 => node.clone_into(&mut self.first),
            _ => {}
        }
    }

    /// The rack, when it has fewer than two of the paths that it should have.
    pub(super) fn shown(&self, rack: &str) -> Option<Rack> {
        let short = self.healthy < 2.0 && self.healthy < self.configured;
        short.then(|| Rack {
            rack: rack.to_owned(),
            healthy: self.healthy,
            possible: self.possible,
            first: self.first.clone(),
        })
    }
}
