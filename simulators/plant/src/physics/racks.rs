//! The racks and their PDUs: every server has two supplies, one on each feed.

use std::f64::consts::TAU;

use super::utility::Supply;
use crate::noise::{Dice, Drift};

/// Rated current of a rack PDU, in amperes.
pub const RATED_AMPERES: f64 = 32.0;
/// What the servers of one rack take on average, in watts.
const RACK_WATTS: [f64; 2] = [4_300.0, 3_600.0];
/// Server power supplies correct their power factor to about this.
pub const POWER_FACTOR: f64 = 0.97;
/// Feed A gets a little more than half: supplies never share exactly.
const SHARE_A: f64 = 0.52;

/// One metered power strip.
#[derive(Clone, Debug, Default)]
pub struct RackPdu {
    supply: Supply,
    watts: f64,
}

impl RackPdu {
    /// What its inlet sees.
    #[must_use]
    pub const fn supply(&self) -> Supply {
        self.supply
    }

    /// Inlet power, in watts.
    #[must_use]
    pub const fn watts(&self) -> f64 {
        self.watts
    }

    /// Inlet apparent power, in volt-amperes.
    #[must_use]
    pub fn volt_amperes(&self) -> f64 {
        self.watts / POWER_FACTOR
    }

    /// Inlet current, in amperes; 0 when dead.
    #[must_use]
    pub fn amperes(&self) -> f64 {
        if self.supply.volts > 1.0 { self.volt_amperes() / self.supply.volts } else { 0.0 }
    }
}

/// Two racks, each on a PDU of feed A and one of feed B.
#[derive(Clone, Debug)]
pub struct Racks {
    noise: [Drift; 2],
    /// A1, A2, B1, B2.
    pdus: [RackPdu; 4],
}

impl Racks {
    pub(super) fn new() -> Self {
        Self { noise: [Drift::new(0.02, 45.0), Drift::new(0.02, 45.0)], pdus: Default::default() }
    }

    /// `feeds` are the outputs of UPS A and UPS B; `a1_off` opens the breaker before PDU A1.
    pub(super) fn step(
        &mut self,
        h: f64,
        day_seconds: f64,
        feeds: [Supply; 2],
        a1_off: bool,
        dice: &mut Dice,
    ) {
        // Lowest at four in the morning, highest twelve hours later.
        let day = 1.0 - 0.10 * (TAU * (day_seconds / 86_400.0 - 4.0 / 24.0)).cos();
        for (rack, noise) in self.noise.iter_mut().enumerate() {
            let demand = RACK_WATTS[rack] * day * (1.0 + noise.step(h, dice));
            let a = if a1_off && rack == 0 { Supply::DEAD } else { feeds[0] };
            let b = feeds[1];
            let (share_a, share_b) = match (a.is_good(), b.is_good()) {
                (true, true) => (SHARE_A, 1.0 - SHARE_A),
                (true, false) => (1.0, 0.0),
                (false, true) => (0.0, 1.0),
                (false, false) => (0.0, 0.0),
            };
            self.pdus[rack] = RackPdu { supply: a, watts: demand * share_a };
            self.pdus[rack + 2] = RackPdu { supply: b, watts: demand * share_b };
        }
    }

    /// The PDUs in the order A1, A2, B1, B2.
    #[must_use]
    pub const fn pdus(&self) -> &[RackPdu; 4] {
        &self.pdus
    }

    /// What feed A (0) or B (1) carries, in watts.
    #[must_use]
    pub fn feed_watts(&self, feed: usize) -> f64 {
        self.pdus.iter().skip(2 * (feed % 2)).take(2).map(RackPdu::watts).sum()
    }

    /// What all servers take, in watts.
    #[must_use]
    pub fn watts(&self) -> f64 {
        self.pdus.iter().map(RackPdu::watts).sum()
    }
}
