//! The last sample of each series: out of the head, and out of chunks only where those may have a
//! later one.

use std::sync::atomic::Ordering;

use hallwatch_promql::{Budget, Last, Select};

use super::super::Error;
use super::super::head::{window_end, window_of, window_start};
use super::super::heads::shard_of;
use super::super::index::Series;
use super::super::shared::reading;
use super::halves::by_halves;
use super::{READ_AT_ONCE, Reader};

/// How much work a head is, for [`by_halves`].
const LAST_WORK: usize = 2;

/// Time and value.
type Sample = (i64, f64);

/// The windows with chunks that a time touches.
#[derive(Clone, Copy)]
struct Chunked {
    newest: i64,
    /// No sample in them is later.
    latest: i64,
}

impl Reader {
    /// The last sample of each series that matches and has one in the asked time.
    pub(super) fn last_of_each(&self, request: &Select<'_>) -> Result<Vec<Last>, Error> {
        let series = reading(&self.shared.index).select(request.matchers);
        let span = (request.start.as_millis(), request.end.as_millis());
        let lasts = self.lasts(&series, span, request.budget)?;
        let both = series.iter().zip(lasts).filter_map(|(series, last)| {
            let (time, value) = last?;
            Some(Last { labels: series.labels.clone(), time, value })
        });
        Ok(both.collect())
    }

    /// Of each of the series, sorted by number, the last of the samples from `start` to `end`: that
    /// of [`Reader::columns`].
    fn lasts(
        &self,
        series: &[Series],
        (start, end): (i64, i64),
        budget: Option<&Budget<'_>>,
    ) -> Result<Vec<Option<Sample>>, Error> {
        let start = start.max(self.shared.floor.load(Ordering::Relaxed));
        // Before the heads, as in `columns`; and the chunks after them.
        let hidden = self.hidden();
        let mut lasts = by_halves(series, LAST_WORK, |series| {
            let mut lasts = Vec::with_capacity(series.len());
            budget.map_or(Ok(()), Budget::check)?;
            for neighbours in series.chunk_by(|a, b| shard_of(a.id) == shard_of(b.id)) {
                let Some(first) = neighbours.first() else { continue };
                let heads = first.heads().lock();
                let each = neighbours.iter().map(|one| heads.get(one.id).last_between(start, end));
                lasts.extend(each);
            }
            Ok::<_, Error>(lasts)
        })?;
        let chunked = self.chunked(start, end);
        let concealed = hidden.iter().filter(|one| one.start <= end && one.end >= start);
        let concealed: Vec<_> = concealed.collect();
        let is_unsure = |series: &Series, last: Option<Sample>| {
            chunked.is_some_and(|chunked| last.is_none_or(|(time, _)| time <= chunked.latest))
                || concealed.iter().any(|one| one.has(series.id))
        };
        let mut unsure: Vec<usize> = Vec::new();
        for (at, (series, last)) in series.iter().zip(&lasts).enumerate() {
            if is_unsure(series, *last) {
                unsure.push(at);
            }
        }
        // The newest window with chunks and what follows, and only for the rest what is before.
        let newest = chunked.map_or(start, |chunked| window_start(chunked.newest)).max(start);
        for (start, end) in [(newest, end), (start, newest.saturating_sub(1).min(end))] {
            if unsure.is_empty() || start > end {
                continue;
            }
            let asked: Vec<Series> =
                unsure.iter().filter_map(|at| series.get(*at)).cloned().collect();
            let mut found = Vec::with_capacity(asked.len());
            for part in asked.chunks(READ_AT_ONCE) {
                let columns = self.columns(part, (start, end), budget)?;
                let read: usize = columns.iter().map(|(times, _)| times.len()).sum();
                found.extend(
                    columns
                        .iter()
                        .map(|(times, values)| times.last().copied().zip(values.last().copied())),
                );
                if let Some(budget) = budget {
                    budget.give_back(read);
                }
            }
            let mut found = found.into_iter();
            unsure.retain(|at| {
                let last = found.next().flatten();
                if let Some(place) = lasts.get_mut(*at) {
                    *place = last;
                }
                last.is_none()
            });
        }
        Ok(lasts)
    }

    fn chunked(&self, start: i64, end: i64) -> Option<Chunked> {
        if start > end {
            return None;
        }
        let windows = reading(&self.shared.windows);
        let touched = windows.range(window_of(start)..=window_of(end));
        touched.fold(None, |before: Option<Chunked>, (window, filled)| {
            let latest = filled.latest.unwrap_or(window_end(*window));
            let latest = before.map_or(latest, |before| before.latest.max(latest));
            Some(Chunked { newest: *window, latest })
        })
    }
}
