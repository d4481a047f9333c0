//! The way in: one transaction, synced, then the head.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use hallwatch_model::sample::to_float;
use hallwatch_model::{AgentPath, Event, Labels, Sample, Timestamp};
use rusqlite::{Connection, params};

use super::bytes::{key, seal};
use super::describe::Created;
use super::head::{Pushed, window_of};
use super::heads::shard_of;
use super::record::{Point, write_points};
use super::shared::lock;
use super::track::{Place, Track};
use super::{Entry, Error, Ignored, Incoming, Outcome, Store};

/// The number of the collector itself, where others have an agent's.
pub(super) const OWN: i64 = 0;
/// The number of another collector, whose samples fill what is missing here.
pub(super) const FILLED: i64 = -1;

/// So many points have their heads looked up together.
const AHEAD: usize = 32;

/// What one transaction writes.
#[derive(Debug, Default)]
struct Staged {
    rows: Vec<Row>,
    tracks: HashMap<(AgentPath, u64), Touched>,
}

#[derive(Clone, Debug)]
struct Touched {
    agent: i64,
    track: Track,
    watermark: i64,
    seen: i64,
}

/// One log row to be.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) agent: i64,
    pub(super) received: i64,
    pub(super) points: Vec<Point>,
    /// The agent says that it is old.
    pub(super) backfill: bool,
    pub(super) data: Vec<u8>,
    pub(super) events: Vec<Event>,
    /// Which outcome hears of it.
    pub(super) outcome: usize,
}

impl Store {
    /// Takes batches, in any order; one outcome for each. What is [`Outcome::Stored`] is on disk
    /// when this returns. A part of what waits to be written as chunks goes along.
    ///
    /// # Errors
    /// When it cannot be written: then nothing was stored. See [`Error::is_fatal`].
    pub fn commit(&mut self, incoming: &[Incoming]) -> Result<Vec<Outcome>, Error> {
        self.check()?;
        self.take_orders();
        let mut staged = Staged::default();
        let mut outcomes = Vec::with_capacity(incoming.len());
        for one in incoming {
            self.now = self.now.max(one.received.as_millis());
            let outcome = self.stage(one, outcomes.len(), &mut staged)?;
            outcomes.push(outcome);
        }
        self.write(staged, None, &mut outcomes)?;
        Ok(outcomes)
    }

    /// Takes samples of the collector's own series, received at `now`; they are on disk when this
    /// returns. Their labels are taken as they are.
    ///
    /// # Errors
    /// When it cannot be written: then nothing was stored.
    pub fn record(&mut self, samples: &[(Labels, Sample)], now: Timestamp) -> Result<(), Error> {
        self.check()?;
        self.now = self.now.max(now.as_millis());
        if samples.is_empty() {
            return Ok(());
        }
        let mut created = Created::after(self);
        let points: Vec<Point> = samples
            .iter()
            .map(|(labels, sample)| Point {
                series: created.id(self, labels.clone()),
                time: sample.time.as_millis(),
                value: to_float(sample.value),
            })
            .collect();
        let row = Row {
            agent: OWN,
            received: self.now,
            data: write_points(&points, false),
            points,
            backfill: false,
            events: Vec::new(),
            outcome: usize::MAX,
        };
        self.write_rows(vec![row], created)
    }

    /// Writes rows of series that may be new.
    pub(super) fn write_rows(&mut self, rows: Vec<Row>, created: Created) -> Result<(), Error> {
        let staged = Staged { rows, ..Staged::default() };
        self.write(staged, Some(created), &mut [])
    }

    /// Writes a part of what waits to be written as chunks or to be deleted, as every commit does:
    /// for times without commits. Gives whether there is more to do.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn maintain(&mut self, now: Timestamp) -> Result<bool, Error> {
        self.check()?;
        self.now = self.now.max(now.as_millis());
        self.take_orders();
        self.write(Staged::default(), None, &mut [])?;
        self.purge_copies()?;
        let purging = self.purges.front().is_some_and(super::purge::Purge::writes);
        let busy = self.flush.is_busy() || purging || self.is_due() || self.roll_due();
        Ok(busy || self.give_back()?)
    }

    /// Decides on one batch; changes nothing but `staged`, and what is asked of the agent.
    fn stage(&mut self, one: &Incoming, at: usize, staged: &mut Staged) -> Result<Outcome, Error> {
        let batch = &one.batch;
        let number = self.agent(&one.agent)?;
        let Some(agent) = self.agents.get_mut(&one.agent) else {
            return Ok(Outcome::UnknownSeries);
        };
        let key = (one.agent.clone(), batch.boot);
        let before = match staged.tracks.get(&key) {
            Some(touched) => touched.clone(),
            None => {
                let (track, seen) =
                    agent.tracks.get(&batch.boot).cloned().unwrap_or((Track::default(), i64::MIN));
                Touched { agent: number, track, watermark: i64::MIN, seen }
            }
        };
        let mut track = before.track;
        let lost = track.give_up(batch.oldest.min(batch.seq));
        let place = track.place(batch.seq);
        if place == Place::OutOfWindow {
            return Ok(Outcome::OutOfWindow);
        }
        let mut points = Vec::new();
        let mut ignored = Ignored::default();
        if place == Place::New {
            agent.used(batch.readings.dictionary);
            let dictionary = agent.dictionaries.get(&batch.readings.dictionary);
            let age = self.options.retention_age;
            let oldest = age.map_or(Timestamp::MIN, |age| one.received - age);
            let floor = self.shared.floor.load(Ordering::Relaxed).max(self.closed);
            let floor = Timestamp::from_millis(floor);
            let oldest = oldest.max(floor);
            let latest = one.received + self.options.most_ahead;
            points.reserve(batch.readings.readings.len());
            for reading in &batch.readings.readings {
                let Some(series) = dictionary.and_then(|d| d.get(reading.series.0)) else {
                    agent.want(batch.readings.dictionary);
                    return Ok(Outcome::UnknownSeries);
                };
                if reading.time < oldest {
                    ignored.too_old += 1;
                } else if reading.time > latest {
                    ignored.in_future += 1;
                } else {
                    let (time, value) = (reading.time.as_millis(), to_float(reading.value));
                    points.push(Point { series, time, value });
                }
            }
            track.receive(batch.seq);
        } else if lost.is_empty() {
            return Ok(Outcome::Duplicate { lost });
        }
        let touched = Touched {
            agent: number,
            track,
            watermark: before.watermark.max(batch.watermark.as_millis()),
            seen: before.seen.max(one.received.as_millis()),
        };
        staged.tracks.insert(key, touched);
        if place == Place::Duplicate {
            return Ok(Outcome::Duplicate { lost });
        }
        if !points.is_empty() || !batch.readings.events.is_empty() {
            staged.rows.push(Row {
                agent: number,
                received: one.received.as_millis(),
                data: write_points(&points, batch.backfill),
                points,
                backfill: batch.backfill,
                events: batch.readings.events.clone(),
                outcome: at,
            });
        }
        Ok(Outcome::Stored { samples: 0, new_series: 0, ignored, lost })
    }

    /// The transaction, and what follows from it.
    fn write(
        &mut self,
        staged: Staged,
        created: Option<Created>,
        outcomes: &mut [Outcome],
    ) -> Result<(), Error> {
        self.choose();
        self.choose_roll();
        let nothing = staged.rows.is_empty() && staged.tracks.is_empty();
        let purging = self.purges.front().is_some_and(super::purge::Purge::writes);
        let busy = self.flush.is_busy() || self.roll.is_some() || purging;
        if nothing && created.is_none() && !busy {
            return Ok(());
        }
        let forgotten = self.forgotten_runs(&staged);
        let mut ids = Vec::with_capacity(staged.rows.len());
        let written = transact(&self.connection, |connection| {
            if let Some(created) = &created {
                created.write(connection)?;
            }
            let step = self.flush_step(connection)?;
            let purge = self.purge_step(connection, &step)?;
            let roll = self.roll_step(connection, purge.as_ref())?;
            staged.write(connection, &mut ids)?;
            forget_runs(connection, &forgotten)?;
            Ok((step, purge, roll))
        });
        let (step, purge, roll) =
            self.written(written.map_err(Error::write("commit what was received")))?;
        if let Some(created) = created {
            created.publish(self);
        }
        lock(&self.shared.recent).trim(step.trimmed_upto);
        if purge.is_some() {
            lock(&self.shared.recent).clear();
        }
        self.flushed(step);
        self.purged(purge);
        self.rolled(roll);
        for ((path, boot), touched) in staged.tracks {
            if let Some(agent) = self.agents.get_mut(&path) {
                agent.tracks.insert(boot, (touched.track, touched.seen));
            }
        }
        if !forgotten.is_empty() {
            let gone: HashSet<(i64, u64)> = forgotten.into_iter().collect();
            for agent in self.agents.values_mut() {
                agent.tracks.retain(|boot, _| !gone.contains(&(agent.id, *boot)));
            }
        }
        if !staged.rows.is_empty() {
            self.flush.each = staged.rows.iter().map(|row| row.data.len() as u64).sum();
        }
        for (row, id) in staged.rows.into_iter().zip(ids) {
            self.last_log = self.last_log.max(id);
            self.shared.log_bytes.fetch_add(row.data.len() as u64, Ordering::Relaxed);
            self.flush.appended += row.data.len() as u64;
            let applied = self.apply(id, &row.points);
            if let Some(Outcome::Stored { samples, new_series, ignored, .. }) =
                outcomes.get_mut(row.outcome)
            {
                *samples = applied.samples;
                *new_series = applied.new_series;
                ignored.known = row.points.len() - applied.samples;
            }
            // One without points is not in the log.
            if id > 0 {
                let points = (row.points, row.backfill);
                lock(&self.shared.recent).push(Entry::new(id, row.received, row.agent, points));
            }
        }
        lock(&self.shared.recent).trim(self.read_upto());
        Ok(())
    }

    /// The runs, by agent, that are forgotten for those that are new.
    fn forgotten_runs(&self, staged: &Staged) -> Vec<(i64, u64)> {
        let mut new: HashMap<&AgentPath, Vec<u64>> = HashMap::new();
        for (path, boot) in staged.tracks.keys() {
            new.entry(path).or_default().push(*boot);
        }
        let excess = new.iter().filter_map(|(path, new)| {
            let agent = self.agents.get(path)?;
            Some(agent.excess_runs(new).into_iter().map(|boot| (agent.id, boot)))
        });
        excess.flatten().collect()
    }

    /// Puts the samples of the log row `id` into the heads.
    pub(super) fn apply(&mut self, id: u64, points: &[Point]) -> Applied {
        let mut applied = Applied::default();
        let mut touched = i64::MIN;
        for neighbours in points.chunk_by(|a, b| shard_of(a.series) == shard_of(b.series)) {
            let shard = neighbours.first().and_then(|one| self.shards.get(shard_of(one.series)));
            let Some(mut heads) = shard.map(|shard| shard.lock()) else { continue };
            for part in neighbours.chunks(AHEAD) {
                heads.look_ahead(part.iter().map(|point| point.series));
                for point in part {
                    // A point may name a series that was deleted meanwhile.
                    if !heads.is_live(point.series) {
                        continue;
                    }
                    let window = window_of(point.time);
                    applied.new_series += usize::from(heads.get(point.series).last().is_none());
                    let pushed = heads.push(point.series, point.time, point.value);
                    applied.samples += usize::from(pushed != Pushed::Known);
                    if pushed == Pushed::Opened {
                        self.flush.opened(window, point.series, id, self.now);
                    }
                    if pushed != Pushed::Known && window != touched {
                        self.flush.touched(window, self.now);
                        touched = window;
                    }
                }
            }
        }
        applied
    }
}

/// What came of a log row in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Applied {
    pub(super) samples: usize,
    pub(super) new_series: usize,
}

impl Staged {
    fn write(&self, connection: &Connection, ids: &mut Vec<u64>) -> rusqlite::Result<()> {
        let mut insert = connection
            .prepare_cached("INSERT INTO log (agent, received, data) VALUES (?1, ?2, ?3)")?;
        let mut event = connection.prepare_cached(
            "INSERT INTO event (agent, time, received, device, door, person, result) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for row in &self.rows {
            if row.points.is_empty() {
                ids.push(0);
            } else {
                insert.execute(params![row.agent, row.received, row.data])?;
                ids.push(connection.last_insert_rowid().cast_unsigned());
            }
            for one in &row.events {
                event.execute(params![
                    row.agent,
                    one.time.as_millis(),
                    row.received,
                    one.device,
                    one.door,
                    one.person,
                    one.result
                ])?;
            }
        }
        let mut received = connection.prepare_cached(
            "INSERT INTO received (agent, boot, ranges, watermark, seen) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (agent, boot) DO UPDATE SET \
             ranges = excluded.ranges, watermark = max(watermark, excluded.watermark), \
             seen = max(seen, excluded.seen)",
        )?;
        for ((_, boot), touched) in &self.tracks {
            received.execute(params![
                touched.agent,
                boot.cast_signed(),
                seal(touched.track.write(), key(touched.agent, boot.cast_signed())),
                touched.watermark,
                touched.seen
            ])?;
        }
        Ok(())
    }
}

/// Removes what stands of these runs.
pub(super) fn forget_runs(connection: &Connection, runs: &[(i64, u64)]) -> rusqlite::Result<()> {
    let mut delete =
        connection.prepare_cached("DELETE FROM received WHERE agent = ?1 AND boot = ?2")?;
    for (agent, boot) in runs {
        delete.execute(params![agent, boot.cast_signed()])?;
    }
    Ok(())
}

/// Runs `work` in a transaction that is synced when this returns; rolled back when it fails.
pub(super) fn transact<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.unchecked_transaction()?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use hallwatch_promql::Matchers;

    use super::*;
    use crate::store::Options;

    #[test]
    fn a_full_disk_is_reported_loses_nothing_and_ends_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), &Options::default()).unwrap();
        let at = |second: i64| Timestamp::from_millis(1_795_276_800_000 + second * 1_000);
        let samples = |second: i64| -> Vec<(Labels, Sample)> {
            let labels = |i: i64| Labels::metric("up", [("device", format!("{i}").as_str())]);
            let value = |i: i64| Ok(f64::from_bits((second * 100 + i).cast_unsigned() << 20));
            (0..100).map(|i| (labels(i), Sample { time: at(second), value: value(i) })).collect()
        };
        store.record(&samples(0), at(0)).unwrap();
        let pages: i64 =
            store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        store.connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
        let full = (1..1_000).find_map(|i| Some((i, store.record(&samples(i), at(i)).err()?)));
        let (full, error) = full.expect("the disk never got full");
        assert!(error.is_disk_full() && !error.is_fatal(), "{error:?}");
        let latest = |store: &Store| {
            let matchers = Matchers::parse("up").unwrap();
            let all = store.reader().latest(&matchers).unwrap();
            assert_eq!(all.len(), 100);
            all.iter().map(|(_, sample)| sample.time).max()
        };
        assert_eq!(latest(&store), Some(at(full - 1)));
        assert!(store.record(&samples(full), at(full)).unwrap_err().is_disk_full());
        store.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
        store.record(&samples(full), at(full)).unwrap();
        drop(store);
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        assert_eq!(latest(&store), Some(at(full)));
        assert_eq!(store.log(0, usize::MAX).unwrap().len(), usize::try_from(full).unwrap() + 1);
    }
}
