//! What to send next, and what is still owed. Pure.
//!
//! An entry is owed until every collector has said that it is on its disk. What was just
//! journalled goes first, so that news is news; what is older follows at a bounded rate, marked as
//! backfill. What brought no acknowledgement in time, or was on its way when the connection broke,
//! is owed again. Payloads are not held here: they are fetched from the journal when their turn
//! comes.

mod boot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hallwatch_model::{Ack, Id, Timestamp, Uptime};

use crate::ranges::Ranges;
use boot::Boot;

/// How fast and how patient an outbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Entries on their way without acknowledgement. Half of them at most are backlog.
    pub window: usize,
    /// Backlog entries per second.
    pub backlog_rate: u32,
    /// An entry without acknowledgement for so long is sent again.
    pub resend: Duration,
    /// An entry older than this is history, not news.
    pub live: Duration,
}

impl Default for Pace {
    /// 64 entries, 200 per second, 10 s, 30 s.
    fn default() -> Self {
        Self {
            window: 64,
            backlog_rate: 200,
            resend: Duration::from_secs(10),
            live: Duration::from_secs(30),
        }
    }
}

/// An entry as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its boot.
    pub boot: u64,
    /// Its number.
    pub seq: u64,
    /// The lowest number of that boot that is still owed.
    pub oldest: u64,
    /// When it was closed.
    pub watermark: Timestamp,
    /// History, not news.
    pub backfill: bool,
    /// The encoded readings.
    pub bytes: Bytes,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Publish this entry.
    Send(Outgoing),
    /// Read entries back, then call [`Outbox::fetched`].
    Fetch {
        /// Which boot.
        boot: u64,
        /// From this number.
        first: u64,
        /// To this one, included.
        last: u64,
    },
    /// Remember what a collector has.
    Remember {
        /// Which collector.
        collector: Id,
        /// Which boot.
        boot: u64,
        /// All that it has.
        ranges: Ranges,
    },
    /// Everyone has these.
    Done {
        /// Which boot.
        boot: u64,
        /// From this number.
        first: u64,
        /// To this one, included.
        last: u64,
    },
}

/// An earlier boot of which entries are left: its number, its lowest and highest entry, what is
/// done with, and what each collector has.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// The boot.
    pub boot: u64,
    /// Its lowest entry.
    pub first: u64,
    /// Its highest entry.
    pub last: u64,
    /// What everyone has.
    pub done: Ranges,
    /// What each collector has.
    pub acked: Vec<(Id, Ranges)>,
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    pace: Pace,
    collectors: Vec<Id>,
    /// Oldest first; the last one is the present one.
    boots: Vec<Boot>,
    connected: bool,
    /// Nothing is sent: times may still be corrected.
    held: bool,
    /// By boot's index and number: when sent.
    in_flight: BTreeMap<(usize, u64), Uptime>,
    /// A fetch whose answer has not come, and since when.
    fetching: Option<(u64, u64, u64, Uptime)>,
    /// Backlog entries that may be sent now, in thousandths.
    budget: u64,
    budget_at: Uptime,
}

impl Outbox {
    /// An outbox of the run `boot`, with what earlier ones left. Every one of `collectors` must
    /// acknowledge.
    #[must_use]
    pub fn new(pace: Pace, collectors: Vec<Id>, boot: u64, earlier: Vec<Earlier>) -> Self {
        let mut boots: Vec<Boot> =
            earlier.into_iter().map(|earlier| Boot::earlier(earlier, &collectors)).collect();
        boots.push(Boot::new(boot, &collectors));
        Self {
            pace,
            collectors,
            boots,
            connected: false,
            held: false,
            in_flight: BTreeMap::new(),
            fetching: None,
            budget: 0,
            budget_at: Uptime::ZERO,
        }
    }

    /// To be asked once, after a restart: entries that everyone had acknowledged, and that the
    /// journal may not have let go before it ended. Some of them may be gone already.
    pub fn recovered(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        for boot in &mut self.boots {
            let number = boot.number;
            let done = boot.newly_done().into_iter();
            orders.extend(done.map(|(first, last)| Order::Done { boot: number, first, last }));
        }
        orders
    }

    /// How many entries the slowest collector lacks.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.boots.iter().map(Boot::owed).sum()
    }

    /// From now on nothing is sent until [`Self::release`].
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// What is to be sent has its final times.
    pub fn release(&mut self) {
        self.held = false;
    }

    /// The broker took us in. Everything not acknowledged is owed again.
    pub fn connected(&mut self) {
        self.connected = true;
        self.in_flight.clear();
    }

    /// The connection broke.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.in_flight.clear();
    }

    /// The entry `seq` of the present boot is journalled: news, if the window has room for it.
    pub fn committed(
        &mut self,
        seq: u64,
        time: Timestamp,
        bytes: Bytes,
        now: Timestamp,
        uptime: Uptime,
    ) -> Option<Order> {
        let index = self.boots.len().checked_sub(1)?;
        let boot = self.boots.get_mut(index)?;
        boot.extend(seq);
        let full = self.in_flight.len() >= self.pace.window;
        if !self.connected || self.held || full || boot.is_done(seq) {
            return None;
        }
        Some(self.send(index, seq, time, bytes, now, uptime))
    }

    fn send(
        &mut self,
        index: usize,
        seq: u64,
        time: Timestamp,
        bytes: Bytes,
        now: Timestamp,
        uptime: Uptime,
    ) -> Order {
        self.in_flight.insert((index, seq), uptime);
        let (boot, oldest) =
            self.boots.get(index).map_or((0, seq), |boot| (boot.number, boot.oldest().min(seq)));
        let backfill = now.since(time) > self.pace.live;
        Order::Send(Outgoing { boot, seq, oldest, watermark: time, backfill, bytes })
    }

    /// An entry could not be handed to the connection; it is owed again.
    pub fn unsent(&mut self, boot: u64, seq: u64) {
        if let Some(index) = self.index(boot) {
            self.in_flight.remove(&(index, seq));
        }
    }

    fn index(&self, boot: u64) -> Option<usize> {
        self.boots.iter().position(|known| known.number == boot)
    }

    /// A collector says what it has. Of unknown collectors and boots nothing is believed.
    pub fn acknowledged(&mut self, collector: &Id, ack: &Ack) -> Vec<Order> {
        let Some(index) = self.index(ack.boot) else { return Vec::new() };
        let Some(boot) = self.boots.get_mut(index) else { return Vec::new() };
        let boot_number = boot.number;
        let Some(ranges) = boot.acknowledge(collector, ack) else { return Vec::new() };
        let (collector, ranges) = (collector.clone(), ranges.clone());
        let mut orders = vec![Order::Remember { collector, boot: boot_number, ranges }];
        for (first, last) in boot.newly_done() {
            orders.push(Order::Done { boot: boot_number, first, last });
        }
        self.settle(index);
        orders
    }

    /// What is done with is no longer on its way.
    fn settle(&mut self, index: usize) {
        if let Some(boot) = self.boots.get(index) {
            self.in_flight.retain(|(at, seq), _| *at != index || !boot.is_done(*seq));
        }
    }

    /// The journal had to let go all entries of a boot up to `upto`.
    pub fn dropped(&mut self, boot: u64, upto: u64) {
        if let Some(index) = self.index(boot)
            && let Some(boot) = self.boots.get_mut(index)
        {
            boot.drop_upto(upto);
            self.settle(index);
        }
    }

    /// A collector has lost what it had, or is new. Until the journal has answered by
    /// [`Self::replay`], nothing counts as held by everyone because this one had it before.
    pub fn forget(&mut self, collector: &Id) {
        self.boots.iter_mut().for_each(|boot| boot.forget(collector));
    }

    /// A collector has lost what it had, or is new: of these runs, the present one among them,
    /// the journal owes what it still holds. They come oldest first.
    pub fn replay(&mut self, runs: Vec<Earlier>) {
        let present = self.boots.pop();
        let mut boots: Vec<Boot> =
            runs.into_iter().map(|run| Boot::earlier(run, &self.collectors)).collect();
        // A run without entries is not among them, and the present one always stays the last.
        if let Some(present) = present
            && boots.last().is_none_or(|last| last.number != present.number)
        {
            boots.push(present);
        }
        self.boots = boots;
        // What is on its way is counted by places that have moved.
        self.in_flight.clear();
        self.fetching = None;
    }

    /// The answer to [`Order::Fetch`]: all that is left of `first` to `last`.
    pub fn fetched(
        &mut self,
        boot: u64,
        (first, last): (u64, u64),
        entries: Vec<(u64, Timestamp, Bytes)>,
        now: Timestamp,
        uptime: Uptime,
    ) -> Vec<Order> {
        if self.fetching.is_none_or(|(at, from, _, _)| (at, from) != (boot, first)) {
            return Vec::new();
        }
        self.fetching = None;
        let Some(index) = self.index(boot) else { return Vec::new() };
        let mut found = Ranges::default();
        for (seq, _, _) in &entries {
            found.insert(*seq, *seq);
        }
        if let Some(boot) = self.boots.get_mut(index) {
            boot.absent(first, last, &found);
        }
        let mut orders = Vec::new();
        for (seq, time, bytes) in entries {
            let owed = self.boots.get(index).is_some_and(|boot| !boot.is_done(seq));
            let new = !self.in_flight.contains_key(&(index, seq));
            if self.connected
                && !self.held
                && owed
                && new
                && self.in_flight.len() < self.pace.window
            {
                self.budget = self.budget.saturating_sub(1_000);
                orders.push(self.send(index, seq, time, bytes, now, uptime));
            }
        }
        orders
    }

    /// Time passes: gives up waiting, and asks for backlog when there is room for it.
    pub fn tick(&mut self, uptime: Uptime) -> Option<Order> {
        let resend = self.pace.resend;
        self.in_flight.retain(|_, sent| uptime.since(*sent) < resend);
        if self.fetching.is_some_and(|(_, _, _, since)| uptime.since(since) >= resend) {
            self.fetching = None;
        }
        self.refill(uptime);
        self.forget_settled();
        if !self.connected || self.held || self.fetching.is_some() {
            return None;
        }
        let room = (self.pace.window / 2).saturating_sub(self.in_flight.len());
        let most = u64::try_from(room).unwrap_or(u64::MAX).min(self.budget / 1_000);
        if most == 0 {
            return None;
        }
        let (boot, first, last) = self.next_owed(most)?;
        self.fetching = Some((boot, first, last, uptime));
        Some(Order::Fetch { boot, first, last })
    }

    /// The oldest entries that are owed and not on their way, up to `most` in a row.
    fn next_owed(&self, most: u64) -> Option<(u64, u64, u64)> {
        for (index, boot) in self.boots.iter().enumerate() {
            let mut at = boot.first;
            while let Some(first) = boot.owed_from(at) {
                if self.in_flight.contains_key(&(index, first)) {
                    at = first + 1;
                    continue;
                }
                let mut last = first;
                while last - first + 1 < most
                    && boot.owed_from(last + 1) == Some(last + 1)
                    && !self.in_flight.contains_key(&(index, last + 1))
                {
                    last += 1;
                }
                return Some((boot.number, first, last));
            }
        }
        None
    }

    fn refill(&mut self, uptime: Uptime) {
        let rate = u64::from(self.pace.backlog_rate);
        let passed = uptime.since(self.budget_at).as_millis();
        let earned = u64::try_from(passed).unwrap_or(u64::MAX).saturating_mul(rate);
        self.budget = self.budget.saturating_add(earned).min(rate.saturating_mul(1_000));
        self.budget_at = uptime;
    }

    /// Earlier boots that nobody lacks anything of.
    fn forget_settled(&mut self) {
        // Indices are keys of what is on its way, so only the first ones go, and the keys follow.
        while self.boots.len() > 1 && self.boots.first().is_some_and(|boot| boot.owed() == 0) {
            self.boots.remove(0);
            let shifted = std::mem::take(&mut self.in_flight);
            self.in_flight = shifted
                .into_iter()
                .filter_map(|((index, seq), sent)| Some(((index.checked_sub(1)?, seq), sent)))
                .collect();
        }
    }

    /// Who must acknowledge.
    #[must_use]
    pub fn collectors(&self) -> &[Id] {
        &self.collectors
    }
}
