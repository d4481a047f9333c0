//! Operators that make one value of one value: each row stands alone.

use hallwatch_model::Timestamp;

use super::node::{ABSENT, Node, NodeId, Out, Slot, at, is_absent, number};
use super::scalar::scalar;
use crate::functions::binary::Operator;
use crate::functions::math;

#[derive(Debug)]
pub(super) struct Each {
    pub(super) vector: NodeId,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Map(fn(f64) -> f64),
    Negate,
    /// With a scalar; `swapped` when it stands on the left.
    With {
        op: Operator,
        bool_result: bool,
        swapped: bool,
        scalar: NodeId,
    },
    Clamp(NodeId, NodeId),
    ClampMin(NodeId),
    ClampMax(NodeId),
    Round(Option<NodeId>),
    /// The time of evaluation, where there is a value.
    Timestamp,
}

impl Each {
    /// The input with number 0 is the vector; a change of any other concerns all rows.
    pub(super) fn process(
        &self,
        below: &[Node],
        inbox: &[(u8, Slot)],
        refresh: bool,
        now: i64,
        out: &mut Out,
    ) {
        let values = &below[at(self.vector)].out.values;
        out.grow(values.len());
        let f = self.function(below, now);
        if refresh || inbox.iter().any(|(port, _)| *port > 0) {
            for (slot, value) in values.iter().enumerate() {
                out.set(number(slot), if is_absent(*value) { ABSENT } else { f(*value) });
            }
            return;
        }
        for (_, slot) in inbox {
            let value = values[at(*slot)];
            out.set(*slot, if is_absent(value) { ABSENT } else { f(value) });
        }
    }

    fn function(&self, below: &[Node], now: i64) -> impl Fn(f64) -> f64 {
        let of = |node: NodeId| scalar(below, node, now);
        let (a, b) = match &self.what {
            What::Map(_) | What::Negate => (0.0, 0.0),
            What::With { scalar, .. } => (of(*scalar), 0.0),
            What::Clamp(least, most) => (of(*least), of(*most)),
            What::ClampMin(bound) | What::ClampMax(bound) => (of(*bound), 0.0),
            What::Round(nearest) => (nearest.map_or(1.0, of), 0.0),
            What::Timestamp => (Timestamp::from_millis(now).as_seconds(), 0.0),
        };
        let what = &self.what;
        move |value| match what {
            What::Map(f) => f(value),
            What::Negate => -value,
            What::With { op, bool_result, swapped, .. } => {
                let result = if *swapped { op.apply(a, value) } else { op.apply(value, a) };
                if !op.is_comparison() || *bool_result {
                    result
                } else if result == 0.0 {
                    ABSENT
                } else {
                    value
                }
            }
            What::Clamp(..) if b < a => ABSENT,
            What::Clamp(..) => math::max(a, math::min(b, value)),
            What::ClampMin(_) => math::max(a, value),
            What::ClampMax(_) => math::min(a, value),
            What::Round(_) => math::round(value, a),
            What::Timestamp => a,
        }
    }
}
