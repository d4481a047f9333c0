//! Regular expressions, with the meaning that they have in Go.

use hallwatch_promql::from_go;
use regex::{Captures, Regex, RegexBuilder};

use super::budget::Budget;

/// A pattern that a label brings with it must not cost more memory than this, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// A regular expression that stands in the template itself, compiled once.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// # Errors
    /// When it is none; the last line of the library's message says why.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(&from_go(text)).size_limit(MAX_PATTERN).build();
        let built = built.map(|regex| Self { text: text.to_owned(), regex });
        built.map_err(|error| {
            let whole = error.to_string();
            let line = whole.lines().last().unwrap_or_default().trim();
            format!("`{text}` is no regular expression: {}", line.trim_start_matches("error: "))
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Every match replaced; `$1`, `${1}` and `$name` are groups, the longest name that it can be.
    ///
    /// # Errors
    /// When the budget does not suffice. A piece of the replacement costs something even when it is
    /// empty: their number is the time that it takes.
    pub(super) fn replace_all(
        &self,
        text: &str,
        replacement: &str,
        budget: &Budget,
    ) -> Result<String, String> {
        let pieces = pieces(replacement);
        let (mut out, mut at) = (String::new(), 0);
        let mut push = |piece: &str| {
            budget.spend(piece.len().max(1))?;
            out.push_str(piece);
            Ok::<(), String>(())
        };
        for found in self.regex.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            push(&text[at..whole.start()])?;
            at = whole.end();
            for piece in &pieces {
                push(piece.of(&found))?;
            }
        }
        push(&text[at..])?;
        Ok(out)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A piece of a replacement.
enum Piece<'r> {
    Text(&'r str),
    Number(usize),
    Name(&'r str),
}

impl<'r> Piece<'r> {
    /// A group that there is not is empty.
    fn of<'t>(&self, found: &Captures<'t>) -> &'t str
    where
        'r: 't,
    {
        let group = match self {
            Self::Text(text) => return text,
            Self::Number(number) => found.get(*number),
            Self::Name(name) => found.name(name),
        };
        group.map_or("", |group| group.as_str())
    }
}

/// A dollar that begins nothing stands for itself.
fn pieces(replacement: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        let (before, dollar) = rest.split_at(at);
        let after = &dollar[1..];
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        rest = if let Some(after) = after.strip_prefix('$') {
            pieces.push(Piece::Text("$"));
            after
        } else if let Some((name, after)) = group(after) {
            let digits = name.bytes().all(|byte| byte.is_ascii_digit());
            pieces.push(match name.parse().ok().filter(|_| digits) {
                Some(number) => Piece::Number(number),
                None => Piece::Name(name),
            });
            after
        } else {
            pieces.push(Piece::Text("$"));
            after
        };
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// The name of a group, in braces or not, and what follows it.
fn group(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{');
    let name = inner.unwrap_or(text);
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
    let (name, after) = name.split_at(end);
    let after = if inner.is_some() { after.strip_prefix('}')? } else { after };
    (!name.is_empty()).then_some((name, after))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

    use super::*;

    #[test]
    fn a_pattern_that_is_too_large_is_an_error() {
        let error = Pattern::new(r"\pL{1000}{1000}").unwrap_err();
        assert!(error.contains("is no regular expression"), "{error}");
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        for text in ["[", "[^", "[]", "[a", r"\", r"[\", "[[:", "[[:alpha:", "[[:alpha:]"] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }
}
