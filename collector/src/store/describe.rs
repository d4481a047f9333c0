//! Who is known: agents, their dictionaries, and the series that these name.

use std::collections::HashMap;

use hallwatch_model::{AgentPath, Describe, Labels};
use rusqlite::{Connection, params};

use super::commit::transact;
use super::dictionary::{Agent, Dictionary, RETIRED};
use super::numbers::note_given;
use super::record::{sum_entry, write_labels};
use super::shared::{reading, writing};
use super::{Error, Store};

impl Store {
    /// Takes a part of an agent's dictionary; it is on disk when this returns. Series get the
    /// tenant and the site of the agent, whatever they say themselves. When the agent has many
    /// dictionaries the one that was not used for longest goes: it is asked for again when a batch
    /// names it.
    ///
    /// # Errors
    /// [`Error::TooManySeries`], or when it cannot be written.
    pub fn describe(&mut self, agent: &AgentPath, describe: &Describe) -> Result<(), Error> {
        self.check()?;
        let number = self.agent(agent)?;
        let known = self.agents.get(agent).and_then(|a| a.dictionaries.get(&describe.dictionary));
        let (mut created, mut entries) = (Created::after(self), Vec::new());
        for (id, labels) in &describe.series {
            let (tenant, site) = (agent.tenant.as_str(), agent.site.as_str());
            let labels = labels.with("tenant", tenant).with("site", site);
            let series = created.id(self, labels);
            if known.and_then(|known| known.get(id.0)) != Some(series) {
                entries.push((id.0, series));
            }
        }
        let most = self.options.most_series;
        if !created.new.is_empty() && reading(&self.shared.index).len() + created.new.len() > most {
            return Err(Error::TooManySeries { agent: agent.clone(), most });
        }
        // Any number of ids may be one series.
        let new = entries.iter().filter(|(id, _)| known.and_then(|k| k.get(*id)).is_none()).count();
        if new > 0 && known.map_or(0, Dictionary::len) + new > most {
            return Err(Error::TooManySeries { agent: agent.clone(), most });
        }
        let retired = self.agents.get(agent).map(|known| {
            let excess = known.excess(Some(describe.dictionary));
            let only = known.named_only_in(&excess);
            (excess, only)
        });
        let (excess, only) = retired.unwrap_or_default();
        if !entries.is_empty() || !created.new.is_empty() || !excess.is_empty() {
            let written = transact(&self.connection, |connection| {
                created.write(connection)?;
                retire(connection, number, &excess, &only)?;
                match describe.dictionary {
                    RETIRED => Ok(()),
                    dictionary => write_entries(connection, number, dictionary, &entries),
                }
            });
            self.written(written.map_err(Error::write("keep a dictionary")))?;
            created.publish(self);
        }
        if let Some(known) = self.agents.get_mut(agent) {
            let dictionary = known.dictionaries.entry(describe.dictionary).or_default();
            for (id, series) in entries {
                dictionary.set(id, series);
            }
            known.described(describe.dictionary);
            known.used(describe.dictionary);
            for number in excess {
                known.dictionaries.remove(&number);
            }
        }
        Ok(())
    }

    /// The number of an agent, who is made known when it is new.
    pub(super) fn agent(&mut self, path: &AgentPath) -> Result<i64, Error> {
        if let Some(known) = self.agents.get(path) {
            return Ok(known.id);
        }
        let inserted = self.connection.execute(
            "INSERT INTO agent (tenant, site, agent) VALUES (?1, ?2, ?3)",
            params![path.tenant.as_str(), path.site.as_str(), path.agent.as_str()],
        );
        self.written(inserted.map_err(Error::write("make an agent known")))?;
        let id = self.connection.last_insert_rowid();
        self.agents.insert(path.clone(), Agent::new(id));
        Ok(id)
    }
}

/// Writes entries of a dictionary of the agent.
fn write_entries(
    connection: &Connection,
    agent: i64,
    dictionary: u64,
    entries: &[(u32, u32)],
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO dictionary (agent, dictionary, id, series, sum) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (id, series) in entries {
        let sum = sum_entry(agent, dictionary, *id, *series);
        insert.execute(params![agent, dictionary.cast_signed(), id, series, sum])?;
    }
    Ok(())
}

/// Removes dictionaries of the agent. That it has described the series that `only` they name is
/// known on.
pub(super) fn retire(
    connection: &Connection,
    agent: i64,
    dictionaries: &[u64],
    only: &[u32],
) -> rusqlite::Result<()> {
    let mut delete =
        connection.prepare_cached("DELETE FROM dictionary WHERE agent = ?1 AND dictionary = ?2")?;
    for dictionary in dictionaries.iter().filter(|dictionary| **dictionary != RETIRED) {
        delete.execute(params![agent, dictionary.cast_signed()])?;
    }
    let entries: Vec<(u32, u32)> = only.iter().map(|series| (*series, *series)).collect();
    write_entries(connection, agent, RETIRED, &entries)
}

/// Series to be made.
#[derive(Debug)]
pub(super) struct Created {
    next: u32,
    ids: HashMap<Labels, u32>,
    new: Vec<(u32, Labels)>,
}

impl Created {
    pub(super) fn after(store: &Store) -> Self {
        let next = reading(&store.shared.index).next_id();
        Self { next, ids: HashMap::new(), new: Vec::new() }
    }

    /// The number of the series with these labels, a new one when there is none.
    pub(super) fn id(&mut self, store: &Store, labels: Labels) -> u32 {
        if let Some(id) = reading(&store.shared.index).id(&labels) {
            return id;
        }
        *self.ids.entry(labels).or_insert_with_key(|labels| {
            let id = self.next;
            self.next += 1;
            self.new.push((id, labels.clone()));
            id
        })
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT INTO series (id, labels) VALUES (?1, ?2)")?;
        for (id, labels) in &self.new {
            insert.execute(params![id, write_labels(*id, labels)])?;
        }
        self.new.last().map_or(Ok(()), |(highest, _)| note_given(connection, *highest))
    }

    pub(super) fn publish(self, store: &mut Store) {
        {
            let mut index = writing(&store.shared.index);
            for (id, labels) in &self.new {
                index.insert(*id, labels.iter().map(|label| (&*label.name, &*label.value)));
            }
        }
        store.know_heads();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use hallwatch_model::{Batch, Id, Reading, Readings, SeriesId, Timestamp};
    use hallwatch_promql::Matchers;

    use super::super::dictionary::{MOST_DICTIONARIES, MOST_RUNS};
    use super::super::{Incoming, Options, Outcome, Reader};
    use super::*;

    const START: i64 = 1_795_276_800_000;

    fn gateway() -> AgentPath {
        let id = |text| Id::new(text).unwrap();
        AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
    }

    fn open(dir: &Path) -> Store {
        Store::open(dir, &Options::default()).unwrap()
    }

    fn describe(store: &mut Store, dictionary: u64, id: u32, device: &str) {
        let series = vec![(SeriesId(id), Labels::metric("power_watts", [("device", device)]))];
        let describe = Describe { dictionary, series, ..Describe::default() };
        store.describe(&gateway(), &describe).unwrap();
    }

    fn incoming(dictionary: u64, id: u32, boot: u64, seq: u64) -> Incoming {
        let time = Timestamp::from_millis(START + seq.cast_signed() * 1_000);
        let readings = vec![Reading { series: SeriesId(id), time, value: Ok(1.5) }];
        let batch = Batch {
            boot,
            seq,
            oldest: 1,
            watermark: time,
            readings: Readings { dictionary, readings, ..Readings::default() },
            ..Batch::default()
        };
        Incoming { agent: gateway(), batch, received: time }
    }

    fn commit(store: &mut Store, dictionary: u64, id: u32, seq: u64) -> Outcome {
        store.commit(&[incoming(dictionary, id, 1, seq)]).unwrap().remove(0)
    }

    fn count(store: &Store, query: &str) -> usize {
        let count: i64 = store.connection.query_row(query, [], |row| row.get(0)).unwrap();
        usize::try_from(count).unwrap()
    }

    #[test]
    fn the_dictionaries_of_an_agent_are_bounded_and_the_one_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        describe(&mut store, 5, 0, "d-1");
        describe(&mut store, 6, 0, "of-the-past");
        commit(&mut store, 6, 0, 1);
        for i in 0..100u64 {
            describe(&mut store, 1_000 + i, 65_535, "d-1");
            let outcome = commit(&mut store, 5, 0, 2 + i);
            assert!(matches!(outcome, Outcome::Stored { .. }), "{i}: {outcome:?}");
        }
        for i in [0, RETIRED] {
            describe(&mut store, i, 3, "d-1");
            assert!(matches!(commit(&mut store, i, 3, 200 + i % 7), Outcome::Stored { .. }));
        }
        for _ in 0..2 {
            let dictionaries = &store.agents[&gateway()].dictionaries;
            assert!(dictionaries.len() <= MOST_DICTIONARIES, "{}", dictionaries.len());
            let all = "SELECT count(*) FROM dictionary";
            assert!(count(&store, all) <= MOST_DICTIONARIES + 1, "{}", count(&store, all));
            // What it said of devices in the past is known still, also to the peer.
            let reader = store.reader();
            let devices: BTreeSet<(i64, String)> = reader.described_devices().unwrap();
            let names: Vec<&str> = devices.iter().map(|(_, device)| device.as_str()).collect();
            assert_eq!(names, ["d-1", "of-the-past"]);
            let matchers = [Matchers::parse("power_watts").unwrap()];
            let window = Reader::window_of(Timestamp::from_millis(START));
            let mut frames = Vec::new();
            let take = |some: Vec<_>| {
                frames.extend(some);
                true
            };
            reader.frames(window, &matchers, 10, take).unwrap();
            assert_eq!(frames.len(), 2);
            assert!(frames.iter().all(|frame| !frame.own));
            store = {
                drop(store);
                open(dir.path())
            };
        }
        // The one of the past is asked for when it comes again, like one that was never there.
        assert_eq!(commit(&mut store, 6, 0, 300), Outcome::UnknownSeries);
        assert!(store.ack(&gateway(), 1).describe);
        describe(&mut store, 6, 0, "of-the-past");
        assert!(!store.ack(&gateway(), 1).describe);
        assert!(matches!(commit(&mut store, 6, 0, 300), Outcome::Stored { .. }));
        assert!(matches!(commit(&mut store, 5, 0, 301), Outcome::Stored { .. }));
    }

    #[test]
    fn what_earlier_versions_kept_is_bounded_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        describe(&mut store, 5, 0, "d-1");
        commit(&mut store, 5, 0, 1);
        for dictionary in 100..200 {
            write_entries(&store.connection, 1, dictionary, &[(65_535, 1)]).unwrap();
        }
        let insert = "INSERT INTO received (agent, boot, ranges, watermark, seen) \
                      SELECT agent, ?1, ranges, watermark, seen FROM received WHERE boot = 1";
        let (first, last) = (10, 1_000);
        for boot in first..last {
            store.connection.execute(insert, [boot]).unwrap();
            let track = store.agents[&gateway()].tracks[&1].0.write();
            let ranges = super::super::bytes::seal(track, super::super::bytes::key(1, boot));
            let update = "UPDATE received SET ranges = ?2, seen = seen - ?1 WHERE boot = ?1";
            store.connection.execute(update, params![boot, ranges]).unwrap();
        }
        drop(store);
        let mut store = open(dir.path());
        assert!(store.reader().stats().damage.is_empty());
        assert_eq!(count(&store, "SELECT count(*) FROM dictionary"), MOST_DICTIONARIES);
        assert_eq!(store.agents[&gateway()].dictionaries.len(), MOST_DICTIONARIES);
        assert_eq!(count(&store, "SELECT count(*) FROM received"), MOST_RUNS);
        let tracks = &store.agents[&gateway()].tracks;
        assert!(tracks.len() == MOST_RUNS && tracks.contains_key(&1) && tracks.contains_key(&10));
        describe(&mut store, 5, 0, "d-1");
        assert!(matches!(commit(&mut store, 5, 0, 2), Outcome::Stored { .. }));
    }

    #[test]
    fn any_number_of_ids_of_one_series_is_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut store =
            Store::open(dir.path(), &Options { most_series: 10, ..Options::default() }).unwrap();
        for id in 0..10 {
            describe(&mut store, 5, id * 1_000, "d-1");
        }
        describe(&mut store, 5, 3_000, "d-2");
        let series = vec![(SeriesId(1), Labels::metric("power_watts", [("device", "d-1")]))];
        let describe = Describe { dictionary: 5, series, ..Describe::default() };
        let error = store.describe(&gateway(), &describe).unwrap_err();
        assert!(matches!(error, Error::TooManySeries { most: 10, .. }), "{error}");
    }

    #[test]
    fn the_runs_of_an_agent_are_bounded_and_those_seen_last_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        describe(&mut store, 5, 0, "d-1");
        let most = MOST_RUNS as u64;
        let batches: Vec<Incoming> =
            (1..2 * most).map(|seq| incoming(5, 0, seq % (most / 2 * 3) + 1, seq)).collect();
        for some in batches.chunks(100) {
            for outcome in store.commit(some).unwrap() {
                assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
            }
            assert!(store.agents[&gateway()].tracks.len() <= MOST_RUNS);
        }
        for _ in 0..2 {
            let tracks = &store.agents[&gateway()].tracks;
            assert_eq!(tracks.len(), MOST_RUNS);
            assert_eq!(count(&store, "SELECT count(*) FROM received"), MOST_RUNS);
            for one in &batches[batches.len() - MOST_RUNS..] {
                assert!(tracks.contains_key(&one.batch.boot), "{}", one.batch.boot);
            }
            drop(store);
            store = open(dir.path());
        }
        // What comes again of a run that was forgotten is there already.
        let again = store.commit(&batches[most as usize / 2 + 10..][..1]).unwrap();
        assert!(matches!(again[0], Outcome::Stored { samples: 0, .. }), "{again:?}");
    }
}
