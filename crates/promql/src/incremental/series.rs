//! What is kept of a series: its last sample, and as much of its past as the operators ask for.

use std::hint::black_box;

use hallwatch_model::Labels;
use hallwatch_model::sample::is_missing;

use super::buffer::Buffer;
use super::node::{NodeId, Slot};
use super::tape::{Tail, Tapes};

/// How a series took a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the newest.
    Newest,
    /// It replaced the newest one: windows have to be calculated anew.
    Replaced,
    /// It came before the newest one: windows have to be calculated anew.
    Older,
}

/// A row of an operator that reads series.
pub(super) type Reader = (NodeId, Slot);

/// In the place of a reader when there is none.
const NOBODY: Reader = (NodeId::MAX, Slot::MAX);

/// Where the samples for windows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nobody asks for any.
    Nowhere,
    /// On a tape, since nobody has looked at a window for as long as the longest one is.
    Tape(u8),
    Buffer,
}

/// A series that some operator reads. What every sample asks for stands together, at the front, in
/// one line of the processor's cache: with more series than that holds, each line takes longer to
/// come than all that is calculated.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Track {
    /// The time of the newest sample; the earliest of all before there is one.
    newest: i64,
    /// Its value, a missing one too.
    value: f64,
    /// Its samples that are on a tape.
    tail: Tail,
    place: Place,
    /// Whether anybody asks for `history`.
    has_history: bool,
    /// Of the first rows that read it, a bit each: it is [at rest](super::leaf::Leaf::is_woken_by).
    pub(super) at_rest: u8,
    /// Whether there are `more_readers`.
    has_more: bool,
    /// The first rows that read it, without gaps.
    readers: [Reader; 4],
    /// How far back samples for windows have to reach, in milliseconds; zero when nobody asks.
    reach: i64,
    /// When somebody last looked at a window.
    looked: i64,
    /// Samples that are values, for windows.
    samples: Buffer,
    /// The other rows that read it.
    more_readers: Vec<Reader>,
    /// The rows that only ask whether its newest sample is a value, and not too old.
    observers: Vec<Reader>,
    /// All samples, for selectors with an offset.
    history: Buffer,
    /// How far back these have to reach.
    history_reach: i64,
    pub(super) labels: Labels,
}

const _: () = assert!(std::mem::offset_of!(Track, reach) == 64, "what every sample asks for");

impl Track {
    pub(super) fn new(labels: Labels) -> Self {
        Self {
            labels,
            newest: i64::MIN,
            value: 0.0,
            tail: Tail::NONE,
            place: Place::Nowhere,
            has_history: false,
            at_rest: 0,
            has_more: false,
            reach: 0,
            looked: i64::MIN,
            samples: Buffer::default(),
            history: Buffer::default(),
            history_reach: 0,
            readers: [NOBODY; 4],
            more_readers: Vec::new(),
            observers: Vec::new(),
        }
    }

    /// The newest sample, a missing one too.
    #[inline]
    pub(super) fn last(&self) -> Option<(i64, f64)> {
        (self.newest != i64::MIN).then_some((self.newest, self.value))
    }

    /// The rows that read it, if need be with those that observe it, and of each its bit in
    /// `at_rest`.
    #[inline]
    pub(super) fn readers(&self, and_observers: bool) -> impl Iterator<Item = (&Reader, u8)> {
        let first = self.readers.iter().take_while(|reader| **reader != NOBODY);
        let more = if self.has_more { self.more_readers() } else { &[] };
        let observers = if and_observers { self.observers() } else { &[] };
        let first = first.zip(0..).map(|(reader, place)| (reader, 1 << place));
        first.chain(more.iter().chain(observers).map(|reader| (reader, 0)))
    }

    // Not inlined, or both would be loaded to be thrown away: they are far from what is needed.
    #[cold]
    fn more_readers(&self) -> &[Reader] {
        &self.more_readers
    }

    #[cold]
    fn observers(&self) -> &[Reader] {
        &self.observers
    }

    pub(super) fn add_reader(&mut self, reader: Reader) {
        match self.readers.iter_mut().find(|place| **place == NOBODY) {
            Some(place) => *place = reader,
            None => {
                self.has_more = true;
                self.more_readers.push(reader);
            }
        }
    }

    pub(super) fn add_observer(&mut self, observer: Reader) {
        self.observers.push(observer);
    }

    /// One that observed it reads it from now on.
    pub(super) fn make_reader(&mut self, observer: Reader) {
        self.observers.retain(|known| *known != observer);
        self.add_reader(observer);
    }

    /// Whether its newest sample is a value that is not too old.
    pub(super) fn has_value(&self, now: i64, lookback: i64) -> bool {
        self.last()
            .is_some_and(|(time, value)| time.saturating_add(lookback) > now && !is_missing(value))
    }

    /// Loads what [`Track::take`] will look at first.
    #[inline]
    pub(super) fn foresee(&self) {
        black_box(self.newest);
        if self.place == Place::Buffer {
            black_box(self.looked);
        }
    }

    /// Loads what [`Track::take`] will look at of the samples.
    #[inline]
    pub(super) fn foresee_samples(&self) {
        if self.place == Place::Buffer {
            self.samples.foresee();
        }
    }

    /// Somebody asks for samples so many milliseconds back: for windows, and all of them. What is
    /// kept so far is all there is to begin with.
    pub(super) fn ask(&mut self, (reach, history_reach): (i64, i64), now: i64, tapes: &mut Tapes) {
        let (last, begins) = (self.last(), self.reach == 0);
        if reach > self.reach {
            // They may belong on another tape from now on.
            self.look(now, tapes);
            self.reach = reach;
            self.place = Place::Buffer;
            if begins
                && let Some((time, value)) = last
                && !is_missing(value)
            {
                self.samples.insert(time, value);
            }
            if self.samples.times().is_empty() {
                self.put_away(now, tapes);
            }
        }
        if history_reach > 0 {
            self.history_reach = self.history_reach.max(history_reach);
            if !std::mem::replace(&mut self.has_history, true)
                && let Some((time, value)) = last
            {
                self.history.insert(time, value);
            }
        }
    }

    pub(super) fn take(&mut self, time: i64, value: f64, now: i64, tapes: &mut Tapes) -> Taken {
        let taken = match self.last() {
            Some((last, _)) if last > time => Taken::Older,
            Some((last, _)) if last == time => Taken::Replaced,
            _ => Taken::Newest,
        };
        if taken != Taken::Older {
            (self.newest, self.value) = (time, value);
        }
        self.keep((time, value), taken, now, tapes);
        if self.has_history {
            // The last one before is the value until the next one.
            self.history.trim(now.saturating_sub(self.history_reach));
            if taken == Taken::Newest {
                self.history.push(time, value, i64::MIN);
            } else {
                self.history.insert(time, value);
            }
        }
        taken
    }

    /// Keeps a sample for windows. What is newer than the newest is not compared with what the
    /// others end with: that would be one more place in memory to wait for.
    #[inline]
    fn keep(&mut self, (time, value): (i64, f64), taken: Taken, now: i64, tapes: &mut Tapes) {
        match (self.place, taken) {
            (Place::Nowhere, _) => {}
            (_, Taken::Newest) if is_missing(value) => {}
            (Place::Tape(tape), Taken::Newest) => {
                self.tail = tapes.append(tape, self.tail, (time, value), now);
            }
            (Place::Buffer, Taken::Newest) => {
                self.samples.push(time, value, now.saturating_sub(self.reach));
                if now.saturating_sub(self.looked) > self.reach {
                    self.put_away(now, tapes);
                }
            }
            (_, Taken::Replaced | Taken::Older) => {
                self.look(now, tapes);
                if is_missing(value) {
                    self.samples.remove(time);
                } else {
                    self.samples.insert(time, value);
                }
            }
        }
    }

    /// The samples that windows can have, when somebody looks at one.
    pub(super) fn look(&mut self, now: i64, tapes: &Tapes) -> &Buffer {
        self.looked = now;
        let until = now.saturating_sub(self.reach);
        if let Place::Tape(tape) = self.place {
            self.place = Place::Buffer;
            let tail = std::mem::replace(&mut self.tail, Tail::NONE);
            let newer = tapes.back_from(tape, tail).take_while(|(time, _)| *time > until);
            let mut samples: Vec<(i64, f64)> = newer.collect();
            samples.reverse();
            for (time, value) in samples {
                self.samples.push(time, value, i64::MIN);
            }
        } else {
            self.samples.trim(until);
        }
        &self.samples
    }

    /// Puts its samples on a tape, unless windows are too long for that.
    #[cold]
    fn put_away(&mut self, now: i64, tapes: &mut Tapes) {
        let Some(tape) = tapes.of_reach(self.reach) else { return };
        self.samples.trim(now.saturating_sub(self.reach));
        for sample in self.samples.iter() {
            self.tail = tapes.append(tape, self.tail, sample, now);
        }
        self.samples.clear();
        self.place = Place::Tape(tape);
    }

    /// All samples that are kept beside the newest one, in no order, some twice.
    pub(super) fn kept(&self, tapes: &Tapes) -> impl Iterator<Item = (i64, f64)> {
        let taped = match self.place {
            Place::Tape(tape) => Some(tapes.back_from(tape, self.tail)),
            Place::Nowhere | Place::Buffer => None,
        };
        taped.into_iter().flatten().chain(self.samples.iter()).chain(self.history.iter())
    }

    /// The samples for selectors with an offset.
    pub(super) fn history(&self) -> &Buffer {
        &self.history
    }

    /// How many samples it keeps itself.
    pub(super) fn len(&self) -> usize {
        self.samples.times().len() + self.history.times().len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.samples.bytes()
            + self.history.bytes()
            + (self.more_readers.capacity() + self.observers.capacity()) * size_of::<Reader>()
    }
}
