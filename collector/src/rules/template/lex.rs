//! A template cut into text and actions, and an action into words.

use std::ops::Range;

use super::TemplateError;

/// A piece of a template.
pub(super) enum Piece {
    Text(String),
    /// The words between the braces, and the bytes of the whole with its braces.
    Action(Vec<Word>, Range<usize>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) span: Range<usize>,
    pub(super) kind: WordKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum WordKind {
    /// A name, a variable with its fields, a number: what has no white space in it.
    Name(String),
    Text(String),
    Pipe,
    Open,
    Close,
}

pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> TemplateError {
    TemplateError { span, message: message.into(), help: None }
}

pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim = false;
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        let mut inner = open + 2;
        let mut before = &text[at..open];
        if trim {
            before = before.trim_start();
        }
        if text[inner..].starts_with('-') && text[inner + 1..].starts_with([' ', '\t', '\n', '\r'])
        {
            before = before.trim_end();
            inner += 1;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let (words, end) = action(text, open, inner)?;
        trim = text[..end - 2].ends_with('-')
            && text[..end - 3].ends_with([' ', '\t', '\n', '\r', '/']);
        if let Some(words) = words {
            pieces.push(Piece::Action(words, open..end));
        }
        at = end;
    }
    let rest = if trim { text[at..].trim_start() } else { &text[at..] };
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// The words from `at` on to the closing braces, and where those end. No words: a comment.
fn action(text: &str, open: usize, at: usize) -> Result<(Option<Vec<Word>>, usize), TemplateError> {
    let unclosed = || error(open..text.len(), "an action that is never closed with `}}`");
    let skipped = at + (text[at..].len() - text[at..].trim_start().len());
    if text[skipped..].starts_with("/*") {
        let end = text[skipped..].find("*/").ok_or_else(unclosed)? + skipped + 2;
        let rest = text[end..].trim_start().trim_start_matches('-').trim_start();
        let close = text.len() - rest.len();
        return if rest.starts_with("}}") {
            Ok((None, close + 2))
        } else {
            Err(error(open..end, "a comment must stand alone in its action"))
        };
    }
    let mut words = Vec::new();
    let mut rest = at;
    loop {
        let tail = &text[rest..];
        let Some(first) = tail.chars().next() else { return Err(unclosed()) };
        let one = |kind| Word { span: rest..rest + 1, kind };
        match first {
            _ if tail.starts_with("}}") => return Ok((Some(words), rest + 2)),
            _ if tail.starts_with("-}}") => return Ok((Some(words), rest + 3)),
            c if c.is_whitespace() => {}
            '|' => words.push(one(WordKind::Pipe)),
            '(' => words.push(one(WordKind::Open)),
            ')' => words.push(one(WordKind::Close)),
            '"' | '`' => {
                let (value, end) = quoted(text, rest, first)?;
                words.push(Word { span: rest..end, kind: WordKind::Text(value) });
                rest = end;
                continue;
            }
            _ => {
                let stop = |c: char| c.is_whitespace() || "|()}\"`".contains(c);
                let end = rest + tail.find(stop).unwrap_or(tail.len());
                // A lone brace is no name, but must not stop the walk.
                let end = end.max(rest + first.len_utf8());
                words.push(Word {
                    span: rest..end,
                    kind: WordKind::Name(text[rest..end].to_owned()),
                });
                rest = end;
                continue;
            }
        }
        rest += first.len_utf8();
    }
}

fn quoted(text: &str, open: usize, quote: char) -> Result<(String, usize), TemplateError> {
    let mut value = String::new();
    let mut chars = text[open + 1..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            _ if c == quote => return Ok((value, open + 1 + i + 1)),
            '\n' if quote == '"' => break,
            '\\' if quote == '"' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c @ ('\\' | '"' | '\''))) => value.push(c),
                _ => {
                    let at = open + 1 + i;
                    return Err(error(at..at + 1, "an escape that is not known here"));
                }
            },
            _ => value.push(c),
        }
    }
    Err(error(open..text.len(), "a text that never ends"))
}
