//! What the store knows of one agent: its dictionaries and what came from its runs.

use std::collections::{HashMap, HashSet};

use super::track::Track;

/// Ids below this are looked up in a plain table.
const DENSE: u32 = 1 << 16;
/// Dictionaries asked for at most, of one agent.
const MOST_WANTED: usize = 64;

/// The store's numbers of an agent's series ids.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    dense: Vec<u32>,
    sparse: HashMap<u32, u32>,
}

impl Dictionary {
    /// The store's number, or `None` when the id was never described.
    pub(super) fn get(&self, id: u32) -> Option<u32> {
        if id < DENSE {
            self.dense.get(id as usize).copied().filter(|series| *series != 0)
        } else {
            self.sparse.get(&id).copied()
        }
    }

    pub(super) fn set(&mut self, id: u32, series: u32) {
        if id >= DENSE {
            self.sparse.insert(id, series);
            return;
        }
        let at = id as usize;
        if self.dense.len() <= at {
            self.dense.resize(at + 1, 0);
        }
        if let Some(place) = self.dense.get_mut(at) {
            *place = series;
        }
    }
}

impl Dictionary {
    /// Forgets entries that lead to one of these series, sorted.
    pub(super) fn forget(&mut self, series: &[u32]) {
        for place in &mut self.dense {
            if series.binary_search(place).is_ok() {
                *place = 0;
            }
        }
        self.sparse.retain(|_, known| series.binary_search(known).is_err());
    }
}

/// One agent.
#[derive(Debug, Default)]
pub(super) struct Agent {
    /// Its number in the store.
    pub(super) id: i64,
    pub(super) dictionaries: HashMap<u64, Dictionary>,
    /// By boot, with when a batch of it was last seen.
    pub(super) tracks: HashMap<u64, (Track, i64)>,
    /// Dictionaries that batches named and nobody described.
    wanted: HashSet<u64>,
}

impl Agent {
    pub(super) fn new(id: i64) -> Self {
        Self { id, ..Self::default() }
    }

    /// Forgets runs that were last seen before `expired`.
    pub(super) fn forget_before(&mut self, expired: i64) {
        self.tracks.retain(|_, (_, seen)| *seen >= expired);
    }

    pub(super) fn want(&mut self, dictionary: u64) {
        if self.wanted.len() < MOST_WANTED {
            self.wanted.insert(dictionary);
        }
    }

    pub(super) fn described(&mut self, dictionary: u64) {
        self.wanted.remove(&dictionary);
    }

    pub(super) fn wants(&self) -> bool {
        !self.wanted.is_empty()
    }
}
