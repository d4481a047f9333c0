//! The utility meter: Schneider PowerLogic PM5500. All floats, power in kilowatts.

use crate::physics::Hall;
use crate::registers::{Holes, RegisterMap, Table};

/// How the building's load lies on the three phases; adds up to 1.
const PHASE_SHARE: [f64; 3] = [0.345, 0.330, 0.325];
/// The building's power factor, mostly that of the cooling units.
const POWER_FACTOR: f64 = 0.95;

fn kilowatts(hall: &Hall, phase: usize) -> f64 {
    hall.utility_watts() * PHASE_SHARE[phase] / 1000.0
}

fn amperes(hall: &Hall, phase: usize) -> f64 {
    let volts = hall.utility.phase_volts(phase);
    if volts > 1.0 { 1000.0 * kilowatts(hall, phase) / POWER_FACTOR / volts } else { 0.0 }
}

fn average(values: impl Fn(usize) -> f64) -> f64 {
    (0..3).map(values).sum::<f64>() / 3.0
}

/// Between phase `a` and the next one; the phases stay 120 degrees apart.
fn line_volts(hall: &Hall, a: usize) -> f64 {
    let (u, v) = (hall.utility.phase_volts(a), hall.utility.phase_volts((a + 1) % 3));
    (u * u + v * v + u * v).sqrt()
}

/// Current in the neutral from the unbalance of the three phases.
fn neutral(hall: &Hall) -> f64 {
    let [a, b, c] = [0, 1, 2].map(|phase| amperes(hall, phase));
    (a * a + b * b + c * c - a * b - b * c - c * a).max(0.0).sqrt()
}

/// Reactive per active power at the building's power factor.
fn tangent() -> f64 {
    (1.0 / (POWER_FACTOR * POWER_FACTOR) - 1.0).sqrt()
}

fn power_factor(hall: &Hall) -> f64 {
    if hall.utility_watts() > 0.0 { POWER_FACTOR } else { 1.0 }
}

pub(super) fn registers() -> RegisterMap {
    let mut map = RegisterMap::new(Table::Holding, Holes::Refused);
    map.text(29, 20, "Utility intake", 0)
        .text(49, 20, "PM5560", 0)
        .text(69, 20, "Schneider Electric", 0)
        .fixed(89, &[15_201])
        .fixed(129, &[0x0012, 0xd687])
        .f32(2699, |h| h.meter_wh() / 1000.0)
        .f32(2701, |_| 0.0)
        .f32(2707, |h| h.meter_wh() / 1000.0 * tangent())
        .f32(2709, |_| 0.0)
        .f32(2715, |h| h.meter_wh() / 1000.0 / POWER_FACTOR)
        .f32(2999, |h| amperes(h, 0))
        .f32(3001, |h| amperes(h, 1))
        .f32(3003, |h| amperes(h, 2))
        .f32(3005, neutral)
        .f32(3007, |_| 0.0)
        .f32(3009, |h| average(|phase| amperes(h, phase)))
        .f32(3019, |h| line_volts(h, 0))
        .f32(3021, |h| line_volts(h, 1))
        .f32(3023, |h| line_volts(h, 2))
        .f32(3025, |h| average(|phase| line_volts(h, phase)))
        .f32(3027, |h| h.utility.phase_volts(0))
        .f32(3029, |h| h.utility.phase_volts(1))
        .f32(3031, |h| h.utility.phase_volts(2))
        .f32(3035, |h| average(|phase| h.utility.phase_volts(phase)))
        .f32(3053, |h| kilowatts(h, 0))
        .f32(3055, |h| kilowatts(h, 1))
        .f32(3057, |h| kilowatts(h, 2))
        .f32(3059, |h| h.utility_watts() / 1000.0)
        .f32(3067, |h| h.utility_watts() / 1000.0 * tangent())
        .f32(3075, |h| h.utility_watts() / 1000.0 / POWER_FACTOR)
        .f32(3077, power_factor)
        .f32(3079, power_factor)
        .f32(3081, power_factor)
        .f32(3083, power_factor)
        .f32(3109, |h| h.utility.supply().hertz);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_voltage_of_equal_phases_is_root_three_times_phase_voltage() {
        let hall = Hall::new(1);
        let ratio = line_volts(&hall, 0) / hall.utility.phase_volts(0);
        assert!((ratio / 3.0_f64.sqrt() - 1.0).abs() < 0.01, "{ratio}");
    }
}
