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
    /// What Prometheus will do otherwise, rule by rule: `group/rule`, and what.
    pub lost: Vec<(String, String)>,
    /// The rules that alert: `group/rule`.
    alerting: Vec<String>,
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
        for (rule, what) in &self.lost {
            match losses.iter_mut().find(|(of, _)| *of == what) {
                Some((_, rules)) => rules.push(rule),
                None => losses.push((what, vec![rule])),
            }
        }
        let line = |(what, rules): (&str, Vec<&str>)| {
            let (many, all) = (rules.len(), self.alerting.len());
            // Most of them are fewer words by their exceptions.
            let others = self.alerting.iter().filter(|rule| !rules.contains(&rule.as_str()));
            let others: Vec<&str> = others.map(String::as_str).collect();
            match others.len() {
                0 if many > 1 && many == all => format!("all {many} alerting rules: {what}"),
                few if few > 0 && few + 2 < many => {
                    let others = others.join(", ");
                    format!("{many} of {all} alerting rules, all but {others}: {what}")
                }
                _ => format!("{}: {what}", rules.join(", ")),
            }
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
        let name = format!("{}/{}", group.name, rule.name);
        self.alerting.push(name.clone());
        self.line(8, "expr", &quoted(&expression(rule, alerting)));
        let hold = alerting.expect.as_ref().map_or(alerting.hold, |expect| expect.within);
        for (key, time) in [("for", hold), ("keep_firing_for", alerting.keep_firing)] {
            if time > Duration::ZERO {
                self.line(8, key, &duration::format(time));
            }
        }
        self.texts("labels", rule.labels.iter().map(|(n, t)| (&**n, t.text())));
        self.texts("annotations", alerting.annotations.iter().map(|(n, t)| (&**n, t.text())));
        self.lost.extend(lost(rule, alerting).into_iter().map(|lost| (name.clone(), lost)));
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
    match alerting.flapping {
        Flapping::Beyond(_) => lost.push("`flapping` is left out: each change is told".to_owned()),
        Flapping::Default => lost.push(
            "flapping, which Hallwatch has by default, is left out: each change is told".to_owned(),
        ),
        Flapping::Off => {}
    }
    lost
}

/// JSON is YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

    use super::*;
    use crate::rules::load;

    fn summary(group: &str, rules: &[&str]) -> Vec<String> {
        let mut text = format!("groups:\n- name: {group:?}\n  rules:\n");
        for (number, keys) in rules.iter().enumerate() {
            let _ = writeln!(text, "  - {{alert: A{number}, expr: up == {number}, {keys}}}");
        }
        prometheus(&load(&[("f.yaml", &text)]).unwrap(), None).summary()
    }

    const PLAIN: &str = "no_data: resolve, flapping: off";
    const FLAPS: &str = "no_data: resolve";
    const LOSS: &str = "flapping, which Hallwatch has by default, is left out: each change is told";

    #[test]
    fn what_prometheus_does_not_do_is_said_once() {
        assert_eq!(summary("g", &[PLAIN]), Vec::<String>::new());
        assert_eq!(summary("g", &[FLAPS]), [format!("g/A0: {LOSS}")]);
        assert_eq!(summary("g", &[FLAPS; 5]), [format!("all 5 alerting rules: {LOSS}")]);
        assert_eq!(
            summary("g", &[FLAPS, FLAPS, PLAIN, FLAPS, FLAPS]),
            [format!("4 of 5 alerting rules, all but g/A2: {LOSS}")]
        );
        assert_eq!(
            summary("g", &[FLAPS, PLAIN, PLAIN, FLAPS, PLAIN]),
            [format!("g/A0, g/A3: {LOSS}")]
        );
        let of_its_own = "no_data: resolve, flapping: {changes: 4}";
        assert_eq!(
            summary("g", &[of_its_own]),
            ["g/A0: `flapping` is left out: each change is told"]
        );
    }

    #[test]
    fn names_may_have_colons() {
        let lost = summary("a: b", &[FLAPS, FLAPS, PLAIN, PLAIN]);
        assert_eq!(lost, [format!("a: b/A0, a: b/A1: {LOSS}")]);
    }
}
