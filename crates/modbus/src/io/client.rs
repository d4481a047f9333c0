//! The client of one endpoint, shared by all units behind it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::answer::{self, AnswerError, Data, Identification};
use crate::error::{Error, Failure};
use crate::framing::{Discipline, FrameError, Framing, Tcp};
use crate::identify::{Identity, Survey};
use crate::io::endpoint::{Connect, TcpEndpoint};
use crate::io::exchange::{Broken, Connection, Heard, Progress};
use crate::io::options::{Counters, Options};
use crate::latency::Latency;
use crate::request::{Category, Read, Request};

/// A line that is not silent for so many times the slowest answer never will be.
const NOISE_LIMIT: u32 = 8;
/// How long the runtime gets to notice what has come already.
const NOTICE: Duration = Duration::from_millis(1);

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
    latencies: BTreeMap<u8, Latency>,
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
            latencies: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    /// Asks `unit` for `read`.
    ///
    /// # Errors
    /// When no correct answer came in time. With transaction ids the connection is kept only after
    /// an answer, an exception or a few timeouts; it is closed after anything that breaks the
    /// protocol. A line is kept, and left in silence before the next question.
    pub async fn read(&mut self, unit: u8, read: &Read) -> Result<Data, Error> {
        let request = Request::Read(*read);
        let pdu = self.ask(unit, request).await?;
        answer::parse_read(*read, &pdu).map_err(|e| self.error(unit, request, e.into()))
    }

    /// Asks `unit` for a part of its identification, starting with `object`; all of it is brought
    /// by [`Client::identify_all`].
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

    /// Asks `unit` for all that it says of itself, in as many questions as that takes.
    ///
    /// # Errors
    /// When the first question is answered by an exception, or any brings no answer.
    pub async fn identify_all(&mut self, unit: u8) -> Result<Identity, Error> {
        let mut survey = Survey::default();
        let mut first = true;
        while let Some(Request::Identify { category, object }) = survey.request() {
            match self.identify(unit, category, object).await {
                Ok(part) => survey.answered(Some(&part)),
                Err(error) if error.exception().is_some() && !first => survey.answered(None),
                Err(error) => return Err(error),
            }
            first = false;
        }
        Ok(survey.finish())
    }

    /// Closes the connection; the next question makes a new one.
    pub fn close(&mut self) {
        self.connection = None;
        self.timeouts = 0;
    }

    /// Says that nothing more will be asked for a while.
    pub fn end_cycle(&mut self) {
        if self.options.close_after_cycle {
            self.close();
        }
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

    /// How long a read and its answer take on the wire alone, which comes on top of the answer
    /// timeout; zero where that does not matter.
    #[must_use]
    pub fn wire_time(&self, read: &Read) -> Duration {
        self.framing.wire_time(&Request::Read(*read))
    }

    /// Waits until the next question may be asked, so that it can be decided then which one. On a
    /// line what comes meanwhile is dropped (`discarded` of [`Counters`]) and prolongs the silence;
    /// one that goes on for twice as long as it should is left to the next question.
    pub async fn settle(&mut self) {
        let longest = self.options.slowest_answer.max(self.options.pause).saturating_mul(2);
        match (self.framing.discipline(), &mut self.quiet) {
            (_, None) => {}
            (Discipline::Silence { gap }, Some(_)) => {
                let limit = sleep(longest);
                // A failure is the next question's, if it meets it as well.
                let _ = self.listen(gap, limit).await;
            }
            (_, Some(quiet)) => {
                quiet.await;
                self.quiet = None;
            }
        }
    }

    async fn ask(&mut self, unit: u8, request: Request) -> Result<Vec<u8>, Error> {
        let deadline = self.options.deadline;
        let result = match self.hush().await {
            Err(failure) => Err(failure),
            Ok(()) => match timeout(deadline, self.attempts(unit, &request)).await {
                Ok(result) => result,
                Err(_) => {
                    self.close();
                    Err(Failure::Timeout(deadline))
                }
            },
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
            Err(Broken::Unanswered(_)) if kept => {
                // The first may have been heard: its answer must not be there with the second's.
                self.hush().await?;
                Ok(self.attempt(unit, request).await?)
            }
            result => Ok(result?),
        }
    }

    /// Waits until a question may be asked. On a line that is when it has been silent for as long
    /// as it should; what comes meanwhile is dropped and prolongs it.
    async fn hush(&mut self) -> Result<(), Failure> {
        let discipline = self.framing.discipline();
        if let Discipline::Silence { gap } = discipline {
            return self.silence(gap).await;
        }
        if let Some(quiet) = &mut self.quiet {
            quiet.await;
            self.quiet = None;
        }
        if discipline == Discipline::Fresh
            && let Some(connection) = &mut self.connection
            && timeout(NOTICE, connection.discard()).await.is_ok()
        {
            self.close();
        }
        Ok(())
    }

    async fn silence(&mut self, gap: Duration) -> Result<(), Failure> {
        let limit = sleep(self.options.slowest_answer.saturating_mul(NOISE_LIMIT));
        self.listen(gap, limit).await
    }

    /// Until the line has been silent for as long as it should, or `limit` runs out.
    async fn listen(&mut self, gap: Duration, limit: Sleep) -> Result<(), Failure> {
        let slowest = self.options.slowest_answer;
        tokio::pin!(limit);
        let mut lost = 0;
        loop {
            // A line outlives its connection: what comes over a new one may be old.
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None if lost > 1 => return Err(Failure::Closed),
                None => {
                    let connection = self.connect().await?;
                    self.quiet.get_or_insert_with(|| Box::pin(sleep(gap)));
                    connection
                }
            };
            let quiet = self.quiet.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
            let heard = tokio::select! {
                biased;
                heard = connection.discard() => heard,
                () = quiet.as_mut() => {
                    self.quiet = None;
                    self.connection = Some(connection);
                    return Ok(());
                }
                () = limit.as_mut() => {
                    self.connection = Some(connection);
                    return Err(FrameError::Noise.into());
                }
            };
            match heard {
                Heard::Bytes(bytes) => {
                    self.counters.discarded += bytes;
                    self.connection = Some(connection);
                    self.quiet = Some(Box::pin(sleep(slowest)));
                }
                Heard::End => lost += 1,
            }
        }
    }

    async fn attempt(&mut self, unit: u8, request: &Request) -> Result<Vec<u8>, Broken> {
        // Taken out: when this future is dropped half-way, the connection is dropped with it.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await.map_err(Broken::Other)?,
        };
        let discipline = self.framing.discipline();
        if let Discipline::Silence { .. } = discipline {
            // Until it is known that all is well, also when this future is dropped.
            self.quiet = Some(Box::pin(sleep(self.options.slowest_answer)));
        }
        let latency = self.latencies.get(&unit).copied().unwrap_or_default();
        let patience =
            latency.timeout(self.options.answer_timeout, self.options.max_answer_timeout);
        let limit = patience + self.framing.wire_time(request);
        let mut progress = Progress::default();
        let start = now();
        let asked = connection.ask(&mut self.framing, unit, request, &mut progress);
        let result =
            timeout(limit, asked).await.unwrap_or(Err(Broken::Other(Failure::Timeout(limit))));
        self.counters.stale += progress.stale;
        let result = result.map_err(|broken| self.authentication(broken, &connection));
        let answered = matches!(
            &result,
            Ok(_) | Err(Broken::Other(Failure::Answer(AnswerError::Exception { .. })))
        );
        let timed_out = matches!(&result, Err(Broken::Other(Failure::Timeout(_))));
        let latency = self.latencies.entry(unit).or_default();
        if answered {
            latency.answered(start.elapsed());
        } else if timed_out {
            latency.timed_out(patience);
        }
        self.timeouts = if timed_out { self.timeouts + 1 } else { 0 };
        let few = self.timeouts < self.options.timeouts_before_close;
        let keep = match discipline {
            Discipline::Ids => {
                let whole = progress.written && connection.at_frame_start();
                answered || timed_out && whole && few
            }
            Discipline::Fresh => answered && connection.at_frame_start(),
            Discipline::Silence { .. } => {
                let alive = !matches!(
                    &result,
                    Err(Broken::Unanswered(_)
                        | Broken::Other(
                            Failure::Closed | Failure::Stream(_) | Failure::Authentication(_)
                        ))
                );
                alive && few
            }
        };
        self.rest(discipline, answered && connection.at_frame_start());
        if keep {
            if let Discipline::Silence { .. } = discipline {
                self.counters.discarded += connection.forget();
            }
            self.connection = Some(connection);
        } else {
            self.timeouts = 0;
        }
        result
    }

    /// Sets when the next question may be asked. `clean`: an answer came and nothing else.
    fn rest(&mut self, discipline: Discipline, clean: bool) {
        let pause = self.options.pause;
        let rest = match discipline {
            Discipline::Silence { gap } if clean => pause.max(gap),
            Discipline::Silence { .. } => pause.max(self.options.slowest_answer),
            Discipline::Ids | Discipline::Fresh => pause,
        };
        self.quiet = (!rest.is_zero()).then(|| Box::pin(sleep(rest)));
    }

    /// A connection that is closed before it has brought a byte has been refused, when its server
    /// looks at certificates.
    fn authentication(&self, broken: Broken, connection: &Connection<C::Stream>) -> Broken {
        if !self.endpoint.authenticates() || connection.has_brought_bytes() {
            return broken;
        }
        match broken {
            Broken::Unanswered(Failure::Closed) => {
                Broken::Other(Failure::Authentication(std::io::ErrorKind::UnexpectedEof.into()))
            }
            Broken::Unanswered(Failure::Stream(error)) => {
                Broken::Other(Failure::Authentication(error))
            }
            other => other,
        }
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

#[expect(clippy::disallowed_methods, reason = "latencies are measured where the bytes are")]
fn now() -> Instant {
    Instant::now()
}
