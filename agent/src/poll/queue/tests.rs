//! Lines on a clock of their own: every millisecond of what the others wait for is accounted for.

use std::collections::BTreeSet;

use hallwatch_modbus::{Read, Table};

use super::super::{PollState, Reads};
use super::*;

const UNITS: usize = 20;
const DEAD: [usize; 5] = [1, 6, 10, 15, 18];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Uptime {
    Uptime::new(ms(millis))
}

/// How a line is, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Given {
    interval: u64,
    /// What a question and its answer take.
    turn: u64,
    min_timeout: u64,
    timeout: u64,
    quiet: u64,
    /// How late the line hears that a device is due.
    lag: u64,
}

const USUAL: Given =
    Given { interval: 1_000, turn: 20, min_timeout: 250, timeout: 1_000, quiet: 1_000, lag: 0 };

impl Given {
    fn cost(self) -> Cost {
        let (usual, longest) = (ms(self.min_timeout), ms(self.timeout));
        if self.quiet == 0 {
            return Cost { least: longest, usual: longest, longest, quiet: ms(0) };
        }
        Cost { least: ms(50).min(usual), usual, longest, quiet: ms(self.quiet) }
    }
}

struct Device {
    state: PollState,
    is_there: bool,
    /// What it is asked, how far that is answered, and which are never.
    plan: Vec<Read>,
    reads: Reads,
    drops: BTreeSet<usize>,
    asked: Vec<u64>,
    read: Vec<u64>,
    /// When all of it was answered, and when it was asked for a read that was put aside.
    whole: Vec<u64>,
    retried: Vec<u64>,
}

impl Device {
    fn answers(&self, read: &Read) -> bool {
        self.is_there && !self.drops.iter().any(|at| self.plan[*at] == *read)
    }

    /// Whether none of the reads is asked any more that it drops.
    fn is_known(&self) -> bool {
        self.drops.iter().all(|at| self.reads.missing(&self.plan[*at]).is_some())
    }
}

fn plan(reads: u16) -> Vec<Read> {
    let read = |at| Read::new(Table::HoldingRegisters, 100 * at, 10).unwrap();
    (0..reads).map(read).collect()
}

/// A question that is under way.
struct Question {
    device: usize,
    answers: Vec<Result<Data, Missing>>,
    /// The places of the reads that were asked for; none when one was that was put aside.
    asked: Option<Vec<usize>>,
    ended: Ended,
    /// When its outcome is known; none when it was told.
    told: Option<Uptime>,
    /// When the line is free.
    free: Uptime,
}

/// Twenty devices and the line that they share, with the agent that says when they are due.
struct Bus {
    given: Given,
    now: Uptime,
    queue: Queue,
    devices: Vec<Device>,
    question: Option<Question>,
    /// What questions that were not answered have cost, by device.
    lost: Vec<(usize, Uptime, Duration)>,
    wake: Option<Uptime>,
}

impl Bus {
    fn new(given: Given, layout: usize) -> Self {
        let mut queue = Queue::default();
        let devices = (0..UNITS).map(|device| {
            queue.join(device, ms(given.interval), given.cost());
            let name = format!("meter-{layout}-{device}");
            Device {
                state: PollState::new(&name, ms(given.interval), at(0)),
                is_there: true,
                plan: plan(1),
                reads: Reads::new(ms(given.interval)),
                drops: BTreeSet::new(),
                asked: Vec::new(),
                read: Vec::new(),
                whole: Vec::new(),
                retried: Vec::new(),
            }
        });
        let devices = devices.collect();
        let (question, wake) = (None, None);
        Self { given, now: at(0), queue, devices, question, lost: Vec::new(), wake }
    }

    fn kill(&mut self, dead: &[usize]) {
        dead.iter().for_each(|device| self.devices[*device].is_there = false);
    }

    /// Those devices have three reads, and drop some of them.
    fn drop(&mut self, devices: &[usize], drops: &[usize]) {
        for device in devices {
            let device = &mut self.devices[*device];
            device.plan = plan(3);
            device.drops = drops.iter().copied().collect();
        }
    }

    fn millis(&self) -> u64 {
        self.now.elapsed().as_millis().try_into().unwrap()
    }

    /// On to the next moment at which something happens.
    fn step(&mut self) {
        let lag = ms(self.given.lag);
        let due = self.devices.iter().map(|device| device.state.deadline() + lag);
        let question = self.question.iter().map(|question| question.told.unwrap_or(question.free));
        // A line whose question is under way is not woken.
        let wake = self.wake.filter(|_| self.question.is_none());
        self.now = due.chain(question).chain(wake).min().unwrap().max(self.now);

        let (now, millis) = (self.now, self.millis());
        if let Some(question) = &mut self.question
            && question.told.is_some_and(|told| told <= now)
        {
            question.told = None;
            let device = &mut self.devices[question.device];
            if let Some(asked) = &question.asked {
                if question.answers.iter().any(Result::is_ok) {
                    device.read.push(millis);
                }
                if question.answers.iter().all(Result::is_ok) {
                    device.whole.push(millis);
                }
                device.reads.polled(&device.plan, &question.answers, asked, now);
                device.state.finished(&question.answers, &[], now);
            }
        }
        if let Some(question) = self.question.take_if(|question| question.free <= now) {
            let (device, ended) = (question.device, question.ended);
            match question.asked {
                Some(_) => {
                    self.queue.finished(device, ended, now);
                    if self.devices[device].reads.due(now).is_some() {
                        self.queue.aside(device, self.given.cost(), now);
                    }
                }
                None => self.queue.retried(device, ended, now),
            }
        }
        for (index, device) in self.devices.iter_mut().enumerate() {
            if now >= device.state.deadline() + lag && device.state.due(now) {
                self.queue.push(index, device.state.deadline(), now);
            }
        }
        if self.question.is_some() {
            return;
        }
        self.wake = None;
        match self.queue.take(now) {
            Turn::Idle => {}
            Turn::Wait(until) => {
                assert!(until > now, "it would be asked for ever");
                self.wake = Some(until);
            }
            Turn::Ask(device, patience) => self.ask(device, patience),
            Turn::Retry(device, patience) => self.retry(device, patience),
        }
    }

    fn wait(&self, patience: Patience) -> Duration {
        match patience {
            Patience::Longest => ms(self.given.timeout),
            Patience::Latency | Patience::Usual => self.given.cost().usual,
            Patience::AtMost(wait) => wait,
        }
    }

    /// Nothing is asked after a read that is not answered.
    fn ask(&mut self, index: usize, patience: Patience) {
        let (now, millis, wait) = (self.now, self.millis(), self.wait(patience));
        let device = &mut self.devices[index];
        device.asked.push(millis);
        let mut answers = vec![Err(Missing::Timeout); device.plan.len()];
        let (mut asked, mut failed, mut told) = (Vec::new(), false, now);
        for place in device.reads.order(&device.plan) {
            asked.push(place);
            if !device.answers(&device.plan[place]) {
                told = told + wait;
                failed = true;
                break;
            }
            told = told + ms(self.given.turn);
            answers[place] = Ok(Data::Registers([1].into()));
        }
        let ended = Ended::of(&answers, failed);
        let free = if failed { told + ms(self.given.quiet) } else { told };
        if failed {
            self.lost.push((index, now, free.since(now)));
        }
        let (asked, told) = (Some(asked), Some(told));
        self.question = Some(Question { device: index, answers, asked, ended, told, free });
    }

    fn retry(&mut self, index: usize, patience: Patience) {
        let (now, millis, wait) = (self.now, self.millis(), self.wait(patience));
        let device = &mut self.devices[index];
        let read = device.reads.due(now).expect("nothing else is asked for");
        assert!(device.state.health() == Health::Online, "a silent device is left alone");
        device.retried.push(millis);
        let (ended, free) = match device.answers(&read) {
            true => (Ended::Answered, now + ms(self.given.turn)),
            false => (SILENCE, now + wait + ms(self.given.quiet)),
        };
        let failed = (ended != Ended::Answered).then_some(Missing::Timeout);
        device.reads.retried(read, failed, now);
        if failed.is_some() {
            self.lost.push((index, now, free.since(now)));
        }
        let (answers, asked, told) = (Vec::new(), None, None);
        self.question = Some(Question { device: index, answers, asked, ended, told, free });
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        while self.now < end {
            self.step();
        }
    }

    /// Until all of those are known to be offline; how long that took.
    fn known(&mut self, dead: &[usize]) -> u64 {
        let start = self.millis();
        while !dead.iter().all(|device| self.devices[*device].state.health().is_offline()) {
            self.step();
            assert!(self.millis() < start + 3_600_000, "never offline");
        }
        self.millis() - start
    }

    /// Until all reads are put aside that those drop; how long that took.
    fn settled(&mut self, devices: &[usize]) -> u64 {
        let start = self.millis();
        while !devices.iter().all(|device| self.devices[*device].is_known()) {
            self.step();
            assert!(self.millis() < start + 3_600_000, "never put aside");
        }
        // What the last of them has cost is over.
        self.run(self.given.interval + self.given.timeout + self.given.quiet);
        self.millis() - start
    }

    /// The longest time between two readings of a device that is there, both after `from`.
    fn longest_gap(&self, from: u64) -> u64 {
        let there = self.devices.iter().filter(|device| device.is_there);
        let gaps = there.flat_map(|device| {
            let since = device.read.partition_point(|read| *read < from);
            assert!(device.read.len() > since + 2);
            device.read[since..].windows(2).map(|pair| pair[1] - pair[0])
        });
        gaps.max().unwrap()
    }

    /// The part of the line's time since then that went to questions that were not answered.
    fn share(&self, from: u64) -> f64 {
        let all = self.lost.iter().filter(|(_, when, _)| *when >= at(from));
        let all: Duration = all.map(|(_, _, cost)| *cost).sum();
        all.as_secs_f64() / (self.now.since(at(from))).as_secs_f64()
    }
}

/// Lines on which there is a gap of the least wait between the turns of the others.
const LINES: [Given; 7] = [
    USUAL,
    Given { lag: 4, ..USUAL },
    Given { interval: 500, turn: 10, min_timeout: 200, timeout: 200, quiet: 200, lag: 0 },
    Given { interval: 2_000, turn: 60, min_timeout: 100, timeout: 300, quiet: 300, lag: 0 },
    Given { interval: 5_000, quiet: 400, timeout: 400, min_timeout: 400, ..USUAL },
    Given { interval: 10_000, turn: 150, ..USUAL },
    Given { interval: 60_000, turn: 300, ..USUAL },
];

#[test]
fn five_dead_units_of_twenty_make_no_other_late_by_more_than_the_quiet_time() {
    for (given, layout) in LINES.into_iter().flat_map(|given| (0..5).map(move |n| (given, n))) {
        let mut bus = Bus::new(given, layout);
        bus.run(10 * given.interval);
        let before = bus.longest_gap(2 * given.interval);
        assert!(before <= given.interval + given.lag, "{given:?}: {before} with all of them there");

        bus.kill(&DEAD);
        bus.known(&DEAD);
        let (known, asked) = (bus.millis(), bus.lost.len());
        bus.run(400_000.max(20 * given.interval));
        let longest = bus.longest_gap(known);
        let limit = given.interval + given.quiet;
        assert!(longest <= limit, "{given:?}, layout {layout}: {longest} after {known}");
        assert!(bus.lost.len() >= asked + 4 * DEAD.len(), "{given:?}: they were not asked");
        let missed = |device: &Device| device.state.missed;
        let late = bus.devices.iter().filter(|device| device.is_there).map(missed).max().unwrap();
        if given.quiet < given.interval / 2 && given.lag == 0 {
            assert!(late <= 10, "{given:?}: {late} turns missed");
        }
    }
}

/// Five devices of twenty answer two of their reads and drop one or two others.
#[test]
fn reads_that_are_dropped_make_no_device_late_by_more_than_the_quiet_time() {
    for (given, layout) in LINES.into_iter().flat_map(|given| (0..5).map(move |n| (given, n))) {
        for drops in [&[0][..], &[1], &[2, 0]] {
            // A device of three reads takes three times as long.
            let given = Given { turn: given.turn / 2, ..given };
            let mut bus = Bus::new(given, layout);
            bus.drop(&DEAD, &[]);
            bus.run(10 * given.interval);
            let before = bus.longest_gap(2 * given.interval);
            let longest = given.interval + 4 * given.turn + given.lag;
            assert!(before <= longest, "{given:?}: {before} when all is answered");

            bus.drop(&DEAD, drops);
            bus.settled(&DEAD);
            let (known, asked) = (bus.millis(), bus.lost.len());
            bus.run(400_000.max(20 * given.interval));
            // Also of those that drop something: all else of them is read in their turns.
            let (longest, limit) = (bus.longest_gap(known), longest + given.quiet);
            assert!(longest <= limit, "{given:?}, layout {layout}: {longest} after {known}");
            for device in DEAD {
                let device = &bus.devices[device];
                assert!(device.is_known(), "{given:?}: asked in its turn");
                assert_eq!(device.state.health(), Health::Online);
                let retried = device.retried.iter().filter(|when| **when > known).count();
                assert!(retried >= 3, "{given:?}, {layout}: tried again {retried} times");
            }
            assert!(bus.lost.len() > asked);
            assert!(bus.share(known) <= 0.55, "{given:?}: {}", bus.share(known));
        }
    }
}

#[test]
fn a_read_that_is_answered_again_is_found_within_the_promised_time() {
    for (given, layout) in [USUAL, FULL, TCP].into_iter().flat_map(|one| [(one, 0), (one, 1)]) {
        let given = Given { turn: given.turn / 2, ..given };
        let mut bus = Bus::new(given, layout);
        bus.drop(&DEAD, &[1]);
        bus.settled(&DEAD);
        bus.run(200_000);
        let (from, back) = (bus.millis(), DEAD[2]);
        assert_eq!(bus.devices[back].whole, [0; 0]);
        bus.devices[back].drops.clear();
        bus.run(2 * promised(given, 5));
        let whole = bus.devices[back].whole.first().expect("never found") - from;
        assert!(whole <= promised(given, 5), "{given:?}, layout {layout}: after {whole}");
        // Once it was found it is read in each turn.
        let since = bus.devices[back].read.iter().filter(|read| **read >= from + whole).count();
        assert_eq!(bus.devices[back].whole.len(), since);
    }
}

#[test]
fn while_a_device_is_silent_its_reads_are_not_tried_again() {
    let mut bus = Bus::new(USUAL, 0);
    bus.drop(&DEAD, &[0]);
    bus.settled(&DEAD);
    bus.run(60_000);
    bus.kill(&DEAD);
    bus.known(&DEAD);
    let from = bus.millis();
    // That a device is not asked for them is looked at when it would be.
    bus.run(300_000);
    let retried = |bus: &Bus, from| {
        let all = DEAD.iter().flat_map(|device| bus.devices[*device].retried.clone());
        all.filter(|when| *when > from).count()
    };
    assert_eq!(retried(&bus, from), 0);
    assert!(DEAD.iter().all(|device| bus.devices[*device].state.health().is_offline()));
    // It is back, as it was before: what was put aside still is.
    let from = bus.millis();
    DEAD.iter().for_each(|device| bus.devices[*device].is_there = true);
    bus.run(promised(USUAL, 5));
    assert!(DEAD.iter().all(|device| bus.devices[*device].state.health() == Health::Online));
    assert!(retried(&bus, from) > 0);
}

#[test]
fn where_there_is_time_for_it_a_dead_unit_costs_nothing_at_all() {
    let given = Given { interval: 10_000, turn: 20, quiet: 300, timeout: 500, ..USUAL };
    for layout in 0..6 {
        let mut bus = Bus::new(given, layout);
        bus.kill(&DEAD);
        bus.known(&DEAD);
        let known = bus.millis() + 10_000;
        bus.run(600_000);
        assert_eq!(bus.longest_gap(known), 10_000, "layout {layout}");
        let from = bus.millis();
        bus.devices[DEAD[2]].is_there = true;
        bus.run(60_000);
        let read = bus.devices[DEAD[2]].read.iter().find(|read| **read > from);
        let took = read.expect("it is found") - from;
        assert!(took <= 30_000 + 2 * 10_000, "layout {layout}: after {took}");
    }
}

#[test]
fn a_unit_that_dies_costs_its_wait_and_the_quiet_time_once() {
    for (given, layout) in LINES.into_iter().flat_map(|given| (0..4).map(move |n| (given, n))) {
        let mut bus = Bus::new(given, layout);
        bus.run(5 * given.interval);
        let from = bus.millis();
        bus.kill(&DEAD[..1]);
        let took = bus.known(&DEAD[..1]);
        bus.run(3 * given.interval);
        let limit = given.interval + given.min_timeout + given.quiet + given.lag;
        let longest = bus.longest_gap(from);
        assert!(longest <= limit, "{given:?}: {longest}");
        // Three turns; each of the two after the first looks for a gap.
        let cost = given.min_timeout + given.quiet;
        let limit = 4 * given.interval + 20 * cost;
        assert!(took <= limit, "{given:?}: offline after {took}");
    }
}

#[test]
fn units_that_die_together_cost_that_once_each_and_are_soon_known() {
    for layout in 0..6 {
        let mut bus = Bus::new(USUAL, layout);
        bus.run(5_000);
        let from = bus.millis();
        bus.kill(&DEAD);
        let took = bus.known(&DEAD);
        bus.run(5_000);
        let longest = bus.longest_gap(from);
        assert!(longest <= 1_000 + 5 * 1_250, "layout {layout}: {longest}");
        assert!(took <= 60_000, "layout {layout}: offline after {took}");
    }
}

/// As `docs/lines.md` says it.
fn promised(given: Given, silent: u64) -> u64 {
    30_000.max(given.interval) + given.interval + 20 * silent * (given.min_timeout + given.quiet)
}

#[test]
fn a_unit_that_is_back_is_found_within_the_promised_time() {
    let full = Given { interval: 200, turn: 12, ..FULL };
    let lines = LINES.into_iter().chain([full, TCP]);
    for (given, layout) in lines.flat_map(|given| (0..4).map(move |n| (given, n))) {
        for back in [1, 10] {
            let mut bus = Bus::new(given, layout);
            bus.run(5 * given.interval);
            bus.kill(&DEAD);
            bus.known(&DEAD);
            bus.run(200_000 + 7_919 * u64::try_from(layout).unwrap());
            let from = bus.millis();
            bus.devices[back].is_there = true;
            bus.run(2 * promised(given, 5));
            let read = bus.devices[back].read.iter().find(|read| **read > from);
            let took = read.expect("never found") - from;
            assert!(took <= promised(given, 5), "{given:?}, layout {layout}: after {took}");
            assert!(!bus.devices[back].state.health().is_offline());
        }
    }
}

/// Fifteen units take nine tenths of the line: there is hardly a gap.
const FULL: Given =
    Given { interval: 200, turn: 12, min_timeout: 150, timeout: 200, quiet: 200, lag: 0 };

#[test]
fn a_line_without_gaps_asks_dead_units_seldom_and_no_longer_than_the_least() {
    for layout in 0..6 {
        let mut bus = Bus::new(FULL, layout);
        bus.run(1_000);
        bus.kill(&DEAD);
        bus.known(&DEAD);
        let known = bus.millis();
        bus.run(600_000);
        let longest = bus.longest_gap(known);
        assert!(longest <= 200 + 50 + 200, "layout {layout}: {longest}");
        let share = bus.share(known);
        assert!(share <= 0.1, "layout {layout}: {share} of the line's time");
        for dead in DEAD {
            let asked = bus.devices[dead].asked.iter().filter(|asked| **asked > known).count();
            assert!(asked >= 10, "layout {layout}: asked {asked} times");
        }
        let waits: BTreeSet<Duration> =
            bus.lost.iter().filter(|(_, when, _)| *when > at(known)).map(|lost| lost.2).collect();
        assert!(waits.iter().all(|wait| *wait >= ms(250)), "{waits:?}");
    }
}

/// A gateway: no quiet time, and the wait is the timeout.
const TCP: Given =
    Given { interval: 1_000, turn: 20, min_timeout: 1_000, timeout: 1_000, quiet: 0, lag: 0 };

#[test]
fn behind_a_gateway_a_dead_unit_costs_its_timeout_and_a_tenth_of_the_time() {
    for layout in 0..6 {
        let mut bus = Bus::new(TCP, layout);
        bus.run(5_000);
        bus.kill(&DEAD);
        bus.known(&DEAD);
        let known = bus.millis();
        bus.run(600_000);
        let longest = bus.longest_gap(known);
        assert!(longest <= 2_000, "layout {layout}: {longest}");
        let share = bus.share(known);
        assert!(share <= 0.11, "layout {layout}: {share} of the line's time");
    }
}

/// All were away, as when the line was cut: the first that is back does not lock the others out.
#[test]
fn after_an_outage_of_the_line_all_are_soon_back() {
    for (given, limit) in [(USUAL, 60_000), (TCP, 60_000), (LINES[2], 60_000)] {
        let all: Vec<usize> = (0..UNITS).collect();
        let mut bus = Bus::new(given, 0);
        bus.run(5_000);
        bus.kill(&all);
        bus.known(&all);
        bus.run(300_000);
        let from = bus.millis();
        bus.devices.iter_mut().for_each(|device| device.is_there = true);
        bus.run(limit);
        for (index, device) in bus.devices.iter().enumerate() {
            let back = device.read.iter().find(|read| **read > from);
            assert!(back.is_some(), "{given:?}: {index} is not back after {limit} ms");
        }
    }
}

fn queue(units: usize) -> Queue {
    let mut queue = Queue::default();
    (0..units).for_each(|unit| queue.join(unit, ms(1_000), USUAL.cost()));
    queue
}

const SILENCE: Ended = Ended::Silence { late: None };

/// Gives a device its turn and says how that ended.
fn give(queue: &mut Queue, device: usize, ended: Ended, now: Uptime) -> Patience {
    queue.push(device, now + ms(1_000), now);
    let Turn::Ask(asked, patience) = queue.take(now) else { panic!() };
    assert_eq!(asked, device);
    queue.finished(device, ended, now);
    patience
}

#[test]
fn those_that_answer_go_before_those_of_which_nothing_is_known() {
    let mut queue = queue(4);
    (0..4).for_each(|device| queue.push(device, at(1_000), at(0)));
    for device in 0..4 {
        assert_eq!(queue.take(at(0)), Turn::Ask(device, Patience::Usual));
        queue.finished(device, if device > 1 { Ended::Answered } else { Ended::InPart }, at(0));
    }
    (0..4).for_each(|device| queue.push(device, at(2_000), at(1_000)));
    let mut order = Vec::new();
    while let Turn::Ask(device, patience) = queue.take(at(1_000)) {
        order.push((device, patience));
    }
    let (latency, usual) = (Patience::Latency, Patience::Usual);
    assert_eq!(order, [(2, latency), (3, latency), (0, usual), (1, usual)]);
    assert_eq!(queue.take(at(1_000)), Turn::Idle);
}

#[test]
fn one_of_which_nothing_is_known_is_not_starved() {
    let mut queue = queue(2);
    give(&mut queue, 0, Ended::Answered, at(0));
    queue.push(1, at(2_000), at(1_000));
    let turns = (0..100).map(|_| {
        queue.push(0, at(2_000), at(1_000));
        queue.take(at(1_000))
    });
    let first = turns.take_while(|turn| *turn == Turn::Ask(0, Patience::Latency)).count();
    assert_eq!(first, 8);
}

#[test]
fn the_wait_is_what_is_left_until_the_next_turn() {
    let mut queue = queue(2);
    give(&mut queue, 1, SILENCE, at(0));
    give(&mut queue, 0, Ended::Answered, at(0));
    // The turn of the one that answers is at 1000.
    queue.push(1, at(1_100), at(100));
    assert_eq!(queue.take(at(100)), Turn::Ask(1, Patience::AtMost(ms(250))));
    queue.finished(1, SILENCE, at(100));
    queue.push(1, at(1_100), at(900));
    assert_eq!(queue.take(at(900)), Turn::Ask(1, Patience::AtMost(ms(100))));
    queue.finished(1, SILENCE, at(900));
    // Offline now: the others do not pay before it has looked for time that nobody needs for nine
    // times 1050 ms. The line looks again when a turn may have been skipped.
    queue.push(1, at(1_100), at(951));
    assert_eq!(queue.take(at(951)), Turn::Wait(at(2_000)));
    // Due but not heard of yet is as good as waiting.
    assert_eq!(queue.take(at(1_004)), Turn::Wait(at(2_000)));
    // It was skipped: the next one is at 3000.
    assert_eq!(queue.take(at(2_000)), Turn::Wait(at(4_000)));
    assert_eq!(queue.take(at(10_351)), Turn::Wait(at(10_401)));
    assert_eq!(queue.take(at(10_401)), Turn::Ask(1, Patience::AtMost(ms(250))));
}

#[test]
fn a_device_alone_on_its_line_is_asked_at_each_of_its_turns() {
    let mut queue = queue(1);
    for turn in 0..10 {
        let patience = give(&mut queue, 0, SILENCE, at(1_000 * turn));
        let expected = if turn == 0 { Patience::Usual } else { Patience::AtMost(ms(250)) };
        assert_eq!(patience, expected);
    }
}

#[test]
fn one_that_is_heard_too_late_is_asked_once_more_as_one_that_is_there() {
    let mut queue = queue(2);
    let late = Ended::Silence { late: Some(ms(60)) };
    assert_eq!(give(&mut queue, 0, late, at(0)), Patience::Usual);
    assert_eq!(give(&mut queue, 0, late, at(1_000)), Patience::Longest);
    // From now on there has to be time for it, with what comes late.
    give(&mut queue, 1, Ended::Answered, at(2_000));
    queue.push(0, at(3_000), at(2_000));
    assert_eq!(queue.take(at(2_000)), Turn::Wait(at(4_000)), "1060 ms are more than there are");
    queue.push(1, at(4_000), at(3_000));
    assert_eq!(queue.take(at(3_000)), Turn::Ask(1, Patience::Latency));
    queue.finished(1, Ended::InPart, at(3_000));
    // Not for ever: after nine times 2060 ms there is no more looking for a gap.
    assert_eq!(queue.take(at(2_000 + 9 * 2_060)), Turn::Ask(0, Patience::Longest));
    queue.finished(0, Ended::Answered, at(21_000));
    assert_eq!(give(&mut queue, 0, late, at(22_000)), Patience::Latency);
    assert_eq!(give(&mut queue, 0, Ended::Answered, at(23_000)), Patience::Longest);
}

#[test]
fn a_poll_ends_by_what_came_of_it() {
    let (answer, timeout) = (Ok(Data::Registers([1].into())), Err(Missing::Timeout));
    let exception = |code| Err(Missing::Exception(code));
    let cases = [
        (vec![answer.clone()], false, Ended::Answered),
        (vec![exception(2)], false, Ended::Answered),
        (vec![exception(2), timeout.clone()], true, Ended::InPart),
        (vec![answer, timeout.clone()], true, Ended::InPart),
        (vec![timeout, Err(Missing::Timeout)], true, SILENCE),
        (vec![exception(0x0b)], true, SILENCE),
    ];
    for (answers, failed, expected) in cases {
        assert_eq!(Ended::of(&answers, failed), expected, "{answers:?}");
    }
    assert_eq!(SILENCE.late(ms(7)), Ended::Silence { late: Some(ms(7)) });
    assert_eq!(Ended::InPart.late(ms(7)), Ended::InPart);
}
