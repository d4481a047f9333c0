//! Writes line protocol to `/api/v2/write`, for InfluxDB 2 and VictoriaMetrics.

use std::time::Duration;

use thiserror::Error;

use super::line::Lines;
use crate::config::Influx;

/// One request has at most so many lines,
const MAX_LINES: usize = 5_000;
/// and at most so many bytes.
const MAX_BYTES: usize = 1 << 20;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of an answer that explains a refusal, so much is read.
const MAX_ANSWER_BYTES: usize = 1_000;

/// Why a request did not succeed.
#[derive(Debug, Error)]
pub enum WriteError {
    /// No answer came.
    #[error("cannot write to {url}")]
    Unreachable {
        /// Where to.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that promises nothing for a repetition with fewer lines: wrong token, no such
    /// bucket, too busy, broken.
    #[error("{url} answers {status}: {answer}")]
    Refused {
        /// Where to.
        url: String,
        /// The status code.
        status: u16,
        /// The start of the answer.
        answer: String,
    },
}

/// A line that the database will not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The line, without its line break.
    pub line: String,
    /// What the database says.
    pub answer: String,
}

/// Writes to one database.
#[derive(Clone, Debug)]
pub struct Writer {
    client: reqwest::Client,
    url: reqwest::Url,
    authorization: Option<reqwest::header::HeaderValue>,
    shown: String,
}

/// What a database says to some lines.
enum Answer {
    Taken,
    /// Some of the lines are bad.
    BadLines(String),
}

impl Writer {
    /// A writer to the database of `config`; `None` when its URL or token cannot be sent.
    #[must_use]
    pub fn new(client: reqwest::Client, config: &Influx) -> Option<Self> {
        let base = config.url.as_str().trim_end_matches('/');
        let query = [("org", &*config.org), ("bucket", &*config.bucket), ("precision", "ms")];
        let url = reqwest::Url::parse_with_params(&format!("{base}/api/v2/write"), query).ok()?;
        let authorization = match &config.token {
            None => None,
            Some(token) => {
                let text = format!("Token {token}");
                let mut value = reqwest::header::HeaderValue::from_str(&text).ok()?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Some(Self { client, url, authorization, shown: config.url.to_string() })
    }

    /// Writes all lines from `from` on, and says where it stopped and which lines were rejected. A
    /// request that is refused for its lines is halved until the bad ones stand alone, so that one
    /// bad line blocks nothing.
    ///
    /// # Errors
    /// With the first line that is not written yet, when the database cannot be reached or refuses
    /// for another reason than bad lines.
    pub async fn write(
        &self,
        lines: &Lines,
        from: usize,
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), (usize, WriteError)> {
        let mut from = from;
        while from < lines.len() {
            let to = lines.cut(from, MAX_LINES, MAX_BYTES);
            // What is still to be sent of this request, the next at the end.
            let mut parts = vec![(from, to)];
            while let Some((start, end)) = parts.pop() {
                let answer =
                    self.request(lines.text(start, end)).await.map_err(|error| (start, error))?;
                match answer {
                    Answer::Taken => {}
                    Answer::BadLines(answer) if end - start <= 1 => {
                        let line = lines.text(start, end).trim_end().to_owned();
                        rejected.push(Rejected { line, answer });
                    }
                    Answer::BadLines(_) => {
                        let middle = start + (end - start) / 2;
                        parts.push((middle, end));
                        parts.push((start, middle));
                    }
                }
            }
            from = to;
        }
        Ok(())
    }

    async fn request(&self, text: &str) -> Result<Answer, WriteError> {
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(TIMEOUT)
            .header("content-type", "text/plain; charset=utf-8")
            .body(text.to_owned());
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.clone());
        }
        let response = request.send().await.map_err(|source| WriteError::Unreachable {
            url: self.shown.clone(),
            source: source.without_url(),
        })?;
        let status = response.status().as_u16();
        match status {
            200..=299 => Ok(Answer::Taken),
            // 413: too many bytes for this database; halving helps here, too.
            400 | 413 | 422 => Ok(Answer::BadLines(start_of(response).await)),
            _ => {
                let answer = start_of(response).await;
                Err(WriteError::Refused { url: self.shown.clone(), status, answer })
            }
        }
    }
}

/// The start of an answer, on one line.
async fn start_of(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= MAX_ANSWER_BYTES {
            bytes.truncate(MAX_ANSWER_BYTES);
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    text.split(|c: char| c.is_control()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The pauses between attempts: doubled from a quarter of a second to half a minute.
#[must_use]
pub fn pause(attempt: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(1 << attempt.min(7)).min(Duration::from_secs(30))
}
