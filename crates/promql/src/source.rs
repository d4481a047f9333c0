//! Where series come from.

use hallwatch_model::{Labels, Timestamp};
use thiserror::Error;

use crate::matchers::Matchers;

/// Gives series to queries. The store implements it.
pub trait Source {
    /// All series that match, each with its samples in the asked time. A series without samples
    /// there may be left out. No two series have the same labels.
    ///
    /// # Errors
    /// When the samples cannot be read.
    fn select(&self, request: &Select<'_>) -> Result<Vec<Series>, SourceError>;
}

/// Which samples a query needs.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    /// Of which series.
    pub matchers: &'a Matchers,
    /// From when, inclusive.
    pub start: Timestamp,
    /// To when, inclusive.
    pub end: Timestamp,
}

/// A series and its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is called.
    pub labels: Labels,
    /// Milliseconds since the epoch, strictly ascending.
    pub times: Vec<i64>,
    /// As many as `times`. A missing value (`hallwatch_model::sample::is_missing`) ends the series
    /// until its next sample.
    pub values: Vec<f64>,
}

/// Why samples could not be read.
#[derive(Debug, Error)]
#[error("cannot read samples")]
pub struct SourceError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Series in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    series: Vec<Series>,
}

impl MemorySource {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample; one of the same series and time is replaced.
    pub fn push(&mut self, labels: &Labels, time: Timestamp, value: f64) {
        let time = time.as_millis();
        let known = self.series.iter_mut().find(|series| series.labels == *labels);
        match known {
            None => self.series.push(Series {
                labels: labels.clone(),
                times: vec![time],
                values: vec![value],
            }),
            Some(series) => match series.times.binary_search(&time) {
                Ok(at) => series.values[at] = value,
                Err(at) => {
                    series.times.insert(at, time);
                    series.values.insert(at, value);
                }
            },
        }
    }

    /// Adds whole series, which must be new.
    pub fn extend(&mut self, series: impl IntoIterator<Item = Series>) {
        self.series.extend(series);
    }
}

impl Source for MemorySource {
    fn select(&self, request: &Select<'_>) -> Result<Vec<Series>, SourceError> {
        let (start, end) = (request.start.as_millis(), request.end.as_millis());
        let matching = self.series.iter().filter(|series| request.matchers.matches(&series.labels));
        let cut = matching.map(|series| {
            let from = series.times.partition_point(|time| *time < start);
            let to = series.times.partition_point(|time| *time <= end).max(from);
            Series {
                labels: series.labels.clone(),
                times: series.times[from..to].to_vec(),
                values: series.values[from..to].to_vec(),
            }
        });
        Ok(cut.filter(|series| !series.times.is_empty()).collect())
    }
}
