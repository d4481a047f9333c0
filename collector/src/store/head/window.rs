//! The samples of one window of one series: full blocks are encoded, ascending and apart; the
//! newest samples are packed one by one.

use super::super::codec;
use super::columns::Columns;
use super::open::{MOST, Open};
use super::segments::Segments;
use super::{window_end, window_start};

#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) number: i64,
    pub(super) blocks: Vec<Block>,
    /// Later than every block.
    pub(super) open: Open,
}

#[derive(Debug)]
pub(super) struct Block {
    first: i64,
    last: i64,
    data: Box<[u8]>,
}

/// What is read of a window.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) number: i64,
    pub(super) blocks: &'a [Block],
    pub(super) open: &'a Open,
}

/// The milliseconds from the begin of its window; a time outside is taken for the nearest within.
pub(super) fn offset(number: i64, time: i64) -> u32 {
    let within = time.clamp(window_start(number), window_end(number));
    u32::try_from(within.wrapping_sub(window_start(number))).unwrap_or(0)
}

impl Block {
    fn new(times: &[i64], values: &[f64]) -> Option<Self> {
        let (first, last) = (*times.first()?, *times.last()?);
        Some(Self { first, last, data: codec::encode(times, values).into() })
    }

    fn decode_between(&self, start: i64, end: i64, (times, values): &mut Columns) -> Option<()> {
        // Nothing of it is elsewhere.
        codec::decode_between(&self.data, (start, end), (times, values), &mut |_, _| None)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.data.len()
    }
}

impl Window {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.open.is_empty()
    }

    pub(super) fn view(&self) -> View<'_> {
        View { number: self.number, blocks: &self.blocks, open: &self.open }
    }

    /// Adds a sample of this window, unless there is one at its time.
    pub(super) fn push(&mut self, segments: &mut Segments, time: i64, value: f64) -> bool {
        let at = offset(self.number, time);
        let closed = self.blocks.last().map(|block| block.last);
        match self.open.last_time() {
            Some(newest) if newest < at => self.append(segments, time, value),
            _ if closed.is_some_and(|closed| time <= closed) => {
                return self.insert_closed(time, value);
            }
            None => self.append(segments, time, value),
            Some(_) => {
                let (mut times, mut values) = self.take_open(segments);
                let found = times.binary_search(&time);
                if let Err(at) = found {
                    times.insert(at, time);
                    values.insert(at, value);
                }
                for (time, value) in times.iter().zip(&values) {
                    self.open.put(segments, offset(self.number, *time), *value);
                }
                self.close_full(segments);
                return found.is_err();
            }
        }
        true
    }

    /// Adds a sample that is later than all others.
    pub(super) fn append(&mut self, segments: &mut Segments, time: i64, value: f64) {
        self.open.put(segments, offset(self.number, time), value);
        self.close_full(segments);
    }

    /// Encodes what is packed, when there is enough of it.
    pub(super) fn close_full(&mut self, segments: &mut Segments) {
        if self.open.is_full() {
            let (times, values) = self.take_open(segments);
            // Most windows are written to disk before they have many blocks.
            self.blocks.reserve_exact(1);
            self.blocks.extend(Block::new(&times, &values));
        }
    }

    fn take_open(&mut self, segments: &mut Segments) -> Columns {
        let mut taken = Columns::default();
        let view = View { blocks: &[], ..self.view() };
        view.read(segments, i64::MIN, i64::MAX, &mut taken);
        self.open.clear(segments);
        taken
    }

    /// Takes all samples out.
    pub(super) fn take_all(&mut self, segments: &mut Segments) -> Columns {
        let mut taken = Columns::default();
        self.view().read(segments, i64::MIN, i64::MAX, &mut taken);
        self.clear(segments);
        taken
    }

    pub(super) fn clear(&mut self, segments: &mut Segments) {
        self.blocks = Vec::new();
        self.open.clear(segments);
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
        // More are likely to follow: a half is less work for each.
        let half = if times.len() > usize::from(MOST) { times.len() / 2 } else { times.len() };
        let (left, right) = (times.split_at(half), values.split_at(half));
        let blocks = Block::new(left.0, right.0).into_iter().chain(Block::new(left.1, right.1));
        self.blocks.splice(at..=at, blocks);
        true
    }
}

impl View<'_> {
    /// Of the blocks, one is decoded at most.
    pub(super) fn last_between(
        &self,
        segments: &Segments,
        start: i64,
        end: i64,
    ) -> Option<(i64, f64)> {
        let origin = window_start(self.number);
        if end >= origin
            && let Some((at, value)) = self.open.last_upto(segments, offset(self.number, end))
        {
            let time = origin.wrapping_add(i64::from(at));
            return (time >= start).then_some((time, value));
        }
        let to = self.blocks.partition_point(|block| block.first <= end);
        let block = self.blocks.get(..to)?.last().filter(|block| block.last >= start)?;
        let mut read = Columns::default();
        // What was encoded here decodes; were it not so, these samples alone are missing.
        let _ = block.decode_between(start, end, &mut read);
        read.0.last().copied().zip(read.1.last().copied())
    }

    pub(super) fn read(&self, segments: &Segments, start: i64, end: i64, to: &mut Columns) {
        let from = self.blocks.partition_point(|block| block.last < start);
        for block in self.blocks.iter().skip(from) {
            if block.first > end {
                return;
            }
            // What was encoded here decodes; were it not so, these samples alone are missing.
            let _ = block.decode_between(start, end, to);
        }
        let origin = window_start(self.number);
        if start <= window_end(self.number) && end >= origin {
            let span = (offset(self.number, start), offset(self.number, end));
            self.open.read(segments, span, origin, to);
        }
    }
}
