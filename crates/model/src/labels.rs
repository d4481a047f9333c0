//! The identity of a series: a metric name and labels, as in Prometheus.

use std::fmt;
use std::sync::Arc;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// The label's name, such as `device`.
    pub name: Arc<str>,
    /// Its value, never empty.
    pub value: Arc<str>,
}

/// A set of labels, sorted by name, without duplicates and without empty values (in Prometheus an
/// empty label is the same as none). Cheap to clone.
///
/// A label is there once for all series that share it: a set of them is as large as so many
/// pointers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[Arc<Label>]>);

impl Labels {
    /// No labels at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::new([]))
    }

    /// A metric's series: its name and its labels.
    #[must_use]
    pub fn metric<'a>(name: &'a str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::from_pairs([(METRIC_NAME, name)].into_iter().chain(labels))
    }

    /// Sorts; of labels with one name the last wins; empty values are dropped.
    #[must_use]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        pairs
            .into_iter()
            .map(|(name, value)| Label { name: name.into(), value: value.into() })
            .collect()
    }

    /// The value of the label `name`, or `None`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|label| (*label.name).cmp(name)).ok()?;
        self.0.get(at).map(|label| &*label.value)
    }

    /// The metric name, or `None`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// All labels, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Label>> {
        self.0.iter()
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with the label `name` set to `value` (removed, when `value` is empty).
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let set = Label { name: name.into(), value: value.into() };
        self.0.iter().cloned().chain([Arc::new(set)]).collect()
    }

    /// The same without the labels for which `drop` is true.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|label| !drop(&label.name)).cloned().collect())
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        labels.into_iter().map(Arc::new).collect()
    }
}

impl FromIterator<Arc<Label>> for Labels {
    fn from_iter<I: IntoIterator<Item = Arc<Label>>>(labels: I) -> Self {
        let mut sorted: Vec<Arc<Label>> = labels.into_iter().collect();
        // A stable sort keeps the order of equal names, so that the last one is the last.
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut kept: Vec<Arc<Label>> = Vec::with_capacity(sorted.len());
        for label in sorted {
            match kept.last_mut() {
                Some(last) if last.name == label.name => *last = label,
                _ => kept.push(label),
            }
        }
        kept.retain(|label| !label.value.is_empty());
        Self(kept.into())
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = &'a Arc<Label>;
    type IntoIter = std::slice::Iter<'a, Arc<Label>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// As Prometheus prints a series: `name{a="b", c="d"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        f.write_str(name.unwrap_or(""))?;
        let mut rest = self.iter().filter(|label| &*label.name != METRIC_NAME).peekable();
        if rest.peek().is_none() {
            return if name.is_some() { Ok(()) } else { f.write_str("{}") };
        }
        f.write_str("{")?;
        for (i, label) in rest.enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}={:?}", label.name, label.value)?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_sorted_unique_and_never_empty() {
        let labels = Labels::metric("up", [("b", "2"), ("a", "1"), ("b", "3"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"up{a="1", b="3"}"#);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.with("b", "").to_string(), r#"up{a="1"}"#);
        assert_eq!(labels.without(|n| n == METRIC_NAME).to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(Labels::empty().to_string(), "{}");
    }
}
