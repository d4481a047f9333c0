//! Sets of entry numbers, as ranges that ascend and lie apart; first and last included.

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub(super) fn of(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut set = Self::default();
        for (first, last) in ranges {
            set.insert(first, last);
        }
        set
    }

    pub(super) fn insert(&mut self, first: u64, last: u64) {
        if last < first {
            return;
        }
        let from = self.0.partition_point(|range| range.1.saturating_add(1) < first);
        let to = self.0.partition_point(|range| range.0 <= last.saturating_add(1));
        let joined = self.0.get(from..to).unwrap_or_default();
        let first = joined.first().map_or(first, |range| range.0.min(first));
        let last = joined.last().map_or(last, |range| range.1.max(last));
        self.0.splice(from..to, [(first, last)]);
    }

    /// What is in this set and not in `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for (first, last) in &self.0 {
            let mut at = *first;
            for (from, to) in other.0.iter().filter(|(from, to)| to >= first && from <= last) {
                if *from > at {
                    left.push((at, from - 1));
                }
                at = at.max(to.saturating_add(1));
            }
            if at <= *last {
                left.push((at, *last));
            }
        }
        Self(left)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum: u64, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// As text for a table: `1-5,7-7`.
    pub(super) fn text(&self) -> String {
        let ranges: Vec<String> =
            self.0.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        ranges.join(",")
    }

    /// The inverse of [`Self::text`]; what cannot be read is left out.
    pub(super) fn parse(text: &str) -> Self {
        let range = |part: &str| {
            let (first, last) = part.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        Self::of(text.split(',').filter_map(range))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers(set: &Ranges) -> BTreeSet<u64> {
        set.iter().flat_map(|(first, last)| first..=last).collect()
    }

    proptest! {
        #[test]
        fn behave_as_plain_sets_do(
            a in prop::collection::vec((1u64..80, 0u64..9), 0..12),
            b in prop::collection::vec((1u64..80, 0u64..9), 0..12),
        ) {
            let of = |ranges: &[(u64, u64)]| {
                Ranges::of(ranges.iter().map(|(first, more)| (*first, first + more)))
            };
            let plain = |ranges: &[(u64, u64)]| -> BTreeSet<u64> {
                ranges.iter().flat_map(|(first, more)| *first..=first + more).collect()
            };
            let (set_a, set_b) = (of(&a), of(&b));
            prop_assert_eq!(numbers(&set_a), plain(&a));
            let left: BTreeSet<u64> = plain(&a).difference(&plain(&b)).copied().collect();
            let without = set_a.without(&set_b);
            prop_assert_eq!(without.count(), left.len() as u64);
            prop_assert_eq!(numbers(&without), left);
            prop_assert_eq!(Ranges::parse(&set_a.text()), set_a);
        }
    }
}
