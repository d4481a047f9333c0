//! Function calls over all steps.

use std::sync::{Arc, Mutex, PoisonError};

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Label, Labels, Timestamp};

use super::columns::{Column, cells, map};
use super::labels::absent_labels;
use super::shape::one_label;
use super::{ABSENT, Eval, Evaluated, Grid, is_absent};
use crate::error::Error;
use crate::functions::summary::Summable;
use crate::functions::window::{self, Window};
use crate::functions::{math, moving};
use crate::plan::{Function, Kind, Node};

impl Eval<'_> {
    /// Only dispatches: this recurses, and the stack is finite.
    pub(super) fn call(
        &mut self,
        function: Function,
        args: &[Node],
        node: &Node,
        grid: Grid,
    ) -> Result<Evaluated, Error> {
        let Some(first) = args.first() else { return self.call_without_arguments(function, grid) };
        let columns = match function {
            Function::Map(f) | Function::Date(f) => self.map_call(f, first, grid),
            Function::Window(f) => self.window_call(f, first, grid),
            Function::Delta(f) => self.summable_call(f, first, (false, Summable::Delta), grid),
            Function::Summable(summable, f) => {
                self.summable_call(f, first, (false, summable), grid)
            }
            Function::NamedWindow(summable, f) => {
                self.summable_call(f, first, (true, summable), grid)
            }
            Function::Counter { per_second } => self.counter_call(per_second, first, grid),
            Function::MinOverTime => self.extreme_call(false, first, grid),
            Function::MaxOverTime => self.extreme_call(true, first, grid),
            Function::QuantileOverTime => self.quantile_over_time(args, grid),
            Function::PredictLinear => self.predict_linear(args, grid),
            Function::Smoothing => self.smoothing(args, grid),
            Function::Absent => self.absent(first, grid),
            Function::AbsentOverTime => self.absent_over_time(first, grid),
            Function::Clamp | Function::ClampMin | Function::ClampMax | Function::Round => {
                self.bounded(function, args, grid)
            }
            Function::Vector => self.vector_of(first, grid),
            Function::Timestamp => self.timestamp(first, grid),
            Function::LabelReplace => self.label_replace(args, grid),
            Function::LabelJoin => self.label_join(args, grid),
            Function::Sort { descending } => self.sort_call(descending, first, node, grid),
            Function::SortByLabel { descending } => {
                self.note_if_unsorted(node, grid);
                self.sort_by_label(args, descending, grid)
            }
            Function::HistogramQuantile => self.histogram_quantile(args, grid),
            Function::HistogramQuantiles => self.histogram_quantiles(args, grid),
            Function::HistogramFraction => self.histogram_fraction(args, grid),
            Function::NativeHistogram => self.vector(first, grid).map(|_| Vec::new()),
            Function::Scalar => return self.scalar_of(first, grid).map(Evaluated::Scalar),
            Function::MaxOf => return self.pick(args, math::max, grid).map(Evaluated::Scalar),
            Function::MinOf => return self.pick(args, math::min, grid).map(Evaluated::Scalar),
            Function::Time
            | Function::Pi
            | Function::QueryStart
            | Function::QueryEnd
            | Function::QueryStep
            | Function::QueryRange => return self.call_without_arguments(function, grid),
        };
        columns.map(Evaluated::Vector)
    }

    fn map_call(
        &mut self,
        f: fn(f64) -> f64,
        arg: &Node,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        Ok(map(self.vector(arg, grid)?, f))
    }

    fn vector_of(&mut self, arg: &Node, grid: Grid) -> Result<Vec<Column>, Error> {
        let values = self.scalar(arg, grid)?;
        Ok(vec![Column { labels: Labels::empty(), drop_name: false, values }])
    }

    fn sort_call(
        &mut self,
        descending: bool,
        arg: &Node,
        node: &Node,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        self.note_if_unsorted(node, grid);
        Ok(sorted(self.vector(arg, grid)?, descending, grid))
    }

    fn pick(
        &mut self,
        args: &[Node],
        pick: fn(f64, f64) -> f64,
        grid: Grid,
    ) -> Result<Vec<f64>, Error> {
        let [a, b] = args else { return Ok(vec![f64::NAN; grid.steps]) };
        let mut values = self.scalar(a, grid)?;
        let others = self.scalar(b, grid)?;
        values.iter_mut().zip(others).for_each(|(a, b)| *a = pick(*a, b));
        Ok(values)
    }

    fn call_without_arguments(
        &mut self,
        function: Function,
        grid: Grid,
    ) -> Result<Evaluated, Error> {
        self.hold(grid.steps)?;
        let seconds = |time: i64| Timestamp::from_millis(time).as_seconds();
        let (query, end) = (self.query, self.end);
        let constant = match function {
            Function::Time => return Ok(Evaluated::Scalar(grid.times().map(seconds).collect())),
            Function::Date(f) => {
                let values = grid.times().map(|time| f(seconds(time))).collect();
                let column = Column { labels: Labels::empty(), drop_name: false, values };
                return Ok(Evaluated::Vector(vec![column]));
            }
            Function::Pi => std::f64::consts::PI,
            Function::QueryStart => seconds(query.start),
            Function::QueryEnd => seconds(end),
            Function::QueryStep if self.is_range => seconds(query.step),
            Function::QueryRange => seconds(end.saturating_sub(query.start)),
            _ => 0.0,
        };
        Ok(Evaluated::Scalar(vec![constant; grid.steps]))
    }

    fn window_call(
        &mut self,
        f: window::Function,
        arg: &Node,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let windows = self.windows(arg, grid)?;
        self.over_windows(windows, grid, (false, true), || move |_, window: &Window<'_>| f(window))
    }

    fn summable_call(
        &mut self,
        f: window::Function,
        arg: &Node,
        kind: (bool, Summable),
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        self.over_ranges(arg, grid, kind, || move |_, window: &Window<'_>| f(window))
    }

    fn counter_call(
        &mut self,
        per_second: bool,
        arg: &Node,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let kind = (false, Summable::Increase { per_second });
        let columns = self.over_ranges(arg, grid, kind, || {
            let mut counter = moving::Counter::new(per_second);
            move |(_, from), window| counter.value(from, window)
        })?;
        self.note_if_no_counter(&columns, arg);
        Ok(columns)
    }

    fn extreme_call(
        &mut self,
        largest: bool,
        arg: &Node,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let kind = (false, if largest { Summable::Max } else { Summable::Min });
        self.over_ranges(arg, grid, kind, || {
            let mut extreme = moving::Extreme::new(largest);
            move |(_, from), window| extreme.value(from, window)
        })
    }

    fn quantile_over_time(&mut self, args: &[Node], grid: Grid) -> Result<Vec<Column>, Error> {
        let [q, arg] = args else { return Ok(Vec::new()) };
        let quantiles = self.scalar(q, grid)?;
        let windows = self.windows(arg, grid)?;
        let by_step = &quantiles;
        let columns = if let [quantile] = quantiles[..] {
            // Of a single window nothing is kept for the next, so nothing need be sorted.
            self.over_windows(windows, grid, (false, false), || {
                move |_, window: &Window<'_>| window::quantile_over_time(window, quantile)
            })?
        } else {
            self.over_windows(windows, grid, (false, false), || {
                let mut quantile = moving::Quantile::default();
                move |(step, from), window| quantile.value(from, window, by_step[step])
            })?
        };
        for (step, value) in quantiles.iter().enumerate() {
            let used = columns.iter().any(|column| !is_absent(column.values[step]));
            if used && !(0.0..=1.0).contains(value) {
                self.bad_quantile(*value, q.at);
            }
        }
        Ok(columns)
    }

    fn predict_linear(&mut self, args: &[Node], grid: Grid) -> Result<Vec<Column>, Error> {
        let [arg, ahead] = args else { return Ok(Vec::new()) };
        let windows = self.windows(arg, grid)?;
        let ahead = &self.scalar(ahead, grid)?;
        self.over_windows(windows, grid, (false, false), || {
            move |(step, _), window: &Window<'_>| {
                window::predict_linear(window, grid.time(step), ahead[step])
            }
        })
    }

    fn smoothing(&mut self, args: &[Node], grid: Grid) -> Result<Vec<Column>, Error> {
        let [arg, smoothing, trend] = args else { return Ok(Vec::new()) };
        let windows = self.windows(arg, grid)?;
        let smoothing = &self.scalar(smoothing, grid)?;
        let trend = &self.scalar(trend, grid)?;
        // Only a window with samples makes an error of a factor, as in Prometheus.
        let wrong: &Mutex<Option<(usize, Error)>> = &Mutex::new(None);
        let columns = self.over_windows(windows, grid, (false, false), || {
            move |(step, _), window: &Window<'_>| {
                let (smoothing, trend) = (smoothing[step], trend[step]);
                if let Some(error) = factors_error(smoothing, trend) {
                    let mut first = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                    if first.as_ref().is_none_or(|(known, _)| step < *known) {
                        *first = Some((step, error));
                    }
                }
                window::smooth(window, smoothing, trend)
            }
        })?;
        let wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner).take();
        wrong.map_or(Ok(columns), |(_, error)| Err(error))
    }

    /// `rate` and `increase` only make sense of counters, and those have names that say so.
    fn note_if_no_counter(&mut self, columns: &[Column], arg: &Node) {
        const ENDINGS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];
        let mut first: Option<&Arc<Label>> = None;
        for column in columns {
            // Mostly the name is the first label, and the same one for all.
            let label = column.labels.iter().next();
            if first.zip(label).is_some_and(|(a, b)| one_label(a, b)) {
                continue;
            }
            first = label.filter(|label| &*label.name == METRIC_NAME);
            let Some(name) = column.labels.get(METRIC_NAME) else { continue };
            if !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                let text = format!(
                    "metric might not be a counter, name does not end in \
                     _total/_sum/_count/_bucket: {name:?}"
                );
                self.notes.info(text, arg.at);
            }
        }
    }

    fn note_if_unsorted(&mut self, node: &Node, grid: Grid) {
        if self.is_range || grid.steps > 1 {
            let text = "sort is ineffective for range queries since results are always ordered by \
                        labels";
            self.notes.warn(text, node.at);
        }
    }

    fn absent(&mut self, arg: &Node, grid: Grid) -> Result<Vec<Column>, Error> {
        let columns = self.vector(arg, grid)?;
        self.release(cells(&columns));
        self.where_nothing_is(&columns, arg, grid)
    }

    fn absent_over_time(&mut self, arg: &Node, grid: Grid) -> Result<Vec<Column>, Error> {
        let windows = self.windows(arg, grid)?;
        let columns = self.over_windows(windows, grid, (false, true), || |_, _| Some(1.0))?;
        self.release(cells(&columns));
        self.where_nothing_is(&columns, arg, grid)
    }

    fn where_nothing_is(
        &mut self,
        columns: &[Column],
        arg: &Node,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        self.hold(grid.steps)?;
        let mut values = vec![1.0; grid.steps];
        for column in columns {
            for (value, present) in values.iter_mut().zip(&column.values) {
                if !is_absent(*present) {
                    *value = ABSENT;
                }
            }
        }
        Ok(vec![Column { labels: absent_labels(arg), drop_name: false, values }])
    }

    fn bounded(
        &mut self,
        function: Function,
        args: &[Node],
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let [vector, bounds @ ..] = args else { return Ok(Vec::new()) };
        let mut columns = self.vector(vector, grid)?;
        let bounds =
            bounds.iter().map(|bound| self.scalar(bound, grid)).collect::<Result<Vec<_>, _>>()?;
        let bound = |number: usize, step: usize| bounds.get(number).map(|values| values[step]);
        for column in &mut columns {
            column.drop_name = true;
            for (step, value) in column.values.iter_mut().enumerate() {
                if is_absent(*value) {
                    continue;
                }
                let a = bound(0, step).unwrap_or(1.0);
                *value = match function {
                    Function::ClampMin => math::max(a, *value),
                    Function::ClampMax => math::min(a, *value),
                    Function::Round => math::round(*value, a),
                    _ => match bound(1, step) {
                        Some(b) if b < a => ABSENT,
                        Some(b) => math::max(a, math::min(b, *value)),
                        None => *value,
                    },
                };
            }
        }
        Ok(columns)
    }

    /// The times of samples, if the argument is a selector; otherwise of the steps.
    fn timestamp(&mut self, arg: &Node, grid: Grid) -> Result<Vec<Column>, Error> {
        if let Kind::Select(select) = &arg.kind {
            return self.select(select, grid, true);
        }
        let mut columns = self.vector(arg, grid)?;
        for column in &mut columns {
            column.drop_name = true;
            for (value, time) in column.values.iter_mut().zip(grid.times()) {
                if !is_absent(*value) {
                    *value = Timestamp::from_millis(time).as_seconds();
                }
            }
        }
        Ok(columns)
    }

    /// The value of the only series, or NaN.
    fn scalar_of(&mut self, arg: &Node, grid: Grid) -> Result<Vec<f64>, Error> {
        let columns = self.vector(arg, grid)?;
        self.hold(grid.steps)?;
        self.release(cells(&columns));
        let mut values = vec![f64::NAN; grid.steps];
        for (step, out) in values.iter_mut().enumerate() {
            let mut present =
                columns.iter().map(|column| column.values[step]).filter(|value| !is_absent(*value));
            if let (Some(value), None) = (present.next(), present.next()) {
                *out = value;
            }
        }
        Ok(values)
    }
}

/// By value, NaN last. Only an instant query keeps the order.
fn sorted(mut columns: Vec<Column>, descending: bool, grid: Grid) -> Vec<Column> {
    if grid.steps == 1 {
        let value = |column: &Column| column.values.first().copied().unwrap_or(f64::NAN);
        columns.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            let order = a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal);
            a.is_nan().cmp(&b.is_nan()).then(if descending { order.reverse() } else { order })
        });
    }
    columns
}

/// What is wrong with the factors of `double_exponential_smoothing`.
fn factors_error(smoothing: f64, trend: f64) -> Option<Error> {
    let wrong = |value: f64| value <= 0.0 || value >= 1.0;
    if wrong(smoothing) {
        return Some(Error::Factor { what: "smoothing", symbol: "sf", value: smoothing });
    }
    wrong(trend).then_some(Error::Factor { what: "trend", symbol: "tf", value: trend })
}
