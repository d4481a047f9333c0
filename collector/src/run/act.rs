//! What the core has decided is done, without ever waiting for room in a queue.

use hallwatch_link as link;
use hallwatch_model::{Ack, AgentPath, Id, Timestamp, Topic, TopicKind, wire};
use tokio::sync::mpsc;

use super::alerting::Command;
use super::core::Action;
use super::writer::Job;
use super::{Collector, Error, setup};
use crate::telemetry::Telemetry;

impl Collector {
    pub(super) fn act(&mut self, action: Action, now: Timestamp) -> Result<(), Error> {
        match action {
            Action::Store(job) => {
                // Only own samples can find no room: for batches it was waited for.
                if let Err(mpsc::error::TrySendError::Full(Job::Record(samples, _))) =
                    self.jobs.try_send(job)
                {
                    let count = u64::try_from(samples.len()).unwrap_or(u64::MAX);
                    self.telemetry.own_samples_dropped.inc_by(count);
                }
            }
            Action::Acknowledge(agent, ack) => {
                acknowledge(&self.publisher, &self.telemetry, self.core.collector(), agent, &ack);
            }
            Action::Evaluate => {
                if self.commands.try_send(Command::Evaluate(now)).is_err() {
                    self.telemetry.rule_evaluations_missed.inc();
                }
            }
            Action::Push(news) => {
                // What finds no room is read with what is stored next, or at the interval.
                drop(self.commands.try_send(Command::Stored(news, now)));
            }
            Action::ShowRules(rules) => {
                self.rules.send_replace(rules);
            }
            Action::Paint(sites, alerts) => self.painter.paint(now, sites, alerts),
            Action::Send => self.sender.wake(),
            Action::GivenUp(receiver, labels) => {
                if self.commands.try_send(Command::GivenUp(receiver, labels)).is_err() {
                    // It is told again after the repeat interval.
                    tracing::warn!("the router is too busy to hear of a notification given up");
                }
            }
            Action::End(error) => return Err(Error::Store(error)),
        }
        Ok(())
    }

    /// Depths of queues, and the size of the store.
    pub(super) fn measure(&self) {
        let depth = |queue: &str, capacity: usize, room: usize| {
            let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
            let waiting = capacity.saturating_sub(room);
            self.telemetry.queue_depth.with_label_values(&[queue]).set(gauge(waiting));
            self.telemetry.queue_capacity.with_label_values(&[queue]).set(gauge(capacity));
        };
        depth("store_jobs", self.jobs.max_capacity(), self.jobs.capacity());
        depth("store_results", self.done.max_capacity(), self.done.capacity());
        depth("rules", self.commands.max_capacity(), self.commands.capacity());
        depth("reports", self.reports.max_capacity(), self.reports.capacity());
        let room = self.publisher.room();
        depth("acks", setup::ACK_QUEUE.max(room), room);
        let stats = self.reader.stats();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.telemetry.store_series.set(i64::try_from(stats.series).unwrap_or(i64::MAX));
        self.telemetry.store_bytes.set(gauge(stats.chunk_bytes.saturating_add(stats.log_bytes)));
    }
}

/// Tells an agent what is on disk. What finds no room is told with what is stored next.
pub(super) fn acknowledge(
    publisher: &link::Publisher,
    telemetry: &Telemetry,
    collector: &Id,
    agent: AgentPath,
    ack: &Ack,
) {
    let topic = Topic { agent, kind: TopicKind::Ack(collector.clone()) };
    let message = link::Message {
        topic: topic.to_string(),
        payload: wire::encode_ack(ack).into(),
        retain: false,
    };
    match publisher.try_publish(message) {
        Ok(()) => telemetry.acks_published.inc(),
        Err(_) => telemetry.acks_dropped.inc(),
    }
}
