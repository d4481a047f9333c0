//! Range selectors and subqueries: for each step the samples of a time window, which moves over the
//! series from step to step.

use hallwatch_model::Labels;
use hallwatch_model::sample::is_missing;

use super::halves::by_halves;
use super::summaries::{self, Summed};
use super::{ABSENT, Column, Eval, Grid, fetch, is_absent};
use crate::error::{Error, millis};
use crate::functions::summary::Summable;
use crate::functions::window::Window;
use crate::plan::{Kind, Node, Shift};
use crate::source::{Found, Series, Want};

/// After so many samples and steps it is asked again whether to stop: the answer takes as long as
/// some of them.
const CELLS_BETWEEN_CHECKS: usize = 2_048;

/// The samples of one series for the windows of all steps.
pub(super) struct Samples {
    labels: Labels,
    drop_name: bool,
    times: Vec<i64>,
    values: Vec<f64>,
}

/// A range vector over all steps.
pub(super) struct Windows {
    series: Vec<Samples>,
    range: i64,
    shift: Shift,
    /// The window is the same at all steps.
    fixed: bool,
    /// The window's end at the first step.
    first_end: i64,
}

/// A range vector, of what the source has.
enum Ranges {
    Samples(Windows),
    Summed(Summed),
}

impl Windows {
    /// The samples in the window of the first step, and whether the metric name is to be dropped.
    pub(super) fn into_series(self) -> Vec<(Series, bool)> {
        let after = self.first_end.saturating_sub(self.range);
        self.series
            .into_iter()
            .map(|Samples { labels, drop_name, times, values }| {
                let from = times.partition_point(|time| *time <= after);
                let to = times.partition_point(|time| *time <= self.first_end).max(from);
                let (times, values) = (times[from..to].to_vec(), values[from..to].to_vec());
                (Series { labels, times, values }, drop_name)
            })
            .collect()
    }

    fn held(&self) -> usize {
        self.series.iter().map(|series| series.times.len()).sum()
    }
}

impl Eval<'_> {
    /// Of samples: where the source has summaries only, of the last one of each.
    pub(super) fn windows(&mut self, node: &Node, grid: Grid) -> Result<Windows, Error> {
        match self.ranges(node, grid, Want::Samples)? {
            Ranges::Samples(windows) => Ok(windows),
            Ranges::Summed(Summed { found, range, shift }) => {
                let held = summaries::length(&found.series);
                let lasts = summaries::lasts(found);
                self.release(held.saturating_sub(fetch::length(&lasts)));
                let series = lasts.into_iter().map(without_missing).collect();
                let fixed = shift.at.is_some();
                let first_end = self.shifted(shift, grid.start);
                Ok(Windows { series, range, shift, fixed, first_end })
            }
        }
    }

    /// Evaluates a function that summaries answer, too, as [`Eval::over_windows`] does.
    pub(super) fn over_ranges<F>(
        &mut self,
        node: &Node,
        grid: Grid,
        (keep_name, summable): (bool, Summable),
        make: impl Fn() -> F + Sync,
    ) -> Result<Vec<Column>, Error>
    where
        F: FnMut((usize, usize), &Window<'_>) -> Option<f64>,
    {
        match self.ranges(node, grid, Want::Summable)? {
            Ranges::Samples(windows) => self.over_windows(windows, grid, (keep_name, true), make),
            Ranges::Summed(summed) => self.over_summaries(summed, grid, keep_name, summable),
        }
    }

    fn ranges(&mut self, node: &Node, grid: Grid, want: Want) -> Result<Ranges, Error> {
        let windows = match &node.kind {
            Kind::Window { select, range } => {
                let first_end = self.shifted(select.shift, grid.start);
                let last_end = self.shifted(select.shift, grid.last());
                let after = first_end.saturating_sub(*range);
                let purpose = self.purpose(want, select.shift, *range, grid);
                let fetched = match self.fetch(&select.matchers, (after, last_end), &purpose)? {
                    Found::Samples(series) => series,
                    Found::Lasts(lasts) => lasts.into_iter().map(Series::from).collect(),
                    Found::Summaries(found) => {
                        let summed = Summed { found, range: *range, shift: select.shift };
                        return Ok(Ranges::Summed(summed));
                    }
                };
                let series = fetched.into_iter().map(without_missing).collect();
                let (shift, fixed) = (select.shift, select.shift.at.is_some());
                Windows { series, range: *range, shift, fixed, first_end }
            }
            Kind::Subquery { inner, range, step, shift } => {
                self.subquery(inner, *range, *step, *shift, grid)?
            }
            // The parser has checked that this is a range vector.
            _ => Windows {
                series: Vec::new(),
                range: 0,
                shift: Shift { at: None, offset: 0 },
                fixed: false,
                first_end: grid.start,
            },
        };
        Ok(Ranges::Samples(windows))
    }

    /// Evaluates the inner expression once, at all the times that any window needs. They are
    /// multiples of the step, wherever the query starts.
    fn subquery(
        &mut self,
        inner: &Node,
        range: i64,
        step: Option<i64>,
        shift: Shift,
        grid: Grid,
    ) -> Result<Windows, Error> {
        let step = step.unwrap_or_else(|| millis(self.limits.subquery_step)).max(1);
        let first_end = self.shifted(shift, grid.start);
        let last_end = self.shifted(shift, grid.last());
        let after = first_end.saturating_sub(range);
        let start = (after.div_euclid(step)).saturating_add(1).saturating_mul(step);
        let mut series = Vec::new();
        if start <= last_end {
            let steps = last_end.abs_diff(start) / step.unsigned_abs() + 1;
            let limit = self.limits.max_samples;
            let steps = usize::try_from(steps).unwrap_or(usize::MAX);
            if steps > limit {
                return Err(Error::TooManySamples { limit });
            }
            let inner_grid = Grid { start, step, steps };
            for column in self.vector(inner, inner_grid)? {
                let (labels, drop_name) = (column.labels.clone(), column.drop_name);
                let Series { times, values, .. } = column.into_series(inner_grid);
                self.release(steps.saturating_sub(times.len()));
                series.push(Samples { labels, drop_name, times, values });
            }
        }
        Ok(Windows { series, range, shift, fixed: shift.at.is_some(), first_end })
    }

    /// Evaluates a function on each window that has samples. `make` is called for each series and
    /// gives a function that may keep state from window to window; it gets the number of the step
    /// (and must not use it if `stepless`) and the number of the window's first sample. The metric
    /// name is dropped unless `keep_name`.
    pub(super) fn over_windows<F>(
        &mut self,
        windows: Windows,
        grid: Grid,
        (keep_name, stepless): (bool, bool),
        make: impl Fn() -> F + Sync,
    ) -> Result<Vec<Column>, Error>
    where
        F: FnMut((usize, usize), &Window<'_>) -> Option<f64>,
    {
        let (held, count) = (windows.held(), windows.series.len());
        let cells = count.saturating_mul(grid.steps);
        self.hold(cells)?;
        let computed = if windows.fixed && stepless { 1 } else { grid.steps };
        let ends: Vec<i64> =
            grid.times().take(computed).map(|time| self.shifted(windows.shift, time)).collect();
        let (limits, range) = (self.limits, windows.range);
        let columns = by_halves(windows.series, held.saturating_add(cells), |part| {
            let mut columns = Vec::with_capacity(part.len());
            let mut unchecked = CELLS_BETWEEN_CHECKS;
            for series in part {
                unchecked = unchecked.saturating_add(series.times.len()).saturating_add(grid.steps);
                if unchecked >= CELLS_BETWEEN_CHECKS {
                    limits.check()?;
                    unchecked = 0;
                }
                let mut values = series.over(&ends, range, make());
                if computed < grid.steps {
                    values = vec![values.first().copied().unwrap_or(ABSENT); grid.steps];
                }
                if values.iter().all(|value| is_absent(*value)) {
                    continue;
                }
                let drop_name = series.drop_name || !keep_name;
                columns.push(Column { labels: series.labels, drop_name, values });
            }
            Ok(columns)
        })?;
        self.release(held.saturating_add((count - columns.len()).saturating_mul(grid.steps)));
        Ok(columns)
    }
}

impl Samples {
    /// The values of `f`, for the windows that end at these times.
    fn over(
        &self,
        ends: &[i64],
        range: i64,
        mut f: impl FnMut((usize, usize), &Window<'_>) -> Option<f64>,
    ) -> Vec<f64> {
        let mut values = Vec::with_capacity(ends.len());
        let upto = |time: i64| self.times.partition_point(|one| *one <= time);
        let first = ends.first().copied().unwrap_or(i64::MIN);
        let (mut from, mut to) = (upto(first.saturating_sub(range)), upto(first));
        for (step, end) in ends.iter().copied().enumerate() {
            let start = end.saturating_sub(range);
            while self.times.get(to).is_some_and(|time| *time <= end) {
                to += 1;
            }
            while from < to && self.times[from] <= start {
                from += 1;
            }
            let (times, samples) = (&self.times[from..to], &self.values[from..to]);
            let window = Window { times, values: samples, start, end };
            let value = if times.is_empty() { None } else { f((step, from), &window) };
            values.push(value.unwrap_or(ABSENT));
        }
        values
    }
}

fn without_missing(series: Series) -> Samples {
    let Series { labels, mut times, mut values } = series;
    if values.iter().any(|value| is_missing(*value)) {
        (times, values) =
            times.into_iter().zip(values).filter(|(_, value)| !is_missing(*value)).unzip();
    }
    Samples { labels, drop_name: false, times, values }
}
