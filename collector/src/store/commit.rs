//! The way in: one transaction, synced, then the head.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;

use hallwatch_model::sample::to_float;
use hallwatch_model::{AgentPath, Describe, Event, Labels, Sample, Timestamp};
use rusqlite::{Connection, params};

use super::bytes::{key, seal};
use super::dictionary::Agent;
use super::head::Pushed;
use super::record::{Point, sum_entry, write_labels, write_points};
use super::shared::{lock, reading, writing};
use super::track::{Place, Track};
use super::{Error, Ignored, Incoming, Outcome, Store, head};

/// The number of the collector itself, where others have an agent's.
const OWN: i64 = 0;

/// What one transaction writes.
#[derive(Debug, Default)]
struct Staged {
    rows: Vec<Row>,
    tracks: HashMap<(AgentPath, u64), Touched>,
}

#[derive(Debug)]
struct Touched {
    agent: i64,
    track: Track,
    watermark: i64,
    seen: i64,
}

/// One log row to be.
#[derive(Debug)]
struct Row {
    agent: i64,
    received: i64,
    points: Vec<Point>,
    data: Vec<u8>,
    events: Vec<Event>,
    /// Which outcome hears of it.
    outcome: usize,
}

impl Store {
    /// Takes a part of an agent's dictionary; it is on disk when this returns. Series get the
    /// tenant and the site of the agent, whatever they say themselves.
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
        if !entries.is_empty() || !created.new.is_empty() {
            let dictionary = describe.dictionary.cast_signed();
            let written = transact(&self.connection, |connection| {
                created.write(connection)?;
                let mut insert = connection.prepare_cached(
                    "INSERT OR REPLACE INTO dictionary (agent, dictionary, id, series, sum) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?;
                for (id, series) in &entries {
                    let sum = sum_entry(number, describe.dictionary, *id, *series);
                    insert.execute(params![number, dictionary, id, series, sum])?;
                }
                Ok(())
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
        }
        Ok(())
    }

    /// Takes batches, in any order; one outcome for each. What is [`Outcome::Stored`] is on disk
    /// when this returns. A part of what waits to be written as chunks goes along.
    ///
    /// # Errors
    /// When it cannot be written: then nothing was stored. See [`Error::is_fatal`].
    pub fn commit(&mut self, incoming: &[Incoming]) -> Result<Vec<Outcome>, Error> {
        self.check()?;
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
            data: write_points(&points),
            points,
            events: Vec::new(),
            outcome: usize::MAX,
        };
        let staged = Staged { rows: vec![row], ..Staged::default() };
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
        self.write(Staged::default(), None, &mut [])?;
        Ok(self.flush.is_busy() || self.is_due())
    }

    /// Decides on one batch; changes nothing but `staged`, and what is asked of the agent.
    fn stage(&mut self, one: &Incoming, at: usize, staged: &mut Staged) -> Result<Outcome, Error> {
        let batch = &one.batch;
        let number = self.agent(&one.agent)?;
        let Some(agent) = self.agents.get_mut(&one.agent) else {
            return Ok(Outcome::UnknownSeries);
        };
        let touched = match staged.tracks.entry((one.agent.clone(), batch.boot)) {
            Entry::Occupied(occupied) => occupied.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(Touched {
                agent: number,
                track: agent.tracks.get(&batch.boot).map(|t| t.0.clone()).unwrap_or_default(),
                watermark: i64::MIN,
                seen: agent.tracks.get(&batch.boot).map_or(i64::MIN, |t| t.1),
            }),
        };
        let mut track = touched.track.clone();
        let mut lost = track.give_up(batch.oldest.min(batch.seq));
        let place = track.place(batch.seq);
        if place == Place::OutOfWindow {
            return Ok(Outcome::OutOfWindow);
        }
        let mut points = Vec::new();
        let mut ignored = Ignored::default();
        if place == Place::New {
            let dictionary = agent.dictionaries.get(&batch.readings.dictionary);
            let age = self.options.retention_age;
            let oldest = age.map_or(Timestamp::MIN, |age| one.received - age);
            let floor = Timestamp::from_millis(self.shared.floor.load(Ordering::Relaxed));
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
            lost.retain(|range| *range != (batch.seq, batch.seq));
        }
        touched.track = track;
        touched.watermark = touched.watermark.max(batch.watermark.as_millis());
        touched.seen = touched.seen.max(one.received.as_millis());
        if place == Place::Duplicate {
            return Ok(Outcome::Duplicate { lost });
        }
        if !points.is_empty() || !batch.readings.events.is_empty() {
            staged.rows.push(Row {
                agent: number,
                received: one.received.as_millis(),
                data: write_points(&points),
                points,
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
        let nothing = staged.rows.is_empty() && staged.tracks.is_empty();
        if nothing && created.is_none() && !self.flush.is_busy() {
            return Ok(());
        }
        let mut ids = Vec::with_capacity(staged.rows.len());
        let written = transact(&self.connection, |connection| {
            if let Some(created) = &created {
                created.write(connection)?;
            }
            let step = self.flush_step(connection)?;
            staged.write(connection, &mut ids)?;
            Ok(step)
        });
        let step = self.written(written.map_err(Error::write("commit what was received")))?;
        if let Some(created) = created {
            created.publish(self);
        }
        self.flushed(step);
        for ((path, boot), touched) in staged.tracks {
            if let Some(agent) = self.agents.get_mut(&path) {
                agent.tracks.insert(boot, (touched.track, touched.seen));
            }
        }
        for (row, id) in staged.rows.iter().zip(ids) {
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
        }
        Ok(())
    }

    /// Puts the samples of the log row `id` into the heads.
    pub(super) fn apply(&mut self, id: u64, points: &[Point]) -> Applied {
        let mut applied = Applied::default();
        let mut touched = i64::MIN;
        for point in points {
            let Some(series) = self.series.get(point.series as usize).and_then(Option::as_ref)
            else {
                continue;
            };
            let window = head::window_of(point.time);
            let mut head = lock(&series.head);
            applied.new_series += usize::from(head.last().is_none());
            let pushed = head.push(point.time, point.value);
            drop(head);
            applied.samples += usize::from(pushed != Pushed::Known);
            if pushed == Pushed::Opened {
                self.flush.opened(window, point.series, id, self.now);
            }
            if pushed != Pushed::Known && window != touched {
                self.flush.touched(window, self.now);
                touched = window;
            }
        }
        applied
    }

    /// The number of an agent, who is made known when it is new.
    fn agent(&mut self, path: &AgentPath) -> Result<i64, Error> {
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

/// Series to be made.
#[derive(Debug)]
struct Created {
    next: u32,
    ids: HashMap<Labels, u32>,
    new: Vec<(u32, Labels)>,
}

impl Created {
    fn after(store: &Store) -> Self {
        let next = reading(&store.shared.index).next_id();
        Self { next, ids: HashMap::new(), new: Vec::new() }
    }

    /// The number of the series with these labels, a new one when there is none.
    fn id(&mut self, store: &Store, labels: Labels) -> u32 {
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

    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT INTO series (id, labels) VALUES (?1, ?2)")?;
        for (id, labels) in &self.new {
            insert.execute(params![id, write_labels(*id, labels)])?;
        }
        Ok(())
    }

    fn publish(self, store: &mut Store) {
        let series: Vec<_> = {
            let mut index = writing(&store.shared.index);
            self.new.iter().map(|(id, labels)| index.insert(*id, labels)).collect()
        };
        for one in series {
            store.know(one);
        }
    }
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
