//! When a device's turn is.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use hallwatch_model::Uptime;

/// Turns at a fixed distance, shifted by a hash of the device's name, so that a site's devices are
/// not all asked at once and each keeps its own moment.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    interval: Duration,
    offset: Duration,
}

impl Slots {
    /// The turns of `device`, every `interval` (more than zero).
    #[must_use]
    pub fn new(device: &str, interval: Duration) -> Self {
        let mut hasher = DefaultHasher::new();
        device.hash(&mut hasher);
        let interval = interval.max(Duration::from_millis(1));
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self { interval, offset: Duration::from_millis(hasher.finish() % millis) }
    }

    /// The first turn after `now`, and how many turns lie between `before` (not included) and
    /// `now` (included).
    #[must_use]
    pub fn after(&self, before: Uptime, now: Uptime) -> (Uptime, u64) {
        let number = |at: Uptime| match at.elapsed().checked_sub(self.offset) {
            Some(passed) => passed.as_nanos() / self.interval.as_nanos() + 1,
            None => 0,
        };
        let next = u32::try_from(number(now)).unwrap_or(u32::MAX);
        let passed = number(now).saturating_sub(number(before));
        let at = self.offset.saturating_add(self.interval.saturating_mul(next));
        (Uptime::new(at), u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_evenly_spaced_and_differ_between_devices() {
        let second = Duration::from_secs(1);
        let slots = Slots::new("pdu-1", second);
        let (first, _) = slots.after(Uptime::ZERO, Uptime::ZERO);
        assert!(first.elapsed() < 2 * second);
        let (next, passed) = slots.after(first, first);
        assert_eq!((next.since(first), passed), (second, 0));
        let (next, passed) = slots.after(first, first + second * 7 / 2);
        assert_eq!((next.since(first), passed), (4 * second, 3));
        let moments: std::collections::BTreeSet<_> = (0..50)
            .map(|n| Slots::new(&format!("pdu-{n}"), second).after(Uptime::ZERO, Uptime::ZERO).0)
            .collect();
        assert!(moments.len() > 40, "{moments:?}");
    }
}
