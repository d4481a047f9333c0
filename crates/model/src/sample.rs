//! A reading, and a reading that could not be had.

use std::fmt;

use crate::time::Timestamp;

/// What a reading is: a number, or the reason why there is none.
pub type Value = Result<f64, Missing>;

/// One value at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was read.
    pub time: Timestamp,
    /// What was read.
    pub value: Value,
}

/// Why there is no value. A missing reading is data: it is journalled, sent and stored like any
/// other, so that silence is never taken for good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The device did not answer in time.
    Timeout,
    /// The device answered with this Modbus exception code.
    Exception(u8),
    /// The device answered that it has no such value (a sentinel, a NaN, a null).
    NotAvailable,
    /// The value lies outside of what the profile says is possible.
    OutOfRange,
    /// The answer could not be understood.
    Malformed,
    /// The device is taken for offline and was not asked.
    DeviceOffline,
    /// The agent is not connected; recorded by the collector.
    AgentOffline,
}

/// The upper half of the NaN that stands for a missing value: a quiet NaN marked "HW".
const MISSING_NAN: u64 = 0x7ff8_4857_0000_0000;
/// Prometheus' own staleness marker.
const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

impl Missing {
    /// The reason's number on the wire and on disk, from 1 to 0xFFFF.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Timeout => 1,
            Self::NotAvailable => 2,
            Self::OutOfRange => 3,
            Self::Malformed => 4,
            Self::DeviceOffline => 5,
            Self::AgentOffline => 6,
            Self::Exception(code) => 0x100 | u16::from(code),
        }
    }

    /// The reason with this number, or `None` for a number not known here.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Timeout,
            2 => Self::NotAvailable,
            3 => Self::OutOfRange,
            4 => Self::Malformed,
            5 => Self::DeviceOffline,
            6 => Self::AgentOffline,
            _ => match code.to_be_bytes() {
                [1, exception] => Self::Exception(exception),
                _ => return None,
            },
        })
    }

    /// A short word for labels and tables, such as `timeout`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Exception(_) => "exception",
            Self::NotAvailable => "not_available",
            Self::OutOfRange => "out_of_range",
            Self::Malformed => "malformed",
            Self::DeviceOffline => "device_offline",
            Self::AgentOffline => "agent_offline",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Exception(code) => write!(f, "modbus exception {code:#04x}"),
            Self::NotAvailable => f.write_str("not available, says the device"),
            Self::OutOfRange => f.write_str("outside of the plausible range"),
            Self::Malformed => f.write_str("answer not understood"),
            Self::DeviceOffline => f.write_str("device offline"),
            Self::AgentOffline => f.write_str("agent offline"),
        }
    }
}

/// Packs a value into one float: a missing one becomes a NaN that carries its reason. This is how
/// values travel and are stored.
#[must_use]
pub fn to_float(value: Value) -> f64 {
    match value {
        Ok(number) => number,
        Err(missing) => f64::from_bits(MISSING_NAN | u64::from(missing.code())),
    }
}

/// The inverse of [`to_float`]. An ordinary NaN is a value; a marked one with a reason not known
/// here (from a newer agent), and Prometheus' staleness marker, are `NotAvailable`.
pub fn from_float(float: f64) -> Value {
    if !is_missing(float) {
        return Ok(float);
    }
    let [.., high, low] = float.to_bits().to_be_bytes();
    let code = u16::from_be_bytes([high, low]);
    Err(Missing::from_code(code).unwrap_or(Missing::NotAvailable))
}

/// Whether `float` stands for a missing value. Queries treat it as a staleness marker.
#[must_use]
pub fn is_missing(float: f64) -> bool {
    let bits = float.to_bits();
    bits == STALE_NAN || bits & 0xffff_ffff_0000_0000 == MISSING_NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_float_and_an_ordinary_nan_is_a_value() {
        let plain = [
            Missing::Timeout,
            Missing::NotAvailable,
            Missing::OutOfRange,
            Missing::Malformed,
            Missing::DeviceOffline,
            Missing::AgentOffline,
        ];
        for missing in plain.into_iter().chain((0..=255).map(Missing::Exception)) {
            assert_eq!(from_float(to_float(Err(missing))), Err(missing));
        }
        assert!(from_float(f64::NAN).is_ok_and(f64::is_nan));
        assert_eq!(from_float(f64::from_bits(STALE_NAN)), Err(Missing::NotAvailable));
        assert_eq!(from_float(-0.0).map(f64::to_bits), Ok((-0.0f64).to_bits()));
    }
}
