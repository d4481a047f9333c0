//! Agents that are not heard, and those that did not run.

use hallwatch_model::{AgentPath, Timestamp};

use super::Ledger;
use super::entries::GRACE;
use super::ranges::Ranges;
use super::row::{Row, State, cause};

impl Ledger {
    /// A second has passed: whether the agent is heard (`None`: nobody can know yet).
    pub fn heard(&mut self, agent: &AgentPath, up: Option<bool>, now: Timestamp) {
        self.holes(agent, |_, since| since > now || now.since(since) >= GRACE);
        self.restarts(agent);
        let known = self.agents.entry(agent.clone()).or_default();
        let (latest, sender) = (known.latest(), known.sender);
        let waits = known.runs.values().any(|run| !run.holes.is_empty());
        let open = self.kind(agent, "silent:").into_iter().find(|row| row.state == State::Open);
        match (up, open) {
            (Some(false), None) => {
                let start = latest.unwrap_or(now).min(now);
                self.put(Row {
                    agent: agent.clone(),
                    key: format!("silent:{:016x}", start.as_millis()),
                    cause: cause::OFFLINE.to_owned(),
                    device: String::new(),
                    start,
                    end: None,
                    entries: 0,
                    readings: 0,
                    state: State::Open,
                    boot: sender,
                    missing: Ranges::default(),
                    to_run_end: false,
                });
            }
            // Silent again before the backlog was here.
            (Some(false), Some(mut row)) if row.end.is_some() => {
                row.end = None;
                row.cause = cause::OFFLINE.to_owned();
                self.put(row);
            }
            (Some(true), Some(row)) if row.boot != sender => {
                // It was started anew: `restarts` knows from when to when it did not run.
                let key = (agent.clone(), row.key.clone());
                let told = self.rows.contains_key(&(agent.clone(), restart_key(sender)));
                if told || row.boot == 0 {
                    self.remove(&key);
                } else if row.end.is_none() {
                    let end = Some(latest.unwrap_or(now).max(row.start));
                    self.put(Row { end, cause: cause::DOWN.to_owned(), ..row });
                }
            }
            (Some(true), Some(mut row)) => {
                row.end.get_or_insert(now.max(row.start));
                cause::LINK.clone_into(&mut row.cause);
                if !waits {
                    row.state = State::Filled;
                }
                self.put(row);
            }
            _ => {}
        }
    }

    /// Between the end of one run and the beginning of the next the agent did not run.
    fn restarts(&mut self, agent: &AgentPath) {
        let Some(known) = self.agents.get_mut(agent) else { return };
        for (boot, start, end) in known.restarts() {
            let row = Row {
                agent: agent.clone(),
                key: restart_key(boot),
                cause: cause::DOWN.to_owned(),
                device: String::new(),
                start: start.min(end),
                end: Some(end),
                entries: 0,
                readings: 0,
                state: if start < end { State::Lost } else { State::Filled },
                boot,
                missing: Ranges::default(),
                to_run_end: false,
            };
            self.put(row);
        }
    }
}

fn restart_key(boot: u64) -> String {
    format!("down:{boot:016x}")
}
