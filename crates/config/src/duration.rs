//! Spans of time: `"250ms"`, `"10s"`, `"1h30m"`.

use std::ops::RangeInclusive;
use std::time::Duration;

use thiserror::Error;

use crate::value::{FromValue, Ranged, Value};

/// The units, longest first, with their milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];
/// A hundred years. No clock overflows by adding that.
const MAX_MILLIS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Not numbers with units, or units not in order.
    #[error("a duration is whole numbers with units from `ms`, `s`, `m`, `h`, `d`, `w`")]
    Form,
    /// A number without a unit.
    #[error("a duration needs a unit: `ms`, `s`, `m`, `h`, `d` or `w`")]
    Unit,
    /// More than a hundred years.
    #[error("a duration is at most 100 years")]
    TooLong,
}

/// Reads a duration as Prometheus writes it: one or more whole numbers, each with a unit out of
/// `ms`, `s`, `m`, `h`, `d` and `w`, longer units first. At most 100 years; zero is `"0s"`.
///
/// # Errors
/// When it has another form, or is too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = UNITS.iter();
    loop {
        let after_digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = &rest[..rest.len() - after_digits.len()];
        let after_unit = after_digits.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &after_digits[..after_digits.len() - after_unit.len()];
        if digits.is_empty() {
            return Err(DurationError::Form);
        }
        if after_digits.is_empty() {
            return Err(DurationError::Unit);
        }
        // The iterator goes on from the unit before: each unit once, and in order.
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or(DurationError::Form)?;
        let number: u64 = digits.parse().map_err(|_| DurationError::TooLong)?;
        total = number
            .checked_mul(*millis)
            .and_then(|part| part.checked_add(total))
            .filter(|total| *total <= MAX_MILLIS)
            .ok_or(DurationError::TooLong)?;
        rest = after_unit;
        if rest.is_empty() {
            return Ok(Duration::from_millis(total));
        }
    }
}

/// The duration as [`parse_duration`] reads it, to the millisecond: `1h30m`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut out = String::new();
    for (unit, millis) in UNITS {
        let count = rest / u128::from(millis);
        rest %= u128::from(millis);
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// A duration that may be zero; a plain `Duration` may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationOrZero(pub Duration);

fn any(value: &Value<'_>) -> Option<Duration> {
    let text = value.text("a duration, in quotes", &Duration::example())?;
    parse_duration(text).map_or_else(
        |error| {
            let help = Some(value.such_as(&Duration::example()));
            value.refuse(format!("{}: {error}", value.name()), "not a duration", help)
        },
        Some,
    )
}

impl FromValue for DurationOrZero {
    fn example() -> String {
        Duration::example()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        any(value).map(Self)
    }
}

impl FromValue for Duration {
    fn example() -> String {
        "\"10s\"".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let duration = any(value)?;
        if duration.is_zero() {
            let help = Some(value.such_as(&Self::example()));
            return value.refuse(format!("{} must not be zero", value.name()), "zero", help);
        }
        Some(duration)
    }
}

impl Ranged for Duration {
    fn from_value_in(value: &Value<'_>, range: &RangeInclusive<Self>) -> Option<Self> {
        let duration = any(value)?;
        if range.contains(&duration) {
            return Some(duration);
        }
        let (low, high) = (range.start().show(), range.end().show());
        value.refuse(format!("{} must be from {low} to {high}", value.name()), "out of range", None)
    }

    fn show(&self) -> String {
        format_duration(*self)
    }
}
