//! `printf`, `title` and times, as Go does them.

use std::iter::Peekable;
use std::str::Chars;

use time::OffsetDateTime;
use time::macros::format_description;

use super::Value;
use super::budget::Budget;
use crate::rules::humanize;

/// No annotation needs a wider column.
const MAX_WIDTH: usize = 1000;
const VERBS: &str = "vsqdfFeEgGtxX";

struct Directive {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
    verb: char,
}

/// A format cut into texts and directives. The error is a verb that is none.
fn directives(format: &str) -> (Vec<(String, Option<Directive>)>, Option<char>) {
    let mut out = Vec::new();
    let mut wrong = None;
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut directive = Directive {
            left: false,
            zero: false,
            plus: false,
            width: 0,
            precision: None,
            verb: '%',
        };
        while let Some(flag) = chars.next_if(|c| "-+0 #".contains(*c)) {
            directive.left |= flag == '-';
            directive.plus |= flag == '+';
            directive.zero |= flag == '0';
        }
        directive.width = number(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            directive.precision = Some(number(&mut chars));
        }
        match chars.next() {
            Some('%') => text.push('%'),
            Some(verb) => {
                if !VERBS.contains(verb) {
                    wrong = wrong.or(Some(verb));
                }
                directive.verb = verb;
                out.push((std::mem::take(&mut text), Some(directive)));
            }
            None => wrong = wrong.or(Some('%')),
        }
    }
    out.push((text, None));
    (out, wrong)
}

fn number(chars: &mut Peekable<Chars<'_>>) -> usize {
    let mut number = 0usize;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        let digit = usize::try_from(digit.to_digit(10).unwrap_or(0)).unwrap_or(0);
        number = number.saturating_mul(10).saturating_add(digit).min(MAX_WIDTH);
    }
    number
}

/// Whether `format` can print `given` values.
pub(super) fn check(format: &str, given: usize) -> Result<(), String> {
    let (directives, wrong) = directives(format);
    if let Some(verb) = wrong {
        return Err(format!("`%{verb}` is not a verb of printf"));
    }
    let wanted = directives.iter().filter(|(_, directive)| directive.is_some()).count();
    if wanted != given {
        let values = if wanted == 1 { "value" } else { "values" };
        return Err(format!("the format prints {wanted} {values}, {given} are given"));
    }
    Ok(())
}

/// Go's `print`: a space between neighbours of which neither is a text.
pub(super) fn print_all(values: &[Value]) -> String {
    let mut out = String::new();
    let mut before = true;
    for (i, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_));
        if i > 0 && !is_text && !before {
            out.push(' ');
        }
        out += &value.to_string();
        before = is_text;
    }
    out
}

/// # Errors
/// When the budget does not suffice: a column can be wide.
pub(super) fn printf(arguments: &[Value], budget: &Budget) -> Result<String, String> {
    let Some((format, values)) = arguments.split_first() else { return Ok(String::new()) };
    let (directives, _) = directives(&format.to_string());
    let mut values = values.iter();
    let mut out = String::new();
    let mut push = |piece: &str| {
        budget.spend(piece.len())?;
        out.push_str(piece);
        Ok::<(), String>(())
    };
    for (text, directive) in directives {
        push(&text)?;
        let Some(directive) = directive else { continue };
        push(&match values.next() {
            None => format!("%!{}(MISSING)", directive.verb),
            Some(value) => padded(print(&directive, value), &directive),
        })?;
    }
    for value in values {
        push(&format!("%!(EXTRA {value})"))?;
    }
    Ok(out)
}

fn print(directive: &Directive, value: &Value) -> String {
    let wrong = || format!("%!{}({value})", directive.verb);
    let cut = |text: String| match directive.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text,
    };
    match (directive.verb, value) {
        ('v', Value::Number(number)) => signed(humanize::plain(*number), *number, directive),
        ('v', _) | ('t', Value::Truth(_)) => value.to_string(),
        ('s', Value::Text(text)) => cut(text.clone()),
        ('q', Value::Text(text)) => format!("{text:?}"),
        ('x', Value::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
        ('d', Value::Number(number)) if number.fract() == 0.0 => {
            signed(format!("{number:.0}"), *number, directive)
        }
        ('f' | 'F' | 'e' | 'E' | 'g' | 'G', Value::Number(number)) => {
            let (number, verb) = (*number, directive.verb.to_ascii_lowercase());
            let text = match (verb, directive.precision) {
                _ if !number.is_finite() => humanize::plain(number),
                ('f', precision) => format!("{number:.*}", precision.unwrap_or(6)),
                ('e', precision) => {
                    humanize::exponent(&format!("{number:.*e}", precision.unwrap_or(6)))
                }
                (_, None) => humanize::plain(number),
                (_, Some(digits)) => humanize::significant(number, digits),
            };
            signed(text, number, directive)
        }
        _ => wrong(),
    }
}

fn signed(text: String, number: f64, directive: &Directive) -> String {
    if directive.plus && number >= 0.0 && !text.starts_with('+') {
        format!("+{text}")
    } else {
        text
    }
}

fn padded(text: String, directive: &Directive) -> String {
    let missing = directive.width.saturating_sub(text.chars().count());
    if directive.left {
        text + &" ".repeat(missing)
    } else if directive.zero {
        let at = usize::from(text.starts_with(['-', '+']));
        format!("{}{}{}", &text[..at], "0".repeat(missing), &text[at..])
    } else {
        " ".repeat(missing) + &text
    }
}

/// Every word with a capital letter.
pub(super) fn title(text: &str) -> String {
    let mut start = true;
    let mut out = String::new();
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        start = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    out
}

/// Seconds since the epoch as Go prints a time. Prometheus counts nanoseconds, and then cuts off
/// what is no whole millisecond.
///
/// # Errors
/// When they are not from 1677 to 2262, as nanoseconds can be counted.
#[expect(clippy::cast_possible_truncation, reason = "it was compared with what can be counted")]
pub(super) fn timestamp(seconds: f64) -> Result<String, String> {
    /// 2^63.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let nanos = seconds * 1e9;
    let overflows = || {
        let seconds = humanize::plain(seconds);
        format!(
            "{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64"
        )
    };
    if !(-BEYOND..BEYOND).contains(&nanos) {
        return Err(overflows());
    }
    let millis = nanos as i64 / 1_000_000;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok();
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let whole = moment.and_then(|moment| moment.format(form).ok()).ok_or_else(overflows)?;
    let part = format!(".{:03}", millis.rem_euclid(1000));
    Ok(format!("{whole}{} +0000 UTC", part.trim_end_matches('0').trim_end_matches('.')))
}
