//! The commonly used part of Prometheus' template language: what stands in labels and annotations.
//!
//! `{{ $labels.x }}`, `{{ .Labels.x }}`, `{{ $value }}`, pipes, `if`/`else`, `with`, comparisons,
//! `printf`, the `humanize` family and the functions on texts. What asks the database (`query`) or
//! loops (`range`) is refused when the rules are loaded.

use std::ops::Range;

use hallwatch_model::Labels;

mod budget;
mod format;
mod lex;
mod parse;
mod pattern;
mod text;

use super::humanize;
use budget::Budget;
use parse::{Expression, Function, Part};
use pattern::Pattern;
pub(crate) use text::link;

/// So much text, in bytes, may be filled in at one expansion, what functions make on the way
/// included. No page is as long; and a few lines could otherwise make text without end.
const MAX_FILLED: usize = 64 << 10;
/// No more of a mistake is said, in bytes: it may quote what was filled in.
const MAX_REASON: usize = 400;

/// A checked template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateError {
    /// The bytes of the text that are wrong.
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// What a template can speak of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) labels: &'a Labels,
    pub(super) value: f64,
    pub(super) external_url: &'a str,
}

/// What a part of a template can speak of.
#[derive(Clone, Copy)]
struct Scope<'a> {
    facts: Facts<'a>,
    /// That of the innermost `with`.
    dot: Option<&'a Value>,
    /// What may still be filled in.
    budget: &'a Budget,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Text(String),
    Truth(bool),
}

impl Template {
    /// # Errors
    /// When it is not a template, or uses what is not supported here.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { text: text.to_owned(), parts: parse::parse(text)? })
    }

    /// A text in which nothing is filled in.
    pub(super) fn literal(text: &str) -> Self {
        Self { text: text.to_owned(), parts: vec![Part::Text(text.to_owned())] }
    }

    /// The template as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with everything filled in. What cannot be (a name that is to be humanized) is said
    /// in its place, as Prometheus does.
    pub(super) fn expand(&self, facts: Facts<'_>) -> String {
        let mut out = String::new();
        let budget = Budget::of(MAX_FILLED);
        match fill(&self.parts, Scope { facts, dot: None, budget: &budget }, &mut out) {
            Ok(()) => out,
            Err(mut reason) => {
                if reason.len() > MAX_REASON {
                    reason.truncate(reason.floor_char_boundary(MAX_REASON));
                    reason.push('…');
                }
                format!("<error expanding template: {reason}>")
            }
        }
    }
}

fn fill(parts: &[Part], scope: Scope<'_>, out: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Print(expression) => out.push_str(&evaluate(expression, scope)?.to_string()),
            Part::If { branches, otherwise } => {
                let mut chosen = otherwise;
                for (condition, then) in branches {
                    if evaluate(condition, scope)?.is_true() {
                        chosen = then;
                        break;
                    }
                }
                fill(chosen, scope, out)?;
            }
            Part::With { of, then, otherwise } => {
                let value = evaluate(of, scope)?;
                if value.is_true() {
                    fill(then, Scope { dot: Some(&value), ..scope }, out)?;
                } else {
                    fill(otherwise, scope, out)?;
                }
            }
        }
    }
    Ok(())
}

fn evaluate(expression: &Expression, scope: Scope<'_>) -> Result<Value, String> {
    let Scope { facts, dot, budget } = scope;
    Ok(match expression {
        Expression::Number(number) => Value::Number(*number),
        Expression::Text(text) => budget.text(text)?,
        Expression::Truth(truth) => Value::Truth(*truth),
        Expression::Value => Value::Number(facts.value),
        Expression::Label(name) => budget.text(facts.labels.get(name).unwrap_or(""))?,
        Expression::ExternalUrl | Expression::Call(Function::ExternalUrl, _) => {
            budget.text(facts.external_url)?
        }
        Expression::Labels => {
            let lengths = facts.labels.iter().map(|l| l.name.len() + l.value.len() + ": ".len());
            budget.spend("map[]".len() + lengths.sum::<usize>())?;
            let pairs: Vec<String> =
                facts.labels.iter().map(|l| format!("{}:{}", l.name, l.value)).collect();
            Value::Text(format!("map[{}]", pairs.join(" ")))
        }
        Expression::Dot => match dot.ok_or("`.` stands for nothing outside of a `with`")? {
            Value::Text(text) => budget.text(text)?,
            other => other.clone(),
        },
        Expression::Pattern(_) => return Err("a pattern is no value".into()),
        Expression::Call(Function::PathPrefix, _) => {
            budget.text(text::path_prefix(facts.external_url))?
        }
        Expression::Call(Function::Match | Function::ReReplaceAll, arguments) => {
            matched(arguments, scope)?
        }
        Expression::Call(Function::Printf, arguments) => {
            Value::Text(format::printf(&all(arguments, scope)?, budget)?)
        }
        Expression::Call(function, arguments) => {
            // What these make is at most a few times as long as their arguments, which were paid for.
            let value = call(*function, &all(arguments, scope)?)?;
            if let Value::Text(text) = &value {
                budget.spend(text.len())?;
            }
            value
        }
    })
}

fn all(arguments: &[Expression], scope: Scope<'_>) -> Result<Vec<Value>, String> {
    arguments.iter().map(|argument| evaluate(argument, scope)).collect()
}

/// `match PATTERN TEXT` and `reReplaceAll PATTERN REPLACEMENT TEXT`; neither is anchored.
fn matched(arguments: &[Expression], scope: Scope<'_>) -> Result<Value, String> {
    let (first, rest) = arguments.split_first().ok_or("an argument is missing")?;
    let given;
    let pattern = match first {
        Expression::Pattern(pattern) => pattern,
        other => {
            given = Pattern::new(&evaluate(other, scope)?.to_string())?;
            &given
        }
    };
    let text = |expression| evaluate(expression, scope).map(|value| value.to_string());
    match rest {
        [of] => Ok(Value::Truth(pattern.matches(&text(of)?))),
        [by, of] => {
            let replaced = pattern.replace_all(&text(of)?, &text(by)?, scope.budget)?;
            Ok(Value::Text(replaced))
        }
        _ => Err("an argument is missing".into()),
    }
}

fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
    let first = || arguments.first().ok_or("an argument is missing");
    let number = || first()?.number();
    let text = || first().map(Value::to_string);
    Ok(match function {
        Function::Humanize => Value::Text(humanize::metric(number()?)),
        Function::Humanize1024 => Value::Text(humanize::binary(number()?)),
        Function::HumanizeDuration => Value::Text(humanize::duration(number()?)),
        Function::HumanizePercentage => Value::Text(humanize::percentage(number()?)),
        Function::HumanizeTimestamp => match number()? {
            number if number.is_finite() => Value::Text(format::timestamp(number)?),
            other => Value::Text(humanize::plain(other)),
        },
        Function::ToTime => match number()? {
            number if number.is_finite() => Value::Text(format::timestamp(number)?),
            _ => return Err("value is NaN or Inf".into()),
        },
        Function::ParseDuration => {
            let text = text()?;
            let parsed = super::parse_duration(&text);
            Value::Number(parsed.ok_or_else(|| format!("{text:?} is no duration"))?.as_secs_f64())
        }
        Function::ToUpper => Value::Text(text()?.to_uppercase()),
        Function::ToLower => Value::Text(text()?.to_lowercase()),
        Function::Title => Value::Text(format::title(&text()?)),
        Function::SafeHtml => Value::Text(text()?),
        Function::StripPort => Value::Text(text::strip_port(&text()?).to_owned()),
        Function::StripDomain => Value::Text(text::strip_domain(&text()?)),
        Function::GraphLink => Value::Text(text::link(&text()?, 0)),
        Function::TableLink => Value::Text(text::link(&text()?, 1)),
        Function::UrlQuery => Value::Text(text::escaped(&text()?)),
        Function::Print => Value::Text(format::print_all(arguments)),
        Function::Len => Value::Number(count(text()?.len())),
        Function::Not => Value::Truth(!first()?.is_true()),
        Function::And => last_until(arguments, |value| !value.is_true())?,
        Function::Or => last_until(arguments, Value::is_true)?,
        Function::Eq => {
            let (left, rest) = arguments.split_first().ok_or("an argument is missing")?;
            Value::Truth(rest.iter().any(|right| left.equals(right)))
        }
        Function::Ne | Function::Lt | Function::Le | Function::Gt | Function::Ge => {
            let [left, right] = arguments else { return Err("two arguments are needed".into()) };
            Value::Truth(compare(function, left, right)?)
        }
        // These want more than values.
        Function::ExternalUrl
        | Function::PathPrefix
        | Function::Match
        | Function::ReReplaceAll
        | Function::Printf => return Err("not a function of values".into()),
    })
}

fn compare(function: Function, left: &Value, right: &Value) -> Result<bool, String> {
    let ordering = match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ if function == Function::Ne => return Ok(!left.equals(right)),
        _ => return Err("incompatible types for comparison".into()),
    };
    Ok(match function {
        Function::Ne => !left.equals(right),
        Function::Lt => ordering.is_some_and(std::cmp::Ordering::is_lt),
        Function::Le => ordering.is_some_and(std::cmp::Ordering::is_le),
        Function::Gt => ordering.is_some_and(std::cmp::Ordering::is_gt),
        _ => ordering.is_some_and(std::cmp::Ordering::is_ge),
    })
}

fn last_until(values: &[Value], stop: impl Fn(&Value) -> bool) -> Result<Value, String> {
    let found = values.iter().find(|value| stop(value)).or(values.last());
    found.cloned().ok_or_else(|| "an argument is missing".into())
}

#[expect(clippy::cast_precision_loss, reason = "texts are far shorter than 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

impl Value {
    fn is_true(&self) -> bool {
        match self {
            Self::Number(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Truth(truth) => *truth,
        }
    }

    fn number(&self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => text.parse().map_err(|_| format!("{text:?} is not a number")),
            Self::Truth(_) => Err("true or false is not a number".into()),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        self == other
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => f.write_str(&humanize::plain(*number)),
            Self::Text(text) => f.write_str(text),
            Self::Truth(truth) => write!(f, "{truth}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        let labels =
            Labels::from_pairs([("device", "ups-a"), ("site", "fra-1"), ("amount", "1500")]);
        let facts = Facts { labels: &labels, value: 0.256, external_url: "http://h/prom" };
        Template::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}")).expand(facts)
    }

    #[test]
    fn fills_in() {
        for (template, expected) in [
            ("plain { text }", "plain { text }"),
            ("{{ $labels.device }} at {{ .Labels.site }}", "ups-a at fra-1"),
            ("{{$labels.nothing}}.", "."),
            ("{{ $value }} {{ .Value }}", "0.256 0.256"),
            ("{{ $value | humanizePercentage }}", "25.6%"),
            ("{{ humanize $value }}", "256m"),
            ("{{ 1024 | humanize1024 }}", "1ki"),
            ("{{ 5400 | humanizeDuration }}", "1h 30m 0s"),
            ("{{ $labels.amount | humanize }}", "1.5k"),
            (r#"{{ printf "%.1f" $value }}"#, "0.3"),
            (r#"{{ $value | printf "%s: %.2f" $labels.site }}"#, "fra-1: 0.26"),
            (r#"{{ printf $labels.site $value }}"#, "fra-1%!(EXTRA 0.256)"),
            (
                r#"{{ printf "%s/%5.1f/%-6s|%q|%v%%" $labels.site 2.25 "a" "b" 1 }}"#,
                "fra-1/  2.2/a     |\"b\"|1%",
            ),
            (r#"{{ printf "%06.2f %+g %e" 1.5 2.0 12345.0 }}"#, "001.50 +2 1.234500e+04"),
            (
                "{{ $labels.device | toUpper }} {{ toLower \"ABC\" }} {{ title \"hall one\" }}",
                "UPS-A abc Hall One",
            ),
            (r#"{{ if eq $labels.device "ups-a" }}A{{ else }}B{{ end }}"#, "A"),
            (
                r#"{{ if ne $labels.device "ups-a" }}A{{ else if gt $value 0.1 }}C{{ else }}B{{ end }}"#,
                "C",
            ),
            (r#"{{ if and $labels.device (not $labels.none) }}yes{{ end }}"#, "yes"),
            (r#"{{ if or (lt $value 0.1) (eq $labels.site "x" "fra-1") }}yes{{ end }}"#, "yes"),
            ("a  {{- /* said nothing */ -}}  b", "ab"),
            ("a {{- $labels.site -}} b", "afra-1b"),
            ("{{ `{{ $value }}` }}", "{{ $value }}"),
            ("{{ $labels }}", "map[amount:1500 device:ups-a site:fra-1]"),
            (r#"{{ index $labels "site" }}"#, "fra-1"),
            ("{{ 1700000000 | humanizeTimestamp }}", "2023-11-14 22:13:20 +0000 UTC"),
            ("{{ $externalURL }}", "http://h/prom"),
            // promtool 2.42 ends in a nil pointer at these two.
            ("{{ externalURL }}{{ graphLink `up` }}", "http://h/prom/graph?g0.expr=up&g0.tab=0"),
            ("{{ pathPrefix }}/x", "/prom/x"),
            (
                "{{ $labels.device | humanize }}",
                "<error expanding template: \"ups-a\" is not a number>",
            ),
            (
                "{{ parseDuration $labels.device }}",
                "<error expanding template: \"ups-a\" is no duration>",
            ),
            (
                "{{ match (print \"(\" $labels.device) \"x\" }}",
                "<error expanding template: `(ups-a` is no regular expression: unclosed group>",
            ),
        ] {
            assert_eq!(expand(template), expected, "{template}");
        }
    }

    #[test]
    fn mistakes_are_found_when_loading_and_have_a_place() {
        for (template, place, message) in [
            ("a {{ $value", "{{ $value", "never closed"),
            ("{{ }}", "{{ }}", "empty"),
            ("{{ $valu }}", "$valu", "no variable"),
            ("{{ $value | humanise }}", "humanise", "no function"),
            ("{{ query \"up\" }}", "query", "not supported"),
            ("{{ range query }}", "range", "not supported"),
            ("{{ define \"x\" }}", "define", "not supported"),
            ("{{ . }}", ".", "outside of a `with`"),
            ("{{ with . }}{{ end }}", ".", "outside of a `with`"),
            ("{{ with 1 }}{{ . }}", "{{ with 1 }}", "without an `end`"),
            ("{{ with 1 }}{{ else if 1 }}{{ end }}", "{{ else if 1 }}", "nothing can follow"),
            ("{{ reReplaceAll \"(a\" \"b\" \"c\" }}", "\"(a\"", "no regular expression: unclosed"),
            ("{{ match \"a\" }}", "match", "takes 2, 1 given"),
            ("{{ externalURL 1 }}", "externalURL", "takes 0, 1 given"),
            ("{{ if $value }}a", "{{ if $value }}", "without an `end`"),
            ("a{{ end }}", "{{ end }}", "without an `if`"),
            ("{{ else }}", "{{ else }}", "without an `if`"),
            ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "{{ else }}", "after"),
            ("{{ \"open }}", "\"open }}", "text that never ends"),
            ("{{ humanize }}", "humanize", "argument"),
            ("{{ humanize 1 2 }}", "humanize", "argument"),
            ("{{ eq 1 }}", "eq", "argument"),
            ("{{ $labels.site 1 }}", "$labels.site", "not a function"),
            ("{{ (1 }}", "(", "parenthesis"),
            ("{{ 1 | }}", "|", "nothing after"),
            ("{{ printf \"%z\" 1 }}", "\"%z\"", "verb"),
            ("{{ printf \"%.1f\" }}", "\"%.1f\"", "1 value, 0 are given"),
            ("{{ .Foo }}", ".Foo", "no field"),
            ("{{ 1x }}", "1x", "not a number"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.message.contains(message), "{template}: {error:?}");
            let at = &template[error.span.clone()];
            assert_eq!(at, place, "{template}: {error:?}");
        }
    }

    #[test]
    fn hostile_templates_end() {
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(Template::parse(&deep).unwrap_err().message.contains("deep"));
        let withs = "{{ with 1 }}".repeat(10_000) + &"{{ end }}".repeat(10_000);
        assert!(Template::parse(&withs).unwrap_err().message.contains("deep"));
        let ifs = "{{ if 1 }}".repeat(10_000) + &"{{ end }}".repeat(10_000);
        assert!(Template::parse(&ifs).unwrap_err().message.contains("deep"));
        assert!(expand("{{ printf \"%999999999d\" 1 }}").len() < 2000);
        let pipes = format!("{{{{ 1 {} }}}}", "| len ".repeat(10_000));
        assert!(Template::parse(&pipes).unwrap_err().message.contains("pipes"));
    }

    #[test]
    fn a_short_template_makes_no_long_text() {
        let prints =
            format!("{{{{ with print{} }}}}", " .".repeat(31)).repeat(6) + &"{{ end }}".repeat(6);
        let matches = "{{ with reReplaceAll \"\" . . }}".repeat(3) + &"{{ end }}".repeat(3);
        let wide = format!("{{{{ printf .{} }}}}", " 1".repeat(31));
        let groups = format!(
            r#"{{{{ with printf "%1000s" "a" }}}}{{{{ reReplaceAll "(.)" "{}" . }}}}{{{{ end }}}}"#,
            "$1".repeat(1000)
        );
        for template in [
            format!("{{{{ with \"aaaaaaaa\" }}}}{prints}{{{{ end }}}}"),
            format!("{{{{ with \"aaaaaaaa\" }}}}{matches}{{{{ end }}}}"),
            groups,
            r#"{{ printf "%1000d" 1 }}"#.repeat(100),
            format!(
                r#"{{{{ with printf "%1000s" "a" | reReplaceAll " " "%1000d" }}}}{wide}{wide}{{{{ end }}}}"#
            ),
            "{{ $labels }}".repeat(2000),
            "{{ $externalURL }}{{ pathPrefix }}{{ externalURL }}".repeat(3000),
        ] {
            let text = expand(&template);
            let expected = "<error expanding template: more than 65536 bytes are filled in>";
            assert_eq!(text, expected, "{} bytes: {template:.80}", text.len());
        }
        // What nothing is made of may be long, and what is filled in nearly so.
        let long = "x".repeat(1 << 17);
        assert_eq!(expand(&long), long);
        assert_eq!(expand(&"{{ printf \"%1000d\" 1 }}".repeat(60)).len(), 60_000);
        // Nor does what is said of a mistake.
        let mistake = expand(r#"{{ printf "%1000s%1000s" "a" "b" | humanize }}"#);
        assert!(mistake.starts_with("<error expanding") && mistake.len() < 600, "{mistake}");
        assert!(mistake.ends_with("…>"), "{mistake}");
    }
}
