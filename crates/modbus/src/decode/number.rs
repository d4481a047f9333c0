//! Formats of numbers that Rust does not have.

use hallwatch_model::{Missing, Value};

/// The lower 32 bits.
pub(super) fn low_half(pattern: u64) -> u32 {
    u32::try_from(pattern & 0xffff_ffff).unwrap_or(u32::MAX)
}

/// The nearest float: both halves are exact, so that only the sum is rounded.
pub(super) fn from_u64(number: u64) -> f64 {
    f64::from(low_half(number >> 32)) * 4_294_967_296.0 + f64::from(low_half(number))
}

/// IEEE 754 half precision: 1 bit sign, 5 bits exponent, 10 bits fraction. Always exact.
pub(super) fn from_half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2f64.powi(-24),
        31 if bits & 0x3ff == 0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

pub(super) fn from_bcd(pattern: u64, digits: u32) -> Value {
    let mut number = 0;
    for place in (0..digits).rev() {
        let digit = pattern >> (4 * place) & 0xf;
        if digit > 9 {
            return Err(Missing::Malformed);
        }
        number = number * 10 + digit;
    }
    Ok(from_u64(number))
}

/// Words of four decimal digits each, as binary numbers from 0 to 9999, the highest first.
pub(super) fn from_mod10k(pattern: u64) -> Value {
    let mut number = 0u64;
    for place in (0..4).rev() {
        let word = pattern >> (16 * place) & 0xffff;
        if word > 9999 {
            return Err(Missing::Malformed);
        }
        number = number * 10_000 + word;
    }
    Ok(from_u64(number))
}

/// The highest of `bits` bits is the sign, the others are the size.
pub(super) fn from_sign_and_size(pattern: u64, bits: u32) -> f64 {
    let sign = 1u64 << (bits - 1);
    let size = from_u64(pattern & (sign - 1));
    if pattern & sign == 0 { size } else { -size }
}
