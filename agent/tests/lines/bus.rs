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
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::peer::Pair;
use crate::support::{Broker, Collector, Site, until};
use crate::{Running, own_profile};

const UNITS: u8 = 20;
const DEAD: [u8; 4] = [2, 7, 11, 16];
/// This one answers after its time is up, while the line is quiet: the fifth that is lost.
const LATE: u8 = 19;
const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(200);
const QUIET: Duration = Duration::from_millis(200);
const LATENESS: Duration = Duration::from_millis(300);
/// What a loaded machine adds.
const SLACK: Duration = Duration::from_millis(800);

fn is_live(unit: u8) -> bool {
    !DEAD.contains(&unit) && unit != LATE
}

/// When each unit was asked, and how many connections there were (as unit 0).
type Asked = Arc<Mutex<BTreeMap<u8, Vec<Instant>>>>;

/// A converter to a serial line: one question at a time, each answer after the time that it would
/// take at 19200 bits a second.
async fn serve(asked: Asked) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            note(&asked, 0);
            tokio::spawn(answer(stream, asked.clone()));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, asked: Asked) {
    let mut question = [0; 8];
    while stream.read_exact(&mut question).await.is_ok() {
        let [unit, function, _, address, _, count, low, high] = question;
        assert_eq!(crc(&question[..6]).to_le_bytes(), [low, high], "{question:02x?}");
        assert_eq!((function, address, count), (3, 0, 1));
        note(&asked, unit);
        if DEAD.contains(&unit) {
            continue;
        }
        sleep(if unit == LATE { LATENESS } else { Duration::from_millis(10) }).await;
        let mut frame = vec![unit, 3, 2, 0x10, unit];
        frame.extend(crc(&frame).to_le_bytes());
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// A machine that stands still for a while is forgiven once.
fn assert_gaps(unit: u8, times: &[Instant], longest: Duration) {
    let mut gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    gaps.pop().unwrap();
    let worst = gaps.last().copied().unwrap_or_default();
    assert!(worst <= longest, "unit {unit} was left alone for {worst:?}");
}

#[expect(clippy::disallowed_methods, reason = "it says when it was asked")]
fn note(asked: &Asked, unit: u8) {
    asked.lock().unwrap().entry(unit).or_default().push(Instant::now());
}

fn name(unit: u8) -> String {
    format!("meter-{unit}")
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_units_cost_their_neighbours_no_more_than_one_timeout_and_the_quiet_time() {
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let asked = Asked::default();
    let address = serve(asked.clone()).await;
    let mut devices = format!(
        "[[line]]\nname = \"bus\"\nrtu_over_tcp = {{ address = \"{address}\" }}\n\
         timeout = \"200ms\"\nmin_timeout = \"200ms\"\nquiet_time = \"200ms\"\n"
    );
    for unit in 1..=UNITS {
        devices.push_str(&format!(
            "[[device]]\nname = \"{}\"\ninterval = \"500ms\"\n\
             modbus = {{ line = \"bus\", unit = {unit}, profile = \"./own.toml\" }}\n",
            name(unit)
        ));
    }
    let site = Site::new(&broker, &devices);
    own_profile(&site, "[[point]]\nname = \"frequency\"\naddress = 0");
    let agent = Running::start(&site);

    // From when those that live have answered once: the dead ones are still asked at each turn.
    for unit in (1..=UNITS).filter(|unit| is_live(*unit)) {
        let name = name(unit);
        let answered = |held: &crate::support::Held| {
            held.last("meter_frequency_hertz", &[("device", &name)]).map(drop)
        };
        collector.until("a first value", answered).await;
    }
    asked.lock().unwrap().clear();
    sleep(Duration::from_secs(20)).await;
    let asked = std::mem::take(&mut *asked.lock().unwrap());

    // What a unit waits for: the poll of one dead unit, whose late answer prolongs the silence,
    // and its neighbours' turns.
    let longest = INTERVAL + TIMEOUT + LATENESS.max(TIMEOUT) - TIMEOUT
        + QUIET
        + 15 * Duration::from_millis(20)
        + SLACK;
    for unit in (1..=UNITS).filter(|unit| is_live(*unit)) {
        let times = &asked[&unit];
        assert_gaps(unit, times, longest);
        assert!(times.len() >= 25, "unit {unit} was asked {} times in 40 turns", times.len());
    }
    // They are asked more and more seldom, and not forgotten.
    for unit in (1..=UNITS).filter(|unit| !is_live(*unit)) {
        let times = asked.get(&unit).map_or(0, Vec::len);
        assert!((1..=12).contains(&times), "dead unit {unit} was asked {times} times");
    }
    collector.read(|held| {
        for unit in 1..=UNITS {
            let labels = [("device", &*name(unit))];
            let values = held.values("meter_frequency_hertz", &labels);
            let right = (4096.0 + f64::from(unit)) / 100.0;
            let good: Vec<f64> = values.iter().filter_map(|value| (*value).ok()).collect();
            let missing: Vec<Missing> = values.iter().filter_map(|value| value.err()).collect();
            assert!(good.iter().all(|value| *value == right), "unit {unit}: {good:?}");
            if is_live(unit) {
                assert!(good.len() >= 25 && missing.is_empty(), "unit {unit}: {missing:?}");
                assert_eq!(held.last("device_up", &labels), Some(Ok(1.0)));
            } else {
                assert!(good.is_empty(), "unit {unit} is dead");
                assert!(missing.contains(&Missing::DeviceOffline), "{missing:?}");
            }
            let missed = held.last("device_missed_slots_total", &labels);
            assert!(matches!(missed, Some(Ok(_))), "unit {unit} counts missed turns");
        }
    });
    agent.stop().await;
}

/// The same on a serial port with the options that a line has when nothing is said: a second for an
/// answer, a second of silence, asked every second.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_usual_options_a_dead_unit_costs_little_more_than_the_quiet_time() {
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let asked = Asked::default();
    let pair = Pair::new();
    serve_port(&pair.end("a"), asked.clone());
    let mut devices = format!(
        "[[line]]\nname = \"bus\"\nserial = {{ port = \"{}\", baud = 19200, parity = \"none\" }}\n",
        pair.end("b")
    );
    for unit in 1..=UNITS {
        devices.push_str(&format!(
            "[[device]]\nname = \"{}\"\n\
             modbus = {{ line = \"bus\", unit = {unit}, profile = \"./own.toml\" }}\n",
            name(unit)
        ));
    }
    let site = Site::new(&broker, &devices);
    own_profile(&site, "[[point]]\nname = \"frequency\"\naddress = 0");
    let agent = Running::start(&site);
    for unit in (1..=UNITS).filter(|unit| is_live(*unit)) {
        let name = name(unit);
        let answered = |held: &crate::support::Held| {
            held.last("meter_frequency_hertz", &[("device", &name)]).map(drop)
        };
        collector.until("a first value", answered).await;
    }
    asked.lock().unwrap().clear();
    sleep(Duration::from_secs(25)).await;
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    agent.stop().await;

    // From the question to a dead unit to the next one, whoever that is for.
    let second = Duration::from_secs(1);
    let all: Vec<(Instant, u8)> = {
        let each = asked.iter().flat_map(|(unit, times)| times.iter().map(|at| (*at, *unit)));
        let mut all: Vec<_> = each.collect();
        all.sort_unstable();
        all
    };
    let probes = all.windows(2).filter(|pair| DEAD.contains(&pair[0].1));
    let costs: Vec<Duration> = probes.map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(costs.len() >= 8, "{costs:?}");
    assert!(costs.iter().all(|cost| *cost >= second), "not silent for long enough: {costs:?}");
    // The timeout would make it two seconds; a loaded machine may be late once.
    let dear = costs.iter().filter(|cost| **cost > second + Duration::from_millis(400)).count();
    assert!(dear <= 1, "{costs:?}");
    for unit in (1..=UNITS).filter(|unit| is_live(*unit)) {
        let times = &asked[&unit];
        let longest = second + second + Duration::from_millis(250 + 15 * 20) + SLACK;
        assert_gaps(unit, times, longest);
        assert!(times.len() >= 8, "unit {unit} was asked {} times", times.len());
    }
    collector.read(|held| {
        for unit in (1..=UNITS).filter(|unit| is_live(*unit) || *unit == LATE) {
            let values = held.values("meter_frequency_hertz", &[("device", &name(unit))]);
            let right = (4096.0 + f64::from(unit)) / 100.0;
            let good = values.iter().filter(|value| **value == Ok(right)).count();
            assert!(
                values.iter().flatten().all(|value| *value == right),
                "unit {unit}: {values:?}"
            );
            // The one that is slower than its neighbours is waited for once it has been heard.
            assert!(good >= 3 && good + 4 >= values.len(), "unit {unit}: {values:?}");
        }
    });
}

/// The other end of a serial port, in a thread of its own.
fn serve_port(port: &str, asked: Asked) {
    let mut port = OpenOptions::new().read(true).write(true).open(port).unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 8];
        // It ends with the pair of ports.
        while port.read_exact(&mut question).is_ok() {
            let [unit, .., low, high] = question;
            assert_eq!(crc(&question[..6]).to_le_bytes(), [low, high], "{question:02x?}");
            note(&asked, unit);
            if DEAD.contains(&unit) {
                continue;
            }
            std::thread::sleep(if unit == LATE { LATENESS } else { Duration::from_millis(10) });
            let mut frame = vec![unit, 3, 2, 0x10, unit];
            frame.extend(crc(&frame).to_le_bytes());
            if port.write_all(&frame).is_err() {
                return;
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_left_after_each_cycle_when_that_is_wanted() {
    for (option, each) in [("close_after_cycle = true\n", true), ("", false)] {
        let broker = Broker::start();
        let asked = Asked::default();
        let address = serve(asked.clone()).await;
        let device = format!(
            "[[line]]\nname = \"bus\"\nrtu_over_tcp = {{ address = \"{address}\" }}\n{option}\
             [[device]]\nname = \"d\"\ninterval = \"200ms\"\n\
             modbus = {{ line = \"bus\", unit = 1, profile = \"./own.toml\" }}\n"
        );
        let site = Site::new(&broker, &device);
        own_profile(&site, "[[point]]\nname = \"frequency\"\naddress = 0");
        let agent = Running::start(&site);
        let count = |unit: u8| asked.lock().unwrap().get(&unit).map_or(0, Vec::len);
        until("five questions", || (count(1) >= 5).then_some(())).await;
        agent.stop().await;
        let (connections, questions) = (count(0), count(1));
        let expected = if each { questions } else { 1 };
        // The last may have been made and not used.
        assert!((expected..=expected + 1).contains(&connections), "{connections}, {questions}");
    }
}

/// A unit that is known to answer at once and then does not holds its neighbours up for less.
#[tokio::test]
async fn a_quick_unit_is_given_up_sooner_than_one_that_was_never_heard() {
    let address = serve(Asked::default()).await;
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
