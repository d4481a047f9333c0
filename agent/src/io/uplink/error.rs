//! What keeps an uplink from being probed.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::uplink::{Failure, Path, Unasked};

/// What keeps an uplink from being probed.
#[derive(Debug, Error)]
pub enum UplinkError {
    /// Neither kind of ICMP socket is allowed.
    #[error(
        "no permission to send ICMP echo requests: widen `net.ipv4.ping_group_range` to the \
         agent's group (`sysctl -w net.ipv4.ping_group_range=\"GID GID\"`), or give the agent \
         CAP_NET_RAW"
    )]
    Denied,
    /// No socket on this path.
    #[error("could not open a socket {path}")]
    Socket {
        /// The path.
        path: Path,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The authorities' certificates cannot be used.
    #[error("could not read the certificates of authorities in {}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The versions of TLS that we speak are not to be had; an error of ours.
    #[error("could not prepare TLS")]
    Tls(#[source] tokio_rustls::rustls::Error),
    /// A name that no certificate can be for.
    #[error("no certificate can be for the host {host}")]
    ServerName {
        /// The host of the probe.
        host: String,
    },
}

impl UplinkError {
    pub(super) fn of_socket(path: &Path, source: io::Error) -> Self {
        match of_socket(&source) {
            Trouble::Unasked(Unasked::NotPermitted) => Self::Denied,
            _ => Self::Socket { path: path.clone(), source },
        }
    }
}

/// What an error of the operating system says about a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Failed(Failure),
    Unasked(Unasked),
}

/// No such device or address; no such device; too many open files, here and in the system.
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// An error while a socket was opened and bound to its path.
pub(super) fn of_socket(error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Trouble::Unasked(Unasked::NotPermitted),
        _ => of_use(error),
    }
}

/// An error while a socket was used. No permission then means a firewall or a route that forbids.
pub(super) fn of_use(error: &io::Error) -> Trouble {
    use io::ErrorKind as Kind;
    Trouble::Failed(match (error.kind(), error.raw_os_error()) {
        (Kind::OutOfMemory, _) | (_, Some(ENFILE | EMFILE)) => {
            return Trouble::Unasked(Unasked::Exhausted);
        }
        (Kind::AddrNotAvailable | Kind::NetworkDown, _) | (_, Some(ENXIO | ENODEV)) => {
            Failure::PathGone
        }
        (Kind::ConnectionRefused, _) => Failure::Refused,
        (Kind::TimedOut, _) => Failure::Timeout,
        (
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
            | Kind::UnexpectedEof
            | Kind::WriteZero,
            _,
        ) => Failure::Closed,
        _ => Failure::Unreachable,
    })
}
