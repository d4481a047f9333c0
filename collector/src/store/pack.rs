//! Columns of integers in as few bits as the widest of them needs.

use super::bytes::{Bytes, put_varint};

/// Bits that the widest needs.
pub(super) fn width(widest: u64) -> u32 {
    64 - widest.leading_zeros()
}

/// Appends the lowest `width` bits of each value.
pub(super) fn pack(out: &mut Vec<u8>, width: u32, values: impl Iterator<Item = u64>) {
    let (mut held, mut bits) = (0u128, 0u32);
    for value in values {
        held |= u128::from(value) << bits;
        bits += width;
        if bits >= 64 {
            let [word @ .., _, _, _, _, _, _, _, _] = held.to_le_bytes();
            out.extend_from_slice(&word);
            held >>= 64;
            bits -= 64;
        }
    }
    let rest = held.to_le_bytes();
    out.extend(rest.iter().take(bits.div_ceil(8) as usize));
}

/// The widest that lies within eight bytes wherever in its first byte it begins.
const WITHIN_EIGHT: u32 = 57;

/// Appends to `out` what `each` makes of `count` values; `None` when there are not so many.
pub(super) fn unpack<T>(
    bytes: &mut Bytes<'_>,
    width: u32,
    count: usize,
    out: &mut Vec<T>,
    each: impl FnMut(u64) -> T,
) -> Option<()> {
    unpack_between(bytes, width, count, (0, count), out, each)
}

/// As [`unpack`], but only of those from the one numbered `from` on and before `to`.
pub(super) fn unpack_between<T>(
    bytes: &mut Bytes<'_>,
    width: u32,
    count: usize,
    (from, to): (usize, usize),
    out: &mut Vec<T>,
    mut each: impl FnMut(u64) -> T,
) -> Option<()> {
    if width > 64 || from > to || to > count {
        return None;
    }
    if width == 0 {
        out.extend((from..to).map(|_| each(0)));
        return Some(());
    }
    let total = count.checked_mul(width as usize)?.div_ceil(8);
    let packed = bytes.take(total)?;
    let mask = u64::MAX >> (64 - width);
    if width > WITHIN_EIGHT {
        let mut at = 0;
        return unpack_wide(packed, width, count, |value| {
            if (from..to).contains(&at) {
                out.push(each(value & mask));
            }
            at += 1;
        });
    }
    let width = width as usize;
    let value = |bytes: &[u8], bit: usize| {
        let word = bytes.get(bit / 8..).and_then(<[u8]>::first_chunk);
        (u64::from_le_bytes(*word.unwrap_or(&[0; 8])) >> (bit % 8)) & mask
    };
    // Of so many there are eight bytes, which need no look at how many are left.
    let whole = packed.len().checked_sub(8).map_or(0, |last| (last * 8 + 7) / width + 1).min(count);
    out.extend((from..whole.min(to)).map(|i| each(value(packed, i * width))));
    let begin = whole * width / 8;
    let mut tail = [0; 16];
    for (to, byte) in tail.iter_mut().zip(packed.get(begin..).unwrap_or_default()) {
        *to = *byte;
    }
    out.extend((whole.max(from)..to).map(|i| each(value(&tail, i * width - begin * 8))));
    Some(())
}

/// As [`unpack`], of any width; more than the value stands in what `each` gets.
fn unpack_wide(packed: &[u8], width: u32, count: usize, mut each: impl FnMut(u64)) -> Option<()> {
    let (mut held, mut bits) = (0u128, 0u32);
    let (words, rest) = packed.as_chunks::<8>();
    let mut words = words.iter();
    let mut rest = Some(rest);
    for _ in 0..count {
        if bits < width {
            let word = match words.next() {
                Some(word) => u64::from_le_bytes(*word),
                None => {
                    let tail = rest.take()?;
                    tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
                }
            };
            held |= u128::from(word) << bits;
            bits += 64;
        }
        each(low(held));
        held >>= width;
        bits -= width;
    }
    Some(())
}

fn low(held: u128) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = held.to_le_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Appends values as their distance from the least, with what [`unpack_from_least`] needs.
pub(super) fn pack_from_least(out: &mut Vec<u8>, values: impl Iterator<Item = u64> + Clone) {
    let (least, most) =
        values.clone().fold((u64::MAX, 0), |(low, high), value| (low.min(value), high.max(value)));
    let least = least.min(most);
    let width = width(most - least);
    put_varint(out, least);
    out.push(width.to_le_bytes()[0]);
    pack(out, width, values.map(|value| value - least));
}

/// The inverse of [`pack_from_least`].
pub(super) fn unpack_from_least<T>(
    bytes: &mut Bytes<'_>,
    count: usize,
    out: &mut Vec<T>,
    mut each: impl FnMut(u64) -> T,
) -> Option<()> {
    let least = bytes.varint()?;
    let width = u32::from(bytes.byte()?);
    unpack(bytes, width, count, out, |value| each(value.wrapping_add(least)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_comes_back() {
        for width in 0..=64u32 {
            for count in [0usize, 1, 2, 7, 63, 64, 65, 129] {
                let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
                let values: Vec<u64> = (0..count as u64)
                    .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask)
                    .collect();
                let mut out = Vec::new();
                pack(&mut out, width, values.iter().copied());
                assert_eq!(out.len(), (count * width as usize).div_ceil(8));
                let (mut bytes, mut back) = (Bytes(&out), Vec::new());
                assert_eq!(unpack(&mut bytes, width, count, &mut back, |v| v), Some(()));
                assert_eq!(back, values, "{width} bits, {count} values");
                assert!(bytes.0.is_empty());
                for (from, to) in [(0, 0), (0, 1), (1, 7), (5, 64), (60, 65), (63, 129)] {
                    let (from, to) = (from.min(count), to.min(count));
                    let mut part = Vec::new();
                    let parted = (from, to);
                    unpack_between(&mut Bytes(&out), width, count, parted, &mut part, |v| v)
                        .unwrap();
                    assert_eq!(part, values[from..to], "{width} bits, {from} to {to} of {count}");
                }
            }
        }
        assert_eq!(unpack(&mut Bytes(&[1, 2]), 9, 2, &mut Vec::new(), |v| v), None);
    }
}
