//! The disk of the data: how much room there is, and the reserve for when there is none.
//!
//! A full disk must not silence the alerts, of which one says that the disk is full. So some room is
//! taken in good times, as a file of nothing, and given up when a write finds no room: then the
//! store, the rules and the messages go on in the same way for some hours, on what was kept for it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hallwatch_model::chain;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// The file's name within the collector's data directory.
const FILE: &str = "reserve";
/// The logs that SQLite writes first, 12 MiB when they are at their longest, and then hours of some
/// thousand readings a second.
const MOST: u64 = 64 << 20;
/// Of a small disk, this part at most.
const PART: u64 = 16;
/// The reserve is taken when so many times as much is free: it must not be what fills the disk, nor
/// come and go.
const AMPLE: u64 = 3;

/// What a disk has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Left for us.
    pub free: u64,
    /// The whole disk.
    pub size: u64,
}

/// The room on the disk of this folder.
///
/// # Errors
/// When the system does not say.
pub fn room(folder: &Path) -> io::Result<Room> {
    let found = statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Room { free: bytes(found.f_bavail), size: bytes(found.f_blocks) })
}

/// Room that is kept for when there is none. All may give it up; one looks after it.
#[derive(Debug)]
pub struct Reserve {
    file: PathBuf,
    /// Whether it was said why there is none.
    told: Mutex<bool>,
}

impl Reserve {
    /// The reserve on the disk of this folder; [`Self::keep`] takes it.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { file: folder.join(FILE), told: Mutex::default() }
    }

    /// Takes the reserve if it is not there, and there is plenty of room. Gives its size in bytes, 0
    /// when there is none.
    pub fn keep(&self, room: Room) -> u64 {
        let held = fs::metadata(&self.file).map_or(0, |file| file.len());
        let size = MOST.min(room.size / PART);
        if held > 0 || room.free < size.saturating_mul(AMPLE) {
            return held;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match self.take(size) {
            Ok(()) => {
                tracing::info!(bytes = size, "room on the disk is kept in reserve");
                *told = false;
                size
            }
            Err(error) => {
                if !std::mem::replace(&mut *told, true) {
                    let (error, file) = (chain(&error), self.file.display());
                    tracing::warn!(error, %file, "no room can be kept in reserve");
                }
                // Half a reserve would be taken for a whole one.
                let _ = fs::remove_file(&self.file);
                0
            }
        }
    }

    fn take(&self, size: u64) -> io::Result<()> {
        let file: File =
            OpenOptions::new().write(true).create(true).truncate(true).open(&self.file)?;
        fallocate(&file, FallocateFlags::empty(), 0, size)?;
        file.sync_all()
    }

    /// What `write` comes to; when it finds the disk `full` it is done once more on the reserve.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn spend<T, E>(
        &self,
        full: impl FnOnce(&E) -> bool,
        mut write: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        match write() {
            Err(error) if full(&error) => {
                self.give_up();
                write()
            }
            done => done,
        }
    }

    /// The disk is full: the reserve is there to be used.
    pub fn give_up(&self) {
        match fs::remove_file(&self.file) {
            Ok(()) => tracing::error!("the disk is full: the reserve is in use from now on"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(
                error = chain(&error),
                file = %self.file.display(),
                "the disk is full, and the reserve cannot be given up; remove the file by hand"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { free: 2 << 20, size: 8 << 20 };

    #[test]
    fn the_reserve_is_taken_in_good_times_given_up_and_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let reserve = Reserve::new(folder.path());
        let tight = Room { free: 1_500 << 10, ..ROOM };
        assert_eq!(reserve.keep(tight), 0, "not of the last of the room");
        assert!(!file.exists());
        assert_eq!(reserve.keep(ROOM), 512 << 10);
        // Real blocks, not a hole.
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&file).unwrap());
        assert!(blocks * 512 >= 512 << 10, "{blocks}");
        assert_eq!(reserve.keep(tight), 512 << 10, "kept when it gets tight");
        reserve.give_up();
        reserve.give_up();
        assert!(!file.exists());
        assert_eq!(reserve.keep(tight), 0);
        assert_eq!(reserve.keep(ROOM), 512 << 10);
    }

    #[test]
    fn of_a_large_disk_a_little_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let large = Room { free: 1 << 40, size: 1 << 40 };
        assert_eq!(Reserve::new(folder.path()).keep(large), 64 << 20);
        let nowhere = Reserve::new(&folder.path().join("gone"));
        assert_eq!(nowhere.keep(large), 0);
        nowhere.give_up();
    }

    #[test]
    fn a_disk_has_no_more_free_than_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let room = room(folder.path()).unwrap();
        assert!(room.free > 0 && room.free <= room.size, "{room:?}");
        assert!(super::room(&folder.path().join("gone")).is_err());
    }
}
