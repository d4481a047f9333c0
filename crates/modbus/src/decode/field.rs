//! Flags and small numbers within a value.

/// A part of a bit pattern: one flag, or a nibble that holds a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its lowest bit, 0 being the pattern's lowest.
    pub bit: u16,
    /// How many bits, 1 to 64.
    pub width: u8,
}

impl Field {
    /// The field's value; bits past the 64th are zero.
    #[must_use]
    pub fn of(self, pattern: u64) -> u64 {
        let shifted = pattern.checked_shr(u32::from(self.bit)).unwrap_or(0);
        let unused = 64u32.saturating_sub(u32::from(self.width));
        u64::MAX.checked_shr(unused).unwrap_or(0) & shifted
    }

    /// The same field of a number that is longer than 64 bits, its highest word first.
    pub(super) fn of_words(self, words: impl DoubleEndedIterator<Item = u16>) -> u64 {
        let (first, width) = (usize::from(self.bit), usize::from(self.width).min(64));
        let bits = words.rev().flat_map(|word| (0..16).map(move |bit| u64::from(word >> bit & 1)));
        let own = bits.skip(first).take(width);
        own.zip(0..64u32).fold(0, |found, (bit, at)| found | bit << at)
    }
}
