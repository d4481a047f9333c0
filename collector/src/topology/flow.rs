//! How many independent paths lead to a rack: the most that can be found at the same time so that
//! no two of them have a node in common, but for those that all may share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::plan::Power;

/// Where a search can stand: before everything, at the upper or the lower side of a node, at the
/// rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Source,
    In(usize),
    Out(usize),
    Rack,
}

/// How many more paths may go from one place to another.
#[derive(Default)]
struct Room {
    left: BTreeMap<Place, BTreeMap<Place, usize>>,
}

/// More than a rack has feeds: no limit.
const ANY: usize = usize::MAX / 2;

impl Room {
    fn add(&mut self, from: Place, to: Place, count: usize) {
        self.left.entry(from).or_default().insert(to, count);
        self.left.entry(to).or_default().entry(from).or_insert(0);
    }

    /// The shortest way from source to rack that has room, from its end.
    fn way(&self) -> Option<Vec<(Place, Place)>> {
        let mut from: BTreeMap<Place, Place> = BTreeMap::new();
        let mut open = VecDeque::from([Place::Source]);
        while let Some(place) = open.pop_front() {
            for (next, count) in self.left.get(&place).into_iter().flatten() {
                if *count > 0 && *next != Place::Source && !from.contains_key(next) {
                    from.insert(*next, place);
                    open.push_back(*next);
                }
            }
            if from.contains_key(&Place::Rack) {
                break;
            }
        }
        let mut way = Vec::new();
        let mut at = Place::Rack;
        while at != Place::Source {
            let before = *from.get(&at)?;
            way.push((before, at));
            at = before;
        }
        Some(way)
    }

    /// One path more goes this step; one may be taken back the other way.
    fn take(&mut self, (from, to): (Place, Place)) {
        if let Some(left) = self.left.get_mut(&from).and_then(|to_left| to_left.get_mut(&to)) {
            *left = left.saturating_sub(1);
        }
        *self.left.entry(to).or_default().entry(from).or_insert(0) += 1;
    }
}

/// Counts the independent paths from a source to `rack` over nodes that are `good`, by augmenting
/// paths (Edmonds and Karp): each node is a pipe for one path, or for any number where it is shared.
pub(super) fn independent(power: &Power, rack: usize, good: impl Fn(usize) -> bool) -> usize {
    let mut room = Room::default();
    let (nodes, feeds) = (power.nodes(), &power.racks()[rack].fed_by);
    for by in feeds.iter().filter(|by| good(**by)) {
        room.add(Place::Out(*by), Place::Rack, 1);
    }
    let mut open: Vec<usize> = feeds.clone();
    let mut met = BTreeSet::new();
    while let Some(node) = open.pop() {
        if !good(node) || !met.insert(node) {
            continue;
        }
        let through = if power.is_shared(node) { ANY } else { 1 };
        room.add(Place::In(node), Place::Out(node), through);
        if nodes[node].kind.is_source() {
            room.add(Place::Source, Place::In(node), ANY);
        }
        for by in nodes[node].fed_by.iter().filter(|by| good(**by)) {
            room.add(Place::Out(*by), Place::In(node), ANY);
            open.push(*by);
        }
    }
    let mut paths = 0;
    while let Some(way) = room.way() {
        way.into_iter().for_each(|step| room.take(step));
        paths += 1;
    }
    paths
}
