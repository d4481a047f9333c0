//! Durations as Prometheus writes them: `1h30m`, `500ms`, `0`.

use std::time::Duration;

/// The units, in the order in which they must stand, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The duration that `text` says, or `None` when Prometheus would refuse it.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut millis = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = tail;
    }
    // Prometheus counts nanoseconds in 63 bits.
    let fits = !text.is_empty() && millis <= (i64::MAX / 1_000_000).unsigned_abs();
    fits.then(|| Duration::from_millis(millis))
}

/// The shortest text that `parse` reads as `duration`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, factor) in UNITS {
        // Years and weeks only when nothing is left, as Prometheus prints them.
        let whole = matches!(unit, "y" | "w") && !millis.is_multiple_of(factor);
        if millis >= factor && !whole {
            out += &format!("{}{unit}", millis / factor);
            millis %= factor;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        for (text, seconds) in [
            ("0", Some(0.0)),
            ("0s", Some(0.0)),
            ("10s", Some(10.0)),
            ("1m30s", Some(90.0)),
            ("1h", Some(3600.0)),
            ("250ms", Some(0.25)),
            ("1d12h", Some(129_600.0)),
            ("2w", Some(1_209_600.0)),
            ("1y", Some(31_536_000.0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("1s1m", None),
            ("1m1m", None),
            ("-1m", None),
            ("1.5m", None),
            ("1 m", None),
            ("five minutes", None),
            ("300y", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse(text).map(|d| d.as_secs_f64()), seconds, "{text:?}");
        }
        for text in ["0s", "10s", "1m30s", "250ms", "1d12h", "2w", "8d", "1y"] {
            assert_eq!(parse(text).map(format).as_deref(), Some(text));
        }
    }
}
