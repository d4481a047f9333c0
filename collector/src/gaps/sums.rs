//! The ledger in numbers.

use std::collections::BTreeMap;

use hallwatch_model::AgentPath;

use super::Ledger;
use super::row::State;

impl Ledger {
    /// How many gaps are open, by agent and cause; a cause that was open once stays, with 0.
    #[must_use]
    pub fn open(&mut self) -> BTreeMap<(AgentPath, String), u64> {
        let mut open: BTreeMap<(AgentPath, String), u64> =
            self.causes.iter().map(|key| (key.clone(), 0)).collect();
        for row in self.rows.values() {
            let count: &mut u64 = open.entry((row.agent.clone(), row.cause.clone())).or_default();
            *count += u64::from(row.state == State::Open);
        }
        self.causes.extend(open.keys().cloned());
        open
    }

    /// Seconds of which readings are missing for good, by agent, cause and device. Never less than
    /// what was told before.
    pub fn lost_seconds(&mut self) -> &BTreeMap<(AgentPath, String, String), f64> {
        let mut sums: BTreeMap<(AgentPath, String, String), f64> = BTreeMap::new();
        for row in self.rows.values().filter(|row| row.state == State::Lost) {
            let seconds = row.end.map_or(0.0, |end| end.since(row.start).as_secs_f64());
            let key = (row.agent.clone(), row.cause.clone(), row.device.clone());
            *sums.entry(key).or_default() += seconds;
        }
        for (key, sum) in sums {
            let told = self.seconds.entry(key).or_default();
            *told = told.max(sum);
        }
        &self.seconds
    }
}
