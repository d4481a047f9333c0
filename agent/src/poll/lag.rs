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

/// The turns that a device has missed. One gap is told at once and closed; what goes on after it is
/// one more gap, that lasts until a poll is in time, however many polls that takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lag {
    /// Turns missed in all, as last looked at.
    counted: u64,
    /// Turns missed since the last poll that was told of, and the turn before them.
    missed: Option<(Timestamp, u64)>,
    /// The poll before was late, too.
    last: Option<Timestamp>,
    /// What lasts: its beginning and turns.
    open: Option<(Timestamp, u64)>,
}

impl Lag {
    /// So many turns were missed in all; the last one that was not is at `turn`.
    pub fn look(&mut self, count: u64, turn: Timestamp) {
        let more = count.saturating_sub(self.counted);
        if more > 0 {
            let (_, turns) = self.missed.get_or_insert((turn, 0));
            *turns = turns.saturating_add(more);
            self.counted = count;
        }
    }

    /// A poll is over at `time`, and its readings are told.
    pub fn polled(&mut self, time: Timestamp) -> Option<Missed> {
        let Some((first, turns)) = self.missed.take() else { return self.in_time() };
        let before = self.last.replace(time);
        if let Some((_, all)) = &mut self.open {
            *all = all.saturating_add(turns);
            return None;
        }
        let first = before.map_or(first, |before| before.min(first)).min(time);
        if before.is_some() {
            self.open = Some((first, turns));
        }
        Some(Missed { first, last: time, turns, open: before.is_some() })
    }

    /// A poll was in time, or the device is told to be silent, which says it all.
    pub fn in_time(&mut self) -> Option<Missed> {
        self.missed = None;
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
    fn missed_turns_are_one_gap_that_is_over() {
        let mut lag = Lag::default();
        assert_eq!(lag.polled(at(1)), None);
        lag.look(0, at(1));
        lag.look(2, at(1));
        lag.look(3, at(3));
        assert_eq!(lag.polled(at(5)), missed(1, 5, 3, false));
        lag.look(3, at(5));
        assert_eq!(lag.polled(at(6)), None);
        lag.look(4, at(6));
        assert_eq!(lag.polled(at(8)), missed(6, 8, 1, false));
    }

    #[test]
    fn a_device_that_is_always_late_is_two_gaps_and_not_one_for_each_poll() {
        let mut lag = Lag::default();
        lag.look(1, at(0));
        assert_eq!(lag.polled(at(2)), missed(0, 2, 1, false));
        lag.look(2, at(3));
        assert_eq!(lag.polled(at(4)), missed(2, 4, 1, true));
        for poll in 3..50 {
            lag.look(u64::try_from(poll).unwrap(), at(2 * poll - 1));
            assert_eq!(lag.polled(at(2 * poll)), None);
        }
        assert_eq!(lag.polled(at(99)), missed(2, 98, 48, false));
        assert_eq!(lag.polled(at(100)), None);
    }

    #[test]
    fn a_device_that_falls_silent_is_not_late() {
        let mut lag = Lag::default();
        lag.look(1, at(0));
        assert_eq!(lag.in_time(), None);
        assert_eq!(lag.polled(at(9)), None);
    }
}
