//! Scalars. They keep nothing: whoever reads one calculates it from what is below.

use hallwatch_model::Timestamp;

use super::node::{Node, NodeId, Op, at};
use crate::functions::binary::Operator;
use crate::functions::math;

#[derive(Debug)]
pub(super) enum Scalar {
    Constant(f64),
    /// The time of evaluation.
    Time,
    /// Of the time of evaluation.
    Date(fn(f64) -> f64),
    Negate(NodeId),
    Binary(Operator, NodeId, NodeId),
    MaxOf(NodeId, NodeId),
    MinOf(NodeId, NodeId),
    /// The only row of a vector.
    Of(NodeId),
}

/// The value of a scalar at `now`.
pub(super) fn scalar(nodes: &[Node], node: NodeId, now: i64) -> f64 {
    let value = |node: NodeId| scalar(nodes, node, now);
    let Op::Scalar(op) = &nodes[at(node)].op else { return f64::NAN };
    match op {
        Scalar::Constant(number) => *number,
        Scalar::Time => Timestamp::from_millis(now).as_seconds(),
        Scalar::Date(f) => f(Timestamp::from_millis(now).as_seconds()),
        Scalar::Negate(inner) => -value(*inner),
        Scalar::Binary(op, a, b) => op.apply(value(*a), value(*b)),
        Scalar::MaxOf(a, b) => math::max(value(*a), value(*b)),
        Scalar::MinOf(a, b) => math::min(value(*a), value(*b)),
        Scalar::Of(vector) => nodes[at(*vector)].out.single().unwrap_or(f64::NAN),
    }
}
