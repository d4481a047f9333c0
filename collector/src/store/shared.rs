//! What the writer and the readers share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::deletion::{AllHidden, Orders};
use super::index::Index;
use super::intake::Damage;
use super::reader::recalled::Recalled;
use super::recent::Recent;
use super::rollup::{AllRolled, Stale};

/// A window that has chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    /// Log rows up to this one have their samples of the window in chunks.
    pub(super) upto: u64,
    pub(super) bytes: u64,
    pub(super) samples: u64,
    /// No sample in the chunks is later; of chunks from before the start it is known of the newest
    /// window alone.
    pub(super) latest: Option<i64>,
    /// Another one with each change, see [`Shared::changed`].
    pub(super) version: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    /// The SQLite file.
    pub(super) path: PathBuf,
    pub(super) index: RwLock<Index>,
    pub(super) windows: RwLock<BTreeMap<i64, Filled>>,
    /// Of windows.
    pub(super) versions: AtomicU64,
    pub(super) recalled: Recalled,
    /// The days that are summed up.
    pub(super) rolled: RwLock<AllRolled>,
    pub(super) stale: RwLock<Stale>,
    /// Samples before this are deleted, or are about to be.
    pub(super) floor: AtomicI64,
    pub(super) hidden: RwLock<AllHidden>,
    /// Deletions that readers ask for.
    pub(super) orders: Mutex<Orders>,
    /// The end of the log.
    pub(super) recent: Mutex<Recent>,
    /// Up to where whoever goes along with the log has read it; the largest number when nobody does.
    pub(super) followed: AtomicU64,
    pub(super) found: Found,
    pub(super) log_bytes: AtomicU64,
    pub(super) export_lost_rows: AtomicU64,
}

impl Shared {
    /// A window as it is now that a change of its chunks is on disk. To be put among the others
    /// before memory lets go of what is in the chunks, so that no reader takes what it recalls of
    /// before for all there is.
    pub(super) fn changed(&self, filled: Filled) -> Filled {
        Filled { version: self.versions.fetch_add(1, Ordering::Relaxed) + 1, ..filled }
    }
}

/// Counters of damage.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) chunks: AtomicU64,
    pub(super) log_rows: AtomicU64,
    pub(super) series: AtomicU64,
    pub(super) rows: AtomicU64,
}

impl Found {
    pub(super) fn damage(&self) -> Damage {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Damage {
            chunks: read(&self.chunks),
            log_rows: read(&self.log_rows),
            series: read(&self.series),
            rows: read(&self.rows),
        }
    }
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

// A panic elsewhere, under a lock, leaves what these locks hold usable: each change is one step.

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn reading<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn writing<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
