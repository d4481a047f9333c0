//! Which reads of a device are answered, and in what order to ask. Pure.
//!
//! Some devices answer most of their reads and never one: they drop it instead of refusing it. Each
//! turn would cost the line a wait for it, and the reads behind it would not be asked. So those that
//! were answered go first, and one that was not for a few turns in a row, while others of the device
//! were, is put aside: its points are missing, and it is tried again more and more seldom, in time
//! that nobody needs ([`Queue::aside`](super::Queue::aside)). Nothing of this outlives the process: a
//! read that is not answered is not refused.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_modbus::{Data, Read};
use hallwatch_model::{Missing, Uptime};

use super::{Health, is_answer};

/// A read that comes and goes is told of at most this often.
const TELL: Duration = Duration::from_secs(60 * 60);

/// The reads of a device over time.
#[derive(Debug)]
pub struct Reads {
    interval: Duration,
    /// Those that were not answered last time.
    silent: BTreeMap<Read, Silent>,
    /// What the last poll began with, when nothing was answered in it.
    began: Option<Read>,
    /// What was answered first in the last poll in which something was: that the device is there is
    /// known by it, before one is asked of which nothing is known.
    proof: Option<Read>,
    /// Those that were told of as put aside, and when.
    told: BTreeMap<Read, Uptime>,
}

/// A read that is not answered.
#[derive(Debug)]
struct Silent {
    /// Online is never in here; offline is put aside.
    health: Health,
    retry_at: Uptime,
    reason: Missing,
    is_told: bool,
}

/// What is to be told after a poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Reads that are put aside from now on.
    pub aside: Vec<Read>,
    /// Reads that were put aside, and told of, and are answered again.
    pub back: Vec<Read>,
}

impl Reads {
    /// Of a device that is asked every `interval`. Nothing is known of them.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        let (began, proof) = (None, None);
        Self { interval, silent: BTreeMap::new(), began, proof, told: BTreeMap::new() }
    }

    /// Which of `reads` to ask in the next poll, by their places, in what order. Never empty when
    /// `reads` is not. Of a device that was silent each poll begins with another one, in the end also
    /// with those that are put aside: it may be that just the one before is not answered.
    #[must_use]
    pub fn order(&self, reads: &[Read]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..reads.len()).collect();
        if self.silent.is_empty() && self.began.is_none() {
            return order;
        }
        let silent = |at: &usize| reads.get(*at).and_then(|read| self.silent.get(read));
        let is_aside = |at: &usize| silent(at).is_some_and(|silent| silent.health.is_offline());
        order.sort_by_key(is_aside);
        let began = |at: &usize| self.began.is_some() && reads.get(*at) == self.began.as_ref();
        if let Some(last) = order.iter().position(began) {
            order.rotate_left((last + 1) % reads.len());
            let first = order.first().copied();
            order.retain(|at| Some(*at) == first || !is_aside(at));
            return order;
        }
        let first = order.first().copied();
        order.retain(|at| !is_aside(at));
        order.sort_by_key(|at| {
            let failures = silent(at).map_or(0, |silent| silent.health.failures());
            (failures, reads.get(*at) != self.proof.as_ref())
        });
        if order.is_empty() {
            order.extend(first);
        }
        order
    }

    /// Why the points of a read that is put aside are missing; none when it is not.
    #[must_use]
    pub fn missing(&self, read: &Read) -> Option<Missing> {
        let silent = self.silent.get(read).filter(|silent| silent.health.is_offline())?;
        Some(silent.reason)
    }

    /// A poll is over, in which those at `asked` were asked in this order.
    pub fn polled(
        &mut self,
        reads: &[Read],
        answers: &[Result<Data, Missing>],
        asked: &[usize],
        now: Uptime,
    ) -> Changes {
        let mut changes = Changes::default();
        self.silent.retain(|read, _| reads.contains(read));
        self.told.retain(|read, _| reads.contains(read));
        let outcome = |at: &usize| Some((reads.get(*at)?, answers.get(*at)?));
        if !asked.iter().filter_map(outcome).any(|(_, answer)| is_answer(answer)) {
            // That says nothing of the single read.
            self.began = asked.first().and_then(|at| reads.get(*at)).copied().or(self.began);
            return changes;
        }
        self.began = None;
        let mut outcomes = asked.iter().filter_map(outcome);
        self.proof = outcomes.find(|(_, answer)| is_answer(answer)).map(|(read, _)| *read);
        for (read, answer) in asked.iter().filter_map(outcome) {
            let failed = answer.as_ref().err().filter(|_| !is_answer(answer));
            match failed {
                Some(reason) if self.failed(*read, *reason, now) => changes.aside.push(*read),
                None if self.answered(read) => changes.back.push(*read),
                _ => {}
            }
        }
        changes
    }

    /// The read that is to be tried again, when the device answers others.
    #[must_use]
    pub fn due(&self, now: Uptime) -> Option<Read> {
        if self.began.is_some() {
            return None;
        }
        let aside = self.silent.iter().filter(|(_, silent)| silent.health.is_offline());
        let due = aside.filter(|(_, silent)| silent.retry_at <= now);
        due.min_by_key(|(_, silent)| silent.retry_at).map(|(read, _)| *read)
    }

    /// A read that was put aside was tried again: `failed` says why there was no answer.
    pub fn retried(&mut self, read: Read, failed: Option<Missing>, now: Uptime) -> Changes {
        let mut changes = Changes::default();
        match failed {
            // It was told of when it was put aside.
            Some(reason) => {
                self.failed(read, reason, now);
            }
            None if self.answered(&read) => changes.back.push(read),
            None => {}
        }
        changes
    }

    /// Whether it is put aside by that, which is to be told.
    fn failed(&mut self, read: Read, reason: Missing, now: Uptime) -> bool {
        let silent = self.silent.entry(read).or_insert(Silent {
            health: Health::Online,
            retry_at: now,
            reason,
            is_told: false,
        });
        let before = silent.health;
        silent.health = before.failed();
        silent.reason = reason;
        silent.retry_at = now + silent.health.pause(self.interval);
        if before.is_offline() || !silent.health.is_offline() {
            return false;
        }
        let told = self.told.get(&read);
        silent.is_told = told.is_none_or(|told| now.since(*told) >= TELL);
        if silent.is_told {
            self.told.insert(read, now);
        }
        silent.is_told
    }

    /// Whether that is to be told.
    fn answered(&mut self, read: &Read) -> bool {
        self.silent.remove(read).is_some_and(|silent| silent.is_told)
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_modbus::Table;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUT: Missing = Missing::Timeout;

    fn at(seconds: u64) -> Uptime {
        Uptime::new(SECOND * u32::try_from(seconds).unwrap())
    }

    fn plan(reads: u16) -> Vec<Read> {
        let read = |at| Read::new(Table::HoldingRegisters, 100 * at, 10).unwrap();
        (0..reads).map(read).collect()
    }

    /// One poll as the line does it: nothing is asked after what is not answered.
    fn poll(reads: &mut Reads, plan: &[Read], mute: &[usize], now: u64) -> (Vec<usize>, Changes) {
        let mut asked = Vec::new();
        let mut answers = vec![Err(TIMEOUT); plan.len()];
        for place in reads.order(plan) {
            asked.push(place);
            if mute.contains(&place) {
                break;
            }
            answers[place] = Ok(Data::Registers([1].into()));
        }
        let changes = reads.polled(plan, &answers, &asked, at(now));
        (asked, changes)
    }

    #[test]
    fn a_read_that_is_not_answered_goes_last_and_then_aside() {
        let plan = plan(3);
        let mut reads = Reads::new(SECOND);
        let mut polls = |now| poll(&mut reads, &plan, &[0], now);
        // Whether the device is there is not known yet.
        assert_eq!(polls(0), (vec![0], Changes::default()));
        assert_eq!(polls(1), (vec![1, 2, 0], Changes::default()));
        assert_eq!(polls(2), (vec![1, 2, 0], Changes::default()));
        let aside = Changes { aside: vec![plan[0]], ..Changes::default() };
        assert_eq!(polls(3), (vec![1, 2, 0], aside));
        assert_eq!(polls(4), (vec![1, 2], Changes::default()));
        assert_eq!(reads.missing(&plan[0]), Some(TIMEOUT));
        assert_eq!(reads.missing(&plan[1]), None);

        // More and more seldom.
        let mut pauses = Vec::new();
        for now in 4..200 {
            if let Some(read) = reads.due(at(now)) {
                assert_eq!(read, plan[0]);
                assert_eq!(reads.retried(read, Some(TIMEOUT), at(now)), Changes::default());
                pauses.push(now);
            }
        }
        assert_eq!(pauses, [4, 6, 10, 18, 34, 64, 94, 124, 154, 184]);
        let back = Changes { back: vec![plan[0]], ..Changes::default() };
        assert_eq!(reads.retried(plan[0], None, at(200)), back);
        assert_eq!(poll(&mut reads, &plan, &[], 201), (vec![0, 1, 2], Changes::default()));
    }

    #[test]
    fn many_that_are_not_answered_never_make_the_device_silent() {
        let plan = plan(6);
        let mut reads = Reads::new(SECOND);
        let (mute, mut aside) = ([0, 1, 2, 3, 5], 0);
        for now in 0..30 {
            let (asked, changes) = poll(&mut reads, &plan, &mute, now);
            // Until the one that is answered was found.
            assert!(now < 4 || asked[0] == 4, "{now}: {asked:?}");
            aside += changes.aside.len();
        }
        assert_eq!(aside, mute.len());
        assert_eq!(reads.order(&plan), [4]);
    }

    #[test]
    fn a_device_that_is_silent_puts_nothing_aside_and_is_found_by_any_read() {
        let plan = plan(3);
        let mut reads = Reads::new(SECOND);
        (0..5).for_each(|now| drop(poll(&mut reads, &plan, &[1], now)));
        assert_eq!(reads.order(&plan), [0, 2]);
        let mut first = Vec::new();
        for now in 5..11 {
            let (asked, changes) = poll(&mut reads, &plan, &[0, 1, 2], now);
            assert_eq!(changes, Changes::default());
            assert_eq!(asked.len(), 1);
            first.extend(asked);
            assert_eq!(reads.due(at(1_000)), None, "nothing is tried beside the poll");
        }
        assert_eq!(first, [0, 2, 1, 0, 2, 1]);
        // It answers again, but for the other two.
        assert_eq!(poll(&mut reads, &plan, &[0, 2], 11).0, [0]);
        assert_eq!(poll(&mut reads, &plan, &[0, 2], 12).0, [2]);
        let back = Changes { back: vec![plan[1]], ..Changes::default() };
        assert_eq!(poll(&mut reads, &plan, &[0, 2], 13), (vec![1, 0], back));
    }

    #[test]
    fn a_read_that_comes_and_goes_is_told_of_seldom() {
        let plan = plan(2);
        let mut reads = Reads::new(SECOND);
        let (mut aside, mut back) = (0, 0);
        for now in (0..7_300).step_by(10) {
            let (asked, changes) = poll(&mut reads, &plan, &[1], now);
            aside += changes.aside.len();
            if !asked.contains(&1) {
                back += reads.retried(plan[1], None, at(now)).back.len();
            }
        }
        assert_eq!((aside, back), (3, 3));
    }

    #[test]
    fn reads_of_another_plan_are_forgotten_and_something_is_always_asked() {
        let old = plan(2);
        let mut reads = Reads::new(SECOND);
        (0..4).for_each(|now| drop(poll(&mut reads, &old, &[1], now)));
        assert_eq!(reads.order(&old[1..]), [0], "all that there is is put aside");
        assert_eq!(reads.order(&[]), [0; 0]);
        let new = [Read::new(Table::InputRegisters, 7, 1).unwrap()];
        poll(&mut reads, &new, &[], 5);
        assert_eq!(reads.due(at(1_000)), None);
        assert_eq!(reads.missing(&old[1]), None);
    }
}
