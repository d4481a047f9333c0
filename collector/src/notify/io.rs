//! Sends what is in the outbox: one task per receiver, so that one that hangs delays no other.

mod endpoint;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hallwatch_model::Labels;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::delivery::{Backoff, Error, Verdict};
use super::pair::{Because, Next, Pair, Queued, choose};
use super::{Channel, Receiver};
use crate::clock;
use crate::state::{Message, State};
use crate::telemetry::Telemetry;
use endpoint::Endpoint;

/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 4096;
/// How much of it is kept in an error.
const EXCERPT_CHARS: usize = 200;
/// How long a task waits when the state cannot be read or written.
const STATE_RETRY: Duration = Duration::from_secs(5);
/// How often a task looks without being woken.
const IDLE: Duration = Duration::from_secs(30);
/// How often it looks while the peer is to send something: the news of that wakes nobody.
const HELD: Duration = Duration::from_millis(250);

/// What became of an attempt; for logs, counters and [`super::Router::failed`].
#[derive(Clone, Debug)]
pub struct Report {
    /// Who was to be told.
    pub receiver: String,
    /// The labels of the group.
    pub group_labels: Labels,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// What became of it.
    pub verdict: Verdict,
}

/// The tasks that send. Dropping it stops them; what is not delivered stays in the outbox.
#[derive(Debug)]
pub struct Sender {
    wake: watch::Sender<u64>,
    tasks: JoinSet<()>,
}

impl Sender {
    /// Starts a task per receiver, on the current Tokio runtime. Reports are dropped when nobody
    /// takes them. Of two collectors that take `turns` one sends each message.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn start(
        receivers: Vec<Receiver>,
        state: Arc<Mutex<State>>,
        backoff: Backoff,
        reports: mpsc::Sender<Report>,
        turns: Option<Turns>,
    ) -> Result<Self, Error> {
        // Fails when the process has a provider already, which then serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (wake, woken) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for receiver in receivers {
            let client = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("hallwatch-collector/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|source| Error::Client { source })?;
            let (url, timeout) = match receiver.channel {
                Channel::Webhook { url, timeout } => (url, timeout),
                Channel::Alertmanager { urls, timeout } => {
                    let has_others = urls.len() > 1;
                    for url in urls {
                        let endpoint = Endpoint {
                            receiver: receiver.name.clone(),
                            has_others,
                            url,
                            timeout,
                            client: client.clone(),
                            state: state.clone(),
                            backoff: backoff.clone(),
                            reports: reports.clone(),
                            woken: woken.clone(),
                        };
                        tasks.spawn(endpoint.run());
                    }
                    continue;
                }
            };
            let task = Task {
                receiver: receiver.name,
                url,
                timeout,
                client,
                state: state.clone(),
                backoff: backoff.clone(),
                reports: reports.clone(),
                woken: woken.clone(),
                turns: turns.clone(),
            };
            tasks.spawn(task.run());
        }
        Ok(Self { wake, tasks })
    }

    /// There is something new in the outbox.
    pub fn wake(&self) {
        self.wake.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Stops after what is being sent, or when `grace` is over.
    pub async fn stop(self, grace: Duration) {
        let Self { wake, mut tasks } = self;
        drop(wake);
        let all = async { while tasks.join_next().await.is_some() {} };
        // What is cut off stays in the outbox.
        let _ = tokio::time::timeout(grace, all).await;
    }
}

/// Two collectors take turns, and count it.
#[derive(Clone, Debug)]
pub struct Turns {
    /// The pair.
    pub pair: Pair,
    /// Where it is counted.
    pub telemetry: Telemetry,
}

/// What a task is to do.
enum Work {
    Deliver(Message, Option<Queued>),
    /// So long, and nothing else.
    Wait(Duration),
    /// The receiver knew; on with the next.
    Again,
}

struct Task {
    receiver: String,
    url: String,
    timeout: Duration,
    client: reqwest::Client,
    state: Arc<Mutex<State>>,
    backoff: Backoff,
    reports: mpsc::Sender<Report>,
    woken: watch::Receiver<u64>,
    turns: Option<Turns>,
}

impl Task {
    async fn run(mut self) {
        loop {
            self.woken.borrow_and_update();
            let work = match &self.turns {
                Some(turns) => self.turn(turns).await,
                None => self.next().await,
            };
            let wait = match work {
                Ok(Work::Deliver(message, queued)) => {
                    self.deliver(&message, queued).await.err().map(|()| STATE_RETRY)
                }
                Ok(Work::Wait(wait)) => Some(wait),
                Ok(Work::Again) => None,
                Err(()) => Some(STATE_RETRY),
            };
            let changed = match wait {
                None => self.woken.has_changed().map(|_| ()),
                Some(wait) => {
                    let woken = tokio::time::timeout(wait, self.woken.changed());
                    woken.await.unwrap_or(Ok(()))
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn next(&self) -> Result<Work, ()> {
        let receiver = self.receiver.clone();
        let now = clock::now();
        let next = self.with_state(move |state| state.next_message(&receiver)).await?;
        let Some(message) = next else { return Ok(Work::Wait(IDLE)) };
        // A message cannot be due later than that, unless the clock was set back.
        if message.due <= now || message.due > now + self.backoff.longest {
            return Ok(Work::Deliver(message, None));
        }
        Ok(Work::Wait(message.due.since(now).min(IDLE)))
    }

    /// As [`next`](Self::next), where two take turns.
    async fn turn(&self, turns: &Turns) -> Result<Work, ()> {
        let receiver = self.receiver.clone();
        let queued = self.with_state(move |state| state.queued(&receiver)).await?;
        let (now, uptime) = (clock::now(), clock::uptime());
        let decide = |one: &Queued| turns.pair.decide(one, now, uptime);
        match choose(&queued, now, self.backoff.longest, decide) {
            Next::Idle => Ok(Work::Wait(IDLE)),
            Next::Wait(wait) => Ok(Work::Wait(wait.min(HELD))),
            Next::Drop(id) => {
                self.with_state(move |state| state.known(id)).await?;
                turns.pair.forget(id);
                let receiver = &self.receiver;
                turns.telemetry.notifications_suppressed.with_label_values(&[receiver]).inc();
                tracing::info!(
                    receiver,
                    "a notification is left out: the receiver knows by the peer"
                );
                Ok(Work::Again)
            }
            Next::Send(id, because) => {
                let Some(message) = self.with_state(move |state| state.message(id)).await? else {
                    return Ok(Work::Again);
                };
                if because.is_takeover() && message.attempts == 0 {
                    self.took_over(turns, because);
                }
                let queued = queued.into_iter().find(|one| one.id == id);
                Ok(Work::Deliver(message, queued))
            }
        }
    }

    fn took_over(&self, turns: &Turns, because: Because) {
        let receiver = &self.receiver;
        turns.telemetry.takeovers.with_label_values(&[receiver]).inc();
        tracing::warn!(receiver, because = because.word(), "notifying in the peer's place");
    }

    async fn with_state<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, crate::state::Error> + Send + 'static,
    ) -> Result<T, ()> {
        with_state(&self.state, &self.receiver, work).await
    }

    async fn deliver(&self, message: &Message, queued: Option<Queued>) -> Result<(), ()> {
        let body = message.body.clone();
        let result = send(&self.client, &self.url, self.timeout, body).await;
        let attempt = message.attempts.saturating_add(1);
        let now = clock::now();
        let verdict = self.backoff.judge(&result, attempt, message.at, now);
        let receiver = &self.receiver;
        match &verdict {
            Verdict::Delivered => tracing::debug!(receiver, attempt, "notification delivered"),
            Verdict::Retry { at, error } => {
                tracing::warn!(receiver, attempt, error, next = %at, "notification failed");
            }
            Verdict::GivenUp { error } => {
                tracing::error!(receiver, attempt, error, "notification given up");
            }
        }
        let (id, noted) = (message.id, verdict.clone());
        let written = self.with_state(move |state| state.attempted(id, &noted, now)).await;
        if let (Some(turns), Some(queued)) = (&self.turns, queued) {
            let delivered = (verdict == Verdict::Delivered).then_some(now);
            turns.pair.attempted(&queued, delivered);
        }
        // Nobody may listen, or slowly: the state has it all.
        let _ = self.reports.try_send(Report {
            receiver: self.receiver.clone(),
            group_labels: message.group_labels.clone(),
            attempt,
            verdict,
        });
        written
    }
}

/// Runs `work` where it may wait for the disk.
async fn with_state<T: Send + 'static>(
    state: &Arc<Mutex<State>>,
    receiver: &str,
    work: impl FnOnce(&mut State) -> Result<T, crate::state::Error> + Send + 'static,
) -> Result<T, ()> {
    let state = Arc::clone(state);
    let done = tokio::task::spawn_blocking(move || {
        work(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
    });
    match done.await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(receiver, %error, cause, "the outbox fails");
            Err(())
        }
        // The runtime shuts down.
        Err(_) => Err(()),
    }
}

/// One POST.
async fn send(
    client: &reqwest::Client,
    url: &str,
    timeout: Duration,
    body: String,
) -> Result<(), Error> {
    let request =
        client.post(url).header(CONTENT_TYPE, "application/json").timeout(timeout).body(body);
    let server = server(url);
    let failed = |source: reqwest::Error| {
        let server = server.clone();
        if source.is_timeout() {
            Error::Timeout { server, timeout }
        } else if source.is_builder() {
            Error::Address { server, source: source.without_url() }
        } else {
            Error::Connection { server, source: source.without_url() }
        }
    };
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = seconds.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let mut answer = Vec::new();
    // The answer says no more than why: what cannot be read of it is not missed.
    while let Ok(Some(chunk)) = response.chunk().await {
        answer.extend_from_slice(chunk.get(..MAX_ANSWER_BYTES).unwrap_or(&chunk));
        if answer.len() >= MAX_ANSWER_BYTES {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let excerpt = text.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS).collect();
    Err(Error::Status { server, status: status.as_u16(), retry_after, excerpt })
}

/// What of an address can stand in logs: paths and user names of webhooks are secrets.
fn server(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        _ => "the receiver".to_owned(),
    }
}
