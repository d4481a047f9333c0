//! `[[device]]`: its name and place, and where its values come from.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_config::{Section, Spanned};
use hallwatch_model::{Id, Labels};

use super::library::Library;
use super::parameters::with_parameters;
use super::sensor::sensor;
use super::uplink::uplink;
use crate::profile::Profile;
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
    ModbusTcp(Modbus),
    /// It speaks.
    Mqtt(Sensor),
    /// It is a way out of the site.
    Uplink(Uplink),
}

/// A Modbus TCP device.
#[derive(Clone, Debug)]
pub struct Modbus {
    /// `host:port`.
    pub address: String,
    /// The unit behind it.
    pub unit: u8,
    /// Its registers.
    pub profile: Arc<Profile>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How often it is read.
    pub interval: Duration,
}

impl Device {
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
    let source = section.one_of_sections(&["modbus_tcp", "mqtt", "uplink"]);
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
        "modbus_tcp" => modbus(inner, interval, library).map(Source::ModbusTcp),
        "mqtt" => sensor(inner).map(Source::Mqtt),
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

pub(super) fn label_value(text: &str) -> Result<String, &'static str> {
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

fn modbus(
    mut section: Section<'_>,
    interval: Duration,
    library: &mut Library<'_>,
) -> Option<Modbus> {
    let address = section.checked("address", address);
    let unit = section.ranged("unit", 0..=255u8, 1);
    let profile = section.checked("profile", |text| Ok::<_, String>(text.to_owned()));
    let timeout = section.ranged(
        "timeout",
        Duration::from_millis(10)..=Duration::from_secs(60),
        Duration::from_secs(1),
    );
    let profile = profile.and_then(|name| {
        let found = library.profile(&mut section, &name)?;
        with_parameters(&mut section, found, name.span)
    });
    Some(Modbus { address: address?.value, unit, profile: profile?, timeout, interval })
}

/// `host:port` or `[ipv6]:port`.
fn address(text: &str) -> Result<String, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("it needs a port, such as `10.0.0.5:502`")?;
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err("its port is not from 1 to 65535");
    }
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match inner {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            !host.is_empty() && host.chars().all(allowed)
        }
    };
    if valid { Ok(text.to_owned()) } else { Err("it has no valid host before the port") }
}
