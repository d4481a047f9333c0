//! Each shipped sensor profile, from payloads as the devices document them to samples. What is
//! expected was worked out by hand; addresses and persons are invented.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use hallwatch_agent::config::{Config, DeviceSource};
use hallwatch_agent::profile::shipped as shipped_registers;
use hallwatch_agent::sensor::profile::shipped;
use hallwatch_agent::sensor::{Heard, Sensor, SensorProfile, SensorState};
use hallwatch_config::Source;
use hallwatch_model::{Missing, Timestamp, Uptime, Value};

/// 2026-11-21T17:03:20Z, after every time in the payloads.
const NOW: Timestamp = Timestamp::from_millis(1_795_280_600_000);
const AFTER: Duration = Duration::from_secs(1);

fn configured(mqtt: &str, file: &str) -> Result<Sensor, String> {
    let text = format!(
        "[agent]\nid = \"a\"\ntenant = \"t\"\nsite = \"s\"\ndata = \"/d\"\ncollectors = [\"c\"]\n\
         [broker]\nurl = \"mqtt://h\"\n[[device]]\nname = \"d\"\n[device.mqtt]\n{mqtt}"
    );
    let files = |path: &Path| match path.to_str() {
        Some("./own.toml") => Ok(file.to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let config = Config::parse_with(&Source::new("agent.toml", text), &files)
        .map_err(|invalid| invalid.render(false))?;
    let DeviceSource::Mqtt(sensor) = config.devices[0].source.clone() else { panic!() };
    Ok(sensor)
}

struct Ear {
    sensor: Sensor,
    state: SensorState,
}

impl Ear {
    fn new(profile: &str, topic: &str) -> Self {
        Self::of(&format!("topic = \"{topic}\"\nprofile = \"{profile}\""))
    }

    fn of(mqtt: &str) -> Self {
        let sensor = configured(mqtt, "").unwrap_or_else(|told| panic!("{told}"));
        let state = SensorState::new(&sensor, Uptime::ZERO);
        Self { sensor, state }
    }

    fn hear(&mut self, topic: &str, payload: &str) -> Heard {
        assert!(self.sensor.topics().contains(&topic), "{topic} is not subscribed to");
        let clocks = (NOW, Uptime::new(AFTER));
        self.state.message(&self.sensor, "d", topic, payload.as_bytes(), false, clocks)
    }

    /// Series and values that a message becomes, in the order of the profile.
    fn samples(&mut self, topic: &str, payload: &str) -> Vec<(String, Value)> {
        let heard = self.hear(topic, payload);
        let series = |index: usize| self.sensor.points[index].labels.to_string();
        heard.points.iter().map(|(index, _, value)| (series(*index), *value)).collect()
    }
}

#[track_caller]
fn assert_samples(found: &[(String, Value)], expected: &[(&str, f64)]) {
    let names: Vec<&str> = found.iter().map(|(series, _)| series.as_str()).collect();
    let wanted: Vec<&str> = expected.iter().map(|(series, _)| *series).collect();
    assert_eq!(names, wanted);
    for ((series, value), (_, wanted)) in found.iter().zip(expected) {
        let value = value.unwrap();
        assert!((value - wanted).abs() <= 1e-12 * wanted.abs(), "{series}: {value}, not {wanted}");
    }
}

#[test]
fn every_shipped_sensor_profile_is_valid_and_its_name_is_its_own() {
    let mut names: BTreeSet<&str> = shipped_registers().iter().map(|(name, _)| *name).collect();
    for (name, _) in shipped() {
        let profile = SensorProfile::named(name).unwrap();
        let profile = profile.unwrap_or_else(|invalid| panic!("{}", invalid.render(false)));
        assert!(!profile.sources.is_empty() && !profile.notes.is_empty(), "{name}");
        assert!(names.insert(name), "{name} is a profile of registers, too");
    }
    assert!(SensorProfile::named("apc_smart_ups").is_none());
}

#[test]
fn zigbee2mqtt_climate() {
    let mut ear = Ear::new("zigbee2mqtt_climate", "zigbee2mqtt/aisle_3_cold");
    let payload = r#"{"temperature":22.34,"humidity":44.72,"linkquality":140}"#;
    assert_samples(
        &ear.samples("zigbee2mqtt/aisle_3_cold", payload),
        &[
            ("environment_temperature_celsius", 22.34),
            ("environment_humidity_ratio", 0.4472),
            ("sensor_link_quality", 140.0),
        ],
    );
    // Without humidity the report is incomplete; without a battery it is a sensor without one.
    let found = ear.samples("zigbee2mqtt/aisle_3_cold", r#"{"temperature":22.5}"#);
    let missing = Err(Missing::NotAvailable);
    let expected =
        [("environment_temperature_celsius", Ok(22.5)), ("environment_humidity_ratio", missing)];
    assert_eq!(found, expected.map(|(series, value)| (series.to_owned(), value)));
    let heard = ear.hear("zigbee2mqtt/aisle_3_cold/availability", r#"{"state":"offline"}"#);
    // The battery was never spoken of, and is not missed.
    assert_eq!((heard.up, heard.points.len()), (Some(false), 3));
}

#[test]
fn zigbee2mqtt_contact() {
    let mut ear = Ear::new("zigbee2mqtt_contact", "zigbee2mqtt/cage_door_7");
    let payload =
        r#"{"battery":100,"contact":false,"linkquality":87,"temperature":24,"voltage":3025}"#;
    assert_samples(
        &ear.samples("zigbee2mqtt/cage_door_7", payload),
        &[("access_door_open", 1.0), ("sensor_battery_ratio", 1.0), ("sensor_link_quality", 87.0)],
    );
    let found = ear.samples("zigbee2mqtt/cage_door_7", r#"{"contact":true}"#);
    assert_samples(&found, &[("access_door_open", 0.0)]);
}

#[test]
fn tasmota_am2301() {
    let mut ear = Ear::new("tasmota_am2301", "rack13_probe");
    let payload = r#"{"Time":"2026-11-21T17:00:00","AM2301":{"Temperature":23.1,"Humidity":44.2,
        "DewPoint":10.2},"TempUnit":"C"}"#;
    assert_samples(
        &ear.samples("tele/rack13_probe/SENSOR", payload),
        &[
            ("environment_temperature_celsius", 23.1),
            ("environment_humidity_ratio", 0.442),
            ("environment_dew_point_celsius", 10.2),
        ],
    );
    assert_eq!(ear.hear("tele/rack13_probe/LWT", "Offline").up, Some(false));
    assert_eq!(ear.hear("tele/rack13_probe/LWT", "Online").up, Some(true));
}

#[test]
fn zigbee2mqtt_leak() {
    let mut ear = Ear::new("zigbee2mqtt_leak", "zigbee2mqtt/leak_row4");
    let payload = r#"{"battery":97,"battery_low":false,"linkquality":112,"temperature":21.4,
        "voltage":3015,"water_leak":true}"#;
    assert_samples(
        &ear.samples("zigbee2mqtt/leak_row4", payload),
        &[
            ("environment_leak", 1.0),
            ("sensor_battery_ratio", 0.97),
            ("sensor_link_quality", 112.0),
        ],
    );
}

#[test]
fn zigbee2mqtt_smoke() {
    let mut ear = Ear::new("zigbee2mqtt_smoke", "zigbee2mqtt/smoke_room2");
    assert_samples(
        &ear.samples("zigbee2mqtt/smoke_room2", r#"{"smoke":false,"battery":91,"linkquality":61}"#),
        &[
            ("environment_smoke", 0.0),
            ("sensor_battery_ratio", 0.91),
            ("sensor_link_quality", 61.0),
        ],
    );
}

#[test]
fn tasmota_ds18b20() {
    let mut ear = Ear::new("tasmota_ds18b20", "rack12_probe");
    let payload = r#"{"Time":"2026-11-21T17:00:00","DS18B20":{"Id":"030597946B04",
        "Temperature":24.6},"TempUnit":"C"}"#;
    let found = ear.samples("tele/rack12_probe/SENSOR", payload);
    assert_samples(&found, &[("environment_temperature_celsius", 24.6)]);
    // A time without a zone is not believed.
    assert_eq!(ear.hear("tele/rack12_probe/SENSOR", payload).points[0].1, NOW);
}

#[test]
fn tasmota_energy() {
    let mut ear = Ear::new("tasmota_energy", "pdu_a");
    let payload = r#"{"Time":"2026-11-21T17:00:00","ENERGY":{"TotalStartTime":
        "2026-01-01T00:00:00","Total":512.294,"Yesterday":5.34,"Today":3.954,"Period":21,
        "Power":263,"ApparentPower":275,"ReactivePower":28,"Factor":0.96,"Voltage":229,
        "Current":1.166}}"#;
    assert_samples(
        &ear.samples("tele/pdu_a/SENSOR", payload),
        &[
            ("meter_voltage_volts", 229.0),
            ("meter_current_amperes", 1.166),
            ("meter_active_power_watts", 263.0),
            ("meter_apparent_power_voltamperes", 275.0),
            ("meter_reactive_power_vars", 28.0),
            ("meter_power_factor_ratio", 0.96),
            // 512.294 kWh of 3.6 MJ.
            ("meter_energy_joules_total", 1_844_258_400.0),
        ],
    );
}

#[test]
fn tasmota_relay() {
    let mut ear = Ear::new("tasmota_relay", "rack12_probe");
    let payload = r#"{"Time":"2026-11-21T17:00:00","Uptime":"0T18:36:12","UptimeSec":66972,
        "Vcc":3.42,"Heap":28,"POWER":"OFF","Wifi":{"AP":1,"SSId":"facility","RSSI":84}}"#;
    let found = ear.samples("tele/rack12_probe/STATE", payload);
    assert_samples(&found, &[("io_output_on{output=\"1\"}", 0.0)]);
}

#[test]
fn tasmota_leak_switch() {
    let mut ear = Ear::new("tasmota_leak_switch", "leak_zone3");
    let payload = |word: &str| format!(r#"{{"Time":"2026-11-21T17:00:03","Switch1":"{word}"}}"#);
    for (word, value) in [("ON", 1.0), ("OFF", 0.0)] {
        let found = ear.samples("tele/leak_zone3/SENSOR", &payload(word));
        assert_samples(&found, &[("environment_leak", value)]);
    }
}

#[test]
fn shelly_gen2_em() {
    let id = "shellypro3em-0123456789ab";
    let mut ear = Ear::new("shelly_gen2_em", id);
    let payload = r#"{"src":"shellypro3em-0123456789ab","dst":"shellypro3em-0123456789ab/events",
        "method":"NotifyStatus","params":{"ts":1795276800.12,"em:0":{"id":0,
        "a_current":4.12,"a_voltage":231.4,"a_act_power":912.5,"a_aprt_power":953.4,"a_pf":0.96,
        "a_freq":50.0,"b_current":3.98,"b_voltage":230.9,"b_act_power":880.1,"b_aprt_power":919.0,
        "b_pf":0.96,"b_freq":50.0,"c_current":4.31,"c_voltage":232.0,"c_act_power":951.7,
        "c_aprt_power":999.9,"c_pf":0.95,"c_freq":50.0,"n_current":null,"total_current":12.41,
        "total_act_power":2744.3,"total_aprt_power":2872.3,"user_calibrated_phase":[]}}}"#;
    let rpc = format!("{id}/events/rpc");
    // The message is 3,799.88 s old: the profile's quarter of an hour is too short for it.
    assert_eq!(ear.hear(&rpc, payload).points, []);
    let payload = payload.replace("1795276800.12", "1795280400.12");
    let heard = ear.hear(&rpc, &payload);
    assert!(heard.points.iter().all(|(_, time, _)| time.as_millis() == 1_795_280_400_120));
    let mut found = ear.samples(&rpc, &payload);
    let neutral = found.iter().position(|(series, _)| series.contains("phase=\"n\"")).unwrap();
    assert_eq!(found.remove(neutral).1, Err(Missing::NotAvailable));
    assert_samples(
        &found,
        &[
            ("meter_voltage_volts{phase=\"l1\"}", 231.4),
            ("meter_current_amperes{phase=\"l1\"}", 4.12),
            ("meter_active_power_watts{phase=\"l1\"}", 912.5),
            ("meter_apparent_power_voltamperes{phase=\"l1\"}", 953.4),
            ("meter_power_factor_ratio{phase=\"l1\"}", 0.96),
            ("meter_frequency_hertz{phase=\"l1\"}", 50.0),
            ("meter_voltage_volts{phase=\"l2\"}", 230.9),
            ("meter_current_amperes{phase=\"l2\"}", 3.98),
            ("meter_active_power_watts{phase=\"l2\"}", 880.1),
            ("meter_apparent_power_voltamperes{phase=\"l2\"}", 919.0),
            ("meter_power_factor_ratio{phase=\"l2\"}", 0.96),
            ("meter_frequency_hertz{phase=\"l2\"}", 50.0),
            ("meter_voltage_volts{phase=\"l3\"}", 232.0),
            ("meter_current_amperes{phase=\"l3\"}", 4.31),
            ("meter_active_power_watts{phase=\"l3\"}", 951.7),
            ("meter_apparent_power_voltamperes{phase=\"l3\"}", 999.9),
            ("meter_power_factor_ratio{phase=\"l3\"}", 0.95),
            ("meter_frequency_hertz{phase=\"l3\"}", 50.0),
            ("meter_active_power_watts", 2744.3),
            ("meter_apparent_power_voltamperes", 2872.3),
        ],
    );
    // Only what changed, and the rest stays as it was.
    let part = r#"{"method":"NotifyStatus","params":{"ts":1795280401,"em:0":{"b_voltage":229}}}"#;
    assert_samples(&ear.samples(&rpc, part), &[("meter_voltage_volts{phase=\"l2\"}", 229.0)]);
    // 18,345.67 Wh of 3.6 kJ.
    let energy = ear.samples(
        &format!("{id}/status/emdata:0"),
        r#"{"id":0,"total_act":18345.67,"total_act_ret":0.0}"#,
    );
    assert_samples(&energy, &[("meter_energy_joules_total", 66_044_412.0)]);
    assert_eq!(ear.hear(&format!("{id}/online"), "false").up, Some(false));
}

#[test]
fn shelly_gen2_temperature() {
    let mut ear = Ear::new("shelly_gen2_temperature", "shellyht-0123456789ab");
    let payload = r#"{"src":"shellyht-0123456789ab","dst":"shellyht-0123456789ab/events",
        "method":"NotifyStatus","params":{"ts":1795276801.5,"temperature:0":{"id":0,"tC":22.5}}}"#;
    let found = ear.samples("shellyht-0123456789ab/events/rpc", payload);
    assert_samples(&found, &[("environment_temperature_celsius", 22.5)]);
}

#[test]
fn shelly_gen2_input() {
    let mut ear = Ear::new("shelly_gen2_input", "shellyplusi4-0123456789ab");
    let payload = r#"{"src":"shellyplusi4-0123456789ab","dst":"shellyplusi4-0123456789ab/events",
        "method":"NotifyStatus","params":{"ts":1795276802.26,"input:0":{"id":0,"state":true}}}"#;
    let heard = ear.hear("shellyplusi4-0123456789ab/events/rpc", payload);
    assert_eq!(heard.points, [(0, Timestamp::from_millis(1_795_276_802_260), Ok(1.0))]);
    let found = ear.samples("shellyplusi4-0123456789ab/events/rpc", payload);
    assert_samples(&found, &[("io_input_on{input=\"0\"}", 1.0)]);
}

#[test]
fn shelly_gen2_switch() {
    let mut ear = Ear::new("shelly_gen2_switch", "shellypro4pm-0123456789ab");
    let payload = r#"{"id":0,"source":"MQTT","output":true,"apower":131.2,"voltage":230.6,
        "current":0.61,"aenergy":{"total":5123.4}}"#;
    assert_samples(
        &ear.samples("shellypro4pm-0123456789ab/status/switch:0", payload),
        &[
            ("io_output_on{output=\"0\"}", 1.0),
            ("pdu_outlet_voltage_volts{outlet=\"0\"}", 230.6),
            ("pdu_outlet_current_amperes{outlet=\"0\"}", 0.61),
            ("pdu_outlet_active_power_watts{outlet=\"0\"}", 131.2),
            // 5,123.4 Wh of 3.6 kJ.
            ("meter_energy_joules_total{outlet=\"0\"}", 18_444_240.0),
        ],
    );
}

#[test]
fn esphome_climate() {
    let mut ear = Ear::new("esphome_climate", "crac2-probe");
    let topic = "crac2-probe/sensor/temperature/state";
    assert_samples(&ear.samples(topic, "17.8"), &[("environment_temperature_celsius", 17.8)]);
    assert_eq!(ear.samples(topic, "nan")[0].1, Err(Missing::NotAvailable));
    let found = ear.samples("crac2-probe/sensor/humidity/state", "45.5");
    assert_samples(&found, &[("environment_humidity_ratio", 0.455)]);
    assert_eq!(ear.hear("crac2-probe/status", "offline").up, Some(false));
}

#[test]
fn esp_rfid() {
    let mut ear = Ear::new("esp_rfid", "/rfid");
    let payload = r#"{"type":"access","time":1795276931,"isKnown":"true","access":"Always",
        "username":"a.person","uid":"04a1b2c3d4"}"#;
    let event = ear.hear("/rfid", payload).event.unwrap();
    assert_eq!((event.person.as_str(), event.result.as_str()), ("a.person", "granted"));
    assert_eq!((event.door.as_str(), event.time.as_millis()), ("d", 1_795_276_931_000));
    let heartbeat = r#"{"type":"heartbeat","time":1795276980}"#;
    assert_eq!(ear.hear("/rfid", heartbeat).event, None);
}

#[test]
fn uhppoted() {
    let mut ear = Ear::new("uhppoted", "uhppoted/gateway");
    let payload = r#"{"message":{"event":{"device-id":405419896,"event-id":73,"event-type":2,
        "event-type-text":"door","access-granted":true,"direction":1,"direction-text":"in",
        "door-id":3,"card-number":8165538,"event-reason":0,"event-reason-text":"",
        "timestamp":"2026-11-21 17:02:11 UTC"}}}"#;
    let event = ear.hear("uhppoted/gateway/events/live", payload).event.unwrap();
    assert_eq!((event.door.as_str(), event.person.as_str()), ("405419896/3", "8165538"));
    // 17:00:00 is 1,795,280,400; 131 s later.
    assert_eq!((event.result.as_str(), event.time.as_millis()), ("granted", 1_795_280_531_000));
    // What it is that happened at the door is not known, but that something did.
    let payload = payload.replace("\"event-type\":2", "\"event-type\":3");
    let event = ear.hear("uhppoted/gateway/events/live", &payload).event.unwrap();
    assert_eq!((event.door.as_str(), event.person.as_str()), ("405419896/3", ""));
    assert_eq!((event.result.as_str(), event.time.as_millis()), ("other", 1_795_280_531_000));
}

#[test]
fn uhppoted_status() {
    const TOPIC: &str = "uhppoted/reply/97531";
    let of = |serial: &str| {
        Ear::of(&format!(
            "topic = \"{TOPIC}\"\nprofile = \"uhppoted_status\"\nonly = {{ is = \"{serial}\" }}"
        ))
    };
    let record = r#""system-datetime":"2026-11-21 17:02:15","door-states":{"1":false,"2":false,
        "3":true,"4":false},"door-buttons":{"1":false,"2":true,"3":false,"4":false},
        "input-state":0,"relay-state":0,"system-error":0,"special-info":0,"event-id":73"#;
    let reply = |response: &str| {
        format!(
            r#"{{"message":{{"reply":{{"client-id":"EDGE1","request-id":"AH173635G3",
            "method":"get-status","response":{response}}}}}}}"#
        )
    };
    // The gateway's documents have the record in the response, and in a member `status` of it.
    let beside = reply(&format!(r#"{{"device-id":405419896,{record}}}"#));
    let within = reply(&format!(r#"{{"device-id":405419896,"status":{{{record}}}}}"#));
    for payload in [beside, within] {
        let mut ear = of("405419896");
        let heard = ear.hear(TOPIC, &payload);
        assert!(heard.points.iter().all(|(_, time, _)| *time == NOW), "{heard:?}");
        assert_eq!((heard.up, heard.event), (Some(true), None));
        assert_samples(
            &ear.samples(TOPIC, &payload),
            &[
                (r#"access_door_open{door="1"}"#, 0.0),
                (r#"access_door_open{door="2"}"#, 0.0),
                (r#"access_door_open{door="3"}"#, 1.0),
                (r#"access_door_open{door="4"}"#, 0.0),
            ],
        );
        // The doors of its neighbour are not its own.
        let mut neighbour = of("303986753");
        assert_eq!(neighbour.hear(TOPIC, &payload), Heard::default());
        assert_samples(&neighbour.samples(TOPIC, &payload.replace("405419896", "303986753")), {
            &[
                (r#"access_door_open{door="1"}"#, 0.0),
                (r#"access_door_open{door="2"}"#, 0.0),
                (r#"access_door_open{door="3"}"#, 1.0),
                (r#"access_door_open{door="4"}"#, 0.0),
            ]
        });
    }
    // Replies to other requests say nothing of doors, and a controller of one door has one.
    let mut ear = of("405419896");
    let other = reply(r#"{"device-id":405419896,"event":{"door-id":3,"event-type":2}}"#);
    assert_eq!(ear.samples(TOPIC, &other), []);
    let small = reply(r#"{"device-id":405419896,"door-states":{"1":true}}"#);
    assert_samples(&ear.samples(TOPIC, &small), &[(r#"access_door_open{door="1"}"#, 1.0)]);

    let told = configured("topic = \"t\"\nprofile = \"uhppoted_status\"", "").unwrap_err();
    assert!(told.contains("what each message of this device says at"), "{told}");
    let told = configured("topic = \"t\"\nevents = \"uhppoted\"\nonly = { is = \"7\" }", "");
    assert!(told.unwrap_err().contains("`only` has no `path`"));
}

#[test]
fn a_feed_of_many_controllers_is_a_device_for_each() {
    let mut ear = Ear::of(
        "topic = \"uhppoted/gateway\"\nprofile = \"uhppoted\"\n\
         only = { path = \"message.event.device-id\", is = \"405419896\" }",
    );
    let payload = |serial: &str| {
        format!(
            r#"{{"message":{{"event":{{"device-id":{serial},"event-type":1,
            "access-granted":false,"door-id":1,"card-number":8165538}}}}}}"#
        )
    };
    let topic = "uhppoted/gateway/events/live";
    assert_eq!(ear.hear(topic, &payload("405419896")).event.unwrap().result, "denied");
    for other in ["303986753", "4054198960", "\"x\"", "null", "[405419896]"] {
        assert_eq!(ear.hear(topic, &payload(other)).event, None, "{other}");
    }
}

#[test]
fn rails_reader() {
    let mut ear = Ear::new("rails_reader", "sensors/rfid");
    let payload = r#"{"et":"1795276990","sensor":"rfidRdr01","reader":"1","rfid":"1C0044CF23"}"#;
    let event = ear.hear("sensors/rfid", payload).event.unwrap();
    assert_eq!((event.door.as_str(), event.person.as_str()), ("rfidRdr01/1", "1C0044CF23"));
    assert_eq!((event.result.as_str(), event.time.as_millis()), ("read", 1_795_276_990_000));
}

#[test]
fn what_a_profile_s_device_may_lack_is_told_once_it_was_heard() {
    let mut ear = Ear::new("zigbee2mqtt_contact", "door");
    let tick = |ear: &mut Ear, hours: u64| {
        let passed = Duration::from_secs(hours * 3600);
        let heard = ear.state.tick(&ear.sensor, NOW + passed, Uptime::new(passed));
        heard.points.into_iter().map(|(index, _, value)| (index, value)).collect::<Vec<_>>()
    };
    ear.hear("door", r#"{"contact":true}"#);
    assert_eq!(tick(&mut ear, 1), [(0, Ok(0.0))]);
    ear.hear("door", r#"{"contact":true,"battery":40}"#);
    // It is too old after two hours, as anything that was heard.
    let gone = Err(Missing::Timeout);
    assert_eq!(tick(&mut ear, 3), [(0, gone), (1, gone)]);
}

#[test]
fn a_site_says_otherwise_and_adds() {
    let mut ear = Ear::of(
        "topic = \"zigbee2mqtt/a\"\nprofile = \"zigbee2mqtt_climate\"\nmax_age = \"5m\"\n\
         availability = { topic = \"zigbee2mqtt/bridge/state\" }\npoints = [\n\
         { path = \"temperature\", metric = \"environment_temperature_celsius\", offset = -0.5 },\n\
         { path = \"pressure\", metric = \"environment_pressure_pascals\", scale = 100 } ]",
    );
    assert_eq!(ear.sensor.max_age, Duration::from_secs(300));
    assert_eq!(ear.sensor.topics(), ["zigbee2mqtt/a", "zigbee2mqtt/bridge/state"]);
    let payload = r#"{"temperature":22.5,"humidity":50,"pressure":1013.25}"#;
    assert_samples(
        &ear.samples("zigbee2mqtt/a", payload),
        &[
            ("environment_temperature_celsius", 22.0),
            ("environment_humidity_ratio", 0.5),
            ("environment_pressure_pascals", 101_325.0),
        ],
    );
}

const OWN: &str = "manufacturer = \"Example\"\nmodel = \"Probe\"\nkind = \"environment_sensor\"\n\
    confidence = \"high\"\n";

#[test]
fn a_site_brings_its_own() {
    let mqtt = "topic = \"p\"\nprofile = \"./own.toml\"";
    let points = "points = [ { topic = \"{topic}/t\", metric = \"environment_leak\" } ]\n";
    let sensor = configured(mqtt, &format!("{OWN}{points}")).unwrap();
    assert_eq!(sensor.topics(), ["p/t"]);

    // Its mistakes are told at their place in it.
    let wrong = format!("{OWN}topic = \"fixed\"\nmax_age = \"5\"\n{points}");
    let told = configured(mqtt, &wrong).unwrap_err();
    for part in ["own.toml:5", "it has no `{topic}`", "`max_age`", "./own.toml has problems"] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    let told = configured(mqtt, OWN).unwrap_err();
    assert!(told.contains("the profile has neither points nor events"), "{told}");
    let registers = format!("{OWN}[[point]]\nname = \"x\"\n");
    let told = configured(mqtt, &registers).unwrap_err();
    assert!(told.contains("this is the profile of a Modbus device"), "{told}");
    let asked = configured(
        "topic = \"p\"\npoints = []\n[[device]]\nname = \"m\"\n\
        modbus_tcp = { address = \"192.0.2.1:502\", profile = \"./own.toml\" }",
        &format!("{OWN}{points}"),
    );
    let told = asked.unwrap_err();
    assert!(told.contains("this is the profile of an MQTT sensor"), "{told}");
    // So many places for so long a topic that none could be subscribed to.
    let long = format!("topic = \"{}\"\nprofile = \"./own.toml\"", "x".repeat(900));
    let many = format!("{OWN}topic = \"{{topic}}{{topic}}\"\n{points}");
    let told = configured(&long, &many).unwrap_err();
    assert!(told.contains("longer than 1000 bytes"), "{told}");
}
