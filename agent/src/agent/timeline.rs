//! What time it is, when the gateway's clock cannot always be believed. Pure.
//!
//! Readings get the agent's own time: a base plus the uptime, which no step of the gateway's clock
//! moves. At first the base is what the gateway's clock says, and nobody has confirmed that: a
//! gateway without a battery starts with the time at which it was switched off. Until somebody does,
//! the base stays as it is, so that all that was read meanwhile is wrong by the same amount. The first
//! word of a collector, or of the system that it keeps the gateway's clock by others, settles it.
//!
//! From then on the base follows the gateway's clock slowly while both agree. When they part, whoever
//! has the majority is believed: the gateway's clock, the own time, and what collectors say in
//! their acknowledgements. An own time that turns out to be wrong is corrected at once.
//!
//! `Unset => Unconfirmed` with a plausible clock, `Unset, Unconfirmed => Confirmed` with a word of
//! somebody else; never back.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Id, Timestamp, Uptime};

/// Before this no agent was built: a clock that says so was never set. 2025-01-01T00:00:00Z.
pub(super) const PLAUSIBLE: Timestamp = Timestamp::from_millis(1_735_689_600_000);
/// Whoever says that it is later does not know: 2100-01-01T00:00:00Z.
const LATEST: Timestamp = Timestamp::from_millis(4_102_444_800_000);
/// A gateway's clock that moves by more than this against the uptime was set.
const STEP: i64 = 1_000;
/// Clocks that differ by no more than this agree: the network's delay is in between.
pub(crate) const AGREE: i64 = 5_000;
/// While both agree, the own time follows the gateway's clock by a part of the time that passes.
const SLEW: i64 = 200;
/// A collector's word holds for so long: acknowledgements come every second, statuses every ten.
const FRESH: Duration = Duration::from_secs(60);
/// Without any collector's word, a gateway's clock that was set is believed after this.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// A first collector that contradicts a clock that nobody confirmed waits so long for a second one.
const SECOND: Duration = Duration::from_secs(15);

/// How far the time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unset,
    Unconfirmed,
    Confirmed,
}

/// See the module. Bases are the time at uptime zero, in milliseconds.
#[derive(Debug)]
pub(super) struct Timeline {
    base: i64,
    state: State,
    wall: i64,
    steps: u64,
    /// How many collectors there are to tell the time.
    expected: usize,
    /// Since when the gateway's clock and the own time have parted.
    parted: Option<Uptime>,
    /// What the gateway's clock said when collectors last said otherwise, and the own time was right.
    contradicted: Option<i64>,
    looked: Uptime,
    /// When a collector was first heard in this run.
    heard: Option<Uptime>,
    /// When one first told the time.
    first_told: Option<Uptime>,
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

fn agree(a: i64, b: i64) -> bool {
    a.abs_diff(b) <= AGREE.unsigned_abs()
}

impl Timeline {
    /// By the gateway's clock, which says `wall`, with so many collectors to be heard. `known` is
    /// the time at uptime zero, where an earlier run had it confirmed since the machine was started.
    pub(super) fn new(
        wall: Timestamp,
        uptime: Uptime,
        known: Option<Timestamp>,
        expected: usize,
    ) -> Self {
        let wall_base = base(wall, uptime);
        let (base, state) = match known {
            Some(known) => (known.as_millis(), State::Confirmed),
            None if wall >= PLAUSIBLE => (wall_base, State::Unconfirmed),
            None => (wall_base, State::Unset),
        };
        Self {
            base,
            state,
            wall: wall_base,
            steps: 0,
            expected,
            parted: None,
            contradicted: None,
            looked: uptime,
            heard: None,
            first_told: None,
            collectors: BTreeMap::new(),
        }
    }

    /// Whether the time is known, if only by the gateway's clock.
    pub(super) fn is_set(&self) -> bool {
        self.state != State::Unset
    }

    /// Whether somebody else has confirmed the time.
    pub(super) fn is_confirmed(&self) -> bool {
        self.state == State::Confirmed
    }

    /// How often the gateway's clock was set.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The gateway's clock less the own time, in milliseconds.
    pub(super) fn offset(&self) -> i64 {
        self.wall.saturating_sub(self.base)
    }

    /// The own time at uptime zero.
    pub(super) fn origin(&self) -> Timestamp {
        Timestamp::from_millis(self.base)
    }

    /// The own time.
    #[cfg(test)]
    pub(super) fn now(&self, uptime: Uptime) -> Timestamp {
        Timestamp::from_millis(self.base) + uptime.elapsed()
    }

    /// A collector says what time it is.
    pub(super) fn told(&mut self, collector: &Id, time: Timestamp, uptime: Uptime) {
        self.heard.get_or_insert(uptime);
        if (PLAUSIBLE..LATEST).contains(&time) {
            self.first_told.get_or_insert(uptime);
            self.collectors.insert(collector.clone(), (base(time, uptime), uptime));
        }
    }

    /// Looks at the gateway's clock, which is `kept` when the system says that it follows others;
    /// whether the own time moves by that.
    pub(super) fn look(&mut self, wall: Timestamp, uptime: Uptime, kept: bool) -> Option<Moved> {
        let before = std::mem::replace(&mut self.wall, base(wall, uptime));
        if self.wall.abs_diff(before) > STEP.unsigned_abs() {
            self.steps = self.steps.saturating_add(1);
            self.parted = None;
        }
        let passed = uptime.since(std::mem::replace(&mut self.looked, uptime));
        let plausible = wall >= PLAUSIBLE;
        let (target, state) = match self.state {
            State::Unset => self.first_target(plausible, uptime, kept)?,
            State::Unconfirmed => (self.confirmed(plausible, uptime, kept)?, State::Confirmed),
            State::Confirmed => (self.target(plausible, uptime, passed)?, State::Confirmed),
        };
        let by = target.saturating_sub(self.base);
        let first = std::mem::replace(&mut self.state, state) == State::Unset;
        self.base = target;
        (by != 0 || first).then_some(Moved { by, first })
    }

    /// What collectors said just now.
    fn said(&self, uptime: Uptime) -> Vec<i64> {
        let fresh = self.collectors.values().filter(|(_, at)| uptime.since(*at) <= FRESH);
        fresh.map(|(base, _)| *base).collect()
    }

    fn first_target(&self, plausible: bool, uptime: Uptime, kept: bool) -> Option<(i64, State)> {
        let said = self.said(uptime);
        let Some(most) = most(&said) else {
            let state = if kept { State::Confirmed } else { State::Unconfirmed };
            return plausible.then_some((self.wall, state));
        };
        let right = plausible && said.iter().any(|one| agree(*one, self.wall));
        Some((if right { self.wall } else { most }, State::Confirmed))
    }

    /// The time, once somebody confirms what the gateway's clock says, or knows better. A
    /// difference within the tolerance is none.
    fn confirmed(&self, plausible: bool, uptime: Uptime, kept: bool) -> Option<i64> {
        let said = self.said(uptime);
        let backed = |of: i64| said.iter().any(|one| agree(*one, of));
        let waited = |since: Option<Uptime>, most| since.is_some_and(|at| uptime.since(at) >= most);
        let target = if plausible && (kept || backed(self.wall)) {
            self.wall
        } else if backed(self.base) {
            self.base
        } else if let Some(most) = most(&said) {
            let votes = said.iter().filter(|one| agree(**one, most)).count();
            let all = said.len() >= self.expected || waited(self.first_told, SECOND);
            (votes >= 2 || all).then_some(most)?
        } else {
            // Collectors that do not say what time it is leave nobody to ask.
            (self.first_told.is_none() && waited(self.heard, FRESH)).then_some(self.base)?
        };
        Some(if agree(target, self.base) { self.base } else { target })
    }

    fn target(&mut self, plausible: bool, uptime: Uptime, passed: Duration) -> Option<i64> {
        let said = self.said(uptime);
        let votes = |of: i64| said.iter().filter(|one| agree(**one, of)).count();
        let most = most(&said);
        if agree(self.wall, self.base) {
            (self.parted, self.contradicted) = (None, None);
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
            let refuted = self.contradicted.is_some_and(|wrong| agree(wrong, self.wall));
            return (waited && plausible && !refuted).then_some(self.wall);
        };
        if agree(most, self.base) {
            // The hour counts from the last word, and what was said to be wrong stays so.
            (self.parted, self.contradicted) = (Some(uptime), Some(self.wall));
            return None;
        }
        Some(if agree(most, self.wall) { self.wall } else { most })
    }
}

/// What most of them say.
fn most(said: &[i64]) -> Option<i64> {
    said.iter().copied().max_by_key(|of| said.iter().filter(|one| agree(**one, *of)).count())
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

    /// A clock that was confirmed.
    fn settled() -> Timeline {
        Timeline::new(at(T0), up(0), Some(at(T0)), 1)
    }

    #[test]
    fn a_step_moves_nothing_until_somebody_else_confirms_it() {
        let mut timeline = settled();
        assert_eq!(timeline.look(at(T0 + 1_000), up(1_000), false), None);
        let hour = 3_600_000;
        assert_eq!(timeline.look(at(T0 - hour + 2_000), up(2_000), false), None);
        assert_eq!((timeline.steps(), timeline.offset()), (1, -hour));
        assert_eq!(timeline.now(up(2_000)), at(T0 + 2_000));
        // The collector says that the own time is right: for as long as it does.
        timeline.told(&id("c-1"), at(T0 + 3_000), up(3_000));
        assert_eq!(timeline.look(at(T0 - hour + 3_000), up(3_000), false), None);
        // Back again: nothing has happened.
        assert_eq!(timeline.look(at(T0 + 4_000), up(4_000), false), None);
        assert_eq!((timeline.steps(), timeline.offset()), (2, 0));
        // A correction that the collector confirms is taken.
        timeline.told(&id("c-1"), at(T0 + 60_000), up(5_000));
        let moved = timeline.look(at(T0 + 60_010), up(5_000), false);
        assert_eq!(moved, Some(Moved { by: 55_010, first: false }));
    }

    #[test]
    fn without_a_collector_a_clock_that_was_set_is_believed_after_an_hour() {
        let mut timeline = settled();
        assert_eq!(timeline.look(at(T0 + 100_000), up(0), false), None);
        assert_eq!(timeline.look(at(T0 + 3_699_000), up(3_599_000), false), None);
        let moved = timeline.look(at(T0 + 3_700_000), up(3_600_000), false);
        assert_eq!(moved, Some(Moved { by: 100_000, first: false }));
    }

    #[test]
    fn a_clock_that_collectors_contradicted_is_not_believed_when_they_fall_silent() {
        let mut timeline = settled();
        let hours = 3 * 3_600_000;
        // Set at the start, and contradicted for two hours; then the link is cut.
        for second in (0..7_200).step_by(10) {
            timeline.told(&id("c-1"), at(T0 + second * 1_000), up(second.unsigned_abs() * 1_000));
            let wall = at(T0 - hours + second * 1_000);
            assert_eq!(timeline.look(wall, up(second.unsigned_abs() * 1_000), false), None);
        }
        for second in (7_200..20_000).step_by(10) {
            let wall = at(T0 - hours + second * 1_000);
            let moved = timeline.look(wall, up(second.unsigned_abs() * 1_000), false);
            assert_eq!(moved, None, "after {second} s");
        }
        // It is set once more: the hour counts from then on.
        let wall = |second: i64| at(T0 + 100_000 + second * 1_000);
        let mut look =
            |second: i64| timeline.look(wall(second), up(second.unsigned_abs() * 1_000), false);
        assert_eq!(look(20_000), None, "its hour begins");
        assert_eq!(look(23_590), None);
        assert_eq!(look(23_600), Some(Moved { by: 100_000, first: false }));
    }

    #[test]
    fn the_epoch_is_no_time() {
        let mut timeline = Timeline::new(at(5_000), up(0), None, 2);
        assert!(!timeline.is_set());
        assert_eq!(timeline.look(at(6_000), up(1_000), false), None);
        let moved = timeline.look(at(T0), up(2_000), false);
        assert_eq!(moved, Some(Moved { by: T0 - 7_000, first: true }));
        let mut timeline = Timeline::new(at(5_000), up(0), None, 2);
        timeline.told(&id("c-1"), at(T0), up(1_000));
        let moved = timeline.look(at(6_000), up(1_000), false);
        assert_eq!(moved, Some(Moved { by: T0 - 6_000, first: true }));
        assert!(timeline.is_confirmed());
    }

    /// A gateway whose clock is `off`, and that nobody has told the time yet.
    fn started(off: i64, collectors: usize) -> Timeline {
        Timeline::new(at(T0 + off), up(0), None, collectors)
    }

    #[test]
    fn a_clock_that_nobody_confirmed_is_corrected_by_the_first_who_knows() {
        let hours = 3 * 3_600_000;
        let moved = |by| Some(Moved { by, first: false });
        // Nobody says anything: it stays as it is, even when it is set, and is not believed either.
        let mut alone = started(-hours, 2);
        assert_eq!(alone.look(at(T0 + 7_200_000), up(7_200_000), false), None);
        assert!(alone.is_set() && !alone.is_confirmed());
        assert_eq!(
            alone.look(at(T0 + 7_200_100), up(7_200_100), true),
            moved(hours),
            "by the system"
        );
        assert!(alone.is_confirmed());

        let mut single = started(-hours, 1);
        single.told(&id("c-1"), at(T0 + 1_000), up(1_000));
        assert_eq!(single.look(at(T0 - hours + 1_000), up(1_000), false), moved(hours));

        // Of two the second is waited for: the first may be the one that is wrong.
        let mut pair = started(0, 2);
        pair.told(&id("c-1"), at(T0 + hours), up(0));
        assert_eq!(pair.look(at(T0), up(0), false), None);
        pair.told(&id("c-2"), at(T0 + 1_000), up(1_000));
        assert_eq!(pair.look(at(T0 + 1_000), up(1_000), false), None, "it was right");
        assert!(pair.is_confirmed());
        let mut pair = started(-hours, 2);
        pair.told(&id("c-1"), at(T0), up(0));
        assert_eq!(pair.look(at(T0 - hours + 14_999), up(14_999), false), None);
        assert!(!pair.is_confirmed());
        assert_eq!(pair.look(at(T0 - hours + 15_000), up(15_000), false), moved(hours));

        // Collectors that do not say what time it is.
        let mut mute = started(-hours, 2);
        mute.told(&id("c-1"), at(0), up(0));
        assert_eq!(mute.look(at(T0 - hours + 59_999), up(59_999), false), None);
        assert!(!mute.is_confirmed());
        assert_eq!(mute.look(at(T0 - hours + 60_000), up(60_000), false), None);
        assert!(mute.is_confirmed());
    }

    #[test]
    fn what_an_earlier_run_knew_holds_as_long_as_the_machine_runs() {
        let known = Some(at(T0));
        let mut timeline = Timeline::new(at(T0 + 7_200_000), up(0), known, 2);
        assert!(timeline.is_confirmed());
        assert_eq!((timeline.now(up(10)), timeline.offset()), (at(T0 + 10), 7_200_000));
        assert_eq!(timeline.look(at(T0 + 7_201_000), up(1_000), false), None);
        assert_eq!(Timeline::new(at(T0 + 4_000), up(0), known, 2).origin(), at(T0));
        let mut unset = Timeline::new(at(1_000), up(0), known, 2);
        assert!(unset.is_set());
        assert_eq!(unset.look(at(3_601_000), up(3_600_000), false), None);
    }

    #[test]
    fn two_collectors_correct_a_gateway_that_one_does_not() {
        let mut timeline = settled();
        timeline.told(&id("c-1"), at(T0 + 60_000), up(0));
        assert_eq!(timeline.look(at(T0), up(0), false), None);
        timeline.told(&id("c-2"), at(T0 + 60_000), up(0));
        let moved = timeline.look(at(T0), up(0), false);
        assert_eq!(moved, Some(Moved { by: 60_000, first: false }));
    }

    proptest! {
        /// However wrong the gateway's clock is, and whatever it is set to: before the first word
        /// nothing moves, by it everything moves by one amount, and then the time is right.
        #[test]
        fn one_correction_makes_it_right(
            off in prop_oneof![-9_000i64..9_000, -40_000_000i64..40_000_000],
            set in prop::option::of((1u64..50_000, -40_000_000i64..40_000_000)),
            delays in prop::collection::vec(0i64..2_000, 1..3),
            told in 1u64..50_000,
            expected in 1usize..3,
        ) {
            let wall = |passed: u64| match set {
                Some((when, off)) if passed >= when => at(T0 + off + passed.cast_signed()),
                _ => at(T0 + off + passed.cast_signed()),
            };
            let mut timeline = started(off, expected);
            let mut moves = Vec::new();
            for passed in (0..told + 20_000).step_by(250) {
                if passed >= told {
                    for (number, delay) in delays.iter().enumerate() {
                        let time = at(T0 + passed.cast_signed() - delay);
                        timeline.told(&id(&format!("c-{number}")), time, up(passed));
                    }
                }
                let before = timeline.is_confirmed();
                let moved = timeline.look(wall(passed), up(passed), false);
                prop_assert!(passed >= told || moved.is_none() && !timeline.is_confirmed());
                if !before {
                    moves.extend(moved.map(|moved| moved.by));
                }
            }
            prop_assert!(timeline.is_confirmed());
            prop_assert!(moves.len() <= 1 && moves.iter().all(|by| by.abs() > AGREE), "{:?}", moves);
            let apart = timeline.now(up(told + 20_000)).as_millis() - T0 - (told + 20_000).cast_signed();
            prop_assert!(apart.abs() <= AGREE + 2_500, "{}", apart);
        }

        #[test]
        fn without_collectors_the_own_time_never_goes_back_within_the_hour(
            looks in prop::collection::vec((1u64..20_000, -100_000i64..100_000), 1..100),
        ) {
            let mut timeline = settled();
            let (mut passed, mut before) = (0, at(T0));
            for (step, error) in looks {
                passed += step;
                if passed >= 3_600_000 {
                    break;
                }
                timeline.look(at(T0 + passed.cast_signed() + error), up(passed), false);
                let now = timeline.now(up(passed));
                prop_assert!(now >= before);
                let apart = now.as_millis() - T0 - passed.cast_signed();
                prop_assert!(apart.abs() <= passed.cast_signed() / SLEW, "{}", apart);
                before = now;
            }
        }
    }
}
