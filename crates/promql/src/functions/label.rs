//! Functions on labels.

use std::cmp::Ordering;
use std::sync::Arc;

use hallwatch_model::Labels;
use hallwatch_model::labels::METRIC_NAME;
use regex::Regex;

/// Labels that say what a metric is; gone when a calculation makes something else of it.
#[must_use]
pub fn is_metadata(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// `label_replace`: sets `destination` from `replacement` (with `$1`, `${name}`) if the whole value
/// of `source` matches. `None` when it does not.
#[must_use]
pub fn replace(
    labels: &Labels,
    destination: &str,
    replacement: &str,
    source: &str,
    pattern: &Regex,
) -> Option<Labels> {
    let found = pattern.captures(labels.get(source).unwrap_or(""))?;
    let mut value = String::new();
    found.expand(replacement, &mut value);
    Some(labels.with(destination, &value))
}

/// `label_join`: sets `destination` to the values of `sources` with `separator` between.
#[must_use]
pub fn join(labels: &Labels, destination: &str, separator: &str, sources: &[&str]) -> Labels {
    let values: Vec<&str> = sources.iter().map(|name| labels.get(name).unwrap_or("")).collect();
    labels.with(destination, &values.join(separator))
}

/// The labels of what is calculated from a row of the "many" side (less those that `drops` names) and
/// one of the "one" side, of which the labels `include` (sorted) are taken over.
#[must_use]
pub fn joined(
    many: &Labels,
    one: Option<&Labels>,
    drops: impl Fn(&str) -> bool,
    include: &[Arc<str>],
) -> Labels {
    let kept = many.without(drops);
    if include.is_empty() {
        return kept;
    }
    let included = |name: &str| include.iter().any(|label| &**label == name);
    let from_one = one.into_iter().flat_map(Labels::iter).filter(|label| included(&label.name));
    kept.iter().filter(|label| !included(&label.name)).chain(from_one).cloned().collect::<Labels>()
}

/// Compares by these labels, numbers within them as numbers, then by all labels.
#[must_use]
pub fn compare(a: &Labels, b: &Labels, names: &[&str]) -> Ordering {
    names
        .iter()
        .map(|name| natural(a.get(name).unwrap_or(""), b.get(name).unwrap_or("")))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.cmp(b))
}

/// `4m5` before `4m600` before `4m1000`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while !rest_a.is_empty() && !rest_b.is_empty() {
        let (chunk_a, after_a) = chunk(rest_a);
        let (chunk_b, after_b) = chunk(rest_b);
        let order = match (chunk_a.parse::<i64>(), chunk_b.parse::<i64>()) {
            (Ok(number_a), Ok(number_b)) => number_a.cmp(&number_b),
            _ => chunk_a.cmp(chunk_b),
        };
        if order.is_ne() {
            return order;
        }
        (rest_a, rest_b) = (after_a, after_b);
    }
    rest_a.len().cmp(&rest_b.len())
}

/// Cuts off the leading digits, or everything up to the next digit.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sort_numbers_as_numbers() {
        let mut names = ["b", "a10", "a9", "a", "10", "9x"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["9x", "10", "a", "a9", "a10", "b"]);
    }

    #[test]
    fn replace_only_whole_values() {
        let labels = Labels::from_pairs([("src", "a-1")]);
        let regex = Regex::new("^(?s:a-(.*))$").unwrap();
        let replaced = replace(&labels, "dst", "n${1}x", "src", &regex).unwrap();
        assert_eq!(replaced.to_string(), r#"{dst="n1x", src="a-1"}"#);
        assert_eq!(replace(&labels, "dst", "", "none", &regex), None);
        assert_eq!(join(&labels, "src", "-", &["none", "src"]).get("src"), Some("-a-1"));
    }
}
