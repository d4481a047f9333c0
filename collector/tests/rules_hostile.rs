//! Whatever stands in a rule file, it is read or refused, never a panic.

use hallwatch_collector::rules::load;
use proptest::prelude::*;

const FILE: &str = r#"groups:
- name: g
  interval: 1m
  rules:
  - alert: Ä
    expr: |
      sum by (site) (rate(ups_load_ratio{site=~"a|b"}[5m])) > 1
    for: 5m
    labels: {severity: "{{ if eq $labels.site \"é\" }}x{{ else }}y{{ end }}"}
    annotations:
      summary: >-
        {{ $labels.device | toUpper }} {{- printf "%5.1f" $value -}}
        {{ $value | humanize }}
  - record: a:b
    expr: 'up'
"#;

/// Texts that mean something in one of the languages of a rule file.
const TOKENS: [&str; 24] = [
    "{{",
    "}}",
    "{{-",
    "-}}",
    "/*",
    "*/",
    "\"",
    "'",
    "`",
    "\\",
    "(",
    ")",
    "[5m",
    "{",
    "}",
    "|",
    ">",
    "é",
    "\u{1F525}",
    "\n",
    "&a ",
    "*a",
    "- ",
    "%",
];

proptest! {
    #[test]
    fn damaged_files(edits in prop::collection::vec((0..FILE.len(), 0..8usize, 0..TOKENS.len()), 1..5)) {
        let mut text = FILE.to_owned();
        for (at, length, token) in edits {
            let from = text.floor_char_boundary(at.min(text.len()));
            let to = text.ceil_char_boundary((from + length).min(text.len()));
            text.replace_range(from..to, TOKENS[token]);
        }
        if let Err(invalid) = load(&[("f.yaml", &text)]) {
            prop_assert!(!invalid.to_string().is_empty());
        }
    }

    #[test]
    fn any_template_and_any_expression(text in r#"(\PC|\{\{|\}\}|[-|() $.a-z"\\%]){0,60}"#) {
        let quoted = serde_json::to_string(&text).unwrap();
        let file = format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {quoted}\n    annotations: {{s: {quoted}}}\n"
        );
        if let Err(invalid) = load(&[("f.yaml", &file)]) {
            prop_assert!(!invalid.to_string().is_empty());
        }
    }
}
