//! The newest samples of a window, packed one by one as they come: most take two or three bytes.
//!
//! A sample is a varint for its time, one for its value. The time's is how much longer or shorter
//! the step to it is than the one before; its lowest bit says that a byte for the kind of the value
//! follows. While the kind stays, the value's is the difference to the one before: of integers over
//! a power of ten, as sensors speak, or of the bits of floats.

use super::super::bytes::{Bytes, unzigzag, zigzag};
use super::super::decimal::{decimal, from_decimal, from_decimals};
use super::columns::Columns;
use super::segments::{LINE, Place, Segment, Segments};

/// Samples in it, at most; and the segments they may take.
pub(super) const MOST: u8 = 128;
const MOST_SEGMENTS: u8 = 10;
const ROOM: usize = MOST as usize;
/// Digits after the point, at most; a value that has more is kept as the bits of its float.
const MOST_DIGITS: u8 = 6;
const BITS: u8 = 15;

/// Samples of one window, by their milliseconds within it, ascending.
#[derive(Debug, Default)]
pub(super) struct Open {
    // What [`Last`] has: on its own that would be as large again as the rest.
    value: u64,
    time: u32,
    step: u32,
    last_segment: Place,
    kind: u8,
    count: u8,
    segments: u8,
}

/// Samples of one kind: their times, and their values as [`Last`] has them.
struct Back {
    times: [u32; ROOM],
    numbers: [u64; ROOM],
}

/// What the next sample is told by.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// The integer, or the bits.
    value: u64,
    time: u32,
    step: u32,
    /// How many digits after the point the integer has, or [`BITS`].
    kind: u8,
}

/// A packed sample: the time takes 4 bytes at most, the kind 1, the value 10.
struct Packed {
    bytes: [u8; 16],
    length: usize,
}

impl Packed {
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            let [low, ..] = value.to_le_bytes();
            self.byte(low | 0x80);
            value >>= 7;
        }
        self.byte(value.to_le_bytes()[0]);
    }
}

impl Last {
    fn value(&self) -> f64 {
        match self.kind {
            BITS => f64::from_bits(self.value),
            digits => from_decimal(self.value.cast_signed(), digits).unwrap_or(f64::NAN),
        }
    }

    /// The value as an integer of the same kind, or of one with more digits, where there is one.
    fn decimal(&self, value: f64) -> Option<(u8, u64)> {
        let from = match self.kind {
            // Floats are seldom followed by a decimal; what stands for a missing value is.
            BITS if f64::from_bits(self.value).is_finite() || !value.is_finite() => return None,
            BITS => 0,
            digits => digits,
        };
        let of = |digits| Some((digits, decimal(value, digits)?.cast_unsigned()));
        (from..=MOST_DIGITS).find_map(of)
    }

    /// Goes on to a sample, and gives what tells it.
    fn pack(&mut self, time: u32, value: f64, is_first: bool) -> Packed {
        let mut packed = Packed { bytes: [0; 16], length: 0 };
        let step = time.wrapping_sub(self.time);
        let longer = zigzag(i64::from(step) - i64::from(self.step));
        let (kind, number) = self.decimal(value).unwrap_or((BITS, value.to_bits()));
        if kind == self.kind {
            packed.varint(longer << 1);
            packed.varint(match kind {
                // Of floats with few bits, those that are often zero go to the upper end.
                BITS => (number ^ self.value).reverse_bits(),
                _ => zigzag(number.wrapping_sub(self.value).cast_signed()),
            });
        } else {
            packed.varint(longer << 1 | 1);
            // Odd, so that from the end it is not taken for a time.
            packed.byte(kind << 1 | 1);
            packed.varint(match kind {
                BITS => number.reverse_bits(),
                _ => zigzag(number.cast_signed()),
            });
        }
        let step = if is_first { 0 } else { step };
        *self = Self { value: number, time, step, kind };
        packed
    }

    /// The inverse of [`Last::pack`].
    #[inline]
    fn unpack(&mut self, bytes: &mut Bytes<'_>, is_first: bool) -> Option<()> {
        // Most take two bytes.
        if let [tagged, number, rest @ ..] = bytes.0
            && (tagged | number) & 0x80 == 0
            && tagged & 1 == 0
        {
            bytes.0 = rest;
            return self.forward(u64::from(*tagged), u64::from(*number), is_first);
        }
        self.unpack_any(bytes, is_first)
    }

    /// Apart, so that the short way is short.
    #[inline(never)]
    fn unpack_any(&mut self, bytes: &mut Bytes<'_>, is_first: bool) -> Option<()> {
        let tagged = bytes.varint()?;
        if tagged & 1 == 1 {
            self.kind = bytes.byte()? >> 1;
            self.value = 0;
        }
        let number = bytes.varint()?;
        self.forward(tagged, number, is_first)
    }

    /// Goes on by what a sample is told by, its kind apart.
    #[inline]
    fn forward(&mut self, tagged: u64, number: u64, is_first: bool) -> Option<()> {
        let longer = unzigzag(tagged >> 1);
        let step = u32::try_from(i64::from(self.step).wrapping_add(longer)).ok()?;
        self.value = match self.kind {
            BITS => self.value ^ number.reverse_bits(),
            _ => self.value.wrapping_add(unzigzag(number).cast_unsigned()),
        };
        self.time = self.time.wrapping_add(step);
        self.step = if is_first { 0 } else { step };
        Some(())
    }

    /// Goes back to the sample before, by the end of what tells this one; `None` when it is of
    /// another kind.
    #[inline]
    fn undo(&mut self, bytes: &mut &[u8]) -> Option<()> {
        let (tagged, number) = match *bytes {
            // Most take two bytes.
            [rest @ .., tagged, number]
                if tagged & 0x80 == 0 && rest.last().is_some_and(|before| before & 0x80 == 0) =>
            {
                *bytes = rest;
                (u64::from(*tagged), u64::from(*number))
            }
            _ => last_varints(bytes)?,
        };
        if tagged & 1 == 1 {
            return None;
        }
        self.value = match self.kind {
            BITS => self.value ^ number.reverse_bits(),
            _ => self.value.wrapping_sub(unzigzag(number).cast_unsigned()),
        };
        self.time = self.time.wrapping_sub(self.step);
        let longer = unzigzag(tagged >> 1);
        self.step = u32::try_from(i64::from(self.step).wrapping_sub(longer)).ok()?;
        Some(())
    }
}

/// Takes the two varints that the bytes end with.
#[inline(never)]
fn last_varints(bytes: &mut &[u8]) -> Option<(u64, u64)> {
    let number = last_varint(bytes)?;
    Some((last_varint(bytes)?, number))
}

/// Takes the varint that the bytes end with: the bytes of one before it end with one below 0x80.
fn last_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (last, mut rest) = bytes.split_last()?;
    let mut value = u64::from(*last);
    while let Some((byte, more)) = rest.split_last()
        && *byte >= 0x80
    {
        value = value << 7 | u64::from(byte & 0x7f);
        rest = more;
    }
    *bytes = rest;
    Some(value)
}

impl Open {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// No more should be put in.
    pub(super) fn is_full(&self) -> bool {
        self.count >= MOST || self.segments >= MOST_SEGMENTS
    }

    /// When the last of its samples is.
    pub(super) fn last_time(&self) -> Option<u32> {
        (self.count > 0).then_some(self.time)
    }

    fn last(&self) -> Last {
        Last { value: self.value, time: self.time, step: self.step, kind: self.kind }
    }

    /// Appends a sample that is later than all others.
    pub(super) fn put(&mut self, segments: &mut Segments, time: u32, value: f64) {
        let mut last = self.last();
        let packed = last.pack(time, value, self.count == 0);
        Last { value: self.value, time: self.time, step: self.step, kind: self.kind } = last;
        let bytes = packed.bytes.get(..packed.length).unwrap_or_default();
        if let Some(new) = segments.append(self.last_segment, bytes) {
            self.last_segment = new;
            self.segments = self.segments.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
    }

    /// A byte of where the next sample goes.
    pub(super) fn peek(&self, segments: &Segments) -> u8 {
        segments.get(self.last_segment).map_or(0, Segment::used)
    }

    /// Takes all samples out.
    pub(super) fn clear(&mut self, segments: &mut Segments) {
        segments.give_back(self.last_segment);
        *self = Self::default();
    }

    /// Hands each sample up to `end`, included, to `each`.
    fn each(&self, segments: &Segments, end: u32, mut each: impl FnMut(&Last)) {
        let mut all = Vec::with_capacity(usize::from(self.segments));
        let mut place = self.last_segment;
        while let Some(segment) = segments.get(place) {
            all.push(segment);
            place = segment.before();
        }
        let (mut last, mut is_first) = (Last::default(), true);
        for segment in all.iter().rev() {
            let mut bytes = Bytes(segment.bytes());
            while !bytes.0.is_empty() {
                if last.unpack(&mut bytes, is_first).is_none() || last.time > end {
                    return;
                }
                is_first = false;
                each(&last);
            }
        }
    }

    /// Hands the samples from the last one back to `each`, as long as it wants more; `None` when
    /// there are more that cannot be found so.
    fn each_back(&self, segments: &Segments, mut each: impl FnMut(&Last) -> bool) -> Option<()> {
        let (mut last, mut place) = (self.last(), self.last_segment);
        let mut bytes: &[u8] = &[];
        for left in (0..self.count).rev() {
            if !each(&last) || left == 0 {
                break;
            }
            if bytes.is_empty() {
                let segment = segments.get(place)?;
                (bytes, place) = (segment.bytes(), segment.before());
            }
            last.undo(&mut bytes)?;
        }
        Some(())
    }

    /// From the last sample back to the first that is not after `start`, at the ends of `back`, from
    /// the place on that this gives; `None` when not all of them can be found so.
    fn back_to(&self, segments: &Segments, start: u32, back: &mut Back) -> Option<usize> {
        let (mut last, mut place) = (self.last(), self.last_segment);
        let mut bytes: &[u8] = &[];
        let mut first = ROOM;
        let places = back.times.iter_mut().zip(&mut back.numbers).rev();
        for ((time, number), left) in places.zip((0..self.count).rev()) {
            (*time, *number) = (last.time, last.value);
            first -= 1;
            if last.time <= start || left == 0 {
                return Some(first);
            }
            if bytes.is_empty() {
                let segment = segments.get(place)?;
                (bytes, place) = (segment.bytes(), segment.before());
            }
            last.undo(&mut bytes)?;
        }
        None
    }

    /// Appends the samples from `start` to `end`, both included; `origin` is when the window begins.
    pub(super) fn read(
        &self,
        segments: &Segments,
        (start, end): (u32, u32),
        origin: i64,
        (times, values): &mut Columns,
    ) {
        if self.last_time().is_none_or(|last| last < start) {
            return;
        }
        if start > 0 {
            let mut back = Back { times: [0; ROOM], numbers: [0; ROOM] };
            if let Some(first) = self.back_to(segments, start, &mut back) {
                let of = back.times.get(first..).unwrap_or_default();
                let from = first + of.partition_point(|time| *time < start);
                let to = first + of.partition_point(|time| *time <= end);
                let absolute = |time: &u32| origin.wrapping_add(i64::from(*time));
                times.extend(back.times.get(from..to).unwrap_or_default().iter().map(absolute));
                let numbers = back.numbers.get(from..to).unwrap_or_default().iter();
                match self.kind {
                    BITS => values.extend(numbers.map(|bits| f64::from_bits(*bits))),
                    digits => from_decimals(numbers.map(|one| one.cast_signed()), digits, values),
                }
                return;
            }
        }
        let most = usize::from(self.count);
        times.reserve(most);
        values.reserve(most);
        self.each(segments, end, |one| {
            if one.time >= start {
                times.push(origin.wrapping_add(i64::from(one.time)));
                values.push(one.value());
            }
        });
    }

    /// The last sample up to `end`, included.
    pub(super) fn last_upto(&self, segments: &Segments, end: u32) -> Option<(u32, f64)> {
        let mut found = None;
        let back = |one: &Last| {
            found = (one.time <= end).then_some(*one);
            found.is_none()
        };
        if self.each_back(segments, back).is_none() {
            self.each(segments, end, |one| found = Some(*one));
        }
        found.map(|one| (one.time, one.value()))
    }

    /// Bytes in memory, beside itself.
    pub(super) fn bytes(&self) -> usize {
        usize::from(self.segments) * LINE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hallwatch_model::Missing;
    use hallwatch_model::sample::to_float;
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-5_000i32..5_000).prop_map(|v| f64::from(v) / 10.0),
            2 => (-5_000i32..5_000).prop_map(|v| f64::from(v) * 0.1),
            2 => any::<f32>().prop_map(f64::from),
            1 => any::<u64>().prop_map(f64::from_bits),
            1 => Just(to_float(Err(Missing::Exception(2)))),
            1 => Just(to_float(Err(Missing::Timeout))),
            1 => Just(f64::NAN),
            1 => Just(-0.0),
            1 => Just(9_007_199_254_740_993.0),
            1 => Just(f64::INFINITY),
        ]
    }

    fn samples() -> impl Strategy<Value = BTreeMap<u32, f64>> {
        // Of one kind, they are undone from the end.
        let tenths = (-5_000i32..5_000).prop_map(|v| f64::from(v) / 10.0);
        let floats = any::<f32>().prop_filter("finite", |v| v.is_finite()).prop_map(f64::from);
        prop_oneof![
            prop::collection::btree_map(0u32..7_200_000, any_value(), 0..200),
            prop::collection::btree_map(0u32..7_200_000, tenths, 0..200),
            prop::collection::btree_map(0u32..7_200_000, floats, 0..200),
        ]
    }

    proptest! {
        #[test]
        fn every_sample_comes_back_bit_by_bit(
            samples in samples(),
            from in 0u32..7_200_000,
            to in 0u32..7_200_000,
        ) {
            let (mut segments, mut open) = (Segments::default(), Open::default());
            for (time, value) in &samples {
                open.put(&mut segments, *time, *value);
            }
            for (from, to) in [(0, u32::MAX), (from, to)] {
                let mut read = (vec![1], vec![1.0]);
                open.read(&segments, (from, to), 1_000, &mut read);
                let (times, values) = read;
                let expected: Vec<_> = samples
                    .iter()
                    .filter(|(time, _)| (from..=to).contains(time))
                    .map(|(time, value)| (i64::from(*time) + 1_000, value.to_bits()))
                    .collect();
                let found = times.iter().copied().zip(values.iter().map(|value| value.to_bits()));
                prop_assert_eq!(found.skip(1).collect::<Vec<_>>(), expected);
                let last = samples.range(..=to).next_back().map(|(t, v)| (*t, v.to_bits()));
                let found = open.last_upto(&segments, to).map(|(t, v)| (t, v.to_bits()));
                prop_assert_eq!(found, last);
            }
            prop_assert_eq!(segments.bytes(), open.bytes());
            open.clear(&mut segments);
            prop_assert_eq!(segments.bytes(), 0);
        }
    }

    #[test]
    fn what_devices_say_takes_few_bytes() {
        let noise = |i: u32| u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let jitter = |i: u32| u32::try_from(noise(i + 7) % 8).unwrap();
        let bytes = |value: &dyn Fn(u32) -> f64| {
            let (mut segments, mut open) = (Segments::default(), Open::default());
            for i in 0..u32::from(MOST) {
                open.put(&mut segments, i * 30_000 + jitter(i), value(i));
            }
            assert!(open.count == MOST);
            open.bytes()
        };
        let slow = |i: u32| f64::from(i / 40 + 215) / 10.0;
        assert_eq!(bytes(&|_| 230.0), 5 * 64, "two bytes each");
        assert_eq!(bytes(&slow), 5 * 64);
        assert_eq!(bytes(&|i| (4_000 + noise(i) as u32) as f64), 5 * 64);
        assert_eq!(bytes(&|i| f64::from(i) * 40_000.0 + noise(i) as f64), 10 * 64, "four bytes");
        let gone = |i: u32| if i < 64 { slow(i) } else { to_float(Err(Missing::Timeout)) };
        assert_eq!(bytes(&gone), 5 * 64);
        assert!(bytes(&|i| f64::from(20.0 + f32::from(noise(i) as u8) / 7.0)) <= 15 * 64);
    }
}
