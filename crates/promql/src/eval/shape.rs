//! Which labels series have, by name. Most series of a query have the same ones, and a source shares
//! their texts: that is seen without comparing any.

use std::sync::Arc;

use hallwatch_model::{Label, Labels};

/// The names of the labels of a series, and of which of them something holds.
#[derive(Debug)]
pub(super) struct Shape {
    names: Vec<Arc<str>>,
    /// Of which it does, ascending.
    chosen: Vec<usize>,
}

impl Shape {
    pub(super) fn new(labels: &Labels, chosen: impl Fn(&str) -> bool) -> Self {
        let names: Vec<Arc<str>> = labels.iter().map(|label| label.name.clone()).collect();
        let chosen = (0..names.len()).filter(|at| chosen(&names[*at])).collect();
        Self { names, chosen }
    }

    /// Whether the labels have the same names, as far as that is seen at once.
    pub(super) fn is_of(&self, labels: &Labels) -> bool {
        self.names.len() == labels.len()
            && self.names.iter().zip(labels).all(|(name, label)| Arc::ptr_eq(name, &label.name))
    }

    /// Those of the labels of which it holds.
    pub(super) fn chosen<'l>(
        &'l self,
        labels: &'l Labels,
    ) -> impl Iterator<Item = &'l Arc<Label>> + Clone {
        let labels = labels.iter().as_slice();
        self.chosen.iter().filter_map(|at| labels.get(*at))
    }

    /// Where those stand of which it does not hold, when they stand side by side.
    pub(super) fn rest(&self) -> Option<(usize, usize)> {
        let length = self.names.len();
        let is_rest = |at: &usize| self.chosen.binary_search(at).is_err();
        let from = (0..length).find(is_rest).unwrap_or(length);
        let to = (from..length).find(|at| !is_rest(at)).unwrap_or(length);
        (to - from + self.chosen.len() == length).then_some((from, to))
    }

    /// The labels without those of which it holds.
    pub(super) fn without_chosen(&self, labels: &Labels) -> Labels {
        let at = std::cell::Cell::new(0);
        labels.without(|_| self.chosen.binary_search(&at.replace(at.get() + 1)).is_ok())
    }
}

/// Whether both are one label in memory, which is seen without reading it.
pub(super) fn one_label(a: &Label, b: &Label) -> bool {
    std::ptr::eq(a, b)
}

/// Whether both are one label, or read the same.
pub(super) fn same(a: &Label, b: &Label) -> bool {
    one_label(a, b) || a == b
}
