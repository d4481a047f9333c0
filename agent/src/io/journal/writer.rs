//! The thread that writes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hallwatch_model::Timestamp;
use tokio::sync::mpsc;

use super::deferred::Deferred;
use super::file::{File, is_full, refuses_writes};
use super::gap::{extend, lost as lost_entry};
use super::open::{is_damage, suspect};
use super::{Append, Command, Entry, Told};
use crate::config::JournalBounds;
use crate::error::Error;

/// Most commands in one transaction.
const TURN: usize = 64;
/// A full disk is tried again after so many commands, however fast they come.
const UNTRIED: usize = 32;
/// Entries held in memory while the disk is full: ten minutes of one a second.
const HELD: usize = 600;
/// The cause of gaps that a full disk makes.
const DISK_FULL: &str = "disk_full";
/// How long to wait before a full disk is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Most entries that go at once when a bound is exceeded.
const DROP: usize = 64;
/// Most bytes that one answer to a fetch carries; one entry is always read.
const FETCH_BYTES: usize = 4 << 20;

/// How often it is written down that the agent runs and knows the time: a page of flash.
const NOTE: Duration = Duration::from_secs(60);

/// Bytes that this thread has made the disk write, where the system counts them.
fn written_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Room for us on the disk of this file, and the size of that disk, in bytes.
fn disk(path: &Path) -> Option<(u64, u64)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = rustix::fs::statvfs(folder.unwrap_or(Path::new("."))).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some((bytes(found.f_bavail), bytes(found.f_blocks)))
}

pub(super) struct Writer {
    file: File,
    bounds: JournalBounds,
    told: mpsc::Sender<Told>,
    /// What a full disk did not take yet, in order.
    waiting: VecDeque<Command>,
    deferred: Deferred,
    durable: bool,
    /// Commands that came since a full disk was last tried.
    untried: usize,
    /// There may be gaps that were not told yet.
    untold: bool,
    /// When something was last journalled, or the bounds enforced.
    time: Timestamp,
    readings: u64,
    /// When it was last written down that the agent runs.
    noted: Cell<Timestamp>,
}

/// Whether a command makes room. It may go before all others, with what is deferred: they concern
/// what is on the disk already.
fn frees(command: &Command) -> bool {
    matches!(command, Command::Trim { .. })
}

/// Whether a command must find on the disk what was told before.
fn needs_all(command: &Command) -> bool {
    matches!(command, Command::Trim { .. } | Command::Replay { .. })
}

impl Writer {
    pub(super) fn new(file: File, bounds: JournalBounds, told: mpsc::Sender<Told>) -> Self {
        Self {
            file,
            bounds,
            told,
            waiting: VecDeque::new(),
            deferred: Deferred::default(),
            durable: true,
            untried: 0,
            untold: true,
            time: Timestamp::MIN,
            readings: 0,
            noted: Cell::new(Timestamp::from_millis(0)),
        }
    }

    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut stopping = false;
        while !stopping {
            let patience = if self.durable { Duration::from_secs(3600) } else { RETRY };
            let mut retry = false;
            match commands.recv_timeout(patience) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => stopping = true,
                Ok(command) => {
                    self.take(command);
                    while self.waiting.len() < TURN {
                        match commands.try_recv() {
                            Ok(Command::Stop) => stopping = true,
                            Ok(command) => self.take(command),
                            Err(_) => break,
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => retry = true,
            }
            retry |= self.untried >= UNTRIED
                || self.waiting.iter().any(frees)
                || !self.deferred.is_empty();
            if !(self.durable || retry || stopping) {
                self.make_room();
                continue;
            }
            let all = stopping
                || !self.durable
                || self.deferred.is_full()
                || self.waiting.iter().any(needs_all);
            if self.waiting.is_empty() && !all {
                continue;
            }
            if let Err(source) = self.turn(all) {
                let path = self.file.path().to_owned();
                if is_damage(&source) {
                    suspect(&path);
                }
                self.tell(Told::Failed(Error::Journal { what: "write", path, source }));
                return;
            }
        }
        self.tell(Told::Stopped);
    }

    fn take(&mut self, command: Command) {
        if let Some(command) = self.deferred.take(command) {
            self.untried += 1;
            self.waiting.push_back(command);
        }
    }

    /// Fails only when the receiver is gone, and then nobody needs to know.
    fn tell(&self, told: Told) {
        let _ = self.told.blocking_send(told);
    }

    /// One transaction; with `all` also what is deferred.
    fn turn(&mut self, all: bool) -> Result<(), rusqlite::Error> {
        self.untried = 0;
        match self.transaction(|_| true, all) {
            Ok(told) => {
                self.durable = true;
                if all {
                    self.deferred = Deferred::default();
                }
                let trimmed = |command: &Command| matches!(command, Command::Trim { .. });
                if self.waiting.iter().any(trimmed) {
                    match self.file.shrink() {
                        // A smaller file needs more room for a moment.
                        Err(error) if is_full(&error, self.file.path()) => {}
                        shrunk => shrunk?,
                    }
                    self.leave_memory()?;
                }
                self.waiting.clear();
                told.into_iter().for_each(|told| self.tell(told));
            }
            Err(error) if is_full(&error, self.file.path()) => {
                self.file.rollback();
                self.durable = false;
                match self.transaction(frees, true) {
                    Ok(told) => told.into_iter().for_each(|told| self.tell(told)),
                    Err(error) if is_full(&error, self.file.path()) => self.file.rollback(),
                    Err(error) => return Err(error),
                }
                // Even those that failed: what is not let go now is found at the next start.
                self.waiting.retain(|command| !frees(command));
                self.deferred = Deferred::default();
                self.make_room();
            }
            Err(error) => {
                self.file.rollback();
                return Err(error);
            }
        }
        let bytes = self.file.bytes()?;
        self.tell(Told::Health {
            durable: self.durable && self.file.durable,
            bytes,
            written_bytes: written_bytes(),
            written_readings: self.readings,
            disk: disk(self.file.path()),
        });
        Ok(())
    }

    /// A journal in memory has done its duty when the disk takes writes again and nothing in it is
    /// owed: the agent is to be started anew, on the disk.
    fn leave_memory(&self) -> Result<(), rusqlite::Error> {
        let path = self.file.path();
        if !self.file.durable && self.file.is_delivered()? && !refuses_writes(path) {
            self.tell(Told::Failed(Error::DiskBack { path: path.to_owned() }));
        }
        Ok(())
    }

    /// What waits and is picked, in one transaction. What is told follows from what is then on the
    /// disk.
    fn transaction(
        &mut self,
        pick: impl Fn(&Command) -> bool,
        all: bool,
    ) -> Result<Vec<Told>, rusqlite::Error> {
        let mut told = Vec::new();
        if !self.waiting.iter().any(&pick) && (self.deferred.is_empty() || !all) {
            return Ok(told);
        }
        let mut last = self.file.last;
        let (mut readings, mut untold, mut now) = (self.readings, self.untold, self.time);
        self.file.begin()?;
        let mut deferred = all.then_some(&self.deferred);
        let mut apply = || match deferred.take() {
            Some(deferred) => deferred.apply(&self.file, !self.bounds.keep.is_zero()),
            None => Ok(()),
        };
        for command in self.waiting.iter().filter(|command| pick(command)) {
            if needs_all(command) || matches!(command, Command::Fetch { .. }) {
                apply()?;
            }
            match command {
                Command::Append(append) => {
                    let Append { series, bytes, readings: count, time, personal } = append;
                    last += 1;
                    readings = readings.saturating_add(*count);
                    now = *time;
                    self.file.append(last, series, *time, *personal, bytes)?;
                    let entry = Entry { seq: last, time: *time, bytes: bytes.clone() };
                    told.push(Told::Committed(entry));
                }
                Command::Fetch { boot, first, last } => {
                    told.push(self.fetch(*boot, *first, *last)?);
                }
                Command::Gap(gap) => {
                    self.file.gap(gap)?;
                    untold = true;
                }
                Command::Replay { collector, store } => {
                    told.push(Told::Replay(self.file.replay(collector, *store)?));
                }
                Command::Unconfirmed { base } => self.file.unconfirmed(*base)?,
                Command::Settle { base, now: present } => {
                    untold |= self.file.settle(*base, last)?;
                    now = *present;
                    told.push(Told::Settled);
                }
                Command::Trim { now: present } => {
                    let before = told.len();
                    now = now.max(*present);
                    self.trim(*present, &mut told)?;
                    untold |= told.len() > before;
                }
                // The former two are deferred before they get here.
                Command::Acked { .. } | Command::Done { .. } | Command::Stop => {}
            }
        }
        apply()?;
        // Before the first entry nobody knows what time it is.
        if untold && now > Timestamp::MIN {
            let entry = self.file.tell_gaps(last + 1, now)?;
            untold = entry.is_some();
            if let Some(entry) = entry {
                last += 1;
                told.push(Told::Committed(entry));
            }
        }
        self.file.commit()?;
        (self.readings, self.untold, self.time) = (readings, untold, now);
        self.file.last = last;
        Ok(told)
    }

    fn fetch(&self, boot: u64, first: u64, last: u64) -> Result<Told, rusqlite::Error> {
        let mut entries = self.file.fetch(boot, first, last)?;
        let mut bytes = 0;
        let mut fits = |entry: &Entry| {
            bytes += entry.bytes.len();
            bytes <= FETCH_BYTES
        };
        let count = entries.iter().take_while(|entry| fits(entry)).count().max(1);
        let read_to = entries.get(count).map_or(last, |beyond| beyond.seq.saturating_sub(1));
        entries.truncate(count);
        Ok(Told::Fetched { boot, first, last: read_to, entries })
    }

    fn trim(&self, now: Timestamp, told: &mut Vec<Told>) -> Result<(), rusqlite::Error> {
        if now.since(self.noted.get()) >= NOTE {
            self.file.note(now)?;
            self.noted.set(now);
        }
        if !self.bounds.keep.is_zero() {
            self.file.forget(now - self.bounds.keep)?;
        }
        let mut drop_to = |until, cause| {
            let dropped = self.file.drop_oldest(until, DROP, cause)?;
            let any = !dropped.is_empty();
            told.extend(dropped.into_iter().map(|(boot, upto)| Told::Dropped { boot, upto }));
            Ok::<_, rusqlite::Error>(any)
        };
        while drop_to(now - self.bounds.max_age, "max_age")? {}
        while self.file.bytes()? > self.bounds.max_bytes && drop_to(Timestamp::MAX, "max_bytes")? {}
        Ok(())
    }

    /// Keeps what a full disk did not take within bounds: first what can be asked again goes, then
    /// the oldest entries, which become a gap.
    fn make_room(&mut self) {
        self.waiting
            .retain(|command| !matches!(command, Command::Trim { .. } | Command::Fetch { .. }));
        // All that was lost so far stands in front, as one gap.
        let mut lost = match self.waiting.front() {
            Some(Command::Gap(gap)) if gap.cause == DISK_FULL => {
                let gap = gap.clone();
                self.waiting.pop_front();
                Some(gap)
            }
            _ => None,
        };
        let mut series = Vec::new();
        while self.waiting.len() > HELD {
            let entry = self.waiting.iter().position(|one| matches!(one, Command::Append(_)));
            if let Some(Command::Append(append)) = self.waiting.remove(entry.unwrap_or(0)) {
                series.extend(append.series);
                let one = lost_entry(append.time, DISK_FULL, append.readings);
                match &mut lost {
                    Some(gap) => extend(gap, &one),
                    None => lost = Some(one),
                }
            }
        }
        // The series of what is lost are needed by what follows.
        if let Some(Command::Append(next)) =
            self.waiting.iter_mut().find(|command| matches!(command, Command::Append(_)))
        {
            series.append(&mut next.series);
            next.series = series;
        }
        if let Some(gap) = lost {
            self.waiting.push_front(Command::Gap(gap));
        }
    }
}
