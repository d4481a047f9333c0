//! The latest samples of one series, in memory, compressed.
//!
//! They are kept by windows of two hours, which is how they are written to disk. Within a window,
//! full blocks are encoded, ascending and apart; only the newest samples are plain.

use super::codec;

/// How long the samples of one chunk may span, in milliseconds: two hours.
pub(super) const WINDOW_MILLIS: i64 = 2 * 60 * 60 * 1000;
/// Samples in an encoded block.
const BLOCK: usize = 64;

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

/// The samples of one series that are not (all) in chunks yet.
#[derive(Debug, Default)]
pub(super) struct Head {
    windows: Vec<Window>,
    last: Option<(i64, f64)>,
}

#[derive(Debug)]
struct Window {
    number: i64,
    blocks: Vec<Block>,
    /// Later than every block.
    open: Vec<(i64, f64)>,
}

#[derive(Debug)]
struct Block {
    first: i64,
    last: i64,
    data: Box<[u8]>,
}

impl Block {
    fn new(samples: &[(i64, f64)]) -> Option<Self> {
        let (first, last) = (samples.first()?.0, samples.last()?.0);
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        Some(Self { first, last, data: codec::encode(&times, &values).into() })
    }
}

impl Head {
    /// Adds a sample, unless there is one at its time.
    pub(super) fn push(&mut self, time: i64, value: f64) -> Pushed {
        self.push_with(time, value, || 1)
    }

    /// As [`Head::push`]; when it opens a window, so many samples of it are to come with this one.
    pub(super) fn push_with(
        &mut self,
        time: i64,
        value: f64,
        coming: impl FnOnce() -> usize,
    ) -> Pushed {
        if self.last.is_none_or(|(last, _)| last < time) {
            self.last = Some((time, value));
        }
        let number = window_of(time);
        let at = match self.windows.last() {
            Some(newest) if newest.number == number => self.windows.len() - 1,
            _ => match self.windows.binary_search_by_key(&number, |window| window.number) {
                Ok(at) => at,
                Err(at) => {
                    let room = coming().clamp(1, BLOCK).next_power_of_two();
                    let mut open = Vec::with_capacity(room);
                    open.push((time, value));
                    // Most series have one window; room for more would be as large as the head.
                    self.windows.reserve_exact(1);
                    self.windows.insert(at, Window { number, blocks: Vec::new(), open });
                    return Pushed::Opened;
                }
            },
        };
        let stored = self.windows.get_mut(at).is_some_and(|window| window.push(time, value));
        if stored { Pushed::Stored } else { Pushed::Known }
    }

    /// The newest sample ever pushed.
    pub(super) fn last(&self) -> Option<(i64, f64)> {
        self.last
    }

    /// Appends the samples from `start` to `end`, both included, ascending.
    pub(super) fn read(&self, start: i64, end: i64, times: &mut Vec<i64>, values: &mut Vec<f64>) {
        let from = self.windows.partition_point(|window| window_end(window.number) < start);
        for window in self.windows.iter().skip(from) {
            if window_start(window.number) > end {
                break;
            }
            window.read(start, end, times, values);
        }
    }

    /// The last sample from `start` to `end`, both included. The newest ever pushed is given also
    /// when it is in a chunk by now.
    pub(super) fn last_between(&self, start: i64, end: i64) -> Option<(i64, f64)> {
        // What most queries ask for needs no look into the windows.
        match self.last {
            None => return None,
            Some((time, _)) if time < start => return None,
            Some(last) if last.0 <= end => return Some(last),
            Some(_) => (),
        }
        let to = self.windows.partition_point(|window| window_start(window.number) <= end);
        let windows = self.windows.iter().take(to).rev();
        let mut touched = windows.take_while(|window| window_end(window.number) >= start);
        touched.find_map(|window| window.last_between(start, end))
    }

    /// Whether there is a sample from `start` to `end`, by the windows that they lie in.
    pub(super) fn touches(&self, start: i64, end: i64) -> bool {
        let from = self.windows.partition_point(|window| window_end(window.number) < start);
        self.windows.get(from).is_some_and(|window| window_start(window.number) <= end)
    }

    /// The windows that it has samples of, ascending.
    pub(super) fn windows(&self) -> Vec<i64> {
        self.windows.iter().map(|window| window.number).collect()
    }

    /// Forgets a window, because its samples are in a chunk or beyond retention.
    pub(super) fn drop_window(&mut self, number: i64) {
        self.windows.retain(|window| window.number != number);
        if self.windows.is_empty() {
            self.windows.shrink_to_fit();
        }
    }

    /// Forgets the samples from `start` to `end`, both included.
    pub(super) fn remove(&mut self, start: i64, end: i64) {
        let from = self.windows.partition_point(|window| window_end(window.number) < start);
        for window in self.windows.iter_mut().skip(from) {
            if window_start(window.number) > end {
                break;
            }
            let (mut times, mut values) = (Vec::new(), Vec::new());
            window.read(i64::MIN, i64::MAX, &mut times, &mut values);
            (window.blocks, window.open) = (Vec::new(), Vec::new());
            for (time, value) in times.into_iter().zip(values) {
                if !(start..=end).contains(&time) {
                    window.append(time, value);
                }
            }
        }
        self.windows.retain(|window| !window.blocks.is_empty() || !window.open.is_empty());
        if self.last.is_some_and(|(last, _)| (start..=end).contains(&last)) {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            if let Some(newest) = self.windows.last() {
                newest.read(i64::MIN, i64::MAX, &mut times, &mut values);
            }
            self.last = times.last().copied().zip(values.last().copied());
        }
    }

    /// Bytes in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        let block = |block: &Block| size_of::<Block>() + block.data.len();
        let window = |window: &Window| {
            size_of::<Window>()
                + window.blocks.iter().map(block).sum::<usize>()
                + window.open.capacity() * size_of::<(i64, f64)>()
        };
        size_of::<Self>() + self.windows.iter().map(window).sum::<usize>()
    }
}

impl Window {
    fn push(&mut self, time: i64, value: f64) -> bool {
        let newest = self.open.last().map(|sample| sample.0);
        if newest.is_some_and(|newest| newest < time) {
            self.append(time, value);
            return true;
        }
        let closed = self.blocks.last().map(|block| block.last);
        if closed.is_some_and(|closed| time <= closed) {
            return self.insert_closed(time, value);
        }
        match self.open.binary_search_by_key(&time, |sample| sample.0) {
            Ok(_) => false,
            Err(at) => {
                self.open.insert(at, (time, value));
                self.close_full();
                true
            }
        }
    }

    fn append(&mut self, time: i64, value: f64) {
        self.open.push((time, value));
        self.close_full();
    }

    fn close_full(&mut self) {
        if self.open.len() >= BLOCK {
            self.blocks.extend(Block::new(&self.open));
            self.open.clear();
        }
    }

    /// A late one: its block is opened, and closed again as one or two.
    fn insert_closed(&mut self, time: i64, value: f64) -> bool {
        let at = self.blocks.partition_point(|block| block.last < time);
        let Some(block) = self.blocks.get(at) else { return false };
        let (mut times, mut values) = (Vec::new(), Vec::new());
        if codec::decode(&block.data, &mut times, &mut values).is_none() {
            return false;
        }
        let Err(index) = times.binary_search(&time) else { return false };
        times.insert(index, time);
        values.insert(index, value);
        let samples: Vec<(i64, f64)> = times.into_iter().zip(values).collect();
        let half = if samples.len() >= 2 * BLOCK { samples.len() / 2 } else { samples.len() };
        let (left, right) = samples.split_at(half);
        self.blocks.splice(at..=at, Block::new(left).into_iter().chain(Block::new(right)));
        true
    }

    /// Of the blocks, one is decoded at most.
    fn last_between(&self, start: i64, end: i64) -> Option<(i64, f64)> {
        let to = self.open.partition_point(|sample| sample.0 <= end);
        if let Some(last) = self.open.get(..to).and_then(<[_]>::last) {
            return (last.0 >= start).then_some(*last);
        }
        let to = self.blocks.partition_point(|block| block.first <= end);
        let block = self.blocks.get(..to)?.last().filter(|block| block.last >= start)?;
        let (mut times, mut values) = (Vec::new(), Vec::new());
        // What was encoded here decodes; were it not so, these samples alone are missing.
        let _ = codec::decode(&block.data, &mut times, &mut values);
        cut(0, start, end, &mut times, &mut values);
        times.last().copied().zip(values.last().copied())
    }

    fn read(&self, start: i64, end: i64, times: &mut Vec<i64>, values: &mut Vec<f64>) {
        let from = self.blocks.partition_point(|block| block.last < start);
        for block in self.blocks.iter().skip(from) {
            if block.first > end {
                return;
            }
            let had = times.len();
            // What was encoded here decodes; were it not so, these samples alone are missing.
            let _ = codec::decode(&block.data, times, values);
            cut(had, start, end, times, values);
        }
        let from = self.open.partition_point(|sample| sample.0 < start);
        let to = self.open.partition_point(|sample| sample.0 <= end).max(from);
        let wanted = self.open.get(from..to).unwrap_or_default();
        // Each at once, into memory of the right size: most of what queries for the present cost.
        times.extend(wanted.iter().map(|sample| sample.0));
        values.extend(wanted.iter().map(|sample| sample.1));
    }
}

/// Removes from the columns, beyond the first `had`, what is not from `start` to `end`.
pub(super) fn cut(had: usize, start: i64, end: i64, times: &mut Vec<i64>, values: &mut Vec<f64>) {
    let added = times.get(had..).unwrap_or_default();
    let from = had + added.partition_point(|time| *time < start);
    let to = had + added.partition_point(|time| *time <= end);
    times.truncate(to);
    values.truncate(to);
    if from > had {
        times.drain(had..from.min(to));
        values.drain(had..from.min(to));
    }
}

/// Joins two ascending columns; of the same time in both, the first one's value stays.
pub(super) fn merge(first: (&[i64], &[f64]), second: (&[i64], &[f64])) -> (Vec<i64>, Vec<f64>) {
    let mut times = Vec::with_capacity(first.0.len() + second.0.len());
    let mut values = Vec::with_capacity(first.0.len() + second.0.len());
    let mut left = first.0.iter().zip(first.1).peekable();
    let mut right = second.0.iter().zip(second.1).peekable();
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) => {
                if a == b {
                    right.next();
                    left.next()
                } else if a < b {
                    left.next()
                } else {
                    right.next()
                }
            }
            (Some(_), None) => left.next(),
            (None, _) => right.next(),
        };
        let Some((time, value)) = next else { return (times, values) };
        times.push(*time);
        values.push(*value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn contents(head: &Head, start: i64, end: i64) -> Vec<(i64, u64)> {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        head.read(start, end, &mut times, &mut values);
        times.into_iter().zip(values.into_iter().map(f64::to_bits)).collect()
    }

    proptest! {
        #[test]
        fn any_order_gives_the_map_where_the_first_wins(
            samples in prop::collection::vec((0i64..900, -3i32..3), 0..700),
            cut in (0i64..900, 0i64..900),
        ) {
            // 900 slots of 20 s: three windows.
            let (mut head, mut map) = (Head::default(), BTreeMap::new());
            for (slot, value) in samples {
                let (time, value) = (slot * 20_000, f64::from(value));
                let known = map.contains_key(&time);
                prop_assert_eq!(head.push(time, value) == Pushed::Known, known);
                map.entry(time).or_insert(value.to_bits());
            }
            let (start, end) = (cut.0 * 20_000, cut.1 * 20_000);
            let all: Vec<_> = map.iter().map(|(t, v)| (*t, *v)).collect();
            prop_assert_eq!(contents(&head, i64::MIN, i64::MAX), all.clone());
            let within: Vec<_> =
                all.into_iter().filter(|(t, _)| (start..=end).contains(t)).collect();
            let last = head.last_between(start, end).map(|(t, v)| (t, v.to_bits()));
            prop_assert_eq!(last, within.last().copied());
            prop_assert_eq!(contents(&head, start, end), within);
        }
    }

    #[test]
    fn ascending_and_descending_series_are_the_same() {
        let (mut up, mut down) = (Head::default(), Head::default());
        for i in 0..2_000 {
            up.push(i * 1_000, 1.5);
            down.push((1_999 - i) * 1_000, 1.5);
        }
        assert_eq!(contents(&up, i64::MIN, i64::MAX), contents(&down, i64::MIN, i64::MAX));
        assert_eq!(contents(&up, 5_000, 7_000).len(), 3);
        assert!(up.bytes() < 4_000, "{} bytes", up.bytes());
        assert_eq!(up.last(), down.last());
    }
}
