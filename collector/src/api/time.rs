//! Times and durations as Prometheus' HTTP API reads them.

use std::time::Duration;

use hallwatch_model::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Prometheus' own bounds, which no RFC 3339 parser reads.
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";

/// Reads seconds since the epoch, or RFC 3339. `None` for anything else.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    if let Some(seconds) = parse_float(text) {
        // NaN is a number for Go, and then some time or other.
        return (!seconds.is_nan()).then(|| Timestamp::from_seconds(seconds));
    }
    if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
        let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
        return i64::try_from(millis).ok().map(Timestamp::from_millis);
    }
    match text {
        MIN_TIME => Some(Timestamp::MIN),
        MAX_TIME => Some(Timestamp::MAX),
        _ => None,
    }
}

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadDuration {
    /// Neither seconds nor units.
    Form,
    /// More than Prometheus' 292 years.
    Overflow,
}

/// Reads seconds, or a duration such as `1h30m`; in milliseconds, and negative where seconds are.
///
/// # Errors
/// When it is neither, or too long.
pub(super) fn parse_duration(text: &str) -> Result<i64, BadDuration> {
    if let Some(seconds) = parse_float(text) {
        let nanos = seconds * 1e9;
        if nanos.is_nan() {
            return Err(BadDuration::Form);
        }
        #[expect(clippy::cast_precision_loss, reason = "only the magnitude matters")]
        if nanos.abs() > i64::MAX as f64 {
            return Err(BadDuration::Overflow);
        }
        return Ok(Timestamp::from_seconds(seconds).as_millis());
    }
    if text == "0" {
        return Ok(0);
    }
    units(text).ok_or(BadDuration::Form)
}

/// The units in the order in which they must stand, with their milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 60 * 60 * 1000),
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

fn units(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, tail) = rest.split_at(digits_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        total = digits.parse::<u64>().ok()?.checked_mul(*millis)?.checked_add(total)?;
        rest = tail;
    }
    if text.is_empty() {
        return None;
    }
    // As Prometheus: what nanoseconds in 64 bits cannot hold is no duration.
    i64::try_from(total).ok().filter(|total| *total <= i64::MAX / 1_000_000)
}

/// A duration in milliseconds as [`Duration`]; zero when negative.
pub(super) fn to_duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A float as Go reads it, as far as anyone writes it: Rust would also take `infinity` and the like,
/// which Go does, too.
fn parse_float(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases = [
            ("1.5", Some(1_500)),
            ("0", Some(0)),
            ("-1.5", Some(-1_500)),
            ("1795292586.897", Some(1_795_292_586_897)),
            ("1e3", Some(1_000_000)),
            ("2020-01-01T00:00:00.25+02:00", Some(1_577_829_600_250)),
            ("2020-01-01T00:00:00Z", Some(1_577_836_800_000)),
            ("1969-12-31T23:59:59.9999Z", Some(-1)),
            (MIN_TIME, Some(i64::MIN)),
            (MAX_TIME, Some(i64::MAX)),
            ("", None),
            ("now", None),
            ("NaN", None),
            ("2020-01-01", None),
            ("2020-01-01T00:00:00.25 02:00", None),
            ("1h", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_time(text).map(Timestamp::as_millis), wanted, "{text}");
        }
    }

    #[test]
    fn durations() {
        let cases = [
            ("15s", Ok(15_000)),
            ("1.5", Ok(1_500)),
            ("-1", Ok(-1_000)),
            ("0", Ok(0)),
            ("1h30m", Ok(5_400_000)),
            ("1y2w3d4h5m6s7ms", Ok(33_019_506_007)),
            ("250ms", Ok(250)),
            ("30m1h", Err(BadDuration::Form)),
            ("1s1s", Err(BadDuration::Form)),
            ("", Err(BadDuration::Form)),
            ("s", Err(BadDuration::Form)),
            ("1x", Err(BadDuration::Form)),
            ("-5m", Err(BadDuration::Form)),
            ("NaN", Err(BadDuration::Form)),
            ("99999999999y", Err(BadDuration::Form)),
            ("300y", Err(BadDuration::Form)),
            ("1e300", Err(BadDuration::Overflow)),
            ("+Inf", Err(BadDuration::Overflow)),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_duration(text), wanted, "{text}");
        }
    }
}
