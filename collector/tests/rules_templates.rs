//! Templates of labels and annotations: `promtool test rules` fills in the same texts.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::fmt::Write;
use std::process::Command;

use hallwatch_collector::rules::unittest;

/// Of a value of 1700000000.5 and the labels of [`SERIES`].
const TABLE: &[(&str, &str)] = &[
    (r#"{{ reReplaceAll "a" "o" "banana" }}"#, "bonono"),
    (r#"{{ reReplaceAll "(.*)\\..*:(.*)" "$2 of $1" $labels.instance }}"#, "502 of ups-a.example"),
    (r#"{{ $labels.instance | reReplaceAll ":[0-9]+$" "" }}"#, "ups-a.example.org"),
    (r#"{{ reReplaceAll "(?P<rack>r[0-9]+)" "<$rack>" "r1 r22 x" }}"#, "<r1> <r22> x"),
    // Go takes the longest name: `1x` is no group.
    (r#"{{ reReplaceAll "(b)" "$1x${1}y$$" "abc" }}"#, "aby$c"),
    (r#"{{ reReplaceAll "(b)" "[$7$0]" "abc" }}"#, "a[b]c"),
    (r#"{{ reReplaceAll "x*" "-" "abc" }}"#, "-a-b-c-"),
    (r#"{{ reReplaceAll `^\s+|(?i:ORG)` `` "  at org" }}"#, "at "),
    (r#"{{ reReplaceAll $labels.pattern "!" "hall 12" }}"#, "hall !"),
    (r#"{{ if match "^ups-[ab]\\." $labels.instance }}a UPS{{ end }}"#, "a UPS"),
    (r#"{{ match "b" "abc" }} {{ match "^b" "abc" }}"#, "true false"),
    ("{{ stripPort $labels.instance }}", "ups-a.example.org"),
    ("{{ $labels.instance | stripDomain }}", "ups-a:502"),
    (
        r#"{{ stripPort "[2001:db8::1]:502" }} {{ stripPort "2001:db8::1" }}"#,
        "2001:db8::1 2001:db8::1",
    ),
    (r#"{{ stripDomain "192.0.2.1:502" }} {{ stripDomain "a.b.c" }}"#, "192.0.2.1:502 a"),
    (
        r#"{{ parseDuration "1h30m" }} {{ "90s" | parseDuration | humanizeDuration }}"#,
        "5400 1m 30s",
    ),
    ("?var={{ $labels.instance | urlquery }}", "?var=ups-a.example.org%3A502"),
    (r#"{{ graphLink "up == 0" }}"#, "/graph?g0.expr=up+%3D%3D+0&g0.tab=0"),
    (r#"{{ tableLink "up{a='é'}" }}"#, "/graph?g0.expr=up%7Ba%3D%27%C3%A9%27%7D&g0.tab=1"),
    ("{{ $value | humanizeTimestamp }}", "2023-11-14 22:13:20.5 +0000 UTC"),
    ("{{ $value | toTime }}", "2023-11-14 22:13:20.5 +0000 UTC"),
    ("{{ with $labels.none }}never{{ else }}none{{ end }}", "none"),
    (
        "{{ with $labels.instance | stripPort }}at {{ . }} ({{ . | len }}){{ end }}",
        "at ups-a.example.org (17)",
    ),
    (r#"{{ with "a" }}{{ with "b" }}{{ . }}{{ end }}{{ . }}{{ $labels.rack }}{{ end }}"#, "ba7"),
    (
        r#"{{ print "a" 1 2 "b" }} {{ print $labels.rack $labels.instance }}"#,
        "a1 2b 7ups-a.example.org:502",
    ),
    (r#"{{ safeHtml "<b>" }} {{ "hall one" | title }}"#, "<b> Hall One"),
    (r#"{{ printf "%t %-4s| %.3e" true $labels.rack $value }}"#, "true 7   | 1.700e+09"),
];

const SERIES: &str = r#"m{instance="ups-a.example.org:502", rack="7", pattern="[0-9]+"}"#;

#[test]
fn prometheus_fills_in_the_same() {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let mut rules = String::from("groups:\n- name: g\n  rules:\n");
    let mut tests = format!(
        "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  \
         external_url: http://hall.example.org/prom\n  input_series:\n  - series: {}\n    \
         values: '1700000000.5x1'\n  alert_rule_test:\n",
        quoted(SERIES)
    );
    for (i, (template, expected)) in TABLE.iter().enumerate() {
        writeln!(
            rules,
            "  - alert: A{i}\n    expr: m\n    annotations: {{text: {}}}",
            quoted(template)
        )
        .unwrap();
        writeln!(
            tests,
            "  - eval_time: 1m\n    alertname: A{i}\n    exp_alerts:\n    - exp_labels: \
             {{instance: 'ups-a.example.org:502', rack: '7', pattern: '[0-9]+'}}\n      \
             exp_annotations: {{text: {}}}",
            quoted(expected)
        )
        .unwrap();
    }
    let suite = unittest::load_suite("tests.yaml", &tests).unwrap();
    let failures = unittest::run(&suite, &[("rules.yaml", &rules)], false).unwrap();
    let failures: Vec<String> = failures.into_iter().map(|failure| failure.text).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), &rules).unwrap();
    std::fs::write(dir.path().join("tests.yaml"), &tests).unwrap();
    let promtool = Command::new("promtool")
        .args(["test", "rules", "tests.yaml"])
        .current_dir(dir.path())
        .output()
        .expect("promtool is needed: apt-get install prometheus");
    let said = String::from_utf8_lossy(&[promtool.stdout, promtool.stderr].concat()).into_owned();
    assert!(promtool.status.success(), "{said}");
}
