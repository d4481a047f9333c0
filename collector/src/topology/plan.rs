//! What the configuration says hangs on what.

use std::collections::BTreeSet;

use hallwatch_model::Id;

use super::flow;

/// The topology of a site.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose site it is.
    pub tenant: Id,
    /// The site.
    pub site: Id,
    /// Its only agent, which reads all of its devices; `None` when there are several.
    pub agent: Option<Id>,
    /// The power path.
    pub power: Power,
    /// Which cooling units serve what.
    pub zones: Vec<Zone>,
    /// The devices that are ways out of the site.
    pub uplinks: Vec<String>,
}

/// What a node of the power path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A feed of the utility: no device, but seen by its transfer switch or its meter.
    Utility,
    /// A generator.
    Generator,
    /// An automatic transfer switch.
    Ats,
    /// An uninterruptible power supply.
    Ups,
    /// A switchboard or distribution board. Without a meter it is as what feeds it.
    Board,
    /// A rack's power distribution unit.
    Pdu,
}

impl Kind {
    /// Every kind by its word in configurations and labels.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("utility", Self::Utility),
        ("generator", Self::Generator),
        ("ats", Self::Ats),
        ("ups", Self::Ups),
        ("board", Self::Board),
        ("pdu", Self::Pdu),
    ];

    /// Its word in configurations and labels.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    /// Whether power comes from it and from nothing before it.
    #[must_use]
    pub fn is_source(self) -> bool {
        matches!(self, Self::Utility | Self::Generator)
    }
}

/// A node of the power path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name: that of its device, where it has one.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The meter that sees a utility feed or a board.
    pub meter: Option<String>,
    /// What feeds it: places in the list of nodes, each before its own.
    pub fed_by: Vec<usize>,
}

/// A rack and what feeds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rack {
    /// Its name in the label `rack`.
    pub name: String,
    /// What feeds it: places in the list of nodes.
    pub fed_by: Vec<usize>,
}

/// What some cooling units cool together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name, usually that of a room.
    pub name: String,
    /// The devices that cool it.
    pub units: Vec<String>,
    /// How many of them must run; one more makes it redundant.
    pub needs: usize,
}

/// The power path: nodes, each after what feeds it, and racks.
#[derive(Clone, Debug, Default)]
pub struct Power {
    nodes: Vec<Node>,
    racks: Vec<Rack>,
    /// Whether all paths may share the node; see [`Power::is_shared`].
    shared: Vec<bool>,
    reach: Vec<Reach>,
}

/// What is known of a rack from the plan alone.
#[derive(Clone, Debug, Default)]
struct Reach {
    /// All nodes that it hangs on.
    ancestors: BTreeSet<usize>,
    /// Independent paths when all is well.
    paths: usize,
    /// Nodes whose loss alone costs a path.
    critical: BTreeSet<usize>,
}

impl Power {
    /// The power path. `None` when something is fed by what does not stand before it.
    #[must_use]
    pub fn new(nodes: Vec<Node>, racks: Vec<Rack>) -> Option<Self> {
        let ordered =
            nodes.iter().enumerate().all(|(at, node)| node.fed_by.iter().all(|by| *by < at));
        let known = racks.iter().flat_map(|rack| &rack.fed_by).all(|by| *by < nodes.len());
        if !ordered || !known {
            return None;
        }
        let mut below_ups = vec![false; nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            let below = |by: &usize| below_ups[*by] || nodes[*by].kind == Kind::Ups;
            below_ups[at] = node.fed_by.iter().any(below);
        }
        let mut above_ups = vec![false; nodes.len()];
        for (at, node) in nodes.iter().enumerate().rev() {
            if above_ups[at] || node.kind == Kind::Ups {
                node.fed_by.iter().for_each(|by| above_ups[*by] = true);
            }
        }
        let shared = nodes.iter().enumerate().map(|(at, node)| match node.kind {
            Kind::Utility | Kind::Generator => true,
            Kind::Ups | Kind::Pdu => false,
            Kind::Ats => !below_ups[at],
            Kind::Board => !below_ups[at] && above_ups[at],
        });
        let mut power = Self { shared: shared.collect(), nodes, racks, reach: Vec::new() };
        power.reach = (0..power.racks.len()).map(|rack| power.reach_of(rack)).collect();
        Some(power)
    }

    fn reach_of(&self, rack: usize) -> Reach {
        let mut ancestors = BTreeSet::new();
        let mut open = self.racks[rack].fed_by.clone();
        while let Some(node) = open.pop() {
            if ancestors.insert(node) {
                open.extend(&self.nodes[node].fed_by);
            }
        }
        let paths = flow::independent(self, rack, |_| true);
        let costs = |lost: &usize| flow::independent(self, rack, |node| node != *lost) < paths;
        let critical = ancestors.iter().copied().filter(costs).collect();
        Reach { ancestors, paths, critical }
    }

    /// All nodes, each after what feeds it.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All racks.
    #[must_use]
    pub fn racks(&self) -> &[Rack] {
        &self.racks
    }

    /// The place of the node of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Whether paths that count as independent may share this node. They may share utility,
    /// generator, transfer switches and boards that stand before every UPS; from the UPS on, and
    /// where there is none, they may share nothing.
    #[must_use]
    pub fn is_shared(&self, node: usize) -> bool {
        self.shared.get(node).copied().unwrap_or(false)
    }

    /// All nodes that a rack hangs on.
    #[must_use]
    pub fn ancestors(&self, rack: usize) -> &BTreeSet<usize> {
        &self.reach[rack].ancestors
    }

    /// How many independent paths a rack has when all is well.
    #[must_use]
    pub fn configured(&self, rack: usize) -> usize {
        self.reach[rack].paths
    }

    /// Whether the loss of this node alone costs the rack a path.
    #[must_use]
    pub fn is_critical(&self, rack: usize, node: usize) -> bool {
        self.reach[rack].critical.contains(&node)
    }

    /// How many independent paths a rack has over the nodes that are `good`.
    #[must_use]
    pub fn paths(&self, rack: usize, good: impl Fn(usize) -> bool) -> usize {
        flow::independent(self, rack, good)
    }

    /// The number that a transfer switch has for what feeds it: utilities and others come first,
    /// generators last, each in the order of the configuration (`1` utility, `2` generator).
    #[must_use]
    pub fn source_number(&self, ats: usize, input: usize) -> Option<usize> {
        let inputs = &self.nodes[ats].fed_by;
        let generator = |by: &&usize| self.nodes[**by].kind == Kind::Generator;
        let others = inputs.iter().filter(|by| !generator(by));
        let mut ordered = others.chain(inputs.iter().filter(generator));
        ordered.position(|by| *by == input).map(|at| at + 1)
    }

    /// Which nodes give nothing, when those of `lost` do not: what is fed only by such nodes. A UPS
    /// has its battery: it gives nothing only when that itself is known.
    #[must_use]
    pub fn dead(&self, lost: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut dead = lost.clone();
        for (at, node) in self.nodes.iter().enumerate() {
            let carries = node.kind == Kind::Ups || node.fed_by.is_empty();
            if !carries && node.fed_by.iter().all(|by| dead.contains(by)) {
                dead.insert(at);
            }
        }
        dead
    }
}
