//! From a point's registers to the value of one series.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use hallwatch_modbus::Conversion;
use hallwatch_modbus::decode::{Adjust, Field, MAX_EXPONENT, Refusal, Scale};
use hallwatch_model::vocabulary::Metric;
use hallwatch_model::{Labels, Missing, Value};

/// One series of a device.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the vocabulary says of its metric.
    pub metric: &'static Metric,
    /// The metric's name and the labels that the profile gives.
    pub labels: Labels,
    /// The point that it comes from, by its index in the profile.
    pub(super) point: usize,
    pub(super) source: Source,
}

/// Numbers of a field, as ranges.
pub(super) type Patterns = Vec<RangeInclusive<u64>>;

/// What a series takes from its point.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The point's number.
    Number,
    /// A number in a field of the point's bits.
    Part(Part),
    /// 1 when a field of the point's bits has one of some values, otherwise 0.
    State {
        field: Field,
        active: Patterns,
        /// All values that the field can have; any, when there are none.
        known: Arc<Patterns>,
        /// Values that mean "not available".
        not_available: Patterns,
    },
}

/// A number in a field of a point's bits.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) field: Field,
    /// In two's complement.
    pub(super) signed: bool,
    pub(super) scale: Scale,
    pub(super) offset: f64,
    pub(super) not_available: Patterns,
}

/// Another point, or a number that a site may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Point(usize),
    Parameter(usize),
}

/// What others have to do with a point's number.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// It is times ten to the power of this.
    pub(super) exponent: Option<Operand>,
    /// It is in degrees Fahrenheit, when this is not 0.
    pub(super) fahrenheit: Option<Operand>,
    /// Factors.
    pub(super) times: Vec<Operand>,
    /// Addends, after the factors.
    pub(super) plus: Vec<Operand>,
    /// There is a value only while a field of this point has one of some values.
    pub(super) valid: Option<Valid>,
}

/// When a point has a value.
#[derive(Clone, Debug)]
pub(super) struct Valid {
    pub(super) point: usize,
    pub(super) field: Field,
    pub(super) values: Patterns,
}

impl Terms {
    /// The points that are named.
    pub(super) fn points(&self) -> impl Iterator<Item = usize> {
        let operands = [&self.exponent, &self.fahrenheit].into_iter().flatten();
        let all = operands.chain(&self.times).chain(&self.plus).copied();
        let points = all.filter_map(|operand| match operand {
            Operand::Point(point) => Some(point),
            Operand::Parameter(_) => None,
        });
        points.chain(self.valid.as_ref().map(|valid| valid.point))
    }
}

/// What the value of a series is worked out from.
pub(super) trait Readings {
    /// How a point is read, and what others have to do with it.
    fn point(&self, point: usize) -> Option<(&Conversion, &Terms)>;
    /// What came from the device for it.
    fn registers(&self, point: usize) -> Result<Cow<'_, [u16]>, Missing>;
    /// A number that a site may set; none when it has to and did not.
    fn parameter(&self, parameter: usize) -> Option<f64>;
}

/// Points may name points that name points; a profile with a circle is refused.
const MAX_DEPTH: u32 = 8;

impl Series {
    pub(super) fn value(&self, readings: &impl Readings) -> Value {
        self.source.value(self.point, readings)
    }
}

impl Source {
    fn value(&self, point: usize, readings: &impl Readings) -> Value {
        let (conversion, terms) = readings.point(point).ok_or(Missing::Malformed)?;
        let registers = readings.registers(point)?;
        match self {
            Self::Number => number(point, readings, 0).map_err(|refusal| refusal.missing),
            Self::Part(part) => {
                valid(terms, readings)?;
                part.value(conversion.field(&registers, part.field)?)
            }
            Self::State { field, active, known, not_available } => {
                valid(terms, readings)?;
                let found = conversion.field(&registers, *field)?;
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

impl Part {
    fn value(&self, found: u64) -> Value {
        if contains(&self.not_available, found) {
            return Err(Missing::NotAvailable);
        }
        let sign = u32::from(self.field.width).checked_sub(1).map_or(0, |at| 1u64 << at.min(63));
        let negative = self.signed && found & sign != 0;
        let size = if negative { sign.wrapping_mul(2).wrapping_sub(found) } else { found };
        let size = f64::from(u32::try_from(size).map_err(|_| Missing::OutOfRange)?);
        Ok(self.scale.apply(if negative { -size } else { size }) + self.offset)
    }
}

/// A point's number with all that others have to do with it.
pub(super) fn number(point: usize, readings: &impl Readings, depth: u32) -> Result<f64, Refusal> {
    let refuse = |missing| Refusal { missing, raw: None, value: None };
    let known = readings.point(point).filter(|_| depth < MAX_DEPTH);
    let (conversion, terms) = known.ok_or(refuse(Missing::Malformed))?;
    let registers = readings.registers(point).map_err(refuse)?;
    valid(terms, readings).map_err(refuse)?;
    let operand = |operand: Operand| match operand {
        Operand::Parameter(parameter) => {
            readings.parameter(parameter).ok_or(refuse(Missing::NotAvailable))
        }
        Operand::Point(other) => {
            number(other, readings, depth + 1).map_err(|refusal| refuse(refusal.missing))
        }
    };
    let mut adjust = Adjust::default();
    if let Some(exponent) = terms.exponent {
        adjust.exponent = whole(operand(exponent)?).ok_or(refuse(Missing::OutOfRange))?;
    }
    if let Some(fahrenheit) = terms.fahrenheit {
        adjust.fahrenheit = operand(fahrenheit)? != 0.0;
    }
    let mut value = conversion.checked(&registers, adjust)?;
    for factor in &terms.times {
        value *= operand(*factor)?;
    }
    for addend in &terms.plus {
        value += operand(*addend)?;
    }
    if value.is_finite() { Ok(value) } else { Err(refuse(Missing::OutOfRange)) }
}

/// The exponent that a device's number is, when it can be one.
#[expect(clippy::float_cmp, reason = "whole numbers are exact")]
fn whole(number: f64) -> Option<i32> {
    let mut exponents = -MAX_EXPONENT..=MAX_EXPONENT;
    exponents.find(|exponent| f64::from(*exponent) == number)
}

/// Whether the point has a value at all.
fn valid(terms: &Terms, readings: &impl Readings) -> Result<(), Missing> {
    let Some(valid) = &terms.valid else { return Ok(()) };
    let (conversion, _) = readings.point(valid.point).ok_or(Missing::Malformed)?;
    let found = conversion.field(&readings.registers(valid.point)?, valid.field)?;
    if contains(&valid.values, found) { Ok(()) } else { Err(Missing::NotAvailable) }
}

fn contains(patterns: &Patterns, number: u64) -> bool {
    patterns.iter().any(|range| range.contains(&number))
}
