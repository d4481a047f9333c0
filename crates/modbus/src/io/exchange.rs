//! One question and its answer over any stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::answer;
use crate::error::Failure;
use crate::framing::{Framing, Step};
use crate::request::Request;

/// An open connection and what has come over it beyond the last answer.
pub(crate) struct Connection<S> {
    stream: S,
    /// At most `Framing::MAX_FRAME` bytes, beginning where a frame begins.
    received: Vec<u8>,
    /// Whether anything has ever come over it.
    has_brought_bytes: bool,
}

/// What came over a connection without having been asked for.
pub(crate) enum Heard {
    /// So many bytes.
    Bytes(u64),
    /// The end of the connection.
    End,
}

/// How an exchange ended when not by an answer.
pub(crate) enum Broken {
    /// Nothing of an answer had come: the connection may have been dead from the start.
    Unanswered(Failure),
    /// Something else.
    Other(Failure),
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        let (Broken::Unanswered(failure) | Broken::Other(failure)) = broken;
        failure
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, received: Vec::new(), has_brought_bytes: false }
    }

    /// Asks and waits for the answer, as long as it takes; the caller limits the time. The result
    /// is a protocol data unit that has been checked against `request`.
    ///
    /// When the future is dropped before `progress.written`, half a request may be on the stream:
    /// the connection is of no use any more.
    pub(crate) async fn ask<F: Framing>(
        &mut self,
        framing: &mut F,
        unit: u8,
        request: &Request,
        progress: &mut Progress,
    ) -> Result<Vec<u8>, Broken> {
        let mut frame = Vec::with_capacity(16);
        framing.encode(unit, request, &mut frame);
        let unanswered = |error: io::Error| Broken::Unanswered(Failure::Stream(error));
        self.stream.write_all(&frame).await.map_err(unanswered)?;
        self.stream.flush().await.map_err(unanswered)?;
        progress.written = true;
        loop {
            match framing.decode(&self.received).map_err(|e| Broken::Other(e.into()))? {
                Step::Answer { consumed, pdu } => {
                    let pdu = self.received.get(pdu).unwrap_or_default().to_vec();
                    self.consume(consumed);
                    answer::check(request, &pdu).map_err(|e| Broken::Other(e.into()))?;
                    return Ok(pdu);
                }
                Step::Stale { consumed } => {
                    self.consume(consumed);
                    progress.stale += 1;
                }
                Step::Incomplete => self.receive(F::MAX_FRAME).await?,
            }
        }
    }

    /// Whether nothing of a further frame has come. After a timeout in the middle of a frame, where
    /// the next one begins cannot be known for sure.
    pub(crate) fn at_frame_start(&self) -> bool {
        self.received.is_empty()
    }

    /// Whether anything has ever come over this connection.
    pub(crate) const fn has_brought_bytes(&self) -> bool {
        self.has_brought_bytes
    }

    /// Waits for bytes and drops them.
    pub(crate) async fn discard(&mut self) -> Heard {
        let mut bytes = [0; 256];
        match self.stream.read(&mut bytes).await {
            Ok(0) | Err(_) => Heard::End,
            Ok(count) => Heard::Bytes(u64::try_from(count).unwrap_or(u64::MAX)),
        }
    }

    /// Drops what has come beyond the last answer; returns how many bytes.
    pub(crate) fn forget(&mut self) -> u64 {
        let bytes = u64::try_from(self.received.len()).unwrap_or(u64::MAX);
        self.received.clear();
        bytes
    }

    fn consume(&mut self, bytes: usize) {
        self.received.drain(..bytes.min(self.received.len()));
    }

    async fn receive(&mut self, max: usize) -> Result<(), Broken> {
        let room = u64::try_from(max.saturating_sub(self.received.len())).unwrap_or(u64::MAX);
        let broken = |failure, received: &[u8]| {
            if received.is_empty() { Broken::Unanswered(failure) } else { Broken::Other(failure) }
        };
        match (&mut self.stream).take(room).read_buf(&mut self.received).await {
            Ok(0) => Err(broken(Failure::Closed, &self.received)),
            Ok(_) => {
                self.has_brought_bytes = true;
                Ok(())
            }
            Err(error) => Err(broken(Failure::Stream(error), &self.received)),
        }
    }
}

/// What remains known of an exchange that was cut off.
#[derive(Default)]
pub(crate) struct Progress {
    /// Whether the request has been written whole.
    pub(crate) written: bool,
    /// How many late answers to earlier requests were dropped.
    pub(crate) stale: u64,
}
