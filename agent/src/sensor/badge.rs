//! Badge readers: messages that are events. Persons are in them: they go into
//! [`hallwatch_model::Event`]s and into nothing else, no label and no log line.

use hallwatch_model::wire::MAX_TEXT_BYTES;
use hallwatch_model::{Event, Timestamp};
use serde_json::Value as Json;
use time::UtcOffset;

use super::moment::moment;
use super::payload::truth;

/// A make of badge reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeReader {
    /// ESP-RFID: one topic for all kinds of messages; `type` says which.
    EspRfid,
}

/// The results that a badge reader can report.
pub const RESULTS: [&str; 2] = ["granted", "denied"];

impl BadgeReader {
    /// The event that a message tells of; `None` when it tells of something else, such as a
    /// heartbeat.
    #[must_use]
    pub fn event(self, device: &str, document: &Json, now: Timestamp) -> Option<Event> {
        let Self::EspRfid = self;
        let text = |name: &str| document.get(name).and_then(Json::as_str).unwrap_or_default();
        if text("type") != "access" {
            return None;
        }
        let known = match document.get("isKnown") {
            Some(Json::Bool(flag)) => *flag,
            Some(Json::String(word)) => truth(word) == Some(true),
            _ => false,
        };
        // Whatever is not known to open a door is a denial: an unknown word must not hide one.
        let opens = matches!(text("access"), "Always" | "Admin");
        let person = match text("username") {
            "" | "Unknown" => text("uid"),
            name => name,
        };
        let time = document.get("time").and_then(|time| moment(time, UtcOffset::UTC));
        let door = match text("door") {
            "" => device,
            door => door,
        };
        Some(Event {
            time: time.filter(|time| *time <= now).unwrap_or(now),
            device: device.to_owned(),
            door: fit(door),
            person: fit(person),
            result: RESULTS[usize::from(!(known && opens))].to_owned(),
        })
    }
}

/// Text from outside as the wire takes it: no control characters, not too long.
fn fit(text: &str) -> String {
    let mut out: String =
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    out.truncate(out.floor_char_boundary(MAX_TEXT_BYTES));
    out
}
