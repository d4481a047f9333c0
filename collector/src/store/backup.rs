//! Copies of a whole data directory, made while a collector runs on it or not.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::verify::{Verification, verify};
use super::{Error, schema};
use crate::clock;

/// The files of a collector; the first must be there.
const FILES: [&str; 3] = [schema::FILE, "state.sqlite", "gaps.sqlite"];
/// Says that the copy is whole; it is written last.
const NOTE: &str = "backup.whole";

/// A backup, or what was restored.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The files and their bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// What is in the copy: it was read again, all of it.
    pub content: Verification,
}

/// Copies the data directory `dir` into the folder `to`, which is made. Each file is as it was at
/// one moment; who writes is not held up. It is given up after `patience`.
///
/// # Errors
/// When `to` is not empty, something cannot be read or written, or it takes too long.
pub fn backup(dir: &Path, to: &Path, patience: Duration) -> Result<Copied, Error> {
    let folder = |source| Error::Folder { path: to.to_owned(), source };
    std::fs::create_dir_all(to).map_err(folder)?;
    if std::fs::read_dir(to).map_err(folder)?.next().is_some() {
        return Err(Error::Occupied { path: to.to_owned() });
    }
    let mut note = String::new();
    for name in FILES {
        let (from, copy) = (dir.join(name), to.join(name));
        if name != schema::FILE && !from.exists() {
            continue;
        }
        copy_database(&from, &copy, patience)?;
        sync(&copy)?;
        let bytes = std::fs::metadata(&copy).map_err(folder)?.len();
        note.push_str(&format!("{name} {bytes}\n"));
    }
    let content = verify(to)?;
    drop_companions(to)?;
    std::fs::write(to.join(NOTE), &note).map_err(folder)?;
    sync(&to.join(NOTE))?;
    sync(to)?;
    Ok(Copied { files: noted(to, &note)?, content })
}

/// Puts a backup where a collector finds it: into the folder `dir`, in which there must be no
/// store.
///
/// # Errors
/// When `from` is no whole backup, `dir` has a store or a collector, or it cannot be written.
pub fn restore(from: &Path, dir: &Path) -> Result<Copied, Error> {
    let broken = |reason| Error::NotABackup { path: from.to_owned(), reason };
    let note = std::fs::read_to_string(from.join(NOTE)).map_err(|_| broken("it has no note"))?;
    let files = noted(from, &note)?;
    for (path, bytes) in &files {
        let found = std::fs::metadata(path).map_err(|_| broken("a file is missing"))?.len();
        if found != *bytes {
            return Err(broken("a file is cut off or has grown"));
        }
    }
    let folder = |source| Error::Folder { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(folder)?;
    let lock = File::create(dir.join("store.lock")).map_err(folder)?;
    if lock.try_lock().is_err() {
        return Err(Error::InUse { path: dir.to_owned() });
    }
    for name in FILES {
        let place = dir.join(name);
        if place.exists() {
            return Err(Error::Occupied { path: place });
        }
    }
    // The store comes last: without it, it is as if nothing had happened.
    for (path, _) in files.iter().rev() {
        let Some(name) = path.file_name() else { continue };
        let half = dir.join("restoring");
        std::fs::copy(path, &half).map_err(folder)?;
        sync(&half)?;
        std::fs::rename(&half, dir.join(name)).map_err(folder)?;
    }
    sync(dir)?;
    Ok(Copied { files, content: verify(dir)? })
}

/// `VACUUM INTO`: one read transaction, and no free pages in the copy.
fn copy_database(from: &Path, to: &Path, patience: Duration) -> Result<(), Error> {
    let attempt = "copy a database";
    let connection = schema::open_reader(from).map_err(Error::read(attempt))?;
    let interrupt = connection.get_interrupt_handle();
    let (done, is_done) = mpsc::channel::<()>();
    let began = clock::uptime();
    let copied = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut wait = patience;
            // An interrupt that comes between two statements is lost: hence again and again.
            while is_done.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Timeout) {
                interrupt.interrupt();
                wait = Duration::from_millis(5);
            }
        });
        let copied = connection.execute("VACUUM INTO ?1", [to.display().to_string()]);
        drop(done);
        copied
    });
    if clock::uptime().since(began) > patience {
        return Err(Error::TooSlow { path: from.to_owned() });
    }
    copied.map(|_| ()).map_err(Error::write(attempt))
}

/// The files that a note names.
fn noted(folder: &Path, note: &str) -> Result<Vec<(PathBuf, u64)>, Error> {
    let line = |line: &str| {
        let (name, bytes) = line.split_once(' ')?;
        let known = FILES.iter().find(|known| **known == name)?;
        Some((folder.join(known), bytes.parse().ok()?))
    };
    let files: Option<Vec<(PathBuf, u64)>> = note.lines().map(line).collect();
    files
        .filter(|files| files.first().is_some_and(|(path, _)| path.ends_with(schema::FILE)))
        .ok_or(Error::NotABackup { path: folder.to_owned(), reason: "its note cannot be read" })
}

/// Reading a database leaves empty companions beside it.
fn drop_companions(folder: &Path) -> Result<(), Error> {
    for suffix in ["-wal", "-shm"] {
        let path = folder.join(format!("{}{suffix}", schema::FILE));
        if path.exists() {
            std::fs::remove_file(&path).map_err(|source| Error::Folder { path, source })?;
        }
    }
    Ok(())
}

fn sync(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| Error::Folder { path: path.to_owned(), source })
}
