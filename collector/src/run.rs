//! How it all moves: one loop takes every event, the core decides, this acts.
//!
//! Threads: the loop and HTTP on the async runtime; one thread owns the store, one the rules;
//! queries, pictures and exports read the store on threads of their own. Every queue is bounded;
//! while the store has no room for more, nothing is read from the broker.
//!
//! Reading order: here the loop; `core` (what is decided), `act` (what is done about it), `start`
//! with `setup`, `end`; then who works beside the loop: `writer`, `alerting`, `painter`, `export`,
//! `heartbeat` (of the peer), `tally`; and what is told of: `agents`, `own`, `health`, `forms`,
//! `archive`.

mod act;
mod agents;
mod alerting;
mod archive;
mod core;
mod end;
mod error;
mod export;
mod forms;
mod health;
mod heartbeat;
mod own;
mod painter;
mod setup;
mod start;
mod tally;
mod writer;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_link as link;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::api::{ReloadRequest, RulesForm};
use crate::clock;
use crate::config::Config;
use crate::notify::io::{Report, Sender};
use crate::state;
use crate::store;
use crate::telemetry::Telemetry;
use alerting::Command;
use core::{Core, Evaluated, Event};
pub use error::Error;
use health::Board;
use painter::Painter;
use writer::{Done, Job};

/// Room in the store's queue that is not for batches, so that its own samples find a place.
const RESERVED_JOBS: usize = 16;

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
}

/// SIGHUP, where it is listened to.
async fn hangup(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
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
