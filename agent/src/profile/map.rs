//! What a point becomes: the `metric`, `flags`, `bits`, `states` and `nibbles` of a profile.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use hallwatch_config::Section;
use hallwatch_modbus::decode::{Field, Kind as Type, Scale};
use hallwatch_model::Labels;
use hallwatch_model::vocabulary::{self, Kind, Metric};

use super::file::{Pattern, patterns};
use super::series::{Part, Patterns, Series, Source};

/// Labels that the agent gives.
const RESERVED: [&str; 8] =
    ["__name__", "agent", "device", "feed", "rack", "room", "site", "tenant"];

/// A series before its point has an index.
#[derive(Clone)]
pub(super) struct Draft {
    metric: &'static Metric,
    pub(super) labels: Labels,
    pub(super) span: Range<usize>,
    source: Source,
}

impl Draft {
    pub(super) fn series(&self, point: usize) -> Series {
        let (labels, source) = (self.labels.clone(), self.source.clone());
        Series { metric: self.metric, labels, point, source }
    }
}

/// Whether a profile may give this label.
pub(super) fn may_give(name: &str) -> bool {
    !RESERVED.contains(&name) && is_label(name)
}

/// All series that the point in `section` becomes.
pub(super) fn drafts(section: &mut Section<'_>, kind: Option<Type>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let last = last_bit(kind);
    if section.has("metric") {
        let wanted: &[Kind] = match kind {
            Some(Type::Bool) => &[Kind::State, Kind::Enum],
            _ => &[Kind::Gauge, Kind::Counter, Kind::State],
        };
        let inverted = section.optional::<bool>("inverted");
        let target = Target::read(section, wanted, None);
        drafts.extend(target.map(|target| target.whole(section, inverted)));
        if matches!(kind, Some(Type::Text { .. } | Type::Words { .. })) {
            let help = "give it `states` or `nibbles`, or no metric at all".to_owned();
            section.problem(section.span(), "the type has no number", "", Some(help));
        }
    }
    for mut flag in section.sections("flags") {
        let field = flag.required_ranged("bit", 0..=last).map(bit);
        let inverted = flag.or("inverted", false);
        let target = Target::read(&mut flag, &[Kind::State, Kind::Enum], None);
        if let (Some(field), Some(target)) = (field, target) {
            drafts.push(target.state(None, field, [one(u64::from(!inverted))]));
        }
    }
    for mut group in section.sections("bits") {
        let label = group.required::<String>("label");
        let names: Option<BTreeMap<String, u16>> = group.required("names");
        let target = Target::read(&mut group, &[Kind::State, Kind::Enum], label.as_deref());
        let (Some(label), Some(names), Some(target)) = (label, names, target) else { continue };
        for (name, at) in names {
            if at > last {
                let message = format!("`{name}` is bit {at}, the type's last is bit {last}");
                let span = group.value("names").map_or(0..0, |value| value.span());
                group.problem(span, message, "", None);
            }
            drafts.push(target.state(Some((&label, &name)), bit(at), [one(1)]));
        }
    }
    for mut field in section.sections("fields") {
        drafts.extend(part(&mut field, last));
    }
    for mut group in section.sections("states") {
        drafts.extend(states(&mut group, last));
    }
    if let Some(mut group) = section.section("nibbles") {
        drafts.extend(nibbles(&mut group, kind));
    }
    drafts
}

/// `bit` and `width` of a field; to the highest bit, when there is no width.
pub(super) fn field(section: &mut Section<'_>, last: u16) -> Field {
    let bit = section.ranged("bit", 0..=last, 0);
    let rest = u8::try_from(last.saturating_sub(bit) + 1).unwrap_or(64).min(64);
    let width = section.ranged("width", 1..=rest, rest);
    Field { bit, width }
}

/// A number in a field of the point's bits.
fn part(section: &mut Section<'_>, last: u16) -> Option<Draft> {
    let bit = section.required_ranged("bit", 0..=last);
    let width = section.required_ranged("width", 1..=32);
    let part = Part {
        field: Field { bit: bit.unwrap_or(0), width: width.unwrap_or(1) },
        signed: section.or("signed", false),
        scale: Scale::new(section.or("scale", 1.0)),
        offset: section.or("offset", 0.0),
        not_available: patterns(section, "not_available"),
    };
    let target = Target::read(section, &[Kind::Gauge, Kind::Counter], None)?;
    bit.and(width).map(|_| target.draft(None, Source::Part(part)))
}

/// One series for each member of an enumeration, or one for some of its members together.
fn states(section: &mut Section<'_>, last: u16) -> Vec<Draft> {
    if section.has("active") {
        return together(section, last).into_iter().collect();
    }
    let field = field(section, last);
    let label = section.required::<String>("label");
    let values: Option<BTreeMap<String, Vec<Pattern>>> = section.required("values");
    let not_available = patterns(section, "not_available");
    let target = Target::read(section, &[Kind::Enum, Kind::State], label.as_deref());
    let (Some(label), Some(values), Some(target)) = (label, values, target) else {
        return Vec::new();
    };
    let values: Vec<(String, Patterns)> = values
        .into_iter()
        .map(|(name, listed)| (name, listed.into_iter().map(|pattern| pattern.0).collect()))
        .collect();
    let known: Arc<Patterns> =
        Arc::new(values.iter().flat_map(|(_, active)| active.iter().cloned()).collect());
    let series = values.into_iter().map(|(name, active)| {
        let source = Source::State {
            field,
            active,
            known: Arc::clone(&known),
            not_available: not_available.clone(),
        };
        target.draft(Some((&label, &name)), source)
    });
    series.collect()
}

/// A state that is 1 for some members of an enumeration, and 0 for the others that are known.
fn together(section: &mut Section<'_>, last: u16) -> Option<Draft> {
    let field = field(section, last);
    let active = patterns(section, "active");
    let known: Option<Vec<Pattern>> = section.required("known");
    let not_available = patterns(section, "not_available");
    let target = Target::read(section, &[Kind::State], None)?;
    let known: Patterns = known?.into_iter().map(|pattern| pattern.0).collect();
    let meets = |range: &RangeInclusive<u64>| {
        known.iter().any(|one| one.start() <= range.end() && range.start() <= one.end())
    };
    for (key, message, is_wrong) in [
        (
            "active",
            "a value is active and not known",
            !active.iter().all(|one| covers(&known, one)),
        ),
        ("not_available", "a value is known and not there", not_available.iter().any(meets)),
    ] {
        if is_wrong {
            let help = "`known` are the values for which the state is 1 (`active`) or 0";
            let span = section.value(key).map_or(0..0, |value| value.span());
            section.problem(span, message, "", Some(help.to_owned()));
        }
    }
    let known = Arc::new(known);
    Some(target.draft(None, Source::State { field, active, known, not_available }))
}

/// Whether each number of `range` is in one of `patterns`.
fn covers(patterns: &Patterns, range: &RangeInclusive<u64>) -> bool {
    let mut next = *range.start();
    while let Some(found) = patterns.iter().find(|one| one.contains(&next)) {
        if found.end() >= range.end() {
            return true;
        }
        next = found.end().saturating_add(1);
    }
    false
}

/// One series for each named four bits, the highest first.
fn nibbles(section: &mut Section<'_>, kind: Option<Type>) -> Vec<Draft> {
    let label = section.required::<String>("label");
    let names: Option<Vec<String>> = section.required("names");
    let active = patterns(section, "active");
    let not_available = patterns(section, "not_available");
    let target = Target::read(section, &[Kind::State], label.as_deref());
    let (Some(label), Some(names), Some(target), Some(kind)) = (label, names, target, kind) else {
        return Vec::new();
    };
    let places = (0..kind.width() * 4).rev();
    if names.len() > places.len() {
        let message = format!("there are {} names for {} nibbles", names.len(), places.len());
        section.problem(section.span(), message, "", None);
    }
    let named = places.zip(names).filter(|(_, name)| !name.is_empty());
    let series = named.map(|(place, name)| {
        let source = Source::State {
            field: Field { bit: place * 4, width: 4 },
            active: active.clone(),
            known: Arc::default(),
            not_available: not_available.clone(),
        };
        target.draft(Some((&label, &name)), source)
    });
    series.collect()
}

/// The highest bit that a value of this type has; 63, when the type is not known.
pub(super) fn last_bit(kind: Option<Type>) -> u16 {
    match kind {
        Some(Type::Bool) => 0,
        Some(kind) => kind.width() * 16 - 1,
        None => 63,
    }
}

fn bit(bit: u16) -> Field {
    Field { bit, width: 1 }
}

fn one(number: u64) -> RangeInclusive<u64> {
    number..=number
}

/// A metric with the labels that all series of one group share.
struct Target {
    metric: &'static Metric,
    labels: BTreeMap<String, String>,
    span: Range<usize>,
}

impl Target {
    /// Reads `metric` and `labels`; the metric must be in the vocabulary and of a kind that fits.
    /// `label` is the one that tells the series of a group apart.
    fn read(section: &mut Section<'_>, wanted: &[Kind], label: Option<&str>) -> Option<Self> {
        let name = section.checked("metric", |text| Ok::<_, String>(text.to_owned()));
        let labels: BTreeMap<String, String> = section.or("labels", BTreeMap::new());
        for name in labels.keys().map(String::as_str).chain(label) {
            if !may_give(name) {
                let key = if labels.contains_key(name) { "labels" } else { "label" };
                let span = section.value(key).map_or(0..0, |value| value.span());
                let help = "labels are of `a-z`, `0-9` and `_`; where a device stands is the \
                            agent's to say";
                let message = format!("a profile cannot give the label `{name}`");
                section.problem(span, message, "", Some(help.to_owned()));
            }
        }
        let name = name?;
        let Some(metric) = vocabulary::find(&name.value) else {
            section.no_such("metric", &name, of_the_same_theme(&name.value));
            return None;
        };
        // A member of an enumeration is told from the others by a label.
        let unnamed = metric.kind == Kind::Enum && labels.is_empty() && label.is_none();
        if !wanted.contains(&metric.kind) || unnamed {
            let message = format!("`{}` is a metric of another kind", metric.name);
            let help = "numbers become gauges and counters; flags, bits and nibbles become states";
            section.problem(name.span, message, word(metric.kind), Some(help.to_owned()));
            return None;
        }
        Some(Self { metric, labels, span: name.span })
    }

    fn draft(&self, label: Option<(&str, &str)>, source: Source) -> Draft {
        let fixed = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = Labels::metric(self.metric.name, fixed.chain(label));
        Draft { metric: self.metric, labels, span: self.span.clone(), source }
    }

    /// The series of a point as a whole: its number, or a state that is 0 or 1.
    fn whole(&self, section: &mut Section<'_>, inverted: Option<bool>) -> Draft {
        if matches!(self.metric.kind, Kind::State | Kind::Enum) {
            let source = Source::State {
                field: Field { bit: 0, width: 64 },
                active: vec![one(u64::from(!inverted.unwrap_or(false)))],
                known: Arc::new(vec![0..=1]),
                not_available: Patterns::new(),
            };
            return self.draft(None, source);
        }
        if inverted.is_some() {
            let span = section.value("inverted").map_or(0..0, |value| value.span());
            section.problem(span, "only a state can be inverted", word(self.metric.kind), None);
        }
        self.draft(None, Source::Number)
    }

    fn state(
        &self,
        label: Option<(&str, &str)>,
        field: Field,
        active: impl Into<Patterns>,
    ) -> Draft {
        let (known, not_available) = (Arc::default(), Patterns::new());
        let active = active.into();
        self.draft(label, Source::State { field, active, known, not_available })
    }
}

/// The metrics whose names begin with the same word, or all, when there are none.
fn of_the_same_theme(name: &str) -> Vec<&'static str> {
    let theme = name.split('_').next().unwrap_or(name);
    let all = || vocabulary::METRICS.iter().map(|metric| metric.name);
    let same: Vec<_> = all().filter(|known| known.split('_').next() == Some(theme)).collect();
    if same.is_empty() { all().collect() } else { same }
}

fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What a kind is called in messages.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Gauge => "a gauge",
        Kind::Counter => "a counter",
        Kind::State => "a state",
        Kind::Enum => "an enumeration",
    }
}
