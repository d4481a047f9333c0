//! Samples of one series within one window of two hours, as they go from one collector to another.

use hallwatch_model::Labels;

use super::bytes::{Bytes, put_varint, seal, unseal};
use super::codec;
use super::head::window_of;

/// The longest frame on the wire, in bytes.
pub const MAX_FRAME_BYTES: usize = 16 << 20;
/// The most samples of a frame: one every 7 milliseconds.
const MAX_SAMPLES: usize = 1_000_000;
/// What a frame takes beside its samples, as samples, about: each of them takes 16 bytes.
const OWN_SAMPLES: usize = 16;
/// Frames that are filled in together are handed over when they are [`Frame::samples`] like so
/// many: a few bytes can stand for a million.
pub const FILL_SAMPLES: usize = 1 << 18;
/// So many can come together, then: the last frame may be as large as any.
pub const MAX_FILL_SAMPLES: usize = FILL_SAMPLES + MAX_SAMPLES + OWN_SAMPLES;
/// The most labels of a series, and the longest text of them.
const MAX_LABELS: usize = 128;
const MAX_LABEL_BYTES: usize = 64 << 10;
/// What stands before each frame: its length.
const HEAD: usize = 4;

/// Samples of one series within one window, with the very bits that the store has.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The series.
    pub labels: Labels,
    /// It is one of the collector's own, such as `agent_up`: each collector has other samples of
    /// it.
    pub own: bool,
    /// Milliseconds since the epoch, ascending.
    pub times: Vec<i64>,
    /// The values.
    pub values: Vec<f64>,
}

impl Frame {
    /// The window that its samples lie in, when they lie in one and ascend.
    pub(super) fn window(&self) -> Option<i64> {
        let window = window_of(*self.times.first()?);
        let one = window_of(*self.times.last()?) == window;
        let ascend = self.times.windows(2).all(|pair| pair.first() < pair.last());
        (one && ascend && self.times.len() == self.values.len()).then_some(window)
    }

    /// How many samples take as much memory as it does, about.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.times.len() + OWN_SAMPLES
    }

    /// Appends it to `out`, after its length.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut blob = vec![u8::from(self.own)];
        put_varint(&mut blob, self.labels.len() as u64);
        for label in &self.labels {
            for text in [&label.name, &label.value] {
                put_varint(&mut blob, text.len() as u64);
                blob.extend_from_slice(text.as_bytes());
            }
        }
        blob.extend(codec::encode(&self.times, &self.values));
        let blob = seal(blob, 0);
        out.extend_from_slice(&u32::try_from(blob.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(blob);
    }

    fn read(blob: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(unseal(blob, 0)?);
        let own = match bytes.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let mut pairs = Vec::new();
        for _ in 0..bytes.count().filter(|count| (1..=MAX_LABELS).contains(count))? {
            let mut text = || {
                let length = bytes.count().filter(|length| *length <= MAX_LABEL_BYTES)?;
                std::str::from_utf8(bytes.take(length)?).ok()
            };
            pairs.push((text()?, text()?));
        }
        let labels = Labels::from_pairs(pairs);
        Bytes(bytes.0).count().filter(|count| *count <= MAX_SAMPLES)?;
        let (mut times, mut values) = (Vec::new(), Vec::new());
        codec::decode_quick(bytes.0, &mut times, &mut values)?;
        let frame = Self { labels, own, times, values };
        frame.window().map(|_| frame)
    }
}

/// What came over the wire is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a frame of samples")]
pub struct NoFrame;

/// Takes the first frame from the front of what has come so far; `None` when it is not whole yet.
///
/// # Errors
/// When it cannot be one.
pub fn take_frame(bytes: &mut &[u8]) -> Result<Option<Frame>, NoFrame> {
    let Some((length, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| NoFrame)?;
    if length > MAX_FRAME_BYTES {
        return Err(NoFrame);
    }
    let Some((blob, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let frame = Frame::read(blob).ok_or(NoFrame)?;
    *bytes = rest;
    Ok(Some(frame))
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Missing;
    use hallwatch_model::sample::to_float;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_comes_whole_with_every_bit_or_not_at_all() {
        let values = [
            1.5,
            f64::NAN,
            f64::from_bits(0x7ff0_0000_0000_0002),
            to_float(Err(Missing::Exception(2))),
        ];
        let frame = Frame {
            labels: Labels::metric("power_watts", [("device", "ä")]),
            own: true,
            times: vec![7_200_000, 7_200_001, 8_000_000, 14_399_999],
            values: values.into(),
        };
        let mut wire = Vec::new();
        frame.write(&mut wire);
        frame.write(&mut wire);
        let mut frames = Vec::new();
        let mut taken = 0;
        for end in 1..=wire.len() {
            let mut came = &wire[taken..end];
            frames.extend(take_frame(&mut came).unwrap());
            taken = end - came.len();
        }
        assert_eq!(taken, wire.len());
        let bits = |frame: &Frame| frame.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(frames.len(), 2);
        for one in &frames {
            assert_eq!((&one.labels, one.own, &one.times), (&frame.labels, true, &frame.times));
            assert_eq!(bits(one), bits(&frame));
        }
        let two = Frame { times: vec![7_199_999, 7_200_000, 7_200_001, 7_200_002], ..frame };
        let mut wire = Vec::new();
        two.write(&mut wire);
        assert_eq!(take_frame(&mut &*wire), Err(NoFrame), "of two windows");
    }

    /// As an earlier or another version might write it: its columns in `blob`.
    fn of_columns(columns: &[u8]) -> Vec<u8> {
        let mut blob = vec![0, 1, 1];
        blob.extend_from_slice(b"a");
        blob.push(1);
        blob.extend_from_slice(b"b");
        blob.extend_from_slice(columns);
        seal(blob, 0)
    }

    #[test]
    fn what_only_the_disk_has_is_no_frame() {
        let times: Vec<i64> = (0..500).map(|i| 7_200_000 + i * 1_000).collect();
        let uneven: Vec<i64> = times.iter().map(|time| time + time * time / 7 % 900).collect();
        let noise: Vec<f64> = times.iter().map(|time| (*time as f64).sqrt().sin()).collect();
        let saw: Vec<f64> = times.iter().map(|time| (time / 1_000 % 97 * 1_000) as f64).collect();
        for (times, values) in
            [(&times, &noise), (&times, &saw), (&uneven, &saw), (&uneven, &noise)]
        {
            let quick = Frame::read(&of_columns(&codec::encode(times, values))).unwrap();
            assert_eq!((&quick.times, &quick.values), (times, values));
            let packed = codec::compress(times, values);
            assert_eq!(Frame::read(&of_columns(&packed)), None);
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), seals in any::<bool>()) {
            if seals {
                let blob = seal(bytes, 0);
                bytes = u32::try_from(blob.len()).unwrap().to_le_bytes().to_vec();
                bytes.extend(blob);
            }
            let mut rest = &*bytes;
            while let Ok(Some(_)) = take_frame(&mut rest) {}
        }
    }
}
