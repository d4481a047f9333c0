//! From a point's registers to the value of one series.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use hallwatch_modbus::Conversion;
use hallwatch_modbus::decode::Field;
use hallwatch_model::vocabulary::Metric;
use hallwatch_model::{Labels, Missing, Value};

/// One series of a device.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the vocabulary says of its metric.
    pub metric: &'static Metric,
    /// The metric's name and the labels that the profile gives.
    pub labels: Labels,
    pub(super) source: Source,
}

/// Numbers of a field, as ranges.
pub(super) type Patterns = Vec<RangeInclusive<u64>>;

/// Where a series' value comes from. Points are given by their index in the profile.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The point's number, multiplied by another point's.
    Number { point: usize, times: Option<usize> },
    /// 1 when a field of the point's bits has one of some values, otherwise 0.
    State {
        point: usize,
        field: Field,
        active: Patterns,
        /// All values that the field can have; any, when there are none.
        known: Arc<Patterns>,
        /// Values that mean "not available".
        not_available: Patterns,
    },
}

impl Source {
    /// The points that it depends on.
    pub(super) fn points(&self) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Self::Number { point, times } => (*point, *times),
            Self::State { point, .. } => (*point, None),
        };
        [first].into_iter().chain(second)
    }

    /// The value, when `registers` gives a point's conversion and registers.
    pub(super) fn value<'a>(
        &self,
        registers: impl Fn(usize) -> Result<(&'a Conversion, Cow<'a, [u16]>), Missing>,
    ) -> Value {
        let number = |point: usize| {
            let (conversion, registers) = registers(point)?;
            conversion.value(&registers)
        };
        match self {
            Self::Number { point, times: None } => number(*point),
            Self::Number { point, times: Some(factor) } => {
                let product = number(*point)? * number(*factor)?;
                if product.is_finite() { Ok(product) } else { Err(Missing::OutOfRange) }
            }
            Self::State { point, field, active, known, not_available } => {
                let (conversion, registers) = registers(*point)?;
                let found = field.of(conversion.available(&registers)?);
                if contains(not_available, found) {
                    return Err(Missing::NotAvailable);
                }
                if !known.is_empty() && !contains(known, found) {
                    return Err(Missing::OutOfRange);
                }
                Ok(f64::from(u8::from(contains(active, found))))
            }
        }
    }
}

fn contains(patterns: &Patterns, number: u64) -> bool {
    patterns.iter().any(|range| range.contains(&number))
}
