//! Samples of series whose windows nobody looks at.
//!
//! Most windows are not looked at from one hour to the next: no sample in them is a witness (see
//! `guard`). To add a sample to a buffer of its own for each of many series is to wait for memory
//! that is in no cache, again and again; to write it behind the sample of the series before is not.
//! Each sample knows the one before it of the same series: that is how a window is found when
//! somebody does look.

use std::collections::VecDeque;

/// Series that are asked for further back keep buffers: to find thousands of samples all over a tape
/// would take too long when an alert waits for it.
const LONGEST: i64 = 10 * 60 * 1000;

/// Samples in the order in which they came. What is asked for no further back than `reach` is here.
#[derive(Debug, Default)]
struct Tape {
    samples: VecDeque<Taped>,
    /// The number of the first one.
    first: u64,
    /// Milliseconds.
    reach: i64,
}

#[derive(Clone, Copy, Debug)]
struct Taped {
    time: i64,
    value: f64,
    /// How many samples before this one is the one before it of the same series; zero when that is
    /// not known.
    back: u32,
}

/// The end of what a series has on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail(u64);

impl Tail {
    /// Nothing.
    pub(super) const NONE: Self = Self(u64::MAX);
}

/// Tapes for series that are asked for about as far back.
#[derive(Debug, Default)]
pub(super) struct Tapes(Vec<Tape>);

impl Tapes {
    /// The number of the tape for series that are asked for so many milliseconds back; `None` if
    /// that is too far.
    pub(super) fn of_reach(&mut self, reach: i64) -> Option<u8> {
        if reach > LONGEST {
            return None;
        }
        // A tape holds samples for the longest reach of its series: at most twice what one needs.
        let number = i64::BITS - reach.leading_zeros();
        let at = usize::try_from(number).unwrap_or(0);
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Tape::default);
        }
        let tape = self.0.get_mut(at)?;
        tape.reach = tape.reach.max(reach);
        u8::try_from(number).ok()
    }

    /// Adds a sample of a series whose samples end at `tail`; where they end then.
    #[inline]
    pub(super) fn append(
        &mut self,
        tape: u8,
        tail: Tail,
        (time, value): (i64, f64),
        now: i64,
    ) -> Tail {
        match self.0.get_mut(usize::from(tape)) {
            Some(tape) => tape.append(tail, (time, value), now),
            None => Tail::NONE,
        }
    }

    /// The samples that end at `tail`, the newest first.
    pub(super) fn back_from(&self, tape: u8, tail: Tail) -> impl Iterator<Item = (i64, f64)> {
        let tape = self.0.get(usize::from(tape));
        let found = move |tail: Tail| {
            let tape = tape?;
            let at = usize::try_from(tail.0.checked_sub(tape.first)?).ok()?;
            tape.samples.get(at).map(|taped| (tail, taped))
        };
        let before = move |(tail, taped): &(Tail, &Taped)| {
            let back = u64::from(taped.back);
            if back == 0 { None } else { found(Tail(tail.0.checked_sub(back)?)) }
        };
        std::iter::successors(found(tail), before).map(|(_, taped)| (taped.time, taped.value))
    }

    /// How many samples there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|tape| tape.samples.len()).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|tape| tape.samples.capacity() * size_of::<Taped>()).sum()
    }
}

impl Tape {
    #[inline]
    fn append(&mut self, tail: Tail, (time, value): (i64, f64), now: i64) -> Tail {
        let until = now.saturating_sub(self.reach);
        // Two for one: what is left over when samples came faster before goes little by little.
        for _ in 0..2 {
            if self.samples.front().is_none_or(|first| first.time > until) {
                break;
            }
            self.samples.pop_front();
            self.first += 1;
        }
        let number = self.first + self.samples.len() as u64;
        let back = u32::try_from(number.saturating_sub(tail.0)).unwrap_or(0);
        self.samples.push_back(Taped { time, value, back });
        Tail(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back_from(tapes: &Tapes, tape: u8, tail: Tail) -> Vec<(i64, f64)> {
        tapes.back_from(tape, tail).collect()
    }

    #[test]
    fn each_series_finds_its_own() {
        let mut tapes = Tapes::default();
        let tape = tapes.of_reach(5_000).unwrap();
        let (mut a, mut b) = (Tail::NONE, Tail::NONE);
        assert_eq!(back_from(&tapes, tape, a), []);
        for second in 0..4 {
            let time = second * 1000;
            a = tapes.append(tape, a, (time, 1.0), time);
            if second != 1 {
                b = tapes.append(tape, b, (time + 1, 2.0), time + 1);
            }
        }
        assert_eq!(back_from(&tapes, tape, a), [3000, 2000, 1000, 0].map(|time| (time, 1.0)));
        assert_eq!(back_from(&tapes, tape, b), [3001, 2001, 1].map(|time| (time, 2.0)));
    }

    #[test]
    fn what_is_too_old_goes() {
        let mut tapes = Tapes::default();
        let tape = tapes.of_reach(1_000).unwrap();
        let gone = tapes.append(tape, Tail::NONE, (0, 7.0), 0);
        let mut tail = Tail::NONE;
        for time in 1..5_000 {
            tail = tapes.append(tape, tail, (time, 1.0), time);
        }
        assert_eq!(back_from(&tapes, tape, gone), []);
        assert_eq!(back_from(&tapes, tape, tail).len(), 1_000);
        assert_eq!(tapes.len(), 1_000);
        // A series that was silent meanwhile begins anew.
        let again = tapes.append(tape, gone, (5_000, 8.0), 5_000);
        assert_eq!(back_from(&tapes, tape, again), [(5_000, 8.0)]);
    }

    #[test]
    fn tapes_are_shared_by_those_that_ask_for_about_as_much() {
        let mut tapes = Tapes::default();
        assert_eq!(tapes.of_reach(60_000), tapes.of_reach(61_000));
        assert_ne!(tapes.of_reach(60_000), tapes.of_reach(300_000));
        assert_eq!(tapes.of_reach(LONGEST + 1), None);
        assert!(tapes.of_reach(LONGEST).is_some() && tapes.of_reach(1).is_some());
    }
}
