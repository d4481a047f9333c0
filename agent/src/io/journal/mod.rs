//! The journal: what was read and is not yet on every collector's disk.
//!
//! One SQLite file, written by a thread of its own, so that polling never waits for the disk. In
//! front of it a bounded queue. Each turn of the thread is one transaction, synced when it ends;
//! only then is an entry a fact, gets its number and is told to the outbox. What collectors have
//! is written some seconds later, many at a time: what a power cut takes of that is sent once more.
//!
//! A disk that is full or takes no writes is waited out: what comes meanwhile is held in memory, up
//! to a bound, and not sent. When it is so already at the start, the journal lives in memory, is
//! not durable and says so, until the disk takes writes and everything was delivered; then the
//! agent ends, to be started anew. A damaged file is set aside at the next start. Any other failure of the disk ends the agent at once: what the
//! kernel holds after a failed sync is not to be trusted, and a restart recovers what is on the
//! disk.
//!
//! What is lost is a gap. Gaps are entries, too: journalled, sent and acknowledged as readings are.

mod clock;
mod deferred;
mod file;
mod gap;
mod open;
mod writer;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use hallwatch_model::{Gap, Id, Labels, SeriesId, Timestamp};
use tokio::sync::mpsc;

use crate::config::JournalBounds;
use crate::error::Error;
use crate::ranges::Ranges;

pub use clock::Machine;
pub use gap::{Gaps, extend, lost, read_gaps};

/// How long the end waits for a disk that hangs.
const GRACE: Duration = Duration::from_secs(5);
/// Commands that may wait for the disk.
const QUEUE: usize = 512;

/// What the journal is told.
#[derive(Debug)]
pub enum Command {
    /// A new entry.
    Append(Append),
    /// A collector has these entries of a boot on its disk.
    Acked {
        /// Which collector.
        collector: Id,
        /// Which boot.
        boot: u64,
        /// All that it has.
        ranges: Ranges,
    },
    /// All collectors have these: they may go.
    Done {
        /// Which boot.
        boot: u64,
        /// From this number.
        first: u64,
        /// To this one, included.
        last: u64,
    },
    /// Read these back.
    Fetch {
        /// Which boot.
        boot: u64,
        /// From this number.
        first: u64,
        /// To this one, included.
        last: u64,
    },
    /// Something was lost before it could be journalled.
    Gap(Gap),
    /// A collector has a store that it did not have before: it is owed all that is kept.
    Replay {
        /// Which collector.
        collector: Id,
        /// The number of its store.
        store: u64,
    },
    /// Nobody has confirmed the clock of the entries that follow: what time it was by it at uptime
    /// zero.
    Unconfirmed {
        /// That time.
        base: Timestamp,
    },
    /// The time is known, and settles what was journalled before; answered by [`Told::Settled`].
    Settle {
        /// What time it was at uptime zero.
        base: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// Enforce the bounds.
    Trim {
        /// The present.
        now: Timestamp,
    },
    /// End, after all that was told before.
    Stop,
}

/// A new entry.
#[derive(Debug)]
pub struct Append {
    /// Series that were not known before; they come to disk in the same transaction.
    pub series: Vec<(SeriesId, Labels)>,
    /// The encoded readings.
    pub bytes: Bytes,
    /// How many readings these are.
    pub readings: u64,
    /// When the entry was closed: everything up to then has been read.
    pub time: Timestamp,
    /// It holds names of people: nothing of it may stay on the disk when it goes.
    pub personal: bool,
}

/// An entry read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// When it was closed.
    pub time: Timestamp,
    /// The encoded readings.
    pub bytes: Bytes,
}

/// What the journal tells.
#[derive(Debug)]
pub enum Told {
    /// An entry of this boot is on the disk.
    Committed(Entry),
    /// The answer to [`Command::Fetch`]; what is not among the entries is no longer there.
    Fetched {
        /// As asked.
        boot: u64,
        /// As asked.
        first: u64,
        /// Up to here it was read; may be less than was asked.
        last: u64,
        /// What is there.
        entries: Vec<Entry>,
    },
    /// Entries had to go before everyone had them.
    Dropped {
        /// Which boot.
        boot: u64,
        /// All up to this number are gone.
        upto: u64,
    },
    /// The answer to [`Command::Replay`]: all runs of which entries are left, oldest first.
    Replay(Vec<Run>),
    /// The answer to [`Command::Settle`]: from now on entries are read with the right times.
    Settled,
    /// How it is.
    Health {
        /// Whether the disk takes writes.
        durable: bool,
        /// Bytes in use in the file.
        bytes: u64,
        /// Bytes written to the disk in this run, where the system counts them.
        written_bytes: u64,
        /// Readings journalled in this run.
        written_readings: u64,
        /// Room on the disk for the agent, and the size of the disk, in bytes; `None` when the
        /// system does not say.
        disk: Option<(u64, u64)>,
    },
    /// It cannot go on; the agent must be started anew.
    Failed(Error),
    /// It has ended.
    Stopped,
}

/// What was found when the journal was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The random number of this run.
    pub boot: u64,
    /// The random number of the dictionary.
    pub dictionary: u64,
    /// The dictionary, in the order of the ids.
    pub series: Vec<Labels>,
    /// Earlier runs of which entries are left, oldest first.
    pub runs: Vec<Run>,
    /// A damaged file was found and renamed to this.
    pub set_aside: Option<PathBuf>,
    /// The stores that collectors had when they last spoke.
    pub stores: Vec<(Id, u64)>,
    /// Whether the journal is on a disk. If not, it is in memory: the disk takes no writes.
    pub durable: bool,
    /// What time it was at uptime zero, where an earlier run knew since the machine was started.
    pub known: Option<Timestamp>,
}

/// An earlier run of which entries are left.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its random number.
    pub boot: u64,
    /// Its lowest entry.
    pub first: u64,
    /// Its highest entry.
    pub last: u64,
    /// Entries that are kept although everyone has them.
    pub done: Ranges,
    /// What each collector has.
    pub acked: Vec<(Id, Ranges)>,
}

/// The journal's thread, seen from the agent.
#[derive(Debug)]
pub struct Journal {
    commands: std::sync::mpsc::SyncSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal in the directory `data`, which is made if need be, and starts its thread.
    /// What an earlier run knew of the time is known again if `machine` was not started anew.
    ///
    /// # Errors
    /// When the directory or the file cannot be used, or another agent uses it.
    pub fn open(
        data: &Path,
        bounds: JournalBounds,
        machine: &Machine,
    ) -> Result<(Self, mpsc::Receiver<Told>, Opened), Error> {
        let made = std::fs::create_dir_all(data);
        if let Err(source) = made
            && !data.is_dir()
        {
            return Err(Error::Directory { path: data.to_owned(), source });
        }
        let (file, opened) = open::open(&data.join("journal.sqlite"), machine)?;
        let (commands, receiver) = std::sync::mpsc::sync_channel(QUEUE);
        let (told, tells) = mpsc::channel(QUEUE);
        let writer = writer::Writer::new(file, bounds, told);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|source| Error::Directory { path: data.to_owned(), source })?;
        Ok((Self { commands, thread: Some(thread) }, tells, opened))
    }

    /// Hands over a command without waiting; gives it back when the queue is full.
    ///
    /// # Errors
    /// The command, when the queue is full or the thread has ended.
    pub fn tell(&self, command: Command) -> Result<(), Command> {
        use std::sync::mpsc::TrySendError;
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) | TrySendError::Disconnected(command) => command,
        })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The thread ends when its queue does; a disk that hangs is not waited for.
        let (closed, _) = std::sync::mpsc::sync_channel(1);
        self.commands = closed;
        let Some(thread) = self.thread.take() else { return };
        let step = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        while !thread.is_finished() && waited < GRACE {
            std::thread::sleep(step);
            waited += step;
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
