//! The profiles of MQTT sensors as people read them.

use hallwatch_agent::sensor::{BadgeReader, Point, SensorProfile};
use serde_json::{Value as Json, json};

use super::super::screen::{Screen, clean};
use super::super::show;
use super::super::table::{Cell, Table, wrap};
use super::list::Row;

pub(super) fn row(profile: &SensorProfile) -> Row {
    Row {
        name: profile.name.clone(),
        protocol: "mqtt",
        kind: profile.kind,
        manufacturer: profile.manufacturer.clone(),
        model: profile.model.clone(),
        confidence: profile.confidence,
    }
}

/// Shows a profile; `before` is for people only.
pub(super) fn print(profile: &SensorProfile, before: &str, json: bool) {
    let screen = Screen::new(json);
    if json {
        screen.print_json(&describe_json(profile));
    } else {
        screen.print(&format!("{before}{}", describe(profile, screen)));
    }
}

fn describe(profile: &SensorProfile, screen: Screen) -> String {
    let mut lines = vec![
        format!("{}: {} {}", profile.name, profile.manufacturer, profile.model),
        format!("kind {}, trust {}", profile.kind, show::confidence(profile.confidence)),
    ];
    if profile.is_unverified() {
        lines.push(format!("warning: {}", show::warning(&profile.name)));
    }
    lines.push(format!("topic: {} ({{topic}} is what the site says)", profile.topic()));
    lines.extend(profile.only().map(|path| format!("only messages of one device: by {path}")));
    lines.extend(profile.availability().map(|found| format!("availability: {}", found.topic)));
    lines.extend(profile.max_age().map(|age| format!("too old after {} s", age.as_secs())));
    lines.extend(profile.events().map(|reader| format!("events: {}", word(reader))));
    lines.extend(profile.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(profile.sources.iter().map(|source| format!("source: {source}")));
    let lines: Vec<String> = lines.iter().flat_map(|line| wrap(&clean(line), 80)).collect();
    let text = format!("{}\n", lines.join("\n"));
    if profile.points().next().is_none() {
        return text;
    }
    let mut table = Table::new(["PATH", "TOPIC", "VALUE", "BECOMES"]);
    for (topic, point) in profile.points() {
        table.row([
            Cell::new(path(point)),
            Cell::new(topic),
            Cell::new(made(point)),
            Cell::new(point.labels.to_string()),
        ]);
    }
    format!("{text}\n{}", table.render(screen.paint))
}

fn word(reader: BadgeReader) -> &'static str {
    BadgeReader::WORDS.iter().find(|(_, known)| *known == reader).map_or("", |(word, _)| *word)
}

fn path(point: &Point) -> String {
    point.path.as_ref().map_or_else(|| "(all)".to_owned(), ToString::to_string)
}

/// What happens to the number.
fn made(point: &Point) -> String {
    let mut words = Vec::new();
    if point.scale != 1.0 {
        words.push(format!("× {}", show::number(point.scale)));
    }
    if point.offset != 0.0 {
        words.push(format!("+ {}", show::number(point.offset)));
    }
    if point.invert {
        words.push("inverted".to_owned());
    }
    if point.optional {
        words.push("optional".to_owned());
    }
    words.join(" ")
}

fn describe_json(profile: &SensorProfile) -> Json {
    let points = profile.points().map(|(topic, point)| {
        json!({
            "topic": topic,
            "path": point.path.as_ref().map(ToString::to_string),
            "scale": point.scale,
            "offset": point.offset,
            "invert": point.invert,
            "optional": point.optional,
            "series": point.labels.to_string(),
        })
    });
    json!({
        "name": profile.name,
        "protocol": "mqtt",
        "kind": profile.kind,
        "manufacturer": profile.manufacturer,
        "model": profile.model,
        "confidence": show::confidence(profile.confidence),
        "sources": profile.sources,
        "notes": profile.notes,
        "topic": profile.topic(),
        "only": profile.only().map(ToString::to_string),
        "availability": profile.availability().map(|found| &found.topic),
        "max_age_seconds": profile.max_age().map(|age| age.as_secs()),
        "events": profile.events().map(word),
        "points": points.collect::<Vec<_>>(),
    })
}
