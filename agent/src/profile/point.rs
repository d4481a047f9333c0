//! One `[[point]]` of a profile's TOML: its place, its conversion, and what it has to do with
//! others.

use std::ops::Range;

use hallwatch_config::{FromValue, Section, Spanned, Value};
use hallwatch_modbus::decode::{ByteOrder, DateFormat, Field, Function, Kind, Scale, WordOrder};
use hallwatch_modbus::plan::Span;
use hallwatch_modbus::{Conversion, Table};

use super::file::{Pattern, patterns};
use super::identity::Show;
use super::map::{self, Draft};
use super::series::Patterns;

/// The most registers of a text or list.
const MAX_LENGTH: u16 = hallwatch_modbus::request::MAX_REGISTERS;
/// The most copies of a repeated point.
const MAX_REPEAT: u16 = 512;

/// What tables are called.
pub(super) const TABLES: [(&str, Table); 4] = [
    ("coil", Table::Coils),
    ("discrete", Table::DiscreteInputs),
    ("holding", Table::HoldingRegisters),
    ("input", Table::InputRegisters),
];

pub(super) const WORDS: [(&str, WordOrder); 2] =
    [("high_first", WordOrder::HighFirst), ("low_first", WordOrder::LowFirst)];
const BYTES: [(&str, ByteOrder); 2] =
    [("high_first", ByteOrder::HighFirst), ("low_first", ByteOrder::LowFirst)];

/// What holds for all points that do not say otherwise.
#[derive(Clone, Copy, Default)]
pub(super) struct Defaults {
    table: Option<Table>,
    words: WordOrder,
    bytes: ByteOrder,
}

impl Defaults {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        Self {
            table: section.optional_choice("table", &TABLES),
            words: section.choice("words", &WORDS, WordOrder::HighFirst),
            bytes: section.choice("bytes", &BYTES, ByteOrder::HighFirst),
        }
    }
}

/// A point as it stands in the file.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: Spanned<String>,
    /// What follows its name in the copies of a repeated point.
    pub(super) suffix: String,
    /// Its header, for problems of the point as a whole.
    pub(super) span: Range<usize>,
    pub(super) place: Span,
    /// The SunSpec model that the address counts from: its number and which of several.
    pub(super) model: Option<(u16, u16)>,
    pub(super) conversion: Conversion,
    pub(super) drafts: Vec<Draft>,
    pub(super) identity: Option<(String, Show)>,
    pub(super) relations: Relations,
}

/// Other points by name.
#[derive(Clone, Default)]
pub(super) struct Relations {
    pub(super) exponent: Option<Spanned<String>>,
    pub(super) fahrenheit: Option<Spanned<String>>,
    pub(super) times: Vec<Spanned<String>>,
    pub(super) plus: Vec<Spanned<String>>,
    pub(super) valid: Option<Condition>,
}

/// What another point must say.
#[derive(Clone)]
pub(super) struct Condition {
    pub(super) point: Spanned<String>,
    pub(super) field: Field,
    pub(super) values: Patterns,
}

/// One name, or several.
struct Names(Vec<Spanned<String>>);

impl FromValue for Names {
    fn example() -> String {
        "\"rating\"".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        if value.as_str().is_some() {
            return Spanned::from_value(value).map(|name| Self(vec![name]));
        }
        Vec::from_value(value).map(Self)
    }
}

/// The point in `section`, or its copies when it is repeated.
pub(super) fn entries(mut section: Section<'_>, defaults: Defaults) -> Vec<Entry> {
    let span = section.span();
    let name = section.checked("name", |text| Ok::<_, String>(text.to_owned()));
    let table = match defaults.table {
        Some(table) => Some(section.choice("table", &TABLES, table)),
        None => section.required_choice("table", &TABLES),
    };
    let model = section.optional_ranged("model", 1..=u16::MAX - 1);
    let instance = section.optional_ranged("instance", 1..=64u16);
    if instance.is_some() && model.is_none() {
        section.problem(span.clone(), "`instance` is of a `model`, which is missing", "", None);
    }
    let address = section.required::<u16>("address");
    let conversion = conversion(&mut section, table, defaults);
    let kind = conversion.as_ref().map(|found| found.kind);
    let relations = relations(&mut section);
    let identity = identity(&mut section);
    let drafts = map::drafts(&mut section, kind);
    let repeat = section.section("repeat").map(repeat);
    let (Some(name), Some(table), Some(address), Some(conversion)) =
        (name, table, address, conversion)
    else {
        return Vec::new();
    };
    let place = Span { table, address, width: conversion.kind.width() };
    let model = model.map(|model| (model, instance.unwrap_or(1)));
    let (suffix, span) = (String::new(), span);
    let entry = Entry { name, suffix, span, place, model, conversion, drafts, identity, relations };
    match repeat {
        None => vec![entry],
        Some(repeat) => repeat.copies(&mut section, &entry),
    }
}

fn relations(section: &mut Section<'_>) -> Relations {
    let mut names = |key| section.optional::<Names>(key).map_or(Vec::new(), |names| names.0);
    let (times, plus) = (names("times"), names("plus"));
    let exponent = section.optional("exponent");
    let fahrenheit = section.optional("fahrenheit");
    let valid = section.section("valid").and_then(|mut valid| {
        let point = valid.required("point");
        let bit = valid.or("bit", 0);
        let width = valid.ranged("width", 1..=64, 64);
        let values = valid.required::<Vec<Pattern>>("values")?;
        let values = values.into_iter().map(|pattern| pattern.0).collect();
        Some(Condition { point: point?, field: Field { bit, width }, values })
    });
    Relations { exponent, fahrenheit, times, plus, valid }
}

fn identity(section: &mut Section<'_>) -> Option<(String, Show)> {
    let what: Option<Spanned<String>> = section.optional("identity");
    let show = section.optional_choice("show", &Show::WORDS);
    let Some(what) = what else {
        if show.is_some() {
            let help = "`show` says how an `identity` is written; add it or drop this";
            let span = section.value("show").map_or(0..0, |value| value.span());
            section.problem(span, "nothing to show", "", Some(help.to_owned()));
        }
        return None;
    };
    if !map::may_give(&what.value) {
        let help = "write a word such as `serial`, `firmware`, `model`".to_owned();
        let message = format!("`{}` is no name of a part of an identity", what.value);
        section.problem(what.span, message, "", Some(help));
        return None;
    }
    Some((what.value, show.unwrap_or_default()))
}

/// The copies of a point.
struct Repeat {
    label: Option<Spanned<String>>,
    names: Vec<String>,
    step: u16,
}

fn repeat(mut section: Section<'_>) -> Repeat {
    let label: Option<Spanned<String>> = section.optional("label");
    let step = section.required_ranged("step", 1..=u16::MAX);
    let names: Option<Vec<String>> = section.optional("names");
    let from = section.ranged("from", 0..=MAX_REPEAT, 1);
    let count = section.optional_ranged("count", 1..=MAX_REPEAT);
    let span = section.span();
    if names.is_some() == count.is_some() {
        let help = "`names = [\"l1\", \"l2\"]`, or `count = 12` for numbers from `from` on";
        section.problem(
            span,
            "a repeated point has either `names` or `count`",
            "",
            Some(help.to_owned()),
        );
    }
    if let Some(label) = &label
        && !map::may_give(&label.value)
    {
        let message = format!("a profile cannot give the label `{}`", label.value);
        section.problem(label.span.clone(), message, "", None);
    }
    let numbers =
        || (from..).take(usize::from(count.unwrap_or(0))).map(|n| n.to_string()).collect();
    Repeat { label, names: names.unwrap_or_else(numbers), step: step.unwrap_or(1) }
}

impl Repeat {
    fn copies(&self, section: &mut Section<'_>, entry: &Entry) -> Vec<Entry> {
        let mut copies = Vec::new();
        for (name, index) in self.names.iter().zip(0u16..) {
            // A copy that is named "" is left out: some devices have gaps.
            if name.is_empty() {
                continue;
            }
            let address =
                index.checked_mul(self.step).and_then(|by| entry.place.address.checked_add(by));
            let Some(address) = address else {
                let message = format!("copy `{name}` is past address 65535");
                section.problem(entry.span.clone(), message, "", None);
                break;
            };
            let mut copy = entry.clone();
            copy.place.address = address;
            copy.suffix = format!("_{name}");
            copy.name.value = format!("{}_{name}", entry.name.value);
            for draft in &mut copy.drafts {
                if let Some(label) = &self.label {
                    draft.labels = draft.labels.with(&label.value, name);
                }
            }
            if let Some((what, _)) = &mut copy.identity {
                *what = format!("{what}_{name}");
            }
            copies.push(copy);
        }
        copies
    }
}

fn conversion(
    section: &mut Section<'_>,
    table: Option<Table>,
    defaults: Defaults,
) -> Option<Conversion> {
    let kind = kind(section, table);
    let words = section.choice("words", &WORDS, defaults.words);
    let bytes = section.choice("bytes", &BYTES, defaults.bytes);
    let scale = Scale::new(section.or("scale", 1.0));
    let offset = section.or("offset", 0.0);
    let function = section.choice(
        "function",
        &[
            ("absolute", Function::Absolute),
            ("fahrenheit", Function::Fahrenheit),
            ("four_quadrant_power_factor", Function::FourQuadrantPowerFactor),
        ],
        Function::None,
    );
    let not_available = patterns(section, "not_available");
    let out_of_range = patterns(section, "out_of_range");
    let mut means = Vec::new();
    for mut meaning in section.sections("means") {
        let raw = patterns(&mut meaning, "raw");
        let value: Option<f64> = meaning.required("value");
        if raw.is_empty() {
            meaning.problem(meaning.span(), "`raw` names no numbers", "", None);
        }
        means.extend(raw.into_iter().filter_map(|raw| Some((raw, value?))));
    }
    let min = section.or("min", f64::NEG_INFINITY);
    let max = section.or("max", f64::INFINITY);
    if min > max {
        let span = section.value("min").map_or(0..0, |value| value.span());
        section.problem(span, "`min` is above `max`", "no value can be plausible", None);
    }
    let kind = kind?;
    Some(Conversion {
        kind,
        words,
        bytes,
        scale,
        offset,
        function,
        not_available,
        out_of_range,
        means,
        min,
        max,
    })
}

fn kind(section: &mut Section<'_>, table: Option<Table>) -> Option<Kind> {
    let length = section.optional_ranged("length", 1..=MAX_LENGTH);
    let format = section.checked_optional("date", DateFormat::new).map(|date| date.value);
    let registers = length.unwrap_or(1);
    let no_date = DateFormat::default();
    let kind = section.required_choice(
        "type",
        &[
            ("bool", Kind::Bool),
            ("u16", Kind::U16),
            ("i16", Kind::I16),
            ("u32", Kind::U32),
            ("i32", Kind::I32),
            ("u48", Kind::U48),
            ("u64", Kind::U64),
            ("i64", Kind::I64),
            ("f16", Kind::F16),
            ("f32", Kind::F32),
            ("f64", Kind::F64),
            ("bcd16", Kind::Bcd16),
            ("bcd32", Kind::Bcd32),
            ("sm16", Kind::SignAndSize16),
            ("sm32", Kind::SignAndSize32),
            ("mod10k", Kind::Mod10k { registers: length.unwrap_or(2) }),
            ("date", Kind::Date(format.unwrap_or(no_date))),
            ("text", Kind::Text { registers }),
            ("words", Kind::Words { registers }),
        ],
    );
    let place = |section: &mut Section<'_>, key: &str| {
        section.value(key).map_or_else(|| section.span(), |value| value.span())
    };
    let is_bits = table.map(Table::is_bits);
    if is_bits.is_some_and(|bits| kind.is_some_and(|kind| bits != (kind == Kind::Bool))) {
        let span = place(section, "type");
        let help = "`bool` is for coils and discrete inputs, all others are for registers";
        section.problem(span, "the type does not fit the table", "", Some(help.to_owned()));
    }
    let is_long =
        matches!(kind, Some(Kind::Text { .. } | Kind::Words { .. } | Kind::Mod10k { .. }));
    if kind.is_some() && is_long != section.has("length") {
        let help = "`length`, in registers, is for `text`, `words` and `mod10k` and only for them";
        let span = place(section, "length");
        section.problem(span, "the type has no such length", "", Some(help.to_owned()));
    }
    if let Some(Kind::Mod10k { registers: 1 | 5.. }) = kind {
        let span = place(section, "length");
        section.problem(span, "`mod10k` has 2 to 4 registers", "", None);
    }
    if kind.is_some() && matches!(kind, Some(Kind::Date(_))) != section.has("date") {
        let help = "`date = \"YMDhms\"` says what the bytes of a `date` are, and only of a `date`";
        let span = place(section, "date");
        section.problem(span, "the type and `date` do not fit", "", Some(help.to_owned()));
    }
    kind
}
