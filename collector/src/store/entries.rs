//! What is read in the order in which it came: the log, for exporters, and events.

use std::sync::Arc;

use hallwatch_model::{AgentPath, Event, Id, Labels, Timestamp};
use rusqlite::params;

use super::record::{Point, read_points};
use super::shared::{count, reading};
use super::{Entry, Error, Logged, Reader};

impl Reader {
    /// Entries of the log after the position `after`, at most `limit`. Damaged ones are counted
    /// and left out.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self, after: u64, limit: usize) -> Result<Vec<Logged>, Error> {
        let entries = self.entries(after, limit)?;
        let index = reading(&self.shared.index);
        let labels = |series| index.get(series).map(|series| series.labels.clone());
        Ok(entries.iter().map(|entry| entry.resolved(labels)).collect())
    }

    /// As [`Reader::log`], with the numbers of the series: for those who look at labels once, see
    /// [`Reader::labels`].
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn entries(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, Error> {
        let hidden = self.hidden();
        let entries = self.read_entries(after, limit)?;
        let shown = entries.into_iter().map(|entry| {
            let concealed = hidden.iter().filter(|one| entry.position <= one.upto);
            let concealed: Vec<_> = concealed.collect();
            let covered =
                |point: &Point| concealed.iter().any(|one| one.covers(point.series, point.time));
            if !entry.points.iter().any(covered) {
                return entry;
            }
            let mut shown = Entry::clone(&entry);
            shown.points.retain(|point| !covered(point));
            Arc::new(shown)
        });
        Ok(shown.collect())
    }

    fn read_entries(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, Error> {
        self.with_connection("read the log", |connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, received, data, agent FROM log WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = select.query(params![after.cast_signed(), limit])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, received): (i64, i64) = (row.get(0)?, row.get(1)?);
                let data = row.get_ref(2)?.as_bytes().unwrap_or_default();
                let points = read_points(data).unwrap_or_else(|| {
                    count(&self.shared.found.log_rows);
                    Vec::new()
                });
                entries.push(Arc::new(Entry::new(
                    id.cast_unsigned(),
                    received,
                    row.get(3)?,
                    points,
                )));
            }
            Ok(entries)
        })
    }

    /// The labels of the series with this number; `None` when it is gone. As long as the store is
    /// open, a number is never given to another series.
    #[must_use]
    pub fn labels(&self, series: u32) -> Option<Labels> {
        reading(&self.shared.index).get(series).map(|series| series.labels.clone())
    }

    /// What happened at doors from `start` to `end`, both included, the newest first, at most
    /// `limit`. Personal data: who may see it is for the caller to decide.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn events(
        &self,
        start: Timestamp,
        end: Timestamp,
        limit: usize,
    ) -> Result<Vec<(AgentPath, Event)>, Error> {
        let hidden = self.hidden();
        self.with_connection("read events", |connection| {
            let mut select = connection.prepare_cached(
                "SELECT tenant, site, agent.agent, time, device, door, person, result \
                 FROM event JOIN agent ON agent.id = event.agent \
                 WHERE time BETWEEN ?1 AND ?2 ORDER BY time DESC, event.id DESC LIMIT ?3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = select.query(params![start.as_millis(), end.as_millis(), limit])?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                let id = |at: usize| row.get::<_, String>(at).map(|text| Id::new(&text).ok());
                let (Some(tenant), Some(site), Some(agent)) = (id(0)?, id(1)?, id(2)?) else {
                    count(&self.shared.found.rows);
                    continue;
                };
                let time: i64 = row.get(3)?;
                if hidden.iter().any(|one| {
                    one.tenant.as_deref() == Some(tenant.as_str())
                        && (one.start..=one.end).contains(&time)
                }) {
                    continue;
                }
                let event = Event {
                    time: Timestamp::from_millis(time),
                    device: row.get(4)?,
                    door: row.get(5)?,
                    person: row.get(6)?,
                    result: row.get(7)?,
                };
                events.push((AgentPath { tenant, site, agent }, event));
            }
            Ok(events)
        })
    }
}
