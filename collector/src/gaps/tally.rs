//! Readings present by readings expected, per device and day, kept up as readings are stored.
//!
//! How many to expect follows from the interval of each series, which agents tell with their
//! dictionaries. A reading that says that there is no value is not present. Days are those of UTC.

use std::collections::{BTreeMap, HashMap};

use hallwatch_model::{AgentPath, Describe, Labels, Sample, Timestamp};

const DAY: i64 = 24 * 60 * 60 * 1_000;
/// Days that are kept.
const MAX_DAYS: i64 = 400;

/// A device: tenant, site, name.
pub(super) type Device = (String, String, String);

/// One device on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Day {
    /// From when on that day readings were expected, in milliseconds.
    pub(super) since: i64,
    /// Readings that are there.
    pub present: u64,
    /// Readings expected in a second.
    pub(super) rate: f64,
}

/// How complete something is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratio {
    /// Readings that are there.
    pub present: u64,
    /// Readings that should be there by now.
    pub expected: f64,
}

impl Ratio {
    /// 0 to 1; `None` when nothing is expected.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "readings of a day")]
    pub fn value(&self) -> Option<f64> {
        (self.expected >= 1.0).then(|| (self.present as f64 / self.expected).min(1.0))
    }
}

/// The number of the day of a moment, from 1970-01-01.
#[must_use]
pub(super) fn day_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(DAY)
}

/// See the module. Pure.
#[derive(Debug, Default)]
pub struct Tally {
    /// Up to where the store's log was counted.
    pub(super) position: u64,
    /// Series with an interval in milliseconds, by the part of a dictionary that named them.
    pub(super) parts: BTreeMap<(AgentPath, u32), Vec<(Labels, u32)>>,
    pub(super) series: HashMap<Labels, Device>,
    pub(super) rates: BTreeMap<Device, f64>,
    pub(super) days: BTreeMap<(i64, Device), Day>,
}

fn device(labels: &Labels) -> Option<Device> {
    let text = |name| labels.get(name).map(str::to_owned);
    Some((text("tenant")?, text("site")?, text("device")?))
}

impl Tally {
    /// Takes what a dictionary says of intervals; whether that is news.
    pub fn describe(&mut self, agent: &AgentPath, describe: &Describe) -> bool {
        let intervals: HashMap<_, _> = describe.intervals.iter().copied().collect();
        let known = describe.series.iter().filter_map(|(id, labels)| {
            let (tenant, site) = (agent.tenant.as_str(), agent.site.as_str());
            let labels = labels.with("tenant", tenant).with("site", site);
            Some((labels, *intervals.get(id)?))
        });
        let known: Vec<(Labels, u32)> = known.collect();
        let key = (agent.clone(), describe.part);
        if self.parts.get(&key).map_or(known.is_empty(), |before| *before == known) {
            return false;
        }
        self.parts.insert(key, known);
        self.index();
        true
    }

    /// Series and rates from the parts.
    pub(super) fn index(&mut self) {
        self.series.clear();
        self.rates.clear();
        for (labels, millis) in self.parts.values().flatten() {
            let Some(device) = device(labels) else { continue };
            if self.series.insert(labels.clone(), device.clone()).is_none() {
                *self.rates.entry(device).or_default() += 1_000.0 / f64::from((*millis).max(1));
            }
        }
    }

    /// Counts what was stored.
    pub fn count<'a>(&mut self, samples: impl IntoIterator<Item = &'a (Labels, Sample)>) {
        for (labels, sample) in samples {
            let Some(device) = self.series.get(labels) else { continue };
            let number = day_of(sample.time);
            let key = (number, device.clone());
            let day = match self.days.get_mut(&key) {
                Some(day) => day,
                None => {
                    let before = self.days.contains_key(&(number - 1, device.clone()));
                    let time = sample.time.as_millis();
                    let since = if before { number.saturating_mul(DAY) } else { time };
                    self.days.entry(key).or_insert(Day { since, ..Day::default() })
                }
            };
            day.since = day.since.min(sample.time.as_millis());
            day.rate = day.rate.max(self.rates.get(device).copied().unwrap_or(0.0));
            day.present += u64::from(sample.value.is_ok());
        }
    }

    /// Forgets the days from the first to the last of a tenant's devices; and, with `all`, their
    /// intervals.
    pub(super) fn delete_tenant(&mut self, tenant: &str, (first, last): (i64, i64), all: bool) {
        self.days.retain(|(day, (of, ..)), _| of != tenant || !(first..=last).contains(day));
        if all {
            self.parts.retain(|(agent, _), _| agent.tenant.as_str() != tenant);
            self.index();
        }
    }

    /// A device that is silent all day is expected all the same; old days go.
    pub fn turn(&mut self, now: Timestamp) {
        let today = day_of(now);
        let rates: Vec<(Device, f64)> =
            self.rates.iter().map(|(device, rate)| (device.clone(), *rate)).collect();
        for (device, rate) in rates {
            let known = self.days.contains_key(&(today - 1, device.clone()));
            if known {
                let since = today.saturating_mul(DAY);
                self.days.entry((today, device)).or_insert(Day { since, present: 0, rate });
            }
        }
        self.days.retain(|(day, _), _| *day >= today - MAX_DAYS);
    }

    /// How complete each device is on the day `number`, as of `now`.
    pub(super) fn ratios(
        &self,
        number: i64,
        now: Timestamp,
    ) -> impl Iterator<Item = (&Device, Ratio)> {
        let from = (number, Device::default());
        let end = number.saturating_add(1).saturating_mul(DAY).min(now.as_millis());
        self.days.range(from..).take_while(move |((day, _), _)| *day == number).map(
            move |((_, device), day)| {
                let passed = end.saturating_sub(day.since).max(0);
                #[expect(clippy::cast_precision_loss, reason = "a day has few milliseconds")]
                let expected = day.rate * passed as f64 / 1_000.0;
                (device, Ratio { present: day.present, expected })
            },
        )
    }

    /// The series of the devices with their intervals in milliseconds.
    pub(super) fn points(&self) -> impl Iterator<Item = &(Labels, u32)> {
        self.parts.values().flatten()
    }

    /// The store has lost what it had.
    pub(super) fn forget(&mut self) {
        self.position = 0;
        self.days.clear();
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::{Id, Missing, SeriesId};
    use proptest::prelude::*;

    use super::*;

    fn agent() -> AgentPath {
        let id = |text| Id::new(text).unwrap();
        AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
    }

    fn labels(metric: &str) -> Labels {
        Labels::metric(metric, [("device", "ups-a")])
    }

    fn sample(metric: &str, time: i64, value: Result<f64, Missing>) -> (Labels, Sample) {
        let labels = labels(metric).with("tenant", "acme").with("site", "fra-1");
        (labels, Sample { time: Timestamp::from_millis(time), value })
    }

    fn tally() -> Tally {
        let mut tally = Tally::default();
        let describe = Describe {
            series: vec![(SeriesId(0), labels("a")), (SeriesId(1), labels("b"))],
            intervals: vec![(SeriesId(0), 1_000)],
            ..Describe::default()
        };
        assert!(tally.describe(&agent(), &describe));
        assert!(!tally.describe(&agent(), &describe), "no news");
        tally
    }

    #[test]
    fn a_missing_value_is_not_present_and_what_has_no_interval_is_not_expected() {
        let mut tally = tally();
        let start = 20_000 * DAY;
        for second in 0..100 {
            let value = if second < 75 { Ok(1.0) } else { Err(Missing::Timeout) };
            let at = start + second * 1_000;
            tally.count(&[sample("a", at, value), sample("b", at, Ok(1.0))]);
        }
        let now = Timestamp::from_millis(start + 100_000);
        let ratios: Vec<_> = tally.ratios(20_000, now).map(|(_, ratio)| ratio).collect();
        assert_eq!(ratios, [Ratio { present: 75, expected: 100.0 }]);
        assert_eq!(ratios[0].value(), Some(0.75));
        // The next day, silent from midnight on.
        let now = Timestamp::from_millis(start + DAY + 1_000_000);
        tally.turn(now);
        let ratios: Vec<_> = tally.ratios(20_001, now).map(|(_, ratio)| ratio).collect();
        assert_eq!(ratios, [Ratio { present: 0, expected: 1_000.0 }]);
    }

    proptest! {
        #[test]
        fn the_order_of_readings_does_not_matter(
            mut seconds in prop::collection::btree_set(0i64..500_000, 1..60)
                .prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let count = |seconds: &[i64]| {
                let mut tally = tally();
                for second in seconds {
                    tally.count(&[sample("a", second * 1_000, Ok(1.0))]);
                }
                let presents: Vec<_> =
                    tally.days.iter().map(|((day, _), found)| (*day, found.present)).collect();
                presents
            };
            let shuffled = count(&seconds);
            seconds.sort_unstable();
            prop_assert_eq!(&shuffled, &count(&seconds));
            let all: u64 = shuffled.iter().map(|(_, present)| present).sum();
            prop_assert_eq!(all, seconds.len() as u64);
        }
    }
}
