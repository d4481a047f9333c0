//! Where samples go: to the series of the shards that read them.

use std::collections::HashMap;
use std::num::NonZeroU32;

use hallwatch_model::Labels;
use hallwatch_promql::incremental::SeriesId;

/// A series that was met. Now and then, when most series are gone or the rules are others, handles
/// become void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    index: u32,
    generation: NonZeroU32,
}

/// Where the samples of one series go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Route {
    /// The shard of its site, once somebody has asked.
    pub(super) site: Option<u32>,
    /// It is read in the shard of everything, in that of its site, or in both. `None` until there
    /// is a sample to be read.
    pub(super) targets: Option<[Option<Target>; 2]>,
}

/// A series in a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) shard: u32,
    pub(super) series: SeriesId,
}

/// All series that were met.
#[derive(Debug)]
pub(super) struct Routes {
    routes: Vec<Route>,
    /// Beside the routes: a sample asks for those alone.
    labels: Vec<Labels>,
    by_labels: HashMap<Labels, u32>,
    /// The route after the one that was found last: what comes with labels comes in the same order
    /// again and again, so this is usually the next one.
    next: usize,
    /// Of the handles.
    generation: NonZeroU32,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            labels: Vec::new(),
            by_labels: HashMap::new(),
            next: 0,
            generation: NonZeroU32::MIN,
        }
    }
}

impl Routes {
    /// None, whose handles are not those of `before`.
    pub(super) fn after(before: &Self) -> Self {
        let generation = before.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        Self { generation, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    /// The series with these labels, which may be a new one.
    pub(super) fn meet(&mut self, labels: &Labels) -> Handle {
        // Labels are shared: usually these are the very same.
        let foreseen = self.labels.get(self.next).is_some_and(|known| is_same(known, labels));
        let index = if foreseen {
            self.next
        } else {
            match self.by_labels.get(labels) {
                Some(known) => *known as usize,
                None => self.add(labels),
            }
        };
        self.next = index + 1;
        self.handle(index)
    }

    fn add(&mut self, labels: &Labels) -> usize {
        let index = self.routes.len();
        self.routes.push(Route::default());
        self.labels.push(labels.clone());
        self.by_labels.insert(labels.clone(), self.handle(index).index);
        index
    }

    #[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 series")]
    fn handle(&self, index: usize) -> Handle {
        Handle { index: index as u32, generation: self.generation }
    }

    pub(super) fn is_valid(&self, handle: Handle) -> bool {
        handle.generation == self.generation
    }

    /// `None` when the handle is void.
    pub(super) fn get(&self, handle: Handle) -> Option<&Route> {
        let valid = self.is_valid(handle);
        valid.then(|| self.routes.get(handle.index as usize)).flatten()
    }

    /// `None` when the handle is void.
    pub(super) fn labels(&self, handle: Handle) -> Option<&Labels> {
        let valid = self.is_valid(handle);
        valid.then(|| self.labels.get(handle.index as usize)).flatten()
    }

    pub(super) fn set(&mut self, handle: Handle, route: Route) {
        if self.is_valid(handle)
            && let Some(known) = self.routes.get_mut(handle.index as usize)
        {
            *known = route;
        }
    }
}

fn is_same(a: &Labels, b: &Labels) -> bool {
    // Without labels there is no address of their own.
    !a.is_empty() && std::ptr::eq(a.iter().as_slice(), b.iter().as_slice())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

    use super::*;

    #[test]
    fn copies_of_labels_are_the_same_series() {
        let mut routes = Routes::default();
        let labels = |value: &str| Labels::metric("m", [("a", value)]);
        let one = routes.meet(&labels("1"));
        let two = routes.meet(&labels("2"));
        assert_ne!(one, two);
        let kept = labels("1");
        for _ in 0..3 {
            assert_eq!(routes.meet(&kept), one);
            assert_eq!(routes.meet(&kept.clone()), one);
            assert_eq!(routes.meet(&labels("2")), two);
        }
        let none = routes.meet(&Labels::empty());
        assert_eq!(routes.meet(&Labels::empty()), none);
        assert_eq!(routes.labels(one), Some(&kept));
        assert_eq!(routes.len(), 3);
    }

    #[test]
    fn handles_of_before_are_void() {
        let mut before = Routes::default();
        let labels = Labels::metric("m", []);
        let old = before.meet(&labels);
        let mut routes = Routes::after(&before);
        let new = routes.meet(&labels);
        assert_ne!(old, new);
        assert!(!routes.is_valid(old) && routes.get(old).is_none());
        assert!(routes.labels(old).is_none());
        routes.set(old, Route { site: Some(7), targets: None });
        assert_eq!(routes.get(new).unwrap().site, None);
    }

    #[test]
    fn series_are_found_in_any_order() {
        let mut routes = Routes::default();
        let labels: Vec<Labels> =
            ["a", "b", "c", "d"].map(|name| Labels::metric(name, [])).into_iter().collect();
        let handles: Vec<Handle> = labels.iter().map(|labels| routes.meet(labels)).collect();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 3, 0], [2, 3, 0, 1]] {
            for at in order {
                assert_eq!(routes.meet(&labels[at]), handles[at], "{order:?}");
            }
        }
    }
}
