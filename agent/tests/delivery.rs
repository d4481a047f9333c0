//! The agent against a real mosquitto, Modbus servers and a model of a collector.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use hallwatch_agent::config::Config;
use hallwatch_agent::io::journal::{Append, Command, Journal, Machine};
use hallwatch_config::Source;
use hallwatch_link::Message;
use hallwatch_model::{Labels, Missing, Reading, Readings, SeriesId, Timestamp};
use support::{Broker, Collector, Device, PATIENCE, Process, Site};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Current of phase 1 of the meter: a float in wire registers 2999 and 3000.
const CURRENT_L1: u16 = 2999;
const CURRENT: (&str, &[(&str, &str)]) =
    ("meter_current_amperes", &[("device", "meter-1"), ("phase", "l1")]);

fn meter(address: std::net::SocketAddr) -> String {
    format!(
        "[[device]]\nname = \"meter-1\"\nroom = \"plant\"\nfeed = \"A\"\ninterval = \"100ms\"\n\
         modbus_tcp = {{ address = \"{address}\", unit = 1, profile = \"schneider_pm5500\", \
         timeout = \"200ms\" }}\n"
    )
}

/// An agent in this process.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), hallwatch_agent::Error>>,
}

impl Running {
    fn start(site: &Site) -> Self {
        let config = Config::parse(&Source::new("agent.toml", site.text.as_str()))
            .unwrap_or_else(|invalid| panic!("{}", invalid.render(false)));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(hallwatch_agent::run(config, async {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_arrives_as_a_sample_with_its_labels_and_a_goodbye_follows() {
    let broker = Broker::start();
    let (device, address) = Device::start().await;
    device.set_float(CURRENT_L1, 12.5);
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(&broker, &meter(address));
    let agent = Running::start(&site);
    let last = |want| {
        move |held: &support::Held| {
            (held.last(CURRENT.0, CURRENT.1) == Some(Ok(want))).then_some(())
        }
    };
    collector.until("the first value", last(12.5)).await;
    device.set_float(CURRENT_L1, 99.25);
    collector.until("the changed value", last(99.25)).await;
    collector.read(|held| {
        let labels = [("device", "meter-1"), ("room", "plant"), ("feed", "A")];
        assert_eq!(held.last("device_up", &labels), Some(Ok(1.0)));
        assert_eq!(held.last("device_missed_slots_total", &labels), Some(Ok(0.0)));
        assert!(held.last("device_poll_seconds", &labels).unwrap().unwrap() < 5.0);
        let described = held.describes.values();
        assert!(described.clone().count() > 20);
        for labels in described {
            assert!(labels.get("device").is_some() && labels.get("tenant").is_none(), "{labels}");
        }
        let status = held.status.as_ref().unwrap();
        assert!(status.online && status.durable);
    });
    agent.stop().await;
    let online = |held: &support::Held| held.status.as_ref().map(|status| status.online);
    collector.until("the goodbye", |held| (online(held) == Some(false)).then_some(())).await;
    collector.read(support::Held::assert_whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_device_is_missing_then_offline_then_back() {
    let broker = Broker::start();
    let (device, address) = Device::start().await;
    device.set_float(CURRENT_L1, 1.0);
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(&broker, &meter(address));
    let agent = Running::start(&site);
    collector.until("a value", |held| held.last(CURRENT.0, CURRENT.1)?.ok()).await;
    device.set_silent(true);
    let up = |want| {
        move |held: &support::Held| {
            (held.last("device_up", &[("device", "meter-1")]) == Some(Ok(want))).then_some(())
        }
    };
    collector.until("the device to be offline", up(0.0)).await;
    collector.read(|held| {
        let values = held.values(CURRENT.0, CURRENT.1);
        assert!(values.contains(&Err(Missing::Timeout)), "{values:?}");
        assert_eq!(values.last(), Some(&Err(Missing::DeviceOffline)));
        let reason = [("device", "meter-1"), ("reason", "timeout")];
        assert!(held.last("device_errors_total", &reason).unwrap().unwrap() >= 3.0);
    });
    device.set_silent(false);
    collector.until("the device to be back", up(1.0)).await;
    collector.until("a value again", |held| held.last(CURRENT.0, CURRENT.1)?.ok()).await;
    agent.stop().await;
}

/// Counts up in a register, so that each poll sees another number.
fn counting(device: &Device) -> JoinHandle<()> {
    let device = device.clone();
    tokio::spawn(async move {
        for count in 1u16.. {
            device.set_float(CURRENT_L1, f32::from(count % 10_000));
            sleep(Duration::from_millis(20)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_had_journalled_arrives_after_its_restart() {
    let broker = Broker::start();
    let (device, address) = Device::start().await;
    let counting = counting(&device);
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(&broker, &meter(address));
    let file = site.file();
    // Deaf collector: everything stays in the journal, and is told to nobody.
    collector.set_silent(true);
    let mut boots = 0;
    for _ in 0..3 {
        let mut agent = Process::start(&file);
        let backlog = |held: &support::Held| {
            held.status.as_ref().filter(|status| status.online).map(|status| status.boot)
        };
        let before = collector.read(backlog);
        collector.until("the agent", |held| backlog(held).filter(|b| Some(*b) != before)).await;
        // Two seconds have an entry each.
        sleep(Duration::from_millis(3_500)).await;
        agent.kill();
        boots += 1;
    }
    let journal = rusqlite::Connection::open(site.journal()).unwrap();
    let mut query = journal
        .prepare("SELECT boot, seq FROM entry JOIN run ON run.id = entry.run ORDER BY entry.id")
        .unwrap();
    let journalled: Vec<(u64, u64)> = query
        .query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))
        .unwrap()
        .map(|row| row.map(|(boot, seq): (u64, i64)| (boot, seq.cast_unsigned())).unwrap())
        .collect();
    drop(query);
    drop(journal);
    assert!(journalled.len() >= 2 * boots, "{}", journalled.len());

    collector.set_silent(false);
    let agent = Process::start(&file);
    collector
        .until("all that was journalled", |held| {
            journalled.iter().all(|key| held.batches.contains_key(key)).then_some(())
        })
        .await;
    collector.until("the journal to drain", drained).await;
    assert_eq!(agent.terminate(), Some(0));
    counting.abort();
    collector.read(support::Held::assert_whole);
    assert_eq!(hallwatch_agent::io::journal::read_gaps(&site.journal()).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_drains_at_its_rate_behind_live_data_and_is_marked() {
    const ENTRIES: u64 = 1_000;
    let mut broker = Broker::start();
    let (_device, address) = Device::start().await;
    let site = Site::new(&broker, &meter(address));
    // What an agent left that was cut off an hour ago.
    let data = site.journal().parent().unwrap().to_owned();
    let start = hallwatch_agent::io::clock::Clock::start().now().time - Duration::from_secs(3_600);
    let old = tokio::task::spawn_blocking(move || leave(&data, start, ENTRIES)).await.unwrap();
    let collector = Collector::start(&broker, "c-1");
    let agent = Running::start(&site);
    let old_ones = move |held: &support::Held| {
        u64::try_from(held.batches.range((old, 0)..=(old, u64::MAX)).count()).unwrap()
    };
    let part = |held: &support::Held| (old_ones(held) >= ENTRIES / 4).then_some(());
    collector.until("a part of the backlog", part).await;
    broker.kill();
    sleep(Duration::from_millis(300)).await;
    broker.restart();
    collector.until("all of the backlog", |held| (old_ones(held) == ENTRIES).then_some(())).await;
    collector.until("the journal to drain", drained).await;
    agent.stop().await;
    collector.read(|held| {
        held.assert_whole();
        for ((boot, _), batch) in &held.batches {
            assert_eq!(batch.backfill, *boot == old, "{batch:?}");
        }
        // At 200 a second it takes five seconds, in which live data has an entry each.
        let arrived = held.arrivals.iter().map(|(boot, _)| *boot == old);
        let last = arrived.clone().rposition(|is_old| is_old).unwrap();
        let live = arrived.take(last).filter(|is_old| !is_old).count();
        assert!(live >= 3, "{live} live entries came before the end of the backlog");
    });
}

/// Leaves a journal with `entries` entries of one a second; its boot.
fn leave(data: &std::path::Path, start: Timestamp, entries: u64) -> u64 {
    let bounds = hallwatch_agent::config::JournalBounds::default();
    let (journal, mut told, opened) = Journal::open(data, bounds, &Machine::default()).unwrap();
    let labels = Labels::metric("device_up", [("device", "meter-1"), ("room", "plant")]);
    for second in 0..entries {
        let time = start + Duration::from_secs(second);
        let reading = Reading { series: SeriesId(0), time, value: Ok(1.0) };
        let dictionary = opened.dictionary;
        let readings = Readings { dictionary, readings: vec![reading], ..Readings::default() };
        let series = if second == 0 { vec![(SeriesId(0), labels.clone())] } else { Vec::new() };
        let bytes = hallwatch_model::wire::encode_readings(&readings).into();
        let append = Append { series, bytes, readings: 1, time, personal: false };
        let mut command = Command::Append(append);
        while let Err(back) = journal.tell(command) {
            command = back;
            while told.try_recv().is_ok() {}
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let mut stop = Command::Stop;
    while let Err(back) = journal.tell(stop) {
        stop = back;
        while told.try_recv().is_ok() {}
    }
    while told.blocking_recv().is_some() {}
    opened.boot
}

/// The newest entries are always on their way; of what came before none may be missing: live ones
/// overtake the backlog.
fn drained(held: &support::Held) -> Option<()> {
    let caught_up = held.status.as_ref().is_some_and(|status| status.online && status.backlog <= 2);
    (caught_up && held.is_whole()).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_after_the_broker_was_killed_under_load() {
    let mut broker = Broker::start();
    let (device, address) = Device::start().await;
    let counting = counting(&device);
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(&broker, &meter(address));
    let agent = Running::start(&site);
    for _ in 0..4 {
        let before = collector.read(|held| held.batches.len());
        let more = |held: &support::Held| (held.batches.len() > before + 2).then_some(());
        collector.until("more batches", more).await;
        broker.kill();
        sleep(Duration::from_millis(500)).await;
        broker.restart();
    }
    sleep(Duration::from_millis(500)).await;
    collector
        .until("the last holes to be filled", |held| {
            let numbers = held.batches.keys().map(|(_, number)| *number);
            let last = numbers.max().unwrap_or(0);
            (u64::try_from(held.batches.len()).unwrap() == last).then_some(())
        })
        .await;
    agent.stop().await;
    counting.abort();
    collector.read(|held| {
        held.assert_whole();
        assert!(held.batches.len() > 10);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_collector_makes_the_journal_grow_and_then_drain() {
    let broker = Broker::start();
    let (_device, address) = Device::start().await;
    let collector = Collector::start(&broker, "c-1");
    collector.set_silent(true);
    let site = Site::new(&broker, &meter(address));
    let agent = Running::start(&site);
    let backlog = |held: &support::Held| held.status.as_ref().map(|status| status.backlog);
    collector.until("a backlog", |held| backlog(held).filter(|backlog| *backlog >= 6)).await;
    collector.set_silent(false);
    collector.until("everything", |held| (held.batches.len() > 9).then_some(())).await;
    collector.until("the journal to drain", drained).await;
    agent.stop().await;
    collector.read(support::Held::assert_whole);
    let journal = rusqlite::Connection::open(site.journal()).unwrap();
    let left: i64 = journal.query_row("SELECT count(*) FROM entry", [], |r| r.get(0)).unwrap();
    assert!(left <= 3, "{left} entries are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_and_badges_arrive() {
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let site = Site::new(
        &broker,
        r#"
[[device]]
name = "door-7"
room = "hall-1"
[device.mqtt]
topic = "zigbee2mqtt/cage_door_7"
availability = { topic = "zigbee2mqtt/bridge/state" }
points = [ { path = "contact", metric = "access_door_open", invert = true },
           { path = "battery", metric = "sensor_battery_ratio", scale = 0.01 } ]

[[device]]
name = "badge-1"
mqtt = { topic = "/rfid", events = "esp-rfid" }
"#,
    );
    let agent = Running::start(&site);
    let zero = [("device", "badge-1"), ("result", "denied")];
    collector.until("the counters", |held| held.last("access_events_total", &zero)?.ok()).await;
    let publish = async |topic: &str, payload: &str| {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let message = Message { topic: topic.into(), payload, retain: false };
        collector.publisher().publish(message).await.unwrap();
    };
    publish("zigbee2mqtt/cage_door_7", r#"{"battery":100,"contact":false,"linkquality":87}"#).await;
    let open = [("device", "door-7"), ("room", "hall-1")];
    collector
        .until("the open door", |held| {
            (held.last("access_door_open", &open) == Some(Ok(1.0))).then_some(())
        })
        .await;
    publish("zigbee2mqtt/bridge/state", r#"{"state":"offline"}"#).await;
    collector
        .until("the bridge to be offline", |held| {
            let offline = Some(Err(Missing::DeviceOffline));
            (held.last("access_door_open", &open) == offline).then_some(())
        })
        .await;
    publish(
        "/rfid",
        r#"{"type":"access","time":1795276931,"isKnown":"false","access":"Denied","uid":"04a1"}"#,
    )
    .await;
    let event = collector.until("the badge event", |held| held.events().first().cloned()).await;
    assert_eq!((event.person.as_str(), event.result.as_str()), ("04a1", "denied"));
    collector
        .until("the counter", |held| {
            (held.last("access_events_total", &zero) == Some(Ok(1.0))).then_some(())
        })
        .await;
    publish(
        "/rfid",
        r#"{"type":"access","isKnown":"false","access":"Denied","uid":"04a2","door":"cage-4"}"#,
    )
    .await;
    let cage = [("device", "badge-1"), ("door", "cage-4"), ("result", "denied")];
    collector
        .until("the counter of a door that was not known", |held| {
            (held.last("access_events_total", &cage) == Some(Ok(1.0))).then_some(())
        })
        .await;
    collector.read(|held| {
        let counted = held.values("access_events_total", &cage);
        assert_eq!(counted[..2], [Ok(0.0), Ok(1.0)], "0 comes first: increase() sees the badge");
        let personal = |labels: &hallwatch_model::Labels| labels.to_string().contains("04a1");
        assert!(!held.describes.values().any(personal), "a person became a label");
    });
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uplink_is_reported_up_and_down() {
    let broker = Broker::start();
    let collector = Collector::start(&broker, "c-1");
    let provider = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = provider.local_addr().unwrap();
    let site = Site::new(
        &broker,
        &format!(
            "[[device]]\nname = \"isp-1\"\nroom = \"meet-me\"\n[device.uplink]\ninterval = \"1s\"\n\
             every = \"100ms\"\nsource = \"127.0.0.1\"\nprobes = [ {{ tcp = \"{address}\" }}, \
             {{ name = \"named\", tcp = \"localhost:{}\" }}, \
             {{ name = \"nowhere\", tcp = \"no-such-name.invalid:1\" }} ]\n",
            address.port()
        ),
    );
    let agent = Running::start(&site);
    let isp = [("device", "isp-1"), ("room", "meet-me")];
    let probe = [("device", "isp-1"), ("probe", "tcp")];
    let is = |metric, labels, want: f64| {
        move |held: &support::Held| (held.last(metric, labels) == Some(Ok(want))).then_some(())
    };
    collector.until("the uplink to be up", is("uplink_up", &isp, 1.0)).await;
    collector.read(|held| {
        assert_eq!(held.last("uplink_loss_ratio", &probe), Some(Ok(0.0)));
        let named = [("device", "isp-1"), ("probe", "named")];
        assert_eq!(held.last("uplink_loss_ratio", &named), Some(Ok(0.0)));
        let nowhere = [("device", "isp-1"), ("probe", "nowhere")];
        let missing = Some(Err(Missing::NotAvailable));
        assert_eq!(held.last("uplink_loss_ratio", &nowhere), missing);
        let median = [("device", "isp-1"), ("probe", "tcp"), ("quantile", "0.5")];
        assert!(held.last("uplink_latency_seconds", &median).unwrap().unwrap() < 1.0);
    });
    drop(provider);
    collector.until("the uplink to be down", is("uplink_up", &isp, 0.0)).await;
    let refused = [("device", "isp-1"), ("probe", "tcp"), ("reason", "refused")];
    collector.read(|held| {
        assert!(held.last("uplink_errors_total", &refused).unwrap().unwrap() >= 1.0);
    });
    agent.stop().await;
}
