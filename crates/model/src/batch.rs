//! What travels between agent and collector. Plain nouns; their serialized twins are in
//! [`crate::wire`].
//!
//! An agent journals [`Readings`] and numbers them within one *boot* (one run of the agent, named
//! by a random number): sequence 1, 2, 3 … . A [`Batch`] is one such entry on its way. The
//! collector answers with an [`Ack`] once the batch is on its disk; only that trims the journal.

use crate::labels::Labels;
use crate::sample::Value;
use crate::time::Timestamp;

/// A small number that stands for a series within one dictionary. An agent never reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

/// One value of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Which series, by the dictionary of the [`Readings`] that hold it.
    pub series: SeriesId,
    /// When it was read.
    pub time: Timestamp,
    /// What was read, or why not.
    pub value: Value,
}

/// Something that happened at a door. Personal data: kept and deleted apart from the samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened, by the door controller's clock where it has a usable one.
    pub time: Timestamp,
    /// The device that reported it.
    pub device: String,
    /// Which door.
    pub door: String,
    /// Who: a badge number or a user name, as the device gives it; empty when unknown.
    pub person: String,
    /// What came of it: `granted`, `denied`, `forced`, `held_open`, `opened`, `closed`, `read`,
    /// `other`.
    pub result: String,
}

/// Something that was not read, or was read and not kept: a row of the gap ledger, as the agent
/// knows it. Journalled, sent and acknowledged as readings are; told again when it has grown.
///
/// Cause, device and first time together tell one gap from all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// When it began: the last moment of which there are readings. The epoch stands for "since
    /// whatever the collector had last".
    pub first: Timestamp,
    /// When it ended, or up to when it is known to last.
    pub last: Timestamp,
    /// Why, in a word of `a-z` and `_`: `device_silent`, `missed_turns`, `max_bytes`, `max_age`,
    /// `disk_full`, `overload`, `damaged`, `clock`. Or what is to be known of readings that are not
    /// missing: `clock_corrected`, their times were moved, because the gateway's clock was wrong by
    /// one amount; `clock_uncertain`, nobody knows by how much it was wrong, and they were read at
    /// some time between these two.
    pub cause: String,
    /// The device concerned; empty for all devices of the agent.
    pub device: String,
    /// Journal entries that are lost.
    pub entries: u64,
    /// Readings that are lost, as far as they were ever made.
    pub readings: u64,
    /// It still lasts.
    pub open: bool,
    /// The lost entries that had a number, by boot: first and last, both included. A collector
    /// that has them has no gap.
    pub ranges: Vec<(u64, u64, u64)>,
}

/// What the agent journals as one entry: readings and events of about one second, and gaps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// The dictionary that the series ids belong to: a random number, made with the journal.
    pub dictionary: u64,
    /// The readings, in the order in which they were made.
    pub readings: Vec<Reading>,
    /// The events.
    pub events: Vec<Event>,
    /// What is missing, and why.
    pub gaps: Vec<Gap>,
}

/// One journal entry on its way to a collector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The run of the agent that journalled it: a random number.
    pub boot: u64,
    /// Its number within that boot, from 1, without holes.
    pub seq: u64,
    /// The lowest number of that boot that the agent still holds for this collector: whatever is
    /// below it and never came will not come any more.
    pub oldest: u64,
    /// The agent has read everything up to this moment.
    pub watermark: Timestamp,
    /// Late by more than the agent's idea of "live": history, not news.
    pub backfill: bool,
    /// The run that sends it, when that is a later one than the run that journalled it; 0 when it
    /// is the same. One agent has one sender at a time.
    pub sender: u64,
    /// The entry itself.
    pub readings: Readings,
}

impl Batch {
    /// The run that sends it.
    #[must_use]
    pub fn sent_by(&self) -> u64 {
        if self.sender == 0 { self.boot } else { self.sender }
    }
}

/// A part of an agent's dictionary. Retained by the broker; parts only ever grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Describe {
    /// Which dictionary.
    pub dictionary: u64,
    /// Which part, from 0.
    pub part: u32,
    /// The series of this part. `tenant` and `site` are not among the labels: the collector sets
    /// them from the identity of the agent.
    pub series: Vec<(SeriesId, Labels)>,
    /// How often series of this part are read, in milliseconds and more than 0. By this a
    /// collector knows how many readings to expect; of a series that is not named here, such as
    /// one that speaks when it likes, it expects none.
    pub intervals: Vec<(SeriesId, u32)>,
}

/// How an agent is. Retained by the broker; with `online: false` also the last will.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The run that speaks.
    pub boot: u64,
    /// Whether the agent is connected.
    pub online: bool,
    /// The agent's version, such as `0.1.0`.
    pub version: String,
    /// When this run started.
    pub started: Timestamp,
    /// The agent's clock when it sent this.
    pub sent: Timestamp,
    /// Journal entries not yet acknowledged by the slowest collector.
    pub backlog: u64,
    /// Bytes on the journal's disk.
    pub journal_bytes: u64,
    /// Whether the journal is on a disk that takes writes. If not, readings are held in memory.
    pub durable: bool,
    /// The gateway's clock less the time that the agent gives its readings, in milliseconds.
    pub clock_offset: i64,
    /// How often the gateway's clock was set by more than a second in this run.
    pub clock_steps: u64,
    /// The agent does not know the time: readings are held until it does.
    pub clock_unset: bool,
    /// Bytes that the journal wrote to the disk in this run, where the system counts them.
    pub written_bytes: u64,
    /// Readings that were journalled in this run.
    pub written_readings: u64,
    /// Bytes that the journal's disk still has for the agent.
    pub disk_free: u64,
    /// Bytes of the journal's disk altogether; 0 when nobody knows.
    pub disk_size: u64,
    /// How often brokers refused the agent in this run: its log-in, or what it may do there.
    pub broker_refusals: u64,
}

/// What a collector holds of one boot of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// Which boot.
    pub boot: u64,
    /// Everything up to and with this number is on the collector's disk.
    pub upto: u64,
    /// Beyond `upto`, these ranges (first and last, both included) are on disk too.
    pub beyond: Vec<(u64, u64)>,
    /// The collector met series ids that it has no dictionary for: describe yourself again.
    pub describe: bool,
    /// A random number that the collector made with its store; 0 when it does not say. One that
    /// the agent has not met before asks for a replay of all that its journal keeps: the
    /// collector is new, or has lost what it had.
    pub store: u64,
    /// The collector's clock when it said this; the epoch when it does not say.
    pub time: Timestamp,
}
