//! Rule files with mistakes, and what is said of them.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use hallwatch_collector::rules::load;

fn check(text: &str) -> String {
    match load(&[("rules.yaml", text)]) {
        Err(invalid) => invalid.to_string(),
        Ok(rules) => {
            let warning = |w: &hallwatch_config::Finding| {
                let help = w.help.as_deref().unwrap_or("");
                format!("{}:{}:{}: {}; {help}", w.file, w.line, w.column, w.message)
            };
            let warnings: Vec<String> = rules.warnings.iter().map(warning).collect();
            format!("{} groups\n{}", rules.groups.len(), warnings.join("\n"))
        }
    }
}

#[test]
fn every_mistake_is_named_at_once_with_its_place() {
    insta::assert_snapshot!(check(include_str!("rules.bad.yaml")));
}

#[test]
fn what_is_not_a_rule_file_is_refused() {
    for (name, text, expected) in [
        ("not YAML", "groups: [", "not YAML"),
        ("a list", "- a\n- b\n", "a rule file must be a mapping"),
        ("a text", "hello", "a rule file must be a mapping"),
        ("groups are a text", "groups: yes\n", "`groups` must be a list"),
        ("a group is a text", "groups:\n- g\n", "a group must be a mapping"),
        ("rules are a mapping", "groups:\n- name: g\n  rules: {a: b}\n", "`rules` must be a list"),
        ("a name is a list", "groups:\n- name: [a]\n", "`name` must be a text"),
        ("two documents", "groups: []\n---\ngroups: []\n", "a second document"),
        ("a key twice", "groups: []\ngroups: []\n", "given twice"),
        ("a key is a list", "? [a]\n: b\n", "a key must be a word"),
    ] {
        let said = check(text);
        assert!(said.contains(expected), "{name}: {said}");
    }
    for nothing in ["", "# only this\n", "groups:\n"] {
        assert_eq!(check(nothing), "0 groups\n");
    }
}

#[test]
fn problems_of_several_files_come_together() {
    let bad = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up >\n";
    let invalid =
        load(&[("a.yaml", bad), ("good.yaml", "groups: []"), ("b.yaml", bad)]).unwrap_err();
    let places: Vec<String> =
        invalid.problems().iter().map(|p| format!("{}:{}:{}", p.file, p.line, p.column)).collect();
    assert_eq!(places, ["a.yaml:5:14", "b.yaml:5:14"]);
}

#[test]
fn metrics_that_nobody_writes_are_warned_of() {
    let text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: ups_on_batery == 1 and a:b:c > 1 and ALERTS\n";
    assert_eq!(
        check(text),
        "1 groups\nrules.yaml:5:11: no metric named `ups_on_batery` in the vocabulary; did you mean `ups_on_battery`?"
    );
}

#[test]
fn units_and_labels_that_cannot_be_meant_are_warned_of() {
    let text = "groups:
- name: g
  rules:
  - alert: A
    expr: meter_active_power_watts + meter_voltage_volts > 1
    clear: environment_temperature_celsius < temperature_fahrenheit
  - alert: B
    expr: generator_fuel_level_ratio{tank=\"1\", devise=\"g\"} < 20
";
    insta::assert_snapshot!(check(text));
}

#[test]
fn the_examples_of_the_documentation_are_rules() {
    let text = include_str!("../../docs/rules.md");
    let blocks: Vec<&str> = text.split("```").skip(1).step_by(2).collect();
    let yaml: Vec<&str> = blocks.iter().filter_map(|block| block.strip_prefix("yaml\n")).collect();
    assert!(yaml.len() >= 2);
    for block in yaml {
        let rules: String = block.lines().map(|line| format!("  {line}\n")).collect();
        assert_eq!(
            check(&format!("groups:\n- name: g\n  rules:\n{rules}")),
            "1 groups\n",
            "{block}"
        );
    }
}
