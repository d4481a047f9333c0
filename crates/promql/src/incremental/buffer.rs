//! Samples of one series in the order of time.

use std::hint::black_box;

/// Samples in the order of time, each with a number that it keeps.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Buffer {
    times: Vec<i64>,
    values: Vec<f64>,
    /// Samples at the front that are no longer asked for.
    head: usize,
    /// Samples that were removed from the front.
    removed: usize,
}

impl Buffer {
    pub(super) fn times(&self) -> &[i64] {
        &self.times[self.head..]
    }

    pub(super) fn values(&self) -> &[f64] {
        &self.values[self.head..]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, f64)> {
        self.times().iter().copied().zip(self.values().iter().copied())
    }

    /// The number of the first sample.
    pub(super) fn first(&self) -> usize {
        self.removed + self.head
    }

    /// Adds a sample that is newer than all others. Those up to `until` may go when there is no
    /// room: to look at the first one each time would be one more place in memory to wait for.
    #[inline]
    pub(super) fn push(&mut self, time: i64, value: f64, until: i64) {
        if self.times.len() == self.times.capacity() {
            self.trim(until);
        }
        self.times.push(time);
        self.values.push(value);
    }

    /// Adds a sample, or replaces the one of its time.
    pub(super) fn insert(&mut self, time: i64, value: f64) {
        match self.times[self.head..].binary_search(&time) {
            Ok(at) => self.values[self.head + at] = value,
            Err(at) => {
                self.times.insert(self.head + at, time);
                self.values.insert(self.head + at, value);
            }
        }
    }

    pub(super) fn remove(&mut self, time: i64) {
        if let Ok(at) = self.times[self.head..].binary_search(&time) {
            self.times.remove(self.head + at);
            self.values.remove(self.head + at);
        }
    }

    /// Lets go of samples up to `until`.
    pub(super) fn trim(&mut self, until: i64) {
        while self.times.get(self.head).is_some_and(|time| *time <= until) {
            self.head += 1;
        }
        if self.head >= 16 && self.head * 2 >= self.times.len() {
            self.times.drain(..self.head);
            self.values.drain(..self.head);
            self.removed += self.head;
            self.head = 0;
        }
    }

    /// Loads its end, where samples are added.
    #[inline]
    pub(super) fn foresee(&self) {
        black_box((self.times.last().copied(), self.values.last().copied()));
    }

    pub(super) fn bytes(&self) -> usize {
        (self.times.capacity() + self.values.capacity()) * 8
    }

    /// Lets go of all samples, and of their memory. Those to come get other numbers.
    pub(super) fn clear(&mut self) {
        let removed = self.removed + self.times.len();
        *self = Self { removed, ..Self::default() };
    }
}
