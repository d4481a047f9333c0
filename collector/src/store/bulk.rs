//! Many log rows into the heads at once, for the start: rows are decoded on all cores, then the
//! points are brought into the order of their series, so that each head is locked and looked up
//! once for all of its points. Point by point, the heads of 100,000 series are a cache miss each.

use std::num::NonZero;
use std::sync::{Arc, Mutex};

use super::Store;
use super::deletion::AllHidden;
use super::head::{Pushed, window_of};
use super::heads::{SHARD, Shard};
use super::record::{Point, read_points};
use super::shared::{Shared, count, lock, reading};

/// More threads than this gain nothing: memory is the limit.
const MOST_THREADS: usize = 8;
/// Fewer bytes than this are not worth a thread.
const BYTES_PER_THREAD: usize = 64 << 10;

/// A log row as it is on disk.
pub(super) struct Raw {
    pub(super) id: u64,
    pub(super) data: Vec<u8>,
}

/// The points of a log row that are not in chunks yet.
type Row = (u64, Vec<Point>);

/// What one thread has put into heads.
#[derive(Default)]
struct Filled {
    /// Log row, window, series: the first sample of its window in the head.
    opened: Vec<(u64, i64, u32)>,
    /// The windows that got any.
    touched: Vec<i64>,
}

/// Log row, time and value.
type Sample = (u64, i64, f64);

/// Where samples are sorted, by thread: fresh memory each time would cost as much as the sorting.
#[derive(Default)]
pub(super) struct Room([Mutex<Vec<Sample>>; MOST_THREADS]);

impl Store {
    /// Puts what is not in chunks yet of `raws`, which ascend, into the heads.
    pub(super) fn apply_all(&mut self, raws: &[Raw], room: &Room) {
        let bytes: usize = raws.iter().map(|raw| raw.data.len()).sum();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = cores.min(MOST_THREADS).min(bytes / BYTES_PER_THREAD).max(1);
        let hidden = reading(&self.shared.hidden).clone();
        let shared = &self.shared;
        let rows: Vec<Row> = split(raws, threads, |part| decode(part, shared, &hidden));
        let share = self.shards.len().div_ceil(threads).max(1);
        let shares: Vec<Share<'_>> = (0..)
            .step_by(share * SHARD)
            .zip(self.shards.chunks(share))
            .zip(&room.0)
            .map(|((first, shards), sorted)| Share { first, shards, sorted })
            .collect();
        let filled: Vec<Filled> =
            split(&shares, threads, |parts| parts.iter().map(|part| part.fill(&rows)).collect());
        let mut opened: Vec<(u64, i64, u32)> = Vec::new();
        let mut touched: Vec<i64> = Vec::new();
        for part in filled {
            opened.extend(part.opened);
            touched.extend(part.touched);
        }
        opened.sort_unstable();
        let mut opened = opened.into_iter().peekable();
        for raw in raws {
            self.last_log = self.last_log.max(raw.id);
            self.flush.appended += raw.data.len() as u64;
            while let Some((log, window, series)) = opened.next_if(|(log, ..)| *log <= raw.id) {
                self.flush.opened(window, series, log, self.now);
            }
        }
        for window in touched {
            self.flush.touched(window, self.now);
        }
    }
}

/// Works on parts of `all`, each on a thread of its own; what comes of them, in order.
fn split<T: Sync, R: Send>(
    all: &[T],
    threads: usize,
    work: impl Fn(&[T]) -> Vec<R> + Sync,
) -> Vec<R> {
    let share = all.len().div_ceil(threads).max(1);
    let mut parts = all.chunks(share);
    let Some(first) = parts.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut done = work(first);
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}

fn decode(raws: &[Raw], shared: &Shared, hidden: &AllHidden) -> Vec<Row> {
    let windows = reading(&shared.windows);
    let mut rows = Vec::with_capacity(raws.len());
    for Raw { id, data } in raws {
        let Some(mut points) = read_points(data) else {
            count(&shared.found.log_rows);
            continue;
        };
        // Points of one window come one after the other.
        let mut known: Option<(i64, bool)> = None;
        points.retain(|point| {
            let window = window_of(point.time);
            let wanted = match known {
                Some((same, wanted)) if same == window => wanted,
                _ => windows.get(&window).is_none_or(|filled| filled.upto < *id),
            };
            known = Some((window, wanted));
            wanted
                && !hidden.iter().any(|one| *id <= one.upto && one.covers(point.series, point.time))
        });
        rows.push((*id, points));
    }
    rows
}

/// The series that one thread puts into their heads.
struct Share<'a> {
    /// The lowest number.
    first: usize,
    shards: &'a [Arc<Shard>],
    sorted: &'a Mutex<Vec<Sample>>,
}

impl Share<'_> {
    fn fill(&self, rows: &[Row]) -> Filled {
        let Self { first, shards, sorted } = *self;
        let count = shards.len() * SHARD;
        let mine = |point: &Point| {
            let at = (point.series as usize).checked_sub(first)?;
            (at < count).then_some(at)
        };
        // Where the points of each series end, when they stand in the order of the series.
        let mut ends = vec![0usize; count];
        for point in rows.iter().flat_map(|(_, points)| points) {
            if let Some(end) = mine(point).and_then(|at| ends.get_mut(at)) {
                *end += 1;
            }
        }
        let mut total = 0;
        for end in &mut ends {
            (*end, total) = (total, total + *end);
        }
        let mut sorted = lock(sorted);
        sorted.clear();
        sorted.resize(total, Sample::default());
        for (id, points) in rows {
            for point in points {
                let Some(end) = mine(point).and_then(|at| ends.get_mut(at)) else { continue };
                if let Some(place) = sorted.get_mut(*end) {
                    *place = (*id, point.time, point.value);
                }
                *end += 1;
            }
        }
        let mut filled = Filled::default();
        let (mut start, mut touched) = (0, i64::MIN);
        let mut known = (0u32..).skip(first);
        for (shard, ends) in shards.iter().zip(ends.chunks(SHARD)) {
            let mut heads = shard.lock();
            for end in ends {
                let points = sorted.get(start..*end).unwrap_or_default();
                start = *end;
                // A point may name a series that was deleted or is damaged.
                let Some(series) = known.next().filter(|series| heads.is_live(*series)) else {
                    continue;
                };
                for (id, time, value) in points {
                    let window = window_of(*time);
                    let pushed = heads.push(series, *time, *value);
                    if pushed == Pushed::Opened {
                        filled.opened.push((*id, window, series));
                    }
                    if pushed != Pushed::Known && window != touched {
                        filled.touched.push(window);
                        touched = window;
                    }
                }
            }
        }
        filled.touched.sort_unstable();
        filled.touched.dedup();
        filled
    }
}
