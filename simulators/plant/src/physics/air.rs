//! The hall's air as a heat balance: hot side, two cold aisles, and the mass of walls and steel.

use super::cooling::{CoolingUnit, FLOW_WATTS_PER_KELVIN};
use super::generator::approach;
use crate::noise::{Dice, Drift};

/// Heat that warms the hall's air by one kelvin, in joules (180 m³ and what is light in it).
const AIR_JOULES_PER_KELVIN: f64 = 300_000.0;
/// The same for racks, floor and walls.
const MASS_JOULES_PER_KELVIN: f64 = 4_500_000.0;
/// Between air and mass, in watts per kelvin.
const AIR_TO_MASS: f64 = 500.0;
/// Through the walls to the building around, in watts per kelvin.
const MASS_TO_OUTSIDE: f64 = 60.0;
const BUILDING_CELSIUS: f64 = 20.0;
/// Air that the servers of one aisle move, as heat per kelvin.
const AISLE_FLOW: f64 = 1.35 * FLOW_WATTS_PER_KELVIN;
/// Share of each unit's air that reaches aisle 1 and aisle 2.
const REACH: [[f64; 3]; 2] = [[0.60, 0.50, 0.30], [0.30, 0.50, 0.60]];
/// Water in the hall's air, as dew point in degrees Celsius.
const DEW_POINT_CELSIUS: f64 = 10.5;

/// Temperatures and water of the hall.
#[derive(Clone, Debug)]
pub struct Air {
    hot: f64,
    mass: f64,
    aisles: [f64; 2],
    dew: Drift,
    probes: [Drift; 2],
}

impl Air {
    pub(super) fn new() -> Self {
        Self {
            hot: 27.0,
            mass: 26.0,
            aisles: [22.0, 22.0],
            dew: Drift::new(0.4, 600.0),
            probes: [Drift::new(0.05, 15.0), Drift::new(0.05, 15.0)],
        }
    }

    /// `heat` is what everything in the hall gives to the air, in watts.
    pub(super) fn step(&mut self, h: f64, heat: f64, units: &[CoolingUnit; 3], dice: &mut Dice) {
        let cooled: f64 = units.iter().map(CoolingUnit::heat_watts).sum();
        let to_mass = AIR_TO_MASS * (self.hot - self.mass);
        let to_outside = MASS_TO_OUTSIDE * (self.mass - BUILDING_CELSIUS);
        self.hot += h * (heat - cooled - to_mass) / AIR_JOULES_PER_KELVIN;
        self.mass += h * (to_mass - to_outside) / MASS_JOULES_PER_KELVIN;
        self.dew.step(h, dice);
        for (aisle, reach) in REACH.iter().enumerate() {
            self.probes[aisle].step(h, dice);
            let flows = units.iter().zip(reach).map(|(u, r)| (u, r * u.flow_share()));
            let (flow, carried) = flows.fold((0.0, 0.0), |(flow, carried), (unit, share)| {
                (flow + share, carried + share * unit.supply_celsius())
            });
            let cold = if flow > 1e-6 { carried / flow } else { self.hot };
            // What the units do not deliver, the servers draw back from the hot side.
            let fed = (flow * FLOW_WATTS_PER_KELVIN / AISLE_FLOW).min(1.0);
            let inlet = fed * cold + (1.0 - fed) * self.hot;
            self.aisles[aisle] = approach(self.aisles[aisle], inlet, h, 25.0);
        }
    }

    /// The hot side, in degrees Celsius.
    #[must_use]
    pub const fn hot_celsius(&self) -> f64 {
        self.hot
    }

    /// The probe in cold aisle 1 (0) or 2 (1), in degrees Celsius.
    #[must_use]
    pub fn aisle_celsius(&self, aisle: usize) -> f64 {
        self.aisles[aisle % 2] + self.probes[aisle % 2].value()
    }

    /// Dew point, in degrees Celsius.
    #[must_use]
    pub fn dew_point_celsius(&self) -> f64 {
        DEW_POINT_CELSIUS + self.dew.value()
    }

    /// Relative humidity at a place with that temperature, in percent.
    #[must_use]
    pub fn humidity_percent(&self, celsius: f64) -> f64 {
        (100.0 * saturation(self.dew_point_celsius()) / saturation(celsius)).clamp(0.0, 100.0)
    }
}

/// Saturation vapour pressure over water, relative (Magnus formula, Sonntag 1990).
fn saturation(celsius: f64) -> f64 {
    let celsius = celsius.clamp(-40.0, 100.0);
    (17.62 * celsius / (243.12 + celsius)).exp()
}
