//! The start: what is on disk comes back into memory. Rows that are damaged are counted and left
//! out.
//!
//! On a large store most of the time goes into labels. What needs none of them is read meanwhile,
//! on threads of its own: the entries of dictionaries, and the log.

mod ahead;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use hallwatch_model::{AgentPath, Id};
use rusqlite::{Connection, Params, Row};

use super::bulk::Room;
use super::bytes::{key, unseal};
use super::commit::{forget_runs, transact};
use super::deletion::Open;
use super::describe::retire;
use super::dictionary::Agent;
use super::flush::Flush;
use super::reader::recalled::Recalled;
use super::record::read_labels;
use super::rollup::Rolled;
use super::shared::{Filled, Found, Shared, count, reading, writing};
use super::track::Track;
use super::{Error, Options, Reader, Store, numbers, salvage, schema};
use ahead::Entries;

pub(super) fn open(dir: &Path, options: &Options, lock: File) -> Result<Store, Error> {
    let path = dir.join(schema::FILE);
    let found = Found::default();
    salvage::finish(&path)?;
    let connection = match salvage::is_asked(&path) {
        true => None,
        false => match schema::open(&path) {
            Err(error) if schema::is_damage(&error) => None,
            opened => Some(opened.map_err(Error::write("open the store"))?),
        },
    };
    let connection = match connection {
        Some(connection) => connection,
        None => salvage::salvage(&path, &found)?,
    };
    let version = schema::version(&connection).map_err(Error::read("read the store's version"))?;
    if version != schema::VERSION {
        return Err(Error::Version { path: dir.to_owned(), version, known: schema::VERSION });
    }
    let shared = Arc::new(Shared {
        path,
        index: std::sync::RwLock::default(),
        windows: std::sync::RwLock::default(),
        versions: AtomicU64::new(0),
        recalled: Recalled::default(),
        rolled: std::sync::RwLock::default(),
        stale: std::sync::RwLock::default(),
        floor: AtomicI64::new(i64::MIN),
        hidden: std::sync::RwLock::default(),
        orders: std::sync::Mutex::default(),
        recent: std::sync::Mutex::default(),
        followed: AtomicU64::new(u64::MAX),
        found,
        log_bytes: AtomicU64::new(0),
        export_lost_rows: AtomicU64::new(0),
    });
    let mut store = Store {
        options: options.clone(),
        connection,
        reader: Reader::new(shared.clone()),
        shared,
        agents: HashMap::new(),
        shards: Vec::new(),
        flush: Flush::default(),
        roll: None,
        closed: i64::MIN,
        purges: std::collections::VecDeque::new(),
        cursors: BTreeMap::new(),
        now: 0,
        last_log: 0,
        broken: false,
        _lock: lock,
    };
    store.load().map_err(Error::read("read the store"))?;
    Ok(store)
}

/// Hands every row to `each`; a row for which it has no use is counted. A table that cannot be
/// read further is counted too.
pub(super) fn rows(
    connection: &Connection,
    damaged: &AtomicU64,
    query: &str,
    params: impl Params,
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<()>>,
) -> rusqlite::Result<()> {
    let mut statement = match connection.prepare(query) {
        Err(error) if schema::is_damage(&error) => {
            count(damaged);
            return Ok(());
        }
        prepared => prepared?,
    };
    let mut rows = statement.query(params)?;
    loop {
        let used = match rows.next() {
            Ok(None) => return Ok(()),
            Ok(Some(row)) => each(row),
            Err(error) if schema::is_damage(&error) => {
                count(damaged);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match used {
            Ok(Some(())) => (),
            Ok(None) => count(damaged),
            Err(error) if schema::is_damage(&error) => count(damaged),
            Err(error) => return Err(error),
        }
    }
}

impl Store {
    fn load(&mut self) -> rusqlite::Result<()> {
        let shared = self.shared.clone();
        self.load_windows(&shared)?;
        self.load_rolled(&shared)?;
        let open = self.open_deletions()?;
        let highest = self.highest_series(&open)?;
        let (log, bytes) = (self.log_span(&shared), ahead::batch_bytes(highest));
        std::thread::scope(|scope| {
            let (sender, batches) = mpsc::sync_channel(ahead::BATCHES);
            let ahead = &shared;
            let reading = scope.spawn(move || ahead::read_log(ahead, log, bytes, &sender));
            let entries = scope.spawn(|| ahead::read_entries(&shared));
            self.load_series(&shared, highest)?;
            self.load_agents(&shared, joined(entries.join())?)?;
            self.load_cursors(&shared)?;
            self.resume(open);
            let room = Room::default();
            for batch in batches {
                self.now = self.now.max(batch.received);
                self.apply_all(&batch.raws, &room);
            }
            joined(reading.join())
        })
    }

    fn load_cursors(&mut self, shared: &Shared) -> rusqlite::Result<()> {
        let query = "SELECT name, position FROM exporter";
        rows(&self.connection, &shared.found.rows, query, [], |row| {
            let position: i64 = row.get(1)?;
            self.cursors.insert(row.get(0)?, position.cast_unsigned());
            Ok(Some(()))
        })
    }

    /// The highest number that a series ever had: none is given again.
    fn highest_series(&self, open: &[Open]) -> rusqlite::Result<u32> {
        let given = match numbers::given(&self.connection)? {
            Some(given) => given,
            None => {
                let damaged = !self.shared.found.damage().is_empty();
                let sought = numbers::sought(&self.connection, damaged)?;
                // Where it cannot be noted it is sought again, or noted with the next series.
                let _ = numbers::note_given(&self.connection, sought);
                sought
            }
        };
        let hidden = open.iter().filter_map(|(hidden, _)| hidden.series.last().copied());
        Ok(hidden.fold(given, u32::max))
    }

    fn load_series(&mut self, shared: &Shared, highest: u32) -> rusqlite::Result<()> {
        let mut index = writing(&shared.index);
        let query = "SELECT id, labels FROM series ORDER BY id";
        index.load(highest, |loading| {
            rows(&self.connection, &shared.found.series, query, [], |row| {
                let id: u32 = row.get(0)?;
                let labels = read_labels(id, row.get_ref(1)?.as_bytes().unwrap_or_default());
                Ok(labels.map(|labels| loading.insert(id, &labels)))
            })
        })?;
        drop(index);
        self.know_heads();
        Ok(())
    }

    fn load_agents(&mut self, shared: &Shared, entries: Vec<Entries>) -> rusqlite::Result<()> {
        let damaged = &shared.found.rows;
        let mut agents: HashMap<i64, (AgentPath, Agent)> = HashMap::new();
        rows(&self.connection, damaged, "SELECT id, tenant, site, agent FROM agent", [], |row| {
            let id: i64 = row.get(0)?;
            let text = |at: usize| row.get::<_, String>(at);
            let (tenant, site, agent) = (text(1)?, text(2)?, text(3)?);
            let path = || {
                let id = |text: &str| Id::new(text).ok();
                Some(AgentPath { tenant: id(&tenant)?, site: id(&site)?, agent: id(&agent)? })
            };
            let Some(path) = path() else { return Ok(None) };
            agents.insert(id, (path, Agent::new(id)));
            Ok(Some(()))
        })?;
        let index = reading(&shared.index);
        for part in entries {
            let Some((_, agent)) = agents.get_mut(&part.agent) else {
                damaged.fetch_add(part.series.len() as u64, Ordering::Relaxed);
                continue;
            };
            let dictionary = agent.dictionaries.entry(part.dictionary).or_default();
            for (id, series) in part.series {
                // Of a series that is damaged nothing is known: its agent will be asked again.
                if index.labels(series).is_some() {
                    dictionary.set(id, series);
                }
            }
            agent.used(part.dictionary);
        }
        rows(
            &self.connection,
            damaged,
            "SELECT agent, boot, ranges, seen FROM received",
            [],
            |row| {
                let (number, boot, seen): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
                let Some((_, agent)) = agents.get_mut(&number) else { return Ok(None) };
                let ranges = row.get_ref(2)?.as_bytes().unwrap_or_default();
                let track = unseal(ranges, key(number, boot));
                let Some(track) = track.and_then(Track::read) else { return Ok(None) };
                agent.tracks.insert(boot.cast_unsigned(), (track, seen));
                self.now = self.now.max(seen);
                Ok(Some(()))
            },
        )?;
        self.agents = agents.into_values().collect();
        self.forget_excess();
        Ok(())
    }

    /// Forgets what earlier versions kept without bounds. Where it cannot be written, it is so
    /// again at the next start.
    fn forget_excess(&mut self) {
        for agent in self.agents.values_mut() {
            let (excess, runs) = (agent.excess(None), agent.excess_runs(&[]));
            if excess.is_empty() && runs.is_empty() {
                continue;
            }
            let only = agent.named_only_in(&excess);
            let gone: Vec<(i64, u64)> = runs.iter().map(|boot| (agent.id, *boot)).collect();
            let _ = transact(&self.connection, |connection| {
                retire(connection, agent.id, &excess, &only)?;
                forget_runs(connection, &gone)
            });
            agent.dictionaries.retain(|number, _| !excess.contains(number));
            agent.tracks.retain(|boot, _| !runs.contains(boot));
        }
    }

    fn load_windows(&mut self, shared: &Shared) -> rusqlite::Result<()> {
        let mut windows = writing(&shared.windows);
        rows(
            &self.connection,
            &shared.found.rows,
            "SELECT window, upto, bytes, samples FROM window",
            [],
            |row| {
                let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
                let (upto, bytes, samples) = (number(1)?, number(2)?, number(3)?);
                let filled = Filled { upto, bytes, samples, ..Filled::default() };
                windows.insert(row.get(0)?, filled);
                Ok(Some(()))
            },
        )?;
        // Chunks are found even when the row of their window is damaged.
        let mut after = i64::MIN;
        let mut next =
            self.connection.prepare("SELECT min(window) FROM chunk WHERE window > ?1")?;
        while let Ok(Some(window)) = next.query_row([after], |row| row.get::<_, Option<i64>>(0)) {
            windows.entry(window).or_default();
            after = window;
        }
        let newest = self.meta("newest_window").and_then(|window| windows.get_mut(&window));
        if let Some(newest) = newest {
            newest.latest = self.meta("newest_window_latest");
        }
        Ok(())
    }

    fn load_rolled(&mut self, shared: &Shared) -> rusqlite::Result<()> {
        let damaged = &shared.found.rows;
        let mut rolled = writing(&shared.rolled);
        let query = "SELECT resolution, day, done, bytes FROM rolled";
        rows(&self.connection, damaged, query, [], |row| {
            let bytes: i64 = row.get(3)?;
            let one = Rolled { done: row.get(2)?, bytes: bytes.cast_unsigned() };
            rolled.insert((row.get(0)?, row.get(1)?), one);
            Ok(Some(()))
        })?;
        let mut stale = writing(&shared.stale);
        rows(&self.connection, damaged, "SELECT day, series FROM stale", [], |row| {
            stale.entry(row.get(0)?).or_default().insert(row.get(1)?);
            Ok(Some(()))
        })?;
        if let Some(floor) = self.meta("floor") {
            shared.floor.fetch_max(floor, Ordering::Relaxed);
        }
        Ok(())
    }

    fn meta(&self, key: &str) -> Option<i64> {
        let query = "SELECT value FROM meta WHERE key = ?1";
        self.connection.query_row(query, [key], |row| row.get(0)).ok()
    }

    /// The bytes of the log, of which the most were counted before.
    fn count_log(&self) -> u64 {
        let counted = self.meta("log_bytes").zip(self.meta("log_bytes_upto"));
        let (bytes, upto) = counted.unwrap_or((0, 0));
        let query = "SELECT coalesce(sum(length(data)), 0) FROM log WHERE id > ?1";
        let more: i64 = self.connection.query_row(query, [upto], |row| row.get(0)).unwrap_or(0);
        bytes.max(0).saturating_add(more).cast_unsigned()
    }

    /// The log rows, first and last, that may not be in chunks.
    fn log_span(&mut self, shared: &Shared) -> (i64, i64) {
        let sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'log'";
        let last: i64 = self.connection.query_row(sequence, [], |row| row.get(0)).unwrap_or(0);
        self.last_log = last.cast_unsigned();
        shared.log_bytes.store(self.count_log(), Ordering::Relaxed);
        (self.meta("replay_from").unwrap_or(0), last)
    }
}

/// What a thread came to; its panic goes on here.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
