//! Waiting on a level, with a bound. Never a sleep in the hope that something has happened.

use std::time::{Duration, Instant};

/// Asks `level` again and again until it gives something; panics with `what` when the time is up.
#[expect(clippy::disallowed_methods, reason = "a test's own patience")]
pub async fn wait_for<T>(
    what: &str,
    within: Duration,
    mut level: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(reached) = level().await {
            return reached;
        }
        assert!(Instant::now() < end, "waited {within:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
