//! What the store knows of one agent: its dictionaries and what came from its runs.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::track::Track;

/// Ids below this are looked up in a plain table: 4 KB of it, however few there are.
const DENSE: usize = 1 << 10;
/// And those below so many times as many ids as there are: agents number their series from 0 on.
const SPREAD: usize = 4;
/// Dictionaries asked for at most, of one agent.
const MOST_WANTED: usize = 64;
/// Dictionaries kept of one agent. It has one for as long as its journal lives.
pub(super) const MOST_DICTIONARIES: usize = 16;
/// Runs kept of one agent. What is sent again of one that is forgotten changes no sample.
pub(super) const MOST_RUNS: usize = 256;
/// The dictionary of series that only dictionaries named that are no more; an id is the number of
/// its series. An agent's own dictionary of this number is kept in memory alone.
pub(super) const RETIRED: u64 = u64::MAX;

/// The store's numbers of an agent's series ids.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    dense: Vec<u32>,
    /// Those that have no place in the plain table: it would be too large for too few.
    sparse: HashMap<u32, u32>,
    count: usize,
    /// The higher, the later it was used.
    used: u64,
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
        // What has its place in the plain table is found there first, however few are left of it.
        let dense = DENSE.max(self.count.saturating_mul(SPREAD)).max(self.dense.len());
        if at >= dense {
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
                self.count = self.count.saturating_sub(1);
            }
        }
        let had = self.sparse.len();
        self.sparse.retain(|_, known| series.binary_search(known).is_err());
        self.count = self.count.saturating_sub(had - self.sparse.len());
    }

    /// How many ids it has.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The series that it names.
    pub(super) fn series(&self) -> impl Iterator<Item = u32> {
        self.dense.iter().filter(|series| **series != 0).chain(self.sparse.values()).copied()
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
    /// Counts the uses of dictionaries.
    uses: u64,
}

impl Agent {
    pub(super) fn new(id: i64) -> Self {
        Self { id, ..Self::default() }
    }

    /// Forgets runs that were last seen before `expired`.
    pub(super) fn forget_before(&mut self, expired: i64) {
        self.tracks.retain(|_, (_, seen)| *seen >= expired);
    }

    /// Takes note that a batch names the dictionary, or that it is described.
    pub(super) fn used(&mut self, dictionary: u64) {
        self.uses += 1;
        if let Some(known) = self.dictionaries.get_mut(&dictionary) {
            known.used = self.uses;
        }
    }

    /// The dictionaries that are too many, those that were used last left out; with `new` when that
    /// is not among them yet.
    pub(super) fn excess(&self, new: Option<u64>) -> Vec<u64> {
        let new = new.filter(|new| !self.dictionaries.contains_key(new));
        let count = self.dictionaries.len() + usize::from(new.is_some());
        let mut all: Vec<(u64, u64)> = match count > MOST_DICTIONARIES {
            true => self.dictionaries.iter().map(|(number, one)| (one.used, *number)).collect(),
            false => return Vec::new(),
        };
        all.sort_unstable();
        all.truncate(count - MOST_DICTIONARIES);
        all.into_iter().map(|(_, number)| number).collect()
    }

    /// The series that these dictionaries name, and no other one does, sorted.
    pub(super) fn named_only_in(&self, dictionaries: &[u64]) -> Vec<u32> {
        let (theirs, rest): (Vec<_>, Vec<_>) =
            self.dictionaries.iter().partition(|(number, _)| dictionaries.contains(number));
        let mut only: BTreeSet<u32> = theirs.iter().flat_map(|(_, one)| one.series()).collect();
        for (_, one) in rest {
            // One may be a thousand times as long as the other.
            if only.is_empty() {
                break;
            }
            one.series().for_each(|series| {
                only.remove(&series);
            });
        }
        only.into_iter().collect()
    }

    /// Which runs are forgotten for `new` ones, those that were seen last left out.
    pub(super) fn excess_runs(&self, new: &[u64]) -> Vec<u64> {
        let added = new.iter().filter(|boot| !self.tracks.contains_key(boot)).count();
        let excess = (self.tracks.len() + added).saturating_sub(MOST_RUNS);
        if excess == 0 {
            return Vec::new();
        }
        let old = self.tracks.iter().filter(|(boot, _)| !new.contains(boot));
        let mut old: Vec<(i64, u64)> = old.map(|(boot, (_, seen))| (*seen, *boot)).collect();
        old.sort_unstable();
        old.into_iter().take(excess).map(|(_, boot)| boot).collect()
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
    use proptest::prelude::*;

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
        assert_eq!(dictionary.series().count(), ids.len());
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

    #[test]
    fn one_id_far_from_zero_takes_no_table() {
        let mut dictionary = Dictionary::default();
        dictionary.set(65_535, 1);
        dictionary.set(1_023, 2);
        assert_eq!((dictionary.get(65_535), dictionary.get(1_023)), (Some(1), Some(2)));
        assert!(dictionary.dense.capacity() <= 1_024, "{}", dictionary.dense.capacity());
    }

    #[test]
    fn what_is_described_anew_after_many_were_forgotten_is_found() {
        let mut dictionary = Dictionary::default();
        (0..100_000).for_each(|id| dictionary.set(id, id + 1));
        let forgotten: Vec<u32> = (1..=90_000).collect();
        dictionary.forget(&forgotten);
        dictionary.set(95_000, 200_000);
        assert_eq!((dictionary.get(95_000), dictionary.len()), (Some(200_000), 10_000));
        dictionary.forget(&[200_000]);
        assert_eq!((dictionary.get(95_000), dictionary.len()), (None, 9_999));
    }

    #[test]
    fn the_dictionaries_used_last_stay() {
        let mut agent = Agent::new(1);
        for number in 0..MOST_DICTIONARIES as u64 {
            let series = u32::try_from(number).unwrap() / 2 + 1;
            agent.dictionaries.entry(number).or_default().set(7, series);
            agent.used(number);
        }
        assert_eq!(agent.excess(None), [0u64; 0]);
        assert_eq!(agent.excess(Some(3)), [0u64; 0]);
        assert_eq!(agent.excess(Some(99)), [0]);
        agent.used(0);
        assert_eq!(agent.excess(Some(99)), [1]);
        assert_eq!((agent.named_only_in(&[1]), agent.named_only_in(&[1, 0])), (vec![], vec![1]));
    }

    #[derive(Clone, Debug)]
    enum Change {
        /// From an id on, so many, to series from a number on.
        Set(u32, u32, u32),
        Forget(Vec<u32>),
    }

    fn change() -> impl Strategy<Value = Change> {
        let id = prop_oneof![0..40u32, 900..1_200u32, 0..20_000u32, any::<u32>()];
        let to = || prop_oneof![1..3u32, 1..5_000u32];
        let many = (id, 1..3_000u32, to()).prop_map(|(id, n, to)| Change::Set(id, n, to));
        let one = (1_500..3_200u32, 1..5_000u32).prop_map(|(id, to)| Change::Set(id, 1, to));
        let most = (1..200u32, 500..8_000u32).prop_map(|(from, to)| (from..to).collect());
        let few = prop::collection::btree_set(1..8_000u32, 0..50);
        let few = few.prop_map(|few| few.into_iter().collect());
        let forget = prop_oneof![most, few].prop_map(Change::Forget);
        prop_oneof![1 => many, 4 => one, 1 => forget]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn is_a_map(
            (n, left) in (2_000..3_200u32, 1..300u32),
            changes in prop::collection::vec(change(), 0..12),
        ) {
            // Of many that begin at zero a few are left.
            let first = [Change::Set(0, n, 1), Change::Forget((1..n - left).collect())];
            let mut dictionary = Dictionary::default();
            let (mut map, mut most) = (HashMap::new(), 0);
            for change in first.into_iter().chain(changes) {
                match change {
                    Change::Set(from, n, to) => {
                        for (id, series) in (from..from.saturating_add(n)).zip(to..) {
                            dictionary.set(id, series);
                            map.insert(id, series);
                        }
                    }
                    Change::Forget(series) => {
                        dictionary.forget(&series);
                        map.retain(|_, known| series.binary_search(known).is_err());
                    }
                }
                most = most.max(map.len());
                prop_assert_eq!(dictionary.len(), map.len());
                prop_assert!(dictionary.dense.len() <= DENSE.max(most * SPREAD));
                for id in map.keys().flat_map(|id| [*id, id.wrapping_add(1), id.wrapping_sub(1)]) {
                    prop_assert_eq!(dictionary.get(id), map.get(&id).copied());
                }
                let mut all: Vec<u32> = dictionary.series().collect();
                let mut expected: Vec<u32> = map.values().copied().collect();
                all.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(all, expected);
            }
        }
    }
}
