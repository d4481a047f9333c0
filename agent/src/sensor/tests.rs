//! Payloads as the field sends them. Addresses and persons are invented.

use std::time::Duration;

use hallwatch_config::Source as Text;
use hallwatch_model::{Missing, Timestamp, Uptime, Value};

use super::*;
use crate::config::{Config, DeviceSource};

const NOW: Timestamp = Timestamp::from_millis(1_795_280_400_000); // 2026-11-21T17:00:00Z

/// The sensor that the TOML of a `[device.mqtt]` describes.
fn sensor(toml: &str) -> Sensor {
    let text = format!(
        "[agent]\nid = \"a\"\ntenant = \"t\"\nsite = \"s\"\ndata = \"/d\"\ncollectors = [\"c\"]\n\
         [broker]\nurl = \"mqtt://h\"\n[[device]]\nname = \"d\"\n[device.mqtt]\n{toml}"
    );
    let config = Config::parse(&Text::new("agent.toml", text))
        .unwrap_or_else(|invalid| panic!("{}", invalid.render(false)));
    let DeviceSource::Mqtt(sensor) = config.devices[0].source.clone() else { panic!() };
    sensor
}

fn at(seconds: u64) -> (Timestamp, Uptime) {
    let passed = Duration::from_secs(seconds);
    (NOW + passed, Uptime::new(passed))
}

struct Ear {
    sensor: Sensor,
    state: SensorState,
}

impl Ear {
    fn new(toml: &str) -> Self {
        let sensor = sensor(toml);
        let state = SensorState::new(&sensor, Uptime::ZERO);
        Self { sensor, state }
    }

    fn message(&mut self, topic: &str, payload: &str, seconds: u64) -> Heard {
        self.state.message(&self.sensor, "d", topic, payload.as_bytes(), false, at(seconds))
    }

    fn retained(&mut self, topic: &str, payload: &str) -> Heard {
        self.state.message(&self.sensor, "d", topic, payload.as_bytes(), true, at(0))
    }

    fn values(&mut self, topic: &str, payload: &str) -> Vec<(usize, Value)> {
        let heard = self.message(topic, payload, 1);
        heard.points.into_iter().map(|(index, _, value)| (index, value)).collect()
    }

    fn tick(&mut self, seconds: u64) -> Heard {
        let (now, uptime) = at(seconds);
        self.state.tick(&self.sensor, now, uptime)
    }
}

#[test]
fn zigbee2mqtt_reports_replace_and_contacts_are_inverted() {
    let mut leak = Ear::new(
        "topic = \"z/leak\"\npoints = [
           { path = \"water_leak\", metric = \"environment_leak\" },
           { path = \"battery\", metric = \"sensor_battery_ratio\", scale = 0.01 } ]",
    );
    let payload = r#"{"battery":97,"battery_low":false,"linkquality":112,"water_leak":true}"#;
    assert_eq!(leak.values("z/leak", payload), [(0, Ok(1.0)), (1, Ok(0.97))]);
    // A full report that does not speak of a point says that it is not available.
    let missing = Err(Missing::NotAvailable);
    assert_eq!(leak.values("z/leak", r#"{"battery":50}"#), [(0, missing), (1, Ok(0.5))]);
    assert_eq!(leak.values("z/other", payload), []);

    let mut door = Ear::new(
        "topic = \"z/door\"\n\
         points = [ { path = \"contact\", metric = \"access_door_open\", invert = true } ]",
    );
    assert_eq!(door.values("z/door", r#"{"contact":false}"#), [(0, Ok(1.0))]);
    assert_eq!(door.values("z/door", r#"{"contact":true}"#), [(0, Ok(0.0))]);
    assert_eq!(door.values("z/door", r#"{"contact":2}"#), [(0, Err(Missing::OutOfRange))]);
}

#[test]
fn tasmota_reports_have_local_times_arrays_and_words_for_truth() {
    let mut probe = Ear::new(
        "topic = \"tele/p/SENSOR\"\ntime = { path = \"Time\", zone = \"+01:00\" }\npoints = [
           { path = \"DS18B20.Temperature\", metric = \"environment_temperature_celsius\" },
           { path = \"ENERGY.Current.1\", metric = \"meter_current_amperes\" },
           { path = \"Switch1\", metric = \"environment_leak\" } ]",
    );
    let payload = r#"{"Time":"2026-11-21T17:59:00","DS18B20":{"Id":"030597946B04",
        "Temperature":24.6},"ENERGY":{"Current":[1.320,2.100]},"Switch1":"ON","TempUnit":"C"}"#;
    let heard = probe.message("tele/p/SENSOR", payload, 0);
    let time = Timestamp::from_millis(NOW.as_millis() - 60_000);
    assert_eq!(heard.points, [(0, time, Ok(24.6)), (1, time, Ok(2.1)), (2, time, Ok(1.0))]);
    assert_eq!(heard.up, Some(true));
    // A clock that runs far ahead is not believed.
    let heard = probe.message("tele/p/SENSOR", r#"{"Time":"2027-01-01T00:00:00"}"#, 0);
    assert_eq!(heard.points[0].1, NOW);
}

#[test]
fn shelly_updates_are_partial() {
    let mut meter = Ear::new(
        "topic = \"s/events/rpc\"\npartial = true\n\
         time = { path = \"params.ts\" }\npoints = [
           { path = \"params.em:0.a_act_power\", metric = \"meter_active_power_watts\", labels = { phase = \"l1\" } },
           { path = \"params.em:0.b_act_power\", metric = \"meter_active_power_watts\", labels = { phase = \"l2\" } },
           { path = \"params.em:0.n_current\", metric = \"meter_current_amperes\", labels = { phase = \"n\" } } ]",
    );
    let first = r#"{"src":"s","method":"NotifyStatus","params":{"ts":1795280400.12,
        "em:0":{"id":0,"a_act_power":912.5,"b_act_power":880.1,"n_current":null}}}"#;
    let missing = Err(Missing::NotAvailable);
    assert_eq!(meter.values("s/events/rpc", first), [(0, Ok(912.5)), (1, Ok(880.1)), (2, missing)]);
    let second = r#"{"params":{"ts":1795280401.5,"em:0":{"b_act_power":900.0}}}"#;
    let heard = meter.message("s/events/rpc", second, 5);
    assert_eq!(heard.points, [(1, Timestamp::from_millis(1_795_280_401_500), Ok(900.0))]);
    // What was not spoken of stays as it was.
    let repeated = meter.tick(40);
    assert_eq!((repeated.points[0].2, repeated.points[1].2), (Ok(912.5), Ok(900.0)));
}

#[test]
fn esphome_sends_one_bare_value_for_each_topic() {
    let mut probe = Ear::new(
        "availability = { topic = \"crac2/status\" }\npoints = [
           { topic = \"crac2/supply\", metric = \"environment_temperature_celsius\" },
           { topic = \"crac2/condensate\", metric = \"environment_leak\" } ]",
    );
    assert_eq!(probe.values("crac2/supply", "17.8"), [(0, Ok(17.8))]);
    assert_eq!(probe.values("crac2/supply", "nan"), [(0, Err(Missing::NotAvailable))]);
    assert_eq!(probe.values("crac2/supply", "warm"), [(0, Err(Missing::Malformed))]);
    assert_eq!(probe.values("crac2/supply", "inf"), [(0, Err(Missing::NotAvailable))]);
    assert_eq!(probe.values("crac2/condensate", "OFF"), [(1, Ok(0.0))]);
    let heard = probe.message("crac2/status", "offline", 2);
    assert_eq!(heard.up, Some(false));
    let offline = Err(Missing::DeviceOffline);
    assert_eq!(heard.points, [(0, at(2).0, offline), (1, at(2).0, offline)]);
    assert_eq!(probe.message("crac2/status", "online", 3).up, Some(true));
}

#[test]
fn esp_rfid_messages_become_events_and_only_accesses_do() {
    let mut reader = Ear::new("topic = \"/rfid\"\nevents = \"esp-rfid\"");
    let mut event = |payload: &str| reader.message("/rfid", payload, 0).event;
    let granted = event(
        r#"{"type":"access","time":1795276931,"isKnown":"true","access":"Always",
            "username":"a.person","uid":"04a1b2c3d4"}"#,
    )
    .unwrap();
    assert_eq!((granted.person.as_str(), granted.result.as_str()), ("a.person", "granted"));
    assert_eq!(granted.time, Timestamp::from_millis(1_795_276_931_000));
    for (known, access) in
        [("false", "Denied"), ("true", "Disabled"), ("true", "Expired"), ("false", "Always")]
    {
        let payload = format!(
            r#"{{"type":"access","isKnown":"{known}","access":"{access}","uid":"04a1\u0007"}}"#
        );
        let denied = event(&payload).unwrap();
        assert_eq!((denied.result.as_str(), denied.time), ("denied", NOW), "{payload}");
        assert!(!denied.person.chars().any(char::is_control));
    }
    for other in [r#"{"type":"boot","time":1795276800}"#, r#"{"type":"heartbeat"}"#, "[]", "x"] {
        assert_eq!(event(other), None, "{other}");
    }
    let long = format!(r#"{{"type":"access","username":"{}"}}"#, "ä".repeat(500));
    assert!(event(&long).unwrap().person.len() <= 256);
}

#[test]
fn uhppoted_events_of_cards_and_doors_become_events() {
    let topic = "uhppoted/gateway/events/live";
    let mut reader = Ear::new(&format!("topic = \"{topic}\"\nevents = \"uhppoted\""));
    let payload = |kind: u8, granted: &str, time: &str| {
        format!(
            r#"{{"message":{{"event":{{"device-id":405419896,"event-id":73,"event-type":{kind},
            "event-type-text":"door","access-granted":{granted},"direction":1,"door-id":3,
            "card-number":8165538,"event-reason":0,"timestamp":"{time}"}}}}}}"#
        )
    };
    let mut event = |payload: &str| reader.message(topic, payload, 0).event;
    let granted = event(&payload(2, "true", "2026-11-21 16:02:11 UTC")).unwrap();
    assert_eq!((granted.door.as_str(), granted.person.as_str()), ("405419896/3", "8165538"));
    // 17:00:00 less 57 minutes 49 seconds.
    assert_eq!((granted.result.as_str(), NOW.since(granted.time).as_secs()), ("granted", 3469));
    // An abbreviation is no time, and a time to come is none either.
    for time in ["2026-11-21 16:02:11 PDT", "2026-11-21 18:02:11 UTC", "", "x UTC"] {
        let denied = event(&payload(1, "false", time)).unwrap();
        assert_eq!((denied.result.as_str(), denied.time), ("denied", NOW), "{time}");
    }
    // An alarm, a kind that does not exist, a verdict that is none: something happened, to whomever.
    for unknown in [payload(3, "false", ""), payload(0, "true", ""), payload(1, "3", "")] {
        let other = event(&unknown).unwrap();
        assert_eq!((other.result.as_str(), other.person.as_str()), ("other", ""), "{unknown}");
        assert_eq!((other.door.as_str(), other.time), ("405419896/3", NOW));
    }
    let status = r#"{"message":{"reply":{"response":{"door-states":{"1":false}}}}}"#;
    for none in [status, r#"{"message":{"event":{"event-type":"3"}}}"#, "[]", "x"] {
        assert_eq!(event(none), None, "{none}");
    }
}

#[test]
fn cards_at_plain_readers_become_events_without_a_verdict() {
    let mut reader = Ear::new("topic = \"sensors/rfid\"\nevents = \"rails\"");
    let mut event = |payload: &str| reader.message("sensors/rfid", payload, 0).event;
    let read = r#"{"et":"1795276990","sensor":"rfidRdr01","reader":"1","rfid":"1C0044CF23"}"#;
    let read = event(read).unwrap();
    assert_eq!((read.door.as_str(), read.person.as_str()), ("rfidRdr01/1", "1C0044CF23"));
    assert_eq!((read.result.as_str(), read.time.as_millis()), ("read", 1_795_276_990_000));
    let bare = event(r#"{"rfid":12}"#).unwrap();
    assert_eq!((bare.door.as_str(), bare.person.as_str(), bare.time), ("d", "12", NOW));
    let heartbeat = r#"{"et":"1795277000","sensor":"rfidRdr01","msgType":"heartbeat"}"#;
    for other in [heartbeat, r#"{"rfid":""}"#, r#"{"rfid":null}"#, "[]"] {
        assert_eq!(event(other), None, "{other}");
    }
}

#[test]
fn availability_comes_in_many_words() {
    let mut states = Vec::new();
    for payload in [
        "online",
        "Online",
        "true",
        "1",
        r#"{"state":"online"}"#,
        "offline",
        "Offline",
        "false",
        "0",
        r#"{"state":"offline"}"#,
        "perhaps",
        r#"{"other":1}"#,
    ] {
        let document = payload::document(payload.as_bytes()).unwrap();
        states.push(payload::available(None, &document));
    }
    let (yes, no) = ([Some(true); 5], [Some(false); 5]);
    assert_eq!(states, [&yes[..], &no[..], &[None, None]].concat());
}

#[test]
fn retained_values_of_unknown_age_are_not_news() {
    let toml = "topic = \"t\"\npoints = [ { path = \"v\", metric = \"environment_leak\" } ]\n";
    assert_eq!(Ear::new(toml).retained("t", r#"{"v":1}"#).points, []);
    let mut trusting = Ear::new(&format!("retained = \"use\"\n{toml}"));
    assert_eq!(trusting.retained("t", r#"{"v":1}"#).points.len(), 1);
    let mut timed = Ear::new(&format!("time = {{ path = \"t\" }}\nmax_age = \"10m\"\n{toml}"));
    assert_eq!(timed.retained("t", r#"{"v":1,"t":1795280390}"#).points.len(), 1);
    assert_eq!(timed.retained("t", r#"{"v":1,"t":1795270000}"#).points, [], "too old");
}

#[test]
fn a_value_is_repeated_until_it_is_too_old_and_then_missing() {
    let mut probe = Ear::new(
        "topic = \"t\"\nmax_age = \"2m\"\n\
         points = [ { path = \"v\", metric = \"environment_leak\" } ]",
    );
    assert_eq!(probe.tick(0).points, [], "nothing was heard yet, and nothing had to be");
    probe.message("t", r#"{"v":0}"#, 10);
    let told: Vec<(u64, Value, Option<bool>)> = (11..200)
        .flat_map(|seconds| {
            let heard = probe.tick(seconds);
            let up = heard.up;
            heard.points.into_iter().map(move |(_, _, value)| (seconds, value, up))
        })
        .collect();
    let gone = Err(Missing::Timeout);
    assert_eq!(
        told,
        [
            (30, Ok(0.0), Some(true)),
            (60, Ok(0.0), Some(true)),
            (90, Ok(0.0), Some(true)),
            (120, Ok(0.0), Some(true)),
            (130, gone, None),
            (150, gone, Some(false)),
            (180, gone, Some(false)),
        ]
    );
}

#[test]
fn hostile_payloads_are_refused() {
    let mut probe =
        Ear::new("topic = \"t\"\npoints = [ { path = \"v\", metric = \"environment_leak\" } ]");
    let deep = "[".repeat(100_000);
    let large = format!("\"{}\"", "x".repeat(payload::MAX_PAYLOAD));
    assert_eq!(probe.message("t", &deep, 0).error, Some("malformed"));
    assert_eq!(probe.message("t", &large, 0).error, Some("malformed"));
    let bytes = [0xff, 0xfe];
    let heard = probe.state.message(&probe.sensor, "d", "t", &bytes, false, at(0));
    assert_eq!(heard.error, Some("malformed"));
    let nested = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    probe.message("t", &nested, 0);
    assert_eq!(probe.values("t", r#"{"v":1e999}"#), [(0, Err(Missing::NotAvailable))]);
}
