//! Where samples go: to the series of the shards that read them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use hallwatch_model::Labels;
use hallwatch_promql::incremental::SeriesId;

/// A series that was met. Now and then, when most series are gone, handles become void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    pub(super) index: usize,
    generation: u32,
}

/// Where the samples of one series go.
#[derive(Debug)]
pub(super) struct Route {
    /// The shard of its site, once it is known.
    pub(super) site: Option<usize>,
    /// It is read there.
    pub(super) targets: Vec<(usize, SeriesId)>,
}

/// All series that were met.
#[derive(Debug, Default)]
pub(super) struct Routes {
    handles: HashMap<Labels, Handle>,
    /// By where in memory their labels are: the store gives the same labels with every sample, and
    /// an address is found faster than labels are hashed. The labels are held, so that nothing else
    /// comes to be at their address.
    by_address: HashMap<usize, (Labels, Handle), BuildHasherDefault<Address>>,
    routes: Vec<Route>,
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
        if let Some((_, known)) = self.by_address.get(&address) {
            return Some(*known);
        }
        let known = *self.handles.get(labels)?;
        if self.by_address.len() > self.handles.len() * Self::COPIES + Self::FEW {
            self.by_address.clear();
        }
        self.by_address.insert(address, (labels.clone(), known));
        Some(known)
    }

    pub(super) fn add(&mut self, labels: &Labels, route: Route) -> Handle {
        let handle = Handle { index: self.routes.len(), generation: self.generation };
        self.routes.push(route);
        self.handles.insert(labels.clone(), handle);
        handle
    }

    /// `None` when the handle is void.
    pub(super) fn get(&self, handle: Handle) -> Option<&Route> {
        let valid = handle.generation == self.generation;
        valid.then(|| self.routes.get(handle.index)).flatten()
    }

    pub(super) fn set_site(&mut self, handle: Handle, site: usize) {
        if let Some(route) = self.routes.get_mut(handle.index) {
            route.site = Some(site);
        }
    }

    /// Forgets all; handles become void.
    pub(super) fn clear(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.handles.clear();
        self.by_address.clear();
        self.routes.clear();
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

    fn route() -> Route {
        Route { site: None, targets: Vec::new() }
    }

    #[test]
    fn copies_of_labels_are_the_same_series() {
        let mut routes = Routes::default();
        let labels = |value: &str| Labels::metric("m", [("a", value)]);
        let one = routes.add(&labels("1"), route());
        let two = routes.add(&labels("2"), route());
        let kept = labels("1");
        for _ in 0..3 {
            assert_eq!(routes.find(&kept), Some(one));
            assert_eq!(routes.find(&kept.clone()), Some(one));
            assert_eq!(routes.find(&labels("2")), Some(two));
            assert_eq!(routes.find(&labels("3")), None);
        }
        let none = routes.add(&Labels::empty(), route());
        assert_eq!(routes.find(&Labels::empty()), Some(none));
        assert_eq!(routes.find(&Labels::empty()), Some(none));
        routes.clear();
        assert_eq!(routes.find(&kept), None);
        assert!(routes.get(one).is_none());
    }

    #[test]
    fn labels_that_are_never_the_same_copy_do_not_pile_up() {
        let mut routes = Routes::default();
        let labels = || Labels::metric("m", [("a", "1")]);
        let one = routes.add(&labels(), route());
        for _ in 0..10_000 {
            assert_eq!(routes.find(&labels()), Some(one));
        }
        assert!(routes.by_address.len() <= Routes::FEW + Routes::COPIES + 2);
    }
}
