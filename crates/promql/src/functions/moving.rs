//! The costly window functions for windows that move forward over one series: each sample is taken
//! in once and leaves once, and the result is the same as over the whole window.

use std::collections::VecDeque;

use super::sum::{quantile_of_sorted, sort};
use super::window::{Window, extrapolated};

/// The samples of a series that a moving window still holds, by their numbers in the series.
#[derive(Clone, Debug, Default)]
struct Span {
    from: usize,
    to: usize,
}

impl Span {
    /// Moves to the window that starts with the sample `from`; how many of its samples are known.
    fn advance(&mut self, from: usize, window: &Window<'_>) -> usize {
        let known = self.to.max(from) - from;
        *self = Self { from, to: from + window.values.len() };
        known.min(window.values.len())
    }
}

/// `min_over_time` and `max_over_time`.
#[derive(Clone, Debug)]
pub struct Extreme {
    largest: bool,
    span: Span,
    /// Candidates, the best first: each is worse than the one before, and later.
    candidates: VecDeque<(usize, f64)>,
}

impl Extreme {
    /// The largest, or the smallest, of a new series.
    #[must_use]
    pub fn new(largest: bool) -> Self {
        Self { largest, span: Span::default(), candidates: VecDeque::new() }
    }

    /// The value of the window whose first sample is the one with the number `from`; numbers and
    /// windows only move forward.
    pub fn value(&mut self, from: usize, window: &Window<'_>) -> Option<f64> {
        let known = self.span.advance(from, window);
        while self.candidates.front().is_some_and(|(number, _)| *number < from) {
            self.candidates.pop_front();
        }
        let new = window.values.iter().enumerate().skip(known).filter(|(_, value)| !value.is_nan());
        for (number, value) in new {
            let beaten = |old: f64| if self.largest { old < *value } else { old > *value };
            while self.candidates.back().is_some_and(|(_, old)| beaten(*old)) {
                self.candidates.pop_back();
            }
            self.candidates.push_back((from + number, *value));
        }
        // Without a candidate there is nothing but NaN.
        self.candidates.front().map(|(_, value)| *value).or(window.values.first().copied())
    }

    /// The number of the sample that is the value of the last window, unless all are NaN. As long
    /// as it does not leave and no other comes, the value stays.
    #[must_use]
    pub fn best(&self) -> Option<usize> {
        self.candidates.front().map(|(number, _)| *number)
    }
}

/// `quantile_over_time`.
#[derive(Clone, Debug, Default)]
pub struct Quantile {
    span: Span,
    values: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Quantile {
    /// The quantile `q` of the window whose first sample is the one with the number `from`; numbers
    /// and windows only move forward.
    pub fn value(&mut self, from: usize, window: &Window<'_>, q: f64) -> Option<f64> {
        let gone = from.saturating_sub(self.span.from).min(self.values.len());
        let known = self.span.advance(from, window);
        let new = &window.values[known..];
        // Many changes are cheaper to sort than to insert.
        if gone + new.len() > window.values.len() / 4 {
            self.values.clear();
            self.values.extend(window.values);
            self.sorted.clear();
            self.sorted.extend(window.values);
            sort(&mut self.sorted);
        } else {
            for value in self.values.drain(..gone) {
                let at = position(&self.sorted, value);
                self.sorted.remove(at);
            }
            for value in new {
                let at = position(&self.sorted, *value);
                self.sorted.insert(at, *value);
                self.values.push_back(*value);
            }
        }
        (!self.sorted.is_empty()).then(|| quantile_of_sorted(q, &self.sorted))
    }
}

/// Where `value` is, or belongs; NaN comes first.
fn position(sorted: &[f64], value: f64) -> usize {
    if value.is_nan() {
        0
    } else {
        sorted.partition_point(|other| other.is_nan() || *other < value)
    }
}

/// `rate` and `increase`.
#[derive(Clone, Debug)]
pub struct Counter {
    per_second: bool,
    span: Span,
    /// The samples that are lower than the one before, and what was before: there the counter has
    /// started again.
    falls: VecDeque<(usize, f64)>,
    last: f64,
}

impl Counter {
    /// The rate per second, or the increase over the window, of a new series.
    #[must_use]
    pub fn new(per_second: bool) -> Self {
        Self { per_second, span: Span::default(), falls: VecDeque::new(), last: f64::NAN }
    }

    /// The value of the window whose first sample is the one with the number `from`; numbers and
    /// windows only move forward.
    pub fn value(&mut self, from: usize, window: &Window<'_>) -> Option<f64> {
        let known = self.span.advance(from, window);
        // A fall counts if the sample before it is in the window too.
        while self.falls.front().is_some_and(|(number, _)| *number <= from) {
            self.falls.pop_front();
        }
        if known == 0 {
            self.last = f64::NAN;
        }
        for (number, value) in window.values.iter().enumerate().skip(known) {
            if *value < self.last {
                self.falls.push_back((from + number, self.last));
            }
            self.last = *value;
        }
        let lost = self.falls.iter().map(|(_, before)| *before);
        extrapolated(window, Some(lost), self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::window::{self, quantile_over_time};
    use super::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![8 => (-5i8..5).prop_map(f64::from), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]
    }

    proptest! {
        #[test]
        fn give_what_the_whole_window_gives(
            values in prop::collection::vec(value(), 1..60),
            moves in prop::collection::vec((0usize..7, 0usize..9), 1..30),
            q in 0.0..1.0f64,
        ) {
            let times: Vec<i64> = (0i64..).map(|i| i * 1000).take(values.len()).collect();
            let mut movers = (Extreme::new(true), Extreme::new(false), Quantile::default());
            let mut counters = (Counter::new(true), Counter::new(false));
            let (mut from, mut to) = (0, 0);
            for (ahead, longer) in moves {
                to = (to + longer).min(values.len());
                from = (from + ahead).min(to);
                let (start, end) = (from as i64 * 1000 - 1, to as i64 * 1000);
                let window = Window { times: &times[from..to], values: &values[from..to], start, end };
                let whole = |name| window::named(name).and_then(|function| function(&window));
                let pairs = [
                    (movers.0.value(from, &window), whole("max_over_time")),
                    (movers.1.value(from, &window), whole("min_over_time")),
                    (movers.2.value(from, &window, q), quantile_over_time(&window, q)),
                    (counters.0.value(from, &window), whole("rate")),
                    (counters.1.value(from, &window), whole("increase")),
                ];
                for (i, (moving, whole)) in pairs.into_iter().enumerate() {
                    let bits = |v: Option<f64>| v.map(|v| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() });
                    prop_assert_eq!(bits(moving), bits(whole), "pair {}", i);
                }
            }
        }
    }
}
