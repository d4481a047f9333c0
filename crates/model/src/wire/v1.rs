//! The messages of version 1 as protobuf. Field numbers are forever.

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
