//! The one place where the agent reads its clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hallwatch_model::{Timestamp, Uptime};

use crate::agent::Now;

/// Both clocks; uptime counts from when this was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock whose uptime begins now.
    #[expect(clippy::disallowed_methods, reason = "the shell reads the clocks")]
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Both clocks.
    #[must_use]
    pub fn now(self) -> Now {
        Now { time: self.time(), uptime: Uptime::new(self.started.elapsed()) }
    }

    /// The time of day.
    #[expect(clippy::disallowed_methods, reason = "the shell reads the clocks")]
    #[must_use]
    pub fn time(self) -> Timestamp {
        // A clock before 1970 is not set; the epoch says so plainly.
        let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
    }

    /// The start of a measurement.
    #[expect(clippy::disallowed_methods, reason = "latencies are measured where they arise")]
    pub(crate) fn stopwatch() -> tokio::time::Instant {
        tokio::time::Instant::now()
    }

    /// When `uptime` is, for tokio's timers.
    pub(crate) fn instant(self, uptime: Uptime) -> tokio::time::Instant {
        (self.started + uptime.elapsed()).into()
    }
}
