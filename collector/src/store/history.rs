//! Queries over long history: whether they are answered from summaries, and how.
//!
//! All of an answer is of one resolution. Where a day is not summed up yet, or not any more as its
//! chunks have it, the same summaries are made of its samples while the query runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

use hallwatch_promql::functions::summary::{Summary, end_of, summarise};
use hallwatch_promql::{Budget, GivenUp, Purpose, Select, Summaries, Summarised, Want};
use rusqlite::params;

use super::head::{window_end, window_of, window_start};
use super::index::Series;
use super::reader::READ_AT_ONCE;
use super::rollup::overlaps;
use super::shared::{count, reading};
use super::summaries::{DAY_MILLIS, day_of, day_of_window, read, window_of_end, windows_of};
use super::{Error, Reader, schema};

/// Where the samples are there, too, summaries must be so many times fewer than samples a second
/// would be: windows, or steps, are at least so many times as long.
const FEWER: i64 = 10;
/// Where the samples are gone, coarser summaries are taken for windows and steps so much longer.
const COARSER: i64 = 24;

/// What a query asks of summaries: those that end later than `after`, and up to `end`.
#[derive(Clone, Copy)]
struct Asked<'a> {
    resolution: i64,
    after: i64,
    end: i64,
    budget: Option<&'a Budget<'a>>,
}

impl Asked<'_> {
    /// Whether to go on with so many summaries more.
    fn spend(self, summaries: usize) -> Result<(), GivenUp> {
        self.budget.map_or(Ok(()), |budget| budget.spend_summaries(summaries))
    }
}

/// What of a query over summaries has to be made of samples.
struct Raw {
    /// Windows of days that are not done.
    all: BTreeSet<i64>,
    /// Beyond these, by series: windows that changed after their day was done.
    own: BTreeMap<u32, BTreeSet<i64>>,
}

impl Reader {
    /// The resolution from which this is answered, if not from the samples.
    pub(super) fn resolution(&self, request: &Select<'_>, purpose: &Purpose) -> Option<i64> {
        let (start, end) = (request.start.as_millis(), request.end.as_millis());
        let mut earliest: BTreeMap<i64, i64> = BTreeMap::new();
        {
            let rolled = reading(&self.shared.rolled);
            for ((resolution, day), _) in rolled.iter().filter(|(_, one)| one.done) {
                earliest.entry(*resolution).or_insert(day.saturating_mul(DAY_MILLIS));
            }
        }
        let unit = if purpose.want == Want::Last { purpose.step } else { purpose.range };
        let exact =
            |resolution: i64| purpose.want != Want::Samples && purpose.is_aligned(resolution);
        let first = *earliest.values().min()?;
        let floor = self.shared.floor.load(Ordering::Relaxed);
        if start >= floor || first >= floor {
            // The samples are all there.
            let fewer = |(resolution, from): &(&i64, &i64)| {
                exact(**resolution)
                    && unit >= resolution.saturating_mul(FEWER)
                    && end.saturating_sub(start) >= DAY_MILLIS - 1
                    && **from <= end.saturating_sub(DAY_MILLIS)
            };
            return earliest.iter().rev().find(fewer).map(|(resolution, _)| *resolution);
        }
        // Of those that reach back as far as any does, or as asked, the finest; coarser where it
        // makes no difference, or the windows are that much longer.
        let reaches = |(_, from): &(&i64, &i64)| **from <= start.max(first);
        let fits = |(resolution, _): &(&i64, &i64)| {
            (exact(**resolution) && unit >= **resolution)
                || unit >= resolution.saturating_mul(COARSER)
        };
        let coarse = earliest.iter().rev().filter(reaches).find(fits);
        coarse.or_else(|| earliest.iter().find(reaches)).map(|(resolution, _)| *resolution)
    }

    /// The summaries of the series that match which the request needs, those before a window that
    /// moves back among them.
    pub(super) fn summed_up(
        &self,
        request: &Select<'_>,
        resolution: i64,
    ) -> Result<Summaries, Error> {
        let series = reading(&self.shared.index).select(request.matchers);
        // Later than `after`, up to `end`: both are ends of summaries.
        let after = request.start.as_millis().saturating_sub(1);
        let after = end_of(after, resolution).saturating_sub(resolution.saturating_mul(2));
        let end = end_of(request.end.as_millis(), resolution);
        let mut found: BTreeMap<u32, Vec<Summary>> = BTreeMap::new();
        if after < end {
            let raw = self.raw_parts(&series, resolution, (after, end));
            let asked = Asked { resolution, after, end, budget: request.budget };
            self.sum_up(&series, &raw, asked, &mut found)?;
            let damaged = self.read_rolled(&series, &raw, asked, &mut found)?;
            let instead = Raw { all: BTreeSet::new(), own: self.samples_of(&damaged) };
            self.sum_up(&series, &instead, asked, &mut found)?;
        }
        let summarised = series.iter().filter_map(|series| {
            let mut summaries = found.remove(&series.id)?;
            summaries.sort_unstable_by_key(|summary| summary.end);
            Some(Summarised { labels: series.labels.clone(), summaries })
        });
        Ok(Summaries { resolution, series: summarised.collect() })
    }

    fn raw_parts(&self, series: &[Series], resolution: i64, (after, end): (i64, i64)) -> Raw {
        // The heads first: what leaves them later is noted as stale by then.
        let floor = self.shared.floor.load(Ordering::Relaxed);
        let (first, last) = (window_of(after.saturating_add(1)), window_of_end(end));
        let wanted = first..=last;
        let mut held: Vec<(u32, Vec<i64>)> = Vec::new();
        for series in series {
            // The first moment of a window belongs to the window before.
            let windows = series.head().windows();
            let windows = windows.iter().flat_map(|window| [window.saturating_sub(1), *window]);
            let windows: Vec<i64> = windows.filter(|window| wanted.contains(window)).collect();
            if !windows.is_empty() {
                held.push((series.id, windows));
            }
        }
        let stale = reading(&self.shared.stale);
        let present: Vec<i64> = {
            let windows = reading(&self.shared.windows);
            let all = windows.range(first..=last.saturating_add(1).max(first));
            all.map(|(window, _)| *window).filter(|window| window_end(*window) >= floor).collect()
        };
        let rolled = reading(&self.shared.rolled);
        let is_done = |day: i64| rolled.get(&(resolution, day)).is_some_and(|rolled| rolled.done);
        let mut raw = Raw { all: BTreeSet::new(), own: BTreeMap::new() };
        let whole = present.iter().flat_map(|window| [window.saturating_sub(1), *window]);
        let heads = held.iter().flat_map(|(_, windows)| windows.iter().copied());
        let undone = whole.chain(heads).filter(|window| wanted.contains(window));
        raw.all.extend(undone.filter(|window| !is_done(day_of_window(*window))));
        for (id, windows) in held {
            let late: BTreeSet<i64> =
                windows.into_iter().filter(|window| is_done(day_of_window(*window))).collect();
            if !late.is_empty() {
                raw.own.insert(id, late);
            }
        }
        let in_day = |day: i64| {
            let of = |window: &i64| day_of_window(*window) == day && wanted.contains(window);
            present.iter().copied().filter(of).collect::<Vec<i64>>()
        };
        let (first_day, last_day) = (day_of_window(first), day_of_window(last.max(first)));
        for (day, ids) in stale.range(first_day..=last_day) {
            let windows = in_day(*day);
            for series in series.iter().filter(|series| ids.contains(&series.id)) {
                raw.own.entry(series.id).or_default().extend(&windows);
            }
        }
        for one in self.hidden().iter() {
            let (from, to) = (
                window_of(one.start.saturating_sub(resolution)),
                window_of(one.end.saturating_add(resolution)),
            );
            for series in series.iter().filter(|series| one.has(series.id)) {
                let touched = present
                    .iter()
                    .filter(|window| (from..=to).contains(*window) && wanted.contains(*window));
                raw.own.entry(series.id).or_default().extend(touched);
            }
        }
        raw
    }

    /// Makes the summaries that are not there.
    fn sum_up(
        &self,
        series: &[Series],
        raw: &Raw,
        asked: Asked<'_>,
        found: &mut BTreeMap<u32, Vec<Summary>>,
    ) -> Result<(), Error> {
        let Asked { resolution, after, end, budget } = asked;
        let mut work: Vec<(&[Series], RangeInclusive<i64>)> =
            runs(&raw.all).map(|run| (series, run)).collect();
        for (id, windows) in &raw.own {
            let Ok(at) = series.binary_search_by_key(id, |series| series.id) else { continue };
            let one = series.get(at..=at).unwrap_or_default();
            let own: BTreeSet<i64> = windows.difference(&raw.all).copied().collect();
            work.extend(runs(&own).map(|run| (one, run)).collect::<Vec<_>>());
        }
        for (series, run) in work {
            let start = window_start(*run.start()).max(after).saturating_add(1);
            let end = window_end(*run.end()).saturating_add(1).min(end);
            for part in series.chunks(READ_AT_ONCE) {
                let columns = self.columns(part, (start, end), budget)?;
                let mut read = 0;
                for (series, (times, values)) in part.iter().zip(columns) {
                    read += times.len();
                    if !times.is_empty() {
                        let summaries = summarise(&times, &values, resolution);
                        asked.spend(summaries.len())?;
                        found.entry(series.id).or_default().extend(summaries);
                    }
                }
                if let Some(budget) = budget {
                    budget.give_back(read);
                }
            }
        }
        Ok(())
    }

    /// The windows with samples of series whose summaries of a day are damaged.
    fn samples_of(&self, damaged: &[(i64, u32)]) -> BTreeMap<u32, BTreeSet<i64>> {
        let floor = self.shared.floor.load(Ordering::Relaxed);
        let windows = reading(&self.shared.windows);
        let mut own: BTreeMap<u32, BTreeSet<i64>> = BTreeMap::new();
        for (day, id) in damaged {
            let there = windows.range(windows_of(*day)).map(|(window, _)| *window);
            let there = there.filter(|window| window_end(*window) >= floor);
            own.entry(*id).or_default().extend(there);
        }
        own
    }

    /// Reads the summaries that are there; gives the days and series that are damaged.
    fn read_rolled(
        &self,
        series: &[Series],
        raw: &Raw,
        asked: Asked<'_>,
        found: &mut BTreeMap<u32, Vec<Summary>>,
    ) -> Result<Vec<(i64, u32)>, Error> {
        let Asked { resolution, after, end, .. } = asked;
        let (Some(first), Some(last)) = (series.first(), series.last()) else {
            return Ok(Vec::new());
        };
        let mut damaged = Vec::new();
        let days: Vec<i64> = {
            let rolled = reading(&self.shared.rolled);
            let from = (resolution, day_of(after.saturating_add(1)));
            let to = (resolution, day_of(end));
            let done = rolled.range(from..=to.max(from)).filter(|(_, rolled)| rolled.done);
            done.map(|((_, day), _)| *day).collect()
        };
        let hidden = self.hidden();
        let mut given_up = None;
        let mut take = |day: i64, id: u32, data: &[u8]| {
            let Some(summaries) = read(resolution, day, id, data) else {
                count(&self.shared.found.chunks);
                damaged.push((day, id));
                return true;
            };
            let own = raw.own.get(&id);
            let kept = summaries.into_iter().filter(|summary| {
                let window = window_of_end(summary.end);
                summary.end > after
                    && summary.end <= end
                    && own.is_none_or(|own| !own.contains(&window))
                    && !hidden.iter().any(|one| {
                        one.has(id) && overlaps(summary, resolution, (one.start, one.end))
                    })
            });
            let kept: Vec<Summary> = kept.collect();
            given_up = asked.spend(kept.len()).err();
            if given_up.is_none() && !kept.is_empty() {
                found.entry(id).or_default().extend(kept);
            }
            given_up.is_none()
        };
        let narrow = (last.id - first.id) as usize >= series.len().saturating_mul(4);
        self.with_connection("read summaries", |connection| {
            // One snapshot for all days.
            let transaction = connection.unchecked_transaction()?;
            for day in days {
                let mut read = || -> rusqlite::Result<bool> {
                    if narrow {
                        let mut select = transaction.prepare_cached(
                            "SELECT data FROM rollup \
                             WHERE resolution = ?1 AND day = ?2 AND series = ?3",
                        )?;
                        for series in series {
                            let mut rows = select.query(params![resolution, day, series.id])?;
                            while let Some(row) = rows.next()? {
                                let data = row.get_ref(0)?.as_bytes().unwrap_or_default();
                                if !take(day, series.id, data) {
                                    return Ok(false);
                                }
                            }
                        }
                        return Ok(true);
                    }
                    let mut select = transaction.prepare_cached(
                        "SELECT series, data FROM rollup WHERE resolution = ?1 AND day = ?2 \
                         AND series BETWEEN ?3 AND ?4 ORDER BY series",
                    )?;
                    let mut rows = select.query(params![resolution, day, first.id, last.id])?;
                    let mut wanted = series.iter().map(|series| series.id).peekable();
                    while let Some(row) = rows.next()? {
                        let id: u32 = row.get(0)?;
                        while wanted.next_if(|next| *next < id).is_some() {}
                        if wanted.peek() == Some(&id)
                            && !take(day, id, row.get_ref(1)?.as_bytes().unwrap_or_default())
                        {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                };
                match read() {
                    Err(error) if schema::is_damage(&error) => count(&self.shared.found.chunks),
                    Ok(false) => break,
                    read => {
                        read?;
                    }
                }
            }
            transaction.finish()
        })?;
        given_up.map_or(Ok(damaged), |given_up| Err(given_up.into()))
    }
}

/// Windows that follow each other, together.
fn runs(windows: &BTreeSet<i64>) -> impl Iterator<Item = RangeInclusive<i64>> {
    let mut runs: Vec<RangeInclusive<i64>> = Vec::new();
    for window in windows {
        match runs.last_mut() {
            Some(run) if run.end().saturating_add(1) == *window => *run = *run.start()..=*window,
            _ => runs.push(*window..=*window),
        }
    }
    runs.into_iter()
}
