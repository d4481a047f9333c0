//! The only source of chance in the plant: one seed, the same run every time.

/// A small, fast, seeded generator (SplitMix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator that always gives the same numbers for the same seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An even draw from 0 (included) to 1 (excluded).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An even draw from `low` to `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with the probability `chance`.
    pub fn hits(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// An index below `count`; zero if there is nothing to choose from.
    pub fn index(&mut self, count: usize) -> usize {
        match u64::try_from(count) {
            Ok(n) if n > 0 => usize::try_from(self.bits() % n).unwrap_or(0),
            _ => 0,
        }
    }

    /// A draw with mean 0 and standard deviation 1, never further than 6 from 0.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// A value that wanders slowly around zero (an Ornstein-Uhlenbeck process).
#[derive(Clone, Debug)]
pub struct Drift {
    value: f64,
    deviation: f64,
    seconds: f64,
}

impl Drift {
    /// Wanders with the standard deviation `deviation`, forgetting itself after about `seconds`.
    #[must_use]
    pub const fn new(deviation: f64, seconds: f64) -> Self {
        Self { value: 0.0, deviation, seconds }
    }

    /// Moves on by `h` seconds and returns the new value.
    pub fn step(&mut self, h: f64, dice: &mut Dice) -> f64 {
        let keep = (-h / self.seconds).exp();
        self.value =
            self.value * keep + self.deviation * (1.0 - keep * keep).sqrt() * dice.normal();
        self.value
    }

    /// The present value.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.value
    }
}
