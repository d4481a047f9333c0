//! Reading everything that is on disk, to tell what of it is damaged.

use std::collections::HashMap;
use std::path::Path;

use hallwatch_model::{Labels, Timestamp};
use rusqlite::Connection;

use super::bytes::{key, unseal};
use super::head::{window_end, window_start};
use super::record::{read_ids, read_labels, read_points};
use super::summaries::{self, DAY_MILLIS};
use super::times::read_times;
use super::{Error, codec, schema};

/// So many damages are told one by one; all are counted.
const MOST_TOLD: usize = 1_000;

/// What is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Series.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
    /// Samples in chunks.
    pub chunk_samples: u64,
    /// Days of series that are summed up, by minutes and by hours.
    pub rollups: u64,
    /// Log rows.
    pub log_rows: u64,
    /// Samples in the log; those in chunks, too, among them.
    pub log_samples: u64,
    /// How much is damaged.
    pub damaged: u64,
    /// What is damaged, as far as it is told.
    pub damages: Vec<Damaged>,
}

/// One damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// `chunk`, `rollup`, `log`, `series`, `window` or `file`.
    pub part: &'static str,
    /// Which: a series, a number, or what SQLite says.
    pub which: String,
    /// From when to when samples are gone, where that is known.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Of a chunk: the series.
    pub series: Option<Labels>,
}

/// Reads all of the store in the folder `dir`, while a collector runs on it or not. Changes
/// nothing.
///
/// # Errors
/// When there is no store, or its disk cannot be read.
pub fn verify(dir: &Path) -> Result<Verification, Error> {
    let read = || Error::read("read the store");
    let connection = schema::open_reader(&dir.join(schema::FILE)).map_err(read())?;
    let mut found = Verification::default();
    // One snapshot.
    let transaction = connection.unchecked_transaction().map_err(read())?;
    for part in [file, series, log] {
        let walked = part(&transaction, &mut found);
        found.survives("file", walked)?;
    }
    let names = names(&transaction);
    for part in [chunks, rollups] {
        let walked = part(&transaction, &names, &mut found);
        found.survives("file", walked)?;
    }
    Ok(found)
}

impl Verification {
    fn tell(
        &mut self,
        part: &'static str,
        which: impl Into<String>,
        times: Option<(Timestamp, Timestamp)>,
    ) {
        self.damaged += 1;
        if self.damages.len() < MOST_TOLD {
            self.damages.push(Damaged { part, which: which.into(), times, series: None });
        }
    }

    /// Damage of the file itself is a finding, anything else an error.
    fn survives(&mut self, part: &'static str, read: rusqlite::Result<()>) -> Result<(), Error> {
        match read {
            Err(error) if schema::is_damage(&error) => {
                self.tell(part, error.to_string(), None);
                Ok(())
            }
            read => read.map_err(Error::read("read the store")),
        }
    }
}

fn file(connection: &Connection, found: &mut Verification) -> rusqlite::Result<()> {
    let mut check = connection.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        if text != "ok" {
            found.tell("file", text, None);
        }
    }
    Ok(())
}

fn series(connection: &Connection, found: &mut Verification) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT id, labels FROM series")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let id: u32 = row.get(0)?;
        found.series += 1;
        if read_labels(id, row.get_ref(1)?.as_bytes().unwrap_or_default()).is_none() {
            found.tell("series", format!("number {id}"), None);
        }
    }
    Ok(())
}

fn log(connection: &Connection, found: &mut Verification) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT id, data FROM log ORDER BY id")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        found.log_rows += 1;
        match read_points(row.get_ref(1)?.as_bytes().unwrap_or_default()) {
            Some(points) => found.log_samples += points.len() as u64,
            None => found.tell("log", format!("row {id}"), None),
        }
    }
    Ok(())
}

/// What series are called, as far as that can be read.
fn names(connection: &Connection) -> HashMap<u32, Labels> {
    let mut names = HashMap::new();
    let read = |names: &mut HashMap<u32, Labels>| -> rusqlite::Result<()> {
        let mut select = connection.prepare("SELECT id, labels FROM series")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let id: u32 = row.get(0)?;
            if let Some(pairs) = read_labels(id, row.get_ref(1)?.as_bytes().unwrap_or_default()) {
                names.insert(id, Labels::from_pairs(pairs));
            }
        }
        Ok(())
    };
    // What is unreadable was told by `series`.
    let _ = read(&mut names);
    names
}

fn chunks(
    connection: &Connection,
    names: &HashMap<u32, Labels>,
    found: &mut Verification,
) -> rusqlite::Result<()> {
    let mut windows = connection.prepare("SELECT window, series FROM window")?;
    let mut rows = windows.query([])?;
    let of = |window| {
        let time = Timestamp::from_millis;
        Some((time(window_start(window)), time(window_end(window))))
    };
    while let Some(row) = rows.next()? {
        let window: i64 = row.get(0)?;
        if read_ids(window, row.get_ref(1)?.as_bytes().unwrap_or_default()).is_none() {
            found.tell("window", "its list of series", of(window));
        }
    }
    let mut select =
        connection.prepare("SELECT window, series, data FROM chunk ORDER BY window, series")?;
    let mut rows = select.query([])?;
    let (mut times, mut values) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (window, id): (i64, u32) = (row.get(0)?, row.get(1)?);
        found.chunks += 1;
        times.clear();
        values.clear();
        let mut elsewhere = |id, times: &mut Vec<i64>| {
            times.extend(read_times(connection, window, id)?);
            Some(())
        };
        let data = unseal(row.get_ref(2)?.as_bytes().unwrap_or_default(), key(window, id.into()));
        let read =
            data.and_then(|data| codec::decode_with(data, &mut times, &mut values, &mut elsewhere));
        if read.is_some() {
            found.chunk_samples += times.len() as u64;
        } else {
            let series = names.get(&id).cloned();
            let number = || format!("series number {id}");
            found.tell("chunk", series.as_ref().map_or_else(number, Labels::to_string), of(window));
            if let Some(last) = found.damages.last_mut().filter(|last| last.part == "chunk") {
                last.series = last.series.take().or(series);
            }
        }
    }
    Ok(())
}

fn rollups(
    connection: &Connection,
    names: &HashMap<u32, Labels>,
    found: &mut Verification,
) -> rusqlite::Result<()> {
    // A store that no later version has opened yet has none.
    if schema::version(connection)? < 3 {
        return Ok(());
    }
    let of = |day: i64| {
        let start = day.saturating_mul(DAY_MILLIS);
        let time = Timestamp::from_millis;
        Some((time(start), time(start.saturating_add(DAY_MILLIS))))
    };
    let mut select = connection.prepare("SELECT DISTINCT day, series FROM rolled")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let day: i64 = row.get(0)?;
        if read_ids(day, row.get_ref(1)?.as_bytes().unwrap_or_default()).is_none() {
            found.tell("rollup", "its list of series", of(day));
        }
    }
    let mut select = connection.prepare("SELECT resolution, day, series, data FROM rollup")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (resolution, day, id): (i64, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        found.rollups += 1;
        let data = row.get_ref(3)?.as_bytes().unwrap_or_default();
        if summaries::read(resolution, day, id, data).is_none() {
            let number = || format!("series number {id}");
            let name = names.get(&id).map_or_else(number, Labels::to_string);
            found.tell("rollup", name, of(day));
        }
    }
    Ok(())
}
