//! Long history: the samples of a day, summed up by minutes and by hours, made from chunks when
//! they are old enough, a few series with every commit.
//!
//! A day is *done* when all its series are summed up. What reaches chunks of a done day later
//! makes its series *stale*, in the same transaction; stale series are summed up again. All of it
//! can be done twice: what stands there is replaced, but for windows whose samples are gone.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use hallwatch_promql::functions::summary::{Summary, summarise};
use rusqlite::{Connection, params};

use super::Store;
use super::deletion::AllHidden;
use super::head::{cut, merge, window_end};
use super::purge::PurgeStep;
use super::record::read_ids;
use super::shared::{reading, writing};
use super::summaries::{DAY_MILLIS, RESOLUTIONS, day_of_window, window_of_end, windows_of};
use table::note_series;
pub(super) use table::{listed, note_stale, put};

/// So long after its end a day is summed up: the window after it, to which its last moment
/// belongs, is in chunks by then.
const SETTLE_MILLIS: i64 = 3 * 60 * 60 * 1000;
/// Series summed up with one commit: a day of each is read, which takes a millisecond or two.
const STEP: usize = 16;

/// A day of one resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rolled {
    /// All of its series are summed up.
    pub(super) done: bool,
    pub(super) bytes: u64,
}

/// By resolution (milliseconds) and day.
pub(super) type AllRolled = BTreeMap<(i64, i64), Rolled>;
/// By day: the series that are to be summed up again.
pub(super) type Stale = BTreeMap<i64, BTreeSet<u32>>;

/// A day that is being summed up.
#[derive(Debug)]
pub(super) struct Roll {
    day: i64,
    resolutions: Vec<i64>,
    series: Vec<u32>,
    next: usize,
}

/// What one transaction did; memory follows after the commit.
#[derive(Debug, Default)]
pub(super) struct RollStep {
    rolled: Vec<((i64, i64), Rolled)>,
    /// Not stale any more.
    fresh: Vec<u32>,
}

impl Store {
    /// The resolutions that are made, with how long they are kept.
    fn made(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let ages = [self.options.minute_age, self.options.hour_age];
        RESOLUTIONS.into_iter().zip(ages).filter_map(|(resolution, age)| {
            Some((resolution, i64::try_from(age?.as_millis()).unwrap_or(i64::MAX)))
        })
    }

    /// The resolutions in which a day is to be there.
    fn wanted(&self, day: i64) -> Vec<i64> {
        let end = (day.saturating_add(1)).saturating_mul(DAY_MILLIS);
        let keeps = |(_, age): &(i64, i64)| end >= self.now.saturating_sub(*age);
        self.made().filter(keeps).map(|(resolution, _)| resolution).collect()
    }

    /// Whether a window may go because its samples are in summaries, as far as they are wanted.
    /// When they are not, they are made next.
    pub(super) fn is_summed_up(&mut self, window: i64) -> bool {
        let day = day_of_window(window);
        let wanted = self.wanted(day);
        if wanted.is_empty() {
            return true;
        }
        if self.flush.waits(window) {
            self.flush_next(window);
            return false;
        }
        let done = {
            let rolled = reading(&self.shared.rolled);
            let is_done =
                |resolution: &i64| rolled.get(&(*resolution, day)).is_some_and(|r| r.done);
            wanted.iter().all(is_done)
        };
        if done && !reading(&self.shared.stale).contains_key(&day) {
            return true;
        }
        if self.roll.is_none() {
            self.start_roll(day, wanted, done);
        }
        false
    }

    pub(super) fn roll_due(&self) -> bool {
        self.roll.is_some() || self.next_roll().is_some()
    }

    /// Starts with the next day when there is one.
    pub(super) fn choose_roll(&mut self) {
        if self.roll.is_some() {
            return;
        }
        if let Some((day, again)) = self.next_roll() {
            let wanted = self.wanted(day);
            self.start_roll(day, wanted, again);
        }
    }

    /// The next day, and whether only what is stale in it.
    fn next_roll(&self) -> Option<(i64, bool)> {
        self.made().next()?;
        let rolled = reading(&self.shared.rolled);
        let is_done = |day: i64| {
            let done = |resolution: &i64| rolled.get(&(*resolution, day)).is_some_and(|r| r.done);
            self.wanted(day).iter().all(done)
        };
        let stale = reading(&self.shared.stale).keys().copied().find(|day| is_done(*day));
        if let Some(day) = stale {
            return Some((day, true));
        }
        let windows = reading(&self.shared.windows);
        let mut next = windows.first_key_value().map(|(window, _)| day_of_window(*window));
        while let Some(day) = next {
            let end = day.saturating_add(1).saturating_mul(DAY_MILLIS);
            if end.saturating_add(SETTLE_MILLIS) > self.now {
                return None;
            }
            let after = windows_of(day).end;
            let waits = windows_of(day).chain([after]).any(|window| self.flush.waits(window));
            if !waits && !is_done(day) {
                return Some((day, false));
            }
            let rest = windows.range(after..).next();
            next = rest.map(|(window, _)| day_of_window(*window));
        }
        None
    }

    fn start_roll(&mut self, day: i64, resolutions: Vec<i64>, again: bool) {
        let series = match again {
            true => {
                let stale = reading(&self.shared.stale);
                stale.get(&day).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
            }
            false => self.series_of(day),
        };
        self.roll = Some(Roll { day, resolutions, series, next: 0 });
    }

    /// The series that may have samples in a day.
    fn series_of(&self, day: i64) -> Vec<u32> {
        let mut all = Vec::new();
        let windows = windows_of(day);
        let read = || -> rusqlite::Result<Option<Vec<u32>>> {
            let mut select = self.connection.prepare_cached(
                "SELECT window, series FROM window WHERE window BETWEEN ?1 AND ?2",
            )?;
            let mut rows = select.query(params![windows.start, windows.end])?;
            while let Some(row) = rows.next()? {
                let ids = row.get_ref(1)?.as_bytes().unwrap_or_default();
                let Some(ids) = read_ids(row.get(0)?, ids) else { return Ok(None) };
                all.extend(ids);
            }
            all.sort_unstable();
            all.dedup();
            Ok(Some(all))
        };
        // Where a list is damaged, every series may be there.
        let every = || reading(&self.shared.index).all();
        read().ok().flatten().unwrap_or_else(every)
    }

    /// A part of the work, within the caller's transaction, in which there may have been a step of a
    /// purge before. Changes nothing in memory.
    pub(super) fn roll_step(
        &self,
        connection: &Connection,
        purge: Option<&PurgeStep>,
    ) -> rusqlite::Result<RollStep> {
        let mut step = RollStep::default();
        let Some(roll) = &self.roll else { return Ok(step) };
        let day = roll.day;
        // What this transaction writes of the day is not seen yet, and would count as summed up.
        let mut windows = windows_of(day).chain([windows_of(day).end]);
        if windows.any(|window| self.flush.passes(window)) {
            return Ok(step);
        }
        let known = |resolution: i64| {
            let at = (resolution, day);
            let purged = purge.and_then(|purge| purge.rolled(at));
            let before = || reading(&self.shared.rolled).get(&at).copied();
            purged.or_else(before).unwrap_or_default()
        };
        let mut rolled: Vec<(i64, Rolled)> =
            roll.resolutions.iter().map(|resolution| (*resolution, known(*resolution))).collect();
        if roll.next == 0 {
            for (resolution, _) in &rolled {
                note_series(connection, *resolution, day, &roll.series)?;
            }
        }
        let hidden = reading(&self.shared.hidden).clone();
        for id in roll.series.iter().skip(roll.next).take(STEP) {
            self.roll_series(connection, (day, *id), &hidden, &mut rolled)?;
            connection
                .prepare_cached("DELETE FROM stale WHERE day = ?1 AND series = ?2")?
                .execute(params![day, id])?;
            step.fresh.push(*id);
        }
        let ended = roll.next + step.fresh.len() >= roll.series.len();
        for (resolution, mut one) in rolled {
            one.done |= ended;
            connection
                .prepare_cached(
                    "UPDATE rolled SET done = ?3, bytes = ?4 WHERE resolution = ?1 AND day = ?2",
                )?
                .execute(params![resolution, day, one.done, one.bytes.cast_signed()])?;
            step.rolled.push(((resolution, day), one));
        }
        Ok(step)
    }

    fn roll_series(
        &self,
        connection: &Connection,
        (day, id): (i64, u32),
        hidden: &AllHidden,
        rolled: &mut [(i64, Rolled)],
    ) -> rusqlite::Result<()> {
        if self.head(id).is_none() {
            return Ok(());
        }
        let (mut present, mut samples) = (BTreeSet::new(), (Vec::new(), Vec::new()));
        let days = windows_of(day);
        for window in days.clone().chain([days.end]) {
            if !self.has_window(window) {
                continue;
            }
            let mut whole = true;
            for (_, part) in self.parts(connection, window, id)? {
                let Some((times, values)) = part.content else {
                    whole = false;
                    continue;
                };
                samples = match samples.0.last() < times.first() {
                    true => {
                        samples.0.extend(times);
                        samples.1.extend(values);
                        samples
                    }
                    false => merge((&samples.0, &samples.1), (&times, &values)),
                };
            }
            if whole {
                present.insert(window);
            }
        }
        let (mut times, mut values) = samples;
        let start = day.saturating_mul(DAY_MILLIS).saturating_add(1);
        cut(0, start, start.saturating_add(DAY_MILLIS - 1), &mut times, &mut values);
        for one in hidden.iter().filter(|one| one.has(id)) {
            let from = times.partition_point(|time| *time < one.start);
            let to = times.partition_point(|time| *time <= one.end).max(from);
            times.drain(from..to);
            values.drain(from..to);
        }
        for (resolution, one) in rolled {
            let mut summaries = summarise(&times, &values, *resolution);
            let before = self.summaries(connection, (*resolution, day), id)?;
            if let Some((old, bytes)) = before {
                one.bytes = one.bytes.saturating_sub(bytes);
                // Of windows whose samples are gone, or damaged, what was made of them stays.
                let kept = old.into_iter().flatten().filter(|summary| {
                    !present.contains(&window_of_end(summary.end))
                        && !hidden.iter().any(|one| {
                            one.has(id) && overlaps(summary, *resolution, (one.start, one.end))
                        })
                });
                let kept: Vec<Summary> = kept.collect();
                summaries.retain(|summary| kept.iter().all(|old| old.end != summary.end));
                summaries.extend(kept);
                summaries.sort_unstable_by_key(|summary| summary.end);
            }
            one.bytes += put(connection, (*resolution, day), id, &summaries)?;
        }
        Ok(())
    }

    /// Whether the samples of a window are there, not on their way out.
    fn has_window(&self, window: i64) -> bool {
        let floor = self.shared.floor.load(std::sync::atomic::Ordering::Relaxed);
        window_end(window) >= floor && reading(&self.shared.windows).contains_key(&window)
    }

    /// Lets memory follow.
    pub(super) fn rolled(&mut self, step: RollStep) {
        let Some(mut roll) = self.roll.take() else { return };
        writing(&self.shared.rolled).extend(step.rolled);
        roll.next += step.fresh.len();
        {
            let mut stale = writing(&self.shared.stale);
            if let Some(ids) = stale.get_mut(&roll.day) {
                step.fresh.iter().for_each(|id| {
                    ids.remove(id);
                });
                if ids.is_empty() {
                    stale.remove(&roll.day);
                }
            }
        }
        if roll.next < roll.series.len() {
            self.roll = Some(roll);
        }
    }

    /// Whether a day is being summed up.
    pub(super) fn rolls(&self, day: i64) -> bool {
        self.roll.as_ref().is_some_and(|roll| roll.day == day)
    }

    /// Whether a day has summaries, whole or in part, or gets them just now.
    pub(super) fn has_summaries(&self, day: i64) -> bool {
        let rolled = reading(&self.shared.rolled);
        self.rolls(day) || RESOLUTIONS.iter().any(|one| rolled.contains_key(&(*one, day)))
    }
}

/// Whether any moment from `start` to `end` lies within a summary.
pub(super) fn overlaps(summary: &Summary, resolution: i64, (start, end): (i64, i64)) -> bool {
    summary.end >= start && summary.end.saturating_sub(resolution) < end
}
