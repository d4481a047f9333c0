//! What a sensor was last heard to say, and for how long that holds.
//!
//! Sensors speak when something changes, or every few minutes. Between two messages the last
//! value holds, and is told again in a slow rhythm, until it is older than the sensor's `max_age`.

use std::time::Duration;

use hallwatch_model::{Event, Missing, Timestamp, Uptime, Value};
use serde_json::Value as Json;

use super::{Point, Sensor, payload};

/// A value that did not change is told again after this.
const REPEAT: Duration = Duration::from_secs(30);

/// What was last heard from a sensor.
#[derive(Debug)]
pub struct SensorState {
    points: Vec<Held>,
    available: Option<bool>,
    repeat_at: Uptime,
    told_up: Option<bool>,
}

#[derive(Debug)]
struct Held {
    value: Value,
    heard: Uptime,
    /// It was never spoken of, and does not have to be.
    unknown: bool,
}

/// What follows from a message, or from time passing.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    /// Points by their index, with values to tell.
    pub points: Vec<(usize, Timestamp, Value)>,
    /// Whether the sensor is there, when that is to be told.
    pub up: Option<bool>,
    /// Something at a door.
    pub event: Option<Event>,
    /// It was time to tell again what holds.
    pub repeated: bool,
    /// The message could not be used, and why in a word.
    pub error: Option<&'static str>,
}

impl SensorState {
    /// Nothing heard yet: every point is missing once `max_age` has passed.
    #[must_use]
    pub fn new(sensor: &Sensor, now: Uptime) -> Self {
        let held = |point: &Point| Held {
            value: Err(Missing::NotAvailable),
            heard: now,
            unknown: point.optional,
        };
        Self {
            points: sensor.points.iter().map(held).collect(),
            available: None,
            repeat_at: now,
            told_up: None,
        }
    }

    /// Takes a message.
    pub fn message(
        &mut self,
        sensor: &Sensor,
        device: &str,
        topic: &str,
        payload: &[u8],
        retained: bool,
        clocks: (Timestamp, Uptime),
    ) -> Heard {
        let (now, uptime) = clocks;
        let mut heard = Heard::default();
        let Some(document) = payload::document(payload) else {
            heard.error = Some("malformed");
            return heard;
        };
        if let Some(availability) = &sensor.availability
            && availability.topic == topic
            && let Some(available) = payload::available(availability.path.as_ref(), &document)
        {
            self.available(available, now, uptime, &mut heard);
        }
        if sensor.only.as_ref().is_some_and(|only| !only.has(&document)) {
            return heard;
        }
        if let Some((reader, badge)) = &sensor.badge
            && badge == topic
            && !retained
        {
            heard.event = reader.event(device, &document, now);
        }
        self.values(sensor, topic, &document, retained, clocks, &mut heard);
        heard
    }

    fn values(
        &mut self,
        sensor: &Sensor,
        topic: &str,
        document: &Json,
        retained: bool,
        (now, uptime): (Timestamp, Uptime),
        heard: &mut Heard,
    ) {
        let own = sensor.time.as_ref().and_then(|field| field.read(document, now));
        if retained && own.is_none() && !sensor.use_retained {
            return;
        }
        let time = own.unwrap_or(now);
        if now.since(time) > sensor.max_age {
            return;
        }
        let points = sensor.points.iter().zip(&mut self.points).enumerate();
        for (index, (point, held)) in points.filter(|(_, (point, _))| point.topic == topic) {
            let value = match payload::value(point, document) {
                Some(value) => value,
                None if sensor.partial || point.optional => continue,
                None => Err(Missing::NotAvailable),
            };
            *held = Held { value, heard: uptime, unknown: false };
            heard.points.push((index, time, value));
        }
        if !heard.points.is_empty() && self.available != Some(false) && self.told_up != Some(true) {
            self.told_up = Some(true);
            heard.up = Some(true);
        }
    }

    fn available(&mut self, available: bool, now: Timestamp, uptime: Uptime, heard: &mut Heard) {
        if self.available == Some(available) {
            return;
        }
        self.available = Some(available);
        self.told_up = Some(available);
        heard.up = Some(available);
        if !available {
            let known = self.points.iter_mut().enumerate().filter(|(_, held)| !held.unknown);
            for (index, held) in known {
                *held = Held { value: Err(Missing::DeviceOffline), heard: uptime, unknown: false };
                heard.points.push((index, now, held.value));
            }
        }
    }

    /// What is to be told without a message: values that became too old, and all of them once in
    /// a while.
    pub fn tick(&mut self, sensor: &Sensor, now: Timestamp, uptime: Uptime) -> Heard {
        let mut heard = Heard::default();
        let repeat = uptime >= self.repeat_at;
        let mut old = 0;
        for (index, held) in self.points.iter_mut().enumerate() {
            let too_old = uptime.since(held.heard) >= sensor.max_age;
            old += usize::from(too_old);
            let expired = too_old && held.value.is_ok();
            if expired {
                held.value = Err(Missing::Timeout);
            }
            // What was never heard is not told before it should have been.
            let silent = held.unknown || held.value == Err(Missing::NotAvailable) && !too_old;
            if expired || (repeat && !silent) {
                heard.points.push((index, now, held.value));
            }
        }
        heard.repeated = repeat;
        if repeat {
            self.repeat_at = uptime + REPEAT;
            let silent = !self.points.is_empty() && old == self.points.len();
            match self.available {
                Some(false) => self.told_up = Some(false),
                _ if silent => self.told_up = Some(false),
                _ => {}
            }
            heard.up = self.told_up;
        }
        heard
    }
}
