//! How a probe fails, and why it could not be asked.

use std::fmt;

use hallwatch_model::Missing;

/// How a probe failed. Each of these says something about the uplink or what lies behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No answer in time.
    Timeout,
    /// No route, or a router said that there is none.
    Unreachable,
    /// The source address or the interface is not there or down.
    PathGone,
    /// The other side is there and does not want to.
    Refused,
    /// The other side ended the connection before it answered.
    Closed,
    /// The other side has no certificate that we believe, or does not agree on TLS.
    Tls,
    /// The DNS server answered with an error.
    Rcode,
    /// HTTP status 400 to 499.
    Status4xx,
    /// HTTP status 500 to 599.
    Status5xx,
    /// An HTTP status that is none of 200 to 599.
    StatusOther,
    /// The answer is no HTTP.
    Malformed,
}

impl Failure {
    /// The value of the label `reason`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::PathGone => "path_gone",
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Tls => "tls",
            Self::Rcode => "rcode",
            Self::Status4xx => "status_4xx",
            Self::Status5xx => "status_5xx",
            Self::StatusOther => "status_other",
            Self::Malformed => "malformed",
        }
    }

    /// Why there is no latency, when this is how the probes failed.
    #[must_use]
    pub fn missing(self) -> Missing {
        match self {
            Self::Timeout => Missing::Timeout,
            Self::PathGone | Self::Unreachable => Missing::DeviceOffline,
            Self::Malformed => Missing::Malformed,
            Self::Refused
            | Self::Closed
            | Self::Tls
            | Self::Rcode
            | Self::Status4xx
            | Self::Status5xx
            | Self::StatusOther => Missing::NotAvailable,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a probe could not be asked; nothing of that is the uplink's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// The operating system does not allow it.
    NotPermitted,
    /// The name was never resolved.
    Unresolved,
    /// The machine is short of sockets or memory.
    Exhausted,
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPermitted => "not permitted",
            Self::Unresolved => "the name cannot be resolved",
            Self::Exhausted => "out of sockets or memory",
        })
    }
}
