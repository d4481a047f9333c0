//! The only source of chance of a run.

use std::time::Duration;

use hallwatch_plant::noise;

/// The plant's seeded generator, in the terms of a plan of faults: the same numbers for the same
/// seed.
#[derive(Clone, Debug)]
pub struct Dice(noise::Dice);

impl Dice {
    /// A generator for this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(noise::Dice::new(seed))
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.bits() % end }
    }

    /// An index below `end`; 0 when there is none.
    pub fn index(&mut self, end: usize) -> usize {
        self.0.index(end)
    }

    /// A time from `least` to `most`, in milliseconds.
    pub fn time(&mut self, least: Duration, most: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let span = millis(most.saturating_sub(least));
        least + Duration::from_millis(self.below(span.saturating_add(1)))
    }

    /// True in `percent` of all cases.
    pub fn hits(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Puts `things` into a random order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for at in (1..things.len()).rev() {
            things.swap(at, self.index(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_all_of_a_range() {
        let draw = |seed| -> Vec<u64> {
            let mut dice = Dice::new(seed);
            (0..1_000).map(|_| dice.below(7)).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((0..7).all(|number| draw(1).contains(&number)));
        let mut things: Vec<u32> = (0..50).collect();
        Dice::new(3).shuffle(&mut things);
        assert_ne!(things, (0..50).collect::<Vec<_>>());
        things.sort_unstable();
        assert_eq!(things, (0..50).collect::<Vec<_>>());
    }
}
