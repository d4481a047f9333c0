//! Which batches of one run of an agent are here, which never came, and what a new one is.

use hallwatch_model::Ack;
use hallwatch_model::wire::MAX_RANGES;

use super::bytes::{Bytes, put_varint};

/// Numbers as ranges, ascending and apart; first and last included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(at).is_some_and(|(first, _)| *first <= number)
    }

    fn insert(&mut self, first: u64, last: u64) {
        let from = self.0.partition_point(|range| range.1.saturating_add(1) < first);
        let to = self.0.partition_point(|range| range.0 <= last.saturating_add(1));
        let joined = self.0.get(from..to).unwrap_or_default();
        let first = joined.first().map_or(first, |range| range.0.min(first));
        let last = joined.last().map_or(last, |range| range.1.max(last));
        self.0.splice(from..to, [(first, last)]);
    }

    fn remove(&mut self, number: u64) {
        let at = self.0.partition_point(|(_, last)| *last < number);
        let Some((first, last)) = self.0.get(at).copied().filter(|(first, _)| *first <= number)
        else {
            return;
        };
        let left = (first < number).then(|| (first, number - 1));
        let right = (number < last).then(|| (number + 1, last));
        self.0.splice(at..=at, left.into_iter().chain(right));
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        let mut end = 0;
        for (first, last) in &self.0 {
            put_varint(out, first - end);
            put_varint(out, last - first);
            end = *last;
        }
    }

    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let count = bytes.count()?;
        let mut ranges = Vec::with_capacity(count.min(MAX_RANGES));
        let mut end = 0u64;
        for _ in 0..count {
            let first = end.checked_add(bytes.varint()?)?;
            end = first.checked_add(bytes.varint()?)?;
            ranges.push((first, end));
        }
        Some(Self(ranges))
    }
}

/// What a batch is, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    New,
    Duplicate,
    /// Beyond more holes than are kept.
    OutOfWindow,
}

/// The numbers of one run of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Track {
    /// Up to here nothing will be waited for.
    upto: u64,
    /// What is here beyond `upto`.
    beyond: Ranges,
    /// What the agent gave up, at or below `upto`. It may still come: a broker can be late.
    lost: Ranges,
}

impl Track {
    /// Where the batch `seq` belongs. Changes nothing.
    pub(super) fn place(&self, seq: u64) -> Place {
        if seq <= self.upto {
            return if self.lost.contains(seq) { Place::New } else { Place::Duplicate };
        }
        if self.beyond.contains(seq) {
            return Place::Duplicate;
        }
        let mut after = self.clone();
        after.receive(seq);
        if after.beyond.0.len() > MAX_RANGES { Place::OutOfWindow } else { Place::New }
    }

    /// Takes note that the batch `seq` is here.
    pub(super) fn receive(&mut self, seq: u64) {
        if seq <= self.upto {
            self.lost.remove(seq);
        } else {
            self.beyond.insert(seq, seq);
            self.advance();
        }
    }

    /// Nothing below `oldest` will be sent any more. Gives the ranges that are lost by that.
    pub(super) fn give_up(&mut self, oldest: u64) -> Vec<(u64, u64)> {
        let mut lost = Vec::new();
        while self.upto.saturating_add(1) < oldest {
            let next = self.beyond.0.first().map_or(oldest, |(first, _)| *first).min(oldest);
            lost.push((self.upto + 1, next - 1));
            self.upto = next - 1;
            self.advance();
        }
        for (first, last) in &lost {
            self.lost.insert(*first, *last);
        }
        // The oldest are forgotten first: they are the least likely to come after all.
        let excess = self.lost.0.len().saturating_sub(MAX_RANGES);
        self.lost.0.drain(..excess);
        lost
    }

    fn advance(&mut self) {
        while let Some((first, last)) = self.beyond.0.first().copied() {
            if first > self.upto.saturating_add(1) {
                break;
            }
            self.upto = self.upto.max(last);
            self.beyond.0.remove(0);
        }
    }

    pub(super) fn ack(&self, boot: u64, describe: bool) -> Ack {
        Ack { boot, upto: self.upto, beyond: self.beyond.0.clone(), describe, ..Ack::default() }
    }

    /// The numbers that are here.
    pub(super) fn present(&self) -> Vec<(u64, u64)> {
        let (mut present, mut next) = (Vec::new(), 1);
        for (first, last) in &self.lost.0 {
            if *first > next {
                present.push((next, first - 1));
            }
            next = next.max(last.saturating_add(1));
        }
        if next <= self.upto {
            present.push((next, self.upto));
        }
        present.extend(&self.beyond.0);
        present
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.upto);
        self.beyond.write(&mut out);
        self.lost.write(&mut out);
        out
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let upto = bytes.varint()?;
        Some(Self { upto, beyond: Ranges::read(&mut bytes)?, lost: Ranges::read(&mut bytes)? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holes_close_and_what_was_given_up_may_still_come() {
        let mut track = Track::default();
        for seq in [1, 2, 5, 6, 9] {
            assert_eq!(track.place(seq), Place::New);
            track.receive(seq);
        }
        assert_eq!((track.upto, &track.beyond), (2, &Ranges(vec![(5, 6), (9, 9)])));
        assert_eq!(track.give_up(8), [(3, 4), (7, 7)]);
        assert_eq!((track.upto, &track.beyond), (7, &Ranges(vec![(9, 9)])));
        assert_eq!(track.give_up(8), []);
        track.receive(8);
        assert_eq!((track.upto, &track.beyond), (9, &Ranges(vec![])));
        assert_eq!(track.place(6), Place::Duplicate);
        assert_eq!(track.place(4), Place::New);
        track.receive(4);
        assert_eq!(track.place(4), Place::Duplicate);
        assert_eq!(track.place(3), Place::New);
        assert_eq!(Track::read(&track.write()), Some(track));
    }

    #[test]
    fn holes_are_bounded() {
        let mut track = Track::default();
        for i in 1..=MAX_RANGES as u64 {
            assert_eq!(track.place(i * 2), Place::New);
            track.receive(i * 2);
        }
        let far = MAX_RANGES as u64 * 2 + 2;
        assert_eq!(track.place(far), Place::OutOfWindow);
        assert_eq!(track.place(far - 1), Place::New, "it joins the last range");
        assert_eq!(track.place(3), Place::New);
        let last = u64::MAX;
        assert_eq!(track.place(last), Place::OutOfWindow);
    }

    proptest! {
        #[test]
        fn the_ranges_are_the_set(seqs in prop::collection::vec((1u64..60, 1u64..60), 0..80)) {
            let (mut track, mut here) = (Track::default(), BTreeSet::new());
            for (seq, oldest) in seqs {
                let new = here.insert(seq);
                prop_assert_eq!(track.place(seq) == Place::New, new);
                if new {
                    track.receive(seq);
                }
                for (first, last) in track.give_up(oldest.min(seq)) {
                    prop_assert!((first..=last).all(|lost| !here.contains(&lost)));
                }
                prop_assert_eq!(Track::read(&track.write()), Some(track.clone()));
                for seq in 1..60 {
                    prop_assert_eq!(track.place(seq) == Place::New, !here.contains(&seq));
                }
            }
        }
    }
}
