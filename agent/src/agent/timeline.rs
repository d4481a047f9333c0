//! What time it is, when the gateway's clock cannot always be believed. Pure.
//!
//! Readings get the agent's own time: a base plus the uptime, which no step of the gateway's clock
//! moves. The base follows the gateway's clock slowly while both agree. When they part, whoever
//! has the majority is believed: the gateway's clock, the own time, and what collectors say in
//! their acknowledgements. An own time that turns out to be wrong is corrected at once.
//!
//! `Unset => Set` with a plausible clock or a collector's word; never back.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Id, Timestamp, Uptime};

/// Before this no agent was built: a clock that says so was never set. 2025-01-01T00:00:00Z.
pub(super) const PLAUSIBLE: Timestamp = Timestamp::from_millis(1_735_689_600_000);
/// A gateway's clock that moves by more than this against the uptime was set.
const STEP: i64 = 1_000;
/// Clocks that differ by no more than this agree: the network's delay is in between.
const AGREE: i64 = 5_000;
/// While both agree, the own time follows the gateway's clock by a part of the time that passes.
const SLEW: i64 = 200;
/// A collector's word holds for so long: acknowledgements come every second, statuses every ten.
const FRESH: Duration = Duration::from_secs(60);
/// Without any collector's word, a gateway's clock that was set is believed after this.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// See the module. Bases are the time at uptime zero, in milliseconds.
#[derive(Debug)]
pub(super) struct Timeline {
    base: i64,
    set: bool,
    wall: i64,
    steps: u64,
    /// Since when the gateway's clock and the own time have parted.
    parted: Option<Uptime>,
    looked: Uptime,
    collectors: BTreeMap<Id, (i64, Uptime)>,
}

/// The own time moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// By so many milliseconds.
    pub(super) by: i64,
    /// The time was not known before: what was read so far is to be moved along.
    pub(super) first: bool,
}

fn base(time: Timestamp, uptime: Uptime) -> i64 {
    let passed = i64::try_from(uptime.elapsed().as_millis()).unwrap_or(i64::MAX);
    time.as_millis().saturating_sub(passed)
}

impl Timeline {
    pub(super) fn new(wall: Timestamp, uptime: Uptime) -> Self {
        let base = base(wall, uptime);
        Self {
            base,
            set: wall >= PLAUSIBLE,
            wall: base,
            steps: 0,
            parted: None,
            looked: uptime,
            collectors: BTreeMap::new(),
        }
    }

    /// Whether the time is known.
    pub(super) fn is_set(&self) -> bool {
        self.set
    }

    /// How often the gateway's clock was set.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The gateway's clock less the own time, in milliseconds.
    pub(super) fn offset(&self) -> i64 {
        self.wall.saturating_sub(self.base)
    }

    /// The own time.
    #[cfg(test)]
    pub(super) fn now(&self, uptime: Uptime) -> Timestamp {
        Timestamp::from_millis(self.base) + uptime.elapsed()
    }

    /// A collector says what time it is.
    pub(super) fn told(&mut self, collector: &Id, time: Timestamp, uptime: Uptime) {
        if time >= PLAUSIBLE {
            self.collectors.insert(collector.clone(), (base(time, uptime), uptime));
        }
    }

    /// Looks at the gateway's clock; whether the own time moves by that.
    pub(super) fn look(&mut self, wall: Timestamp, uptime: Uptime) -> Option<Moved> {
        let before = std::mem::replace(&mut self.wall, base(wall, uptime));
        if self.wall.abs_diff(before) > STEP.unsigned_abs() {
            self.steps = self.steps.saturating_add(1);
        }
        let passed = uptime.since(std::mem::replace(&mut self.looked, uptime));
        let target = self.target(wall >= PLAUSIBLE, uptime, passed)?;
        let by = target.saturating_sub(self.base);
        let first = !std::mem::replace(&mut self.set, true);
        self.base = target;
        (by != 0 || first).then_some(Moved { by, first })
    }

    fn target(&mut self, plausible: bool, uptime: Uptime, passed: Duration) -> Option<i64> {
        let fresh = self.collectors.values().filter(|(_, at)| uptime.since(*at) <= FRESH);
        let said: Vec<i64> = fresh.map(|(base, _)| *base).collect();
        let agree = |a: i64, b: i64| a.abs_diff(b) <= AGREE.unsigned_abs();
        let votes = |of: i64| said.iter().filter(|one| agree(**one, of)).count();
        // What most collectors say, the first of equals.
        let most = said.iter().copied().max_by_key(|one| votes(*one));
        if !self.set {
            let believed = plausible && (said.is_empty() || votes(self.wall) > 0);
            return if believed { Some(self.wall) } else { most };
        }
        if agree(self.wall, self.base) {
            self.parted = None;
            if let Some(most) = most
                && votes(most) >= 2
                && !agree(most, self.base)
            {
                return Some(most);
            }
            let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
            let step = passed.saturating_div(SLEW).max(0);
            let apart = self.wall.saturating_sub(self.base);
            return (step > 0).then(|| self.base.saturating_add(apart.clamp(-step, step)));
        }
        let since = *self.parted.get_or_insert(uptime);
        let Some(most) = most else {
            let waited = uptime.since(since) >= PATIENCE;
            return (waited && plausible).then_some(self.wall);
        };
        if agree(most, self.base) {
            return None;
        }
        Some(if agree(most, self.wall) { self.wall } else { most })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: i64 = 1_795_276_800_000;

    fn up(millis: u64) -> Uptime {
        Uptime::new(Duration::from_millis(millis))
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    #[test]
    fn a_step_moves_nothing_until_somebody_else_confirms_it() {
        let mut timeline = Timeline::new(at(T0), up(0));
        assert_eq!(timeline.look(at(T0 + 1_000), up(1_000)), None);
        let hour = 3_600_000;
        assert_eq!(timeline.look(at(T0 - hour + 2_000), up(2_000)), None);
        assert_eq!((timeline.steps(), timeline.offset()), (1, -hour));
        assert_eq!(timeline.now(up(2_000)), at(T0 + 2_000));
        // The collector says that the own time is right: for as long as it does.
        timeline.told(&id("c-1"), at(T0 + 3_000), up(3_000));
        assert_eq!(timeline.look(at(T0 - hour + 3_000), up(3_000)), None);
        // Back again: nothing has happened.
        assert_eq!(timeline.look(at(T0 + 4_000), up(4_000)), None);
        assert_eq!((timeline.steps(), timeline.offset()), (2, 0));
        // A correction that the collector confirms is taken.
        timeline.told(&id("c-1"), at(T0 + 60_000), up(5_000));
        let moved = timeline.look(at(T0 + 60_010), up(5_000));
        assert_eq!(moved, Some(Moved { by: 55_010, first: false }));
    }

    #[test]
    fn without_a_collector_a_clock_that_was_set_is_believed_after_an_hour() {
        let mut timeline = Timeline::new(at(T0), up(0));
        assert_eq!(timeline.look(at(T0 + 100_000), up(0)), None);
        assert_eq!(timeline.look(at(T0 + 3_699_000), up(3_599_000)), None);
        let moved = timeline.look(at(T0 + 3_700_000), up(3_600_000));
        assert_eq!(moved, Some(Moved { by: 100_000, first: false }));
    }

    #[test]
    fn the_epoch_is_no_time() {
        let mut timeline = Timeline::new(at(5_000), up(0));
        assert!(!timeline.is_set());
        assert_eq!(timeline.look(at(6_000), up(1_000)), None);
        let moved = timeline.look(at(T0), up(2_000));
        assert_eq!(moved, Some(Moved { by: T0 - 7_000, first: true }));
        let mut timeline = Timeline::new(at(5_000), up(0));
        timeline.told(&id("c-1"), at(T0), up(1_000));
        let moved = timeline.look(at(6_000), up(1_000));
        assert_eq!(moved, Some(Moved { by: T0 - 6_000, first: true }));
    }

    #[test]
    fn two_collectors_correct_a_gateway_that_one_does_not() {
        let mut timeline = Timeline::new(at(T0), up(0));
        timeline.told(&id("c-1"), at(T0 + 60_000), up(0));
        assert_eq!(timeline.look(at(T0), up(0)), None);
        timeline.told(&id("c-2"), at(T0 + 60_000), up(0));
        let moved = timeline.look(at(T0), up(0));
        assert_eq!(moved, Some(Moved { by: 60_000, first: false }));
    }

    proptest! {
        #[test]
        fn without_collectors_the_own_time_never_goes_back_within_the_hour(
            looks in prop::collection::vec((1u64..20_000, -100_000i64..100_000), 1..100),
        ) {
            let mut timeline = Timeline::new(at(T0), up(0));
            let (mut passed, mut before) = (0, at(T0));
            for (step, error) in looks {
                passed += step;
                if passed >= 3_600_000 {
                    break;
                }
                timeline.look(at(T0 + passed.cast_signed() + error), up(passed));
                let now = timeline.now(up(passed));
                prop_assert!(now >= before);
                let apart = now.as_millis() - T0 - passed.cast_signed();
                prop_assert!(apart.abs() <= passed.cast_signed() / SLEW, "{}", apart);
                before = now;
            }
        }
    }
}
