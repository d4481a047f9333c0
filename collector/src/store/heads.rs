//! Heads by the number of their series, side by side: a batch names neighbours one after the other,
//! so that one lock and a few lines of memory in a row serve many of its points.

use std::sync::{Mutex, MutexGuard};

use super::head::{Columns, Head, Pushed, Segments};
use super::shared::lock;

/// Heads under one lock: as many as one byte counts.
pub(super) const SHARD: usize = 256;

/// The heads of series whose numbers differ in the lowest byte alone.
#[derive(Debug, Default)]
pub(super) struct Shard(Mutex<Heads>);

#[derive(Debug)]
pub(super) struct Heads {
    heads: Box<[Head; SHARD]>,
    segments: Segments,
    /// A bit for each: there is such a series.
    live: [u64; SHARD / 64],
}

/// The head of one series, locked with its neighbours'.
pub(super) struct Held<'a> {
    heads: MutexGuard<'a, Heads>,
    series: u32,
}

/// What is read of one head.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    head: &'a Head,
    segments: &'a Segments,
}

/// Which shard has the head of a series.
pub(super) fn shard_of(series: u32) -> usize {
    series as usize / SHARD
}

fn place(series: u32) -> usize {
    let [at, ..] = series.to_le_bytes();
    usize::from(at)
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            heads: Box::new(std::array::from_fn(|_| Head::default())),
            segments: Segments::default(),
            live: [0; SHARD / 64],
        }
    }
}

impl Shard {
    pub(super) fn lock(&self) -> MutexGuard<'_, Heads> {
        lock(&self.0)
    }

    pub(super) fn head(&self, series: u32) -> Held<'_> {
        Held { heads: self.lock(), series }
    }

    /// As [`Shard::head`], when there is such a series.
    pub(super) fn live(&self, series: u32) -> Option<Held<'_>> {
        let heads = self.lock();
        heads.is_live(series).then_some(Held { heads, series })
    }

    /// There is such a series from now on.
    pub(super) fn begin(&self, series: u32) {
        self.lock().begin(series);
    }

    /// There is no such series any more.
    pub(super) fn end(&self, series: u32) {
        self.lock().end(series);
    }
}

impl Heads {
    pub(super) fn get(&self, series: u32) -> View<'_> {
        View { head: &self.heads[place(series)], segments: &self.segments }
    }

    fn get_mut(&mut self, series: u32) -> (&mut Head, &mut Segments) {
        (&mut self.heads[place(series)], &mut self.segments)
    }

    /// Adds a sample, unless there is one at its time.
    pub(super) fn push(&mut self, series: u32, time: i64, value: f64) -> Pushed {
        let (head, segments) = self.get_mut(series);
        head.push(segments, time, value)
    }

    /// Reads a little of what pushes to these series will need, each without waiting for the one
    /// before: of many series it is outside of the processor's caches, and that is most of the work.
    pub(super) fn look_ahead(&self, series: impl Iterator<Item = u32>) {
        let peek = |one| self.heads[place(one)].peek(&self.segments);
        std::hint::black_box(series.map(peek).fold(0, |all: u8, one| all ^ one));
    }

    /// Whether there is such a series.
    pub(super) fn is_live(&self, series: u32) -> bool {
        let at = place(series);
        self.live[at / 64] >> (at % 64) & 1 == 1
    }

    fn begin(&mut self, series: u32) {
        let at = place(series);
        self.live[at / 64] |= 1 << (at % 64);
    }

    fn end(&mut self, series: u32) {
        let (head, segments) = self.get_mut(series);
        head.clear(segments);
        let at = place(series);
        self.live[at / 64] &= !(1 << (at % 64));
    }
}

impl View<'_> {
    /// See [`Head::last`].
    pub(super) fn last(self) -> Option<(i64, f64)> {
        self.head.last()
    }

    /// See [`Head::last_between`].
    pub(super) fn last_between(self, start: i64, end: i64) -> Option<(i64, f64)> {
        self.head.last_between(self.segments, start, end)
    }

    /// See [`Head::read`].
    pub(super) fn read(self, start: i64, end: i64, to: &mut Columns) {
        self.head.read(self.segments, start, end, to);
    }
}

impl Held<'_> {
    fn view(&self) -> View<'_> {
        self.heads.get(self.series)
    }

    /// See [`Head::last`].
    pub(super) fn last(&self) -> Option<(i64, f64)> {
        self.view().last()
    }

    /// See [`Head::read`].
    pub(super) fn read(&self, start: i64, end: i64, to: &mut Columns) {
        self.view().read(start, end, to);
    }

    /// See [`Head::touches`].
    pub(super) fn touches(&self, start: i64, end: i64) -> bool {
        self.view().head.touches(start, end)
    }

    /// See [`Head::windows`].
    pub(super) fn windows(&self) -> Vec<i64> {
        self.view().head.windows()
    }

    /// See [`Head::bytes`].
    pub(super) fn bytes(&self) -> usize {
        self.view().head.bytes()
    }

    /// See [`Head::drop_window`].
    pub(super) fn drop_window(&mut self, number: i64) {
        let (head, segments) = self.heads.get_mut(self.series);
        head.drop_window(segments, number);
    }

    /// See [`Head::remove`].
    pub(super) fn remove(&mut self, start: i64, end: i64) {
        let (head, segments) = self.heads.get_mut(self.series);
        head.remove(segments, start, end);
    }
}
