//! Whose turn it is on a line that several devices share. Pure.
//!
//! A question that is not answered costs the line the wait for it and, on RTU, the quiet time after
//! it. So a device that did not answer is asked again only in time that nobody else needs: when the
//! next turn of those that do answer is so far away that
//!
//! - all of it fits: nobody notices, or else
//! - the wait fits, and only the quiet time does not: nobody is late by more than the quiet time,
//!   because nobody waits when it begins and so no two such delays add up. A device that is known
//!   to be offline looks for the first kind of gap for [`SHARE`] times its cost before that, and
//!   all of them together take no more than a tenth of the line's time.
//!
//! The wait is cut to what fits, but not below the least. When not even that has fitted for as
//! long, a silent device is asked regardless: otherwise one that is back would not be found.
//!
//! Reads that a device does not answer while it answers others ([`Reads`](super::Reads)) are asked
//! like one more device that is offline.

mod unit;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hallwatch_modbus::Data;
use hallwatch_model::{Missing, Uptime};

use super::{Health, is_answer};
use unit::{Chance, Class, Unit, fitting};

/// What a silent device has cost the others is followed by so many times as much time without such
/// a cost; and so many times what it would cost it looks for a better gap, before it takes a worse.
const SHARE: u32 = 9;
/// A device of which nothing is known is passed at most so often for each device of the line.
const PASSES: usize = 4;

/// Devices that share a line.
#[derive(Debug, Default)]
pub struct Queue {
    /// Boxed, as most lines have one, and a node of the map has room for eleven.
    units: BTreeMap<Party, Box<Unit>>,
    waiting: VecDeque<Waiting>,
    /// How often those of which nothing is known were passed by those that answer.
    passed: usize,
    /// When the question under way was begun, and whether the others pay for it.
    began: Uptime,
    is_paid: bool,
    /// The others do not pay again before.
    rests_until: Uptime,
}

/// Who wants the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Party {
    Device(usize),
    /// The reads of a device that are put aside.
    Aside(usize),
}

/// What a question costs the line that brings no answer. The waits contain the time on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The least wait for an answer that makes sense.
    pub least: Duration,
    /// The wait when there is time.
    pub usual: Duration,
    /// The wait for a device that was heard too late.
    pub longest: Duration,
    /// How long nothing may be asked after that; zero where answers say what they are to.
    pub quiet: Duration,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ask this device.
    Ask(usize, Patience),
    /// Ask this device for a read that was put aside.
    Retry(usize, Patience),
    /// Nothing before this moment, unless a device wants its turn.
    Wait(Uptime),
    /// Nobody waits.
    Idle,
}

/// How long to wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// The device answered last time: as its latency says.
    Latency,
    /// Nothing is known of it, or it answers some questions and others not.
    Usual,
    /// It was heard after the wait for it was over: as long as it may take.
    Longest,
    /// No longer than this, the time on the wire included.
    AtMost(Duration),
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All that was asked was answered.
    Answered,
    /// The device is there, but something brought no answer.
    InPart,
    /// Nothing was answered.
    Silence {
        /// Something came after the wait, and prolonged the quiet time by so much.
        late: Option<Duration>,
    },
}

impl Ended {
    /// By the answers of a poll; `failed`: something cost the line time and brought no answer.
    #[must_use]
    pub fn of(answers: &[Result<Data, Missing>], failed: bool) -> Self {
        match failed {
            false => Self::Answered,
            true if answers.iter().any(is_answer) => Self::InPart,
            true => Self::Silence { late: None },
        }
    }

    /// The same, but something came in the quiet time and prolonged it by `late`.
    #[must_use]
    pub fn late(self, late: Duration) -> Self {
        match self {
            Self::Silence { .. } => Self::Silence { late: Some(late) },
            Self::Answered | Self::InPart => self,
        }
    }
}

#[derive(Debug)]
struct Waiting {
    party: Party,
    since: Uptime,
}

impl Queue {
    /// A device joins the line. Nothing is known of it.
    pub fn join(&mut self, device: usize, interval: Duration, cost: Cost) {
        let (next, health, late, chance) = (None, None, None, Chance::default());
        let unit = Unit { interval, next, cost, health, late, chance };
        self.units.insert(Party::Device(device), Box::new(unit));
    }

    /// A question to the device costs something else from now on: it begins with another read.
    pub fn costs(&mut self, device: usize, cost: Cost) {
        if let Some(unit) = self.units.get_mut(&Party::Device(device)) {
            unit.cost = cost;
        }
    }

    /// A device wants its turn; the one after that is at `next`.
    pub fn push(&mut self, device: usize, next: Uptime, now: Uptime) {
        let party = Party::Device(device);
        if let Some(unit) = self.units.get_mut(&party) {
            unit.next = Some(next);
            self.waiting.push_back(Waiting { party, since: now });
        }
    }

    /// A read of a device that answers others was put aside, and is to be tried again; a question
    /// for it costs `cost`. How that ends is for [`Self::retried`].
    pub fn aside(&mut self, device: usize, cost: Cost, now: Uptime) {
        let party = Party::Aside(device);
        if self.waiting.iter().any(|waiting| waiting.party == party) {
            return;
        }
        let unit = self.units.entry(party).or_insert_with(|| {
            let (interval, next, late, chance) = (Duration::ZERO, None, None, Chance::default());
            Box::new(Unit { interval, next, cost, health: Some(Health::OFFLINE), late, chance })
        });
        unit.cost = cost;
        self.waiting.push_back(Waiting { party, since: now });
    }

    /// Whose turn it is on a line on which a question may be asked. How that ends is for
    /// [`Self::finished`].
    pub fn take(&mut self, now: Uptime) -> Turn {
        if let Some((at, wait)) = self.forced(now) {
            return self.ask(at, Patience::AtMost(wait), true, now);
        }
        if let Some(at) = self.first() {
            return self.ask(at, Patience::Usual, false, now);
        }
        let spare = self.spare(now);
        if let Some((at, wait)) = self.free(spare) {
            return self.ask(at, Patience::AtMost(wait), false, now);
        }
        if let Some((at, wait)) = self.paid(spare, now) {
            return self.ask(at, Patience::AtMost(wait), true, now);
        }
        let waiting = self.silent().flat_map(|(_, (unit, since))| {
            [self.ready_at(unit, since), self.forced_at(unit, since)]
        });
        let Some(change) = waiting.filter(|moment| *moment > now).min() else { return Turn::Idle };
        // A turn that was skipped is known by then; one that comes is a push before that.
        let skipped = self.expected(now).map(|(unit, due)| due + unit.interval).min();
        Turn::Wait(skipped.map_or(change, |skipped| skipped.min(change)))
    }

    /// The device had its turn, and the next question may be asked at `now`.
    pub fn finished(&mut self, device: usize, ended: Ended, now: Uptime) {
        self.ended(Party::Device(device), ended, now);
        if matches!(ended, Ended::Silence { .. }) {
            self.leave(Party::Aside(device));
        }
    }

    /// As [`Self::finished`], of a read that was put aside.
    pub fn retried(&mut self, device: usize, ended: Ended, now: Uptime) {
        let party = Party::Aside(device);
        self.ended(party, ended, now);
        if ended == Ended::Answered {
            self.leave(party);
        }
    }

    fn leave(&mut self, party: Party) {
        if self.units.remove(&party).is_some() {
            self.waiting.retain(|waiting| waiting.party != party);
        }
    }

    fn ended(&mut self, party: Party, ended: Ended, now: Uptime) {
        let silence = matches!(ended, Ended::Silence { .. });
        if std::mem::take(&mut self.is_paid) && silence {
            self.rests_until = now + now.since(self.began).saturating_mul(SHARE);
        }
        let Some(unit) = self.units.get_mut(&party) else { return };
        unit.next = unit.next.map(|next| unit.after(next, now));
        unit.late = None;
        if unit.chance == Chance::Given {
            unit.chance = Chance::Taken;
        }
        match ended {
            Ended::Answered => {
                unit.health = Some(Health::Online);
                unit.chance = Chance::Open;
            }
            Ended::InPart => unit.health = None,
            Ended::Silence { late } => {
                unit.health = Some(unit.health.unwrap_or_default().failed());
                unit.late = late;
                if late.is_some() && unit.chance == Chance::Open {
                    unit.chance = Chance::Given;
                }
            }
        }
    }

    /// Those that wait and are silent, with their place in the queue and since when they wait.
    fn silent(&self) -> impl Iterator<Item = (usize, (&Unit, Uptime))> {
        let all = self.waiting.iter().enumerate();
        all.filter_map(|(at, Waiting { party, since })| {
            let unit = &**self.units.get(party)?;
            (unit.class() == Class::Silent).then_some((at, (unit, *since)))
        })
    }

    /// The first of those that answer, or else of those of which nothing is known.
    fn first(&mut self) -> Option<usize> {
        let of = |class: Class| {
            let mut all = self.waiting.iter();
            all.position(|waiting| {
                self.units.get(&waiting.party).is_some_and(|unit| unit.class() == class)
            })
        };
        match (of(Class::Answers), of(Class::Unknown)) {
            (Some(first), Some(_)) if self.passed < PASSES.saturating_mul(self.units.len()) => {
                self.passed += 1;
                Some(first)
            }
            (first, unknown) => {
                self.passed = 0;
                unknown.or(first)
            }
        }
    }

    /// From when on the others may pay for a silent device. Until it is known to be offline they
    /// pay at once, so that this is soon.
    fn ready_at(&self, unit: &Unit, since: Uptime) -> Uptime {
        if !unit.health.is_some_and(Health::is_offline) {
            return since;
        }
        self.rests_until.max(since + unit.total().saturating_mul(SHARE))
    }

    /// From when on a silent device is asked whether there is time for it or not.
    fn forced_at(&self, unit: &Unit, since: Uptime) -> Uptime {
        self.ready_at(unit, since) + unit.total().saturating_mul(SHARE)
    }

    /// The coming turns of those that are to have them.
    fn expected(&self, now: Uptime) -> impl Iterator<Item = (&Unit, Uptime)> {
        let all = self.units.values().map(|unit| &**unit);
        let there = all.filter(|unit| matches!(unit.health, None | Some(Health::Online)));
        there.filter_map(move |unit| Some((unit, unit.due(now)?)))
    }

    /// How long nobody else needs the line; none is for ever.
    fn spare(&self, now: Uptime) -> Option<Duration> {
        self.expected(now).map(|(_, due)| due.since(now)).min()
    }

    /// A silent device that has looked for a gap for long enough, and how long to wait for it.
    fn forced(&self, now: Uptime) -> Option<(usize, Duration)> {
        let mut all = self.silent();
        let (at, (unit, _)) = all.find(|(_, (unit, since))| now >= self.forced_at(unit, *since))?;
        Some((at, unit.waits().0))
    }

    /// A silent device that costs the others nothing, and how long it may be waited for.
    fn free(&self, spare: Option<Duration>) -> Option<(usize, Duration)> {
        self.silent().find_map(|(at, (unit, _))| {
            let wait = fitting(unit, spare, unit.late() + unit.cost.quiet)?;
            Some((at, wait))
        })
    }

    /// One that costs them no more than the quiet time. Where there is none, a wait cannot be cut:
    /// what a gateway does with a question is not known to be over before it says so.
    fn paid(&self, spare: Option<Duration>, now: Uptime) -> Option<(usize, Duration)> {
        self.silent().filter(|(_, (unit, since))| now >= self.ready_at(unit, *since)).find_map(
            |(at, (unit, _))| {
                let spare = spare.filter(|_| !unit.cost.quiet.is_zero());
                Some((at, fitting(unit, spare, unit.late())?))
            },
        )
    }

    fn ask(&mut self, at: usize, patience: Patience, is_paid: bool, now: Uptime) -> Turn {
        let Some(Waiting { party, .. }) = self.waiting.remove(at) else { return Turn::Idle };
        (self.began, self.is_paid) = (now, is_paid);
        let patience = match self.units.get(&party) {
            Some(unit) if unit.class() == Class::Answers => Patience::Latency,
            Some(unit) if unit.chance == Chance::Given || unit.late.is_some() => Patience::Longest,
            _ => patience,
        };
        match party {
            Party::Device(device) => Turn::Ask(device, patience),
            Party::Aside(device) => Turn::Retry(device, patience),
        }
    }
}

#[cfg(test)]
mod tests;
