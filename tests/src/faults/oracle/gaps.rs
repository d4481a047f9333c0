//! Whether gaps say of a time that nothing is there.

use super::{Gap, SLACK};

/// Whether all of the time between two moments is in gaps that were lost for good.
pub(super) fn covered(gaps: &[Gap], device: &str, from: i64, to: i64) -> bool {
    let mut spans: Vec<(i64, i64)> = gaps
        .iter()
        .filter(|gap| gap.state == "lost" && (gap.device.is_empty() || gap.device == device))
        .filter_map(|gap| Some((gap.start - SLACK, gap.end? + SLACK)))
        .collect();
    spans.sort_unstable();
    let mut at = from - 1;
    for (start, end) in spans {
        if start <= at + 1 {
            at = at.max(end);
        }
    }
    at >= to
}

/// The same of a hole that ends all readings of an agent. A reading has the time of its answer, and
/// the answer to the first turn of the hole can have been under way, for less than a turn, when
/// that began: then it would have come within the gap, and nothing is missing before. A gap of the
/// device itself begins with the turn or with the last answer, and has no such excuse; nor has an
/// answer that did come, which is looked for by itself.
pub(super) fn covered_late(gaps: &[Gap], device: &str, hole: (i64, i64), interval: i64) -> bool {
    let late = gaps.iter().filter(|gap| gap.state == "lost" && gap.device.is_empty());
    let mut starts = late.map(|gap| gap.start);
    starts.any(|start| {
        (hole.0..=hole.0 + interval).contains(&start)
            && covered(gaps, device, start, hole.1.max(start))
    })
}
