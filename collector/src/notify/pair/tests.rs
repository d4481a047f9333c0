//! Two collectors, a receiver that forgets nothing, and every fault between them.

use proptest::prelude::*;

use super::*;
use crate::notify::{Channel, Notification, Options, Receiver, Router, SavedGroup};
use crate::rules::{Alert, AlertState, Reason, Transition};
use hallwatch_model::{Labels, Uptime};

const START: Timestamp = Timestamp::from_millis(1_795_276_800_000);
const RECEIVER: &str = "noc";
/// Alerts of the world: two groups of two.
const ALERTS: [(&str, &str); 4] = [("A", "1"), ("A", "2"), ("B", "1"), ("B", "2")];

fn at(second: u64) -> Timestamp {
    START + Duration::from_secs(second)
}

fn uptime(second: u64) -> Uptime {
    Uptime::new(Duration::from_secs(second))
}

fn labels(alert: usize) -> Labels {
    let (name, device) = ALERTS[alert];
    Labels::from_pairs([("alertname", name), ("device", device)])
}

fn transition(alert: usize, fires: bool, began: Timestamp, now: Timestamp) -> Transition {
    let (from, to) = match fires {
        true => (AlertState::Pending, AlertState::Firing),
        false => (AlertState::Firing, AlertState::Resolved),
    };
    let reason = Reason::HeldFor(Duration::ZERO);
    let labels = labels(alert);
    let alert = Alert {
        labels: labels.clone(),
        annotations: Vec::new(),
        state: to,
        value: 1.0,
        active_at: began,
        fired_at: Some(began),
        resolved_at: (!fires).then_some(now),
        held: None,
        reason: reason.to_string(),
        keep_firing_since: None,
        paused: Duration::ZERO,
        result: labels,
        inputs: Vec::new(),
        memory: crate::rules::Memory::default(),
    };
    Transition { alert, from, to, reason, at: now, query: "up == 0".into(), rule: "r".into() }
}

/// What of a collector is on its disk.
#[derive(Default)]
struct Disk {
    groups: Vec<SavedGroup>,
    firing: [Option<Timestamp>; 4],
    outbox: Vec<Queued>,
    next: i64,
    delivered: Beliefs,
}

struct Node {
    name: &'static str,
    peer: &'static str,
    disk: Disk,
    /// It runs.
    running: Option<(Router, Pair)>,
    /// Evaluates so many seconds after the world has changed.
    skew: u64,
    /// The message on its way, and when it arrives.
    sending: Option<(Queued, u64)>,
}

impl Node {
    fn new(name: &'static str, peer: &'static str, skew: u64) -> Self {
        let mut node =
            Self { name, peer, disk: Disk::default(), running: None, skew, sending: None };
        node.start(0);
        node
    }

    fn start(&mut self, now: u64) {
        let channel = Channel::Webhook { url: "http://h".into(), timeout: Duration::from_secs(10) };
        let receiver = Receiver { name: RECEIVER.into(), send_resolved: true, channel };
        let options = Options {
            group_by: vec!["alertname".into()],
            group_wait: Duration::from_secs(1),
            group_interval: Duration::from_secs(5),
            repeat_interval: Duration::from_secs(3_600),
            external_url: String::new(),
        };
        let router = Router::new(options, &[receiver], self.disk.groups.clone());
        let names = (self.name, self.peer, "the secret of both");
        let pair = Pair::new(
            names,
            [RECEIVER.to_owned()],
            Duration::from_secs(1),
            self.disk.delivered.clone(),
            at(now),
        );
        self.running = Some((router, pair));
    }

    fn crash(&mut self) {
        self.running = None;
        self.sending = None;
    }

    /// Its rules, its router, and one transaction.
    fn evaluate(&mut self, world: &World, now: u64) {
        let Some((router, pair)) = &mut self.running else { return };
        let mut transitions = Vec::new();
        for alert in 0..ALERTS.len() {
            let fires = world.fired(alert, now.saturating_sub(self.skew));
            match (self.disk.firing[alert], fires) {
                (None, true) => {
                    self.disk.firing[alert] = Some(at(now));
                    transitions.push(transition(alert, true, at(now), at(now)));
                }
                (Some(began), false) => {
                    self.disk.firing[alert] = None;
                    transitions.push(transition(alert, false, began, at(now)));
                }
                _ => {}
            }
        }
        let notifications: Vec<Notification> = router.handle(&transitions, at(now));
        for one in &notifications {
            self.disk.next += 1;
            self.disk.outbox.push(Queued {
                id: self.disk.next,
                group: (one.receiver.clone(), one.group_labels.to_string()),
                facts: Facts::from(one),
                at: at(now),
                due: at(now),
            });
        }
        self.disk.groups = router.save();
        pair.evaluated(Some(router.active()), uptime(now));
    }

    fn heartbeat(&mut self, other: Option<&Pair>, now: u64) {
        let Some((_, pair)) = &self.running else { return };
        match other {
            Some(other) => pair.heard(other.answer(pair.peer_version(), uptime(now)), uptime(now)),
            None => drop(pair.missed(uptime(now))),
        }
    }

    /// Its sender; `takes` is how long an attempt takes, `None` when it fails.
    fn send(&mut self, log: &mut Vec<(u64, Facts)>, takes: Option<u64>, now: u64) {
        let Some((_, pair)) = &self.running else { return };
        if let Some((queued, arrives)) = self.sending.take() {
            if now < arrives {
                self.sending = Some((queued, arrives));
                return;
            }
            log.push((now, queued.facts.clone()));
            self.disk.delivered.delivered(&queued.group, &queued.facts, at(now));
            self.disk.outbox.retain(|one| one.id != queued.id);
            pair.attempted(&queued, Some(at(now)));
        }
        loop {
            let decide = |one: &Queued| pair.decide(one, at(now), uptime(now));
            match choose(&self.disk.outbox, at(now), Duration::from_secs(60), decide) {
                Next::Drop(id) => self.disk.outbox.retain(|one| one.id != id),
                Next::Send(id, _) => {
                    let Some(one) = self.disk.outbox.iter_mut().find(|one| one.id == id) else {
                        return;
                    };
                    match takes {
                        Some(takes) => self.sending = Some((one.clone(), now + takes)),
                        None => {
                            one.due = at(now + 2);
                            pair.attempted(&one.clone(), None);
                        }
                    }
                    return;
                }
                Next::Wait(_) | Next::Idle => return,
            }
        }
    }
}

/// When each alert fires: from, to.
#[derive(Clone, Debug)]
struct World {
    times: Vec<(usize, u64, u64)>,
}

impl World {
    fn fired(&self, alert: usize, second: u64) -> bool {
        self.times.iter().any(|(one, from, to)| *one == alert && (*from..*to).contains(&second))
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A collector does not run.
    Crash(usize),
    /// The two do not hear each other.
    Partition,
    /// One does not hear the other.
    Deaf(usize),
    /// The receiver refuses what this one sends.
    Unreachable(usize),
    /// What this one sends takes so long.
    Slow(usize, u64),
}

/// So long everything goes on after the last fault.
const QUIET: u64 = 120;

fn simulate(
    world: &World,
    faults: &[(Fault, u64, u64)],
    skews: [u64; 2],
    end: u64,
) -> Vec<(u64, Facts)> {
    let mut nodes = [Node::new("c-1", "c-2", skews[0]), Node::new("c-2", "c-1", skews[1])];
    let mut log = Vec::new();
    for now in 0..end + QUIET {
        let active = |wanted: &dyn Fn(Fault) -> bool| {
            faults.iter().any(|(fault, from, to)| wanted(*fault) && (*from..*to).contains(&now))
        };
        for (i, node) in nodes.iter_mut().enumerate() {
            let down = active(&|fault| matches!(fault, Fault::Crash(at) if at == i));
            match (down, node.running.is_some()) {
                (true, true) => node.crash(),
                (false, false) => node.start(now),
                _ => {}
            }
            node.evaluate(world, now);
        }
        let parted = active(&|fault| matches!(fault, Fault::Partition));
        for i in 0..2 {
            let deaf = parted || active(&|fault| matches!(fault, Fault::Deaf(at) if at == i));
            let other = nodes[1 - i].running.as_ref().map(|(_, pair)| pair.clone());
            nodes[i].heartbeat(other.as_ref().filter(|_| !deaf), now);
        }
        for (i, node) in nodes.iter_mut().enumerate() {
            let refused = active(&|fault| matches!(fault, Fault::Unreachable(at) if at == i));
            let slow = faults.iter().find_map(|(fault, from, to)| match fault {
                Fault::Slow(at, takes) if *at == i && (*from..*to).contains(&now) => Some(*takes),
                _ => None,
            });
            node.send(&mut log, (!refused).then_some(slow.unwrap_or(0)), now);
        }
    }
    log
}

/// Whether a collector could have told the receiver all the time from `from` to `to`.
fn was_able(faults: &[(Fault, u64, u64)], from: u64, to: u64) -> bool {
    (0..2).any(|node| {
        !faults.iter().any(|(fault, begin, end)| {
            let hits = matches!(fault, Fault::Crash(at) | Fault::Unreachable(at) | Fault::Slow(at, _) if *at == node);
            hits && *begin < to && *end > from
        })
    })
}

fn any_world() -> impl Strategy<Value = World> {
    // Of one alert after the other: they fire at least half a minute, and rest as long.
    let one = prop::collection::vec((40_u64..120, 40_u64..150), 0..3);
    prop::collection::vec(one, 4).prop_map(|alerts| {
        let mut times = Vec::new();
        for (alert, spans) in alerts.iter().enumerate() {
            let mut now = 5;
            for (rest, lasts) in spans {
                times.push((alert, now + rest, now + rest + lasts));
                now += rest + lasts;
            }
        }
        World { times }
    })
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0_usize..2).prop_map(Fault::Crash),
        Just(Fault::Partition),
        (0_usize..2).prop_map(Fault::Deaf),
        (0_usize..2).prop_map(Fault::Unreachable),
        (0_usize..2, 1_u64..30).prop_map(|(node, takes)| Fault::Slow(node, takes)),
    ]
}

/// What the receiver believes in the end, and what it was told of each alert.
fn tellings(log: &[(u64, Facts)], alert: usize) -> Vec<(u64, bool)> {
    let fingerprint = crate::notify::fingerprint(&labels(alert));
    let told = log.iter().filter_map(|(second, facts)| {
        if facts.firing.contains_key(&fingerprint) {
            return Some((*second, true));
        }
        facts.resolved.contains_key(&fingerprint).then_some((*second, false))
    });
    told.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn there_is_no_notification_that_nobody_sends(
        world in any_world(),
        faults in prop::collection::vec((any_fault(), 0_u64..400, 1_u64..200), 0..8),
        skews in [0_u64..4, 0_u64..4],
    ) {
        let faults: Vec<_> = faults.into_iter().map(|(f, from, lasts)| (f, from, from + lasts)).collect();
        let last = world.times.iter().map(|(.., to)| *to).chain(faults.iter().map(|(.., to)| *to)).max();
        let end = last.unwrap_or(0);
        let log = simulate(&world, &faults, skews, end);
        for alert in 0..ALERTS.len() {
            let told = tellings(&log, alert);
            // In the end everybody knows that nothing fires.
            prop_assert!(told.last().is_none_or(|(_, fires)| !fires), "{alert}: {told:?}");
            for (_, from, to) in world.times.iter().filter(|(one, ..)| *one == alert) {
                // The wait for the owner, slow evaluations, the interval of the group, and what
                // is before it in line.
                let by = from + 50;
                if was_able(&faults, from.saturating_sub(60), by) && by <= *to {
                    let heard = told.iter().any(|(second, fires)| *fires && (*from..=by).contains(second));
                    prop_assert!(heard, "{alert} from {from}: {told:?}");
                }
                // Whatever happened: who was told that it fires is told that it does not.
                let lasting = told.iter().any(|(second, fires)| *fires && second >= from);
                let over = told.iter().any(|(second, fires)| !*fires && second >= to);
                prop_assert!(!lasting || over, "{alert} until {to}: {told:?}");
            }
        }
    }

    #[test]
    fn two_that_hear_each_other_send_it_once(
        world in any_world(),
        // Not so slow that what waits in line is confirmed too late.
        slow in prop::collection::vec(0_u64..3, 2),
        skews in [0_u64..4, 0_u64..4],
    ) {
        let end = world.times.iter().map(|(.., to)| *to).max().unwrap_or(0);
        let faults: Vec<_> =
            slow.iter().enumerate().map(|(i, takes)| (Fault::Slow(i, *takes), 0, end + QUIET)).collect();
        let log = simulate(&world, &faults, skews, end);
        for alert in 0..ALERTS.len() {
            let told = tellings(&log, alert);
            // Alerts of a group that go on firing are named with those that are new.
            let mut changes = told.clone();
            changes.dedup_by_key(|(_, fires)| *fires);
            let fired = world.times.iter().filter(|(one, ..)| *one == alert).count();
            prop_assert_eq!(changes.len(), 2 * fired, "{}: {:?}", alert, told);
        }
        // No message twice.
        for (i, (_, one)) in log.iter().enumerate() {
            let same = |other: &Facts| {
                other.firing.keys().eq(one.firing.keys()) && other.resolved.keys().eq(one.resolved.keys())
            };
            if let Some((_, next)) = log.iter().skip(i + 1).find(|(_, next)| {
                next.firing.keys().chain(next.resolved.keys()).any(|alert| one.firing.contains_key(alert) || one.resolved.contains_key(alert))
            }) {
                prop_assert!(!same(next), "twice: {one:?} in {log:?}");
            }
        }
    }
}

#[test]
fn who_sends_is_decided_by_name() {
    let group = ("noc".to_owned(), "{alertname=\"A\"}".to_owned());
    assert_ne!(owns("c-1", "c-2", &group), owns("c-2", "c-1", &group));
    let of = |i: u32| ("noc".to_owned(), format!("{{alertname=\"{i}\"}}"));
    let own = (0..1_000).filter(|i| owns("c-1", "c-2", &of(*i))).count();
    assert!((400..600).contains(&own), "{own} of 1000");
}

#[test]
fn every_decision_has_its_reason() {
    let names = ("c-1", "c-2");
    let group = |owner: &str| {
        let of = |i: u32| ("noc".to_owned(), format!("{{alertname=\"{i}\"}}"));
        (0..).map(of).find(|group| owns("c-1", "c-2", group) == (owner == "c-1")).unwrap()
    };
    let (own, other) = (group("c-1"), group("c-2"));
    let facts = Facts { firing: [(7, at(100))].into(), ..Facts::default() };
    let resolved = Facts { resolved: [(7, at(100))].into(), ..Facts::default() };
    let reminder = Facts { reminds_after: Some(at(7_000)), ..facts.clone() };
    let view = View { evaluates: true, receivers: ["noc".to_owned()].into(), ..View::default() };
    let up = || Link::Up(view.clone());
    let failing = Link::Up(View { failing: ["noc".to_owned()].into(), ..view.clone() });
    let stalled = Link::Up(View { evaluates: false, ..view.clone() });
    let sees_it_since = |second| {
        let active = [(other.clone(), [(7, at(second))].into())].into();
        Link::Up(View { active, ..view.clone() })
    };
    let told = |firing: bool, since: u64, second: u64| {
        let mut beliefs = Beliefs::default();
        let told = Told { firing, since: at(since), at: at(second) };
        beliefs.put(&own, 7, told);
        beliefs.put(&other, 7, told);
        beliefs
    };
    let nothing = Beliefs::default;
    let (soon, late) = (Duration::from_secs(1), TAKEOVER);
    let wait = |seconds| Decision::Wait(Duration::from_secs(seconds));
    for (name, link, beliefs, group, facts, waited, expected) in [
        ("not asked yet", Link::Unknown, nothing(), &own, &facts, late, Decision::Wait(LOST)),
        ("owner", up(), nothing(), &own, &facts, soon, Decision::Send(Because::Owner)),
        ("owner alone", Link::Down, nothing(), &own, &facts, soon, Decision::Send(Because::Owner)),
        ("the other's", up(), nothing(), &other, &facts, soon, wait(14)),
        ("late", up(), nothing(), &other, &facts, late, Decision::Send(Because::NotConfirmed)),
        ("gone", Link::Down, nothing(), &other, &facts, soon, Decision::Send(Because::PeerDown)),
        ("fails", failing, nothing(), &other, &facts, soon, Decision::Send(Because::PeerUnable)),
        ("stalled", stalled, nothing(), &other, &facts, soon, Decision::Send(Because::PeerUnable)),
        ("told", up(), told(true, 100, 101), &other, &facts, soon, Decision::Drop),
        ("told, owner", up(), told(true, 100, 101), &own, &facts, soon, Decision::Drop),
        ("told of an earlier", up(), told(true, 10, 11), &other, &facts, soon, wait(14)),
        (
            "fires there since",
            sees_it_since(10),
            told(true, 10, 11),
            &other,
            &facts,
            soon,
            Decision::Drop,
        ),
        ("resolved before", up(), told(false, 99, 101), &other, &facts, soon, wait(14)),
        ("over and told", up(), told(false, 500, 501), &other, &facts, soon, Decision::Drop),
        ("resolved told", up(), told(false, 100, 101), &other, &resolved, soon, Decision::Drop),
        ("resolved not told", up(), told(true, 50, 51), &other, &resolved, soon, wait(14)),
        ("reminded", up(), told(true, 100, 7_200), &other, &reminder, soon, Decision::Drop),
        ("not reminded", up(), told(true, 100, 101), &other, &reminder, soon, wait(14)),
    ] {
        let got = decide(names, &link, &beliefs, (group, facts), waited);
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn a_group_that_waits_holds_up_no_other_and_keeps_its_order() {
    let queued = |id: i64, group: &str, due: u64| Queued {
        id,
        group: ("noc".into(), group.into()),
        facts: Facts::default(),
        at: at(0),
        due: at(due),
    };
    let latest = Duration::from_secs(60);
    let all = [queued(1, "theirs", 0), queued(2, "theirs", 0), queued(3, "ours", 0)];
    let decide = |one: &Queued| match &*one.group.1 {
        "theirs" => Decision::Wait(TAKEOVER),
        "known" => Decision::Drop,
        _ => Decision::Send(Because::Owner),
    };
    assert_eq!(choose(&all, at(1), latest, decide), Next::Send(3, Because::Owner));
    assert_eq!(choose(&all[..2], at(1), latest, decide), Next::Wait(TAKEOVER));
    let retried = [queued(1, "ours", 9), queued(2, "ours", 0)];
    assert_eq!(choose(&retried, at(1), latest, decide), Next::Wait(Duration::from_secs(8)));
    assert_eq!(choose(&retried, at(9), latest, decide), Next::Send(1, Because::Owner));
    let known = [queued(1, "theirs", 0), queued(2, "known", 9)];
    assert_eq!(choose(&known, at(1), latest, decide), Next::Drop(2));
    assert_eq!(choose(&[], at(1), latest, decide), Next::Idle);
}

proptest! {
    #[test]
    fn what_was_told_comes_out_the_same_in_any_order(
        tellings in prop::collection::vec((0_u64..4, any::<bool>(), 0_u64..5, 0_u64..5), 0..20),
    ) {
        let group = ("noc".to_owned(), "{}".to_owned());
        let take = |all: &mut dyn Iterator<Item = &(u64, bool, u64, u64)>| {
            let mut beliefs = Beliefs::default();
            for (alert, firing, since, second) in all {
                beliefs.put(&group, *alert, Told { firing: *firing, since: at(*since), at: at(*second) });
            }
            beliefs
        };
        let forward = take(&mut tellings.iter());
        let mut backward = take(&mut tellings.iter().rev());
        prop_assert_eq!(&forward, &backward);
        prop_assert!(!backward.merge(&forward), "nothing of it is news");
    }
}
