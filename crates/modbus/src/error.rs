//! What can go wrong between a question and its answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::Missing;
use thiserror::Error;

use crate::answer::AnswerError;
use crate::framing::FrameError;
use crate::request::Request;

/// A question that brought no answer.
#[derive(Debug, Error)]
#[error("cannot read {request} of unit {unit} at {endpoint}")]
pub struct Error {
    /// The endpoint as it was given.
    pub endpoint: Arc<str>,
    /// The unit behind it.
    pub unit: u8,
    /// What was asked: function, address, count.
    pub request: Request,
    /// What happened.
    #[source]
    pub failure: Failure,
}

impl Error {
    /// Whether asking again later may bring an answer.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.failure.is_transient()
    }

    /// What to record in place of the values.
    #[must_use]
    pub fn missing(&self) -> Missing {
        self.failure.missing()
    }

    /// The code, when the device (or a gateway before it) answered with an exception.
    #[must_use]
    pub fn exception(&self) -> Option<u8> {
        match self.failure {
            Failure::Answer(AnswerError::Exception { code }) => Some(code),
            _ => None,
        }
    }
}

/// What happened to a question.
#[derive(Debug, Error)]
pub enum Failure {
    /// There is no connection.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// The connection was not made in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// The connection broke while the question was under way.
    #[error("the connection broke")]
    Stream(#[source] io::Error),
    /// The other side closed the connection instead of answering.
    #[error("the connection was closed before the answer was complete")]
    Closed,
    /// The other side closed the connection right after the handshake, which is how a server of
    /// TLS 1.3 refuses a client's certificate.
    #[error(
        "the server closed the connection after the TLS handshake: it does not accept our certificate, or wants one"
    )]
    Authentication(#[source] io::Error),
    /// No complete answer in time.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// What came is no frame of an answer.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The answer is an exception or none to the question.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl Failure {
    /// Whether asking again later may bring an answer. Only exceptions that speak of the question
    /// itself (illegal function, address or value) will come again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::Answer(AnswerError::Exception { code: 1..=3 }))
    }

    /// What to record in place of the values.
    #[must_use]
    pub const fn missing(&self) -> Missing {
        match self {
            Self::Connect(_) | Self::ConnectTimeout(_) | Self::Authentication(_) => {
                Missing::DeviceOffline
            }
            Self::Stream(_) | Self::Closed | Self::Timeout(_) => Missing::Timeout,
            Self::Answer(AnswerError::Exception { code }) => Missing::Exception(*code),
            Self::Frame(_) | Self::Answer(_) => Missing::Malformed,
        }
    }
}
