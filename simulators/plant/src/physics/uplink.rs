//! The two internet uplinks as the edge router sees them.

use crate::noise::{Dice, Drift};

/// One uplink.
#[derive(Clone, Debug)]
pub struct Uplink {
    up: bool,
    base_ms: f64,
    noise: Drift,
}

impl Uplink {
    pub(super) const fn new(base_ms: f64) -> Self {
        Self { up: true, base_ms, noise: Drift::new(0.6, 8.0) }
    }

    pub(super) fn step(&mut self, h: f64, down: bool, dice: &mut Dice) {
        self.noise.step(h, dice);
        self.up = !down;
    }

    /// Packets get through.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// Round trip to the first hop outside, in milliseconds; none when down.
    #[must_use]
    pub fn latency_ms(&self) -> Option<f64> {
        self.up.then(|| (self.base_ms + self.noise.value()).max(0.5))
    }
}
