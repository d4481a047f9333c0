//! What a file of unit tests says, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_config::{Invalid, Problem, Problems, Source};
use hallwatch_model::Labels;
use hallwatch_promql::Query;

use super::super::load::{Desk, Fields};
use super::super::tree::{self, Node};
use super::series;

/// A file of tests.
#[derive(Debug)]
pub struct Suite {
    /// The rule files, relative to this one; the last part may have `*` in it.
    pub rule_files: Vec<String>,
    /// How often the rules are evaluated.
    pub interval: Duration,
    pub(super) order: Vec<String>,
    pub(super) fuzzy: bool,
    pub(super) tests: Vec<Test>,
}

impl Suite {
    /// How many tests it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tests.len()
    }

    /// Whether it tests nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }
}

#[derive(Debug)]
pub(super) struct Test {
    pub(super) name: Option<String>,
    pub(super) interval: Duration,
    pub(super) series: Vec<(Labels, Vec<Option<f64>>)>,
    pub(super) alerts: Vec<AlertTest>,
    pub(super) expressions: Vec<ExpressionTest>,
    pub(super) external_url: String,
}

#[derive(Debug)]
pub(super) struct AlertTest {
    pub(super) at: Duration,
    pub(super) name: String,
    /// Labels without the alert's name, and annotations.
    pub(super) alerts: Vec<(Labels, BTreeMap<String, String>)>,
}

#[derive(Debug)]
pub(super) struct ExpressionTest {
    pub(super) at: Duration,
    pub(super) query: Query,
    pub(super) samples: Vec<(Labels, f64)>,
}

impl Test {
    /// When the last thing is looked at.
    pub(super) fn end(&self) -> Duration {
        let alerts = self.alerts.iter().map(|test| test.at);
        alerts.chain(self.expressions.iter().map(|test| test.at)).max().unwrap_or_default()
    }
}

/// Reads a file of unit tests.
///
/// # Errors
/// When there is anything wrong, all of it.
pub fn load(name: &str, text: &str) -> Result<Suite, Invalid> {
    let source = Source::new(name, text);
    let mut desk = Desk {
        text,
        file: name.into(),
        problems: Problems::new(&source),
        warnings: Problems::new(&source),
    };
    let mut suite = Suite {
        rule_files: Vec::new(),
        interval: Duration::from_secs(60),
        order: Vec::new(),
        fuzzy: false,
        tests: Vec::new(),
    };
    match tree::parse(text) {
        Ok(Some(root)) => desk.suite(&root, &mut suite),
        Ok(None) => {}
        Err(problem) => desk.problems.push(problem),
    }
    desk.problems.into_result(suite)
}

impl Desk<'_> {
    fn suite(&mut self, root: &Node, suite: &mut Suite) {
        let known =
            ["rule_files", "evaluation_interval", "group_eval_order", "fuzzy_compare", "tests"];
        let Some(fields) = self.fields(root, "a file of tests", &known) else { return };
        suite.rule_files = self.words(&fields, "rule_files");
        suite.order = self.words(&fields, "group_eval_order");
        suite.fuzzy = fields.get("fuzzy_compare").is_some_and(|node| {
            self.scalar(node, "fuzzy_compare").is_some_and(|text| text == "true")
        });
        if let Some(interval) = self.step(&fields, "evaluation_interval") {
            suite.interval = interval;
        }
        let Some(tests) = fields.get("tests") else { return };
        for node in self.items(tests, "tests") {
            suite.tests.extend(self.test(node, suite.interval));
        }
    }

    fn words(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        let Some(node) = fields.get(key) else { return Vec::new() };
        let items = self.items(node, key).iter();
        items.filter_map(|item| self.word(item, key).map(str::to_owned)).collect()
    }

    /// A duration of at least a millisecond.
    fn step(&mut self, fields: &Fields<'_>, key: &str) -> Option<Duration> {
        let node = fields.get(key)?;
        let found = self.duration(node, key)?;
        if found.is_zero() {
            self.wrong(&node.span, format!("`{key}` is zero"), "time would stand still");
            return None;
        }
        Some(found)
    }

    fn test(&mut self, node: &Node, usual: Duration) -> Option<Test> {
        let known = [
            "name",
            "interval",
            "input_series",
            "alert_rule_test",
            "promql_expr_test",
            "external_labels",
            "external_url",
        ];
        let fields = self.fields(node, "a test", &known)?;
        let text = |desk: &mut Self, key: &str| {
            fields.get(key).and_then(|node| desk.scalar(node, key)).map(str::to_owned)
        };
        let name = text(self, "name");
        let external_url = text(self, "external_url").unwrap_or_default();
        let interval = self.step(&fields, "interval").unwrap_or(usual);
        let mut test = Test {
            name,
            interval,
            series: Vec::new(),
            alerts: Vec::new(),
            expressions: Vec::new(),
            external_url,
        };
        for node in fields.get("input_series").map_or(&[][..], |n| self.items(n, "input_series")) {
            test.series.extend(self.input(node));
        }
        let alerts = fields.get("alert_rule_test");
        for node in alerts.map_or(&[][..], |node| self.items(node, "alert_rule_test")) {
            test.alerts.extend(self.alert_test(node));
        }
        let expressions = fields.get("promql_expr_test");
        for node in expressions.map_or(&[][..], |node| self.items(node, "promql_expr_test")) {
            test.expressions.extend(self.expression_test(node));
        }
        Some(test)
    }

    fn input(&mut self, node: &Node) -> Option<(Labels, Vec<Option<f64>>)> {
        let fields = self.fields(node, "an input series", &["series", "values"])?;
        let labels = fields.get("series").and_then(|node| self.series(node, "series"));
        let node = fields.get("values")?;
        let text = self.scalar(node, "values")?;
        match series::values(text) {
            Ok(values) => Some((labels?, values)),
            Err(message) => {
                let help = "such as `1 2 3`, `0x10`, `0+1x10`, `_x5`, `stale`";
                self.wrong_with(&node.span, message, "", help);
                None
            }
        }
    }

    fn series(&mut self, node: &Node, key: &str) -> Option<Labels> {
        match series::labels(self.scalar(node, key)?) {
            Ok(labels) => Some(labels),
            Err(message) => {
                self.wrong(&node.span, message, "");
                None
            }
        }
    }

    fn at(&mut self, fields: &Fields<'_>) -> Duration {
        let at = fields.get("eval_time").and_then(|node| self.duration(node, "eval_time"));
        at.unwrap_or_default()
    }

    fn alert_test(&mut self, node: &Node) -> Option<AlertTest> {
        let known = ["eval_time", "alertname", "exp_alerts"];
        let fields = self.fields(node, "a test of alerts", &known)?;
        let at = self.at(&fields);
        let name = match fields.get("alertname") {
            Some(node) => self.word(node, "alertname").map(str::to_owned),
            None => {
                self.wrong(&fields.span, "a test of alerts without `alertname`", "of which?");
                None
            }
        };
        let mut alerts = Vec::new();
        for node in fields.get("exp_alerts").map_or(&[][..], |n| self.items(n, "exp_alerts")) {
            let known = ["exp_labels", "exp_annotations"];
            let Some(fields) = self.fields(node, "an expected alert", &known) else { continue };
            let pairs = |desk: &mut Self, key: &str| {
                let texts = fields.get(key).map(|node| desk.texts(node, key, false));
                let texts = texts.unwrap_or_default().into_iter();
                texts.map(|(n, t)| (n.to_string(), t.text().to_owned())).collect()
            };
            let labels: BTreeMap<String, String> = pairs(self, "exp_labels");
            let labels = Labels::from_pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            alerts.push((labels, pairs(self, "exp_annotations")));
        }
        Some(AlertTest { at, name: name?, alerts })
    }

    fn expression_test(&mut self, node: &Node) -> Option<ExpressionTest> {
        let fields =
            self.fields(node, "a test of an expression", &["expr", "eval_time", "exp_samples"])?;
        let at = self.at(&fields);
        let query = match fields.get("expr") {
            Some(node) => match Query::parse(self.word(node, "expr")?) {
                Ok(query) => Some(query),
                Err(error) => {
                    self.wrong(&node.span, format!("not PromQL: {error}"), "");
                    None
                }
            },
            None => {
                self.wrong(&fields.span, "a test of an expression without `expr`", "of which?");
                None
            }
        };
        let mut samples = Vec::new();
        for node in fields.get("exp_samples").map_or(&[][..], |n| self.items(n, "exp_samples")) {
            let known = ["labels", "value"];
            let Some(fields) = self.fields(node, "an expected sample", &known) else { continue };
            let labels = match fields.get("labels") {
                Some(node) => self.series(node, "labels"),
                None => Some(Labels::empty()),
            };
            let value = match fields.get("value") {
                Some(node) => {
                    let text = self.scalar(node, "value")?;
                    let value = series::number(text);
                    if value.is_none() {
                        self.problems.push(Problem {
                            span: node.span.clone(),
                            message: "that is not a number".to_owned(),
                            label: String::new(),
                            help: None,
                        });
                    }
                    value
                }
                None => Some(0.0),
            };
            samples.extend(labels.zip(value));
        }
        Some(ExpressionTest { at, query: query?, samples })
    }
}
