//! Functions over the samples of one series in a time window.

use super::sum::{Mean, Sum, quantile};

/// The samples of one series after `start` and up to `end`.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Milliseconds, ascending, later than `start` and not later than `end`.
    pub times: &'a [i64],
    /// As many as `times`; none of them missing.
    pub values: &'a [f64],
    /// Milliseconds, exclusive.
    pub start: i64,
    /// Milliseconds, inclusive.
    pub end: i64,
}

/// A function of a window alone; `None` when the window has too few samples.
pub type Function = fn(&Window<'_>) -> Option<f64>;

/// The function with this PromQL name.
#[must_use]
pub fn named(name: &str) -> Option<Function> {
    Some(match name {
        "rate" => |window| extrapolated(window, Some(falls(window)), true),
        "increase" => |window| extrapolated(window, Some(falls(window)), false),
        "delta" => |window| extrapolated(window, None::<std::iter::Empty<f64>>, false),
        "irate" => irate,
        "idelta" => |window| last_two(window).map(|(_, before, last)| last - before),
        "changes" => |window| pairs(window, |a, b| a != b && !(a.is_nan() && b.is_nan())),
        "resets" => |window| pairs(window, |a, b| b < a),
        "deriv" => deriv,
        "avg_over_time" => |window| {
            let mean = Mean::of(window.values);
            mean.or_else(|| fold(window, Mean::new, Mean::add)).map(Mean::value)
        },
        "sum_over_time" => |window| {
            let sum = Sum::of(window.values);
            sum.or_else(|| fold(window, Sum::new, Sum::add)).map(Sum::value)
        },
        "count_over_time" => |window| window.first().map(|_| count(window.values.len())),
        "present_over_time" => |window| window.first().map(|_| 1.0),
        "min_over_time" => {
            |window| extreme(window, |new, old| new < old).map(|at| window.values[at])
        }
        "max_over_time" => {
            |window| extreme(window, |new, old| new > old).map(|at| window.values[at])
        }
        "ts_of_min_over_time" => {
            |window| extreme(window, |new, old| new <= old).map(|at| seconds(window.times[at]))
        }
        "ts_of_max_over_time" => {
            |window| extreme(window, |new, old| new >= old).map(|at| seconds(window.times[at]))
        }
        "first_over_time" => |window| window.first(),
        "last_over_time" => |window| window.values.last().copied(),
        "ts_of_first_over_time" => |window| window.times.first().map(|time| seconds(*time)),
        "ts_of_last_over_time" => |window| window.times.last().map(|time| seconds(*time)),
        "stddev_over_time" => |window| variance(window).map(f64::sqrt),
        "stdvar_over_time" => variance,
        "mad_over_time" => median_absolute_deviation,
        _ => return None,
    })
}

impl Window<'_> {
    fn first(&self) -> Option<f64> {
        self.values.first().copied()
    }
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 samples")]
fn count(length: usize) -> f64 {
    length as f64
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ms is the year 287396")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn fold<S>(
    window: &Window<'_>,
    new: impl FnOnce(f64) -> S,
    add: impl Fn(&mut S, f64),
) -> Option<S> {
    let (first, rest) = window.values.split_first()?;
    let mut state = new(*first);
    rest.iter().for_each(|value| add(&mut state, *value));
    Some(state)
}

/// The first sample that no other one beats; NaN is beaten by anything.
fn extreme(window: &Window<'_>, beats: impl Fn(f64, f64) -> bool) -> Option<usize> {
    let mut best = 0;
    for (at, value) in window.values.iter().enumerate() {
        if beats(*value, window.values[best]) || window.values[best].is_nan() {
            best = at;
        }
    }
    (!window.values.is_empty()).then_some(best)
}

fn pairs(window: &Window<'_>, counts: impl Fn(f64, f64) -> bool) -> Option<f64> {
    window.first()?;
    let found = window.values.windows(2).filter(|pair| counts(pair[0], pair[1])).count();
    Some(count(found))
}

/// Seconds between the last two samples, and the two.
fn last_two(window: &Window<'_>) -> Option<(f64, f64, f64)> {
    let [.., before, last] = window.values else { return None };
    let [.., time_before, time_last] = window.times else { return None };
    Some((seconds(time_last.saturating_sub(*time_before)), *before, *last))
}

fn irate(window: &Window<'_>) -> Option<f64> {
    let (interval, before, last) = last_two(window)?;
    // A counter that fell has started again from zero.
    let rise = if last < before { last } else { last - before };
    (interval != 0.0).then(|| rise / interval)
}

/// What a counter had counted each time before it started again from zero.
fn falls(window: &Window<'_>) -> impl Iterator<Item = f64> {
    window.values.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0])
}

/// The change over the window, extrapolated to its ends where samples come close enough to them,
/// but never to before a counter was zero. Of a counter, `falls` says what it lost.
pub(super) fn extrapolated(
    window: &Window<'_>,
    falls: Option<impl Iterator<Item = f64>>,
    per_second: bool,
) -> Option<f64> {
    let [first, .., last] = window.values else { return None };
    let [first_time, .., last_time] = window.times else { return None };
    let is_counter = falls.is_some();
    let mut change = last - first;
    for lost in falls.into_iter().flatten() {
        change += lost;
    }
    let extent = Extent {
        first: (*first_time, *first),
        last_time: *last_time,
        count: count(window.values.len()),
        start: window.start,
        end: window.end,
    };
    stretched(change, &extent, is_counter, per_second)
}

/// Where in a window its samples lie.
pub(super) struct Extent {
    /// The first sample.
    pub(super) first: (i64, f64),
    /// When the last one is.
    pub(super) last_time: i64,
    pub(super) count: f64,
    /// The window, as in [`Window`].
    pub(super) start: i64,
    pub(super) end: i64,
}

/// The change from the first to the last sample, as that over the window. `None` of one sample.
pub(super) fn stretched(
    change: f64,
    extent: &Extent,
    is_counter: bool,
    per_second: bool,
) -> Option<f64> {
    if extent.count < 2.0 {
        return None;
    }
    let (first_time, first) = extent.first;
    let mut to_start = seconds(first_time.saturating_sub(extent.start));
    let mut to_end = seconds(extent.end.saturating_sub(extent.last_time));
    let sampled = seconds(extent.last_time.saturating_sub(first_time));
    let between = sampled / (extent.count - 1.0);
    // Farther from the end of the window than this, the series is taken to start or end there.
    let threshold = between * 1.1;
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    if is_counter && change > 0.0 && first >= 0.0 {
        to_start = to_start.min(sampled * (first / change));
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if per_second {
        factor /= seconds(extent.end.saturating_sub(extent.start));
    }
    Some(change * factor)
}

fn variance(window: &Window<'_>) -> Option<f64> {
    window.first()?;
    let (mut mean, mut squares, mut n) = (Sum::default(), Sum::default(), 0.0);
    for value in window.values {
        n += 1.0;
        let delta = value - mean.value();
        mean.add(delta / n);
        squares.add(delta * (value - mean.value()));
    }
    Some(squares.value() / n)
}

fn median_absolute_deviation(window: &Window<'_>) -> Option<f64> {
    if window.values.iter().any(|value| value.is_nan()) {
        return Some(f64::NAN);
    }
    window.first()?;
    let mut values = window.values.to_vec();
    let median = quantile(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    Some(quantile(0.5, &mut values))
}

/// `quantile_over_time`: `q` should lie between 0 and 1.
#[must_use]
pub fn quantile_over_time(window: &Window<'_>, q: f64) -> Option<f64> {
    window.first()?;
    Some(quantile(q, &mut window.values.to_vec()))
}

/// Slope per second and value at `origin` (milliseconds) of the line through the samples.
fn regression(window: &Window<'_>, origin: i64) -> (f64, f64) {
    let first = window.values[0];
    if window.values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = count(window.values.len());
    let [mut x, mut y, mut xy, mut xx] = [Sum::default(); 4];
    for (time, value) in window.times.iter().zip(window.values) {
        let at = seconds(time.saturating_sub(origin));
        x.add(at);
        y.add(*value);
        xy.add(at * value);
        xx.add(at * at);
    }
    let [x, y, xy, xx] = [x, y, xy, xx].map(Sum::value);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

fn deriv(window: &Window<'_>) -> Option<f64> {
    let [first, _, ..] = window.times else { return None };
    Some(regression(window, *first).0)
}

/// `predict_linear`: the value `ahead` seconds after `now` (milliseconds).
#[must_use]
pub fn predict_linear(window: &Window<'_>, now: i64, ahead: f64) -> Option<f64> {
    if window.values.len() < 2 {
        return None;
    }
    let (slope, value) = regression(window, now);
    Some(slope * ahead + value)
}

/// `double_exponential_smoothing`: both factors must lie between 0 and 1.
#[must_use]
pub fn smooth(window: &Window<'_>, smoothing: f64, trend_factor: f64) -> Option<f64> {
    let [first, second, ..] = window.values else { return None };
    let (mut before, mut level, mut trend) = (0.0, *first, second - first);
    for (i, value) in window.values.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, times: &[i64], values: &[f64], start: i64, end: i64) -> Option<f64> {
        named(name).and_then(|function| function(&Window { times, values, start, end }))
    }

    #[test]
    fn extrapolate_no_farther_than_to_where_a_counter_was_zero() {
        let times: Vec<i64> = (0..11).map(|i| i * 300_000).collect();
        let rising = |first: f64| (0..11).map(|i| first + 10.0 * f64::from(i)).collect::<Vec<_>>();
        let over = |first| check("increase", &times, &rising(first), -3_000_000, 3_000_000);
        assert_eq!(over(0.0), Some(100.0));
        assert_eq!(over(1.0), Some(101.0));
        assert_eq!(over(10.0), Some(105.0));
        assert_eq!(check("rate", &[0], &[1.0], -1, 1), None);
    }

    #[test]
    fn see_a_counter_start_again() {
        assert_eq!(check("resets", &[1, 2, 3], &[3.0, 1.0, 2.0], 0, 3), Some(1.0));
        assert_eq!(check("irate", &[1000, 2000], &[3.0, 1.0], 0, 2000), Some(1.0));
        assert_eq!(check("idelta", &[1000, 2000], &[3.0, 1.0], 0, 2000), Some(-2.0));
    }
}
