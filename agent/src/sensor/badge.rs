//! Badge readers: messages that are events. Persons are in them: they go into
//! [`hallwatch_model::Event`]s and into nothing else, no label and no log line.

use hallwatch_model::wire::MAX_TEXT_BYTES;
use hallwatch_model::{Event, Timestamp};
use serde_json::Value as Json;
use time::UtcOffset;

use super::moment::moment;
use super::payload::{truth, word as word_of};

/// A make of badge reader or door controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeReader {
    /// ESP-RFID: one topic for all kinds of messages; `type` says which.
    EspRfid,
    /// UHPPOTE door controllers behind `uhppoted-mqtt`, on either of its feeds of events.
    Uhppoted,
    /// The plain readers of RAILS, which tell of a card and of nothing else.
    Rails,
}

impl BadgeReader {
    /// All of them, by their names in a configuration.
    pub const WORDS: [(&'static str, Self); 3] =
        [("esp-rfid", Self::EspRfid), ("uhppoted", Self::Uhppoted), ("rails", Self::Rails)];

    /// The results that it can report.
    #[must_use]
    pub const fn results(self) -> &'static [&'static str] {
        match self {
            Self::EspRfid => &[GRANTED, DENIED],
            Self::Uhppoted => &[GRANTED, DENIED, OTHER],
            Self::Rails => &[READ],
        }
    }

    /// The event that a message tells of; `None` when it tells of something else, such as a
    /// heartbeat.
    #[must_use]
    pub fn event(self, device: &str, document: &Json, now: Timestamp) -> Option<Event> {
        let said = match self {
            Self::EspRfid => esp_rfid(document),
            Self::Uhppoted => uhppoted(document),
            Self::Rails => rails(document),
        }?;
        let door = if said.door.is_empty() { device } else { &said.door };
        Some(Event {
            // Of an hour that a reader cannot know nothing is believed.
            time: said.time.filter(|time| *time <= now).unwrap_or(now),
            device: device.to_owned(),
            door: fit(door),
            person: fit(&said.person),
            result: said.result.to_owned(),
        })
    }
}

const GRANTED: &str = "granted";
const DENIED: &str = "denied";
/// Something else that a controller has a record of. What its numbers mean is not documented, and an
/// alarm may be among them: it must not go unseen.
const OTHER: &str = "other";
/// A card was shown; whether the door opened is known elsewhere.
const READ: &str = "read";

/// What a message says.
struct Said {
    time: Option<Timestamp>,
    /// Empty when it does not say.
    door: String,
    person: String,
    result: &'static str,
}

fn esp_rfid(document: &Json) -> Option<Said> {
    let text = |name: &str| document.get(name).and_then(Json::as_str).unwrap_or_default();
    if text("type") != "access" {
        return None;
    }
    let known = document.get("isKnown").and_then(flag) == Some(true);
    // Whatever is not known to open a door is a denial: an unknown word must not hide one.
    let opens = matches!(text("access"), "Always" | "Admin");
    let person = match text("username") {
        "" | "Unknown" => text("uid"),
        name => name,
    };
    Some(Said {
        time: document.get("time").and_then(|time| moment(time, UtcOffset::UTC)),
        door: text("door").to_owned(),
        person: person.to_owned(),
        result: if known && opens { GRANTED } else { DENIED },
    })
}

fn uhppoted(document: &Json) -> Option<Said> {
    /// A card at a reader, and a door that a button opened.
    const ACCESS: std::ops::RangeInclusive<u64> = 1..=2;
    let event = document.get("message")?.get("event")?;
    let kind = event.get("event-type").and_then(Json::as_u64)?;
    let granted = event.get("access-granted").and_then(flag);
    let result = match granted {
        Some(true) if ACCESS.contains(&kind) => GRANTED,
        Some(false) if ACCESS.contains(&kind) => DENIED,
        _ => OTHER,
    };
    let word = |name: &str| event.get(name).map(word_of).unwrap_or_default();
    // The zone is an abbreviation, which means different things in different places; but for one.
    let time = event.get("timestamp").and_then(Json::as_str).and_then(|text| {
        let local = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"))?;
        moment(&Json::from(local), UtcOffset::UTC)
    });
    let door = match (word("device-id"), word("door-id")) {
        (controller, door) if controller.is_empty() || door.is_empty() => door,
        (controller, door) => format!("{controller}/{door}"),
    };
    // What is no access has no card: the number may mean anything.
    let person = if result == OTHER { String::new() } else { word("card-number") };
    Some(Said { time, door, person, result })
}

fn rails(document: &Json) -> Option<Said> {
    let card = document.get("rfid").map(word_of).filter(|card| !card.is_empty())?;
    let word = |name: &str| document.get(name).map(word_of).unwrap_or_default();
    let door = match (word("sensor"), word("reader")) {
        (sensor, reader) if sensor.is_empty() || reader.is_empty() => sensor,
        (sensor, reader) => format!("{sensor}/{reader}"),
    };
    let time = document.get("et").and_then(|time| moment(time, UtcOffset::UTC));
    Some(Said { time, door, person: card, result: READ })
}

fn flag(json: &Json) -> Option<bool> {
    match json {
        Json::Bool(flag) => Some(*flag),
        Json::String(word) => truth(word),
        _ => None,
    }
}

/// Text from outside as the wire takes it: no control characters, not too long.
fn fit(text: &str) -> String {
    let mut out: String =
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    out.truncate(out.floor_char_boundary(MAX_TEXT_BYTES));
    out
}
