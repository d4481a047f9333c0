//! Aggregations over the values of a group at one time.

use super::sum::{Mean, Sum};

/// An aggregation operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `count`
    Count,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `group`
    Group,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `topk`
    Topk,
    /// `bottomk`
    Bottomk,
    /// `limitk`
    Limitk,
    /// `limit_ratio`
    LimitRatio,
    /// `quantile`
    Quantile,
    /// `count_values`
    CountValues,
}

impl Aggregation {
    /// The aggregation as PromQL writes it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "count" => Self::Count,
            "min" => Self::Min,
            "max" => Self::Max,
            "group" => Self::Group,
            "stddev" => Self::Stddev,
            "stdvar" => Self::Stdvar,
            "topk" => Self::Topk,
            "bottomk" => Self::Bottomk,
            "limitk" => Self::Limitk,
            "limit_ratio" => Self::LimitRatio,
            "quantile" => Self::Quantile,
            "count_values" => Self::CountValues,
            _ => return None,
        })
    }
}

/// An aggregation that folds values into one state of fixed size.
pub trait Fold: Copy {
    /// Starts with the first value.
    fn new(value: f64) -> Self;
    /// Takes in another.
    fn add(&mut self, value: f64);
    /// The result.
    fn value(self) -> f64;
}

impl Fold for Sum {
    #[inline]
    fn new(value: f64) -> Self {
        Self::new(value)
    }
    #[inline]
    fn add(&mut self, value: f64) {
        self.add(value);
    }
    fn value(self) -> f64 {
        self.value()
    }
}

impl Fold for Mean {
    #[inline]
    fn new(value: f64) -> Self {
        Self::new(value)
    }
    #[inline]
    fn add(&mut self, value: f64) {
        self.add(value);
    }
    fn value(self) -> f64 {
        self.value()
    }
}

/// How many values there are.
#[derive(Clone, Copy, Debug)]
pub struct Count(f64);

impl Fold for Count {
    fn new(_: f64) -> Self {
        Self(1.0)
    }
    fn add(&mut self, _: f64) {
        self.0 += 1.0;
    }
    fn value(self) -> f64 {
        self.0
    }
}

/// 1, if there are any.
#[derive(Clone, Copy, Debug)]
pub struct Group;

impl Fold for Group {
    fn new(_: f64) -> Self {
        Self
    }
    fn add(&mut self, _: f64) {}
    fn value(self) -> f64 {
        1.0
    }
}

/// The smallest; NaN only if all are.
#[derive(Clone, Copy, Debug)]
pub struct Min(f64);

impl Fold for Min {
    fn new(value: f64) -> Self {
        Self(value)
    }
    fn add(&mut self, value: f64) {
        if self.0 > value || self.0.is_nan() {
            self.0 = value;
        }
    }
    fn value(self) -> f64 {
        self.0
    }
}

/// The largest; NaN only if all are.
#[derive(Clone, Copy, Debug)]
pub struct Max(f64);

impl Fold for Max {
    fn new(value: f64) -> Self {
        Self(value)
    }
    fn add(&mut self, value: f64) {
        if self.0 < value || self.0.is_nan() {
            self.0 = value;
        }
    }
    fn value(self) -> f64 {
        self.0
    }
}

/// The population variance, by Welford's method.
#[derive(Clone, Copy, Debug)]
pub struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Fold for Variance {
    fn new(value: f64) -> Self {
        let squares = if value.is_finite() { 0.0 } else { f64::NAN };
        Self { count: 1.0, mean: value, squares }
    }
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }
    fn value(self) -> f64 {
        self.squares / self.count
    }
}

/// The square root of [`Variance`].
#[derive(Clone, Copy, Debug)]
pub struct Deviation(Variance);

impl Fold for Deviation {
    fn new(value: f64) -> Self {
        Self(Variance::new(value))
    }
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }
    fn value(self) -> f64 {
        self.0.value().sqrt()
    }
}

/// The `k` largest (or smallest) values that were offered, with the number each came with. Of equal
/// values those stay that Prometheus keeps: it is the same binary heap.
#[derive(Clone, Debug)]
pub struct Best {
    k: usize,
    largest: bool,
    heap: Vec<(f64, usize)>,
}

impl Best {
    /// Keeps `k` values.
    #[must_use]
    pub fn new(k: usize, largest: bool) -> Self {
        Self { k, largest, heap: Vec::new() }
    }

    /// Whether `a` is worse than `b` and has to go first. NaN is worse than anything.
    fn worse(&self, a: f64, b: f64) -> bool {
        a.is_nan() || if self.largest { a < b } else { a > b }
    }

    /// Offers a value.
    pub fn offer(&mut self, value: f64, number: usize) {
        if self.heap.len() < self.k {
            self.heap.push((value, number));
            self.sift_up();
        } else if let Some((worst, _)) = self.heap.first().copied() {
            let beats = if self.largest { worst < value } else { worst > value };
            if beats || (worst.is_nan() && !value.is_nan()) {
                self.heap[0] = (value, number);
                self.sift_down();
            }
        }
    }

    fn sift_up(&mut self) {
        let mut at = self.heap.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.worse(self.heap[at].0, self.heap[parent].0) {
                break;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self) {
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            if left >= self.heap.len() {
                break;
            }
            let right = left + 1;
            let child =
                if right < self.heap.len() && self.worse(self.heap[right].0, self.heap[left].0) {
                    right
                } else {
                    left
                };
            if !self.worse(self.heap[child].0, self.heap[at].0) {
                break;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    /// What was kept, the best first, NaN last.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<(f64, usize)> {
        let largest = self.largest;
        self.heap.sort_by(|(a, _), (b, _)| {
            let order = a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
            a.is_nan().cmp(&b.is_nan()).then(if largest { order.reverse() } else { order })
        });
        self.heap
    }
}

/// Whether `limit_ratio` with this ratio (from -1 to 1) takes a series whose labels have this hash.
/// A ratio and its complement (`ratio - 1`) never take the same series.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "the hash is a position between 0 and 1")]
pub fn ratio_takes(ratio: f64, hash: u64) -> bool {
    let position = hash as f64 / u64::MAX as f64;
    (ratio >= 0.0 && position < ratio) || (ratio < 0.0 && position >= 1.0 + ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_the_best_and_nan_last() {
        let kept = |largest: bool| {
            let mut best = Best::new(2, largest);
            [f64::NAN, 1.0, 3.0, 2.0].iter().enumerate().for_each(|(i, v)| best.offer(*v, i));
            best.into_sorted().iter().map(|(_, number)| *number).collect::<Vec<_>>()
        };
        assert_eq!(kept(true), [2, 3]);
        assert_eq!(kept(false), [1, 3]);
        let mut with_nan = Best::new(9, true);
        [f64::NAN, 1.0].iter().enumerate().for_each(|(i, v)| with_nan.offer(*v, i));
        assert_eq!(with_nan.into_sorted().last().map(|(_, number)| *number), Some(0));
    }

    #[test]
    fn a_ratio_and_its_complement_share_nothing() {
        for hash in [0, 1, u64::MAX / 5, u64::MAX / 2, u64::MAX - 1] {
            assert!(ratio_takes(0.2, hash) != ratio_takes(-0.8, hash));
        }
    }
}
