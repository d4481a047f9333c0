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
    /// What is in one chunk.
    part: Columns,
    damaged: &'a AtomicU64,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(
        series: &'a [Series],
        span: (i64, i64),
        (heads, budget): (&'a [Columns], Option<&'a Budget<'a>>),
        damaged: &'a AtomicU64,
    ) -> Self {
        let found = vec![Columns::default(); series.len()];
        Self {
            series,
            span,
            heads,
            budget,
            given_up: None,
            found,
            part: Columns::default(),
            damaged,
        }
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
        window: i64,
        following: usize,
    ) -> rusqlite::Result<()> {
        let series = self.series;
        let (Some(first), Some(last)) = (series.first(), series.last()) else { return Ok(()) };
        if !self.goes_on(0) {
            return Ok(());
        }
        // Series of one device have the same times, and come one after the other.
        let (mut common_id, mut common) = (None, (Placed { from: 0, of: 0 }, Vec::new()));
        let spread = (last.id - first.id) as usize + 1;
        let is_near = |passed_over| spread <= series.len().saturating_mul(passed_over);
        let mut scan = connection.prepare_cached(SCAN_TIMES)?;
        let scan = is_near(TIMES_PASSED_OVER).then_some((&mut *scan, first.id, last.id));
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
        let mut take = |id: u32, at: usize, data: &[u8]| {
            let (times, values) = (&mut self.part.0, &mut self.part.1);
            times.clear();
            values.clear();
            let content = unseal(data, key(window, i64::from(id)));
            let read = content.and_then(|data| {
                codec::decode_between(data, span, (times, values), &mut elsewhere)
            });
            match read {
                Some(()) if self.goes_on(self.part.0.len()) => self.append(at, following),
                Some(()) => return false,
                None => count(self.damaged),
            }
            true
        };
        if is_near(PASSED_OVER) {
            let mut select = connection.prepare_cached(
                "SELECT series, data FROM chunk \
                 WHERE window = ?1 AND series BETWEEN ?2 AND ?3 ORDER BY series, part",
            )?;
            let mut rows = select.query(params![window, first.id, last.id])?;
            let mut wanted = series.iter().map(|series| series.id).enumerate().peekable();
            while let Some(row) = rows.next()? {
                let id: u32 = row.get(0)?;
                while wanted.next_if(|(_, next)| *next < id).is_some() {}
                if let Some((at, next)) = wanted.peek()
                    && *next == id
                    && !take(id, *at, row.get_ref(1)?.as_bytes().unwrap_or_default())
                {
                    break;
                }
            }
            return Ok(());
        }
        let mut select = connection.prepare_cached(
            "SELECT data FROM chunk WHERE window = ?1 AND series = ?2 ORDER BY part",
        )?;
        for (at, series) in series.iter().enumerate() {
            let mut rows = select.query(params![window, series.id])?;
            while let Some(row) = rows.next()? {
                if !take(series.id, at, row.get_ref(0)?.as_bytes().unwrap_or_default()) {
                    return Ok(());
                }
            }
        }
        Ok(())
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

    /// Appends `part` to what was found of the series at this place.
    fn append(&mut self, at: usize, following: usize) {
        let Some((times, values)) = self.found.get_mut(at) else { return };
        let (part_times, part_values) = (&self.part.0, &self.part.1);
        // A second part, beside a damaged first, may overlap with a third.
        if part_times.first().is_some_and(|first| times.last().is_some_and(|last| first <= last)) {
            (*times, *values) = merge((times, values), (part_times, part_values));
            return;
        }
        if times.capacity() - times.len() < part_times.len() {
            let head = self.heads.get(at).map_or(0, |head| head.0.len());
            let more = part_times.len() * (1 + following.min(WINDOWS_AHEAD)) + head;
            times.reserve_exact(more);
            values.reserve_exact(more);
        }
        times.extend_from_slice(part_times);
        values.extend_from_slice(part_values);
    }
}
