//! Uplinks: is the site still connected, through which provider, and how well. Pure.
//!
//! A provider is only known to work when it was asked on its own path. So each probe leaves from
//! a source address, an interface or both; routing does the rest (a source address alone needs a
//! policy route, an interface does not).
//!
//! Once per interval each uplink reports, per probe (label `probe`):
//!
//! - `uplink_loss_ratio`: of the probes decided in the interval (answered well, failed or timed
//!   out), the part that was not answered well. A probe counts in the interval in which it was
//!   decided, so each counts once.
//! - `uplink_latency_seconds` with `quantile`: exact percentiles by nearest rank of all good
//!   answers of the interval.
//! - `uplink_errors_total` with `reason`.
//!
//! and `uplink_up`: 1 when at least one probe was answered well in the interval, whichever; 0 when
//! probes were decided and none was answered well. A provider that is half dead (TCP fails, ICMP
//! works) is up, with a loss of 1 for TCP. An answer that comes after the timeout changes nothing:
//! its probe is lost. A probe that could not be asked for reasons that are not the provider's (no
//! permission, a name never resolved) is no evidence: its readings are missing, and `uplink_up`
//! does without it. Nor is one whose timeout ran out while this process stood still.
//!
//! Reading order: here what an uplink is, [`icmp`], [`dns`] and [`http`] (what goes over the wire),
//! [`failure`], [`window`] (one interval), [`monitor`] (all of it over time).
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::as_conversions))]

pub mod dns;
pub mod failure;
pub mod http;
pub mod icmp;
pub mod monitor;
pub mod window;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hallwatch_model::Timestamp;

pub use dns::DnsName;
pub use failure::{Failure, Unasked};
pub use http::HttpTarget;
pub use monitor::{Action, Event, Monitor, ProbeId, Report};

/// What an uplink came to in one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Which device, by its index.
    pub device: usize,
    /// The readings.
    pub report: Report,
    /// The end of the interval.
    pub time: Timestamp,
}

/// A way out of the site, and how it is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// How often it reports.
    pub interval: Duration,
    /// How often each probe is sent; at most `interval`.
    pub every: Duration,
    /// How long an answer may take; at most `interval`.
    pub timeout: Duration,
    /// PEM file of the authorities for HTTPS; the system's when there is none.
    pub ca: Option<PathBuf>,
    /// The probes, at least one; their names differ.
    pub probes: Vec<Probe>,
}

/// One thing that is asked again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The value of the label `probe`; the kind's word unless told.
    pub name: String,
    /// What is asked.
    pub target: Target,
    /// The path that the question takes.
    pub path: Path,
}

/// Where a probe leaves the machine. At least one of both is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// The source address.
    pub source: Option<IpAddr>,
    /// The interface.
    pub interface: Option<String>,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Echo, please.
    Icmp(IpAddr),
    /// May I connect?
    Tcp(Host, u16),
    /// What is the address of this name?
    Dns(SocketAddr, DnsName),
    /// This page, please: only the status line is read.
    Http(HttpTarget),
}

/// Who is asked: an address, or a name that the system's resolver knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name; its last known address is used for as long as it cannot be resolved, so that a
    /// broken resolver does not condemn a provider.
    Name(DnsName),
}

impl Target {
    /// `icmp`, `tcp`, `dns` or `http`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Icmp(_) => "icmp",
            Self::Tcp(..) => "tcp",
            Self::Dns(..) => "dns",
            Self::Http(_) => "http",
        }
    }

    /// The ways in which it can fail.
    #[must_use]
    pub fn failures(&self) -> &'static [Failure] {
        use Failure::{Closed, Malformed, PathGone, Rcode, Refused, Status4xx, Status5xx};
        use Failure::{StatusOther, Timeout, Tls, Unreachable};
        match self {
            Self::Icmp(_) => &[Timeout, Unreachable, PathGone],
            Self::Tcp(..) => &[Timeout, Unreachable, PathGone, Refused, Closed],
            Self::Dns(..) => &[Timeout, Unreachable, PathGone, Refused, Rcode],
            Self::Http(target) if target.tls => &[
                Timeout,
                Unreachable,
                PathGone,
                Refused,
                Closed,
                Tls,
                Status4xx,
                Status5xx,
                StatusOther,
                Malformed,
            ],
            Self::Http(_) => &[
                Timeout,
                Unreachable,
                PathGone,
                Refused,
                Closed,
                Status4xx,
                Status5xx,
                StatusOther,
                Malformed,
            ],
        }
    }

    /// The address that is asked, when it is written and not a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Icmp(address) => Some(*address),
            Self::Dns(server, _) => Some(server.ip()),
            Self::Tcp(host, _) => host.address(),
            Self::Http(target) => target.connect.address(),
        }
    }
}

impl Host {
    /// The address, when it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icmp(address) => write!(f, "icmp {address}"),
            Self::Tcp(host, port) => write!(f, "tcp {host}:{port}"),
            Self::Dns(server, name) => write!(f, "dns {name} at {server}"),
            Self::Http(target) => write!(f, "http {target}"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, &self.interface) {
            (Some(source), Some(interface)) => write!(f, "from {source} over {interface}"),
            (Some(source), None) => write!(f, "from {source}"),
            (None, Some(interface)) => write!(f, "over {interface}"),
            (None, None) => f.write_str("by any path"),
        }
    }
}
