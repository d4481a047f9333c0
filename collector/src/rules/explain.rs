//! Why an alert is in its state: what its expressions and each of their parts come to, which timers
//! run, and what it rests on.

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::sample::is_missing;
use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::{InstantSample, Limits, Matchers, Query, Select, Source, Value, instant};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{BinaryExpr, Expr, LabelModifier, VectorMatchCardinality};
use serde::Serialize;

use super::alert::{Alert, AlertState};
use super::duration;
use super::rule::Chatter;
use super::view::{AlertingView, Inside, RuleView};

/// The most parts of an expression that are shown.
const MAX_PARTS: usize = 40;
/// The most values of a part, inputs of an alert, and alerts.
const MAX_VALUES: usize = 10;
const MAX_ALERTS: usize = 50;

/// An alert, or a rule that raises none now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `group/rule`.
    pub rule: String,
    /// Its labels; none when the rule raises no alert.
    pub labels: Option<String>,
    /// `inactive`, `pending` or `firing`.
    pub state: &'static str,
    /// Why it came into this state.
    pub reason: String,
    /// Since when the expression holds.
    pub active_at: Option<String>,
    /// Since when it fires.
    pub fired_at: Option<String>,
    /// Why nothing is known, and since when.
    pub held: Option<String>,
    /// What runs, and when it runs out.
    pub timers: Vec<String>,
    /// The expression, and what its parts come to now.
    pub expression: Part,
    /// The same of `clear`.
    pub clear: Option<Part>,
    /// The same of `expect`.
    pub expect: Option<Part>,
    /// What it rests on: series, value, and when that was.
    pub inputs: Vec<Reading>,
}

/// A part of an expression.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Part {
    /// Its text.
    pub text: String,
    /// The operator, function or aggregation.
    pub operator: Option<String>,
    /// What it comes to, for these labels.
    pub values: Vec<(String, String)>,
    /// So many values are not shown.
    pub more: usize,
    /// So many values are those of other labels, and not shown either.
    pub others: usize,
    /// Why it comes to nothing.
    pub error: Option<String>,
    /// What it is made of.
    pub parts: Vec<Part>,
}

/// The last reading of an input.
#[derive(Clone, Debug, Serialize)]
pub struct Reading {
    /// Which.
    pub series: String,
    /// The value; `missing` when the series ended, `None` when there is none of late.
    pub value: Option<String>,
    /// When that was.
    pub at: Option<String>,
}

/// Explains all alerts of the rules named `name`, as of `now`.
#[must_use]
pub fn explain(
    inside: &Inside,
    name: &str,
    now: Timestamp,
    source: &dyn Source,
) -> Vec<Explanation> {
    let desk = Desk { now, source };
    let mut all = Vec::new();
    for group in &inside.view.groups {
        for rule in group.rules.iter().filter(|rule| *rule.name == *name) {
            let Some(alerting) = &rule.alerting else { continue };
            let key = format!("{}/{}", group.name, rule.name);
            if alerting.alerts.is_empty() {
                all.push(desk.explain(&key, rule, alerting, None));
            }
            let alerts = alerting.alerts.iter();
            all.extend(alerts.map(|alert| desk.explain(&key, rule, alerting, Some(alert))));
        }
    }
    all.truncate(MAX_ALERTS);
    all
}

struct Desk<'d> {
    now: Timestamp,
    source: &'d dyn Source,
}

impl Desk<'_> {
    fn explain(
        &self,
        key: &str,
        rule: &RuleView,
        alerting: &AlertingView,
        alert: Option<&Alert>,
    ) -> Explanation {
        let none = Labels::empty();
        let result = alert.map_or(&none, |alert| &alert.result);
        let part = |text: &str, result: &Labels| match Query::parse(text) {
            Ok(query) => self.part(query.expr(), result, &mut MAX_PARTS.clone()),
            Err(error) => {
                Part { text: text.to_owned(), error: Some(error.to_string()), ..Part::default() }
            }
        };
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Explanation {
            rule: key.to_owned(),
            labels: alert.map(|alert| alert.labels.to_string()),
            state: alert.map_or(AlertState::Inactive, |alert| alert.state).word(),
            reason: match (alert, &rule.health) {
                (Some(alert), _) => alert.reason.clone(),
                (None, super::Health::Err(error)) => format!("the rule fails: {error}"),
                (None, _) => "the expression does not hold".to_owned(),
            },
            active_at: time(alert.map(|alert| alert.active_at)),
            fired_at: time(alert.and_then(|alert| alert.fired_at)),
            held: alert.and_then(|alert| alert.held.as_ref()).map(|held| {
                let since = self.ago(held.since);
                format!("{}, since {} ({since} ago)", held.cause, held.since)
            }),
            timers: alert.map(|alert| self.timers(alert, alerting)).unwrap_or_default(),
            expression: part(&rule.query, result),
            clear: alerting.clear.as_deref().map(|clear| part(clear, result)),
            expect: alerting.expect.as_ref().map(|expect| {
                let named = |name: &str| {
                    expect.on.as_ref().is_none_or(|on| on.iter().any(|label| **label == *name))
                };
                part(&expect.query, &result.without(|name| !named(name)))
            }),
            inputs: alert.map(|alert| self.inputs(alert)).unwrap_or_default(),
        }
    }

    fn ago(&self, at: Timestamp) -> String {
        duration::format(self.now.since(at))
    }

    fn timers(&self, alert: &Alert, alerting: &AlertingView) -> Vec<String> {
        let mut timers = Vec::new();
        let format = duration::format;
        let left = |at: Timestamp| match at.since(self.now) {
            left if left.is_zero() => "over".to_owned(),
            left => format!("over in {}", format(left)),
        };
        if alert.state == AlertState::Pending {
            match &alerting.expect {
                Some(expect) => {
                    let end = left(alert.active_at + expect.within);
                    timers.push(format!("within {}: {end}", format(expect.within)));
                }
                None => {
                    let end = match &alert.held {
                        Some(_) => "stands still, for it is held".to_owned(),
                        None => left(alert.active_at + alerting.hold + alert.paused),
                    };
                    timers.push(format!("for {}: {end}", format(alerting.hold)));
                }
            }
        }
        if !alert.paused.is_zero() {
            timers.push(format!("it was held for {} in all", format(alert.paused)));
        }
        if let Some(since) = alert.keep_firing_since {
            let end = left(since + alerting.keep_firing);
            timers.push(format!("keep_firing_for {}: {end}", format(alerting.keep_firing)));
        }
        if let Some(since) = alert.memory.latched_since {
            timers.push(format!("waits for `clear` since {}", self.ago(since)));
        }
        let changes = &alert.memory.changes;
        if let (Some(flaps), Some(Chatter { within, .. })) = (changes.flapping, alerting.flapping) {
            let count = changes.times.len();
            let end = left(flaps.calm_since + within);
            timers.push(format!("flapping, {count} changes: calm for {}: {end}", format(within)));
        }
        timers
    }

    fn inputs(&self, alert: &Alert) -> Vec<Reading> {
        let all = alert.inputs.iter().chain(&alert.memory.expected);
        all.take(MAX_VALUES).map(|series| self.reading(series)).collect()
    }

    /// What `series` said last, within an hour.
    fn reading(&self, series: &Labels) -> Reading {
        let mut reading = Reading { series: series.to_string(), value: None, at: None };
        let Ok(matchers) = Matchers::parse(&series.to_string()) else { return reading };
        let start = self.now - std::time::Duration::from_secs(3600);
        let request = Select::new(&matchers, start, self.now);
        let found = self.source.select(&request).unwrap_or_default();
        let own = found.iter().find(|found| found.labels == *series);
        let last = own.and_then(|own| own.times.last().zip(own.values.last()));
        if let Some((time, value)) = last {
            let missing = is_missing(*value);
            reading.value = Some(if missing { "missing".into() } else { value.to_string() });
            reading.at = Some(Timestamp::from_millis(*time).to_string());
        }
        reading
    }

    fn part(&self, expr: &Expr, result: &Labels, left: &mut usize) -> Part {
        *left = left.saturating_sub(1);
        let mut part = Part { text: expr.to_string(), ..Part::default() };
        // Of a join, one side has labels of its own, in which it need not agree.
        let (mut of_left, mut of_right) = (result.clone(), result.clone());
        let (operator, inner): (Option<String>, Vec<&Expr>) = match expr {
            Expr::Paren(paren) => return self.part(&paren.expr, result, left),
            Expr::Binary(binary) => {
                let joined = of_joined(binary, result);
                match binary.modifier.as_ref().map(|modifier| &modifier.card) {
                    Some(VectorMatchCardinality::OneToMany(_)) => of_left = joined,
                    _ => of_right = joined,
                }
                (Some(binary.op.to_string()), vec![&binary.lhs, &binary.rhs])
            }
            Expr::Unary(unary) => (Some("-".to_owned()), vec![&unary.expr]),
            Expr::Aggregate(aggregate) => (Some(aggregate.op.to_string()), vec![&aggregate.expr]),
            Expr::Call(call) => {
                let arguments = call.args.args.iter().map(|argument| &**argument);
                (Some(call.func.name.to_owned()), arguments.collect())
            }
            _ => (None, Vec::new()),
        };
        part.operator = operator;
        match expr.value_type() {
            ValueType::Vector | ValueType::Scalar => self.evaluate(&mut part, result),
            ValueType::Matrix | ValueType::String => {}
        }
        for (at, inner) in inner.into_iter().enumerate() {
            let plain = matches!(inner, Expr::NumberLiteral(_) | Expr::StringLiteral(_));
            let result = if at == 1 { &of_right } else { &of_left };
            if *left > 0 && !plain {
                part.parts.push(self.part(inner, result, left));
            }
        }
        part
    }

    fn evaluate(&self, part: &mut Part, result: &Labels) {
        let limits = Limits::default();
        let answer = Query::parse(&part.text)
            .and_then(|query| instant(&query, self.now, self.source, &limits));
        let rows = match answer.map(|answer| answer.value) {
            Ok(Value::Vector(rows)) => rows,
            Ok(Value::Scalar(time, value)) => {
                vec![InstantSample { labels: Labels::empty(), time, value }]
            }
            Ok(_) => Vec::new(),
            Err(error) => {
                part.error = Some(error.to_string());
                return;
            }
        };
        let concerns = |row: &&InstantSample| {
            row.labels
                .iter()
                .filter(|label| &*label.name != METRIC_NAME)
                .all(|label| result.get(&label.name).is_none_or(|value| value == &*label.value))
        };
        let all = rows.len();
        let mut rows: Vec<&InstantSample> = rows.iter().filter(concerns).collect();
        part.others = all - rows.len();
        part.more = rows.len().saturating_sub(MAX_VALUES);
        rows.truncate(MAX_VALUES);
        let shown = |row: &InstantSample| (row.labels.to_string(), row.value.to_string());
        part.values = rows.into_iter().map(shown).collect();
    }
}

/// The labels of `result` in which the joined side of `binary` must agree.
fn of_joined(binary: &BinaryExpr, result: &Labels) -> Labels {
    let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
    let has = |labels: &[String], name: &str| labels.iter().any(|label| label == name);
    match matching {
        Some(LabelModifier::Include(on)) => result.without(|name| !has(&on.labels, name)),
        Some(LabelModifier::Exclude(but)) => result.without(|name| has(&but.labels, name)),
        None => result.clone(),
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_promql::MemorySource;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(60_000);

    fn values(part: &Part, text: &str) -> Option<(Vec<String>, usize)> {
        if part.text == text {
            let values = part.values.iter().map(|(_, value)| value.clone()).collect();
            return Some((values, part.others));
        }
        part.parts.iter().find_map(|inner| values(inner, text))
    }

    #[test]
    fn what_is_joined_need_not_agree_in_its_own_labels() {
        let mut source = MemorySource::new();
        let mut push = |metric, device, site, value| {
            let labels = Labels::metric(metric, [("device", device), ("site", site)]);
            source.push(&labels, NOW, value);
        };
        push("lost", "ats", "a", 1.0);
        push("speed", "generator", "a", 36.0);
        push("speed", "generator", "b", 1500.0);
        let result = Labels::from_pairs([("device", "ats"), ("site", "a")]);
        let desk = Desk { now: NOW, source: &source };
        for (text, found) in [
            ("lost == 1 and on (site) speed < 300", (vec!["36"], 1)),
            ("lost == 1 unless ignoring (device) (speed > 300)", (vec!["36"], 1)),
            ("lost * on (site) group_left () speed", (vec!["36"], 1)),
            ("speed * on (site) group_right () lost", (vec!["36"], 1)),
            ("lost == 1 or on (site) speed < 300", (vec!["36"], 1)),
            // This one matches nothing, which is why.
            ("lost == 1 and speed < 300", (vec![], 2)),
        ] {
            let query = Query::parse(text).unwrap();
            let part = desk.part(query.expr(), &result, &mut MAX_PARTS.clone());
            let (said, others) = values(&part, "speed").unwrap();
            assert_eq!((said.iter().map(String::as_str).collect(), others), found, "{text}");
            assert_eq!(values(&part, "lost").unwrap().0, ["1"], "{text}");
        }
    }
}
