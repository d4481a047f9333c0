//! Random rules on random timelines, evaluated by samples, in batch, and by `promtool test rules`:
//! without gaps in the data all three must yield the same series, alerts, labels and annotations at
//! every step. (With gaps alerts are held, which Prometheus does not know: `rules_push.rs` compares
//! the two engines there.)
//!
//! Ranges are never a multiple of the step: whether a window includes its left end changed between
//! Prometheus 2 (Debian's `promtool`) and 3 (which `hallwatch-promql` follows). Means (their last bit) and rates (extrapolation
//! near zero) changed as well, and are left out.
//!
//! `HALLWATCH_ORACLE_SEEDS=7,8,9` runs other seeds, `HALLWATCH_ORACLE_SEEDS=0..5000` many.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod rules_random;

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hallwatch_collector::rules::{AlertState, Options};
use hallwatch_model::{Labels, Sample, Timestamp};
use rules_random::{Both, Random, seeds};

const STEPS: usize = 24;
const STEP_SECONDS: i64 = 10;
const SEEDS: std::ops::Range<u64> = 0..1_000;
/// So many cases are given to one process.
const CHUNK: usize = 50;

fn expression(random: &mut Random, before: &[String]) -> String {
    let metric = random.one(&["m0", "m1", r#"m0{a="x"}"#, r#"m1{b=~"1|2"}"#]);
    let other = random.one(&["m0", "m1"]);
    let (c, d) = (random.below(5), random.below(5));
    let op = random.one(&[">", "<", "==", ">=", "<=", "!="]);
    match random.below(22) {
        0..=3 => format!("{metric} {op} {c}"),
        4 => format!("sum by (a) ({metric}) {op} {}", c + d),
        5 => format!("max without (b) ({metric}) {op} {c}"),
        6 => format!("{metric} > {c} and {other} < {d}"),
        7 => format!("{metric} > {c} unless on (a) {other} > {d}"),
        8 => format!("m0 > {c} or m1 > {d}"),
        9 => format!("m0 - on (a, b) m1 {op} {c}"),
        10 => format!("delta({metric}[45s]) > {c}"),
        11 => format!("sum_over_time({metric}[35s]) {op} {}", c * 3),
        12 => format!("absent({metric} > {c})"),
        13 => format!("count by (b) ({metric} > {c}) > 1"),
        14 => format!("changes({metric}[45s]) > {}", c % 3),
        15 => format!("{metric} offset 20s {op} {c}"),
        16 => format!("({metric} > bool {c}) == 1"),
        17 => format!("m1 * on (a) group_left sum by (a) (m0) {op} {c}"),
        18 => format!("scalar(sum(m0)) {op} bool {}", c * 2),
        19 => format!("max_over_time(({metric} {op} bool {c})[35s:10s]) == 1"),
        _ => match before.last() {
            Some(name) if name.starts_with("r:") => format!("{name} {op} {c}"),
            Some(name) => {
                format!(r#"max by (a, b) (ALERTS{{alertname="{name}", alertstate="firing"}}) == 1"#)
            }
            None => format!("vector({c}) > {d}"),
        },
    }
}

fn rule_file(random: &mut Random) -> String {
    let mut file = String::from("groups:\n- name: g\n  rules:\n");
    let mut names = Vec::new();
    for i in 0..=random.below(4) {
        let expression = serde_json::to_string(&expression(random, &names)).unwrap();
        if random.below(4) == 0 {
            let name = format!("r:{i}");
            writeln!(file, "  - record: {name}\n    expr: {expression}").unwrap();
            names.push(name);
            continue;
        }
        let name = format!("A{i}");
        writeln!(file, "  - alert: {name}\n    expr: {expression}").unwrap();
        names.push(name);
        if random.below(2) == 0 {
            writeln!(file, "    for: {}s", random.below(5) * 10).unwrap();
        }
        if random.below(3) == 0 {
            writeln!(file, "    keep_firing_for: {}s", random.below(4) * 10 + 5).unwrap();
        }
        file += "    labels:\n      severity: ";
        file += random.one(&[
            "info\n",
            "'{{ if gt $value 2.0 }}high{{ else }}low{{ end }}'\n",
            // Never empty: Prometheus then writes the template itself into ALERTS.
            "'{{ $labels.a | toUpper }}!'\n",
            "''\n",
        ]);
        file += "    annotations:\n      summary: ";
        file += random.one(&[
            "'{{ $labels.a }}{{ .Labels.b }} {{ $value }}'\n",
            "'{{ $value | humanize }} {{ $value | humanizePercentage }} {{ humanize1024 $value }}'\n",
            "'{{ printf \"%.2f|%5.1f|%g|%v|%s\" $value $value $value $value $labels.none }}'\n",
            "'{{ $value | humanizeDuration }} {{- /* c */ -}} {{ $labels }}'\n",
            "'{{ if and (ne $labels.a \"x\") (or $labels.b (eq 1 2)) }}{{ title \"not x\" }}{{ else if le $value 3.0 }}{{ len $labels.a }}{{ else }}{{ `x` }}{{ end }}'\n",
        ]);
    }
    file
}

/// Writes the rules and what is expected of them; gives the name of the test file.
fn write_case(dir: &Path, seed: u64) -> String {
    let mut random = Random::new(seed);
    let text = rule_file(&mut random);
    // Prometheus does not know what flapping is.
    let interval = Duration::from_secs(10);
    let options = Options { interval, flapping: None, ..Options::default() };
    let mut engines = Both::new(&text, options);
    let mut test = format!(
        "rule_files: [rules-{seed}.yaml]\nevaluation_interval: {STEP_SECONDS}s\ntests:\n- interval: {STEP_SECONDS}s\n  input_series:\n"
    );
    let mut timelines = Vec::new();
    for name in ["m0", "m1"] {
        for (a, b) in [("x", "1"), ("x", "2"), ("y", "1")] {
            let labels = Labels::metric(name, [("a", a), ("b", b)]);
            let mut value = random.below(5);
            let values: Vec<f64> = (0..STEPS)
                .map(|_| {
                    // Values stay for a while, so that `for` has a chance.
                    if random.below(3) == 0 {
                        value = random.below(5);
                    }
                    [0.0, 0.5, 2.0, 3.0, 4.0][usize::try_from(value).unwrap()]
                })
                .collect();
            let text: Vec<String> = values.iter().map(f64::to_string).collect();
            writeln!(test, "  - series: '{labels}'\n    values: '{}'", text.join(" ")).unwrap();
            timelines.push((labels, values));
        }
    }

    let (mut series_tests, mut alert_tests) = (String::new(), String::new());
    for step in 0..STEPS {
        let second = i64::try_from(step).unwrap() * STEP_SECONDS;
        let now = Timestamp::from_millis(second * 1000);
        let news: Vec<(Labels, Sample)> = timelines
            .iter()
            .map(|(labels, values)| (labels.clone(), Sample { time: now, value: Ok(values[step]) }))
            .collect();
        let place = format!("seed {seed} at {second}\n{text}");
        let (evaluation, view) = engines.step(&news, now, &place);
        let expr = r#"{__name__=~"ALERTS|ALERTS_FOR_STATE|r:.*"}"#;
        writeln!(series_tests, "  - expr: '{expr}'\n    eval_time: {second}s\n    exp_samples:")
            .unwrap();
        for (labels, sample) in &evaluation.samples {
            if let Ok(value) = sample.value {
                let labels = serde_json::to_string(&labels.to_string()).unwrap();
                writeln!(series_tests, "    - {{labels: {labels}, value: {value}}}").unwrap();
            }
        }
        for rule in &view.groups[0].rules {
            assert_eq!(rule.health.word(), "ok", "seed {seed}: {:?}\n{text}", rule.health);
            let Some(alerting) = &rule.alerting else { continue };
            writeln!(alert_tests, "  - eval_time: {second}s\n    alertname: {}", rule.name)
                .unwrap();
            alert_tests += "    exp_alerts:\n";
            for alert in &alerting.alerts {
                assert!(alert.held.is_none(), "seed {seed}: {alert:?}\n{text}");
                if alert.state == AlertState::Firing {
                    alert_tests += "    - exp_labels: {";
                    for label in alert.labels.iter().filter(|l| &*l.name != "alertname") {
                        write!(alert_tests, "{}: {:?}, ", label.name, label.value).unwrap();
                    }
                    let summary = serde_json::to_string(&alert.annotations[0].1).unwrap();
                    writeln!(alert_tests, "}}\n      exp_annotations: {{summary: {summary}}}")
                        .unwrap();
                }
            }
        }
    }
    test += &format!("  promql_expr_test:\n{series_tests}");
    if !alert_tests.is_empty() {
        test += &format!("  alert_rule_test:\n{alert_tests}");
    }
    std::fs::write(dir.join(format!("rules-{seed}.yaml")), &text).unwrap();
    let name = format!("test-{seed}.yaml");
    std::fs::write(dir.join(&name), test).unwrap();
    name
}

#[test]
fn the_same_alerts_as_prometheus() {
    for chunk in seeds(SEEDS).chunks(CHUNK) {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = chunk.iter().map(|seed| write_case(dir.path(), *seed)).collect();
        let run = |names: &[String]| {
            let output = Command::new("promtool")
                .args(["test", "rules"])
                .args(names)
                .current_dir(dir.path())
                .output()
                .expect("promtool is needed: apt-get install prometheus");
            let said =
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            (output.status.success(), said)
        };
        if run(&names).0 {
            continue;
        }
        for (name, seed) in names.iter().zip(chunk) {
            let (passed, said) = run(std::slice::from_ref(name));
            if !passed {
                let rules =
                    std::fs::read_to_string(dir.path().join(format!("rules-{seed}.yaml"))).unwrap();
                let said: String = said.chars().take(3000).collect();
                panic!("HALLWATCH_ORACLE_SEEDS={seed}\n{rules}\n{said}");
            }
        }
    }
}
