//! What goes into the store and what comes of it.

use std::time::Duration;

use hallwatch_model::{AgentPath, Batch, Labels, Sample, Timestamp};

/// How a store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Samples older than this are deleted, and not taken any more; `None` keeps them for ever.
    pub retention_age: Option<Duration>,
    /// How long the samples of a day are kept summed up by minutes; `None` makes no such summaries.
    pub minute_age: Option<Duration>,
    /// How long they are kept summed up by hours; `None` makes no such summaries.
    pub hour_age: Option<Duration>,
    /// The oldest chunks are deleted when chunks, summaries and log together have more bytes than this;
    /// `None` sets no limit.
    pub retention_bytes: Option<u64>,
    /// Samples further than this ahead of their reception are not taken: the clock that made them
    /// is wrong.
    pub most_ahead: Duration,
    /// The log that has to be replayed at a start is kept below about this many bytes, by writing
    /// chunks early; with more series than these bytes are worth, below 256 bytes for each of them,
    /// and four times as much at most.
    pub replay_bytes: u64,
    /// Exporters that hang back hold no more bytes of log than this; what is older they miss.
    pub export_bytes: u64,
    /// How many series the store holds at most.
    pub most_series: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention_age: None,
            minute_age: None,
            hour_age: None,
            retention_bytes: None,
            most_ahead: Duration::from_secs(24 * 60 * 60),
            replay_bytes: 64 << 20,
            export_bytes: 4 << 30,
            most_series: 1_000_000,
        }
    }
}

/// A batch as it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// From whom, by the topic and not by the payload.
    pub agent: AgentPath,
    /// What.
    pub batch: Batch,
    /// When, by the collector's clock.
    pub received: Timestamp,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk.
    Stored {
        /// How many of its samples were new.
        samples: usize,
        /// How many series got their first sample since the store was opened.
        new_series: usize,
        /// Samples that were not taken, by reason.
        ignored: Ignored,
        /// Batches (first and last, both included) that the agent gave up: they never came and
        /// will hardly come any more.
        lost: Vec<(u64, u64)>,
    },
    /// It was on disk already; nothing changed but what is known to be lost.
    Duplicate {
        /// As in [`Outcome::Stored`].
        lost: Vec<(u64, u64)>,
    },
    /// It is beyond more holes than are kept track of: not stored, not acknowledged, to be sent
    /// again.
    OutOfWindow,
    /// It names series that were never described: not stored, not acknowledged; the next
    /// acknowledgement asks for the dictionary.
    UnknownSeries,
}

/// How many samples of a batch were not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Their series has a sample at that time already.
    pub known: usize,
    /// Beyond [`Options::retention_age`].
    pub too_old: usize,
    /// Beyond [`Options::most_ahead`].
    pub in_future: usize,
}

/// One entry of the log, for exporters.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Its place: the cursor of an exporter that is done with it.
    pub position: u64,
    /// When it was received.
    pub received: Timestamp,
    /// It came from another collector, to fill what was missing: it is nothing that happens now.
    pub filled: bool,
    /// The number of the agent that sent it; `None` for what the collector itself recorded, and for
    /// what fills. [`Reader::agents`](super::Reader::agents) says who that is.
    pub agent: Option<i64>,
    /// Its samples, those that turned out to be known already among them.
    pub samples: Vec<(Labels, Sample)>,
}

/// What was found broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Chunks whose samples are gone.
    pub chunks: u64,
    /// Log rows whose samples are gone, unless they are in chunks.
    pub log_rows: u64,
    /// Series whose labels are gone.
    pub series: u64,
    /// Other rows: of dictionaries, windows, received ranges.
    pub rows: u64,
}

impl Damage {
    /// Whether anything was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The store in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series.
    pub series: usize,
    /// Bytes of samples in memory, roughly.
    pub head_bytes: usize,
    /// Two-hour windows with chunks.
    pub windows: usize,
    /// Bytes of chunks.
    pub chunk_bytes: u64,
    /// Samples in chunks.
    pub chunk_samples: u64,
    /// Bytes of long history.
    pub summary_bytes: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Log rows that were dropped although an exporter had not seen them.
    pub export_lost_rows: u64,
    /// What was found broken since the start.
    pub damage: Damage,
}
