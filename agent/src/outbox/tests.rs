//! The outbox against a model of a journal, a transport that loses, repeats and reorders, and
//! collectors that acknowledge as the real one does, and lose their disks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// What it had before it lost its disk, as long as the agent cannot know of that.
    had: BTreeMap<u64, Ranges>,
    /// What no longer was in the journal when the agent heard of the loss.
    excused: BTreeSet<(u64, u64)>,
    /// How often it lost its disk.
    store: u64,
}

impl Collector {
    fn take(&mut self, boot: u64, seq: u64, oldest: u64) -> Ack {
        let ranges = self.has.entry(boot).or_default();
        // What lies below the agent's oldest will not come any more; to a new store it may.
        if self.store == 0 {
            ranges.insert(1, oldest - 1);
        }
        ranges.insert(seq, seq);
        let upto = ranges.next_out(1) - 1;
        let beyond = ranges.iter().filter(|(first, _)| *first > upto).collect();
        Ack { boot, upto, beyond, store: self.store + 1, ..Ack::default() }
    }

    fn is_thought_to_have(&self, boot: u64, seq: u64) -> bool {
        let mut stores = [&self.has, &self.had].into_iter();
        stores.any(|store| store.get(&boot).is_some_and(|ranges| ranges.contains(seq)))
    }

    fn lose(&mut self) {
        for (boot, ranges) in std::mem::take(&mut self.has) {
            let had = self.had.entry(boot).or_default();
            ranges.iter().for_each(|(first, last)| had.insert(first, last));
        }
        self.store += 1;
    }
}

/// What the journal has told and the agent has not heard yet, in order.
enum Told {
    Committed(u64, Timestamp),
    Replay(Vec<Earlier>),
}

#[derive(Clone, Debug)]
enum Step {
    Append,
    Time(u64),
    Deliver {
        at: usize,
        repeat: bool,
    },
    Lose(usize),
    Ack(usize),
    LoseAck(usize),
    Disconnect,
    Connect,
    Restart,
    /// A collector loses its disk.
    Loss(usize),
    /// The agent hears what the journal has told.
    Hear,
    /// What everyone has was kept long enough.
    Forget,
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
        1 => (0usize..2).prop_map(Step::Loss),
        8 => Just(Step::Hear),
        1 => Just(Step::Forget),
    ];
    proptest::collection::vec(step, 1..300)
}

struct World {
    outbox: Outbox,
    boot: u64,
    /// What is on the agent's disk.
    journal: BTreeMap<(u64, u64), Timestamp>,
    /// Entries stay in the journal when everyone has them, these do so.
    keep: bool,
    done: BTreeSet<(u64, u64)>,
    told: VecDeque<Told>,
    /// The stores that the agent knows of, as its journal does.
    stores: [u64; 2],
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
    fn new(keep: bool) -> Self {
        let collectors = NAMES.map(id).to_vec();
        Self {
            outbox: Outbox::new(pace(), collectors, 1, Vec::new()),
            boot: 1,
            journal: BTreeMap::new(),
            keep,
            done: BTreeSet::new(),
            told: VecDeque::new(),
            stores: [1; 2],
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
                    // The answer comes after all that was told before.
                    self.hear();
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
                        let has = |c: &Collector| {
                            c.is_thought_to_have(boot, seq) || c.excused.contains(&(boot, seq))
                        };
                        let everyone = self.collectors.iter().all(has);
                        assert!(everyone, "{boot}/{seq} let go too early");
                        if !self.keep {
                            self.journal.remove(&(boot, seq));
                        } else if self.journal.contains_key(&(boot, seq)) {
                            self.done.insert((boot, seq));
                        }
                    }
                }
            }
        }
    }

    fn step(&mut self, step: Step) {
        let (now, _) = at(self.millis);
        match step {
            Step::Append => {
                let seq = self.next_seq;
                self.next_seq += 1;
                self.journal.insert((self.boot, seq), now);
                self.appended.insert((self.boot, seq));
                self.told.push_back(Told::Committed(seq, now));
            }
            Step::Hear => self.hear(),
            Step::Loss(which) => {
                self.collectors[which].lose();
                // A connection keeps their order: none of the old store follows one of the new.
                self.acks.retain(|(from, _)| *from != id(NAMES[which]));
            }
            Step::Forget => {
                for entry in std::mem::take(&mut self.done) {
                    self.journal.remove(&entry);
                }
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
                self.replay(&from, ack.store);
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

    fn hear(&mut self) {
        let (now, uptime) = at(self.millis);
        while let Some(told) = self.told.pop_front() {
            match told {
                Told::Committed(seq, time) => {
                    let order = self.outbox.committed(seq, time, Bytes::new(), now, uptime);
                    self.orders(order);
                }
                Told::Replay(runs) => self.outbox.replay(runs),
            }
        }
    }

    /// What agent and journal do about an acknowledgement of a store that they do not know.
    fn replay(&mut self, from: &Id, store: u64) {
        let which = NAMES.iter().position(|name| id(name) == *from).unwrap();
        if self.stores[which] == store {
            return;
        }
        self.stores[which] = store;
        self.outbox.forget(from);
        self.acked.retain(|(_, collector), _| collector != from);
        self.done.clear();
        let gone = self.appended.iter().filter(|entry| !self.journal.contains_key(entry));
        self.collectors[which].excused = gone.copied().collect();
        self.collectors[which].had.clear();
        let runs = self.runs();
        self.told.push_back(Told::Replay(runs));
    }

    fn restart(&mut self) {
        // What was told and not heard is found in the journal.
        self.told.clear();
        let earlier = self.runs();
        self.boot += 1;
        self.next_seq = 1;
        let collectors = NAMES.map(id).to_vec();
        self.outbox = Outbox::new(pace(), collectors, self.boot, earlier);
        let orders = self.outbox.recovered();
        self.orders(orders);
    }

    /// The runs of which entries are left, as the journal finds them.
    fn runs(&self) -> Vec<Earlier> {
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
            if self.done.contains(&(*boot, *seq)) {
                known.done.insert(*seq, *seq);
            }
        }
        earlier.into_values().collect()
    }

    /// From now on nothing is lost: everything must arrive.
    fn settle(&mut self) {
        self.outbox.connected();
        for _ in 0..2_000 {
            let owed = self.journal.keys().any(|entry| !self.done.contains(entry));
            if !owed && self.told.is_empty() && self.outbox.backlog() == 0 {
                return;
            }
            self.step(Step::Hear);
            self.step(Step::Time(100));
            while !self.wire.is_empty() {
                self.step(Step::Deliver { at: 0, repeat: false });
            }
            while !self.acks.is_empty() {
                self.step(Step::Ack(0));
            }
        }
        panic!("still owed: {:?} but for {:?}", self.journal, self.done);
    }
}

fn pace() -> Pace {
    Pace { window: 8, backlog_rate: 50, resend: Duration::from_millis(500), ..Pace::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn everything_arrives_everywhere_and_nothing_is_owed_in_the_end(
        keep in any::<bool>(),
        steps in steps(),
    ) {
        let mut world = World::new(keep);
        for step in steps {
            world.step(step);
        }
        world.settle();
        // A loss shows with the next acknowledgement; that there is one is the agent's status.
        for (which, name) in NAMES.iter().enumerate() {
            let store = world.collectors[which].store + 1;
            world.replay(&id(name), store);
        }
        world.settle();
        for entry in &world.appended {
            for collector in &world.collectors {
                let has = collector.has.get(&entry.0).is_some_and(|has| has.contains(entry.1));
                prop_assert!(has || collector.excused.contains(entry), "{entry:?}");
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
