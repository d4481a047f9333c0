//! The words of a query with their places. The parser's tree has no places, but annotations name
//! them; this scan finds them again.

use crate::error::Error;
use crate::notes::Position;

/// How many operators and brackets a query may have: the parser's tree is as deep as that, and is
/// dropped recursively.
const MAX_NESTING_TOKENS: usize = 2_000;

/// The longest duration written as a number of seconds: about 3,000 years.
const MAX_SECONDS: f64 = 1e11;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) offset: usize,
}

impl Token<'_> {
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
    }

    pub(crate) fn is_number(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            || self.text.eq_ignore_ascii_case("inf")
            || self.text.eq_ignore_ascii_case("nan")
    }

    pub(crate) fn is_text(&self) -> bool {
        self.text.starts_with(['"', '\'', '`'])
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.text.eq_ignore_ascii_case(text)
    }
}

/// Splits `text` into words, without comments and white space.
pub(crate) fn scan(text: &str) -> Result<Vec<Token<'_>>, Error> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut nesting = 0;
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        let length = match first {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' | b'\'' | b'`' => text_length(&bytes[at..], first),
            b'0'..=b'9' | b'.' => number_length(&bytes[at..]),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' => bytes[at..]
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
                .count(),
            b'=' | b'!' | b'<' | b'>' if matches!(bytes.get(at + 1), Some(b'=' | b'~')) => 2,
            // One character, however many bytes it has.
            _ => text[at..].chars().next().map_or(1, char::len_utf8),
        };
        let token = Token { text: &text[at..at + length], offset: at };
        let nests = matches!(first, b'(' | b'[' | b'+' | b'-' | b'*' | b'/' | b'%' | b'^')
            || matches!(token.text, "==" | "!=" | "<=" | "<" | ">=" | ">")
            || ["and", "or", "unless", "atan2"].iter().any(|op| token.is(op));
        nesting += usize::from(nests);
        if nesting > MAX_NESTING_TOKENS {
            return Err(Error::TooComplex);
        }
        tokens.push(token);
        at += length;
    }
    check_durations(&tokens)?;
    Ok(tokens)
}

/// The parser panics on durations that no `Duration` holds, so they are refused before.
fn check_durations(tokens: &[Token<'_>]) -> Result<(), Error> {
    let mut in_brackets = false;
    let mut behind_offset = false;
    for token in tokens {
        match token.text {
            "[" => in_brackets = true,
            "]" => in_brackets = false,
            "+" | "-" => continue,
            text if in_brackets || behind_offset => {
                // A colon can start a word.
                let seconds = text.trim_matches(':').parse::<f64>().unwrap_or(0.0);
                if !(0.0..=MAX_SECONDS).contains(&seconds) {
                    return Err(Error::Parse { reason: format!("duration out of range: {text}") });
                }
            }
            _ => {}
        }
        behind_offset = token.is("offset");
    }
    Ok(())
}

fn text_length(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == quote {
            return at;
        }
        if byte == b'\\' && quote != b'`' {
            at += 1;
        }
    }
    bytes.len()
}

fn number_length(bytes: &[u8]) -> usize {
    let hexadecimal = bytes.starts_with(b"0x") || bytes.starts_with(b"0X");
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let sign_of_exponent = matches!(byte, b'+' | b'-')
            && !hexadecimal
            && at > 0
            && matches!(bytes[at - 1], b'e' | b'E');
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || sign_of_exponent) {
            break;
        }
        at += 1;
    }
    at
}

/// Line and column (in bytes, as Prometheus counts) of a place.
pub(crate) fn position(text: &str, offset: usize) -> Position {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count();
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    Position { line: count(line), column: count(before.len() - start) }
}

/// Whether the escapes of a string literal make bytes that are not UTF-8. Prometheus takes such
/// literals; the parser turns each byte into a character.
pub(crate) fn has_invalid_utf8(literal: &str) -> bool {
    let bytes = literal.as_bytes();
    if literal.starts_with('`') || !literal.contains('\\') {
        return false;
    }
    let mut made = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = |from: usize, to: usize, radix: u32| {
            let text = literal.get(from..to)?;
            u8::from_str_radix(text, radix).ok()
        };
        let (length, value) = match (byte, bytes.get(at + 1)) {
            (b'\\', Some(b'x')) => (4, digits(at + 2, at + 4, 16)),
            (b'\\', Some(b'0'..=b'7')) => (4, digits(at + 1, at + 4, 8)),
            (b'\\', Some(_)) => (2, Some(b'?')),
            _ => (1, Some(byte)),
        };
        made.push(value.unwrap_or(b'?'));
        at += length;
    }
    std::str::from_utf8(&made).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_the_parser() {
        let words = |text| scan(text).map(|t| t.iter().map(|t| t.text).collect::<Vec<_>>());
        assert_eq!(
            words("sum by (a) (x:y{b=~\"c\\\"}\"}[5m]) >= 1.5e-3 # no\n - .5").unwrap(),
            [
                "sum",
                "by",
                "(",
                "a",
                ")",
                "(",
                "x:y",
                "{",
                "b",
                "=~",
                "\"c\\\"}\"",
                "}",
                "[",
                "5m",
                "]",
                ")",
                ">=",
                "1.5e-3",
                "-",
                ".5"
            ]
        );
        assert!(matches!(scan(&"(".repeat(3000)), Err(Error::TooComplex)));
        assert_eq!(position("a\nbc", 3).to_string(), "(2:2)");
    }

    #[test]
    fn knows_bytes_that_are_no_text() {
        assert!(has_invalid_utf8(r#""a\xc5z""#));
        assert!(has_invalid_utf8(r#""\xff""#));
        assert!(!has_invalid_utf8(r#""\xc3\xa4""#));
        assert!(!has_invalid_utf8(r"`\xff`"));
        assert!(!has_invalid_utf8(r#""ä\n\\""#));
    }
}
