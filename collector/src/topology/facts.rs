//! What is seen of a device, and how it is by that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hallwatch_model::{Labels, Sample, Timestamp};

use super::plan::Kind;

/// How old a value may be and still say how something is: as long as queries take it for current.
pub(super) const FRESH: Duration = Duration::from_secs(5 * 60);

/// A feed with less than this is off, in volts: half of what the lowest mains have.
const DEAD_VOLTS: f64 = 50.0;
/// The different values that are kept of one device; of a hostile one, more are not looked at.
const MAX_FACTS: usize = 256;

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Health {
    /// It does what it is there for, by fresh values.
    Healthy,
    /// It does, with less behind it than there should be: on battery, on bypass, not in automatic,
    /// one phase of several.
    Degraded,
    /// Values that should be there are missing, and those that are there show no failure.
    Unknown,
    /// It does not do what it is there for, by fresh values.
    Failed,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Degraded, Self::Unknown, Self::Failed];

    /// As the label `health` spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a value tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// The device answers.
    Up,
    /// A source of a switch has voltage.
    Available,
    /// The load is on a source of a switch.
    Connected,
    /// It acts by itself.
    Auto,
    /// It works: an engine, a cooling unit, an uplink.
    Running,
    /// It has tried, and cannot.
    Unable,
    /// A UPS gives nothing.
    OutputOff,
    /// A UPS gives what it should.
    Online,
    /// A UPS feeds from its battery.
    OnBattery,
    /// A UPS is passed by.
    OnBypass,
    /// Volts of an inlet, an output or a meter.
    Voltage,
    /// Something is the matter with it.
    Alarm,
}

/// Roles whose absence leaves the state open, when the device has them at all.
const ESSENTIAL: [Role; 8] = [
    Role::Connected,
    Role::Auto,
    Role::Running,
    Role::OutputOff,
    Role::Online,
    Role::OnBattery,
    Role::OnBypass,
    Role::Voltage,
];

/// What the series tells of its device, if anything; and which of several (a source, an inlet).
pub(super) fn role(labels: &Labels) -> Option<(Role, String)> {
    let label = |name| labels.get(name).unwrap_or_default();
    let role = match labels.name()? {
        "device_up" => Role::Up,
        "ats_source_available" => Role::Available,
        "ats_source_connected" => Role::Connected,
        "ats_mode" | "generator_mode" if label("mode") == "auto" => Role::Auto,
        "generator_running" | "uplink_up" => Role::Running,
        "cooling_running" if label("compressor").is_empty() => Role::Running,
        "generator_alarm" if label("alarm") == "fail_to_start" => Role::Unable,
        "ats_alarm" | "generator_alarm" | "ups_fault" | "ups_overload" | "ups_battery_low"
        | "cooling_alarm" => Role::Alarm,
        "ups_output_off" => Role::OutputOff,
        "ups_power_source" if label("source") == "none" => Role::OutputOff,
        "ups_online" => Role::Online,
        "ups_on_battery" => Role::OnBattery,
        "ups_on_bypass" => Role::OnBypass,
        "pdu_inlet_voltage_volts" | "ups_output_voltage_volts" => Role::Voltage,
        // Voltages between phases say the same.
        "meter_voltage_volts" if matches!(label("phase"), "" | "l1" | "l2" | "l3") => Role::Voltage,
        _ => return None,
    };
    let which = ["source", "inlet", "phase", "alarm", "fault"];
    let which = which.iter().find_map(|name| labels.get(name)).unwrap_or_default();
    Some((role, which.to_owned()))
}

/// The last values of a device.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    last: BTreeMap<(Role, String), Sample>,
}

impl Facts {
    /// Takes a value in, unless a later one is known.
    pub(super) fn put(&mut self, role: Role, which: String, sample: Sample) {
        let key = (role, which);
        match self.last.get(&key) {
            Some(had) if had.time > sample.time => return,
            None if self.last.len() >= MAX_FACTS => return,
            _ => {}
        }
        self.last.insert(key, sample);
    }

    /// When the next value that is fresh now will not be so any more.
    pub(super) fn expires(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.last.values().filter(|sample| sample.value.is_ok());
        ends.map(|sample| sample.time + FRESH).filter(|end| *end > now).min()
    }

    /// The values of a role; `None` for those that are missing.
    fn of(&self, role: Role, now: Timestamp) -> impl Iterator<Item = (&str, Option<f64>)> {
        self.last.range((role, String::new())..).take_while(move |((of, _), _)| *of == role).map(
            move |((_, which), sample)| {
                let fresh = sample.time + FRESH > now;
                (&**which, sample.value.ok().filter(|value| fresh && !value.is_nan()))
            },
        )
    }

    /// Whether any state of a role is 1; `None` when none is known.
    fn any(&self, role: Role, now: Timestamp) -> Option<bool> {
        let known = self.of(role, now).filter_map(|(_, value)| value);
        known.map(|value| value != 0.0).reduce(|a, b| a || b)
    }

    /// Whether a device that does not answer leaves everything open.
    fn is_silent(&self, now: Timestamp) -> bool {
        self.any(Role::Up, now) == Some(false)
    }

    /// Whether something that the device usually tells is missing.
    fn lacks(&self, now: Timestamp) -> bool {
        ESSENTIAL.iter().any(|role| self.of(*role, now).any(|(_, value)| value.is_none()))
    }

    /// By voltages alone.
    fn voltage(&self, now: Timestamp) -> Health {
        let (mut on, mut off, mut open) = (0, 0, 0);
        for (_, value) in self.of(Role::Voltage, now) {
            match value {
                Some(volts) if volts < DEAD_VOLTS => off += 1,
                Some(_) => on += 1,
                None => open += 1,
            }
        }
        match (on, off, open) {
            (0, 0, _) | (0, _, 1..) => Health::Unknown,
            (0, _, 0) => Health::Failed,
            (_, 0, 0) => Health::Healthy,
            (_, 0, _) => Health::Unknown,
            (..) => Health::Degraded,
        }
    }

    /// What a transfer switch says of its source with this number.
    pub(super) fn source(&self, number: usize, now: Timestamp) -> Health {
        if self.is_silent(now) {
            return Health::Unknown;
        }
        let number = number.to_string();
        let found = self.of(Role::Available, now).find(|(which, _)| *which == number);
        match found.and_then(|(_, value)| value) {
            Some(0.0) => Health::Failed,
            Some(_) => Health::Healthy,
            None => Health::Unknown,
        }
    }

    /// How a meter says that what it measures is.
    pub(super) fn metered(&self, now: Timestamp) -> Health {
        if self.is_silent(now) { Health::Unknown } else { self.voltage(now) }
    }

    /// How a cooling unit or an uplink is.
    pub(super) fn works(&self, now: Timestamp) -> Health {
        match self.any(Role::Running, now) {
            _ if self.is_silent(now) => Health::Unknown,
            None => Health::Unknown,
            Some(false) => Health::Failed,
            Some(true) if self.any(Role::Alarm, now) == Some(true) => Health::Degraded,
            Some(true) => Health::Healthy,
        }
    }

    /// How the device of a node of this kind is.
    pub(super) fn health(&self, kind: Kind, now: Timestamp) -> Health {
        if self.is_silent(now) {
            return Health::Unknown;
        }
        let is = |role| self.any(role, now) == Some(true);
        let alarm = is(Role::Alarm);
        let (failed, works, degraded) = match kind {
            Kind::Utility | Kind::Board => return self.voltage(now),
            Kind::Pdu => {
                let voltage = self.voltage(now);
                let on = matches!(voltage, Health::Healthy | Health::Degraded);
                (voltage == Health::Failed, on, voltage == Health::Degraded)
            }
            Kind::Ats => {
                let connected = self.any(Role::Connected, now);
                let open = self.of(Role::Connected, now).any(|(_, value)| value.is_none());
                let manual = self.any(Role::Auto, now) == Some(false);
                (connected == Some(false) && !open, connected == Some(true), manual || alarm)
            }
            Kind::Generator => {
                let running = self.any(Role::Running, now);
                let auto = self.any(Role::Auto, now);
                let ready = running == Some(true) || auto == Some(true);
                let manual = auto == Some(false);
                (is(Role::Unable), ready || (manual && running.is_some()), manual || alarm)
            }
            Kind::Ups => {
                let voltage = self.voltage(now);
                let off = is(Role::OutputOff) || voltage == Health::Failed;
                let fed = is(Role::Online) || is(Role::OnBattery) || is(Role::OnBypass);
                let fed = fed || self.any(Role::OutputOff, now) == Some(false);
                let on = fed || matches!(voltage, Health::Healthy | Health::Degraded);
                (off, on, is(Role::OnBattery) || is(Role::OnBypass) || alarm)
            }
        };
        if failed {
            Health::Failed
        } else if works && degraded {
            Health::Degraded
        } else if works && !self.lacks(now) {
            Health::Healthy
        } else {
            Health::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Missing;

    use super::*;

    /// A value: which, of what, when, and what.
    type Seen = (Role, &'static str, u64, Option<f64>);

    /// How a node of this kind is by these values at second 100; `None` is missing.
    fn health(kind: Kind, values: &[Seen]) -> Health {
        let mut facts = Facts::default();
        let at = |second| Timestamp::default() + Duration::from_secs(second);
        for (role, which, second, value) in values {
            let sample = Sample { time: at(*second), value: value.ok_or(Missing::Timeout) };
            facts.put(*role, (*which).to_owned(), sample);
        }
        facts.health(kind, at(1000))
    }

    #[test]
    fn what_is_seen_says_how_a_node_is() {
        use Health::{Degraded, Failed, Healthy, Unknown};
        use Role::*;
        let (on, off) = (Some(1.0), Some(0.0));
        let cases: &[(&str, Kind, &[Seen], Health)] = &[
            ("nothing is known", Kind::Ups, &[], Unknown),
            ("only that it answers", Kind::Ups, &[(Up, "", 990, on)], Unknown),
            ("output on", Kind::Ups, &[(OutputOff, "", 990, off)], Healthy),
            ("output off", Kind::Ups, &[(OutputOff, "", 990, on)], Failed),
            (
                "off, but it is silent",
                Kind::Ups,
                &[(OutputOff, "", 990, on), (Up, "", 991, off)],
                Unknown,
            ),
            ("off, but long ago", Kind::Ups, &[(OutputOff, "", 600, on)], Unknown),
            ("on, but long ago", Kind::Ups, &[(OutputOff, "", 600, off)], Unknown),
            (
                "a later sample counts",
                Kind::Ups,
                &[(OutputOff, "", 990, on), (OutputOff, "", 980, off)],
                Failed,
            ),
            (
                "on battery",
                Kind::Ups,
                &[(OutputOff, "", 990, off), (OnBattery, "", 990, on)],
                Degraded,
            ),
            (
                "whether on battery is missing",
                Kind::Ups,
                &[(OutputOff, "", 990, off), (OnBattery, "", 990, None)],
                Unknown,
            ),
            ("no volts", Kind::Ups, &[(Voltage, "l1", 990, off)], Failed),
            (
                "both open",
                Kind::Ats,
                &[(Connected, "1", 990, off), (Connected, "2", 990, off)],
                Failed,
            ),
            (
                "one open, one missing",
                Kind::Ats,
                &[(Connected, "1", 990, off), (Connected, "2", 990, None)],
                Unknown,
            ),
            (
                "on a source",
                Kind::Ats,
                &[(Connected, "1", 990, on), (Connected, "2", 990, off)],
                Healthy,
            ),
            (
                "not in automatic",
                Kind::Ats,
                &[(Connected, "1", 990, on), (Auto, "", 990, off)],
                Degraded,
            ),
            ("ready", Kind::Generator, &[(Auto, "", 990, on), (Running, "", 990, off)], Healthy),
            (
                "could not start",
                Kind::Generator,
                &[(Auto, "", 990, on), (Unable, "fail_to_start", 990, on)],
                Failed,
            ),
            (
                "left in manual",
                Kind::Generator,
                &[(Auto, "", 990, off), (Running, "", 990, off)],
                Degraded,
            ),
            (
                "both inlets",
                Kind::Pdu,
                &[(Voltage, "1", 990, Some(230.0)), (Voltage, "2", 990, Some(231.0))],
                Healthy,
            ),
            (
                "one inlet",
                Kind::Pdu,
                &[(Voltage, "1", 990, Some(230.0)), (Voltage, "2", 990, off)],
                Degraded,
            ),
            ("no inlet", Kind::Pdu, &[(Voltage, "1", 990, off)], Failed),
            (
                "one dead, one missing",
                Kind::Pdu,
                &[(Voltage, "1", 990, off), (Voltage, "2", 990, None)],
                Unknown,
            ),
            ("not a number", Kind::Pdu, &[(Voltage, "1", 990, Some(f64::NAN))], Unknown),
        ];
        for (name, kind, values, expected) in cases {
            assert_eq!(health(*kind, values), *expected, "{name}");
        }
    }
}
