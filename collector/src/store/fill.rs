//! From one collector to another: what there is goes out window by window, what is missing comes
//! in. What came in twice changes nothing.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;

use hallwatch_model::{Ack, AgentPath, Id, Timestamp};
use hallwatch_promql::Matchers;

use super::bytes::{key, unseal};
use super::commit::{FILLED, Row};
use super::describe::Created;
use super::head::{window_end, window_start};
use super::record::{Point, write_points};
use super::shared::reading;
use super::track::Track;
use super::{Error, Frame, Reader, Store};

impl Reader {
    /// The windows of two hours that touch the time from `start` on and have samples, by number,
    /// the oldest first.
    #[must_use]
    pub fn filled_windows(&self, start: Timestamp) -> Vec<i64> {
        let floor = start.as_millis().max(self.shared.floor.load(Ordering::Relaxed));
        let mut windows: BTreeSet<i64> = reading(&self.shared.windows).keys().copied().collect();
        for series in reading(&self.shared.index).iter() {
            windows.extend(series.head().windows());
        }
        windows.into_iter().filter(|window| window_end(*window) >= floor).collect()
    }

    /// When a window begins.
    #[must_use]
    pub fn window_start(window: i64) -> Timestamp {
        Timestamp::from_millis(window_start(window))
    }

    /// When a window ends.
    #[must_use]
    pub fn window_end(window: i64) -> Timestamp {
        Timestamp::from_millis(window_end(window))
    }

    /// The window that a time lies in.
    #[must_use]
    pub fn window_of(time: Timestamp) -> i64 {
        super::head::window_of(time.as_millis())
    }

    /// Reads a window, `many` series at once, and hands each frame to `take` until that says no.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn frames(
        &self,
        window: i64,
        sets: &[Matchers],
        many: usize,
        mut take: impl FnMut(Vec<Frame>) -> bool,
    ) -> Result<(), Error> {
        let told: HashSet<u32> = self.with_connection("read the dictionaries", |connection| {
            let mut select = connection.prepare_cached("SELECT DISTINCT series FROM dictionary")?;
            let ids = select.query_map([], |row| row.get(0))?;
            ids.collect()
        })?;
        let mut series = self.matching(sets);
        series.sort_unstable_by_key(|series| series.id);
        for part in series.chunks(many.max(1)) {
            let columns = self.columns(part, (window_start(window), window_end(window)), None)?;
            let both = part.iter().zip(columns).filter(|(_, (times, _))| !times.is_empty());
            let frames = both.map(|(series, (times, values))| Frame {
                labels: series.labels.clone(),
                own: !told.contains(&series.id),
                times,
                values,
            });
            if !take(frames.collect()) {
                break;
            }
        }
        Ok(())
    }

    /// Which journal entries of which runs are here.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn received(&self) -> Result<Vec<(AgentPath, Ack)>, Error> {
        self.with_connection("read what was received", |connection| {
            let mut select = connection.prepare_cached(
                "SELECT agent.id, tenant, site, agent.agent, boot, ranges FROM received \
                 JOIN agent ON agent.id = received.agent",
            )?;
            let mut rows = select.query([])?;
            let mut received = Vec::new();
            while let Some(row) = rows.next()? {
                let id = |at: usize| row.get::<_, String>(at).map(|text| Id::new(&text).ok());
                let (Some(tenant), Some(site), Some(agent)) = (id(1)?, id(2)?, id(3)?) else {
                    continue;
                };
                let (number, boot): (i64, i64) = (row.get(0)?, row.get(4)?);
                let ranges = row.get_ref(5)?.as_bytes().unwrap_or_default();
                let track = unseal(ranges, key(number, boot)).and_then(Track::read);
                let Some(track) = track else { continue };
                let beyond = track.present();
                let ack = Ack { boot: boot.cast_unsigned(), beyond, ..Ack::default() };
                received.push((AgentPath { tenant, site, agent }, ack));
            }
            Ok(received)
        })
    }
}

impl Store {
    /// Takes what another collector has and this one lacks; it is on disk when this returns. Of
    /// the collector's own series only what is older than what it has of a window: two collectors
    /// that look at one agent do so at different moments. Samples beyond retention stay away. Gives how many samples were new.
    ///
    /// With `mend`, chunks of these series that are damaged are given up for what came.
    ///
    /// # Errors
    /// When it cannot be written: then nothing was stored.
    pub fn fill(&mut self, frames: &[Frame], mend: bool, now: Timestamp) -> Result<u64, Error> {
        self.check()?;
        self.now = self.now.max(now.as_millis());
        let age = self.options.retention_age;
        let oldest = age.map_or(i64::MIN, |age| (now - age).as_millis());
        let oldest = oldest.max(self.shared.floor.load(Ordering::Relaxed));
        let latest = (now + self.options.most_ahead).as_millis();
        let mut created = Created::after(self);
        let mut points = Vec::new();
        let mut windows = BTreeSet::new();
        let mut mended = Vec::new();
        for frame in frames {
            let Some(window) = frame.window() else { continue };
            let known = reading(&self.shared.index).find(&frame.labels);
            let mut series = known.as_ref().map(|known| known.id);
            let here = match known {
                Some(known) => {
                    // With the window before: was the collector there when this one began?
                    let start = window_start(window - i64::from(frame.own));
                    let end = window_end(window);
                    let columns = self.reader.columns(&[known], (start, end), None)?;
                    columns.into_iter().next().map(|(times, _)| times).unwrap_or_default()
                }
                None => Vec::new(),
            };
            let begun = here.partition_point(|time| *time < window_start(window));
            let own_end = match here.get(begun) {
                Some(_) if frame.own && begun > 0 => i64::MIN,
                Some(first) if frame.own => *first,
                _ => i64::MAX,
            };
            let before = points.len();
            for (time, value) in frame.times.iter().zip(&frame.values) {
                let wanted = (oldest..=latest).contains(time)
                    && *time < own_end
                    && here.binary_search(time).is_err();
                if wanted {
                    let series =
                        *series.get_or_insert_with(|| created.id(self, frame.labels.clone()));
                    points.push(Point { series, time: *time, value: *value });
                }
            }
            // What is damaged is mended at once, even where the window still grows.
            if points.len() > before && (mend || window_end(window) < self.now) {
                windows.insert(window);
            }
            if let (true, Some(series)) = (mend, series) {
                mended.push((window, series));
            }
        }
        let count = points.len() as u64;
        if points.is_empty() {
            return Ok(0);
        }
        let row = Row {
            agent: FILLED,
            received: self.now,
            data: write_points(&points, false),
            points,
            backfill: false,
            events: Vec::new(),
            outcome: usize::MAX,
        };
        self.write_rows(vec![row], created)?;
        // Not before: a pass that ends with this very write would take it for done.
        self.flush.hurry(windows, mended);
        Ok(count)
    }
}
