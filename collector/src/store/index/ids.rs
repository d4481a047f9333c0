//! Which number the series with some labels has.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use hallwatch_model::Labels;

/// Labels are told apart by so many hashes; few in tests, so that these meet some that share one.
const HASHES: u32 = if cfg!(test) { 16 } else { u32::MAX };

/// Numbers by a hash of the labels. Whoever looks one up compares the labels, so that these need
/// not stand here, too.
#[derive(Debug, Default)]
pub(super) struct Ids {
    state: RandomState,
    by_hash: HashMap<u32, u32>,
    /// Those whose hash another series had before them: hardly any.
    others: HashMap<Labels, u32>,
}

impl Ids {
    /// The number of the series with these labels; `labels_of` gives those of a number.
    pub(super) fn get<'a>(
        &self,
        labels: &Labels,
        labels_of: impl FnOnce(u32) -> Option<&'a Labels>,
    ) -> Option<u32> {
        let first = self.by_hash.get(&self.hash(labels)).copied();
        let found = first.filter(|id| labels_of(*id) == Some(labels));
        found.or_else(|| self.others.get(labels).copied())
    }

    /// Takes labels that are not in it yet.
    pub(super) fn insert(&mut self, labels: Labels, id: u32) {
        let hash = self.hash(&labels);
        if *self.by_hash.entry(hash).or_insert(id) != id {
            self.others.insert(labels, id);
        }
    }

    pub(super) fn remove(&mut self, labels: &Labels, id: u32) {
        let hash = self.hash(labels);
        if self.by_hash.get(&hash) == Some(&id) {
            self.by_hash.remove(&hash);
        } else {
            self.others.remove(labels);
        }
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.by_hash.reserve(more);
    }

    fn hash(&self, labels: &Labels) -> u32 {
        let [a, b, c, d, ..] = self.state.hash_one(labels).to_le_bytes();
        u32::from_le_bytes([a, b, c, d]) % HASHES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_with_one_hash_are_told_apart() {
        let all: Vec<Labels> = (0..200)
            .map(|i| Labels::metric("up", [("device", format!("d-{i}").as_str())]))
            .collect();
        let labels_of = |id: u32| all.get(id as usize);
        let mut ids = Ids::default();
        for (labels, id) in all.iter().zip(0..) {
            assert_eq!(ids.get(labels, labels_of), None);
            ids.insert(labels.clone(), id);
        }
        assert!(ids.others.len() >= all.len() - HASHES as usize);
        for (labels, id) in all.iter().zip(0..).filter(|(_, id)| id % 3 > 0) {
            ids.remove(labels, id);
        }
        for (labels, id) in all.iter().zip(0..) {
            assert_eq!(ids.get(labels, labels_of), (id % 3 == 0).then_some(id));
        }
    }
}
