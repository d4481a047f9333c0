//! MQTT sensors: from a message to values, pure. Reading order: [`payload`], [`moment`],
//! [`badge`], here what a sensor is and what it becomes over time, then how it is described
//! ([`profile`]).

pub mod badge;
pub(crate) mod description;
mod memory;
pub mod moment;
pub mod payload;
pub mod profile;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hallwatch_model::Labels;

pub use badge::BadgeReader;
pub use memory::{Heard, SensorState};
pub use moment::TimeField;
pub use payload::Path;
pub use profile::SensorProfile;

/// What the messages of a sensor mean.
#[derive(Clone, Debug)]
pub struct Sensor {
    /// The profile that it has, when that was never checked at a device: to be said when it is used.
    pub unverified: Option<String>,
    /// Its values.
    pub points: Vec<Point>,
    /// Which messages are its own, where several devices speak on one topic.
    pub only: Option<Only>,
    /// Where it says whether it is there.
    pub availability: Option<Availability>,
    /// A value that was not renewed for so long is missing.
    pub max_age: Duration,
    /// A message holds only what changed; what it does not hold stays as it was. Otherwise what a
    /// message does not hold is not available.
    pub partial: bool,
    /// Whether a message that the broker kept for later subscribers, and that has no time of its
    /// own, is believed. Its age is unknown.
    pub use_retained: bool,
    /// Where a message says when it was measured.
    pub time: Option<TimeField>,
    /// It is a badge reader, on this topic.
    pub badge: Option<(BadgeReader, String)>,
}

/// What is said in each message of a device, and in none of its neighbours'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// Where.
    pub path: Path,
    /// A text, or a number as it is written.
    pub is: String,
}

impl Only {
    /// Whether a message is the device's.
    #[must_use]
    pub fn has(&self, document: &serde_json::Value) -> bool {
        self.path.find(document).is_some_and(|found| payload::word(found) == self.is)
    }
}

/// Where a sensor (or its bridge) says whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// The topic.
    pub topic: String,
    /// Where in the message; without it `{"state": …}` and bare texts are understood.
    pub path: Option<Path>,
}

/// One value in the messages of a sensor.
#[derive(Clone, Debug)]
pub struct Point {
    /// The topic.
    pub topic: String,
    /// Where in the message; none when the message is the value.
    pub path: Option<Path>,
    /// Metric and labels, without the device's.
    pub labels: Labels,
    /// value = number × scale + offset.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
    /// 1 becomes 0 and 0 becomes 1.
    pub invert: bool,
    /// Not every device of the model has it: it is not missed before it was heard.
    pub optional: bool,
    /// The metric is a state: only 0 and 1 are possible.
    pub state: bool,
}

impl Sensor {
    /// All topics to subscribe to, sorted, each once.
    #[must_use]
    pub fn topics(&self) -> Vec<&str> {
        let points = self.points.iter().map(|point| point.topic.as_str());
        let availability = self.availability.iter().map(|found| found.topic.as_str());
        let badge = self.badge.iter().map(|(_, topic)| topic.as_str());
        let mut topics: Vec<&str> = points.chain(availability).chain(badge).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}
