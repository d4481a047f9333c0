//! Sets of numbers that are mostly contiguous.

use std::collections::BTreeMap;

/// A set of numbers, kept as ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds `first` to `last`, both included. Nothing when `last` is before `first`.
    pub fn insert(&mut self, mut first: u64, mut last: u64) {
        if last < first {
            return;
        }
        let touching = self.0.range(..=last.saturating_add(1)).rev();
        let merged: Vec<u64> = touching
            .take_while(|(_, end)| end.saturating_add(1) >= first)
            .map(|(start, _)| *start)
            .collect();
        for start in merged {
            if let Some(end) = self.0.remove(&start) {
                first = first.min(start);
                last = last.max(end);
            }
        }
        self.0.insert(first, last);
    }

    /// The range that holds `number`.
    #[must_use]
    pub fn around(&self, number: u64) -> Option<(u64, u64)> {
        let (first, last) = self.0.range(..=number).next_back()?;
        (*last >= number).then_some((*first, *last))
    }

    /// Whether `number` is in it.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.around(number).is_some()
    }

    /// The lowest number from `from` on that is in it.
    #[must_use]
    pub fn next_in(&self, from: u64) -> Option<u64> {
        if self.contains(from) {
            return Some(from);
        }
        self.0.range(from..).next().map(|(first, _)| *first)
    }

    /// The lowest number from `from` on that is not in it.
    #[must_use]
    pub fn next_out(&self, from: u64) -> u64 {
        self.around(from).map_or(from, |(_, last)| last.saturating_add(1))
    }

    /// How many numbers from `first` to `last` are in it.
    #[must_use]
    pub fn count(&self, first: u64, last: u64) -> u64 {
        let start = self.around(first).map_or(first, |(start, _)| start);
        let overlapping = self.0.range(start..=last.max(start));
        overlapping
            .map(|(from, to)| (*from.max(&first), *to.min(&last)))
            .filter(|(from, to)| from <= to)
            .map(|(from, to)| to - from + 1)
            .sum()
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    /// How many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is in all of `sets`; empty when there are no sets.
    #[must_use]
    pub fn common<'a>(sets: impl IntoIterator<Item = &'a Self> + Clone) -> Self {
        let mut common = Self::default();
        if sets.clone().into_iter().next().is_none() {
            return common;
        }
        let mut at = 0;
        loop {
            let mut start = at;
            for set in sets.clone() {
                match set.next_in(start) {
                    Some(next) => start = next,
                    None => return common,
                }
            }
            let ends = sets.clone().into_iter().map(|set| set.next_out(start));
            let Some(end) = ends.min() else { return common };
            if end > start {
                common.insert(start, end - 1);
            }
            // Not in all of them: the next candidate is what the last one said.
            at = end.max(start);
            if at == u64::MAX {
                return common;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(ranges: &[(u64, u64)]) -> (Ranges, BTreeSet<u64>) {
        let mut set = Ranges::default();
        let mut plain = BTreeSet::new();
        for (first, length) in ranges {
            set.insert(*first, first + length);
            plain.extend(*first..=first + length);
        }
        (set, plain)
    }

    proptest! {
        #[test]
        fn behave_as_a_plain_set_does(
            a in proptest::collection::vec((0u64..200, 0u64..20), 0..20),
            b in proptest::collection::vec((0u64..200, 0u64..20), 0..20),
        ) {
            let ((a, plain_a), (b, plain_b)) = (of(&a), of(&b));
            for number in 0..230 {
                prop_assert_eq!(a.contains(number), plain_a.contains(&number));
                prop_assert_eq!(a.next_in(number), plain_a.range(number..).next().copied());
                let out = (number..).find(|n| !plain_a.contains(n));
                prop_assert_eq!(Some(a.next_out(number)), out);
                let counted = plain_a.range(number..=number + 17).count();
                prop_assert_eq!(a.count(number, number + 17), u64::try_from(counted).unwrap());
            }
            let mut before = None;
            for (first, last) in a.iter() {
                prop_assert!(first <= last);
                prop_assert!(before.is_none_or(|before| first > before + 1));
                before = Some(last);
            }
            let common = Ranges::common([&a, &b]);
            for number in 0..230 {
                let both = plain_a.contains(&number) && plain_b.contains(&number);
                prop_assert_eq!(common.contains(number), both, "{}", number);
            }
        }
    }
}
