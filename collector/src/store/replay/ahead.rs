//! What is read on threads of its own while labels are put into the index.

use std::sync::mpsc::SyncSender;

use rusqlite::Connection;

use super::super::bulk::Raw;
use super::super::dictionary::RETIRED;
use super::super::record::sum_entry;
use super::super::schema;
use super::super::shared::Shared;
use super::rows;

/// Log rows read at once.
const STEP: i64 = 16;
/// Bytes of log that are put into the heads together, at least: some two million samples.
const BATCH: usize = 8 << 20;
/// And as many as this for each series, so that a head is worth looking up; but not more than that.
const BYTES_PER_SERIES: usize = 32;
const MOST: usize = 32 << 20;
/// Batches that are read and wait.
pub(super) const BATCHES: usize = 4;

/// Log rows that go into the heads together.
pub(super) struct Batch {
    pub(super) raws: Vec<Raw>,
    /// When the latest of them was received.
    pub(super) received: i64,
}

/// A part of a dictionary: numbers of the agent, and those of the store for them.
pub(super) struct Entries {
    pub(super) agent: i64,
    pub(super) dictionary: u64,
    pub(super) series: Vec<(u32, u32)>,
}

/// How many bytes of log go into the heads of so many series together.
pub(super) fn batch_bytes(series: u32) -> usize {
    (series as usize).saturating_mul(BYTES_PER_SERIES).clamp(BATCH, MOST)
}

/// Reads the log rows of a span, as long as anybody takes them.
pub(super) fn read_log(
    shared: &Shared,
    (mut next, last): (i64, i64),
    bytes: usize,
    batches: &SyncSender<Batch>,
) -> rusqlite::Result<()> {
    if next > last {
        return Ok(());
    }
    let connection = schema::open_reader(&shared.path)?;
    let query = "SELECT id, received, data FROM log WHERE id >= ?1 AND id < ?2 ORDER BY id";
    while next <= last {
        let mut batch = Batch { raws: Vec::new(), received: 0 };
        let mut filled = 0;
        while next <= last && filled < bytes {
            let until = next.saturating_add(STEP);
            rows(&connection, &shared.found.log_rows, query, [next, until], |row| {
                let id: i64 = row.get(0)?;
                batch.received = batch.received.max(row.get(1)?);
                let data = row.get_ref(2)?.as_bytes().unwrap_or_default().to_vec();
                filled += data.len();
                batch.raws.push(Raw { id: id.cast_unsigned(), data });
                Ok(Some(()))
            })?;
            next = until;
        }
        if batches.send(batch).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads all dictionaries, those that name the newest series last: where an agent has too many,
/// these are likely in use.
pub(super) fn read_entries(shared: &Shared) -> rusqlite::Result<Vec<Entries>> {
    let connection: Connection = schema::open_reader(&shared.path)?;
    let mut all: Vec<Entries> = Vec::new();
    let query = "SELECT agent, dictionary, id, series, sum FROM dictionary";
    rows(&connection, &shared.found.rows, query, [], |row| {
        let (agent, dictionary): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (id, series, sum): (u32, u32, u32) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let dictionary = dictionary.cast_unsigned();
        if sum != sum_entry(agent, dictionary, id, series) {
            return Ok(None);
        }
        if dictionary == RETIRED {
            return Ok(Some(()));
        }
        // They come in this order.
        match all.last_mut() {
            Some(last) if (last.agent, last.dictionary) == (agent, dictionary) => {
                last.series.push((id, series));
            }
            _ => all.push(Entries { agent, dictionary, series: vec![(id, series)] }),
        }
        Ok(Some(()))
    })?;
    all.sort_by_key(|part| part.series.iter().map(|(_, series)| *series).max());
    Ok(all)
}
