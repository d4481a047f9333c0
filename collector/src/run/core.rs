//! What the collector does about what happens: a synchronous core, told of every event and of the
//! time, that answers with actions. It knows no socket, no file and no clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_link as link;
use hallwatch_model::{Ack, AgentPath, Id, Labels, Sample, Timestamp};

use super::agents::Agents;
use super::alerting::News;
use super::health::Board;
use super::own::Own;
use super::writer::{Done, Job, Kept};
use crate::api::RulesForm;
use crate::config::Site;
use crate::ingest::{Decision, Ingest, Registry};
use crate::notify::delivery::Verdict;
use crate::notify::io::Report;
use crate::page::{self, SiteFacts};
use crate::rules::Inside;
use crate::store;
use crate::telemetry::Telemetry;

/// Everything that can happen.
#[derive(Debug)]
pub(super) enum Event {
    /// The connection to the broker tells something.
    Broker(link::Event),
    /// The store is done with something.
    Store(Done),
    /// A second has passed.
    Second,
    /// It is time to evaluate the rules.
    Interval,
    /// The rules were evaluated.
    Evaluated(Evaluated),
    /// An attempt to notify has ended.
    Report(Report),
}

/// What an evaluation came to.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) samples: Vec<(Labels, Sample)>,
    pub(super) at: Timestamp,
    pub(super) took: Duration,
    /// Of everything, at the interval; otherwise of what samples have changed.
    pub(super) interval: bool,
    pub(super) notifications: usize,
    /// What there is to be seen now, if it is another.
    pub(super) shown: Option<Shown>,
}

/// What there is to be seen of rules and alerts.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) rules: Arc<RulesForm>,
    pub(super) alerts: Arc<Vec<page::Alert>>,
    pub(super) failing: (usize, Option<String>),
    /// Alerts that are not told of, because they follow from others.
    pub(super) suppressed: usize,
}

/// Everything that can be done.
#[derive(Debug)]
pub(super) enum Action {
    /// Hand a job to the store.
    Store(Job),
    /// Tell an agent what is on disk.
    Acknowledge(AgentPath, Ack),
    /// Evaluate the rules.
    Evaluate,
    /// Look at the rules that what was stored concerns.
    Push(News),
    /// Show rules and alerts through the API.
    ShowRules(Arc<RulesForm>),
    /// Make a picture for the pages that are open.
    Paint(Vec<SiteFacts>, Arc<Vec<page::Alert>>),
    /// Let the senders look into the outbox.
    Send,
    /// Tell the router that a notification was given up.
    GivenUp(String, Labels),
    /// End the process: only a restart tells what is stored.
    End(store::Error),
}

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

    fn broker(&mut self, event: link::Event, now: Timestamp) -> Vec<Action> {
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

    fn stored(&mut self, done: Done) -> Vec<Action> {
        match done {
            Done::Kept(kept) => {
                self.count(&kept);
                self.board.set("store", true, "ready");
                let acks = kept.acks.into_iter();
                let acks = acks.map(|(agent, ack)| Action::Acknowledge(agent, ack));
                let news = News { watermarks: kept.watermarks };
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

    /// An evaluation that takes longer than the interval is not chased by others.
    fn interval(&mut self) -> Vec<Action> {
        if self.evaluating {
            self.telemetry.rule_evaluations_missed.inc();
            return Vec::new();
        }
        self.evaluating = true;
        vec![Action::Evaluate]
    }

    fn evaluated(&mut self, evaluated: Evaluated) -> Vec<Action> {
        let Evaluated { samples, at, took, interval, notifications, shown } = evaluated;
        if interval {
            self.evaluating = false;
            self.telemetry.rule_evaluation_seconds.observe(took.as_secs_f64());
        }
        let mut actions: Vec<Action> = shown.map(|shown| self.show(shown)).into_iter().collect();
        if !samples.is_empty() {
            actions.push(Action::Store(Job::Record(samples, at)));
        }
        if notifications > 0 {
            actions.push(Action::Send);
        }
        actions
    }

    fn show(&mut self, shown: Shown) -> Action {
        let Shown { rules, alerts, failing, suppressed } = shown;
        self.telemetry.alerts_suppressed.set(i64::try_from(suppressed).unwrap_or(i64::MAX));
        self.telemetry.rules_failing.set(i64::try_from(failing.0).unwrap_or(i64::MAX));
        self.measure_rules(&rules.inside);
        let count: usize = rules.groups.iter().map(|group| group.rules.len()).sum();
        self.board.set("rules", true, format!("{count} rules, evaluated"));
        // A part of its own: a broken rule is bad, but the others are evaluated.
        match failing {
            (0, _) => self.board.set("failing rules", true, "none"),
            (count, first) => {
                let first = first.unwrap_or_default();
                self.board.set("failing rules", false, format!("{count}, such as {first}"));
            }
        }
        self.alerts = alerts;
        Action::ShowRules(rules)
    }

    fn measure_rules(&self, inside: &Inside) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (telemetry, usage) = (&self.telemetry, inside.usage);
        telemetry.rules_not_pushed.set(gauge(inside.fallbacks.len()));
        telemetry.rule_instances.set(gauge(usage.instances));
        telemetry.rule_series.set(gauge(usage.memory.series));
        telemetry.rule_bytes.set(gauge(usage.memory.bytes()));
        telemetry.alerts_held.set(gauge(inside.held().count()));
        telemetry.alerts_historical.set(gauge(inside.digest.len()));
        match &inside.reload.refused {
            None => self.board.set("rule files", true, "as loaded"),
            Some((at, error)) => {
                let first = error.lines().next().unwrap_or_default();
                let text = format!("refused at {at}, the old rules stay: {first}");
                self.board.set("rule files", false, text);
            }
        }
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

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use hallwatch_model::{Batch, Readings};

    use super::*;
    use crate::telemetry::Telemetry;

    fn core() -> (Core, Telemetry, Board) {
        let id = |text| Id::new(text).unwrap();
        let site = Site {
            tenant: id("acme"),
            id: id("fra-1"),
            name: "Frankfurt 1".into(),
            agents: vec![id("gw-1")],
        };
        let (telemetry, board) = (Telemetry::new().unwrap(), Board::new());
        let url = "mqtt://127.0.0.1:1883".to_owned();
        let at = Timestamp::from_millis(0);
        let core = Core::new(id("c-1"), vec![site], url, board.clone(), telemetry.clone(), at);
        (core, telemetry, board)
    }

    fn part(board: &Board, name: &str) -> (bool, String) {
        let part = board.all().into_iter().find(|part| part.part == name).unwrap();
        (part.ok, part.text)
    }

    fn evaluated(failing: (usize, Option<String>), notifications: usize) -> Event {
        Event::Evaluated(Evaluated {
            samples: Vec::new(),
            at: Timestamp::from_millis(0),
            took: Duration::from_millis(1),
            interval: true,
            notifications,
            shown: Some(Shown {
                rules: Arc::default(),
                alerts: Arc::default(),
                failing,
                suppressed: 2,
            }),
        })
    }

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    #[test]
    fn a_batch_goes_to_the_store_and_its_acknowledgement_to_the_agent() {
        let (mut core, telemetry, _) = core();
        let batch = Batch {
            boot: 7,
            seq: 1,
            oldest: 1,
            watermark: NOW,
            backfill: false,
            sender: 0,
            readings: Readings::default(),
        };
        let message = link::Message {
            topic: "hallwatch/v1/acme/fra-1/gw-1/data".into(),
            payload: hallwatch_model::wire::encode_batch(&batch).into(),
            retain: false,
        };
        let actions = core.handle(Event::Broker(link::Event::Message(message)), NOW);
        let [Action::Store(Job::Batch(incoming))] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(incoming.batch, batch);
        let agent = incoming.agent.clone();
        let acks = vec![(agent.clone(), Ack { boot: 7, upto: 1, ..Ack::default() })];
        let kept = Kept { acks, stored: 1, samples: 3, batches: 1, ..Kept::default() };
        let actions = core.handle(Event::Store(Done::Kept(kept)), NOW);
        let [Action::Push(_), Action::Acknowledge(to, ack)] = &actions[..] else {
            panic!("{actions:?}")
        };
        assert_eq!((to, ack.upto), (&agent, 1));
        assert_eq!((telemetry.batches_stored.get(), telemetry.samples_stored.get()), (1, 3));
    }

    #[test]
    fn a_message_of_a_stranger_is_counted_and_nothing_else() {
        let (mut core, telemetry, _) = core();
        for (topic, reason) in [
            ("hallwatch/v1/acme/fra-1/gw-9/data", "unknown_agent"),
            ("hallwatch/v1/globex/fra-1/gw-1/data", "unknown_tenant"),
            ("hallwatch/v1/acme/fra-1/gw-1/data", "malformed"),
            ("something/else", "topic"),
        ] {
            let payload = "garbage".into();
            let message = link::Message { topic: topic.into(), payload, retain: false };
            let actions = core.handle(Event::Broker(link::Event::Message(message)), NOW);
            assert!(actions.is_empty(), "{actions:?}");
            assert_eq!(telemetry.messages_refused.with_label_values(&[reason]).get(), 1);
        }
        let strangers = || {
            Telemetry::STRANGERS
                .map(|reason| telemetry.strangers.with_label_values(&[reason]).get())
        };
        assert_eq!(strangers(), [1, 0, 1]);
        // What the broker kept of an agent that was taken out is no stranger.
        let topic = "hallwatch/v1/acme/fra-1/gw-8/status".into();
        let message = link::Message { topic, payload: "old".into(), retain: true };
        core.handle(Event::Broker(link::Event::Message(message)), NOW);
        assert_eq!(strangers(), [1, 0, 1]);
    }

    #[test]
    fn a_broker_that_refuses_the_collector_is_counted() {
        let (mut core, telemetry, _) = core();
        let peer = || link::Peer { host: "broker".into(), port: 8883 };
        let away = link::Error::Hangup { peer: peer() };
        let refused = link::Error::Refused { peer: peer(), reason_code: 0x86 };
        for (error, count) in [(away, 0), (refused, 1)] {
            core.handle(Event::Broker(link::Event::Disconnected { error }), NOW);
            assert_eq!(telemetry.broker_refusals.get(), count);
        }
        let topic = "hallwatch/v1/+/+/+/data".to_owned();
        core.handle(Event::Broker(link::Event::Refused { topic, reason_code: 0x87 }), NOW);
        assert_eq!(telemetry.broker_refusals.get(), 2);
        let actions = core.handle(Event::Second, NOW);
        let [Action::Store(Job::Record(samples, _)), ..] = &actions[..] else {
            panic!("{actions:?}")
        };
        let named = |labels: &Labels| labels.name() == Some("collector_broker_refusals_total");
        let found = samples.iter().find(|(labels, _)| named(labels)).unwrap();
        assert_eq!(found.1.value, Ok(2.0));
    }

    #[test]
    fn a_failed_write_ends_the_process() {
        let (mut core, _, board) = core();
        let actions = core.handle(Event::Store(Done::Failed(store::Error::Broken)), NOW);
        assert!(matches!(actions[..], [Action::End(store::Error::Broken)]), "{actions:?}");
        assert!(!part(&board, "store").0);
    }

    #[test]
    fn a_slow_evaluation_is_not_chased_by_others() {
        let (mut core, telemetry, board) = core();
        assert!(matches!(core.handle(Event::Interval, NOW)[..], [Action::Evaluate]));
        assert!(core.handle(Event::Interval, NOW).is_empty());
        assert_eq!(telemetry.rule_evaluations_missed.get(), 1);
        let actions = core.handle(evaluated((1, Some("A: too bad".into())), 0), NOW);
        assert!(matches!(actions[..], [Action::ShowRules(_)]), "{actions:?}");
        assert_eq!(part(&board, "failing rules"), (false, "1, such as A: too bad".into()));
        assert!(part(&board, "rules").0, "the others are evaluated");
        assert!(matches!(core.handle(Event::Interval, NOW)[..], [Action::Evaluate]));
        let actions = core.handle(evaluated((0, None), 1), NOW);
        assert!(matches!(actions[..], [Action::ShowRules(_), Action::Send]), "{actions:?}");
        assert!(part(&board, "failing rules").0);
    }

    #[test]
    fn a_refused_subscription_is_as_bad_as_no_broker() {
        let (mut core, telemetry, board) = core();
        core.handle(Event::Broker(link::Event::Connected { session_present: false }), NOW);
        assert!(part(&board, "broker").0);
        assert_eq!(telemetry.broker_connected.get(), 1);
        let filters = ["hallwatch/v1/+/+/+/status", "hallwatch/v1/+/+/+/data"].map(String::from);
        for topic in filters.clone() {
            core.handle(Event::Broker(link::Event::Refused { topic, reason_code: 0x87 }), NOW);
        }
        let wanted = "the broker refuses the subscription hallwatch/v1/+/+/+/data: not authorized";
        assert_eq!(part(&board, "broker"), (false, wanted.into()));
        // It is well again when each of them is accepted.
        for (filter, well) in filters.into_iter().zip([false, true]) {
            core.handle(Event::Broker(link::Event::Subscribed { filter }), NOW);
            assert_eq!(part(&board, "broker").0, well);
        }
    }

    #[test]
    fn what_was_given_up_is_told_again() {
        let (mut core, telemetry, board) = core();
        let report = |verdict| {
            Event::Report(Report {
                receiver: "noc".into(),
                group_labels: Labels::empty(),
                attempt: 9,
                verdict,
            })
        };
        let actions = core.handle(report(Verdict::GivenUp { error: "no".into() }), NOW);
        assert!(matches!(&actions[..], [Action::GivenUp(name, _)] if name == "noc"));
        assert_eq!(part(&board, "receiver noc"), (false, "given up: no".into()));
        assert!(core.handle(report(Verdict::Delivered), NOW).is_empty());
        assert!(part(&board, "receiver noc").0);
        let count = |result| telemetry.notifications.with_label_values(&["noc", result]).get();
        assert_eq!((count("given_up"), count("delivered")), (1, 1));
    }

    #[test]
    fn pictures_are_made_while_somebody_looks() {
        let (mut core, telemetry, _) = core();
        let paints = |actions: Vec<Action>| {
            actions.iter().filter(|action| matches!(action, Action::Paint(..))).count()
        };
        assert_eq!(paints(core.handle(Event::Second, NOW)), 0);
        telemetry.pages_open.inc();
        assert_eq!(paints(core.handle(Event::Second, NOW)), 1);
    }
}
