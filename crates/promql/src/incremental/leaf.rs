//! Selectors: rows that read series, with or without a window over their past.

use hallwatch_model::Timestamp;
use hallwatch_model::sample::is_missing;

use super::buffer::Buffer;
use super::guard::Guard;
use super::node::{ABSENT, Node, NodeId, Out, Slot, at, is_absent};
use super::scalar::scalar;
use super::series::{Taken, Track};
use super::tape::Tapes;
use super::timers::Timers;
use crate::functions::moving::{Counter, Extreme};
use crate::functions::window::{self, Window};
use crate::matchers::Matchers;

/// So many rows are looked up before the first of them is calculated.
const FORESEEN: usize = 16;

#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) matchers: Matchers,
    /// Milliseconds into the past, not negative.
    pub(super) offset: i64,
    pub(super) kind: Kind,
    /// What of the values is let through. Of a window, or of the newest sample, without offset.
    guard: Option<Guard>,
    pub(super) rows: Vec<Row>,
    moving: Moving,
    drops_name: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// The last value.
    Value,
    /// The time of the last value, in seconds.
    Stamp,
    /// A function of the values in a time window (milliseconds).
    Window { range: i64, over: Over },
}

/// A function over a window, and the scalars it takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    Plain(window::Function),
    /// One whose value lies between the least and the greatest.
    Between(window::Function),
    Counter {
        per_second: bool,
    },
    /// `delta`, which changes with time alone as `rate` does.
    Extrapolated(window::Function),
    Extreme {
        largest: bool,
    },
    Quantile(NodeId),
    Predict(NodeId),
    Smooth(f64, f64),
    /// 1 when there is anything.
    Presence,
}

impl Over {
    /// Whether the value changes from one moment to the next.
    pub(super) fn is_timed(self) -> bool {
        matches!(self, Self::Counter { .. } | Self::Extrapolated(_) | Self::Predict(_))
    }
}

/// One series in one selector.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) series: u32,
    pub(super) queued: bool,
    /// Samples were put between others: what was kept of the window is wrong.
    pub(super) reset: bool,
    /// When it will be looked at again; in the past when no timer runs.
    pub(super) armed: i64,
    /// When it was looked at last.
    looked: i64,
    /// The newest sample without which the guard lets nothing through, or one after it.
    witness: i64,
    /// The guard let a value through.
    passed: bool,
}

impl Row {
    /// Whether no witness is in the window.
    #[inline]
    fn is_quiet(&self, now: i64, range: i64) -> bool {
        self.witness <= now.saturating_sub(range)
    }

    /// Takes note of a sample that may be a witness.
    #[inline]
    fn testify(&mut self, guard: &Guard, sample: &Arrived) {
        if is_missing(sample.value) && sample.taken == Taken::Newest {
            return;
        }
        let at = match sample.taken {
            Taken::Newest if guard.is_witness(sample.before, sample.time, sample.value) => {
                sample.time
            }
            Taken::Newest => return,
            // What was before it, or comes after it, may have become one.
            Taken::Replaced | Taken::Older => sample.before.map_or(sample.time, |(time, _)| time),
        };
        self.witness = self.witness.max(at);
    }
}

/// What the rows of costly windows know of the window before, side by side.
#[derive(Debug)]
enum Moving {
    Nothing,
    Counters(Vec<Counter>),
    Extremes(Vec<Extreme>),
}

impl Moving {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Window { over: Over::Counter { .. }, .. } => Self::Counters(Vec::new()),
            Kind::Window { over: Over::Extreme { .. }, .. } => Self::Extremes(Vec::new()),
            _ => Self::Nothing,
        }
    }

    /// Makes a row's begin anew, or that of a new row.
    fn begin(&mut self, slot: usize, over: Over) {
        match (self, over) {
            (Self::Counters(rows), Over::Counter { per_second }) => {
                put(rows, slot, Counter::new(per_second));
            }
            (Self::Extremes(rows), Over::Extreme { largest }) => {
                put(rows, slot, Extreme::new(largest));
            }
            _ => {}
        }
    }
}

fn put<T>(rows: &mut Vec<T>, slot: usize, new: T) {
    match rows.get_mut(slot) {
        Some(row) => *row = new,
        None => rows.push(new),
    }
}

/// What a leaf needs to know beside its rows.
pub(super) struct Moment<'a> {
    pub(super) now: i64,
    pub(super) lookback: i64,
    pub(super) series: &'a mut [Track],
    pub(super) tapes: &'a Tapes,
    pub(super) node: NodeId,
}

/// A sample that came, and when.
pub(super) struct Arrived {
    pub(super) time: i64,
    pub(super) value: f64,
    /// The newest one before it came.
    pub(super) before: Option<(i64, f64)>,
    pub(super) taken: Taken,
    pub(super) now: i64,
    pub(super) lookback: i64,
}

/// What a sample does to a row.
pub(super) enum Noticed {
    Nothing,
    /// Nothing, and it is at rest from now on.
    Rest,
    /// It is the row's value now.
    Value,
    /// The row has to be looked at.
    Row,
}

impl Leaf {
    pub(super) fn new(matchers: Matchers, offset: i64, kind: Kind, drops_name: bool) -> Self {
        let (moving, guard) = (Moving::of(&kind), None);
        Self { matchers, offset, kind, guard, rows: Vec::new(), moving, drops_name }
    }

    /// Lets through only what compares like this. For leaves without offset.
    pub(super) fn guarded(self, guard: Guard) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// How far back it reads values of windows, and samples of selectors, in milliseconds.
    pub(super) fn reach(&self, lookback: i64) -> (i64, i64) {
        match &self.kind {
            Kind::Window { range, .. } => (range.saturating_add(self.offset).max(1), 0),
            _ if self.offset > 0 => (0, lookback.saturating_add(self.offset)),
            _ => (0, 0),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
            + match &self.moving {
                Moving::Nothing => 0,
                Moving::Counters(rows) => rows.capacity() * size_of::<Counter>(),
                Moving::Extremes(rows) => rows.capacity() * size_of::<Extreme>(),
            }
    }

    pub(super) fn add(&mut self, series: u32, track: &Track, out: &mut Out) -> Slot {
        if let Kind::Window { over, .. } = &self.kind {
            self.moving.begin(self.rows.len(), *over);
        }
        self.rows.push(Row {
            series,
            queued: false,
            reset: false,
            armed: i64::MIN,
            looked: i64::MIN,
            // Of what came before nobody has looked for witnesses.
            witness: track.last().map_or(i64::MIN, |(time, _)| time),
            passed: false,
        });
        out.row(track.labels.clone(), self.drops_name)
    }

    /// Whether a row is the newest sample of its series, as long as that is not too old.
    pub(super) fn is_newest(&self) -> bool {
        matches!(self.kind, Kind::Value) && self.offset == 0 && self.guard.is_none()
    }

    /// Whether a sample has to be noticed by a row at rest. Such a row has a guard that nothing
    /// passes, and only a witness can change that: with more rows than the caches hold, most of the
    /// time for a sample would be spent on waiting for a row that says so.
    #[inline]
    pub(super) fn is_woken_by(&self, sample: &Arrived) -> bool {
        let Some(guard) = &self.guard else { return true };
        sample.taken != Taken::Newest
            || (!is_missing(sample.value)
                && match self.kind {
                    Kind::Window { .. } => {
                        guard.is_witness(sample.before, sample.time, sample.value)
                    }
                    _ => guard.holds(sample.value),
                })
    }

    /// Takes note of a sample of a row's series.
    #[inline]
    pub(super) fn notice(&mut self, slot: Slot, sample: &Arrived, out: &mut Out) -> Noticed {
        let row = &mut self.rows[at(slot)];
        match &self.kind {
            Kind::Value if self.offset == 0 => {
                if sample.taken == Taken::Older {
                    return Noticed::Nothing;
                }
                let is_value = !is_missing(sample.value);
                if let Some(guard) = &self.guard {
                    let passes = is_value && guard.holds(sample.value);
                    if !passes && !row.passed && !row.queued {
                        return Noticed::Rest;
                    }
                    row.passed = passes;
                    if !passes {
                        out.set(slot, ABSENT);
                        return Noticed::Value;
                    }
                }
                let expires = sample.time.saturating_add(sample.lookback);
                // A timer that runs out before this value is too old will look again.
                let is_timed = row.armed > sample.now && row.armed <= expires;
                if is_timed && is_value {
                    out.set(slot, sample.value);
                    return Noticed::Value;
                }
            }
            Kind::Window { range, .. } => {
                row.reset |= sample.taken != Taken::Newest;
                if let Some(guard) = &self.guard {
                    row.testify(guard, sample);
                    if row.is_quiet(sample.now, *range) && !row.passed {
                        return Noticed::Rest;
                    }
                }
            }
            _ => {}
        }
        if std::mem::replace(&mut row.queued, true) { Noticed::Nothing } else { Noticed::Row }
    }

    pub(super) fn process(
        &mut self,
        below: &[Node],
        inbox: &[(u8, Slot)],
        refresh: bool,
        moment: &mut Moment<'_>,
        (out, timers): (&mut Out, &mut Timers),
    ) {
        let factor = self.factor(below, moment.now);
        let all = inbox.iter().any(|(port, _)| *port > 0);
        if all || refresh {
            // A tick changes nothing that was calculated at the same event time, and nothing where
            // there is no witness.
            let is_due = |row: &Row| match &self.kind {
                Kind::Window { range, .. } => {
                    let quiet = self.guard.is_some() && row.is_quiet(moment.now, *range);
                    row.queued || (row.looked != moment.now && (row.passed || !quiet))
                }
                _ => true,
            };
            let due = (0..).zip(&self.rows).filter(|(_, row)| all || is_due(row));
            let due: Vec<Slot> = due.map(|(slot, _)| slot).collect();
            for part in due.chunks(FORESEEN) {
                self.calculate(part, factor, moment, (out, timers));
            }
            return;
        }
        let mut slots = [0; FORESEEN];
        for part in inbox.chunks(FORESEEN) {
            for (place, (_, slot)) in slots.iter_mut().zip(part) {
                *place = *slot;
            }
            self.calculate(&slots[..part.len()], factor, moment, (out, timers));
        }
    }

    fn calculate(
        &mut self,
        slots: &[Slot],
        factor: f64,
        moment: &mut Moment<'_>,
        (out, timers): (&mut Out, &mut Timers),
    ) {
        self.foresee(slots, &*moment.series);
        for slot in slots {
            self.row(*slot, factor, moment, (out, timers));
        }
    }

    fn is_window(&self) -> bool {
        matches!(self.kind, Kind::Window { .. })
    }

    /// See [`Graph::foresee`](super::Graph::foresee): a tick finds nothing in the caches.
    fn foresee(&self, slots: &[Slot], series: &[Track]) {
        if self.is_window() {
            let tracks = slots.iter().map(|slot| &series[at(self.rows[at(*slot)].series)]);
            tracks.clone().for_each(Track::foresee);
            tracks.for_each(Track::foresee_samples);
        }
    }

    /// The scalar that the function takes.
    fn factor(&self, below: &[Node], now: i64) -> f64 {
        match &self.kind {
            Kind::Window { over: Over::Quantile(q) | Over::Predict(q), .. } => {
                scalar(below, *q, now)
            }
            _ => 0.0,
        }
    }

    fn row(
        &mut self,
        slot: Slot,
        factor: f64,
        moment: &mut Moment<'_>,
        (out, timers): (&mut Out, &mut Timers),
    ) {
        let row = &mut self.rows[at(slot)];
        row.queued = false;
        row.looked = moment.now;
        let track = &mut moment.series[at(row.series)];
        let time = moment.now.saturating_sub(self.offset);
        let (value, next) = match &self.kind {
            Kind::Window { range, .. } if self.guard.is_some() && row.is_quiet(time, *range) => {
                (ABSENT, None)
            }
            Kind::Window { range, over } => {
                let factor = (factor, moment.now);
                if std::mem::take(&mut row.reset) {
                    self.moving.begin(at(slot), *over);
                }
                let (row, samples) =
                    ((&mut self.moving, at(slot)), track.look(moment.now, moment.tapes));
                let (value, next) = windowed(row, samples, (time, *range), *over, factor);
                (value, next.map(|next| next.saturating_add(self.offset)))
            }
            kind => {
                let (sample, entering) = if self.offset == 0 {
                    (track.last(), None)
                } else {
                    let times = track.history().times();
                    let until = times.partition_point(|at| *at <= time);
                    let sample =
                        until.checked_sub(1).map(|at| (times[at], track.history().values()[at]));
                    (sample, times.get(until).copied())
                };
                let fresh = sample.filter(|(at, value)| {
                    *at > time.saturating_sub(moment.lookback) && !is_missing(*value)
                });
                let expires = fresh.map(|(at, _)| at.saturating_add(moment.lookback));
                let next = match (expires, entering) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                let value = fresh.map_or(ABSENT, |(at, value)| match kind {
                    Kind::Stamp => Timestamp::from_millis(at).as_seconds(),
                    _ => value,
                });
                (value, next.map(|next| next.saturating_add(self.offset)))
            }
        };
        let passes = !is_absent(value) && self.guard.is_none_or(|guard| guard.holds(value));
        row.passed = passes;
        out.set(slot, if passes { value } else { ABSENT });
        // A value that is held back need not run out.
        let waits = passes || self.guard.is_none() || matches!(self.kind, Kind::Window { .. });
        // A timer that runs out earlier will look again.
        if let Some(next) = next
            && waits
            && !(row.armed > moment.now && row.armed <= next)
        {
            row.armed = next;
            timers.add(next, moment.node, slot);
        }
    }
}

/// The value of a window that ends at `end`, and when a sample next leaves or enters it.
fn windowed(
    (moving, slot): (&mut Moving, usize),
    samples: &Buffer,
    (end, range): (i64, i64),
    over: Over,
    (factor, now): (f64, i64),
) -> (f64, Option<i64>) {
    let start = end.saturating_sub(range);
    let all = samples.times();
    let from = if all.first().is_none_or(|first| *first > start) {
        0
    } else {
        all.partition_point(|time| *time <= start)
    };
    let to = if all.last().is_some_and(|last| *last <= end) {
        all.len()
    } else {
        all.partition_point(|time| *time <= end)
    };
    let to = to.max(from);
    let (times, values) = (&all[from..to], &samples.values()[from..to]);
    let entering = all.get(to).copied();
    if times.is_empty() {
        return (ABSENT, entering);
    }
    let number = samples.first() + from;
    let window = Window { times, values, start, end };
    // The sample without which the value would be another one.
    let mut decisive = 0;
    let value = match over {
        Over::Plain(f) | Over::Between(f) | Over::Extrapolated(f) => f(&window),
        Over::Counter { .. } => match moving {
            Moving::Counters(rows) => rows[slot].value(number, &window),
            _ => None,
        },
        Over::Extreme { .. } => match moving {
            Moving::Extremes(rows) => {
                let value = rows[slot].value(number, &window);
                decisive = rows[slot].best().map_or(0, |best| best - number);
                value
            }
            _ => None,
        },
        Over::Quantile(_) => window::quantile_over_time(&window, factor),
        Over::Predict(_) => window::predict_linear(&window, now, factor),
        Over::Smooth(smoothing, trend) => window::smooth(&window, smoothing, trend),
        Over::Presence => {
            decisive = times.len() - 1;
            Some(1.0)
        }
    };
    // Timed values are calculated at every tick anyway.
    let leaving = times.get(decisive).map(|time| time.saturating_add(range));
    let next = match (leaving, entering) {
        _ if over.is_timed() => None,
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    (value.unwrap_or(ABSENT), next)
}
