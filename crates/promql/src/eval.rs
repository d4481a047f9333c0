//! The walk over a plan: every node is evaluated once for all steps, so that series are fetched
//! once, label work is done once per series, and steps share what they can.

mod aggregate;
mod binary;
mod calls;
mod columns;
mod fetch;
mod groups;
mod halves;
mod histogram;
pub(crate) mod labels;
mod select;
mod shape;
mod summaries;
mod windows;

use std::collections::HashMap;
use std::time::Duration;

use hallwatch_model::{Labels, Timestamp};

use crate::answer::{Answer, InstantSample, Limits, Value};
use crate::error::{Error, millis};
use crate::kept::Kept;
use crate::notes::Notes;
use crate::plan::{Kind, Node};
use crate::query::Query;
use crate::source::{Series, Source};
use columns::{ABSENT, Column, Grid, is_absent};

/// The value of a node at all steps.
enum Evaluated {
    /// One number per step.
    Scalar(Vec<f64>),
    Vector(Vec<Column>),
    Text(String),
}

struct Eval<'a> {
    source: &'a dyn Source,
    limits: &'a Limits<'a>,
    /// The steps of the query itself: what `start()` and `end()` mean, also in subqueries.
    query: Grid,
    /// The end that was asked for, of which the last step may fall short.
    end: i64,
    is_range: bool,
    cache: fetch::Cache,
    notes: Notes,
    samples_read: usize,
    /// Samples and cells in memory now.
    held: usize,
    /// The most there were.
    peak: usize,
}

/// The value of `query` at one time.
///
/// # Errors
/// When the expression cannot be evaluated on these data, or a limit is exceeded.
pub fn instant(
    query: &Query,
    at: Timestamp,
    source: &dyn Source,
    limits: &Limits<'_>,
) -> Result<Answer, Error> {
    instant_of_kept(query, at, source, limits).map(|answer| answer.map(Kept::into_labels))
}

/// As [`instant`], where the names of the series are only to be looked at.
///
/// # Errors
/// As of [`instant`].
pub fn instant_of_kept(
    query: &Query,
    at: Timestamp,
    source: &dyn Source,
    limits: &Limits<'_>,
) -> Result<Answer<Kept>, Error> {
    let grid = Grid { start: at.as_millis(), step: 1, steps: 1 };
    let mut eval = Eval::new(query, (grid, None), source, limits);
    let value = match &query.plan.kind {
        Kind::Window { .. } | Kind::Subquery { .. } => eval.matrix(&query.plan, grid)?,
        _ => match eval.node(&query.plan, grid)? {
            Evaluated::Scalar(values) => {
                Value::Scalar(at, values.first().copied().unwrap_or(f64::NAN))
            }
            Evaluated::Text(text) => Value::String(at, text),
            Evaluated::Vector(columns) => {
                let mut samples = Vec::with_capacity(columns.len());
                columns::each_named(columns, |labels, values| {
                    if let Some(value) = values.first().copied().filter(|v| !is_absent(*v)) {
                        samples.push(InstantSample { labels, time: at, value });
                    }
                })?;
                Value::Vector(samples)
            }
        },
    };
    Ok(eval.answer(value))
}

/// The values of `query` at `start`, `start + step`, … up to `end`.
///
/// # Errors
/// When the expression has no place in a range query, cannot be evaluated on these data, or a limit
/// is exceeded.
pub fn range(
    query: &Query,
    start: Timestamp,
    end: Timestamp,
    step: Duration,
    source: &dyn Source,
    limits: &Limits<'_>,
) -> Result<Answer, Error> {
    let (start, end, step) = (start.as_millis(), end.as_millis(), millis(step));
    if step <= 0 {
        return Err(Error::Step);
    }
    if end < start {
        return Err(Error::EndBeforeStart);
    }
    match query.kind() {
        crate::ValueType::Matrix => return Err(Error::RangeOf { found: "range vector" }),
        crate::ValueType::String => return Err(Error::RangeOf { found: "string" }),
        _ => {}
    }
    let steps = end.abs_diff(start) / step.unsigned_abs();
    let too_many = Error::TooManySteps { limit: limits.max_steps };
    let Ok(steps) = usize::try_from(steps) else { return Err(too_many) };
    if steps >= limits.max_steps {
        return Err(too_many);
    }
    let grid = Grid { start, step, steps: steps + 1 };
    let mut eval = Eval::new(query, (grid, Some(end)), source, limits);
    let columns = match eval.node(&query.plan, grid)? {
        Evaluated::Scalar(values) => {
            vec![Column { labels: Labels::empty(), drop_name: false, values }]
        }
        Evaluated::Vector(columns) => columns::without_dropped_names(columns)?,
        Evaluated::Text(_) => return Err(Error::RangeOf { found: "string" }),
    };
    let mut series: Vec<Series> =
        columns.into_iter().map(|column| column.into_series(grid)).collect();
    series.retain(|series| !series.times.is_empty());
    if !series.is_sorted_by(|a, b| a.labels <= b.labels) {
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    Ok(eval.answer(Value::Matrix(series)))
}

impl<'a> Eval<'a> {
    fn new(
        query: &Query,
        (grid, end): (Grid, Option<i64>),
        source: &'a dyn Source,
        limits: &'a Limits<'a>,
    ) -> Self {
        Self {
            source,
            limits,
            query: grid,
            end: end.unwrap_or(grid.start),
            is_range: end.is_some(),
            cache: fetch::Cache::new(&query.plan),
            notes: Notes::default(),
            samples_read: 0,
            held: 0,
            peak: 0,
        }
    }

    fn answer<L>(self, value: Value<L>) -> Answer<L> {
        let (warnings, infos) = self.notes.into_parts();
        let (samples_read, samples_held) = (self.samples_read, self.peak);
        Answer { value, warnings, infos, samples_read, samples_held }
    }

    /// Asks whether to go on.
    fn check(&self) -> Result<(), Error> {
        self.limits.check()
    }

    /// Accounts for memory before it is taken.
    fn hold(&mut self, cells: usize) -> Result<(), Error> {
        self.held = self.held.saturating_add(cells);
        if self.held > self.limits.max_samples {
            return Err(Error::TooManySamples { limit: self.limits.max_samples });
        }
        self.peak = self.peak.max(self.held);
        Ok(())
    }

    fn release(&mut self, cells: usize) {
        self.held = self.held.saturating_sub(cells);
    }

    /// Only dispatches: this recurses, and the stack is finite.
    fn node(&mut self, node: &Node, grid: Grid) -> Result<Evaluated, Error> {
        self.check()?;
        match &node.kind {
            Kind::Number(number) => self.number(*number, grid),
            Kind::Text(text) => Ok(Evaluated::Text(text.value.clone())),
            Kind::Select(select) => self.select(select, grid, false).map(Evaluated::Vector),
            // The parser lets range vectors only stand where a window is asked for.
            Kind::Window { .. } | Kind::Subquery { .. } => Ok(Evaluated::Vector(Vec::new())),
            Kind::Negate(inner) => self.negated(inner, grid),
            Kind::Call { function, args } => self.call(*function, args, node, grid),
            Kind::Aggregate { op, grouping, param, inner } => {
                self.aggregate(*op, grouping, param.as_deref(), inner, grid).map(Evaluated::Vector)
            }
            Kind::Binary { op, bool_result, matching, sides } => {
                self.binary(*op, *bool_result, matching, sides, grid)
            }
        }
    }

    fn number(&mut self, number: f64, grid: Grid) -> Result<Evaluated, Error> {
        self.hold(grid.steps)?;
        Ok(Evaluated::Scalar(vec![number; grid.steps]))
    }

    fn negated(&mut self, inner: &Node, grid: Grid) -> Result<Evaluated, Error> {
        Ok(match self.node(inner, grid)? {
            Evaluated::Scalar(mut values) => {
                values.iter_mut().for_each(|value| *value = -*value);
                Evaluated::Scalar(values)
            }
            Evaluated::Vector(columns) => Evaluated::Vector(columns::map(columns, |value| -value)),
            text @ Evaluated::Text(_) => text,
        })
    }

    fn vector(&mut self, node: &Node, grid: Grid) -> Result<Vec<Column>, Error> {
        Ok(match self.node(node, grid)? {
            Evaluated::Vector(columns) => columns,
            Evaluated::Scalar(_) | Evaluated::Text(_) => Vec::new(),
        })
    }

    fn scalar(&mut self, node: &Node, grid: Grid) -> Result<Vec<f64>, Error> {
        Ok(match self.node(node, grid)? {
            Evaluated::Scalar(values) => values,
            Evaluated::Vector(_) | Evaluated::Text(_) => vec![f64::NAN; grid.steps],
        })
    }

    /// A range vector as the result of an instant query: the samples themselves.
    fn matrix<L>(&mut self, node: &Node, grid: Grid) -> Result<Value<L>, Error> {
        let windows = self.windows(node, grid)?;
        let mut series = windows.into_series();
        let dropped: Vec<bool> = series.iter().map(|(_, drop_name)| *drop_name).collect();
        if dropped.iter().any(|dropped| *dropped) {
            let mut seen = HashMap::new();
            for (series, drop_name) in &mut series {
                if *drop_name {
                    series.labels = columns::without_metadata(&series.labels);
                }
                if seen.insert(series.labels.clone(), ()).is_some() {
                    return Err(Error::SameLabels);
                }
            }
        }
        let mut series: Vec<Series> = series.into_iter().map(|(series, _)| series).collect();
        series.retain(|series| !series.times.is_empty());
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Value::Matrix(series))
    }
}
