//! The start: opens what is on disk, and sets everything going.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_config::Url;
use hallwatch_link as link;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::alerting::{Alerting, Senders};
use super::core::Core;
use super::export::Export;
use super::health::Board;
use super::heartbeat::Heartbeat;
use super::painter::Painter;
use super::writer::{self, Job};
use super::{Collector, Error, setup, tally};
use crate::api::{Api, Fill, Guarded};
use crate::clock;
use crate::config::{self, Config};
use crate::disk::Reserve;
use crate::notify::io::{Sender, Turns};
use crate::notify::{self, Receiver, Router};
use crate::rules::{self, PushEngine, RuleSet};
use crate::sink::influx::Writer;
use crate::state::State;
use crate::store::Reader;
use crate::telemetry::Telemetry;
use crate::topology::{Plan, Suppressor, Watch};

/// Parts that are to be filled in that may wait; each has some megabytes.
const MAX_FILLS: usize = 2;
/// Reports of notifications that may wait.
const MAX_REPORTS: usize = 256;

impl Collector {
    /// Opens what is on disk, then starts what works on it; the broker comes last, so that nothing
    /// arrives before there is somebody to take it.
    pub(super) async fn start(config: Config, listener: TcpListener) -> Result<Self, Error> {
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
        let reserve = Arc::new(Reserve::new(&config.data));
        let owned = gaps.clone();
        let kept = Arc::clone(&reserve);
        let writer = tokio::task::spawn_blocking(move || {
            writer::work(store, &owned, &kept, job_receiver, &done_sender);
        });
        let tally = tokio::spawn(tally::run(
            gaps.clone(),
            reader.clone(),
            jobs.clone(),
            (config.data.clone(), Arc::clone(&reserve)),
            telemetry.clone(),
        ));

        let receivers: Vec<Receiver> = config.receivers.iter().map(setup::receiver).collect();
        if receivers.is_empty() {
            board.set("receivers", true, "none: nobody is paged");
        }
        let served = listener.local_addr().map_err(Error::Listener)?;
        let external_url = config.external_url.as_ref();
        let external_url = external_url.map_or_else(|| format!("http://{served}"), base);
        let from = config.rules.from;
        let rules = (config.rules.set, config.rules.interval);
        let judges =
            judges(rules, config.topologies, config.notify, external_url, &receivers, &state)?;
        telemetry.rules_reload_successful.set(1);
        telemetry.rules_reloaded_seconds.set(now.as_seconds());
        let pair = setup::pair(
            &config.id,
            config.peer.as_ref(),
            &receivers,
            &state,
            config.rules.interval,
        )?;
        let state = Arc::new(Mutex::new(state.with_reserve(reserve)));
        let (report_sender, reports) = mpsc::channel(MAX_REPORTS);
        let backoff = notify::delivery::Backoff::default();
        let turns = pair.clone().map(|pair| Turns { pair, telemetry: telemetry.clone() });
        let sender = Sender::start(receivers, Arc::clone(&state), backoff, report_sender, turns)
            .map_err(Error::Sender)?;
        let (commands, command_receiver) = mpsc::channel(16);
        let (evaluated_sender, evaluated) = mpsc::channel(1);
        let hangups = match from {
            // Only what runs as a program of its own is told by a signal.
            Some(_) => Some(signal(SignalKind::hangup()).map_err(Error::Signal)?),
            None => None,
        };
        let alerting = Alerting {
            engine: judges.engine,
            router: judges.router,
            watch: judges.watch,
            suppressor: judges.suppressor,
            state,
            reader: reader.clone(),
            position: 0,
            senders: Senders::default(),
            feed: rules::Feed::default(),
            pair: pair.clone(),
            from,
            reload: rules::Reload { loaded_at: Some(now), refused: None },
            telemetry: telemetry.clone(),
        };
        let alerting =
            tokio::task::spawn_blocking(move || alerting.work(command_receiver, &evaluated_sender));

        let mut peer = JoinSet::new();
        let fills = fills(&mut peer, jobs.clone());
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
        let (server, stop_server) = serve(api, listener);

        let beside = Beside {
            reader: reader.clone(),
            jobs: jobs.clone(),
            board: board.clone(),
            telemetry: telemetry.clone(),
        };
        let exports = exports(config.sinks, &config.data, &beside)?;

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
}

/// What decides who is told of what, as it was left.
/// An address as what paths, which begin with `/`, are written after.
fn base(url: &Url) -> String {
    let text = url.as_str().split(['?', '#']).next().unwrap_or_default();
    text.trim_end_matches('/').to_owned()
}

struct Judges {
    engine: PushEngine,
    watch: Watch,
    suppressor: Suppressor,
    router: Router,
}

fn judges(
    (set, interval): (RuleSet, Duration),
    topologies: Vec<Plan>,
    paging: config::Notify,
    external_url: String,
    receivers: &[Receiver],
    state: &State,
) -> Result<Judges, Error> {
    let options = rules::Options {
        interval,
        external_url: external_url.clone(),
        ..rules::Options::default()
    };
    let saved = state.alerts().map_err(Error::State)?;
    let plans: Vec<_> = topologies.into_iter().map(Arc::new).collect();
    let suppressor = Suppressor::new(
        plans.iter().cloned(),
        paging.escalate_after,
        &external_url,
        saved.iter().map(|saved| &saved.alert),
        state.suppressed().map_err(Error::State)?,
    );
    let mut engine = PushEngine::new(set, saved, options, rules::push::Timing::default());
    engine.restore_digest(state.digest().map_err(Error::State)?);
    let config::Notify { group_by, group_wait, group_interval, repeat_interval, .. } = paging;
    let options =
        notify::Options { group_by, group_wait, group_interval, repeat_interval, external_url };
    let router = Router::new(options, receivers, state.told().map_err(Error::State)?);
    Ok(Judges { engine, watch: Watch::new(plans), suppressor, router })
}

/// What works beside the loop has all of this.
struct Beside {
    reader: Reader,
    jobs: mpsc::Sender<Job>,
    board: Board,
    telemetry: Telemetry,
}

/// What was fetched from the peer goes to the store, as there is room.
fn fills(tasks: &mut JoinSet<()>, jobs: mpsc::Sender<Job>) -> mpsc::Sender<Fill> {
    let (fills, mut to_fill) = mpsc::channel(MAX_FILLS);
    tasks.spawn(async move {
        while let Some(fill) = to_fill.recv().await {
            if jobs.send(Job::Fill(fill)).await.is_err() {
                break;
            }
        }
    });
    fills
}

/// HTTP, until it is told to stop.
fn serve(
    api: Api,
    listener: TcpListener,
) -> (JoinHandle<std::io::Result<()>>, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = axum::serve(Guarded::new(listener), api.router())
        .with_graceful_shutdown(async { drop(stopped.await) });
    (tokio::spawn(async { serve.await }), stop)
}

/// A task for each sink.
fn exports(sinks: Vec<config::Sink>, data: &Path, beside: &Beside) -> Result<JoinSet<()>, Error> {
    let mut exports = JoinSet::new();
    let client = setup::client()?;
    for sink in sinks {
        let writer = Writer::new(client.clone(), &sink.influx)
            .ok_or_else(|| Error::Sink { name: sink.name.clone() })?;
        let export = Export {
            dead_letters: data.join("sinks").join(format!("{}.refused", sink.name)),
            name: sink.name,
            writer,
            reader: beside.reader.clone(),
            jobs: beside.jobs.clone(),
            board: beside.board.clone(),
            telemetry: beside.telemetry.clone(),
        };
        exports.spawn(export.run());
    }
    Ok(exports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_after_an_address_without_its_slash() {
        for (written, wanted) in [
            ("https://hall.example.net", "https://hall.example.net"),
            ("https://hall.example.net/", "https://hall.example.net"),
            ("http://h:8600/p", "http://h:8600/p"),
            ("http://h:8600/p/q//", "http://h:8600/p/q"),
            ("http://h/p/?kiosk#top", "http://h/p"),
        ] {
            assert_eq!(base(&written.parse().unwrap()), wanted);
        }
    }
}
