//! Comparisons of a selector, or of a function of its window, with a number. Most never hold, and
//! mostly each sample alone shows that: then nothing is calculated.
//!
//! A *witness* is a sample without which the comparison cannot hold. `avg_over_time(x[5m]) > 30`
//! needs one above 30, `rate(x[5m]) > 2` one that rose by more than 2 a second since the one before.
//! As long as none is in the window the result is empty, whatever the function would give.

use super::leaf::Over;
use crate::functions::binary::Operator;

/// So much of a bound is left to rounding: what a function calculates may lie on the other side of
/// what all its samples keep to, by a few units in the last place for each sample.
const ROUNDING: f64 = 1.0 / 1_048_576.0;
/// Closer to zero than this, that would be nothing.
const SMALLEST: f64 = 1e-280;

/// A comparison with a number, whose result is what is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    op: Operator,
    bound: f64,
    witness: Witness,
}

/// What a sample has to be like.
#[derive(Clone, Copy, Debug)]
enum Witness {
    /// It compares like this with the number.
    Value(Operator, f64),
    /// It has risen more than this in a millisecond, fallen, or nobody can tell.
    Rise(f64),
}

impl Guard {
    /// Of the values themselves.
    pub(super) fn of_values(op: Operator, bound: f64) -> Self {
        Self { op, bound, witness: Witness::Value(op, bound) }
    }

    /// Of a function of a window of so many milliseconds. `None` when there is no sign that each
    /// sample bears.
    pub(super) fn of_window(over: Over, range: i64, op: Operator, bound: f64) -> Option<Self> {
        let from_above = match op {
            Operator::Greater | Operator::GreaterOrEqual => true,
            Operator::Less | Operator::LessOrEqual => false,
            _ => return None,
        };
        // At zero there is nothing to leave to rounding, so it must not count as passed.
        let is_strict = matches!(op, Operator::Greater | Operator::Less);
        let is_clear = bound.is_finite() && (bound.abs() > SMALLEST || (bound == 0.0 && is_strict));
        let margin = bound.abs() * ROUNDING;
        let witness = match over {
            Over::Extreme { largest } if largest == from_above => Witness::Value(op, bound),
            Over::Between(_) | Over::Quantile(_) if is_clear => {
                Witness::Value(op, if from_above { bound - margin } else { bound + margin })
            }
            // No rate is higher than the steepest rise between two samples: what is extrapolated
            // beyond them is never more than the rest of the window.
            Over::Counter { per_second } if from_above && is_clear && bound >= 0.0 => {
                #[expect(clippy::cast_precision_loss, reason = "2^53 ms is the year 287396")]
                let millis = if per_second { 1000.0 } else { range as f64 };
                Witness::Rise((bound - margin) / millis)
            }
            _ => return None,
        };
        Some(Self { op, bound, witness })
    }

    /// Whether the comparison holds.
    #[inline]
    pub(super) fn holds(&self, value: f64) -> bool {
        self.op.apply(value, self.bound) != 0.0
    }

    /// Whether a sample that is newer than all others is a witness. `before` is the newest one
    /// until then, NaN when it was missing.
    #[inline]
    pub(super) fn is_witness(&self, before: Option<(i64, f64)>, time: i64, value: f64) -> bool {
        match (self.witness, before) {
            (Witness::Value(op, limit), _) => op.apply(value, limit) != 0.0,
            (Witness::Rise(_), None) => false,
            (Witness::Rise(limit), Some((before_at, before))) => {
                #[expect(clippy::cast_precision_loss, reason = "2^53 ms is the year 287396")]
                let most = limit * time.saturating_sub(before_at) as f64;
                // What is not a number is a witness.
                !(0.0..=most).contains(&(value - before))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::functions::window::{self, Window, quantile_over_time};

    fn average() -> Over {
        Over::Between(window::named("avg_over_time").unwrap())
    }

    fn value() -> impl Strategy<Value = f64> {
        let number = prop_oneof![Just(0.1), Just(0.3), Just(1e15), Just(1e300), Just(5e-324)];
        prop_oneof![
            6 => (-5i8..5).prop_map(f64::from),
            4 => (number, -3i8..3).prop_map(|(number, times)| number * f64::from(times)),
            4 => -100.0..100.0f64,
            1 => any::<f64>(),
            1 => Just(f64::NAN),
            1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::MAX)],
        ]
    }

    /// Counters that rise evenly come closest to what the bound of their rise is.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        prop_oneof![
            prop::collection::vec(value(), 1..40),
            (value(), 1usize..40).prop_map(|(value, count)| vec![value; count]),
            (0.0..1e16f64, 0.0..3.0f64, 1usize..40).prop_map(|(first, step, count)| {
                (0..count).map(|i| first + step * i as f64).collect()
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// The bound is what the function gives, or right beside it: there it is decided by the last bit.
        #[test]
        fn without_a_witness_a_comparison_does_not_hold(
            values in values(),
            gaps in prop::collection::vec(1i64..20_000, 40),
            even in any::<bool>(),
            (before, after) in (0i64..30_000, 0i64..30_000),
            which in 0usize..6,
            op in prop_oneof![
                Just(Operator::Greater), Just(Operator::GreaterOrEqual),
                Just(Operator::Less), Just(Operator::LessOrEqual), Just(Operator::Equal),
            ],
            beside in prop_oneof![Just(0.0f64), Just(1e-16), Just(-1e-16), Just(-1e-7), Just(1e-5), Just(-1.0)],
            q in 0.0..=1.0f64,
        ) {
            let gaps = gaps.iter().map(|gap| if even { 1000 } else { *gap });
            let times: Vec<i64> =
                gaps.scan(0, |at, gap| { *at += gap; Some(*at) }).take(values.len()).collect();
            let (start, end) = (times[0] - 1 - before, times[times.len() - 1] + after);
            let window = Window { times: &times, values: &values, start, end };
            let (over, name) = [
                (average(), "avg_over_time"),
                (Over::Quantile(0), "quantile_over_time"),
                (Over::Extreme { largest: true }, "max_over_time"),
                (Over::Extreme { largest: false }, "min_over_time"),
                (Over::Counter { per_second: true }, "rate"),
                (Over::Counter { per_second: false }, "increase"),
            ][which];
            let result = match window::named(name) {
                Some(function) => function(&window),
                None => quantile_over_time(&window, q),
            };
            let Some(result) = result else { return Ok(()) };
            for bound in [result + result.abs() * beside, beside, values[0]] {
                let Some(guard) = Guard::of_window(over, end - start, op, bound) else { continue };
                let mut last = None;
                let mut witnesses = 0;
                for (time, value) in times.iter().zip(&values) {
                    witnesses += u32::from(guard.is_witness(last, *time, *value));
                    last = Some((*time, *value));
                }
                prop_assert!(
                    witnesses > 0 || !guard.holds(result),
                    "{name} = {result:e} {op:?} {bound:e}: {window:?}"
                );
            }
        }
    }

    #[test]
    fn only_what_each_sample_shows_has_witnesses() {
        use Operator::{Equal, Greater, GreaterOrEqual, Less};
        let rate = Over::Counter { per_second: true };
        let has = |over, op, bound| Guard::of_window(over, 60_000, op, bound).is_some();
        assert!(has(rate, Greater, 0.0) && has(rate, GreaterOrEqual, 1.0));
        assert!(!has(rate, Less, 1.0) && !has(rate, Greater, -1.0) && !has(rate, Equal, 1.0));
        assert!(!has(rate, GreaterOrEqual, 0.0) && !has(rate, Greater, f64::NAN));
        assert!(has(Over::Extreme { largest: true }, Greater, f64::INFINITY));
        assert!(!has(Over::Extreme { largest: true }, Less, 1.0));
        assert!(has(average(), Less, -3.0) && !has(average(), Less, 1e-300));
    }

    #[test]
    fn a_counter_is_watched_by_its_steepest_rise() {
        let rate = Over::Counter { per_second: true };
        let guard = Guard::of_window(rate, 60_000, Operator::Greater, 2.0).unwrap();
        let is_witness = |before: f64, value: f64| guard.is_witness(Some((0, before)), 1000, value);
        assert!(!guard.is_witness(None, 1000, 5.0));
        assert!(!is_witness(7.0, 8.9) && is_witness(7.0, 9.1));
        assert!(is_witness(7.0, 0.0), "it has started again");
        assert!(is_witness(f64::NAN, 0.0) && is_witness(f64::INFINITY, f64::INFINITY));
    }
}
