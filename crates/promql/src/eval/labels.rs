//! Functions on labels, over all steps: the work is done once per series.

use regex::Regex;

use super::columns::merged;
use super::{Column, Eval, Grid};
use crate::error::Error;
use crate::functions::label;
use crate::matchers::MatchOp;
use crate::pattern::from_go;
use crate::plan::{Kind, Node, Text};
use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;

impl Eval<'_> {
    pub(super) fn label_replace(
        &mut self,
        args: &[Node],
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let [vector, rest @ ..] = args else { return Ok(Vec::new()) };
        let [destination, replacement, source, pattern] = rest else { return Ok(Vec::new()) };
        let pattern = text(pattern);
        let regex =
            Regex::new(&format!("^(?s:{})$", from_go(pattern))).map_err(|error| Error::Regex {
                function: "label_replace",
                pattern: pattern.to_owned(),
                source: Box::new(error),
            })?;
        let destination =
            label_name(destination, "destination label name in label_replace():")?.to_owned();
        let (replacement, source) = (text(replacement), text(source));
        let mut columns = self.vector(vector, grid)?;
        for column in &mut columns {
            let replaced =
                label::replace(&column.labels, &destination, replacement, source, &regex);
            if let Some(replaced) = replaced {
                column.labels = replaced;
                column.drop_name &= destination != METRIC_NAME;
            }
        }
        merged(columns)
    }

    pub(super) fn label_join(&mut self, args: &[Node], grid: Grid) -> Result<Vec<Column>, Error> {
        let [vector, destination, separator, sources @ ..] = args else { return Ok(Vec::new()) };
        let destination = label_name(destination, "label name in label_join():")?;
        let separator = text(separator);
        let sources = sources
            .iter()
            .map(|source| label_name(source, "source label name in label_join():"))
            .collect::<Result<Vec<_>, _>>()?;
        let mut columns = self.vector(vector, grid)?;
        for column in &mut columns {
            column.labels = label::join(&column.labels, destination, separator, &sources);
            column.drop_name &= destination != METRIC_NAME;
        }
        merged(columns)
    }

    pub(super) fn sort_by_label(
        &mut self,
        args: &[Node],
        descending: bool,
        grid: Grid,
    ) -> Result<Vec<Column>, Error> {
        let [vector, names @ ..] = args else { return Ok(Vec::new()) };
        let names: Vec<&str> = names.iter().map(text).collect();
        let mut columns = self.vector(vector, grid)?;
        columns.sort_by(|a, b| {
            let order = label::compare(&a.labels, &b.labels, &names);
            if descending { order.reverse() } else { order }
        });
        Ok(columns)
    }
}

pub(crate) fn text(node: &Node) -> &str {
    match &node.kind {
        Kind::Text(text) => &text.value,
        _ => "",
    }
}

/// A label name from a literal: any UTF-8 but nothing.
fn label_name<'a>(node: &'a Node, what: &'static str) -> Result<&'a str, Error> {
    match &node.kind {
        Kind::Text(Text { not_utf8: Some(name), .. }) => {
            Err(Error::LabelName { what, name: name.clone() })
        }
        Kind::Text(Text { value, .. }) if !value.is_empty() => Ok(value),
        _ => Err(Error::LabelName { what, name: "\"\"".into() }),
    }
}

/// What `absent` says of a series that is not there: the labels that it would have had for sure.
pub(crate) fn absent_labels(node: &Node) -> Labels {
    let (Kind::Select(select) | Kind::Window { select, .. }) = &node.kind else {
        return Labels::empty();
    };
    // In their order, as in Prometheus: a second matcher of a label takes away what the first said,
    // but the first that is an equality says it anew.
    let mut known: Vec<(&str, &str)> = Vec::new();
    let mut said: Vec<&str> = Vec::new();
    for matcher in select.matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        let name = matcher.name.as_str();
        if matcher.op == MatchOp::Equal && !said.contains(&name) {
            known.push((name, &matcher.value));
            said.push(name);
        } else {
            known.retain(|(known, _)| *known != name);
        }
    }
    Labels::from_pairs(known)
}
