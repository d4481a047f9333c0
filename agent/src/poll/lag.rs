//! Turns of a device that were missed, as gaps: the device was still busy, or the agent was.

use hallwatch_model::Timestamp;

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The turn before.
    pub first: Timestamp,
    /// When the device was asked with success again, or was last late.
    pub last: Timestamp,
    /// How many turns.
    pub turns: u64,
    /// It lasts: each poll takes longer than the interval.
    pub open: bool,
}

/// The turns that a device has missed. One gap is told as soon as it shows, and closed; what goes on
/// after it is one more gap, that lasts until a poll is in time, however many polls that takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lag {
    /// Turns missed in all, as last looked at.
    counted: u64,
    /// Turns were missed since the last poll that was told of.
    late: bool,
    /// Up to when turns are known to have been missed, as long as no poll was in time.
    last: Option<Timestamp>,
    /// What lasts: its beginning and turns.
    open: Option<(Timestamp, u64)>,
}

impl Lag {
    /// So many turns were missed in all by `now`; the last one that was not is at `turn`.
    pub fn look(&mut self, count: u64, turn: Timestamp, now: Timestamp) -> Option<Missed> {
        let turns = count.saturating_sub(self.counted);
        if turns == 0 {
            return None;
        }
        (self.counted, self.late) = (count, true);
        let before = self.last.replace(now);
        if let Some((_, all)) = &mut self.open {
            *all = all.saturating_add(turns);
            return None;
        }
        let first = before.map_or(turn, |before| before.min(turn)).min(now);
        if before.is_some() {
            self.open = Some((first, turns));
        }
        Some(Missed { first, last: now, turns, open: before.is_some() })
    }

    /// All times move.
    pub fn shift(&mut self, millis: i64) {
        self.last = self.last.map(|last| last.moved(millis));
        self.open = self.open.map(|(first, turns)| (first.moved(millis), turns));
    }

    /// As [`Self::look`], of a device that is told to be silent: that says it all.
    pub fn leave(&mut self, count: u64) {
        self.counted = count;
    }

    /// A poll is over at `time`, and its readings are told.
    pub fn polled(&mut self, time: Timestamp) -> Option<Missed> {
        if std::mem::take(&mut self.late) {
            self.last = self.last.max(Some(time));
            return None;
        }
        self.in_time()
    }

    /// A poll was in time, or the device is told to be silent, which says it all.
    pub fn in_time(&mut self) -> Option<Missed> {
        self.late = false;
        let last = self.last.take();
        let (first, turns) = self.open.take()?;
        let last = last.unwrap_or(first).max(first);
        Some(Missed { first, last, turns, open: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn missed(first: i64, last: i64, turns: u64, open: bool) -> Option<Missed> {
        Some(Missed { first: at(first), last: at(last), turns, open })
    }

    #[test]
    fn missed_turns_are_one_gap_that_is_told_when_it_shows() {
        let mut lag = Lag::default();
        assert_eq!(lag.polled(at(1)), None);
        assert_eq!(lag.look(0, at(1), at(1)), None);
        assert_eq!(lag.look(3, at(1), at(5)), missed(1, 5, 3, false));
        assert_eq!(lag.look(3, at(5), at(5)), None);
        assert_eq!(lag.polled(at(5)), None);
        assert_eq!(lag.polled(at(6)), None);
        assert_eq!(lag.look(4, at(6), at(8)), missed(6, 8, 1, false));
    }

    #[test]
    fn a_device_that_is_always_late_is_two_gaps_and_not_one_for_each_poll() {
        let mut lag = Lag::default();
        assert_eq!(lag.look(1, at(0), at(1)), missed(0, 1, 1, false));
        assert_eq!(lag.polled(at(2)), None);
        assert_eq!(lag.look(2, at(2), at(3)), missed(2, 3, 1, true));
        for poll in 2..50 {
            assert_eq!(lag.polled(at(2 * poll)), None);
            let count = u64::try_from(poll).unwrap() + 1;
            assert_eq!(lag.look(count, at(2 * poll), at(2 * poll + 1)), None);
        }
        assert_eq!(lag.polled(at(100)), None);
        assert_eq!(lag.polled(at(101)), missed(2, 100, 49, false));
        assert_eq!(lag.polled(at(102)), None);
    }

    #[test]
    fn a_device_that_falls_silent_is_not_late_any_more() {
        let mut lag = Lag::default();
        assert_eq!(lag.look(1, at(0), at(1)), missed(0, 1, 1, false));
        assert_eq!(lag.look(2, at(1), at(2)), missed(1, 2, 1, true));
        assert_eq!(lag.in_time(), missed(1, 2, 1, false));
        lag.leave(9);
        assert_eq!(lag.look(9, at(8), at(9)), None);
        assert_eq!(lag.look(10, at(9), at(10)), missed(9, 10, 1, false));
    }
}
