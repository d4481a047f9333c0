//! The tools for rules: unit tests give promtool's verdicts, and what is exported is taken by it and
//! does what was said.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hallwatch_collector::rules::export::prometheus;
use hallwatch_collector::rules::{library, load};

fn tool(folder: &Path, args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_hallwatch-collector");
    Command::new(program).arg("rules").args(args).current_dir(folder).output().unwrap()
}

fn promtool(folder: &Path, args: &[&str]) -> Output {
    Command::new("promtool")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("promtool is needed: apt-get install prometheus")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

fn test_files() -> Vec<String> {
    let folder = shipped().join("tests");
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.sort();
    names
}

#[test]
fn the_shipped_tests_pass_as_in_promtool() {
    let files = test_files();
    let mut args = vec!["test"];
    args.extend(files.iter().map(String::as_str));
    let output = tool(&shipped().join("tests"), &args);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("tests passed").count(), files.len());
}

#[test]
fn tests_that_are_wrong_fail_as_in_promtool() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "groups:
- name: g
  rules:
  - record: r:max
    expr: max by (site) (x)
  - alert: A
    expr: x > 1
    for: 20s
    keep_firing_for: 25s
    labels: {severity: '{{ if gt $value 2.0 }}high{{ else }}low{{ end }}'}
    annotations: {summary: '{{ $labels.site }} {{ $value }}'}
  - alert: B
    expr: absent(y)
";
    std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let head = "rule_files: ['ru*.yaml']
evaluation_interval: 10s
tests:
- interval: 10s
  input_series:
  - {series: 'x{site=\"a\"}', values: '0 2x5 3x2 0x10'}
  - {series: 'x{site=\"b\"}', values: '1+1x3 _x3 4 stale'}
";
    let alert = |at: &str, site: &str, severity: &str, summary: &str| {
        format!(
            "  alert_rule_test:\n  - eval_time: {at}\n    alertname: A\n    exp_alerts:\n    - exp_labels: {{site: {site}, severity: {severity}}}\n      exp_annotations: {{summary: '{summary}'}}\n"
        )
    };
    let expr = |expr: &str, at: &str, samples: &str| {
        format!(
            "  promql_expr_test:\n  - {{expr: '{expr}', eval_time: {at}, exp_samples: [{samples}]}}\n"
        )
    };
    let cases = [
        alert("30s", "a", "low", "a 2"),
        alert("29s", "a", "low", "a 2"),
        alert("75s", "a", "high", "a 3"),
        alert("120s", "a", "low", "a 2"),
        "  alert_rule_test:\n  - {eval_time: 10s, alertname: A}\n".to_owned(),
        "  alert_rule_test:\n  - {eval_time: 10s, alertname: B, exp_alerts: [{}]}\n".to_owned(),
        "  alert_rule_test:\n  - {eval_time: 10s, alertname: B}\n".to_owned(),
        "  alert_rule_test:\n  - {eval_time: 10s, alertname: Nobody}\n".to_owned(),
        expr(
            "r:max",
            "10s",
            r#"{labels: "r:max{site=\"a\"}", value: 2}, {labels: "r:max{site=\"b\"}", value: 2}"#,
        ),
        expr("r:max", "10s", r#"{labels: "r:max{site=\"a\"}", value: 2}"#),
        expr("sum(x)", "30s", "{value: 6}"),
        expr("sum(x)", "30s", "{value: 7}"),
        expr("sum(x)", "30s", ""),
        expr("count(ALERTS)", "10s", "{value: 3}"),
        expr("x offset 1h", "10s", ""),
        expr("1 + 1", "0s", "{value: 2}"),
    ];
    let (mut good, mut bad) = (0, 0);
    for case in cases {
        std::fs::write(folder.path().join("test.yaml"), format!("{head}{case}")).unwrap();
        let theirs = promtool(folder.path(), &["test", "rules", "test.yaml"]);
        let ours = tool(folder.path(), &["test", "--prometheus", "test.yaml"]);
        let place = format!("{case}\nours: {}\ntheirs: {}", said(&ours), said(&theirs));
        assert_eq!(ours.status.success(), theirs.status.success(), "{place}");
        assert!(matches!(ours.status.code(), Some(0 | 1)), "{place}");
        if ours.status.success() { good += 1 } else { bad += 1 }
    }
    assert!(good >= 5 && bad >= 5, "{good} {bad}");
}

const OWN: &str = "groups:
- name: g
  interval: 10s
  limit: 100
  rules:
  - record: r:x
    expr: sum by (site) (x)
  - alert: Hot
    expr: x > 27
    for: 20s
    deadband: 2
    labels: {severity: warning}
    annotations: {summary: \"{{ $labels.site }}\\nis hot\"}
  - alert: Late
    expr: utility == 0
    expect: running == 1
    within: 20s
    on: [site]
  - alert: Cleared
    expr: smoke == 1
    clear: sum by (site) (reset) > 0
    no_data: fire
    flapping: {changes: 4}
";

/// Timelines on which the exported form does what the original does.
const TIMELINES: &str = "
tests:
- interval: 10s
  input_series:
  - {series: 'x{site=\"a\"}', values: '20 28x3 26x5 25x5'}
  - {series: 'utility{site=\"a\", device=\"ats\"}', values: '1 0x10'}
  - {series: 'running{site=\"a\", device=\"gen\"}', values: '0x5 1x10'}
  - {series: 'utility{site=\"b\", device=\"ats\"}', values: '1 0x10'}
  - {series: 'running{site=\"b\", device=\"gen\"}', values: '0 0 1x10'}
  - {series: 'smoke{site=\"a\"}', values: '1 0x10'}
  - {series: 'reset{site=\"a\"}', values: '0x4 1x10'}
  alert_rule_test:
  - eval_time: 30s
    alertname: Hot
    exp_alerts: [{exp_labels: {site: a, severity: warning}, exp_annotations: {summary: \"a\\nis hot\"}}]
  - eval_time: 90s
    alertname: Hot
    exp_alerts: [{exp_labels: {site: a, severity: warning}, exp_annotations: {summary: \"a\\nis hot\"}}]
  - {eval_time: 110s, alertname: Hot}
  - {eval_time: 20s, alertname: Late}
  - {eval_time: 30s, alertname: Late, exp_alerts: [{exp_labels: {site: a, device: ats}}]}
  - {eval_time: 60s, alertname: Late}
  - {eval_time: 40s, alertname: Cleared, exp_alerts: [{exp_labels: {site: a}}]}
  - {eval_time: 60s, alertname: Cleared}
";

#[test]
fn what_is_exported_behaves_as_far_as_prometheus_can() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("own.yaml", OWN);
    let output = tool(folder.path(), &["export", "--prometheus", "own.yaml"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    insta::assert_snapshot!(text);
    write("plain.yaml", &text);
    let checked = promtool(folder.path(), &["check", "rules", "plain.yaml"]);
    assert!(checked.status.success(), "{}", said(&checked));
    let head = |rules: &str| format!("rule_files: [{rules}]\nevaluation_interval: 10s{TIMELINES}");
    write("own-test.yaml", &head("own.yaml"));
    write("plain-test.yaml", &head("plain.yaml"));
    let own = tool(folder.path(), &["test", "own-test.yaml"]);
    assert!(own.status.success(), "{}", said(&own));
    let plain = tool(folder.path(), &["test", "--prometheus", "plain-test.yaml"]);
    assert!(plain.status.success(), "{}", said(&plain));
    let theirs = promtool(folder.path(), &["test", "rules", "plain-test.yaml"]);
    assert!(theirs.status.success(), "{}", said(&theirs));
}

#[test]
fn the_shipped_rules_come_out_of_an_export_as_they_went_in() {
    for file in library::FILES {
        let export = prometheus(&load(&[file]).unwrap(), None);
        let again = load(&[(file.0, &*export.text)]).unwrap();
        assert_eq!(prometheus(&again, None), export, "{}", file.0);
        let before = load(&[file]).unwrap();
        let shown = |set: &hallwatch_collector::rules::RuleSet| {
            let rules = set.groups.iter().flat_map(|group| &group.rules);
            rules.map(|rule| format!("{rule:?}")).collect::<Vec<_>>()
        };
        assert_eq!(shown(&again), shown(&before), "{}", file.0);
    }
}

#[test]
fn a_check_says_what_is_wrong_what_is_odd_and_what_is_slow() {
    let folder = tempfile::tempdir().unwrap();
    let text = "groups:
- name: g
  rules:
  - alert: A
    expr: meter_active_power_watts + meter_voltage_volts > 1
  - alert: B
    expr: max_over_time(rate(meter_energy_joules_total[1m])[5m:10s]) > 1
";
    std::fs::write(folder.path().join("odd.yaml"), text).unwrap();
    let odd = tool(folder.path(), &["check", "odd.yaml"]);
    assert!(odd.status.success());
    insta::assert_snapshot!(said(&odd));
    assert_eq!(tool(folder.path(), &["check", "--strict", "odd.yaml"]).status.code(), Some(1));
    std::fs::write(folder.path().join("bad.yaml"), "groups:\n- rules: []\n").unwrap();
    let bad = tool(folder.path(), &["check", "odd.yaml", "bad.yaml"]);
    assert_eq!(bad.status.code(), Some(78), "{}", said(&bad));
    assert!(said(&bad).contains("bad.yaml:2:3"), "{}", said(&bad));
    assert_eq!(tool(folder.path(), &["check", "none.yaml"]).status.code(), Some(66));
    // For programs, and for who takes the one kind of file for the other.
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&tool(folder.path(), args).stdout).unwrap()
    };
    let odd = json(&["check", "--json", "odd.yaml"]);
    assert_eq!((&odd["rules"], &odd["atInterval"][0]["rule"]), (&2.into(), &"g/B".into()), "{odd}");
    assert_eq!(
        (odd["warnings"][0]["line"].as_u64(), &odd["errors"]),
        (Some(5), &serde_json::json!([]))
    );
    assert_eq!(json(&["check", "--json", "bad.yaml"])["errors"][0]["line"], 2);
    let tests = "rule_files: [odd.yaml]\ntests:\n- input_series: []\n  alert_rule_test: []\n";
    std::fs::write(folder.path().join("tests.yaml"), tests).unwrap();
    let confused = said(&tool(folder.path(), &["check", "tests.yaml"]));
    assert!(
        confused.contains("has unit tests, no rules: hallwatch-collector rules test"),
        "{confused}"
    );
    let confused = said(&tool(folder.path(), &["test", "odd.yaml"]));
    assert!(
        confused.contains("has rules, no tests: hallwatch-collector rules check"),
        "{confused}"
    );
    let passed = json(&["test", "--json", "tests.yaml"]);
    assert_eq!(
        (&passed["passed"], &passed["files"][0]["failures"]),
        (&true.into(), &serde_json::json!([]))
    );
    let files: Vec<String> = library::FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut args = vec!["check", "--strict"];
    args.extend(files.iter().map(String::as_str));
    let fine = tool(&shipped(), &args);
    assert!(fine.status.success(), "{}", said(&fine));
}

/// A temperature every 10 s: short peaks, a long one, and one that hovers around 27 °C.
fn past(step: i64) -> f64 {
    match step {
        10..=11 | 30..=31 => 29.0,
        60..=119 => 30.0,
        200..=239 => 26.9 + 0.2 * f64::from(u8::from(step % 4 < 2)),
        _ => 22.0,
    }
}

const HOT: &str = "groups:
- name: g
  rules:
  - record: site:hot
    expr: max by (tenant, site) (environment_temperature_celsius)
  - alert: Hot
    expr: environment_temperature_celsius > 27
    flapping: off
  - alert: SiteHot
    expr: site:hot > 40
  - alert: Slow
    expr: max_over_time((environment_temperature_celsius > bool 27)[5m:10s]) == 1
";

#[test]
fn a_backtest_tells_what_a_longer_delay_or_a_wider_deadband_would_change() {
    use hallwatch_collector::rules::backtest::{Backtest, COLUMNS};
    use hallwatch_model::{Labels, Sample, Timestamp};

    let files = [("hot.yaml", HOT)];
    let read = Backtest::selectors(&files).unwrap();
    assert_eq!(read, ["{__name__=\"environment_temperature_celsius\"}"]);
    let at = |step: i64| Timestamp::from_millis(1_700_000_000_000 + step * 10_000);
    let mut run = Backtest::new(&files, at(0), at(360)).unwrap();
    let labels = [("tenant", "t"), ("site", "s"), ("device", "d")];
    let labels = Labels::metric("environment_temperature_celsius", labels);
    for step in 0..360 {
        let sample = Sample { time: at(step), value: Ok(past(step)) };
        run.measure(&[(labels.clone(), sample)], at(step));
    }
    assert_eq!(run.left_out()[0].0, "g/Slow");
    let outcomes = run.finish();
    let [hot, site, slow] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((site.as_written.fired, slow.as_written.fired), (0, 0));
    let figures = |name: &str| {
        let found = hot.variants.iter().find(|(variant, _)| variant == name);
        found.unwrap_or_else(|| panic!("{name}: {:?}", hot.variants)).1
    };
    assert_eq!((hot.as_written.fired, hot.as_written.short), (13, 12));
    assert!((hot.as_written.seconds - (20.0 * 12.0 + 600.0)).abs() < 0.1, "{hot:?}");
    assert_eq!((figures("for: 1m").fired, figures("for: 5m").fired), (1, 1));
    assert_eq!(figures("for: 15m").fired, 0);
    // 2 % of 27 °C is more than the hovering, which becomes one alert.
    let wide = figures("deadband: 2 % of the limit");
    assert_eq!((wide.fired, wide.short), (4, 2));
    assert_eq!(hot.picture.len(), COLUMNS);
    assert!((hot.picture[12] - 1.0).abs() < 1e-9 && hot.picture[55].abs() < 1e-9);
}

#[test]
fn a_backtest_reads_what_the_collector_has() {
    use hallwatch_collector::store::{Options, Store};
    use hallwatch_model::{Labels, Sample, Timestamp};

    let folder = tempfile::tempdir().unwrap();
    let config = "collector = { id = 'c-1', data = 'data', listen = '127.0.0.1:1' }
broker = { url = 'mqtt://127.0.0.1:1' }
site = [{ id = 'fra-1', tenant = 'acme', agents = ['gw-1'] }]
";
    std::fs::write(folder.path().join("collector.toml"), config).unwrap();
    std::fs::write(folder.path().join("hot.yaml"), HOT).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    // Two hours: more than is fetched at once.
    let now = hallwatch_collector::clock::now().as_millis();
    let at = |step: i64| Timestamp::from_millis(now - 7_200_000 + step * 10_000);
    let labels = [("tenant", "t"), ("site", "s"), ("device", "d")];
    let labels = Labels::metric("environment_temperature_celsius", labels);
    let mut store = Store::open(&folder.path().join("data"), &Options::default()).unwrap();
    let sample = |step| (labels.clone(), Sample { time: at(step), value: Ok(past(step)) });
    let samples: Vec<_> = (0..700).map(sample).collect();
    store.record(&samples, at(700)).unwrap();
    drop(store);
    let args = ["backtest", "hot.yaml", "--since", "3h", "--config", "collector.toml"];
    let json = tool(folder.path(), &[&args[..], &["--json"]].concat());
    assert!(json.status.success(), "{}", said(&json));
    let told: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(told["samples"], 700, "{told}");
    let hot = &told["rules"][0];
    assert_eq!((&hot["rule"], &hot["asWritten"]["fired"]), (&"g/Hot".into(), &13.into()));
    assert!(told["leftOut"]["g/Slow"].as_str().unwrap().contains("subquery"));
    let text = said(&tool(folder.path(), &args));
    assert!(
        text.contains("g/Hot\n  as written                 13 times (12 under 1m), 14m in all"),
        "{text}"
    );
    assert!(text.contains('█') && text.contains('·'), "{text}");
    assert!(text.contains("for: 15m                   never fired"), "{text}");
    assert!(text.contains("a mark."), "what the picture means: {text}");
    assert!(text.contains("1 of the rules: never fired\n  g/SiteHot\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let coarse = said(&tool(folder.path(), &[&args[..], &["--step", "1m"]].concat()));
    assert!(coarse.contains("g/Hot\n  as written"), "{coarse}");

    // Of rules whose metrics nobody wrote, nothing is said.
    let dry = "groups: [{ name: g, rules: [{ alert: Wet, expr: environment_leak == 1 }] }]\n";
    std::fs::write(folder.path().join("dry.yaml"), dry).unwrap();
    let mut args = args;
    args[1] = "dry.yaml";
    let text = said(&tool(folder.path(), &args));
    assert!(text.contains("Nothing that these rules read is there"), "{text}");
    assert!(text.contains("no data: nothing can be said of them\n  g/Wet\n"), "{text}");
    let json = tool(folder.path(), &[&args[..], &["--json"]].concat());
    let told: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(told["noData"], serde_json::json!(["g/Wet"]), "{told}");
}
