//! The serialized twins of [`crate::batch`], version 1: protobuf, readings as packed columns.
//!
//! Every message starts with a version. A decoder refuses another version, and whatever is too
//! large or makes no sense, with an error that says what; unknown fields are ignored. It never
//! panics, and it allocates in proportion to the bytes it is given.
//!
//! What has been written once must stay readable: `tests/golden.rs` holds bytes of each message
//! that are never edited.

use prost::Message as _;
use thiserror::Error;

use crate::batch::{Ack, Batch, Describe, Event, Gap, Reading, Readings, SeriesId, Status};
use crate::labels::{Labels, METRIC_NAME};
use crate::sample::{from_float, to_float};
use crate::time::Timestamp;

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

mod v1 {
    //! Field numbers are forever.

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Batch {
        #[prost(uint32, tag = "1")]
        pub(super) version: u32,
        #[prost(fixed64, tag = "2")]
        pub(super) boot: u64,
        #[prost(uint64, tag = "3")]
        pub(super) seq: u64,
        #[prost(uint64, tag = "4")]
        pub(super) oldest: u64,
        #[prost(sint64, tag = "5")]
        pub(super) watermark: i64,
        #[prost(bool, tag = "6")]
        pub(super) backfill: bool,
        /// The bytes of [`Readings`], as journalled.
        #[prost(bytes = "vec", tag = "7")]
        pub(super) readings: Vec<u8>,
        #[prost(fixed64, tag = "8")]
        pub(super) sender: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Readings {
        #[prost(uint32, tag = "1")]
        pub(super) version: u32,
        #[prost(fixed64, tag = "2")]
        pub(super) dictionary: u64,
        #[prost(sint64, tag = "3")]
        pub(super) base: i64,
        #[prost(uint32, repeated, tag = "4")]
        pub(super) ids: Vec<u32>,
        /// Each time less the one before it; the first less `base`.
        #[prost(sint64, repeated, tag = "5")]
        pub(super) times: Vec<i64>,
        #[prost(double, repeated, tag = "6")]
        pub(super) values: Vec<f64>,
        #[prost(message, repeated, tag = "7")]
        pub(super) events: Vec<Event>,
        #[prost(message, repeated, tag = "8")]
        pub(super) gaps: Vec<Gap>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Gap {
        #[prost(sint64, tag = "1")]
        pub(super) first: i64,
        #[prost(sint64, tag = "2")]
        pub(super) last: i64,
        #[prost(string, tag = "3")]
        pub(super) cause: String,
        #[prost(string, tag = "4")]
        pub(super) device: String,
        #[prost(uint64, tag = "5")]
        pub(super) entries: u64,
        #[prost(uint64, tag = "6")]
        pub(super) readings: u64,
        #[prost(bool, tag = "7")]
        pub(super) open: bool,
        #[prost(message, repeated, tag = "8")]
        pub(super) ranges: Vec<Range>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Range {
        #[prost(fixed64, tag = "1")]
        pub(super) boot: u64,
        #[prost(uint64, tag = "2")]
        pub(super) first: u64,
        #[prost(uint64, tag = "3")]
        pub(super) last: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Event {
        #[prost(sint64, tag = "1")]
        pub(super) time: i64,
        #[prost(string, tag = "2")]
        pub(super) device: String,
        #[prost(string, tag = "3")]
        pub(super) door: String,
        #[prost(string, tag = "4")]
        pub(super) person: String,
        #[prost(string, tag = "5")]
        pub(super) result: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Describe {
        #[prost(uint32, tag = "1")]
        pub(super) version: u32,
        #[prost(fixed64, tag = "2")]
        pub(super) dictionary: u64,
        #[prost(uint32, tag = "3")]
        pub(super) part: u32,
        #[prost(message, repeated, tag = "4")]
        pub(super) series: Vec<Series>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Series {
        #[prost(uint32, tag = "1")]
        pub(super) id: u32,
        /// Names and values in turn.
        #[prost(string, repeated, tag = "2")]
        pub(super) labels: Vec<String>,
        /// Milliseconds from one reading to the next; 0 when nobody knows.
        #[prost(uint32, tag = "3")]
        pub(super) interval: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(uint32, tag = "1")]
        pub(super) version: u32,
        #[prost(fixed64, tag = "2")]
        pub(super) boot: u64,
        #[prost(bool, tag = "3")]
        pub(super) online: bool,
        #[prost(string, tag = "4")]
        pub(super) agent_version: String,
        #[prost(sint64, tag = "5")]
        pub(super) started: i64,
        #[prost(sint64, tag = "6")]
        pub(super) sent: i64,
        #[prost(uint64, tag = "7")]
        pub(super) backlog: u64,
        #[prost(uint64, tag = "8")]
        pub(super) journal_bytes: u64,
        #[prost(bool, tag = "9")]
        pub(super) durable: bool,
        #[prost(sint64, tag = "10")]
        pub(super) clock_offset: i64,
        #[prost(uint64, tag = "11")]
        pub(super) clock_steps: u64,
        #[prost(bool, tag = "12")]
        pub(super) clock_unset: bool,
        #[prost(uint64, tag = "13")]
        pub(super) written_bytes: u64,
        #[prost(uint64, tag = "14")]
        pub(super) written_readings: u64,
        #[prost(uint64, tag = "15")]
        pub(super) disk_free: u64,
        #[prost(uint64, tag = "16")]
        pub(super) disk_size: u64,
        #[prost(uint64, tag = "17")]
        pub(super) broker_refusals: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Ack {
        #[prost(uint32, tag = "1")]
        pub(super) version: u32,
        #[prost(fixed64, tag = "2")]
        pub(super) boot: u64,
        #[prost(uint64, tag = "3")]
        pub(super) upto: u64,
        /// First and last of each range in turn.
        #[prost(uint64, repeated, tag = "4")]
        pub(super) beyond: Vec<u64>,
        #[prost(bool, tag = "5")]
        pub(super) describe: bool,
        #[prost(fixed64, tag = "6")]
        pub(super) store: u64,
        #[prost(sint64, tag = "7")]
        pub(super) time: i64,
    }
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

fn encode_gap(gap: &Gap) -> v1::Gap {
    let range = |(boot, first, last): &(u64, u64, u64)| v1::Range {
        boot: *boot,
        first: *first,
        last: *last,
    };
    v1::Gap {
        first: gap.first.as_millis(),
        last: gap.last.as_millis(),
        cause: gap.cause.clone(),
        device: gap.device.clone(),
        entries: gap.entries,
        readings: gap.readings,
        open: gap.open,
        ranges: gap.ranges.iter().map(range).collect(),
    }
}

fn decode_gap(gap: v1::Gap) -> Result<Gap, WireError> {
    const MESSAGE: &str = "batch";
    let refuse = |field, reason| Err(WireError::Field { message: MESSAGE, field, reason });
    check_text(MESSAGE, "device of a gap", &gap.device)?;
    check_text(MESSAGE, "cause of a gap", &gap.cause)?;
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    if gap.cause.is_empty() || !gap.cause.chars().all(word) {
        return refuse("cause of a gap", "it must be a word of `a-z` and `_`");
    }
    if gap.last < gap.first {
        return refuse("gap", "it ends before it begins");
    }
    at_most(MESSAGE, "ranges of a gap", gap.ranges.len(), MAX_GAP_RANGES)?;
    if gap.ranges.iter().any(|range| range.first == 0 || range.last < range.first) {
        return refuse("range of a gap", "numbers start at 1, and the last is not below the first");
    }
    Ok(Gap {
        first: Timestamp::from_millis(gap.first),
        last: Timestamp::from_millis(gap.last),
        cause: gap.cause,
        device: gap.device,
        entries: gap.entries,
        readings: gap.readings,
        open: gap.open,
        ranges: gap.ranges.iter().map(|range| (range.boot, range.first, range.last)).collect(),
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

/// A part of a dictionary as it is published.
#[must_use]
pub fn encode_describe(describe: &Describe) -> Vec<u8> {
    let interval =
        |id| describe.intervals.iter().find(|(known, _)| *known == id).map(|(_, ms)| *ms);
    let series = describe.series.iter().map(|(id, labels)| v1::Series {
        id: id.0,
        interval: interval(*id).unwrap_or(0),
        labels: labels.iter().flat_map(|l| [l.name.to_string(), l.value.to_string()]).collect(),
    });
    v1::Describe {
        version: VERSION,
        dictionary: describe.dictionary,
        part: describe.part,
        series: series.collect(),
    }
    .encode_to_vec()
}

/// The inverse of [`encode_describe`].
///
/// # Errors
/// When the bytes are not a dictionary of this version, are beyond a limit, or a series has no
/// name or a label that Prometheus would refuse.
pub fn decode_describe(bytes: &[u8]) -> Result<Describe, WireError> {
    const MESSAGE: &str = "dictionary";
    let wire: v1::Describe = decode(MESSAGE, bytes, |m: &v1::Describe| m.version)?;
    at_most(MESSAGE, "series", wire.series.len(), MAX_DESCRIBED)?;
    let mut series = Vec::with_capacity(wire.series.len());
    let mut intervals = Vec::new();
    for one in wire.series {
        series.push((SeriesId(one.id), decode_labels(&one.labels)?));
        if one.interval > 0 {
            intervals.push((SeriesId(one.id), one.interval));
        }
    }
    Ok(Describe { dictionary: wire.dictionary, part: wire.part, series, intervals })
}

fn decode_labels(texts: &[String]) -> Result<Labels, WireError> {
    const MESSAGE: &str = "dictionary";
    let refuse = |field, reason| WireError::Field { message: MESSAGE, field, reason };
    let (pairs, rest) = texts.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(refuse("label", "it has a name and no value"));
    }
    at_most(MESSAGE, "labels of one series", pairs.len(), MAX_LABELS)?;
    for [name, value] in pairs {
        check_text(MESSAGE, "label name", name)?;
        check_text(MESSAGE, "label value", value)?;
        if !is_label_name(name) {
            return Err(refuse("label name", "only letters, digits and `_`, no digit first"));
        }
    }
    let labels = Labels::from_pairs(pairs.iter().map(|[n, v]| (n.as_str(), v.as_str())));
    match labels.name() {
        Some(name) if is_label_name(name) => Ok(labels),
        Some(_) => Err(refuse("metric name", "only letters, digits and `_`, no digit first")),
        None => Err(refuse(METRIC_NAME, "there is none")),
    }
}

fn is_label_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

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
