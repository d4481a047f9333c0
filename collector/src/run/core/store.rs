//! What the store has done: only that is acknowledged, and only that may move a rule.

use hallwatch_model::chain;

use super::{Action, Core};
use crate::run::alerting::News;
use crate::run::writer::{Done, Kept};

impl Core {
    pub(super) fn stored(&mut self, done: Done) -> Vec<Action> {
        match done {
            Done::Kept(kept) => {
                self.count(&kept);
                self.board.set("store", true, "ready");
                let acks = kept.acks.into_iter();
                let acks = acks.map(|(agent, ack)| Action::Acknowledge(agent, ack));
                let news = News { watermarks: kept.watermarks, backfilled: kept.backfilled };
                let push = (kept.stored > 0).then_some(Action::Push(news));
                push.into_iter().chain(acks).collect()
            }
            Done::Refused(error) => {
                let what = chain(&error);
                if error.is_disk_full() {
                    self.board.set("store", false, format!("the disk is full: {what}"));
                } else {
                    tracing::warn!(error = what, "the store refuses");
                    self.telemetry.messages_refused.with_label_values(&["store"]).inc();
                }
                Vec::new()
            }
            Done::Failed(error) => {
                self.board.set("store", false, chain(&error));
                vec![Action::End(error)]
            }
        }
    }

    fn count(&self, kept: &Kept) {
        let telemetry = &self.telemetry;
        telemetry.batches_stored.inc_by(kept.stored);
        telemetry.batches_duplicate.inc_by(kept.duplicate);
        telemetry.samples_stored.inc_by(kept.samples);
        for (reason, count) in &kept.not_taken {
            telemetry.messages_refused.with_label_values(&[reason]).inc_by(*count);
        }
        for (reason, count) in &kept.ignored {
            telemetry.samples_ignored.with_label_values(&[reason]).inc_by(*count);
        }
        if kept.batches > 0 {
            telemetry.commit_seconds.observe(kept.took.as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "a commit has a hundred batches or so")]
            telemetry.commit_batches.observe(kept.batches as f64);
        }
        for (agent, first, last) in &kept.lost {
            let count = last.saturating_sub(*first).saturating_add(1);
            telemetry.batches_lost.inc_by(count);
            tracing::warn!(%agent, first, last, "the agent gave up batches: there is a gap");
        }
    }
}
