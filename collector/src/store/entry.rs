//! An entry of the log, as it is read by those who look at labels once.

use hallwatch_model::{Labels, Timestamp};

use super::Logged;
use super::commit::{FILLED, OWN};
use super::record::Point;

/// One entry of the log, its series by number.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place: the cursor of a reader that is done with it.
    pub position: u64,
    /// When it was received.
    pub received: Timestamp,
    /// It came from another collector, to fill what was missing: it is nothing that happens now.
    pub filled: bool,
    /// The number of the agent that sent it; `None` for what the collector itself recorded, and for
    /// what fills. [`Reader::agents`](super::Reader::agents) says who that is.
    pub agent: Option<i64>,
    /// The agent says that it is old: it had to wait there.
    pub backfill: bool,
    /// Its samples, those that turned out to be known already among them. Of a series that is gone
    /// meanwhile, [`Reader::labels`](super::Reader::labels) knows nothing.
    pub points: Vec<Point>,
}

impl Entry {
    pub(super) fn new(
        position: u64,
        received: i64,
        sender: i64,
        (points, backfill): (Vec<Point>, bool),
    ) -> Self {
        Self {
            position,
            received: Timestamp::from_millis(received),
            filled: sender == FILLED,
            agent: (sender > OWN).then_some(sender),
            backfill,
            points,
        }
    }

    /// The same with labels.
    pub(super) fn resolved(&self, labels: impl Fn(u32) -> Option<Labels>) -> Logged {
        let samples = self.points.iter();
        Logged {
            position: self.position,
            received: self.received,
            filled: self.filled,
            agent: self.agent,
            samples: samples.filter_map(|one| Some((labels(one.series)?, one.sample()))).collect(),
        }
    }
}
