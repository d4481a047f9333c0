//! Summaries of the samples of a time: what long history is kept as, and which functions of a
//! window it answers.
//!
//! A summary covers the samples after one multiple of its resolution and up to the next, as a
//! range selector does. Over windows that begin and end at such multiples, [`Summable`] functions
//! give what the samples would give: exactly, but that sums are rounded in another order.

use hallwatch_model::sample::is_missing;

use super::sum::Sum;
use super::window::{Extent, stretched};

/// The samples of one series after `end - resolution` and up to `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Milliseconds, a multiple of the resolution.
    pub end: i64,
    /// How many values there are. Without any, only `lost` says something.
    pub count: u32,
    /// The first value and its time, milliseconds.
    pub first: (i64, f64),
    /// The last value and its time, milliseconds.
    pub last: (i64, f64),
    /// The smallest value; NaN only when there is no number.
    pub min: f64,
    /// The largest value; NaN only when there is no number.
    pub max: f64,
    /// All values together.
    pub sum: f64,
    /// What a counter had counted each time before it fell from one of the values to the next,
    /// together.
    pub falls: f64,
    /// The last sample and its time, when it is a missing value.
    pub lost: Option<(i64, f64)>,
}

/// The end of the summary in which a sample at `time` lies.
#[must_use]
pub fn end_of(time: i64, resolution: i64) -> i64 {
    let ends = time.saturating_sub(1).div_euclid(resolution).saturating_add(1);
    ends.saturating_mul(resolution)
}

/// Sums up samples; `times` ascend strictly, missing values are among the values.
#[must_use]
pub fn summarise(times: &[i64], values: &[f64], resolution: i64) -> Vec<Summary> {
    let mut summaries = Vec::new();
    let (mut from, length) = (0, times.len().min(values.len()));
    while from < length {
        let end = end_of(times[from], resolution);
        let to = from + times[from..length].partition_point(|time| *time <= end);
        summaries.push(Summary::of(end, &times[from..to], &values[from..to]));
        from = to;
    }
    summaries
}

impl Summary {
    fn of(end: i64, times: &[i64], values: &[f64]) -> Self {
        let last_sample = times.last().copied().zip(values.last().copied());
        let mut summary = Self {
            end,
            count: 0,
            first: (end, 0.0),
            last: (end, 0.0),
            min: f64::NAN,
            max: f64::NAN,
            sum: 0.0,
            falls: 0.0,
            lost: last_sample.filter(|(_, value)| is_missing(*value)),
        };
        let (mut sum, mut falls) = (Sum::default(), Sum::default());
        for (time, value) in times.iter().zip(values).filter(|(_, value)| !is_missing(**value)) {
            if summary.count == 0 {
                summary.first = (*time, *value);
                sum = Sum::new(*value);
            } else {
                sum.add(*value);
                if *value < summary.last.1 {
                    falls.add(summary.last.1);
                }
            }
            summary.last = (*time, *value);
            summary.min = beat(summary.min, *value, |new, old| new < old);
            summary.max = beat(summary.max, *value, |new, old| new > old);
            summary.count += 1;
        }
        (summary.sum, summary.falls) = (sum.value(), falls.value());
        summary
    }
}

/// The first that no other beats; NaN is beaten by anything.
fn beat(old: f64, new: f64, beats: fn(f64, f64) -> bool) -> f64 {
    if beats(new, old) || old.is_nan() { new } else { old }
}

/// The functions of a window that summaries answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summable {
    /// `min_over_time`
    Min,
    /// `max_over_time`
    Max,
    /// `sum_over_time`
    Sum,
    /// `count_over_time`
    Count,
    /// `avg_over_time`
    Average,
    /// `present_over_time`
    Present,
    /// `first_over_time`
    First,
    /// `last_over_time`
    Last,
    /// `increase`, or `rate`
    Increase {
        /// `rate`
        per_second: bool,
    },
    /// `delta`
    Delta,
}

impl Summable {
    /// The function over the summaries that end after `start` and up to `end`, milliseconds;
    /// `None` when there are too few values.
    #[must_use]
    pub fn over(self, summaries: &[Summary], start: i64, end: i64) -> Option<f64> {
        let some = || summaries.iter().filter(|summary| summary.count > 0);
        let (first, last) = (some().next()?, some().next_back()?);
        let count = || some().map(|summary| f64::from(summary.count)).sum::<f64>();
        let sum = |part: fn(&Summary) -> f64| {
            let mut sum = Sum::new(part(first));
            some().skip(1).for_each(|summary| sum.add(part(summary)));
            sum.value()
        };
        Some(match self {
            Self::Min => some().fold(f64::NAN, |old, one| beat(old, one.min, |a, b| a < b)),
            Self::Max => some().fold(f64::NAN, |old, one| beat(old, one.max, |a, b| a > b)),
            Self::Sum => sum(|summary| summary.sum),
            Self::Count => count(),
            Self::Average => sum(|summary| summary.sum) / count(),
            Self::Present => 1.0,
            Self::First => first.first.1,
            Self::Last => last.last.1,
            Self::Increase { .. } | Self::Delta => {
                let is_counter = self != Self::Delta;
                let mut change = last.last.1 - first.first.1;
                if is_counter {
                    let mut before = f64::NAN;
                    for summary in some() {
                        if summary.first.1 < before {
                            change += before;
                        }
                        change += summary.falls;
                        before = summary.last.1;
                    }
                }
                let extent = Extent {
                    first: first.first,
                    last_time: last.last.0,
                    count: count(),
                    start,
                    end,
                };
                let per_second = self == Self::Increase { per_second: true };
                return stretched(change, &extent, is_counter, per_second);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Missing;
    use hallwatch_model::sample::to_float;
    use proptest::prelude::*;

    use super::super::window::{self, Window};
    use super::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            12 => (-20i32..200).prop_map(|v| f64::from(v) / 10.0),
            1 => Just(f64::NAN),
            2 => Just(to_float(Err(Missing::Timeout))),
        ]
    }

    proptest! {
        #[test]
        fn aligned_windows_give_what_the_samples_give(
            steps in prop::collection::vec((1i64..400, value()), 1..200),
            start in -20i64..60,
            range in 1i64..40,
            resolution in prop::sample::select(vec![100i64, 60]),
        ) {
            let mut time = 0;
            let times: Vec<i64> = steps.iter().map(|(step, _)| { time += step; time }).collect();
            let values: Vec<f64> = steps.iter().map(|(_, value)| *value).collect();
            let summaries = summarise(&times, &values, resolution);
            prop_assert!(summaries.is_sorted_by(|a, b| a.end < b.end));
            let (start, end) = (start * resolution, (start + range) * resolution);
            let (within, there): (Vec<i64>, Vec<f64>) = times
                .iter()
                .zip(&values)
                .filter(|(t, v)| (start + 1..=end).contains(*t) && !is_missing(**v))
                .unzip();
            let part: Vec<Summary> = summaries
                .into_iter()
                .filter(|summary| (start + 1..=end).contains(&summary.end))
                .collect();
            let whole = Window { times: &within, values: &there, start, end };
            for (name, summable) in [
                ("min_over_time", Summable::Min),
                ("max_over_time", Summable::Max),
                ("sum_over_time", Summable::Sum),
                ("count_over_time", Summable::Count),
                ("avg_over_time", Summable::Average),
                ("present_over_time", Summable::Present),
                ("first_over_time", Summable::First),
                ("last_over_time", Summable::Last),
                ("increase", Summable::Increase { per_second: false }),
                ("rate", Summable::Increase { per_second: true }),
                ("delta", Summable::Delta),
            ] {
                let function = window::named(name).unwrap();
                let expected = if within.is_empty() { None } else { function(&whole) };
                let found = summable.over(&part, start, end);
                let close = match (expected, found) {
                    (None, None) => true,
                    (Some(a), Some(b)) => {
                        (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(100.0)
                    }
                    _ => false,
                };
                prop_assert!(close, "{name}: {found:?}, from the samples {expected:?}");
            }
        }
    }

    #[test]
    fn a_counter_that_starts_again_within_or_between_loses_nothing() {
        // 10, 30 | 5 (from 30), 40, 2 (from 40) | 50: up 20 + 5 + 35 + 2 + 48.
        let times = [1_000, 50_000, 70_000, 100_000, 110_000, 170_000];
        let summaries = summarise(&times, &[10.0, 30.0, 5.0, 40.0, 2.0, 50.0], 60_000);
        assert_eq!(summaries.len(), 3);
        let window = Window {
            times: &times,
            values: &[10.0, 30.0, 5.0, 40.0, 2.0, 50.0],
            start: 0,
            end: 180_000,
        };
        let increase = Summable::Increase { per_second: false }.over(&summaries, 0, 180_000);
        assert_eq!(increase, window::named("increase").unwrap()(&window));
        assert!(increase.unwrap() >= 110.0);
    }
}
