//! Functions of one number, and of a number and bounds.

/// The function with this PromQL name, if it maps each value alone.
#[must_use]
pub fn named(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sgn" => sgn,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        _ => return None,
    })
}

/// -1, 0 or 1 (the value itself, when it is zero or NaN).
#[must_use]
pub fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// The larger; NaN if one of them is, unless the other is +Inf.
#[must_use]
pub fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        // -0 only if both are: an addition has that rule.
        a + b
    } else {
        a.max(b)
    }
}

/// The smaller; NaN if one of them is, unless the other is -Inf.
#[must_use]
pub fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// Rounds half up to a multiple of `nearest`.
#[must_use]
pub fn round(value: f64, nearest: f64) -> f64 {
    // Multiplying by the inverse is what Prometheus does: 0.1 is no exact float, 10 is.
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}
