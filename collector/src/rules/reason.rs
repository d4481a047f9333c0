//! Reasons and causes in words.

use std::fmt;

use super::alert::{Cause, Reason};
use super::duration;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began(value) => {
                write!(f, "the expression began to hold, its value is {value}")
            }
            Self::HeldFor(hold) if hold.is_zero() => f.write_str("the expression holds"),
            Self::HeldFor(hold) => {
                write!(f, "the expression has held for {}", duration::format(*hold))
            }
            Self::NoDataFires(1) => {
                f.write_str("an input is gone, and the rule fires without data")
            }
            Self::NoDataFires(inputs) => {
                write!(f, "{inputs} inputs are gone, and the rule fires without data")
            }
            Self::Ended { inputs, kept } => {
                let noun = if *inputs == 1 { "input proves" } else { "inputs prove" };
                write!(f, "the expression holds no longer, {inputs} {noun} it")?;
                if kept.is_zero() {
                    return Ok(());
                }
                write!(f, ", kept firing for {} after it", duration::format(*kept))
            }
            Self::NoDataResolves => {
                f.write_str("the expression holds no longer, and the rule asks for no evidence")
            }
            Self::Held(cause) => write!(f, "held: {cause}"),
            Self::Known(stood) => {
                write!(f, "no longer held, after {}", duration::format(*stood))
            }
            Self::NotFulfilled(within) => {
                write!(f, "what was expected has not come within {}", duration::format(*within))
            }
            Self::Fulfilled => f.write_str("what was expected has come"),
            Self::WaitsForClear => {
                f.write_str("the expression holds no longer, `clear` does not hold yet")
            }
            Self::Flapping { changes, within } => {
                let within = duration::format(*within);
                write!(f, "flapping: {changes} changes in {within}, it fires until it is calm")
            }
            Self::Calm(within) => {
                write!(f, "calm for {}, not flapping any more", duration::format(*within))
            }
            Self::RuleRemoved => f.write_str("the rule was removed"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputsGone(inputs) => {
                f.write_str("no fresh value of ")?;
                for (i, input) in inputs.iter().take(3).enumerate() {
                    write!(f, "{}{input}", if i == 0 { "" } else { ", " })?;
                }
                match inputs.len().saturating_sub(3) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::RuleFailed(error) => write!(f, "the rule cannot be evaluated: {error}"),
        }
    }
}
