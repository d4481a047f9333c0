//! The cooling units: compressors that hold the return air at its set point.

use super::generator::approach;
use super::utility::Supply;

/// What one unit can take out of the air, in watts.
pub const CAPACITY_WATTS: f64 = 6_500.0;
/// Return air set point, in degrees Celsius.
pub const SETPOINT_CELSIUS: f64 = 27.0;
/// Heat that one unit's air flow carries per kelvin, in watts per kelvin (0.6 kg/s of air).
pub const FLOW_WATTS_PER_KELVIN: f64 = 603.0;
/// A unit that had no power waits this long before its compressor starts, in seconds.
const RESTART_SECONDS: f64 = 30.0;
const FAN_WATTS: f64 = 450.0;
/// Heat moved per electrical energy of the compressor.
const COEFFICIENT_OF_PERFORMANCE: f64 = 3.6;
/// Share of the capacity per kelvin above the set point, and per kelvin second.
const PROPORTIONAL: f64 = 0.25;
const INTEGRAL: f64 = 0.0006;

/// One unit.
#[derive(Clone, Debug)]
pub struct CoolingUnit {
    supply: Supply,
    powered: f64,
    stopped: bool,
    integral: f64,
    output: f64,
    flow: f64,
    return_celsius: f64,
    supply_celsius: f64,
}

impl CoolingUnit {
    pub(super) fn new(output: f64) -> Self {
        Self {
            supply: Supply::DEAD,
            powered: RESTART_SECONDS,
            stopped: false,
            integral: output,
            output,
            flow: 1.0,
            return_celsius: SETPOINT_CELSIUS,
            supply_celsius: SETPOINT_CELSIUS - output * CAPACITY_WATTS / FLOW_WATTS_PER_KELVIN,
        }
    }

    pub(super) fn step(&mut self, h: f64, supply: Supply, hall_celsius: f64, stopped: bool) {
        self.supply = supply;
        self.stopped = stopped;
        let power = supply.is_good();
        self.powered = if power && !stopped { self.powered + h } else { 0.0 };
        let fan = power && !stopped;
        self.flow = approach(self.flow, if fan { 1.0 } else { 0.0 }, h, 4.0);
        self.return_celsius = approach(self.return_celsius, hall_celsius, h, 10.0);
        let above = self.return_celsius - SETPOINT_CELSIUS;
        let target = if self.compressor_on() {
            let raw = PROPORTIONAL * above + self.integral;
            // The integral stands still while the output is at its limit, or it would overshoot.
            if (0.0..=1.0).contains(&raw) {
                self.integral = (self.integral + INTEGRAL * above * h).clamp(0.0, 1.0);
            }
            raw.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.output = approach(self.output, target, h, 15.0);
        let lift = if self.flow > 0.05 {
            (self.heat_watts() / (self.flow * FLOW_WATTS_PER_KELVIN)).min(15.0)
        } else {
            0.0
        };
        self.supply_celsius = approach(self.supply_celsius, self.return_celsius - lift, h, 8.0);
    }

    /// The compressor may run: power for long enough, and not stopped.
    #[must_use]
    pub fn compressor_on(&self) -> bool {
        self.powered >= RESTART_SECONDS
    }

    /// The fan turns.
    #[must_use]
    pub fn fan_on(&self) -> bool {
        self.flow > 0.5
    }

    /// Stopped by a fault of its own rather than for lack of power.
    #[must_use]
    pub const fn is_faulty(&self) -> bool {
        self.stopped
    }

    /// Share of the full air flow.
    #[must_use]
    pub const fn flow_share(&self) -> f64 {
        self.flow
    }

    /// Share of the capacity in use.
    #[must_use]
    pub const fn output_share(&self) -> f64 {
        self.output
    }

    /// Heat taken out of the air, in watts.
    #[must_use]
    pub fn heat_watts(&self) -> f64 {
        // Without air over the coil nothing is cooled, whatever the compressor still does.
        self.output * CAPACITY_WATTS * self.flow.min(1.0)
    }

    /// Electrical power, in watts.
    #[must_use]
    pub fn watts(&self) -> f64 {
        if self.supply.is_good() {
            60.0 + FAN_WATTS * self.flow + self.output * CAPACITY_WATTS / COEFFICIENT_OF_PERFORMANCE
        } else {
            0.0
        }
    }

    /// What feeds it.
    #[must_use]
    pub const fn supply(&self) -> Supply {
        self.supply
    }

    /// Return air, in degrees Celsius.
    #[must_use]
    pub const fn return_celsius(&self) -> f64 {
        self.return_celsius
    }

    /// Supply air, in degrees Celsius.
    #[must_use]
    pub const fn supply_celsius(&self) -> f64 {
        self.supply_celsius
    }
}
