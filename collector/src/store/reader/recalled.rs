//! What was read out of chunks lately: who looks at a picture asks for the same hours every few
//! seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::head::{window_end, window_start};
use super::super::shared::lock;

/// Bytes of samples that are kept, at most.
pub(in super::super) const MOST: usize = 8 << 20;
/// Bytes that are counted for each series of a window beside its samples.
const EACH: usize = 160;
/// Bytes of a sample.
const SAMPLE: usize = 16;

/// A window of chunks, as it was at some time: with each change it gets another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Versioned {
    pub(in super::super) window: i64,
    pub(in super::super) version: u64,
}

/// What the chunks of one series have in a part of a window.
#[derive(Debug)]
pub(in super::super) struct Part {
    version: u64,
    span: (i64, i64),
    times: Box<[i64]>,
    values: Box<[f64]>,
}

impl Part {
    /// What of it is from `start` to `end`.
    pub(super) fn within(&self, (start, end): (i64, i64)) -> (&[i64], &[f64]) {
        let from = self.times.partition_point(|time| *time < start);
        let to = self.times.partition_point(|time| *time <= end).max(from);
        let (times, values) = (self.times.get(from..to), self.values.get(from..to));
        (times.unwrap_or_default(), values.unwrap_or_default())
    }

    fn bytes(&self) -> usize {
        EACH + self.times.len() * SAMPLE
    }
}

type Parts = HashMap<(i64, u32), Arc<Part>>;

/// Parts by window and series. Those that were asked for since half of the memory was filled anew,
/// and those that were asked for before: these go first.
#[derive(Debug, Default)]
pub(in super::super) struct Recalled {
    halves: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    fresh: Parts,
    stale: Parts,
    fresh_bytes: usize,
}

impl Recalled {
    /// What is known of each of the series; only if it is all that is asked for, and the window has
    /// not changed since.
    pub(super) fn recall(
        &self,
        chunked: Versioned,
        span: (i64, i64),
        series: impl Iterator<Item = u32>,
    ) -> Vec<Option<Arc<Part>>> {
        let span = clamped(chunked.window, span);
        let mut halves = lock(&self.halves);
        let mut known = |id: u32| {
            let key = (chunked.window, id);
            let found = match halves.fresh.get(&key) {
                Some(found) => found.clone(),
                None => {
                    let found = halves.stale.remove(&key)?;
                    halves.put(key, found.clone());
                    found
                }
            };
            let covers = found.span.0 <= span.0 && found.span.1 >= span.1;
            (covers && found.version == chunked.version).then_some(found)
        };
        series.map(&mut known).collect()
    }

    /// Keeps what was read of some series after the window had this version; never more than a part
    /// of what there is room for.
    pub(super) fn keep<'c>(
        &self,
        chunked: Versioned,
        span: (i64, i64),
        series: impl Iterator<Item = (u32, (&'c [i64], &'c [f64]))>,
    ) {
        let span = clamped(chunked.window, span);
        let mut room = MOST / 4;
        let part = |(id, (times, values)): (u32, (&[i64], &[f64]))| {
            let (times, values) = (times.into(), values.into());
            let part = Part { version: chunked.version, span, times, values };
            room = room.checked_sub(part.bytes())?;
            Some((id, Arc::new(part)))
        };
        let parts: Vec<_> = series.map_while(part).collect();
        let mut halves = lock(&self.halves);
        for (id, part) in parts {
            halves.put((chunked.window, id), part);
        }
    }

    /// Lets go of everything: some of it may have been deleted.
    pub(in super::super) fn forget(&self) {
        *lock(&self.halves) = Halves::default();
    }
}

impl Halves {
    fn put(&mut self, key: (i64, u32), part: Arc<Part>) {
        let bytes = part.bytes();
        if self.fresh_bytes + bytes > MOST / 2 {
            self.stale = std::mem::take(&mut self.fresh);
            self.fresh_bytes = 0;
        }
        self.stale.remove(&key);
        let before = self.fresh.insert(key, part);
        self.fresh_bytes -= before.map_or(0, |before| before.bytes());
        self.fresh_bytes += bytes;
    }
}

/// What of the time lies in a window.
fn clamped(window: i64, (start, end): (i64, i64)) -> (i64, i64) {
    (start.max(window_start(window)), end.min(window_end(window)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Versioned = Versioned { window: 0, version: 1 };

    fn times(
        recalled: &Recalled,
        chunked: Versioned,
        span: (i64, i64),
        id: u32,
    ) -> Option<Vec<i64>> {
        let part = recalled.recall(chunked, span, std::iter::once(id)).remove(0)?;
        Some(part.within(span).0.to_vec())
    }

    fn keep(recalled: &Recalled, chunked: Versioned, span: (i64, i64), id: u32, times: &[i64]) {
        let values = vec![0.5; times.len()];
        recalled.keep(chunked, span, std::iter::once((id, (times, &values[..]))));
    }

    #[test]
    fn only_what_was_read_and_has_not_changed_is_known() {
        let recalled = Recalled::default();
        keep(&recalled, NOW, (10, 50), 7, &[10, 30, 50]);
        assert_eq!(times(&recalled, NOW, (10, 50), 7), Some(vec![10, 30, 50]));
        assert_eq!(times(&recalled, NOW, (11, 30), 7), Some(vec![30]));
        assert_eq!(times(&recalled, NOW, (31, 40), 7), Some(vec![]));
        assert_eq!(times(&recalled, NOW, (9, 50), 7), None, "more than was read");
        assert_eq!(times(&recalled, NOW, (10, 51), 7), None, "more than was read");
        assert_eq!(times(&recalled, NOW, (10, 50), 8), None, "another series");
        let changed = Versioned { version: 2, ..NOW };
        assert_eq!(times(&recalled, changed, (10, 50), 7), None, "the window has changed");
        assert_eq!(times(&recalled, Versioned { window: 1, ..NOW }, (10, 50), 7), None);
        keep(&recalled, changed, (10, 50), 7, &[10]);
        assert_eq!(times(&recalled, changed, (10, 50), 7), Some(vec![10]));
        // Whatever lies beyond the window is not of its chunks.
        let end = window_end(0);
        keep(&recalled, NOW, (10, end + 100), 9, &[end]);
        assert_eq!(times(&recalled, NOW, (20, i64::MAX), 9), Some(vec![end]));
        recalled.forget();
        assert_eq!(times(&recalled, changed, (10, 50), 7), None, "forgotten");
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let recalled = Recalled::default();
        let bytes = || {
            let halves = lock(&recalled.halves);
            let of = |parts: &Parts| parts.values().map(|part| part.bytes()).sum::<usize>();
            assert_eq!(halves.fresh_bytes, of(&halves.fresh));
            halves.fresh_bytes + of(&halves.stale)
        };
        let long: Vec<i64> = (0..1_000).collect();
        keep(&recalled, NOW, (0, 1_000), 0, &long);
        for id in 1..5_000 {
            keep(&recalled, NOW, (0, 1_000), id, &long);
            assert!(bytes() <= MOST, "{} with {id}", bytes());
            assert_eq!(times(&recalled, NOW, (0, 1_000), 0).as_deref(), Some(&long[..]), "{id}");
            // Kept again it takes no more.
            keep(&recalled, NOW, (0, 1_000), id, &long);
        }
        assert!(bytes() > MOST / 2);
        assert_eq!(times(&recalled, NOW, (0, 1_000), 1), None, "it was not asked for");
        // More than there is room for: none of what is kept goes for the rest of it.
        let many = (10_000..20_000).map(|id| (id, (&long[..], &[0.5; 1_000][..])));
        recalled.keep(NOW, (0, 1_000), many);
        assert!(bytes() <= MOST);
        assert!(times(&recalled, NOW, (0, 1_000), 10_000).is_some());
        assert!(times(&recalled, NOW, (0, 1_000), 19_999).is_none());
        assert!(times(&recalled, NOW, (0, 1_000), 0).is_some());
    }
}
