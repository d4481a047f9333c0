//! The end, in order.

use std::time::Duration;

use super::Collector;
use super::act::acknowledge;
use super::core::{Action, Event};
use crate::clock;

/// An orderly end takes no longer than this.
const GRACE: Duration = Duration::from_secs(10);

impl Collector {
    /// Ends in order: nothing more comes in, what came in is stored and acknowledged, and whoever
    /// is listening is told that it is over.
    pub(super) async fn end(self) {
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
                    acknowledge(&publisher, &telemetry, core.collector(), agent, &ack);
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

fn log_panic(thread: &str, error: Option<tokio::task::JoinError>) {
    if let Some(error) = error {
        tracing::error!(%error, thread, "a thread has failed");
    }
}
