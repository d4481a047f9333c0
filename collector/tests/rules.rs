//! Alerts through their states, as an operator would write it down: what is measured when, and what
//! must be said of it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::time::Duration;

use hallwatch_collector::rules::{
    AlertState, Engine, Evaluation, Health, Options, RuleSet, SavedAlert, load,
};
use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Missing, Timestamp};
use hallwatch_promql::MemorySource;

/// A story: an engine, what has been measured, and what came of it.
struct Story {
    engine: Engine,
    source: MemorySource,
    log: Vec<String>,
    last: Evaluation,
    saved: Vec<SavedAlert>,
}

fn rules(text: &str) -> RuleSet {
    load(&[("rules.yaml", text)]).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + second * 1000)
}

fn options() -> Options {
    Options { lookback: Duration::from_secs(60), ..Options::default() }
}

impl Story {
    /// Of one alerting rule, named `A`.
    fn new(rule: &str) -> Self {
        Self::of(&group(rule))
    }

    fn of(file: &str) -> Self {
        let engine = Engine::new(rules(file), Vec::new(), options());
        let (source, log) = (MemorySource::new(), Vec::new());
        Self { engine, source, log, last: Evaluation::default(), saved: Vec::new() }
    }

    fn measure(&mut self, second: i64, device: &str, value: f64) {
        self.source.push(&series(device), at(second), value);
    }

    /// Measures and evaluates once a second, for each of `values`.
    fn run(&mut self, from: i64, values: &[f64]) {
        for (second, value) in (from..).zip(values) {
            self.measure(second, "a", *value);
            self.evaluate(second);
        }
    }

    fn evaluate(&mut self, second: i64) {
        self.last = self.engine.evaluate(at(second), &self.source);
        let ended = &self.last.ended;
        self.saved.retain(|s| !ended.contains(&(s.rule.clone(), s.alert.labels.clone())));
        for new in &self.last.changed {
            self.saved.retain(|s| s.rule != new.rule || s.alert.labels != new.alert.labels);
            self.saved.push(new.clone());
        }
        self.log.extend(self.last.transitions.iter().map(|t| {
            let name = t.alert.labels.get("alertname").unwrap_or("?");
            format!("{second}: {name} {} -> {}: {}", t.from.word(), t.to.word(), t.reason)
        }));
        for (labels, sample) in &self.last.samples {
            self.source.push(labels, at(second), to_float(sample.value));
        }
    }

    fn restart(&mut self, rule: &str) {
        self.engine = Engine::new(rules(&group(rule)), self.saved.clone(), options());
    }

    /// State of the first alert of the rule at `index`, and whether it is held.
    fn state(&self, index: usize) -> Option<(AlertState, bool)> {
        let view = self.engine.view();
        let alerts = &view.groups[0].rules[index].alerting.as_ref().unwrap().alerts;
        alerts.first().map(|alert| (alert.state, alert.held.is_some()))
    }
}

fn series(device: &str) -> Labels {
    Labels::metric("ups_load_ratio", [("site", "s"), ("device", device)])
}

fn group(rule: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n  - alert: A\n    {}\n", rule.replace('\n', "\n    "))
}

fn missing() -> f64 {
    to_float(Err(Missing::Timeout))
}

const PLAIN: &str = "expr: ups_load_ratio > 1";
const BEGAN: &str = "pending: the expression began to hold, its value is 2";
const FIRES: &str = "firing: the expression holds";
const ENDED: &str = "the expression holds no longer, 1 input proves it";
const GONE: &str = "held: no fresh value of ups_load_ratio{device=\"a\", site=\"s\"}";

fn check(name: &str, rule: &str, values: &[f64], expected: &[String]) {
    let mut story = Story::new(rule);
    story.run(0, values);
    assert_eq!(story.log, expected, "{name}");
}

#[test]
fn follows_prometheus_while_data_is_there() {
    check("never true", PLAIN, &[0.0, 0.0, 0.0], &[]);
    check(
        "without `for` it fires at once",
        PLAIN,
        &[0.0, 2.0, 2.0, 0.0],
        &[format!("1: A inactive -> {FIRES}"), format!("3: A firing -> resolved: {ENDED}")],
    );
    check(
        "with `for` it is pending first",
        "expr: ups_load_ratio > 1\nfor: 2s",
        &[2.0, 2.0, 2.0, 0.0],
        &[
            format!("0: A inactive -> {BEGAN}"),
            "2: A pending -> firing: the expression has held for 2s".into(),
            format!("3: A firing -> resolved: {ENDED}"),
        ],
    );
    check(
        "true for too short",
        "expr: ups_load_ratio > 1\nfor: 2s",
        &[2.0, 2.0, 0.0, 2.0],
        &[
            format!("0: A inactive -> {BEGAN}"),
            format!("2: A pending -> inactive: {ENDED}"),
            format!("3: A inactive -> {BEGAN}"),
        ],
    );
    check(
        "kept firing, and true again meanwhile",
        "expr: ups_load_ratio > 1\nkeep_firing_for: 2s",
        &[2.0, 0.0, 2.0, 0.0, 0.0, 0.0],
        &[
            format!("0: A inactive -> {FIRES}"),
            format!("5: A firing -> resolved: {ENDED}, kept firing for 2s after it"),
        ],
    );
    check(
        "a pending alert is not kept",
        "expr: ups_load_ratio > 1\nfor: 5s\nkeep_firing_for: 5s",
        &[2.0, 0.0],
        &[format!("0: A inactive -> {BEGAN}"), format!("1: A pending -> inactive: {ENDED}")],
    );
    check(
        "an ordinary NaN is a value, and greater than nothing",
        PLAIN,
        &[2.0, f64::NAN],
        &[format!("0: A inactive -> {FIRES}"), format!("1: A firing -> resolved: {ENDED}")],
    );
}

#[test]
fn silence_is_not_good_news() {
    check(
        "a firing alert is held, and resolves on evidence",
        PLAIN,
        &[2.0, missing(), missing(), 0.0],
        &[
            format!("0: A inactive -> {FIRES}"),
            format!("1: A firing -> firing: {GONE}"),
            "3: A firing -> firing: no longer held, after 2s".into(),
            format!("3: A firing -> resolved: {ENDED}"),
        ],
    );
    check(
        "it is still true when the data is back",
        PLAIN,
        &[2.0, missing(), 3.0],
        &[
            format!("0: A inactive -> {FIRES}"),
            format!("1: A firing -> firing: {GONE}"),
            "2: A firing -> firing: no longer held, after 1s".into(),
        ],
    );
    check(
        "the timer of a pending alert stands still",
        "expr: ups_load_ratio > 1\nfor: 3s",
        &[2.0, 2.0, missing(), missing(), missing(), 2.0, 2.0, 2.0],
        &[
            format!("0: A inactive -> {BEGAN}"),
            format!("2: A pending -> pending: {GONE}"),
            "5: A pending -> pending: no longer held, after 3s".into(),
            "6: A pending -> firing: the expression has held for 3s".into(),
        ],
    );
    check(
        "no_data: resolve is Prometheus",
        "expr: ups_load_ratio > 1\nno_data: resolve",
        &[2.0, missing()],
        &[
            format!("0: A inactive -> {FIRES}"),
            "1: A firing -> resolved: the expression holds no longer, and the rule asks for no evidence".into(),
        ],
    );
    check(
        "no_data: fire raises an alert out of nothing",
        "expr: ups_load_ratio > 1\nno_data: fire\nfor: 1s",
        &[0.0, missing(), missing(), 0.0],
        &[
            "1: A inactive -> pending: the expression began to hold, its value is NaN".into(),
            "2: A pending -> firing: an input is gone, and the rule fires without data".into(),
            "3: A firing -> resolved: the expression holds no longer, 0 inputs prove it".into(),
        ],
    );
    check(
        "keep_firing_for starts with the evidence",
        "expr: ups_load_ratio > 1\nkeep_firing_for: 2s",
        &[2.0, 0.0, missing(), 0.0, 0.0, 0.0],
        &[
            format!("0: A inactive -> {FIRES}"),
            format!("2: A firing -> firing: {GONE}"),
            "3: A firing -> firing: no longer held, after 1s".into(),
            format!("5: A firing -> resolved: {ENDED}, kept firing for 2s after it"),
        ],
    );
}

#[test]
fn a_series_that_only_stops_holds_as_well() {
    let mut story = Story::new(PLAIN);
    story.run(0, &[2.0]);
    story.evaluate(50);
    assert_eq!(story.state(0), Some((AlertState::Firing, false)));
    story.evaluate(100);
    assert_eq!(story.state(0), Some((AlertState::Firing, true)));
    let view = story.engine.view();
    let alert = &view.groups[0].rules[0].alerting.as_ref().unwrap().alerts[0];
    assert_eq!(alert.held.as_ref().unwrap().since, at(100));
    let names: Vec<String> = story.last.samples.iter().map(|(l, _)| l.to_string()).collect();
    let expected = [
        r#"ALERTS{alertname="A", alertstate="firing", device="a", site="s"}"#,
        r#"ALERTS_FOR_STATE{alertname="A", device="a", site="s"}"#,
    ];
    assert_eq!(names, expected, "they go on while it is held");
}

#[test]
fn a_sum_is_held_by_each_of_its_parts_and_others_are_not_asked() {
    let mut story = Story::new("expr: sum by (site) (ups_load_ratio) > 3");
    story.measure(0, "b", 2.0);
    story.run(0, &[2.0]);
    assert_eq!(story.state(0), Some((AlertState::Firing, false)));
    story.measure(1, "b", missing());
    story.run(1, &[2.0]);
    assert_eq!(story.state(0), Some((AlertState::Firing, true)), "half of the sum is gone");
    story.measure(2, "b", 0.5);
    story.run(2, &[2.0]);
    assert_eq!(story.state(0), None, "all of it is there, and small");

    let mut story = Story::new(PLAIN);
    story.measure(0, "b", 0.0);
    story.run(0, &[2.0]);
    story.measure(1, "b", missing());
    story.run(1, &[0.0]);
    assert_eq!(story.state(0), None, "another device's silence holds nothing");
}

#[test]
fn a_part_that_joins_later_holds_as_well_and_one_that_left_before_does_not() {
    let mut story = Story::new("expr: sum by (site) (ups_load_ratio) > 1");
    story.measure(0, "c", 2.0);
    story.run(0, &[2.0]);
    // One leaves and one joins while the alert fires.
    story.measure(1, "c", missing());
    story.measure(1, "b", 2.0);
    story.run(1, &[2.0, 2.0]);
    assert_eq!(story.state(0), Some((AlertState::Firing, false)));
    story.measure(3, "b", missing());
    story.run(3, &[0.5]);
    assert_eq!(story.state(0), Some((AlertState::Firing, true)), "the one that joined is gone");
    story.measure(4, "b", 0.1);
    story.run(4, &[0.5]);
    assert_eq!(story.state(0), None, "the one that left before is not waited for");
}

#[test]
fn a_recorded_series_that_ends_is_no_loss_of_data() {
    let mut story = Story::of(
        r#"groups:
- name: g
  rules:
  - alert: B
    expr: site:load:max > 0
  - alert: C
    expr: ALERTS{alertname="B"} == 1
- name: r
  rules:
  - record: site:load:max
    expr: max by (site) (ups_load_ratio > 1)
"#,
    );
    story.run(0, &[2.0, 2.0, 2.0]);
    assert_eq!(story.state(0), Some((AlertState::Firing, false)), "{:?}", story.log);
    assert_eq!(story.state(1), Some((AlertState::Firing, false)), "{:?}", story.log);
    story.run(3, &[0.0, 0.0, 0.0]);
    assert_eq!((story.state(0), story.state(1)), (None, None), "{:?}", story.log);
    // But the loss of what it is recorded from is.
    story.run(10, &[2.0, 2.0, missing(), missing()]);
    assert_eq!(story.state(0), Some((AlertState::Firing, true)), "{:?}", story.log);
}

#[test]
fn an_error_of_one_rule_is_its_own_and_holds_its_alerts() {
    let mut story = Story::of(
        r#"groups:
- name: g
  rules:
  - alert: A
    expr: ups_load_ratio / on (site) ups_load_ratio > 0
  - alert: B
    expr: ups_load_ratio > 1
"#,
    );
    story.run(0, &[2.0]);
    assert_eq!(story.state(0), Some((AlertState::Firing, false)));
    // With a second series neither side is "one" any more.
    story.measure(1, "c", 2.0);
    story.run(1, &[2.0]);
    let view = story.engine.view();
    let [a, b] = &view.groups[0].rules[..] else { panic!() };
    assert!(matches!(&a.health, Health::Err(error) if error.contains("many")), "{:?}", a.health);
    assert_eq!(story.state(0), Some((AlertState::Firing, true)));
    assert_eq!(b.health, Health::Ok);
    assert_eq!(b.alerting.as_ref().unwrap().alerts.len(), 2);
}

#[test]
fn a_limit_holds_what_is_there_and_lets_nothing_in() {
    let file =
        "groups:\n- name: g\n  limit: 1\n  rules:\n  - alert: A\n    expr: ups_load_ratio > 1\n";
    let mut story = Story::of(file);
    story.run(0, &[2.0]);
    story.measure(1, "b", 2.0);
    story.run(1, &[2.0]);
    let view = story.engine.view();
    let rule = &view.groups[0].rules[0];
    assert_eq!(rule.health, Health::Err("exceeded limit of 1 with 2 alerts".into()));
    assert_eq!(rule.alerting.as_ref().unwrap().alerts.len(), 1);
    assert_eq!(story.state(0), Some((AlertState::Firing, true)));
}

#[test]
fn a_restart_forgets_and_repeats_nothing() {
    let rule = "expr: ups_load_ratio > 1\nfor: 5s";
    let mut story = Story::new(rule);
    let parts: [(i64, &[f64]); 5] = [
        (0, &[2.0, 2.0, 2.0]),
        (3, &[2.0, 2.0, 2.0]),
        (6, &[2.0]),
        (7, &[missing()]),
        (8, &[missing(), 0.0]),
    ];
    for (from, values) in parts {
        story.restart(rule);
        story.run(from, values);
    }
    let expected = [
        format!("0: A inactive -> {BEGAN}"),
        "5: A pending -> firing: the expression has held for 5s".into(),
        format!("7: A firing -> firing: {GONE}"),
        "9: A firing -> firing: no longer held, after 2s".into(),
        format!("9: A firing -> resolved: {ENDED}"),
    ];
    assert_eq!(story.log, expected);
    assert!(story.saved.iter().all(|saved| !saved.alert.is_active()));
}

#[test]
fn a_rule_that_is_removed_takes_its_alerts_along() {
    let mut story = Story::new(PLAIN);
    story.run(0, &[2.0]);
    let other = "groups:\n- name: g\n  rules:\n  - alert: B\n    expr: ups_load_ratio > 1\n";
    assert_eq!(story.engine.save(), story.saved);
    story.engine = Engine::new(rules(other), story.engine.save(), options());
    story.evaluate(1);
    assert_eq!(story.log[1], "1: A firing -> resolved: the rule was removed");
}

#[test]
fn labels_and_annotations_are_filled_in_and_identify() {
    let rule = "expr: ups_load_ratio > 1
labels:
  severity: '{{ if gt $value 2.0 }}critical{{ else }}warning{{ end }}'
  site: other
annotations:
  summary: '{{ $labels.device }} at {{ $labels.site }}: {{ $value | humanizePercentage }}'";
    let mut story = Story::new(rule);
    story.run(0, &[1.5]);
    let alert = story.last.transitions[0].alert.clone();
    assert_eq!(
        alert.labels.to_string(),
        r#"{alertname="A", device="a", severity="warning", site="other"}"#
    );
    assert_eq!(&*alert.annotations[0].1, "a at s: 150%");
    story.run(1, &[2.5]);
    let said: Vec<&str> = story.log.iter().map(|l| l.split(": the").next().unwrap()).collect();
    let expected =
        ["0: A inactive -> firing", "1: A inactive -> firing", "1: A firing -> resolved"];
    assert_eq!(said, expected, "another severity is another alert");
}

#[test]
fn groups_keep_their_own_interval_and_survive_a_clock_that_steps() {
    let file = "groups:\n- name: g\n  interval: 10s\n  rules:\n  - alert: A\n    expr: vector(1)\n";
    let mut engine = Engine::new(rules(file), Vec::new(), options());
    let source = MemorySource::new();
    for (second, expected) in [
        (0, true),
        (1, false),
        (9, false),
        (10, true),
        (19, false),
        (20, true),
        (-3600, true),
        (-3595, false),
        (-3590, true),
    ] {
        let samples = engine.evaluate(at(second), &source).samples;
        assert_eq!(!samples.is_empty(), expected, "{second}");
    }
}

#[test]
fn recorded_series_are_seen_by_the_rules_after_and_end_with_a_missing_value() {
    let mut story = Story::of(
        "groups:
- name: g
  rules:
  - record: load:double
    expr: ups_load_ratio * 2 > 2
    labels: {kind: x}
  - alert: A
    expr: load:double > 3
",
    );
    story.run(0, &[2.0]);
    assert_eq!(story.log.len(), 1, "in the same evaluation");
    let (labels, sample) = &story.last.samples[0];
    assert_eq!(labels.to_string(), r#"load:double{device="a", kind="x", site="s"}"#);
    assert_eq!(sample.value, Ok(4.0));
    story.run(1, &[0.0]);
    assert_eq!(story.last.samples[0].1.value, Err(Missing::NotAvailable));
    assert_eq!(story.last.samples.len(), 3, "ALERTS and ALERTS_FOR_STATE end as well");
}
