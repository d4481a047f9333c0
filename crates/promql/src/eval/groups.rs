//! Groups of series by some of their labels. The work is done once per series, whatever the number
//! of steps; labels are only built for a new group.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Label, Labels};

/// Which labels make a group.
pub(super) enum Key<'a> {
    /// Only these (sorted).
    Only(&'a [Arc<str>]),
    /// All but these (sorted) and the metric name.
    AllBut(&'a [Arc<str>]),
    /// All but this one: the metric name stays.
    AllButOne(&'a str),
}

impl Key<'_> {
    fn keeps(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|kept| &**kept == name),
            Self::AllBut(names) => {
                name != METRIC_NAME && !names.iter().any(|dropped| &**dropped == name)
            }
            Self::AllButOne(dropped) => name != *dropped,
        }
    }

    fn kept<'l>(&'l self, labels: &'l Labels) -> impl Iterator<Item = &'l Label> {
        labels.iter().filter(|label| self.keeps(&label.name))
    }
}

/// The groups found so far, numbered in the order of their first series.
pub(super) struct Groups<'a> {
    key: Key<'a>,
    hasher: RandomState,
    by_hash: HashMap<u64, Vec<usize>>,
    /// What was found last: series of one group often come one after the other.
    last: usize,
    pub(super) labels: Vec<Labels>,
}

impl<'a> Groups<'a> {
    pub(super) fn new(key: Key<'a>) -> Self {
        let (hasher, by_hash) = (RandomState::new(), HashMap::new());
        Self { key, hasher, by_hash, last: 0, labels: Vec::new() }
    }

    fn hash(&self, labels: &Labels) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for label in self.key.kept(labels) {
            label.name.hash(&mut hasher);
            label.value.hash(&mut hasher);
        }
        hasher.finish()
    }

    fn position(&self, hash: u64, labels: &Labels) -> Option<usize> {
        let candidates = self.by_hash.get(&hash)?;
        candidates.iter().copied().find(|group| self.is_in(*group, labels))
    }

    fn is_in(&self, group: usize, labels: &Labels) -> bool {
        self.labels.get(group).is_some_and(|of_group| self.key.kept(labels).eq(of_group.iter()))
    }

    /// The number of the group of a series, if it is known.
    pub(super) fn find(&self, labels: &Labels) -> Option<usize> {
        self.position(self.hash(labels), labels)
    }

    /// The number of the group of a series, new if need be.
    pub(super) fn number(&mut self, labels: &Labels) -> usize {
        if self.is_in(self.last, labels) {
            return self.last;
        }
        let hash = self.hash(labels);
        if let Some(known) = self.position(hash, labels) {
            self.last = known;
            return known;
        }
        let number = self.labels.len();
        self.last = number;
        self.labels.push(self.key.kept(labels).cloned().collect());
        self.by_hash.entry(hash).or_default().push(number);
        number
    }
}

/// A hash of labels that is the same everywhere and always.
pub(super) fn stable_hash(labels: &Labels) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for label in labels.iter().filter(|label| &*label.name != METRIC_NAME) {
        mix(label.name.as_bytes());
        mix(label.value.as_bytes());
    }
    // FNV leaves the upper bits of similar texts alike; they decide here.
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
