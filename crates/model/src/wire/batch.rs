//! Batches, and the readings in them as they are journalled: packed columns.

use prost::Message as _;

use super::gap::{decode_gap, encode_gap};
use super::{
    MAX_EVENTS, MAX_GAPS, MAX_READINGS, VERSION, WireError, at_most, check_text, decode, v1,
};
use crate::batch::{Batch, Event, Reading, Readings, SeriesId};
use crate::sample::{from_float, to_float};
use crate::time::Timestamp;

/// Readings as they are journalled.
#[must_use]
pub fn encode_readings(readings: &Readings) -> Vec<u8> {
    let base = readings.readings.first().map_or(0, |first| first.time.as_millis());
    let mut before = base;
    let times = readings.readings.iter().map(|reading| {
        let step = reading.time.as_millis().wrapping_sub(before);
        before = reading.time.as_millis();
        step
    });
    v1::Readings {
        version: VERSION,
        dictionary: readings.dictionary,
        base,
        times: times.collect(),
        ids: readings.readings.iter().map(|reading| reading.series.0).collect(),
        values: readings.readings.iter().map(|reading| to_float(reading.value)).collect(),
        events: readings.events.iter().map(encode_event).collect(),
        gaps: readings.gaps.iter().map(encode_gap).collect(),
    }
    .encode_to_vec()
}

/// The inverse of [`encode_readings`].
///
/// # Errors
/// When the bytes are not readings of this version, or are beyond a limit.
pub fn decode_readings(bytes: &[u8]) -> Result<Readings, WireError> {
    const MESSAGE: &str = "batch";
    let wire: v1::Readings = decode(MESSAGE, bytes, |m: &v1::Readings| m.version)?;
    let (ids, times, values) = (wire.ids.len(), wire.times.len(), wire.values.len());
    if ids != times || ids != values {
        return Err(WireError::Columns { ids, times, values });
    }
    at_most(MESSAGE, "readings", ids, MAX_READINGS)?;
    at_most(MESSAGE, "events", wire.events.len(), MAX_EVENTS)?;
    at_most(MESSAGE, "gaps", wire.gaps.len(), MAX_GAPS)?;
    let mut time = wire.base;
    let columns = wire.ids.into_iter().zip(wire.times).zip(wire.values);
    let readings = columns
        .map(|((id, step), value)| {
            time = time.wrapping_add(step);
            Reading {
                series: SeriesId(id),
                time: Timestamp::from_millis(time),
                value: from_float(value),
            }
        })
        .collect();
    let mut events = Vec::with_capacity(wire.events.len());
    for event in wire.events {
        for text in [&event.device, &event.door, &event.person, &event.result] {
            check_text(MESSAGE, "event text", text)?;
        }
        events.push(Event {
            time: Timestamp::from_millis(event.time),
            device: event.device,
            door: event.door,
            person: event.person,
            result: event.result,
        });
    }
    let gaps = wire.gaps.into_iter().map(decode_gap).collect::<Result<_, _>>()?;
    Ok(Readings { dictionary: wire.dictionary, readings, events, gaps })
}

/// A batch around readings that are encoded already, straight from the journal. The `readings` of
/// `batch` are not looked at.
#[must_use]
pub fn encode_journalled(batch: &Batch, readings: Vec<u8>) -> Vec<u8> {
    v1::Batch {
        version: VERSION,
        boot: batch.boot,
        seq: batch.seq,
        oldest: batch.oldest,
        watermark: batch.watermark.as_millis(),
        backfill: batch.backfill,
        readings,
        sender: batch.sender,
    }
    .encode_to_vec()
}

/// A batch as it is published.
#[must_use]
pub fn encode_batch(batch: &Batch) -> Vec<u8> {
    encode_journalled(batch, encode_readings(&batch.readings))
}

/// The inverse of [`encode_batch`].
///
/// # Errors
/// When the bytes are not a batch of this version, or are beyond a limit.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, WireError> {
    const MESSAGE: &str = "batch";
    let wire: v1::Batch = decode(MESSAGE, bytes, |m: &v1::Batch| m.version)?;
    let refuse = |field, reason| Err(WireError::Field { message: MESSAGE, field, reason });
    if wire.seq == 0 {
        return refuse("sequence number", "they start at 1");
    }
    if wire.oldest == 0 || wire.oldest > wire.seq {
        return refuse("oldest sequence number", "it must lie between 1 and the batch's own");
    }
    Ok(Batch {
        boot: wire.boot,
        seq: wire.seq,
        oldest: wire.oldest,
        watermark: Timestamp::from_millis(wire.watermark),
        backfill: wire.backfill,
        sender: wire.sender,
        readings: decode_readings(&wire.readings)?,
    })
}

fn encode_event(event: &Event) -> v1::Event {
    v1::Event {
        time: event.time.as_millis(),
        device: event.device.clone(),
        door: event.door.clone(),
        person: event.person.clone(),
        result: event.result.clone(),
    }
}
