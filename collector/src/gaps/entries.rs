//! Journal entries: that they came, that some are missing, that they were given up.

use std::time::Duration;

use hallwatch_model::{Ack, AgentPath, Timestamp};

use super::ranges::Ranges;
use super::row::{Row, State, cause};
use super::runs::Known;
use super::{Arrived, Ledger};

/// A hole is a gap when it is not filled after this: entries overtake each other on the way.
pub(super) const GRACE: Duration = Duration::from_secs(5);

impl Ledger {
    /// An entry is on disk, for the first time or again.
    pub fn arrived(&mut self, agent: &AgentPath, entry: Arrived) {
        let known = self.agents.entry(agent.clone()).or_default();
        let before = std::mem::replace(&mut known.sender, entry.sender);
        known.arrived(entry);
        if before != entry.sender {
            self.new_sender(agent, entry.sender);
        }
        if entry.boot != entry.sender {
            self.run_went_on(agent, entry.boot);
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
                // Also of a hole, which an acknowledgement closes only if it was known as one since
                // the collector was started.
                if row.missing.is_empty() {
                    row.state = State::Filled;
                }
                self.put(row);
            }
            self.count_missing(agent);
        }
    }

    /// Another run speaks: what an earlier one said of devices that are silent has ended with it.
    fn new_sender(&mut self, agent: &AgentPath, sender: u64) {
        for row in self.kind(agent, "told:") {
            if row.state == State::Open && row.boot != sender {
                let row = self.to_run_end(row);
                self.put(row);
            }
        }
    }

    /// The row of a gap that lasted when its run ended.
    pub(super) fn to_run_end(&self, row: Row) -> Row {
        let run = self.agents.get(&row.agent).and_then(|known| known.runs.get(&row.boot));
        let end = Some(run.map_or(row.start, |run| run.end).max(row.start));
        Row { end, state: State::Lost, to_run_end: true, ..row }
    }

    /// An entry of a run that is over came: it ended later than was known.
    fn run_went_on(&mut self, agent: &AgentPath, boot: u64) {
        let from = (agent.clone(), "told:".to_owned());
        let told = self.rows.range(from..).map(|(_, row)| row);
        let told = told.take_while(|row| row.agent == *agent && row.key.starts_with("told:"));
        let rows: Vec<Row> =
            told.filter(|row| row.to_run_end && row.boot == boot).cloned().collect();
        for row in rows {
            let row = self.to_run_end(row);
            self.put(row);
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
                to_run_end: false,
            });
        }
        self.count_missing(agent);
    }

    /// The run `sender` of an agent has nothing in its journal that is not acknowledged: what is
    /// missing of others went with a journal that was in memory, set aside or on another disk.
    pub fn settled(&mut self, agent: &AgentPath, sender: u64) {
        self.holes(agent, |boot, _| boot != sender);
        for mut row in self.kind(agent, "hole:") {
            let Some((first, last)) = row.missing.iter().next().filter(|_| row.boot != sender)
            else {
                continue;
            };
            if row.state != State::Open {
                continue;
            }
            if first == 1 {
                // It began at an unknown time after the run before.
                let end = row.end.unwrap_or(row.start);
                let (boot, seq) = (row.boot, last.saturating_add(1));
                let next = Arrived { boot, seq, start: end, watermark: end, sender };
                let known = self.agents.entry(agent.clone()).or_default();
                row.start = row.start.min(known.around(boot, first, last, next).0);
            }
            cause::GIVEN_UP.clone_into(&mut row.cause);
            row.state = State::Lost;
            self.put(row);
        }
        if let Some(known) = self.agents.get_mut(agent) {
            let others = known.runs.iter_mut().filter(|(boot, _)| **boot != sender);
            others.for_each(|(_, run)| run.holes.clear());
        }
        self.count_missing(agent);
    }

    /// Holes that are `old` enough, by their run and since when they are known, become rows.
    pub(super) fn holes(&mut self, agent: &AgentPath, old: impl Fn(u64, Timestamp) -> bool) {
        let Some(known) = self.agents.get(agent) else { return };
        let mut found = Vec::new();
        for (boot, run) in &known.runs {
            for ((first, last), since) in &run.holes {
                let key = hole_key(*boot, *last);
                let noticed = self.rows.contains_key(&(agent.clone(), key.clone()));
                if noticed || !old(*boot, *since) {
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
                    to_run_end: false,
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
