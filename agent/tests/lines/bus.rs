//! Twenty units on one RTU line, five of which are dead: the others keep their interval.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_agent::config::{Config, DeviceSource};
use hallwatch_agent::io::line;
use hallwatch_agent::poll::Slots;
use hallwatch_config::Source;
use hallwatch_modbus::framing::crc;
use hallwatch_modbus::{Failure, Read, Table};
use hallwatch_model::{Missing, Uptime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::peer::Pair;
use crate::support::{Broker, Collector, Held, Site, until};
use crate::{Running, own_profile};

const UNITS: u8 = 20;
const DEAD: [u8; 5] = [2, 7, 11, 16, 19];
/// This one answers late, and no other unit does.
const LATE: u8 = 21;
const LATENESS: Duration = Duration::from_millis(300);
const INTERVAL: Duration = Duration::from_millis(500);
/// What the time that a process and its peers take for fifteen turns may vary by, on a machine that
/// has nothing else to do. What it adds otherwise is measured: see [`Stalls`].
const SLACK: Duration = Duration::from_millis(50);

/// The other end of a line.
#[derive(Clone, Default)]
struct Units {
    /// When each unit was asked, and how many connections there were (as unit 0).
    asked: Arc<Mutex<BTreeMap<u8, Vec<Instant>>>>,
    dead: Arc<Mutex<BTreeSet<u8>>>,
}

impl Units {
    /// Of which those are dead.
    fn without(dead: &[u8]) -> Self {
        Self { dead: Arc::new(Mutex::new(dead.iter().copied().collect())), ..Self::default() }
    }

    #[expect(clippy::disallowed_methods, reason = "it says when it was asked")]
    fn note(&self, unit: u8) {
        self.asked.lock().unwrap().entry(unit).or_default().push(Instant::now());
    }

    fn count(&self, unit: u8) -> usize {
        self.asked.lock().unwrap().get(&unit).map_or(0, Vec::len)
    }

    /// When they were asked since this was last called.
    fn take(&self) -> BTreeMap<u8, Vec<Instant>> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn revive(&self, unit: u8) {
        self.dead.lock().unwrap().remove(&unit);
    }

    /// The answer to a question for a register, and how long it takes; none of a dead unit.
    fn answer(&self, question: [u8; 8]) -> Option<(Duration, Vec<u8>)> {
        let [unit, function, _, address, _, count, low, high] = question;
        assert_eq!(crc(&question[..6]).to_le_bytes(), [low, high], "{question:02x?}");
        assert_eq!((function, address, count), (3, 0, 1));
        self.note(unit);
        if self.dead.lock().unwrap().contains(&unit) {
            return None;
        }
        let mut frame = vec![unit, 3, 2, 0x10, unit];
        frame.extend(crc(&frame).to_le_bytes());
        Some((if unit == LATE { LATENESS } else { Duration::from_millis(10) }, frame))
    }

    /// Behind a converter to a serial line: one question at a time.
    async fn behind_a_converter(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let units = self.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                units.note(0);
                let units = units.clone();
                tokio::spawn(async move {
                    let mut question = [0; 8];
                    while stream.read_exact(&mut question).await.is_ok() {
                        let Some((time, frame)) = units.answer(question) else { continue };
                        sleep(time).await;
                        if stream.write_all(&frame).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    /// At the other end of a serial port, in a thread of their own, which ends with the pair.
    fn at_port(&self, port: &str) {
        let mut port = OpenOptions::new().read(true).write(true).open(port).unwrap();
        let units = self.clone();
        std::thread::spawn(move || {
            let mut question = [0; 8];
            while port.read_exact(&mut question).is_ok() {
                let Some((time, frame)) = units.answer(question) else { continue };
                std::thread::sleep(time);
                if port.write_all(&frame).is_err() {
                    return;
                }
            }
        });
    }
}

/// What a loaded machine adds: how long this process did not get to run, measured beside it.
struct Stalls {
    seen: Arc<Mutex<Vec<(Instant, Duration)>>>,
    task: JoinHandle<()>,
}

impl Stalls {
    #[expect(clippy::disallowed_methods, reason = "it measures what timers are late by")]
    fn measure() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let task = tokio::spawn(async move {
            let (step, usual) = (Duration::from_millis(5), Duration::from_millis(2));
            loop {
                let before = Instant::now();
                sleep(step).await;
                let late = before.elapsed().saturating_sub(step);
                if late > usual {
                    noted.lock().unwrap().push((before, late));
                }
            }
        });
        Self { seen, task }
    }

    /// In all between two moments, twice: for the agent and for those that answer it.
    fn between(&self, first: Instant, last: Instant) -> Duration {
        let seen = self.seen.lock().unwrap();
        let within = seen.iter().filter(|(at, late)| *at + *late >= first && *at <= last);
        2 * within.map(|(_, late)| *late).sum::<Duration>()
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(unit: u8) -> String {
    format!("meter-{unit}")
}

/// `line`, named `bus`, with those units on it.
fn devices(line: &str, units: impl IntoIterator<Item = u8>, interval: Duration) -> String {
    let mut text = line.to_owned();
    for unit in units {
        text.push_str(&format!(
            "[[device]]\nname = \"{}\"\ninterval = \"{}ms\"\n\
             modbus = {{ line = \"bus\", unit = {unit}, profile = \"./own.toml\" }}\n",
            name(unit),
            interval.as_millis(),
        ));
    }
    text
}

/// Waits until `check` gives something.
async fn within(
    limit: Duration,
    collector: &Collector,
    what: &str,
    mut check: impl FnMut(&Held) -> Option<()>,
) {
    let found = async {
        while collector.read(&mut check).is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(limit, found).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// Twenty units on `line`, of which five are dead. When those are known to be offline, no other is
/// asked later than `quiet` after its turn; one that is back is found.
async fn neighbours_keep_their_interval(
    units: &Units,
    line: &str,
    (interval, quiet, cost): (Duration, Duration, Duration),
    watched: Duration,
) {
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(&broker, &devices(line, 1..=UNITS, interval));
    own_profile(&site, "[[point]]\nname = \"frequency\"\naddress = 0");
    let agent = Running::start(&site);
    for dead in DEAD {
        let dead = name(dead);
        let offline = |held: &Held| {
            (held.last("device_up", &[("device", &dead)]) == Some(Ok(0.0))).then_some(())
        };
        within(Duration::from_secs(120), &collector, "a dead unit to be offline", offline).await;
    }
    // What the last of these has cost is over.
    sleep(interval + quiet + cost).await;
    units.take();
    let stalls = Stalls::measure();
    sleep(watched).await;
    let asked = units.take();

    // They are asked seldom, and not forgotten; what the others pay for is a tenth of the time.
    let probes = DEAD.iter().filter_map(|dead| asked.get(dead)).map(Vec::len).sum::<usize>();
    let most = 2 + watched.as_millis() / (9 * quiet.as_millis());
    assert!((1..=usize::try_from(most).unwrap()).contains(&probes), "{probes} probes");

    units.revive(DEAD[1]);
    let back = name(DEAD[1]);
    let labels = [("device", &*back)];
    let values = |held: &Held| held.values("meter_frequency_hertz", &labels);
    let promised = Duration::from_secs(30) + interval + 20 * 5 * cost;
    let found = |held: &Held| {
        let good = values(held).iter().filter(|value| value.is_ok()).count();
        (good >= 3 && held.last("device_up", &labels) == Some(Ok(1.0))).then_some(())
    };
    within(promised, &collector, "a unit that is back", found).await;
    agent.stop().await;
    let turns = usize::try_from(watched.as_millis() / interval.as_millis()).unwrap();
    let mut missed = 0;
    collector.read(|held| {
        for unit in 1..=UNITS {
            let labels = [("device", &*name(unit))];
            let values = held.values("meter_frequency_hertz", &labels);
            let right = (4096.0 + f64::from(unit)) / 100.0;
            let good: Vec<f64> = values.iter().filter_map(|value| (*value).ok()).collect();
            let missing: Vec<Missing> = values.iter().filter_map(|value| value.err()).collect();
            assert!(good.iter().all(|value| *value == right), "unit {unit}: {good:?}");
            if !DEAD.contains(&unit) {
                assert!(good.len() * 2 >= turns, "unit {unit}: {} of {turns}", good.len());
                assert!(missing.iter().all(|reason| *reason == Missing::Timeout), "{missing:?}");
                assert_eq!(held.last("device_up", &labels), Some(Ok(1.0)));
                missed += missing.len();
            } else {
                assert!(good.is_empty() || unit == DEAD[1], "unit {unit} is dead");
                assert!(missing.contains(&Missing::DeviceOffline), "{missing:?}");
            }
            let missed = held.last("device_missed_slots_total", &labels);
            assert!(matches!(missed, Some(Ok(_))), "unit {unit} counts missed turns");
        }
    });
    // Where the machine stood still for as long as a question may take, that one went unanswered,
    // and costs what the first of a unit that dies does.
    assert!(missed <= 3, "{missed} questions to units that are there were not answered");
    let stood_still = (cost + quiet) * u32::try_from(missed).unwrap();
    for unit in (1..=UNITS).filter(|unit| !DEAD.contains(unit)) {
        let times = &asked[&unit];
        for pair in times.windows(2) {
            let (gap, stalled) = (pair[1] - pair[0], stalls.between(pair[0], pair[1]));
            let longest = interval + quiet + SLACK + stalled + stood_still;
            assert!(gap <= longest, "unit {unit} was left alone for {gap:?}, {stalled:?} stalled");
        }
        assert!(times.len() * 2 >= turns, "unit {unit}: {} of {turns} turns", times.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_units_behind_a_converter_make_no_other_late_by_more_than_the_quiet_time() {
    let units = Units::without(&DEAD);
    let address = units.behind_a_converter().await;
    let line = format!(
        "[[line]]\nname = \"bus\"\nrtu_over_tcp = {{ address = \"{address}\" }}\n\
         timeout = \"200ms\"\nmin_timeout = \"200ms\"\nquiet_time = \"200ms\"\n"
    );
    let quiet = Duration::from_millis(200);
    let watched = Duration::from_secs(20);
    neighbours_keep_their_interval(&units, &line, (INTERVAL, quiet, 2 * quiet), watched).await;
}

/// On a serial port, with the options that a line has when nothing is said: a second for an answer,
/// a second of silence, asked every second.
#[tokio::test(flavor = "multi_thread")]
async fn dead_units_on_a_serial_line_make_no_other_late_by_more_than_the_quiet_time() {
    let units = Units::without(&DEAD);
    let pair = Pair::new();
    units.at_port(&pair.end("a"));
    let port = pair.end("b");
    let line = format!(
        "[[line]]\nname = \"bus\"\nserial = {{ port = \"{port}\", baud = 19200, parity = \"none\" \
         }}\n"
    );
    let second = Duration::from_secs(1);
    let cost = second * 5 / 4;
    let watched = Duration::from_secs(40);
    neighbours_keep_their_interval(&units, &line, (second, second, cost), watched).await;
}

/// A unit that takes longer than the usual wait is heard in the silence after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_unit_among_quick_ones_is_waited_for_once_it_has_been_heard() {
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let units = Units::default();
    let pair = Pair::new();
    units.at_port(&pair.end("a"));
    let port = pair.end("b");
    let line = format!(
        "[[line]]\nname = \"bus\"\nserial = {{ port = \"{port}\", baud = 19200, parity = \"none\" \
         }}\n"
    );
    let second = Duration::from_secs(1);
    let site = Site::new(&broker, &devices(&line, [1, 3, 4, 5, LATE], second));
    own_profile(&site, "[[point]]\nname = \"frequency\"\naddress = 0");
    let agent = Running::start(&site);
    let late = name(LATE);
    let values = |held: &Held| held.values("meter_frequency_hertz", &[("device", &late)]);
    let right = (4096.0 + f64::from(LATE)) / 100.0;
    let many = |held: &Held| {
        (values(held).iter().filter(|value| **value == Ok(right)).count() >= 8).then_some(())
    };
    collector.until("values of the slow unit", many).await;
    agent.stop().await;
    collector.read(|held| {
        let values = values(held);
        assert!(values.iter().flatten().all(|value| *value == right), "{values:?}");
        let missing = values.iter().filter(|value| value.is_err()).count();
        assert!(missing <= 2, "{values:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_left_after_each_cycle_when_that_is_wanted() {
    for (option, each) in [("close_after_cycle = true\n", true), ("", false)] {
        let broker = Broker::start();
        let units = Units::default();
        let address = units.behind_a_converter().await;
        let device = format!(
            "[[line]]\nname = \"bus\"\nrtu_over_tcp = {{ address = \"{address}\" }}\n{option}\
             [[device]]\nname = \"d\"\ninterval = \"200ms\"\n\
             modbus = {{ line = \"bus\", unit = 1, profile = \"./own.toml\" }}\n"
        );
        let site = Site::new(&broker, &device);
        own_profile(&site, "[[point]]\nname = \"frequency\"\naddress = 0");
        let agent = Running::start(&site);
        until("five questions", || (units.count(1) >= 5).then_some(())).await;
        agent.stop().await;
        let (connections, questions) = (units.count(0), units.count(1));
        let expected = if each { questions } else { 1 };
        // The last may have been made and not used.
        assert!((expected..=expected + 1).contains(&connections), "{connections}, {questions}");
    }
}

/// A unit that is known to answer at once and then does not holds its neighbours up for less.
#[tokio::test]
async fn a_quick_unit_is_given_up_sooner_than_one_that_was_never_heard() {
    let address = Units::without(&DEAD).behind_a_converter().await;
    let text = format!(
        "[agent]\nid = \"a\"\ntenant = \"t\"\nsite = \"s\"\ndata = \"d\"\ncollectors = [\"c\"]\n\
         [broker]\nurl = \"mqtt://h\"\n[[line]]\nname = \"bus\"\n\
         rtu_over_tcp = {{ address = \"{address}\" }}\ntimeout = \"1s\"\nmin_timeout = \"150ms\"\n\
         [[device]]\nname = \"d\"\nmodbus = {{ line = \"bus\", unit = {LATE}, profile = \
         \"eastron_sdm630\" }}\n"
    );
    let config = Config::parse(&Source::new("agent.toml", text)).unwrap();
    let DeviceSource::Modbus(modbus) = &config.devices[0].source else { panic!() };
    let mut client = line::client(modbus).unwrap();
    let read = Read::new(Table::HoldingRegisters, 0, 1).unwrap();
    let limit = |error: hallwatch_modbus::Error| match error.failure {
        Failure::Timeout(limit) => limit,
        other => panic!("{other:?}"),
    };
    // The first of the dead was never heard: as long as a unit may take.
    client.set_options(line::options(modbus, false));
    assert_eq!(limit(client.read(DEAD[0], &read).await.unwrap_err()), Duration::from_secs(1));
    // Unit 1 answers in about 10 ms. The late one, had it been like that, is given up at 150 ms.
    client.read(1, &read).await.unwrap();
    client.set_options(line::options(modbus, true));
    let first = limit(client.read(LATE, &read).await.unwrap_err());
    assert_eq!(first, Duration::from_millis(150));
    // It takes 300 ms: what it may take is waited for once it is known to be slow.
    client.set_options(line::options(modbus, false));
    client.read(LATE, &read).await.unwrap();
    client.set_options(line::options(modbus, true));
    client.read(LATE, &read).await.unwrap();
}

#[test]
fn the_turns_of_a_line_are_spread_over_the_interval() {
    let step = INTERVAL / 20;
    let steps: BTreeSet<u128> = (1..=UNITS)
        .map(|unit| Slots::new(&name(unit), INTERVAL).after(Uptime::ZERO, Uptime::ZERO).0)
        .map(|at| (at.elapsed().as_millis() % INTERVAL.as_millis()) / step.as_millis())
        .collect();
    assert!(steps.len() >= 10, "{steps:?}");
}
