//! Series and their values as promtool writes them: `up{job="x"}`, `1+2x3`, `_x4`, `stale`.

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::sample::to_float;
use hallwatch_model::{Labels, Missing};

/// The most values of a series.
const MAX_VALUES: usize = 1_000_000;

/// A series: a name, and labels in braces; one of them can be left out.
pub(super) fn labels(text: &str) -> Result<Labels, &'static str> {
    const BRACES: &str = "a series is written `name{label=\"value\"}`";
    let text = text.trim();
    let (name, rest) = match text.find('{') {
        Some(at) => (text[..at].trim(), text[at + 1..].strip_suffix('}').ok_or(BRACES)?),
        None => (text, ""),
    };
    let good = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    if !good(name) {
        return Err("that is not a metric name");
    }
    let mut labels = Labels::empty();
    if !name.is_empty() {
        labels = labels.with(METRIC_NAME, name);
    }
    let mut rest = rest.trim();
    while !rest.is_empty() {
        let (label, after) = rest.split_once('=').ok_or(BRACES)?;
        let label = label.trim();
        if label.is_empty() || !good(label) {
            return Err("that is not a label name");
        }
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')).ok_or(BRACES)?;
        let (value, length) = quoted(&after[1..], quote).ok_or("a quote is not closed")?;
        labels = labels.with(label, &value);
        rest = after[1 + length..].trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(BRACES),
        };
    }
    Ok(labels)
}

/// The text up to the closing quote, and how many bytes that takes with it.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, at + 1)),
            '\\' if quote != '`' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            c => value.push(c),
        }
    }
    None
}

/// Values, one per interval; `None` where there is none.
pub(super) fn values(text: &str) -> Result<Vec<Option<f64>>, String> {
    let mut all = Vec::new();
    for word in text.split_whitespace() {
        let more = item(word).ok_or_else(|| format!("`{word}` is not understood"))?;
        let count = more.1;
        if all.len() + count > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        let (mut value, step) = more.0;
        for _ in 0..count {
            all.push(value);
            value = value.map(|value| value + step);
        }
    }
    Ok(all)
}

/// The first value with what is added each time, and how many there are.
fn item(word: &str) -> Option<((Option<f64>, f64), usize)> {
    match word {
        "_" => return Some(((None, 0.0), 1)),
        "stale" => return Some(((Some(to_float(Err(Missing::NotAvailable))), 0.0), 1)),
        _ => {}
    }
    if let Some(count) = word.strip_prefix("_x") {
        return Some(((None, 0.0), count.parse().ok()?));
    }
    // Not the `x` of `0x1`, nor the sign of an exponent.
    let Some((head, count)) = word.rsplit_once('x') else {
        return Some(((Some(number(word)?), 0.0), 1));
    };
    let count = count.parse::<usize>().ok()?.checked_add(1)?;
    let sign = head.char_indices().skip(1).find(|(at, c)| {
        matches!(c, '+' | '-') && !matches!(head.as_bytes().get(at - 1), Some(b'e' | b'E'))
    });
    let (first, step) = match sign {
        Some((at, '-')) => (&head[..at], -number(&head[at + 1..])?),
        Some((at, _)) => (&head[..at], number(&head[at + 1..])?),
        None => (head, 0.0),
    };
    Some(((Some(number(first)?), step), count))
}

/// A number as PromQL has it.
pub(super) fn number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && !["inf", "nan"].iter().any(|word| digits.eq_ignore_ascii_case(word))
    {
        return None;
    }
    digits.parse::<f64>().ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_for_promtool() {
        for (text, expected) in [
            ("1 2 3", Some("[Some(1.0), Some(2.0), Some(3.0)]")),
            ("1x2", Some("[Some(1.0), Some(1.0), Some(1.0)]")),
            ("1+2x2", Some("[Some(1.0), Some(3.0), Some(5.0)]")),
            ("-1-0.5x2", Some("[Some(-1.0), Some(-1.5), Some(-2.0)]")),
            ("1e-3x0", Some("[Some(0.001)]")),
            ("_ _x2 1", Some("[None, None, None, Some(1.0)]")),
            ("stale -Inf nan", Some("[Some(NaN), Some(-inf), Some(NaN)]")),
            ("", Some("[]")),
            ("x2", None),
            ("1x-2", None),
            ("1+x2", None),
            ("infinity", None),
            ("1x99999999999", None),
            ("{{count:1}}", None),
        ] {
            let got = values(text).ok().map(|values| format!("{values:?}"));
            assert_eq!(got.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn series_are_written_as_for_promtool() {
        for (text, expected) in [
            ("up", Some("up")),
            ("{}", Some("{}")),
            (r#"up{a="b", c='d\n"',}"#, Some(r#"up{a="b", c="d\n\""}"#)),
            (r#"{__name__="up", a="b"}"#, Some(r#"up{a="b"}"#)),
            ("up{", None),
            ("up{a}", None),
            ("up{a=b}", None),
            (r#"up{a="b" c="d"}"#, None),
            (r#"up{a="b}"#, None),
            ("1up", None),
        ] {
            let got = labels(text).ok().map(|labels| labels.to_string());
            assert_eq!(got.as_deref(), expected, "{text}");
        }
    }
}
