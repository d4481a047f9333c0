//! `clear`, `deadband`, `keep_firing_for`, `expect` and flapping, as an operator would write it down;
//! every story is told by both engines, once as it is and once with a restart after every step.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod rules_random;

use std::time::Duration;

use hallwatch_collector::rules::push::Timing;
use hallwatch_collector::rules::{
    AlertState, Engine, Evaluation, Options, PushEngine, Received, SavedAlert, View,
};
use hallwatch_model::sample::{from_float, to_float};
use hallwatch_model::{Labels, Missing, Sample, Timestamp};
use hallwatch_promql::MemorySource;
use rules_random::{Random, rules};

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + second * 1000)
}

fn options() -> Options {
    Options { lookback: Duration::from_secs(60), ..Options::default() }
}

enum Either {
    Batch(Engine),
    Pushed(Box<PushEngine>),
}

/// An engine, what has been measured, what was saved, and what came of it.
struct Story {
    text: String,
    engine: Either,
    source: MemorySource,
    saved: Vec<SavedAlert>,
    log: Vec<String>,
    restarts: bool,
}

impl Story {
    fn new(rule: &str, pushed: bool, restarts: bool) -> Self {
        let rule = rule.replace('\n', "\n    ");
        let text = format!("groups:\n- name: g\n  rules:\n  - alert: A\n    {rule}\n");
        let engine = Self::engine(&text, pushed, Vec::new());
        let source = MemorySource::new();
        Self { text, engine, source, saved: Vec::new(), log: Vec::new(), restarts }
    }

    fn engine(text: &str, pushed: bool, saved: Vec<SavedAlert>) -> Either {
        if pushed {
            Either::Pushed(Box::new(PushEngine::new(
                rules(text),
                saved,
                options(),
                Timing::default(),
            )))
        } else {
            Either::Batch(Engine::new(rules(text), saved, options()))
        }
    }

    fn restart(&mut self, second: i64) {
        let pushed = matches!(self.engine, Either::Pushed(_));
        self.engine = Self::engine(&self.text, pushed, self.saved.clone());
        if let Either::Pushed(engine) = &mut self.engine {
            engine.seed(at(second), &self.source).unwrap();
        }
    }

    /// What is measured at a second: metric (with the device after a `/`) and value.
    fn step(&mut self, second: i64, measured: &[(&str, f64)]) {
        let mut news = Vec::new();
        for (name, value) in measured {
            let (metric, device) = name.split_once('/').unwrap_or((name, "a"));
            let labels = [("tenant", "t"), ("site", "s"), ("device", device)];
            let labels = Labels::metric(metric, labels);
            self.source.push(&labels, at(second), *value);
            news.push((labels, Sample { time: at(second), value: from_float(*value) }));
        }
        let evaluation = match &mut self.engine {
            Either::Batch(engine) => engine.evaluate(at(second), &self.source),
            Either::Pushed(engine) => {
                let received = Received { samples: &news, watermark: None, backfill: false };
                let mut all = engine.receive(received, at(second), &self.source);
                all.append(engine.tick(at(second), &self.source));
                all
            }
        };
        self.take(second, &evaluation);
        if self.restarts {
            self.restart(second);
        }
    }

    fn take(&mut self, second: i64, evaluation: &Evaluation) {
        let ended = &evaluation.ended;
        self.saved.retain(|s| !ended.contains(&(s.rule.clone(), s.alert.labels.clone())));
        for new in &evaluation.changed {
            self.saved.retain(|s| s.rule != new.rule || s.alert.labels != new.alert.labels);
            self.saved.push(new.clone());
        }
        self.log.extend(evaluation.transitions.iter().map(|t| match t.from == t.to {
            true => format!("{second} {}: {}", t.to.word(), t.reason),
            false => format!("{second} {} -> {}: {}", t.from.word(), t.to.word(), t.reason),
        }));
        for (labels, sample) in &evaluation.samples {
            self.source.push(labels, at(second), to_float(sample.value));
        }
    }

    fn view(&self) -> View {
        match &self.engine {
            Either::Batch(engine) => engine.view(),
            Either::Pushed(engine) => engine.view(),
        }
    }

    fn state(&self) -> Option<(AlertState, Option<usize>)> {
        let view = self.view();
        let alerts = &view.groups[0].rules[0].alerting.as_ref().unwrap().alerts;
        alerts.first().map(|alert| (alert.state, alert.flapping()))
    }
}

/// Tells a story in all four ways; the first column is the second.
fn check(name: &str, rule: &str, told: &[(i64, &[(&str, f64)])], expected: &[&str]) {
    for (pushed, restarts) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut story = Story::new(rule, pushed, restarts);
        for (second, measured) in told {
            story.step(*second, measured);
        }
        assert_eq!(story.log, expected, "{name}, pushed: {pushed}, restarts: {restarts}");
    }
}

/// One series over time.
fn of<'a>(series: &'a str, values: &[f64]) -> Vec<(i64, [(&'a str, f64); 1])> {
    (0..).zip(values).map(|(second, value)| (second, [(series, *value)])).collect()
}

fn check_one(name: &str, rule: &str, values: &[f64], expected: &[&str]) {
    let told = of("temp", values);
    let told: Vec<(i64, &[(&str, f64)])> =
        told.iter().map(|(second, measured)| (*second, &measured[..])).collect();
    check(name, rule, &told, expected);
}

fn gone() -> f64 {
    to_float(Err(Missing::Timeout))
}

const FIRES: &str = "inactive -> firing: the expression holds";
const WAITS: &str = "firing: the expression holds no longer, `clear` does not hold yet";
const ENDS: &str = "firing -> resolved: the expression holds no longer, 1 input proves it";
const HELD: &str = "firing: held: no fresh value of temp{device=\"a\", site=\"s\", tenant=\"t\"}";

#[test]
fn an_alert_is_resolved_when_it_is_clear_and_not_before() {
    for (name, rule) in [
        ("clear", "expr: temp > 27\nclear: temp <= 25"),
        ("deadband", "expr: temp > 27\ndeadband: 2"),
        ("deadband, the other way round", "expr: 27 < temp\ndeadband: 2"),
    ] {
        check_one(
            name,
            rule,
            &[26.0, 28.0, 26.0, 28.0, 26.5, 26.0, 25.0, 26.0],
            &[
                &format!("1 {FIRES}"),
                &format!("2 {WAITS}"),
                &format!("4 {WAITS}"),
                &format!("6 {ENDS}"),
            ],
        );
    }
    check_one(
        "a pending alert does not wait to be clear",
        "expr: temp > 27\nfor: 5s\ndeadband: 2",
        &[28.0, 26.0, 26.0],
        &[
            "0 inactive -> pending: the expression began to hold, its value is 28",
            "1 pending -> inactive: the expression holds no longer, 1 input proves it",
        ],
    );
    check_one(
        "silence clears nothing",
        "expr: temp > 27\ndeadband: 2",
        &[28.0, 26.0, gone(), gone(), 26.0, 24.0],
        &[
            &format!("0 {FIRES}"),
            &format!("1 {WAITS}"),
            &format!("2 {HELD}"),
            "4 firing: no longer held, after 2s",
            &format!("5 {ENDS}"),
        ],
    );
    check_one(
        "the off delay counts from when it is clear, without a break",
        "expr: temp > 27\ndeadband: 2\nkeep_firing_for: 2s",
        &[28.0, 26.0, 24.0, 26.0, 24.0, 24.0, 24.0],
        &[
            &format!("0 {FIRES}"),
            &format!("1 {WAITS}"),
            &format!("3 {WAITS}"),
            &format!("6 {ENDS}, kept firing for 2s after it"),
        ],
    );
}

#[test]
fn another_series_can_clear_an_alert() {
    let rule = "expr: smoke == 1\nclear: sum by (tenant, site) (reset) > 0";
    check(
        "a button in the same site",
        rule,
        &[
            (0, &[("smoke", 1.0), ("reset/b", 0.0)]),
            (1, &[("smoke", 0.0), ("reset/b", 0.0)]),
            (2, &[("smoke", 0.0), ("reset/b", gone())]),
            (3, &[("smoke", 0.0), ("reset/b", 1.0)]),
        ],
        &[
            &format!("0 {FIRES}"),
            &format!("1 {WAITS}"),
            "2 firing: held: no fresh value of reset{device=\"b\", site=\"s\", tenant=\"t\"}",
            "3 firing: no longer held, after 1s",
            "3 firing -> resolved: the expression holds no longer, 2 inputs prove it",
        ],
    );
}

const GENERATOR: &str = "expr: utility == 0\nexpect: running == 1\nwithin: 3s\non: [tenant, site]";
const LOST: &str = "1 inactive -> pending: the expression began to hold, its value is 0";
const LATE: &str = "4 pending -> firing: what was expected has not come within 3s";

#[test]
fn what_must_follow_is_waited_for() {
    check(
        "it comes in time, and its end later is another matter",
        GENERATOR,
        &[
            (0, &[("utility/ats", 1.0), ("running/gen", 0.0)]),
            (1, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (3, &[("utility/ats", 0.0), ("running/gen", 1.0)]),
            (5, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (9, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (10, &[("utility/ats", 1.0), ("running/gen", 0.0)]),
            (11, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (12, &[("utility/ats", 1.0), ("running/gen", 0.0)]),
        ],
        &[
            LOST,
            "3 pending -> inactive: what was expected has come",
            "11 inactive -> pending: the expression began to hold, its value is 0",
            "12 pending -> inactive: the expression holds no longer, 1 input proves it",
        ],
    );
    check(
        "it is there already",
        GENERATOR,
        &[
            (0, &[("utility/ats", 0.0), ("running/gen", 1.0)]),
            (5, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (9, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
        ],
        &[],
    );
    check(
        "it comes too late",
        GENERATOR,
        &[
            (1, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (4, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (6, &[("utility/ats", 0.0), ("running/gen", 1.0)]),
            (7, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
        ],
        &[LOST, LATE, "6 firing -> resolved: what was expected has come"],
    );
    check(
        "labels that both have must agree, unless told which",
        "expr: utility == 0\nexpect: running == 1\nwithin: 3s",
        &[
            (1, &[("utility/ats", 0.0), ("running/gen", 1.0)]),
            (4, &[("utility/ats", 0.0), ("running/gen", 1.0)]),
        ],
        &[LOST, LATE],
    );
}

#[test]
fn a_deadline_does_not_wait_for_what_went_silent() {
    let silent = "no fresh value of utility{device=\"ats\", site=\"s\", tenant=\"t\"}";
    check(
        "what called for it is silent: it is late all the same",
        GENERATOR,
        &[
            (1, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (2, &[("utility/ats", gone()), ("running/gen", 0.0)]),
            (4, &[("utility/ats", gone()), ("running/gen", 0.0)]),
            (5, &[("utility/ats", 1.0), ("running/gen", 0.0)]),
        ],
        &[
            LOST,
            &format!("2 pending: held: {silent}"),
            LATE,
            "5 firing: no longer held, after 3s",
            "5 firing -> resolved: the expression holds no longer, 1 input proves it",
        ],
    );
    check(
        "what was expected is silent: nobody knows",
        GENERATOR,
        &[
            (1, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (2, &[("utility/ats", 0.0), ("running/gen", gone())]),
            (9, &[("utility/ats", 0.0), ("running/gen", gone())]),
            (10, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
        ],
        &[
            LOST,
            "2 pending: held: no fresh value of running{device=\"gen\", site=\"s\", tenant=\"t\"}",
            "10 pending: no longer held, after 8s",
            "10 pending -> firing: what was expected has not come within 3s",
        ],
    );
    check(
        "what was expected is silent, and that is trouble enough",
        &format!("{GENERATOR}\nno_data: fire"),
        &[
            (1, &[("utility/ats", 0.0), ("running/gen", 0.0)]),
            (2, &[("utility/ats", 0.0), ("running/gen", gone())]),
            (4, &[("utility/ats", 0.0), ("running/gen", gone())]),
        ],
        &[LOST, LATE],
    );
}

#[test]
fn a_sequence_fires_between_two_samples() {
    let mut story = Story::new(GENERATOR, true, false);
    story.step(1, &[("utility/ats", 0.0), ("running/gen", 0.0)]);
    let Either::Pushed(engine) = &mut story.engine else { panic!() };
    assert_eq!(engine.next_timer(), Some(at(4)));
    let evaluation = engine.look(at(4), &story.source);
    assert_eq!(evaluation.transitions.len(), 1, "{:?}", evaluation.transitions);
}

#[test]
fn an_alert_that_flaps_fires_until_it_is_calm() {
    let rule = "expr: temp > 27\nflapping: {changes: 3, within: 10s}";
    let values = [28.0, 26.0, 28.0, 26.0, 28.0, 26.0];
    check_one(
        "the fourth change is one too many",
        rule,
        &[&values[..], &[26.0; 12]].concat(),
        &[
            &format!("0 {FIRES}"),
            &format!("1 {ENDS}"),
            &format!("2 {FIRES}"),
            "3 firing: flapping: 4 changes in 10s, it fires until it is calm",
            "15 firing: calm for 10s, not flapping any more",
            &format!("15 {ENDS}"),
        ],
    );
    check_one(
        "calm can be bad news as well",
        rule,
        &[&values[..5], &[28.0; 12]].concat(),
        &[
            &format!("0 {FIRES}"),
            &format!("1 {ENDS}"),
            &format!("2 {FIRES}"),
            "3 firing: flapping: 4 changes in 10s, it fires until it is calm",
            "14 firing: calm for 10s, not flapping any more",
        ],
    );
    check_one(
        "off",
        "expr: temp > 27\nflapping: off",
        &values,
        &[
            &format!("0 {FIRES}"),
            &format!("1 {ENDS}"),
            &format!("2 {FIRES}"),
            &format!("3 {ENDS}"),
            &format!("4 {FIRES}"),
            &format!("5 {ENDS}"),
        ],
    );
    let mut story = Story::new("expr: temp > 27", false, false);
    for second in 0..9 {
        story.step(second, &[("temp", if second % 2 == 0 { 28.0 } else { 26.0 })]);
    }
    assert_eq!(story.state(), Some((AlertState::Firing, Some(9))), "by default the fifth time");
    let view = story.view();
    let alert = &view.groups[0].rules[0].alerting.as_ref().unwrap().alerts[0];
    let said = alert.annotations.iter().find(|(name, _)| &**name == "flapping").unwrap();
    assert_eq!(said.1, "it changed 9 times of late");
}

#[test]
fn silence_is_no_calm() {
    let rule = "expr: temp > 27\nflapping: {changes: 2, within: 10s}";
    let told = [28.0, 26.0, 28.0, 26.0, gone(), gone(), 26.0];
    check_one(
        "the time begins anew when something is known",
        rule,
        &[&told[..], &[26.0; 11]].concat(),
        &[
            &format!("0 {FIRES}"),
            &format!("1 {ENDS}"),
            &format!("2 {FIRES}"),
            "2 firing: flapping: 3 changes in 10s, it fires until it is calm",
            &format!("4 {HELD}"),
            "6 firing: no longer held, after 2s",
            "16 firing: calm for 10s, not flapping any more",
            &format!("16 {ENDS}"),
        ],
    );
}

#[test]
fn whatever_happens_an_alert_with_a_deadband_is_resolved_on_the_good_side_only() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut story = Story::new("expr: temp > 2\ndeadband: 1.5", seed % 2 == 0, seed % 3 == 0);
        let mut last = None;
        for second in 0..60 {
            let value = if random.below(5) == 0 { gone() } else { random.value() };
            if random.below(6) > 0 {
                last = from_float(value).ok();
                story.step(second, &[("temp", value)]);
            } else {
                story.step(second, &[]);
            }
            for line in story.log.drain(..) {
                if line.contains("-> resolved") {
                    assert!(last.is_some_and(|value| value <= 0.5), "seed {seed}: {line} {last:?}");
                }
                if line.contains("-> firing") {
                    assert!(last.is_some_and(|value| value > 2.0), "seed {seed}: {line} {last:?}");
                }
            }
        }
    }
}
