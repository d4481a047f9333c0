//! Why a collector ends.

use thiserror::Error;

use crate::{gaps, notify, peer, state, store};

/// Why a collector could not start, or had to end.
#[derive(Debug, Error)]
pub enum Error {
    /// The store cannot be opened or written.
    #[error("the store fails")]
    Store(#[source] store::Error),
    /// The alerts and the outbox cannot be opened or written.
    #[error("the state of alerts fails")]
    State(#[source] state::Error),
    /// The gap ledger cannot be opened.
    #[error("the gap ledger fails")]
    Gaps(#[source] gaps::Error),
    /// Certificates or keys for the broker cannot be used.
    #[error("cannot prepare TLS for the broker")]
    Tls(#[source] hallwatch_link::Error),
    /// Nobody can be notified.
    #[error("cannot prepare notifications")]
    Sender(#[source] notify::delivery::Error),
    /// No HTTP client can be made.
    #[error("cannot prepare HTTP requests")]
    Client(#[source] reqwest::Error),
    /// The peer cannot be asked.
    #[error("cannot prepare the connection to the peer")]
    Peer(#[source] peer::Error),
    /// A sink's URL or token cannot be sent.
    #[error("the sink {name} has a URL or token that cannot be sent")]
    Sink {
        /// Which.
        name: String,
    },
    /// The port is not usable.
    #[error("cannot use the HTTP port")]
    Listener(#[source] std::io::Error),
    /// HTTP is no longer served.
    #[error("the HTTP server ended")]
    Server(#[source] Option<std::io::Error>),
    /// SIGHUP cannot be listened to.
    #[error("cannot listen to SIGHUP")]
    Signal(#[source] std::io::Error),
    /// The counters cannot be made.
    #[error("cannot make the counters")]
    Telemetry(#[source] prometheus::Error),
    /// The thread of the store ended.
    #[error("the thread that writes the store ended")]
    WriterGone,
    /// The thread of the rules ended.
    #[error("the thread that evaluates rules ended")]
    AlertingGone,
    /// The task of the broker's connection ended.
    #[error("the task that talks to the broker ended")]
    LinkGone,
}
