//! How an agent says that it is there, and how it is.

use prost::Message as _;

use super::{VERSION, WireError, check_text, decode, v1};
use crate::batch::Status;
use crate::time::Timestamp;

/// A status as it is published.
#[must_use]
pub fn encode_status(status: &Status) -> Vec<u8> {
    v1::Status {
        version: VERSION,
        boot: status.boot,
        online: status.online,
        agent_version: status.version.clone(),
        started: status.started.as_millis(),
        sent: status.sent.as_millis(),
        backlog: status.backlog,
        journal_bytes: status.journal_bytes,
        durable: status.durable,
        clock_offset: status.clock_offset,
        clock_steps: status.clock_steps,
        clock_unset: status.clock_unset,
        written_bytes: status.written_bytes,
        written_readings: status.written_readings,
        disk_free: status.disk_free,
        disk_size: status.disk_size,
        broker_refusals: status.broker_refusals,
    }
    .encode_to_vec()
}

/// The inverse of [`encode_status`].
///
/// # Errors
/// When the bytes are not a status of this version, or are beyond a limit.
pub fn decode_status(bytes: &[u8]) -> Result<Status, WireError> {
    let wire: v1::Status = decode("status", bytes, |m: &v1::Status| m.version)?;
    check_text("status", "agent version", &wire.agent_version)?;
    Ok(Status {
        boot: wire.boot,
        online: wire.online,
        version: wire.agent_version,
        started: Timestamp::from_millis(wire.started),
        sent: Timestamp::from_millis(wire.sent),
        backlog: wire.backlog,
        journal_bytes: wire.journal_bytes,
        durable: wire.durable,
        clock_offset: wire.clock_offset,
        clock_steps: wire.clock_steps,
        clock_unset: wire.clock_unset,
        written_bytes: wire.written_bytes,
        written_readings: wire.written_readings,
        disk_free: wire.disk_free,
        disk_size: wire.disk_size,
        broker_refusals: wire.broker_refusals,
    })
}
