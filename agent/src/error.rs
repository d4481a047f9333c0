//! What ends an agent, or keeps it from starting.

use std::io;
use std::path::PathBuf;

use hallwatch_model::Id;
use thiserror::Error;

use crate::io::uplink::UplinkError;

/// Why the agent ended.
#[derive(Debug, Error)]
pub enum Error {
    /// The data directory cannot be used.
    #[error("could not use the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The journal is in use by another process.
    #[error("the journal {} is in use by another agent", path.display())]
    JournalInUse {
        /// The file.
        path: PathBuf,
    },
    /// The journal could not be written or read.
    #[error("could not {what} the journal {}", path.display())]
    Journal {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A damaged journal could not be set aside.
    #[error("could not set the damaged journal {} aside", path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The disk takes writes again, after a start at which it did not: only a new start uses it.
    #[error("the disk of the journal {} takes writes again: start anew", path.display())]
    DiskBack {
        /// The file.
        path: PathBuf,
    },
    /// The journal's thread is gone.
    #[error("the journal has ended unexpectedly")]
    JournalEnded,
    /// The password file could not be read.
    #[error("could not read the password in {}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An uplink cannot be probed at all.
    #[error("could not prepare the probes of {device}")]
    Uplink {
        /// The device.
        device: Id,
        /// Why not.
        #[source]
        source: UplinkError,
    },
    /// A certificate or key of a line cannot be used.
    #[error("could not prepare TLS on the line {line}")]
    Line {
        /// The line.
        line: String,
        /// What is wrong.
        #[source]
        source: hallwatch_link::Error,
    },
    /// A certificate or key cannot be used.
    #[error("could not prepare the connection to the broker {url}")]
    Tls {
        /// The broker.
        url: String,
        /// What is wrong.
        #[source]
        source: hallwatch_link::Error,
    },
}

impl Error {
    /// Whether starting again may help: the disk or another process was in the way.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::JournalInUse { .. }
                | Self::Journal { .. }
                | Self::DiskBack { .. }
                | Self::JournalEnded
        )
    }

    /// The exit status of a process that ends with this, by sysexits(3): 74 when the disk failed
    /// (a sync, a write, a read), 75 when a new start at once helps, 1 for everything else. A
    /// supervisor starts the agent anew after each of them.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Journal { .. } | Self::SetAside { .. } | Self::Directory { .. } => 74,
            Self::DiskBack { .. } | Self::JournalInUse { .. } | Self::JournalEnded => 75,
            _ => 1,
        }
    }
}
