//! The gap ledger: which readings are missing, since when, why, and whether they came after all.
//!
//! A reading that is not here is a fact like one that is. What agents know they tell (a silent
//! device, a journal that was full); what only shows here is found here: an agent that is not
//! heard, holes in the numbers of its entries, a run that ended and another that began, readings
//! that were refused. A row is opened and closed by evidence: what is missing is known by number,
//! and the row is filled when the last of those numbers has come.
//!
//! Everything may be told again, in any order: the rows come out the same.
//!
//! Reading order: `row`, `ranges`, [`Ledger`] (pure) with `entries`, `heard`, `told` and `sums`,
//! `runs` (what is known of an agent's runs), `report` (for another collector), `tally` (readings
//! present by readings expected), `file` (what of that is on disk), `shared`.

mod entries;
mod file;
mod heard;
mod ranges;
mod report;
mod row;
mod runs;
mod shared;
mod sums;
mod tally;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_model::{AgentPath, Id, Timestamp};

pub use file::Error;
pub use report::Report;
pub use row::{Row, State, cause};
pub use shared::Gaps;
pub use tally::{Day, Ratio, Tally};

use ranges::Ranges;
use runs::{Known, Run};

/// Rows that are kept; of more the oldest ones that are closed go.
const MAX_ROWS: usize = 20_000;

/// An entry that is on the collector's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The run that journalled it.
    pub boot: u64,
    /// Its number.
    pub seq: u64,
    /// The time of its first reading.
    pub start: Timestamp,
    /// The time of its end.
    pub watermark: Timestamp,
    /// The run that sent it.
    pub sender: u64,
}

type Key = (AgentPath, String);

/// The ledger. Pure: it is told of everything, and of the time.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: BTreeMap<Key, Row>,
    agents: BTreeMap<AgentPath, Known>,
    /// What is to be written: rows that are not there any more are to be deleted.
    dirty: BTreeSet<Key>,
    /// Seconds lost, by agent, cause and device, as last told: a counter never goes back.
    seconds: BTreeMap<(AgentPath, String, String), f64>,
    /// Causes that were told as open, by agent: they go to 0, they do not vanish.
    causes: BTreeSet<(AgentPath, String)>,
}

impl Ledger {
    /// Rows and runs as they were written.
    pub(in crate::gaps) fn restore(
        rows: Vec<Row>,
        runs: Vec<(AgentPath, u64, Run)>,
        senders: Vec<(AgentPath, u64)>,
    ) -> Self {
        let rows = rows.into_iter().map(|row| ((row.agent.clone(), row.key.clone()), row));
        let mut ledger = Self { rows: rows.collect(), ..Self::default() };
        for (agent, boot, run) in runs {
            ledger.agents.entry(agent).or_default().runs.insert(boot, run);
        }
        for (agent, sender) in senders {
            ledger.agents.entry(agent).or_default().sender = sender;
        }
        let agents: Vec<AgentPath> = ledger.agents.keys().cloned().collect();
        agents.iter().for_each(|agent| ledger.count_missing(agent));
        ledger
    }

    /// All rows, by agent.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// What has changed since the last time: rows, or the keys of rows that are gone.
    pub(in crate::gaps) fn take_dirty(&mut self) -> Vec<(Key, Option<Row>)> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|key| (key.clone(), self.rows.get(&key).cloned())).collect()
    }

    pub(in crate::gaps) fn agents(&self) -> impl Iterator<Item = (&AgentPath, &Known)> {
        self.agents.iter()
    }

    fn put(&mut self, row: Row) {
        let key = (row.agent.clone(), row.key.clone());
        if self.rows.get(&key) != Some(&row) {
            self.dirty.insert(key.clone());
            self.rows.insert(key, row);
        }
    }

    fn remove(&mut self, key: &Key) {
        if self.rows.remove(key).is_some() {
            self.dirty.insert(key.clone());
        }
    }

    fn of<'a>(&'a self, agent: &AgentPath) -> impl Iterator<Item = &'a Row> {
        let from = (agent.clone(), String::new());
        let agent = agent.clone();
        self.rows.range(from..).map(|(_, row)| row).take_while(move |row| row.agent == agent)
    }

    /// Rows of one kind: their keys begin with `kind`.
    fn kind(&self, agent: &AgentPath, kind: &str) -> Vec<Row> {
        self.of(agent).filter(|row| row.key.starts_with(kind)).cloned().collect()
    }

    /// All that is known to be missing of a run.
    fn missing(&self, agent: &AgentPath, boot: u64) -> Ranges {
        let rows = self.of(agent).filter(|row| row.boot == boot && row.state == State::Lost);
        Ranges::of(rows.flat_map(|row| row.missing.iter().collect::<Vec<_>>()))
    }

    /// Forgets the rows of a tenant that touch the time from `start` to `end`. Gives how many.
    pub(in crate::gaps) fn delete_tenant(
        &mut self,
        tenant: &Id,
        start: Timestamp,
        end: Timestamp,
    ) -> usize {
        let touched =
            |(_, row): &(&Key, &Row)| row.agent.tenant == *tenant && row.touches(start, end);
        let keys: Vec<Key> = self.rows.iter().filter(touched).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.remove(key));
        if start == Timestamp::MIN && end == Timestamp::MAX {
            self.seconds.retain(|(agent, ..), _| agent.tenant != *tenant);
            self.causes.retain(|(agent, _)| agent.tenant != *tenant);
        }
        keys.len()
    }

    /// Another collector knows of a gap. Whether that is news.
    pub(in crate::gaps) fn learn(&mut self, row: Row) -> bool {
        let news = !self.rows.contains_key(&(row.agent.clone(), row.key.clone()));
        if news {
            self.put(row);
        }
        news
    }

    /// The store has lost what it had: nothing that is here says anything about it any more.
    pub fn forget(&mut self) {
        self.agents.clear();
        let open: Vec<Row> =
            self.rows.values().filter(|row| row.state == State::Open).cloned().collect();
        for row in open {
            self.remove(&(row.agent, row.key));
        }
    }

    /// Keeps the number of rows within bounds.
    pub(in crate::gaps) fn bound(&mut self) {
        let excess = self.rows.len().saturating_sub(MAX_ROWS);
        if excess == 0 {
            return;
        }
        let closed = self.rows.iter().filter(|(_, row)| row.state != State::Open);
        let mut oldest: Vec<(Timestamp, Key)> =
            closed.map(|(key, row)| (row.start, key.clone())).collect();
        oldest.sort();
        for (_, key) in oldest.into_iter().take(excess) {
            self.remove(&key);
        }
    }
}
