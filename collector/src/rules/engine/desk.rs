//! What is told and written down of the alerts of one rule.

use std::sync::Arc;

use hallwatch_model::Timestamp;

use super::{Evaluation, SavedAlert};
use crate::rules::alert::{Alert, Change, Timing};

/// Writes down what happens to the alerts of one rule.
pub(super) struct Desk<'e> {
    pub(super) key: &'e Arc<str>,
    pub(super) query: &'e Arc<str>,
    pub(super) now: Timestamp,
    pub(super) timing: Timing,
    pub(super) evaluation: &'e mut Evaluation,
}

impl Desk<'_> {
    pub(super) fn note(&mut self, alert: &mut Alert, changes: Vec<Change>, also: bool) {
        let changed = !changes.is_empty();
        self.evaluation.note(self.key, self.query, alert, changes, self.now);
        if !alert.is_active() {
            self.settle(alert);
        } else if also || changed {
            self.save(alert);
        }
    }

    fn save(&mut self, alert: &Alert) {
        let saved = SavedAlert { rule: self.key.clone(), alert: alert.clone() };
        self.evaluation.changed.push(saved);
    }

    /// An alert that is over: something may be left to be remembered.
    pub(super) fn settle(&mut self, alert: &mut Alert) {
        if alert.rest(self.timing, self.now) {
            self.save(alert);
        } else {
            self.evaluation.ended.push((self.key.clone(), alert.labels.clone()));
        }
    }

    /// A dormant alert, when the expression does not hold; `over` when that is known.
    pub(super) fn dormant(&mut self, alert: &mut Alert, over: bool) {
        let awake = alert.memory.fulfilled && over;
        alert.memory.fulfilled &= !over;
        if awake || !alert.rest(self.timing, self.now) {
            self.settle(alert);
        }
    }
}
