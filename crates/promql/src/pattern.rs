//! Regular expressions, with the meaning that they have in Go.

use std::iter::Peekable;
use std::str::Chars;

/// A regular expression for the library here that means what `text` means in Go, as Prometheus has
/// it: there `\d`, `\s`, `\w` and `\b` know ASCII alone, and in a class there are no other classes
/// and no operators.
#[must_use]
pub fn from_go(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        match c {
            '\\' => {
                let Some(escaped) = chars.next() else { break };
                out.pop();
                match (class(escaped), escaped) {
                    (Some(class), _) => out.extend(["[", class, "]"]),
                    (None, 'b' | 'B') => out.extend([r"(?-u:\", &escaped.to_string(), ")"]),
                    (None, _) => out.extend(['\\', escaped]),
                }
            }
            '[' => within_class(&mut chars, &mut out),
            _ => {}
        }
    }
    out
}

/// From after the opening bracket to the closing one.
fn within_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.extend(chars.next_if_eq(&'^'));
    // As the first of all it stands for itself.
    if chars.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(c);
                return;
            }
            '\\' => {
                let Some(escaped) = chars.next() else {
                    out.push(c);
                    return;
                };
                match class(escaped) {
                    Some(class) if class.starts_with('^') => out.extend(["[", class, "]"]),
                    Some(class) => out.push_str(class),
                    None => out.extend([c, escaped]),
                }
            }
            '[' if chars.peek() == Some(&':') => {
                out.push(c);
                let mut colon = false;
                for c in chars.by_ref() {
                    out.push(c);
                    if colon && c == ']' {
                        break;
                    }
                    colon = c == ':';
                }
            }
            '[' => out.push_str(r"\["),
            '&' | '~' | '-' if c == before => out.extend(['\\', c]),
            _ => out.push(c),
        }
        before = c;
    }
}

/// What a letter after a backslash stands for in a class.
fn class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "0-9",
        'D' => "^0-9",
        's' => r"\t\n\f\r ",
        'S' => r"^\t\n\f\r ",
        'w' => "0-9A-Za-z_",
        'W' => "^0-9A-Za-z_",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    /// What Go's `regexp` says of each, tried there.
    #[test]
    fn means_what_it_means_in_go() {
        for (pattern, text, matches) in [
            (r"^\d$", "3", true),
            (r"^\d$", "\u{663}", false),
            (r"^\D$", "\u{663}", true),
            (r"^\w+$", "a_1", true),
            (r"^\w$", "\u{e9}", false),
            (r"^[\w-]+$", "a-b", true),
            (r"^[\w-]+$", "\u{e9}", false),
            (r"^[^\d]$", "\u{663}", true),
            (r"^\s$", "\u{a0}", false),
            (r"a\b", "a\u{e9}", true),
            (r"a\B", "ab", true),
            (r"^[[]$", "[", true),
            (r"^[]]$", "]", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^\[a\]$", "[a]", true),
        ] {
            let regex = Regex::new(&from_go(pattern)).unwrap();
            assert_eq!(regex.is_match(text), matches, "{pattern} on {text}");
        }
    }
}
