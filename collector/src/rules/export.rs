//! Rule files for Prometheus itself: as close to what was written as its language allows, with a
//! statement of what was lost.

use std::fmt::Write;
use std::time::Duration;

use promql_parser::parser::{Expr, LabelModifier};

use super::duration;
use super::load::semantics::bare;
use super::rule::{Alerting, Flapping, Group, NoData, Purpose, Rule, RuleSet};

/// Plain rule files, and what they lack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The file.
    pub text: String,
    /// What Prometheus will do otherwise, rule by rule: `group/rule: …`.
    pub lost: Vec<String>,
    /// So many of the rules alert.
    alerting: usize,
}

/// The rules of `file` (all, if it is `None`) as Prometheus reads them.
#[must_use]
pub fn prometheus(rules: &RuleSet, file: Option<&str>) -> Export {
    let mut export = Export::default();
    export.text.push_str("groups:\n");
    let wanted = |group: &&Group| file.is_none_or(|file| *group.file == *file);
    for group in rules.groups.iter().filter(wanted) {
        export.group(group);
    }
    export
}

impl Export {
    /// What is lost, for people: what many rules lose is said once.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let mut losses: Vec<(&str, Vec<&str>)> = Vec::new();
        for lost in &self.lost {
            let (rule, what) = lost.split_once(": ").unwrap_or(("", lost));
            match losses.iter_mut().find(|(of, _)| *of == what) {
                Some((_, rules)) => rules.push(rule),
                None => losses.push((what, vec![rule])),
            }
        }
        let line = |(what, rules): (&str, Vec<&str>)| match rules.len() {
            many if many > 1 && many == self.alerting => {
                format!("all {many} alerting rules: {what}")
            }
            _ => format!("{}: {what}", rules.join(", ")),
        };
        losses.into_iter().map(line).collect()
    }

    fn group(&mut self, group: &Group) {
        self.line(2, "- name", &quoted(&group.name));
        if let Some(interval) = group.interval {
            self.line(4, "interval", &duration::format(interval));
        }
        if group.limit > 0 {
            self.line(4, "limit", &group.limit.to_string());
        }
        self.text.push_str(if group.rules.is_empty() { "    rules: []\n" } else { "    rules:\n" });
        for rule in &group.rules {
            self.rule(group, rule);
        }
    }

    fn rule(&mut self, group: &Group, rule: &Rule) {
        let kind = if rule.alerting().is_some() { "- alert" } else { "- record" };
        self.line(6, kind, &quoted(&rule.name));
        let Purpose::Alert(alerting) = &rule.purpose else {
            self.line(8, "expr", &quoted(rule.query.text()));
            self.texts("labels", rule.labels.iter().map(|(n, t)| (&**n, t.text())));
            return;
        };
        self.alerting += 1;
        self.line(8, "expr", &quoted(&expression(rule, alerting)));
        let hold = alerting.expect.as_ref().map_or(alerting.hold, |expect| expect.within);
        for (key, time) in [("for", hold), ("keep_firing_for", alerting.keep_firing)] {
            if time > Duration::ZERO {
                self.line(8, key, &duration::format(time));
            }
        }
        self.texts("labels", rule.labels.iter().map(|(n, t)| (&**n, t.text())));
        self.texts("annotations", alerting.annotations.iter().map(|(n, t)| (&**n, t.text())));
        for lost in lost(rule, alerting) {
            self.lost.push(format!("{}/{}: {lost}", group.name, rule.name));
        }
    }

    fn texts<'t>(&mut self, key: &str, texts: impl Iterator<Item = (&'t str, &'t str)>) {
        let texts: Vec<_> = texts.collect();
        if !texts.is_empty() {
            // Writing into a text cannot fail.
            let _ = writeln!(self.text, "        {key}:");
        }
        for (name, text) in texts {
            self.line(10, name, &quoted(text));
        }
    }

    fn line(&mut self, indent: usize, key: &str, value: &str) {
        let _ = writeln!(self.text, "{:indent$}{key}: {value}", "");
    }
}

/// What `expr` becomes: `expect` is taken away from it, and an alert that fires is part of it until
/// `clear` holds.
fn expression(rule: &Rule, alerting: &Alerting) -> String {
    let own = rule.query.text().trim();
    let mut text = own.to_owned();
    if let Some(expect) = &alerting.expect {
        let on = expect.on.as_ref().map(|on| on.join(", "));
        let on =
            on.map_or_else(|| matching(expect.condition.query.expr()), |on| format!(" on ({on})"));
        text = format!("({own}) unless{on} ({})", expect.condition.query.text().trim());
    }
    if let Some(clear) = &alerting.clear {
        // What the rule adds is added again.
        let added = rule.labels.iter().map(|(name, _)| &**name);
        let names: Vec<&str> = ["alertname", "alertstate"].into_iter().chain(added).collect();
        let firing = format!(
            "max without ({}) (ALERTS{{alertname={}, alertstate=\"firing\"}})",
            names.join(", "),
            quoted(&rule.name),
        );
        let on = matching(clear.query.expr());
        text = format!("({text}) or ({firing} unless{on} ({}))", clear.query.text().trim());
    }
    text
}

/// An aggregation has fewer labels than what it is compared with.
fn matching(expr: &Expr) -> String {
    let aggregate = match bare(expr) {
        Expr::Aggregate(aggregate) => Some(aggregate),
        Expr::Binary(binary) => match bare(&binary.lhs) {
            Expr::Aggregate(aggregate) => Some(aggregate),
            _ => None,
        },
        _ => None,
    };
    match aggregate.map(|aggregate| &aggregate.modifier) {
        Some(Some(LabelModifier::Include(by))) => format!(" on ({})", by.labels.join(", ")),
        Some(None) => " on ()".to_owned(),
        _ => String::new(),
    }
}

fn lost(rule: &Rule, alerting: &Alerting) -> Vec<String> {
    let mut lost = Vec::new();
    match alerting.no_data {
        NoData::Hold => lost.push("it is resolved when its inputs go away".to_owned()),
        NoData::Fire => lost.push("it does not fire when its inputs go away".to_owned()),
        NoData::Resolve => {}
    }
    if alerting.clear.is_some() {
        let what = if alerting.deadband.is_some() { "deadband" } else { "clear" };
        lost.push(format!(
            "`{what}` is approximated by way of ALERTS: after it ceased the value is 1, and labels \
             must agree completely"
        ));
        if rule.labels.iter().any(|(_, text)| text.text().contains("{{")) {
            lost.push(
                "its labels have templates, which may change while `clear` is waited for"
                    .to_owned(),
            );
        }
    }
    if let Some(expect) = &alerting.expect {
        lost.push(
            "`expect` is approximated by `unless` and `for`: it fires, too, when what was expected \
             came in time and ended later, and a gap starts its time anew"
                .to_owned(),
        );
        if expect.on.is_none() {
            lost.push("without `on`, labels of `expect` must agree completely".to_owned());
        }
    }
    if let Flapping::Beyond(_) = alerting.flapping {
        lost.push("`flapping` is left out: each change is told".to_owned());
    }
    lost
}

/// JSON is YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
