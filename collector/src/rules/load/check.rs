//! What a file, a group and a rule must be.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_config::suggest;
use hallwatch_config::{MAX_PROBLEMS, Problem};
use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::vocabulary;
use hallwatch_promql::{Error, Query, ValueType};

use super::super::duration;
use super::super::inputs;
use super::super::rule::{Alerting, Group, NoData, Purpose, Rule};
use super::super::template::Template;
use super::super::tree::{Kind, Node};
use super::{Desk, Fields, locate, shown};

/// The keys of a rule: Prometheus' own, then Hallwatch's.
const RULE_KEYS: [&str; 14] = [
    "alert",
    "record",
    "expr",
    "for",
    "keep_firing_for",
    "labels",
    "annotations",
    "no_data",
    "clear",
    "deadband",
    "expect",
    "within",
    "on",
    "flapping",
];
/// What only an alerting rule can have.
const ALERT_KEYS: [&str; 10] = [
    "for",
    "keep_firing_for",
    "annotations",
    "no_data",
    "clear",
    "deadband",
    "expect",
    "within",
    "on",
    "flapping",
];

impl Desk<'_> {
    pub(super) fn file(&mut self, root: &Node) -> Vec<Group> {
        if matches!(&root.kind, Kind::Scalar(scalar) if scalar.is_null()) {
            return Vec::new();
        }
        let Some(fields) = self.fields(root, "a rule file", &["groups"]) else { return Vec::new() };
        let Some(groups) = fields.get("groups") else { return Vec::new() };
        let mut seen: Vec<(Arc<str>, usize)> = Vec::new();
        let mut kept = Vec::new();
        for node in self.items(groups, "groups") {
            let Some((group, name_span)) = self.group(node) else { continue };
            if let Some((_, first)) = seen.iter().find(|(name, _)| *name == group.name) {
                let line = self.problems.source().position(*first).line;
                let message = format!("a second group named `{}`", shown(&group.name));
                self.wrong_with(
                    &name_span,
                    message,
                    "taken",
                    format!("the first one is in line {line}; names are unique in a file"),
                );
            } else {
                seen.push((group.name.clone(), name_span.start));
            }
            kept.push(group);
        }
        kept
    }

    fn group(&mut self, node: &Node) -> Option<(Group, Range<usize>)> {
        let fields = self.fields(node, "a group", &["name", "interval", "limit", "rules"])?;
        let name = match fields.get("name") {
            Some(name) => self.word(name, "name").map(|text| (text, name.span.clone())),
            None => {
                self.wrong(&fields.span, "a group without a `name`", "in this group");
                None
            }
        };
        let interval = fields.get("interval").and_then(|node| self.duration(node, "interval"));
        let limit = fields.get("limit").and_then(|node| self.limit(node));
        let rules = match fields.get("rules") {
            Some(rules) => {
                self.items(rules, "rules").iter().filter_map(|node| self.rule(node)).collect()
            }
            None => Vec::new(),
        };
        let (name, span) = name?;
        let group = Group {
            file: self.file.clone(),
            name: name.into(),
            // Prometheus takes 0 for its default.
            interval: interval.filter(|interval| !interval.is_zero()),
            limit: limit.unwrap_or(0),
            rules,
        };
        Some((group, span))
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let fields = self.fields(node, "a rule", &RULE_KEYS)?;
        let alert = fields.get("alert");
        let name = match (alert, fields.get("record")) {
            (Some(_), Some(_)) => {
                let key = fields.key("record")?;
                self.wrong_with(
                    &key.span,
                    "a rule with both `alert` and `record`",
                    "one too many",
                    "make two rules of it",
                );
                None
            }
            (None, None) => {
                let help = "an alerting rule has `alert: Name`, a recording rule `record: name`";
                self.wrong_with(&fields.span, "a rule without `alert` or `record`", "", help);
                None
            }
            (Some(name), None) => self.word(name, "alert"),
            (None, Some(name)) => self.recorded(name, &fields),
        };
        let query = match fields.get("expr") {
            Some(expr) => self.query(expr, "expr"),
            None => {
                self.wrong(&fields.span, "a rule without an `expr`", "in this rule");
                None
            }
        };
        let labels =
            fields.get("labels").map(|labels| self.texts(labels, "labels", alert.is_some()));
        let hold = fields.get("for").and_then(|node| self.duration(node, "for"));
        let keep =
            fields.get("keep_firing_for").and_then(|node| self.duration(node, "keep_firing_for"));
        let annotations =
            fields.get("annotations").map(|node| self.texts(node, "annotations", true));
        let no_data = fields.get("no_data").and_then(|node| self.no_data(node));
        let semantics = self.semantics(&fields, query.as_ref().map(|(query, _)| query));
        let (query, inputs) = query?;
        let purpose = if alert.is_some() {
            Purpose::Alert(Box::new(Alerting {
                hold: hold.unwrap_or_default(),
                keep_firing: keep.unwrap_or_default(),
                annotations: annotations.unwrap_or_default(),
                no_data: no_data.unwrap_or_default(),
                clear: semantics.clear,
                deadband: semantics.deadband,
                expect: semantics.expect,
                flapping: semantics.flapping,
            }))
        } else {
            Purpose::Record
        };
        let labels = labels.unwrap_or_default();
        Some(Rule { name: name?.into(), query, labels, purpose, inputs })
    }

    fn recorded<'n>(&mut self, node: &'n Node, fields: &Fields<'n>) -> Option<&'n str> {
        for key in ALERT_KEYS {
            if let Some(node) = fields.key(key) {
                let message = format!("`{key}` in a recording rule");
                self.wrong(&node.span, message, "only alerting rules can have it");
            }
        }
        let name = self.word(node, "record")?;
        if !is_name(name, true) {
            let help = "letters, digits, `_` and `:`, no digit first";
            let message = format!("`{}` is not a metric name", shown(name));
            self.wrong_with(&node.span, message, "", help);
            return None;
        }
        Some(name)
    }

    pub(super) fn query(&mut self, node: &Node, key: &str) -> Option<(Query, Vec<inputs::Input>)> {
        let text = self.word(node, key)?;
        let found = Query::parse(text)
            .and_then(|query| inputs::of(query.expr()).map(|inputs| (query, inputs)));
        let (query, inputs) = match found {
            Ok(found) => found,
            Err(error) => {
                let reason = match error {
                    Error::Parse { reason } => reason,
                    other => other.to_string(),
                };
                let reason = reason.lines().next().unwrap_or_default().trim().to_owned();
                let message = format!("not PromQL: {}", shown_long(&reason));
                if let Some(at) = locate::call(text, &reason) {
                    let span = node.within(self.text, at);
                    if reason.contains("expected type matrix") {
                        let help = "it takes a range, such as the last five minutes: `metric[5m]`";
                        self.wrong_with(&span, message, "in this call", help);
                    } else {
                        self.wrong(&span, message, "in this call");
                    }
                    return None;
                }
                let (span, label) = match locate::syntax_error(text) {
                    Some(at) => (node.within(self.text, at), "not understood from here"),
                    None => (node.span.clone(), ""),
                };
                self.wrong(&span, message, label);
                return None;
            }
        };
        if !matches!(query.kind(), ValueType::Vector | ValueType::Scalar) {
            let message = format!("the expression is a {}", kind(query.kind()));
            let help = "a rule needs an instant vector or a scalar";
            self.wrong_with(&node.span, message, "", help);
            return None;
        }
        self.vocabulary(node, text, &inputs);
        self.doubts(node, text, &query);
        Some((query, inputs))
    }

    /// Warns of metrics that nobody writes.
    fn vocabulary(&mut self, node: &Node, text: &str, inputs: &[inputs::Input]) {
        for input in inputs {
            let Some(name) = input.matchers.metric_name() else { continue };
            // Recording rules are called `level:metric:operations`.
            if name.contains(':') || vocabulary::find(name).is_some() {
                continue;
            }
            // What is only counted needs no advice, which takes a comparison with every metric.
            let told = self.warnings.len() < MAX_PROBLEMS;
            let near = told.then(|| nearest_metric(name)).flatten();
            let span = match text.find(name) {
                Some(at) => node.within(self.text, at..at + name.len()),
                None => node.span.clone(),
            };
            self.warnings.push(Problem {
                span,
                message: format!("no metric named `{}` in the vocabulary", shown(name)),
                label: "nobody writes it".to_owned(),
                help: if name.starts_with("hallwatch_collector_") {
                    let text = "the collector shows it at `/metrics`, for a Prometheus beside it; \
                                its own rules cannot read it";
                    Some(text.to_owned())
                } else {
                    near.map(|near| format!("did you mean `{near}`?"))
                },
            });
        }
    }

    /// Labels or annotations.
    pub(in crate::rules) fn texts(
        &mut self,
        node: &Node,
        what: &str,
        templates: bool,
    ) -> Vec<(Arc<str>, Template)> {
        let pairs = match &node.kind {
            Kind::Map(pairs) => pairs,
            Kind::Scalar(scalar) if scalar.is_null() => return Vec::new(),
            _ => {
                let message = format!("`{what}` must be a mapping, this is {}", node.noun());
                self.wrong(&node.span, message, "");
                return Vec::new();
            }
        };
        let mut kept: Vec<(Arc<str>, Template)> = Vec::new();
        for (key, value) in pairs {
            let Some(name) = self.scalar(key, what) else { continue };
            if !is_name(name, false) || (what == "labels" && name == METRIC_NAME) {
                let message = format!("`{}` is not a label name", shown(name));
                let help = "letters, digits and `_`, no digit first; not `__name__`";
                self.wrong_with(&key.span, message, "", help);
            } else if kept.iter().any(|(known, _)| **known == *name) {
                self.wrong(&key.span, format!("`{name}` is given twice"), "the second one");
            }
            let Some(text) = self.scalar(value, name) else { continue };
            let template = if templates {
                match Template::parse(text) {
                    Ok(template) => template,
                    Err(error) => {
                        self.problems.push(Problem {
                            span: value.within(self.text, error.span),
                            message: format!(
                                "in the template of `{}`: {}",
                                shown(name),
                                error.message
                            ),
                            label: "here".to_owned(),
                            help: error.help,
                        });
                        continue;
                    }
                }
            } else {
                Template::literal(text)
            };
            kept.push((name.into(), template));
        }
        kept
    }

    pub(in crate::rules) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.scalar(node, what)?;
        let found = duration::parse(text);
        if found.is_none() {
            let message = format!("`{}` is not a duration", shown(text));
            self.wrong_with(&node.span, message, "", "write it like `30s`, `5m` or `1h30m`");
        }
        found
    }

    fn limit(&mut self, node: &Node) -> Option<usize> {
        let text = self.scalar(node, "limit")?;
        let found = text.parse().ok();
        if found.is_none() {
            let message = format!("`limit` must be a whole number, not `{}`", shown(text));
            self.wrong_with(&node.span, message, "", "0 is no limit");
        }
        found
    }

    fn no_data(&mut self, node: &Node) -> Option<NoData> {
        let text = self.scalar(node, "no_data")?;
        let found = NoData::WORDS.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words = NoData::WORDS.map(|(word, _)| word);
            let message = format!("`no_data` cannot be `{}`", shown(text));
            self.wrong_with(&node.span, message, "", suggest::help(text, "words", &words));
        }
        found.map(|(_, no_data)| *no_data)
    }
}

pub(super) fn is_name(text: &str, colons: bool) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !text.is_empty() && text.chars().all(good) && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn nearest_metric(name: &str) -> Option<&'static str> {
    let known: Vec<&str> = vocabulary::METRICS.iter().map(|metric| metric.name).collect();
    suggest::nearest(name, &known)
}

fn kind(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Matrix => "range vector",
        ValueType::String => "text",
        ValueType::Vector => "vector",
        ValueType::Scalar => "scalar",
    }
}

/// A reason from the parser, which may quote the whole expression.
fn shown_long(text: &str) -> String {
    let cut: String = text.chars().take(200).filter(|c| !c.is_control()).collect();
    if text.chars().nth(200).is_some() { cut + "…" } else { cut }
}
