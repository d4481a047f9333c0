//! From changed alerts to messages that arrive.
//!
//! A [`Router`] groups alerts per receiver as Alertmanager does and says when to tell whom of what,
//! and why. [`webhook`] writes a notification as Alertmanager's webhook JSON. The outbox
//! ([`crate::state`]) keeps it until it was delivered; [`pair`] decides which of two collectors
//! sends it; [`delivery`] decides what an attempt's result means; [`io`] sends.
//!
//! Reading order: [`alert`], [`mod@fingerprint`], `group`, `dedup`, [`route`], [`webhook`],
//! [`pair`], [`delivery`], [`io`].

pub mod alert;
mod dedup;
pub mod delivery;
pub mod fingerprint;
mod group;
pub mod io;
pub mod pair;
pub mod route;
pub mod webhook;

pub use alert::NotifiedAlert;
pub use dedup::{Quiet, Why};
pub use fingerprint::fingerprint;
pub use group::Ledger;
pub use pair::Pair;
pub use route::{Decision, Notification, Options, Router, SavedGroup};

use std::fmt;
use std::time::Duration;

/// Someone, or something, that is told of alerts.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name, unique.
    pub name: String,
    /// Whether it is also told when alerts are resolved.
    pub send_resolved: bool,
    /// How it is told.
    pub channel: Channel,
}

/// How a receiver is told.
#[derive(Clone)]
#[non_exhaustive]
pub enum Channel {
    /// A POST of Alertmanager's webhook JSON, version 4.
    Webhook {
        /// To where.
        url: String,
        /// How long an attempt may take, from connecting to the end of the answer.
        timeout: Duration,
    },
}

impl Channel {
    /// Whether what two collectors send is told once by whoever is behind it (as Alertmanager
    /// does): then both send.
    #[must_use]
    pub fn tells_once(&self) -> bool {
        match self {
            Self::Webhook { .. } => false,
        }
    }
}

/// Without the address, which is often a secret.
impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook { timeout, .. } => {
                f.debug_struct("Webhook").field("timeout", timeout).finish_non_exhaustive()
            }
        }
    }
}
