//! Samples as bytes. Two ways in, one way out: [`encode`] is quick and for the head, [`compress`]
//! tries harder and is for the disk; [`decode`] reads both.
//!
//! A column of times is a straight line, or its residuals from one; on disk it may stand elsewhere,
//! once for all points of a device that were read together. A column of values is one
//! number, or integers after scaling by a power of ten (sensors speak decimal), or what is left of
//! the bits after xor with the value before. The disk also gets `pco`, which packs noise best.
//! Every float comes back with the very same bits, NaN with its payload too.

mod part;

use pco::data_types::Number;
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use super::bytes::{Bytes, put_varint, zigzag};
use super::decimal::{Scaled, is_quick_scaled, take_scaled};
use super::pack::{pack, pack_from_least, unpack, unpack_from_least, width};
pub(super) use part::{Placed, decode_between, decode_times_between};

/// The most samples in one encoded block: one a millisecond for two hours.
pub(super) const MOST: usize = 7_200_000;
/// Room is made at once for so many samples of what is decoded: what claims more has to prove it.
const MOST_RESERVED: usize = 1_024;
/// `pco`'s levels beyond this cost more time than they save bytes.
const PCO_LEVEL: usize = 4;
/// Fewer numbers than this do not pay for `pco`'s header.
pub(super) const PCO_LEAST: usize = 32;

const LINE: u8 = 0;
const RESIDUALS: u8 = 1;
const STEPS: u8 = 2;
const STEPS_PCO: u8 = 3;
/// The times stand elsewhere, under a number.
const ELSEWHERE: u8 = 4;

const ONE: u8 = 0;
const XOR: u8 = 1;
const FLOATS_PCO: u8 = 2;

/// Quickly. `times` ascend strictly; both columns have the same length.
pub(super) fn encode(times: &[i64], values: &[f64]) -> Vec<u8> {
    write(times, values, false)
}

/// As small as it gets in reasonable time.
pub(super) fn compress(times: &[i64], values: &[f64]) -> Vec<u8> {
    write(times, values, true)
}

/// Values alone; their times are those that [`compress_times`] wrote under the number `id`.
pub(super) fn compress_values(id: u32, values: &[f64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + values.len());
    put_varint(&mut out, values.len() as u64);
    put_varint(&mut out, 0);
    out.push(ELSEWHERE);
    put_varint(&mut out, u64::from(id));
    put_values(&mut out, values, true);
    out
}

/// Times alone.
pub(super) fn compress_times(times: &[i64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + times.len());
    put_varint(&mut out, times.len() as u64);
    let Some(first) = times.first() else { return out };
    put_varint(&mut out, zigzag(*first));
    put_times(&mut out, times, true);
    out
}

/// The inverse of [`compress_times`].
pub(super) fn decode_times(bytes: &[u8]) -> Option<Vec<i64>> {
    let mut bytes = Bytes(bytes);
    let count = bytes.count().filter(|count| (1..=MOST).contains(count))?;
    let first = bytes.signed()?;
    let mut times = Vec::new();
    take_times(&mut bytes, first, count, &mut times, &mut |_, _| None)?;
    Some(times)
}

/// The number under which the times stand, when they stand elsewhere.
pub(super) fn times_elsewhere(bytes: &[u8]) -> Option<u32> {
    let mut bytes = Bytes(bytes);
    (bytes.count()? > 0).then_some(())?;
    bytes.signed()?;
    (bytes.byte()? == ELSEWHERE).then(|| bytes.varint())?.and_then(|id| u32::try_from(id).ok())
}

fn write(times: &[i64], values: &[f64], hard: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + values.len());
    put_varint(&mut out, values.len() as u64);
    let Some(first) = times.first() else { return out };
    put_varint(&mut out, zigzag(*first));
    put_times(&mut out, times, hard);
    put_values(&mut out, values, hard);
    out
}

/// Appends to both columns what [`encode`] wrote: nothing that only [`compress`] writes is read,
/// so that no more work is done than the numbers need. As [`decode`] otherwise.
pub(super) fn decode_quick(
    bytes: &[u8],
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Option<()> {
    is_quick(Bytes(bytes)).filter(|quick| *quick).and_then(|_| decode(bytes, times, values))
}

/// Whether there is nothing of `pco` in it.
fn is_quick(mut bytes: Bytes<'_>) -> Option<bool> {
    let count = bytes.count()?;
    let Some(steps) = count.checked_sub(1) else { return Some(true) };
    bytes.signed()?;
    match bytes.byte()? {
        LINE => {
            bytes.varint()?;
        }
        tag @ (RESIDUALS | STEPS) => {
            if tag == RESIDUALS {
                bytes.varint()?;
            }
            bytes.varint()?;
            let width = usize::from(bytes.byte()?);
            bytes.take(steps.checked_mul(width)?.div_ceil(8))?;
        }
        _ => return Some(false),
    }
    match bytes.byte()? {
        ONE | XOR => Some(true),
        FLOATS_PCO => Some(false),
        _ => is_quick_scaled(bytes, count),
    }
}

/// Appends to both columns what was encoded. `None`, with nothing appended, when the bytes are not
/// an encoding.
pub(super) fn decode(bytes: &[u8], times: &mut Vec<i64>, values: &mut Vec<f64>) -> Option<()> {
    decode_with(bytes, times, values, &mut |_, _| None)
}

/// As [`decode`]; `elsewhere` appends the times that stand under a number.
pub(super) fn decode_with(
    bytes: &[u8],
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
    elsewhere: &mut Elsewhere<'_>,
) -> Option<()> {
    let (had_times, had_values) = (times.len(), values.len());
    let read = read(Bytes(bytes), times, values, elsewhere);
    let whole = read.is_some() && times.len() - had_times == values.len() - had_values;
    if !whole {
        times.truncate(had_times);
        values.truncate(had_values);
    }
    whole.then_some(())
}

/// Appends times that stand elsewhere to a column.
pub(super) type Elsewhere<'a> = dyn FnMut(u32, &mut Vec<i64>) -> Option<()> + 'a;

fn read(
    mut bytes: Bytes<'_>,
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
    elsewhere: &mut Elsewhere<'_>,
) -> Option<()> {
    let count = bytes.count()?;
    if count == 0 {
        return Some(());
    }
    if count > MOST {
        return None;
    }
    let first = bytes.signed()?;
    times.reserve(count.min(MOST_RESERVED));
    values.reserve(count.min(MOST_RESERVED));
    take_times(&mut bytes, first, count, times, elsewhere)?;
    take_values(&mut bytes, count, values)
}

pub(super) fn put_times(out: &mut Vec<u8>, times: &[i64], hard: bool) {
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return };
    let steps = times.len() as u64 - 1;
    let span = last.wrapping_sub(*first).cast_unsigned();
    // To the nearest, so that jitter of the last time does not tilt the line.
    let step = span.saturating_add(steps / 2).checked_div(steps).unwrap_or(0);
    let residuals = times.iter().zip(0u64..).skip(1).map(|(time, i)| {
        let line = first.wrapping_add(step.wrapping_mul(i).cast_signed());
        time.wrapping_sub(line)
    });
    let (least, most) = bounds(residuals.clone());
    if (least, most) == (0, 0) {
        out.push(LINE);
        put_varint(out, step);
        return;
    }
    let differences = times.windows(2).map(|pair| match pair {
        [before, after] => after.wrapping_sub(*before).cast_unsigned(),
        _ => 0,
    });
    let shortest = differences.clone().min().unwrap_or(0);
    let longest = differences.clone().max().unwrap_or(0);
    let spread = width(most.wrapping_sub(least).cast_unsigned());
    let start = out.len();
    if spread <= width(longest - shortest) {
        out.push(RESIDUALS);
        put_varint(out, step);
        put_varint(out, zigzag(least));
        out.push(spread.to_le_bytes()[0]);
        pack(out, spread, residuals.map(|one| one.wrapping_sub(least).cast_unsigned()));
    } else {
        out.push(STEPS);
        pack_from_least(out, differences.clone());
    }
    if hard && times.len() >= PCO_LEAST {
        let differences: Vec<u64> = differences.collect();
        if let Some(packed) = pco_integers(&differences, out.len() - start) {
            out.truncate(start);
            out.push(STEPS_PCO);
            put_varint(out, packed.len() as u64);
            out.extend_from_slice(&packed);
        }
    }
}

/// The least and the greatest; zero of nothing.
pub(super) fn bounds(numbers: impl Iterator<Item = i64>) -> (i64, i64) {
    let start = (i64::MAX, i64::MIN);
    let (least, most) = numbers.fold(start, |(low, high), one| (low.min(one), high.max(one)));
    if least > most { (0, 0) } else { (least, most) }
}

pub(super) fn take_times(
    bytes: &mut Bytes<'_>,
    first: i64,
    count: usize,
    times: &mut Vec<i64>,
    elsewhere: &mut Elsewhere<'_>,
) -> Option<()> {
    let tag = bytes.byte()?;
    if tag == ELSEWHERE {
        let had = times.len();
        elsewhere(u32::try_from(bytes.varint()?).ok()?, times)?;
        return (times.len() - had == count).then_some(());
    }
    times.push(first);
    match tag {
        LINE => {
            let step = bytes.varint()?.cast_signed();
            times.extend(
                (1..count as u64).map(|i| first.wrapping_add(step.wrapping_mul(i.cast_signed()))),
            );
        }
        RESIDUALS => {
            let step = bytes.varint()?.cast_signed();
            let least = bytes.signed()?;
            let width = u32::from(bytes.byte()?);
            let mut line = first.wrapping_add(least);
            unpack(bytes, width, count - 1, times, |residual| {
                line = line.wrapping_add(step);
                line.wrapping_add(residual.cast_signed())
            })?;
        }
        STEPS => {
            let mut time = first;
            unpack_from_least(bytes, count - 1, times, |step| {
                time = time.wrapping_add(step.cast_signed());
                time
            })?;
        }
        STEPS_PCO => {
            let length = bytes.count()?;
            let steps: Vec<u64> = pco_decompress(bytes.take(length)?, count - 1)?;
            let mut time = first;
            times.extend(steps.iter().map(|step| {
                time = time.wrapping_add(step.cast_signed());
                time
            }));
        }
        _ => return None,
    }
    Some(())
}

pub(super) fn put_values(out: &mut Vec<u8>, values: &[f64], hard: bool) {
    let Some(first) = values.first() else { return };
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        out.push(ONE);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    let start = out.len();
    if let Some(scaled) = Scaled::of(values) {
        scaled.put(out, hard);
    } else {
        put_xor(out, values);
        if hard
            && values.len() >= PCO_LEAST
            && let Some(packed) = pco_floats(values, out.len() - start)
        {
            out.truncate(start);
            out.push(FLOATS_PCO);
            put_varint(out, packed.len() as u64);
            out.extend_from_slice(&packed);
        }
    }
}

pub(super) fn take_values(
    bytes: &mut Bytes<'_>,
    count: usize,
    values: &mut Vec<f64>,
) -> Option<()> {
    match bytes.byte()? {
        ONE => {
            let value = bytes.float()?;
            values.extend(std::iter::repeat_n(value, count));
        }
        XOR => {
            let mut before = bytes.float()?.to_bits();
            let shift = u32::from(bytes.byte()?);
            let width = u32::from(bytes.byte()?);
            values.push(f64::from_bits(before));
            unpack(bytes, width, count - 1, values, |rest| {
                before ^= rest.checked_shl(shift).unwrap_or(0);
                f64::from_bits(before)
            })?;
        }
        FLOATS_PCO => {
            let length = bytes.count()?;
            values.extend(pco_decompress::<f64>(bytes.take(length)?, count)?);
        }
        tag => take_scaled(tag, bytes, count, values)?,
    }
    Some(())
}

fn put_xor(out: &mut Vec<u8>, values: &[f64]) {
    let Some(first) = values.first() else { return };
    let rest = values.windows(2).map(|pair| match pair {
        [before, after] => before.to_bits() ^ after.to_bits(),
        _ => 0,
    });
    let all = rest.clone().fold(0, |all, one| all | one);
    let shift = if all == 0 { 0 } else { all.trailing_zeros() };
    let width = width(all >> shift);
    out.push(XOR);
    out.extend_from_slice(&first.to_le_bytes());
    out.push(shift.to_le_bytes()[0]);
    out.push(width.to_le_bytes()[0]);
    pack(out, width, rest.map(|one| one >> shift));
}

/// Integers by `pco`; `None` when that is no smaller than what there is already.
pub(super) fn pco_integers<T: Number + Integer>(numbers: &[T], than: usize) -> Option<Vec<u8>> {
    // It would find out by itself, in five times the time that it takes when it is told.
    let config = ChunkConfig::default()
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(DeltaSpec::TryConsecutive(differences_of(numbers)));
    pco_compress(numbers, config, than)
}

/// As [`pco_integers`], floats.
fn pco_floats(numbers: &[f64], than: usize) -> Option<Vec<u8>> {
    pco_compress(numbers, ChunkConfig::default(), than)
}

fn pco_compress<T: Number>(numbers: &[T], config: ChunkConfig, than: usize) -> Option<Vec<u8>> {
    let config = config.with_compression_level(PCO_LEVEL);
    pco::standalone::simple_compress(numbers, &config).ok().filter(|packed| packed.len() + 3 < than)
}

/// How often to take differences of neighbours, up to twice, so that few bits are left.
fn differences_of<T: Integer>(numbers: &[T]) -> usize {
    let mut rest: Vec<i64> = numbers.iter().map(|number| number.bits()).collect();
    let mut best = (bits(&rest), 0);
    for order in 1..=2 {
        let pairs = rest.windows(2).map(|pair| match pair {
            [before, after] => after.wrapping_sub(*before),
            _ => 0,
        });
        rest = pairs.collect();
        best = best.min((bits(&rest), order));
    }
    best.1
}

/// So many bits do numbers need beyond what they have in common, all together.
fn bits(numbers: &[i64]) -> u64 {
    let mut sorted = numbers.to_vec();
    if sorted.is_empty() {
        return 0;
    }
    let (_, median, _) = sorted.select_nth_unstable(numbers.len() / 2);
    numbers.iter().map(|number| u64::from(width(number.abs_diff(*median)))).sum()
}

/// An integer of 64 bits, whichever sign it has.
pub(super) trait Integer: Copy {
    fn bits(self) -> i64;
}

impl Integer for i64 {
    fn bits(self) -> i64 {
        self
    }
}

impl Integer for u64 {
    fn bits(self) -> i64 {
        self.cast_signed()
    }
}

/// Numbers by `pco`; `None` when they are not so many.
pub(super) fn pco_decompress<T: Number + Default>(packed: &[u8], count: usize) -> Option<Vec<T>> {
    // In a place that is as large as it says: a few bytes can stand for any number of numbers.
    let mut numbers = vec![T::default(); count];
    let read = pco::standalone::simple_decompress_into(packed, &mut numbers).ok()?;
    (read.finished && read.n_processed == count).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Missing;
    use hallwatch_model::sample::to_float;
    use proptest::prelude::*;

    use super::*;

    fn round_trip(times: &[i64], values: &[f64]) -> (usize, usize) {
        let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let encoded = [encode(times, values), compress(times, values)];
        let (mut t, mut v) = (Vec::new(), Vec::new());
        decode_quick(&encoded[0], &mut t, &mut v).unwrap();
        assert_eq!((&*t, bits(&v)), (times, bits(values)));
        for bytes in &encoded {
            let (mut t, mut v) = (vec![7], vec![7.0]);
            decode(bytes, &mut t, &mut v).unwrap();
            assert_eq!(&t[1..], times);
            assert_eq!(bits(&v[1..]), bits(values));
            for (from, to) in [(0, 0), (0, 1), (1, 2), (3, 70), (64, 65), (90, 300), (0, 300)] {
                let to = to.min(times.len());
                let Some(start) = times.get(from).copied() else { continue };
                // Before the first time of all nothing ends.
                let before = times.get(to).map_or(Some(i64::MAX), |time| time.checked_sub(1));
                let Some(end) = before else { continue };
                let (mut t, mut v) = (vec![7], vec![7.0]);
                let both = (&mut t, &mut v);
                decode_between(bytes, (start, end), both, &mut |_, _| None).unwrap();
                assert_eq!(t[1..], times[from..to]);
                assert_eq!(bits(&v[1..]), bits(&values[from..to]));
            }
        }
        (encoded[0].len(), encoded[1].len())
    }

    #[test]
    fn facility_values_take_few_bytes() {
        let times: Vec<i64> = (0..720).map(|i| 1_795_276_800_000 + i * 10_000).collect();
        let noise = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let constant = vec![230.0; 720];
        let slow: Vec<f64> = (0..720).map(|i| f64::from(i / 40 + 215) / 10.0).collect();
        let product: Vec<f64> = (0..720).map(|i| f64::from(i / 40 + 215) * 0.1).collect();
        let noisy: Vec<f64> = (0..720).map(|i| 4_000.0 + noise(i) as f64).collect();
        assert!(round_trip(&times, &constant).1 < 30);
        assert!(round_trip(&times, &slow).1 < 150);
        assert!(round_trip(&times, &product).1 < 150);
        assert!(round_trip(&times, &noisy).1 < 900);
        let mut gone = slow;
        gone[100..300].fill(to_float(Err(Missing::Timeout)));
        gone[400] = f64::NAN;
        gone[401] = -0.0;
        assert!(round_trip(&times, &gone).1 < 250);
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-5_000i32..5_000).prop_map(|v| f64::from(v) / 10.0),
            (-5_000i32..5_000).prop_map(|v| f64::from(v) * 0.1),
            (0u32..2).prop_map(f64::from),
            Just(to_float(Err(Missing::Exception(2)))),
            Just(-0.0),
        ]
    }

    proptest! {
        #[test]
        fn every_column_comes_back_bit_by_bit(
            steps in prop::collection::vec(prop_oneof![Just(1_000u64), 1u64..50_000], 0..300),
            values in prop::collection::vec(any_value(), 300),
            same in any::<bool>(),
            start in prop_oneof![Just(0i64), any::<i32>().prop_map(i64::from)],
        ) {
            let mut time = start;
            let times: Vec<i64> = steps.iter().map(|step| { time += step.cast_signed(); time }).collect();
            let mut values = values[..times.len()].to_vec();
            if same {
                values.sort_by(f64::total_cmp);
            }
            round_trip(&times, &values);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            let read = decode_quick(&bytes, &mut times, &mut values);
            prop_assert!(read.is_some() || times.is_empty());
            times.clear();
            values.clear();
            let read = decode(&bytes, &mut times, &mut values);
            prop_assert_eq!(times.len(), values.len());
            prop_assert!(read.is_some() || times.is_empty());
            let both = (&mut vec![], &mut vec![]);
            decode_between(&bytes, (10, 1_000), both, &mut |_, _| None);
        }
    }

    #[test]
    fn extreme_times_come_back() {
        let regular: Vec<i64> = (0..100).map(|i| 10_000 * i + i % 8).collect();
        let (quick, hard) = round_trip(&regular, &[1.0; 100]);
        assert!(quick < 60 && hard < 60, "three bits of jitter take {quick} and {hard} bytes");
        round_trip(&[i64::MIN, 0, i64::MAX], &[1.0, 2.0, 3.5]);
        round_trip(&[i64::MIN, i64::MAX], &[1.0, 1.0]);
        round_trip(&[5], &[f64::NEG_INFINITY]);
    }

    /// The most memory that the process ever had, in bytes.
    fn peak() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0) * 1_024
    }

    #[test]
    fn what_says_that_it_is_more_than_it_claims_takes_no_memory() {
        use pco::standalone::FileCompressor;
        let part = vec![1.5f64; 1 << 18];
        let compressor = FileCompressor::default();
        let mut packed = Vec::new();
        compressor.write_header(&mut packed).unwrap();
        for _ in 0..256 {
            let mut chunk = compressor.chunk_compressor(&part, &ChunkConfig::default()).unwrap();
            chunk.write(&mut packed).unwrap();
        }
        compressor.write_footer(&mut packed).unwrap();
        assert!(packed.len() < 64 << 10, "{} bytes", packed.len());
        let before = peak();
        for count in [0, 1, 4, 1 << 18, 300_000] {
            assert_eq!(pco_decompress::<f64>(&packed, count), None, "{count}");
        }
        let more = peak() - before;
        assert!(more < 256 << 20, "{more} bytes for {} bytes", packed.len());
    }

    #[test]
    fn as_many_as_it_claims_come_of_pco_and_no_fewer() {
        for length in [1, 255, 256, 257, 512, 700_000] {
            let numbers: Vec<u64> = (0..length).map(|i| i * i % 1_000_003).collect();
            let packed = pco::standalone::simple_compress(&numbers, &ChunkConfig::default());
            let packed = packed.unwrap();
            let length = numbers.len();
            for wrong in [length - 1, length + 1, 2 * length, 0] {
                assert_eq!(pco_decompress::<u64>(&packed, wrong), None, "{wrong} of {length}");
            }
            for cut in [packed.len() - 1, packed.len() / 2] {
                assert_eq!(pco_decompress::<u64>(&packed[..cut], length), None, "{cut}");
            }
            assert_eq!(pco_decompress(&packed, length), Some(numbers));
        }
        assert_eq!(pco_decompress::<u64>(&[], 0), None);
    }
}
