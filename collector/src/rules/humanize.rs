//! Numbers as Go and Prometheus' template functions print them.

/// As Go prints a float64 by default (`%v`): with an exponent below a ten-thousandth and from a
/// million on.
pub(super) fn plain(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    if value != 0.0 && !(1e-4..1e6).contains(&value.abs()) {
        return exponent(&format!("{value:e}"));
    }
    value.to_string()
}

/// As Go's `%.<digits>g`.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return plain(value);
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let power: i32 = scientific.split_once('e').and_then(|(_, p)| p.parse().ok()).unwrap_or(0);
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if value != 0.0 && (power < -4 || power >= limit) {
        let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return exponent(&format!("{}e{power}", trimmed(mantissa)));
    }
    let decimals = usize::try_from(limit - 1 - power).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// Rust's `1e5` as Go's `1e+05`.
pub(super) fn exponent(text: &str) -> String {
    let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = power.strip_prefix('-').map_or(('+', power), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// `humanize`: metric prefixes.
pub(super) fn metric(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return significant(value, 4);
    }
    let (mut value, mut prefix) = (value, "");
    if value.abs() >= 1.0 {
        for p in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if value.abs() < 1000.0 {
                break;
            }
            prefix = p;
            value /= 1000.0;
        }
    } else {
        for p in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if value.abs() >= 1.0 {
                break;
            }
            prefix = p;
            value *= 1000.0;
        }
    }
    format!("{}{prefix}", significant(value, 4))
}

/// `humanize1024`: binary prefixes.
pub(super) fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return significant(value, 4);
    }
    let (mut value, mut prefix) = (value, "");
    for p in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if value.abs() < 1024.0 {
            break;
        }
        prefix = p;
        value /= 1024.0;
    }
    format!("{}{prefix}", significant(value, 4))
}

/// `humanizePercentage`: a ratio as percent.
pub(super) fn percentage(value: f64) -> String {
    format!("{}%", significant(value * 100.0, 4))
}

/// `humanizeDuration`: seconds as days to seconds, or below a second with a prefix.
#[expect(clippy::cast_possible_truncation, reason = "float to integer casts saturate")]
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return significant(value, 4);
    }
    if value == 0.0 {
        return "0s".into();
    }
    if value.abs() >= 1.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        let whole = value.abs() as i64;
        let (days, hours) = (whole / 86_400, whole / 3600 % 24);
        let (minutes, seconds) = (whole / 60 % 60, whole % 60);
        return if days != 0 {
            format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
        } else if hours != 0 {
            format!("{sign}{hours}h {minutes}m {seconds}s")
        } else if minutes != 0 {
            format!("{sign}{minutes}m {seconds}s")
        } else {
            format!("{sign}{}s", significant(value.abs(), 4))
        };
    }
    let (mut value, mut prefix) = (value, "");
    for p in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = p;
        value *= 1000.0;
    }
    format!("{}{prefix}s", significant(value, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_prometheus() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1234.5, "1234.5"),
            (123_456.5, "123456.5"),
            (-1_234_567.5, "-1.2345675e+06"),
            (1e6, "1e+06"),
            (1e21, "1e+21"),
            (0.00001, "1e-05"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(plain(value), expected);
        }
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (1_234_567.0, "1.235M"),
            (0.12, "120m"),
            (999.99, "1000"),
            (-1500.0, "-1.5k"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(metric(value), expected);
        }
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (1024.0, "1ki"),
            (1_048_576.0, "1Mi"),
            (12.0, "12"),
            (1e7, "9.537Mi"),
        ] {
            assert_eq!(binary(value), expected);
        }
        for (value, expected) in [
            (0.0, "0s"),
            (1.0, "1s"),
            (12.3456789, "12.35s"),
            (60.0, "1m 0s"),
            (3600.0, "1h 0m 0s"),
            (86_400.0, "1d 0h 0m 0s"),
            (90_061.0, "1d 1h 1m 1s"),
            (-90.0, "-1m 30s"),
            (0.1, "100ms"),
            (0.0001, "100us"),
        ] {
            assert_eq!(duration(value), expected);
        }
        for (value, expected) in [
            (0.0, "0%"),
            (0.25, "25%"),
            (0.123456, "12.35%"),
            (1.0, "100%"),
            (12345.0, "1.234e+06%"),
        ] {
            assert_eq!(percentage(value), expected);
        }
        assert_eq!(significant(123_456.0, 4), "1.235e+05");
    }
}
