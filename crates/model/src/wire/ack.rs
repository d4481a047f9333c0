//! A collector's word on what is on its disk.

use prost::Message as _;

use super::{MAX_RANGES, VERSION, WireError, at_most, decode, v1};
use crate::batch::Ack;
use crate::time::Timestamp;

/// An acknowledgement as it is published.
#[must_use]
pub fn encode_ack(ack: &Ack) -> Vec<u8> {
    v1::Ack {
        version: VERSION,
        boot: ack.boot,
        upto: ack.upto,
        beyond: ack.beyond.iter().flat_map(|(first, last)| [*first, *last]).collect(),
        describe: ack.describe,
        store: ack.store,
        time: ack.time.as_millis(),
    }
    .encode_to_vec()
}

/// The inverse of [`encode_ack`].
///
/// # Errors
/// When the bytes are not an acknowledgement of this version, or its ranges are not ascending and
/// apart.
pub fn decode_ack(bytes: &[u8]) -> Result<Ack, WireError> {
    const MESSAGE: &str = "acknowledgement";
    let wire: v1::Ack = decode(MESSAGE, bytes, |m: &v1::Ack| m.version)?;
    let refuse = |reason| WireError::Field { message: MESSAGE, field: "range", reason };
    let (pairs, rest) = wire.beyond.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(refuse("it has a first and no last"));
    }
    at_most(MESSAGE, "ranges", pairs.len(), MAX_RANGES)?;
    let mut below = wire.upto;
    for [first, last] in pairs {
        if *first <= below || last < first {
            return Err(refuse("ranges must ascend and lie beyond what is contiguous"));
        }
        below = *last;
    }
    Ok(Ack {
        boot: wire.boot,
        upto: wire.upto,
        beyond: pairs.iter().map(|[first, last]| (*first, *last)).collect(),
        describe: wire.describe,
        store: wire.store,
        time: Timestamp::from_millis(wire.time),
    })
}
