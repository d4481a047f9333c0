//! From labels to series: an inverted index in memory.

mod ids;
mod load;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hallwatch_model::{Label, Labels};
use hallwatch_promql::Matchers;

use super::heads::{Held, Shard, shard_of};
use ids::Ids;

/// A series of the store, by its number from 1. Cheap to clone; the index makes one when it is
/// asked.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) id: u32,
    pub(super) labels: Labels,
    heads: Arc<Shard>,
}

impl Series {
    /// Its latest samples; those of its neighbours are locked, too.
    pub(super) fn head(&self) -> Held<'_> {
        self.heads.head(self.id)
    }

    /// Its head and those of its neighbours.
    pub(super) fn heads(&self) -> &Shard {
        &self.heads
    }
}

/// A label that is found by its value.
#[derive(Debug)]
struct Value(Arc<Label>);

impl Borrow<str> for Value {
    fn borrow(&self) -> &str {
        &self.0.value
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.value.hash(state);
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.0.value == other.0.value
    }
}

impl Eq for Value {}

/// The labels of one name, each the one that all series have, and these series, sorted.
type Values = HashMap<Value, Vec<u32>>;

/// All series, and which of them have which label.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By number; holes are series that were damaged or deleted.
    series: Vec<Option<Labels>>,
    shards: Vec<Arc<Shard>>,
    ids: Ids,
    postings: HashMap<Arc<str>, Values>,
    count: usize,
}

impl Index {
    /// Adds a series with these labels, of which no two have the same name; they are shared with
    /// the other series.
    pub(super) fn insert<'a>(
        &mut self,
        id: u32,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        let labels = labels.into_iter().map(|(name, value)| self.post(name, value, id));
        let labels: Labels = labels.collect();
        self.ids.insert(labels.clone(), id);
        self.put(id, labels);
    }

    fn put(&mut self, id: u32, labels: Labels) {
        if self.shards.len() <= shard_of(id) {
            self.shards.resize_with(shard_of(id) + 1, Arc::default);
        }
        if let Some(heads) = self.shards.get(shard_of(id)) {
            heads.begin(id);
        }
        let at = id as usize;
        if self.series.len() <= at {
            self.series.resize(at + 1, None);
        }
        if let Some(place) = self.series.get_mut(at)
            && place.replace(labels).is_none()
        {
            self.count += 1;
        }
    }

    /// Keeps a number from being given to another series.
    pub(super) fn reserve(&mut self, id: u32) {
        if self.series.len() <= id as usize {
            self.series.resize(id as usize + 1, None);
        }
    }

    /// The label that all series have.
    fn share(&mut self, name: &str, value: &str) -> Arc<Label> {
        let known = self.postings.get_key_value(name);
        let shared = known.and_then(|(_, values)| values.get_key_value(value));
        if let Some((label, _)) = shared {
            return label.0.clone();
        }
        let name = known.map_or_else(|| name.into(), |(name, _)| name.clone());
        let label = Arc::new(Label { name, value: value.into() });
        let values = self.postings.entry(label.name.clone()).or_default();
        values.insert(Value(label.clone()), Vec::new());
        label
    }

    fn post(&mut self, name: &str, value: &str, id: u32) -> Arc<Label> {
        let label = self.share(name, value);
        let values = self.postings.get_mut(name);
        let Some(ids) = values.and_then(|values| values.get_mut(value)) else { return label };
        let at = match ids.last() {
            Some(last) if *last >= id => ids.binary_search(&id),
            _ => Err(ids.len()),
        };
        if let Err(at) = at {
            // Doubled, up to half of it would stay unused: series come seldom.
            if ids.len() == ids.capacity() {
                ids.reserve_exact(ids.len() / 8 + 1);
            }
            ids.insert(at, id);
        }
        label
    }

    /// Forgets a series and its labels.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(labels) = self.series.get_mut(id as usize).and_then(Option::take) else { return };
        if let Some(heads) = self.shards.get(shard_of(id)) {
            heads.end(id);
        }
        self.count = self.count.saturating_sub(1);
        self.ids.remove(&labels, id);
        for label in &labels {
            let Some(values) = self.postings.get_mut(&label.name) else { continue };
            if let Some(ids) = values.get_mut(&*label.value) {
                if let Ok(at) = ids.binary_search(&id) {
                    ids.remove(at);
                }
                if ids.is_empty() {
                    values.remove(&*label.value);
                }
            }
            if values.is_empty() {
                self.postings.remove(&label.name);
            }
        }
    }

    /// The series with this number.
    pub(super) fn get(&self, id: u32) -> Option<Series> {
        let (labels, heads) = (self.labels(id)?.clone(), self.shards.get(shard_of(id))?.clone());
        Some(Series { id, labels, heads })
    }

    /// The labels of the series with this number.
    pub(super) fn labels(&self, id: u32) -> Option<&Labels> {
        self.series.get(id as usize)?.as_ref()
    }

    /// The number of the series with these labels.
    pub(super) fn id(&self, labels: &Labels) -> Option<u32> {
        self.ids.get(labels, |id| self.labels(id))
    }

    /// The heads of all series.
    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// The series with these labels.
    pub(super) fn find(&self, labels: &Labels) -> Option<Series> {
        self.get(self.id(labels)?)
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The next free number.
    pub(super) fn next_id(&self) -> u32 {
        u32::try_from(self.series.len().max(1)).unwrap_or(u32::MAX)
    }

    /// The series that match, by ascending number.
    pub(super) fn select(&self, matchers: &Matchers) -> Vec<Series> {
        self.matching(matchers).into_iter().filter_map(|id| self.get(id)).collect()
    }

    fn matching(&self, matchers: &Matchers) -> Vec<u32> {
        // A label that a series does not have counts as empty, so a matcher either wants the label
        // to be there (the series are among its postings), or excludes some of them.
        let (absent, present): (Vec<_>, Vec<_>) =
            matchers.iter().partition(|matcher| matcher.matches(""));
        let mut found: Option<Vec<u32>> = None;
        let (listed, tested): (Vec<_>, Vec<_>) =
            present.into_iter().partition(|matcher| matcher.only_values().is_some());
        for matcher in listed {
            let Some(values) = self.postings.get(matcher.name.as_str()) else { return Vec::new() };
            let wanted = matcher.only_values().unwrap_or_default();
            let lists = wanted.iter().filter_map(|value| values.get(value.as_str()));
            found = Some(keep(found, union(lists.map(Vec::as_slice)), true));
        }
        for (matcher, keeps) in
            tested.into_iter().map(|m| (m, true)).chain(absent.into_iter().map(|m| (m, false)))
        {
            let Some(values) = self.postings.get(matcher.name.as_str()) else {
                if keeps {
                    return Vec::new();
                }
                continue;
            };
            if let Some(few) = found.as_mut().filter(|found| found.len() < values.len()) {
                few.retain(|id| {
                    let labels = self.labels(*id);
                    let value = labels.and_then(|labels| labels.get(&matcher.name));
                    matcher.matches(value.unwrap_or(""))
                });
                continue;
            }
            let lists = values.iter().filter(|(one, _)| matcher.matches(&one.0.value) == keeps);
            let listed = union(lists.map(|(_, ids)| ids.as_slice()));
            found = Some(match (found, keeps) {
                (None, false) => keep(Some(self.all()), listed, false),
                (found, keeps) => keep(found, listed, keeps),
            });
        }
        found.unwrap_or_else(|| self.all())
    }

    /// The numbers of all series.
    pub(super) fn all(&self) -> Vec<u32> {
        let numbered = self.series.iter().zip(0..);
        numbered.filter_map(|(labels, id)| labels.is_some().then_some(id)).collect()
    }

    /// Every series.
    pub(super) fn iter(&self) -> impl Iterator<Item = Series> {
        (0..self.next_id()).filter_map(|id| self.get(id))
    }

    /// All names of labels, sorted.
    pub(super) fn label_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.postings.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// All values of a label, sorted.
    pub(super) fn label_values(&self, name: &str) -> Vec<Arc<str>> {
        let Some(values) = self.postings.get(name) else { return Vec::new() };
        let mut values: Vec<Arc<str>> = values.keys().map(|one| one.0.value.clone()).collect();
        values.sort_unstable();
        values
    }
}

/// All numbers of all lists, sorted.
fn union<'a>(lists: impl Iterator<Item = &'a [u32]>) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::new();
    let mut count = 0;
    for list in lists {
        all.extend_from_slice(list);
        count += 1;
    }
    if count > 1 {
        all.sort_unstable();
        all.dedup();
    }
    all
}

/// What of `found` (all, when there is none yet) is in the sorted `list`, or is not.
fn keep(found: Option<Vec<u32>>, list: Vec<u32>, within: bool) -> Vec<u32> {
    let Some(mut found) = found else { return list };
    let mut rest = list.into_iter().peekable();
    found.retain(|id| {
        while rest.next_if(|next| next < id).is_some() {}
        (rest.peek() == Some(id)) == within
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_exactly_what_the_matchers_match() {
        let mut index = Index::default();
        let mut all = Vec::new();
        for i in 1..=60u32 {
            let (device, rack) = (format!("d-{}", i % 7), format!("r-{}", i % 5));
            let name = if i % 2 == 0 { "power_watts" } else { "temperature_celsius" };
            let rack = if i % 3 == 0 { "" } else { &rack };
            let text = i.to_string();
            let labels = Labels::metric(name, [("device", &*device), ("rack", rack), ("n", &text)]);
            index.insert(i, labels.iter().map(|label| (&*label.name, &*label.value)));
            all.push(labels);
        }
        for text in [
            "power_watts",
            r#"{__name__=~".+"}"#,
            r#"power_watts{rack=""}"#,
            r#"power_watts{rack!=""}"#,
            r#"{rack=~"r-1|r-2",device!="d-3"}"#,
            r#"{rack=~"r-.*",device!~"d-[34]"}"#,
            r#"{rack!~"r-.*",__name__="power_watts"}"#,
            r#"{rack!~"r-1",device=~"d-1|d-2"}"#,
            r#"{__name__="power_watts",n="4"}"#,
            r#"{__name__="power_watts",n="5"}"#,
            r#"{__name__="power_watts",none="5"}"#,
            r#"{__name__="power_watts",none!="5"}"#,
            r#"{__name__="power_watts",none=~"5|"}"#,
            r#"{__name__=~"power.*|temp.*",rack=~"|r-1"}"#,
            r#"{device="d-1",rack=~".*"}"#,
        ] {
            let matchers = Matchers::parse(text).unwrap();
            let found: Vec<Labels> =
                index.select(&matchers).iter().map(|series| series.labels.clone()).collect();
            let expected: Vec<Labels> =
                all.iter().filter(|labels| matchers.matches(labels)).cloned().collect();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(index.label_values("rack").len(), 5);
        assert_eq!(index.label_names().len(), 4);
    }
}
