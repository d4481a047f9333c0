//! Which number stands for which series.

use std::collections::HashMap;
use std::time::Duration;

use hallwatch_model::wire::MAX_TEXT_BYTES;
use hallwatch_model::{Describe, Labels, SeriesId};

/// Series in one part. With labels of the longest kind a part is still below a broker's limits.
const PART: usize = 250;

/// All series that this journal ever knew. Ids count from 0, are never reused, and never change
/// their meaning.
#[derive(Clone, Debug)]
pub struct Dictionary {
    number: u64,
    series: Vec<Labels>,
    ids: HashMap<Labels, SeriesId>,
    /// How often a series is read, in milliseconds, where that is known.
    intervals: HashMap<SeriesId, u32>,
    changed: bool,
}

impl Dictionary {
    /// The dictionary called `number`, with what the journal remembers, in the order of the ids.
    #[must_use]
    pub fn new(number: u64, series: Vec<Labels>) -> Self {
        let ids = series.iter().cloned().zip((0..).map(SeriesId)).collect();
        Self { number, series, ids, intervals: HashMap::new(), changed: false }
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
        self.series.push(labels.clone());
        self.ids.insert(labels.clone(), id);
        id
    }

    /// The series is read this often.
    pub fn every(&mut self, id: SeriesId, interval: Duration) {
        let millis = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        self.changed |= self.intervals.insert(id, millis) != Some(millis);
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
    #[must_use]
    pub fn parts(&self, from: usize) -> Vec<Describe> {
        let chunks = self.series.chunks(PART).zip(0u32..).skip(from / PART);
        let part = |(chunk, part): (&[Labels], u32)| {
            let first = part.saturating_mul(u32::try_from(PART).unwrap_or(u32::MAX));
            let ids = (first..).map(SeriesId);
            let series: Vec<(SeriesId, Labels)> = ids.zip(chunk.iter().cloned()).collect();
            let interval = |(id, _): &(SeriesId, Labels)| Some((*id, *self.intervals.get(id)?));
            let intervals = series.iter().filter_map(interval).collect();
            Describe { dictionary: self.number, part, series, intervals }
        };
        chunks.map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let parts = dictionary.parts(0);
        assert_eq!(parts.iter().map(|part| part.series.len()).collect::<Vec<_>>(), [250, 250, 100]);
        assert_eq!(parts[2].series[99], (SeriesId(599), labels(599)));
        let grown = dictionary.parts(599);
        assert_eq!(grown.iter().map(|part| part.part).collect::<Vec<_>>(), [2]);
    }
}
