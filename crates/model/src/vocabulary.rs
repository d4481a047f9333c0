//! Every metric that Hallwatch knows: its name, unit, kind and help, declared once.
//!
//! Profiles can only use names from here; rules and dashboards are tested against it. Names follow
//! Prometheus: base units, the unit as suffix, `_total` for counters, states as 0 or 1.
//!
//! Reading order: here what a metric is; then the metrics by theme: `power`, `ups`, `racks`,
//! `cooling`, `surroundings`, `own`, `derived`.

mod cooling;
mod derived;
mod own;
mod power;
mod racks;
mod surroundings;
mod ups;

use std::fmt;

/// What is known of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// The unit of its values.
    pub unit: Unit,
    /// How its values behave.
    pub kind: Kind,
    /// One sentence for people.
    pub help: &'static str,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that goes up and down.
    Gauge,
    /// A number that only goes up, but for resets to zero.
    Counter,
    /// 0 or 1.
    State,
    /// A series for each state; the one that holds is 1, the others are 0.
    Enum,
}

impl Kind {
    /// The type in Prometheus' sense.
    #[must_use]
    pub fn prometheus_type(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::State | Self::Enum => "gauge",
        }
    }
}

/// The units in use, all of them base units, and how a name shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a unit's name says it all")]
pub enum Unit {
    Amperes,
    Bytes,
    Celsius,
    Count,
    CubicMetersPerSecond,
    Degrees,
    Hertz,
    Joules,
    Pascals,
    Ratio,
    RevolutionsPerMinute,
    Seconds,
    State,
    VarSeconds,
    Vars,
    VoltampereSeconds,
    Voltamperes,
    Volts,
    Watts,
}

impl Unit {
    /// How the unit stands in a metric's name, without the underscore; empty for pure numbers and
    /// states.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Amperes => "amperes",
            Self::Bytes => "bytes",
            Self::Celsius => "celsius",
            Self::Count | Self::State => "",
            Self::CubicMetersPerSecond => "cubic_meters_per_second",
            Self::Degrees => "degrees",
            Self::Hertz => "hertz",
            Self::Joules => "joules",
            Self::Pascals => "pascals",
            Self::Ratio => "ratio",
            Self::RevolutionsPerMinute => "rpm",
            Self::Seconds => "seconds",
            Self::VarSeconds => "var_seconds",
            Self::Vars => "vars",
            Self::VoltampereSeconds => "voltampere_seconds",
            Self::Voltamperes => "voltamperes",
            Self::Volts => "volts",
            Self::Watts => "watts",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix())
    }
}

/// The metric called `name`, or `None`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

const fn metric(name: &'static str, unit: Unit, kind: Kind, help: &'static str) -> Metric {
    Metric { name, unit, kind, help }
}

/// What is known, by theme.
const THEMES: [&[Metric]; 7] = [
    power::METRICS,
    ups::METRICS,
    racks::METRICS,
    cooling::METRICS,
    surroundings::METRICS,
    own::METRICS,
    derived::METRICS,
];

/// How many there are in all themes.
const COUNT: usize = {
    let (mut theme, mut count) = (0, 0);
    while theme < THEMES.len() {
        count += THEMES[theme].len();
        theme += 1;
    }
    count
};

/// All of them, by theme.
pub static METRICS: &[Metric] = &{
    let mut all = [power::METRICS[0]; COUNT];
    let (mut theme, mut filled) = (0, 0);
    while theme < THEMES.len() {
        let mut at = 0;
        while at < THEMES[theme].len() {
            all[filled] = THEMES[theme][at];
            (at, filled) = (at + 1, filled + 1);
        }
        theme += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_show_their_unit_and_kind() {
        let mut seen = BTreeSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(seen.insert(name), "{name} twice");
            assert!(metric.help.ends_with('.'), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(
                matches!(metric.kind, Kind::State | Kind::Enum),
                metric.unit == Unit::State,
                "{name}"
            );
            let stem = name.strip_suffix("_total").unwrap_or(name);
            // Prometheus' own two do not follow Prometheus' own rule.
            if !name.starts_with("ALERTS") {
                assert!(stem.ends_with(metric.unit.suffix()), "{name} hides its unit");
            }
        }
        assert_eq!(find("ups_on_battery").map(|m| m.unit), Some(Unit::State));
        assert_eq!(find("ups_on_batery"), None);
    }
}
