//! A profile's TOML to a checked profile, with every problem at its place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use hallwatch_config::{FromValue, Invalid, Section, Source as Text, Spanned, Value, read};
use hallwatch_modbus::decode::{ByteOrder, Kind, Scale, WordOrder};
use hallwatch_modbus::plan::{Limits, PlanError, Span, plan};
use hallwatch_modbus::{Conversion, ReadError, Table};

use super::map::{self, Draft};
use super::series::{Patterns, Series};
use super::{Confidence, Point, Profile};

/// What a device can be.
const KINDS: [&str; 11] = [
    "ats",
    "battery",
    "cooling",
    "environment_sensor",
    "generator",
    "identification",
    "io_module",
    "pdu",
    "power_meter",
    "rack_power_supply",
    "ups",
];

/// The most registers of a text or list.
const MAX_LENGTH: u16 = hallwatch_modbus::request::MAX_REGISTERS;

const TABLES: [(&str, Table); 4] = [
    ("coil", Table::Coils),
    ("discrete", Table::DiscreteInputs),
    ("holding", Table::HoldingRegisters),
    ("input", Table::InputRegisters),
];

/// A point as it stands in the file.
struct Entry {
    name: Spanned<String>,
    /// Its header, for problems of the point as a whole.
    span: Range<usize>,
    place: Span,
    conversion: Conversion,
    drafts: Vec<Draft>,
    times: Option<Spanned<String>>,
}

impl Profile {
    /// Reads the profile `text`, which configurations call `name`.
    ///
    /// # Errors
    /// When there is any problem, all of them.
    pub fn parse(name: &str, text: &Text) -> Result<Self, Invalid> {
        read(text, |root| profile(name, root))
    }
}

fn profile(name: &str, root: &mut Section<'_>) -> Option<Profile> {
    let manufacturer = root.required::<String>("manufacturer");
    let model = root.required::<String>("model");
    let kind = root.required_choice("kind", &KINDS.map(|kind| (kind, kind)));
    let confidence = root.required_choice(
        "confidence",
        &[("high", Confidence::High), ("medium", Confidence::Medium), ("low", Confidence::Low)],
    );
    let sources = root.or("source", Vec::new());
    let notes = root.or("notes", Vec::new());
    let limits = root.section("limits").map_or_else(Limits::default, limits);

    let count = root.sections("point");
    let whole = count.len();
    let entries: Vec<Entry> = count.into_iter().filter_map(entry).collect();
    root.unique("point", entries.iter().map(|entry| &entry.name));
    if whole == 0 {
        let help = "add `[[point]]`, once for each value".to_owned();
        root.problem(0..0, "the profile has no points", "", Some(help));
    }

    let series = series(root, &entries);
    let points = planned(root, &entries, &series, &limits);
    let (points, plan) = points?;
    Some(Profile {
        name: name.to_owned(),
        manufacturer: manufacturer?,
        model: model?,
        kind: kind?,
        confidence: confidence?,
        sources,
        notes,
        points,
        series,
        plan,
    })
}

fn limits(mut section: Section<'_>) -> Limits {
    let most = Limits::default();
    let registers = section.ranged("max_registers", 1..=most.registers, most.registers);
    let bits = section.ranged("max_bits", 1..=most.bits, most.bits);
    let hole = section.ranged("max_hole", 0..=most.bits, most.hole);
    let mut barriers = Vec::new();
    if let Some(mut listed) = section.section("barriers") {
        for (word, table) in TABLES {
            let addresses: Vec<u16> = listed.or(word, Vec::new());
            barriers.extend(addresses.into_iter().map(|at| (table, at)));
        }
    }
    Limits { registers, bits, hole, barriers }
}

fn entry(mut section: Section<'_>) -> Option<Entry> {
    let span = section.span();
    let name = section.checked("name", |text| Ok::<_, String>(text.to_owned()));
    let table = section.required_choice("table", &TABLES);
    let address = section.required::<u16>("address");
    let conversion = conversion(&mut section, table);
    let times = section.checked_optional("times", |text| Ok::<_, String>(text.to_owned()));
    let drafts = map::drafts(&mut section, conversion.as_ref().map(|found| found.kind));
    let (table, address, conversion) = (table?, address?, conversion?);
    let place = Span { table, address, width: conversion.kind.width() };
    Some(Entry { name: name?, span, place, conversion, drafts, times })
}

fn conversion(section: &mut Section<'_>, table: Option<Table>) -> Option<Conversion> {
    let length = section.optional_ranged("length", 1..=MAX_LENGTH);
    let is_bits = table.map(Table::is_bits);
    let kind = section.required_choice(
        "type",
        &[
            ("bool", Kind::Bool),
            ("u16", Kind::U16),
            ("i16", Kind::I16),
            ("u32", Kind::U32),
            ("i32", Kind::I32),
            ("u64", Kind::U64),
            ("i64", Kind::I64),
            ("f16", Kind::F16),
            ("f32", Kind::F32),
            ("f64", Kind::F64),
            ("bcd16", Kind::Bcd16),
            ("bcd32", Kind::Bcd32),
            ("text", Kind::Text { registers: length.unwrap_or(1) }),
            ("words", Kind::Words { registers: length.unwrap_or(1) }),
        ],
    );
    if is_bits.is_some_and(|bits| kind.is_some_and(|kind| bits != (kind == Kind::Bool))) {
        let span = section.value("type").map_or(0..0, |value| value.span());
        let help = "`bool` is for coils and discrete inputs, all others are for registers";
        section.problem(span, "the type does not fit the table", "", Some(help.to_owned()));
    }
    let is_long = matches!(kind, Some(Kind::Text { .. } | Kind::Words { .. }));
    if kind.is_some() && is_long != section.has("length") {
        let help = "`length`, in registers, is for `text` and `words` and only for them";
        let span = section.value("length").map_or_else(|| section.span(), |value| value.span());
        section.problem(span, "the type has no such length", "", Some(help.to_owned()));
    }
    let words = section.choice(
        "words",
        &[("high_first", WordOrder::HighFirst), ("low_first", WordOrder::LowFirst)],
        WordOrder::HighFirst,
    );
    let bytes = section.choice(
        "bytes",
        &[("high_first", ByteOrder::HighFirst), ("low_first", ByteOrder::LowFirst)],
        ByteOrder::HighFirst,
    );
    let scale = Scale::new(section.or("scale", 1.0));
    let offset = section.or("offset", 0.0);
    let not_available = patterns(section, "not_available");
    let min = section.or("min", f64::NEG_INFINITY);
    let max = section.or("max", f64::INFINITY);
    if min > max {
        let span = section.value("min").map_or(0..0, |value| value.span());
        section.problem(span, "`min` is above `max`", "no value can be plausible", None);
    }
    Some(Conversion { kind: kind?, words, bytes, scale, offset, not_available, min, max })
}

/// The list of numbers and ranges of numbers at `key`.
pub(super) fn patterns(section: &mut Section<'_>, key: &str) -> Patterns {
    let listed: Vec<Pattern> = section.or(key, Vec::new());
    listed.into_iter().map(|pattern| pattern.0).collect()
}

/// A number (`0xffff`), or one too large for TOML or a range as text (`"0x8000-0xffff"`).
pub(super) struct Pattern(pub(super) std::ops::RangeInclusive<u64>);

impl FromValue for Pattern {
    fn example() -> String {
        "0xffff".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        if value.as_str().is_none() {
            let number = u64::from_value(value)?;
            return Some(Self(number..=number));
        }
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(number(first)?..=number(last)?).filter(|range| !range.is_empty())
        };
        let checked =
            value.checked(|text| range(text).ok_or("write a number or a range, 0x8000-0xffff"))?;
        Some(Self(checked.value))
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// All series of all points; two may not be the same.
fn series(root: &mut Section<'_>, entries: &[Entry]) -> Vec<Series> {
    let names: BTreeMap<&str, usize> =
        entries.iter().zip(0..).map(|(entry, index)| (entry.name.value.as_str(), index)).collect();
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (entry, point) in entries.iter().zip(0..) {
        let times = entry.times.as_ref().and_then(|name| {
            let found = names.get(name.value.as_str()).copied();
            if found.is_none() {
                root.no_such("point", name, names.keys().copied());
            }
            found
        });
        for draft in &entry.drafts {
            if !seen.insert(draft.labels.clone()) {
                let message = format!("two points become {}", draft.labels);
                let help = "give one of them a label that tells them apart".to_owned();
                root.problem(draft.span.clone(), message, "used before", Some(help));
            }
            all.push(draft.series(point, times));
        }
    }
    all
}

/// Plans the reads of the points that series depend on.
fn planned(
    root: &mut Section<'_>,
    entries: &[Entry],
    series: &[Series],
    limits: &Limits,
) -> Option<(Vec<Point>, hallwatch_modbus::Plan)> {
    let used: BTreeSet<usize> = series.iter().flat_map(|one| one.source.points()).collect();
    let spans: Vec<Span> =
        used.iter().filter_map(|index| Some(entries.get(*index)?.place)).collect();
    let plan = match plan(&spans, limits) {
        Ok(plan) => plan,
        Err(error) => {
            let (index, message) = refused(&error);
            let entry = used.iter().nth(index).and_then(|index| entries.get(*index));
            root.problem(entry.map_or(0..0, |entry| entry.span.clone()), message, "", None);
            return None;
        }
    };
    let places: BTreeMap<usize, _> = used.into_iter().zip(plan.places.iter().copied()).collect();
    let points = entries.iter().zip(0..).map(|(entry, index)| Point {
        conversion: entry.conversion.clone(),
        place: places.get(&index).copied(),
    });
    Some((points.collect(), plan))
}

/// Which of the planned points cannot be read, and why.
fn refused(error: &PlanError) -> (usize, String) {
    match error {
        PlanError::Span { index, source: ReadError::End { .. } } => {
            (*index, "the point ends past address 65535".to_owned())
        }
        PlanError::Span { index, source } => (*index, source.to_string()),
        PlanError::Width { index, width, limit } => {
            (*index, format!("the point has {width} registers, `limits` allows {limit}"))
        }
        PlanError::Barrier { index, barrier } => {
            (*index, format!("the point lies across the barrier at {barrier}"))
        }
    }
}
