//! The one place where the agent reads its clocks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hallwatch_model::{Timestamp, Uptime};

use rustix::time::{ClockId, clock_gettime};

use crate::agent::Now;
use crate::io::journal::Machine;

/// Where systemd's time service leaves a mark each time that it was told the time by a server.
const KEPT: &str = "/run/systemd/timesync/synchronized";
/// It asks every 34 minutes at the longest. What is older, or of the future, says nothing about the
/// clock of now.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);
/// How often the mark is looked at.
const LOOK: i64 = 1_000;

/// The clocks; uptime counts from when this was made. Cheap to clone: clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// The agent's own time at uptime zero, in milliseconds.
    base: Arc<AtomicI64>,
    /// Whether the gateway's clock is kept by others, and up to when that was looked at, in
    /// milliseconds of the uptime.
    kept: Arc<(AtomicBool, AtomicI64)>,
}

impl Clock {
    /// A clock whose uptime begins now.
    #[expect(clippy::disallowed_methods, reason = "the shell reads the clocks")]
    #[must_use]
    pub fn start() -> Self {
        let base = Arc::new(AtomicI64::new(wall().as_millis()));
        Self { started: Instant::now(), base, kept: Arc::default() }
    }

    /// What this clock's uptime is of.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let own = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(0);
        let since = clock_gettime(ClockId::Boottime);
        let uptime = since.tv_sec.saturating_mul(1_000).saturating_add(since.tv_nsec / 1_000_000);
        Machine { start: start_of_machine(), uptime: uptime.saturating_sub(own) }
    }

    /// All clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let uptime = Uptime::new(self.started.elapsed());
        let base = Timestamp::from_millis(self.base.load(Ordering::Relaxed));
        let wall = wall();
        Now { time: base + uptime.elapsed(), uptime, wall, kept: self.is_kept(wall, uptime) }
    }

    /// Whether the system says that it keeps the gateway's clock by others.
    fn is_kept(&self, wall: Timestamp, uptime: Uptime) -> bool {
        let (kept, looked) = &*self.kept;
        let millis = i64::try_from(uptime.elapsed().as_millis()).unwrap_or(i64::MAX);
        if millis >= looked.load(Ordering::Relaxed) {
            looked.store(millis.saturating_add(LOOK), Ordering::Relaxed);
            kept.store(is_recent(Path::new(KEPT), wall), Ordering::Relaxed);
        }
        kept.load(Ordering::Relaxed)
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

/// What tells this start of the machine from all others. Namespaces of time have uptimes of their
/// own, which their offsets tell apart: their numbers are used again.
fn start_of_machine() -> Option<String> {
    let start = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let words = start.split_whitespace().chain(offsets.split_whitespace());
    Some(words.collect::<Vec<_>>().join(" "))
}

/// Whether the mark at `path` was made in the hour before `wall`.
fn is_recent(path: &Path, wall: Timestamp) -> bool {
    let made = std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let Some(made) = made else { return false };
    let made = Timestamp::from_millis(i64::try_from(made.as_millis()).unwrap_or(i64::MAX));
    made <= wall && wall.since(made) <= KEPT_FOR
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clocks")]
fn wall() -> Timestamp {
    // A clock before 1970 is not set; the epoch says so plainly.
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_the_time_service_counts_for_an_hour_and_for_the_clock_that_made_it() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("synchronized");
        assert!(!is_recent(&mark, wall()), "there is none");
        std::fs::write(&mark, "").unwrap();
        let now = wall();
        for (millis, recent) in [
            (0, true),
            (3_500_000, true),
            (3_700_000, false),
            (-60_000, false),
            (-10_800_000, false),
        ] {
            assert_eq!(is_recent(&mark, now.moved(millis)), recent, "{millis} ms");
        }
    }

    #[test]
    fn the_uptime_of_the_machine_is_that_of_the_start_of_the_clock() {
        let clock = Clock::start();
        // Two clocks are read in turn, and the machine may be busy in between.
        let same = (0..50).any(|_| {
            let first = clock.machine();
            std::thread::sleep(Duration::from_millis(50));
            let second = clock.machine();
            assert_eq!(first.start, second.start);
            first.uptime.abs_diff(second.uptime) <= 20
        });
        assert!(same);
    }
}
