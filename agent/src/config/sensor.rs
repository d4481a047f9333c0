//! `[device.mqtt]`: which topics a sensor speaks on, and what its payloads mean.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hallwatch_config::{Section, Spanned};
use hallwatch_model::Labels;
use hallwatch_model::vocabulary::{self, Kind, METRICS};
use time::UtcOffset;

use super::device::label_value;
use crate::sensor::{Availability, BadgeReader, Path, Point, Sensor, TimeField};

/// Labels that are not the sensor's to give.
const RESERVED: [&str; 8] =
    ["__name__", "tenant", "site", "agent", "device", "room", "rack", "feed"];

pub(super) fn sensor(mut section: Section<'_>) -> Option<Sensor> {
    let topic = section.checked_optional("topic", topic).map(|topic| topic.value);
    let has_topic = section.has("topic");
    let availability = section.section("availability").map(|mut inner| {
        let topic = inner.checked("topic", self::topic);
        let path = inner.checked_optional("path", path);
        Some(Availability { topic: topic?.value, path: path.map(|path| path.value) })
    });
    let max_age = section.ranged(
        "max_age",
        Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600),
        Duration::from_secs(3600),
    );
    let partial = section.or("partial", false);
    let retained = section.choice("retained", &[("ignore", false), ("use", true)], false);
    let time = section.section("time").map(time);
    let badge = section.optional_choice("events", &BadgeReader::WORDS).filter(|_| has_topic);
    let points: Vec<Option<(Spanned<Labels>, Point)>> = section
        .sections("points")
        .into_iter()
        .map(|inner| point(inner, topic.as_deref(), has_topic))
        .collect();
    if section.has("events") && !has_topic {
        let help = Some("add `topic = \"…\"`".to_owned());
        section.problem(section.span(), "`events` needs `topic`", "", help);
    }
    if !section.has("points") && !section.has("events") {
        let help = "add `points = [ { path = \"temperature\", metric = \"…\" } ]`".to_owned();
        section.problem(section.span(), "the sensor has neither points nor events", "", Some(help));
    }
    let mut seen = BTreeSet::new();
    for (labels, _) in points.iter().flatten() {
        if !seen.insert(labels.value.clone()) {
            let help = Some("give them labels that differ".to_owned());
            let message = format!("two points make the same series `{}`", labels.value);
            section.problem(labels.span.clone(), message, "used before", help);
        }
    }
    let points: Option<Vec<Point>> =
        points.into_iter().map(|point| point.map(|(_, point)| point)).collect();
    let availability = match availability {
        None => None,
        Some(read) => Some(read?),
    };
    let time = match time {
        None => None,
        Some(read) => Some(read?),
    };
    let badge = badge.zip(topic);
    Some(Sensor {
        points: points?,
        availability,
        max_age,
        partial,
        use_retained: retained,
        time,
        badge,
    })
}

fn point(
    mut section: Section<'_>,
    shared: Option<&str>,
    has_topic: bool,
) -> Option<(Spanned<Labels>, Point)> {
    let span = section.span();
    let own = section.checked_optional("topic", topic).map(|topic| topic.value);
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
    let labels = labels(&mut section);
    let metric = metric?;
    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let labels = Labels::metric(metric.name, pairs);
    let topic = own.or_else(|| shared.map(str::to_owned))?;
    let state = metric.kind == Kind::State;
    let point = Point { topic, path, labels: labels.clone(), scale, offset, invert, state };
    Some((Spanned { value: labels, span }, point))
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
fn topic(text: &str) -> Result<String, &'static str> {
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

fn path(text: &str) -> Result<Path, &'static str> {
    Path::new(text).ok_or("a path is names or numbers with `.` between them")
}
