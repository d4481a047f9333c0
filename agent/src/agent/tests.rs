//! The decisions as a whole, without a world.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use hallwatch_config::Source;
use hallwatch_modbus::Data;
use hallwatch_model::wire::{decode_batch, decode_describe, decode_status, encode_ack};
use hallwatch_model::{Ack, Gap, Missing};

use super::*;
use crate::config::DeviceSource;
use crate::io::journal::Entry;

const TEXT: &str = r#"
[agent]
id = "gw-1"
tenant = "acme"
site = "fra-1"
data = "/d"
collectors = ["c-1"]
[broker]
url = "mqtt://h"
[[device]]
name = "meter-1"
modbus_tcp = { address = "h:502", profile = "schneider_pm5500" }
"#;

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// All lines that were logged while `run` ran.
    fn of(run: impl FnOnce()) -> Vec<String> {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, run);
        let text = log.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Stage {
    agent: Agent,
    config: Config,
    millis: u64,
    seq: u64,
}

impl Stage {
    fn new() -> Self {
        Self::of("schneider_pm5500")
    }

    /// With a device of this profile.
    fn of(profile: &str) -> Self {
        let text = TEXT.replace("schneider_pm5500", profile);
        let config = Config::parse(&Source::new("agent.toml", text)).unwrap();
        let opened = Opened {
            boot: 7,
            dictionary: 9,
            series: Vec::new(),
            runs: Vec::new(),
            set_aside: None,
            stores: Vec::new(),
            durable: true,
            known: Some(now(0).time),
        };
        let agent = Agent::new(&config, opened, now(0));
        Self { agent, config, millis: 0, seq: 0 }
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        self.agent.handle(event, now(self.millis))
    }

    fn connect(&mut self) -> Vec<Action> {
        self.event(Event::Broker(link::Event::Connected { session_present: false }))
    }

    fn profile(&self) -> std::sync::Arc<crate::profile::Profile> {
        let DeviceSource::Modbus(modbus) = &self.config.devices[0].source else { panic!() };
        modbus.profile.clone()
    }

    /// A poll with the same number in all registers.
    fn poll(&mut self, register: u16) -> Vec<Action> {
        let DeviceSource::Modbus(modbus) = &self.config.devices[0].source else { panic!() };
        let reads = modbus.profile.reads();
        let answer = |read: &hallwatch_modbus::Read| {
            Ok(Data::Registers(vec![register; read.count().into()].into()))
        };
        let answers = reads.iter().map(answer).collect();
        let (profile, time) = (modbus.profile.clone(), now(self.millis).time);
        // Never twice as long as the last one.
        let took =
            Duration::from_millis(if (self.millis / 100).is_multiple_of(2) { 1 } else { 30 });
        let polled = Polled { device: 0, profile, answers, aside: Vec::new(), time, took };
        self.event(Event::Polled(polled))
    }

    /// Time passes, and a journal that keeps up takes what there is.
    fn pass(&mut self, millis: u64) -> Vec<Action> {
        self.millis += millis;
        let mut actions = self.event(Event::Tick);
        while let Some(command) = self.agent.command() {
            if let Command::Append(append) = command {
                self.seq += 1;
                let entry = Entry { seq: self.seq, time: append.time, bytes: append.bytes };
                actions.extend(self.event(Event::Journal(Told::Committed(entry))));
            }
        }
        actions
    }

    fn ack(&mut self, collector: &str, ack: &Ack) -> Vec<Action> {
        let topic = format!("hallwatch/v1/acme/fra-1/gw-1/ack/{collector}");
        let payload = encode_ack(ack).into();
        let message = Message { topic, payload, retain: false };
        self.event(Event::Broker(link::Event::Message(message)))
    }
}

fn now(millis: u64) -> Now {
    let uptime = Uptime::new(Duration::from_millis(millis));
    let time = Timestamp::from_millis(1_795_276_800_000) + uptime.elapsed();
    Now { time, uptime, wall: time, kept: false }
}

fn topics(actions: &[Action]) -> Vec<&str> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Publish(message) | Action::Send { message, .. } => {
                message.topic.strip_prefix("hallwatch/v1/acme/fra-1/gw-1/")
            }
            _ => None,
        })
        .collect()
}

#[test]
fn the_dictionary_goes_before_the_data_that_uses_it_and_again_after_a_reconnect() {
    let mut stage = Stage::new();
    assert_eq!(topics(&stage.connect()), ["status"]);
    stage.poll(1);
    let actions = stage.pass(1_000);
    assert_eq!(topics(&actions), ["describe/0", "data"]);
    let mut known = BTreeSet::new();
    for action in &actions {
        match action {
            Action::Publish(message) => {
                assert!(message.retain);
                let describe = decode_describe(&message.payload).unwrap();
                known.extend(describe.series.into_iter().map(|(id, _)| id));
            }
            Action::Send { message, .. } => {
                let batch = decode_batch(&message.payload).unwrap();
                assert_eq!((batch.boot, batch.seq, batch.oldest), (7, 1, 1));
                let readings = &batch.readings.readings;
                assert!(readings.iter().all(|reading| known.contains(&reading.series)));
                assert!(readings.len() > 20);
            }
            _ => {}
        }
    }
    stage.poll(2);
    assert_eq!(topics(&stage.pass(1_000)), ["data"]);
    assert_eq!(topics(&stage.connect()), ["status", "describe/0"]);
}

#[test]
fn a_collector_gets_the_dictionary_when_it_asks_but_not_all_the_time() {
    let mut stage = Stage::new();
    stage.connect();
    stage.poll(1);
    stage.pass(6_000);
    let ack = Ack { boot: 7, upto: 0, describe: true, ..Ack::default() };
    assert_eq!(topics(&stage.ack("c-9", &ack)), Vec::<&str>::new(), "not one of ours");
    assert_eq!(topics(&stage.ack("c-1", &ack)), ["describe/0"]);
    assert_eq!(topics(&stage.ack("c-1", &ack)), Vec::<&str>::new());
    stage.pass(5_000);
    assert_eq!(topics(&stage.ack("c-1", &ack)), ["describe/0"]);
}

#[test]
fn acknowledged_entries_leave_the_journal_and_the_status_says_what_is_owed() {
    let mut stage = Stage::new();
    stage.connect();
    for _ in 0..3 {
        stage.poll(1);
        stage.pass(1_000);
    }
    assert_eq!(stage.agent.backlog(), 3);
    stage.ack("c-1", &Ack { boot: 7, upto: 1, beyond: vec![(3, 3)], ..Ack::default() });
    let done: Vec<(u64, u64)> = std::iter::from_fn(|| stage.agent.command())
        .filter_map(|command| match command {
            Command::Done { boot: 7, first, last } => Some((first, last)),
            _ => None,
        })
        .collect();
    assert_eq!(done, [(1, 1), (3, 3)]);
    let Message { payload, retain, .. } = stage.agent.status(true, now(1_000));
    let status = decode_status(&payload).unwrap();
    assert!(retain && status.online && status.durable);
    assert_eq!((status.backlog, status.boot), (1, 7));
}

#[test]
fn the_status_says_who_refused_and_how_much_room_is_left() {
    let mut stage = Stage::new();
    let peer = || link::Peer { host: "broker".into(), port: 8883 };
    let refused = |reason_code| link::Error::Refused { peer: peer(), reason_code };
    // A password, a broker that is busy, one that is away, and a topic that is not allowed.
    for error in [refused(0x86), refused(0x89), link::Error::Hangup { peer: peer() }] {
        stage.event(Event::Broker(link::Event::Disconnected { error }));
    }
    stage.connect();
    let topic = "hallwatch/v1/acme/fra-1/gw-1/data".to_owned();
    stage.event(Event::Broker(link::Event::Refused { topic, reason_code: 0x87 }));
    let status = |stage: &Stage| decode_status(&stage.agent.status(true, now(1)).payload).unwrap();
    let said = status(&stage);
    assert_eq!((said.broker_refusals, said.disk_size), (2, 0), "no journal has told of its disk");
    let health = Told::Health {
        durable: true,
        bytes: 1,
        written_bytes: 2,
        written_readings: 3,
        disk: Some((400, 1_000)),
    };
    stage.event(Event::Journal(health));
    let said = status(&stage);
    assert_eq!((said.disk_free, said.disk_size), (400, 1_000));
}

#[test]
fn readings_that_no_journal_takes_become_a_gap_and_not_a_leak() {
    let mut stage = Stage::new();
    for _ in 0..700 {
        stage.poll(1);
        stage.millis += 1_000;
        stage.event(Event::Tick);
    }
    let commands: Vec<Command> = std::iter::from_fn(|| stage.agent.command()).collect();
    assert!(commands.len() <= COMMANDS + 1, "{}", commands.len());
    let gaps: Vec<&Gap> = commands
        .iter()
        .filter_map(|command| match command {
            Command::Gap(gap) => Some(gap),
            _ => None,
        })
        .collect();
    let [Gap { entries: lost, cause, .. }] = gaps[..] else { panic!("{gaps:?}") };
    assert_eq!(cause, "overload");
    let kept = commands.iter().filter(|command| matches!(command, Command::Append(_))).count();
    assert_eq!(*lost + u64::try_from(kept).unwrap(), 700);
    let first = commands.iter().find_map(|command| match command {
        Command::Append(append) => Some(append.series.len()),
        _ => None,
    });
    assert!(first > Some(20), "the series of what was lost come with what follows");
}

#[test]
fn messages_that_are_no_acknowledgements_of_ours_change_nothing() {
    let mut stage = Stage::new();
    stage.connect();
    stage.poll(1);
    stage.pass(1_000);
    for (topic, payload) in [
        (
            "hallwatch/v1/acme/fra-1/gw-2/ack/c-1",
            encode_ack(&Ack { boot: 7, upto: 1, ..Ack::default() }),
        ),
        ("hallwatch/v1/acme/fra-1/gw-1/ack/c-1", vec![0xff; 40]),
        ("hallwatch/v1/acme/fra-1/gw-1/data", Vec::new()),
        ("$SYS/x", Vec::new()),
    ] {
        let message = Message { topic: topic.into(), payload: payload.into(), retain: false };
        stage.event(Event::Broker(link::Event::Message(message)));
        assert_eq!(stage.agent.backlog(), 1, "{topic}");
    }
}

#[test]
fn a_clock_that_jumps_does_not_empty_the_journal() {
    let mut stage = Stage::new();
    let mut trims = |seconds: u64, ahead: u64| {
        let mut at = now(seconds * 1_000);
        at.time = at.time + Duration::from_secs(ahead);
        stage.agent.handle(Event::Tick, at);
        let command = std::iter::from_fn(|| stage.agent.command()).last();
        let Some(Command::Trim { now }) = command else { panic!("{command:?}") };
        (now == at.time, now == Timestamp::MIN)
    };
    let year = 365 * 24 * 3600;
    assert_eq!(trims(0, 0), (true, false));
    assert_eq!(trims(20, 60), (true, false), "a minute is a correction");
    assert_eq!(trims(40, year), (false, true));
    assert_eq!(trims(3_000, year), (false, true));
    assert_eq!(trims(3_100, 0), (false, true), "set back again: doubted anew");
    assert_eq!(trims(6_690, 0), (false, true));
    assert_eq!(trims(6_710, 0), (true, false));
}

#[test]
fn a_silent_device_is_a_gap_that_lasts_until_it_answers() {
    let mut stage = Stage::new();
    stage.connect();
    stage.poll(1);
    stage.pass(1_000);
    let gaps = |actions: &[Action]| -> Vec<Gap> {
        let batches = actions.iter().filter_map(|action| match action {
            Action::Send { message, .. } => Some(decode_batch(&message.payload).unwrap()),
            _ => None,
        });
        batches.flat_map(|batch| batch.readings.gaps).collect()
    };
    let start = now(0).time;
    let mut told = Vec::new();
    for _ in 0..5 {
        let polled = Polled {
            device: 0,
            profile: stage.profile(),
            answers: vec![Err(hallwatch_model::Missing::Timeout)],
            aside: Vec::new(),
            time: now(stage.millis).time,
            took: Duration::ZERO,
        };
        stage.event(Event::Polled(polled));
        told.extend(gaps(&stage.pass(1_000)));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].open && told[0].first == start, "since the last answer: {told:?}");
    stage.poll(2);
    let over = gaps(&stage.pass(1_000));
    assert_eq!(over.len(), 1);
    assert!(!over[0].open && over[0].first == start && over[0].device == "meter-1", "{over:?}");
    assert_eq!(over[0].last, now(stage.millis - 1_000).time);
}

#[test]
fn turns_that_passed_while_the_agent_stood_still_are_a_gap() {
    let mut stage = Stage::new();
    stage.connect();
    let gaps = |actions: &[Action]| -> Vec<Gap> {
        let batches = actions.iter().filter_map(|action| match action {
            Action::Send { message, .. } => Some(decode_batch(&message.payload).unwrap()),
            _ => None,
        });
        batches.flat_map(|batch| batch.readings.gaps).collect()
    };
    // In the rhythm of a second nothing is missed.
    for _ in 0..5 {
        stage.poll(1);
        assert_eq!(gaps(&stage.pass(1_000)), []);
    }
    stage.poll(1);
    let before = now(stage.millis).time;
    // In the first entry that is closed afterwards: the next one may never come.
    let told = gaps(&stage.pass(7_000));
    let noticed = now(stage.millis).time;
    stage.poll(1);
    assert_eq!(gaps(&stage.pass(300)), []);
    assert_eq!(told.len(), 1, "{told:?}");
    let gap = &told[0];
    assert_eq!((gap.cause.as_str(), gap.device.as_str()), ("missed_turns", "meter-1"));
    assert_eq!((gap.first, gap.last, gap.open), (before, noticed, false));
    assert!(gap.readings >= 6 * 20, "{gap:?}");
}

#[test]
fn what_is_read_before_the_time_is_known_waits_for_it() {
    let wall = |millis: u64| Now {
        wall: Timestamp::from_millis(5_000 + millis.cast_signed()),
        ..now(millis)
    };
    let unset = |millis: u64| {
        let now = wall(millis);
        Now { time: now.wall, ..now }
    };
    let mut stage = Stage::new();
    let opened = Opened {
        boot: 7,
        dictionary: 9,
        series: Vec::new(),
        runs: Vec::new(),
        set_aside: None,
        stores: Vec::new(),
        durable: true,
        known: None,
    };
    stage.agent = Agent::new(&stage.config, opened, unset(0));
    let appended = |agent: &mut Agent| -> Vec<Bytes> {
        std::iter::from_fn(|| agent.command())
            .filter_map(|command| match command {
                Command::Append(append) => Some(append.bytes),
                _ => None,
            })
            .collect()
    };
    let polled = Polled {
        device: 0,
        profile: stage.profile(),
        answers: vec![Err(hallwatch_model::Missing::Timeout)],
        aside: Vec::new(),
        time: unset(1_000).time,
        took: Duration::ZERO,
    };
    stage.agent.handle(Event::Polled(polled), unset(1_000));
    for millis in (1_000..60_000).step_by(250) {
        stage.agent.handle(Event::Tick, unset(millis));
    }
    assert_eq!(appended(&mut stage.agent), Vec::<Bytes>::new());
    // A collector answers the status, and tells the time by that.
    let topic = "hallwatch/v1/acme/fra-1/gw-1/ack/c-1".to_owned();
    let ack = Ack { boot: 7, time: now(60_000).time, ..Ack::default() };
    let message = Message { topic, payload: encode_ack(&ack).into(), retain: false };
    stage.agent.handle(Event::Broker(link::Event::Message(message)), unset(60_000));
    let shift = stage.agent.handle(Event::Tick, unset(60_010));
    let by = now(0).time.as_millis() - 5_000;
    assert!(matches!(shift[..], [Action::Shift(millis), ..] if millis == by), "{shift:?}");
    stage.agent.handle(Event::Tick, Now { wall: wall(61_000).wall, ..now(61_000) });
    let bytes = appended(&mut stage.agent);
    assert_eq!(bytes.len(), 1);
    let readings = hallwatch_model::wire::decode_readings(&bytes[0]).unwrap().readings;
    assert!(readings.iter().any(|reading| reading.time == now(1_000).time));
    assert!(readings.iter().all(|reading| reading.time >= timeline::PLAUSIBLE));
}

#[test]
fn nothing_is_sent_before_somebody_has_confirmed_the_time() {
    const OFF: i64 = -3 * 3_600_000;
    let mut stage = Stage::new();
    let opened = Opened {
        boot: 7,
        dictionary: 9,
        series: Vec::new(),
        runs: Vec::new(),
        set_aside: None,
        stores: Vec::new(),
        durable: true,
        known: None,
    };
    // The time that the shell would show, which follows what it is told.
    let mut own = OFF;
    let at = |own: i64, millis: u64| {
        let now = now(millis);
        Now { time: now.time.moved(own), wall: now.wall.moved(OFF), ..now }
    };
    stage.agent = Agent::new(&stage.config, opened, at(own, 0));
    let unasked = Polled {
        device: 0,
        profile: stage.profile(),
        answers: vec![Err(hallwatch_model::Missing::Timeout)],
        aside: Vec::new(),
        time: at(own, 1_000).time,
        took: Duration::ZERO,
    };
    let mut told = Vec::new();
    let mut seq = 0;
    // The journal, which numbers entries and settles when it is told to.
    let mut journal = |agent: &mut Agent, now: Now, actions: &mut Vec<Action>| {
        while let Some(command) = agent.command() {
            let answer = match &command {
                Command::Append(append) => {
                    seq += 1;
                    let (time, bytes) = (append.time, append.bytes.clone());
                    Some(Told::Committed(Entry { seq, time, bytes }))
                }
                Command::Settle { .. } => Some(Told::Settled),
                _ => None,
            };
            told.push(command);
            actions.extend(
                answer.into_iter().flat_map(|told| agent.handle(Event::Journal(told), now)),
            );
        }
    };
    let connected = link::Event::Connected { session_present: false };
    let mut actions = stage.agent.handle(Event::Broker(connected), at(own, 0));
    actions.extend(stage.agent.handle(Event::Polled(unasked.clone()), at(own, 1_000)));
    for millis in (1_000..60_000).step_by(250) {
        actions.extend(stage.agent.handle(Event::Tick, at(own, millis)));
        journal(&mut stage.agent, at(own, millis), &mut actions);
    }
    let sent = topics(&actions);
    assert!(sent.iter().all(|topic| *topic == "status"), "{sent:?}");
    assert!(sent.len() >= 29, "the time is asked for by statuses: {}", sent.len());
    assert!(stage.agent.backlog() > 0);

    let topic = "hallwatch/v1/acme/fra-1/gw-1/ack/c-1".to_owned();
    let ack = Ack { boot: 7, time: now(60_000).time, ..Ack::default() };
    let message = Message { topic, payload: encode_ack(&ack).into(), retain: false };
    stage.agent.handle(Event::Broker(link::Event::Message(message)), at(own, 60_000));
    let mut actions = stage.agent.handle(Event::Tick, at(own, 60_000));
    assert!(actions.iter().any(|action| matches!(action, Action::Shift(by) if *by == -OFF)));
    own = 0;
    // What was under way meanwhile has the time of before.
    let late = Polled { time: at(OFF, 59_990).time, ..unasked };
    actions.extend(stage.agent.handle(Event::Polled(late), at(own, 60_020)));
    for millis in (60_000..63_000).step_by(250) {
        actions.extend(stage.agent.handle(Event::Tick, at(own, millis)));
        journal(&mut stage.agent, at(own, millis), &mut actions);
    }
    assert!(topics(&actions).contains(&"data"));
    let settled = told.iter().position(|command| matches!(command, Command::Settle { .. }));
    let settled = settled.expect("it is told to the journal");
    let first = told.iter().position(|command| matches!(command, Command::Append(_)));
    let doubt = told.iter().position(|command| matches!(command, Command::Unconfirmed { .. }));
    assert!(doubt < first && first < Some(settled));
    assert!(matches!(told[settled], Command::Settle { base, .. } if base == now(0).time));
    assert!(
        matches!(told[doubt.unwrap()], Command::Unconfirmed { base } if base == at(OFF, 0).time)
    );
    for command in &told[settled..] {
        if let Command::Append(append) = command {
            let read = hallwatch_model::wire::decode_readings(&append.bytes).unwrap().readings;
            assert!(read.iter().all(|reading| reading.time >= now(59_000).time), "{read:?}");
        }
    }
    for command in &told[..settled] {
        assert!(!matches!(command, Command::Trim { now } if *now > Timestamp::MIN));
    }
}

#[test]
fn the_time_that_a_sensor_gives_is_used_once_the_own_time_is_confirmed() {
    let text = TEXT.replace(
        "modbus_tcp = { address = \"h:502\", profile = \"schneider_pm5500\" }",
        "[device.mqtt]\ntopic = \"s\"\ntime = { path = \"at\" }\n\
         points = [ { path = \"t\", metric = \"environment_temperature_celsius\" } ]",
    );
    let config = Config::parse(&Source::new("agent.toml", text)).unwrap();
    let ahead = |millis: u64| {
        let now = now(millis);
        Now { time: now.time.moved(3_600_000), wall: now.wall.moved(3_600_000), ..now }
    };
    let times = |known: Option<Timestamp>, clock: &dyn Fn(u64) -> Now| -> Vec<Timestamp> {
        let opened = Opened {
            boot: 7,
            dictionary: 9,
            series: Vec::new(),
            runs: Vec::new(),
            set_aside: None,
            stores: Vec::new(),
            durable: true,
            known,
        };
        let mut agent = Agent::new(&config, opened, clock(0));
        let at = now(0).time.as_millis() / 1_000;
        let payload = format!("{{\"t\": 21.5, \"at\": {at}}}").into();
        let message = Message { topic: "s".to_owned(), payload, retain: false };
        agent.handle(Event::Broker(link::Event::Message(message)), clock(2_000));
        agent.handle(Event::Tick, clock(4_000));
        let commands = std::iter::from_fn(|| agent.command());
        let appended = commands.filter_map(|command| match command {
            Command::Append(append) => Some(append.bytes),
            _ => None,
        });
        let readings = appended
            .flat_map(|bytes| hallwatch_model::wire::decode_readings(&bytes).unwrap().readings);
        readings.filter(|reading| reading.value == Ok(21.5)).map(|reading| reading.time).collect()
    };
    assert_eq!(times(Some(now(0).time), &now)[0], now(0).time);
    // By the own clock, which is an hour ahead and will be corrected, it would be an hour old.
    assert_eq!(times(None, &ahead)[0], ahead(2_000).time);
}

#[test]
fn a_new_store_is_sent_everything_that_is_kept_once() {
    let mut stage = Stage::new();
    stage.connect();
    let replays = |stage: &mut Stage| {
        std::iter::from_fn(|| stage.agent.command())
            .filter(|command| matches!(command, Command::Replay { store: 5, .. }))
            .count()
    };
    let ack = Ack { boot: 7, store: 5, ..Ack::default() };
    stage.ack("c-9", &ack);
    assert_eq!(replays(&mut stage), 0, "not one of ours");
    stage.ack("c-1", &ack);
    stage.ack("c-1", &ack);
    assert_eq!(replays(&mut stage), 1);
}

/// The last value of the series of this name in what is sent.
#[derive(Default)]
struct Heard {
    ids: Vec<hallwatch_model::SeriesId>,
    last: Option<hallwatch_model::Value>,
}

impl Heard {
    fn hear(&mut self, name: &str, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Publish(message) if message.topic.contains("/describe/") => {
                    let series = decode_describe(&message.payload).unwrap().series;
                    let named =
                        series.into_iter().filter(|(_, labels)| labels.name() == Some(name));
                    self.ids.extend(named.map(|(id, _)| id));
                }
                Action::Send { message, .. } => {
                    let readings = decode_batch(&message.payload).unwrap().readings.readings;
                    let mut named =
                        readings.iter().filter(|reading| self.ids.contains(&reading.series));
                    self.last = named.next_back().map(|reading| reading.value).or(self.last);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_device_that_only_says_who_it_is_is_up_while_it_answers() {
    let mut stage = Stage::of("shelly_gen2_info");
    stage.connect();
    let mut up = Heard::default();
    for _ in 0..5 {
        stage.poll(0x4141);
        up.hear("device_up", &stage.pass(1_000));
    }
    assert_eq!(up.last, Some(Ok(1.0)));
    // An exception is an answer, too.
    let answer = |stage: &mut Stage, missing| {
        let time = now(stage.millis).time;
        let (profile, took) = (stage.profile(), Duration::from_millis(1));
        let answers = vec![Err(missing)];
        stage.event(Event::Polled(Polled {
            device: 0,
            profile,
            answers,
            aside: Vec::new(),
            time,
            took,
        }));
        stage.pass(1_000)
    };
    for _ in 0..5 {
        up.hear("device_up", &answer(&mut stage, Missing::Exception(2)));
    }
    assert_eq!(up.last, Some(Ok(1.0)));
    for _ in 0..5 {
        up.hear("device_up", &answer(&mut stage, Missing::Timeout));
    }
    assert_eq!(up.last, Some(Ok(0.0)));
    stage.poll(0x4141);
    up.hear("device_up", &stage.pass(1_000));
    assert_eq!(up.last, Some(Ok(1.0)));
}

#[test]
fn what_is_refused_is_logged_with_what_the_device_sent_but_not_every_second() {
    let mut stage = Stage::new();
    // Two registers of 0x7f00 are the single float 0x7f007f00, some 10^38: no current, no hertz.
    let lines = Log::of(|| {
        stage.poll(0);
        for _ in 0..700 {
            stage.pass(1_000);
            stage.poll(0x7f00);
        }
    });
    let of = |point: &str| -> Vec<&String> {
        lines.iter().filter(|line| line.contains(&format!("point=\"{point}\" "))).collect()
    };
    let [first, summary] = of("frequency")[..] else { panic!("{lines:?}") };
    assert!(first.contains("WARN"), "{first}");
    for (line, count) in [(first, "count=1"), (summary, "count=600")] {
        for part in ["device=\"meter-1\"", "raw=\"0x7f007f00\"", "limits=\"0 to 100\"", count] {
            assert!(line.contains(part), "{part}: {line}");
        }
        // 2^127 × (1 + 0x7f00 / 2^23).
        assert!(line.contains("value=1.70800605"), "{line}");
    }
    assert_eq!(of("current_l1").len(), 2);
    // What was refused is missing, for that reason.
    let told = lines.iter().filter(|line| line.contains("out of range")).count();
    assert_eq!(told % 2, 0);
}

#[test]
fn a_device_that_falls_silent_is_journalled_at_once_and_calm_values_once_a_second() {
    let mut stage = Stage::new();
    let entries = |stage: &mut Stage| {
        stage.event(Event::Tick);
        std::iter::from_fn(|| stage.agent.command())
            .filter(|command| matches!(command, Command::Append(_)))
            .count()
    };
    let mut calm = 0;
    for _ in 0..50 {
        stage.poll(1);
        calm += entries(&mut stage);
        stage.millis += 100;
    }
    assert!((4..=5).contains(&calm), "{calm}");
    stage.millis += 100;
    let polled = Polled {
        device: 0,
        profile: stage.profile(),
        answers: vec![Err(hallwatch_model::Missing::Timeout)],
        aside: Vec::new(),
        time: now(stage.millis).time,
        took: Duration::ZERO,
    };
    stage.event(Event::Polled(polled));
    assert_eq!(entries(&mut stage), 1);
    stage.millis += 100;
    stage.poll(1);
    assert_eq!(entries(&mut stage), 1, "and when it is back");
}
