//! Sums and means that lose as little as floats allow.

/// A sum with Neumaier's compensation, as Prometheus adds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    /// Starts at a value.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self { sum: value, lost: 0.0 }
    }

    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        if sum.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - sum) + value;
        } else {
            self.lost += (value - sum) + self.sum;
        }
        self.sum = sum;
    }

    /// The sum of all, which is what adding one after the other gives; `None` when that is not
    /// finite on the way.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let (first, rest) = values.split_first()?;
        let mut state = Self::new(*first);
        for value in rest {
            // What was lost, without asking which of both is larger: as long as nothing overflows
            // it is the same number.
            let sum = state.sum + value;
            let added = sum - state.sum;
            state.lost += (state.sum - (sum - added)) + (value - added);
            state.sum = sum;
        }
        // What is not finite stays so to the end.
        (state.sum + state.lost).is_finite().then_some(state)
    }

    /// The sum so far.
    #[inline]
    #[must_use]
    pub fn value(self) -> f64 {
        self.sum + self.lost
    }
}

/// A mean: the sum by the count, until the sum overflows; from there on an incremental mean.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    sum: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one value.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self { sum: Sum::new(value), count: 1.0, incremental: false }
    }

    /// The mean of all, which is what taking in one after the other gives; `None` when it is not
    /// the sum by the count.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 values")]
    pub fn of(values: &[f64]) -> Option<Self> {
        let sum = Sum::of(values)?;
        Some(Self { sum, count: values.len() as f64, incremental: false })
    }

    /// Takes in another value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut sum = self.sum;
            sum.add(value);
            if !sum.sum.is_infinite() {
                self.sum = sum;
                return;
            }
            self.incremental = true;
            self.sum.sum /= self.count - 1.0;
            self.sum.lost /= self.count - 1.0;
        }
        let kept = (self.count - 1.0) / self.count;
        self.sum = Sum { sum: kept * self.sum.sum, lost: kept * self.sum.lost };
        self.sum.add(value / self.count);
    }

    /// The mean so far.
    #[must_use]
    pub fn value(self) -> f64 {
        if self.incremental {
            self.sum.value()
        } else {
            self.sum.sum / self.count + self.sum.lost / self.count
        }
    }
}

/// The quantile `q` of `values`, interpolated, NaN being the smallest; changes their order.
#[must_use]
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    let Some(Rank { lower, weight }) = Rank::of(q, values.len()) else {
        return beyond(q, values);
    };
    // Of the order nothing else counts, so nothing else is sorted. Among numbers that are above zero
    // the bits have the order of the values, and integers compare quicker.
    if values.iter().fold(true, |all, value| all & (*value > 0.0)) {
        let above = values.len() - lower;
        if above <= FEW {
            let (low, high) = least_of_largest(values, above);
            return between(low, high, weight);
        }
        let (_, low, above) = values.select_nth_unstable_by_key(lower, |value| value.to_bits());
        let low = *low;
        let high = above.iter().copied().fold(f64::INFINITY, f64::min);
        return between(low, if above.is_empty() { low } else { high }, weight);
    }
    let (_, low, above) = values.select_nth_unstable_by(lower, order);
    let low = *low;
    let high = above.iter().copied().min_by(order).unwrap_or(low);
    between(low, high, weight)
}

/// So many of the largest are found by keeping them in order: a high quantile needs no others.
const FEW: usize = 16;

/// Of the `count` largest of some numbers above zero, [`FEW`] at most, the least and the next, which
/// is the same one where there is but one.
fn least_of_largest(values: &[f64], count: usize) -> (f64, f64) {
    let mut largest = [0.0; FEW];
    let largest = &mut largest[FEW - count..];
    for value in values {
        if *value > largest[0] {
            let mut at = 1;
            while at < count && largest[at] < *value {
                largest[at - 1] = largest[at];
                at += 1;
            }
            largest[at - 1] = *value;
        }
    }
    (largest[0], largest.get(1).copied().unwrap_or(largest[0]))
}

/// Sorts, NaN being the smallest.
pub(super) fn sort(values: &mut [f64]) {
    values.sort_unstable_by(order);
}

/// NaN before all others.
fn order(a: &f64, b: &f64) -> std::cmp::Ordering {
    b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b))
}

/// The quantile `q` of sorted values, interpolated.
#[must_use]
pub(super) fn quantile_of_sorted(q: f64, values: &[f64]) -> f64 {
    let Some(Rank { lower, weight }) = Rank::of(q, values.len()) else {
        return beyond(q, values);
    };
    let low = values[lower];
    between(low, values.get(lower + 1).copied().unwrap_or(low), weight)
}

/// Where a quantile lies: at the value `lower` of those in order, or so far on the way to the next.
struct Rank {
    lower: usize,
    weight: f64,
}

impl Rank {
    /// `None` when it lies nowhere among so many.
    fn of(q: f64, count: usize) -> Option<Self> {
        let last = count.checked_sub(1).filter(|_| (0.0..=1.0).contains(&q))?;
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 values")]
        let rank = q * last as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to last")]
        let lower = (rank.floor().max(0.0) as usize).min(last);
        Some(Self { lower, weight: rank - rank.floor() })
    }
}

/// The quantile of nothing, or beyond all.
fn beyond(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() {
        f64::NAN
    } else if q < 0.0 {
        f64::NEG_INFINITY
    } else if q > 1.0 {
        f64::INFINITY
    } else {
        f64::NAN
    }
}

fn between(low: f64, high: f64, weight: f64) -> f64 {
    low * (1.0 - weight) + high * weight
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_by_one(values: &[f64]) -> (f64, f64) {
        let (mut sum, mut mean) = (Sum::new(values[0]), Mean::new(values[0]));
        for value in &values[1..] {
            sum.add(*value);
            mean.add(*value);
        }
        (sum.value(), mean.value())
    }

    proptest! {
        #[test]
        fn a_quantile_needs_no_order_of_the_values(
            mut values in prop::collection::vec(
                prop_oneof![6 => -9i8..9, 1 => Just(99)].prop_map(|value| match value {
                    99 => f64::NAN,
                    value => f64::from(value) * 0.5,
                }), 1..80
            ),
            q in prop_oneof![4 => 0.0..=1.0f64, 1 => Just(0.0), 1 => Just(1.0)],
            is_positive in any::<bool>(),
        ) {
            if is_positive {
                values.retain(|value| !value.is_nan());
                values.iter_mut().for_each(|value| *value += 5.5);
                values.push(f64::INFINITY);
            }
            let found = quantile(q, &mut values);
            sort(&mut values);
            prop_assert!(values.is_sorted_by(|a, b| a <= b || a.is_nan()));
            prop_assert_eq!(found.to_bits(), quantile_of_sorted(q, &values).to_bits());
        }

        #[test]
        fn of_all_are_what_they_are_one_by_one(
            values in prop::collection::vec(
                prop_oneof![8 => -1e6..1e6f64, 2 => any::<f64>(), 1 => Just(f64::INFINITY)], 1..80
            ),
        ) {
            let (sum, mean) = one_by_one(&values);
            if let Some(all) = Sum::of(&values) {
                prop_assert_eq!(all.value().to_bits(), sum.to_bits());
            }
            if let Some(all) = Mean::of(&values) {
                prop_assert_eq!(all.value().to_bits(), mean.to_bits());
            }
        }
    }

    #[test]
    fn of_what_is_not_finite_there_is_no_short_way() {
        assert!(Sum::of(&[]).is_none());
        assert!(Sum::of(&[1.0, f64::NAN, 2.0]).is_none());
        assert!(Sum::of(&[f64::INFINITY, f64::NEG_INFINITY]).is_none());
        assert!(Mean::of(&[1e308, 1e308, -1e308]).is_none());
        assert_eq!(Mean::of(&[1.0, 2.0]).map(Mean::value), Some(1.5));
    }

    #[test]
    fn keep_what_plain_addition_loses() {
        let mut sum = Sum::new(2.0);
        [8.0, 1e100, -1e100].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.value(), 10.0);
        let mut mean = Mean::new(1e308);
        [1e308, 1e308].into_iter().for_each(|value| mean.add(value));
        assert_eq!(mean.value(), 1e308);
        let mut mean = Mean::new(f64::INFINITY);
        mean.add(0.0);
        assert_eq!(mean.value(), f64::INFINITY);
        assert_eq!(quantile(0.75, &mut [4.0, 1.0, 0.0]), 2.5);
        assert!(quantile(0.2, &mut [0.0, f64::NAN, 1.0]).is_nan());
        assert!(quantile(2.0, &mut []).is_nan());
        assert_eq!(quantile(2.0, &mut [1.0]), f64::INFINITY);
    }
}
