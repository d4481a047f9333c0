//! Samples out of chunks: of many series, one window after the other.

use std::sync::atomic::AtomicU64;

use hallwatch_promql::{Budget, GivenUp};
use rusqlite::{Connection, params};

use super::super::bytes::{key, unseal};
use super::super::codec::{self, Placed};
use super::super::head::{Columns, merge};
use super::super::index::Series;
use super::super::shared::count;
use super::super::times::{Beside, LOOK_UP_TIMES, SCAN_TIMES};
use super::recalled::{Recalled, Versioned};

/// To look a chunk up costs as much as to pass over so many of its neighbours.
const PASSED_OVER: usize = 4;
/// As many numbers of series may lie between times that are asked for: a device has some.
const TIMES_PASSED_OVER: usize = 8;
/// Windows that memory is taken for at once, at most: how much is in them is a guess.
const WINDOWS_AHEAD: usize = 8;

/// The samples of each of some series.
pub(super) struct Chunks<'a> {
    /// Sorted by number.
    series: &'a [Series],
    span: (i64, i64),
    /// What is in memory of them, which will come after what is in chunks.
    heads: &'a [Columns],
    budget: Option<&'a Budget<'a>>,
    given_up: Option<GivenUp>,
    found: Vec<Columns>,
    recalled: &'a Recalled,
    damaged: &'a AtomicU64,
}

/// A series that is read, and its place.
#[derive(Clone, Copy)]
struct Wanted {
    id: u32,
    at: usize,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(
        series: &'a [Series],
        span: (i64, i64),
        (heads, budget): (&'a [Columns], Option<&'a Budget<'a>>),
        (recalled, damaged): (&'a Recalled, &'a AtomicU64),
    ) -> Self {
        let found = vec![Columns::default(); series.len()];
        Self { series, span, heads, budget, given_up: None, found, recalled, damaged }
    }

    /// What was found, unless it was given up.
    pub(super) fn into_columns(self) -> Result<Vec<Columns>, GivenUp> {
        self.given_up.map_or(Ok(self.found), Err)
    }

    /// Appends what is in the chunks of a window, after which so many follow; nothing more once the
    /// query is given up.
    pub(super) fn read(
        &mut self,
        connection: &Connection,
        chunked: Versioned,
        following: usize,
    ) -> rusqlite::Result<()> {
        let unknown = self.recall(chunked, following);
        let (Some(first), Some(last)) = (unknown.first(), unknown.last()) else { return Ok(()) };
        let near = Near { first: first.id, last: last.id, of: unknown.len() };
        let had: Vec<usize> = unknown.iter().map(|one| self.found[one.at].0.len()).collect();
        let whole = self.read_rows(connection, chunked.window, (&unknown, near), following)?;
        if whole && self.given_up.is_none() {
            let read = unknown.iter().zip(had).map(|(one, had)| {
                let (times, values) = &self.found[one.at];
                (one.id, (&times[had..], &values[had..]))
            });
            self.recalled.keep(chunked, self.span, read);
        }
        Ok(())
    }

    /// Appends what is still known of the window; gives those that are to be read.
    fn recall(&mut self, chunked: Versioned, following: usize) -> Vec<Wanted> {
        if !self.goes_on(0) {
            return Vec::new();
        }
        let series = self.series;
        let known = self.recalled.recall(chunked, self.span, series.iter().map(|one| one.id));
        let lengths = known.iter().flatten().map(|part| part.within(self.span).0.len());
        if !self.goes_on(lengths.sum()) {
            return Vec::new();
        }
        let mut unknown = Vec::new();
        for ((at, series), part) in series.iter().enumerate().zip(known) {
            match part {
                Some(part) => self.append(at, part.within(self.span), following),
                None => unknown.push(Wanted { id: series.id, at }),
            }
        }
        unknown
    }

    /// Appends what is in the chunks of some series; whether nothing of it is damaged.
    fn read_rows(
        &mut self,
        connection: &Connection,
        window: i64,
        (wanted, near): (&[Wanted], Near),
        following: usize,
    ) -> rusqlite::Result<bool> {
        // Series of one device have the same times, and come one after the other.
        let (mut common_id, mut common) = (None, (Placed { from: 0, of: 0 }, Vec::new()));
        let mut scan = connection.prepare_cached(SCAN_TIMES)?;
        let scan = near.within(TIMES_PASSED_OVER).then_some((&mut *scan, near.first, near.last));
        let mut look_up = connection.prepare_cached(LOOK_UP_TIMES)?;
        let mut beside = Beside::new(window, scan, &mut look_up)?;
        let span = self.span;
        let mut elsewhere = |id: u32, times: &mut Vec<i64>| {
            if common_id != Some(id) {
                common_id = None;
                common.1.clear();
                common.0 = beside.read(id, span, &mut common.1)?;
                common_id = Some(id);
            }
            times.extend_from_slice(&common.1);
            Some(common.0)
        };
        let (mut times, mut values, mut whole) = (Vec::new(), Vec::new(), true);
        let mut take = |one: Wanted, data: &[u8]| {
            times.clear();
            values.clear();
            let content = unseal(data, key(window, i64::from(one.id)));
            let into = (&mut times, &mut values);
            let read =
                content.and_then(|data| codec::decode_between(data, span, into, &mut elsewhere));
            match read {
                Some(()) if self.goes_on(times.len()) => {
                    self.append(one.at, (&times, &values), following);
                }
                Some(()) => return false,
                None => {
                    whole = false;
                    count(self.damaged);
                }
            }
            true
        };
        if near.within(PASSED_OVER) {
            let mut select = connection.prepare_cached(
                "SELECT series, data FROM chunk \
                 WHERE window = ?1 AND series BETWEEN ?2 AND ?3 ORDER BY series, part",
            )?;
            let mut rows = select.query(params![window, near.first, near.last])?;
            let mut wanted = wanted.iter().copied().peekable();
            while let Some(row) = rows.next()? {
                let id: u32 = row.get(0)?;
                while wanted.next_if(|next| next.id < id).is_some() {}
                if let Some(next) = wanted.peek()
                    && next.id == id
                    && !take(*next, row.get_ref(1)?.as_bytes().unwrap_or_default())
                {
                    break;
                }
            }
            return Ok(whole);
        }
        let mut select = connection.prepare_cached(
            "SELECT data FROM chunk WHERE window = ?1 AND series = ?2 ORDER BY part",
        )?;
        for one in wanted {
            let mut rows = select.query(params![window, one.id])?;
            while let Some(row) = rows.next()? {
                if !take(*one, row.get_ref(0)?.as_bytes().unwrap_or_default()) {
                    return Ok(whole);
                }
            }
        }
        Ok(whole)
    }

    /// Whether to go on with so many samples more.
    fn goes_on(&mut self, samples: usize) -> bool {
        if let Some(budget) = self.budget
            && self.given_up.is_none()
        {
            self.given_up = budget.spend(samples).err();
        }
        self.given_up.is_none()
    }

    /// Appends to what was found of the series at this place.
    fn append(&mut self, at: usize, (more_times, more_values): (&[i64], &[f64]), following: usize) {
        let Some((times, values)) = self.found.get_mut(at) else { return };
        // A second part, beside a damaged first, may overlap with a third.
        if more_times.first().is_some_and(|first| times.last().is_some_and(|last| first <= last)) {
            (*times, *values) = merge((times, values), (more_times, more_values));
            return;
        }
        if times.capacity() - times.len() < more_times.len() {
            let head = self.heads.get(at).map_or(0, |head| head.0.len());
            let more = more_times.len() * (1 + following.min(WINDOWS_AHEAD)) + head;
            times.reserve_exact(more);
            values.reserve_exact(more);
        }
        times.extend_from_slice(more_times);
        values.extend_from_slice(more_values);
    }
}

/// How close to each other those that are read stand in their table.
#[derive(Clone, Copy)]
struct Near {
    first: u32,
    last: u32,
    of: usize,
}

impl Near {
    /// Whether to go through all from the first to the last passes over so many for each.
    fn within(self, passed_over: usize) -> bool {
        let spread = (self.last - self.first) as usize + 1;
        spread <= self.of.saturating_mul(passed_over)
    }
}
