//! From a payload to the value at a path in it.

use std::fmt;

use hallwatch_model::{Missing, Value};
use serde_json::Value as Json;

use super::Point;

/// The largest payload that is looked at, in bytes.
pub const MAX_PAYLOAD: usize = 64 << 10;

/// A way into a JSON document: names of members and indices of arrays. A name that ends in `?` is of
/// a member that not every version of a device has: what comes next stands in it, or beside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<String>);

impl Path {
    /// Reads `a.b?.0`; `None` when it is empty or a part of it is.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        (parts.len() <= 16 && parts.iter().all(|part| !matches!(part.as_str(), "" | "?")))
            .then_some(Self(parts))
    }

    /// What stands there; `None` when nothing does.
    #[must_use]
    pub fn find<'a>(&self, document: &'a Json) -> Option<&'a Json> {
        self.0.iter().try_fold(document, |at, part| match at {
            Json::Object(members) => match part.strip_suffix('?') {
                Some(part) => Some(members.get(part).unwrap_or(at)),
                None => members.get(part),
            },
            Json::Array(elements) => elements.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// A payload as JSON; what is no JSON is a bare text, as many sensors send it. `None` when it is
/// too large or no UTF-8.
#[must_use]
pub fn document(payload: &[u8]) -> Option<Json> {
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    let text = std::str::from_utf8(payload).ok()?.trim();
    Some(serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned())))
}

/// What `point` is in `document`; `None` when the document does not speak of it.
#[must_use]
pub fn value(point: &Point, document: &Json) -> Option<Value> {
    let found = match &point.path {
        Some(path) => path.find(document)?,
        None => document,
    };
    Some(number(found).and_then(|number| converted(point, number)))
}

fn converted(point: &Point, number: f64) -> Value {
    if point.state {
        let state = if number == 0.0 {
            false
        } else if number == 1.0 {
            true
        } else {
            return Err(Missing::OutOfRange);
        };
        return Ok(if state != point.invert { 1.0 } else { 0.0 });
    }
    let value = number * point.scale + point.offset;
    if value.is_finite() { Ok(value) } else { Err(Missing::OutOfRange) }
}

/// A JSON value as a number. Sensors write numbers as text, and truth in many words.
fn number(json: &Json) -> Value {
    match json {
        Json::Number(number) => number.as_f64().ok_or(Missing::Malformed),
        Json::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Json::Null => Err(Missing::NotAvailable),
        Json::String(text) => text_number(text.trim()),
        Json::Array(_) | Json::Object(_) => Err(Missing::Malformed),
    }
}

fn text_number(text: &str) -> Value {
    if let Some(flag) = truth(text) {
        return Ok(f64::from(u8::from(flag)));
    }
    match text.to_ascii_lowercase().as_str() {
        "" | "nan" | "null" | "none" | "unknown" | "unavailable" => Err(Missing::NotAvailable),
        // Rust would read these as numbers.
        "inf" | "-inf" | "+inf" | "infinity" | "-infinity" | "+infinity" => {
            Err(Missing::NotAvailable)
        }
        other => other.parse().map_err(|_| Missing::Malformed),
    }
}

/// Truth in the words that sensors use, in any case; `None` for anything else.
#[must_use]
pub fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "online" | "open" | "yes" | "detected" | "wet" => Some(true),
        "false" | "off" | "offline" | "closed" | "no" | "clear" | "dry" => Some(false),
        _ => None,
    }
}

/// A text, or a number as it is written; empty for anything else.
pub(super) fn word(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// Whether an availability message says that the sensor is there: `online`, `true`,
/// `{"state": "online"}` and the like. `None` when it says neither.
#[must_use]
pub fn available(path: Option<&Path>, document: &Json) -> Option<bool> {
    let found = match path {
        Some(path) => path.find(document)?,
        None => document.get("state").unwrap_or(document),
    };
    match found {
        Json::Bool(flag) => Some(*flag),
        Json::String(text) => truth(text),
        Json::Number(number) => number.as_f64().map(|number| number != 0.0),
        _ => None,
    }
}
