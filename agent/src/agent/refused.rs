//! Readings that were refused, in the log: what the device sent, so that a site engineer sees
//! whether the device, the profile or a limit is wrong. The first time at once, then a summary.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::Uptime;

use crate::profile::Refused;

/// A point that goes on being refused is told again after this.
const SUMMARY: Duration = Duration::from_secs(10 * 60);

/// The points of one device that were refused; never more than its profile has.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    points: BTreeMap<String, Told>,
}

#[derive(Debug)]
struct Told {
    at: Uptime,
    /// Refusals since then.
    more: u64,
}

impl Refusals {
    /// Logs what was refused of `device`, unless it was told a short while ago.
    pub(super) fn log(&mut self, device: &str, refused: &[Refused<'_>], now: Uptime) {
        for one in refused {
            if let Some(count) = self.count(one.point, now) {
                tell(device, one, count);
            }
        }
    }

    /// How many refusals are to be told now; none when it is not the time.
    fn count(&mut self, point: &str, now: Uptime) -> Option<u64> {
        let Some(told) = self.points.get_mut(point) else {
            self.points.insert(point.to_owned(), Told { at: now, more: 0 });
            return Some(1);
        };
        told.more = told.more.saturating_add(1);
        if now.since(told.at) < SUMMARY {
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.more))
    }
}

fn tell(device: &str, refused: &Refused<'_>, count: u64) {
    let raw = refused.raw.map(|raw| format!("{raw:#06x}"));
    let limits = refused.value.map(|_| format!("{} to {}", refused.min, refused.max));
    tracing::warn!(
        device,
        point = refused.point,
        raw,
        value = refused.value,
        limits,
        count,
        "a reading was refused: it is out of range"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_a_number_every_ten_minutes() {
        let mut refusals = Refusals::default();
        let at = |secs| Uptime::new(Duration::from_secs(secs));
        let told: Vec<(u64, u64)> = (0..1_300)
            .filter_map(|second| Some((second, refusals.count("voltage", at(second))?)))
            .collect();
        assert_eq!(told, [(0, 1), (600, 600), (1200, 600)]);
        // Each point by itself; one that comes back after a long while at once.
        assert_eq!(refusals.count("current", at(1_300)), Some(1));
        assert_eq!(refusals.count("current", at(1_301)), None);
        assert_eq!(refusals.count("current", at(90_000)), Some(2));
    }
}
