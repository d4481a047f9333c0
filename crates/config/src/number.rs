//! Numbers, within the range of their type or a narrower one.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use crate::value::{FromValue, Ranged, Value};

/// Reads a whole number from `low` to `high`.
fn whole(value: &Value<'_>, low: i128, high: i128) -> Option<i128> {
    let DeValue::Integer(integer) = value.node.get_ref() else {
        let wanted = format!("a whole number from {low} to {high}");
        return value.wrong_type(&wanted, &value.such_as(&low.max(1).min(high).to_string()));
    };
    // What does not fit even here is out of any range, too.
    let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
    number.filter(|number| (low..=high).contains(number)).or_else(|| out_of(value, low, high))
}

fn out_of<T>(value: &Value<'_>, low: impl ToString, high: impl ToString) -> Option<T> {
    let (low, high) = (low.to_string(), high.to_string());
    value.refuse(format!("{} must be from {low} to {high}", value.name()), "out of range", None)
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl FromValue for $number {
            fn example() -> String {
                "1".to_owned()
            }

            fn from_value(value: &Value<'_>) -> Option<Self> {
                Self::from_value_in(value, &(Self::MIN..=Self::MAX))
            }
        }

        impl Ranged for $number {
            fn from_value_in(value: &Value<'_>, range: &RangeInclusive<Self>) -> Option<Self> {
                let number = whole(value, (*range.start()).into(), (*range.end()).into())?;
                number.try_into().ok()
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_numbers!(i32, i64, u8, u16, u32, u64);

/// Any finite number, whole ones, too.
impl FromValue for f64 {
    fn example() -> String {
        "1.0".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let text = match value.node.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => return value.wrong_type("a number", &value.such_as("1.5")),
        };
        text.parse().ok().filter(|number: &f64| number.is_finite()).or_else(|| {
            value.refuse(format!("{} must be a finite number", value.name()), "not finite", None)
        })
    }
}

impl Ranged for f64 {
    fn from_value_in(value: &Value<'_>, range: &RangeInclusive<Self>) -> Option<Self> {
        let number = Self::from_value(value)?;
        if range.contains(&number) {
            return Some(number);
        }
        out_of(value, range.start(), range.end())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}
