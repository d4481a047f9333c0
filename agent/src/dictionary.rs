//! Which number stands for which series.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::wire::MAX_TEXT_BYTES;
use hallwatch_model::{Describe, Label, Labels, SeriesId};

/// Series in one part. With labels of the longest kind a part is still below a broker's limits.
const PART: usize = 250;

/// All series that this journal ever knew. Ids count from 0, are never reused, and never change
/// their meaning.
#[derive(Clone, Debug)]
pub struct Dictionary {
    number: u64,
    series: Vec<Labels>,
    ids: HashMap<Labels, SeriesId>,
    /// Names and values of labels, each once: tens of thousands of series share a few hundred.
    words: HashSet<Arc<str>>,
    /// How often a series is read, in milliseconds, by its id; none where that is not known.
    intervals: Vec<Option<u32>>,
    changed: bool,
}

impl Dictionary {
    /// The dictionary called `number`, with what the journal remembers, in the order of the ids.
    #[must_use]
    pub fn new(number: u64, series: Vec<Labels>) -> Self {
        let mut words = HashSet::new();
        let series: Vec<Labels> =
            series.into_iter().map(|labels| shared(&mut words, &labels)).collect();
        let ids = series.iter().cloned().zip((0..).map(SeriesId)).collect();
        Self { number, series, ids, words, intervals: Vec::new(), changed: false }
    }

    /// Its random number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many series it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The id of `labels`, given now if they are new.
    pub fn id(&mut self, labels: &Labels) -> SeriesId {
        if let Some(id) = self.ids.get(labels) {
            return *id;
        }
        let id = SeriesId(u32::try_from(self.series.len()).unwrap_or(u32::MAX));
        debug_assert!(labels.iter().all(|label| label.value.len() <= MAX_TEXT_BYTES));
        let labels = shared(&mut self.words, labels);
        self.series.push(labels.clone());
        self.ids.insert(labels, id);
        id
    }

    /// The series is read this often.
    pub fn every(&mut self, id: SeriesId, interval: Duration) {
        let millis = Some(u32::try_from(interval.as_millis()).unwrap_or(u32::MAX));
        // Of what has no number yet nothing is known.
        let Some(index) = usize::try_from(id.0).ok().filter(|index| *index < self.series.len())
        else {
            return;
        };
        if self.intervals.len() <= index {
            self.intervals.resize(self.series.len(), None);
        }
        if let Some(known) = self.intervals.get_mut(index)
            && *known != millis
        {
            *known = millis;
            self.changed = true;
        }
    }

    /// Whether an interval has changed since [`told`](Self::told).
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// All of it is being told again.
    pub fn told(&mut self) {
        self.changed = false;
    }

    /// The series from number `from` on.
    pub fn since(&self, from: usize) -> impl Iterator<Item = (SeriesId, &Labels)> {
        (0..).map(SeriesId).zip(&self.series).skip(from)
    }

    /// The parts that hold the series from number `from` on, each part whole.
    pub fn parts(&self, from: usize) -> impl Iterator<Item = Describe> {
        let chunks = self.series.chunks(PART).zip(0u32..).skip(from / PART);
        chunks.map(|(chunk, part)| {
            let first = part.saturating_mul(u32::try_from(PART).unwrap_or(u32::MAX));
            let ids = (first..).map(SeriesId);
            let series: Vec<(SeriesId, Labels)> = ids.zip(chunk.iter().cloned()).collect();
            let interval = |(id, _): &(SeriesId, Labels)| {
                let known = self.intervals.get(usize::try_from(id.0).ok()?)?;
                Some((*id, (*known)?))
            };
            let intervals = series.iter().filter_map(interval).collect();
            Describe { dictionary: self.number, part, series, intervals }
        })
    }
}

/// The same labels, of `words`.
fn shared(words: &mut HashSet<Arc<str>>, labels: &Labels) -> Labels {
    let mut word = |word: &Arc<str>| match words.get(word) {
        Some(known) => Arc::clone(known),
        None => {
            words.insert(Arc::clone(word));
            Arc::clone(word)
        }
    };
    labels.iter().map(|one| Label { name: word(&one.name), value: word(&one.value) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_told_when_they_change_and_words_are_kept_once() {
        let labels = |n: &str| Labels::metric("device_up", [("device", n)]);
        let mut dictionary = Dictionary::new(7, vec![labels("a")]);
        let b = dictionary.id(&labels("b"));
        assert!(!dictionary.is_changed());
        let second = Duration::from_secs(1);
        dictionary.every(b, second);
        assert!(dictionary.is_changed());
        dictionary.told();
        dictionary.every(b, second);
        // Nobody has the number.
        dictionary.every(SeriesId(2), second);
        dictionary.every(SeriesId(u32::MAX), second);
        assert!(!dictionary.is_changed());
        dictionary.every(b, second * 2);
        assert!(dictionary.is_changed());
        assert_eq!(dictionary.parts(0).next().unwrap().intervals, [(b, 2_000)]);
        let names: Vec<*const u8> = dictionary
            .since(0)
            .map(|(_, labels)| labels.iter().next().unwrap().name.as_ptr())
            .collect();
        assert_eq!(names.len(), 2);
        assert_eq!(names[0], names[1]);
    }

    #[test]
    fn ids_are_stable_and_parts_only_grow() {
        let labels = |n: usize| Labels::metric("device_up", [("device", n.to_string().as_str())]);
        let mut dictionary = Dictionary::new(7, (0..100).map(labels).collect());
        assert_eq!(dictionary.id(&labels(42)), SeriesId(42));
        for n in 100..600 {
            assert_eq!(dictionary.id(&labels(n)), SeriesId(u32::try_from(n).unwrap()));
        }
        assert_eq!(dictionary.len(), 600);
        assert_eq!(dictionary.since(598).count(), 2);
        let parts: Vec<Describe> = dictionary.parts(0).collect();
        assert_eq!(parts.iter().map(|part| part.series.len()).collect::<Vec<_>>(), [250, 250, 100]);
        assert_eq!(parts[2].series[99], (SeriesId(599), labels(599)));
        let grown = dictionary.parts(599);
        assert_eq!(grown.map(|part| part.part).collect::<Vec<_>>(), [2]);
    }
}
