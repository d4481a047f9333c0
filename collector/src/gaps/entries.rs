//! Journal entries: that they came, that some are missing, that they were given up.

use std::time::Duration;

use hallwatch_model::{Ack, AgentPath, Timestamp};

use super::ranges::Ranges;
use super::row::{Row, State, cause};
use super::runs::Known;
use super::{Arrived, Ledger};

/// A hole is a gap when it is not filled after this: entries overtake each other on the way.
const GRACE: Duration = Duration::from_secs(5);

impl Ledger {
    /// An entry is on disk, for the first time or again.
    pub fn arrived(&mut self, agent: &AgentPath, entry: Arrived) {
        let known = self.agents.entry(agent.clone()).or_default();
        let before = std::mem::replace(&mut known.sender, entry.sender);
        known.arrived(entry);
        if before != entry.sender {
            self.new_sender(agent, entry.sender);
        }
        if known_missing(self.agents.get(agent)) {
            let one = Ranges::of([(entry.seq, entry.seq)]);
            let rows: Vec<Row> = self
                .of(agent)
                .filter(|row| row.boot == entry.boot && !row.missing.is_empty())
                .cloned()
                .collect();
            for mut row in rows {
                row.missing = row.missing.without(&one);
                if row.missing.is_empty() && row.state == State::Lost {
                    row.state = State::Filled;
                }
                self.put(row);
            }
            self.count_missing(agent);
        }
    }

    /// Another run speaks: what an earlier one said of devices that are silent has ended with it.
    fn new_sender(&mut self, agent: &AgentPath, sender: u64) {
        for mut row in self.kind(agent, "told:") {
            if row.state == State::Open && row.boot != sender {
                let ended = self.agents.get(agent).and_then(|known| known.runs.get(&row.boot));
                row.end = Some(ended.map_or(row.start, |run| run.end).max(row.start));
                row.state = State::Lost;
                self.put(row);
            }
        }
    }

    pub(super) fn count_missing(&mut self, agent: &AgentPath) {
        let any = self.of(agent).any(|row| !row.missing.is_empty());
        if let Some(known) = self.agents.get_mut(agent) {
            known.missing = any;
        }
    }

    /// What is on disk of a run.
    pub fn acknowledged(&mut self, agent: &AgentPath, ack: &Ack, now: Timestamp) {
        let known = self.agents.entry(agent.clone()).or_default();
        let run = known.runs.entry(ack.boot).or_default();
        let changed = run.acknowledged(ack, now);
        if !changed {
            return;
        }
        let holes = run.holes.clone();
        let prefix = format!("hole:{:016x}:", ack.boot);
        for mut row in self.kind(agent, &prefix) {
            let hole = holes.keys().find(|(_, last)| row.key == hole_key(ack.boot, *last));
            match hole {
                Some(hole) => row.missing = Ranges::of([*hole]),
                None if row.state == State::Open => {
                    row.missing = Ranges::default();
                    row.state = State::Filled;
                }
                None => continue,
            }
            self.put(row);
        }
        self.count_missing(agent);
    }

    /// An agent gave up entries of a run that are not here, as this collector sees it.
    pub fn given_up(&mut self, agent: &AgentPath, boot: u64, lost: &[(u64, u64)], next: Arrived) {
        let fresh = Ranges::of(lost.iter().copied()).without(&self.missing(agent, boot));
        for (first, last) in fresh.iter() {
            let range = Ranges::of([(first, last)]);
            let (mut start, mut end) = {
                let known = self.agents.entry(agent.clone()).or_default();
                known.around(boot, first, last, next)
            };
            // What was a hole is lost now.
            for mut row in self.kind(agent, &format!("hole:{boot:016x}:")) {
                let left = row.missing.without(&range);
                if row.state != State::Open || left == row.missing {
                    continue;
                }
                start = start.min(row.start);
                end = row.end.unwrap_or(end);
                if left.is_empty() {
                    self.remove(&(agent.clone(), row.key.clone()));
                } else {
                    row.missing = left;
                    self.put(row);
                }
            }
            self.put(Row {
                agent: agent.clone(),
                key: format!("lost:{boot:016x}:{first:020}"),
                cause: cause::GIVEN_UP.to_owned(),
                device: String::new(),
                start: start.min(end),
                end: Some(end),
                entries: range.count(),
                readings: 0,
                state: State::Lost,
                boot,
                missing: range,
            });
        }
        self.count_missing(agent);
    }

    /// Holes that lasted become rows.
    pub(super) fn holes(&mut self, agent: &AgentPath, now: Timestamp) {
        let Some(known) = self.agents.get(agent) else { return };
        let mut found = Vec::new();
        for (boot, run) in &known.runs {
            for ((first, last), since) in &run.holes {
                let key = hole_key(*boot, *last);
                let noticed = self.rows.contains_key(&(agent.clone(), key.clone()));
                if noticed || (*since <= now && now.since(*since) < GRACE) {
                    continue;
                }
                let (start, end) = run.around(*first, *last);
                found.push(Row {
                    agent: agent.clone(),
                    key,
                    cause: cause::LINK.to_owned(),
                    device: String::new(),
                    start: start.unwrap_or(run.start).min(end.unwrap_or(run.end)),
                    end: Some(end.unwrap_or(run.end)),
                    entries: last.saturating_sub(*first).saturating_add(1),
                    readings: 0,
                    state: State::Open,
                    boot: *boot,
                    missing: Ranges::of([(*first, *last)]),
                });
            }
        }
        if !found.is_empty() {
            found.into_iter().for_each(|row| self.put(row));
            self.count_missing(agent);
        }
    }

    /// Entries of a run have come by another way than the agent's: from another collector. Rows
    /// that began before `start` stay as they are. Gives how many rows changed.
    pub(in crate::gaps) fn filled(
        &mut self,
        agent: &AgentPath,
        boot: u64,
        present: &Ranges,
        start: Timestamp,
    ) -> usize {
        let concerned = |row: &&Row| row.boot == boot && row.start >= start;
        let rows: Vec<Row> = self.of(agent).filter(concerned).cloned().collect();
        let mut changed = 0;
        for mut row in rows {
            let left = row.missing.without(present);
            if left == row.missing {
                continue;
            }
            row.missing = left;
            // A hole that is open is closed by the agent, who owes it still.
            if row.missing.is_empty() && row.state == State::Lost {
                row.state = State::Filled;
            }
            changed += 1;
            self.put(row);
        }
        self.count_missing(agent);
        changed
    }
}

fn known_missing(known: Option<&Known>) -> bool {
    known.is_some_and(|known| known.missing)
}

/// A hole fills from its lower end, so it is known by its upper one.
fn hole_key(boot: u64, last: u64) -> String {
    format!("hole:{boot:016x}:{last:020}")
}
