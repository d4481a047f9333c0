//! The ledger, told of everything in any order.

use hallwatch_model::{Ack, Gap, Id};
use proptest::prelude::*;

use super::*;

fn agent() -> AgentPath {
    let id = |text| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_795_276_800_000 + second.cast_signed() * 1_000)
}

/// Entry `seq` of the run `boot` that began at second `boot * 1000`.
fn entry(boot: u64, seq: u64, sender: u64) -> Arrived {
    let end = boot * 1_000 + seq;
    Arrived { boot, seq, start: at(end - 1), watermark: at(end), sender }
}

/// A collector's store: what is here, and what was given up.
#[derive(Default)]
struct World {
    ledger: Ledger,
    here: BTreeMap<u64, Ranges>,
}

impl World {
    fn ack(&self, boot: u64) -> Ack {
        let all: Vec<(u64, u64)> =
            self.here.get(&boot).map(|here| here.iter().collect()).unwrap_or_default();
        let upto = all.first().filter(|(first, _)| *first == 1).map_or(0, |(_, last)| *last);
        let beyond = all.into_iter().filter(|(first, _)| *first > upto).collect();
        Ack { boot, upto, beyond, ..Ack::default() }
    }

    fn take(&mut self, entry: Arrived, oldest: u64, now: Timestamp) {
        let boot = entry.boot;
        let lost = Ranges::of([(1, oldest - 1)]);
        let lost = lost.without(&self.here.get(&boot).cloned().unwrap_or_default());
        let ranges: Vec<(u64, u64)> = lost.iter().collect();
        if !ranges.is_empty() {
            self.ledger.given_up(&agent(), boot, &ranges, entry);
        }
        let here = self.here.entry(boot).or_default();
        here.insert(1, oldest - 1);
        here.insert(entry.seq, entry.seq);
        self.ledger.arrived(&agent(), entry);
        let ack = self.ack(boot);
        self.ledger.acknowledged(&agent(), &ack, now);
    }

    fn shown(&self) -> Vec<(String, State, Timestamp, Option<Timestamp>, u64)> {
        let row =
            |row: &Row| (row.cause.clone(), row.state, row.start, row.end, row.missing.count());
        self.ledger.rows().map(row).collect()
    }
}

#[test]
fn a_link_that_was_down_is_a_gap_until_the_backlog_is_here() {
    let mut world = World::default();
    for seq in 1..=10 {
        world.take(entry(1, seq, 1), 1, at(1_000 + seq));
    }
    world.ledger.heard(&agent(), Some(false), at(1_026));
    assert_eq!(world.shown(), [(cause::OFFLINE.into(), State::Open, at(1_010), None, 0)]);
    // Back, with news first.
    world.take(entry(1, 41, 1), 1, at(1_041));
    world.ledger.heard(&agent(), Some(true), at(1_041));
    let silent = |state| (cause::LINK.to_owned(), state, at(1_010), Some(at(1_041)), 0);
    assert_eq!(world.shown(), [silent(State::Open)]);
    world.ledger.heard(&agent(), Some(true), at(1_046));
    let hole =
        |state, missing| (cause::LINK.to_owned(), state, at(1_010), Some(at(1_040)), missing);
    assert_eq!(world.shown(), [hole(State::Open, 30), silent(State::Open)]);
    for seq in 11..=40 {
        world.take(entry(1, seq, 1), 1, at(1_047));
    }
    world.ledger.heard(&agent(), Some(true), at(1_048));
    assert_eq!(world.shown(), [hole(State::Filled, 0), silent(State::Filled)]);
    assert!(world.ledger.lost_seconds().is_empty());
}

#[test]
fn between_two_runs_the_agent_was_down_and_late_entries_make_that_shorter() {
    let mut world = World::default();
    world.take(entry(1, 1, 1), 1, at(1_001));
    world.ledger.heard(&agent(), Some(false), at(1_100));
    world.take(entry(2, 1, 2), 1, at(2_001));
    world.ledger.heard(&agent(), Some(true), at(2_001));
    world.ledger.heard(&agent(), Some(true), at(2_002));
    let down = |start| (cause::DOWN.to_owned(), State::Lost, at(start), Some(at(2_000)), 0);
    assert_eq!(world.shown(), [down(1_001)]);
    for seq in 2..=50 {
        world.take(entry(1, seq, 2), 1, at(2_003));
    }
    world.ledger.heard(&agent(), Some(true), at(2_004));
    assert_eq!(world.shown(), [down(1_050)]);
    let lost: Vec<f64> = world.ledger.lost_seconds().values().copied().collect();
    assert_eq!(lost, [950.0]);
}

#[test]
fn what_an_agent_gave_up_is_lost_gets_its_cause_and_may_come_after_all() {
    let mut world = World::default();
    world.take(entry(1, 1, 1), 1, at(1_001));
    world.take(entry(1, 21, 1), 11, at(1_021));
    world.ledger.heard(&agent(), Some(true), at(1_030));
    let lost =
        |cause: &str, missing| (cause.into(), State::Lost, at(1_001), Some(at(1_020)), missing);
    assert_eq!(world.shown()[1], lost(cause::GIVEN_UP, 9));
    // It says why; of entries that are here there is no gap.
    let gap = Gap {
        first: at(1_001),
        last: at(1_010),
        cause: "max_bytes".into(),
        entries: 10,
        readings: 1_000,
        ranges: vec![(1, 1, 10)],
        ..Gap::default()
    };
    for _ in 0..2 {
        let ack = world.ack(1);
        world.ledger.told(&agent(), 1, &gap, |_| ack.clone());
        let told = world.ledger.rows().find(|row| row.cause == "max_bytes").unwrap();
        assert_eq!((told.state, told.entries, told.readings), (State::Lost, 9, 900));
        assert!(world.ledger.rows().all(|row| row.cause != cause::GIVEN_UP));
    }
    for seq in 2..=10 {
        world.take(entry(1, seq, 1), 11, at(1_040));
    }
    let told = world.ledger.rows().find(|row| row.cause == "max_bytes").unwrap();
    assert_eq!((told.state, told.missing.count()), (State::Filled, 0));
}

#[test]
fn holes_of_a_run_that_no_journal_has_any_more_are_lost() {
    let mut world = World::default();
    for seq in 1..=10 {
        world.take(entry(1, seq, 1), 1, at(1_000 + seq));
    }
    // Of the second run, whose journal was in memory, two entries came, and of the third all.
    world.take(entry(2, 5, 2), 1, at(2_005));
    world.take(entry(2, 20, 2), 1, at(2_020));
    world.take(entry(3, 2, 3), 1, at(3_002));
    world.ledger.settled(&agent(), 3);
    let lost = |start, end, missing| {
        (cause::GIVEN_UP.to_owned(), State::Lost, at(start), Some(at(end)), missing)
    };
    assert_eq!(world.shown(), [lost(1_010, 2_004, 4), lost(2_005, 2_019, 14)]);
    // What the present run owes is still to come, and does.
    world.ledger.heard(&agent(), Some(true), at(3_010));
    let open =
        |state, missing| (cause::LINK.to_owned(), state, at(3_001), Some(at(3_001)), missing);
    let shown = world.shown();
    assert!(shown.contains(&open(State::Open, 1)), "{shown:?}");
    world.take(entry(3, 1, 3), 1, at(3_011));
    assert!(world.ledger.rows().all(|row| row.state != State::Open), "{:?}", world.shown());
    assert!(world.shown().contains(&lost(2_005, 2_019, 14)));
}

#[test]
fn a_hole_that_outlives_the_collector_is_filled_when_all_of_it_comes_at_once() {
    let mut world = World::default();
    for seq in [1, 2, 6] {
        world.take(entry(1, seq, 1), 1, at(1_006));
    }
    world.ledger.heard(&agent(), Some(true), at(1_020));
    let row =
        |state, missing| vec![(cause::LINK.to_owned(), state, at(1_002), Some(at(1_005)), missing)];
    assert_eq!(world.shown(), row(State::Open, 3));
    // What is on its disk: rows, and the beginning and end of runs.
    let known = world.ledger.agents.values().next().unwrap().runs[&1].clone();
    let run = Run { holes: BTreeMap::new(), beyond: Vec::new(), edges: BTreeMap::new(), ..known };
    let rows = world.ledger.rows().cloned().collect();
    world.ledger = Ledger::restore(rows, vec![(agent(), 1, run)], vec![(agent(), 1)]);
    for seq in 3..=5 {
        world.ledger.arrived(&agent(), entry(1, seq, 1));
    }
    world.ledger.acknowledged(&agent(), &Ack { boot: 1, upto: 6, ..Ack::default() }, at(1_030));
    assert_eq!(world.shown(), row(State::Filled, 0));
}

#[test]
fn a_collector_that_has_everything_has_no_gap() {
    let mut world = World::default();
    for seq in 1..=20 {
        world.take(entry(1, seq, 1), 1, at(1_000 + seq));
    }
    let gap = Gap { cause: "max_age".into(), ranges: vec![(1, 5, 9)], ..Gap::default() };
    let ack = world.ack(1);
    world.ledger.told(&agent(), 1, &gap, |_| ack.clone());
    assert_eq!(world.shown(), []);
}

#[test]
fn a_silent_device_is_open_until_it_answers_or_its_agent_is_another_run() {
    let mut world = World::default();
    world.take(entry(1, 30, 1), 30, at(1_030));
    let silent = |open, last| Gap {
        first: at(1_010),
        last: at(last),
        cause: "device_silent".into(),
        device: "ups-a".into(),
        open,
        ..Gap::default()
    };
    let tell = |world: &mut World, gap: &Gap| {
        world.ledger.told(&agent(), 1, gap, |boot| Ack { boot, ..Ack::default() });
        let row = world.ledger.rows().find(|row| row.device == "ups-a").cloned().unwrap();
        (row.state, row.end)
    };
    assert_eq!(tell(&mut world, &silent(true, 1_020)), (State::Open, None));
    assert_eq!(tell(&mut world, &silent(false, 1_040)), (State::Lost, Some(at(1_040))));
    // The first word comes again, late.
    assert_eq!(tell(&mut world, &silent(true, 1_020)), (State::Lost, Some(at(1_040))));
    let other = Gap { device: "ups-b".into(), ..silent(true, 1_020) };
    world.ledger.told(&agent(), 1, &other, |boot| Ack { boot, ..Ack::default() });
    world.take(entry(2, 1, 2), 1, at(2_001));
    let row = world.ledger.rows().find(|row| row.device == "ups-b").unwrap();
    assert_eq!((row.state, row.end), (State::Lost, Some(at(1_030))));
}

#[test]
fn readings_whose_times_were_corrected_are_on_record_and_not_missing() {
    let mut world = World::default();
    for cause in [cause::CORRECTED, cause::UNCERTAIN] {
        let gap =
            Gap { first: at(1_000), last: at(1_060), cause: cause.to_owned(), ..Gap::default() };
        for _ in 0..2 {
            world.ledger.told(&agent(), 1, &gap, |boot| Ack { boot, ..Ack::default() });
        }
    }
    let row = |cause: &str| (cause.to_owned(), State::Filled, at(1_000), Some(at(1_060)), 0);
    assert_eq!(world.shown(), [row(cause::CORRECTED), row(cause::UNCERTAIN)]);
}

#[test]
fn a_silent_device_of_a_run_that_is_over_is_silent_to_its_end_however_late_its_words_come() {
    let silent = |device: &str, open, last| Gap {
        first: at(1_010),
        last: at(last),
        cause: "device_silent".into(),
        device: device.into(),
        open,
        ..Gap::default()
    };
    let mut world = World::default();
    let tell = |world: &mut World, gap: &Gap| {
        world.ledger.told(&agent(), 1, gap, |boot| Ack { boot, ..Ack::default() });
    };
    let row = |world: &World, device: &str| {
        let row = world.ledger.rows().find(|row| row.device == device).cloned().unwrap();
        (row.state, row.end)
    };
    world.take(entry(1, 20, 1), 20, at(1_020));
    tell(&mut world, &silent("ups-a", true, 1_020));
    assert_eq!(row(&world, "ups-a"), (State::Open, None));
    // The next run speaks first, and delivers afterwards what the one before had journalled.
    world.take(entry(2, 1, 2), 1, at(2_001));
    assert_eq!(row(&world, "ups-a"), (State::Lost, Some(at(1_020))));
    tell(&mut world, &silent("ups-b", true, 1_025));
    assert_eq!(row(&world, "ups-b"), (State::Lost, Some(at(1_020))));
    world.take(entry(1, 30, 2), 20, at(2_002));
    assert_eq!(row(&world, "ups-a"), (State::Lost, Some(at(1_030))));
    assert_eq!(row(&world, "ups-b"), (State::Lost, Some(at(1_030))));
    // It had answered in time.
    tell(&mut world, &silent("ups-b", false, 1_027));
    world.take(entry(1, 40, 2), 20, at(2_003));
    assert_eq!(row(&world, "ups-a"), (State::Lost, Some(at(1_040))));
    assert_eq!(row(&world, "ups-b"), (State::Lost, Some(at(1_027))));
}

proptest! {
    #[test]
    fn once_everything_is_here_nothing_is_missing_whatever_the_order(
        order in Just((1u64..=40).collect::<Vec<_>>()).prop_shuffle(),
        again in prop::collection::vec(0usize..40, 0..20),
    ) {
        let mut world = World::default();
        let mut now = 2_000;
        let repeats: Vec<u64> = again.iter().map(|at| order[*at]).collect();
        for seq in order.into_iter().chain(repeats) {
            now += 3;
            world.take(entry(1, seq, 1), 1, at(now));
            world.ledger.heard(&agent(), Some(true), at(now));
        }
        world.ledger.heard(&agent(), Some(true), at(now + 60));
        for row in world.ledger.rows() {
            prop_assert_eq!(row.state, State::Filled, "{:?}", row);
        }
        prop_assert!(world.ledger.lost_seconds().is_empty());
    }

    #[test]
    fn what_never_comes_is_lost_by_number_and_nothing_else_is(
        here in prop::collection::btree_set(1u64..60, 1..50),
        oldest in 1u64..60,
    ) {
        let mut world = World::default();
        for (place, seq) in here.iter().enumerate() {
            world.take(entry(1, *seq, 1), 1, at(2_000 + place as u64));
        }
        world.ledger.heard(&agent(), Some(true), at(3_000));
        world.take(entry(1, 60, 1), oldest, at(3_000));
        world.ledger.heard(&agent(), Some(true), at(3_100));
        let missing = world.ledger.missing(&agent(), 1);
        let wanted = Ranges::of((1..oldest).filter(|seq| !here.contains(seq)).map(|seq| (seq, seq)));
        prop_assert_eq!(missing, wanted);
        let open: u64 = world
            .ledger
            .rows()
            .filter(|row| row.state == State::Open)
            .map(|row| row.missing.count())
            .sum();
        let owed = (oldest..60).filter(|seq| !here.contains(seq)).count();
        prop_assert_eq!(open, owed as u64);
    }
}
