//! Tells one Alertmanager what fires: one task for each, so that one that is gone delays no other.
//!
//! Each has its own record of what it has accepted and its own back-off. News waits in the outbox
//! until one of a cluster has it, since that one tells the people; the others are told all the same.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};
use tokio::sync::{mpsc, watch};

use super::{IDLE, Report, STATE_RETRY, send, server, with_state};
use crate::clock;
use crate::notify::NotifiedAlert;
use crate::notify::alertmanager::{self, Accepted, MAX_BATCH};
use crate::notify::delivery::{Backoff, Error, Verdict};
use crate::notify::pair::Queued;
use crate::state::State;

/// One Alertmanager of a receiver.
pub(super) struct Endpoint {
    /// The receiver.
    pub(super) receiver: String,
    /// Whether it has more than this one.
    pub(super) has_others: bool,
    /// Without `/api/v2/alerts`.
    pub(super) url: String,
    pub(super) timeout: Duration,
    pub(super) client: reqwest::Client,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) backoff: Backoff,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) woken: watch::Receiver<u64>,
}

/// What is to follow.
enum Pause {
    /// Nothing for so long, unless there is news.
    Idle(Duration),
    /// Nothing for so long.
    Failed(Duration),
}

impl Endpoint {
    pub(super) async fn run(mut self) {
        let mut accepted = Accepted::default();
        let mut failures = 0;
        loop {
            self.woken.borrow_and_update();
            let pause = self.round(&mut accepted, &mut failures).await;
            let (wait, news) = match pause {
                Pause::Idle(wait) => (wait, true),
                Pause::Failed(wait) => (wait, false),
            };
            let ends = async {
                while self.woken.changed().await.is_ok() {
                    if news {
                        return false;
                    }
                }
                true
            };
            if tokio::time::timeout(wait, ends).await.unwrap_or(false) {
                return;
            }
        }
    }

    /// Tells what is due.
    async fn round(&self, accepted: &mut Accepted, failures: &mut u32) -> Pause {
        let receiver = self.receiver.clone();
        let read = move |state: &mut State| Ok((state.feed(&receiver)?, state.queued(&receiver)?));
        let Ok((alerts, queued)) = with_state(&self.state, &self.receiver, read).await else {
            return Pause::Failed(STATE_RETRY);
        };
        accepted.keep(&alerts);
        let undelivered = queued.first().map(|first| first.at);
        let due = accepted.due(&alerts, undelivered, clock::now());
        let mut result = Ok(());
        for batch in due.chunks(MAX_BATCH) {
            match self.tell(batch).await {
                Err(error) if error.is_transient() => {
                    result = Err(error);
                    break;
                }
                // It took what it could of these, and would refuse the rest for ever.
                told => {
                    accepted.note(batch.iter().copied(), clock::now());
                    result = result.and(told);
                }
            }
        }
        let now = clock::now();
        let attempt = failures.saturating_add(1);
        let since = undelivered.unwrap_or(now);
        let verdict = self.backoff.judge(&result, attempt, since, now);
        *failures = if result.is_ok() { 0 } else { attempt };
        let written = self.note(&queued, &result, attempt, now).await;
        if !due.is_empty() {
            self.report(attempt, verdict.clone());
        }
        match (written, verdict) {
            (Err(()), _) => Pause::Failed(STATE_RETRY),
            (_, Verdict::Retry { at, .. }) => Pause::Failed(at.since(now)),
            // What is too old for the outbox is told all the same when somebody answers.
            (_, Verdict::GivenUp { .. }) if result.is_err_and(|error| error.is_transient()) => {
                Pause::Failed(self.backoff.longest)
            }
            _ => Pause::Idle(accepted.next(&alerts, now).map_or(IDLE, |next| next.min(IDLE))),
        }
    }

    async fn tell(&self, alerts: &[&NotifiedAlert]) -> Result<(), Error> {
        let url = format!("{}/api/v2/alerts", self.url.trim_end_matches('/'));
        send(&self.client, &url, self.timeout, alertmanager::body(alerts, clock::now())).await
    }

    /// Writes down what became of the news.
    async fn note(
        &self,
        queued: &[Queued],
        result: &Result<(), Error>,
        attempt: u32,
        now: Timestamp,
    ) -> Result<(), ()> {
        if queued.is_empty() {
            return Ok(());
        }
        let mut verdicts = Vec::new();
        for one in queued {
            let verdict = self.backoff.judge(result, attempt, one.at, now);
            let waits = matches!(verdict, Verdict::Retry { .. });
            verdicts.push((one.id, verdict));
            if waits {
                // All that follow are younger.
                break;
            }
        }
        let write = move |state: &mut State| {
            for (id, verdict) in &verdicts {
                match verdict {
                    Verdict::Delivered => state.known(*id)?,
                    verdict => state.attempted(*id, verdict, now)?,
                }
            }
            Ok(())
        };
        with_state(&self.state, &self.receiver, write).await
    }

    fn report(&self, attempt: u32, verdict: Verdict) {
        let server = server(&self.url);
        let receiver = &self.receiver;
        match &verdict {
            Verdict::Delivered => tracing::debug!(receiver, server, attempt, "alerts delivered"),
            Verdict::Retry { at, error } => {
                tracing::warn!(receiver, attempt, error, next = %at, "alerts not delivered");
            }
            Verdict::GivenUp { error } => {
                tracing::error!(receiver, attempt, error, "alerts refused or given up");
            }
        }
        let name = receiver.clone();
        let receiver = if self.has_others { format!("{name} ({server})") } else { name };
        // Nobody may listen, or slowly: the state has it all.
        let group_labels = Labels::empty();
        let _ = self.reports.try_send(Report { receiver, group_labels, attempt, verdict });
    }
}
