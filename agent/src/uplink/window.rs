//! What one probe met in one interval.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Missing, Value};

use super::failure::Failure;

/// The percentiles that are reported: the label `quantile` and the part, in percent.
pub const QUANTILES: [(&str, usize); 3] = [("0.5", 50), ("0.9", 90), ("0.99", 99)];

/// The outcomes of one probe since the last report.
#[derive(Clone, Debug, Default)]
pub struct Window {
    latencies: Vec<Duration>,
    failures: BTreeMap<Failure, u32>,
}

impl Window {
    /// A good answer came.
    pub fn answered(&mut self, latency: Duration) {
        self.latencies.push(latency);
    }

    /// None came, or a bad one.
    pub fn failed(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }

    /// How many probes were answered well.
    #[must_use]
    pub fn good(&self) -> usize {
        self.latencies.len()
    }

    /// How many were not.
    #[must_use]
    pub fn bad(&self) -> usize {
        self.failures.values().map(|count| usize::try_from(*count).unwrap_or(usize::MAX)).sum()
    }

    /// The part of all decided probes that was not answered well, 0 to 1; missing when none was
    /// decided.
    #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "far below 2^53")]
    pub fn loss(&self) -> Value {
        let (good, bad) = (self.good() as f64, self.bad() as f64);
        if good + bad > 0.0 { Ok(bad / (good + bad)) } else { Err(Missing::NotAvailable) }
    }

    /// The latencies in the order of [`QUANTILES`], in seconds. Exact, by nearest rank: the
    /// smallest latency that at least so many percent of the answers do not exceed. Without an
    /// answer each is missing, for the most frequent failure's reason.
    pub fn quantiles(&mut self) -> [Value; QUANTILES.len()] {
        self.latencies.sort_unstable();
        QUANTILES.map(|(_, percent)| {
            let rank = (self.latencies.len() * percent).div_ceil(100);
            let latency = rank.checked_sub(1).and_then(|at| self.latencies.get(at));
            latency.map(Duration::as_secs_f64).ok_or_else(|| self.why_none())
        })
    }

    fn why_none(&self) -> Missing {
        // Of equally frequent ones the first in the order of the enum.
        let most = self.failures.iter().rev().max_by_key(|(_, count)| **count);
        most.map_or(Missing::NotAvailable, |(failure, _)| failure.missing())
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.latencies.clear();
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(latencies: impl IntoIterator<Item = u64>) -> Window {
        let mut window = Window::default();
        latencies.into_iter().for_each(|ms| window.answered(Duration::from_millis(ms)));
        window
    }

    #[test]
    fn percentiles_are_exact() {
        let mut hundred = of((1..=100).rev().map(|n| n * 1000));
        assert_eq!(hundred.quantiles(), [Ok(50.0), Ok(90.0), Ok(99.0)]);
        let mut ten = of((1..=10).map(|n| n * 1000));
        assert_eq!(ten.quantiles(), [Ok(5.0), Ok(9.0), Ok(10.0)]);
        assert_eq!(of([7000]).quantiles(), [Ok(7.0); 3]);
    }

    #[test]
    fn what_is_missing_says_why() {
        let mut window = Window::default();
        assert_eq!(window.loss(), Err(Missing::NotAvailable));
        assert_eq!(window.quantiles(), [Err(Missing::NotAvailable); 3]);
        window.failed(Failure::Timeout);
        window.failed(Failure::Refused);
        assert_eq!(window.quantiles(), [Err(Missing::Timeout); 3]);
        window.failed(Failure::Refused);
        assert_eq!(window.quantiles(), [Err(Missing::NotAvailable); 3]);
        assert_eq!(window.loss(), Ok(1.0));
        window.answered(Duration::ZERO);
        assert_eq!(window.loss(), Ok(0.75));
        assert_eq!(window.quantiles(), [Ok(0.0); 3]);
        window.clear();
        assert_eq!((window.good(), window.bad()), (0, 0));
    }

    proptest! {
        #[test]
        fn a_percentile_is_the_least_that_so_many_do_not_exceed(
            latencies in prop::collection::vec(0u64..50, 1..300),
        ) {
            let quantiles = of(latencies.iter().copied()).quantiles();
            for ((_, percent), value) in QUANTILES.into_iter().zip(quantiles) {
                let value = value.unwrap();
                let seconds = |ms: &u64| Duration::from_millis(*ms).as_secs_f64();
                let within = |limit: f64| {
                    latencies.iter().filter(|ms| seconds(ms) <= limit).count() * 100
                };
                prop_assert!(within(value) >= percent * latencies.len());
                if let Some(below) =
                    latencies.iter().map(seconds).filter(|s| *s < value).max_by(f64::total_cmp)
                {
                    prop_assert!(within(below) < percent * latencies.len());
                }
            }
        }
    }
}
