//! What follows for the agent from what time it is: readings get their place in time, the journal is told
//! how far its times can be believed, and ages are judged or not.

use std::time::Duration;

use hallwatch_model::{Timestamp, Uptime};

use super::timeline::{self, Moved};
use super::{Action, Agent, CLOCKS_AGREE, Now};
use crate::io::journal::Command;

/// A clock that moves by more than this between two looks was set.
const STEP: Duration = Duration::from_secs(10 * 60);
/// How long a clock that was set is not believed in what concerns the age of entries.
const DOUBT: Duration = Duration::from_secs(60 * 60);
/// What was under way when the own time moved has come after this.
const LATE: Duration = Duration::from_secs(120);
/// A confirmed time that has moved by more milliseconds than this is written down again.
const MOVED: u64 = 1_000;

/// The own time moved at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump {
    by: i64,
    /// The own time afterwards, and the uptime.
    time: Timestamp,
    uptime: Uptime,
}

impl Agent {
    /// Looks at the gateway's clock, and corrects the own time by it where that is called for.
    pub(super) fn look(&mut self, now: Now, actions: &mut Vec<Action>) -> Now {
        let steps = self.timeline.steps();
        let confirmed = self.timeline.is_confirmed();
        let moved = self.timeline.look(now.wall, now.uptime, now.kept);
        if self.timeline.steps() != steps {
            let offset = self.timeline.offset();
            tracing::warn!(offset_millis = offset, "the gateway's clock was set");
            // Soon, so that it is seen when it happens.
            self.status_at = now.uptime;
        }
        let settles = !confirmed && self.timeline.is_confirmed();
        let now = moved.map_or(now, |moved| self.moved(moved, settles, now, actions));
        if settles {
            self.status_at = now.uptime;
            self.watch.believe_sensors(true);
        }
        self.settle(now);
        now
    }

    /// The own time moves. What was told with a time that nobody had confirmed moves along.
    fn moved(&mut self, moved: Moved, settles: bool, now: Now, actions: &mut Vec<Action>) -> Now {
        let Moved { by, first } = moved;
        if first || settles {
            tracing::info!(by_millis = by, "the time is known now");
            self.pending.shift(by);
            self.watch.shift(by);
            self.started = self.started.moved(by);
            self.judged.time = self.judged.time.moved(by);
            self.status_at = now.uptime;
        }
        let now = Now { time: now.time.moved(by), ..now };
        if by.saturating_abs() > CLOCKS_AGREE {
            self.jump = Some(Jump { by, time: now.time, uptime: now.uptime });
        }
        actions.push(Action::Shift(by));
        now
    }

    /// Tells the journal how far its times can be believed.
    fn settle(&mut self, now: Now) {
        let base = self.timeline.origin();
        if self.timeline.is_confirmed() {
            let moved = |before: Timestamp| base.as_millis().abs_diff(before.as_millis()) > MOVED;
            if self.settled.is_none_or(moved) {
                self.settled = Some(base);
                self.commands.push_back(Command::Settle { base, now: now.time });
            }
        } else if self.timeline.is_set() && !self.unconfirmed {
            self.unconfirmed = true;
            self.commands.push_back(Command::Unconfirmed { base });
        }
    }

    /// What was read just before the own time moved gets its place in time. It was read before that
    /// moment by the time of before: that is earlier than any other, or later than the present.
    pub(super) fn place(&self, time: &mut Timestamp, now: Now) {
        if self.timeline.is_set() && *time < timeline::PLAUSIBLE {
            *time = now.time;
        } else if let Some(jump) = self.jump
            && now.uptime.since(jump.uptime) <= LATE
            && (jump.by > 0 && *time < jump.time || jump.by < 0 && *time > now.time)
        {
            *time = time.moved(jump.by).min(now.time);
        }
    }

    /// The time by which ages are judged. A clock that was set by more than [`STEP`] is not
    /// believed for [`DOUBT`]: a wrong one would make the whole journal too old at once.
    pub(super) fn trusted(&mut self, now: Now) -> Timestamp {
        let (time, uptime) = (self.judged.time, self.judged.uptime);
        let expected = time + now.uptime.since(uptime);
        let step = now.time.since(expected).max(expected.since(now.time));
        if step > STEP {
            tracing::error!(?step, "the clock was set: ages are not judged for an hour");
            self.doubt_until = now.uptime + DOUBT;
        }
        self.judged = now;
        if now.uptime < self.doubt_until { Timestamp::MIN } else { now.time }
    }
}
