//! The outbox against a model of a journal, a transport that loses, repeats and reorders, and
//! collectors that acknowledge as the real one does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn at(millis: u64) -> (Timestamp, Uptime) {
    let time = Timestamp::from_millis(1_000_000 + i64::try_from(millis).unwrap());
    (time, Uptime::new(Duration::from_millis(millis)))
}

/// A model collector: what it has of each boot.
#[derive(Default)]
struct Collector {
    has: BTreeMap<u64, Ranges>,
}

impl Collector {
    fn take(&mut self, boot: u64, seq: u64, oldest: u64) -> Ack {
        let ranges = self.has.entry(boot).or_default();
        // What lies below the agent's oldest will not come any more.
        ranges.insert(1, oldest - 1);
        ranges.insert(seq, seq);
        let upto = ranges.next_out(1) - 1;
        let beyond = ranges.iter().filter(|(first, _)| *first > upto).collect();
        Ack { boot, upto, beyond, ..Ack::default() }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append,
    Time(u64),
    Deliver { at: usize, repeat: bool },
    Lose(usize),
    Ack(usize),
    LoseAck(usize),
    Disconnect,
    Connect,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Append),
        6 => (1u64..400).prop_map(Step::Time),
        10 => (any::<usize>(), any::<bool>())
            .prop_map(|(at, repeat)| Step::Deliver { at, repeat }),
        3 => any::<usize>().prop_map(Step::Lose),
        8 => any::<usize>().prop_map(Step::Ack),
        2 => any::<usize>().prop_map(Step::LoseAck),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Connect),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..300)
}

struct World {
    outbox: Outbox,
    boot: u64,
    /// What is on the agent's disk.
    journal: BTreeMap<(u64, u64), Timestamp>,
    acked: BTreeMap<(u64, Id), Ranges>,
    appended: BTreeSet<(u64, u64)>,
    next_seq: u64,
    wire: Vec<(usize, Outgoing)>,
    acks: Vec<(Id, Ack)>,
    collectors: [Collector; 2],
    millis: u64,
}

const NAMES: [&str; 2] = ["c-1", "c-2"];

impl World {
    fn new() -> Self {
        let collectors = NAMES.map(id).to_vec();
        Self {
            outbox: Outbox::new(pace(), collectors, 1, Vec::new()),
            boot: 1,
            journal: BTreeMap::new(),
            acked: BTreeMap::new(),
            appended: BTreeSet::new(),
            next_seq: 1,
            wire: Vec::new(),
            acks: Vec::new(),
            collectors: Default::default(),
            millis: 0,
        }
    }

    fn orders(&mut self, orders: impl IntoIterator<Item = Order>) {
        let (now, uptime) = at(self.millis);
        for order in orders {
            match order {
                Order::Send(out) => {
                    assert!(self.journal.contains_key(&(out.boot, out.seq)), "{out:?}");
                    assert!(out.oldest <= out.seq && out.oldest > 0);
                    self.wire.extend((0..2).map(|to| (to, out.clone())));
                }
                Order::Fetch { boot, first, last } => {
                    let entries = self
                        .journal
                        .range((boot, first)..=(boot, last))
                        .map(|((_, seq), time)| (*seq, *time, Bytes::new()))
                        .collect();
                    let orders = self.outbox.fetched(boot, (first, last), entries, now, uptime);
                    self.orders(orders);
                }
                Order::Remember { collector, boot, ranges } => {
                    self.acked.insert((boot, collector), ranges);
                }
                Order::Done { boot, first, last } => {
                    for seq in first..=last {
                        let has = |c: &Collector| c.has.get(&boot)?.around(seq);
                        let everyone = self.collectors.iter().all(|c| has(c).is_some());
                        assert!(everyone, "{boot}/{seq} let go too early");
                        self.journal.remove(&(boot, seq));
                    }
                }
            }
        }
    }

    fn step(&mut self, step: Step) {
        let (now, uptime) = at(self.millis);
        match step {
            Step::Append => {
                let seq = self.next_seq;
                self.next_seq += 1;
                self.journal.insert((self.boot, seq), now);
                self.appended.insert((self.boot, seq));
                let order = self.outbox.committed(seq, now, Bytes::new(), now, uptime);
                self.orders(order);
            }
            Step::Time(passed) => {
                self.millis += passed;
                let order = self.outbox.tick(at(self.millis).1);
                self.orders(order);
            }
            Step::Deliver { at, repeat } if !self.wire.is_empty() => {
                let index = at % self.wire.len();
                let (to, out) =
                    if repeat { self.wire[index].clone() } else { self.wire.swap_remove(index) };
                let ack = self.collectors[to].take(out.boot, out.seq, out.oldest);
                self.acks.push((id(NAMES[to]), ack));
            }
            Step::Lose(at) if !self.wire.is_empty() => {
                let index = at % self.wire.len();
                self.wire.swap_remove(index);
            }
            Step::Ack(at) if !self.acks.is_empty() => {
                let (from, ack) = self.acks.swap_remove(at % self.acks.len());
                let orders = self.outbox.acknowledged(&from, &ack);
                self.orders(orders);
            }
            Step::LoseAck(at) if !self.acks.is_empty() => {
                self.acks.swap_remove(at % self.acks.len());
            }
            Step::Disconnect => self.outbox.disconnected(),
            Step::Connect => self.outbox.connected(),
            Step::Restart => self.restart(),
            _ => {}
        }
    }

    fn restart(&mut self) {
        let mut earlier: BTreeMap<u64, Earlier> = BTreeMap::new();
        for (boot, seq) in self.journal.keys() {
            let known = earlier.entry(*boot).or_insert_with(|| Earlier {
                boot: *boot,
                first: *seq,
                last: *seq,
                done: Ranges::default(),
                acked: NAMES
                    .iter()
                    .filter_map(|name| {
                        Some((id(name), self.acked.get(&(*boot, id(name)))?.clone()))
                    })
                    .collect(),
            });
            known.last = *seq;
        }
        self.boot += 1;
        self.next_seq = 1;
        let collectors = NAMES.map(id).to_vec();
        let earlier = earlier.into_values().collect();
        self.outbox = Outbox::new(pace(), collectors, self.boot, earlier);
        let orders = self.outbox.recovered();
        self.orders(orders);
    }

    /// From now on nothing is lost: everything must arrive.
    fn settle(&mut self) {
        self.outbox.connected();
        for _ in 0..2_000 {
            if self.journal.is_empty() {
                return;
            }
            self.step(Step::Time(100));
            while !self.wire.is_empty() {
                self.step(Step::Deliver { at: 0, repeat: false });
            }
            while !self.acks.is_empty() {
                self.step(Step::Ack(0));
            }
        }
        panic!("still owed: {:?}", self.journal);
    }
}

fn pace() -> Pace {
    Pace { window: 8, backlog_rate: 50, resend: Duration::from_millis(500), ..Pace::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn everything_arrives_everywhere_and_the_journal_ends_up_empty(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
        for (boot, seq) in &world.appended {
            for collector in &world.collectors {
                prop_assert!(collector.has[boot].contains(*seq), "{}/{}", boot, seq);
            }
        }
        prop_assert_eq!(world.outbox.backlog(), 0);
    }
}

fn outbox(window: usize) -> Outbox {
    let pace = Pace { window, ..Pace::default() };
    let mut outbox = Outbox::new(pace, vec![id("c-1")], 1, Vec::new());
    outbox.connected();
    outbox
}

fn commit(outbox: &mut Outbox, seq: u64, millis: u64) -> Option<Order> {
    let (now, uptime) = at(millis);
    outbox.committed(seq, now, Bytes::new(), now, uptime)
}

#[test]
fn news_goes_at_once_and_history_is_marked() {
    let mut outbox = outbox(4);
    assert!(matches!(
        commit(&mut outbox, 1, 0),
        Some(Order::Send(Outgoing { seq: 1, backfill: false, .. }))
    ));
    outbox.disconnected();
    assert_eq!(commit(&mut outbox, 2, 1_000), None);
    outbox.connected();
    let late = 40_000;
    assert!(matches!(commit(&mut outbox, 3, late), Some(Order::Send(Outgoing { seq: 3, .. }))));
    let fetch = outbox.tick(at(late).1);
    assert_eq!(fetch, Some(Order::Fetch { boot: 1, first: 1, last: 1 }));
    let (now, uptime) = at(late);
    let entry = (1, at(0).0, Bytes::new());
    let orders = outbox.fetched(1, (1, 1), vec![entry], now, uptime);
    assert!(matches!(orders[..], [Order::Send(Outgoing { seq: 1, backfill: true, .. })]));
}

#[test]
fn unknown_collectors_boots_and_numbers_are_not_believed() {
    let mut outbox = outbox(4);
    commit(&mut outbox, 1, 0);
    let ack = |boot, upto| Ack { boot, upto, ..Ack::default() };
    assert_eq!(outbox.acknowledged(&id("c-9"), &ack(1, 1)), []);
    assert_eq!(outbox.acknowledged(&id("c-1"), &ack(9, 1)), []);
    let orders = outbox.acknowledged(&id("c-1"), &ack(1, u64::MAX));
    assert!(orders.contains(&Order::Done { boot: 1, first: 1, last: 1 }), "{orders:?}");
    commit(&mut outbox, 2, 0);
    assert_eq!(outbox.backlog(), 1, "what was sent later is owed all the same");
}

#[test]
fn what_the_journal_let_go_is_not_waited_for() {
    let mut outbox = outbox(4);
    outbox.disconnected();
    for seq in 1..=10 {
        commit(&mut outbox, seq, 0);
    }
    outbox.dropped(1, 7);
    assert_eq!(outbox.backlog(), 3);
    outbox.connected();
    let fetch = outbox.tick(at(1_000).1);
    assert_eq!(fetch, Some(Order::Fetch { boot: 1, first: 8, last: 9 }));
}
