//! Classic histograms over all steps: series that differ only in `le` are the buckets of one.

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;

use super::columns::{cells, merged};
use super::groups::{Groups, Key};
use super::labels::text;
use super::{ABSENT, Column, Eval, Grid, is_absent};
use crate::error::Error;
use crate::functions::histogram::{Bucket, fraction, quantile};
use crate::notes::{Position, go_float};
use crate::plan::Node;

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";

/// A histogram's labels without the bound, and its buckets as (bound, number of the column).
struct Histogram {
    labels: Labels,
    buckets: Vec<(f64, usize)>,
}

/// Calculates on the buckets of one histogram at the step with this number.
type OnBuckets<'f> = dyn FnMut(&mut Eval<'_>, usize, &Labels, &mut Vec<Bucket>) -> f64 + 'f;

impl Eval<'_> {
    fn histograms(&mut self, columns: &[Column], at: Position) -> Vec<Histogram> {
        let mut groups = Groups::new(Key::AllButOne(BOUND));
        let mut histograms: Vec<Histogram> = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            let bound = column.labels.get(BOUND).unwrap_or("");
            let Ok(bound) = bound.parse::<f64>() else {
                let text = format!(
                    "bucket label \"{BOUND}\" is missing or has a malformed value of {bound:?}{}",
                    for_metric(&column.labels)
                );
                self.notes.warn(text, at);
                continue;
            };
            let group = groups.number(&column.labels);
            if group == histograms.len() {
                let labels = groups.labels(group);
                histograms.push(Histogram { labels, buckets: Vec::new() });
            }
            histograms[group].buckets.push((bound, number));
        }
        histograms
    }

    /// Calculates on the buckets that are there at each step.
    fn over_histograms(
        &mut self,
        columns: &[Column],
        at: Position,
        grid: Grid,
        f: &mut OnBuckets<'_>,
    ) -> Result<Vec<Column>, Error> {
        let mut results = Vec::new();
        for Histogram { labels, buckets } in self.histograms(columns, at) {
            self.check()?;
            self.hold(grid.steps)?;
            let mut values = vec![ABSENT; grid.steps];
            let mut present = Vec::with_capacity(buckets.len());
            for (step, value) in values.iter_mut().enumerate() {
                present.clear();
                present.extend(buckets.iter().filter_map(|(upper_bound, number)| {
                    let count = columns[*number].values[step];
                    (!is_absent(count)).then_some(Bucket { upper_bound: *upper_bound, count })
                }));
                if !present.is_empty() {
                    *value = f(self, step, &labels, &mut present);
                }
            }
            results.push(Column { labels, drop_name: true, values });
        }
        Ok(results)
    }

    pub(super) fn histogram_quantile(
        &mut self,
        args: &[Node],
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let [q, vector] = args else { return Ok(Vec::new()) };
        let quantiles = self.scalar(q, grid)?;
        let columns = self.vector(vector, grid)?;
        self.quantiles_of(&columns, (&quantiles, q.at), vector.at, grid).inspect(|_| {
            self.release(cells(&columns));
        })
    }

    fn quantiles_of(
        &mut self,
        columns: &[Column],
        (quantiles, quantile_at): (&[f64], Position),
        at: Position,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.bad_quantile(*q, quantile_at);
        }
        self.over_histograms(columns, at, grid, &mut |eval, step, labels, buckets| {
            let result = quantile(quantiles[step], buckets);
            if result.forced_monotonic {
                let text = format!(
                    "input to histogram_quantile needed to be fixed for monotonicity (see \
                     https://prometheus.io/docs/prometheus/latest/querying/functions/\
                     #histogram_quantile){}",
                    for_metric(labels)
                );
                eval.notes.info(text, at);
            }
            result.value
        })
    }

    /// `histogram_quantiles(v, "label", q, …)`: one series per quantile.
    pub(super) fn histogram_quantiles(
        &mut self,
        args: &[Node],
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let [vector, label, quantiles @ ..] = args else { return Ok(Vec::new()) };
        let label = text(label);
        let columns = self.vector(vector, grid)?;
        let mut results = Vec::new();
        for q in quantiles {
            let values = self.scalar(q, grid)?;
            let name = open_metrics_float(values.first().copied().unwrap_or(f64::NAN));
            for mut column in self.quantiles_of(&columns, (&values, q.at), vector.at, grid)? {
                column.labels = column.labels.with(label, &name);
                results.push(column);
            }
        }
        self.release(cells(&columns));
        merged(results)
    }

    pub(super) fn histogram_fraction(
        &mut self,
        args: &[Node],
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let [lower, upper, vector] = args else { return Ok(Vec::new()) };
        let lower = self.scalar(lower, grid)?;
        let upper = self.scalar(upper, grid)?;
        let columns = self.vector(vector, grid)?;
        let results =
            self.over_histograms(&columns, vector.at, grid, &mut |_, step, _, buckets| {
                fraction(lower[step], upper[step], buckets)
            })?;
        self.release(cells(&columns));
        Ok(results)
    }
}

fn for_metric(labels: &Labels) -> String {
    labels.get(METRIC_NAME).map_or(String::new(), |name| format!(" for metric name {name:?}"))
}

/// As OpenMetrics writes quantiles: whole numbers with a decimal.
fn open_metrics_float(value: f64) -> String {
    let text = go_float(value);
    if text.contains(['.', 'e', 'N', 'I']) { text } else { format!("{text}.0") }
}
