//! The one place where the agent reads its clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hallwatch_model::{Timestamp, Uptime};

use crate::agent::Now;

/// The clocks; uptime counts from when this was made. Cheap to clone: clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// The agent's own time at uptime zero, in milliseconds.
    base: Arc<AtomicI64>,
}

impl Clock {
    /// A clock whose uptime begins now.
    #[expect(clippy::disallowed_methods, reason = "the shell reads the clocks")]
    #[must_use]
    pub fn start() -> Self {
        let base = Arc::new(AtomicI64::new(wall().as_millis()));
        Self { started: Instant::now(), base }
    }

    /// All clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let uptime = Uptime::new(self.started.elapsed());
        let base = Timestamp::from_millis(self.base.load(Ordering::Relaxed));
        Now { time: base + uptime.elapsed(), uptime, wall: wall() }
    }

    /// The agent's own time, for readings.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.now().time
    }

    /// The agent's own time moves.
    pub(crate) fn shift(&self, millis: i64) {
        self.base.fetch_add(millis, Ordering::Relaxed);
    }

    /// The start of a measurement.
    #[expect(clippy::disallowed_methods, reason = "latencies are measured where they arise")]
    pub(crate) fn stopwatch() -> tokio::time::Instant {
        tokio::time::Instant::now()
    }

    /// When `uptime` is, for tokio's timers.
    pub(crate) fn instant(&self, uptime: Uptime) -> tokio::time::Instant {
        (self.started + uptime.elapsed()).into()
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clocks")]
fn wall() -> Timestamp {
    // A clock before 1970 is not set; the epoch says so plainly.
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
}
