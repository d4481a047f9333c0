//! A full disk: the state goes on in memory, and comes back to the disk when there is room.
//!
//! Who is told of what must not end with the room on the disk; and what was delivered, but could
//! not be noted, would be delivered again and again.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use hallwatch_model::chain;
use rusqlite::{Connection, ErrorCode};

use super::file::{TABLES_OF_STATE, add_tables};
use super::{Error, State};
use crate::disk;

/// With less room than this on the disk, in bytes, any write can fail for lack of it.
const NO_ROOM: u64 = 1 << 20;

impl State {
    /// Writes; with a full disk on the reserve, and when that is used up in memory.
    pub(super) fn write<T>(
        &mut self,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut written = work(&mut self.connection);
        if self.lacks_room(&written)
            && let Some(reserve) = &self.reserve
        {
            reserve.give_up();
            written = work(&mut self.connection);
        }
        if self.lacks_room(&written) {
            self.leave_disk()?;
            written = work(&mut self.connection);
        }
        written.map_err(|source| self.unwritten(source))
    }

    /// Whether it is in memory only, because the disk is full.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.disk.is_some()
    }

    /// Brings what is in memory back to the disk, if it has room again. Cheap when nothing is.
    ///
    /// # Errors
    /// When that fails for another reason than the room; it is all in memory still.
    pub fn settle(&mut self) -> Result<(), Error> {
        if self.disk.is_none() {
            return Ok(());
        }
        let written = copy_to(&mut self.connection, &self.path);
        if self.lacks_room_on_disk(&written) {
            return Ok(());
        }
        written.map_err(|source| self.unwritten(source))?;
        if let Some(disk) = self.disk.take() {
            self.connection = disk;
        }
        tracing::info!("the state of the alerts is on the disk again");
        Ok(())
    }

    fn lacks_room<T>(&self, written: &rusqlite::Result<T>) -> bool {
        self.disk.is_none() && self.lacks_room_on_disk(written)
    }

    fn lacks_room_on_disk<T>(&self, written: &rusqlite::Result<T>) -> bool {
        let code = written.as_ref().err().and_then(rusqlite::Error::sqlite_error_code);
        match code {
            Some(ErrorCode::DiskFull) => true,
            // So it is said when a log or its index cannot grow.
            Some(ErrorCode::SystemIoFailure) => {
                let room = self.path.parent().and_then(|folder| disk::room(folder).ok());
                room.is_some_and(|room| room.free < NO_ROOM)
            }
            _ => false,
        }
    }

    fn leave_disk(&mut self) -> Result<(), Error> {
        let copy = || {
            let memory = Connection::open_in_memory()?;
            add_tables(&memory)?;
            attached(&memory, &self.path, |memory| {
                for table in TABLES_OF_STATE {
                    let (from, into) = (format!("disk.{table}"), format!("main.{table}"));
                    replace(memory, &from, &into)?;
                }
                Ok(())
            })?;
            Ok(memory)
        };
        let memory = copy().map_err(|source| self.unread(source))?;
        self.disk = Some(std::mem::replace(&mut self.connection, memory));
        tracing::error!(
            "the disk is full: the state of the alerts is in memory only, and lost with the process"
        );
        Ok(())
    }
}

/// What is in memory is not given up without a last try.
impl Drop for State {
    fn drop(&mut self) {
        if let Err(error) = self.settle() {
            tracing::error!(error = chain(&error), "the state cannot be written");
        }
        if self.is_in_memory() {
            tracing::error!("the disk is full: what became of the alerts since is lost");
        }
    }
}

fn copy_to(memory: &mut Connection, path: &Path) -> rusqlite::Result<()> {
    attached(memory, path, |memory| {
        memory.pragma_update(Some("disk"), "secure_delete", "ON")?;
        let transaction = memory.unchecked_transaction()?;
        for table in TABLES_OF_STATE {
            replace(&transaction, &format!("main.{table}"), &format!("disk.{table}"))?;
        }
        transaction.commit()
    })
}

fn replace(connection: &Connection, from: &str, into: &str) -> rusqlite::Result<()> {
    connection.execute(&format!("DELETE FROM {into}"), [])?;
    connection.execute(&format!("INSERT INTO {into} SELECT * FROM {from}"), []).map(|_| ())
}

fn attached<T>(
    memory: &Connection,
    path: &Path,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // As bytes: a path need not be text.
    memory.execute("ATTACH DATABASE ? AS disk", [path.as_os_str().as_bytes()])?;
    let done = work(memory);
    memory.execute("DETACH DATABASE disk", [])?;
    done
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::Reserve;

    fn add(state: &mut State, size: u32) {
        let sql = "INSERT INTO outbox (receiver, labels, body, at, attempts, due)
                   VALUES ('noc', '[]', hex(zeroblob(?)), 0, 0, 0)";
        state.write(|file| file.execute(sql, [size]).map(|_| ())).unwrap();
    }

    fn bodies(connection: &Connection) -> Vec<(i64, i64)> {
        let mut all = connection.prepare("SELECT id, length(body) FROM outbox").unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn with_a_full_disk_it_goes_on_in_memory_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(folder.path());
        reserve.keep(disk::Room { free: 2 << 20, size: 8 << 20 });
        let mut state = State::open(folder.path()).unwrap().with_reserve(Arc::new(reserve));
        add(&mut state, 10);
        add(&mut state, 20);
        state.known(2).unwrap();
        let pages: i64 =
            state.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        state.connection.pragma_update(None, "max_page_count", pages).unwrap();
        assert!(folder.path().join("reserve").exists());
        add(&mut state, 100_000);
        assert!(state.is_in_memory());
        assert!(!folder.path().join("reserve").exists(), "that was tried first");
        // No number is given twice, and what is noted stays noted.
        assert_eq!(bodies(&state.connection), [(1, 20), (3, 200_000)]);
        state.known(1).unwrap();
        assert_eq!(state.queued("noc").unwrap().len(), 1);

        // Another process keeps it locked: it is tried again.
        let other = Connection::open(folder.path().join("state.sqlite")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        state.settle().unwrap_err();
        assert!(state.is_in_memory());
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(bodies(&other), [(1, 20)]);
        state.settle().unwrap();
        assert!(!state.is_in_memory());
        assert_eq!(bodies(&other), [(3, 200_000)]);
        state.known(3).unwrap();
        drop(state);
        assert_eq!(bodies(&other), []);
    }

    #[test]
    fn the_name_of_the_folder_may_be_any() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join(std::ffi::OsStr::from_bytes(b"hall-\xff"));
        std::fs::create_dir(&folder).unwrap();
        let mut state = State::open(&folder).unwrap();
        add(&mut state, 10);
        state.connection.pragma_update(None, "max_page_count", 1).unwrap();
        add(&mut state, 100_000);
        assert!(state.is_in_memory());
        assert_eq!(bodies(&state.connection), [(1, 20), (2, 200_000)]);
        drop(state);
        let state = State::open(&folder).unwrap();
        assert_eq!(bodies(&state.connection), [(1, 20), (2, 200_000)]);
    }

    #[test]
    fn the_end_of_the_process_is_a_last_try() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        state.connection.pragma_update(None, "max_page_count", 1).unwrap();
        add(&mut state, 100_000);
        assert!(state.is_in_memory());
        drop(state);
        let state = State::open(folder.path()).unwrap();
        assert_eq!(bodies(&state.connection), [(1, 200_000)]);
    }
}
