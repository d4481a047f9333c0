//! What agents tell of gaps, and readings that were not taken.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Ack, AgentPath, Gap, Timestamp};

use super::Ledger;
use super::ranges::Ranges;
use super::row::{Row, State, cause};

/// Refusals that are no further apart are one gap.
const NEAR: Duration = Duration::from_secs(60);

/// Numbers that an acknowledgement covers.
fn acknowledged(ack: &Ack) -> Ranges {
    Ranges::of([(1, ack.upto)].into_iter().chain(ack.beyond.iter().copied()))
}

impl Ledger {
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
            state: match gap.cause.as_str() {
                // Nothing is missing.
                cause::CORRECTED | cause::UNCERTAIN => State::Filled,
                _ if gap.open => State::Open,
                _ => State::Lost,
            },
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
}
