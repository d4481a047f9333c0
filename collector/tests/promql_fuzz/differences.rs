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
//! | 2 gives an aggregation whose parameter has an `@` the memory of other series as parameter, in range queries | such parameters have none |
//!
//! Others are let pass: see [`is_known`].

use crate::case::{Answers, Case};
use crate::compare::differ;
use crate::expression::Release;
use crate::prometheus::Pair;

/// How often Prometheus is asked whether it agrees with itself.
const ASKED_AGAIN: usize = 12;

/// Whether this difference is one that is known.
///
/// - Names are dropped at the end: two series that differ in their names only are an error of 2 when
///   a function drops the names, but none of 3 when they are added up afterwards.
/// - Any text is the name of a label in 3; in 2 it has to look like one.
/// - Of equal values `topk` and `bottomk` choose the first. In range queries and subqueries 2 hands
///   them series in the order of a hash table, anew each time: then its answers differ among
///   themselves.
pub(crate) async fn is_known(case: &Case, answers: &Answers, pair: &Pair) -> bool {
    const SAME: &str = "vector cannot contain metrics with the same labelset";
    let error = answers.theirs.body["error"].as_str().unwrap_or_default();
    let no_name = error.starts_with("invalid label name \"")
        || error.starts_with("invalid destination label name in label_");
    if answers.ours.status == 200 && (error == SAME || no_name) {
        return true;
    }
    let text = case.expr.text(Release::Two);
    if !text.contains("topk") && !text.contains("bottomk") {
        return false;
    }
    for _ in 0..ASKED_AGAIN {
        let again = case.ask_theirs(pair).await;
        if differ(&case.expr, &again, &answers.theirs).is_some() {
            return true;
        }
    }
    false
}
