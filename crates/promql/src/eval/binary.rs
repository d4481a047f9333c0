//! Binary operations over all steps. Which series belong together is found once; the steps only
//! look at which of them have a value.

use std::collections::HashMap;

use hallwatch_model::Labels;

use super::columns::{cells, merged};
use super::groups::{Groups, Key};
use super::shape::Shape;
use super::{ABSENT, Column, Eval, Evaluated, Grid, is_absent};
use crate::error::Error;
use crate::functions::binary::Operator;
use crate::functions::label::{is_metadata, joined};
use crate::plan::{Cardinality, Matching, Node};

impl Eval<'_> {
    pub(super) fn binary(
        &mut self,
        op: Operator,
        bool_result: bool,
        matching: &Matching,
        sides: &[Node; 2],
        grid: Grid,
    ) -> Result<Evaluated, Error> {
        let [left, right] = sides;
        let left = self.node(left, grid)?;
        let right = self.node(right, grid)?;
        Ok(match (left, right) {
            (Evaluated::Scalar(mut left), Evaluated::Scalar(right)) => {
                for (a, b) in left.iter_mut().zip(&right) {
                    *a = op.apply(*a, *b);
                }
                self.release(right.len());
                Evaluated::Scalar(left)
            }
            (Evaluated::Vector(columns), Evaluated::Scalar(scalars)) => {
                self.release(scalars.len());
                Evaluated::Vector(with_scalars(op, bool_result, columns, &scalars, false))
            }
            (Evaluated::Scalar(scalars), Evaluated::Vector(columns)) => {
                self.release(scalars.len());
                Evaluated::Vector(with_scalars(op, bool_result, columns, &scalars, true))
            }
            (Evaluated::Vector(left), Evaluated::Vector(right)) => {
                let before = cells(&left) + cells(&right);
                let result = if op.is_set() {
                    set_operation(op, matching, left, right, grid)?
                } else {
                    Join { op, bool_result, matching, grid }.run(self, left, right)?
                };
                // What the join held, and both sides, are gone; the result stays.
                self.release(before);
                if op.is_set() {
                    self.hold(cells(&result))?;
                }
                Evaluated::Vector(result)
            }
            // The parser does not let texts in here.
            (Evaluated::Text(_), other) | (other, Evaluated::Text(_)) => other,
        })
    }
}

fn with_scalars(
    op: Operator,
    bool_result: bool,
    mut columns: Vec<Column>,
    scalars: &[f64],
    swapped: bool,
) -> Vec<Column> {
    let filters = op.is_comparison() && !bool_result;
    for column in &mut columns {
        column.drop_name |= !filters;
        for (value, scalar) in column.values.iter_mut().zip(scalars) {
            if is_absent(*value) {
                continue;
            }
            let result =
                if swapped { op.apply(*scalar, *value) } else { op.apply(*value, *scalar) };
            if !filters {
                *value = result;
            } else if result == 0.0 {
                *value = ABSENT;
            }
        }
    }
    columns
}

fn key(matching: &Matching) -> Key<'_> {
    if matching.on { Key::Only(&matching.labels) } else { Key::AllBut(&matching.labels) }
}

/// `and`, `or`, `unless`.
fn set_operation(
    op: Operator,
    matching: &Matching,
    mut left: Vec<Column>,
    mut right: Vec<Column>,
    grid: Grid,
) -> Result<Vec<Column>, Error> {
    let mut groups = Groups::new(key(matching));
    let left_groups: Vec<usize> = left.iter().map(|c| groups.number(&c.labels)).collect();
    let right_groups: Vec<usize> = right.iter().map(|c| groups.number(&c.labels)).collect();
    let count = groups.len();
    let present_in = |columns: &[Column], numbers: &[usize]| {
        let mut present = vec![false; count * grid.steps];
        for (column, number) in columns.iter().zip(numbers) {
            let row = &mut present[number * grid.steps..][..grid.steps];
            for (seen, value) in row.iter_mut().zip(&column.values) {
                *seen |= !is_absent(*value);
            }
        }
        present
    };
    let keep = |columns: &mut [Column], numbers: &[usize], other: &[bool], wanted: bool| {
        for (column, number) in columns.iter_mut().zip(numbers) {
            for (value, there) in column.values.iter_mut().zip(&other[number * grid.steps..]) {
                if *there != wanted {
                    *value = ABSENT;
                }
            }
        }
    };
    if op == Operator::Or {
        let there = present_in(&left, &left_groups);
        keep(&mut right, &right_groups, &there, false);
        left.extend(right);
    } else {
        let there = present_in(&right, &right_groups);
        keep(&mut left, &left_groups, &there, op == Operator::And);
    }
    left.retain(|column| column.values.iter().any(|value| !is_absent(*value)));
    // A series may come from the left at one step and from the right at another.
    if op == Operator::Or && grid.steps > 1 { merged(left) } else { Ok(left) }
}

/// An arithmetic operation or comparison between two vectors.
struct Join<'a> {
    op: Operator,
    bool_result: bool,
    matching: &'a Matching,
    grid: Grid,
}

/// After so many groups it is asked again whether to stop.
const GROUPS_BETWEEN_CHECKS: usize = 256;

/// No column in a group, or none of the "one" side at a step.
const NONE: usize = usize::MAX;

impl Join<'_> {
    fn run(
        &self,
        eval: &mut Eval<'_>,
        left: Vec<Column>,
        right: Vec<Column>,
    ) -> Result<Vec<Column>, Error> {
        // From here on, `many` is the side that may have several series in a group.
        let swapped = self.matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        // Prometheus swaps the sides of `group_right`, but not what fills them.
        let (fill_many, fill_one) = (self.matching.fill_left, self.matching.fill_right);
        let mut groups = Groups::new(key(self.matching));
        let one_groups: Vec<usize> = one.iter().map(|c| groups.number(&c.labels)).collect();
        let many_groups: Vec<usize> = many
            .iter()
            .map(|column| match (fill_one, groups.find(&column.labels)) {
                (None, found) => found.unwrap_or(NONE),
                (Some(_), _) => groups.number(&column.labels),
            })
            .collect();
        let one_members = Members::new(&one_groups, groups.len());
        let many_members = Members::new(&many_groups, groups.len());
        let live = self.live(&many, &one);
        let mut results = Results::new(self);
        let mut singles = Vec::new();
        for group in 0..groups.len() {
            if group % GROUPS_BETWEEN_CHECKS == 0 || self.grid.steps > 1 {
                eval.check()?;
            }
            let (ones, manys) = (one_members.of(group), many_members.of(group));
            self.check_ones(&one, ones, || groups.labels(group), &live)?;
            self.check_manys((&many, manys), (&one, ones), fill_one, &live)?;
            singles.clear();
            singles.extend((0..self.grid.steps).map(|step| {
                let present = |at: &usize| !is_absent(one[*at].values[step]);
                ones.iter().copied().find(present).unwrap_or(NONE)
            }));
            for at in manys {
                self.join_column(eval, &mut results, &many[*at], &one, &singles, fill_one)?;
            }
            if let Some(fill) = fill_many {
                let stand_in = Column {
                    labels: groups.labels(group),
                    drop_name: false,
                    values: (0..self.grid.steps)
                        .map(|step| {
                            let met = manys.iter().any(|at| !is_absent(many[*at].values[step]));
                            if met { ABSENT } else { fill }
                        })
                        .collect(),
                };
                self.join_column(eval, &mut results, &stand_in, &one, &singles, None)?;
            }
        }
        if self.differ() {
            return Ok(results.columns);
        }
        merged(results.columns).map_err(|error| match (error, self.matching.cardinality) {
            (Error::SameLabels, Cardinality::ManyToOne | Cardinality::OneToMany) => {
                Error::GroupingNotUnique
            }
            (error, _) => error,
        })
    }

    /// Whether results have different labels for sure: at a single step a group has one result
    /// (without `group_left` or `group_right`), and this has at least the labels of the group.
    fn differ(&self) -> bool {
        let Matching { on, labels, cardinality, .. } = self.matching;
        let keeps = if *on { !labels.iter().any(|name| is_metadata(name)) } else { false };
        self.grid.steps == 1
            && *cardinality == Cardinality::OneToOne
            && (keeps || !self.op.is_arithmetic())
    }

    /// Joins one column of the "many" side with those of the "one" side that are there at each step.
    fn join_column(
        &self,
        eval: &mut Eval<'_>,
        results: &mut Results<'_>,
        many: &Column,
        one: &[Column],
        singles: &[usize],
        fill_one: Option<f64>,
    ) -> Result<(), Error> {
        let swapped = self.matching.cardinality == Cardinality::OneToMany;
        let mut current = None;
        results.by_one.clear();
        for (step, (value, single)) in many.values.iter().zip(singles).enumerate() {
            let partner = one.get(*single);
            let other = partner.map(|column| column.values[step]).or(fill_one);
            let (false, Some(other)) = (is_absent(*value), other) else { continue };
            let Some(result) = self.calculate(*value, other, swapped) else { continue };
            let column = match current {
                Some((of, column)) if of == *single => column,
                before => {
                    // Where there is a second one, the first may come again.
                    results.by_one.extend(before);
                    results.number(eval, *single, many, partner)?
                }
            };
            current = Some((*single, column));
            results.columns[column].values[step] = result;
        }
        Ok(())
    }

    /// The value on the left-hand side of the operator comes from `many` unless swapped. `None` when
    /// a comparison filters it out.
    fn calculate(&self, many: f64, one: f64, swapped: bool) -> Option<f64> {
        let (left, right) = if swapped { (one, many) } else { (many, one) };
        let result = self.op.apply(left, right);
        if self.op.is_comparison() && !self.bool_result {
            return (result != 0.0).then_some(left);
        }
        Some(result)
    }

    /// At which steps there is anything to join. Prometheus does not look for duplicates at the
    /// others.
    fn live(&self, many: &[Column], one: &[Column]) -> Vec<bool> {
        let some = |columns: &[Column]| {
            let mut some = vec![false; self.grid.steps];
            for column in columns {
                for (some, value) in some.iter_mut().zip(&column.values) {
                    *some |= !is_absent(*value);
                }
            }
            some
        };
        let (many, one) = (some(many), some(one));
        let filled = self.matching.fill_left.is_some() || self.matching.fill_right.is_some();
        many.iter().zip(one).map(|(many, one)| filled || (*many && one)).collect()
    }

    /// On the "one" side, no two series of a group may have a value at the same step.
    fn check_ones(
        &self,
        one: &[Column],
        members: &[usize],
        group: impl Fn() -> Labels,
        live: &[bool],
    ) -> Result<(), Error> {
        if members.len() < 2 {
            return Ok(());
        }
        for step in (0..self.grid.steps).filter(|step| live[*step]) {
            let mut present = members.iter().filter(|at| !is_absent(one[**at].values[step]));
            if let (Some(first), Some(second)) = (present.next(), present.next()) {
                let swapped = self.matching.cardinality == Cardinality::OneToMany;
                let side = if swapped { "left" } else { "right" };
                let (first, second) = (&one[*first].labels, &one[*second].labels);
                return Err(Error::duplicate(&group(), side, first, second));
            }
        }
        Ok(())
    }

    /// Without `group_left` or `group_right`, no two series of the other side either, where they
    /// meet one.
    fn check_manys(
        &self,
        (many, manys): (&[Column], &[usize]),
        (one, ones): (&[Column], &[usize]),
        fill_one: Option<f64>,
        live: &[bool],
    ) -> Result<(), Error> {
        if self.matching.cardinality != Cardinality::OneToOne || manys.len() < 2 {
            return Ok(());
        }
        let present = |columns: &[Column], members: &[usize], step: usize| {
            members.iter().filter(|at| !is_absent(columns[**at].values[step])).count()
        };
        let clash = (0..self.grid.steps).any(|step| {
            live[step]
                && present(many, manys, step) > 1
                && (fill_one.is_some() || present(one, ones, step) > 0)
        });
        if clash { Err(Error::ManyToOne) } else { Ok(()) }
    }

    fn drops(&self, name: &str) -> bool {
        let matching = self.matching;
        let named = || matching.labels.iter().any(|label| &**label == name);
        let to_one = matching.cardinality == Cardinality::OneToOne;
        (self.op.is_arithmetic() && is_metadata(name)) || (to_one && matching.on != named())
    }
}

/// The columns of each group.
struct Members {
    /// By group: where its columns begin; after the last, the end.
    starts: Vec<usize>,
    columns: Vec<usize>,
}

impl Members {
    fn new(group_of: &[usize], groups: usize) -> Self {
        let mut starts = vec![0; groups + 1];
        for group in group_of.iter().filter(|group| **group != NONE) {
            starts[group + 1] += 1;
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let (mut next, mut columns) = (starts.clone(), vec![0; total]);
        for (column, group) in group_of.iter().enumerate().filter(|(_, group)| **group != NONE) {
            columns[next[*group]] = column;
            next[*group] += 1;
        }
        Self { starts, columns }
    }

    fn of(&self, group: usize) -> &[usize] {
        &self.columns[self.starts[group]..self.starts[group + 1]]
    }
}

/// The columns of the result so far.
struct Results<'a> {
    join: &'a Join<'a>,
    columns: Vec<Column>,
    /// Of those that come from one column of the "many" side: by that of the "one" side.
    by_one: HashMap<usize, usize>,
    /// Which labels are dropped.
    shape: Option<Shape>,
}

impl<'a> Results<'a> {
    fn new(join: &'a Join<'a>) -> Self {
        Self { join, columns: Vec::new(), by_one: HashMap::new(), shape: None }
    }

    fn number(
        &mut self,
        eval: &mut Eval<'_>,
        single: usize,
        many: &Column,
        one: Option<&Column>,
    ) -> Result<usize, Error> {
        if let Some(number) = self.by_one.get(&single) {
            return Ok(*number);
        }
        let Join { bool_result, grid, op, .. } = *self.join;
        eval.hold(grid.steps)?;
        let labels = self.labels(&many.labels, one.map(|one| &one.labels));
        let drop_name = bool_result || (many.drop_name && !op.is_arithmetic());
        self.columns.push(Column { labels, drop_name, values: vec![ABSENT; grid.steps] });
        Ok(self.columns.len() - 1)
    }

    fn labels(&mut self, many: &Labels, one: Option<&Labels>) -> Labels {
        let join = self.join;
        if !join.matching.include.is_empty() {
            return joined(many, one, |name| join.drops(name), &join.matching.include);
        }
        match &mut self.shape {
            Some(shape) if shape.is_of(many) => shape.without_chosen(many),
            other => other.insert(Shape::new(many, |name| join.drops(name))).without_chosen(many),
        }
    }
}
