//! The latest samples of one series, in memory, compressed.
//!
//! They are kept by windows of two hours, which is how they are written to disk. A head is as large
//! as a line of the processor's caches: of many series, each sample finds its head outside of them,
//! and the segment that it goes to.

mod columns;
mod open;
mod segments;
mod window;

pub(super) use columns::{Columns, cut, merge};
use open::Open;
pub(super) use segments::Segments;
use window::{Block, View, Window, offset};

/// How long the samples of one chunk may span, in milliseconds: two hours.
pub(super) const WINDOW_MILLIS: i64 = 2 * 60 * 60 * 1000;

/// The window that a time belongs to.
pub(super) fn window_of(time: i64) -> i64 {
    time.div_euclid(WINDOW_MILLIS)
}

/// The first millisecond of a window.
pub(super) fn window_start(window: i64) -> i64 {
    window.saturating_mul(WINDOW_MILLIS)
}

/// The last millisecond of a window.
pub(super) fn window_end(window: i64) -> i64 {
    window_start(window).saturating_add(WINDOW_MILLIS - 1)
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in.
    Stored,
    /// It is in, and is the first of its window here.
    Opened,
    /// There is a sample at this time already: that one stays.
    Known,
}

/// The samples of one series that are not (all) in chunks yet. Those of the newest window that are
/// not in blocks stand in segments, which series share: they are handed to whatever needs them.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Head {
    /// The newest sample ever pushed; [`NEVER`] is the time when there is none.
    last: (i64, f64),
    /// The newest window, unless it is empty; then there is no other either.
    number: i64,
    open: Open,
    rest: Option<Box<Rest>>,
}

/// What few heads have.
#[derive(Debug, Default)]
struct Rest {
    /// Of the newest window.
    blocks: Vec<Block>,
    /// Ascending.
    older: Vec<Window>,
}

const NEVER: i64 = i64::MIN;

impl Default for Head {
    fn default() -> Self {
        Self { last: (NEVER, 0.0), number: 0, open: Open::default(), rest: None }
    }
}

impl Head {
    /// Adds a sample, unless there is one at its time.
    pub(super) fn push(&mut self, segments: &mut Segments, time: i64, value: f64) -> Pushed {
        if self.last.0 < time {
            self.last = (time, value);
        }
        let number = window_of(time);
        let at = offset(number, time);
        // Nearly all of them.
        if number == self.number && self.open.last_time().is_some_and(|last| last < at) {
            self.open.put(segments, at, value);
            if self.open.is_full() {
                self.change(|windows| {
                    windows.last_mut().into_iter().for_each(|newest| newest.close_full(segments));
                });
            }
            return Pushed::Stored;
        }
        self.change(|windows| match windows.binary_search_by_key(&number, |window| window.number) {
            Ok(at) => {
                let window = windows.get_mut(at);
                let stored = window.is_some_and(|window| window.push(segments, time, value));
                if stored { Pushed::Stored } else { Pushed::Known }
            }
            Err(at) => {
                let mut window = Window { number, ..Window::default() };
                window.append(segments, time, value);
                windows.insert(at, window);
                Pushed::Opened
            }
        })
    }

    /// A byte of what a push needs.
    pub(super) fn peek(&self, segments: &Segments) -> u8 {
        self.open.peek(segments)
    }

    /// Changes the windows, as if they were a list.
    fn change<T>(&mut self, change: impl FnOnce(&mut Vec<Window>) -> T) -> T {
        let rest = self.rest.take().map(|rest| *rest);
        let Rest { blocks, older: mut windows } = rest.unwrap_or_default();
        let newest = Window { number: self.number, blocks, open: std::mem::take(&mut self.open) };
        if !newest.is_empty() {
            windows.push(newest);
        }
        let done = change(&mut windows);
        let newest = windows.pop().unwrap_or_default();
        (self.number, self.open) = (newest.number, newest.open);
        if !newest.blocks.is_empty() || !windows.is_empty() {
            windows.shrink_to_fit();
            self.rest = Some(Box::new(Rest { blocks: newest.blocks, older: windows }));
        }
        done
    }

    fn older(&self) -> &[Window] {
        self.rest.as_ref().map(|rest| rest.older.as_slice()).unwrap_or_default()
    }

    /// From the first window that ends at `start` or later.
    fn views(&self, start: i64) -> impl DoubleEndedIterator<Item = View<'_>> {
        let older = self.older();
        let from = older.partition_point(|window| window_end(window.number) < start);
        let older = older.get(from..).unwrap_or_default();
        let blocks = self.rest.as_ref().map(|rest| rest.blocks.as_slice()).unwrap_or_default();
        let newest = View { number: self.number, blocks, open: &self.open };
        let is_there = !newest.open.is_empty() || !newest.blocks.is_empty();
        let newest = (is_there && window_end(newest.number) >= start).then_some(newest);
        older.iter().map(Window::view).chain(newest)
    }

    /// The newest sample ever pushed.
    pub(super) fn last(&self) -> Option<(i64, f64)> {
        (self.last.0 != NEVER).then_some(self.last)
    }

    /// Appends the samples from `start` to `end`, both included, ascending.
    pub(super) fn read(&self, segments: &Segments, start: i64, end: i64, to: &mut Columns) {
        for window in self.views(start).take_while(|window| window_start(window.number) <= end) {
            window.read(segments, start, end, to);
        }
    }

    /// The last sample from `start` to `end`, both included. The newest ever pushed is given also
    /// when it is in a chunk by now.
    pub(super) fn last_between(
        &self,
        segments: &Segments,
        start: i64,
        end: i64,
    ) -> Option<(i64, f64)> {
        // What most queries ask for needs no look into the windows.
        match self.last {
            (time, _) if time < start => return None,
            last if last.0 <= end && last.0 != NEVER => return Some(last),
            _ => (),
        }
        let windows = self.views(start).rev();
        let mut touched = windows.filter(|window| window_start(window.number) <= end);
        touched.find_map(|window| window.last_between(segments, start, end))
    }

    /// Whether there is a sample from `start` to `end`, by the windows that they lie in.
    pub(super) fn touches(&self, start: i64, end: i64) -> bool {
        self.views(start).next().is_some_and(|window| window_start(window.number) <= end)
    }

    /// The windows that it has samples of, ascending.
    pub(super) fn windows(&self) -> Vec<i64> {
        self.views(i64::MIN).map(|window| window.number).collect()
    }

    /// Forgets a window, because its samples are in a chunk or beyond retention.
    pub(super) fn drop_window(&mut self, segments: &mut Segments, number: i64) {
        let is_there = self.views(i64::MIN).any(|window| window.number == number);
        if is_there {
            self.change(|windows| {
                windows.retain_mut(|window| {
                    if window.number == number {
                        window.clear(segments);
                    }
                    !window.is_empty()
                });
            });
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, segments: &mut Segments) {
        self.change(|windows| {
            windows.drain(..).for_each(|mut window| window.clear(segments));
        });
        *self = Self::default();
    }

    /// Forgets the samples from `start` to `end`, both included.
    pub(super) fn remove(&mut self, segments: &mut Segments, start: i64, end: i64) {
        self.change(|windows| {
            let from = windows.partition_point(|window| window_end(window.number) < start);
            for window in windows.iter_mut().skip(from) {
                if window_start(window.number) > end {
                    break;
                }
                let (times, values) = window.take_all(segments);
                for (time, value) in times.into_iter().zip(values) {
                    if !(start..=end).contains(&time) {
                        window.append(segments, time, value);
                    }
                }
            }
            windows.retain(|window| !window.is_empty());
        });
        if (start..=end).contains(&self.last.0) {
            let newest = self.views(i64::MIN).next_back();
            let last = newest.and_then(|one| one.last_between(segments, i64::MIN, i64::MAX));
            self.last = last.unwrap_or((NEVER, 0.0));
        }
    }

    /// Bytes in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        let blocks = self.views(i64::MIN).flat_map(|window| window.blocks).map(Block::bytes);
        let open = self.views(i64::MIN).map(|window| window.open.bytes());
        let rest = if self.rest.is_some() { size_of::<Rest>() } else { 0 };
        let older = std::mem::size_of_val(self.older());
        size_of::<Self>() + rest + older + open.chain(blocks).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A head with segments of its own.
    #[derive(Default)]
    struct Alone {
        head: Head,
        segments: Segments,
    }

    impl Alone {
        fn push(&mut self, time: i64, value: f64) -> Pushed {
            self.head.push(&mut self.segments, time, value)
        }

        fn contents(&self, start: i64, end: i64) -> Vec<(i64, u64)> {
            let mut read = Columns::default();
            self.head.read(&self.segments, start, end, &mut read);
            let (times, values) = read;
            times.into_iter().zip(values.into_iter().map(f64::to_bits)).collect()
        }

        fn last_between(&self, start: i64, end: i64) -> Option<(i64, u64)> {
            let last = self.head.last_between(&self.segments, start, end);
            last.map(|(time, value)| (time, value.to_bits()))
        }
    }

    proptest! {
        #[test]
        fn any_order_gives_the_map_where_the_first_wins(
            samples in prop::collection::vec((0i64..900, -3i32..3), 0..700),
            cut in (0i64..900, 0i64..900),
            gone in (0i64..900, 0i64..900),
            dropped in 0i64..3,
        ) {
            // 900 slots of 20 s, some before 1970: three windows.
            let at = |slot: i64| (slot - 500) * 20_000;
            let (mut head, mut map) = (Alone::default(), BTreeMap::new());
            for (slot, value) in samples {
                // Decimals, what is no decimal, and what is missing.
                let value = match value {
                    2 => f64::NAN,
                    1 => 1.0 / 3.0,
                    tenths => f64::from(tenths) / 10.0,
                };
                let known = map.contains_key(&at(slot));
                prop_assert_eq!(head.push(at(slot), value) == Pushed::Known, known);
                map.entry(at(slot)).or_insert(value.to_bits());
            }
            let (start, end) = (at(cut.0), at(cut.1));
            let check = |head: &Alone, map: &BTreeMap<i64, u64>| {
                let all: Vec<_> = map.iter().map(|(t, v)| (*t, *v)).collect();
                prop_assert_eq!(head.contents(i64::MIN, i64::MAX), all.clone());
                let mut windows: Vec<i64> = map.keys().map(|time| window_of(*time)).collect();
                windows.dedup();
                prop_assert_eq!(head.head.windows(), windows);
                let within: Vec<_> =
                    all.into_iter().filter(|(t, _)| (start..=end).contains(t)).collect();
                prop_assert_eq!(head.last_between(start, end), within.last().copied());
                prop_assert_eq!(head.contents(start, end), within);
                Ok(())
            };
            check(&head, &map)?;
            let gone = (at(gone.0), at(gone.1));
            head.head.remove(&mut head.segments, gone.0, gone.1);
            map.retain(|time, _| !(gone.0..=gone.1).contains(time));
            check(&head, &map)?;
            let dropped = dropped - 2;
            head.head.drop_window(&mut head.segments, dropped);
            let last = map.last_key_value().map(|(time, _)| *time);
            map.retain(|time, _| window_of(*time) != dropped);
            if last == map.last_key_value().map(|(time, _)| *time) {
                check(&head, &map)?;
            }
            let all: Vec<_> = map.into_iter().collect();
            prop_assert_eq!(head.contents(i64::MIN, i64::MAX), all);
            prop_assert_eq!(head.head.last().map(|(time, _)| time), last);
            head.head.clear(&mut head.segments);
            prop_assert_eq!(head.segments.bytes(), 0, "segments that nobody gives back");
        }
    }

    #[test]
    fn ascending_and_descending_series_are_the_same() {
        let (mut up, mut down) = (Alone::default(), Alone::default());
        for i in 0..2_000 {
            up.push(i * 1_000, 1.5);
            down.push((1_999 - i) * 1_000, 1.5);
        }
        assert_eq!(up.contents(i64::MIN, i64::MAX), down.contents(i64::MIN, i64::MAX));
        assert_eq!(up.contents(5_000, 7_000).len(), 3);
        assert!(up.head.bytes() < 2_000, "{} bytes", up.head.bytes());
        assert_eq!(up.head.last(), down.head.last());
    }

    #[test]
    fn the_first_and_the_last_of_all_times_are_kept() {
        let mut head = Alone::default();
        let all: Vec<_> = [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX]
            .map(|time| (time, 0.5f64.to_bits()))
            .into();
        for (time, _) in all.iter().rev() {
            assert_ne!(head.push(*time, 0.5), Pushed::Known, "{time}");
        }
        assert_eq!(head.contents(i64::MIN, i64::MAX), all);
        assert_eq!(head.last_between(i64::MIN, i64::MIN), all.first().copied());
        let mut lonely = Alone::default();
        lonely.push(i64::MIN, 0.5);
        assert_eq!(lonely.last_between(i64::MIN, 0), all.first().copied());
    }

    #[test]
    fn a_head_is_one_line_of_the_caches() {
        assert_eq!((size_of::<Head>(), align_of::<Head>()), (64, 64));
    }
}
