//! Whether a query can be evaluated for parts of all series alone.

use std::sync::Arc;

use crate::functions::aggregate::Aggregation;
use crate::plan::{Function, Kind, Matching, Node};
use crate::query::Query;

impl Query {
    /// Whether series that differ in one of these labels never meet: then the result over all
    /// series is what the results over the series of each value come to, and each part of the
    /// result has that value.
    #[must_use]
    pub fn keeps_apart(&self, labels: &[&str]) -> bool {
        matches!(apart(&self.plan, labels), Some(true))
    }
}

/// `Some(true)`: a vector whose series stay apart; `Some(false)`: something without series, which
/// is the same everywhere; `None`: series meet.
fn apart(node: &Node, labels: &[&str]) -> Option<bool> {
    match &node.kind {
        Kind::Number(_) | Kind::Text(_) => Some(false),
        Kind::Select(_) | Kind::Window { .. } => Some(true),
        Kind::Subquery { inner, .. } | Kind::Negate(inner) => apart(inner, labels),
        Kind::Call { function, args } => call(*function, args, labels),
        Kind::Aggregate { op, grouping, param, inner } => {
            let kept = grouping.without != has_all(&grouping.labels, labels)
                && (!grouping.without || !has_any(&grouping.labels, labels));
            let plain = param.as_ref().is_none_or(|param| {
                *op == Aggregation::CountValues || apart(param, labels) == Some(false)
            });
            apart(inner, labels).filter(|series| *series && kept && plain)
        }
        Kind::Binary { matching, sides, .. } => {
            let [left, right] = &**sides;
            match (apart(left, labels)?, apart(right, labels)?) {
                (true, true) => keeps(matching, labels).then_some(true),
                (left, right) => Some(left || right),
            }
        }
    }
}

fn call(function: Function, args: &[Node], labels: &[&str]) -> Option<bool> {
    let mut any = false;
    for arg in args {
        any |= apart(arg, labels)?;
    }
    match function {
        // These say something where nothing is, or make one of many.
        Function::Absent | Function::AbsentOverTime | Function::Vector => None,
        Function::Date(_) if args.is_empty() => None,
        Function::Scalar => (!any).then_some(false),
        Function::LabelReplace | Function::LabelJoin => {
            let written = args.get(1).map_or("", |arg| crate::eval::labels::text(arg));
            (!labels.contains(&written)).then_some(any)
        }
        Function::HistogramQuantiles => None,
        _ => Some(any),
    }
}

fn keeps(matching: &Matching, labels: &[&str]) -> bool {
    let matched = if matching.on {
        has_all(&matching.labels, labels)
    } else {
        !has_any(&matching.labels, labels)
    };
    matched && !has_any(&matching.include, labels)
}

fn has_all(names: &[Arc<str>], labels: &[&str]) -> bool {
    labels.iter().all(|label| names.iter().any(|name| &**name == *label))
}

fn has_any(names: &[Arc<str>], labels: &[&str]) -> bool {
    labels.iter().any(|label| names.iter().any(|name| &**name == *label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_sites_meet_only_where_the_query_says_so() {
        for (text, expected) in [
            ("x > 1", true),
            ("rate(x[5m]) > bool 1", true),
            ("x > time() - 5", true),
            ("sum by (site, device) (x)", true),
            ("sum by (device) (x)", false),
            ("sum without (device) (x)", true),
            ("sum without (site) (x)", false),
            ("sum(x)", false),
            ("x > on (site) y", true),
            ("x > on (device) y", false),
            ("x > ignoring (device) y", true),
            ("x > ignoring (site) y", false),
            ("x * on (site) group_left (room) y", true),
            ("x or on (device) y", false),
            ("x or y", true),
            ("x > scalar(y)", false),
            ("absent(x)", false),
            ("vector(1)", false),
            ("x > vector(1)", false),
            ("hour() > 3", false),
            ("hour(x) > 3", true),
            ("topk by (site) (2, x)", true),
            ("topk(2, x)", false),
            (r#"label_replace(x, "site", "a", "b", "c")"#, false),
            (r#"label_replace(x, "room", "a", "b", "c")"#, true),
            ("1 + 1", false),
        ] {
            assert_eq!(Query::parse(text).unwrap().keeps_apart(&["site"]), expected, "{text}");
        }
    }
}
