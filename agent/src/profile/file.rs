//! A profile's TOML to a checked profile, with every problem at its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hallwatch_config::{FromValue, Invalid, Section, Source as Text, Spanned, Value, read};
use hallwatch_modbus::plan::Limits;

use super::parameter::{Parameter, parameters};
use super::place::{Home, Map, Placement, PlacementError, Point};
use super::point::{self, Defaults, Entry, TABLES};
use super::series::{Operand, Patterns, Series, Terms, Valid};
use super::{Confidence, Identity, Profile, hints};

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

/// How far a profile is to be trusted, in words.
pub(crate) const TRUST: [(&str, Confidence); 3] =
    [("high", Confidence::High), ("medium", Confidence::Medium), ("low", Confidence::Low)];

impl Profile {
    /// Reads the profile `text`, which configurations call `name`.
    ///
    /// # Errors
    /// When there is any problem, all of them.
    pub fn parse(name: &str, text: &Text) -> Result<Self, Invalid> {
        read(text, |root| profile(name, root))
    }

    /// Whether `text` describes registers; not whether it does so well.
    #[must_use]
    pub fn is_one(text: &Text) -> bool {
        let found = read(text, |root| {
            root.ignore_rest();
            Some(root.has("point"))
        });
        found.unwrap_or(false)
    }
}

fn profile(name: &str, root: &mut Section<'_>) -> Option<Profile> {
    let manufacturer = root.required::<String>("manufacturer");
    let model = root.required::<String>("model");
    let kind = root.required_choice("kind", &KINDS.map(|kind| (kind, kind)));
    let confidence = root.required_choice("confidence", &TRUST);
    let sources = root.or("source", Vec::new());
    let notes = root.or("notes", Vec::new());
    let connection = root.section("connection").map(hints::connection).unwrap_or_default();
    let fingerprints = root.sections("fingerprint").into_iter().filter_map(hints::fingerprint);
    let fingerprints = fingerprints.collect();
    let parameters = parameters(root);
    let limits = root.section("limits").map_or_else(Limits::default, limits);
    let defaults = root.section("defaults").map(Defaults::read).unwrap_or_default();

    let sections = root.sections("point");
    let whole = sections.len();
    let entries: Vec<Entry> =
        sections.into_iter().flat_map(|section| point::entries(section, defaults)).collect();
    root.unique("point", entries.iter().map(|entry| &entry.name));
    if whole == 0 {
        let help = "add `[[point]]`, once for each value".to_owned();
        root.problem(0..0, "the profile has no points", "", Some(help));
    }
    let names = Names::new(&entries, &parameters);
    let terms: Vec<Terms> = entries.iter().map(|entry| terms(root, entry, &names)).collect();
    circles(root, &entries, &terms);
    let series = series(root, &entries);
    let identity = identity(&entries);
    let home = |entry: &Entry| Home { model: entry.model, span: entry.place };
    let points = entries.iter().zip(terms).map(|(entry, terms)| {
        Point::new(entry.name.value.clone(), entry.conversion.clone(), home(entry), terms)
    });
    let points: Vec<Point> = points.collect();
    let map = Map { points, series, identity, parameters, limits };
    let placed = match map.check().and_then(|()| map.place(&Placement::default())) {
        Ok(placed) => Some(placed),
        Err(PlacementError::Point { index, problem, .. }) => {
            let span = entries.get(index).map_or(0..0, |entry| entry.span.clone());
            root.problem(span, format!("the point {problem}"), "", None);
            None
        }
        // The default placement sets no parameters.
        Err(PlacementError::Parameter { .. } | PlacementError::Value { .. }) => None,
    };
    Some(Profile {
        name: name.to_owned(),
        manufacturer: manufacturer?,
        model: model?,
        kind: kind?,
        confidence: confidence?,
        sources,
        notes,
        connection,
        fingerprints,
        map: Arc::new(map),
        placed: Arc::new(placed?),
    })
}

/// What can be named.
struct Names<'e> {
    points: BTreeMap<&'e str, usize>,
    parameters: BTreeMap<&'e str, usize>,
}

impl<'e> Names<'e> {
    fn new(entries: &'e [Entry], parameters: &'e [Parameter]) -> Self {
        let points = entries.iter().map(|entry| entry.name.value.as_str()).zip(0..).collect();
        let parameters = parameters.iter().map(|parameter| parameter.name.as_str());
        Self { points, parameters: parameters.zip(0..).collect() }
    }

    /// The point `name`; for a copy of a repeated point its own copy of the other comes first.
    fn point(&self, name: &str, suffix: &str) -> Option<usize> {
        let own = self.points.get(format!("{name}{suffix}").as_str());
        own.or_else(|| self.points.get(name)).copied()
    }

    fn operand(&self, name: &str, suffix: &str) -> Option<Operand> {
        let parameter = || self.parameters.get(name).copied().map(Operand::Parameter);
        self.point(name, suffix).map(Operand::Point).or_else(parameter)
    }

    fn all(&self) -> impl Iterator<Item = &'e str> {
        self.points.keys().chain(self.parameters.keys()).copied()
    }
}

/// The relations of a point, with indices in place of names.
fn terms(root: &mut Section<'_>, entry: &Entry, names: &Names<'_>) -> Terms {
    let mut operand = |name: &Spanned<String>| {
        let found = names.operand(&name.value, &entry.suffix);
        if found.is_none() {
            root.no_such("point", name, names.all());
        }
        found
    };
    let relations = &entry.relations;
    let exponent = relations.exponent.as_ref().and_then(&mut operand);
    let fahrenheit = relations.fahrenheit.as_ref().and_then(&mut operand);
    let times = relations.times.iter().filter_map(&mut operand).collect();
    let plus = relations.plus.iter().filter_map(&mut operand).collect();
    let valid = relations.valid.as_ref().and_then(|condition| {
        let found = names.point(&condition.point.value, &entry.suffix);
        if found.is_none() {
            root.no_such("point", &condition.point, names.points.keys().copied());
        }
        Some(Valid { point: found?, field: condition.field, values: condition.values.clone() })
    });
    Terms { exponent, fahrenheit, times, plus, valid }
}

/// Reports points whose value would depend on itself.
fn circles(root: &mut Section<'_>, entries: &[Entry], terms: &[Terms]) {
    for (entry, start) in entries.iter().zip(0..) {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(point) = open.pop() {
            for other in terms.get(point).into_iter().flat_map(Terms::points) {
                if other == start {
                    let message = format!("the value of `{}` depends on itself", entry.name);
                    root.problem(entry.span.clone(), message, "", None);
                    open.clear();
                    break;
                }
                if seen.insert(other) {
                    open.push(other);
                }
            }
        }
    }
}

/// What the device says of itself; of points with one name the first that has a value counts.
fn identity(entries: &[Entry]) -> Vec<Identity> {
    let named = entries.iter().zip(0..).filter_map(|(entry, point)| {
        let (what, show) = entry.identity.clone()?;
        Some(Identity { what, show, point })
    });
    named.collect()
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
    Limits { registers, bits, hole, barriers, forbidden: Vec::new() }
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
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (entry, point) in entries.iter().zip(0..) {
        for draft in &entry.drafts {
            if !seen.insert(draft.labels.clone()) {
                let message = format!("two points become {}", draft.labels);
                let help = "give one of them a label that tells them apart".to_owned();
                root.problem(draft.span.clone(), message, "used before", Some(help));
            }
            all.push(draft.series(point));
        }
    }
    all
}
