//! Where samples go: to the series of the shards that read them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use hallwatch_model::Labels;
use hallwatch_promql::incremental::SeriesId;

/// A series that was met. Now and then, when most series are gone, handles become void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    index: u32,
    generation: u32,
}

/// Where the samples of one series go.
#[derive(Debug)]
pub(super) struct Route {
    /// Held, so that nothing else comes to be at their address.
    labels: Labels,
    /// The shard of its site, once it is known.
    pub(super) site: Option<usize>,
    /// It is read in the shard of everything, in that of its site, or in both.
    pub(super) targets: [Option<(usize, SeriesId)>; 2],
}

/// All series that were met.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: Vec<Route>,
    by_labels: HashMap<Labels, u32>,
    /// By where in memory their labels are: the store gives the same labels with every sample, and
    /// an address is found faster than labels are hashed.
    by_address: HashMap<usize, u32, BuildHasherDefault<Address>>,
    /// Other copies of labels that are known by their address.
    copies: Vec<Labels>,
    /// The route after the one that was found last: agents send their series in the same order
    /// again and again, so this is usually the next one.
    next: usize,
    /// Of the handles.
    generation: u32,
}

impl Routes {
    /// How many copies of the labels of a series, more or less, are known by their address.
    const COPIES: usize = 2;
    const FEW: usize = 1024;

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    pub(super) fn find(&mut self, labels: &Labels) -> Option<Handle> {
        let address = address(labels);
        let foreseen = self.routes.get(self.next);
        let index = if foreseen.is_some_and(|route| self::address(&route.labels) == address) {
            self.next
        } else {
            self.look_up(labels, address)? as usize
        };
        self.next = index + 1;
        Some(self.handle(index))
    }

    fn look_up(&mut self, labels: &Labels, address: usize) -> Option<u32> {
        if let Some(known) = self.by_address.get(&address) {
            return Some(*known);
        }
        let known = *self.by_labels.get(labels)?;
        if self.copies.len() > self.routes.len() * Self::COPIES + Self::FEW {
            self.copies.clear();
            self.by_address.clear();
            let own = self.routes.iter().zip(0..);
            self.by_address.extend(own.map(|(route, index)| (self::address(&route.labels), index)));
        }
        self.copies.push(labels.clone());
        self.by_address.insert(address, known);
        Some(known)
    }

    /// A series that was not found.
    pub(super) fn add(
        &mut self,
        labels: &Labels,
        site: Option<usize>,
        targets: [Option<(usize, SeriesId)>; 2],
    ) -> Handle {
        let handle = self.handle(self.routes.len());
        self.routes.push(Route { labels: labels.clone(), site, targets });
        self.by_labels.insert(labels.clone(), handle.index);
        self.by_address.insert(address(labels), handle.index);
        handle
    }

    #[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 series")]
    fn handle(&self, index: usize) -> Handle {
        Handle { index: index as u32, generation: self.generation }
    }

    /// `None` when the handle is void.
    pub(super) fn get(&self, handle: Handle) -> Option<&Route> {
        let valid = handle.generation == self.generation;
        valid.then(|| self.routes.get(handle.index as usize)).flatten()
    }

    pub(super) fn set_site(&mut self, handle: Handle, site: usize) {
        if let Some(route) = self.routes.get_mut(handle.index as usize) {
            route.site = Some(site);
        }
    }

    /// Forgets all; handles become void.
    pub(super) fn clear(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::default() };
    }
}

/// Labels are shared, so that equal addresses are equal labels as long as one of them is held. No
/// labels at all may share the address of other things.
fn address(labels: &Labels) -> usize {
    if labels.is_empty() { 0 } else { labels.iter().as_slice().as_ptr().addr() }
}

/// Spreads addresses; nobody outside chooses them.
#[derive(Debug, Default)]
struct Address(u64);

impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, address: usize) {
        // 2^64 over the golden ratio; the high bits are the well mixed ones, the table uses the low.
        let mixed = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed.rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

    use super::*;

    #[test]
    fn copies_of_labels_are_the_same_series() {
        let mut routes = Routes::default();
        let labels = |value: &str| Labels::metric("m", [("a", value)]);
        let one = routes.add(&labels("1"), None, [None; 2]);
        let two = routes.add(&labels("2"), None, [None; 2]);
        let kept = labels("1");
        for _ in 0..3 {
            assert_eq!(routes.find(&kept), Some(one));
            assert_eq!(routes.find(&kept.clone()), Some(one));
            assert_eq!(routes.find(&labels("2")), Some(two));
            assert_eq!(routes.find(&labels("3")), None);
        }
        let none = routes.add(&Labels::empty(), None, [None; 2]);
        assert_eq!(routes.find(&Labels::empty()), Some(none));
        assert_eq!(routes.find(&Labels::empty()), Some(none));
        routes.clear();
        assert_eq!(routes.find(&kept), None);
        assert!(routes.get(one).is_none());
    }

    #[test]
    fn series_are_found_in_any_order() {
        let mut routes = Routes::default();
        let labels: Vec<Labels> =
            ["a", "b", "c", "d"].map(|name| Labels::metric(name, [])).into_iter().collect();
        let handles: Vec<Handle> =
            labels.iter().map(|labels| routes.add(labels, None, [None; 2])).collect();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 3, 0], [2, 3, 0, 1]] {
            for at in order {
                assert_eq!(routes.find(&labels[at]), Some(handles[at]), "{order:?}");
            }
        }
    }

    #[test]
    fn labels_that_are_never_the_same_copy_do_not_pile_up() {
        let mut routes = Routes::default();
        let labels = || Labels::metric("m", [("a", "1")]);
        let own = labels();
        let one = routes.add(&own, None, [None; 2]);
        for _ in 0..10_000 {
            assert_eq!(routes.find(&labels()), Some(one));
        }
        assert!(routes.by_address.len() <= Routes::FEW + Routes::COPIES + 3);
        assert_eq!(routes.find(&own), Some(one));
    }
}
