//! Heads by the number of their series, side by side: a batch names neighbours one after the other,
//! so that one lock and a few lines of memory in a row serve many of its points.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use super::head::Head;
use super::shared::lock;

/// Heads under one lock: as many as one byte counts.
pub(super) const SHARD: usize = 256;

/// The heads of series whose numbers differ in the lowest byte alone.
#[derive(Debug)]
pub(super) struct Shard(Mutex<Heads>);

#[derive(Debug)]
pub(super) struct Heads(Box<[Head; SHARD]>);

/// The head of one series, locked with its neighbours'.
pub(super) struct Held<'a> {
    heads: MutexGuard<'a, Heads>,
    series: u32,
}

/// Which shard has the head of a series.
pub(super) fn shard_of(series: u32) -> usize {
    series as usize / SHARD
}

impl Default for Shard {
    fn default() -> Self {
        Self(Mutex::new(Heads(Box::new(std::array::from_fn(|_| Head::default())))))
    }
}

impl Shard {
    pub(super) fn lock(&self) -> MutexGuard<'_, Heads> {
        lock(&self.0)
    }

    pub(super) fn head(&self, series: u32) -> Held<'_> {
        Held { heads: self.lock(), series }
    }
}

impl Heads {
    pub(super) fn get(&self, series: u32) -> &Head {
        let [at, ..] = series.to_le_bytes();
        &self.0[usize::from(at)]
    }

    pub(super) fn get_mut(&mut self, series: u32) -> &mut Head {
        let [at, ..] = series.to_le_bytes();
        &mut self.0[usize::from(at)]
    }
}

impl Deref for Held<'_> {
    type Target = Head;

    fn deref(&self) -> &Head {
        self.heads.get(self.series)
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Head {
        self.heads.get_mut(self.series)
    }
}
