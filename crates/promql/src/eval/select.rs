//! Instant selectors: the last sample of each series, unless it is too old or missing.

use hallwatch_model::Timestamp;
use hallwatch_model::sample::is_missing;

use super::fetch::length;
use super::halves::by_halves;
use super::{ABSENT, Column, Eval, Grid, summaries};
use crate::error::{Error, millis};
use crate::plan::{At, Select, Shift};
use crate::source::{Found, Last, Purpose, Series, Want};

/// How many series are worked on before it is asked again whether to stop.
const SERIES_BETWEEN_CHECKS: usize = 256;

impl Eval<'_> {
    /// The time that a step asks about, after `@` and `offset`.
    pub(super) fn shifted(&self, shift: Shift, time: i64) -> i64 {
        let time = match shift.at {
            None => time,
            Some(At::Start) => self.query.start,
            Some(At::End) => self.end,
            Some(At::Time(time)) => time,
        };
        time.saturating_sub(shift.offset)
    }

    /// What a selector is read for.
    pub(super) fn purpose(&self, want: Want, shift: Shift, range: i64, grid: Grid) -> Purpose {
        let fixed = shift.at.is_some() || grid.steps == 1;
        let first = self.shifted(shift, grid.start);
        let only_last = fixed && want == Want::Last;
        Purpose { want, range, first, step: if fixed { 0 } else { grid.step }, only_last }
    }

    /// The values at each step; with `stamps`, the times of the samples in seconds instead.
    pub(super) fn select(
        &mut self,
        select: &Select,
        grid: Grid,
        stamps: bool,
    ) -> Result<Vec<Column>, Error> {
        let lookback = millis(self.limits.lookback);
        let first = self.shifted(select.shift, grid.start);
        let last = self.shifted(select.shift, grid.last());
        let fixed = select.shift.at.is_some();
        let purpose = self.purpose(Want::Last, select.shift, 0, grid);
        let times = (first.saturating_sub(lookback), last);
        let (series, lookback, read) = match self.fetch(&select.matchers, times, &purpose)? {
            Found::Lasts(lasts) => return self.of_lasts(lasts, grid, stamps),
            Found::Samples(series) => {
                let read = length(&series);
                (series, lookback, read)
            }
            Found::Summaries(found) => {
                // Between two summaries the last sample of the one before is all there is.
                let reach = if purpose.is_aligned(found.resolution) { 0 } else { found.resolution };
                let read = summaries::length(&found.series);
                (summaries::lasts(found), lookback.max(reach), read)
            }
        };
        let count = series.len();
        let cells = count.saturating_mul(grid.steps);
        self.hold(cells)?;
        let computed = if fixed { 1 } else { grid.steps };
        let asked: Vec<i64> =
            grid.times().take(computed).map(|time| self.shifted(select.shift, time)).collect();
        let limits = self.limits;
        let columns = by_halves(series, read.saturating_add(cells), |part| {
            let mut columns = Vec::with_capacity(part.len());
            for (at, series) in part.into_iter().enumerate() {
                if at % SERIES_BETWEEN_CHECKS == 0 {
                    limits.check()?;
                }
                let mut values = lasts_before(&series, &asked, lookback, stamps);
                if fixed {
                    values = vec![values.first().copied().unwrap_or(ABSENT); grid.steps];
                }
                if values.iter().any(|value| !super::is_absent(*value)) {
                    columns.push(Column { labels: series.labels, drop_name: stamps, values });
                }
            }
            Ok(columns)
        })?;
        self.release(read.saturating_add((count - columns.len()).saturating_mul(grid.steps)));
        Ok(columns)
    }

    /// As [`Eval::select`], where all steps ask about one time, from the last samples before it.
    fn of_lasts(
        &mut self,
        lasts: Vec<Last>,
        grid: Grid,
        stamps: bool,
    ) -> Result<Vec<Column>, Error> {
        let read = lasts.len();
        self.hold(read.saturating_mul(grid.steps))?;
        let mut columns = Vec::with_capacity(read);
        for Last { labels, time, value } in lasts {
            if columns.len() % SERIES_BETWEEN_CHECKS == 0 {
                self.check()?;
            }
            let value = shown(time, value, stamps);
            if super::is_absent(value) {
                self.release(grid.steps);
                continue;
            }
            columns.push(Column { labels, drop_name: stamps, values: vec![value; grid.steps] });
        }
        self.release(read);
        Ok(columns)
    }
}

/// What is shown of the last sample at each of these times, which ascend.
fn lasts_before(series: &Series, asked: &[i64], lookback: i64, stamps: bool) -> Vec<f64> {
    let mut rest = series.times.iter().zip(&series.values).peekable();
    let mut last = None;
    let value = |time: &i64| {
        while let Some(next) = rest.next_if(|(at, _)| **at <= *time) {
            last = Some(next);
        }
        match last {
            Some((at, value)) if *at > time.saturating_sub(lookback) => shown(*at, *value, stamps),
            _ => ABSENT,
        }
    };
    asked.iter().map(value).collect()
}

/// What of a sample is shown: its value or its time, nothing when it is missing.
fn shown(time: i64, value: f64, stamps: bool) -> f64 {
    if is_missing(value) {
        ABSENT
    } else if stamps {
        Timestamp::from_millis(time).as_seconds()
    } else {
        value
    }
}
