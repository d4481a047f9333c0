//! What must hold when all is over. Pure: evidence in, violations out.
//!
//! Three witnesses that know nothing of each other: the devices, whose every answer has a number;
//! the agent's journal, which keeps what is acknowledged; the collectors' stores and ledgers.
//!
//! Reading order: here the evidence and the verdict; then what is compared: `journal`, `identity`,
//! `answers` with `gaps`.

mod answers;
mod gaps;
mod identity;
mod journal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hallwatch_model::Labels;

use super::witness::{self, Number};
use crate::journal::Readings;
use answers::{answered, turns};
use identity::identity;
use journal::journalled;

/// Clocks of one machine are read at slightly different moments; an entry stays open for 250 ms.
const SLACK: i64 = 400;

/// A row of a gap ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The device; empty for all.
    pub device: String,
    /// Why.
    pub cause: String,
    /// `open`, `filled` or `lost`.
    pub state: String,
    /// In milliseconds.
    pub start: i64,
    /// In milliseconds; `None` while it lasts.
    pub end: Option<i64>,
}

/// What one collector has.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// Its id.
    pub name: String,
    /// Its store.
    pub stored: Readings,
    /// Its ledger.
    pub gaps: Vec<Gap>,
}

/// Everything that is known. Times are milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// All answers of the witnesses.
    pub served: BTreeMap<Number, i64>,
    /// What is left of the agent's journal.
    pub journalled: Readings,
    /// Whether that is everything that was ever journalled.
    pub keeps: bool,
    /// When the journal could not be written, so that it was in memory: from, to.
    pub undurable: Vec<(i64, i64)>,
    /// When the agent was stopped: its readings of that time are late.
    pub frozen: Vec<(i64, i64)>,
    /// From when on the agent's own time may be wrong by how much more than usual.
    pub skewed: Vec<(i64, i64)>,
    /// The devices that are polled, and how often.
    pub intervals: BTreeMap<String, i64>,
    /// Of what time all must be there: from, to.
    pub span: (i64, i64),
    /// The collectors.
    pub collectors: Vec<Collector>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What must hold.
    pub rule: &'static str,
    /// Where it does not.
    pub collector: String,
    /// What was found.
    pub found: String,
}

/// A reading that was journalled is in each store, with its value.
pub const JOURNALLED: &str = "journalled is stored, once, with its value";
/// What is stored was read.
pub const READ: &str = "stored was read";
/// A stored value is that of one answer, at its time.
pub const IDENTITY: &str = "each value is of its own answer, once, in time";
/// An answer is in the store, or a gap says why not.
pub const ANSWERED: &str = "each answer is stored or in a gap";
/// A missed turn of a device is in a gap.
pub const SLOTS: &str = "each missed turn is in a gap";
/// No gap is open when all has healed.
pub const CLOSED: &str = "no gap stays open";

/// What was compared, and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Journalled readings that were looked up, over all collectors.
    pub journalled: u64,
    /// Stored values that were traced to their answer.
    pub traced: u64,
    /// Answers that are not stored and lie in a gap.
    pub in_gaps: u64,
    /// Turns of devices that were found or explained.
    pub turns: u64,
    /// Everything that must not be.
    pub violations: Vec<Violation>,
}

impl Findings {
    fn wrong(&mut self, rule: &'static str, collector: &Collector, found: String) {
        self.violations.push(Violation { rule, collector: collector.name.clone(), found });
    }
}

/// Judges.
#[must_use]
pub fn judge(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    for collector in &evidence.collectors {
        journalled(evidence, collector, &mut findings);
        let present = identity(evidence, collector, &mut findings);
        answered(evidence, collector, &present, &mut findings);
        turns(evidence, collector, &mut findings);
        for gap in collector.gaps.iter().filter(|gap| gap.state == "open" || gap.end.is_none()) {
            findings.wrong(CLOSED, collector, format!("{gap:?}"));
        }
    }
    findings
}

/// The witness and point of a series.
fn place(labels: &Labels) -> Option<(u32, u32)> {
    let name = labels.get("device")?;
    let device = (0..witness::DEVICES).find(|device| witness::name(*device) == name)?;
    let phase = labels.get("phase").unwrap_or_default();
    Some((device, witness::point(labels.name()?, phase)?))
}
