//! The way out: series and samples for queries, the API and exporters.

mod chunks;
mod columns;
mod halves;
mod lasts;
pub(super) mod recalled;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use hallwatch_model::sample::from_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::{Found, Matchers, Purpose, Select, Series as Selected, Source, SourceError};
use rusqlite::{Connection, OptionalExtension as _};

use super::head::{window_end, window_start};
use super::index::Series;
use super::record::read_ids;
use super::rollup::listed;
use super::shared::{Shared, count, lock, reading};
use super::summaries::{DAY_MILLIS, day_of};
use super::{Error, Stats, schema};

/// Idle connections kept open.
const MOST_IDLE: usize = 4;
/// Series whose samples are in memory at once where little is made of them.
pub(super) const READ_AT_ONCE: usize = 4096;
/// How many windows with chunks are looked at for the last sample of a series that has none in
/// the head.
const LATEST_WINDOWS: usize = 2;

/// Reads the store, from any thread, without waiting for the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) shared: Arc<Shared>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Source for Reader {
    fn select(&self, request: &Select<'_>) -> Result<Vec<Selected>, SourceError> {
        let series = reading(&self.shared.index).select(request.matchers);
        let span = (request.start.as_millis(), request.end.as_millis());
        let columns = self
            .columns(&series, span, request.budget)
            .map_err(|error| SourceError(error.into()))?;
        let both = series.iter().zip(columns).filter(|(_, (times, _))| !times.is_empty());
        let selected = both.map(|(series, (times, values))| Selected {
            labels: series.labels.clone(),
            times,
            values,
        });
        Ok(selected.collect())
    }

    fn select_for(&self, request: &Select<'_>, purpose: &Purpose) -> Result<Found, SourceError> {
        let found = match self.resolution(request, purpose) {
            Some(resolution) => self.summed_up(request, resolution).map(Found::Summaries),
            None if purpose.only_last => self.last_of_each(request).map(Found::Lasts),
            None => return self.select(request).map(Found::Samples),
        };
        found.map_err(|error| SourceError(error.into()))
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, idle: Arc::default() }
    }

    /// The series that match any of the sets of matchers (all series, when there is no set) and
    /// have samples between `start` and `end`, to the two hours. In no particular order.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn series(
        &self,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Labels>, Error> {
        let found = self.present(self.matching(sets), start.as_millis(), end.as_millis())?;
        Ok(found.iter().map(|series| series.labels.clone()).collect())
    }

    /// The names of the labels that these series have, sorted. See [`Reader::series`].
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn label_names(
        &self,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Arc<str>>, Error> {
        if sets.is_empty() && start == Timestamp::MIN && end == Timestamp::MAX {
            return Ok(reading(&self.shared.index).label_names());
        }
        let found = self.series(sets, start, end)?;
        let names: BTreeSet<Arc<str>> =
            found.iter().flatten().map(|label| label.name.clone()).collect();
        Ok(names.into_iter().collect())
    }

    /// The values of the label `name` that these series have, sorted. See [`Reader::series`].
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn label_values(
        &self,
        name: &str,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Arc<str>>, Error> {
        if sets.is_empty() && start == Timestamp::MIN && end == Timestamp::MAX {
            return Ok(reading(&self.shared.index).label_values(name));
        }
        let found = self.series(sets, start, end)?;
        let named = found.iter().flatten().filter(|label| &*label.name == name);
        let values: BTreeSet<Arc<str>> = named.map(|label| label.value.clone()).collect();
        Ok(values.into_iter().collect())
    }

    /// The newest sample of each series that matches; series that had none for hours are left out.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn latest(&self, matchers: &Matchers) -> Result<Vec<(Labels, Sample)>, Error> {
        let series = reading(&self.shared.index).select(matchers);
        let sample =
            |time, value| Sample { time: Timestamp::from_millis(time), value: from_float(value) };
        let (mut latest, mut quiet) = (Vec::with_capacity(series.len()), Vec::new());
        for series in series {
            let last = series.head().last();
            match last {
                Some((time, value)) => latest.push((series.labels.clone(), sample(time, value))),
                None => quiet.push(series),
            }
        }
        let from = {
            let windows = reading(&self.shared.windows);
            windows.keys().rev().take(LATEST_WINDOWS).next_back().copied()
        };
        if let Some(from) = from
            && !quiet.is_empty()
        {
            let columns = self.columns(&quiet, (window_start(from), i64::MAX), None)?;
            for (series, (times, values)) in quiet.iter().zip(columns) {
                if let (Some(time), Some(value)) = (times.last(), values.last()) {
                    latest.push((series.labels.clone(), sample(*time, *value)));
                }
            }
        }
        Ok(latest)
    }

    /// The store in numbers. Walks over all series.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (series, head_bytes) = {
            let index = reading(&self.shared.index);
            let bytes = index.iter().map(|series| series.head().bytes()).sum();
            (index.len(), bytes)
        };
        let windows = reading(&self.shared.windows);
        Stats {
            series,
            head_bytes,
            windows: windows.len(),
            chunk_bytes: windows.values().map(|filled| filled.bytes).sum(),
            chunk_samples: windows.values().map(|filled| filled.samples).sum(),
            summary_bytes: reading(&self.shared.rolled).values().map(|one| one.bytes).sum(),
            log_bytes: self.shared.log_bytes.load(Ordering::Relaxed),
            export_lost_rows: self.shared.export_lost_rows.load(Ordering::Relaxed),
            damage: self.shared.found.damage(),
        }
    }

    /// Bytes of the log.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.shared.log_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn matching(&self, sets: &[Matchers]) -> Vec<Series> {
        let index = reading(&self.shared.index);
        if sets.is_empty() {
            return index.iter().collect();
        }
        let found = sets.iter().flat_map(|matchers| index.select(matchers));
        let unique: BTreeMap<u32, Series> = found.map(|one| (one.id, one)).collect();
        unique.into_values().collect()
    }

    /// Those that have samples in the time.
    fn present(&self, series: Vec<Series>, start: i64, end: i64) -> Result<Vec<Series>, Error> {
        let floor = self.shared.floor.load(Ordering::Relaxed);
        let (asked, start) = (start, start.max(floor));
        let hidden = self.hidden();
        let is_hidden = |id: u32, from: i64, to: i64| {
            hidden.iter().any(|one| one.start <= from && one.end >= to && one.has(id))
        };
        let (mut found, mut unknown): (Vec<_>, Vec<_>) =
            series.into_iter().partition(|series| series.head().touches(start, end));
        for window in self.windows(start, end) {
            if unknown.is_empty() {
                break;
            }
            let ids: Option<Vec<u8>> = self.with_connection("read a window", |connection| {
                let mut select =
                    connection.prepare_cached("SELECT series FROM window WHERE window = ?1")?;
                select.query_row([window], |row| row.get(0)).optional()
            })?;
            let Some(ids) = ids.as_deref().and_then(|ids| read_ids(window, ids)) else {
                // Which ones it has cannot be told any more: better too many than too few.
                count(&self.shared.found.rows);
                found.append(&mut unknown);
                break;
            };
            let (here, rest) = unknown.into_iter().partition(|series: &Series| {
                let (from, to) = (window_start(window).max(start), window_end(window).min(end));
                ids.binary_search(&series.id).is_ok() && !is_hidden(series.id, from, to)
            });
            unknown = rest;
            found.extend::<Vec<_>>(here);
        }
        // Of what is gone for its age there may be summaries.
        let days = day_of(asked)..=day_of(end.min(floor)).max(day_of(asked));
        let rolled: Vec<(i64, i64)> = {
            let rolled = reading(&self.shared.rolled);
            rolled.keys().filter(|(_, day)| asked < floor && days.contains(day)).copied().collect()
        };
        for (resolution, day) in rolled {
            if unknown.is_empty() {
                break;
            }
            let listed = self
                .with_connection("read a day", |connection| listed(connection, (resolution, day)));
            let ids = listed?.unwrap_or_default();
            let (from, to) = (day.saturating_mul(DAY_MILLIS), (day + 1).saturating_mul(DAY_MILLIS));
            let (here, rest) = unknown.into_iter().partition(|series: &Series| {
                ids.binary_search(&series.id).is_ok() && !is_hidden(series.id, from, to)
            });
            unknown = rest;
            found.extend::<Vec<_>>(here);
        }
        Ok(found)
    }

    /// Lends a connection.
    pub(super) fn with_connection<T>(
        &self,
        attempt: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let idle = lock(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.shared.path).map_err(Error::read(attempt))?,
        };
        let done = work(&connection).map_err(Error::read(attempt));
        let mut idle = lock(&self.idle);
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
        done
    }
}
