//! One name, one agent: which run of an agent is listened to.
//!
//! A new run takes over at once, because agents are restarted. But a run that was taken over and
//! then speaks again is alive beside the other: two agents use one name, such as two gateways from
//! one disk image. Then the one that was there first is listened to, and the other is refused until
//! the first has been silent for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::Timestamp;

/// A holder that was not heard for so long has lost its name.
const LEASE: Duration = Duration::from_secs(60);
/// A conflict is over when only one was heard for so long.
const QUIET: Duration = Duration::from_secs(120);
/// Runs that are remembered of an agent.
const MAX_RUNS: usize = 16;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Holder {
    /// The run that is listened to.
    holder: Option<u64>,
    /// When each run was heard first and last.
    runs: BTreeMap<u64, (Timestamp, Timestamp)>,
    /// Two were heard in turn, last then.
    conflict: Option<Timestamp>,
}

impl Holder {
    /// A live message of the run `sender` came: whether to take it.
    pub(super) fn hears(&mut self, sender: u64, now: Timestamp) -> bool {
        let known = self.runs.contains_key(&sender);
        let (first, _) =
            *self.runs.entry(sender).and_modify(|(_, last)| *last = now).or_insert((now, now));
        if self.runs.len() > MAX_RUNS {
            let kept = self.holder;
            let others = self.runs.iter().filter(|(run, _)| Some(**run) != kept && **run != sender);
            if let Some(oldest) = others.min_by_key(|(_, (_, last))| *last).map(|(run, _)| *run) {
                self.runs.remove(&oldest);
            }
        }
        let Some(holder) = self.holder.filter(|holder| *holder != sender) else {
            self.holder = Some(sender);
            return true;
        };
        let (holder_first, holder_last) = self.runs.get(&holder).copied().unwrap_or((now, now));
        // A step of the clock back counts as silence.
        let silent = holder_last > now || now.since(holder_last) >= LEASE;
        if !known {
            // A restart, as far as anybody can know now; but not while two are at it.
            if self.is_conflict(now) && !silent {
                self.conflict = Some(now);
                return false;
            }
            self.holder = Some(sender);
            return true;
        }
        if silent {
            self.holder = Some(sender);
            return true;
        }
        self.conflict = Some(now);
        if first < holder_first {
            self.holder = Some(sender);
            return true;
        }
        false
    }

    /// Whether two use the name.
    pub(super) fn is_conflict(&self, now: Timestamp) -> bool {
        self.conflict.is_some_and(|at| at <= now && now.since(at) < QUIET)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    #[test]
    fn a_restart_takes_over_and_a_clone_is_refused() {
        let mut holder = Holder::default();
        assert!(holder.hears(1, at(0)) && holder.hears(1, at(10)));
        assert!(holder.hears(2, at(11)), "a restart");
        assert!(holder.hears(2, at(20)) && !holder.is_conflict(at(20)));
        assert!(holder.hears(1, at(21)), "it is alive, and was there first");
        assert!(holder.is_conflict(at(21)));
        for second in 22..200 {
            assert!(!holder.hears(2, at(second)), "{second}");
            assert!(holder.hears(1, at(second)));
        }
        assert!(!holder.hears(3, at(200)), "the clone, restarted");
        assert!(!holder.hears(2, at(258)) && holder.hears(2, at(259)), "the first one is gone");
        assert!(holder.is_conflict(at(259)) && !holder.is_conflict(at(400)));
    }

    proptest! {
        #[test]
        fn in_any_moment_one_run_is_listened_to(
            heard in prop::collection::vec((1u64..5, 0i64..30), 1..200),
        ) {
            let (mut holder, mut now) = (Holder::default(), 0);
            for (sender, passed) in heard {
                now += passed;
                let taken = holder.hears(sender, at(now));
                prop_assert_eq!(taken, holder.holder == Some(sender));
                prop_assert!(holder.runs.len() <= MAX_RUNS);
            }
        }

        #[test]
        fn restarts_alone_are_never_a_conflict(pauses in prop::collection::vec(0i64..200, 1..50)) {
            let (mut holder, mut now) = (Holder::default(), 0);
            for (run, pause) in pauses.into_iter().enumerate() {
                now += pause;
                prop_assert!(holder.hears(run as u64, at(now)));
                prop_assert!(!holder.is_conflict(at(now)));
            }
        }
    }
}
