//! How far one word is from another.

use super::MAX_CHARS;

/// A word made ready to be compared: case, and whether `-` or `_` stands in it, do not matter.
pub(super) struct Word {
    letters: Vec<char>,
    /// A bit for each letter that occurs, some sharing one.
    occurring: u64,
}

impl Word {
    /// Of a long word, only its beginning.
    pub(super) fn of(text: &str) -> Self {
        let mut word = Self { letters: Vec::with_capacity(MAX_CHARS), occurring: 0 };
        for letter in text.chars().take(MAX_CHARS).flat_map(char::to_lowercase) {
            let letter = if letter == '-' { '_' } else { letter };
            word.occurring |= 1 << (u32::from(letter) % u64::BITS);
            word.letters.push(letter);
        }
        word
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    /// How many characters must be put in, taken out, replaced or swapped with their neighbour, if
    /// these are not more than `bound`.
    pub(super) fn distance(&self, other: &Self, bound: usize) -> Option<usize> {
        // What one change can do: make the word a letter longer or shorter, and bring in one kind
        // of letter while it takes out another.
        let new = (self.occurring & !other.occurring).count_ones();
        let gone = (other.occurring & !self.occurring).count_ones();
        let least = self.len().abs_diff(other.len());
        if least > bound || usize::try_from(new.max(gone)).is_ok_and(|kinds| kinds > bound) {
            return None;
        }
        let (a, b) = (&self.letters, &other.letters);
        let mut before_last: Vec<usize> = vec![usize::MAX; b.len() + 1];
        let mut last: Vec<usize> = (0..=b.len()).collect();
        let mut row = last.clone();
        let mut least_before = 0;
        for i in 0..a.len() {
            row[0] = i + 1;
            let mut least = row[0];
            for j in 0..b.len() {
                let replaced = last[j] + usize::from(a[i] != b[j]);
                let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
                if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                    best = best.min(before_last[j - 1] + 1);
                }
                row[j + 1] = best;
                least = least.min(best);
            }
            // The next row is made of this one and, by swapping, of the one before.
            if least > bound && least_before >= bound {
                return None;
            }
            least_before = least;
            std::mem::swap(&mut before_last, &mut last);
            std::mem::swap(&mut last, &mut row);
        }
        Some(last[b.len()]).filter(|distance| *distance <= bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
            ("Poll-Rate", "poll_rate", 0),
            ("supply_air", "return_air", 6),
        ] {
            let (a_word, b_word) = (Word::of(a), Word::of(b));
            for bound in 0..10 {
                let found = a_word.distance(&b_word, bound);
                assert_eq!(found, (expected <= bound).then_some(expected), "{a} {b} {bound}");
            }
        }
    }
}
