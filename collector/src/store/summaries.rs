//! A day of one series as bytes, summed up.

use hallwatch_promql::functions::summary::Summary;

use super::bytes::{Bytes, key, put_varint, seal, unseal, zigzag};
use super::codec::{put_times, put_values, take_times, take_values};
use super::head::WINDOW_MILLIS;

/// A day, milliseconds.
pub(super) const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// Windows of chunks in a day.
pub(super) const WINDOWS_PER_DAY: i64 = DAY_MILLIS / WINDOW_MILLIS;
/// The resolutions, milliseconds.
pub(super) const RESOLUTIONS: [i64; 2] = [60_000, 3_600_000];

/// Summaries of a day at most.
const MOST: usize = 1_440;

/// The column stands there already: it is the one of the last values.
const AS_LAST: u8 = 0;
const OWN: u8 = 1;

/// The day whose summaries a sample goes into: the first moment of a day belongs to the one before.
pub(super) fn day_of(time: i64) -> i64 {
    time.saturating_sub(1).div_euclid(DAY_MILLIS)
}

/// The day that a window of chunks lies in.
pub(super) fn day_of_window(window: i64) -> i64 {
    window.div_euclid(WINDOWS_PER_DAY)
}

/// The windows of chunks in a day.
pub(super) fn windows_of(day: i64) -> std::ops::Range<i64> {
    let first = day.saturating_mul(WINDOWS_PER_DAY);
    first..first.saturating_add(WINDOWS_PER_DAY)
}

/// The window of chunks that most samples of a summary with this end lie in.
pub(super) fn window_of_end(end: i64) -> i64 {
    end.saturating_sub(1).div_euclid(WINDOW_MILLIS)
}

fn place(resolution: i64, day: i64, series: u32) -> u64 {
    key(day, i64::from(series)).rotate_left(7) ^ resolution.cast_unsigned()
}

/// The blob of the table `rollup`.
pub(super) fn write(resolution: i64, day: i64, series: u32, summaries: &[Summary]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + summaries.len() * 4);
    put_varint(&mut out, summaries.len() as u64);
    let ends: Vec<i64> = summaries.iter().map(|summary| summary.end).collect();
    put_varint(&mut out, zigzag(ends.first().copied().unwrap_or(0)));
    put_times(&mut out, &ends, true);
    let column = |of: fn(&Summary) -> f64| summaries.iter().map(of).collect::<Vec<f64>>();
    let last = column(|summary| summary.last.1);
    put_values(&mut out, &last, true);
    for of in [
        (|summary| summary.first.1) as fn(&Summary) -> f64,
        |summary| summary.min,
        |summary| summary.max,
        |summary| summary.sum,
        |summary| f64::from(summary.count),
        |summary| back(summary, summary.first.0),
        |summary| back(summary, summary.last.0),
        |summary| summary.falls,
        |summary| summary.lost.map_or(-1.0, |(time, _)| back(summary, time)),
        |summary| summary.lost.map_or(0.0, |(_, value)| value),
    ] {
        let values = column(of);
        if values.iter().zip(&last).all(|(a, b)| a.to_bits() == b.to_bits()) {
            out.push(AS_LAST);
        } else {
            out.push(OWN);
            put_values(&mut out, &values, true);
        }
    }
    seal(out, place(resolution, day, series))
}

/// How long before the end, milliseconds.
#[expect(clippy::cast_precision_loss, reason = "at most an hour")]
fn back(summary: &Summary, time: i64) -> f64 {
    summary.end.saturating_sub(time) as f64
}

/// The inverse of [`write`]; `None` when it is damaged.
pub(super) fn read(resolution: i64, day: i64, series: u32, blob: &[u8]) -> Option<Vec<Summary>> {
    let mut bytes = Bytes(unseal(blob, place(resolution, day, series))?);
    let count = bytes.count().filter(|count| (1..=MOST).contains(count))?;
    let first = bytes.signed()?;
    let mut ends = Vec::with_capacity(count);
    take_times(&mut bytes, first, count, &mut ends, &mut |_, _| None)?;
    let mut last = Vec::with_capacity(count);
    take_values(&mut bytes, count, &mut last)?;
    let mut column = || {
        if bytes.byte()? == AS_LAST {
            return Some(last.clone());
        }
        let mut values = Vec::with_capacity(count);
        take_values(&mut bytes, count, &mut values)?;
        Some(values)
    };
    let (firsts, min, max, sum) = (column()?, column()?, column()?, column()?);
    let (counts, first_back, last_back) = (column()?, column()?, column()?);
    let (falls, lost_back, lost) = (column()?, column()?, column()?);
    let summary = |at: usize| {
        let end = *ends.get(at)?;
        let time = |back: f64| end.saturating_sub(number(back));
        let lost_back = *lost_back.get(at)?;
        Some(Summary {
            end,
            count: u32::try_from(number(*counts.get(at)?)).ok()?,
            first: (time(*first_back.get(at)?), *firsts.get(at)?),
            last: (time(*last_back.get(at)?), *last.get(at)?),
            min: *min.get(at)?,
            max: *max.get(at)?,
            sum: *sum.get(at)?,
            falls: *falls.get(at)?,
            lost: if lost_back < 0.0 { None } else { Some((time(lost_back), *lost.get(at)?)) },
        })
    };
    (0..count).map(summary).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "saturates; it was a small integer")]
fn number(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Missing;
    use hallwatch_model::sample::to_float;
    use hallwatch_promql::functions::summary::summarise;
    use proptest::prelude::*;

    use super::*;

    fn bits(summary: &Summary) -> (Vec<i64>, Vec<u64>) {
        let Summary { end, count, first, last, min, max, sum, falls, lost } = *summary;
        let (lost_at, lost) = lost.unwrap_or((-1, 0.0));
        let values = [first.1, last.1, min, max, sum, falls, lost];
        (
            vec![end, i64::from(count), first.0, last.0, lost_at],
            values.iter().map(|value| value.to_bits()).collect(),
        )
    }

    proptest! {
        #[test]
        fn a_day_comes_back_bit_by_bit(
            steps in prop::collection::vec((1i64..90_000, prop_oneof![
                8 => (-500i32..500).prop_map(|v| f64::from(v) / 10.0),
                1 => any::<u64>().prop_map(f64::from_bits),
                1 => Just(to_float(Err(Missing::Timeout))),
            ]), 1..900),
            day in -3i64..20_000,
        ) {
            let mut time = day * DAY_MILLIS;
            let times: Vec<i64> = steps.iter().map(|(step, _)| { time += step; time }).collect();
            let values: Vec<f64> = steps.iter().map(|(_, value)| *value).collect();
            let within = times.partition_point(|time| day_of(*time) == day);
            for resolution in RESOLUTIONS {
                let all = summarise(&times[..within], &values[..within], resolution);
                let blob = write(resolution, day, 7, &all);
                prop_assert_eq!(read(resolution, day, 8, &blob), None);
                let back = read(resolution, day, 7, &blob);
                let back: Vec<_> = back.unwrap_or_default().iter().map(bits).collect();
                prop_assert_eq!(back, all.iter().map(bits).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_first_moment_of_a_day_belongs_to_the_one_before() {
        assert_eq!((day_of(0), day_of(1), day_of(DAY_MILLIS)), (-1, 0, 0));
        assert_eq!((window_of_end(WINDOW_MILLIS), day_of_window(12)), (0, 1));
        assert_eq!(windows_of(1), 12..24);
    }
}
