//! `[[device]]`: its name and place, and where its values come from.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_config::{Section, Spanned};
use hallwatch_model::{Id, Labels};

use super::library::Library;
use super::line::{
    Alone, Endpoint, Habits, Line, Lines, MANNERS, Manners, Member, Patience, address, value,
};
use super::parameters::with_parameters;
use super::sensor::sensor;
use super::uplink::uplink;
use crate::profile::{Placement, Profile};
use crate::sensor::Sensor;
use crate::uplink::Uplink;

/// Something that is watched.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name, unique within the agent.
    pub name: Id,
    /// Where it stands.
    pub place: Place,
    /// Where its values come from.
    pub source: Source,
}

/// Where a device stands; empty where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Room.
    pub room: String,
    /// Rack.
    pub rack: String,
    /// The feed that it is on, such as `A`.
    pub feed: String,
}

/// Where the values of a device come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// It is asked.
    Modbus(Modbus),
    /// It speaks.
    Mqtt(Sensor),
    /// It is a way out of the site.
    Uplink(Uplink),
}

/// A Modbus device.
#[derive(Clone, Debug)]
pub struct Modbus {
    /// The connection or bus that it is on. Devices of one line have the same.
    pub line: Arc<Line>,
    /// The unit on it.
    pub unit: u8,
    /// Its registers, placed.
    pub profile: Arc<Profile>,
    /// What it has otherwise than other devices of its profile.
    pub placement: Placement,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long an answer is waited for at least, when the device is known to be quick. Between
    /// this and `timeout` it is four times the device's latency.
    pub min_timeout: Duration,
    /// How long to leave the line alone after an answer.
    pub pause: Duration,
    /// How often it is read.
    pub interval: Duration,
}

/// What a Modbus device is read with.
struct Around<'a, 'f> {
    library: &'a mut Library<'f>,
    lines: &'a mut Lines,
    interval: Duration,
}

impl Device {
    /// The name of its profile, when that was never checked at a device: to be said when it is used.
    #[must_use]
    pub fn unverified(&self) -> Option<&str> {
        match &self.source {
            Source::Modbus(modbus) if modbus.profile.is_unverified() => Some(&modbus.profile.name),
            Source::Mqtt(sensor) => sensor.unverified.as_deref(),
            Source::Modbus(_) | Source::Uplink(_) => None,
        }
    }

    /// `labels` with the device and its place.
    #[must_use]
    pub fn labels(&self, labels: &Labels) -> Labels {
        let place = &self.place;
        let own = [
            ("device", self.name.as_str()),
            ("room", &place.room),
            ("rack", &place.rack),
            ("feed", &place.feed),
        ];
        let given = labels.iter().map(|label| (&*label.name, &*label.value));
        Labels::from_pairs(given.chain(own))
    }
}

/// The device, and its name also where the rest is of no use.
pub(super) fn device(
    mut section: Section<'_>,
    library: &mut Library<'_>,
    lines: &mut Lines,
) -> (Option<Spanned<Id>>, Option<Device>) {
    let name = section.checked("name", Id::new);
    let place = Place {
        room: text(&mut section, "room"),
        rack: text(&mut section, "rack"),
        feed: text(&mut section, "feed"),
    };
    let interval = section.ranged(
        "interval",
        Duration::from_millis(100)..=Duration::from_secs(3600),
        Duration::from_secs(1),
    );
    let written = section.value("interval");
    let source = section.one_of_sections(&["modbus", "modbus_tcp", "mqtt", "uplink"]);
    let other = match &source {
        Some(("mqtt", _)) => Some((
            "an MQTT sensor has no `interval`: it speaks when it likes",
            "`max_age` says when its values are too old",
        )),
        Some(("uplink", _)) => Some((
            "an uplink has its `interval` in its own section",
            "write it into `[device.uplink]`",
        )),
        _ => None,
    };
    if let (Some(value), Some((message, help))) = (written, other) {
        section.problem(value.span(), message, "not used", Some(help.to_owned()));
    }
    let source = source.and_then(|(kind, inner)| match kind {
        "modbus" | "modbus_tcp" => {
            let device = name.as_ref().map_or("", |name| name.value.as_str());
            let around = Around { library, lines, interval };
            let read = if kind == "modbus" { modbus_on_line } else { modbus_tcp };
            read(inner, device, around).map(Source::Modbus)
        }
        "mqtt" => sensor(inner, library).map(Source::Mqtt),
        _ => uplink(inner).map(Source::Uplink),
    });
    let device = name.as_ref().zip(source).map(|(name, source)| Device {
        name: name.value.clone(),
        place,
        source,
    });
    (name, device)
}

/// An optional text that becomes a label's value.
fn text(section: &mut Section<'_>, key: &str) -> String {
    let found = section.checked_optional(key, label_value);
    found.map(|found| found.value).unwrap_or_default()
}

pub(crate) fn label_value(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > hallwatch_model::wire::MAX_TEXT_BYTES {
        Err("it is longer than 256 bytes")
    } else if text.chars().any(char::is_control) {
        Err("it has a control character")
    } else {
        Ok(text.to_owned())
    }
}

/// `modbus_tcp`: a device that describes its connection itself.
fn modbus_tcp(mut section: Section<'_>, device: &str, around: Around<'_, '_>) -> Option<Modbus> {
    let manners = Manners::of_tcp(&mut section);
    let address = section.checked("address", address);
    let unit = unit(&mut section, 0);
    let (endpoint, name) = match address {
        Some(address) => {
            let name = address.value.clone();
            let alone = Alone { address, manners };
            (Some(around.lines.alone(&mut section, device, alone)), name)
        }
        None => (None, String::new()),
    };
    let on = endpoint.map(|endpoint| (name, endpoint, Habits::default()));
    modbus(section, device, around, Some(unit), on)
}

/// `modbus`: a device on a line.
fn modbus_on_line(
    mut section: Section<'_>,
    device: &str,
    around: Around<'_, '_>,
) -> Option<Modbus> {
    let name = section.checked("line", |text| Ok::<_, String>(text.to_owned()));
    let named = name.as_ref().and_then(|name| around.lines.named(&mut section, name));
    for key in MANNERS {
        if section.has(key)
            && let Some(value) = section.value(key)
        {
            let message = format!("`{key}` is the line's: it is the same for all its devices");
            let help = Some("write it into `[[line]]`".to_owned());
            section.problem(value.span(), message, "not here", help);
        }
    }
    // On a serial line unit 0 is for all at once, and nobody answers.
    let first = match &named {
        Some((endpoint, _)) if !endpoint.has_transaction_ids() => 1,
        _ => 0,
    };
    // Among several units a usual one would be a guess.
    let unit = if section.has("unit") {
        Some(unit(&mut section, first))
    } else {
        section.required_ranged("unit", first..=255).map(|value| Spanned { value, span: 0..0 })
    };
    let on = name.zip(named).map(|(name, (endpoint, habits))| (name.value, endpoint, habits));
    modbus(section, device, around, unit, on)
}

fn unit(section: &mut Section<'_>, first: u8) -> Spanned<u8> {
    let span = section.value("unit").map_or_else(|| section.span(), |value| value.span());
    Spanned { value: section.ranged("unit", first..=255u8, 1), span }
}

/// What both have. `on`: the line's name, where it is, and what its devices have.
fn modbus(
    mut section: Section<'_>,
    device: &str,
    around: Around<'_, '_>,
    unit: Option<Spanned<u8>>,
    on: Option<(String, Endpoint, Habits)>,
) -> Option<Modbus> {
    let own = Habits::read(&mut section);
    let name = section.checked("profile", |text| Ok::<_, String>(text.to_owned()));
    let found = name.as_ref().and_then(|name| {
        let profile = around.library.profile(&mut section, name)?;
        with_parameters(&mut section, profile, name.span.clone())
    });
    let ((line, endpoint, habits), unit, name, profile) = (on?, unit?, name?, found?);
    let habits = own.or(&habits);
    let placement = Placement {
        max_registers: value(&habits.max_registers),
        max_gap: value(&habits.max_gap),
        ..Placement::default()
    };
    let placed = if placement == Placement::default() {
        Ok(profile)
    } else {
        profile.placed(&placement).map(Arc::new)
    };
    let profile = placed
        .map_err(|error| {
            let span =
                habits.max_registers.as_ref().map_or(name.span.clone(), |at| at.span.clone());
            let message = format!("the profile `{}` cannot be read so: {error}", name.value);
            let help = Some("a value is read whole, in one read".to_owned());
            section.problem(span, message, "too few", help);
        })
        .ok()?;
    let Patience { timeout, min_timeout, pause } =
        Patience::new(&habits, &endpoint, &profile.connection);
    let member = Member { device, unit: unit.clone(), profile: &name.value, min_timeout, timeout };
    around.lines.joined(&mut section, &line, member);
    // Its manners are known when all devices are.
    let line = Arc::new(Line { name: line, ..Line::new(endpoint, timeout) });
    let (unit, interval) = (unit.value, around.interval);
    Some(Modbus { line, unit, profile, placement, timeout, min_timeout, pause, interval })
}
