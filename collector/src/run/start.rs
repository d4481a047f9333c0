//! The start: opens what is on disk, and sets everything going.

use std::sync::{Arc, Mutex};

use hallwatch_link as link;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::alerting::{Alerting, Senders};
use super::core::Core;
use super::export::Export;
use super::health::Board;
use super::heartbeat::Heartbeat;
use super::painter::Painter;
use super::writer::{self, Job};
use super::{Collector, Error, setup, tally};
use crate::api::{Api, Guarded};
use crate::clock;
use crate::config::{self, Config};
use crate::disk::Reserve;
use crate::notify::io::{Sender, Turns};
use crate::notify::{self, Receiver, Router};
use crate::rules::{self, PushEngine};
use crate::sink::influx::Writer;
use crate::telemetry::Telemetry;
use crate::topology::{Suppressor, Watch};

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
        let state = Arc::new(Mutex::new(state.with_reserve(reserve)));
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
}
