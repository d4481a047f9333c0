//! Numbers and times as Prometheus' HTTP API writes them.

use std::fmt::Write as _;

/// A sample's value: as few digits as bring the same number back; below 1e-6 and from 1e21 on with
/// an exponent of at least two digits.
pub(super) fn write_value(out: &mut String, value: f64) {
    let magnitude = value.abs();
    if value.is_finite() && value != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        write_exponent(out, value);
    } else {
        write_plain(out, value);
    }
}

/// A scalar's value: never with an exponent.
pub(super) fn write_plain(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        if text.contains('e') {
            // Rust's shortest form is Go's `'f', -1`.
            let _ = write!(out, "{value}");
        } else {
            // The same digits, the sign of a negative zero included; `.0` says that it is a float.
            out.push_str(text.strip_suffix(".0").unwrap_or(text));
        }
    }
}

/// Always with an exponent, as an alert's value is written: `1e+00`.
pub(super) fn write_exponent(out: &mut String, value: f64) {
    if !value.is_finite() {
        return write_plain(out, value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let _ = write!(out, "{mantissa}e{sign}{digits:0>2}");
}

/// A time in milliseconds as seconds: `7`, or with all three digits `7.250`.
pub(super) fn write_time(out: &mut String, millis: i64) {
    if millis < 0 {
        out.push('-');
    }
    let magnitude = millis.unsigned_abs();
    let _ = write!(out, "{}", magnitude / 1000);
    if !magnitude.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", magnitude % 1000);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_as_few_as_bring_the_number_back(
            bits in any::<u64>(),
            part in 1u32..1_000_000,
            scale in -12i32..16,
        ) {
            let decimal = f64::from(part) * 10f64.powi(scale);
            for value in [f64::from_bits(bits), decimal, -decimal, f64::from(part) / 7.0] {
                if !value.is_finite() {
                    continue;
                }
                let text = printed(|out| write_plain(out, value));
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{}", text);
                // Of two that are as short and as near, the standard library takes another one than
                // Go, now and then.
                prop_assert_eq!(text.len(), value.to_string().len(), "{}", text);
            }
        }
    }

    fn printed(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn values_read_as_prometheus_2_42_printed_them() {
        let cases = [
            (1.0, "1"),
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (9.99e-7, "9.99e-07"),
            (1e-100, "1e-100"),
            (123_456_789_012.0, "123456789012"),
            (-27.0, "-27"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (-9_007_199_254_740_994.0, "-9007199254740994"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
            (5e-324, "5e-324"),
        ];
        for (value, wanted) in cases {
            assert_eq!(printed(|out| write_value(out, value)), wanted, "{value:e}");
        }
        // Halfway between .2 and .3, which both bring it back.
        assert_eq!(
            printed(|out| write_plain(out, -8_170_734_997_523_421.0 / 4.0)),
            "-2042683749380855.2"
        );
        assert_eq!(printed(|out| write_plain(out, 1e-7)), "0.0000001");
        assert_eq!(printed(|out| write_exponent(out, 1.0)), "1e+00");
        assert_eq!(printed(|out| write_exponent(out, 0.0)), "0e+00");
        assert_eq!(printed(|out| write_exponent(out, 27.5)), "2.75e+01");
    }

    #[test]
    fn times_have_no_or_three_digits_behind_the_point() {
        let cases = [
            (0, "0"),
            (7_000, "7"),
            (7_250, "7.250"),
            (1_795_292_586_897, "1795292586.897"),
            (-1_500, "-1.500"),
            (-1, "-0.001"),
            (i64::MIN, "-9223372036854775.808"),
        ];
        for (millis, wanted) in cases {
            assert_eq!(printed(|out| write_time(out, millis)), wanted);
        }
    }
}
