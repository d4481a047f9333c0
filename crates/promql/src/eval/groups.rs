//! Groups of series by some of their labels. The work is done once per series, whatever the number
//! of steps; labels are only built for a new group.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Label, Labels};

use super::shape::{Shape, one_label, same};

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
}

/// The groups found so far, numbered in the order of their first series.
pub(super) struct Groups<'a> {
    key: Key<'a>,
    /// Random: nobody can choose labels that collide.
    seeds: [u64; 2],
    /// Numbers of groups from 1, each after the place that its hash says; 0 is a free place.
    places: Vec<u32>,
    groups: Vec<Group>,
    shapes: Vec<Shape>,
    /// What was found last: series of one group often come one after the other.
    last: usize,
}

struct Group {
    hash: u64,
    /// Of its first series.
    labels: Labels,
    shape: usize,
}

/// So many shapes are tried again, newest first.
const SHAPES_TRIED: usize = 8;

impl<'a> Groups<'a> {
    pub(super) fn new(key: Key<'a>) -> Self {
        let state = RandomState::new();
        let seeds = [state.hash_one(0), state.hash_one(1) | 1];
        let (groups, shapes) = (Vec::new(), Vec::new());
        Self { key, seeds, places: vec![0; 16], groups, shapes, last: 0 }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The labels that make a group.
    pub(super) fn labels(&self, group: usize) -> Labels {
        let found = self.groups.get(group).and_then(|group| {
            let shape = self.shapes.get(group.shape)?;
            Some(shape.chosen(&group.labels).cloned().collect())
        });
        found.unwrap_or_else(Labels::empty)
    }

    /// The labels of each group.
    pub(super) fn into_labels(self) -> Vec<Labels> {
        (0..self.len()).map(|group| self.labels(group)).collect()
    }

    fn shape(&mut self, labels: &Labels) -> usize {
        let newest = self.shapes.iter().enumerate().rev().take(SHAPES_TRIED);
        let known = newest.into_iter().find(|(_, shape)| shape.is_of(labels)).map(|(at, _)| at);
        known.unwrap_or_else(|| {
            self.shapes.push(Shape::new(labels, |name| self.key.keeps(name)));
            self.shapes.len() - 1
        })
    }

    fn hash(&self, shape: usize, labels: &Labels) -> u64 {
        let [mut hash, factor] = self.seeds;
        let mut mix = |text: &str| {
            let (words, rest) = text.as_bytes().as_chunks::<8>();
            let mut last = [0; 8];
            for (to, byte) in last.iter_mut().zip(rest) {
                *to = *byte;
            }
            for word in words.iter().chain(&[last]) {
                hash = folded(hash ^ u64::from_le_bytes(*word), factor);
            }
            // Where one text ends and the next begins.
            hash = folded(hash ^ text.len() as u64, factor);
        };
        for label in self.shapes.get(shape).into_iter().flat_map(|shape| shape.chosen(labels)) {
            mix(&label.name);
            mix(&label.value);
        }
        hash
    }

    fn is_in(
        &self,
        group: usize,
        (shape, labels): (usize, &Labels),
        same: fn(&Label, &Label) -> bool,
    ) -> bool {
        let Some(group) = self.groups.get(group) else { return false };
        let (Some(theirs), Some(ours)) = (self.shapes.get(group.shape), self.shapes.get(shape))
        else {
            return false;
        };
        let (mut theirs, mut ours) = (theirs.chosen(&group.labels), ours.chosen(labels));
        loop {
            match (theirs.next(), ours.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if same(a, b) => {}
                _ => return false,
            }
        }
    }

    /// The group at the place that the hash says, or the place where it would be.
    fn position(&self, hash: u64, shape: usize, labels: &Labels) -> Result<usize, usize> {
        let mask = self.places.len() - 1;
        let mut place = usize::try_from(hash & mask as u64).unwrap_or(0);
        loop {
            let Some(at) = self.places.get(place).and_then(|number| number.checked_sub(1)) else {
                return Err(place);
            };
            let at = at as usize;
            if self.groups.get(at).is_some_and(|group| group.hash == hash)
                && self.is_in(at, (shape, labels), same)
            {
                return Ok(at);
            }
            place = (place + 1) & mask;
        }
    }

    /// What was found last, or what comes after it: both sides of a join often have one order.
    /// Nothing is found where no texts are shared.
    fn near(&self, shape: usize, labels: &Labels) -> Option<usize> {
        let mut near = [self.last, self.last + 1].into_iter();
        near.find(|group| self.is_in(*group, (shape, labels), one_label))
    }

    /// The number of the group of a series, if it is known.
    pub(super) fn find(&mut self, labels: &Labels) -> Option<usize> {
        let shape = self.shape(labels);
        let found = self.near(shape, labels);
        let found =
            found.or_else(|| self.position(self.hash(shape, labels), shape, labels).ok())?;
        self.last = found;
        Some(found)
    }

    /// The number of the group of a series, new if need be.
    pub(super) fn number(&mut self, labels: &Labels) -> usize {
        let shape = self.shape(labels);
        if let Some(near) = self.near(shape, labels) {
            self.last = near;
            return near;
        }
        let hash = self.hash(shape, labels);
        self.last = match self.position(hash, shape, labels) {
            Ok(known) => known,
            Err(place) => {
                self.groups.push(Group { hash, labels: labels.clone(), shape });
                if let Some(free) = self.places.get_mut(place) {
                    *free = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
                }
                if self.groups.len() * 2 > self.places.len() {
                    self.grow();
                }
                self.groups.len() - 1
            }
        };
        self.last
    }

    fn grow(&mut self) {
        let mask = self.places.len() * 4 - 1;
        let mut places = vec![0; mask + 1];
        for (number, group) in (1u32..).zip(&self.groups) {
            let mut place = usize::try_from(group.hash & mask as u64).unwrap_or(0);
            while places.get(place).is_some_and(|taken| *taken > 0) {
                place = (place + 1) & mask;
            }
            if let Some(free) = places.get_mut(place) {
                *free = number;
            }
        }
        self.places = places;
    }
}

/// Both halves of the product: each bit of it depends on all of `value`.
fn folded(value: u64, factor: u64) -> u64 {
    let product = (u128::from(value) * u128::from(factor)).to_le_bytes();
    let ([low, high], _) = product.as_chunks::<8>() else { return value };
    u64::from_le_bytes(*low) ^ u64::from_le_bytes(*high)
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn groups_are_those_of_equal_labels_whoever_has_made_them() {
        let names: Vec<Arc<str>> = ["a", "b"].map(Arc::from).to_vec();
        for key in [Key::Only(&names), Key::AllBut(&names), Key::AllButOne("a")] {
            let mut groups = Groups::new(key);
            let mut known: HashMap<Labels, usize> = HashMap::new();
            for i in 0..20_000u32 {
                // Each with texts of its own, some without a label, in no order.
                let at = i.wrapping_mul(2_654_435_761) % 701;
                let (a, b) = (format!("{}", at % 37), format!("device-{}", at / 7));
                let d = if at.is_multiple_of(5) { "" } else { "x" };
                let extra = format!("extra_{}", at % 23);
                let labels =
                    Labels::metric("m", [("a", &*a), ("b", &b), ("c", "12345678"), (&extra, d)]);
                let kept = labels.without(|name| !groups.key.keeps(name));
                let next = known.len();
                assert_eq!(groups.find(&labels), known.get(&kept).copied());
                let expected = *known.entry(kept.clone()).or_insert(next);
                assert_eq!(groups.number(&labels), expected);
                assert_eq!(groups.labels(expected), kept);
            }
            assert_eq!(groups.into_labels().len(), known.len());
        }
    }
}
