//! The sensors as a broker hears them.

use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use hallwatch_plant::{Broker as Address, Options};
use serde_json::Value;

use crate::broker::{Broker, Heard};
use crate::support::Site;

fn site(broker: &Broker) -> Site {
    let mut address = Address::new("127.0.0.1", broker.port);
    address.client_prefix = "t1".to_owned();
    address.local_offset_seconds = 3_600;
    Site::with(Options { seed: 3, speed: 0.1 }, Some(address))
}

fn parsed(payload: &str) -> Option<Value> {
    Some(serde_json::from_str(payload).unwrap())
}

#[test]
fn climate_probes_report_what_the_air_is() {
    let broker = Broker::start();
    let site = site(&broker);
    let climate = broker.message("zigbee2mqtt/aisle_2_cold", |payload, _| parsed(payload));
    let (celsius, humidity) = site.plant.view(|hall| {
        let celsius = hall.air.aisle_celsius(1);
        (celsius, hall.air.humidity_percent(celsius))
    });
    assert!((climate["temperature"].as_f64().unwrap() - celsius).abs() < 0.5);
    assert!((climate["humidity"].as_f64().unwrap() - humidity).abs() < 2.0);
    assert!(climate["linkquality"].is_u64());
}

#[test]
fn tasmota_writes_local_time_without_a_zone() {
    let broker = Broker::start();
    let _site = site(&broker);
    let report = broker.message("tele/rack12_probe/SENSOR", |payload, _| parsed(payload));
    let time = report["Time"].as_str().unwrap();
    assert_eq!((time.len(), &time[10..11]), (19, "T"), "{time}");
    assert_eq!(report["TempUnit"], "C");
    let warm = report["AM2301"]["Temperature"].as_f64().unwrap();
    assert!((24.0..30.0).contains(&warm));
    assert!(report["AM2301"]["Humidity"].is_f64() && report["AM2301"]["DewPoint"].is_f64());
}

#[test]
fn detectors_and_the_inverted_contact_follow_their_faults_at_once() {
    let broker = Broker::start();
    let site = site(&broker);
    for (topic, key, rest, fault) in [
        ("zigbee2mqtt/leak_row4", "water_leak", false, "leak"),
        ("zigbee2mqtt/smoke_room1", "smoke", false, "smoke"),
        // true means closed.
        ("zigbee2mqtt/hall_door", "contact", true, "door-forced"),
    ] {
        let state = |wanted: bool| {
            broker.message(topic, |payload, _| (parsed(payload)?[key] == wanted).then_some(()));
        };
        site.plant.cause(fault).unwrap();
        site.plant.step(Duration::from_millis(200));
        state(!rest);
        site.plant.end(fault).unwrap();
        site.plant.step(Duration::from_secs(3));
        state(rest);
    }
}

#[test]
fn badges_are_told_as_text_booleans_with_unix_seconds() {
    let broker = Broker::start();
    let site = site(&broker);
    let of_type = |wanted: &'static str| {
        broker
            .message("/rfid", |payload, _| parsed(payload).filter(|event| event["type"] == wanted))
    };
    assert!(of_type("boot")["time"].is_i64());
    site.plant.cause("badge-denied-burst").unwrap();
    site.plant.step(Duration::from_secs(1));
    let denied = of_type("access");
    assert_eq!((&denied["isKnown"], &denied["access"]), (&"false".into(), &"Denied".into()));
    assert!(denied["time"].as_i64().unwrap() > 1_700_000_000);
    site.plant.end("badge-denied-burst").unwrap();
    site.plant.cause("door-held-open").unwrap();
    site.plant.step(Duration::from_secs(3));
    let granted = broker.message("/rfid", |payload, _| {
        parsed(payload).filter(|event| event["type"] == "access" && event["access"] != "Denied")
    });
    assert_eq!((&granted["isKnown"], &granted["access"]), (&"true".into(), &"Always".into()));
    assert!(granted["uid"].as_str().unwrap().starts_with("04a1"));
}

#[test]
fn availability_is_retained_and_set_as_last_will() {
    let broker = Broker::start();
    let _site = site(&broker);
    let mut wills = Vec::new();
    let mut births = Vec::new();
    broker.wait(|heard| {
        match heard {
            Heard::Connected { client, will, .. } => {
                let will = will.map(|will| {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    (text(&will.topic), text(&will.message), will.retain)
                });
                wills.push((client, will));
            }
            Heard::Published { client, topic, payload, retain: true } => {
                births.push((client, topic, payload));
            }
            Heard::Published { .. } | Heard::Nonsense(_) => {}
        }
        (wills.len() == 4 && births.len() == 3).then_some(())
    });
    wills.sort();
    births.sort();
    let will = |topic: &str, text: &str| Some((topic.to_owned(), text.to_owned(), true));
    assert_eq!(
        wills,
        [
            ("t1-edge-router".to_owned(), will("router/edge_1/availability", "offline")),
            ("t1-esp-rfid".to_owned(), None),
            ("t1-rack12-probe".to_owned(), will("tele/rack12_probe/LWT", "Offline")),
            (
                "t1-zigbee2mqtt".to_owned(),
                will("zigbee2mqtt/bridge/state", r#"{"state":"offline"}"#)
            ),
        ]
    );
    let births: Vec<_> = births.iter().map(|(_, _, payload)| payload.as_str()).collect();
    assert_eq!(births, ["online", "Online", r#"{"state":"online"}"#]);
}

#[test]
fn a_silent_sensor_is_silent_and_its_bridge_is_not() {
    let broker = Broker::start();
    let site = site(&broker);
    broker.message("zigbee2mqtt/aisle_1_cold", |_, _| Some(()));
    site.plant.cause("sensor-silent").unwrap();
    let mut others = 0;
    broker.wait(|heard| {
        if let Heard::Published { topic, .. } = heard {
            assert_ne!(topic, "zigbee2mqtt/aisle_1_cold");
            others += u32::from(topic == "zigbee2mqtt/aisle_2_cold");
        }
        (others >= 2).then_some(())
    });
    site.plant.end("sensor-silent").unwrap();
    broker.message("zigbee2mqtt/aisle_1_cold", |_, _| Some(()));
}

#[test]
fn uplinks_are_told_by_the_router() {
    let broker = Broker::start();
    let site = site(&broker);
    let status = |up: bool| {
        broker.message("router/edge_1/status", |payload, _| {
            parsed(payload).filter(|status| status["uplink_1"]["up"] == up)
        })
    };
    assert!(status(true)["uplink_1"]["latency_ms"].as_f64().unwrap() > 1.0);
    site.plant.cause("uplink-1-down").unwrap();
    site.plant.step(Duration::from_millis(100));
    let down = status(false);
    assert_eq!(down["uplink_1"]["latency_ms"], Value::Null);
    assert_eq!(down["uplink_2"]["up"], true);
}

#[test]
fn sensors_outlive_a_broker_that_comes_late_and_cuts_them_off() {
    // A port that nobody listens on yet.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let site = Site::with(Options { seed: 3, speed: 1.0 }, Some(Address::new("127.0.0.1", port)));
    let before = site.plant.view(|hall| hall.seconds());
    std::thread::sleep(Duration::from_millis(700));
    let moved = site.plant.view(|hall| hall.seconds()) - before;
    assert!(moved > 0.2, "the plant moved {moved} s while nobody answered");
    let broker = Broker::on(TcpListener::bind(("127.0.0.1", port)).unwrap());
    let stream = broker.wait(|heard| match heard {
        Heard::Connected { client, stream, .. } if client == "hall-zigbee2mqtt" => Some(stream),
        _ => None,
    });
    broker.message("zigbee2mqtt/aisle_1_cold", |_, _| Some(()));
    stream.shutdown(Shutdown::Both).unwrap();
    broker.message("zigbee2mqtt/bridge/state", |payload, retain| {
        (payload.contains("online") && retain).then_some(())
    });
    broker.message("zigbee2mqtt/aisle_1_cold", |_, _| Some(()));
}
