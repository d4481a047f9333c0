//! What the collector derives: from the topology of a site, and from rules.

use super::{Kind, Metric, Unit, metric};

#[rustfmt::skip]
pub(super) const METRICS: &[Metric] = &[
    metric("power_node_health", Unit::State, Kind::Enum,
        "1 for how a `node` (`kind`) of the power path is (`health`: `healthy`, `degraded`, `unknown`, \
         `failed`)."),
    metric("rack_power_paths_configured", Unit::Count, Kind::Gauge,
        "Independent power paths that a `rack` has when all is well."),
    metric("rack_power_paths_healthy", Unit::Count, Kind::Gauge,
        "Independent power paths of a `rack` all of whose nodes are known to be healthy."),
    metric("rack_power_paths_possible", Unit::Count, Kind::Gauge,
        "Independent power paths of a `rack` none of whose nodes is known to have failed."),
    metric("rack_power_first_out", Unit::State, Kind::State,
        "1 for the `node` (`kind`) that failed first of those that cost a `rack` a power path; 0 after."),
    metric("cooling_zone_units_configured", Unit::Count, Kind::Gauge,
        "Cooling units of a `zone`."),
    metric("cooling_zone_units_needed", Unit::Count, Kind::Gauge,
        "Cooling units of a `zone` that must run."),
    metric("cooling_zone_units_healthy", Unit::Count, Kind::Gauge,
        "Cooling units of a `zone` that are known to run without alarm."),
    metric("cooling_zone_units_possible", Unit::Count, Kind::Gauge,
        "Cooling units of a `zone` that are not known to have stopped."),
    metric("cooling_zone_first_out", Unit::State, Kind::State,
        "1 for the cooling unit (`node`) of a `zone` that stopped first; 0 after."),
    metric("site_uplinks_configured", Unit::Count, Kind::Gauge,
        "Uplinks of a site that its topology names."),
    metric("site_uplink_first_out", Unit::State, Kind::State,
        "1 for the uplink (`node`) of a site that failed first; 0 after."),
    metric("site_uplinks_healthy", Unit::Count, Kind::Gauge,
        "Uplinks of a site that are known to work."),
    metric("site_uplinks_possible", Unit::Count, Kind::Gauge,
        "Uplinks of a site that are not known to be down."),
    metric("ALERTS", Unit::State, Kind::State,
        "1 while an alert is pending or firing (`alertname`, `alertstate`)."),
    metric("ALERTS_FOR_STATE", Unit::Seconds, Kind::Gauge,
        "Since when an alert is active, in seconds since the epoch."),
];
