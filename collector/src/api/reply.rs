//! The envelope of the Prometheus HTTP API.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hallwatch_promql::ErrorKind;
use serde::Serialize;

/// A refusal in Prometheus' form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What kind of refusal.
    pub(super) kind: RefusalKind,
    /// One sentence.
    pub(super) error: String,
}

/// The kinds of refusal there are, each with its word and its status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalKind {
    /// The request is wrong.
    BadData,
    /// The query cannot be evaluated on these data.
    Execution,
    /// The query took too long.
    Timeout,
    /// The query was given up.
    Canceled,
    /// The request is larger than allowed.
    TooLarge,
    /// There is no such thing.
    NotFound,
    /// Not with this method.
    Method,
    /// Not for whoever asks.
    Forbidden,
    /// Not now; it can be tried again.
    Unavailable,
    /// The collector's own fault.
    Internal,
}

impl RefusalKind {
    /// The word that stands for it in an answer.
    #[must_use]
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::BadData | Self::TooLarge | Self::Method => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The status code of a response of this kind.
    #[must_use]
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout | Self::Canceled | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Refusal {
    /// The request is wrong.
    pub(super) fn bad_data(error: impl Into<String>) -> Self {
        Self { kind: RefusalKind::BadData, error: error.into() }
    }

    /// This parameter of the request is wrong.
    pub(super) fn parameter(name: &str, error: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {error}"))
    }

    /// The collector's own fault. What exactly went wrong is for the log, not for the asker.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        let mut chain = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            source = cause.source();
        }
        tracing::error!(error = chain, "a request failed");
        Self { kind: RefusalKind::Internal, error: "the store cannot be read".into() }
    }
}

impl From<hallwatch_promql::Error> for Refusal {
    fn from(error: hallwatch_promql::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::BadData => RefusalKind::BadData,
            ErrorKind::Execution | ErrorKind::TooManySamples => RefusalKind::Execution,
            ErrorKind::Timeout => RefusalKind::Timeout,
            ErrorKind::Canceled => RefusalKind::Canceled,
            ErrorKind::Internal => return Self::internal(&error),
        };
        Self { kind, error: error.to_string() }
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: &'a str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Failure { status: "error", error_type: self.kind.word(), error: &self.error };
        json(self.kind.status(), serde_json::to_string(&body).unwrap_or_default())
    }
}

#[derive(Serialize)]
struct Success<'a, T> {
    status: &'static str,
    data: &'a T,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

/// `data` in the envelope of a success.
pub(super) fn success<T: Serialize>(data: &T) -> Response {
    success_with(data, &[])
}

/// `data` in the envelope of a success, with warnings.
pub(super) fn success_with<T: Serialize>(data: &T, warnings: &[String]) -> Response {
    match serde_json::to_string(&Success { status: "success", data, warnings }) {
        Ok(body) => json(StatusCode::OK, body),
        Err(error) => Refusal::internal(&error).into_response(),
    }
}

/// A response of JSON that no cache keeps.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = (status, body.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
