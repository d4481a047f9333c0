//! What the broker tells: how the connection is, and what agents say.

use hallwatch_link as link;
use hallwatch_model::{Timestamp, chain};

use super::{Action, Core};
use crate::ingest::Decision;
use crate::run::writer::Job;

impl Core {
    pub(super) fn broker(&mut self, event: link::Event, now: Timestamp) -> Vec<Action> {
        match event {
            link::Event::Connected { .. } => {
                self.telemetry.broker_connected.set(1);
                self.refused.clear();
                self.board.set("broker", true, format!("connected to {}", self.broker_url));
            }
            link::Event::Subscribed { filter } => {
                tracing::info!(filter, "the broker accepts what it had refused");
                if self.refused.remove(&filter) && self.refused.is_empty() {
                    self.board.set("broker", true, format!("connected to {}", self.broker_url));
                }
            }
            link::Event::Disconnected { error } => {
                self.telemetry.broker_connected.set(0);
                self.telemetry.broker_disconnects.inc();
                if error.is_refused_login() {
                    self.telemetry.broker_refusals.inc();
                }
                let text = format!("no connection to {}: {}", self.broker_url, chain(&error));
                self.board.set("broker", false, text);
            }
            link::Event::Refused { topic, reason_code } => {
                let reason = link::reason::text(reason_code);
                tracing::warn!(topic, reason, "the broker refused");
                if link::reason::is_refused_login(reason_code) {
                    self.telemetry.broker_refusals.inc();
                }
                if topic.contains('+') {
                    // Agents are not heard: as bad as no connection.
                    let text = format!("the broker refuses the subscription {topic}: {reason}");
                    self.board.set("broker", false, text);
                    self.refused.insert(topic);
                }
            }
            link::Event::Message(message) => return self.message(&message, now),
        }
        Vec::new()
    }

    fn message(&mut self, message: &link::Message, now: Timestamp) -> Vec<Action> {
        let decision = self.ingest.handle(&message.topic, &message.payload, message.retain, now);
        match decision {
            Decision::Describe(agent, describe) => {
                vec![Action::Store(Job::Describe(agent, describe))]
            }
            Decision::Batch(incoming) => {
                self.agents.data(&incoming.agent, incoming.batch.watermark, now);
                vec![Action::Store(Job::Batch(incoming))]
            }
            Decision::Status(agent, status) => {
                // By the answer a new run learns the time, and which store it speaks to.
                let answer = (status.online && !message.retain).then_some(status.boot);
                // A journal in memory does not know what is on the disk.
                let owes = status.backlog > 0 || !status.durable;
                self.agents.status(&agent, status, message.retain, now);
                let greet = |boot| Action::Store(Job::Greet { agent, boot, owes });
                answer.map(greet).into_iter().collect()
            }
            Decision::Refused { reason, agent, error, log } => {
                self.telemetry.messages_refused.with_label_values(&[reason.word()]).inc();
                // What the broker had kept may be of an agent that was taken out long ago.
                if reason.is_stranger() && !message.retain {
                    self.telemetry.strangers.with_label_values(&[reason.word()]).inc();
                }
                if log {
                    let agent = agent.map(|agent| agent.to_string());
                    let error = error.map(|error| chain(&error));
                    // The topic of a stranger may be anything: quoted, so that no line is forged.
                    let topic = agent.is_none().then_some(&message.topic);
                    let reason = reason.word();
                    tracing::warn!(reason, agent, ?topic, error, "a message is refused");
                }
                Vec::new()
            }
        }
    }
}
