//! What the result of an attempt to deliver means.

use std::time::Duration;

use hallwatch_model::{Timestamp, chain};
use thiserror::Error;

/// Why an attempt failed. Addresses are cut to the server: what follows is often a secret.
#[derive(Debug, Error)]
pub enum Error {
    /// The address cannot be used.
    #[error("cannot use the address of {server}")]
    Address {
        /// As far as it can be told.
        server: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// No connection, or it broke.
    #[error("cannot reach {server}")]
    Connection {
        /// Whom.
        server: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("no answer from {server} within {timeout:?}")]
    Timeout {
        /// From whom.
        server: String,
        /// How long it had.
        timeout: Duration,
    },
    /// An answer other than 2xx.
    #[error("{server} answered {status}{}{excerpt}", if excerpt.is_empty() { "" } else { ": " })]
    Status {
        /// Who.
        server: String,
        /// With what.
        status: u16,
        /// After how long it wants to be asked again.
        retry_after: Option<Duration>,
        /// The start of its answer.
        excerpt: String,
    },
    /// The sender cannot be built.
    #[error("cannot build the HTTP client")]
    Client {
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
}

impl Error {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => *status == 429 || (500..600).contains(status),
            Self::Address { .. } | Self::Client { .. } => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// How long after a notification was decided on it is given up, unless told otherwise.
pub const GIVE_UP: Duration = Duration::from_secs(3600);

/// When to try again, and when no more.
#[derive(Clone, Debug)]
pub struct Backoff {
    /// The wait after the first failure; it doubles with each.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// How long after the notification was decided it is given up.
    pub give_up: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60), give_up: GIVE_UP }
    }
}

/// What becomes of a message after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrived.
    Delivered,
    /// It is tried again at this time.
    Retry {
        /// When.
        at: Timestamp,
        /// What went wrong.
        error: String,
    },
    /// It is not tried again.
    GivenUp {
        /// What went wrong.
        error: String,
    },
}

impl Backoff {
    /// Judges attempt number `attempt` (from 1) at `now` of a message that was decided on at
    /// `since`.
    #[must_use]
    pub fn judge(
        &self,
        result: &Result<(), Error>,
        attempt: u32,
        since: Timestamp,
        now: Timestamp,
    ) -> Verdict {
        let error = match result {
            Ok(()) => return Verdict::Delivered,
            Err(error) => error,
        };
        let doublings = attempt.saturating_sub(1).min(31);
        let wait = self.first.saturating_mul(1 << doublings).min(self.longest);
        // What the receiver wishes counts, but no receiver can put us off for ever.
        let wait = wait.max(error.retry_after().unwrap_or_default().min(self.longest));
        let text = chain(error);
        if error.is_transient() && (now + wait).since(since) <= self.give_up {
            Verdict::Retry { at: now + wait, error: text }
        } else {
            Verdict::GivenUp { error: text }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, retry_after: Option<u64>) -> Result<(), Error> {
        let retry_after = retry_after.map(Duration::from_secs);
        Err(Error::Status {
            server: "http://h".into(),
            status,
            retry_after,
            excerpt: String::new(),
        })
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_cannot_is_given_up() {
        let backoff = Backoff::default();
        let start = Timestamp::from_millis(0);
        let after = |seconds| start + Duration::from_secs(seconds);
        let timeout = || Err(Error::Timeout { server: String::new(), timeout: Duration::ZERO });
        for (name, result, attempt, now, retry) in [
            ("500, first", status(500, None), 1, 0, Some(1)),
            ("503, third", status(503, None), 3, 10, Some(14)),
            ("the longest wait", status(500, None), 40, 600, Some(660)),
            ("429 wants more time", status(429, Some(30)), 1, 0, Some(30)),
            ("429 wants a year", status(429, Some(31_536_000)), 1, 0, Some(60)),
            ("timeout", timeout(), 1, 0, Some(1)),
            ("400", status(400, None), 1, 0, None),
            ("404", status(404, None), 1, 0, None),
            ("a redirect", status(302, None), 1, 0, None),
            ("too late", status(500, None), 90, 3599, None),
        ] {
            let verdict = backoff.judge(&result, attempt, start, after(now));
            match (verdict, retry) {
                (Verdict::Retry { at, .. }, Some(seconds)) => {
                    assert_eq!(at, after(seconds), "{name}")
                }
                (Verdict::GivenUp { .. }, None) => {}
                (verdict, _) => panic!("{name}: {verdict:?}"),
            }
        }
        assert_eq!(backoff.judge(&Ok(()), 1, start, start), Verdict::Delivered);
    }
}
