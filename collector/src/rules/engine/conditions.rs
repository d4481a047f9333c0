//! `clear` and `expect`: what they say, and which alerts they say it of.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;
use hallwatch_promql::InstantSample;

use crate::rules::alert::{Alert, Cause, Seen, Timing};
use crate::rules::evidence::{Evidence, MAX_REMEMBERED};
use crate::rules::rule::{Expect, NoData};

/// What an expression says now.
pub(in crate::rules) type Result = std::result::Result<Vec<InstantSample>, String>;

/// The expressions of a rule. Only what is needed is evaluated.
pub(in crate::rules) trait Expressions {
    /// The rule's own.
    fn own(&self) -> Result;
    /// `clear`.
    fn clear(&self) -> Result;
    /// `expect`.
    fn expect(&self) -> Result;
}

/// The labels for which a condition holds.
pub(in crate::rules) struct Holds {
    rows: Vec<Labels>,
    on: Option<BTreeSet<Arc<str>>>,
    /// By the names of the labels that are looked for: what there is to be found.
    indexes: RefCell<HashMap<Vec<Arc<str>>, Index>>,
}

/// Rows by which of the labels they have.
type Index = Vec<(BTreeSet<Arc<str>>, HashSet<Labels>)>;

impl Holds {
    fn new(found: Vec<InstantSample>, on: Option<&[Arc<str>]>) -> Self {
        let rows = found.into_iter().map(|row| row.labels.without(|name| name == METRIC_NAME));
        Self {
            rows: rows.collect(),
            on: on.map(|on| on.iter().cloned().collect()),
            indexes: RefCell::default(),
        }
    }

    /// Whether it holds for labels that agree with `result` in those that both have, or in `on`.
    fn holds(&self, result: &Labels) -> bool {
        let names: Vec<Arc<str>> = match &self.on {
            Some(on) => on.iter().cloned().collect(),
            None => result.iter().map(|label| label.name.clone()).collect(),
        };
        let mut indexes = self.indexes.borrow_mut();
        let index = indexes.entry(names).or_insert_with_key(|names| self.index(names));
        let found = |(names, rows): &(BTreeSet<Arc<str>>, HashSet<Labels>)| {
            rows.contains(&result.without(|name| !names.contains(name)))
        };
        index.iter().any(found)
    }

    fn index(&self, names: &[Arc<str>]) -> Index {
        let mut index: HashMap<BTreeSet<Arc<str>>, HashSet<Labels>> = HashMap::new();
        for row in &self.rows {
            // A label that is not there is as an empty one where it is asked for.
            let asked = |name: &&Arc<str>| self.on.is_some() || row.get(name).is_some();
            let shared: BTreeSet<Arc<str>> = names.iter().filter(asked).cloned().collect();
            let part = row.without(|name| !shared.contains(name));
            index.entry(shared).or_default().insert(part);
        }
        index.into_iter().collect()
    }
}

/// A condition that is evaluated when it is first asked for.
pub(super) struct Lazy<'e> {
    evaluate: &'e dyn Fn() -> Result,
    on: Option<&'e [Arc<str>]>,
    known: OnceCell<std::result::Result<Holds, String>>,
}

impl<'e> Lazy<'e> {
    pub(super) fn new(evaluate: &'e dyn Fn() -> Result, on: Option<&'e [Arc<str>]>) -> Self {
        Self { evaluate, on, known: OnceCell::new() }
    }

    pub(super) fn holds(&self, result: &Labels) -> std::result::Result<bool, String> {
        let known =
            self.known.get_or_init(|| (self.evaluate)().map(|rows| Holds::new(rows, self.on)));
        known.as_ref().map(|holds| holds.holds(result)).map_err(Clone::clone)
    }
}

/// What is known of what a sequence expects.
pub(super) enum Expected {
    Come,
    NotCome,
    Unknown(Cause),
}

/// What a sequence expects, and what is there to say whether it has come.
pub(super) struct Sequence<'e> {
    pub(super) expect: &'e Expect,
    pub(super) lazy: Lazy<'e>,
    pub(super) evidence: Evidence<'e>,
    pub(super) no_data: NoData,
}

impl Sequence<'_> {
    /// Remembers what `alert` will rest on.
    pub(super) fn remember(&self, alert: &mut Alert) -> bool {
        let near = self.evidence.near(&alert.result, self.expect.on.as_deref());
        let before = alert.memory.expected.len();
        for series in near {
            if alert.memory.expected.len() >= MAX_REMEMBERED {
                break;
            }
            if !alert.memory.expected.contains(&series) {
                alert.memory.expected.push(series);
            }
        }
        alert.memory.expected.len() != before
    }

    pub(super) fn expected(&self, alert: &Alert) -> std::result::Result<Expected, String> {
        if self.lazy.holds(&alert.result)? {
            return Ok(Expected::Come);
        }
        let gone = self.evidence.gone(&alert.memory.expected);
        Ok(match self.no_data {
            NoData::Hold if !gone.is_empty() => Expected::Unknown(Cause::InputsGone(gone)),
            _ => Expected::NotCome,
        })
    }
}

/// What a sequence makes of what is known of the expression and of what it expects.
pub(super) fn followed(
    seen: Seen,
    expected: Expected,
    alert: &Alert,
    timing: Timing,
    now: hallwatch_model::Timestamp,
) -> Seen {
    match (seen, expected) {
        (over @ (Seen::False { .. } | Seen::FalseWithoutData | Seen::Uncleared { .. }), _) => over,
        (_, Expected::Come) => Seen::Fulfilled,
        (Seen::Unknown(cause), Expected::NotCome) if alert.is_overdue(timing, now) => {
            match alert.state {
                crate::rules::AlertState::Pending => Seen::Overdue(cause),
                _ => Seen::Unknown(cause),
            }
        }
        (unknown @ Seen::Unknown(_), _) => unknown,
        (_, Expected::Unknown(cause)) => Seen::Unknown(cause),
        (holds, Expected::NotCome) => holds,
    }
}
