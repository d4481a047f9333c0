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
//! Reading order: `row`, `ranges`, [`Ledger`] (pure), `runs` (what is known of an agent's runs),
//! `tally` (readings present by readings expected), `file` (what of that is on disk), `shared`.

mod file;
mod ranges;
mod row;
mod runs;
mod shared;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hallwatch_model::{Ack, AgentPath, Gap, Timestamp};

pub use file::Error;
pub use row::{Row, State, cause};
pub use shared::Gaps;
pub use tally::{Day, Ratio, Tally};

use ranges::Ranges;
use runs::{Known, Run};

/// A hole is a gap when it is not filled after this: entries overtake each other on the way.
const GRACE: Duration = Duration::from_secs(5);
/// Refusals that are no further apart are one gap.
const NEAR: Duration = Duration::from_secs(60);
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

/// Numbers that an acknowledgement covers.
fn acknowledged(ack: &Ack) -> Ranges {
    Ranges::of([(1, ack.upto)].into_iter().chain(ack.beyond.iter().copied()))
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
        for row in self.kind(agent, "told:") {
            if row.state == State::Open && row.boot != sender {
                let row = self.to_run_end(row);
                self.put(row);
            }
        }
    }

    /// The row of a gap that lasted when its run ended.
    fn to_run_end(&self, row: Row) -> Row {
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

    fn count_missing(&mut self, agent: &AgentPath) {
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

    /// An agent tells of a gap, in an entry of the run `boot`. `have` says what is on disk of a
    /// run.
    pub fn told(&mut self, agent: &AgentPath, boot: u64, gap: &Gap, have: impl Fn(u64) -> Ack) {
        let known = self.agents.entry(agent.clone()).or_default();
        let mut start = gap.first;
        if start == Timestamp::default() {
            start = known.latest().unwrap_or(gap.last);
        }
        let key = format!("told:{}:{}:{:016x}", gap.cause, gap.device, gap.first.as_millis());
        let row = Row {
            agent: agent.clone(),
            key: key.clone(),
            cause: gap.cause.clone(),
            device: gap.device.clone(),
            start,
            end: (!gap.open).then_some(gap.last.max(start)),
            entries: gap.entries,
            readings: gap.readings,
            state: if gap.open { State::Open } else { State::Lost },
            boot,
            missing: Ranges::default(),
            to_run_end: false,
        };
        if gap.ranges.is_empty() {
            let before = self.rows.get(&(agent.clone(), key));
            // What is over does not begin again, and what grew does not shrink: news can be late.
            let newer = before.is_none_or(|before| match (before.end, row.end) {
                (None, _) => true,
                (Some(_), None) => false,
                // When it was over is better known to its run than by the end of it.
                (Some(_), Some(_)) if before.to_run_end => true,
                (Some(before), Some(end)) => end >= before,
            });
            if newer {
                let start = before.map_or(row.start, |before| before.start);
                let row = Row { start, ..row };
                // The run may be over by the time its words come.
                let sender = self.agents.get(agent).map_or(0, |known| known.sender);
                let over = gap.open && sender != 0 && sender != boot;
                let row = if over { self.to_run_end(row) } else { row };
                self.put(row);
            }
            return;
        }
        let mut runs: BTreeMap<u64, Ranges> = BTreeMap::new();
        for (boot, first, last) in &gap.ranges {
            runs.entry(*boot).or_default().insert(*first, *last);
        }
        for (boot, ranges) in runs {
            let key = format!("{key}:{boot:016x}");
            let here = acknowledged(&have(boot)).without(&self.missing(agent, boot));
            let missing = ranges.without(&here);
            // The agent knows better than this collector why, and of when they were.
            for mut lost in self.kind(agent, &format!("lost:{boot:016x}:")) {
                lost.missing = lost.missing.without(&missing);
                if lost.missing.is_empty() {
                    self.remove(&(agent.clone(), lost.key.clone()));
                } else {
                    self.put(lost);
                }
            }
            for mut hole in self.kind(agent, &format!("hole:{boot:016x}:")) {
                let left = hole.missing.without(&missing);
                if hole.state == State::Open && left != hole.missing {
                    hole.missing = left;
                    if hole.missing.is_empty() {
                        self.remove(&(agent.clone(), hole.key.clone()));
                    } else {
                        self.put(hole);
                    }
                }
            }
            if missing.is_empty() {
                continue;
            }
            let before = self.rows.get(&(agent.clone(), key.clone()));
            let entries = missing.count().max(before.map_or(0, |before| before.entries));
            let end = row.end.max(before.and_then(|before| before.end));
            // Readings are counted over all runs; of this one it is a part.
            let all = gap.ranges.iter().fold(0_u64, |sum, (_, first, last)| {
                sum.saturating_add(last.saturating_sub(*first).saturating_add(1))
            });
            let readings = gap.readings.saturating_mul(missing.count()) / all.max(1);
            let state = State::Lost;
            self.put(Row { key, entries, end, readings, state, boot, missing, ..row.clone() });
        }
        self.count_missing(agent);
    }

    /// Readings of an agent, of the time from `first` to `last`, were not taken.
    pub fn refused(
        &mut self,
        agent: &AgentPath,
        (first, last): (Timestamp, Timestamp),
        readings: u64,
        now: Timestamp,
    ) {
        let known = self.agents.entry(agent.clone()).or_default();
        let boot = known.sender;
        let key = match &known.refused {
            Some((key, at)) if now.since(*at) <= NEAR => key.clone(),
            _ => format!("refused:{:016x}", now.as_millis()),
        };
        known.refused = Some((key.clone(), now));
        let before = self.rows.get(&(agent.clone(), key.clone()));
        let row = Row {
            agent: agent.clone(),
            key,
            cause: cause::REFUSED.to_owned(),
            device: String::new(),
            start: before.map_or(first, |before| before.start.min(first)),
            end: before.and_then(|before| before.end).max(Some(last.max(first))),
            entries: 0,
            readings: before.map_or(0, |before| before.readings).saturating_add(readings),
            state: State::Lost,
            boot,
            missing: Ranges::default(),
            to_run_end: false,
        };
        self.put(row);
    }

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
    fn holes(&mut self, agent: &AgentPath, old: impl Fn(u64, Timestamp) -> bool) {
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

fn known_missing(known: Option<&Known>) -> bool {
    known.is_some_and(|known| known.missing)
}

/// A hole fills from its lower end, so it is known by its upper one.
fn hole_key(boot: u64, last: u64) -> String {
    format!("hole:{boot:016x}:{last:020}")
}

fn restart_key(boot: u64) -> String {
    format!("down:{boot:016x}")
}
