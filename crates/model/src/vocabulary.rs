//! Every metric that Hallwatch knows: its name, unit, kind and help, declared once.
//!
//! Profiles can only use names from here; rules and dashboards are tested against it. Names follow
//! Prometheus: base units, the unit as suffix, `_total` for counters, states as 0 or 1.

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

/// All of them, by theme.
#[rustfmt::skip]
pub static METRICS: &[Metric] = &[
    // Electrical meters.
    metric("meter_voltage_volts", Unit::Volts, Kind::Gauge,
        "Voltage of a phase (`phase`) to neutral, or of a pair of phases such as `l1l2`."),
    metric("meter_current_amperes", Unit::Amperes, Kind::Gauge,
        "Current of a phase, of the neutral or of ground (`phase`); without `phase` the sum of the \
         phases."),
    metric("meter_active_power_watts", Unit::Watts, Kind::Gauge,
        "Active power; without `phase` the sum."),
    metric("meter_reactive_power_vars", Unit::Vars, Kind::Gauge,
        "Reactive power; without `phase` the sum."),
    metric("meter_apparent_power_voltamperes", Unit::Voltamperes, Kind::Gauge,
        "Apparent power; without `phase` the sum."),
    metric("meter_power_factor_ratio", Unit::Ratio, Kind::Gauge,
        "Power factor, -1 to 1; without `phase` of the sum."),
    metric("meter_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Frequency of the mains."),
    metric("meter_energy_joules_total", Unit::Joules, Kind::Counter,
        "Active energy; `direction` is `delivered` (to the load) or `received` (from it), without \
         `direction` it is both together; without `phase` the sum."),
    metric("meter_reactive_energy_var_seconds_total", Unit::VarSeconds, Kind::Counter,
        "Reactive energy; `direction` as for the active energy."),
    metric("meter_average_voltage_volts", Unit::Volts, Kind::Gauge,
        "Mean voltage of the phases to neutral (`phase`: `ln`) or of the pairs of phases (`ll`)."),
    metric("meter_average_current_amperes", Unit::Amperes, Kind::Gauge,
        "Mean current of the phases."),
    metric("meter_voltage_distortion_ratio", Unit::Ratio, Kind::Gauge,
        "Total harmonic distortion of the voltage of a phase (`phase`)."),
    // Transfer switches.
    metric("ats_source_available", Unit::State, Kind::State,
        "1 when the voltage of a source (`source`: `1` utility, `2` generator) is good."),
    metric("ats_source_connected", Unit::State, Kind::State,
        "1 when the load is on this source (`source`)."),
    metric("ats_source_fault", Unit::State, Kind::State,
        "1 while a source (`source`) has this `fault`, such as `undervoltage`."),
    metric("ats_breaker_closed", Unit::State, Kind::State,
        "1 when the breaker of a source (`source`) is closed."),
    metric("ats_mode", Unit::State, Kind::Enum,
        "1 for the mode it is in (`mode`: `off`, `manual`, `auto`, `test`)."),
    metric("ats_generator_start", Unit::State, Kind::State,
        "1 while the switch asks a generator (`generator`, by the switch's own number) to start."),
    metric("ats_alarm", Unit::State, Kind::State,
        "1 while the switch reports a global alarm."),
    metric("ats_last_alarm", Unit::State, Kind::Enum,
        "1 for the alarm that the switch remembers as the last one (`alarm`), such as `none`."),
    metric("ats_remote_control", Unit::State, Kind::State,
        "1 while the switch obeys remote commands instead of its own logic."),
    metric("ats_source_voltage_volts", Unit::Volts, Kind::Gauge,
        "Voltage of a source (`source`) between a pair of phases (`phase`) such as `l1l2`."),
    metric("ats_source_voltage_unbalance_ratio", Unit::Ratio, Kind::Gauge,
        "Voltage unbalance of the phases of a source (`source`), 0 to 1."),
    metric("ats_source_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Frequency of a source (`source`)."),
    metric("ats_phase_difference_degrees", Unit::Degrees, Kind::Gauge,
        "Phase angle between the two sources."),
    metric("ats_current_amperes", Unit::Amperes, Kind::Gauge,
        "Current of the load in a phase (`phase`)."),
    metric("ats_transfer_seconds", Unit::Seconds, Kind::Gauge,
        "How long the last transfer took."),
    metric("ats_transfers_total", Unit::Count, Kind::Counter,
        "Transfers from one source to the other; with `cause` only those, such as \
         `source_failure`."),
    metric("ats_source_seconds_total", Unit::Seconds, Kind::Counter,
        "Time that the load has been on a source (`source`)."),
    metric("ats_energized_seconds_total", Unit::Seconds, Kind::Counter,
        "Time that the switch has had voltage in its life."),
    // Generators.
    metric("generator_mode", Unit::State, Kind::Enum,
        "1 for the mode it is in (`mode`), such as `auto`, `manual`, `stop`."),
    metric("generator_alarm", Unit::State, Kind::State,
        "1 while this alarm (`alarm`) is on, such as `fail_to_start`."),
    metric("generator_engine_speed_rpm", Unit::RevolutionsPerMinute, Kind::Gauge,
        "Engine speed."),
    metric("generator_voltage_volts", Unit::Volts, Kind::Gauge,
        "Voltage of a phase (`phase`) to neutral, or of a pair of phases."),
    metric("generator_current_amperes", Unit::Amperes, Kind::Gauge,
        "Current of a phase (`phase`)."),
    metric("generator_active_power_watts", Unit::Watts, Kind::Gauge,
        "Active power; without `phase` the sum."),
    metric("generator_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Output frequency."),
    metric("generator_fuel_level_ratio", Unit::Ratio, Kind::Gauge,
        "Fuel in the tank, 0 to 1."),
    metric("generator_oil_pressure_pascals", Unit::Pascals, Kind::Gauge,
        "Engine oil pressure."),
    metric("generator_oil_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Engine oil temperature."),
    metric("generator_coolant_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Engine coolant temperature."),
    metric("generator_starter_battery_volts", Unit::Volts, Kind::Gauge,
        "Voltage of the starter battery."),
    metric("generator_mains_voltage_volts", Unit::Volts, Kind::Gauge,
        "Mains voltage as the generator's controller sees it (`phase`)."),
    metric("generator_mains_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Mains frequency as the generator's controller sees it."),
    metric("generator_run_seconds_total", Unit::Seconds, Kind::Counter,
        "Time that the engine has run in its life."),
    metric("generator_starts_total", Unit::Count, Kind::Counter,
        "Starts of the engine in its life."),
    metric("generator_average_current_amperes", Unit::Amperes, Kind::Gauge,
        "Mean current of the phases."),
    metric("generator_reactive_power_vars", Unit::Vars, Kind::Gauge,
        "Reactive power; without `phase` the sum."),
    metric("generator_apparent_power_voltamperes", Unit::Voltamperes, Kind::Gauge,
        "Apparent power; without `phase` the sum."),
    metric("generator_power_factor_ratio", Unit::Ratio, Kind::Gauge,
        "Power factor, -1 to 1; without `phase` of the sum."),
    metric("generator_load_ratio", Unit::Ratio, Kind::Gauge,
        "Load as a part of the rated power, 0 to 1 and beyond."),
    metric("generator_code", Unit::Count, Kind::Gauge,
        "A number of the controller's own lists (`code`), such as `state` or `fault`."),
    // Uninterruptible power supplies.
    metric("ups_online", Unit::State, Kind::State,
        "1 while the load is fed through the inverter from the mains."),
    metric("ups_on_battery", Unit::State, Kind::State,
        "1 while the load is fed from the battery."),
    metric("ups_on_bypass", Unit::State, Kind::State,
        "1 while the load is fed around the inverter."),
    metric("ups_output_off", Unit::State, Kind::State,
        "1 while the output has no voltage."),
    metric("ups_overload", Unit::State, Kind::State,
        "1 while the load is more than the supply can feed."),
    metric("ups_battery_low", Unit::State, Kind::State,
        "1 while the battery is about to be empty."),
    metric("ups_battery_replace", Unit::State, Kind::State,
        "1 when the battery has to be replaced."),
    metric("ups_fault", Unit::State, Kind::State,
        "1 while this `fault` is reported."),
    metric("ups_battery_charge_ratio", Unit::Ratio, Kind::Gauge,
        "Charge of the battery, 0 to 1."),
    metric("ups_battery_runtime_seconds", Unit::Seconds, Kind::Gauge,
        "How long the battery would feed the present load."),
    metric("ups_battery_voltage_volts", Unit::Volts, Kind::Gauge,
        "Battery voltage."),
    metric("ups_battery_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Battery temperature."),
    metric("ups_load_ratio", Unit::Ratio, Kind::Gauge,
        "Load as a part of the rated power, 0 to 1 and beyond (`phase` where there are several)."),
    metric("ups_output_power_watts", Unit::Watts, Kind::Gauge,
        "Active power of the output."),
    metric("ups_output_voltage_volts", Unit::Volts, Kind::Gauge,
        "Output voltage (`phase` where there are several)."),
    metric("ups_output_current_amperes", Unit::Amperes, Kind::Gauge,
        "Output current (`phase` where there are several)."),
    metric("ups_output_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Output frequency."),
    metric("ups_input_voltage_volts", Unit::Volts, Kind::Gauge,
        "Input voltage (`phase` where there are several)."),
    metric("ups_efficiency_ratio", Unit::Ratio, Kind::Gauge,
        "Output power by input power, 0 to 1."),
    metric("ups_output_energy_joules_total", Unit::Joules, Kind::Counter,
        "Energy given to the load."),
    metric("ups_power_source", Unit::State, Kind::Enum,
        "1 for what feeds the load (`source`: `none`, `mains`, `mains_eco`, `bypass`, `battery`)."),
    metric("ups_high_efficiency", Unit::State, Kind::State,
        "1 while the supply saves energy by feeding the load from the mains without conversion."),
    metric("ups_input_available", Unit::State, Kind::State,
        "1 while there is good power at an `input` (`mains`, `bypass`, `maintenance_bypass`)."),
    metric("ups_breaker_closed", Unit::State, Kind::State,
        "1 while a `breaker` of the supply, or its static switch, is closed."),
    metric("ups_module_status", Unit::State, Kind::Enum,
        "1 for the `status` of a `module`: `normal`, `warning`, `alarm`, `fault`."),
    metric("ups_battery_status", Unit::State, Kind::Enum,
        "1 for the `status` of the battery: `unknown`, `normal`, `low`, `depleted`."),
    metric("ups_battery_depleted", Unit::State, Kind::State,
        "1 while the battery is empty."),
    metric("ups_battery_condition", Unit::State, Kind::Enum,
        "1 for the `condition` of the battery: `good`, `weak`, `replace`."),
    metric("ups_battery_charging", Unit::State, Kind::State,
        "1 while the battery is being charged."),
    metric("ups_battery_mode", Unit::State, Kind::Enum,
        "1 for what the battery does (`mode`), such as `charging`, `discharging`, `resting`."),
    metric("ups_charger_mode", Unit::State, Kind::Enum,
        "1 for what the charger does (`mode`), such as `float`, `equalize`."),
    metric("ups_battery_test_running", Unit::State, Kind::State,
        "1 while the battery is being tested."),
    metric("ups_battery_test", Unit::State, Kind::Enum,
        "1 for how the last test of the battery ended (`result`), such as `passed`."),
    metric("ups_battery_test_due_seconds", Unit::Seconds, Kind::Gauge,
        "Time until the next test of the battery."),
    metric("ups_on_battery_seconds", Unit::Seconds, Kind::Gauge,
        "How long the load has been fed from the battery."),
    metric("ups_battery_current_amperes", Unit::Amperes, Kind::Gauge,
        "Battery current, as the device signs it."),
    metric("ups_battery_packs", Unit::Count, Kind::Gauge,
        "Battery packs that the supply finds."),
    metric("ups_battery_discharges_total", Unit::Count, Kind::Counter,
        "Discharges of the battery in its life."),
    metric("ups_battery_discharge_seconds_total", Unit::Seconds, Kind::Counter,
        "Time that the battery has been discharged in its life."),
    metric("ups_dc_bus_current_amperes", Unit::Amperes, Kind::Gauge,
        "Current of the internal direct-current bus."),
    metric("ups_input_current_amperes", Unit::Amperes, Kind::Gauge,
        "Input current (`phase` where there are several)."),
    metric("ups_input_power_watts", Unit::Watts, Kind::Gauge,
        "Active power of the input."),
    metric("ups_input_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Input frequency."),
    metric("ups_input_failures_total", Unit::Count, Kind::Counter,
        "Failures of the input power."),
    metric("ups_bypass_voltage_volts", Unit::Volts, Kind::Gauge,
        "Voltage of the bypass input (`phase` where there are several)."),
    metric("ups_bypass_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Frequency of the bypass input."),
    metric("ups_output_apparent_power_voltamperes", Unit::Voltamperes, Kind::Gauge,
        "Apparent power of the output."),
    metric("ups_output_power_factor_ratio", Unit::Ratio, Kind::Gauge,
        "Power factor of the output (`phase` where there are several)."),
    metric("ups_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature inside the supply."),
    // Rack power shelves: their supplies, battery units and monitors.
    metric("rack_power_alarm", Unit::State, Kind::State,
        "1 while a `part` of a shelf, supply, battery unit or monitor reports this `alarm`."),
    metric("rack_power_input_voltage_volts", Unit::Volts, Kind::Gauge,
        "Input voltage of a supply (`supply` where there are several)."),
    metric("rack_power_input_current_amperes", Unit::Amperes, Kind::Gauge,
        "Input current of a supply (`supply` where there are several)."),
    metric("rack_power_output_voltage_volts", Unit::Volts, Kind::Gauge,
        "Output voltage of a supply."),
    metric("rack_power_output_current_amperes", Unit::Amperes, Kind::Gauge,
        "Output current of a supply."),
    metric("rack_power_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature of a `probe`, such as the air at the `inlet`."),
    // Rack power distribution.
    metric("pdu_inlet_voltage_volts", Unit::Volts, Kind::Gauge,
        "Voltage of an inlet (`inlet`)."),
    metric("pdu_inlet_current_amperes", Unit::Amperes, Kind::Gauge,
        "Current of an inlet (`inlet`)."),
    metric("pdu_inlet_active_power_watts", Unit::Watts, Kind::Gauge,
        "Active power of an inlet (`inlet`)."),
    metric("pdu_inlet_apparent_power_voltamperes", Unit::Voltamperes, Kind::Gauge,
        "Apparent power of an inlet (`inlet`)."),
    metric("pdu_inlet_reactive_power_vars", Unit::Vars, Kind::Gauge,
        "Reactive power of an inlet (`inlet`)."),
    metric("pdu_inlet_power_factor_ratio", Unit::Ratio, Kind::Gauge,
        "Power factor of an inlet (`inlet`), -1 to 1."),
    metric("pdu_inlet_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Frequency of an inlet (`inlet`)."),
    metric("pdu_inlet_unbalance_ratio", Unit::Ratio, Kind::Gauge,
        "Current unbalance of the phases of an inlet (`inlet`), 0 to 1."),
    metric("pdu_breaker_current_amperes", Unit::Amperes, Kind::Gauge,
        "Current through a breaker (`breaker`)."),
    metric("pdu_outlet_voltage_volts", Unit::Volts, Kind::Gauge,
        "Voltage of an outlet (`outlet`)."),
    metric("pdu_outlet_current_amperes", Unit::Amperes, Kind::Gauge,
        "Current of an outlet (`outlet`)."),
    metric("pdu_outlet_active_power_watts", Unit::Watts, Kind::Gauge,
        "Active power of an outlet (`outlet`)."),
    metric("pdu_outlet_apparent_power_voltamperes", Unit::Voltamperes, Kind::Gauge,
        "Apparent power of an outlet (`outlet`)."),
    metric("pdu_outlet_power_factor_ratio", Unit::Ratio, Kind::Gauge,
        "Power factor of an outlet (`outlet`), -1 to 1."),
    metric("pdu_outlet_frequency_hertz", Unit::Hertz, Kind::Gauge,
        "Frequency of an outlet (`outlet`)."),
    // Cooling.
    metric("cooling_running", Unit::State, Kind::State,
        "1 while a cooling unit, or one of its `compressor`s, runs."),
    metric("cooling_alarm", Unit::State, Kind::State,
        "1 while this `alarm` is on, such as `fan_issue`."),
    metric("cooling_capacity_ratio", Unit::Ratio, Kind::Gauge,
        "Cooling asked of the unit, 0 to 1."),
    metric("cooling_load_watts", Unit::Watts, Kind::Gauge,
        "Heat that the unit takes away."),
    metric("cooling_power_watts", Unit::Watts, Kind::Gauge,
        "Electrical power that the unit draws."),
    metric("cooling_input_voltage_volts", Unit::Volts, Kind::Gauge,
        "Voltage that feeds the unit."),
    metric("cooling_control_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature that the unit cools by."),
    metric("cooling_fan_control_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature that the unit sets its fan by."),
    metric("cooling_remote_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature of a remote probe (`probe`)."),
    metric("cooling_setpoint_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature that the unit is told to hold."),
    metric("cooling_humidity_setpoint_ratio", Unit::Ratio, Kind::Gauge,
        "Relative humidity that the unit is told to hold, 0 to 1."),
    metric("cooling_fan_speed_ratio", Unit::Ratio, Kind::Gauge,
        "Fan speed, 0 to 1."),
    metric("cooling_valve_ratio", Unit::Ratio, Kind::Gauge,
        "Opening of a valve (`valve` where the unit has several), 0 to 1."),
    metric("cooling_liquid_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature of the water or coolant at a `place`, such as `supply`, `return` or `outlet`."),
    metric("cooling_average_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Mean of the probes that the unit uses."),
    metric("cooling_highest_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Highest of the probes that the unit uses."),
    metric("cooling_threshold_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature of a `place` from which on the unit raises an alarm (`limit`: `low`, `high`)."),
    metric("cooling_fan_speed_rpm", Unit::RevolutionsPerMinute, Kind::Gauge,
        "Speed of a `fan`."),
    metric("cooling_fan_speed_limit_ratio", Unit::Ratio, Kind::Gauge,
        "Least or most fan speed that is allowed (`limit`: `min`, `max`), 0 to 1."),
    metric("cooling_damper_ratio", Unit::Ratio, Kind::Gauge,
        "Opening of an air damper, 0 to 1."),
    metric("cooling_damper_limit_ratio", Unit::Ratio, Kind::Gauge,
        "Least or most opening of the damper that is allowed (`limit`: `min`, `max`), 0 to 1."),
    metric("cooling_utilization_ratio", Unit::Ratio, Kind::Gauge,
        "How much of a `part`, such as the `compressor` or the `humidifier`, is in use, 0 to 1."),
    metric("cooling_efficiency_ratio", Unit::Ratio, Kind::Gauge,
        "How efficiently the unit works by its own reckoning, 0 to 1."),
    metric("cooling_control_sensor", Unit::State, Kind::Enum,
        "1 for the air that the unit cools by (`sensor`: `supply`, `remote`, `return`)."),
    metric("cooling_pressure_pascals", Unit::Pascals, Kind::Gauge,
        "Air pressure that the unit measures against its surroundings."),
    metric("cooling_pressure_setpoint_pascals", Unit::Pascals, Kind::Gauge,
        "Air pressure that the unit is told to hold."),
    metric("cooling_pressure_mode", Unit::State, Kind::Enum,
        "1 for the pressure that the unit is told to hold (`mode`), such as `neutral`."),
    metric("cooling_flow_cubic_meters_per_second", Unit::CubicMetersPerSecond, Kind::Gauge,
        "Flow of the water or coolant."),
    metric("cooling_flow_setpoint_cubic_meters_per_second", Unit::CubicMetersPerSecond, Kind::Gauge,
        "Flow that a valve is told to hold."),
    metric("cooling_design_flow_cubic_meters_per_second", Unit::CubicMetersPerSecond, Kind::Gauge,
        "Flow that a valve is set up for."),
    metric("cooling_flow_ratio", Unit::Ratio, Kind::Gauge,
        "Flow as a part of what the valve is made or set up for, 0 to 1 and beyond."),
    metric("cooling_flow_limit_ratio", Unit::Ratio, Kind::Gauge,
        "Least or most flow that is allowed, as a part of what the valve is made for (`limit`: \
         `min`, `max`)."),
    metric("cooling_valve_setpoint_ratio", Unit::Ratio, Kind::Gauge,
        "What a valve is told to do, as a part of its range; `input` says by which input, such as \
         `analog`."),
    metric("cooling_valve_angle_degrees", Unit::Degrees, Kind::Gauge,
        "Angle that a valve has turned by."),
    metric("cooling_valve_output_volts", Unit::Volts, Kind::Gauge,
        "Voltage at the analog output of a valve."),
    metric("cooling_valve_open_seconds", Unit::Seconds, Kind::Gauge,
        "How long a valve has been fully open, as it counts."),
    metric("cooling_valve_closed_seconds", Unit::Seconds, Kind::Gauge,
        "How long a valve has been fully closed, as it counts."),
    metric("cooling_glycol_ratio", Unit::Ratio, Kind::Gauge,
        "Glycol in the water, 0 to 1."),
    metric("cooling_run_seconds_total", Unit::Seconds, Kind::Counter,
        "Time that the unit has been on in its life."),
    metric("cooling_maintenance_ratio", Unit::Ratio, Kind::Gauge,
        "How far the unit's maintenance is due by its own reckoning, 0 to 1."),
    metric("cooling_next_maintenance_month", Unit::Count, Kind::Gauge,
        "Month of the next maintenance by the unit's own reckoning, 1 to 12."),
    metric("cooling_next_maintenance_year", Unit::Count, Kind::Gauge,
        "Year of the next maintenance by the unit's own reckoning."),
    // Environment.
    metric("environment_temperature_celsius", Unit::Celsius, Kind::Gauge,
        "Air temperature."),
    metric("environment_humidity_ratio", Unit::Ratio, Kind::Gauge,
        "Relative humidity, 0 to 1."),
    metric("environment_dew_point_celsius", Unit::Celsius, Kind::Gauge,
        "Dew point."),
    metric("environment_pressure_pascals", Unit::Pascals, Kind::Gauge,
        "Air pressure."),
    metric("environment_temperature_difference_celsius", Unit::Celsius, Kind::Gauge,
        "Temperature of a sensor less that of its twin in the same probe."),
    metric("environment_humidity_difference_ratio", Unit::Ratio, Kind::Gauge,
        "Relative humidity of a sensor less that of its twin in the same probe."),
    metric("environment_leak", Unit::State, Kind::State,
        "1 while a detector finds water."),
    metric("environment_smoke", Unit::State, Kind::State,
        "1 while a detector finds smoke."),
    metric("environment_vibration", Unit::State, Kind::State,
        "1 while a detector feels vibration."),
    metric("environment_contact", Unit::State, Kind::State,
        "1 while a contact input (`contact`) of a probe is on; what is wired to it is the site's."),
    metric("sensor_battery_ratio", Unit::Ratio, Kind::Gauge,
        "Charge of a sensor's own battery, 0 to 1."),
    metric("sensor_link_quality", Unit::Count, Kind::Gauge,
        "Quality of a sensor's radio link, 0 to 255."),
    metric("sensor_fault", Unit::State, Kind::State,
        "1 while a sensor reports this `fault` of itself, such as `probe`."),
    metric("sensor_debug_mode", Unit::State, Kind::State,
        "1 while a sensor is in the mode for its developers."),
    // Inputs and outputs.
    metric("io_input_on", Unit::State, Kind::State,
        "1 while an `input` is on; what is wired to it and which way round is the site's to say."),
    metric("io_output_on", Unit::State, Kind::State,
        "1 while an `output` is on."),
    // Physical access.
    metric("access_door_open", Unit::State, Kind::State,
        "1 while a door is open."),
    metric("access_door_forced", Unit::State, Kind::State,
        "1 after a door opened without a grant."),
    metric("access_door_held_open", Unit::State, Kind::State,
        "1 while a door has been open for too long."),
    metric("access_tamper", Unit::State, Kind::State,
        "1 while a tamper contact is broken."),
    metric("access_events_total", Unit::Count, Kind::Counter,
        "Events at a `door` by `result`, such as `granted` or `denied`."),
    // Uplinks.
    metric("uplink_up", Unit::State, Kind::State,
        "1 when a probe of an uplink was answered in the last interval; 0 when none was."),
    metric("uplink_latency_seconds", Unit::Seconds, Kind::Gauge,
        "Time to the answer of a `probe` in the last interval; `quantile` is `0.5`, `0.9`, `0.99`."),
    metric("uplink_loss_ratio", Unit::Ratio, Kind::Gauge,
        "Part of a `probe` that was not answered well in the last interval, 0 to 1."),
    metric("uplink_errors_total", Unit::Count, Kind::Counter,
        "Sendings of a `probe` that failed by `reason`, such as `timeout`, `tls`, `status_5xx`."),
    metric("uplink_receive_bytes_total", Unit::Bytes, Kind::Counter,
        "Bytes received."),
    metric("uplink_transmit_bytes_total", Unit::Bytes, Kind::Counter,
        "Bytes sent."),
    // Hallwatch about itself.
    metric("device_up", Unit::State, Kind::State,
        "1 while a device answers; 0 while it does not."),
    metric("device_poll_seconds", Unit::Seconds, Kind::Gauge,
        "How long the last poll of a device took."),
    metric("device_missed_slots_total", Unit::Count, Kind::Counter,
        "Poll slots of a device that were skipped."),
    metric("device_errors_total", Unit::Count, Kind::Counter,
        "Failed reads of a device by `reason`."),
    metric("device_clock_seconds", Unit::Seconds, Kind::Gauge,
        "The device's own clock, since the epoch."),
    metric("agent_up", Unit::State, Kind::State,
        "1 while an agent is connected and sends; told by the collector."),
    metric("agent_clock_offset_seconds", Unit::Seconds, Kind::Gauge,
        "The agent's clock less the collector's."),
    metric("agent_journal_backlog", Unit::Count, Kind::Gauge,
        "Journal entries not acknowledged yet."),
    metric("agent_journal_bytes", Unit::Bytes, Kind::Gauge,
        "Size of the journal on disk."),
    metric("agent_journal_durable", Unit::State, Kind::State,
        "1 while the journal is on a disk that takes writes."),
    metric("agent_watermark_seconds", Unit::Seconds, Kind::Gauge,
        "Up to when the agent has sent everything, since the epoch."),
    metric("ALERTS", Unit::State, Kind::State,
        "1 while an alert is pending or firing (`alertname`, `alertstate`)."),
    metric("ALERTS_FOR_STATE", Unit::Seconds, Kind::Gauge,
        "Since when an alert is active, in seconds since the epoch."),
];

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
