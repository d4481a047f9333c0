//! What the two releases answer differently. The newer one is right: the public conformance scripts
//! are of Prometheus 3.
//!
//! Some differences are written away, so that everything around them is still compared:
//!
//! | difference | how both are asked for the same |
//! |---|---|
//! | 3 leaves out the sample at the left edge of a window, 2 takes it | of 2 a millisecond less is asked for: `[299s999ms]` |
//! | the same of `rate`, `increase`, `delta`, whose result depends on the length of the window | their windows have 7 ms more than whole seconds: no sample is at the edge |
//! | the same of the look-back | 2 runs with one of 299,999 ms |
//! | 2 keeps the metric name of `a atan2 b` | of 2 `1 * a atan2 1 * b` is asked for |
//! | between a half and 1.1 intervals from zero a counter is extrapolated differently | counters start at zero, or are far from it |
//! | 3 drops metric names at the end (as its conformance scripts have it), 2 at once: `label_replace` and `label_join` see it | they touch `__name__` of selectors only |
//! | 2 forgets labels of `count_values by (a, b, c)` in range queries | never three labels there |
//! | 2 goes astray with `predict_linear(x[5m] @ t, …)` and `quantile_over_time` in range queries | they get windows without `@` |
//! | 2 has nothing for `timestamp(x @ t offset 5m)` | never `@` in `timestamp` |
//! | a sum of nothing but -0 is 0 in 3; as a label of `count_values` it has its sign | `count_values` of sums adds 0 |
//! | Go's logarithms are wrong for the tiniest numbers (5e-324) | logarithms of ordinary numbers only |
//! | 2 gives an aggregation whose parameter has an `@` the memory of other series as parameter, in range queries | such parameters have none |
//!
//! Others are let pass: see [`is_known`].

use crate::case::{Answers, Case, When};
use crate::compare::differ_but;
use crate::expression::{Expr, Kind, Level, Part, Release};
use crate::prometheus::Pair;

/// Whether this difference is one that is known.
pub(crate) async fn is_known(case: &Case, answers: &Answers, pair: &Pair) -> bool {
    let is_broken = case.broken.is_some();
    if is_broken {
        return is_known_error(is_broken, answers);
    }
    is_known_error(is_broken, answers) || is_known_value(case, answers) || is_tie(case, pair).await
}

/// - Names are dropped at the end: two series that differ in their names only are an error of 2 when
///   a function drops the names, but none of 3 when they are added up afterwards.
/// - Any text but the empty one is the name of a label in 3; in 2 it has to look like one.
/// - A duration of 3 may be a number of seconds, and a number a duration.
/// - Many on the left that meet one on the right are an error of 3 even if a comparison drops them.
/// - NaN as the `k` of `topk` is an error of 3 even if there is nothing to choose from.
/// - Where something was made wrong, Go's or Rust's library says what a regular expression is: `.**`
///   is none in Go, `[[a]` and `(?ii:a)` are none in Rust.
fn is_known_error(is_broken: bool, answers: &Answers) -> bool {
    const THEIRS: [&str; 10] = [
        "vector cannot contain metrics with the same labelset",
        "invalid label name \"",
        "invalid destination label name in label_",
        "invalid source label name in label_",
        "parse error: missing unit character in duration",
        "in offset, expected duration",
        "in subquery selector, expected duration",
        "parse error: unexpected duration \"",
        "in @, expected timestamp",
        "error parsing regexp",
    ];
    const OURS: [&str; 2] = [
        "multiple matches for labels: many-to-one matching must be explicit",
        "Parameter value is NaN",
    ];
    let says = |body: &serde_json::Value, one: &[&str]| {
        let error = body["error"].as_str().unwrap_or_default();
        one.iter().any(|text| error.contains(text))
    };
    let (ours, theirs) = (&answers.ours, &answers.theirs);
    (matches!(ours.status, 200 | 422) && says(&theirs.body, &THEIRS))
        || (theirs.status == 200 && says(&ours.body, &OURS))
        || (is_broken && theirs.status == 200 && says(&ours.body, &["illegal regex"]))
}

/// - The deviation of a single infinity is NaN in 3, 0 in 2.
/// - A sum of negative zeros is zero in 3, as it is compensated. Which of two zeros is the smallest
///   or largest depends on the order of series, in range queries of 2 that of a hash table.
fn is_known_value(case: &Case, answers: &Answers) -> bool {
    let text = case.expr.text(Release::Two);
    let deviates = text.contains("stddev") || text.contains("stdvar");
    let sums = ["sum", "min", "max"].iter().any(|name| text.contains(name));
    let allowed = |ours: f64, theirs: f64| {
        (deviates && ours.is_nan())
            || (sums && ours == 0.0 && theirs == 0.0)
            // What was divided by them.
            || (sums && text.contains('/') && ours.is_infinite() && ours == -theirs)
    };
    differ_but(&case.expr, &answers.ours, &answers.theirs, allowed).is_none()
}

/// Which of equal values `topk` and `bottomk` choose depends on how the heap is kept, which is
/// another way in 3, and in range queries of 2 on the order of a hash table.
async fn is_tie(case: &Case, pair: &Pair) -> bool {
    let mut chosen_from = Vec::new();
    operands(&case.expr, &mut chosen_from);
    for operand in chosen_from {
        let parts = vec![
            Part::Text("count_values(\"v\", ".into()),
            Part::Child(operand.clone()),
            Part::Text(") > 1".into()),
        ];
        let expr = Expr::new(Kind::Vector, Level::Same, parts);
        // Wherever a window of the query may reach.
        let (start, end) = match case.when {
            When::At(time) => (time, time),
            When::Range { start, end, .. } => (start, end),
        };
        let when = When::Range { start: start - 7_200_000, end: end + 600_000, step: 5_000 };
        let ties = Case { expr, when, broken: None }.ask_theirs(pair).await;
        if ties.body["data"]["result"].as_array().is_some_and(|result| !result.is_empty()) {
            return true;
        }
    }
    false
}

/// What `topk` and `bottomk` choose from.
fn operands<'a>(expr: &'a Expr, out: &mut Vec<&'a Expr>) {
    if let Some(Part::Text(text)) = expr.parts.first()
        && (text.starts_with("topk") || text.starts_with("bottomk"))
    {
        out.extend(expr.children().last());
    }
    expr.children().for_each(|child| operands(child, out));
}
