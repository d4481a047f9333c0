//! What one collector knows of gaps, for another that was filled from it.

use std::collections::BTreeMap;

use hallwatch_model::{Ack, AgentPath, Id, Timestamp};
use serde::{Deserialize, Serialize};

use super::ranges::Ranges;
use super::row::{Row, State};
use super::{Error, Gaps};

/// Closed gaps, and the journal entries that are there. Times are milliseconds since the epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// From when on.
    start: i64,
    rows: Vec<RowForm>,
    runs: Vec<RunForm>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RowForm {
    agent: [String; 3],
    key: String,
    cause: String,
    device: String,
    start: i64,
    end: i64,
    entries: u64,
    readings: u64,
    state: String,
    boot: u64,
    missing: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RunForm {
    agent: [String; 3],
    boot: u64,
    /// Entries that are there, first and last included.
    present: Vec<(u64, u64)>,
}

fn form(agent: &AgentPath) -> [String; 3] {
    [&agent.tenant, &agent.site, &agent.agent].map(ToString::to_string)
}

fn path([tenant, site, agent]: &[String; 3]) -> Option<AgentPath> {
    let id = |text: &String| Id::new(text).ok();
    Some(AgentPath { tenant: id(tenant)?, site: id(site)?, agent: id(agent)? })
}

impl Report {
    /// What `gaps` has from `start` on, beside the entries that were `received`.
    #[must_use]
    pub fn new(gaps: &Gaps, received: Vec<(AgentPath, Ack)>, start: Timestamp) -> Self {
        let closed = gaps.rows(|row| row.state != State::Open && row.start >= start);
        let rows = closed.iter().filter_map(|row| {
            Some(RowForm {
                agent: form(&row.agent),
                key: row.key.clone(),
                cause: row.cause.clone(),
                device: row.device.clone(),
                start: row.start.as_millis(),
                end: row.end?.as_millis(),
                entries: row.entries,
                readings: row.readings,
                state: row.state.word().to_owned(),
                boot: row.boot,
                missing: row.missing.text(),
            })
        });
        let runs = received.into_iter().map(|(agent, ack)| RunForm {
            agent: form(&agent),
            boot: ack.boot,
            present: ack.beyond,
        });
        Self { start: start.as_millis(), rows: rows.collect(), runs: runs.collect() }
    }

    /// Adds to `gaps` what it does not know, and fills those of its rows whose entries the other
    /// has. Gives how many rows changed.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn teach(&self, gaps: &Gaps) -> Result<usize, Error> {
        let mut runs: BTreeMap<(AgentPath, u64), Ranges> = BTreeMap::new();
        for run in &self.runs {
            let Some(agent) = path(&run.agent) else { continue };
            let present = run.present.iter().copied().filter(|(first, last)| first <= last);
            runs.insert((agent, run.boot), Ranges::of(present));
        }
        let start = Timestamp::from_millis(self.start);
        let rows = self.rows.iter().filter_map(|row| {
            Some(Row {
                agent: path(&row.agent)?,
                key: row.key.clone(),
                cause: row.cause.clone(),
                device: row.device.clone(),
                start: Timestamp::from_millis(row.start),
                end: Some(Timestamp::from_millis(row.end.max(row.start))),
                entries: row.entries,
                readings: row.readings,
                state: State::from_word(&row.state).filter(|state| *state != State::Open)?,
                boot: row.boot,
                missing: Ranges::parse(&row.missing),
                to_run_end: false,
            })
        });
        let rows: Vec<Row> = rows.collect();
        gaps.change(|ledger| {
            let mut changed = 0;
            for ((agent, boot), present) in &runs {
                changed += ledger.filled(agent, *boot, present, start);
            }
            for row in rows {
                changed += usize::from(ledger.learn(row));
            }
            changed
        })
    }
}
