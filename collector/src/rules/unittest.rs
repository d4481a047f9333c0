//! Unit tests of rules, in the format of `promtool test rules`: what is measured, and what must come
//! of it. Time begins at 1970, as there.
//!
//! Rules are evaluated in batch, and alerts that come and go are not called flapping unless their
//! rule asks for it, so that a test says what its file says.

mod file;
mod series;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use hallwatch_config::Invalid;
use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::{Limits, MemorySource, Value, instant};

use super::alert::AlertState;
use super::engine::{Engine, Options};
use super::rule::{NoData, Purpose, RuleSet};
use file::{AlertTest, ExpressionTest, Test};
pub use file::{Suite, load as load_suite};

/// The most evaluations of one test.
const MAX_STEPS: u64 = 1_000_000;

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The test's name, or its number.
    pub test: String,
    /// What was expected and what came, over several lines.
    pub text: String,
}

/// Runs the tests of a suite against `rules`: names and texts of its rule files. `prometheus`: as
/// Prometheus would behave, which takes missing data for good news.
///
/// # Errors
/// When the rule files are wrong.
pub fn run(
    suite: &Suite,
    rules: &[(&str, &str)],
    prometheus: bool,
) -> Result<Vec<Failure>, Invalid> {
    let mut failures = Vec::new();
    for (number, test) in suite.tests.iter().enumerate() {
        let mut set = super::load(rules)?;
        prepare(&mut set, suite, prometheus);
        let name = test.name.clone().unwrap_or_else(|| format!("number {}", number + 1));
        let texts = match set_up(suite, test) {
            Some(problem) => vec![problem],
            None => one(suite, test, set),
        };
        failures.extend(texts.into_iter().map(|text| Failure { test: name.clone(), text }));
    }
    Ok(failures)
}

fn set_up(suite: &Suite, test: &Test) -> Option<String> {
    let steps = test.end().as_millis() / suite.interval.as_millis().max(1);
    (steps > u128::from(MAX_STEPS)).then(|| format!("more than {MAX_STEPS} evaluations"))
}

/// Every group is evaluated at the suite's interval, whatever its own is, and in its order.
fn prepare(set: &mut RuleSet, suite: &Suite, prometheus: bool) {
    let place = |name: &str| suite.order.iter().position(|of| of == name).unwrap_or(usize::MAX);
    set.groups.sort_by_key(|group| place(&group.name));
    for group in &mut set.groups {
        group.interval = None;
        for rule in group.rules.iter_mut().filter(|_| prometheus) {
            if let Purpose::Alert(alerting) = &mut rule.purpose {
                alerting.no_data = NoData::Resolve;
            }
        }
    }
}

fn one(suite: &Suite, test: &Test, set: RuleSet) -> Vec<String> {
    let options = Options {
        interval: suite.interval,
        external_url: test.external_url.clone(),
        flapping: None,
        ..Options::default()
    };
    let lookback = options.lookback;
    let mut source = MemorySource::new();
    for (labels, values) in &test.series {
        for (number, value) in (0u32..).zip(values) {
            let at = Timestamp::from_millis(0) + test.interval.saturating_mul(number);
            if let Some(value) = value {
                source.push(labels, at, *value);
            }
        }
    }
    let mut engine = Engine::new(set, Vec::new(), options);
    let mut failures = Vec::new();
    let (mut since_start, end) = (Duration::ZERO, test.end());
    while since_start <= end {
        let now = Timestamp::from_millis(0) + since_start;
        let evaluation = engine.evaluate(now, &source);
        for (labels, sample) in &evaluation.samples {
            source.push(labels, sample.time, hallwatch_model::sample::to_float(sample.value));
        }
        let next = since_start + suite.interval;
        let here = |test: &&AlertTest| (since_start..next).contains(&test.at);
        for expected in test.alerts.iter().filter(here) {
            failures.extend(alerts(expected, &engine));
        }
        since_start = next;
    }
    failures.extend(
        test.expressions
            .iter()
            .filter_map(|expected| expression(expected, &source, lookback, suite.fuzzy)),
    );
    failures
}

/// What fires now, by labels.
fn alerts(expected: &AlertTest, engine: &Engine) -> Option<String> {
    let view = engine.view();
    let rules = view.groups.iter().flat_map(|group| &group.rules);
    let alerts = rules
        .filter(|rule| *rule.name == *expected.name)
        .filter_map(|rule| rule.alerting.as_ref())
        .flat_map(|alerting| &alerting.alerts);
    let mut got: Vec<(Labels, BTreeMap<String, String>)> = alerts
        .filter(|alert| alert.state == AlertState::Firing)
        .map(|alert| {
            let texts = alert.annotations.iter();
            (alert.labels.clone(), texts.map(|(n, t)| (n.to_string(), t.clone())).collect())
        })
        .collect();
    let mut wanted: Vec<(Labels, BTreeMap<String, String>)> = expected
        .alerts
        .iter()
        .map(|(labels, texts)| (labels.with("alertname", &expected.name), texts.clone()))
        .collect();
    got.sort();
    wanted.sort();
    if got == wanted {
        return None;
    }
    let list = |alerts: &[(Labels, BTreeMap<String, String>)]| {
        let mut text = String::new();
        for (labels, texts) in alerts {
            // Writing into a text cannot fail.
            let _ = write!(text, "\n    {labels} {texts:?}");
        }
        if text.is_empty() { " nothing".to_owned() } else { text }
    };
    let at = super::format_duration(expected.at);
    Some(format!(
        "alertname: {}, time: {at},\n  exp:{}\n  got:{}",
        expected.name,
        list(&wanted),
        list(&got)
    ))
}

fn expression(
    expected: &ExpressionTest,
    source: &MemorySource,
    lookback: Duration,
    fuzzy: bool,
) -> Option<String> {
    let at = Timestamp::from_millis(0) + expected.at;
    let limits = Limits { lookback, ..Limits::default() };
    let text = expected.query.text();
    let time = super::format_duration(expected.at);
    let mut got: Vec<(Labels, f64)> = match instant(&expected.query, at, source, &limits) {
        Ok(answer) => match answer.value {
            Value::Scalar(_, value) => vec![(Labels::empty(), value)],
            Value::Vector(rows) => rows.into_iter().map(|row| (row.labels, row.value)).collect(),
            Value::String(..) | Value::Matrix(_) => {
                return Some(format!("expr: {text:?}, time: {time}: not a vector or a scalar"));
            }
        },
        Err(error) => return Some(format!("expr: {text:?}, time: {time}: {error}")),
    };
    let mut wanted = expected.samples.clone();
    let by_labels = |a: &(Labels, f64), b: &(Labels, f64)| a.0.cmp(&b.0);
    got.sort_by(by_labels);
    wanted.sort_by(by_labels);
    let same = got.len() == wanted.len()
        && got.iter().zip(&wanted).all(|(got, wanted)| {
            got.0 == wanted.0 && (equal(got.1, wanted.1) || fuzzy && near(got.1, wanted.1))
        });
    if same {
        return None;
    }
    let list = |rows: &[(Labels, f64)]| {
        let rows: Vec<String> = rows
            .iter()
            .map(|(labels, value)| {
                let name = labels.name().unwrap_or("").to_owned();
                format!("\n    {name}{} {value}", labels.without(|label| label == METRIC_NAME))
            })
            .collect();
        if rows.is_empty() { " nothing".to_owned() } else { rows.concat() }
    };
    Some(format!("expr: {text:?}, time: {time},\n  exp:{}\n  got:{}", list(&wanted), list(&got)))
}

#[expect(clippy::float_cmp, reason = "promtool compares exactly, too")]
fn equal(left: f64, right: f64) -> bool {
    left == right || left.is_nan() && right.is_nan()
}

/// All but the last bits.
fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-12 * left.abs().max(right.abs())
}
