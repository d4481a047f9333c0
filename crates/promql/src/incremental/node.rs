//! The rows of an operator.

use hallwatch_model::Labels;

use super::aggregate::Aggregate;
use super::each::Each;
use super::join::Join;
use super::leaf::Leaf;
use super::relabel::Relabel;
use super::root::Root;
use super::scalar::Scalar;
use super::sets::Sets;
use crate::error::Error;

/// The number of an operator. What it reads has lower numbers.
pub(super) type NodeId = u32;
/// The number of a row of an operator.
pub(super) type Slot = u32;

/// No value.
pub(super) const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

#[inline]
pub(super) fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

pub(super) fn at(number: u32) -> usize {
    number as usize
}

#[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 rows")]
pub(super) fn number(at: usize) -> u32 {
    at as u32
}

/// An operator with its result.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) out: Out,
    /// Who reads the result, and as which of its inputs.
    pub(super) parents: Vec<(NodeId, u8)>,
    /// Who only asks which rows have a value.
    pub(super) observers: Vec<(NodeId, u8)>,
    /// Rows of inputs that changed.
    pub(super) inbox: Vec<(u8, Slot)>,
    pub(super) queued: bool,
    /// All rows have to be calculated anew.
    pub(super) refresh: bool,
    /// Somebody wants to know which rows have a value.
    pub(super) is_watched: bool,
    /// How often rows came to have a value or lost it, while that was watched.
    pub(super) flips: u64,
    pub(super) is_fallible: bool,
}

/// What an operator does.
#[derive(Debug)]
pub(super) enum Op {
    Leaf(Leaf),
    Each(Each),
    Scalar(Scalar),
    Aggregate(Box<Aggregate>),
    Sets(Box<Sets>),
    Join(Box<Join>),
    Relabel(Box<Relabel>),
    /// `absent` of a vector.
    Absent(NodeId),
    /// A vector of one scalar.
    Vector(NodeId),
    Root(Box<Root>),
}

impl Op {
    /// Whether it only asks which rows of an input have a value.
    pub(super) fn observes(&self, port: u8) -> bool {
        match self {
            Self::Absent(_) => true,
            Self::Sets(sets) => sets.observes(port),
            Self::Aggregate(aggregate) => port == 0 && aggregate.counts(),
            _ => false,
        }
    }
}

/// The result of an operator that is a vector.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) values: Vec<f64>,
    pub(super) names: Names,
    /// How many rows have a value.
    pub(super) present: usize,
    /// The sum of their numbers: of a single one, its number.
    present_sum: usize,
    /// Rows that changed since they were last told.
    pub(super) changed: Vec<Slot>,
    /// Those that have a value now and had none, or the other way round.
    pub(super) flipped: Vec<Slot>,
}

/// Whose labels the rows have.
#[derive(Debug)]
pub(super) enum Names {
    /// Labels of their own, and whether the metric name is to be dropped at the end.
    Own(Vec<(Labels, bool)>),
    /// Those of this operator's rows of the same number; the metric name is dropped if `drops`.
    Of { node: NodeId, drops: bool },
}

impl Out {
    pub(super) fn new(names: Names) -> Self {
        let (changed, flipped) = (Vec::new(), Vec::new());
        Self { values: Vec::new(), names, present: 0, present_sum: 0, changed, flipped }
    }

    /// Adds a row with labels of its own; its number.
    pub(super) fn row(&mut self, labels: Labels, drop_name: bool) -> Slot {
        if let Names::Own(names) = &mut self.names {
            names.push((labels, drop_name));
        }
        self.values.push(ABSENT);
        number(self.values.len() - 1)
    }

    /// Makes room for rows that have the labels of another's.
    pub(super) fn grow(&mut self, rows: usize) {
        if self.values.len() < rows {
            self.values.resize(rows, ABSENT);
        }
    }

    #[inline]
    pub(super) fn set(&mut self, slot: Slot, value: f64) {
        let cell = &mut self.values[at(slot)];
        if cell.to_bits() == value.to_bits() {
            return;
        }
        match (is_absent(*cell), is_absent(value)) {
            (true, false) => {
                self.present += 1;
                self.present_sum += at(slot);
                self.flipped.push(slot);
            }
            (false, true) => {
                self.present -= 1;
                self.present_sum -= at(slot);
                self.flipped.push(slot);
            }
            _ => {}
        }
        *cell = value;
        // A series whose past is read in changes again and again.
        if self.changed.last() != Some(&slot) {
            self.changed.push(slot);
        }
    }

    /// The only row with a value.
    pub(super) fn single(&self) -> Option<f64> {
        (self.present == 1).then(|| self.values[self.present_sum])
    }
}

impl Node {
    pub(super) fn new(op: Op, names: Names) -> Self {
        let (parents, inbox) = (Vec::new(), Vec::new());
        Self {
            op,
            out: Out::new(names),
            parents,
            observers: Vec::new(),
            inbox,
            queued: false,
            refresh: true,
            is_watched: false,
            flips: 0,
            is_fallible: false,
        }
    }

    /// Why the queries that read it have no value now.
    pub(super) fn error(&self, nodes: &[Self]) -> Option<Error> {
        match &self.op {
            Op::Join(join) => join.error(nodes),
            Op::Relabel(relabel) => relabel.error(),
            Op::Aggregate(aggregate) => aggregate.error(),
            _ => None,
        }
    }
}

/// The labels of a row, and whether the metric name is to be dropped at the end.
pub(super) fn name(nodes: &[Node], mut node: NodeId, slot: Slot) -> (&Labels, bool) {
    let mut dropped = false;
    loop {
        match &nodes[at(node)].out.names {
            Names::Own(names) => {
                let (labels, drop_name) = &names[at(slot)];
                return (labels, dropped || *drop_name);
            }
            Names::Of { node: below, drops } => {
                dropped |= drops;
                node = *below;
            }
        }
    }
}
