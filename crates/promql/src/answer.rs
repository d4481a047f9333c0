//! What comes back from a query, and what it may cost.

use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use crate::error::Error;
use crate::source::Series;

/// The result of a query. `L` is how an instant vector names its series.
#[derive(Clone, Debug)]
pub struct Answer<L = Labels> {
    /// The value of the expression.
    pub value: Value<L>,
    /// Warnings in Prometheus' wording, each once, sorted.
    pub warnings: Vec<String>,
    /// Infos in Prometheus' wording, each once, sorted.
    pub infos: Vec<String>,
    /// How many samples the source gave.
    pub samples_read: usize,
    /// How many samples and cells were in memory at once, at most: what [`Limits::max_samples`]
    /// limits.
    pub samples_held: usize,
}

/// The value of an expression.
#[derive(Clone, Debug)]
pub enum Value<L = Labels> {
    /// A number at a time.
    Scalar(Timestamp, f64),
    /// A text at a time.
    String(Timestamp, String),
    /// One sample per series. In the order that the expression gives (`sort`, `topk`), otherwise in
    /// the order of the source.
    Vector(Vec<InstantSample<L>>),
    /// Points per series. Of a range query sorted by labels, without series that have no points.
    Matrix(Vec<Series>),
}

/// One sample of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantSample<L = Labels> {
    /// Which series.
    pub labels: L,
    /// When: the time of the query.
    pub time: Timestamp,
    /// What.
    pub value: f64,
}

impl<L> Answer<L> {
    /// The same with other names of the series of an instant vector.
    #[must_use]
    pub fn map<M>(self, name: impl Fn(L) -> M) -> Answer<M> {
        let Self { value, warnings, infos, samples_read, samples_held } = self;
        let value = match value {
            Value::Scalar(time, value) => Value::Scalar(time, value),
            Value::String(time, text) => Value::String(time, text),
            Value::Vector(samples) => {
                let named = samples.into_iter().map(|InstantSample { labels, time, value }| {
                    InstantSample { labels: name(labels), time, value }
                });
                Value::Vector(named.collect())
            }
            Value::Matrix(series) => Value::Matrix(series),
        };
        Answer { value, warnings, infos, samples_read, samples_held }
    }
}

/// Why a query has to stop before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time is up.
    Timeout,
    /// Nobody waits any more.
    Canceled,
}

/// What a query may cost, and the settings of the engine.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// How many samples may be held in memory at once, counting what the source gave and every cell
    /// (series × steps) of an intermediate result. Prometheus' default is 50,000,000.
    pub max_samples: usize,
    /// How many steps a range query may have. Prometheus' API allows 11,000.
    pub max_steps: usize,
    /// How old a sample may be and still be the value of its series. Prometheus' default is 5 min.
    pub lookback: Duration,
    /// The step of a subquery that names none (the global evaluation interval). 1 min.
    pub subquery_step: Duration,
    /// Asked often, by more than one thread: whether the query has to stop.
    pub stop: &'a (dyn Fn() -> Option<Stop> + Sync),
}

impl Limits<'_> {
    /// Asks whether to go on.
    pub(crate) fn check(&self) -> Result<(), Error> {
        (self.stop)().map_or(Ok(()), |stop| Err(stop.into()))
    }
}

impl Default for Limits<'_> {
    fn default() -> Self {
        Self {
            max_samples: 50_000_000,
            max_steps: 11_000,
            lookback: Duration::from_secs(5 * 60),
            subquery_step: Duration::from_secs(60),
            stop: &|| None,
        }
    }
}

impl std::fmt::Debug for Limits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits")
            .field("max_samples", &self.max_samples)
            .field("max_steps", &self.max_steps)
            .field("lookback", &self.lookback)
            .field("subquery_step", &self.subquery_step)
            .finish_non_exhaustive()
    }
}
