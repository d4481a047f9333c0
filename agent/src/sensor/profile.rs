//! A model of MQTT sensor as data: what its topics are called and what its payloads mean.
//!
//! Sensor profiles are TOML files. Those in `agent/profiles/mqtt` are part of the program
//! ([`shipped`]); a site can bring its own. A profile has the keys of `[device.mqtt]` in a site's
//! configuration, which can say each of them otherwise, and says what the model is:
//!
//! ```toml
//! manufacturer = "Example"
//! model = "Probe 3"
//! kind = "environment_sensor"
//! confidence = "high"                      # high, medium, low
//! source = ["where the payload was read"]
//! notes = ["what a site engineer should know"]
//!
//! topic = "tele/{topic}/SENSOR"            # `{topic}` is what the site says; alone when not given
//! availability = { topic = "tele/{topic}/LWT", path = "state" }
//! max_age = "15m"
//! partial = false                          # a message holds only what changed
//! retained = "ignore"                      # or "use"
//! time = { path = "Time", zone = "+01:00" }
//! events = "esp-rfid"                      # a badge reader: esp-rfid, uhppoted, rails
//! only = { path = "id", is = "7" }         # of many on one topic; `is` is often the site's to say
//! points = [
//!     { path = "battery", metric = "sensor_battery_ratio", scale = 0.01, optional = true },
//!     { topic = "{topic}/door", metric = "access_door_open", invert = true },
//! ]
//! ```
//!
//! A part of a `path` that ends in `?` may be absent: `a?.b` is `b` in `a`, or `b` where there is no `a`.
//! An `optional` point is not missed before it was heard: not every device of a model has it.

use std::time::Duration;

use hallwatch_config::{Invalid, Section, Source, read};

use super::description::{Author, Description, SITE_TOPIC};
use super::{Availability, BadgeReader, Path, Point};
use crate::profile::{Confidence, TRUST};

/// What an MQTT sensor can be.
const KINDS: [&str; 6] =
    ["access_reader", "door_contact", "environment_sensor", "io_module", "pdu", "power_meter"];

/// A model of sensor, checked: every metric is in the vocabulary, series are unique.
#[derive(Clone, Debug)]
pub struct SensorProfile {
    /// The name that configurations use, such as `zigbee2mqtt_climate`.
    pub name: String,
    /// Who makes the device, or the program that speaks for it.
    pub manufacturer: String,
    /// The models it is for.
    pub model: String,
    /// What the device is, such as `environment_sensor`.
    pub kind: &'static str,
    /// How far the description is to be trusted.
    pub confidence: Confidence,
    /// Where it was read.
    pub sources: Vec<String>,
    /// What a site engineer should know.
    pub notes: Vec<String>,
    description: Description,
}

impl SensorProfile {
    /// Reads the profile `text`, which configurations call `name`.
    ///
    /// # Errors
    /// When there is any problem, all of them.
    pub fn parse(name: &str, text: &Source) -> Result<Self, Invalid> {
        read(text, |root| profile(name, root))
    }

    /// The shipped profile of this name, or `None`.
    ///
    /// # Errors
    /// As [`SensorProfile::parse`]; a test sees to it that there are none.
    #[must_use]
    pub fn named(name: &str) -> Option<Result<Self, Invalid>> {
        let (name, text) = shipped().iter().find(|(shipped, _)| *shipped == name)?;
        Some(Self::parse(name, &Source::new(format!("mqtt/{name}.toml"), *text)))
    }

    /// Whether `text` describes a sensor rather than registers; not whether it does so well.
    #[must_use]
    pub fn is_one(text: &Source) -> bool {
        let found = read(text, |root| {
            root.ignore_rest();
            Some(!root.has("point") && (root.has("points") || root.has("events")))
        });
        found.unwrap_or(false)
    }

    /// Whether the description has yet to be checked at a device; to be said when it is used.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        self.confidence == Confidence::Low
    }

    /// Its topic, with `{topic}` for what the site names.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.description.topic.as_deref().unwrap_or(SITE_TOPIC)
    }

    /// Where it says whether it is there.
    #[must_use]
    pub fn availability(&self) -> Option<&Availability> {
        self.description.availability.as_ref()
    }

    /// A value that was not renewed for so long is missing; none: what sensors have otherwise.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.description.max_age
    }

    /// Which badge reader it is, when it is one.
    #[must_use]
    pub fn events(&self) -> Option<BadgeReader> {
        self.description.events
    }

    /// Where its messages say which device they are from, when several are on one topic.
    #[must_use]
    pub fn only(&self) -> Option<&Path> {
        self.description.only.path.as_ref()
    }

    /// Its points, each with its topic.
    pub fn points(&self) -> impl Iterator<Item = (&str, &Point)> {
        let points = self.description.points.iter();
        points.map(|one| (one.topic.as_deref().unwrap_or(self.topic()), &one.point))
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }
}

/// Names and texts of all shipped sensor profiles, by name: the files of `agent/profiles/mqtt`.
#[must_use]
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    include!(concat!(env!("OUT_DIR"), "/shipped_mqtt.rs"))
}

fn profile(name: &str, root: &mut Section<'_>) -> Option<SensorProfile> {
    let manufacturer = root.required::<String>("manufacturer");
    let model = root.required::<String>("model");
    let kind = root.required_choice("kind", &KINDS.map(|kind| (kind, kind)));
    let confidence = root.required_choice("confidence", &TRUST);
    let sources = root.or("source", Vec::new());
    let notes = root.or("notes", Vec::new());
    let description = Description::read(root, Author::Profile, true);
    Description::must_tell(root);
    Some(SensorProfile {
        name: name.to_owned(),
        manufacturer: manufacturer?,
        model: model?,
        kind: kind?,
        confidence: confidence?,
        sources,
        notes,
        description: description?,
    })
}
