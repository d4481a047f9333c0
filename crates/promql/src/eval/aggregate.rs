//! Aggregations over all steps.

use std::collections::HashMap;
use std::sync::Arc;

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;

use super::columns::{cells, merged};
use super::groups::{Groups, Key, stable_hash};
use super::{ABSENT, Column, Eval, Grid, is_absent};
use crate::error::Error;
use crate::functions::aggregate::{
    Aggregation, Best, Count, Deviation, Fold, Group, Max, Min, Variance, ratio_takes,
};
use crate::functions::sum::{Mean, Sum, quantile};
use crate::notes::go_float;
use crate::plan::{Grouping, Kind, Node};

/// The columns of an aggregation and the group of each.
struct Grouped {
    columns: Vec<Column>,
    group_of: Vec<usize>,
    groups: Vec<Labels>,
}

impl Eval<'_> {
    pub(super) fn aggregate(
        &mut self,
        op: Aggregation,
        grouping: &Grouping,
        param: Option<&Node>,
        inner: &Node,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        if op == Aggregation::CountValues {
            let columns = self.vector(inner, grid)?;
            return self.count_values(columns, grouping, param, grid);
        }
        let params = match param {
            None => Vec::new(),
            Some(param) => self.scalar(param, grid)?,
        };
        let params = self.checked(op, params, param)?;
        let grouped = group(self.vector(inner, grid)?, grouping);
        let before = cells(&grouped.columns);
        let picks = matches!(
            op,
            Aggregation::Topk
                | Aggregation::Bottomk
                | Aggregation::Limitk
                | Aggregation::LimitRatio
        );
        if !picks {
            self.hold(grouped.groups.len().saturating_mul(grid.steps))?;
        }
        let result = match op {
            Aggregation::Sum => fold::<Sum>(grouped, grid),
            Aggregation::Avg => fold::<Mean>(grouped, grid),
            Aggregation::Count => fold::<Count>(grouped, grid),
            Aggregation::Min => fold::<Min>(grouped, grid),
            Aggregation::Max => fold::<Max>(grouped, grid),
            Aggregation::Group => fold::<Group>(grouped, grid),
            Aggregation::Stddev => fold::<Deviation>(grouped, grid),
            Aggregation::Stdvar => fold::<Variance>(grouped, grid),
            Aggregation::Quantile => quantiles(grouped, &params, grid),
            Aggregation::Topk => best(grouped, &params, grid, true),
            Aggregation::Bottomk => best(grouped, &params, grid, false),
            Aggregation::Limitk => limit(grouped, &params, grid),
            Aggregation::LimitRatio => limit_ratio(grouped, &params, grid),
            Aggregation::CountValues => Vec::new(),
        };
        self.release(if picks { before.saturating_sub(cells(&result)) } else { before });
        Ok(result)
    }

    /// Checks the parameter of all steps, as Prometheus does even if there is nothing to aggregate.
    fn checked(
        &mut self,
        op: Aggregation,
        mut params: Vec<f64>,
        param: Option<&Node>,
    ) -> Result<Vec<f64>, Error> {
        let Some(at) = param.map(|param| param.at) else { return Ok(params) };
        let least = params.iter().copied().fold(f64::INFINITY, f64::min);
        let most = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let nan = params.iter().any(|value| value.is_nan());
        match op {
            Aggregation::Topk | Aggregation::Bottomk | Aggregation::Limitk => {
                if nan {
                    return Err(Error::NotANumber { what: "Parameter" });
                }
                #[expect(clippy::cast_precision_loss, reason = "the bound itself is a float")]
                let limit = i64::MAX as f64;
                if let Some(value) =
                    [least, most].into_iter().find(|v| !(-limit..limit).contains(v))
                {
                    return Err(Error::ParameterOverflow { value });
                }
            }
            Aggregation::LimitRatio => {
                if nan {
                    return Err(Error::NotANumber { what: "Ratio" });
                }
                for (value, bound) in [(most, 1.0), (least, -1.0)] {
                    if value * bound > 1.0 {
                        let value = go_float(value);
                        let text = format!(
                            "ratio value should be between -1 and 1, got {value}, capping to {bound}"
                        );
                        self.notes.warn(text, at);
                    }
                }
                params.iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
            }
            Aggregation::Quantile => {
                let bad = [(nan, f64::NAN), (most > 1.0, most), (least < 0.0, least)];
                for (_, value) in bad.into_iter().filter(|(is_bad, _)| *is_bad) {
                    self.bad_quantile(value, at);
                }
            }
            _ => {}
        }
        Ok(params)
    }

    pub(super) fn bad_quantile(&mut self, value: f64, at: crate::notes::Position) {
        let value = go_float(value);
        self.notes.warn(format!("quantile value should be between 0 and 1, got {value}"), at);
    }

    fn count_values(
        &mut self,
        columns: Vec<Column>,
        grouping: &Grouping,
        param: Option<&Node>,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let Some(Kind::Text(text)) = param.map(|param| &param.kind) else { return Ok(Vec::new()) };
        if let Some(name) = text.not_utf8.clone() {
            return Err(Error::LabelName { what: "label name", name });
        }
        if text.value.is_empty() {
            return Err(Error::LabelName { what: "label name", name: "\"\"".into() });
        }
        // The new label takes part in the grouping.
        let mut names = grouping.labels.clone();
        if !grouping.without {
            names.push(Arc::from(text.value.as_str()));
        }
        let mut groups = Groups::new(key(grouping.without, &names));
        let mut counted: Vec<Column> = Vec::new();
        let before = cells(&columns);
        for column in columns {
            self.check()?;
            let mut known: HashMap<u64, usize> = HashMap::new();
            for (step, value) in column.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                let number = match known.get(&value.to_bits()) {
                    Some(number) => *number,
                    None => {
                        let labels = column.labels.with(&text.value, &value_label(*value));
                        let number = groups.number(&labels);
                        known.insert(value.to_bits(), number);
                        number
                    }
                };
                while counted.len() <= number {
                    self.hold(grid.steps)?;
                    counted.push(Column {
                        labels: groups.labels(counted.len()),
                        drop_name: false,
                        values: vec![ABSENT; grid.steps],
                    });
                }
                let group = &mut counted[number];
                group.drop_name |= column.drop_name;
                let count = &mut group.values[step];
                *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
            }
        }
        self.release(before);
        merged(counted)
    }
}

/// A float as a label value.
pub(super) fn value_label(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".into()
    } else if value == f64::NEG_INFINITY {
        "-Inf".into()
    } else {
        value.to_string()
    }
}

fn key(without: bool, labels: &[Arc<str>]) -> Key<'_> {
    if without { Key::AllBut(labels) } else { Key::Only(labels) }
}

fn group(columns: Vec<Column>, grouping: &Grouping) -> Grouped {
    let mut groups = Groups::new(key(grouping.without, &grouping.labels));
    let group_of = columns.iter().map(|column| groups.number(&column.labels)).collect();
    Grouped { columns, group_of, groups: groups.into_labels() }
}

impl Grouped {
    /// Empty columns, one per group.
    fn results(&self, grid: Grid) -> Vec<Column> {
        let mut results: Vec<Column> = self
            .groups
            .iter()
            .map(|labels| Column {
                labels: labels.clone(),
                drop_name: false,
                values: vec![ABSENT; grid.steps],
            })
            .collect();
        // Only matters where the group has the name.
        for (column, group) in self.columns.iter().zip(&self.group_of) {
            results[*group].drop_name |= column.drop_name;
        }
        for result in &mut results {
            result.drop_name &= result.labels.get(METRIC_NAME).is_some();
        }
        results
    }

    /// The numbers of the columns of each group.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.groups.len()];
        for (column, group) in self.group_of.iter().enumerate() {
            members[*group].push(column);
        }
        members
    }
}

fn fold<F: Fold>(grouped: Grouped, grid: Grid) -> Vec<Column> {
    let mut results = grouped.results(grid);
    let mut states: Vec<Option<F>> = Vec::new();
    for (members, result) in grouped.members().iter().zip(&mut results) {
        states.clear();
        states.resize(grid.steps, None);
        for member in members {
            for (state, value) in states.iter_mut().zip(&grouped.columns[*member].values) {
                if is_absent(*value) {
                    continue;
                }
                match state {
                    Some(state) => state.add(*value),
                    None => *state = Some(F::new(*value)),
                }
            }
        }
        for (value, state) in result.values.iter_mut().zip(&states) {
            *value = state.map_or(ABSENT, F::value);
        }
    }
    results
}

fn quantiles(grouped: Grouped, params: &[f64], grid: Grid) -> Vec<Column> {
    let mut results = grouped.results(grid);
    let mut values = Vec::new();
    for (members, result) in grouped.members().iter().zip(&mut results) {
        for (step, (out, q)) in result.values.iter_mut().zip(params).enumerate() {
            values.clear();
            let present = members.iter().map(|member| grouped.columns[*member].values[step]);
            values.extend(present.filter(|value| !is_absent(*value)));
            if !values.is_empty() {
                *out = quantile(*q, &mut values);
            }
        }
    }
    results
}

/// A parameter as a count; zero when it is below 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to fit")]
fn count_of(param: f64) -> usize {
    if param < 1.0 { 0 } else { param as usize }
}

/// `topk` and `bottomk`. At a single step the result is sorted within each group.
fn best(grouped: Grouped, params: &[f64], grid: Grid, largest: bool) -> Vec<Column> {
    let members = grouped.members();
    let mut columns = grouped.columns;
    let mut order = Vec::new();
    for members in &members {
        for (step, param) in params.iter().enumerate() {
            let mut best = Best::new(count_of(*param), largest);
            for member in members {
                let value = columns[*member].values[step];
                if !is_absent(value) {
                    best.offer(value, *member);
                }
            }
            let kept = best.into_sorted();
            for member in members {
                columns[*member].values[step] = ABSENT;
            }
            for (value, member) in kept {
                columns[member].values[step] = value;
                if grid.steps == 1 {
                    order.push(member);
                }
            }
        }
    }
    if grid.steps == 1 {
        let mut columns: Vec<Option<Column>> = columns.into_iter().map(Some).collect();
        return order.into_iter().filter_map(|member| columns[member].take()).collect();
    }
    only_with_values(columns)
}

fn only_with_values(mut columns: Vec<Column>) -> Vec<Column> {
    columns.retain(|column| column.values.iter().any(|value| !is_absent(*value)));
    columns
}

/// `limitk`: the first ones of each group.
fn limit(grouped: Grouped, params: &[f64], grid: Grid) -> Vec<Column> {
    let mut taken = vec![0; grouped.groups.len() * grid.steps];
    let mut columns = grouped.columns;
    for (column, group) in columns.iter_mut().zip(&grouped.group_of) {
        for (step, (value, param)) in column.values.iter_mut().zip(params).enumerate() {
            let taken = &mut taken[group * grid.steps + step];
            if is_absent(*value) {
                continue;
            }
            if *taken < count_of(*param) {
                *taken += 1;
            } else {
                *value = ABSENT;
            }
        }
    }
    only_with_values(columns)
}

fn limit_ratio(grouped: Grouped, params: &[f64], grid: Grid) -> Vec<Column> {
    let mut columns = grouped.columns;
    for column in &mut columns {
        let hash = stable_hash(&column.labels);
        for (step, ratio) in params.iter().enumerate().take(grid.steps) {
            if !ratio_takes(*ratio, hash) {
                column.values[step] = ABSENT;
            }
        }
    }
    only_with_values(columns)
}
