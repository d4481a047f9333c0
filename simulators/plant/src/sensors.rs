//! The MQTT sensors: who publishes what, when, and in which words. No socket, no clock.

use std::time::Duration;

use serde_json::{Value, json};

use crate::calendar::civil;
use crate::fault::Fault;
use crate::physics::Hall;
use crate::physics::access::Swipe;
use crate::plant::Plant;

/// Climate probes repeat themselves this often.
const CLIMATE: Duration = Duration::from_secs(5);
/// Contacts and detectors repeat their state this often; a change goes out at once.
const REPEAT: Duration = Duration::from_secs(10);
/// The badge reader's sign of life.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) topic: &'static str,
    pub(crate) payload: String,
    pub(crate) retain: bool,
}

impl Message {
    fn json(topic: &'static str, payload: &Value) -> Self {
        Self { topic, payload: payload.to_string(), retain: false }
    }

    fn retained(topic: &'static str, payload: &str) -> Self {
        Self { topic, payload: payload.to_owned(), retain: true }
    }
}

/// One thing with a connection of its own to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StationKind {
    /// A Zigbee bridge (Zigbee2MQTT) with climate probes, detectors and the door contact.
    Zigbee,
    /// A Tasmota climate probe with local time.
    Tasmota,
    /// An ESP-RFID badge reader.
    BadgeReader,
    /// The edge router, which publishes the state of its uplinks.
    Router,
}

/// A moment as a sensor sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Seconds since 1970-01-01, UTC.
    pub(crate) unix_seconds: i64,
    /// Since the plant was started; never steps.
    pub(crate) uptime: Duration,
    /// What Tasmota's local clock is ahead of UTC, in seconds.
    pub(crate) local_offset: i64,
}

/// When something was last sent.
#[derive(Debug, Default)]
struct Last(Option<Duration>);

impl Last {
    fn is_due(&mut self, period: Duration, uptime: Duration) -> bool {
        let due = self.0.is_none_or(|last| uptime.saturating_sub(last) >= period);
        if due {
            self.0 = Some(uptime);
        }
        due
    }
}

/// A publisher and what it remembers of what it has sent.
#[derive(Debug)]
pub(crate) struct Station {
    kind: StationKind,
    regular: Last,
    states: [(Option<bool>, Last); 3],
}

impl Station {
    pub(crate) fn new(kind: StationKind) -> Self {
        Self { kind, regular: Last::default(), states: Default::default() }
    }

    /// Ends the client identifier.
    pub(crate) const fn suffix(&self) -> &'static str {
        match self.kind {
            StationKind::Zigbee => "zigbee2mqtt",
            StationKind::Tasmota => "rack12-probe",
            StationKind::BadgeReader => "esp-rfid",
            StationKind::Router => "edge-router",
        }
    }

    /// What the broker publishes when the connection is lost.
    pub(crate) fn will(&self) -> Option<Message> {
        self.availability(false)
    }

    fn availability(&self, online: bool) -> Option<Message> {
        let state = if online { "online" } else { "offline" };
        match self.kind {
            StationKind::Zigbee => {
                let payload = json!({ "state": state }).to_string();
                Some(Message::retained("zigbee2mqtt/bridge/state", &payload))
            }
            StationKind::Tasmota => {
                let text = if online { "Online" } else { "Offline" };
                Some(Message::retained("tele/rack12_probe/LWT", text))
            }
            StationKind::Router => Some(Message::retained("router/edge_1/availability", state)),
            // This reader's firmware sets no last will.
            StationKind::BadgeReader => None,
        }
    }

    /// What it says first on a new connection. Everything is due again after that.
    pub(crate) fn birth(&mut self, moment: Moment) -> Vec<Message> {
        self.regular = Last::default();
        self.states = Default::default();
        let mut messages: Vec<Message> = self.availability(true).into_iter().collect();
        if self.kind == StationKind::BadgeReader {
            let boot = json!({
                "type": "boot",
                "time": moment.unix_seconds,
                "Wifi SSID": "facility",
                "Local IP": "192.0.2.40",
            });
            messages.push(Message::json("/rfid", &boot));
        }
        messages
    }

    /// What is due at this moment, taken from the plant.
    pub(crate) fn messages(&mut self, plant: &Plant, now: Moment) -> Vec<Message> {
        if self.kind == StationKind::BadgeReader {
            plant.view_with_swipes(|hall, swipes| self.due(hall, swipes, now))
        } else {
            plant.view(|hall| self.due(hall, &[], now))
        }
    }

    fn due(&mut self, hall: &Hall, swipes: &[(Swipe, i64)], now: Moment) -> Vec<Message> {
        match self.kind {
            StationKind::Zigbee => self.zigbee(hall, now),
            StationKind::Tasmota => self.tasmota(hall, now),
            StationKind::BadgeReader => self.reader(swipes, now),
            StationKind::Router => self.router(hall, now),
        }
    }

    fn zigbee(&mut self, hall: &Hall, now: Moment) -> Vec<Message> {
        let mut messages = Vec::new();
        if self.regular.is_due(CLIMATE, now.uptime) {
            if !hall.has(Fault::SensorSilent) {
                messages.push(climate("zigbee2mqtt/aisle_1_cold", hall, 0));
            }
            messages.push(climate("zigbee2mqtt/aisle_2_cold", hall, 1));
        }
        let states = [hall.leak(), hall.smoke(), hall.access.door_open()];
        for (index, state) in states.into_iter().enumerate() {
            let (sent, last) = &mut self.states[index];
            if last.is_due(REPEAT, now.uptime) || *sent != Some(state) {
                *sent = Some(state);
                last.0 = Some(now.uptime);
                messages.push(detector(index, state, hall));
            }
        }
        messages
    }

    fn tasmota(&mut self, hall: &Hall, now: Moment) -> Vec<Message> {
        if !self.regular.is_due(CLIMATE, now.uptime) {
            return Vec::new();
        }
        // The probe hangs in the hot air behind rack 12.
        let celsius = hall.air.hot_celsius();
        let sensor = json!({
            "Time": civil(now.unix_seconds.saturating_add(now.local_offset)),
            "AM2301": {
                "Temperature": rounded(celsius, 1),
                "Humidity": rounded(hall.air.humidity_percent(celsius), 1),
                "DewPoint": rounded(hall.air.dew_point_celsius(), 1),
            },
            "TempUnit": "C",
        });
        vec![Message::json("tele/rack12_probe/SENSOR", &sensor)]
    }

    fn reader(&mut self, swipes: &[(Swipe, i64)], now: Moment) -> Vec<Message> {
        let mut messages: Vec<Message> = swipes
            .iter()
            .map(|(swipe, time)| Message::json("/rfid", &access(swipe, *time)))
            .collect();
        if self.regular.is_due(HEARTBEAT, now.uptime) {
            let beat = json!({ "type": "heartbeat", "time": now.unix_seconds });
            messages.push(Message::json("/rfid", &beat));
        }
        messages
    }

    fn router(&mut self, hall: &Hall, now: Moment) -> Vec<Message> {
        let mut changed = false;
        for (uplink, (told, _)) in hall.uplinks.iter().zip(&mut self.states) {
            changed |= *told != Some(uplink.is_up());
            *told = Some(uplink.is_up());
        }
        if !self.regular.is_due(CLIMATE, now.uptime) && !changed {
            return Vec::new();
        }
        let uplink = |index: usize| {
            let uplink = &hall.uplinks[index];
            json!({
                "up": uplink.is_up(),
                "latency_ms": uplink.latency_ms().map(|ms| rounded(ms, 2)),
            })
        };
        let status = json!({ "uplink_1": uplink(0), "uplink_2": uplink(1) });
        vec![Message::json("router/edge_1/status", &status)]
    }
}

fn climate(topic: &'static str, hall: &Hall, aisle: usize) -> Message {
    let celsius = hall.air.aisle_celsius(aisle);
    let payload = json!({
        "temperature": rounded(celsius, 2),
        "humidity": rounded(hall.air.humidity_percent(celsius), 2),
        "linkquality": 140 - 12 * aisle,
    });
    Message::json(topic, &payload)
}

fn detector(index: usize, state: bool, hall: &Hall) -> Message {
    match index {
        0 => Message::json(
            "zigbee2mqtt/leak_row4",
            &json!({
                "battery": 97,
                "battery_low": false,
                "linkquality": 112,
                "temperature": rounded(hall.air.aisle_celsius(1) - 1.0, 1),
                "voltage": 3015,
                "water_leak": state,
            }),
        ),
        1 => Message::json(
            "zigbee2mqtt/smoke_room1",
            &json!({ "smoke": state, "battery": 91, "linkquality": 61 }),
        ),
        _ => Message::json(
            "zigbee2mqtt/hall_door",
            // The contact is closed when the door is: true means shut.
            &json!({
                "battery": 100,
                "contact": !state,
                "linkquality": 87,
                "temperature": 24,
                "voltage": 3025,
            }),
        ),
    }
}

fn access(swipe: &Swipe, time: i64) -> Value {
    let (known, access) = match (swipe.person, swipe.granted) {
        (Some(_), true) => ("true", "Always"),
        (Some(_), false) => ("true", "Disabled"),
        (None, _) => ("false", "Denied"),
    };
    json!({
        "type": "access",
        "time": time,
        "isKnown": known,
        "access": access,
        "username": swipe.person.unwrap_or("Unknown"),
        "uid": swipe.card,
    })
}

fn rounded(value: f64, digits: i32) -> f64 {
    let factor = 10.0_f64.powi(digits);
    (value * factor).round() / factor
}
