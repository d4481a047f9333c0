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
    // Go's classes are of ASCII alone.
    (r#"{{ reReplaceAll "\\d" "x" "٣3" }}"#, "٣x"),
    (r#"{{ reReplaceAll `\D` "x" "٣3" }}"#, "x3"),
    (r#"{{ reReplaceAll `\w+` "x" "é_Z9 é" }}"#, "éx é"),
    (r#"{{ reReplaceAll `\W` "x" "é_" }}"#, "x_"),
    ("{{ reReplaceAll `\\s|\\\\s` `x` `a\u{a0}b\u{b}c d\\s` }}", "a\u{a0}b\u{b}cxdx"),
    ("{{ reReplaceAll `\\S` `x` `a \u{a0}` }}", "x x"),
    (r#"{{ reReplaceAll `\b` "|" "éa é" }}"#, "é|a| é"),
    (r#"{{ reReplaceAll `\Bc` "x" "éc ac" }}"#, "éc ax"),
    (r#"{{ reReplaceAll `[\d_]` "x" "٣3_" }}"#, "٣xx"),
    (r#"{{ reReplaceAll `[^\D4]` "x" "٣34" }}"#, "٣x4"),
    (r#"{{ reReplaceAll `[]\d[]+` "x" "a]3[b" }}"#, "axb"),
    (r#"{{ reReplaceAll `[^]\s]` "x" "a] b" }}"#, "x] x"),
    (r#"{{ reReplaceAll `[[:alpha:]\d]` "x" "é٣a3" }}"#, "é٣xx"),
    (r#"{{ reReplaceAll `(?i)\w` "x" "Ab" }}"#, "xx"),
    (r#"{{ reReplaceAll `\\d|\pL` "x" `\d3é` }}"#, "x3x"),
    (r#"{{ match `^\w+$` "é" }} {{ match `^\d+$` $labels.rack }}"#, "false true"),
    (r#"{{ reReplaceAll "(b)" "$$1 ${1} ${2} ${ $ $(" "abc" }}"#, "a$1 b  ${ $ $(c"),
    (r#"{{ reReplaceAll "(?P<n>b)" "${n}${x}$n-$1a$é" "abc" }}"#, "abb-c"),
    (
        r#"{{ $value }} {{ print $value }} {{ printf "%v %g %.3f" $value $value $value }}"#,
        "1.7000000005e+09 1.7000000005e+09 1.7000000005e+09 1.7000000005e+09 1700000000.500",
    ),
    // Not every number is a time.
    (r#"{{ "NaN" | humanizeTimestamp }} {{ "NaN" | humanize }}"#, "NaN NaN"),
    (r#"{{ "Inf" | humanizeTimestamp }} {{ "-Inf" | humanizeTimestamp }}"#, "+Inf -Inf"),
    ("{{ 9223372036.5 | humanizeTimestamp }}", "2262-04-11 23:47:16.499 +0000 UTC"),
    ("{{ -1.5 | toTime }}", "1969-12-31 23:59:58.5 +0000 UTC"),
];

/// What cannot be said of a value: promtool names the place, too.
const REFUSED: &[(&str, &str)] = &[
    (r#"{{ "NaN" | toTime }}"#, "value is NaN or Inf"),
    (r#"{{ "-Inf" | toTime }}"#, "value is NaN or Inf"),
    (
        "{{ 1e20 | toTime }}",
        "1e+20 cannot be represented as a nanoseconds timestamp since it overflows int64",
    ),
    (
        "{{ -1e20 | humanizeTimestamp }}",
        "-1e+20 cannot be represented as a nanoseconds timestamp since it overflows int64",
    ),
    (
        "{{ 9223372037 | humanizeTimestamp }}",
        "9.223372037e+09 cannot be represented as a nanoseconds timestamp since it overflows int64",
    ),
];

const SERIES: &str = r#"m{instance="ups-a.example.org:502", rack="7", pattern="[0-9]+"}"#;

#[test]
fn prometheus_refuses_the_same() {
    let (rules, tests) = files(REFUSED.iter().copied());
    let suite = unittest::load_suite("tests.yaml", &tests).unwrap();
    let failures = unittest::run(&suite, &[("rules.yaml", &rules)], false).unwrap();
    assert_eq!(failures.len(), REFUSED.len());
    let said = promtool(&rules, &tests);
    for ((template, reason), failure) in REFUSED.iter().zip(failures) {
        let ours = format!("<error expanding template: {reason}>");
        assert!(failure.text.contains(&ours), "{template}: {}", failure.text);
        assert!(said.contains(&format!("{reason}>")), "{template}: {said}");
    }
}

/// Rules with these templates, and tests of what they come to.
fn files<'t>(table: impl Iterator<Item = (&'t str, &'t str)>) -> (String, String) {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let mut rules = String::from("groups:\n- name: g\n  rules:\n");
    let mut tests = format!(
        "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  \
         external_url: http://hall.example.org/prom\n  input_series:\n  - series: {}\n    \
         values: '1700000000.5x1'\n  alert_rule_test:\n",
        quoted(SERIES)
    );
    for (i, (template, expected)) in table.enumerate() {
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
    (rules, tests)
}

/// What it says, empty when everything is as expected.
fn promtool(rules: &str, tests: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    std::fs::write(dir.path().join("tests.yaml"), tests).unwrap();
    let promtool = Command::new("promtool")
        .args(["test", "rules", "tests.yaml"])
        .current_dir(dir.path())
        .output()
        .expect("promtool is needed: apt-get install prometheus");
    if promtool.status.success() {
        return String::new();
    }
    String::from_utf8_lossy(&[promtool.stdout, promtool.stderr].concat()).into_owned()
}

#[test]
fn prometheus_fills_in_the_same() {
    let (rules, tests) = files(TABLE.iter().copied());
    let suite = unittest::load_suite("tests.yaml", &tests).unwrap();
    let failures = unittest::run(&suite, &[("rules.yaml", &rules)], false).unwrap();
    let failures: Vec<String> = failures.into_iter().map(|failure| failure.text).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(promtool(&rules, &tests), "");
}
