//! How a metric reads on the wall: which ones are worth showing, under what name and unit.

use hallwatch_model::vocabulary::{self, Kind, Unit};
use hallwatch_model::{Labels, Value};
use serde::Serialize;

/// So many values of one device are shown: the first by [`VALUES`].
pub(super) const MAX_VALUES: usize = 6;

/// The values that say how a device is, most telling first, and what they are called.
#[rustfmt::skip]
const VALUES: &[(&str, &str)] = &[
    ("ups_battery_charge_ratio", "Battery"),
    ("ups_battery_runtime_seconds", "Runtime"),
    ("ups_load_ratio", "Load"),
    ("ups_output_power_watts", "Output"),
    ("ups_input_voltage_volts", "Input"),
    ("ups_output_voltage_volts", "Output voltage"),
    ("generator_fuel_level_ratio", "Fuel"),
    ("generator_engine_speed_rpm", "Engine"),
    ("generator_active_power_watts", "Output"),
    ("generator_frequency_hertz", "Frequency"),
    ("generator_coolant_temperature_celsius", "Coolant"),
    ("generator_starter_battery_volts", "Starter battery"),
    ("meter_active_power_watts", "Power"),
    ("meter_voltage_volts", "Voltage"),
    ("meter_current_amperes", "Current"),
    ("meter_frequency_hertz", "Frequency"),
    ("pdu_inlet_active_power_watts", "Power"),
    ("pdu_inlet_current_amperes", "Current"),
    ("pdu_inlet_voltage_volts", "Voltage"),
    ("cooling_remote_temperature_celsius", "Return air"),
    ("cooling_control_temperature_celsius", "Control air"),
    ("cooling_setpoint_celsius", "Setpoint"),
    ("cooling_fan_speed_ratio", "Fan"),
    ("cooling_capacity_ratio", "Capacity"),
    ("cooling_load_watts", "Heat removed"),
    ("environment_temperature_celsius", "Temperature"),
    ("environment_humidity_ratio", "Humidity"),
    ("environment_dew_point_celsius", "Dew point"),
    ("uplink_latency_seconds", "Latency"),
    ("uplink_loss_ratio", "Loss"),
    ("sensor_battery_ratio", "Own battery"),
];

/// The states that are worth a word: the metric, at which value, the word, and whether it is bad.
#[rustfmt::skip]
const FLAGS: &[(&str, bool, &str, bool)] = &[
    ("ups_on_battery", true, "on battery", true),
    ("ups_on_bypass", true, "on bypass", true),
    ("ups_output_off", true, "output off", true),
    ("ups_overload", true, "overload", true),
    ("ups_battery_low", true, "battery low", true),
    ("ups_battery_replace", true, "replace battery", true),
    ("ups_fault", true, "fault", true),
    ("ups_online", true, "online", false),
    ("ats_source_fault", true, "source fault", true),
    ("ats_generator_start", true, "start demanded", false),
    ("ats_alarm", true, "alarm", true),
    ("generator_alarm", true, "alarm", true),
    ("cooling_running", true, "running", false),
    ("cooling_running", false, "stopped", true),
    ("cooling_alarm", true, "alarm", true),
    ("environment_leak", true, "water", true),
    ("environment_leak", false, "dry", false),
    ("environment_smoke", true, "smoke", true),
    ("environment_smoke", false, "no smoke", false),
    ("environment_vibration", true, "vibration", true),
    ("environment_vibration", false, "no vibration", false),
    ("access_door_open", true, "open", false),
    ("access_door_open", false, "closed", false),
    ("access_door_forced", true, "forced", true),
    ("access_door_held_open", true, "held open", true),
    ("access_tamper", true, "tamper", true),
    ("uplink_up", true, "answers", false),
    ("uplink_up", false, "no answer", true),
];

/// One number on the wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reading {
    /// What it is.
    pub name: String,
    /// The number, rounded for the eye.
    pub text: String,
    /// Its unit, scaled for the eye: `kW`, `%`.
    pub unit: &'static str,
    /// Why there is no number.
    pub missing: Option<String>,
    #[serde(skip)]
    pub(super) rank: usize,
    /// The name when the device has only one such reading.
    #[serde(skip)]
    pub(super) alone: &'static str,
}

/// One word on the wall.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Flag {
    /// The opposite of `good`: it asks for attention.
    pub bad: bool,
    /// The word.
    pub text: String,
}

/// The reading that a sample of this series makes, if it is one of those worth showing.
pub(super) fn reading(labels: &Labels, value: Value) -> Option<Reading> {
    let metric = labels.name()?;
    let rank = VALUES.iter().position(|(name, _)| *name == metric)?;
    let (_, word) = VALUES.get(rank)?;
    let unit = vocabulary::find(metric)?.unit;
    let detail = ["phase", "inlet", "probe", "quantile"].iter().find_map(|name| labels.get(name));
    let name = match detail {
        Some(detail) => format!("{word} {}", detail.to_uppercase()),
        None => (*word).to_owned(),
    };
    let (text, unit, missing) = match value {
        Ok(number) => {
            let (text, unit) = for_the_eye(number, unit);
            (text, unit, None)
        }
        Err(missing) => (String::new(), "", Some(missing.to_string())),
    };
    Some(Reading { name, text, unit, missing, rank, alone: word })
}

/// The word that a sample of this series makes, if it is one of those worth saying.
pub(super) fn flag(labels: &Labels, value: Value) -> Option<Flag> {
    let metric = labels.name()?;
    let on = value.ok()? != 0.0;
    if on && vocabulary::find(metric).is_some_and(|metric| metric.kind == Kind::Enum) {
        let mode = labels.get("mode")?;
        return Some(Flag { bad: matches!(mode, "off" | "stop"), text: format!("mode {mode}") });
    }
    if let Some(flag) = source(metric, labels, on) {
        return flag;
    }
    let (_, _, word, bad) = FLAGS.iter().find(|(name, at, ..)| *name == metric && *at == on)?;
    let detail = ["source", "fault", "alarm", "compressor", "door"]
        .iter()
        .find_map(|name| Some((*name, labels.get(name)?)));
    let text = match detail {
        // "alarm" and "fault" need no repetition: what it is says more than that it is.
        Some(("alarm" | "fault", which)) => which.replace('_', " "),
        // Of several, one or the other stands still at most loads; no rule takes that for a fault.
        Some(("compressor", which)) => {
            let text = format!("compressor {which} {}", if on { "on" } else { "off" });
            return Some(Flag { bad: false, text });
        }
        Some((_, which)) => format!("{word} {which}"),
        None => (*word).to_owned(),
    };
    Some(Flag { bad: *bad, text })
}

/// The sources of a transfer switch: `1` is the utility, `2` the generator, which is expected to
/// have no voltage while it stands by. `None` for other metrics.
fn source(metric: &str, labels: &Labels, on: bool) -> Option<Option<Flag>> {
    let utility = labels.get("source") == Some("1");
    let said = match (metric, on, utility) {
        ("ats_source_available", false, true) => Some((true, "utility lost")),
        ("ats_source_available", true, false) => Some((false, "generator ready")),
        ("ats_source_connected", true, true) => Some((false, "on utility")),
        ("ats_source_connected", true, false) => Some((true, "on generator")),
        ("ats_source_available" | "ats_source_connected", ..) => None,
        _ => return None,
    };
    Some(said.map(|(bad, text)| Flag { bad, text: text.to_owned() }))
}

/// Three digits, and a unit that people say.
fn for_the_eye(number: f64, unit: Unit) -> (String, &'static str) {
    if !number.is_finite() {
        return ("not a number".to_owned(), "");
    }
    let (number, unit) = match unit {
        Unit::Ratio => (number * 100.0, "%"),
        Unit::Seconds if number.abs() < 1.0 => (number * 1e3, "ms"),
        Unit::Seconds if number.abs() >= 7_200.0 => (number / 3_600.0, "h"),
        Unit::Seconds if number.abs() >= 120.0 => (number / 60.0, "min"),
        Unit::Seconds => (number, "s"),
        Unit::Watts => kilo(number, "W", "kW", "MW"),
        Unit::Voltamperes => kilo(number, "VA", "kVA", "MVA"),
        Unit::Vars => kilo(number, "var", "kvar", "Mvar"),
        Unit::Pascals => (number / 1e5, "bar"),
        Unit::Joules => (number / 3.6e6, "kWh"),
        Unit::VarSeconds => (number / 3.6e6, "kvarh"),
        Unit::VoltampereSeconds => (number / 3.6e6, "kVAh"),
        Unit::Bytes => (number / 1e6, "MB"),
        Unit::Amperes => (number, "A"),
        Unit::Celsius => (number, "°C"),
        Unit::CubicMetersPerSecond => (number * 6e4, "l/min"),
        Unit::Degrees => (number, "°"),
        Unit::Hertz => (number, "Hz"),
        Unit::RevolutionsPerMinute => (number, "rpm"),
        Unit::Volts => (number, "V"),
        Unit::Count | Unit::State => (number, ""),
    };
    let decimals = match unit {
        "%" | "V" | "ms" | "min" | "rpm" | "" => 0,
        "Hz" => 2,
        _ => 1,
    };
    let text = format!("{number:.decimals$}");
    // A minus before nothing but zeros is noise.
    let is_zero = text.starts_with('-') && !text.contains(|c: char| ('1'..='9').contains(&c));
    (if is_zero { text.trim_start_matches('-').to_owned() } else { text }, unit)
}

fn kilo(
    number: f64,
    one: &'static str,
    thousand: &'static str,
    million: &'static str,
) -> (f64, &'static str) {
    match number.abs() {
        ..1e3 => (number, one),
        1e3..1e6 => (number / 1e3, thousand),
        _ => (number / 1e6, million),
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Missing;

    use super::*;

    #[test]
    fn every_metric_named_here_is_in_the_vocabulary() {
        let named = VALUES.iter().map(|v| v.0).chain(FLAGS.iter().map(|f| f.0));
        for name in named {
            assert!(vocabulary::find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn numbers_have_the_units_that_people_say() {
        let cases = [
            (0.984, Unit::Ratio, "98 %"),
            (12_345.0, Unit::Watts, "12.3 kW"),
            (999.0, Unit::Watts, "999.0 W"),
            (-2.5e6, Unit::Watts, "-2.5 MW"),
            (22.04, Unit::Celsius, "22.0 °C"),
            (-0.01, Unit::Celsius, "0.0 °C"),
            (0.0042, Unit::Seconds, "4 ms"),
            (1_080.0, Unit::Seconds, "18 min"),
            (143_220.0, Unit::Seconds, "39.8 h"),
            (49.987, Unit::Hertz, "49.99 Hz"),
            (f64::NAN, Unit::Volts, "not a number"),
        ];
        for (number, unit, wanted) in cases {
            let (text, unit) = for_the_eye(number, unit);
            assert_eq!(format!("{text} {unit}").trim(), wanted);
        }
    }

    #[test]
    fn a_missing_value_says_why() {
        let labels = Labels::metric("ups_load_ratio", [("device", "ups-a")]);
        let reading = reading(&labels, Err(Missing::Timeout)).unwrap();
        assert_eq!(reading.missing.as_deref(), Some("no answer in time"));
        assert_eq!(flag(&Labels::metric("ups_on_battery", []), Err(Missing::Timeout)), None);
    }

    #[test]
    fn states_become_words() {
        let cases = [
            ("ups_on_battery", "", "", 1.0, Some((true, "on battery"))),
            ("ups_on_battery", "", "", 0.0, None),
            ("ats_source_connected", "source", "2", 1.0, Some((true, "on generator"))),
            ("ats_source_connected", "source", "1", 1.0, Some((false, "on utility"))),
            ("ats_source_connected", "source", "1", 0.0, None),
            ("ats_source_available", "source", "1", 0.0, Some((true, "utility lost"))),
            ("ats_source_available", "source", "2", 0.0, None),
            ("generator_alarm", "alarm", "fail_to_start", 1.0, Some((true, "fail to start"))),
            ("generator_mode", "mode", "auto", 1.0, Some((false, "mode auto"))),
            ("generator_mode", "mode", "stop", 1.0, Some((true, "mode stop"))),
            ("generator_mode", "mode", "auto", 0.0, None),
            ("cooling_running", "", "", 0.0, Some((true, "stopped"))),
            ("cooling_running", "compressor", "2", 0.0, Some((false, "compressor 2 off"))),
            ("environment_smoke", "", "", 0.0, Some((false, "no smoke"))),
        ];
        for (metric, name, value, number, wanted) in cases {
            let found = flag(&Labels::metric(metric, [(name, value)]), Ok(number));
            let wanted = wanted.map(|(bad, text)| Flag { bad, text: text.to_owned() });
            assert_eq!(found, wanted, "{metric}");
        }
    }
}
