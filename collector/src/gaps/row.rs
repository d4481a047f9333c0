//! One row of the ledger.

use hallwatch_model::{AgentPath, Timestamp};

use super::ranges::Ranges;

/// A time of which readings are, or were, not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose.
    pub agent: AgentPath,
    /// What tells it from the agent's other gaps.
    pub key: String,
    /// Why, in a word: see [`cause`].
    pub cause: String,
    /// The device concerned; empty for all of the agent.
    pub device: String,
    /// The last moment before it of which there are readings.
    pub start: Timestamp,
    /// When it ended; `None` while it lasts.
    pub end: Option<Timestamp>,
    /// Journal entries that were missing at first.
    pub entries: u64,
    /// Readings that are missing, as far as anybody has counted them.
    pub readings: u64,
    /// What became of it.
    pub state: State,
    /// The run of the agent.
    pub(super) boot: u64,
    /// Entries that are still missing, by number, when they have any.
    pub(super) missing: Ranges,
    /// It lasted when its run ended: its end is that of the run, as far as its entries have come.
    pub(super) to_run_end: bool,
}

/// What became of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It lasts, or what is missing may still come.
    Open,
    /// Everything has come: nothing is missing any more.
    Filled,
    /// What is missing will not come any more.
    Lost,
}

impl State {
    /// A word for labels and tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Filled => "filled",
            Self::Lost => "lost",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Open, Self::Filled, Self::Lost].into_iter().find(|state| state.word() == word)
    }
}

impl Row {
    /// Whether it touches the time from `start` to `end`.
    #[must_use]
    pub fn touches(&self, start: Timestamp, end: Timestamp) -> bool {
        self.start <= end && self.end.is_none_or(|own| own >= start)
    }
}

/// The causes that the collector finds by itself. Agents tell further ones: `device_silent`,
/// `missed_turns`, `max_bytes`, `max_age`, `disk_full`, `overload`, `damaged`, `clock`; and two by
/// which nothing is missing.
pub mod cause {
    /// The gateway's clock was wrong: the times of what was read were corrected.
    pub const CORRECTED: &str = "clock_corrected";
    /// It was wrong by nobody knows how much: what was read was read at some time of this row.
    pub const UNCERTAIN: &str = "clock_uncertain";
    /// The agent is not heard; why is not known yet.
    pub const OFFLINE: &str = "agent_offline";
    /// The agent did not run.
    pub const DOWN: &str = "agent_down";
    /// The agent ran and could not reach the collector, or the collector did not run.
    pub const LINK: &str = "link_down";
    /// The agent gave up entries before they came, and has not said why.
    pub const GIVEN_UP: &str = "given_up";
    /// The collector did not take readings: too old, or too far in the future.
    pub const REFUSED: &str = "collector_refused";
}
