//! What the collector does about what happens: a synchronous core, told of every event and of the
//! time, that answers with actions. It knows no socket, no file and no clock.
//!
//! Reading order: `event` (what can happen, and what can be done), `broker` (what agents say),
//! `store` (what is on the disk), `rules` (what was evaluated).

mod broker;
mod event;
mod rules;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use hallwatch_model::{Id, Timestamp};

use super::agents::Agents;
use super::health::Board;
use super::own::Own;
use super::writer::Job;
use crate::config::Site;
use crate::ingest::{Ingest, Registry};
use crate::notify::delivery::Verdict;
use crate::notify::io::Report;
use crate::page::{self, SiteFacts};
use crate::telemetry::Telemetry;
pub(super) use event::{Action, Evaluated, Event, Shown};

/// The core.
pub(super) struct Core {
    collector: Id,
    sites: Vec<Site>,
    broker_url: String,
    /// Subscriptions that the broker refuses on this connection.
    refused: BTreeSet<String>,
    ingest: Ingest,
    agents: Agents,
    own: Own,
    board: Board,
    telemetry: Telemetry,
    alerts: Arc<Vec<page::Alert>>,
    /// The rules are being evaluated.
    evaluating: bool,
}

impl Core {
    pub(super) fn new(
        collector: Id,
        sites: Vec<Site>,
        broker_url: String,
        board: Board,
        telemetry: Telemetry,
        now: Timestamp,
    ) -> Self {
        let registry: Registry = sites.iter().flat_map(Site::agent_paths).collect();
        let agents = Agents::new(registry.agents(), now);
        let ingest = Ingest::new(registry);
        for (reason, _) in ingest.refused() {
            // So that each reason is there before it first happens.
            telemetry.messages_refused.with_label_values(&[reason.word()]);
        }
        board.set("broker", false, format!("connecting to {broker_url}"));
        board.set("store", true, "ready");
        board.set("rules", false, "not evaluated yet");
        Self {
            own: Own::new(collector.clone()),
            collector,
            sites,
            broker_url,
            refused: BTreeSet::new(),
            ingest,
            agents,
            board,
            telemetry,
            alerts: Arc::default(),
            evaluating: false,
        }
    }

    /// The collector's name.
    pub(super) fn collector(&self) -> &Id {
        &self.collector
    }

    pub(super) fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        match event {
            Event::Broker(event) => self.broker(event, now),
            Event::Store(done) => self.stored(done),
            Event::Second => self.second(now),
            Event::Interval => self.interval(),
            Event::Evaluated(evaluated) => self.evaluated(evaluated),
            Event::Report(report) => self.reported(report),
        }
    }

    fn second(&mut self, now: Timestamp) -> Vec<Action> {
        let conflict = |agent: &_| self.ingest.is_conflict(agent, now);
        let mut samples = self.agents.samples(now, conflict);
        samples.append(&mut self.own.samples(&self.telemetry, now));
        let mut actions = vec![
            Action::Store(Job::Record(samples, now)),
            Action::Store(Job::Maintain(now)),
            Action::Store(Job::Heard(self.agents.heard(now), now)),
        ];
        if self.telemetry.pages_open.get() > 0 {
            let sites = self.sites.iter().map(|site| SiteFacts {
                tenant: site.tenant.to_string(),
                id: site.id.to_string(),
                name: site.name.clone(),
                agents: self.agents.of_site(site.tenant.as_str(), site.id.as_str(), now),
            });
            actions.push(Action::Paint(sites.collect(), Arc::clone(&self.alerts)));
        }
        actions
    }

    fn reported(&mut self, report: Report) -> Vec<Action> {
        let part = format!("receiver {}", report.receiver);
        let (result, ok, text) = match &report.verdict {
            Verdict::Delivered => ("delivered", true, "the last notification arrived".to_owned()),
            Verdict::Retry { error, .. } => {
                ("retried", false, format!("attempt {} failed: {error}", report.attempt))
            }
            Verdict::GivenUp { error } => ("given_up", false, format!("given up: {error}")),
        };
        self.telemetry.notifications.with_label_values(&[&*report.receiver, result]).inc();
        self.board.set(&part, ok, text);
        match report.verdict {
            Verdict::GivenUp { .. } => {
                vec![Action::GivenUp(report.receiver, report.group_labels)]
            }
            _ => Vec::new(),
        }
    }
}
