//! From a plan to operators. Equal parts become one operator.

use std::fmt::Write;

use regex::Regex;

use super::aggregate::{self, Aggregate};
use super::each::{self, Each};
use super::graph::Graph;
use super::guard::Guard;
use super::join::{self, Join};
use super::leaf::{self, Leaf, Over};
use super::matched::Key;
use super::node::{Names, NodeId, Op};
use super::obstacle::Obstacle;
use super::relabel::{self, Index, Relabel};
use super::scalar::Scalar;
use super::sets::Sets;
use crate::eval::labels::{absent_labels, text};
use crate::functions::aggregate::Aggregation;
use crate::functions::binary::Operator;
use crate::functions::summary::Summable;
use crate::pattern::from_go;
use crate::plan::{Cardinality, Function, Grouping, Kind, Matching, Node, Select};
use hallwatch_model::Labels;

type Compiled = Result<NodeId, Obstacle>;

/// A function of a window, and what it takes.
struct Windowed<'n> {
    over: Over,
    window: &'n Node,
    scalars: Vec<NodeId>,
}

/// Whether a node is a scalar.
pub(super) fn is_scalar(node: &Node) -> bool {
    match &node.kind {
        Kind::Number(_) => true,
        Kind::Negate(inner) => is_scalar(inner),
        Kind::Binary { sides, .. } => sides.iter().all(is_scalar),
        Kind::Call { function, .. } => matches!(
            function,
            Function::Scalar
                | Function::Time
                | Function::Pi
                | Function::QueryStart
                | Function::QueryEnd
                | Function::QueryStep
                | Function::QueryRange
                | Function::MaxOf
                | Function::MinOf
        ),
        _ => false,
    }
}

impl Graph {
    pub(super) fn scalar(&mut self, node: &Node) -> Compiled {
        let (key, op, children) = match &node.kind {
            Kind::Number(number) => {
                (format!("n{:x}", number.to_bits()), Scalar::Constant(*number), vec![])
            }
            Kind::Negate(inner) => {
                let inner = self.scalar(inner)?;
                (format!("s-{inner}"), Scalar::Negate(inner), vec![inner])
            }
            Kind::Binary { op, sides, .. } => {
                let (a, b) = (self.scalar(&sides[0])?, self.scalar(&sides[1])?);
                (format!("s{op:?} {a} {b}"), Scalar::Binary(*op, a, b), vec![a, b])
            }
            Kind::Call { function, args } => match (function, &args[..]) {
                (Function::Scalar, [vector]) => {
                    let vector = self.vector(vector)?;
                    (format!("sof {vector}"), Scalar::Of(vector), vec![vector])
                }
                (Function::MaxOf, [a, b]) => {
                    let (a, b) = (self.scalar(a)?, self.scalar(b)?);
                    (format!("smax {a} {b}"), Scalar::MaxOf(a, b), vec![a, b])
                }
                (Function::MinOf, [a, b]) => {
                    let (a, b) = (self.scalar(a)?, self.scalar(b)?);
                    (format!("smin {a} {b}"), Scalar::MinOf(a, b), vec![a, b])
                }
                (Function::Time | Function::QueryStart | Function::QueryEnd, _) => {
                    ("stime".into(), Scalar::Time, vec![])
                }
                (Function::Pi, _) => ("spi".into(), Scalar::Constant(std::f64::consts::PI), vec![]),
                (Function::QueryStep | Function::QueryRange, _) => {
                    ("n0".into(), Scalar::Constant(0.0), vec![])
                }
                _ => return Err(Obstacle::Type),
            },
            _ => return Err(Obstacle::Type),
        };
        let timed = matches!(op, Scalar::Time | Scalar::Date(_))
            || children.iter().any(|child| self.is_timed_scalar(*child));
        let id = self.intern(key, Op::Scalar(op), Names::Own(Vec::new()), &ports(&children));
        if timed {
            self.note_timed_scalar(id);
        }
        Ok(id)
    }

    /// Only dispatches: this recurses, and the stack is finite.
    pub(super) fn vector(&mut self, node: &Node) -> Compiled {
        match &node.kind {
            Kind::Select(select) => self.leaf(select, leaf::Kind::Value, false, &[], None),
            Kind::Window { .. } | Kind::Text(_) | Kind::Number(_) => Err(Obstacle::Type),
            Kind::Subquery { .. } => Err(Obstacle::Subquery),
            Kind::Negate(inner) => {
                let vector = self.vector(inner)?;
                self.each(vector, each::What::Negate, &[])
            }
            Kind::Call { function, args } => self.call(*function, args),
            Kind::Aggregate { op, grouping, param, inner } => {
                self.aggregate(*op, grouping, param.as_deref(), inner)
            }
            Kind::Binary { op, bool_result, matching, sides } => {
                self.binary(*op, *bool_result, matching, sides)
            }
        }
    }

    fn leaf(
        &mut self,
        select: &Select,
        kind: leaf::Kind,
        drops_name: bool,
        scalars: &[NodeId],
        guard: Option<Guard>,
    ) -> Compiled {
        if select.shift.at.is_some() {
            return Err(Obstacle::FixedTime);
        }
        if select.shift.offset < 0 {
            return Err(Obstacle::Future);
        }
        let offset = select.shift.offset;
        let mut key =
            format!("leaf {} {offset} {drops_name} {kind:?} {scalars:?}", select.matchers);
        if let Some(guard) = &guard {
            write!(key, " {guard:?}").map_err(|_| Obstacle::Type)?;
        }
        let timed = matches!(&kind, leaf::Kind::Window { over, .. } if over.is_timed());
        let fallible = matches!(&kind, leaf::Kind::Window { over: Over::Smooth(..), .. });
        let leaf = Leaf::new(select.matchers.clone(), offset, kind, drops_name);
        let leaf = match guard {
            Some(guard) => leaf.guarded(guard),
            None => leaf,
        };
        let ports: Vec<(NodeId, u8)> =
            scalars.iter().zip(1..).map(|(id, port)| (*id, port)).collect();
        let known = self.len();
        let id = self.intern(key, Op::Leaf(leaf), Names::Own(Vec::new()), &ports);
        if self.len() > known {
            self.note_leaf(id);
            if timed {
                self.note_timed(id);
            }
            if fallible {
                self.note_fallible(id);
            }
        }
        Ok(id)
    }

    fn window(&mut self, node: &Node, drops: bool, over: Over, scalars: &[NodeId]) -> Compiled {
        match &node.kind {
            Kind::Window { select, range } => {
                self.leaf(select, leaf::Kind::Window { range: *range, over }, drops, scalars, None)
            }
            Kind::Subquery { .. } => Err(Obstacle::Subquery),
            _ => Err(Obstacle::Type),
        }
    }

    /// A vector that is compared with a number, as one operator that calculates only what may pass.
    /// `None` when that takes two.
    fn guarded(
        &mut self,
        vector: &Node,
        op: Operator,
        bound: f64,
    ) -> Result<Option<NodeId>, Obstacle> {
        let (select, kind, scalars, guard) = match &vector.kind {
            Kind::Select(select) => {
                (select, leaf::Kind::Value, Vec::new(), Some(Guard::of_values(op, bound)))
            }
            Kind::Call { function, args } => {
                let Some(Windowed { over, window, scalars }) = self.over(*function, args)? else {
                    return Ok(None);
                };
                let Kind::Window { select, range } = &window.kind else { return Ok(None) };
                let is_between = |q: &Node| constant(q).is_some_and(|q| (0.0..=1.0).contains(&q));
                let lies_between = !matches!(over, Over::Quantile(_)) || is_between(&args[0]);
                let guard = Guard::of_window(over, *range, op, bound).filter(|_| lies_between);
                (select, leaf::Kind::Window { range: *range, over }, scalars, guard)
            }
            _ => return Ok(None),
        };
        if guard.is_none() || select.shift.offset != 0 {
            return Ok(None);
        }
        let drops_name = matches!(kind, leaf::Kind::Window { .. });
        self.leaf(select, kind, drops_name, &scalars, guard).map(Some)
    }

    /// What a function does with a window so that its result loses the metric name, the window, and
    /// the scalars that it takes. `None` of other functions.
    fn over<'n>(
        &mut self,
        function: Function,
        args: &'n [Node],
    ) -> Result<Option<Windowed<'n>>, Obstacle> {
        let [first, ..] = args else { return Ok(None) };
        let (over, window, scalars) = match function {
            Function::Summable(Summable::Average, f) => (Over::Between(f), first, vec![]),
            Function::Window(f) | Function::Summable(_, f) => (Over::Plain(f), first, vec![]),
            Function::Delta(f) => (Over::Extrapolated(f), first, vec![]),
            Function::Counter { per_second } => (Over::Counter { per_second }, first, vec![]),
            Function::MinOverTime => (Over::Extreme { largest: false }, first, vec![]),
            Function::MaxOverTime => (Over::Extreme { largest: true }, first, vec![]),
            Function::QuantileOverTime => {
                let window = args.get(1).ok_or(Obstacle::Type)?;
                let q = self.untimed(first)?;
                (Over::Quantile(q), window, vec![q])
            }
            Function::PredictLinear => {
                let ahead = self.scalar(args.get(1).ok_or(Obstacle::Type)?)?;
                (Over::Predict(ahead), first, vec![ahead])
            }
            Function::Smoothing => {
                let [_, smoothing, trend] = args else { return Err(Obstacle::Type) };
                (Over::Smooth(factor(smoothing)?, factor(trend)?), first, vec![])
            }
            _ => return Ok(None),
        };
        Ok(Some(Windowed { over, window, scalars }))
    }

    fn each(&mut self, vector: NodeId, what: each::What, scalars: &[NodeId]) -> Compiled {
        let keeps = matches!(
            &what,
            each::What::With { op, bool_result: false, .. } if op.is_comparison()
        );
        let timed = matches!(what, each::What::Timestamp)
            || scalars.iter().any(|scalar| self.is_timed_scalar(*scalar));
        let mut children = vec![vector];
        children.extend(scalars);
        let key = format!("each {vector} {what:?}");
        let names = Names::Of { node: vector, drops: !keeps };
        let id = self.intern(key, Op::Each(Each { vector, what }), names, &ports(&children));
        if timed {
            self.note_timed(id);
        }
        Ok(id)
    }

    fn call(&mut self, function: Function, args: &[Node]) -> Compiled {
        let Some(first) = args.first() else {
            return match function {
                Function::Date(f) => {
                    let op = Op::Scalar(Scalar::Date(f));
                    let names = Names::Own(Vec::new());
                    let scalar = self.intern(format!("sdate {f:?}"), op, names, &[]);
                    self.note_timed_scalar(scalar);
                    Ok(self.vector_of(scalar))
                }
                _ => Err(Obstacle::Type),
            };
        };
        if let Some(Windowed { over, window, scalars }) = self.over(function, args)? {
            return self.window(window, true, over, &scalars);
        }
        match function {
            Function::Map(f) | Function::Date(f) => {
                let vector = self.vector(first)?;
                self.each(vector, each::What::Map(f), &[])
            }
            Function::NamedWindow(_, f) => self.window(first, false, Over::Plain(f), &[]),
            Function::Absent | Function::AbsentOverTime => self.absent(function, first),
            Function::Clamp | Function::ClampMin | Function::ClampMax | Function::Round => {
                self.bounded(function, first, &args[1..])
            }
            Function::Vector => {
                let scalar = self.scalar(first)?;
                Ok(self.vector_of(scalar))
            }
            Function::Timestamp => match &first.kind {
                Kind::Select(select) => self.leaf(select, leaf::Kind::Stamp, true, &[], None),
                _ => {
                    let vector = self.vector(first)?;
                    self.each(vector, each::What::Timestamp, &[])
                }
            },
            Function::LabelReplace => self.label_replace(first, &args[1..]),
            Function::LabelJoin => self.label_join(first, &args[1..]),
            // The order of a result is nobody's concern here.
            Function::Sort { .. } | Function::SortByLabel { .. } => self.vector(first),
            Function::HistogramQuantile => {
                let q = self.scalar(first)?;
                let vector = self.vector(args.get(1).ok_or(Obstacle::Type)?)?;
                let what = aggregate::What::Histogram(q);
                Ok(self.grouped(vector, &Key::AllButOne("le"), what, Some(q)))
            }
            Function::HistogramQuantiles
            | Function::HistogramFraction
            | Function::NativeHistogram => Err(Obstacle::Histogram),
            _ => Err(Obstacle::Type),
        }
    }

    /// A scalar that does not change with time alone.
    fn untimed(&mut self, node: &Node) -> Compiled {
        let scalar = self.scalar(node)?;
        if self.is_timed_scalar(scalar) { Err(Obstacle::Argument) } else { Ok(scalar) }
    }

    fn vector_of(&mut self, scalar: NodeId) -> NodeId {
        let names = Names::Own(Vec::new());
        let known = self.len();
        let id =
            self.intern(format!("vector {scalar}"), Op::Vector(scalar), names, &ports(&[scalar]));
        if self.len() > known {
            self.add_row(id, Labels::empty());
            if self.is_timed_scalar(scalar) {
                self.note_timed(id);
            }
        }
        id
    }

    fn absent(&mut self, function: Function, arg: &Node) -> Compiled {
        let vector = match function {
            Function::AbsentOverTime => self.window(arg, false, Over::Presence, &[])?,
            _ => self.vector(arg)?,
        };
        let labels = absent_labels(arg);
        let known = self.len();
        let key = format!("absent {vector} {labels}");
        let id = self.intern(key, Op::Absent(vector), Names::Own(Vec::new()), &ports(&[vector]));
        if self.len() > known {
            self.add_row(id, labels);
        }
        Ok(id)
    }

    fn bounded(&mut self, function: Function, vector: &Node, bounds: &[Node]) -> Compiled {
        let vector = self.vector(vector)?;
        let bounds =
            bounds.iter().map(|bound| self.scalar(bound)).collect::<Result<Vec<_>, _>>()?;
        let what = match (function, &bounds[..]) {
            (Function::Clamp, [least, most]) => each::What::Clamp(*least, *most),
            (Function::ClampMin, [bound]) => each::What::ClampMin(*bound),
            (Function::ClampMax, [bound]) => each::What::ClampMax(*bound),
            (Function::Round, nearest) => each::What::Round(nearest.first().copied()),
            _ => return Err(Obstacle::Type),
        };
        self.each(vector, what, &bounds)
    }

    fn label_replace(&mut self, vector: &Node, args: &[Node]) -> Compiled {
        let [destination, replacement, source, pattern] = args else {
            return Err(Obstacle::Type);
        };
        let regex = Regex::new(&format!("^(?s:{})$", from_go(text(pattern))));
        let what = relabel::What::Replace {
            destination: label(destination)?,
            replacement: text(replacement).to_owned(),
            source: text(source).to_owned(),
            pattern: regex.map_err(|_| Obstacle::Argument)?,
        };
        self.relabel(vector, what)
    }

    fn label_join(&mut self, vector: &Node, args: &[Node]) -> Compiled {
        let [destination, separator, sources @ ..] = args else { return Err(Obstacle::Type) };
        let what = relabel::What::Join {
            destination: label(destination)?,
            separator: text(separator).to_owned(),
            sources: sources.iter().map(label).collect::<Result<_, _>>()?,
        };
        self.relabel(vector, what)
    }

    fn relabel(&mut self, vector: &Node, what: relabel::What) -> Compiled {
        let vector = self.vector(vector)?;
        let key = format!("relabel {vector} {what:?}");
        let op = Op::Relabel(Box::new(Relabel { vector, what, index: Index::default() }));
        let id = self.intern(key, op, Names::Own(Vec::new()), &ports(&[vector]));
        self.note_fallible(id);
        Ok(id)
    }

    fn grouped(
        &mut self,
        vector: NodeId,
        group: &Key,
        what: aggregate::What,
        param: Option<NodeId>,
    ) -> NodeId {
        let picks = matches!(what, aggregate::What::Best { .. });
        let key = format!("grouped {vector} {group:?} {what:?}");
        let names =
            if picks { Names::Of { node: vector, drops: false } } else { Names::Own(Vec::new()) };
        let mut children = vec![vector];
        children.extend(param);
        let op = Op::Aggregate(Box::new(Aggregate::new(vector, group.clone(), what)));
        let id = self.intern(key, op, names, &ports(&children));
        if picks {
            self.note_fallible(id);
        }
        if param.is_some_and(|param| self.is_timed_scalar(param)) {
            self.note_timed(id);
        }
        id
    }

    fn aggregate(
        &mut self,
        op: Aggregation,
        grouping: &Grouping,
        param: Option<&Node>,
        inner: &Node,
    ) -> Compiled {
        match op {
            Aggregation::CountValues => return Err(Obstacle::CountValues),
            Aggregation::Limitk | Aggregation::LimitRatio => return Err(Obstacle::Limit),
            _ => {}
        }
        if !grouping.without && grouping.labels.iter().any(|label| &**label == "__name__") {
            return Err(Obstacle::GroupByName);
        }
        let param = param.map(|param| self.scalar(param)).transpose()?;
        let vector = self.vector(inner)?;
        let labels = grouping.labels.clone();
        let key = if grouping.without { Key::AllBut(labels) } else { Key::Only(labels) };
        let what = match (op, param) {
            (Aggregation::Topk, Some(k)) => aggregate::What::Best { largest: true, k },
            (Aggregation::Bottomk, Some(k)) => aggregate::What::Best { largest: false, k },
            (Aggregation::Quantile, Some(q)) => aggregate::What::Quantile(q),
            (op, _) => aggregate::What::Fold(op),
        };
        Ok(self.grouped(vector, &key, what, param))
    }

    fn binary(
        &mut self,
        op: Operator,
        bool_result: bool,
        matching: &Matching,
        sides: &[Node; 2],
    ) -> Compiled {
        let [left, right] = sides;
        let (vector, other, swapped) = match (is_scalar(left), is_scalar(right)) {
            (false, false) => return self.both(op, bool_result, matching, sides),
            (false, true) => (left, right, false),
            (true, false) => (right, left, true),
            (true, true) => return Err(Obstacle::Type),
        };
        if op.is_comparison()
            && !bool_result
            && let Some(bound) = constant(other)
        {
            let op = if swapped { op.mirrored() } else { op };
            if let Some(leaf) = self.guarded(vector, op, bound)? {
                return Ok(leaf);
            }
        }
        let vector = self.vector(vector)?;
        let scalar = self.scalar(other)?;
        self.each(vector, each::What::With { op, bool_result, swapped, scalar }, &[scalar])
    }

    fn both(
        &mut self,
        op: Operator,
        bool_result: bool,
        matching: &Matching,
        sides: &[Node; 2],
    ) -> Compiled {
        if matching.fill_left.is_some() || matching.fill_right.is_some() {
            return Err(Obstacle::Fill);
        }
        let (left, right) = (self.vector(&sides[0])?, self.vector(&sides[1])?);
        let labels = matching.labels.clone();
        let group = if matching.on { Key::Only(labels) } else { Key::AllBut(labels) };
        let mut key = format!("{op:?} {bool_result} {left} {right} {group:?}");
        let (cardinality, include) = (matching.cardinality, &matching.include);
        write!(key, " {cardinality:?} {include:?}").map_err(|_| Obstacle::Type)?;
        if op.is_set() {
            let names = match op {
                Operator::Or => Names::Own(Vec::new()),
                _ => Names::Of { node: left, drops: false },
            };
            let op = Op::Sets(Box::new(Sets::new(op, group, [left, right])));
            return Ok(self.intern(key, op, names, &ports(&[left, right])));
        }
        let swapped = cardinality == Cardinality::OneToMany;
        let sides = if swapped { [right, left] } else { [left, right] };
        let join = Join {
            op,
            bool_result,
            cardinality,
            on: matching.on,
            labels: matching.labels.clone(),
            include: include.clone(),
            sides,
            state: join::State::new(group),
        };
        let op = Op::Join(Box::new(join));
        let id = self.intern(key, op, Names::Own(Vec::new()), &ports(&sides));
        self.note_fallible(id);
        Ok(id)
    }
}

fn ports(children: &[NodeId]) -> Vec<(NodeId, u8)> {
    children.iter().zip(0..).map(|(child, port)| (*child, port)).collect()
}

/// A scalar that is the same everywhere and always.
fn constant(node: &Node) -> Option<f64> {
    match &node.kind {
        Kind::Number(number) => Some(*number),
        Kind::Negate(inner) => constant(inner).map(|number| -number),
        Kind::Binary { op, sides, .. } if !op.is_set() => {
            Some(op.apply(constant(&sides[0])?, constant(&sides[1])?))
        }
        _ => None,
    }
}

/// A label name from a literal.
fn label(node: &Node) -> Result<String, Obstacle> {
    match &node.kind {
        Kind::Text(text) if text.not_utf8.is_none() && !text.value.is_empty() => {
            Ok(text.value.clone())
        }
        _ => Err(Obstacle::Argument),
    }
}

/// A smoothing factor that is a number and in its bounds; whether another one is an error depends on
/// whether there are samples.
fn factor(node: &Node) -> Result<f64, Obstacle> {
    match node.kind {
        Kind::Number(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err(Obstacle::Argument),
    }
}
