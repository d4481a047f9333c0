//! The store: everything that was received, durable before it is acknowledged, in one SQLite file
//! and a compressed head in memory.
//!
//! A batch goes into the *log* table, in one synced transaction with the note that it was
//! received; then into the *head* of its series. Two hours of a series become a *chunk*; log rows
//! that are wholly in chunks, and seen by every exporter, are deleted. After a crash the rest of
//! the log is replayed. Damage costs what it touches and is counted; it never prevents the start.
//!
//! One [`Store`] writes, on a thread of its own; any number of [`Reader`]s read without waiting
//! for it. Never in here: sockets, evaluation, clocks (but for how long a backup takes).
//!
//! Reading order: [`intake`] (what comes in and out), `schema` (the tables), `describe`,
//! `numbers` and `commit` (the way in), `head`, `heads`, `pack`, `decimal` and `codec` (samples in memory and as bytes),
//! `times` (what points of a device share),
//! `flush` (from head to chunks), `summaries` and `rollup` (from chunks to long history), `replay`,
//! `bulk` and `salvage` (the start), `retention`, `deletion` and `purge` (what is to go), `index`,
//! `entries`, `recent`, [`reader`] and `history` (the way out), `frame` and `fill` (from one collector to
//! another), [`verify`] and [`backup`].

pub mod backup;
mod bulk;
mod bytes;
mod codec;
mod commit;
mod decimal;
mod deletion;
mod describe;
mod dictionary;
mod entries;
mod entry;
mod error;
mod fill;
mod flush;
mod frame;
mod head;
mod heads;
mod history;
mod index;
pub mod intake;
mod numbers;
mod pack;
mod purge;
pub mod reader;
mod recent;
mod record;
mod replay;
mod retention;
mod rollup;
mod salvage;
mod schema;
mod senders;
mod shared;
mod summaries;
mod times;
mod track;
pub mod verify;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hallwatch_model::{Ack, AgentPath, Timestamp};
use rusqlite::{Connection, params};

pub use deletion::{Deletion, Receipt};
pub use entry::Entry;
pub use error::Error;
pub use frame::{FILL_SAMPLES, Frame, MAX_FILL_SAMPLES, MAX_FRAME_BYTES, NoFrame, take_frame};
pub use intake::{Damage, Ignored, Incoming, Logged, Options, Outcome, Stats};
pub use reader::Reader;
pub use record::Point;

use dictionary::Agent;
use flush::Flush;
use heads::{Held, Shard, shard_of};
use shared::{Shared, reading};

/// The one writer.
#[derive(Debug)]
pub struct Store {
    options: Options,
    /// Before the writer's connection: the last to close must be one that can write, so that it
    /// takes the journal with it.
    reader: Reader,
    connection: Connection,
    shared: Arc<Shared>,
    agents: HashMap<AgentPath, Agent>,
    /// The heads of the series, as in the index, without its lock.
    shards: Vec<Arc<Shard>>,
    flush: Flush,
    /// The day that is being summed up.
    roll: Option<rollup::Roll>,
    /// Samples before this are not taken: their window is about to go.
    closed: i64,
    /// Deletions that are still on their way to the disk, the oldest first.
    purges: VecDeque<purge::Purge>,
    /// By exporter: up to where it has read the log.
    cursors: BTreeMap<String, u64>,
    /// The latest reception.
    now: i64,
    /// The newest log row.
    last_log: u64,
    /// A write failed.
    broken: bool,
    /// Keeps other processes out as long as it is open.
    _lock: File,
}

impl Store {
    /// Opens the store in the folder `dir`, which is made when it is missing, and replays its log.
    ///
    /// # Errors
    /// When the folder cannot be used, another process has the store open, a later version wrote
    /// it, or the disk cannot be read. Damage is no error: see [`Reader::stats`].
    pub fn open(dir: &Path, options: &Options) -> Result<Self, Error> {
        let folder = |source| Error::Folder { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(folder)?;
        let lock = File::create(dir.join("store.lock")).map_err(folder)?;
        match lock.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(folder(source)),
        }
        replay::open(dir, options, lock)
    }

    /// What the agent is told: what of its run `boot` is on disk, and whether its dictionary is
    /// wanted.
    #[must_use]
    pub fn ack(&self, agent: &AgentPath, boot: u64) -> Ack {
        let known = self.agents.get(agent);
        let describe = known.is_some_and(Agent::wants);
        match known.and_then(|known| known.tracks.get(&boot)) {
            Some((track, _)) => track.ack(boot, describe),
            None => Ack { boot, describe, ..Ack::default() },
        }
    }

    /// Another way to read, for another thread.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Entries of the log after the position `after`, at most `limit`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self, after: u64, limit: usize) -> Result<Vec<Logged>, Error> {
        self.reader.log(after, limit)
    }

    /// Up to where an exporter has read the log; `None` when it has never said so. The log is
    /// kept for exporters that have a cursor.
    #[must_use]
    pub fn cursor(&self, exporter: &str) -> Option<u64> {
        self.cursors.get(exporter).copied()
    }

    /// Sets how far an exporter is; it is on disk when this returns. Set 0 to have the log kept
    /// from now on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_cursor(&mut self, exporter: &str, position: u64) -> Result<(), Error> {
        self.check()?;
        let written = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO exporter (name, position) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![exporter, position.cast_signed()]));
        self.written(written.map_err(Error::write("keep the cursor of an exporter")))?;
        self.cursors.insert(exporter.to_owned(), position);
        Ok(())
    }

    /// Forgets an exporter, so that no log is kept for it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_cursor(&mut self, exporter: &str) -> Result<(), Error> {
        self.check()?;
        let written = self.connection.execute("DELETE FROM exporter WHERE name = ?1", [exporter]);
        self.written(written.map_err(Error::write("forget an exporter")))?;
        self.cursors.remove(exporter);
        Ok(())
    }

    /// When something was last received, or the latest time given to [`Store::maintain`].
    #[must_use]
    pub fn latest_reception(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn check(&self) -> Result<(), Error> {
        if self.broken { Err(Error::Broken) } else { Ok(()) }
    }

    /// Remembers a failed write.
    fn written<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.broken |= error.is_fatal();
            if error.is_damage() {
                salvage::ask(&self.shared.path);
            }
        }
        result
    }

    /// The head of a series, locked with its neighbours', when there is such a series.
    fn head(&self, id: u32) -> Option<Held<'_>> {
        self.shards.get(shard_of(id))?.live(id)
    }

    /// Takes over the heads of series that are new in the index.
    fn know_heads(&mut self) {
        let index = reading(&self.shared.index);
        let new = index.shards().get(self.shards.len()..).unwrap_or_default();
        self.shards.extend_from_slice(new);
    }

    fn log_bytes(&self) -> u64 {
        self.shared.log_bytes.load(Ordering::Relaxed)
    }
}
