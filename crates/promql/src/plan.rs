//! The checked form of a query: the parser's tree with functions resolved, matchers built, times in
//! milliseconds, parentheses gone and the place in the text (which the parser does not keep) known.

mod lower;
mod tokens;

use std::sync::Arc;

use crate::functions::aggregate::Aggregation;
use crate::functions::binary::Operator;
use crate::functions::summary::Summable;
use crate::functions::window;
use crate::matchers::Matchers;
use crate::notes::Position;

pub(crate) use lower::{lower, register_functions};
pub(crate) use tokens::scan;

/// How deep a plan may be nested: evaluation recurses.
pub(crate) const MAX_DEPTH: usize = 200;

/// A node and where its text starts.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Number(f64),
    Text(Text),
    Select(Select),
    Window { select: Select, range: i64 },
    Subquery { inner: Box<Node>, range: i64, step: Option<i64>, shift: Shift },
    Call { function: Function, args: Vec<Node> },
    Aggregate { op: Aggregation, grouping: Grouping, param: Option<Box<Node>>, inner: Box<Node> },
    Binary { op: Operator, bool_result: bool, matching: Box<Matching>, sides: Box<[Node; 2]> },
    Negate(Box<Node>),
}

/// A string literal.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) value: String,
    /// The literal as written, when its escapes make bytes that are not UTF-8.
    pub(crate) not_utf8: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) matchers: Matchers,
    pub(crate) shift: Shift,
}

/// `@` and `offset`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    pub(crate) at: Option<At>,
    /// Milliseconds into the past.
    pub(crate) offset: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    Start,
    End,
    Time(i64),
}

/// `by` or `without`.
#[derive(Debug)]
pub(crate) struct Grouping {
    pub(crate) without: bool,
    pub(crate) labels: Vec<Arc<str>>,
}

/// `on`, `ignoring`, `group_left`, `group_right`, `fill`.
#[derive(Debug)]
pub(crate) struct Matching {
    pub(crate) on: bool,
    pub(crate) labels: Vec<Arc<str>>,
    pub(crate) cardinality: Cardinality,
    pub(crate) include: Vec<Arc<str>>,
    pub(crate) fill_left: Option<f64>,
    pub(crate) fill_right: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    OneToOne,
    ManyToOne,
    OneToMany,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    Map(fn(f64) -> f64),
    /// Takes seconds since the epoch; of the evaluation time, when called without an argument.
    Date(fn(f64) -> f64),
    Window(window::Function),
    /// One that summaries answer, too.
    Summable(Summable, window::Function),
    /// `delta`, which changes from one moment to the next.
    Delta(window::Function),
    /// `rate` (per second) and `increase`: only for counters.
    Counter {
        per_second: bool,
    },
    MinOverTime,
    MaxOverTime,
    /// `first_over_time` and `last_over_time`: the metric name stays.
    NamedWindow(Summable, window::Function),
    QuantileOverTime,
    PredictLinear,
    Smoothing,
    Absent,
    AbsentOverTime,
    Clamp,
    ClampMin,
    ClampMax,
    Round,
    Scalar,
    Vector,
    Time,
    Pi,
    QueryStart,
    QueryEnd,
    QueryStep,
    QueryRange,
    MaxOf,
    MinOf,
    Timestamp,
    LabelReplace,
    LabelJoin,
    Sort {
        descending: bool,
    },
    SortByLabel {
        descending: bool,
    },
    HistogramQuantile,
    HistogramQuantiles,
    HistogramFraction,
    /// For native histograms, which Hallwatch has none of: always empty.
    NativeHistogram,
}

impl Node {
    /// Calls `f` with this node and all below, in the order of the text.
    pub(crate) fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Node)) {
        f(self);
        match &self.kind {
            Kind::Subquery { inner, .. } | Kind::Negate(inner) => inner.visit(f),
            Kind::Call { args, .. } => args.iter().for_each(|arg| arg.visit(f)),
            Kind::Aggregate { param, inner, .. } => {
                if let Some(param) = param {
                    param.visit(f);
                }
                inner.visit(f);
            }
            Kind::Binary { sides, .. } => sides.iter().for_each(|side| side.visit(f)),
            Kind::Number(_) | Kind::Text(_) | Kind::Select(_) | Kind::Window { .. } => {}
        }
    }
}
