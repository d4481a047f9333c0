//! Answers from summaries, where the source gives those instead of samples; the answer says so.

use hallwatch_model::Labels;

use super::columns::Column;
use super::{ABSENT, Eval, Grid, is_absent};
use crate::error::Error;
use crate::functions::summary::{Summable, end_of};
use crate::plan::Shift;
use crate::source::{Purpose, SUMMARY_CELLS, Series, Summaries, Summarised, Want};

/// Range vectors of summaries over all steps.
pub(super) struct Summed {
    pub(super) found: Summaries,
    pub(super) range: i64,
    pub(super) shift: Shift,
}

pub(super) fn length(series: &[Summarised]) -> usize {
    series.iter().map(|series| series.summaries.len() * SUMMARY_CELLS).sum()
}

/// As samples: of each summary the last one.
pub(super) fn lasts(summaries: Summaries) -> Vec<Series> {
    let each = summaries.series.into_iter().map(|Summarised { labels, summaries }| {
        let samples = summaries.iter().flat_map(|summary| {
            let value = (summary.count > 0).then_some(summary.last);
            [value, summary.lost].into_iter().flatten()
        });
        let (times, values) = samples.unzip();
        Series { labels, times, values }
    });
    each.collect()
}

impl Eval<'_> {
    /// Says that an answer is from summaries, and what that means for it.
    pub(super) fn remark(&mut self, summaries: &Summaries, purpose: &Purpose) {
        let resolution = match summaries.resolution {
            3_600_000 => "1h".to_owned(),
            60_000 => "1m".to_owned(),
            other => format!("{other}ms"),
        };
        if purpose.want == Want::Samples {
            self.notes.remark(format!(
                "answered from summaries of {resolution}: the function needs every sample and sees \
                 the last one of each summary only"
            ));
        } else if purpose.is_aligned(summaries.resolution) {
            self.notes.remark(format!(
                "answered from summaries of {resolution}, which give what the samples would give"
            ));
        } else {
            self.notes.remark(format!(
                "answered from summaries of {resolution}, for the samples are gone: times and \
                 windows move back to full {resolution}"
            ));
        }
    }

    /// Evaluates a function on the summaries in each window. A window that does not begin and end
    /// with summaries moves back to where they do; one that is shorter than a summary gets one.
    pub(super) fn over_summaries(
        &mut self,
        summed: Summed,
        grid: Grid,
        keep_name: bool,
        function: Summable,
    ) -> Result<Vec<Column>, Error> {
        let Summed { found: Summaries { resolution, series }, range, shift } = summed;
        let held = length(&series);
        let computed = if shift.at.is_some() { 1 } else { grid.steps };
        let mut columns = Vec::with_capacity(series.len());
        for Summarised { labels, summaries } in series {
            self.check()?;
            self.hold(grid.steps)?;
            let mut values = Vec::with_capacity(grid.steps);
            for step in 0..computed {
                let asked = self.shifted(shift, grid.time(step));
                let end = end_of(asked.saturating_add(1), resolution).saturating_sub(resolution);
                let range = range.div_euclid(resolution).max(1).saturating_mul(resolution);
                let start = end.saturating_sub(range);
                let from = summaries.partition_point(|summary| summary.end <= start);
                let to = summaries.partition_point(|summary| summary.end <= end).max(from);
                let value = function.over(&summaries[from..to], start, end);
                values.push(value.unwrap_or(ABSENT));
            }
            if computed < grid.steps {
                values = vec![values.first().copied().unwrap_or(ABSENT); grid.steps];
            }
            if values.iter().all(|value| is_absent(*value)) {
                self.release(grid.steps);
                continue;
            }
            let labels: Labels = labels;
            columns.push(Column { labels, drop_name: !keep_name, values });
        }
        self.release(held);
        Ok(columns)
    }
}
