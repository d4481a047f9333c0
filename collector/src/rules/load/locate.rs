//! Where in an expression a syntax error is. The parser only says that there is one; so the words
//! are given to it one after the other, each time completed to something that could be right.

use std::ops::Range;

use hallwatch_promql::{Error, Query};

/// Longer expressions are not searched: each word costs a few parses.
const MAX_WORDS: usize = 200;
/// What can stand before the innermost closing bracket, and right after it, in an expression that is
/// right so far.
const WITHIN: [&str; 30] = [
    "",
    "x",
    "1",
    "(x)",
    "(x) (x)",
    "=\"x\"",
    "\"x\"",
    "5m",
    "[5m]",
    "x[5m]",
    ":1m",
    ":",
    ",x",
    ",x[5m]",
    ",1",
    ",1,1",
    "1,x",
    "1,x[5m]",
    "x,1",
    "x,1,1",
    "x[5m],1,1",
    ",\"a\"",
    ",\"a\",\"a\"",
    ",\"a\",\"a\",\"a\"",
    ",\"a\",\"a\",\"a\",\"a\"",
    "\"a\",\"a\"",
    "\"a\",\"a\",\"a\"",
    "\"a\",\"a\",\"a\",\"a\"",
    "x,\"a\",\"a\",\"a\",\"a\"",
    "x,\"a\"",
];
const AFTER: [&str; 4] = ["", "(x)", "[5m:1m]", " x"];

/// The word at which `text` can no longer become right, or `None` when that cannot be told.
pub(super) fn syntax_error(text: &str) -> Option<Range<usize>> {
    let words = words(text);
    if words.len() > MAX_WORDS {
        return None;
    }
    let mut open = Vec::new();
    for (i, word) in words.iter().enumerate() {
        match text.get(word.clone())? {
            "(" => open.push(')'),
            "{" => open.push('}'),
            "[" => open.push(']'),
            closer @ (")" | "}" | "]") => {
                let expected = open.pop();
                if !expected.is_some_and(|expected| closer.starts_with(expected)) {
                    return Some(word.clone());
                }
            }
            _ => {}
        }
        let closers: String = open.iter().rev().collect();
        let start = text.get(..word.end)?;
        let (innermost, outer) = closers.split_at(closers.len().min(1));
        let could_be_right = WITHIN.iter().any(|within| {
            AFTER.iter().any(|after| {
                Query::parse(&[start, " ", within, innermost, after, outer].concat()).is_ok()
            })
        });
        if !could_be_right {
            // Of a name that cannot be called, it is the name that is wrong.
            let called = unknown_function(text) && start.ends_with('(');
            let name = i.checked_sub(1).filter(|_| called).and_then(|i| words.get(i));
            return Some(name.unwrap_or(word).clone());
        }
    }
    // Right so far, but it ends too early.
    (Query::parse(text).is_err()).then(|| words.last().cloned()).flatten()
}

/// The name of the function that `reason`, the parser's, speaks of, when it is called only once.
pub(super) fn call(text: &str, reason: &str) -> Option<Range<usize>> {
    let (_, after) = reason.split_once("in call to function '")?;
    let (name, _) = after.split_once('\'')?;
    let words = words(text);
    let mut calls = words.windows(2).filter_map(|two| {
        let [word, next] = two else { return None };
        (text.get(word.clone())? == name && text.get(next.clone())? == "(").then(|| word.clone())
    });
    calls.next().filter(|_| calls.next().is_none())
}

fn unknown_function(text: &str) -> bool {
    matches!(Query::parse(text), Err(Error::Parse { reason }) if reason.contains("unknown function"))
}

fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '"' | '\'' | '`' => quoted(rest, first),
            c if c.is_alphanumeric() || c == '_' => rest
                .find(|c: char| !(c.is_alphanumeric() || "_:.".contains(c)))
                .unwrap_or(rest.len()),
            _ if ["==", "!=", ">=", "<=", "=~", "!~"].iter().any(|op| rest.starts_with(op)) => 2,
            c => c.len_utf8(),
        };
        words.push(at..at + length);
        at += length;
    }
    words
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return i + 1;
        }
        escaped = c == '\\' && !escaped && quote != '`';
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_the_call_that_is_wrong() {
        for (text, place) in [
            ("x > 1 and rate(x) > 1", Some(10..14)),
            ("rate (x) > 1", Some(0..4)),
            ("rate(x) > rate(y)", None),
            ("\"rate(x)\"", None),
        ] {
            let reason = "expected type matrix in call to function 'rate', got vector";
            assert_eq!(call(text, reason), place, "{text}");
        }
        assert_eq!(call("x >", "invalid promql query"), None);
    }

    #[test]
    fn points_at_the_first_word_that_cannot_be() {
        for (text, word) in [
            ("up == == 1", "=="),
            ("up === 1", "="),
            ("sum by (site up) > 1", "up"),
            ("up{site=} > 1", "}"),
            ("up{site=\"a\" > 1", ">"),
            ("up > 1)", ")"),
            ("rate(up[5m) > 1", ")"),
            ("up and or up", "up"),
            ("nosuchfunction(up) > 1", "nosuchfunction"),
            ("up > 1 for 5m", "for"),
            ("(up > 1", "1"),
            ("up >", ">"),
            ("rate(up{site=\"a\"}[5m]) > > 1", ">"),
            ("label_replace(up, \"a\", \"b\", \"c\", \"d\") )", ")"),
            ("histogram_quantile(0.9, sum by (le) (up)) foo", "foo"),
            ("max_over_time(up[5m:1m]) >= = 1", "="),
        ] {
            let at = syntax_error(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(&text[at.clone()], word, "{text} at {at:?}");
        }
        assert_eq!(syntax_error("up == 1"), None);
        assert_eq!(syntax_error(&"up + ".repeat(1000)), None);
    }
}
