//! The utility feed: voltage and frequency with slow noise, or nothing.

use crate::noise::{Dice, Drift};

/// Nominal voltage between line and neutral, in volts (IEC 60038).
pub const NOMINAL_VOLTS: f64 = 230.0;
/// Nominal frequency, in hertz.
pub const NOMINAL_HERTZ: f64 = 50.0;

/// What a source gives to the bus behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Supply {
    /// Line to neutral, in volts; 0 when dead.
    pub volts: f64,
    /// In hertz; 0 when dead.
    pub hertz: f64,
}

impl Supply {
    /// Nothing.
    pub const DEAD: Self = Self { volts: 0.0, hertz: 0.0 };

    /// Within the limits in which a load may run on it: ±10 % volts, ±5 % hertz.
    #[must_use]
    pub fn is_good(&self) -> bool {
        (self.volts / NOMINAL_VOLTS - 1.0).abs() < 0.10
            && (self.hertz / NOMINAL_HERTZ - 1.0).abs() < 0.05
    }
}

/// The grid as it arrives at the building.
#[derive(Clone, Debug)]
pub struct Utility {
    volts: Drift,
    hertz: Drift,
    phases: [Drift; 3],
    supply: Supply,
}

impl Utility {
    pub(super) fn new() -> Self {
        Self {
            volts: Drift::new(1.2, 120.0),
            hertz: Drift::new(0.015, 30.0),
            phases: [Drift::new(0.4, 20.0), Drift::new(0.4, 20.0), Drift::new(0.4, 20.0)],
            supply: Supply { volts: NOMINAL_VOLTS, hertz: NOMINAL_HERTZ },
        }
    }

    pub(super) fn step(&mut self, h: f64, off: bool, dice: &mut Dice) {
        let volts = NOMINAL_VOLTS + 1.5 + self.volts.step(h, dice);
        let hertz = NOMINAL_HERTZ + self.hertz.step(h, dice).clamp(-0.2, 0.2);
        for phase in &mut self.phases {
            phase.step(h, dice);
        }
        self.supply = if off { Supply::DEAD } else { Supply { volts, hertz } };
    }

    /// The average of the three phases.
    #[must_use]
    pub const fn supply(&self) -> Supply {
        self.supply
    }

    /// Line to neutral of phase 0, 1 or 2, in volts.
    #[must_use]
    pub fn phase_volts(&self, phase: usize) -> f64 {
        if self.supply.volts > 0.0 {
            self.supply.volts + self.phases[phase % 3].value()
        } else {
            0.0
        }
    }
}
