//! What is kept of a series: its last sample, and as much of its past as the operators ask for.

use hallwatch_model::Labels;
use hallwatch_model::sample::is_missing;

use super::node::{NodeId, Slot};

/// Samples in the order of time, each with a number that it keeps.
#[derive(Debug, Default)]
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

    /// The number of the first sample.
    pub(super) fn first(&self) -> usize {
        self.removed + self.head
    }

    /// Whether the sample was only added at the end.
    fn insert(&mut self, time: i64, value: f64) -> bool {
        if self.times.last().is_none_or(|last| *last < time) {
            self.times.push(time);
            self.values.push(value);
            return true;
        }
        match self.times[self.head..].binary_search(&time) {
            Ok(at) => self.values[self.head + at] = value,
            Err(at) => {
                self.times.insert(self.head + at, time);
                self.values.insert(self.head + at, value);
            }
        }
        false
    }

    fn remove(&mut self, time: i64) {
        if let Ok(at) = self.times[self.head..].binary_search(&time) {
            self.times.remove(self.head + at);
            self.values.remove(self.head + at);
        }
    }

    /// Lets go of samples up to `until`.
    fn trim(&mut self, until: i64) {
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

    pub(super) fn bytes(&self) -> usize {
        (self.times.capacity() + self.values.capacity()) * 8
    }
}

/// How a series took a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the newest.
    Newest,
    /// It came between others, or replaced one: windows have to be calculated anew.
    Between,
}

/// A series that some operator reads.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) labels: Labels,
    /// The newest sample, a missing one too.
    pub(super) last: Option<(i64, f64)>,
    /// Samples that are values, for windows.
    pub(super) samples: Buffer,
    /// All samples, for selectors with an offset.
    pub(super) history: Buffer,
    /// How far back `samples` has to reach, in milliseconds; zero when nobody asks.
    pub(super) reach: i64,
    /// The same of `history`.
    pub(super) history_reach: i64,
    /// The rows that read it.
    pub(super) readers: Vec<(NodeId, Slot)>,
}

impl Track {
    pub(super) fn new(labels: Labels) -> Self {
        Self {
            labels,
            last: None,
            samples: Buffer::default(),
            history: Buffer::default(),
            reach: 0,
            history_reach: 0,
            readers: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, time: i64, value: f64, now: i64) -> Taken {
        let newest = self.last.is_none_or(|(last, _)| last < time);
        if self.last.is_none_or(|(last, _)| last <= time) {
            self.last = Some((time, value));
        }
        let mut appended = true;
        if self.reach > 0 {
            self.samples.trim(now.saturating_sub(self.reach));
            if !is_missing(value) {
                appended &= self.samples.insert(time, value);
            } else if !newest {
                self.samples.remove(time);
                appended = false;
            }
        }
        if self.history_reach > 0 {
            // The last one before is the value until the next one.
            self.history.trim(now.saturating_sub(self.history_reach));
            appended &= self.history.insert(time, value);
        }
        if newest && appended { Taken::Newest } else { Taken::Between }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.samples.bytes()
            + self.history.bytes()
            + self.readers.capacity() * size_of::<(NodeId, Slot)>()
    }
}
