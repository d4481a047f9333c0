//! The client of one endpoint, shared by all units behind it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Sleep, sleep, timeout};

use crate::answer::{self, AnswerError, Data, Identification};
use crate::error::{Error, Failure};
use crate::framing::{Framing, Tcp};
use crate::io::endpoint::{Connect, TcpEndpoint};
use crate::io::exchange::{Broken, Connection, Progress};
use crate::request::{Category, Read, Request};

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may take, from the question to its last byte: bytes that trickle in do
    /// not prolong it.
    pub answer_timeout: Duration,
    /// How long a question may take in all, with pauses, connecting and a second attempt.
    pub deadline: Duration,
    /// After so many timeouts in a row the connection is closed; at least 1.
    pub timeouts_before_close: u32,
    /// How long to wait between an answer (or its timeout) and the next question.
    pub pause: Duration,
    /// How long to wait after connecting.
    pub pause_after_connect: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(1),
            deadline: Duration::from_secs(5),
            timeouts_before_close: 3,
            pause: Duration::ZERO,
            pause_after_connect: Duration::ZERO,
        }
    }
}

/// What a client has seen since it was made. Every question ends as exactly one of `answers`,
/// `exceptions`, `timeouts`, `violations` and `broken`, but for those that were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions that got their answer.
    pub answers: u64,
    /// Questions that got an exception.
    pub exceptions: u64,
    /// Questions without a complete answer in time.
    pub timeouts: u64,
    /// Answers that broke the protocol or were none to the question.
    pub violations: u64,
    /// Questions without a connection, or whose connection broke.
    pub broken: u64,
    /// Late answers to earlier questions, dropped.
    pub stale: u64,
    /// Connections that were made.
    pub connections: u64,
}

/// A client of one endpoint. It connects when it is first asked and again when it has to.
///
/// One task owns it, so that one question is open at a time. Dropping the future of a question is
/// safe: its answer can never be taken for that of a later one.
pub struct Client<C: Connect = TcpEndpoint, F: Framing = Tcp> {
    endpoint: C,
    name: Arc<str>,
    framing: F,
    options: Options,
    connection: Option<Connection<C::Stream>>,
    /// Timeouts since the last answer on this connection.
    timeouts: u32,
    /// Runs out when the next question may be asked.
    quiet: Option<Pin<Box<Sleep>>>,
    counters: Counters,
}

impl Client {
    /// A client of the Modbus TCP server at `endpoint`. Does not connect yet.
    #[must_use]
    pub fn tcp(endpoint: TcpEndpoint, options: Options) -> Self {
        Self::new(endpoint, Tcp::default(), options)
    }
}

impl<C: Connect, F: Framing> Client<C, F> {
    /// A client over any transport. Does not connect yet.
    pub fn new(endpoint: C, framing: F, options: Options) -> Self {
        Self {
            name: endpoint.to_string().into(),
            endpoint,
            framing,
            options,
            connection: None,
            timeouts: 0,
            quiet: None,
            counters: Counters::default(),
        }
    }

    /// Asks `unit` for `read`.
    ///
    /// # Errors
    /// When no correct answer came in time. The connection is kept only after an answer, an
    /// exception or a few timeouts; it is closed after anything that breaks the protocol.
    pub async fn read(&mut self, unit: u8, read: &Read) -> Result<Data, Error> {
        let request = Request::Read(*read);
        let pdu = self.ask(unit, request).await?;
        answer::parse_read(*read, &pdu).map_err(|e| self.error(unit, request, e.into()))
    }

    /// Asks `unit` for a part of its identification, starting with `object`.
    ///
    /// # Errors
    /// As [`Client::read`]. Many devices answer with exception 1.
    pub async fn identify(
        &mut self,
        unit: u8,
        category: Category,
        object: u8,
    ) -> Result<Identification, Error> {
        let request = Request::Identify { category, object };
        let pdu = self.ask(unit, request).await?;
        answer::parse_identification(&pdu).map_err(|e| self.error(unit, request, e.into()))
    }

    /// Closes the connection; the next question makes a new one.
    pub fn close(&mut self) {
        self.connection = None;
        self.timeouts = 0;
    }

    /// What the client has seen so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How patient the client is from the next question on.
    pub const fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Whether there is a connection; it may have died unnoticed.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    async fn ask(&mut self, unit: u8, request: Request) -> Result<Vec<u8>, Error> {
        let deadline = self.options.deadline;
        let result = match timeout(deadline, self.attempts(unit, &request)).await {
            Ok(result) => result,
            Err(_) => {
                self.close();
                Err(Failure::Timeout(deadline))
            }
        };
        self.count(&result);
        result.map_err(|failure| self.error(unit, request, failure))
    }

    fn error(&self, unit: u8, request: Request, failure: Failure) -> Error {
        Error { endpoint: self.name.clone(), unit, request, failure }
    }

    fn count(&mut self, result: &Result<Vec<u8>, Failure>) {
        let counter = match result {
            Ok(_) => &mut self.counters.answers,
            Err(Failure::Answer(AnswerError::Exception { .. })) => &mut self.counters.exceptions,
            Err(Failure::Timeout(_)) => &mut self.counters.timeouts,
            Err(Failure::Frame(_) | Failure::Answer(_)) => &mut self.counters.violations,
            Err(_) => &mut self.counters.broken,
        };
        *counter += 1;
    }

    /// Asks once, and once more when a connection kept from an earlier question turns out to be
    /// closed: many servers close after each answer or when idle.
    async fn attempts(&mut self, unit: u8, request: &Request) -> Result<Vec<u8>, Failure> {
        let kept = self.connection.is_some();
        match self.attempt(unit, request).await {
            Err(Broken::Unanswered(_)) if kept => Ok(self.attempt(unit, request).await?),
            result => Ok(result?),
        }
    }

    async fn attempt(&mut self, unit: u8, request: &Request) -> Result<Vec<u8>, Broken> {
        if let Some(quiet) = &mut self.quiet {
            quiet.await;
            self.quiet = None;
        }
        // Taken out: when this future is dropped half-way, the connection is dropped with it.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await.map_err(Broken::Other)?,
        };
        let mut progress = Progress::default();
        let limit = self.options.answer_timeout;
        let asked = connection.ask(&mut self.framing, unit, request, &mut progress);
        let result =
            timeout(limit, asked).await.unwrap_or(Err(Broken::Other(Failure::Timeout(limit))));
        self.counters.stale += progress.stale;
        if !self.options.pause.is_zero() {
            self.quiet = Some(Box::pin(sleep(self.options.pause)));
        }
        let keep = match &result {
            Ok(_) | Err(Broken::Other(Failure::Answer(AnswerError::Exception { .. }))) => {
                self.timeouts = 0;
                true
            }
            Err(Broken::Other(Failure::Timeout(_))) => {
                self.timeouts += 1;
                progress.written
                    && connection.at_frame_start()
                    && self.timeouts < self.options.timeouts_before_close
            }
            Err(_) => false,
        };
        if keep {
            self.connection = Some(connection);
        } else {
            self.timeouts = 0;
        }
        result
    }

    async fn connect(&mut self) -> Result<Connection<C::Stream>, Failure> {
        let limit = self.options.connect_timeout;
        let stream = timeout(limit, self.endpoint.connect())
            .await
            .map_err(|_| Failure::ConnectTimeout(limit))?
            .map_err(Failure::Connect)?;
        self.counters.connections += 1;
        if !self.options.pause_after_connect.is_zero() {
            sleep(self.options.pause_after_connect).await;
        }
        tracing::debug!(endpoint = %self.name, "connected");
        Ok(Connection::new(stream))
    }
}
