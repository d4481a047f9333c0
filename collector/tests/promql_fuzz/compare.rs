//! When two answers are the same.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::expression::{Expr, Level};
use crate::prometheus::Reply;

/// What a result may differ by that is `Level::Near`, as a part of the larger of the two: 2^-40,
/// 4,096 units in the last place. Means, variances, quantiles and regressions are added up in
/// another order and compensated differently by the two releases, and logarithms and the like come
/// from other libraries; each costs some last bits, a chain of them some more.
const RELATIVE: f64 = 1.0 / (1_u64 << 40) as f64;

/// The same where terms cancel each other: what is left of numbers of some thousands and should be
/// zero.
const ABSOLUTE: f64 = 1e-9;

/// What is wrong, if anything.
pub(crate) fn differ(expr: &Expr, ours: &Reply, theirs: &Reply) -> Option<String> {
    differ_but(expr, ours, theirs, |_, _| false)
}

/// The same, but what `allowed` says of two values may be.
pub(crate) fn differ_but(
    expr: &Expr,
    ours: &Reply,
    theirs: &Reply,
    allowed: impl Fn(f64, f64) -> bool,
) -> Option<String> {
    let point = |found, wanted| point(expr.level, found, wanted, &allowed);
    if ours.status != theirs.status {
        return Some(format!("status {} instead of {}", ours.status, theirs.status));
    }
    if ours.body["errorType"] != theirs.body["errorType"] {
        return Some("another type of error".into());
    }
    let (ours, theirs) = (&ours.body["data"], &theirs.body["data"]);
    if ours["resultType"] != theirs["resultType"] {
        return Some("another type of result".into());
    }
    if ours["resultType"] == "scalar" {
        return point(&ours["result"], &theirs["result"]);
    }
    let (mine, other) = (by_labels(&ours["result"])?, by_labels(&theirs["result"])?);
    for labels in mine.keys() {
        if !other.contains_key(labels) {
            return Some(format!("a series too much: {labels}"));
        }
    }
    for (labels, wanted) in &other {
        let Some(found) = mine.get(labels) else {
            return Some(format!("a series is missing: {labels}"));
        };
        if found.len() != wanted.len() {
            return Some(format!("{} points instead of {} of {labels}", found.len(), wanted.len()));
        }
        let different = found.iter().zip(wanted).find_map(|(found, wanted)| point(found, wanted));
        if let Some(different) = different {
            return Some(format!("{different} of {labels}"));
        }
    }
    if expr.ordered && ours["resultType"] == "vector" {
        let order = |result: &Json| -> Vec<Json> {
            let all = result.as_array().into_iter().flatten();
            all.map(|sample| sample["value"][1].clone()).collect()
        };
        if order(&ours["result"]) != order(&theirs["result"]) {
            return Some("another order".into());
        }
    }
    None
}

/// The points of each series; of an instant vector one each.
fn by_labels(result: &Json) -> Option<BTreeMap<String, Vec<Json>>> {
    let mut all = BTreeMap::new();
    for series in result.as_array().into_iter().flatten() {
        let points = match &series["values"] {
            Json::Array(points) => points.clone(),
            _ => vec![series["value"].clone()],
        };
        let metric: BTreeMap<_, _> = series["metric"].as_object()?.iter().collect();
        let labels = serde_json::to_string(&metric).ok()?;
        assert!(all.insert(labels, points).is_none(), "a series twice: {result}");
    }
    Some(all)
}

fn point(
    level: Level,
    found: &Json,
    wanted: &Json,
    allowed: impl Fn(f64, f64) -> bool,
) -> Option<String> {
    if found == wanted {
        return None;
    }
    let different = Some(format!("{found} instead of {wanted}"));
    let number = |point: &Json| point[1].as_str().and_then(|text| text.parse::<f64>().ok());
    let (Some(a), Some(b)) = (number(found), number(wanted)) else { return different };
    let near = (a - b).abs() <= a.abs().max(b.abs()).mul_add(RELATIVE, ABSOLUTE);
    // Of two shortest texts that are equally far from a number Go writes the even one.
    let same = a.to_bits() == b.to_bits() || (level == Level::Near && near) || allowed(a, b);
    if found[0] == wanted[0] && same { None } else { different }
}
