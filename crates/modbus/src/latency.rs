//! How long an answer is waited for.

use std::time::Duration;

/// So many times the latency an answer may take.
const FACTOR: u32 = 4;

/// How long a unit takes to answer: rises at once and falls slowly, so that one quick answer does
/// not make the next slow one a timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    estimate: Duration,
}

impl Latency {
    /// Takes note of an answer that took `time`.
    pub fn answered(&mut self, time: Duration) {
        self.estimate = time.max(self.estimate - self.estimate / 8 + time / 8);
    }

    /// Takes note that there was no answer within `limit`, so that a unit that has become slow is
    /// waited for longer. One that never answered is not.
    pub fn timed_out(&mut self, limit: Duration) {
        if !self.estimate.is_zero() {
            self.estimate = self.estimate.max(limit / 2);
        }
    }

    /// How long to wait for the next answer: four times the latency, from `least` to `most`.
    #[must_use]
    pub fn timeout(&self, least: Duration, most: Duration) -> Duration {
        self.estimate.saturating_mul(FACTOR).min(most).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn follows_the_latency() {
        let mut latency = Latency::default();
        let timeout = |latency: &Latency| latency.timeout(ms(100), ms(2000)).as_millis();
        assert_eq!(timeout(&latency), 100);
        latency.timed_out(ms(100));
        assert_eq!(timeout(&latency), 100, "a unit that never answered");
        latency.answered(ms(10));
        assert_eq!(timeout(&latency), 100);
        latency.answered(ms(200));
        assert_eq!(timeout(&latency), 800);
        latency.answered(ms(40));
        // 200 - 200 / 8 + 40 / 8 = 180.
        assert_eq!(timeout(&latency), 720);
        latency.timed_out(ms(720));
        assert_eq!(timeout(&latency), 1440);
        latency.timed_out(ms(1440));
        assert_eq!(timeout(&latency), 2000, "the most");
    }
}
