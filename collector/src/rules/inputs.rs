//! The series that a rule reads, and which of their labels are also those of its result: this says
//! whose data an alert rests on.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;
use hallwatch_promql::{Error, Matchers};
use promql_parser::parser::token;
use promql_parser::parser::{
    BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

use super::rule::{Purpose, RuleSet};

/// The most selectors that are followed for a rule through those it builds on.
const MAX_INPUTS: usize = 256;
/// What the engine itself writes.
const OWN: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// A selector of an expression.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) matchers: Matchers,
    /// How far back a range selector reaches; zero for an instant one.
    pub(super) range: Duration,
    /// Which labels of its series come out of the expression unchanged.
    carried: Carried,
}

/// A set of label names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Carried {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Input {
    /// Whether a result with the labels `result` may rest on `series`: they agree in all labels
    /// that come out of the expression unchanged, of `on` where it is given.
    pub(super) fn feeds(&self, series: &Labels, result: &Labels, on: Option<&[Arc<str>]>) -> bool {
        let matters = |name: &str| on.is_none_or(|on| on.iter().any(|of| **of == *name));
        let carried = series.iter().filter(|label| self.carried.has(&label.name));
        carried
            .filter(|label| matters(&label.name))
            .all(|label| result.get(&label.name).is_none_or(|value| value == &*label.value))
    }

    /// The labels of `series` that come out of the expression unchanged.
    pub(super) fn carried(&self, series: &Labels) -> Labels {
        series.without(|name| !self.carried.has(name))
    }
}

impl Carried {
    fn all() -> Self {
        Self::AllBut(BTreeSet::from([METRIC_NAME.to_owned()]))
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(name),
            Self::AllBut(names) => !names.contains(name),
        }
    }

    fn only<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Self {
        Self::Only(names.into_iter().filter(|name| self.has(name)).cloned().collect())
    }

    fn without<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Self {
        let mut left = self.clone();
        for name in names {
            match &mut left {
                Self::Only(kept) => {
                    kept.remove(name);
                }
                Self::AllBut(dropped) => {
                    dropped.insert(name.clone());
                }
            }
        }
        left
    }
}

/// The inputs of an expression, in the order of its text.
pub(super) fn of(expression: &Expr) -> Result<Vec<Input>, Error> {
    let mut inputs = Vec::new();
    walk(expression, &Carried::all(), &mut inputs)?;
    Ok(inputs)
}

fn walk(expression: &Expr, carried: &Carried, inputs: &mut Vec<Input>) -> Result<(), Error> {
    match expression {
        Expr::VectorSelector(selector) => input(selector, Duration::ZERO, carried, inputs),
        Expr::MatrixSelector(matrix) => input(&matrix.vs, matrix.range, carried, inputs),
        Expr::Paren(paren) => walk(&paren.expr, carried, inputs),
        Expr::Unary(unary) => walk(&unary.expr, carried, inputs),
        Expr::Subquery(subquery) => walk(&subquery.expr, carried, inputs),
        Expr::Aggregate(aggregate) => {
            // `topk` and `bottomk` choose series and keep them whole.
            let chooses = matches!(aggregate.op.id(), token::T_TOPK | token::T_BOTTOMK);
            let kept = match &aggregate.modifier {
                _ if chooses => carried.clone(),
                None => carried.only([]),
                Some(LabelModifier::Include(by)) => carried.only(&by.labels),
                Some(LabelModifier::Exclude(without)) => carried.without(&without.labels),
            };
            walk(&aggregate.expr, &kept, inputs)?;
            match &aggregate.param {
                Some(parameter) => walk(parameter, &carried.only([]), inputs),
                None => Ok(()),
            }
        }
        Expr::Binary(binary) => {
            let (left, right) = sides(binary, carried);
            walk(&binary.lhs, &left, inputs)?;
            walk(&binary.rhs, &right, inputs)
        }
        Expr::Call(call) => {
            let kept = through(call, carried);
            call.args.args.iter().try_for_each(|argument| walk(argument, &kept, inputs))
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Ok(()),
    }
}

fn input(
    selector: &VectorSelector,
    range: Duration,
    carried: &Carried,
    inputs: &mut Vec<Input>,
) -> Result<(), Error> {
    // Whether inputs are there is a question about now, whatever the expression asks for.
    let mut now = selector.clone();
    now.offset = None;
    now.at = None;
    let matchers = Matchers::parse(&now.to_string())?;
    inputs.push(Input { matchers, range, carried: carried.clone() });
    Ok(())
}

/// What comes out of an operation from its left and its right side.
fn sides(binary: &BinaryExpr, carried: &Carried) -> (Carried, Carried) {
    let modifier = binary.modifier.as_ref();
    let matched = match modifier.and_then(|m| m.matching.as_ref()) {
        None => carried.clone(),
        Some(LabelModifier::Include(on)) => carried.only(&on.labels),
        Some(LabelModifier::Exclude(ignoring)) => carried.without(&ignoring.labels),
    };
    let all = || carried.clone();
    match (binary.op.id(), modifier.map(|m| &m.card)) {
        // Both sides can come out of `or`, whole.
        (token::T_LOR, _) => (all(), all()),
        (token::T_LAND | token::T_LUNLESS, _) => (all(), matched),
        (_, Some(VectorMatchCardinality::ManyToOne(included))) => {
            (carried.without(&included.labels), matched)
        }
        (_, Some(VectorMatchCardinality::OneToMany(included))) => {
            (matched, carried.without(&included.labels))
        }
        _ => (matched.clone(), matched),
    }
}

/// What comes out of a function.
fn through(call: &Call, carried: &Carried) -> Carried {
    let text = |at: usize| match call.args.args.get(at).map(|argument| &**argument) {
        Some(Expr::StringLiteral(literal)) => Some(literal.val.clone()),
        _ => None,
    };
    match call.func.name {
        "label_replace" | "label_join" => match text(1) {
            Some(written) => carried.without([&written]),
            None => carried.only([]),
        },
        "histogram_quantile" => carried.without([&"le".to_owned()]),
        "scalar" | "vector" | "time" => carried.only([]),
        _ => carried.clone(),
    }
}

/// Replaces inputs that other rules record by the inputs of those rules: that a recorded series
/// ends says nothing about the devices. `ALERTS` ends only on evidence, so it needs none.
pub(super) fn resolve(rules: &mut RuleSet) {
    let mut recorded: HashMap<Arc<str>, Vec<Input>> = HashMap::new();
    for rule in rules.groups.iter().flat_map(|group| &group.rules) {
        if rule.alerting().is_none() {
            recorded.entry(rule.name.clone()).or_default().extend_from_slice(&rule.inputs);
        }
    }
    for rule in rules.groups.iter_mut().flat_map(|group| &mut group.rules) {
        trace(&mut rule.inputs, &recorded);
        let Purpose::Alert(alerting) = &mut rule.purpose else { continue };
        for condition in
            alerting.clear.iter_mut().chain(alerting.expect.as_mut().map(|e| &mut e.condition))
        {
            trace(&mut condition.inputs, &recorded);
        }
    }
}

fn trace(inputs: &mut Vec<Input>, recorded: &HashMap<Arc<str>, Vec<Input>>) {
    // A rule may record what it reads, and rules may go round in circles: a few rounds do.
    for _ in 0..8 {
        if !inputs.iter().any(|input| input.is_derived(recorded)) {
            break;
        }
        *inputs = inputs.iter().flat_map(|input| input.sources(recorded)).collect();
        inputs.truncate(MAX_INPUTS);
    }
    inputs.retain(|input| !input.is_derived(recorded));
}

impl Input {
    fn is_derived(&self, recorded: &HashMap<Arc<str>, Vec<Self>>) -> bool {
        let name = self.matchers.metric_name();
        name.is_some_and(|name| OWN.contains(&name) || recorded.contains_key(name))
    }

    fn sources(&self, recorded: &HashMap<Arc<str>, Vec<Self>>) -> Vec<Self> {
        if !self.is_derived(recorded) {
            return vec![self.clone()];
        }
        let inner = self.matchers.metric_name().and_then(|name| recorded.get(name));
        let through = |input: &Self| Self {
            matchers: input.matchers.clone(),
            range: input.range,
            carried: match &self.carried {
                Carried::Only(names) => input.carried.only(names),
                Carried::AllBut(names) => input.carried.without(names),
            },
        };
        inner.into_iter().flatten().map(through).collect()
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_promql::Query;

    use super::*;

    #[test]
    fn an_alert_rests_on_the_series_that_share_its_labels() {
        let ups = Labels::metric("ups", [("site", "s"), ("device", "a")]);
        let other = Labels::metric("ups", [("site", "s"), ("device", "b")]);
        let alert = Labels::from_pairs([("site", "s"), ("device", "a")]);
        let site = Labels::from_pairs([("site", "s")]);
        for (name, text, at, result, feeds_own, feeds_other) in [
            ("a plain selector", "ups > 1", 0, &alert, true, false),
            ("a sum of all", "sum by (site) (ups) > 1", 0, &site, true, true),
            ("a sum without", "sum without (device) (ups) > 1", 0, &alert, true, true),
            ("the other side of on()", "x > 1 and on (site) ups == 0", 1, &alert, true, true),
            ("the other side of and", "x > 1 and ups == 0", 1, &alert, true, false),
            ("ignoring", "x > 1 and ignoring (device) ups", 1, &alert, true, true),
            ("group_left: the many", "ups * on (site) group_left x", 0, &alert, true, false),
            ("group_left: the one", "x * on (site) group_left ups", 1, &alert, true, true),
            ("a function", "rate(ups[5m]) > 0", 0, &alert, true, false),
            (
                "a changed label",
                r#"label_replace(ups, "device", "z", "", "")"#,
                0,
                &alert,
                true,
                true,
            ),
            ("a scalar", "x > scalar(ups)", 1, &alert, true, true),
            ("topk", "topk(1, ups)", 0, &alert, true, false),
            ("offset", "ups offset 5m > 1", 0, &alert, true, false),
        ] {
            let inputs = of(Query::parse(text).unwrap().expr()).unwrap();
            assert_eq!(inputs[at].feeds(&ups, result, None), feeds_own, "{name}");
            assert_eq!(inputs[at].feeds(&other, result, None), feeds_other, "{name}");
        }
    }
}
