//! Requests at what is not for everybody, from who may not: counted, and logged with their origin.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;

use super::Api;
use super::listen::Peer;
use super::reply::{Refusal, RefusalKind};

/// How often refusals at one interface are logged: a guesser must not fill the disk with log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What is not for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interface {
    /// For who has the secret of the pair.
    Pair,
    /// For programs on this machine.
    Admin,
}

impl Interface {
    /// The word for the label `interface`.
    fn word(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Admin => "admin",
        }
    }
}

/// When refusals were logged last, in milliseconds since the epoch, by interface.
#[derive(Debug)]
pub(super) struct LastLogged([AtomicI64; 2]);

impl Default for LastLogged {
    fn default() -> Self {
        Self([AtomicI64::new(i64::MIN), AtomicI64::new(i64::MIN)])
    }
}

impl LastLogged {
    /// Whether to log a refusal now.
    fn is_due(&self, interface: Interface, now: i64) -> bool {
        let [pair, admin] = &self.0;
        let last = if interface == Interface::Pair { pair } else { admin };
        let interval = i64::try_from(LOG_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        let update = last.try_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            // After a step back of the clock, too.
            (last > now || now.saturating_sub(last) >= interval).then_some(now)
        });
        update.is_ok()
    }
}

impl Api {
    /// Counts and logs that this request is refused at `interface`; `error` is what is answered.
    pub(super) fn refuse(&self, interface: Interface, parts: &Parts, error: &str) -> Refusal {
        let word = interface.word();
        self.telemetry.logins_refused.with_label_values(&[word]).inc();
        if self.last_logged.is_due(interface, (self.clock)().as_millis()) {
            let peer = parts.extensions.get::<ConnectInfo<Peer>>();
            let from = peer.map(|ConnectInfo(Peer(address))| address.to_string());
            // Without what was given: it may be a secret that was mistyped.
            tracing::warn!(interface = word, from, path = ?parts.uri.path(), "a request is refused");
        }
        Refusal { kind: RefusalKind::Forbidden, error: error.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_logged_once_a_minute_for_each_interface() {
        let last = LastLogged::default();
        let due = |interface, at| last.is_due(interface, at);
        assert!(due(Interface::Pair, 1_000_000) && !due(Interface::Pair, 1_059_999));
        assert!(due(Interface::Admin, 1_000_000));
        assert!(due(Interface::Pair, 1_060_000) && !due(Interface::Pair, 1_060_001));
        assert!(due(Interface::Pair, 5), "the clock was set back");
    }
}
