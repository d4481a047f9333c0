//! What someone who mistyped a word may have meant.

/// "did you mean `a`? known keys are `a`, `b`". `what` is the plural noun, such as `keys`.
pub(super) fn help(word: &str, what: &str, known: &[&str]) -> String {
    let mean = nearest(word, known).map(|near| format!("did you mean `{near}`? "));
    let quoted: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
    format!("{}known {what} are {}", mean.unwrap_or_default(), quoted.join(", "))
}

/// The word of `known` that `word` was probably meant to be: at most a third of it differs.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer words are not compared: no known one is that long.
    if word.len() > 64 {
        return None;
    }
    let (distance, near) =
        known.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    (distance <= (word.len().max(near.len()) / 3).max(1)).then_some(near)
}

/// How many characters must be put in, taken out or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in b.iter().enumerate() {
            let best = (diagonal + usize::from(c != *d)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word() {
        let known = ["alert", "annotations", "expr"];
        assert_eq!(nearest("anotations", &known), Some("annotations"));
        assert_eq!(nearest("exp", &known), Some("expr"));
        assert_eq!(nearest("interval", &known), None);
        assert_eq!(nearest("", &known), None);
    }
}
