//! What is compared, added or subtracted must have one unit; labels must be some that are written.

use hallwatch_config::Problem;
use hallwatch_config::suggest;
use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::vocabulary::{self, Unit};
use hallwatch_promql::Query;
use promql_parser::parser::token;
use promql_parser::parser::{BinaryExpr, Call, Expr, LabelModifier, VectorSelector};

use super::super::tree::Node;
use super::Desk;
use super::semantics::{bare, number};

/// Labels that series of any metric may have.
const ANYWHERE: [&str; 13] = [
    METRIC_NAME,
    "agent",
    "building",
    "collector",
    "device",
    "feed",
    "model",
    "phase",
    "rack",
    "room",
    "row",
    "site",
    "tenant",
];
/// Units that are in use elsewhere; Hallwatch writes base units.
const FOREIGN: [&str; 12] = [
    "bar",
    "fahrenheit",
    "hours",
    "kelvin",
    "kilowatts",
    "milliseconds",
    "millivolts",
    "minutes",
    "percent",
    "psi",
    "kwh",
    "kva",
];

/// What an expression's values are in.
#[derive(Clone, Debug, PartialEq)]
enum Of {
    /// Nothing is known of it.
    Anything,
    /// A number, a count or a state.
    Pure,
    Unit(String),
}

impl Of {
    fn unit(name: &str) -> Self {
        if name.is_empty() { Self::Pure } else { Self::Unit(name.to_owned()) }
    }

    /// Whether both can be compared.
    fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unit(left), Self::Unit(right)) => left == right,
            _ => true,
        }
    }

    fn known(&self) -> Option<&str> {
        match self {
            Self::Unit(unit) => Some(unit),
            _ => None,
        }
    }
}

/// Something that is not meant, and a text of the expression to point at.
struct Doubt {
    at: String,
    message: String,
    label: String,
    help: Option<String>,
}

impl Desk<'_> {
    /// Warns of units that do not match and of labels that nobody writes.
    pub(super) fn doubts(&mut self, node: &Node, text: &str, query: &Query) {
        let mut doubts = Vec::new();
        unit(query.expr(), &mut doubts);
        labels(query.expr(), &mut doubts);
        for doubt in doubts {
            let span = match text.find(&doubt.at) {
                Some(at) => node.within(self.text, at..at + doubt.at.len()),
                None => node.span.clone(),
            };
            let Doubt { message, label, help, .. } = doubt;
            self.warnings.push(Problem { span, message, label, help });
        }
    }
}

/// The unit that a metric's name says.
fn of_name(name: &str) -> Of {
    if let Some(metric) = vocabulary::find(name) {
        return Of::unit(metric.unit.suffix());
    }
    let stem = name.strip_suffix("_total").unwrap_or(name);
    let known = |unit: &str| stem.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
    let base = vocabulary::METRICS.iter().map(|metric| metric.unit.suffix());
    let mut all = base.filter(|suffix| !suffix.is_empty()).chain(FOREIGN);
    all.find(|unit| known(unit)).map_or(Of::Anything, Of::unit)
}

fn unit(expr: &Expr, doubts: &mut Vec<Doubt>) -> Of {
    match expr {
        Expr::VectorSelector(selector) => of_selector(selector),
        Expr::MatrixSelector(matrix) => of_selector(&matrix.vs),
        Expr::NumberLiteral(_) => Of::Pure,
        Expr::StringLiteral(_) | Expr::Extension(_) => Of::Anything,
        Expr::Paren(paren) => unit(&paren.expr, doubts),
        Expr::Unary(unary) => unit(&unary.expr, doubts),
        Expr::Subquery(subquery) => unit(&subquery.expr, doubts),
        Expr::Aggregate(aggregate) => {
            let inner = unit(&aggregate.expr, doubts);
            match aggregate.op.id() {
                token::T_COUNT | token::T_GROUP => Of::Pure,
                token::T_STDVAR | token::T_COUNT_VALUES => Of::Anything,
                _ => inner,
            }
        }
        Expr::Call(call) => called(call, doubts),
        Expr::Binary(binary) => operation(binary, doubts),
    }
}

fn of_selector(selector: &VectorSelector) -> Of {
    selector.name.as_deref().map_or(Of::Anything, of_name)
}

fn called(call: &Call, doubts: &mut Vec<Doubt>) -> Of {
    let arguments: Vec<Of> = call.args.args.iter().map(|arg| unit(arg, doubts)).collect();
    let vector = |at: usize| arguments.get(at).cloned().unwrap_or(Of::Anything);
    match call.func.name {
        "rate" | "irate" | "deriv" => match vector(0).known() {
            Some("joules") => Of::unit("watts"),
            Some("var_seconds") => Of::unit("vars"),
            // Seconds of something in a second.
            Some("seconds") => Of::unit("ratio"),
            Some(unit) => Of::Unit(format!("{unit} per second")),
            None => Of::Anything,
        },
        "time" | "timestamp" => Of::unit("seconds"),
        "absent" | "absent_over_time" | "changes" | "resets" | "count_over_time"
        | "present_over_time" => Of::Pure,
        "quantile_over_time" | "histogram_quantile" => vector(1),
        "abs"
        | "ceil"
        | "floor"
        | "round"
        | "clamp"
        | "clamp_max"
        | "clamp_min"
        | "delta"
        | "idelta"
        | "increase"
        | "avg_over_time"
        | "min_over_time"
        | "max_over_time"
        | "sum_over_time"
        | "last_over_time"
        | "first_over_time"
        | "stddev_over_time"
        | "predict_linear"
        | "double_exponential_smoothing"
        | "label_replace"
        | "label_join"
        | "scalar"
        | "vector"
        | "sort"
        | "sort_desc" => vector(0),
        _ => Of::Anything,
    }
}

fn operation(binary: &BinaryExpr, doubts: &mut Vec<Doubt>) -> Of {
    let (left, right) = (unit(&binary.lhs, doubts), unit(&binary.rhs, doubts));
    let op = binary.op;
    match op.id() {
        token::T_MUL => match (left, right) {
            (Of::Pure, other) | (other, Of::Pure) => other,
            (Of::Unit(ratio), other) | (other, Of::Unit(ratio)) if ratio == "ratio" => other,
            _ => Of::Anything,
        },
        token::T_DIV => match (left, right) {
            (left, Of::Pure) => left,
            (Of::Unit(left), Of::Unit(right)) if left == right => Of::unit("ratio"),
            (left, Of::Unit(ratio)) if ratio == "ratio" => left,
            _ => Of::Anything,
        },
        token::T_LAND | token::T_LUNLESS => left,
        token::T_LOR => {
            if left.fits(&right) {
                left
            } else {
                Of::Anything
            }
        }
        token::T_ADD | token::T_SUB | token::T_MOD => {
            mismatch(binary, &left, &right, doubts);
            if left.known().is_some() { left } else { right }
        }
        _ if op.is_comparison_operator() => {
            mismatch(binary, &left, &right, doubts);
            percent(binary, &left, &right, doubts);
            if binary.return_bool() { Of::Pure } else { left }
        }
        _ => Of::Anything,
    }
}

fn mismatch(binary: &BinaryExpr, left: &Of, right: &Of, doubts: &mut Vec<Doubt>) {
    let (Some(one), Some(other)) = (left.known(), right.known()) else { return };
    if one == other {
        return;
    }
    let doing = match binary.op.id() {
        token::T_ADD => "added to",
        token::T_SUB => "and its difference to",
        token::T_MOD => "divided by",
        _ => "compared with",
    };
    let foreign = [one, other].into_iter().find(|unit| FOREIGN.contains(unit));
    doubts.push(Doubt {
        at: first_name(&binary.rhs).unwrap_or_default(),
        message: format!("{one} {doing} {other}"),
        label: format!("this is in {other}"),
        help: Some(match foreign {
            Some(unit) => format!("Hallwatch writes base units, not {unit}"),
            None => "both sides must have one unit".to_owned(),
        }),
    });
}

/// A ratio goes to 1, not to 100.
fn percent(binary: &BinaryExpr, left: &Of, right: &Of, doubts: &mut Vec<Doubt>) {
    let ratio = Of::unit(Unit::Ratio.suffix());
    let limit = match (left, right) {
        (left, _) if *left == ratio => number(&binary.rhs),
        (_, right) if *right == ratio => number(&binary.lhs),
        _ => None,
    };
    if let Some(limit) = limit.filter(|limit| limit.abs() > 10.0) {
        doubts.push(Doubt {
            at: limit.to_string(),
            message: format!("a ratio compared with {limit}"),
            label: "as percent?".to_owned(),
            help: Some(format!("ratios go from 0 to 1: did you mean {}?", limit / 100.0)),
        });
    }
}

fn first_name(expr: &Expr) -> Option<String> {
    match bare(expr) {
        Expr::VectorSelector(selector) => selector.name.clone(),
        Expr::MatrixSelector(matrix) => matrix.vs.name.clone(),
        Expr::Unary(unary) => first_name(&unary.expr),
        Expr::Subquery(subquery) => first_name(&subquery.expr),
        Expr::Aggregate(aggregate) => first_name(&aggregate.expr),
        Expr::Binary(binary) => first_name(&binary.lhs).or_else(|| first_name(&binary.rhs)),
        Expr::Call(call) => call.args.args.iter().find_map(|argument| first_name(argument)),
        _ => None,
    }
}

/// Labels that are asked for, and that no series of the metric has.
fn labels(expr: &Expr, doubts: &mut Vec<Doubt>) {
    match expr {
        Expr::VectorSelector(selector) => selected(selector, doubts),
        Expr::MatrixSelector(matrix) => selected(&matrix.vs, doubts),
        Expr::Paren(paren) => labels(&paren.expr, doubts),
        Expr::Unary(unary) => labels(&unary.expr, doubts),
        Expr::Subquery(subquery) => labels(&subquery.expr, doubts),
        Expr::Aggregate(aggregate) => {
            labels(&aggregate.expr, doubts);
            let metric = first_name(&aggregate.expr);
            if let (Some(LabelModifier::Include(by)), Some(metric)) = (&aggregate.modifier, metric)
                && let Some(known) = written(&metric)
                && !relabels(&aggregate.expr)
            {
                by.labels.iter().for_each(|label| unknown(label, &metric, &known, doubts));
            }
        }
        Expr::Binary(binary) => {
            labels(&binary.lhs, doubts);
            labels(&binary.rhs, doubts);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|argument| labels(argument, doubts)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Whether labels may come from elsewhere than the first metric.
fn relabels(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Call(call) => {
            matches!(call.func.name, "label_replace" | "label_join")
                || call.args.args.iter().any(|argument| relabels(argument))
        }
        Expr::Binary(_) => true,
        Expr::Aggregate(aggregate) => relabels(&aggregate.expr),
        _ => false,
    }
}

fn selected(selector: &VectorSelector, doubts: &mut Vec<Doubt>) {
    let Some(metric) = &selector.name else { return };
    let Some(known) = written(metric) else { return };
    for matcher in &selector.matchers.matchers {
        unknown(&matcher.name, metric, &known, doubts);
    }
}

fn unknown(label: &str, metric: &str, known: &[&str], doubts: &mut Vec<Doubt>) {
    if known.contains(&label) {
        return;
    }
    doubts.push(Doubt {
        at: label.to_owned(),
        message: format!("no series of `{metric}` has a label `{label}`"),
        label: "nobody writes it".to_owned(),
        help: suggest::nearest(label, known).map(|near| format!("did you mean `{near}`?")),
    });
}

/// The labels that series of a metric may have: its help names those of its own in backticks.
fn written(metric: &str) -> Option<Vec<&'static str>> {
    let help = vocabulary::find(metric)?.help;
    Some(ANYWHERE.into_iter().chain(help.split('`').skip(1).step_by(2)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_followed_through_an_expression() {
        for (text, said) in [
            ("ambient_temperature_celsius > 27", None),
            (
                "ambient_temperature_celsius > x_fahrenheit",
                Some("celsius compared with fahrenheit"),
            ),
            ("meter_active_power_watts + meter_voltage_volts > 1", Some("watts added to volts")),
            (
                "sum(meter_active_power_watts) - max(meter_voltage_volts) > 1",
                Some("watts and its difference to volts"),
            ),
            ("rate(meter_energy_joules_total[5m]) > meter_active_power_watts", None),
            (
                "meter_energy_joules_total > meter_active_power_watts",
                Some("joules compared with watts"),
            ),
            ("meter_voltage_volts * meter_current_amperes > meter_active_power_watts", None),
            ("meter_active_power_watts / meter_active_power_watts > 0.8", None),
            ("generator_fuel_level_ratio < 25", Some("a ratio compared with 25")),
            (
                "meter_active_power_watts * generator_load_ratio > meter_voltage_volts",
                Some("watts compared with volts"),
            ),
            (
                "time() - ambient_temperature_celsius > 1",
                Some("seconds and its difference to celsius"),
            ),
            ("count(meter_active_power_watts) > count(meter_voltage_volts)", None),
        ] {
            let mut doubts = Vec::new();
            unit(Query::parse(text).unwrap().expr(), &mut doubts);
            assert_eq!(doubts.first().map(|doubt| &*doubt.message), said, "{text}");
        }
    }

    #[test]
    fn labels_are_those_that_are_written() {
        for (text, said) in [
            ("ats_source_available{source=\"1\", tenant=\"t\"}", 0),
            ("ats_source_available{sorce=\"1\"}", 1),
            ("sum by (sites) (ats_source_available)", 1),
            ("sum by (x) (label_replace(ats_source_available, \"x\", \"1\", \"\", \"\"))", 0),
            ("nobody{sorce=\"1\"}", 0),
        ] {
            let mut doubts = Vec::new();
            labels(Query::parse(text).unwrap().expr(), &mut doubts);
            assert_eq!(doubts.len(), said, "{text}");
        }
    }
}
