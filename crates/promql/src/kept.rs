//! Labels of a series without some of them, where that needs no copy.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use hallwatch_model::{Label, Labels};

/// Labels that stand side by side in those of a series, by name; the others do not count. To take
/// the metric name away from a hundred thousand series, not one is made anew.
#[derive(Clone, Debug)]
pub struct Kept {
    all: Labels,
    from: usize,
    to: usize,
}

impl Kept {
    /// Those of `labels` that `from..to` says, which lies within them.
    pub(crate) fn part(all: Labels, from: usize, to: usize) -> Self {
        let to = to.min(all.len());
        Self { from: from.min(to), to, all }
    }

    /// As labels of their own.
    #[must_use]
    pub fn into_labels(self) -> Labels {
        if self.len() == self.all.len() {
            return self.all;
        }
        let at = Cell::new(0);
        self.all.without(|_| !(self.from..self.to).contains(&at.replace(at.get() + 1)))
    }
}

impl From<Labels> for Kept {
    fn from(all: Labels) -> Self {
        Self { from: 0, to: all.len(), all }
    }
}

impl Deref for Kept {
    type Target = [Arc<Label>];

    fn deref(&self) -> &[Arc<Label>] {
        self.all.iter().as_slice().get(self.from..self.to).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_labels_of_its_own_are() {
        let labels = Labels::metric("up", [("a", "1"), ("b", "2"), ("c", "3")]);
        for (from, to) in [(0, 4), (1, 4), (1, 3), (0, 1), (2, 2), (3, 9), (7, 9)] {
            let part = Kept::part(labels.clone(), from, to);
            let texts: Vec<Arc<Label>> = part.to_vec();
            let expected: Vec<Arc<Label>> =
                labels.iter().skip(from).take(to.saturating_sub(from)).cloned().collect();
            assert_eq!(texts, expected);
            assert_eq!(part.into_labels(), expected.into_iter().collect());
        }
        assert_eq!(Kept::from(labels.clone()).into_labels(), labels);
    }
}
