//! Asks the peer of a pair how it is, and what its receivers were told.

use std::time::Duration;

use hallwatch_model::{Labels, Sample, chain};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::health::Board;
use super::writer::Job;
use crate::clock;
use crate::config::Peer;
use crate::notify::Pair;
use crate::notify::pair::HEARTBEAT;
use crate::notify::pair::shared::Answer;
use crate::peer::{Client, Error};
use crate::telemetry::Telemetry;

/// An answer takes no longer; the peer is on the same network.
const PATIENCE: Duration = Duration::from_secs(2);
/// The collector's own series, for rules; named as recording rules are.
const PEER_UP: &str = "collector_peer_up";
/// An answer is no longer: it has some ten thousand alerts at most.
const MOST_BYTES: usize = 16 << 20;

/// What it needs.
pub(super) struct Heartbeat {
    pub(super) pair: Pair,
    pub(super) peer: Peer,
    pub(super) client: Client,
    pub(super) board: Board,
    pub(super) telemetry: Telemetry,
    pub(super) jobs: mpsc::Sender<Job>,
}

/// The envelope of an answer.
#[derive(Deserialize)]
struct Envelope {
    data: Answer,
}

impl Heartbeat {
    /// Asks for ever.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let up = self.ask().await;
            self.telemetry.peer_up.with_label_values(&[self.pair.peer()]).set(i64::from(up));
            let names = [("collector", self.pair.own()), ("peer", self.pair.peer())];
            let (now, value) = (clock::now(), f64::from(u8::from(up)));
            let sample = Sample { time: now, value: Ok(value) };
            let samples = vec![(Labels::metric(PEER_UP, names), sample)];
            if let Err(mpsc::error::TrySendError::Full(_)) =
                self.jobs.try_send(Job::Record(samples, now))
            {
                self.telemetry.own_samples_dropped.inc();
            }
        }
    }

    /// One heartbeat; whether the peer is there.
    async fn ask(&self) -> bool {
        let part = format!("peer {}", self.pair.peer());
        match self.answer().await {
            Ok(answer) if answer.collector != self.pair.peer() => {
                let text = format!("{} is {}: both page", self.peer.url, answer.collector);
                self.board.set(&part, false, text);
                self.pair.missed(clock::uptime());
                false
            }
            Ok(answer) => {
                let text = match (answer.evaluates, answer.failing.iter().next()) {
                    (false, _) => "answers, and does not evaluate its rules".to_owned(),
                    (_, Some(receiver)) => format!("answers, and does not reach {receiver}"),
                    (true, None) => "answers; each group is notified by one of the two".to_owned(),
                };
                self.board.set(&part, true, text);
                self.pair.heard(answer, clock::uptime());
                true
            }
            Err(error) => {
                let lost = self.pair.missed(clock::uptime());
                if lost {
                    let text = format!("{}: this collector notifies alone", chain(&error));
                    self.board.set(&part, false, text);
                }
                !lost
            }
        }
    }

    async fn answer(&self) -> Result<Answer, Error> {
        let path = match self.pair.peer_version() {
            Some(version) => format!("/api/v1/pair/heartbeat?known={version}"),
            None => "/api/v1/pair/heartbeat".to_owned(),
        };
        let asked = async {
            let bytes = self.client.get(&path, MOST_BYTES).await?;
            let envelope: Envelope = self.client.json(&bytes)?;
            Ok(envelope.data)
        };
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        answered.unwrap_or_else(|_| Err(self.client.silent(PATIENCE)))
    }
}
