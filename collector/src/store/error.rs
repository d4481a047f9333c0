//! What can go wrong with the store.

use std::path::PathBuf;

use hallwatch_model::AgentPath;
use thiserror::Error;

/// Why something could not be stored or read.
#[derive(Debug, Error)]
pub enum Error {
    /// The folder cannot be made or used.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("the store in {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It was written by a version that is not known here.
    #[error("the store in {} has version {version}, this program writes {known}", path.display())]
    Version {
        /// The folder.
        path: PathBuf,
        /// The version found.
        version: i64,
        /// The version known.
        known: i64,
    },
    /// The disk is full. Nothing was changed; it can be tried again.
    #[error("cannot {attempt}: the disk is full")]
    DiskFull {
        /// What was attempted.
        attempt: &'static str,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// A read failed.
    #[error("cannot {attempt}")]
    Read {
        /// What was attempted.
        attempt: &'static str,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// A write failed: what the disk holds is not known any more.
    #[error("cannot {attempt}")]
    Write {
        /// What was attempted.
        attempt: &'static str,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// A write failed before; nothing is written after that.
    #[error("the store takes nothing after a failed write")]
    Broken,
    /// There is something where a copy should go.
    #[error("{} is not empty", path.display())]
    Occupied {
        /// What is in the way.
        path: PathBuf,
    },
    /// A copy took too long.
    #[error("copying {} took too long", path.display())]
    TooSlow {
        /// Of what.
        path: PathBuf,
    },
    /// It is not a whole backup.
    #[error("{} is not a whole backup: {reason}", path.display())]
    NotABackup {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The query that asks is not wanted any more, or reads too much.
    #[error(transparent)]
    GivenUp(#[from] hallwatch_promql::GivenUp),
    /// An order was not taken in time.
    #[error("the store has no time for the order")]
    NoAnswer,
    /// More series than the store is allowed to hold.
    #[error("agent {agent} describes more series than the {most} that are allowed")]
    TooManySeries {
        /// Who.
        agent: AgentPath,
        /// How many are allowed.
        most: usize,
    },
}

impl Error {
    /// Whether the process has to end: after a failed write or sync only a restart, which reads
    /// what is really on disk, tells what is stored.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Broken)
    }

    /// Whether room on the disk would help.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// Whether the file is not what was written. The next start saves what can be read.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Write { source, .. } | Self::Read { source, .. } => {
                super::schema::is_damage(source)
            }
            _ => false,
        }
    }

    pub(super) fn read(attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Read { attempt, source }
    }

    pub(super) fn write(attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull { attempt, source },
            _ => Self::Write { attempt, source },
        }
    }
}
