//! What of an encoding lies within a time; the rest is not decoded where that can be.

use super::super::bytes::Bytes;
use super::super::decimal::take_scaled_between;
use super::super::pack::unpack_between;
use super::{ELSEWHERE, LINE, MOST, RESIDUALS, take_times, take_values};

/// Which of the times of an encoding those are that lie within the asked time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Placed {
    /// The number of the first of them.
    pub(in super::super) from: usize,
    /// How many there are, with those outside.
    pub(in super::super) of: usize,
}

/// Appends those of the times that stand under a number that lie within the asked time.
pub(in super::super) type PartElsewhere<'a> = dyn FnMut(u32, &mut Vec<i64>) -> Option<Placed> + 'a;

/// As [`super::decode_with`], but appends only what is from `start` to `end`, both included.
pub(in super::super) fn decode_between(
    bytes: &[u8],
    span: (i64, i64),
    (times, values): (&mut Vec<i64>, &mut Vec<f64>),
    elsewhere: &mut PartElsewhere<'_>,
) -> Option<()> {
    let (had_times, had_values) = (times.len(), values.len());
    let mut read = || {
        let mut bytes = Bytes(bytes);
        let count = bytes.count()?;
        if count == 0 {
            return Some(());
        }
        let first = (count <= MOST).then(|| bytes.signed())??;
        let from = take_times_between(&mut bytes, (first, count), span, times, elsewhere)?;
        let to = from + (times.len() - had_times);
        take_values_between(&mut bytes, count, (from, to), values)?;
        (values.len() - had_values == to - from).then_some(())
    };
    let whole = read();
    if whole.is_none() {
        times.truncate(had_times);
        values.truncate(had_values);
    }
    whole
}

/// As [`super::decode_times`], but appends only what is within `span`, both ends included.
pub(in super::super) fn decode_times_between(
    bytes: &[u8],
    span: (i64, i64),
    times: &mut Vec<i64>,
) -> Option<Placed> {
    let mut bytes = Bytes(bytes);
    let of = bytes.count().filter(|count| (1..=MOST).contains(count))?;
    let first = bytes.signed()?;
    let from = take_times_between(&mut bytes, (first, of), span, times, &mut |_, _| None)?;
    Some(Placed { from, of })
}

/// As [`take_times`], but appends only what is within `span`; gives the number of the first of it.
fn take_times_between(
    bytes: &mut Bytes<'_>,
    (first, count): (i64, usize),
    (start, end): (i64, i64),
    times: &mut Vec<i64>,
    elsewhere: &mut PartElsewhere<'_>,
) -> Option<usize> {
    let had = times.len();
    let mut skipped = 0;
    match *bytes.0.first()? {
        ELSEWHERE => {
            bytes.byte()?;
            let id = u32::try_from(bytes.varint()?).ok()?;
            let Placed { from, of } = elsewhere(id, times)?;
            return (of == count && from + (times.len() - had) <= count).then_some(from);
        }
        tag @ (LINE | RESIDUALS) => {
            bytes.byte()?;
            let line = Line::take(tag, first, bytes)?;
            let rest = count - 1;
            let (mut from, to) = line.near(rest, (start, end)).unwrap_or((0, rest));
            if first >= start {
                from = 0;
                times.push(first);
            } else {
                skipped = 1 + from;
            }
            line.unpack(bytes, rest, (from, to), times)?;
        }
        _ => {
            take_times(bytes, first, count, times, &mut |_, _| None)?;
            if times.len() - had != count {
                return None;
            }
        }
    }
    let added = times.get(had..)?;
    let from = added.partition_point(|time| *time < start);
    let to = added.partition_point(|time| *time <= end).max(from);
    times.truncate(had + to);
    times.drain(had..had + from);
    Some(skipped + from)
}

/// Times of which each is later than a straight line by less than `width` bits.
struct Line {
    /// Where the line begins; the first time after it is a step further.
    origin: i64,
    step: i64,
    width: u32,
}

impl Line {
    fn take(tag: u8, first: i64, bytes: &mut Bytes<'_>) -> Option<Self> {
        let step = bytes.varint()?.cast_signed();
        let (least, width) = match tag {
            LINE => (0, 0),
            _ => (bytes.signed()?, u32::from(bytes.byte()?)),
        };
        Some(Self { origin: first.wrapping_add(least), step, width })
    }

    /// From which one on, and before which, those of `count` are that may be from `start` to `end`;
    /// `None` where that cannot be told with 64 bits.
    fn near(&self, count: usize, (start, end): (i64, i64)) -> Option<(usize, usize)> {
        if self.step <= 0 || self.width > 31 {
            return None;
        }
        let latest = (1i64 << self.width) - 1;
        let earlier = start.checked_sub(self.origin)?.checked_sub(latest + 1)?;
        let upto = end.checked_sub(self.origin)?;
        let number =
            |distance: i64| usize::try_from(distance.div_euclid(self.step)).unwrap_or(0).min(count);
        let from = number(earlier);
        Some((from, number(upto).max(from)))
    }

    fn unpack(
        &self,
        bytes: &mut Bytes<'_>,
        count: usize,
        (from, to): (usize, usize),
        times: &mut Vec<i64>,
    ) -> Option<()> {
        let steps = i64::try_from(from).ok()?;
        let mut line = self.origin.wrapping_add(self.step.wrapping_mul(steps));
        unpack_between(bytes, self.width, count, (from, to), times, |later| {
            line = line.wrapping_add(self.step);
            line.wrapping_add(later.cast_signed())
        })
    }
}

/// As [`take_values`], but appends only those from the one numbered `from` on and before `to`.
fn take_values_between(
    bytes: &mut Bytes<'_>,
    count: usize,
    (from, to): (usize, usize),
    values: &mut Vec<f64>,
) -> Option<()> {
    let mut rest = *bytes;
    let tag = rest.byte()?;
    if let Some(part) = take_scaled_between(tag, &mut rest, count, (from, to), values) {
        return part;
    }
    let had = values.len();
    take_values(bytes, count, values)?;
    values.truncate(had + to);
    values.drain(had..had + from);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{compress_times, decode_times};
    use super::*;

    /// As devices are read: on time, some milliseconds late, now and then not at all, or anyhow.
    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let any = |step: BoxedStrategy<i64>| prop::collection::vec(step, 0..200);
        prop_oneof![
            any(Just(10_000).boxed()),
            any((9_900i64..10_100).boxed()),
            any(prop_oneof![9 => 9_990i64..10_010, 1 => Just(500_000)].boxed()),
            any((1i64..1 << 40).boxed()),
        ]
    }

    proptest! {
        #[test]
        fn a_part_of_the_times_is_the_part_of_all_of_them(
            first in prop_oneof![any::<i32>().prop_map(i64::from), Just(i64::MIN), Just(1 << 62)],
            steps in steps(),
            (a, b) in (0usize..202, 0usize..202),
            (before, after) in (-2i64..2, -2i64..2),
        ) {
            let mut times = vec![first];
            for step in steps {
                times.push(times[times.len() - 1] + step);
            }
            let at = |place: usize, by: i64| match place.checked_sub(1) {
                None => i64::MIN,
                Some(place) => times.get(place).map_or(i64::MAX, |time| time.saturating_add(by)),
            };
            let (start, end) = (at(a, before), at(b, after));
            let encoded = compress_times(&times);
            prop_assert_eq!(decode_times(&encoded), Some(times.clone()));
            let from = times.partition_point(|time| *time < start);
            let to = times.partition_point(|time| *time <= end).max(from);
            let mut part = vec![7];
            let placed = decode_times_between(&encoded, (start, end), &mut part);
            prop_assert_eq!(&part[1..], &times[from..to]);
            let placed = placed.unwrap();
            prop_assert_eq!(placed.of, times.len());
            prop_assert!(placed.from == from || part.len() == 1, "{placed:?}");
        }

        #[test]
        fn hostile_times_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            tag in 0u8..5,
            (start, end) in any::<(i64, i64)>(),
        ) {
            for (start, end) in [(start, end), (i64::MIN, i64::MAX)] {
                let mut encoded = vec![40, 0, tag];
                encoded.extend(&bytes);
                let mut times = Vec::new();
                if let Some(placed) = decode_times_between(&encoded, (start, end), &mut times) {
                    prop_assert!(placed.from + times.len() <= placed.of);
                }
            }
        }
    }
}
