//! What is kept of a series: its last sample, and as much of its past as the operators ask for.

use std::hint::black_box;

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

    /// Adds a sample that is newer than all others. Those up to `until` may go when there is no
    /// room: to look at the first one each time would be one more place in memory to wait for.
    #[inline]
    fn push(&mut self, time: i64, value: f64, until: i64) {
        if self.times.len() == self.times.capacity() {
            self.trim(until);
        }
        self.times.push(time);
        self.values.push(value);
    }

    /// Adds a sample, or replaces the one of its time.
    fn insert(&mut self, time: i64, value: f64) {
        match self.times[self.head..].binary_search(&time) {
            Ok(at) => self.values[self.head + at] = value,
            Err(at) => {
                self.times.insert(self.head + at, time);
                self.values.insert(self.head + at, value);
            }
        }
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

    /// Loads its end, where samples are added.
    #[inline]
    fn foresee(&self) {
        black_box((self.times.last().copied(), self.values.last().copied()));
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
    /// It replaced the newest one: windows have to be calculated anew.
    Replaced,
    /// It came before the newest one: windows have to be calculated anew.
    Older,
}

/// A row of an operator that reads series.
pub(super) type Reader = (NodeId, Slot);

/// In the place of a reader when there is none.
const NOBODY: Reader = (NodeId::MAX, Slot::MAX);

/// A series that some operator reads. What every sample asks for stands together, at the front, in
/// one line of the processor's cache: with more series than that holds, each line takes longer to
/// come than all that is calculated.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Track {
    /// The time of the newest sample; the earliest of all before there is one.
    newest: i64,
    /// Its value, a missing one too.
    value: f64,
    /// How far back `samples` has to reach, in milliseconds; zero when nobody asks.
    pub(super) reach: i64,
    /// The same of `history`.
    pub(super) history_reach: i64,
    /// The first rows that read it, without gaps.
    readers: [Reader; 4],
    /// Samples that are values, for windows.
    pub(super) samples: Buffer,
    /// The other rows that read it.
    more_readers: Vec<Reader>,
    /// The rows that only ask whether its newest sample is a value, and not too old.
    pub(super) observers: Vec<Reader>,
    /// All samples, for selectors with an offset.
    pub(super) history: Buffer,
    pub(super) labels: Labels,
}

impl Track {
    pub(super) fn new(labels: Labels) -> Self {
        Self {
            labels,
            newest: i64::MIN,
            value: 0.0,
            samples: Buffer::default(),
            history: Buffer::default(),
            reach: 0,
            history_reach: 0,
            readers: [NOBODY; 4],
            more_readers: Vec::new(),
            observers: Vec::new(),
        }
    }

    /// The newest sample, a missing one too.
    #[inline]
    pub(super) fn last(&self) -> Option<(i64, f64)> {
        (self.newest != i64::MIN).then_some((self.newest, self.value))
    }

    /// The rows that read it.
    #[inline]
    pub(super) fn readers(&self) -> impl Iterator<Item = &Reader> {
        let first = self.readers.iter().take_while(|reader| **reader != NOBODY);
        first.chain(&self.more_readers)
    }

    pub(super) fn add_reader(&mut self, reader: Reader) {
        match self.readers.iter_mut().find(|place| **place == NOBODY) {
            Some(place) => *place = reader,
            None => self.more_readers.push(reader),
        }
    }

    /// Whether its newest sample is a value that is not too old.
    pub(super) fn has_value(&self, now: i64, lookback: i64) -> bool {
        self.last()
            .is_some_and(|(time, value)| time.saturating_add(lookback) > now && !is_missing(value))
    }

    /// Loads its own lines, which say where its samples are.
    #[inline]
    pub(super) fn foresee(&self) {
        black_box((self.newest, self.samples.head));
    }

    /// Loads what [`Track::take`] will look at of the samples.
    #[inline]
    pub(super) fn foresee_samples(&self) {
        if self.reach > 0 {
            self.samples.foresee();
        }
    }

    pub(super) fn take(&mut self, time: i64, value: f64, now: i64) -> Taken {
        let newest = self.last().is_none_or(|(last, _)| last < time);
        let older = self.last().is_some_and(|(last, _)| last > time);
        if !older {
            (self.newest, self.value) = (time, value);
        }
        // What is newer than the newest is not compared with what the buffers end with: that would
        // be one more place in memory to wait for.
        if self.reach > 0 {
            match (is_missing(value), newest) {
                (false, true) => self.samples.push(time, value, now.saturating_sub(self.reach)),
                (false, false) => self.samples.insert(time, value),
                (true, true) => {}
                (true, false) => self.samples.remove(time),
            }
        }
        if self.history_reach > 0 {
            // The last one before is the value until the next one.
            self.history.trim(now.saturating_sub(self.history_reach));
            if newest {
                self.history.push(time, value, i64::MIN);
            } else {
                self.history.insert(time, value);
            }
        }
        match (older, newest) {
            (true, _) => Taken::Older,
            (_, true) => Taken::Newest,
            _ => Taken::Replaced,
        }
    }

    /// Lets go of samples that no window asks for any more.
    pub(super) fn trim(&mut self, now: i64) {
        if self.reach > 0 {
            self.samples.trim(now.saturating_sub(self.reach));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.samples.bytes()
            + self.history.bytes()
            + (self.more_readers.capacity() + self.observers.capacity()) * size_of::<Reader>()
    }
}
