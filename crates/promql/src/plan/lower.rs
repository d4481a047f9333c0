//! From the parser's tree to a plan.

use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use promql_parser::parser::function::{Function as Signature, register_extra_functions};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinaryExpr, Call, Expr, LabelModifier, MatrixSelector, Offset,
    ParenExpr, SubqueryExpr, UnaryExpr, VectorMatchCardinality, VectorSelector,
};

use super::tokens::{Token, has_invalid_utf8, position};
use super::{
    At, Cardinality, Function, Grouping, Kind, MAX_DEPTH, Matching, Node, Select, Shift, Text,
};
use crate::error::{Error, millis};
use crate::functions::aggregate::Aggregation;
use crate::functions::binary::Operator;
use crate::functions::summary::Summable;
use crate::functions::{calendar, math, window};
use crate::matchers::Matchers;
use crate::notes::Position;

/// Makes functions known that the parser does not list: `holt_winters`, the name that
/// `double_exponential_smoothing` had before Prometheus 3.
pub(crate) fn register_functions() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let args = vec![ValueType::Matrix, ValueType::Scalar, ValueType::Scalar];
        let old = Signature::new("holt_winters", args, 0, ValueType::Vector, false);
        // Only fails for names that the parser already has, and then nothing is missing.
        let _known = register_extra_functions(vec![old]);
    });
}

/// Builds the plan of `expr`, which was parsed from `text` with these `tokens`.
pub(crate) fn lower(expr: &Expr, text: &str, tokens: &[Token<'_>]) -> Result<Node, Error> {
    Lower { text, tokens, next: 0, depth: 0 }.node(expr)
}

struct Lower<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    /// The tree is walked in the order of the text, so this only moves forward.
    next: usize,
    depth: usize,
}

impl Lower<'_> {
    /// Moves behind the next token that fits; its place. When there is none (which no valid query
    /// leads to), the place is where we are.
    fn find(&mut self, fits: impl Fn(&Token<'_>) -> bool) -> Position {
        let rest = self.tokens.get(self.next..).unwrap_or(&[]);
        let found = rest.iter().position(fits);
        let at = self.next + found.unwrap_or(0);
        if found.is_some() {
            self.next = at + 1;
        }
        position(self.text, self.tokens.get(at).map_or(self.text.len(), |token| token.offset))
    }

    fn peek(&self, text: &str) -> bool {
        self.tokens.get(self.next).is_some_and(|token| token.is(text))
    }

    fn skip(&mut self, text: &str) -> bool {
        let skipped = self.peek(text);
        self.next += usize::from(skipped);
        skipped
    }

    /// Skips a keyword's list of labels.
    fn skip_list(&mut self) {
        if self.peek("(") {
            self.find(|token| token.text == ")");
        }
    }

    /// Skips `offset` and `@` behind a selector.
    fn skip_shift(&mut self) {
        loop {
            if self.skip("offset") {
                while self.skip("-") || self.skip("+") {}
                self.next += 1;
            } else if self.skip("@") {
                while self.skip("-") || self.skip("+") {}
                self.next += 1;
                self.skip_list();
            } else {
                return;
            }
        }
    }

    fn node(&mut self, expr: &Expr) -> Result<Node, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::TooComplex);
        }
        let node = self.any(expr);
        self.depth -= 1;
        node
    }

    /// Only dispatches: this recurses, and the stack is finite.
    fn any(&mut self, expr: &Expr) -> Result<Node, Error> {
        self.check_plus(expr)?;
        match expr {
            Expr::Paren(paren) => self.paren(paren),
            Expr::NumberLiteral(number) => self.number(number.val),
            Expr::StringLiteral(literal) => Ok(self.literal(&literal.val)),
            Expr::Unary(unary) => self.negate(unary),
            Expr::VectorSelector(selector) => self.instant_selector(selector),
            Expr::MatrixSelector(matrix) => self.range_selector(matrix),
            Expr::Subquery(subquery) => self.subquery(subquery),
            Expr::Call(call) => self.call(call),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Extension(_) => Err(Error::Unsupported { what: "an extension" }),
        }
    }

    /// The parser forgets a `+` before anything.
    fn check_plus(&self, expr: &Expr) -> Result<(), Error> {
        let ahead = self.tokens.get(self.next..).unwrap_or(&[]);
        let first = ahead.iter().find(|token| token.text != ",");
        let found = expr.value_type();
        if first.is_some_and(|token| token.text == "+")
            && matches!(found, ValueType::Matrix | ValueType::String)
        {
            let reason = format!(
                "unary expression only allowed on expressions of type scalar or instant vector, \
                 got \"{}\"",
                if found == ValueType::Matrix { "range vector" } else { "string" }
            );
            return Err(Error::Parse { reason });
        }
        Ok(())
    }

    fn paren(&mut self, paren: &ParenExpr) -> Result<Node, Error> {
        self.find(|token| token.text == "(");
        let inner = self.node(&paren.expr)?;
        self.find(|token| token.text == ")");
        Ok(inner)
    }

    fn number(&mut self, value: f64) -> Result<Node, Error> {
        let from = self.tokens.get(self.next).map_or(0, |token| token.offset);
        let signed = self.peek("-") || self.peek("+");
        let mut at = self.find(|token| token.is_number());
        let written = self.tokens.get(self.next.wrapping_sub(1)).map_or("", |token| token.text);
        // The parser makes an infinity of digits, too.
        if value.is_infinite() && written.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let reason = format!("error parsing number: {written:?} is out of range");
            return Err(Error::Parse { reason });
        }
        if signed {
            at = position(self.text, from);
        }
        Ok(Node { at, kind: Kind::Number(value) })
    }

    fn literal(&mut self, value: &str) -> Node {
        let at = self.find(|token| token.is_text());
        let written = self.tokens.get(self.next.wrapping_sub(1)).map(|token| token.text);
        let not_utf8 = written.filter(|text| has_invalid_utf8(text)).map(str::to_owned);
        Node { at, kind: Kind::Text(Text { value: value.to_owned(), not_utf8 }) }
    }

    fn negate(&mut self, unary: &UnaryExpr) -> Result<Node, Error> {
        let at = self.find(|token| token.text == "-");
        let inner = self.node(&unary.expr)?;
        Ok(Node { at, kind: Kind::Negate(Box::new(inner)) })
    }

    fn instant_selector(&mut self, selector: &VectorSelector) -> Result<Node, Error> {
        let at = self.selector(selector);
        self.skip_shift();
        Ok(Node { at, kind: Kind::Select(select(selector)?) })
    }

    fn range_selector(&mut self, matrix: &MatrixSelector) -> Result<Node, Error> {
        let at = self.selector(&matrix.vs);
        self.find(|token| token.text == "]");
        self.skip_shift();
        let range = millis(matrix.range);
        Ok(Node { at, kind: Kind::Window { select: select(&matrix.vs)?, range } })
    }

    fn subquery(&mut self, subquery: &SubqueryExpr) -> Result<Node, Error> {
        let inner = Box::new(self.node(&subquery.expr)?);
        self.find(|token| token.text == "]");
        self.skip_shift();
        let shift = shift(subquery.at.as_ref(), subquery.offset.as_ref());
        let (range, step) = (millis(subquery.range), subquery.step.map(millis));
        Ok(Node { at: inner.at, kind: Kind::Subquery { inner, range, step, shift } })
    }

    /// Moves behind the name and the braces of a selector.
    fn selector(&mut self, selector: &VectorSelector) -> Position {
        let name = selector.name.as_deref();
        let at = self.find(|token| token.text == "{" || Some(token.text) == name);
        let braces = self.tokens.get(self.next.wrapping_sub(1)).is_some_and(|t| t.text == "{");
        if braces || self.peek("{") {
            self.find(|token| token.text == "}");
        }
        at
    }

    fn call(&mut self, call: &Call) -> Result<Node, Error> {
        let name = call.func.name;
        let at = self.find(|token| token.is_word() && token.text == name);
        self.skip("(");
        let function = function(name).ok_or(Error::Unsupported { what: name })?;
        check_arguments(call)?;
        let args = call.args.args.iter().map(|arg| self.node(arg)).collect::<Result<_, _>>()?;
        self.find(|token| token.text == ")");
        Ok(Node { at, kind: Kind::Call { function, args } })
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr) -> Result<Node, Error> {
        let name = aggregate.op.to_string();
        let at = self.find(|token| token.is(&name));
        let op =
            Aggregation::named(&name).ok_or(Error::Unsupported { what: "this aggregation" })?;
        self.skip_grouping();
        self.skip("(");
        check_parameter(op, aggregate)?;
        let param = aggregate.param.as_ref().map(|param| self.node(param)).transpose()?;
        let inner = self.node(&aggregate.expr)?;
        self.find(|token| token.text == ")");
        self.skip_grouping();
        let grouping = grouping(aggregate);
        let param = param.map(Box::new);
        Ok(Node { at, kind: Kind::Aggregate { op, grouping, param, inner: Box::new(inner) } })
    }

    fn skip_grouping(&mut self) {
        if self.skip("by") || self.skip("without") {
            self.skip_list();
        }
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Result<Node, Error> {
        let lhs = self.node(&binary.lhs)?;
        let name = binary.op.to_string();
        self.find(|token| token.is(&name));
        let op = Operator::named(&name).ok_or(Error::Unsupported { what: "this operator" })?;
        self.skip("bool");
        loop {
            let keyword =
                ["on", "ignoring", "group_left", "group_right"].iter().any(|word| self.skip(word))
                    || ["fill", "fill_left", "fill_right"].iter().any(|word| self.skip(word));
            if !keyword {
                break;
            }
            self.skip_list();
        }
        let rhs = self.node(&binary.rhs)?;
        let (matching, bool_result) = matching(binary);
        let matching = Box::new(matching);
        let at = lhs.at;
        let sides = Box::new([lhs, rhs]);
        Ok(Node { at, kind: Kind::Binary { op, bool_result, matching, sides } })
    }
}

/// The parser takes scalars for some constants where only a vector has a meaning.
fn check_arguments(call: &Call) -> Result<(), Error> {
    let name = call.func.name;
    for (i, arg) in call.args.args.iter().enumerate() {
        let expected = call.func.arg_types.get(i).or(call.func.arg_types.last());
        if let Some(expected) = expected
            && arg.value_type() != *expected
        {
            let found = arg.value_type();
            let reason =
                format!("expected type {expected} in call to function \"{name}\", got {found}");
            return Err(Error::Parse { reason });
        }
    }
    Ok(())
}

fn check_parameter(op: Aggregation, aggregate: &AggregateExpr) -> Result<(), Error> {
    if let (Some(param), false) = (&aggregate.param, op == Aggregation::CountValues)
        && param.value_type() != ValueType::Scalar
    {
        let found = param.value_type();
        let reason = format!("expected type scalar in aggregation parameter, got {found}");
        return Err(Error::Parse { reason });
    }
    Ok(())
}

fn matching(binary: &BinaryExpr) -> (Matching, bool) {
    let modifier = binary.modifier.clone().unwrap_or_default();
    let (cardinality, include) = match &modifier.card {
        VectorMatchCardinality::ManyToOne(include) => (Cardinality::ManyToOne, Some(include)),
        VectorMatchCardinality::OneToMany(include) => (Cardinality::OneToMany, Some(include)),
        _ => (Cardinality::OneToOne, None),
    };
    let matching = Matching {
        on: matches!(modifier.matching, Some(LabelModifier::Include(_))),
        labels: modifier.matching.as_ref().map_or(Vec::new(), |m| sorted(&m.labels().labels)),
        cardinality,
        include: include.map_or(Vec::new(), |include| sorted(&include.labels)),
        fill_left: modifier.fill_values.lhs,
        fill_right: modifier.fill_values.rhs,
    };
    (matching, modifier.return_bool)
}

fn grouping(aggregate: &AggregateExpr) -> Grouping {
    match &aggregate.modifier {
        None => Grouping { without: false, labels: Vec::new() },
        Some(modifier) => {
            let without = matches!(modifier, LabelModifier::Exclude(_));
            Grouping { without, labels: sorted(&modifier.labels().labels) }
        }
    }
}

fn select(selector: &VectorSelector) -> Result<Select, Error> {
    let matchers = Matchers::from_selector(selector)?;
    Ok(Select { matchers, shift: shift(selector.at.as_ref(), selector.offset.as_ref()) })
}

fn shift(at: Option<&AtModifier>, offset: Option<&Offset>) -> Shift {
    let signed = |before: Result<Duration, Duration>| match before {
        Ok(duration) => millis(duration),
        Err(duration) => -millis(duration),
    };
    Shift {
        at: at.map(|at| match at {
            AtModifier::Start => At::Start,
            AtModifier::End => At::End,
            AtModifier::At(time) => At::Time(signed(
                time.duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.duration()),
            )),
        }),
        offset: offset.map_or(0, |offset| match offset {
            Offset::Pos(duration) => millis(*duration),
            Offset::Neg(duration) => -millis(*duration),
        }),
    }
}

fn sorted(labels: &[String]) -> Vec<Arc<str>> {
    let mut sorted: Vec<Arc<str>> = labels.iter().map(|label| label.as_str().into()).collect();
    sorted.sort();
    sorted.dedup();
    sorted
}

fn function(name: &str) -> Option<Function> {
    if let Some(function) = math::named(name) {
        return Some(Function::Map(function));
    }
    if let Some(function) = calendar::named(name) {
        return Some(Function::Date(function));
    }
    if let Some(function) = window::named(name) {
        return Some(match name {
            "rate" => Function::Counter { per_second: true },
            "increase" => Function::Counter { per_second: false },
            "delta" => Function::Delta(function),
            "min_over_time" => Function::MinOverTime,
            "max_over_time" => Function::MaxOverTime,
            "first_over_time" => Function::NamedWindow(Summable::First, function),
            "last_over_time" => Function::NamedWindow(Summable::Last, function),
            "sum_over_time" => Function::Summable(Summable::Sum, function),
            "count_over_time" => Function::Summable(Summable::Count, function),
            "avg_over_time" => Function::Summable(Summable::Average, function),
            "present_over_time" => Function::Summable(Summable::Present, function),
            _ => Function::Window(function),
        });
    }
    Some(match name {
        "quantile_over_time" => Function::QuantileOverTime,
        "predict_linear" => Function::PredictLinear,
        "double_exponential_smoothing" | "holt_winters" => Function::Smoothing,
        "absent" => Function::Absent,
        "absent_over_time" => Function::AbsentOverTime,
        "clamp" => Function::Clamp,
        "clamp_min" => Function::ClampMin,
        "clamp_max" => Function::ClampMax,
        "round" => Function::Round,
        "scalar" => Function::Scalar,
        "vector" => Function::Vector,
        "time" => Function::Time,
        "pi" => Function::Pi,
        "start" => Function::QueryStart,
        "end" => Function::QueryEnd,
        "step" => Function::QueryStep,
        "range" => Function::QueryRange,
        "max_of" => Function::MaxOf,
        "min_of" => Function::MinOf,
        "timestamp" => Function::Timestamp,
        "label_replace" => Function::LabelReplace,
        "label_join" => Function::LabelJoin,
        "sort" => Function::Sort { descending: false },
        "sort_desc" => Function::Sort { descending: true },
        "sort_by_label" => Function::SortByLabel { descending: false },
        "sort_by_label_desc" => Function::SortByLabel { descending: true },
        "histogram_quantile" => Function::HistogramQuantile,
        "histogram_quantiles" => Function::HistogramQuantiles,
        "histogram_fraction" => Function::HistogramFraction,
        "histogram_avg" | "histogram_count" | "histogram_stddev" | "histogram_stdvar"
        | "histogram_sum" => Function::NativeHistogram,
        _ => return None,
    })
}
