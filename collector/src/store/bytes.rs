//! How blobs are made: varints, and a seal that shows damage.

/// Appends `value`, seven bits to a byte, the lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Small numbers of either sign become small numbers.
pub(super) fn zigzag(value: i64) -> u64 {
    (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Reads what was put; every method gives `None` at the end of the bytes.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    /// A varint that counts things in memory.
    pub(super) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    pub(super) fn float(&mut self) -> Option<f64> {
        Some(f64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// Closes a blob: its checksum goes to its end. `key` says where it belongs, so that a whole blob
/// in a wrong place shows, too.
pub(super) fn seal(mut blob: Vec<u8>, key: u64) -> Vec<u8> {
    let sum = checksum(&blob, key);
    blob.extend_from_slice(&sum.to_le_bytes());
    blob
}

/// What was sealed, or `None` when it is not as it was.
pub(super) fn unseal(blob: &[u8], key: u64) -> Option<&[u8]> {
    let (content, sum) = blob.split_last_chunk::<4>()?;
    (checksum(content, key) == u32::from_le_bytes(*sum)).then_some(content)
}

/// One key of two numbers.
pub(super) fn key(a: i64, b: i64) -> u64 {
    a.cast_unsigned().wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(32) ^ b.cast_unsigned()
}

/// Eight bytes a step, each step a bijection: damage within one word always changes the 64 bits
/// that are folded into the result.
pub(super) fn checksum(bytes: &[u8], key: u64) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |sum: u64, word: u64| (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let start = step(FACTOR ^ bytes.len() as u64, key);
    let mut sum = words.iter().fold(start, |sum, word| step(sum, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    sum = step(sum, u64::from_le_bytes(last));
    sum = (sum ^ (sum >> 32)).wrapping_mul(FACTOR);
    let [_, _, _, _, high @ ..] = sum.to_le_bytes();
    u32::from_le_bytes(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_shows_every_flipped_bit_and_every_cut() {
        let blob = seal((0..61u8).collect(), 5);
        assert_eq!(unseal(&blob, 6), None);
        assert_eq!(unseal(&blob, 5).map(<[u8]>::len), Some(61));
        for bit in 0..blob.len() * 8 {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(&flipped, 5), None, "bit {bit}");
        }
        for length in 0..blob.len() {
            assert_eq!(unseal(&blob[..length], 5), None, "{length} bytes");
        }
    }

    #[test]
    fn varints_and_zigzag_keep_the_extremes() {
        for value in [0, 1, -1, 63, 64, -64, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_varint(&mut out, zigzag(value));
            assert_eq!(Bytes(&out).signed(), Some(value));
        }
        assert_eq!(Bytes(&[0x80; 20]).varint(), None);
    }
}
