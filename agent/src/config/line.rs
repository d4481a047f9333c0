//! `[[line]]`: a connection or bus with all units behind it, and how it is treated.

mod habits;
mod register;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hallwatch_config::{Section, Spanned};
use hallwatch_modbus::Line as Settings;
use hallwatch_modbus::framing::{DataBits, Parity, StopBits};
use hallwatch_model::Id;
use tokio_rustls::rustls::pki_types::ServerName;

pub(super) use habits::{Habits, MANNERS, Manners, value};
pub(super) use register::{Alone, Lines, Member, Patience};

/// A connection or bus. One question at a time is open on it, whichever unit it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name; the address, when a device has written that itself.
    pub name: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long to wait after connecting.
    pub pause_after_connect: Duration,
    /// How long a TCP connection may be idle before the kernel asks whether the other side lives.
    pub keep_alive: Duration,
    /// After so many timeouts in a row the connection is closed.
    pub close_after_timeouts: u32,
    /// Whether the connection is closed when nothing more is to be asked for the moment.
    pub close_after_cycle: bool,
    /// Whether answers may have any transaction id (Modbus TCP).
    pub rewrites_transaction_ids: bool,
    /// Whether everything that is sent comes back first (RTU).
    pub echo: bool,
    /// How long nothing is asked after a timeout or damage (RTU), so that a late answer cannot
    /// pass for one to a later question.
    pub quiet_time: Duration,
}

/// Where a line is, and how it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Modbus TCP.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// Modbus TCP within TLS.
    Tls {
        /// `host:port`.
        address: String,
        /// The name that the server's certificate must be for.
        server_name: ServerName<'static>,
        /// The authority that must have signed it.
        ca: PathBuf,
        /// Our own certificate chain and its key.
        identity: Option<(PathBuf, PathBuf)>,
    },
    /// Modbus RTU over TCP: a converter that passes the frames of a serial line on as they are.
    RtuOverTcp {
        /// `host:port`.
        address: String,
    },
    /// Modbus RTU on a serial port.
    Serial {
        /// Such as `/dev/ttyUSB0`.
        port: String,
        /// Baud, parity, bits.
        settings: Settings,
    },
}

impl Endpoint {
    /// Whether answers say which question they are to. Without that a line has to be left in
    /// silence after a timeout.
    #[must_use]
    pub const fn has_transaction_ids(&self) -> bool {
        matches!(self, Self::Tcp { .. } | Self::Tls { .. })
    }

    /// What it speaks.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        match self {
            Self::Tcp { .. } | Self::Tls { .. } => "Modbus TCP",
            Self::RtuOverTcp { .. } | Self::Serial { .. } => "Modbus RTU",
        }
    }

    /// What no other line may have as well.
    fn place(&self) -> &str {
        match self {
            Self::Tcp { address } | Self::Tls { address, .. } | Self::RtuOverTcp { address } => {
                address
            }
            Self::Serial { port, .. } => port,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address } => f.write_str(address),
            Self::Tls { address, .. } => write!(f, "{address} (TLS)"),
            Self::RtuOverTcp { address } => write!(f, "{address} (RTU)"),
            Self::Serial { port, settings } => write!(f, "{port} ({settings})"),
        }
    }
}

impl Line {
    /// A line with the usual manners. An answer takes no longer than `timeout`.
    #[must_use]
    pub fn new(endpoint: Endpoint, timeout: Duration) -> Self {
        let name = endpoint.place().to_owned();
        Manners::default().line(name, endpoint, timeout)
    }
}

/// A `[[line]]` as it is written.
struct Written {
    name: Spanned<Id>,
    endpoint: Endpoint,
    /// Its address or port, and where that stands.
    place: Spanned<String>,
    manners: Manners,
    habits: Habits,
}

fn written(mut section: Section<'_>) -> (Option<Spanned<Id>>, Option<Written>) {
    let name = section.checked("name", Id::new);
    let manners = Manners::read(&mut section);
    let habits = Habits::read(&mut section);
    let kinds = ["serial", "rtu_over_tcp", "tcp", "tls"];
    let found = section.one_of_sections(&kinds).and_then(|(kind, inner)| match kind {
        "serial" => serial(inner),
        "tls" => tls(inner),
        _ => tcp(inner, kind == "rtu_over_tcp"),
    });
    if let Some((endpoint, _)) = &found {
        manners.check(&mut section, endpoint);
    }
    let written = name.clone().zip(found).map(|(name, (endpoint, place))| Written {
        name,
        endpoint,
        place,
        manners,
        habits,
    });
    (name, written)
}

fn serial(mut section: Section<'_>) -> Option<(Endpoint, Spanned<String>)> {
    let port = section.checked("port", port);
    let parities = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    let usual = Settings::default();
    let settings = Settings {
        baud: section.ranged("baud", 300..=4_000_000, usual.baud),
        parity: section.choice("parity", &parities, usual.parity),
        data_bits: match section.ranged("data_bits", 7..=8u8, 8) {
            7 => DataBits::Seven,
            _ => DataBits::Eight,
        },
        stop_bits: match section.ranged("stop_bits", 1..=2u8, 1) {
            2 => StopBits::Two,
            _ => StopBits::One,
        },
    };
    let port = port?;
    Some((Endpoint::Serial { port: port.value.clone(), settings }, port))
}

fn tcp(mut section: Section<'_>, rtu: bool) -> Option<(Endpoint, Spanned<String>)> {
    let place = section.checked("address", address)?;
    let address = place.value.clone();
    let endpoint = if rtu { Endpoint::RtuOverTcp { address } } else { Endpoint::Tcp { address } };
    Some((endpoint, place))
}

fn tls(mut section: Section<'_>) -> Option<(Endpoint, Spanned<String>)> {
    let place = section.checked("address", address);
    let paths = section.tls_paths();
    paths.required(&mut section, "the server");
    let named = |text: &str| ServerName::try_from(text.to_owned());
    let server_name = match section.checked_optional("server_name", named) {
        Some(name) => Some(name.value),
        None if section.has("server_name") => None,
        None => place.as_ref().and_then(|place| named(host(&place.value)).ok()),
    };
    let place = place?;
    if server_name.is_none() && !section.has("server_name") {
        let help = Some("add `server_name = \"…\"`, as in the server's certificate".to_owned());
        let message = "no certificate can be for this host";
        section.problem(place.span.clone(), message, "no name for TLS", help);
    }
    let address = place.value.clone();
    let (identity, ca) = (paths.client(), paths.ca?.value);
    let endpoint = Endpoint::Tls { address, server_name: server_name?, ca, identity };
    Some((endpoint, place))
}

/// A device file: an absolute path, so that two ways to write it do not hide a contradiction.
fn port(text: &str) -> Result<String, &'static str> {
    if !text.starts_with('/') {
        Err("a serial port is a path such as `/dev/ttyUSB0`, better `/dev/serial/by-id/…`")
    } else if text.ends_with('/') || text.chars().any(char::is_control) {
        Err("it is no path of a device")
    } else {
        Ok(text.to_owned())
    }
}

/// `host:port` or `[ipv6]:port`.
pub(super) fn address(text: &str) -> Result<String, &'static str> {
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

/// The host of an address, without brackets.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
