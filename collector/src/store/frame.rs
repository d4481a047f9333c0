//! Samples of one series within one window of two hours, as they go from one collector to another.

use hallwatch_model::Labels;

use super::bytes::{Bytes, put_varint, seal, unseal};
use super::codec;
use super::head::window_of;

/// The longest frame on the wire, in bytes.
pub const MAX_FRAME_BYTES: usize = 16 << 20;
/// The most samples of a frame: one every 7 milliseconds.
const MAX_SAMPLES: usize = 1_000_000;
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
        codec::decode(bytes.0, &mut times, &mut values)?;
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
pub fn take_frame(buffer: &mut Vec<u8>) -> Result<Option<Frame>, NoFrame> {
    let Some(length) = buffer.first_chunk::<HEAD>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| NoFrame)?;
    if length > MAX_FRAME_BYTES {
        return Err(NoFrame);
    }
    let Some(blob) = buffer.get(HEAD..HEAD + length) else { return Ok(None) };
    let frame = Frame::read(blob).ok_or(NoFrame)?;
    buffer.drain(..HEAD + length);
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
        let mut came = Vec::new();
        let mut frames = Vec::new();
        for byte in wire {
            came.push(byte);
            frames.extend(take_frame(&mut came).unwrap());
        }
        assert!(came.is_empty());
        let bits = |frame: &Frame| frame.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(frames.len(), 2);
        for one in &frames {
            assert_eq!((&one.labels, one.own, &one.times), (&frame.labels, true, &frame.times));
            assert_eq!(bits(one), bits(&frame));
        }
        let two = Frame { times: vec![7_199_999, 7_200_000, 7_200_001, 7_200_002], ..frame };
        let mut wire = Vec::new();
        two.write(&mut wire);
        assert_eq!(take_frame(&mut wire), Err(NoFrame), "of two windows");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), seals in any::<bool>()) {
            if seals {
                let blob = seal(bytes, 0);
                bytes = u32::try_from(blob.len()).unwrap().to_le_bytes().to_vec();
                bytes.extend(blob);
            }
            while let Ok(Some(_)) = take_frame(&mut bytes) {}
        }
    }
}
