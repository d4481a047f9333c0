//! Vectors over all steps: one column of values per series.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use hallwatch_model::Labels;

use super::shape::{Shape, same};
use crate::error::Error;
use crate::functions::label::is_metadata;
use crate::kept::Kept;
use crate::source::Series;

/// The steps of an evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// The first step, milliseconds.
    pub(super) start: i64,
    /// From one to the next, milliseconds, above zero.
    pub(super) step: i64,
    /// How many.
    pub(super) steps: usize,
}

impl Grid {
    pub(super) fn time(self, step: usize) -> i64 {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.start.saturating_add(self.step.saturating_mul(step))
    }

    pub(super) fn last(self) -> i64 {
        self.time(self.steps.saturating_sub(1))
    }

    pub(super) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.steps).map(move |step| self.time(step))
    }
}

/// No value at this step. Prometheus' staleness marker is a signalling NaN: no calculation gives
/// it, and no sample that has it is a value.
pub(super) const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

#[inline]
pub(super) fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// A series of an instant vector, with a value (or none) at each step.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) labels: Labels,
    /// The metric name goes at the end of the query: until then label functions and groupings may
    /// still use it.
    pub(super) drop_name: bool,
    pub(super) values: Vec<f64>,
}

impl Column {
    pub(super) fn into_series(self, grid: Grid) -> Series {
        let mut times = Vec::with_capacity(grid.steps);
        times.extend(
            grid.times().zip(&self.values).filter(|(_, v)| !is_absent(**v)).map(|(time, _)| time),
        );
        let mut values = self.values;
        if times.len() < values.len() {
            values.retain(|value| !is_absent(*value));
        }
        Series { labels: self.labels, times, values }
    }
}

/// How many cells there are.
pub(super) fn cells(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.values.len()).sum()
}

/// Calculates on each value; the result is another quantity.
pub(super) fn map(mut columns: Vec<Column>, f: impl Fn(f64) -> f64) -> Vec<Column> {
    for column in &mut columns {
        column.drop_name = true;
        for value in column.values.iter_mut().filter(|value| !is_absent(**value)) {
            *value = f(*value);
        }
    }
    columns
}

pub(super) fn without_metadata(labels: &Labels) -> Labels {
    labels.without(is_metadata)
}

/// Drops the metric names that are to be dropped.
pub(super) fn without_dropped_names(columns: Vec<Column>) -> Result<Vec<Column>, Error> {
    let mut named = Vec::with_capacity(columns.len());
    each_named(columns, |kept, values| {
        named.push(Column { labels: kept.into_labels(), drop_name: false, values });
    })?;
    Ok(named)
}

/// Hands out the columns without the metric names that are to be dropped.
pub(super) fn each_named(
    mut columns: Vec<Column>,
    mut each: impl FnMut(Kept, Vec<f64>),
) -> Result<(), Error> {
    let whole = |column: Column| (Kept::from(column.labels), column.values);
    if !columns.iter().any(|column| column.drop_name) {
        columns.into_iter().map(whole).for_each(|(kept, values)| each(kept, values));
        return Ok(());
    }
    // At a single step, series of one metric differ in other labels, so they still differ without
    // its name. (At several, `or` may give one series twice: with its name and without.)
    let first = columns.first().filter(|first| first.values.len() == 1);
    if let Some(first) = first.map(|first| first.labels.clone()) {
        let shape = Shape::new(&first, is_metadata);
        let alike = |labels: &Labels| {
            let chosen = shape.chosen(labels).zip(shape.chosen(&first));
            shape.is_of(labels) && chosen.into_iter().all(|(a, b)| same(a, b))
        };
        let is_one_metric = columns.iter().all(|column| {
            let labels = &column.labels;
            column.drop_name && (alike(labels) || same_metadata(labels, &first))
        });
        if is_one_metric {
            let rest = shape.rest();
            for Column { labels, values, .. } in columns {
                let kept = match rest {
                    Some((from, to)) if shape.is_of(&labels) => Kept::part(labels, from, to),
                    _ => without_metadata(&labels).into(),
                };
                each(kept, values);
            }
            return Ok(());
        }
    }
    for column in columns.iter_mut().filter(|column| column.drop_name) {
        column.labels = without_metadata(&column.labels);
        column.drop_name = false;
    }
    merged(columns)?.into_iter().map(whole).for_each(|(kept, values)| each(kept, values));
    Ok(())
}

fn same_metadata(a: &Labels, b: &Labels) -> bool {
    let metadata = |labels: &Labels| labels.iter().filter(|label| is_metadata(&label.name)).count();
    let same = |name: &str| a.get(name) == b.get(name);
    metadata(a) == metadata(b) && b.iter().filter(|l| is_metadata(&l.name)).all(|l| same(&l.name))
}

/// Makes one of series that have the same labels, unless only one of them is to lose its name.
pub(super) fn merged(columns: Vec<Column>) -> Result<Vec<Column>, Error> {
    if columns.len() < 2 {
        return Ok(columns);
    }
    let mut known: HashMap<(Labels, bool), usize> = HashMap::with_capacity(columns.len());
    let mut merged: Vec<Column> = Vec::with_capacity(columns.len());
    for column in columns {
        match known.entry((column.labels.clone(), column.drop_name)) {
            Entry::Vacant(entry) => {
                entry.insert(merged.len());
                merged.push(column);
            }
            Entry::Occupied(entry) => merge_into(&mut merged[*entry.get()], &column)?,
        }
    }
    Ok(merged)
}

fn merge_into(into: &mut Column, from: &Column) -> Result<(), Error> {
    for (to, value) in into.values.iter_mut().zip(&from.values) {
        if is_absent(*value) {
            continue;
        }
        if !is_absent(*to) {
            return Err(Error::SameLabels);
        }
        *to = *value;
    }
    Ok(())
}
