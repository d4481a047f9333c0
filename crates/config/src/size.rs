//! Amounts of memory and disk: `"64MiB"`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use crate::value::{FromValue, Ranged, Value};

/// The units, largest first, with their bytes.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes, written as a whole number with a unit: `64MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// Why a text is not [`Bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BytesError {
    /// Not a number with a unit.
    #[error("a size is a whole number with a unit: `B`, `KiB`, `MiB`, `GiB` or `TiB`")]
    Form,
    /// More bytes than can be counted.
    #[error("a size is less than 16 million TiB")]
    TooMuch,
}

impl FromStr for Bytes {
    type Err = BytesError;

    /// `KiB` is 1024 bytes, `kB` is 1000. A space before the unit is allowed.
    fn from_str(text: &str) -> Result<Self, BytesError> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = &text[..text.len() - unit.len()];
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(BytesError::Form)?;
        if digits.is_empty() {
            return Err(BytesError::Form);
        }
        let number: u64 = digits.parse().map_err(|_| BytesError::TooMuch)?;
        number.checked_mul(*bytes).map(Self).ok_or(BytesError::TooMuch)
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit of 1024 that has no rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(name, bytes): &&(&str, u64)| {
            name.len() != 2 && self.0 >= *bytes && self.0.is_multiple_of(*bytes)
        };
        let (name, bytes) = UNITS.iter().find(exact).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

impl FromValue for Bytes {
    fn example() -> String {
        "\"64MiB\"".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a size, in quotes", &Self::example())?;
        text.parse().map_or_else(
            |error: BytesError| {
                let help = Some(value.such_as(&Self::example()));
                value.refuse(format!("{}: {error}", value.name()), "not a size", help)
            },
            Some,
        )
    }
}

impl Ranged for Bytes {
    fn from_value_in(value: &Value<'_>, range: &RangeInclusive<Self>) -> Option<Self> {
        let bytes = Self::from_value(value)?;
        if range.contains(&bytes) {
            return Some(bytes);
        }
        let (low, high) = (range.start(), range.end());
        value.refuse(format!("{} must be from {low} to {high}", value.name()), "out of range", None)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}
