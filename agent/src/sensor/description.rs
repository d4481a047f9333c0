//! The keys of a sensor: a site's configuration and a profile say them alike.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use hallwatch_config::Section;
use hallwatch_model::Labels;
use hallwatch_model::vocabulary::{self, Kind, METRICS};
use time::UtcOffset;

use super::{Availability, BadgeReader, Only, Path, Point, Sensor, TimeField};
use crate::config::label_value;

/// Labels that are not the sensor's to give.
const RESERVED: [&str; 8] =
    ["__name__", "tenant", "site", "agent", "device", "room", "rack", "feed"];
/// What stands in a profile's topics for the topic that the site names.
pub(crate) const SITE_TOPIC: &str = "{topic}";
/// How old a value may become where nothing is said.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Who describes a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// A site's configuration: its topics are topics.
    Site,
    /// A profile: its topics have [`SITE_TOPIC`] in them.
    Profile,
}

impl Author {
    fn topic(self) -> fn(&str) -> Result<String, &'static str> {
        match self {
            Self::Site => topic,
            Self::Profile => pattern,
        }
    }
}

/// What is said of a sensor; none where nothing is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    /// The topic of `events` and of points that have no other.
    pub(crate) topic: Option<String>,
    pub(crate) availability: Option<Availability>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) partial: Option<bool>,
    pub(crate) retained: Option<bool>,
    pub(crate) time: Option<TimeField>,
    pub(crate) events: Option<BadgeReader>,
    pub(crate) only: Part,
    pub(crate) points: Vec<Described>,
}

/// What is said of [`Only`]: often a profile knows where to look, and a site what has to stand there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    pub(crate) path: Option<Path>,
    pub(crate) is: Option<String>,
}

/// A point whose topic may be that of its sensor.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) topic: Option<String>,
    pub(crate) point: Point,
    span: Range<usize>,
}

impl Description {
    /// Reads all keys of a sensor; `has_topic` says whether `topic` is known from elsewhere.
    pub(crate) fn read(section: &mut Section<'_>, by: Author, has_topic: bool) -> Option<Self> {
        let topic = section.checked_optional("topic", by.topic()).map(|topic| topic.value);
        let topic_is_right = topic.is_some() || !section.has("topic");
        let has_topic = has_topic || section.has("topic");
        let availability = section.section("availability").map(|mut inner| {
            let topic = inner.checked("topic", by.topic());
            let path = inner.checked_optional("path", path);
            Some(Availability { topic: topic?.value, path: path.map(|path| path.value) })
        });
        let longest = Duration::from_secs(7 * 24 * 3600);
        let max_age = section.optional_ranged("max_age", Duration::from_secs(1)..=longest);
        let partial = section.optional("partial");
        let retained = section.optional_choice("retained", &[("ignore", false), ("use", true)]);
        let time = section.section("time").map(time);
        let events = section.optional_choice("events", &BadgeReader::WORDS);
        let only = section.section("only").map(part).unwrap_or_default();
        let points: Vec<Option<Described>> = section
            .sections("points")
            .into_iter()
            .map(|inner| point(inner, by, has_topic))
            .collect();
        if section.has("events") && !has_topic {
            let help = Some("add `topic = \"…\"`".to_owned());
            section.problem(section.span(), "`events` needs `topic`", "", help);
        }
        let mut seen = BTreeSet::new();
        for Described { point, span, .. } in points.iter().flatten() {
            if !seen.insert(&point.labels) {
                let help = Some("give them labels that differ".to_owned());
                let message = format!("two points make the same series `{}`", point.labels);
                section.problem(span.clone(), message, "used before", help);
            }
        }
        let availability = match availability {
            None => None,
            Some(read) => Some(read?),
        };
        let time = match time {
            None => None,
            Some(read) => Some(read?),
        };
        let points = points.into_iter().collect::<Option<_>>()?;
        topic_is_right.then_some(Self {
            topic,
            availability,
            max_age,
            partial,
            retained,
            time,
            events,
            only,
            points,
        })
    }

    /// Records that nothing is told, in a section that has no more than this.
    pub(crate) fn must_tell(section: &mut Section<'_>) {
        if !section.has("points") && !section.has("events") {
            let help = "add `points = [ { path = \"temperature\", metric = \"…\" } ]`".to_owned();
            let message = match section.path() {
                "" => "the profile has neither points nor events",
                _ => "the sensor has neither points nor events",
            };
            section.problem(section.span(), message, "", Some(help));
        }
    }

    /// The description of a profile where the site's topic is `site`.
    ///
    /// # Errors
    /// When a topic becomes none.
    pub(crate) fn placed(&self, site: &str) -> Result<Self, &'static str> {
        let placed = |pattern: &str| topic(&pattern.replace(SITE_TOPIC, site));
        let mut whole = self.clone();
        whole.topic = Some(placed(self.topic.as_deref().unwrap_or(SITE_TOPIC))?);
        if let Some(availability) = &mut whole.availability {
            availability.topic = placed(&availability.topic)?;
        }
        for point in &mut whole.points {
            point.topic = point.topic.as_deref().map(placed).transpose()?;
        }
        Ok(whole)
    }

    /// This with all that `site` says otherwise. A point takes the place of one that makes the
    /// same series.
    pub(crate) fn overridden(self, site: Self) -> Self {
        let mut points = self.points;
        for new in site.points {
            match points.iter_mut().find(|old| old.point.labels == new.point.labels) {
                Some(old) => *old = new,
                None => points.push(new),
            }
        }
        Self {
            topic: self.topic.or(site.topic),
            availability: site.availability.or(self.availability),
            max_age: site.max_age.or(self.max_age),
            partial: site.partial.or(self.partial),
            retained: site.retained.or(self.retained),
            time: site.time.or(self.time),
            events: site.events.or(self.events),
            only: Part {
                path: site.only.path.or(self.only.path),
                is: site.only.is.or(self.only.is),
            },
            points,
        }
    }

    /// The sensor; `None` when a topic is missing.
    pub(crate) fn sensor(self) -> Option<Sensor> {
        let topic = self.topic;
        let points = self.points.into_iter().map(|described| {
            let topic = described.topic.or_else(|| topic.clone())?;
            Some(Point { topic, ..described.point })
        });
        let points = points.collect::<Option<_>>()?;
        Some(Sensor {
            unverified: None,
            points,
            only: self.only.path.zip(self.only.is).map(|(path, is)| Only { path, is }),
            availability: self.availability,
            max_age: self.max_age.unwrap_or(MAX_AGE),
            partial: self.partial.unwrap_or(false),
            use_retained: self.retained.unwrap_or(false),
            time: self.time,
            badge: self.events.zip(topic),
        })
    }
}

fn point(mut section: Section<'_>, by: Author, has_topic: bool) -> Option<Described> {
    let span = section.span();
    let topic = section.checked_optional("topic", by.topic()).map(|topic| topic.value);
    if !section.has("topic") && !has_topic {
        let help = Some("add `topic = \"…\"` here or to the sensor".to_owned());
        section.problem(span.clone(), "the point has no topic", "", help);
    }
    let path = section.checked_optional("path", path).map(|path| path.value);
    let name = section.checked("metric", |text| Ok::<_, String>(text.to_owned()));
    let metric = name.as_ref().and_then(|name| {
        let found = vocabulary::find(name);
        if found.is_none() {
            section.no_such("metric", name, METRICS.iter().map(|metric| metric.name));
        }
        found
    });
    let scale = section.ranged("scale", -1e12..=1e12, 1.0);
    let offset = section.ranged("offset", -1e12..=1e12, 0.0);
    if scale == 0.0
        && let Some(value) = section.value("scale")
    {
        section.problem(value.span(), "`scale` must not be zero", "zero", None);
    }
    let invert = section.or("invert", false);
    if invert
        && let Some(value) = section.value("invert")
        && metric.is_some_and(|metric| metric.kind != Kind::State)
    {
        let message = "only a state can be inverted, not a number";
        section.problem(value.span(), message, "not a state", None);
    }
    let optional = section.or("optional", false);
    let labels = labels(&mut section);
    let metric = metric?;
    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let labels = Labels::metric(metric.name, pairs);
    let state = metric.kind == Kind::State;
    // The topic is known when it is known whose point it becomes.
    let point =
        Point { topic: String::new(), path, labels, scale, offset, invert, optional, state };
    Some(Described { topic, point, span })
}

fn labels(section: &mut Section<'_>) -> BTreeMap<String, String> {
    let entries = section.value("labels").and_then(|value| value.entries()).unwrap_or_default();
    let mut labels = BTreeMap::new();
    for (name, value) in entries {
        let first = name.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first || !name.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message = format!("`{}` cannot be the name of a label", name.value);
            let help = Some("only letters, digits and `_`, no digit first".to_owned());
            section.problem(name.span.clone(), message, "not a label", help);
        } else if RESERVED.contains(&name.value.as_str()) {
            let message = format!("the label `{}` is not the sensor's to give", name.value);
            section.problem(name.span.clone(), message, "reserved", None);
        }
        if let Some(value) = value.checked(label_value) {
            labels.insert(name.value, value.value);
        }
    }
    labels
}

fn part(mut section: Section<'_>) -> Part {
    let path = section.checked_optional("path", path).map(|path| path.value);
    let is = section.checked_optional("is", |text| match text {
        "" => Err("it is empty"),
        text => Ok(text.to_owned()),
    });
    Part { path, is: is.map(|is| is.value) }
}

fn time(mut section: Section<'_>) -> Option<TimeField> {
    let path = section.checked("path", path);
    let zone = section.checked_optional("zone", zone);
    Some(TimeField { path: path?.value, zone: zone.map_or(UtcOffset::UTC, |zone| zone.value) })
}

/// `+01:00`, `-0330` is refused, `Z` is UTC. Names of zones would need a database that changes.
fn zone(text: &str) -> Result<UtcOffset, &'static str> {
    const WANTED: &str = "a zone is `Z` or an offset such as `+01:00`";
    if text == "Z" {
        return Ok(UtcOffset::UTC);
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(WANTED),
    };
    let (hours, minutes) = rest.split_once(':').ok_or(WANTED)?;
    let number = |text: &str| {
        if text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) {
            text.parse::<i8>().map_err(|_| WANTED)
        } else {
            Err(WANTED)
        }
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 14 || minutes > 59 {
        return Err("a zone is at most 14 hours away from UTC");
    }
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).map_err(|_| WANTED)
}

/// A topic to subscribe to: one topic, no wildcards, so that each message has one meaning.
pub(crate) fn topic(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > 1_000 {
        Err("it is longer than 1000 bytes")
    } else if text.contains(['+', '#']) {
        Err("it has a wildcard, write one topic")
    } else if text.chars().any(char::is_control) {
        Err("it has a control character")
    } else {
        Ok(text.to_owned())
    }
}

/// A topic in a profile: it says where the site's goes, or two devices would hear each other.
fn pattern(text: &str) -> Result<String, &'static str> {
    if text.contains(SITE_TOPIC) {
        topic(text)
    } else {
        Err("it has no `{topic}`, where the site's goes")
    }
}

fn path(text: &str) -> Result<Path, &'static str> {
    Path::new(text).ok_or("a path is names or numbers with `.` between them")
}
