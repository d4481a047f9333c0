//! The keys that Prometheus does not have: `clear`, `deadband`, `expect`, `within`, `on`, `flapping`.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_promql::{Query, ValueType};
use promql_parser::parser::token::{self, TokenType};
use promql_parser::parser::{BinaryExpr, Expr};

use super::super::inputs;
use super::super::rule::{Chatter, Condition, Expect, Flapping};
use super::super::tree::{Kind, Node};
use super::check::is_name;
use super::{Desk, Fields, shown};

/// The most changes that `flapping` may allow.
const MAX_CHANGES: usize = 500;

/// What the keys come to.
#[derive(Default)]
pub(super) struct Semantics {
    pub(super) clear: Option<Condition>,
    pub(super) deadband: Option<f64>,
    pub(super) expect: Option<Expect>,
    pub(super) flapping: Flapping,
}

impl Desk<'_> {
    pub(super) fn semantics(&mut self, fields: &Fields<'_>, own: Option<&Query>) -> Semantics {
        let clear = fields.get("clear").and_then(|node| self.condition(node, "clear"));
        let deadband = fields.get("deadband").and_then(|node| self.deadband(node));
        let from_deadband = match (fields.key("deadband"), fields.key("clear"), deadband, own) {
            (Some(key), Some(_), ..) => {
                let help = "a deadband is a `clear` that is made of `expr`";
                self.wrong_with(&key.span, "both `clear` and `deadband`", "one too many", help);
                None
            }
            (Some(key), None, Some(width), Some(own)) => self.cleared_at(key, own, width),
            _ => None,
        };
        Semantics {
            clear: clear.or(from_deadband),
            deadband,
            expect: self.expect(fields),
            flapping: fields.get("flapping").map(|node| self.flapping(node)).unwrap_or_default(),
        }
    }

    fn expect(&mut self, fields: &Fields<'_>) -> Option<Expect> {
        let condition = fields.get("expect").map(|node| self.condition(node, "expect"));
        let within = fields.get("within").map(|node| self.some_time(node, "within"));
        let on = fields.get("on").map(|node| self.on(node));
        let Some(expect) = fields.key("expect") else {
            for key in ["within", "on"] {
                if let Some(node) = fields.key(key) {
                    let message = format!("`{key}` without `expect`");
                    let help = "`expect: EXPR` says what must follow, `within` how soon";
                    self.wrong_with(&node.span, message, "of what?", help);
                }
            }
            return None;
        };
        if within.is_none() {
            let help = "such as `within: 15s`; it fires when `expect` does not hold by then";
            self.wrong_with(&expect.span, "`expect` without `within`", "by when?", help);
        }
        if let Some(hold) = fields.key("for") {
            let help = "`within` is the time that the alert waits";
            self.wrong_with(&hold.span, "`for` together with `expect`", "one too many", help);
        }
        Some(Expect { condition: condition??, within: within??, on: on.unwrap_or_default() })
    }

    fn condition(&mut self, node: &Node, key: &str) -> Option<Condition> {
        let (query, inputs) = self.query(node, key)?;
        if query.kind() != ValueType::Vector {
            let help = "compare a series with something, such as `x < 25`";
            let message = format!("`{key}` is a scalar, which always holds");
            self.wrong_with(&node.span, message, "", help);
            return None;
        }
        if matches!(bare(query.expr()), Expr::Binary(binary) if binary.return_bool()) {
            let help = "leave out `bool`: what a comparison drops does not hold";
            let message = format!("`{key}` always has a value, 0 or 1, so it always holds");
            self.wrong_with(&node.span, message, "", help);
            return None;
        }
        Some(Condition { query, inputs })
    }

    fn deadband(&mut self, node: &Node) -> Option<f64> {
        let text = self.scalar(node, "deadband")?;
        let found = text.parse::<f64>().ok().filter(|width| width.is_finite() && *width > 0.0);
        if found.is_none() {
            let message = format!("`deadband` must be a number above 0, not `{}`", shown(text));
            self.wrong_with(&node.span, message, "", "in the unit of the expression");
        }
        found
    }

    /// The condition by which an alert clears `width` on the good side of its limit.
    fn cleared_at(&mut self, key: &Node, own: &Query, width: f64) -> Option<Condition> {
        let text = match clearing(own.expr(), width) {
            Ok(text) => text,
            Err(why) => {
                let help = "a deadband needs `x > NUMBER`, `>=`, `<` or `<=`; write `clear: EXPR`";
                let message = format!("`deadband` does not apply to this `expr`: {why}");
                self.wrong_with(&key.span, message, "no limit to move", help);
                return None;
            }
        };
        let made = condition(&text);
        if made.is_none() {
            let help = "write `clear: EXPR` instead";
            self.wrong_with(&key.span, "`deadband` cannot be applied to this `expr`", "", help);
        }
        made
    }

    fn on(&mut self, node: &Node) -> Option<Vec<Arc<str>>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for item in self.items(node, "on") {
            let Some(name) = self.scalar(item, "on") else { continue };
            if !is_name(name, false) || name == hallwatch_model::labels::METRIC_NAME {
                let message = format!("`{}` is not a label name", shown(name));
                let help = "letters, digits and `_`, no digit first; not `__name__`";
                self.wrong_with(&item.span, message, "", help);
            } else if names.iter().any(|known| **known == *name) {
                self.wrong(&item.span, format!("`{name}` is given twice"), "the second one");
            } else {
                names.push(name.into());
            }
        }
        Some(names)
    }

    fn flapping(&mut self, node: &Node) -> Flapping {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.text == "off" => return Flapping::Off,
            Kind::Map(_) => {}
            _ => {
                let help = "write `off`, or `{changes: 8, within: 10m}`";
                self.wrong_with(&node.span, "`flapping` is not understood", "", help);
                return Flapping::Default;
            }
        }
        let Some(fields) = self.fields(node, "`flapping`", &["changes", "within"]) else {
            return Flapping::Default;
        };
        let within = fields.get("within").map(|node| self.some_time(node, "within"));
        let changes = fields.get("changes").map(|node| self.changes(node));
        Flapping::Beyond(Chatter {
            changes: changes.flatten().unwrap_or(Chatter::DEFAULT.changes),
            within: within.flatten().unwrap_or(Chatter::DEFAULT.within),
        })
    }

    fn changes(&mut self, node: &Node) -> Option<usize> {
        let text = self.scalar(node, "changes")?;
        let found = text.parse().ok().filter(|count| (2..=MAX_CHANGES).contains(count));
        if found.is_none() {
            let help =
                format!("from 2 to {MAX_CHANGES}; firing and being resolved are two changes");
            let message = format!("`changes` cannot be `{}`", shown(text));
            self.wrong_with(&node.span, message, "", help);
        }
        found
    }

    /// A duration that is not zero.
    fn some_time(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let found = self.duration(node, what)?;
        if found.is_zero() {
            let message = format!("`{what}` is zero");
            self.wrong_with(&node.span, message, "", "nothing can happen in no time");
            return None;
        }
        Some(found)
    }
}

/// What a key that people know from elsewhere is called here.
pub(super) fn called_here(key: &str) -> Option<&'static str> {
    match key {
        "clear_for" | "off_delay" | "resolve_for" => Some(
            "the off delay is `keep_firing_for`; with `clear` it counts from when `clear` holds",
        ),
        "on_delay" | "delay" => Some("the on delay is `for`"),
        "hysteresis" => Some("that is `clear: EXPR`, or `deadband: NUMBER` for one limit"),
        _ => None,
    }
}

/// A condition that is made here, not read.
pub(in crate::rules) fn condition(text: &str) -> Option<Condition> {
    let query = Query::parse(text).ok()?;
    let inputs = inputs::of(query.expr()).ok()?;
    Some(Condition { query, inputs })
}

/// The expression that holds `width` on the good side of the limit of `expr`.
pub(in crate::rules) fn clearing(expr: &Expr, width: f64) -> Result<String, &'static str> {
    const NOT: &str = "it is not a comparison with a number";
    let Expr::Binary(binary) = bare(expr) else { return Err(NOT) };
    if binary.return_bool() {
        return Err("it is a `bool` comparison, which always holds");
    }
    let (side, op, limit) = match (number(&binary.lhs), number(&binary.rhs)) {
        (None, Some(limit)) => (&binary.lhs, binary.op.id(), limit),
        (Some(limit), None) => (&binary.rhs, turned(binary.op.id()), limit),
        _ => return Err(NOT),
    };
    if filters(side) {
        return Err("what it compares is already filtered");
    }
    let (op, limit) = match op {
        token::T_GTR => ("<=", limit - width),
        token::T_GTE => ("<", limit - width),
        token::T_LSS => (">=", limit + width),
        token::T_LTE => (">", limit + width),
        token::T_EQLC | token::T_NEQ => return Err("`==` and `!=` have no side to move to"),
        _ => return Err(NOT),
    };
    Ok(format!("({side}) {op} {limit}"))
}

fn turned(op: u16) -> u16 {
    match op {
        token::T_GTR => token::T_LSS,
        token::T_GTE => token::T_LTE,
        token::T_LSS => token::T_GTR,
        token::T_LTE => token::T_GTE,
        other => other,
    }
}

/// Without the brackets around it.
pub(in crate::rules) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => bare(&paren.expr),
        other => other,
    }
}

pub(in crate::rules) fn number(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Unary(unary) => number(&unary.expr).map(|value| -value),
        _ => None,
    }
}

/// Whether series may be dropped by their value.
fn filters(expr: &Expr) -> bool {
    let drops = |binary: &BinaryExpr| {
        let op: TokenType = binary.op;
        op.is_set_operator() || (op.is_comparison_operator() && !binary.return_bool())
    };
    match expr {
        Expr::Binary(binary) => drops(binary) || filters(&binary.lhs) || filters(&binary.rhs),
        Expr::Paren(paren) => filters(&paren.expr),
        Expr::Unary(unary) => filters(&unary.expr),
        Expr::Aggregate(aggregate) => filters(&aggregate.expr),
        Expr::Subquery(subquery) => filters(&subquery.expr),
        Expr::Call(call) => call.args.args.iter().any(|argument| filters(argument)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadband_moves_the_limit_to_the_good_side() {
        for (text, cleared) in [
            ("x > 27", Some("(x) <= 25")),
            ("x >= 27", Some("(x) < 25")),
            ("(x{a=\"b\"} < -5)", Some("(x{a=\"b\"}) >= -3")),
            ("18 > x", Some("(x) >= 20")),
            ("avg_over_time(x[5m]) <= 18", Some("(avg_over_time(x[5m])) > 20")),
            ("x - y > 0.5", Some("(x - y) <= -1.5")),
            ("x", None),
            ("x == 1", None),
            ("x > y", None),
            ("x > bool 27", None),
            ("x > 20 < 30", None),
            ("x > 27 and y == 1", None),
        ] {
            let query = Query::parse(text).unwrap();
            assert_eq!(clearing(query.expr(), 2.0).ok().as_deref(), cleared, "{text}");
        }
    }
}
