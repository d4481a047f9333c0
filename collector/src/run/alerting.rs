//! The thread that evaluates rules and decides who is told: engine, router and their state.
//!
//! What changed, and what is to be sent, is on disk before anybody acts on it.

mod senders;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hallwatch_config::Finding;
use hallwatch_model::{AgentPath, Labels, Timestamp, Uptime, chain};
use hallwatch_promql::Matchers;
use tokio::sync::mpsc;

use super::core::{Evaluated, Shown};
use super::forms;
use crate::api::ReloadRequest;
use crate::clock;
use crate::config::{self, LoadError};
use crate::notify::{Pair, Router};
use crate::rules::{AlertState, Evaluation, Feed, PushEngine, Reload, Transition};
use crate::state::{self, State};
use crate::store::{Entry, Reader};
use crate::telemetry::Telemetry;
use crate::topology::{Suppressor, Watch};
pub(super) use senders::Senders;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Evaluate the rules as of now.
    Evaluate(Timestamp),
    /// Look at the rules that new entries of the log concern; so far the agents have sent everything.
    Stored(News, Timestamp),
    /// Load the rules again.
    Reload(Option<ReloadRequest>, Timestamp),
    /// A notification to this receiver, about the group with these labels, was given up.
    GivenUp(String, Labels),
}

/// What was stored.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Up to when agents have sent everything.
    pub(super) watermarks: Vec<(AgentPath, Timestamp)>,
}

/// What the thread owns.
pub(super) struct Alerting {
    pub(super) engine: PushEngine,
    pub(super) router: Router,
    /// How the nodes of the sites' topologies are.
    pub(super) watch: Watch,
    /// What is not told of, because it follows from something that is.
    pub(super) suppressor: Suppressor,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) reader: Reader,
    /// Up to where the log was read.
    pub(super) position: u64,
    pub(super) senders: Senders,
    /// The series of the store in the engine.
    pub(super) feed: Feed,
    /// The pair that is told what fires.
    pub(super) pair: Option<Pair>,
    /// The configuration that names the rule files.
    pub(super) from: Option<PathBuf>,
    pub(super) reload: Reload,
    pub(super) telemetry: Telemetry,
}

/// Log entries that are read at once.
const MANY: usize = 256;

impl Alerting {
    /// Works until nobody asks any more.
    ///
    /// # Errors
    /// When the state cannot be written: what the engine knows is ahead of the disk then, and only
    /// a restart sets that right.
    pub(super) fn work(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        done: &mpsc::Sender<Evaluated>,
    ) -> Result<(), state::Error> {
        if let Some(evaluated) = self.begin()
            && done.blocking_send(evaluated).is_err()
        {
            return Ok(());
        }
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::Stored(news, now) => {
                    for (agent, upto) in news.watermarks {
                        let AgentPath { tenant, site, agent } = &agent;
                        self.engine.watermark(tenant.as_str(), site.as_str(), agent.as_str(), upto);
                    }
                    if let Some(evaluated) = self.stored(now)?
                        && done.blocking_send(evaluated).is_err()
                    {
                        break;
                    }
                }
                Command::Reload(asked, now) => {
                    let answer = self.reload(now);
                    if let Some(asked) = asked {
                        // Who asked may not wait any more.
                        let _ = asked.send(answer);
                    }
                    let evaluated = self.evaluate(now, false)?;
                    if done.blocking_send(evaluated).is_err() {
                        break;
                    }
                }
                Command::GivenUp(receiver, labels) => self.router.failed(&receiver, &labels),
                Command::Evaluate(now) => {
                    let evaluated = self.evaluate(now, true)?;
                    if done.blocking_send(evaluated).is_err() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// What the rules read of the past, from the store; and what the topology makes of it.
    fn begin(&mut self) -> Option<Evaluated> {
        if let Some(pair) = &self.pair {
            pair.evaluated(Some(self.router.active()), clock::uptime());
        }
        // First where the log ends: what is read twice does no harm.
        match self.reader.log_end() {
            Ok(end) => self.position = end,
            Err(error) => tracing::warn!(%error, "the rules read the log from its beginning"),
        }
        self.reader.keep_log(self.position);
        if let Err(error) = self.engine.seed(clock::now(), &self.reader) {
            tracing::warn!(%error, "the rules begin without the past");
        }
        self.learn_devices();
        if self.watch.is_empty() {
            return None;
        }
        // Everything: a set without conditions.
        let latest = self.reader.latest(&Matchers::new(Vec::new())).unwrap_or_else(|error| {
            tracing::warn!(%error, "the topology begins without the past");
            Vec::new()
        });
        let at = clock::now();
        let samples = self.watch.seed(&latest, at);
        let took = std::time::Duration::ZERO;
        Some(Evaluated { samples, at, took, interval: false, notifications: 0, shown: None })
    }

    /// Pushes what is new in the log to the rules.
    fn push(&mut self, now: Timestamp) -> Evaluation {
        let mut all = Evaluation::default();
        loop {
            let entries = match self.reader.entries(self.position, MANY) {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(%error, "the rules cannot read what was stored");
                    break;
                }
            };
            let Some(last) = entries.last() else { break };
            self.position = last.position;
            // What fills the past alerts nobody.
            for entry in entries.iter().filter(|entry| !entry.filled) {
                all.append(self.take(entry, now));
            }
            self.reader.keep_log(self.position);
        }
        all
    }

    /// Which agent reads which device, by what they said in earlier runs.
    fn learn_devices(&mut self) {
        let known = self.reader.agents().and_then(|agents| {
            let devices = self.reader.described_devices()?;
            Ok((agents, devices))
        });
        match known {
            Ok((agents, devices)) => {
                let named = |(agent, device)| Some((agents.get(agent)?, String::as_str(device)));
                let devices = devices.iter().map(|(agent, device)| (agent, device));
                for (agent, device) in self.suppressor.described(devices.filter_map(named)) {
                    self.watch.read(&agent, &device, Timestamp::MIN);
                }
                self.senders.learn(agents);
            }
            Err(error) => {
                tracing::warn!(%error, "who reads which device is not known until it sends");
            }
        }
    }

    /// Pushes an entry of the log to the rules.
    fn take(&mut self, entry: &Entry, now: Timestamp) -> Evaluation {
        let mut evaluation = Evaluation::default();
        let (suppressor, watch, reader) = (&mut self.suppressor, &mut self.watch, &self.reader);
        self.senders.note(entry, reader, |agent, device, time| {
            suppressor.read(agent, device, time);
            watch.read(agent, device, time);
        });
        if !watch.is_empty() {
            for point in &entry.points {
                if let Some(labels) = self.senders.watched(point.series, watch, reader) {
                    evaluation.samples.append(&mut watch.observe(&labels, point.sample(), now));
                }
            }
        }
        let points = entry.points.iter();
        let points = points.map(|one| (one.series, Timestamp::from_millis(one.time), one.value));
        let labels = |series| reader.labels(series);
        let pushed = self.feed.resolve(&mut self.engine, points, labels);
        evaluation.append(self.engine.take(pushed, entry.backfill, now, reader));
        evaluation
    }

    /// Goes on with the rules as their files are now, or with the old ones when anything is wrong.
    fn reload(&mut self, now: Timestamp) -> Result<usize, String> {
        let loaded = match &self.from {
            Some(path) => config::load(path).map_err(|error| match error {
                LoadError::Invalid(invalid) => invalid.to_string(),
                unread @ LoadError::Read { .. } => chain(&unread),
            }),
            None => Err("these rules are not of files".to_owned()),
        };
        let rules = match loaded {
            Ok(config) => config.rules.set,
            Err(error) => {
                tracing::error!(%error, "the rules are not reloaded, the old ones stay");
                self.telemetry.rules_reload_successful.set(0);
                self.reload.refused = Some((now, error.clone()));
                return Err(error);
            }
        };
        for warning in &rules.warnings {
            let Finding { file, line, column, message, .. } = warning;
            tracing::warn!(file, line, column, message, "a rule is probably not meant so");
        }
        let count = rules.groups.iter().map(|group| group.rules.len()).sum();
        if let Err(error) = self.engine.reload(rules, now, &self.reader) {
            tracing::warn!(%error, "the rules go on without a part of the past");
        }
        tracing::info!(rules = count, "the rules are reloaded");
        self.telemetry.rules_reload_successful.set(1);
        self.telemetry.rules_reloaded_seconds.set(now.as_seconds());
        self.reload = Reload { loaded_at: Some(now), refused: None };
        Ok(count)
    }

    fn stored(&mut self, now: Timestamp) -> Result<Option<Evaluated>, state::Error> {
        let began = clock::uptime();
        let evaluation = self.push(now);
        let nothing = evaluation.samples.is_empty()
            && evaluation.transitions.is_empty()
            && evaluation.changed.is_empty()
            && evaluation.ended.is_empty();
        if nothing {
            return Ok(None);
        }
        let shows = !evaluation.transitions.is_empty();
        self.conclude(evaluation, now, began, (false, shows)).map(Some)
    }

    fn evaluate(&mut self, now: Timestamp, interval: bool) -> Result<Evaluated, state::Error> {
        let began = clock::uptime();
        let mut evaluation = self.push(now);
        evaluation.append(self.engine.tick(now, &self.reader));
        evaluation.samples.append(&mut self.watch.tick(now));
        self.conclude(evaluation, now, began, (interval, true))
    }

    fn conclude(
        &mut self,
        evaluation: Evaluation,
        now: Timestamp,
        began: Uptime,
        (interval, shows): (bool, bool),
    ) -> Result<Evaluated, state::Error> {
        let told = self.suppressor.handle(&evaluation.transitions, now);
        let notifications = self.router.take(told, now);
        if let Some(pair) = &self.pair {
            let active = self.router.is_changed().then(|| self.router.active());
            pair.evaluated(active, clock::uptime());
        }
        let in_memory = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (router, suppressor) = (&mut self.router, &mut self.suppressor);
            if interval && let Err(error) = state.settle() {
                tracing::warn!(error = chain(&error), "the state stays in memory");
            }
            state.commit_with(&evaluation, router, Some(suppressor), &notifications)?;
            if let Some(digest) = self.engine.changed_digest() {
                state.put_digest(&digest)?;
            }
            state.is_in_memory()
        };
        for transition in &evaluation.transitions {
            log(transition);
        }
        let took = clock::uptime().since(began);
        let shown = shows.then(|| {
            let inside = self.engine.inside(self.reload.clone());
            let alerts = Arc::new(forms::of_page(&inside.view, &self.suppressor));
            let failing = forms::failing(&inside.view);
            let rules = Arc::new(forms::of_api(inside, &self.suppressor, took));
            Shown { rules, alerts, failing, suppressed: self.suppressor.count(), in_memory }
        });
        let (samples, notifications) = (evaluation.samples, notifications.len());
        Ok(Evaluated { samples, at: now, took, interval, notifications, shown })
    }
}

/// Every change of an alert is in the log, with its reason.
fn log(transition: &Transition) {
    let Transition { alert, from, to, reason, .. } = transition;
    let (from, to) = (from.word(), to.word());
    if matches!(transition.to, AlertState::Firing | AlertState::Resolved) {
        tracing::info!(alert = %alert.labels, from, to, reason = reason.to_string(), "an alert changed");
    } else {
        tracing::debug!(alert = %alert.labels, from, to, reason = reason.to_string(), "an alert changed");
    }
}
