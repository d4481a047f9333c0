//! Values as decimals: sensors speak in tenths and hundredths, and integers pack well.

use super::bytes::{Bytes, put_varint, unzigzag, zigzag};
use super::codec::{PCO_LEAST, bounds, pco_decompress, pco_integers};
use super::pack::{pack, pack_from_least, unpack, unpack_between, unpack_from_least, width};

/// Scaled integers: `DIVIDED + n` are integers over 10^n, `MULTIPLIED + n` integers times 10^-n,
/// which is not always the same float.
const DIVIDED: u8 = 0x10;
const MULTIPLIED: u8 = 0x20;

const FROM_LEAST: u8 = 0;
const DIFFERENCES: u8 = 1;
const INTEGERS_PCO: u8 = 2;

const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
const INVERSE: [f64; 10] = [1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9];
/// Integers below this are exact in a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Values as integers, but for a few.
pub(super) struct Scaled {
    tag: u8,
    integers: Vec<i64>,
    /// Runs of values that are no such integer: index of the first, how many, which.
    others: Vec<(usize, usize, f64)>,
}

impl Scaled {
    /// `None` when too many of the values are no decimals.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let most = values.len() / 8 + 2;
        let mut digits = 0;
        // The first values say how many digits after the point there are.
        let mut misses = 0;
        for value in values {
            match digits_of(*value, digits) {
                Some(found) => digits = found,
                None if value.is_finite() => misses += 1,
                None => (),
            }
            if misses > most {
                return Self::with(values, MULTIPLIED, multiplied_digits(values)?, most);
            }
        }
        Self::with(values, DIVIDED, digits, most)
            .or_else(|| Self::with(values, MULTIPLIED, multiplied_digits(values)?, most))
    }

    fn with(values: &[f64], kind: u8, digits: u8, most: usize) -> Option<Self> {
        let mut integers = Vec::with_capacity(values.len());
        let mut others: Vec<(usize, usize, f64)> = Vec::new();
        let mut before = 0;
        for (i, value) in values.iter().enumerate() {
            if let Some(integer) = to_integer(kind, digits, *value) {
                before = integer;
            } else {
                match others.last_mut() {
                    Some((from, run, which))
                        if *from + *run == i && which.to_bits() == value.to_bits() =>
                    {
                        *run += 1;
                    }
                    _ => others.push((i, 1, *value)),
                }
                if others.len() > most {
                    return None;
                }
            }
            integers.push(before);
        }
        Some(Self { tag: kind + digits, integers, others })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>, hard: bool) {
        out.push(self.tag);
        put_varint(out, self.others.len() as u64);
        let mut end = 0;
        for (from, run, which) in &self.others {
            put_varint(out, (from - end) as u64);
            put_varint(out, *run as u64);
            out.extend_from_slice(&which.to_le_bytes());
            end = from + run;
        }
        let (least, most) = bounds(self.integers.iter().copied());
        let differences = self.integers.windows(2).map(|pair| match pair {
            [before, after] => zigzag(after.wrapping_sub(*before)),
            _ => 0,
        });
        let start = out.len();
        let spread = width(most.wrapping_sub(least).cast_unsigned());
        if spread <= width(differences.clone().max().unwrap_or(0)) {
            out.push(FROM_LEAST);
            put_varint(out, zigzag(least));
            out.push(spread.to_le_bytes()[0]);
            let distance = |i: &i64| i.wrapping_sub(least).cast_unsigned();
            pack(out, spread, self.integers.iter().map(distance));
        } else {
            out.push(DIFFERENCES);
            put_varint(out, zigzag(self.integers.first().copied().unwrap_or(0)));
            pack_from_least(out, differences);
        }
        if hard
            && self.integers.len() >= PCO_LEAST
            && let Some(packed) = pco_integers(&self.integers, out.len() - start)
        {
            out.truncate(start);
            out.push(INTEGERS_PCO);
            put_varint(out, packed.len() as u64);
            out.extend_from_slice(&packed);
        }
    }
}

/// The inverse of [`Scaled::put`], after its `tag`.
#[expect(clippy::cast_precision_loss, reason = "only integers that are exact were written")]
pub(super) fn take_scaled(
    tag: u8,
    bytes: &mut Bytes<'_>,
    count: usize,
    values: &mut Vec<f64>,
) -> Option<()> {
    let (kind, digits) = (tag & 0xf0, usize::from(tag & 0x0f));
    let (power, inverse) = (*POWERS.get(digits)?, *INVERSE.get(digits)?);
    match (kind, digits) {
        // Most are whole, and a division costs more than all the rest.
        (DIVIDED, 0) => take_integers(bytes, count, values, |integer| integer as f64),
        (DIVIDED, _) => take_integers(bytes, count, values, |integer| integer as f64 / power),
        (MULTIPLIED, _) => take_integers(bytes, count, values, |integer| integer as f64 * inverse),
        _ => None,
    }
}

/// Whether what stands after the tag of scaled integers is not packed by `pco`.
pub(super) fn is_quick_scaled(mut bytes: Bytes<'_>, count: usize) -> Option<bool> {
    take_others(&mut bytes, count)?;
    Some(bytes.byte()? != INTEGERS_PCO)
}

/// As [`take_scaled`], but appends only those values from the one numbered `from` on and before
/// `to`. `None`, with nothing appended, where one value cannot be had without those before it.
#[expect(clippy::cast_precision_loss, reason = "only integers that are exact were written")]
pub(super) fn take_scaled_between(
    tag: u8,
    bytes: &mut Bytes<'_>,
    count: usize,
    (from, to): (usize, usize),
    values: &mut Vec<f64>,
) -> Option<Option<()>> {
    let (kind, digits) = (tag & 0xf0, usize::from(tag & 0x0f));
    if kind != DIVIDED {
        return None;
    }
    let power = *POWERS.get(digits)?;
    // Whoever reads damaged bytes in full finds out about it.
    let others = take_others(bytes, count)?;
    if bytes.byte()? != FROM_LEAST {
        return None;
    }
    let read = || {
        let least = bytes.signed()?;
        let width = u32::from(bytes.byte()?);
        let had = values.len();
        let value = |rest: u64| least.wrapping_add(rest.cast_signed()) as f64 / power;
        unpack_between(bytes, width, count, (from, to), values, value)?;
        for (first, end, which) in others {
            let (first, end) = (first.max(from), end.min(to));
            if first < end {
                values.get_mut(had + first - from..had + end - from)?.fill(which);
            }
        }
        Some(())
    };
    Some(read())
}

/// Runs of values that are no integers: the first, the one after the last, which.
fn take_others(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<(usize, usize, f64)>> {
    let mut others = Vec::new();
    let mut end = 0usize;
    for _ in 0..bytes.count()? {
        let from = end.checked_add(bytes.count()?)?;
        let run = bytes.count()?;
        end = from.checked_add(run).filter(|end| *end <= count)?;
        others.push((from, end, bytes.float()?));
    }
    Some(others)
}

fn take_integers(
    bytes: &mut Bytes<'_>,
    count: usize,
    values: &mut Vec<f64>,
    value: impl Fn(i64) -> f64,
) -> Option<()> {
    let others = take_others(bytes, count)?;
    let had = values.len();
    match bytes.byte()? {
        FROM_LEAST => {
            let least = bytes.signed()?;
            let width = u32::from(bytes.byte()?);
            let distance = |rest: u64| value(least.wrapping_add(rest.cast_signed()));
            unpack(bytes, width, count, values, distance)?;
        }
        DIFFERENCES => {
            let mut integer = bytes.signed()?;
            values.push(value(integer));
            unpack_from_least(bytes, count - 1, values, |difference| {
                integer = integer.wrapping_add(unzigzag(difference));
                value(integer)
            })?;
        }
        INTEGERS_PCO => {
            let length = bytes.count()?;
            let integers: Vec<i64> = pco_decompress(bytes.take(length)?, count)?;
            values.extend(integers.into_iter().map(value));
        }
        _ => return None,
    }
    for (from, end, which) in others {
        values.get_mut(had + from..had + end)?.fill(which);
    }
    Some(())
}

/// How many digits after the point write `value` exactly, at least `least`.
fn digits_of(value: f64, least: u8) -> Option<u8> {
    (least..10).find(|digits| to_integer(DIVIDED, *digits, value).is_some())
}

fn multiplied_digits(values: &[f64]) -> Option<u8> {
    let mut digits = 1;
    for value in values.iter().filter(|value| value.is_finite()).take(128) {
        if let Some(found) = (digits..10).find(|d| to_integer(MULTIPLIED, *d, *value).is_some()) {
            digits = found;
        }
    }
    Some(digits)
}

/// The integer that gives exactly this float, when there is one.
fn to_integer(kind: u8, digits: u8, value: f64) -> Option<i64> {
    let power = *POWERS.get(usize::from(digits))?;
    // Adding zero takes the sign from a negative zero, which no integer has.
    let scaled = round(value * power) + 0.0;
    if scaled.is_nan() || scaled.abs() >= EXACT {
        return None;
    }
    let back = if kind == DIVIDED {
        scaled / power
    } else {
        scaled * *INVERSE.get(usize::from(digits))?
    };
    #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
    (back.to_bits() == value.to_bits()).then_some(scaled as i64)
}

/// To the nearest integer, ties to even. Above 2^52 there are only integers, which is what rounds
/// here: the instruction for it is not on every processor, and a call costs more than the rest.
fn round(value: f64) -> f64 {
    let whole = (EXACT / 2.0).copysign(value);
    if value.abs() < EXACT / 2.0 { (value + whole) - whole } else { value }
}

/// [`to_integer`] of a decimal, for the log.
pub(super) fn decimal(value: f64, digits: u8) -> Option<i64> {
    to_integer(DIVIDED, digits, value)
}

/// The inverse of [`decimal`].
#[expect(clippy::cast_precision_loss, reason = "only integers that are exact were written")]
pub(super) fn from_decimal(integer: i64, digits: u8) -> Option<f64> {
    POWERS.get(usize::from(digits)).map(|power| integer as f64 / power)
}

/// As [`from_decimal`], of many.
#[expect(clippy::cast_precision_loss, reason = "only integers that are exact were written")]
pub(super) fn from_decimals(
    integers: impl ExactSizeIterator<Item = i64>,
    digits: u8,
    values: &mut Vec<f64>,
) {
    match POWERS.get(usize::from(digits)) {
        // Most are whole, and a division costs more than all the rest.
        Some(_) if digits == 0 => values.extend(integers.map(|integer| integer as f64)),
        Some(power) => values.extend(integers.map(|integer| integer as f64 / power)),
        None => values.extend(integers.map(|_| f64::NAN)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::round;

    proptest! {
        #[test]
        fn rounds_as_the_standard_does(value in any::<u64>().prop_map(f64::from_bits), near in -9e15f64..9e15) {
            for value in [value, near, near / 2.0, near / 1e12, (near / 1e12).trunc() + 0.5] {
                let (ours, theirs) = (round(value), value.round_ties_even());
                prop_assert!(ours == theirs || ours.is_nan() && theirs.is_nan(), "{value:?}");
            }
        }
    }
}
