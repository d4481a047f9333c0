//! How it all moves: one loop takes every event, the core decides, this acts.
//!
//! Threads: the loop and HTTP on the async runtime; one thread owns the store, one the rules;
//! queries, pictures and exports read the store on threads of their own. Every queue is bounded;
//! while the store has no room for more, nothing is read from the broker.
//!
//! Reading order: `core` (what is decided), `agents`, `writer`, `alerting`, `painter`, `export`,
//! `heartbeat` (of the peer), `setup`, `tally`, `health`, `forms`, `archive`.

mod agents;
mod alerting;
mod archive;
mod core;
mod error;
mod export;
mod forms;
mod health;
mod heartbeat;
mod own;
mod painter;
mod setup;
mod tally;
mod writer;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_link as link;
use hallwatch_model::{Topic, TopicKind, wire};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::api::{Api, Guarded, ReloadRequest, RulesForm};
use crate::clock;
use crate::config::{self, Config};
use crate::notify::io::{Report, Sender, Turns};
use crate::notify::{self, Receiver, Router};
use crate::rules::{self, PushEngine};
use crate::sink::influx::Writer;
use crate::state;
use crate::store;
use crate::telemetry::Telemetry;
use crate::topology::{Suppressor, Watch};
use alerting::{Alerting, Command};
use core::{Action, Core, Evaluated, Event};
pub use error::Error;
use export::Export;
use health::Board;
use heartbeat::Heartbeat;
use painter::Painter;
use writer::{Done, Job};

/// An orderly end takes no longer than this.
const GRACE: Duration = Duration::from_secs(10);
/// Room in the store's queue that is not for batches, so that its own samples find a place.
const RESERVED_JOBS: usize = 16;
/// Parts that are to be filled in that may wait; each has some megabytes.
const MAX_FILLS: usize = 2;
/// Reports of notifications that may wait.
const MAX_REPORTS: usize = 256;

/// Runs a collector until `shutdown`, serving HTTP on `listener`.
///
/// # Errors
/// When something cannot be opened at the start, or the store or the state can no longer be
/// written: then only a restart tells what is on disk.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut collector = Collector::start(config, listener).await?;
    let result = collector.live(shutdown).await;
    collector.end().await;
    result
}

/// Everything that runs.
struct Collector {
    core: Core,
    board: Board,
    telemetry: Telemetry,
    jobs: mpsc::Sender<Job>,
    done: mpsc::Receiver<Done>,
    writer: JoinHandle<()>,
    tally: JoinHandle<()>,
    peer: JoinSet<()>,
    commands: mpsc::Sender<Command>,
    evaluated: mpsc::Receiver<Evaluated>,
    alerting: JoinHandle<Result<(), state::Error>>,
    reports: mpsc::Receiver<Report>,
    sender: Sender,
    publisher: link::Publisher,
    events: link::Events,
    rules: watch::Sender<Arc<RulesForm>>,
    painter: Painter,
    exports: JoinSet<()>,
    server: JoinHandle<std::io::Result<()>>,
    stop_server: Option<oneshot::Sender<()>>,
    interval: Duration,
    reader: store::Reader,
    hangups: Option<Signal>,
    reloads: mpsc::Receiver<ReloadRequest>,
}

impl Collector {
    async fn start(config: Config, listener: TcpListener) -> Result<Self, Error> {
        let now = clock::now();
        let telemetry = Telemetry::new().map_err(Error::Telemetry)?;
        telemetry.start_seconds.set(now.as_seconds());
        let board = Board::new();
        let url = config.broker.addresses();
        let core = Core::new(
            config.id.clone(),
            config.sites.clone(),
            url,
            board.clone(),
            telemetry.clone(),
            now,
        );
        let broker = setup::broker(&config)?;

        let (store, state, gaps) = setup::open(&config).await?;
        let reader = store.reader();
        let (jobs, job_receiver) = mpsc::channel(writer::MAX_JOBS);
        let (done_sender, done) = mpsc::channel(writer::MAX_JOBS);
        let owned = gaps.clone();
        let writer = tokio::task::spawn_blocking(move || {
            writer::work(store, &owned, job_receiver, &done_sender);
        });
        let tally = tokio::spawn(tally::run(
            gaps.clone(),
            reader.clone(),
            jobs.clone(),
            config.data.clone(),
            telemetry.clone(),
        ));

        let receivers: Vec<Receiver> = config.receivers.iter().map(setup::receiver).collect();
        if receivers.is_empty() {
            board.set("receivers", true, "none: nobody is paged");
        }
        let served = listener.local_addr().map_err(Error::Listener)?;
        let external_url = config.external_url.as_ref();
        let external_url =
            external_url.map_or_else(|| format!("http://{served}"), ToString::to_string);
        let options = rules::Options {
            interval: config.rules.interval,
            external_url: external_url.clone(),
            ..rules::Options::default()
        };
        let saved = state.alerts().map_err(Error::State)?;
        let plans: Vec<_> = config.topologies.into_iter().map(Arc::new).collect();
        let suppressor = Suppressor::new(
            plans.iter().cloned(),
            config.notify.escalate_after,
            &external_url,
            saved.iter().map(|saved| &saved.alert),
            state.suppressed().map_err(Error::State)?,
        );
        let timing = rules::push::Timing::default();
        let mut engine = PushEngine::new(config.rules.set, saved, options, timing);
        engine.restore_digest(state.digest().map_err(Error::State)?);
        telemetry.rules_reload_successful.set(1);
        telemetry.rules_reloaded_seconds.set(now.as_seconds());
        let config::Notify { group_by, group_wait, group_interval, repeat_interval, .. } =
            config.notify;
        let options =
            notify::Options { group_by, group_wait, group_interval, repeat_interval, external_url };
        let pair = setup::pair(
            &config.id,
            config.peer.as_ref(),
            &receivers,
            &state,
            config.rules.interval,
        )?;
        let router = Router::new(options, &receivers, state.told().map_err(Error::State)?);
        let state = Arc::new(Mutex::new(state));
        let (report_sender, reports) = mpsc::channel(MAX_REPORTS);
        let backoff = notify::delivery::Backoff::default();
        let turns = pair.clone().map(|pair| Turns { pair, telemetry: telemetry.clone() });
        let sender = Sender::start(receivers, Arc::clone(&state), backoff, report_sender, turns)
            .map_err(Error::Sender)?;
        let (commands, command_receiver) = mpsc::channel(16);
        let (evaluated_sender, evaluated) = mpsc::channel(1);
        let from = config.rules.from;
        let hangups = match from {
            // Only what runs as a program of its own is told by a signal.
            Some(_) => Some(signal(SignalKind::hangup()).map_err(Error::Signal)?),
            None => None,
        };
        let alerting = Alerting {
            engine,
            router,
            watch: Watch::new(plans),
            suppressor,
            state,
            reader: reader.clone(),
            position: 0,
            senders: alerting::Senders::default(),
            feed: rules::Feed::default(),
            pair: pair.clone(),
            from,
            reload: rules::Reload { loaded_at: Some(now), refused: None },
            telemetry: telemetry.clone(),
        };
        let alerting =
            tokio::task::spawn_blocking(move || alerting.work(command_receiver, &evaluated_sender));

        let mut peer = JoinSet::new();
        let (fills, mut to_fill) = mpsc::channel(MAX_FILLS);
        let to_store = jobs.clone();
        peer.spawn(async move {
            while let Some(fill) = to_fill.recv().await {
                if to_store.send(Job::Fill(fill)).await.is_err() {
                    break;
                }
            }
        });
        let rules = watch::Sender::new(Arc::default());
        let pictures = watch::Sender::new("".into());
        let api = Api::new(
            Arc::new(reader.clone()),
            rules.subscribe(),
            board.subscribe(),
            pictures.subscribe(),
            telemetry.clone(),
            clock::now,
        )
        .with_gaps(gaps.clone())
        .with_pair(pair.clone(), fills);
        let (reload, reloads) = mpsc::channel(4);
        let api = if hangups.is_some() { api.with_reload(reload) } else { api };
        let (stop_server, stopped) = oneshot::channel::<()>();
        let serve = axum::serve(Guarded::new(listener), api.router())
            .with_graceful_shutdown(async { drop(stopped.await) });
        let server = tokio::spawn(async { serve.await });

        let mut exports = JoinSet::new();
        let client = setup::client()?;
        for sink in config.sinks {
            let writer = Writer::new(client.clone(), &sink.influx)
                .ok_or_else(|| Error::Sink { name: sink.name.clone() })?;
            let export = Export {
                dead_letters: config.data.join("sinks").join(format!("{}.refused", sink.name)),
                name: sink.name,
                writer,
                reader: reader.clone(),
                jobs: jobs.clone(),
                board: board.clone(),
                telemetry: telemetry.clone(),
            };
            exports.spawn(export.run());
        }

        if let (Some(pair), Some(other)) = (pair, config.peer) {
            let heartbeat = Heartbeat {
                client: setup::peer(&other)?,
                pair,
                peer: other,
                board: board.clone(),
                telemetry: telemetry.clone(),
                jobs: jobs.clone(),
            };
            peer.spawn(heartbeat.run());
        }

        let (publisher, events) = link::open(broker);
        let painter = Painter {
            reader: reader.clone(),
            collector: config.id.to_string(),
            board: board.clone(),
            gaps,
            pictures,
            busy: None,
        };
        Ok(Self {
            core,
            board,
            telemetry,
            jobs,
            done,
            writer,
            tally,
            peer,
            commands,
            evaluated,
            alerting,
            reports,
            sender,
            publisher,
            events,
            rules,
            painter,
            exports,
            server,
            stop_server: Some(stop_server),
            interval: config.rules.interval,
            reader,
            hangups,
            reloads,
        })
    }

    async fn live(&mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut interval = tokio::time::interval(self.interval);
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let room = self.jobs.capacity() > RESERVED_JOBS;
            let event = tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                done = self.done.recv() => Event::Store(done.ok_or(Error::WriterGone)?),
                result = &mut self.alerting => return Err(alerting_ended(result)),
                Some(evaluated) = self.evaluated.recv() => Event::Evaluated(evaluated),
                Some(report) = self.reports.recv() => Event::Report(report),
                result = &mut self.server => return Err(Error::Server(server_ended(result))),
                _ = second.tick() => {
                    self.measure();
                    Event::Second
                }
                _ = interval.tick() => Event::Interval,
                Some(()) = hangup(&mut self.hangups) => {
                    self.reload(None);
                    continue;
                }
                Some(asked) = self.reloads.recv() => {
                    self.reload(Some(asked));
                    continue;
                }
                event = self.events.next(), if room => {
                    Event::Broker(event.ok_or(Error::LinkGone)?)
                }
            };
            let now = clock::now();
            for action in self.core.handle(event, now) {
                self.act(action, now)?;
            }
        }
    }

    fn reload(&self, asked: Option<ReloadRequest>) {
        if self.commands.try_send(Command::Reload(asked, clock::now())).is_err() {
            tracing::error!("the rules are not reloaded: they are too busy; ask again");
        }
    }

    fn act(&mut self, action: Action, now: hallwatch_model::Timestamp) -> Result<(), Error> {
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
            Action::Acknowledge(agent, ack) => self.acknowledge(agent, &ack),
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

    fn acknowledge(&self, agent: hallwatch_model::AgentPath, ack: &hallwatch_model::Ack) {
        let topic = Topic { agent, kind: TopicKind::Ack(self.core.collector().clone()) };
        let message = link::Message {
            topic: topic.to_string(),
            payload: wire::encode_ack(ack).into(),
            retain: false,
        };
        match self.publisher.try_publish(message) {
            Ok(()) => self.telemetry.acks_published.inc(),
            Err(_) => self.telemetry.acks_dropped.inc(),
        }
    }

    /// Depths of queues, and the size of the store.
    fn measure(&self) {
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

    /// Ends in order: nothing more comes in, what came in is stored and acknowledged, and whoever
    /// is listening is told that it is over.
    async fn end(self) {
        tracing::info!("ending");
        let ended = tokio::time::timeout(GRACE, self.drain()).await;
        if ended.is_err() {
            tracing::warn!("not everything ended in time; what was acknowledged is on disk");
        }
    }

    async fn drain(mut self) {
        // Exports go on from their cursors at the next start.
        self.exports.shutdown().await;
        // It holds a way to the store, and counts from where it was at the next start.
        self.tally.abort();
        let _ = (&mut self.tally).await;
        self.peer.shutdown().await;
        let Self { core, telemetry, publisher, jobs, commands, sender, painter, .. } = self;
        let mut core = core;
        // Without jobs, commands and pictures, threads and streams come to their ends.
        drop((jobs, commands, painter));
        if let Some(stop) = self.stop_server {
            // The server may have ended by itself.
            let _ = stop.send(());
        }
        self.evaluated.close();
        while let Some(done) = self.done.recv().await {
            for action in core.handle(Event::Store(done), clock::now()) {
                if let Action::Acknowledge(agent, ack) = action {
                    let topic = Topic { agent, kind: TopicKind::Ack(core.collector().clone()) };
                    let payload = wire::encode_ack(&ack).into();
                    let message =
                        link::Message { topic: topic.to_string(), payload, retain: false };
                    if publisher.try_publish(message).is_ok() {
                        telemetry.acks_published.inc();
                    }
                }
            }
        }
        log_panic("writer", self.writer.await.err());
        if !self.alerting.is_finished() {
            log_panic("rules", self.alerting.await.err());
        }
        sender.stop(GRACE / 3).await;
        drop(publisher);
        while self.events.next().await.is_some() {}
        if !self.server.is_finished() {
            let ended = tokio::time::timeout(GRACE / 3, &mut self.server).await;
            if ended.is_err() {
                self.server.abort();
            }
        }
        drop(self.board);
    }
}

/// SIGHUP, where it is listened to.
async fn hangup(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

fn log_panic(thread: &str, error: Option<tokio::task::JoinError>) {
    if let Some(error) = error {
        tracing::error!(%error, thread, "a thread has failed");
    }
}

fn alerting_ended(result: Result<Result<(), state::Error>, tokio::task::JoinError>) -> Error {
    match result {
        Ok(Err(error)) => Error::State(error),
        Ok(Ok(())) | Err(_) => Error::AlertingGone,
    }
}

fn server_ended(
    result: Result<std::io::Result<()>, tokio::task::JoinError>,
) -> Option<std::io::Error> {
    match result {
        Ok(result) => result.err(),
        Err(error) => Some(std::io::Error::other(error)),
    }
}
