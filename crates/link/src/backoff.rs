//! How long to wait before the next attempt.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::options::Backoff;

impl Backoff {
    /// The pause after failure number `failures` (from 1) in a row.
    pub(crate) fn pause(self, client_id: &str, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.first.saturating_mul(1 << doublings).min(self.most);
        let mut hasher = DefaultHasher::new();
        (client_id, failures).hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 1_000).unwrap_or(0);
        full / 2 + full / 2 * share / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_stay_bounded_and_differ_between_clients() {
        let backoff = Backoff::default();
        let mut before = Duration::ZERO;
        for failures in 1..200 {
            let pause = backoff.pause("gw-1", failures);
            assert!(pause <= backoff.most, "{failures}: {pause:?}");
            assert!(pause >= backoff.first / 2, "{failures}: {pause:?}");
            if failures % 3 == 0 && failures < 9 {
                assert!(pause > before, "{failures}: {pause:?}");
                before = pause;
            }
        }
        assert_ne!(backoff.pause("gw-1", 5), backoff.pause("gw-2", 5));
    }
}
