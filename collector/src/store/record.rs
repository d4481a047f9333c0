//! What stands in the blobs of the log and of the series table.

use hallwatch_model::sample::from_float;
use hallwatch_model::{Labels, Sample, Timestamp};

use super::bytes::{Bytes, checksum, key, put_varint, seal, unseal, unzigzag, zigzag};
use super::decimal;

/// One sample of one series, by the store's number of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The number.
    pub series: u32,
    /// Milliseconds since 1970.
    pub time: i64,
    /// The value, or why there is none, as `hallwatch_model::sample::to_float` makes it.
    pub value: f64,
}

impl Point {
    /// The sample.
    #[must_use]
    pub fn sample(&self) -> Sample {
        Sample { time: Timestamp::from_millis(self.time), value: from_float(self.value) }
    }
}

/// Three bits of a value's varint say how many digits it has after the point; this says that the
/// float itself follows.
const RAW: u64 = 7;
const MOST_DIGITS: u8 = 4;

/// What a log row ends with when its agent says that it is old. Others end with their last point.
const BACKFILL: u8 = 1;

/// A log row.
pub(super) fn write_points(points: &[Point], backfill: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + points.len() * 6);
    put_varint(&mut out, points.len() as u64);
    let (mut series, mut time, mut digits) = (0i64, 0i64, 0u8);
    for point in points {
        put_varint(&mut out, zigzag(i64::from(point.series) - series));
        put_varint(&mut out, zigzag(point.time.wrapping_sub(time)));
        series = i64::from(point.series);
        time = point.time;
        let usual = decimal::decimal(point.value, digits).map(|integer| (integer, digits));
        let found = usual.or_else(|| {
            let found = |digits| Some((decimal::decimal(point.value, digits)?, digits));
            (0..=MOST_DIGITS).find_map(found)
        });
        if let Some((integer, needed)) = found {
            digits = needed;
            put_varint(&mut out, zigzag(integer) << 3 | u64::from(needed));
        } else {
            put_varint(&mut out, RAW);
            out.extend_from_slice(&point.value.to_le_bytes());
        }
    }
    if backfill {
        out.push(BACKFILL);
    }
    seal(out, 0)
}

/// The points of what [`write_points`] wrote; `None` when it is damaged.
pub(super) fn read_points(blob: &[u8]) -> Option<Vec<Point>> {
    read_row(blob).map(|(points, _)| points)
}

/// The inverse of [`write_points`]; `None` when it is damaged.
pub(super) fn read_row(blob: &[u8]) -> Option<(Vec<Point>, bool)> {
    let mut bytes = Bytes(unseal(blob, 0)?);
    let count = bytes.count()?;
    let mut points = Vec::with_capacity(count.min(bytes.0.len()));
    let (mut series, mut time) = (0i64, 0i64);
    for _ in 0..count {
        series = series.checked_add(bytes.signed()?)?;
        time = time.wrapping_add(bytes.signed()?);
        let tagged = bytes.varint()?;
        let value = if tagged == RAW {
            bytes.float()?
        } else {
            decimal::from_decimal(unzigzag(tagged >> 3), tagged.to_le_bytes()[0] & 7)?
        };
        points.push(Point { series: u32::try_from(series).ok()?, time, value });
    }
    Some((points, bytes.0.first() == Some(&BACKFILL)))
}

/// The checksum of a row of the dictionary table.
pub(super) fn sum_entry(agent: i64, dictionary: u64, id: u32, series: u32) -> u32 {
    let mut row = Vec::with_capacity(16);
    put_varint(&mut row, u64::from(id));
    put_varint(&mut row, u64::from(series));
    checksum(&row, key(agent, dictionary.cast_signed()))
}

/// The row `id` of the series table.
pub(super) fn write_labels(id: u32, labels: &Labels) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, labels.len() as u64);
    for label in labels {
        for text in [&label.name, &label.value] {
            put_varint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
    seal(out, u64::from(id))
}

/// The inverse of [`write_labels`]; `None` when it is damaged.
pub(super) fn read_labels(id: u32, blob: &[u8]) -> Option<Vec<(&str, &str)>> {
    let mut bytes = Bytes(unseal(blob, u64::from(id))?);
    let mut pairs = Vec::new();
    for _ in 0..bytes.count()? {
        let mut text = || {
            let length = bytes.count()?;
            std::str::from_utf8(bytes.take(length)?).ok()
        };
        pairs.push((text()?, text()?));
    }
    Some(pairs)
}

/// The sorted numbers of the series of a window.
pub(super) fn write_ids(window: i64, ids: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + ids.len());
    put_varint(&mut out, ids.len() as u64);
    let mut before = 0;
    for id in ids {
        put_varint(&mut out, u64::from(id - before));
        before = *id;
    }
    seal(out, window.cast_unsigned())
}

/// The inverse of [`write_ids`]; `None` when it is damaged.
pub(super) fn read_ids(window: i64, blob: &[u8]) -> Option<Vec<u32>> {
    let mut bytes = Bytes(unseal(blob, window.cast_unsigned())?);
    let count = bytes.count()?;
    let mut ids = Vec::with_capacity(count.min(bytes.0.len()));
    let mut id = 0u32;
    for _ in 0..count {
        id = id.checked_add(u32::try_from(bytes.varint()?).ok()?)?;
        ids.push(id);
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Missing;
    use hallwatch_model::sample::to_float;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_bit_by_bit() {
        let values = [
            0.0,
            -0.0,
            23.4,
            0.1 * 3.0,
            -1e300,
            f64::INFINITY,
            f64::NAN,
            to_float(Err(Missing::Exception(11))),
            9_007_199_254_740_991.0,
            9_007_199_254_740_993.0,
            1e-4,
            1e-5,
        ];
        let points: Vec<Point> = values
            .iter()
            .enumerate()
            .map(|(i, value)| Point {
                series: [1, u32::MAX, 7][i % 3],
                time: [0, i64::MIN, i64::MAX, 1_795_276_800_000][i % 4],
                value: *value,
            })
            .collect();
        for backfill in [false, true] {
            let (_, marked) = read_row(&write_points(&points, backfill)).unwrap();
            assert_eq!(marked, backfill);
        }
        let back = read_points(&write_points(&points, true)).unwrap();
        assert_eq!(back.len(), points.len());
        for (a, b) in back.iter().zip(&points) {
            assert_eq!((a.series, a.time), (b.series, b.time));
            assert_eq!(a.value.to_bits(), b.value.to_bits(), "{}", b.value);
        }
        let labels = Labels::metric("up", [("device", "ä\n"), ("site", "fra-1")]);
        let blob = write_labels(7, &labels);
        assert_eq!(read_labels(7, &blob).map(Labels::from_pairs), Some(labels));
        let ids = vec![1, 2, 900, u32::MAX];
        assert_eq!(read_ids(-4, &write_ids(-4, &ids)), Some(ids));
    }
}
