//! What someone who mistyped a word may have meant.

mod distance;

use distance::Word;

/// Longer words are not compared: no known word is that long.
const MAX_CHARS: usize = 64;
/// So many words are listed; of more, only those that come closest.
const MAX_LISTED: usize = 30;
const CLOSEST: usize = 5;

/// What to say to someone who wrote `word` where one of `known` belongs, such as "did you mean
/// `a`? known keys are `a`, `b`". `what` is the plural noun, such as `keys`. Of a long list, only
/// the words that come closest are named.
#[must_use]
pub fn help(word: &str, what: &str, known: &[&str]) -> String {
    let mean = nearest(word, known).map(|near| format!("did you mean `{near}`?"));
    let list = match (known, &mean) {
        ([], _) => format!("no {what} are known here"),
        (_, Some(mean)) if known.len() > MAX_LISTED => return mean.clone(),
        _ if known.len() > MAX_LISTED => {
            let mut closest = known.to_vec();
            let word = Word::of(word);
            closest.sort_by_cached_key(|known| word.distance(&Word::of(known), usize::MAX));
            closest.truncate(CLOSEST);
            format!("of {} known {what}, the closest are {}", known.len(), list(&closest))
        }
        _ => format!("known {what} are {}", list(known)),
    };
    mean.map_or(list.clone(), |mean| format!("{mean} {list}"))
}

/// "`a`, `b`".
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// The word of `known` that `word` was probably meant to be: at most a third of it differs.
#[must_use]
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.chars().count() > MAX_CHARS {
        return None;
    }
    let word = Word::of(word);
    let mut nearest: Option<(usize, &str)> = None;
    for candidate in known {
        let other = Word::of(candidate);
        let limit = (word.len().max(other.len()) / 3).max(1).min(other.len().saturating_sub(1));
        let bound = nearest.map_or(limit, |(distance, _)| limit.min(distance));
        let found = word.distance(&other, bound).map(|distance| (distance, *candidate));
        nearest = match (found, nearest) {
            (Some(found), Some(before)) => Some(found.min(before)),
            (found, before) => found.or(before),
        };
    }
    nearest.map(|(_, near)| near)
}

/// A text from outside as it may stand in a message: cut, on one line, nothing invisible.
pub(crate) fn shown(text: &str) -> String {
    let cut = text.char_indices().nth(MAX_CHARS).map(|(end, _)| end);
    let mut out = visible(&text[..cut.unwrap_or(text.len())], false);
    if cut.is_some() {
        out.push('…');
    }
    out
}

/// The text with escapes for what would move a terminal's cursor or turn its writing around.
pub(crate) fn visible(text: &str, line_breaks: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let invisible = character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if invisible && !(line_breaks && character == '\n') {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word() {
        let known = ["poll", "profile", "modbus_tcp", "id"];
        for (word, near) in [
            ("pol", Some("poll")),
            ("polll", Some("poll")),
            ("opll", Some("poll")),
            ("Profile", Some("profile")),
            ("modbus-tcp", Some("modbus_tcp")),
            ("modbustpc", Some("modbus_tcp")),
            ("di", Some("id")),
            ("xy", None),
            ("temperature", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), near, "{word}");
        }
        assert_eq!(nearest(&"poll".repeat(1000), &known), None);
        assert_eq!(nearest("poll", &[]), None);
    }

    #[test]
    fn texts_from_outside_are_cut_and_escaped() {
        assert_eq!(shown("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
        assert_eq!(shown("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(visible("a\nb\r", true), "a\nb\\r");
        assert_eq!(shown(&"é".repeat(100)), format!("{}…", "é".repeat(64)));
    }
}
