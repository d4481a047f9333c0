//! What can keep a simulation from starting.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why a simulation did not start, or ended.
#[derive(Debug, Error)]
pub enum Error {
    /// A command line that makes no sense.
    #[error("{what}: {reason}")]
    Usage {
        /// Which option.
        what: String,
        /// Why not.
        reason: String,
    },
    /// A file that cannot be used.
    #[error("cannot {attempt} {}", path.display())]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An address that cannot be listened on.
    #[error("cannot listen on {address} for {what}")]
    Listen {
        /// What for.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No embedded broker.
    #[error("cannot start the embedded broker on 127.0.0.1")]
    Broker {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The plant.
    #[error("the plant does not start")]
    Plant(#[from] hallwatch_plant::Error),
    /// A configuration or scenario with mistakes.
    #[error("{0}")]
    Invalid(#[from] hallwatch_config::Invalid),
    /// The agent.
    #[error("the agent ended")]
    Agent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The collector.
    #[error("the collector ended")]
    Collector(#[source] Box<dyn std::error::Error + Send + Sync>),
}
