//! From changed alerts to messages that arrive.
//!
//! A [`Router`] groups alerts per receiver as Alertmanager does and says when to tell whom of what,
//! and why. [`webhook`] writes a notification as Alertmanager's webhook JSON. The outbox
//! ([`crate::state`]) keeps it until it was delivered; [`pair`] decides which of two collectors
//! sends it; [`delivery`] decides what an attempt's result means; [`io`] sends. A real Alertmanager
//! does the grouping itself: [`alertmanager`] says what it is to be told when.
//!
//! Reading order: [`alert`], [`mod@fingerprint`], `group`, `dedup`, `feed`, [`route`], [`webhook`],
//! [`alertmanager`], [`pair`], [`delivery`], [`io`].

pub mod alert;
pub mod alertmanager;
mod dedup;
pub mod delivery;
mod feed;
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
    /// What fires, and what was resolved of late, to each Alertmanager of a cluster, by version 2
    /// of its API.
    Alertmanager {
        /// Where they are, without `/api/v2/alerts`. At least one.
        urls: Vec<String>,
        /// How long an attempt may take, from connecting to the end of the answer.
        timeout: Duration,
    },
}

impl Channel {
    /// Whether whoever is behind it groups, repeats, and tells once what two collectors send (as
    /// Alertmanager does): then it is sent everything, by both.
    #[must_use]
    pub fn tells_once(&self) -> bool {
        match self {
            Self::Webhook { .. } => false,
            Self::Alertmanager { .. } => true,
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
            Self::Alertmanager { timeout, .. } => {
                f.debug_struct("Alertmanager").field("timeout", timeout).finish_non_exhaustive()
            }
        }
    }
}
