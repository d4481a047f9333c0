//! Where series come from.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hallwatch_model::{Labels, Timestamp};
use thiserror::Error;

use crate::answer::Limits;
use crate::functions::summary::Summary;
use crate::matchers::Matchers;

/// A summary takes the place of so many samples in memory.
pub(crate) const SUMMARY_CELLS: usize = 8;

/// Gives series to queries. The store implements it.
pub trait Source {
    /// All series that match, each with its samples in the asked time. A series without samples
    /// there may be left out. No two series have the same labels.
    ///
    /// # Errors
    /// When the samples cannot be read.
    fn select(&self, request: &Select<'_>) -> Result<Vec<Series>, SourceError>;

    /// As [`Source::select`], knowing what for. A source that keeps long history summed up may give
    /// summaries: where it has the samples no more, or where they say the same and are fewer. Where
    /// [`Purpose::only_last`] says so, it may give the last sample of each series alone.
    ///
    /// # Errors
    /// When the samples cannot be read.
    fn select_for(&self, request: &Select<'_>, _purpose: &Purpose) -> Result<Found, SourceError> {
        self.select(request).map(Found::Samples)
    }
}

/// What samples are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// By whom.
    pub want: Want,
    /// How long the windows are, milliseconds; 0 when there are none.
    pub range: i64,
    /// The first time that is asked about: of windows the end; milliseconds.
    pub first: i64,
    /// From one such time to the next, milliseconds; 0 when there is only one.
    pub step: i64,
    /// Of each series, the last sample in the asked time is all that is needed, be its value a
    /// missing one.
    pub only_last: bool,
}

/// Who wants samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// An instant selector: the last sample before each time.
    Last,
    /// A function of windows that summaries answer, too.
    Summable,
    /// A function of windows that needs each sample.
    Samples,
}

impl Purpose {
    /// Whether all windows and times begin and end with summaries of this resolution
    /// (milliseconds, above zero): then these give what the samples would give.
    #[must_use]
    pub fn is_aligned(&self, resolution: i64) -> bool {
        [self.range, self.first, self.step].iter().all(|time| time.rem_euclid(resolution) == 0)
    }
}

/// What a source gives.
#[derive(Clone, Debug)]
pub enum Found {
    /// The samples.
    Samples(Vec<Series>),
    /// Of each series the last sample; only where no more is needed.
    Lasts(Vec<Last>),
    /// Summaries, all of one resolution.
    Summaries(Summaries),
}

/// A series and its last sample in the asked time.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    /// What it is called.
    pub labels: Labels,
    /// Milliseconds since the epoch.
    pub time: i64,
    /// What, which may be a missing value.
    pub value: f64,
}

impl From<Last> for Series {
    fn from(Last { labels, time, value }: Last) -> Self {
        Self { labels, times: vec![time], values: vec![value] }
    }
}

/// Series whose samples are summed up.
#[derive(Clone, Debug)]
pub struct Summaries {
    /// Of each summary, milliseconds.
    pub resolution: i64,
    /// The series, no two of which have the same labels. They may reach back further than asked.
    pub series: Vec<Summarised>,
}

/// A series and its summaries.
#[derive(Clone, Debug)]
pub struct Summarised {
    /// What it is called.
    pub labels: Labels,
    /// Ascending.
    pub summaries: Vec<Summary>,
}

/// Which samples are needed.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    /// Of which series.
    pub matchers: &'a Matchers,
    /// From when, inclusive.
    pub start: Timestamp,
    /// To when, inclusive.
    pub end: Timestamp,
    /// Of the query that needs them, where it has limits.
    pub budget: Option<&'a Budget<'a>>,
}

impl<'a> Select<'a> {
    /// All of the series that match, without limits.
    #[must_use]
    pub fn new(matchers: &'a Matchers, start: Timestamp, end: Timestamp) -> Self {
        Self { matchers, start, end, budget: None }
    }
}

/// What a query may still read. A source asks while it reads, again and again: what is checked only
/// when all has been read has taken the memory by then.
#[derive(Debug)]
pub struct Budget<'a> {
    limits: &'a Limits<'a>,
    left: AtomicUsize,
    is_spent: AtomicBool,
}

/// The query reads no further; its limits say why.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the query is given up")]
pub struct GivenUp;

impl<'a> Budget<'a> {
    /// Of a query that holds so many samples already.
    #[must_use]
    pub fn new(limits: &'a Limits<'a>, held: usize) -> Self {
        let left = AtomicUsize::new(limits.max_samples.saturating_sub(held));
        Self { limits, left, is_spent: AtomicBool::new(false) }
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// When the query has to stop.
    pub fn check(&self) -> Result<(), GivenUp> {
        if self.is_spent() { Err(GivenUp) } else { self.limits.check().map_err(|_| GivenUp) }
    }

    /// Whether to go on with so many samples more.
    ///
    /// # Errors
    /// When that is too many, or the query has to stop.
    pub fn spend(&self, samples: usize) -> Result<(), GivenUp> {
        let less = |left: usize| left.checked_sub(samples);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            self.is_spent.store(true, Ordering::Relaxed);
        }
        self.check()
    }

    /// What was read has been made into less, and is let go of.
    pub fn give_back(&self, samples: usize) {
        self.left.fetch_add(samples, Ordering::Relaxed);
    }

    /// As [`Budget::spend`], for summaries.
    ///
    /// # Errors
    /// As there.
    pub fn spend_summaries(&self, summaries: usize) -> Result<(), GivenUp> {
        self.spend(summaries.saturating_mul(SUMMARY_CELLS))
    }

    /// Whether more was asked for than there was.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.is_spent.load(Ordering::Relaxed)
    }
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

    fn select_for(&self, request: &Select<'_>, purpose: &Purpose) -> Result<Found, SourceError> {
        let series = self.select(request)?;
        if !purpose.only_last {
            return Ok(Found::Samples(series));
        }
        let lasts = series.into_iter().filter_map(|Series { labels, times, values }| {
            Some(Last { labels, time: *times.last()?, value: *values.last()? })
        });
        Ok(Found::Lasts(lasts.collect()))
    }
}
