//! What is found out about a device while it is read: addresses that it refuses, SunSpec models.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_model::{Missing, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::peer::Peer;
use crate::support::{Broker, Collector, Held, Site, until};
use crate::{Process, Running};

/// A Modbus TCP device that has the holding registers that it is given, and refuses all others.
#[derive(Clone, Default)]
struct Device(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    registers: BTreeMap<u16, u16>,
    /// First address and count of each read.
    asked: Vec<(u16, u16)>,
    silent: bool,
}

impl Device {
    async fn start(registers: BTreeMap<u16, u16>) -> (Self, String) {
        let device = Self::default();
        device.0.lock().unwrap().registers = registers;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = device.clone();
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(served.clone().answer(stream));
            }
        });
        (device, address)
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut question = [0; 12];
        while stream.read_exact(&mut question).await.is_ok() {
            let [t1, t2, .., unit, function, a1, a2, c1, c2] = question;
            let (from, count) = (u16::from_be_bytes([a1, a2]), u16::from_be_bytes([c1, c2]));
            let words: Option<Vec<u16>> = {
                let mut state = self.0.lock().unwrap();
                if state.silent {
                    continue;
                }
                state.asked.push((from, count));
                (from..from + count).map(|at| state.registers.get(&at).copied()).collect()
            };
            let pdu: Vec<u8> = match words {
                Some(words) if function == 3 => {
                    let bytes = words.iter().flat_map(|word| word.to_be_bytes());
                    [3, u8::try_from(2 * count).unwrap()].into_iter().chain(bytes).collect()
                }
                _ => vec![function | 0x80, 2],
            };
            let length = u8::try_from(pdu.len() + 1).unwrap();
            let frame = [&[t1, t2, 0, 0, 0, length, unit][..], &pdu].concat();
            if stream.write_all(&frame).await.is_err() {
                return;
            }
        }
    }

    fn set(&self, registers: BTreeMap<u16, u16>) {
        self.0.lock().unwrap().registers = registers;
    }

    fn set_silent(&self, silent: bool) {
        self.0.lock().unwrap().silent = silent;
    }

    fn asked(&self) -> Vec<(u16, u16)> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

const HEAD: &str = "manufacturer = \"Example\"\nmodel = \"Box\"\nkind = \"power_meter\"\n\
                    confidence = \"high\"\n";

/// Voltages of outlets by their addresses, in tenths, from reads that may cross a dozen others.
fn outlets(addresses: &[u16]) -> String {
    let point = |address: &u16| {
        format!(
            "[[point]]\nname = \"v{address}\"\ntable = \"holding\"\naddress = {address}\n\
             type = \"u16\"\nscale = 0.1\nmetric = \"meter_voltage_volts\"\n\
             labels = {{ phase = \"{address}\" }}\n"
        )
    };
    format!("{HEAD}limits = {{ max_hole = 12 }}\n")
        + &addresses.iter().map(point).collect::<String>()
}

fn tcp(address: &str) -> String {
    format!(
        "[[device]]\nname = \"d\"\ninterval = \"200ms\"\n\
         modbus_tcp = {{ address = \"{address}\", unit = 1, profile = \"./own.toml\", timeout = \"300ms\" }}\n"
    )
}

fn last(held: &Held, metric: &str, phase: &str) -> Option<Value> {
    held.last(metric, &[("device", "d"), ("phase", phase)])
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_refused_are_found_once_and_spare_their_neighbours() {
    let (device, address) = Device::start(
        (0..100).filter(|at| ![20, 21, 60].contains(at)).map(|at| (at, at * 10)).collect(),
    )
    .await;
    let broker = Broker::start();
    let site = Site::new(&broker, &tcp(&address));
    // 20 is refused, 60 lies between two points.
    let own = site.directory.path().join("own.toml");
    let all = [2, 10, 15, 20, 25, 30, 40, 50, 58, 62, 70];
    std::fs::write(&own, outlets(&all)).unwrap();
    let right = |held: &Held, refused: &[u16]| {
        all.iter().all(|at| {
            let value = last(held, "meter_voltage_volts", &at.to_string());
            let expected =
                if refused.contains(at) { Err(Missing::Exception(2)) } else { Ok(f64::from(*at)) };
            value == Some(expected)
        })
    };
    // What the plan needs: up to 15, from 25 to 58, and the rest.
    let least = [(2, 14), (25, 34), (62, 9)];
    let settled = |device: &Device| {
        // The first cycle may have begun before.
        let asked: Vec<_> = device.asked().into_iter().skip_while(|one| *one != least[0]).collect();
        let cycles: Vec<_> = asked.chunks(3).filter(|cycle| cycle.len() == 3).collect();
        (cycles.len() > 3 && cycles.iter().all(|cycle| **cycle == least)).then_some(())
    };
    {
        let collector = Collector::start(&broker, "c-1");
        let agent = Running::start(&site);
        collector.until("neighbours", |held| right(held, &[20]).then_some(())).await;
        device.asked();
        sleep(Duration::from_secs(2)).await;
        settled(&device).expect("no more reads than the plan needs, and always the same");
        agent.stop().await;
    }
    // Nothing is tried out again after a restart, not even once.
    device.asked();
    let agent = Running::start(&site);
    until("a cycle", || (device.0.lock().unwrap().asked.len() >= 3).then_some(())).await;
    agent.stop().await;
    let asked = device.asked();
    assert!(
        asked.iter().zip(least.iter().cycle()).all(|(asked, least)| asked == least),
        "{asked:?}"
    );

    // With another profile all is found anew; with a damaged file, too, which is set aside.
    std::fs::write(&own, outlets(&all[1..])).unwrap();
    let agent = Running::start(&site);
    until("a try", || device.asked().contains(&(10, 61)).then_some(())).await;
    agent.stop().await;
    let findings = site.directory.path().join("data/findings.json");
    assert!(std::fs::read_to_string(&findings).unwrap().contains("\"holding\""));
    std::fs::write(&findings, "{\"version\": 1, \"devi").unwrap();
    let collector = Collector::start(&broker, "c-1");
    device.asked();
    let agent = Running::start(&site);
    until("a try", || device.asked().contains(&(10, 61)).then_some(())).await;
    assert!(findings.with_extension("json.damaged-1").exists());
    collector.until("neighbours", |held| right(held, &[20]).then_some(())).await;
    agent.stop().await;
}

/// pymodbus has no holding registers from 100 to 103.
#[tokio::test(flavor = "multi_thread")]
async fn holes_of_an_independent_server_are_found() {
    let peer = Peer::pymodbus(&["tcp"]);
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(&broker, &tcp(&peer.address));
    std::fs::write(site.directory.path().join("own.toml"), outlets(&[96, 98, 101, 104, 106]))
        .unwrap();
    let agent = Process::start(&site.file());
    for at in [96u16, 98, 101, 104, 106] {
        let right =
            if at == 101 { Err(Missing::Exception(2)) } else { Ok(f64::from(4096 + at) * 0.1) };
        let near = |value: Value| match (value, right) {
            (Ok(value), Ok(right)) => (value - right).abs() < 1e-9,
            (value, right) => value == right,
        };
        collector
            .until("a value", |held| {
                last(held, "meter_voltage_volts", &at.to_string())
                    .filter(|value| near(*value))
                    .map(drop)
            })
            .await;
    }
    assert_eq!(agent.terminate(), Some(0));
}

/// A three-phase meter by SunSpec (model 203): voltage and frequency with their scale factors,
/// beside a model that the profile does not know.
const METER: &str = "[[point]]\nname = \"voltage\"\nmodel = 203\ntable = \"holding\"\n\
    address = 8\ntype = \"i16\"\nexponent = \"voltage_scale\"\nnot_available = [0x8000]\n\
    metric = \"meter_voltage_volts\"\nlabels = { phase = \"l1\" }\n\
    [[point]]\nname = \"voltage_scale\"\nmodel = 203\ntable = \"holding\"\naddress = 15\n\
    type = \"i16\"\nmin = -10\nmax = 10\n\
    [[point]]\nname = \"frequency\"\nmodel = 203\ntable = \"holding\"\naddress = 16\ntype = \"i16\"\n\
    exponent = \"frequency_scale\"\nmetric = \"meter_frequency_hertz\"\n\
    [[point]]\nname = \"frequency_scale\"\nmodel = 203\ntable = \"holding\"\naddress = 17\n\
    type = \"i16\"\nmin = -10\nmax = 10\n";

/// A device with its models in this order: 1 is the common one, 64000 somebody's own.
fn sunspec(base: u16, order: &[u16], volts: i16, scale: i16) -> BTreeMap<u16, u16> {
    let mut words = vec![0x5375, 0x6e53];
    for id in order {
        let length: u16 = match id {
            1 => 66,
            203 => 105,
            _ => 20,
        };
        words.extend([*id, length]);
        let start = words.len() - 2;
        // Elsewhere stands what would be a wrong value.
        words.extend(std::iter::repeat_n(7777, usize::from(length)));
        if *id == 203 {
            words[start + 8] = volts.cast_unsigned();
            words[start + 15] = scale.cast_unsigned();
            words[start + 16] = 4998;
            words[start + 17] = (-2i16).cast_unsigned();
        }
    }
    words.extend([0xffff, 0]);
    (base..).zip(words).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sunspec_models_are_read_where_the_chain_says() {
    let volts = |held: &Held| held.values("meter_voltage_volts", &[("device", "d")]);
    let hertz = |held: &Held| held.last("meter_frequency_hertz", &[("device", "d")]);
    // At first there is no chain: it answers, and nothing has a value.
    let (device, address) = Device::start(BTreeMap::new()).await;
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(&broker, &tcp(&address));
    std::fs::write(site.directory.path().join("own.toml"), format!("{HEAD}{METER}")).unwrap();
    let agent = Running::start(&site);
    let missing = Some(Err(Missing::Exception(2)));
    collector
        .until("points that are missing", |held| {
            let is_told = volts(held).last().copied() == missing && hertz(held) == missing;
            (is_told && held.last("device_up", &[("device", "d")]) == Some(Ok(1.0))).then_some(())
        })
        .await;

    // The scale factor is read with each value: it may change while the device runs.
    device.set(sunspec(40_000, &[1, 203, 64_000], 2301, -1));
    let last =
        |right: f64| move |held: &Held| (volts(held).last() == Some(&Ok(right))).then_some(());
    collector.until("230.1 V", last(230.1)).await;
    collector.until("a frequency", |held| (hertz(held) == Some(Ok(49.98))).then_some(())).await;
    device.set(sunspec(40_000, &[1, 203, 64_000], 23_100, -2));
    collector.until("231 V", last(231.0)).await;

    // Silent, and then with its models in another order: never a wrong value in between.
    for (base, order, raw, right) in [
        (40_000, [64_000, 1, 203], 2320, 232.0),
        (0, [203, 64_000, 1], 2330, 233.0),
        (50_000, [1, 64_000, 203], 2340, 234.0),
    ] {
        device.set_silent(true);
        collector
            .until("silence", |held| matches!(volts(held).last(), Some(Err(_))).then_some(()))
            .await;
        device.set(sunspec(base, &order, raw, -1));
        device.set_silent(false);
        collector.until("values", last(right)).await;
    }
    collector.read(|held| {
        let known = [230.1, 231.0, 232.0, 233.0, 234.0];
        let mut values = volts(held).into_iter().flatten();
        assert_eq!(values.find(|value| !known.contains(value)), None);
    });
    agent.stop().await;

    // What it has is remembered: silent from the start, its points are missing by name.
    device.set_silent(true);
    let before = collector.read(|held| volts(held).len());
    let agent = Running::start(&site);
    collector
        .until("points that are missing", |held| {
            let offline = volts(held).last() == Some(&Err(Missing::DeviceOffline));
            (volts(held).len() > before && offline).then_some(())
        })
        .await;
    agent.stop().await;
}

/// A device behind a connection that is renewed may be another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_is_a_new_walk() {
    let (device, address) = Device::start(sunspec(40_000, &[1, 203, 64_000], 2300, -1)).await;
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    // In between, so that connections can be cut.
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = Site::new(&broker, &tcp(&proxy.local_addr().unwrap().to_string()));
    std::fs::write(site.directory.path().join("own.toml"), format!("{HEAD}{METER}")).unwrap();
    let cut = Arc::new(tokio::sync::Notify::new());
    // Held while a connection is open, and while the device is exchanged.
    let gate = Arc::new(tokio::sync::Mutex::new(()));
    let (cutting, gated) = (cut.clone(), gate.clone());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = proxy.accept().await {
            let _open = gated.lock().await;
            let mut far = TcpStream::connect(&address).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = cutting.notified() => {}
            }
        }
    });
    let agent = Running::start(&site);
    let volts = |held: &Held| held.values("meter_voltage_volts", &[("device", "d")]);
    for (order, raw, right) in [
        ([1, 203, 64_000], 2300, 230.0),
        ([64_000, 203, 1], 2310, 231.0),
        ([203, 1, 64_000], 2320, 232.0),
    ] {
        cut.notify_waiters();
        let closed = gate.lock().await;
        device.set(sunspec(40_000, &order, raw, -1));
        drop(closed);
        let last = |held: &Held| (volts(held).last() == Some(&Ok(right))).then_some(());
        collector.until("values", last).await;
    }
    collector.read(|held| {
        let mut values = volts(held).into_iter().flatten();
        assert_eq!(values.find(|value| ![230.0, 231.0, 232.0].contains(value)), None);
    });
    agent.stop().await;
}
