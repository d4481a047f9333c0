//! Gaps: facts about what could not be read or kept, which travel with the readings.

use super::{MAX_GAP_RANGES, WireError, at_most, check_text, v1};
use crate::batch::Gap;
use crate::time::Timestamp;

pub(super) fn encode_gap(gap: &Gap) -> v1::Gap {
    let range = |(boot, first, last): &(u64, u64, u64)| v1::Range {
        boot: *boot,
        first: *first,
        last: *last,
    };
    v1::Gap {
        first: gap.first.as_millis(),
        last: gap.last.as_millis(),
        cause: gap.cause.clone(),
        device: gap.device.clone(),
        entries: gap.entries,
        readings: gap.readings,
        open: gap.open,
        ranges: gap.ranges.iter().map(range).collect(),
    }
}

pub(super) fn decode_gap(gap: v1::Gap) -> Result<Gap, WireError> {
    const MESSAGE: &str = "batch";
    let refuse = |field, reason| Err(WireError::Field { message: MESSAGE, field, reason });
    check_text(MESSAGE, "device of a gap", &gap.device)?;
    check_text(MESSAGE, "cause of a gap", &gap.cause)?;
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    if gap.cause.is_empty() || !gap.cause.chars().all(word) {
        return refuse("cause of a gap", "it must be a word of `a-z` and `_`");
    }
    if gap.last < gap.first {
        return refuse("gap", "it ends before it begins");
    }
    at_most(MESSAGE, "ranges of a gap", gap.ranges.len(), MAX_GAP_RANGES)?;
    if gap.ranges.iter().any(|range| range.first == 0 || range.last < range.first) {
        return refuse("range of a gap", "numbers start at 1, and the last is not below the first");
    }
    Ok(Gap {
        first: Timestamp::from_millis(gap.first),
        last: Timestamp::from_millis(gap.last),
        cause: gap.cause,
        device: gap.device,
        entries: gap.entries,
        readings: gap.readings,
        open: gap.open,
        ranges: gap.ranges.iter().map(|range| (range.boot, range.first, range.last)).collect(),
    })
}
