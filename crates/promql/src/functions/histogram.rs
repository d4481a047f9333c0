//! Quantiles and fractions of classic histograms.

/// A bucket: how many observations were at most `upper_bound`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The label `le`.
    pub upper_bound: f64,
    /// Cumulative.
    pub count: f64,
}

/// A quantile, and whether counts had to be raised to make them cumulative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The estimate.
    pub value: f64,
    /// The buckets were inconsistent by more than float noise.
    pub forced_monotonic: bool,
}

/// Relative differences below this are noise of float calculations and are corrected silently.
const NOISE: f64 = 1e-12;

/// The quantile `q` by linear interpolation within the bucket that it falls into.
#[must_use]
pub fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> Quantile {
    let plain = |value| Quantile { value, forced_monotonic: false };
    if q.is_nan() {
        return plain(f64::NAN);
    }
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    if !merge(buckets) {
        return plain(f64::NAN);
    }
    let forced_monotonic = make_monotonic(buckets);
    let value = interpolated(q, buckets);
    Quantile { value, forced_monotonic }
}

fn interpolated(q: f64, buckets: &[Bucket]) -> f64 {
    let [finite @ .., last] = buckets else { return f64::NAN };
    let Some(highest) = finite.last() else { return f64::NAN };
    let observations = last.count;
    if observations == 0.0 || observations.is_nan() {
        return f64::NAN;
    }
    let mut rank = q * observations;
    let Some(at) = finite.iter().position(|bucket| bucket.count >= rank) else {
        return highest.upper_bound;
    };
    let Bucket { upper_bound, mut count } = finite[at];
    let mut lower_bound = 0.0;
    match at.checked_sub(1).map(|before| finite[before]) {
        None if upper_bound <= 0.0 => return upper_bound,
        None => {}
        Some(before) => {
            lower_bound = before.upper_bound;
            count -= before.count;
            rank -= before.count;
        }
    }
    lower_bound + (upper_bound - lower_bound) * (rank / count)
}

/// Sorts by bound and adds up what has the same bound. False when the bucket for everything (+Inf)
/// is not there.
fn merge(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
    let mut merged: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets.drain(..) {
        match merged.last_mut() {
            Some(last) if last.upper_bound == bucket.upper_bound => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    *buckets = merged;
    buckets.last().is_some_and(|bucket| bucket.upper_bound == f64::INFINITY)
}

fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    let Some(mut before) = buckets.first().map(|bucket| bucket.count) else { return forced };
    for bucket in buckets.iter_mut().skip(1) {
        if almost_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < NOISE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < NOISE
}

/// Which part of the observations lies between `lower` and `upper`.
#[must_use]
pub fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !merge(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |bucket| bucket.count);
    if count == 0.0 || count.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets, count) - rank_of(lower, buckets, count)) / count
}

/// How many observations lie below `value`.
fn rank_of(value: f64, buckets: &[Bucket], count: f64) -> f64 {
    let mut rank = 0.0;
    let mut lower_bound = f64::NEG_INFINITY;
    for (i, bucket) in buckets.iter().enumerate() {
        if i == 0 && bucket.upper_bound > 0.0 {
            lower_bound = 0.0;
        }
        if lower_bound >= value {
            return rank;
        }
        if bucket.upper_bound > value {
            // A bucket without a width cannot be interpolated in.
            if lower_bound == f64::NEG_INFINITY {
                return bucket.count;
            }
            if bucket.upper_bound == f64::INFINITY {
                return rank;
            }
            let part = (value - lower_bound) / (bucket.upper_bound - lower_bound);
            return (rank + (bucket.count - rank) * part).min(count);
        }
        rank = bucket.count;
        lower_bound = bucket.upper_bound;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs
            .iter()
            .map(|(upper_bound, count)| Bucket { upper_bound: *upper_bound, count: *count })
            .collect()
    }

    #[test]
    fn interpolate_and_repair() {
        let honest = [(2.0, 1.0), (4.0, 2.0), (f64::INFINITY, 2.0), (0.0, 0.0)];
        assert_eq!(quantile(0.75, &mut buckets(&honest)).value, 3.0);
        assert_eq!(fraction(1.0, 3.0, &mut buckets(&honest)), 0.5);
        let broken = [(1.0, 5.0), (2.0, 3.0), (f64::INFINITY, 6.0)];
        assert!(quantile(0.5, &mut buckets(&broken)).forced_monotonic);
        assert!(quantile(0.5, &mut buckets(&[(1.0, 1.0)])).value.is_nan());
    }
}
