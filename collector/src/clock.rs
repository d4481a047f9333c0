//! The one place where the shell reads the clocks.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hallwatch_model::{Timestamp, Uptime};

/// The time of day, for data.
#[expect(clippy::disallowed_methods, reason = "the shell reads the clock, the core takes `now`")]
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The time since the process first asked, for timeouts.
#[expect(clippy::disallowed_methods, reason = "the shell reads the clock, the core takes `now`")]
#[must_use]
pub fn uptime() -> Uptime {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Uptime::new(START.elapsed())
}
