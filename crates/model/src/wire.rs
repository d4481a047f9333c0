//! The serialized twins of [`crate::batch`], version 1: protobuf, readings as packed columns.
//!
//! Every message starts with a version. A decoder refuses another version, and whatever is too
//! large or makes no sense, with an error that says what; unknown fields are ignored. It never
//! panics, and it allocates in proportion to the bytes it is given.
//!
//! What has been written once must stay readable: `tests/golden.rs` holds bytes of each message
//! that are never edited.
//!
//! Reading order: `v1` (the protobuf), then a module for each message: `batch` with `gap`,
//! `describe`, `status`, `ack`. Here is what they share: the limits, and what is refused.

mod ack;
mod batch;
mod describe;
mod gap;
mod status;
mod v1;

use thiserror::Error;

pub use ack::{decode_ack, encode_ack};
pub use batch::{decode_batch, decode_readings, encode_batch, encode_journalled, encode_readings};
pub use describe::{decode_describe, encode_describe};
pub use status::{decode_status, encode_status};

/// The version written here.
pub const VERSION: u32 = 1;
/// The largest message, in bytes. Brokers are configured for the same.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// The most series in one part of a dictionary.
pub const MAX_DESCRIBED: usize = 2_000;
/// The most readings in one entry: at 10 bytes each they fit into a message.
pub const MAX_READINGS: usize = 50_000;
/// The most events in one entry.
pub const MAX_EVENTS: usize = 1_000;
/// The most gaps in one entry.
pub const MAX_GAPS: usize = 256;
/// The most ranges of lost entries in one gap.
pub const MAX_GAP_RANGES: usize = 64;
/// The most labels of a series, its name among them.
pub const MAX_LABELS: usize = 32;
/// The longest label name, label value or text of an event, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// The most ranges beyond the contiguous ones in an acknowledgement.
pub const MAX_RANGES: usize = 1_024;

/// Why a message was refused.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// More than [`MAX_MESSAGE_BYTES`].
    #[error("a message has {bytes} bytes, at most {MAX_MESSAGE_BYTES} are read")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Not the protobuf that it should be.
    #[error("a message is not the protobuf of a {message}")]
    Protobuf {
        /// What was expected.
        message: &'static str,
        /// What the decoder found.
        #[source]
        source: prost::DecodeError,
    },
    /// Written by a version that is not spoken here.
    #[error("a {message} has version {version}, only version {VERSION} is read here")]
    Version {
        /// What was expected.
        message: &'static str,
        /// The version it says.
        version: u32,
    },
    /// A column has another length than its neighbours.
    #[error("a batch has {ids} ids, {times} times and {values} values: not the same number")]
    Columns {
        /// Series ids.
        ids: usize,
        /// Times.
        times: usize,
        /// Values.
        values: usize,
    },
    /// Too many of something.
    #[error("a {message} has {count} {what}, at most {most} are read")]
    TooMany {
        /// What was expected.
        message: &'static str,
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many may be.
        most: usize,
    },
    /// A field makes no sense.
    #[error("a {message} has a {field} that cannot be: {reason}")]
    Field {
        /// What was expected.
        message: &'static str,
        /// Which field.
        field: &'static str,
        /// Why it cannot be.
        reason: &'static str,
    },
}

/// Protobuf bytes to a message of the right version.
fn decode<M: prost::Message + Default>(
    message: &'static str,
    bytes: &[u8],
    version: impl Fn(&M) -> u32,
) -> Result<M, WireError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLarge { bytes: bytes.len() });
    }
    let decoded = M::decode(bytes).map_err(|source| WireError::Protobuf { message, source })?;
    match version(&decoded) {
        VERSION => Ok(decoded),
        version => Err(WireError::Version { message, version }),
    }
}

fn at_most(
    message: &'static str,
    what: &'static str,
    count: usize,
    most: usize,
) -> Result<(), WireError> {
    if count > most { Err(WireError::TooMany { message, what, count, most }) } else { Ok(()) }
}

/// Text that may stand in a label or a log line: short, without control characters.
fn check_text(message: &'static str, field: &'static str, text: &str) -> Result<(), WireError> {
    at_most(message, field, text.len(), MAX_TEXT_BYTES)?;
    if text.chars().any(char::is_control) {
        return Err(WireError::Field { message, field, reason: "it has a control character" });
    }
    Ok(())
}
