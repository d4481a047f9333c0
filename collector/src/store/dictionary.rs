//! What the store knows of one agent: its dictionaries and what came from its runs.

use std::collections::{HashMap, HashSet};

use super::track::Track;

/// Ids below this are looked up in a plain table.
const DENSE: usize = 1 << 16;
/// And those below so many times as many ids as there are: agents number their series from 0 on.
const SPREAD: usize = 4;
/// Dictionaries asked for at most, of one agent.
const MOST_WANTED: usize = 64;

/// The store's numbers of an agent's series ids.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    dense: Vec<u32>,
    /// Those that have no place in the plain table: it would be too large for too few.
    sparse: HashMap<u32, u32>,
    count: usize,
}

impl Dictionary {
    /// The store's number, or `None` when the id was never described.
    pub(super) fn get(&self, id: u32) -> Option<u32> {
        match self.dense.get(id as usize) {
            Some(series) if *series != 0 => Some(*series),
            _ if self.sparse.is_empty() => None,
            _ => self.sparse.get(&id).copied(),
        }
    }

    pub(super) fn set(&mut self, id: u32, series: u32) {
        self.count += usize::from(self.get(id).is_none());
        let at = id as usize;
        if at >= DENSE.max(self.count.saturating_mul(SPREAD)) {
            self.sparse.insert(id, series);
            return;
        }
        self.sparse.remove(&id);
        if self.dense.len() <= at {
            self.dense.resize(at + 1, 0);
        }
        if let Some(place) = self.dense.get_mut(at) {
            *place = series;
        }
    }

    /// Forgets entries that lead to one of these series, sorted.
    pub(super) fn forget(&mut self, series: &[u32]) {
        for place in &mut self.dense {
            if *place != 0 && series.binary_search(place).is_ok() {
                *place = 0;
                self.count -= 1;
            }
        }
        let had = self.sparse.len();
        self.sparse.retain(|_, known| series.binary_search(known).is_err());
        self.count -= had - self.sparse.len();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_ids_are_found_and_none_takes_much_memory() {
        let mut dictionary = Dictionary::default();
        // From 0 on, far apart, and downwards.
        let ids: Vec<u32> = (0..200_000)
            .chain((1..1_000).map(|i| i * 4_000_000))
            .chain((900_000..900_100).rev())
            .chain((200_000..400_000).rev())
            .collect();
        for (id, series) in ids.iter().zip(1..) {
            assert_eq!(dictionary.get(*id), None);
            dictionary.set(*id, series);
            assert!(dictionary.dense.len() <= DENSE.max(4 * series as usize));
        }
        // Described anew.
        for (id, series) in ids.iter().zip(1..).filter(|(id, _)| id.is_multiple_of(3)) {
            dictionary.set(*id, series + 1_000_000);
        }
        let expected =
            |id: u32, series| if id.is_multiple_of(3) { series + 1_000_000 } else { series };
        for (id, series) in ids.iter().zip(1..) {
            assert_eq!(dictionary.get(*id), Some(expected(*id, series)), "{id}");
        }
        assert_eq!(dictionary.count, ids.len());
        dictionary.forget(&[1, 2, 200_002, 1_000_001, 1_000_004]);
        let gone = ids.iter().filter(|id| dictionary.get(**id).is_none()).count();
        assert_eq!((gone, dictionary.count), (4, ids.len() - 4));
        assert!(dictionary.sparse.len() < 2_000, "{} sparse", dictionary.sparse.len());
    }
}
