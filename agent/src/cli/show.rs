//! Values, registers and places as people write them.

use hallwatch_agent::profile::{Confidence, Inspected, PointInfo, Profile, Series};
use hallwatch_modbus::Table;
use hallwatch_modbus::decode::Kind;
use hallwatch_model::{Missing, Timestamp, Value};
use serde_json::{Value as Json, json};

/// Seven digits are all that a single precision number has.
const DIGITS: i32 = 7;

/// A number as people want it: seven digits, no zeros at the end.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let size = value.abs();
    if !(1e-6..1e15).contains(&size) {
        return format!("{value:.6e}");
    }
    if value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    // One digit less before the point is one more behind it.
    let mut decimals = DIGITS - 1;
    let mut limit = 10.0;
    while size >= limit && decimals > 0 {
        limit *= 10.0;
        decimals -= 1;
    }
    let mut limit = 1.0;
    while size < limit && decimals < 12 {
        limit /= 10.0;
        decimals += 1;
    }
    let places = usize::try_from(decimals).unwrap_or(0);
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Registers in hexadecimal digits; of long ones the beginning.
pub(crate) fn words(words: &[u16]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = words.iter().take(SHOWN).map(|word| format!("{word:04x}")).collect();
    let more = words.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} +{more}", shown.join(" ")) } else { shown.join(" ") }
}

/// What came for a point: hexadecimal, or 0 and 1 for coils and inputs.
pub(crate) fn raw(point: &Inspected<'_>) -> String {
    match &point.raw {
        Ok(raw) if point.info.table.is_bits() => {
            raw.first().map(u16::to_string).unwrap_or_default()
        }
        Ok(raw) => words(raw),
        Err(_) => "-".into(),
    }
}

/// The word that profiles have for a table.
pub(crate) fn table(table: Table) -> &'static str {
    match table {
        Table::Coils => "coil",
        Table::DiscreteInputs => "discrete",
        Table::HoldingRegisters => "holding",
        Table::InputRegisters => "input",
    }
}

/// Where a point is, such as `holding 130`.
pub(crate) fn place(info: &PointInfo<'_>) -> String {
    match info.model {
        Some((model, 1)) => format!("model {model} +{}", info.address),
        Some((model, instance)) => format!("model {model}.{instance} +{}", info.address),
        None => format!("{} {}", table(info.table), info.address),
    }
}

/// The word that profiles have for a type.
pub(crate) fn kind(kind: Kind) -> String {
    match kind {
        Kind::Bool => "bool".into(),
        Kind::U16 => "u16".into(),
        Kind::I16 => "i16".into(),
        Kind::U32 => "u32".into(),
        Kind::I32 => "i32".into(),
        Kind::U48 => "u48".into(),
        Kind::U64 => "u64".into(),
        Kind::I64 => "i64".into(),
        Kind::F16 => "f16".into(),
        Kind::F32 => "f32".into(),
        Kind::F64 => "f64".into(),
        Kind::Bcd16 => "bcd16".into(),
        Kind::Bcd32 => "bcd32".into(),
        Kind::SignAndSize16 => "sm16".into(),
        Kind::SignAndSize32 => "sm32".into(),
        Kind::Mod10k { registers } => format!("mod10k ({registers})"),
        Kind::Date(_) => "date".into(),
        Kind::Text { registers } => format!("text ({registers})"),
        Kind::Words { registers } => format!("words ({registers})"),
    }
}

/// A series as Prometheus writes it.
pub(crate) fn series(series: &Series) -> String {
    series.labels.to_string()
}

/// What a point says, in one cell, and its unit.
pub(crate) fn value(point: &Inspected<'_>) -> (String, &'static str) {
    if let Some(missing) = point.missing() {
        return (missing.word().into(), "");
    }
    if let Some(text) = &point.text {
        return (format!("\"{text}\""), "");
    }
    match point.series.as_slice() {
        [] => match &point.number {
            Ok(value) => (number(*value), ""),
            Err(_) => (String::new(), ""),
        },
        [(series, Ok(value))] => (number(*value), unit(series)),
        several => {
            if let Some((series, Ok(value))) = several.iter().find(|(series, _)| series.is_number())
            {
                return (number(*value), unit(series));
            }
            let set = several.iter().filter(|(_, value)| *value == Ok(1.0)).count();
            (format!("{set} of {} set", several.len()), "")
        }
    }
}

/// The unit of a series, with a word also for states.
pub(crate) fn unit(series: &Series) -> &'static str {
    match series.metric.unit {
        hallwatch_model::vocabulary::Unit::State => "state",
        unit => unit.suffix(),
    }
}

/// The states that hold, of a point that has several; `all`: also those that do not.
pub(crate) fn states(point: &Inspected<'_>, all: bool) -> Vec<String> {
    if point.missing().is_some() || point.series.len() < 2 {
        return Vec::new();
    }
    let shown = point.series.iter().filter(|(_, value)| all || *value != Ok(0.0));
    let shown = shown.map(|(series, value)| match value {
        Ok(1.0) if !series.is_number() => self::series(series),
        Ok(value) => format!("{} = {}", self::series(series), number(*value)),
        Err(missing) => format!("{}: {missing}", self::series(series)),
    });
    shown.collect()
}

/// Why there is no value, with what the device sent.
pub(crate) fn reason(point: &Inspected<'_>) -> Option<String> {
    let missing = point.missing()?;
    if let Some(refused) = point.refused() {
        return Some(refused.to_string());
    }
    Some(match missing {
        Missing::Exception(code) => format!("{missing} ({})", exception(code)),
        other => other.to_string(),
    })
}

/// What an exception's code means (Modbus Application Protocol 1.1b3, section 7).
pub(crate) fn exception(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "server device failure",
        5 => "acknowledge",
        6 => "server device busy",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target device failed to respond",
        _ => "not in the standard",
    }
}

/// How far a register map is to be trusted.
pub(crate) fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}

/// What to say when a profile is used that nobody has checked at a device.
pub(crate) fn unverified(profile: &Profile) -> Option<String> {
    profile.is_unverified().then(|| warning(&profile.name))
}

/// The same of the profile `name`, which nobody has checked.
pub(crate) fn warning(name: &str) -> String {
    format!(
        "the profile {name} is unverified (low confidence): compare every value with the device's \
         display"
    )
}

/// A value for programs: `value`, or `missing` with the reason's word.
pub(crate) fn value_json(value: Value) -> Json {
    match value {
        Ok(value) => json!({ "value": value }),
        Err(Missing::Exception(code)) => json!({ "missing": "exception", "code": code }),
        Err(missing) => json!({ "missing": missing.word() }),
    }
}

/// A point for programs.
pub(crate) fn point_json(point: &Inspected<'_>) -> Json {
    let series: Vec<Json> = point
        .series
        .iter()
        .map(|(series, value)| {
            let mut json = json!({ "series": self::series(series), "unit": unit(series) });
            if let (Some(json), Json::Object(value)) = (json.as_object_mut(), value_json(*value)) {
                json.extend(value);
            }
            json
        })
        .collect();
    let number = if point.text.is_some() { None } else { point.number.ok() };
    json!({
        "point": point.info.name,
        "table": table(point.info.table),
        "address": point.info.address,
        "type": kind(point.info.conversion.kind),
        "raw": point.raw.as_ref().ok(),
        "number": number,
        "text": point.text,
        "missing": point.missing().map(Missing::word),
        "reason": reason(point),
        "series": series,
    })
}

/// A moment to the second.
pub(crate) fn time(time: Timestamp) -> String {
    let text = Timestamp::from_millis(time.as_millis().div_euclid(1000) * 1000).to_string();
    text.replace(".0Z", "Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_seven_digits_at_most() {
        let cases = [
            (0.0, "0"),
            (230.100_006_103_515_62, "230.1"),
            (-0.984_499_990_940_094, "-0.9845"),
            (49.987_651_23, "49.98765"),
            (1_234_567.89, "1234568"),
            (20_110_500_000.0, "20110500000"),
            (0.000_123_456_789, "0.0001234568"),
            (1e-9, "1.000000e-9"),
            (-40.0, "-40"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(words(&[1, 0xffff]), "0001 ffff");
        assert_eq!(words(&[1; 9]), "0001 0001 0001 0001 +5");
        assert_eq!(time(Timestamp::from_millis(1_000_500)), "1970-01-01T00:16:40Z");
    }
}
