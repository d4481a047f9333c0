//! One task for each line: it asks all units on it, one question at a time.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_modbus::{AnyClient, Data, Options, Read};
use hallwatch_model::{Id, Missing};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::clock::Clock;
use super::findings::{Findings, Key};
use super::line::{cautious, client, cost, options, probe};
use crate::config::{Device, DeviceSource, Modbus};
use crate::error::Error;
use crate::poll::{Due, Ended, Explorer, Patience, Polled, Queue, Turn, is_answer, is_gateways};

/// Questions beside the poll, in each turn of a device that has its line for itself; walking along
/// a chain of models may take as many at a time on any line.
const ALONE: usize = 64;
/// The same where others wait.
const SHARED: usize = 4;

/// The lines' tasks. They end when this is dropped.
pub(crate) struct Lines {
    /// By device.
    jobs: Vec<Option<mpsc::Sender<Due>>>,
    _tasks: JoinSet<()>,
}

impl Lines {
    /// Starts a task for each line of `devices`. Results come out of `polled`.
    ///
    /// # Errors
    /// When a certificate or key that a line names cannot be used.
    pub(crate) fn start(
        devices: &[Device],
        findings: &Findings,
        clock: &Clock,
        polled: &mpsc::Sender<Polled>,
    ) -> Result<Self, Error> {
        let mut tasks = JoinSet::new();
        let mut by_line: HashMap<&str, HashMap<usize, Unit>> = HashMap::new();
        for (index, device) in devices.iter().enumerate() {
            if let DeviceSource::Modbus(modbus) = &device.source {
                let unit = Unit::new(device, modbus, findings, clock);
                by_line.entry(&modbus.line.name).or_default().insert(index, unit);
            }
        }
        let mut jobs = Vec::new();
        jobs.resize_with(devices.len(), || None);
        for units in by_line.into_values() {
            let Some(first) = units.values().next() else { continue };
            let client = client(&first.modbus)?;
            // Each device has at most one poll under way, so the queue is never full.
            let (sender, receiver) = mpsc::channel(units.len());
            for index in units.keys() {
                if let Some(job) = jobs.get_mut(*index) {
                    *job = Some(sender.clone());
                }
            }
            let mut queue = Queue::default();
            for (index, unit) in &units {
                let cost = cost(&unit.modbus, Duration::ZERO);
                queue.join(*index, unit.modbus.interval, cost);
            }
            let task = Task {
                client,
                units,
                queue,
                heard: HashSet::new(),
                told: HashSet::new(),
                findings: findings.clone(),
                clock: clock.clone(),
            };
            tasks.spawn(task.serve(receiver, polled.clone()));
        }
        Ok(Self { jobs, _tasks: tasks })
    }

    /// Asks for a poll of a device; false when that is not possible.
    pub(crate) fn poll(&self, due: Due) -> bool {
        let job = self.jobs.get(due.device).and_then(Option::as_ref);
        job.is_some_and(|job| job.try_send(due).is_ok())
    }
}

/// A device on the line.
struct Unit {
    name: Id,
    modbus: Modbus,
    key: Key,
    explorer: Explorer,
    /// How many connections there had been when the chain of its models was walked.
    walked: u64,
}

impl Unit {
    fn new(device: &Device, modbus: &Modbus, findings: &Findings, clock: &Clock) -> Self {
        let key = Key::of(modbus);
        let (profile, placement) = (Arc::clone(&modbus.profile), modbus.placement.clone());
        let now = clock.now().uptime;
        let explorer = Explorer::new(profile, placement, findings.of(&key), now);
        Self { name: device.name.clone(), modbus: modbus.clone(), key, explorer, walked: 0 }
    }
}

/// What holds a line.
struct Task {
    client: AnyClient,
    /// By device.
    units: HashMap<usize, Unit>,
    queue: Queue,
    /// Devices that have ever answered.
    heard: HashSet<usize>,
    /// Devices whose silence has been logged, until they answer again.
    told: HashSet<usize>,
    findings: Findings,
    clock: Clock,
}

impl Task {
    async fn serve(mut self, mut jobs: mpsc::Receiver<Due>, polled: mpsc::Sender<Polled>) {
        loop {
            // Those that became due meanwhile, too: whose turn it is depends on all.
            while let Ok(due) = jobs.try_recv() {
                self.push(due);
            }
            let until = match self.queue.take(self.clock.now().uptime) {
                Turn::Ask(device, patience) => {
                    let Some((told, failed)) = self.poll(device, patience).await else { continue };
                    let ended = Ended::of(&told.answers, failed);
                    if polled.send(told).await.is_err() {
                        return;
                    }
                    self.settle(device, ended).await;
                    continue;
                }
                Turn::Wait(until) => Some(until),
                Turn::Idle => None,
            };
            self.client.end_cycle();
            tokio::select! {
                due = jobs.recv() => match due {
                    Some(due) => self.push(due),
                    None => return,
                },
                () = sleep_until(self.clock.instant(until.unwrap_or_default())), if until.is_some() => {}
            }
        }
    }

    fn push(&mut self, due: Due) {
        if let Some(unit) = self.units.get(&due.device) {
            let wire = unit.wire_time(&self.client);
            self.queue.costs(due.device, cost(&unit.modbus, wire));
        }
        self.queue.push(due.device, due.next, self.clock.now().uptime);
    }

    /// The poll of a device is over when the line is free again: whose turn it is then depends on
    /// who is due by then.
    async fn settle(&mut self, device: usize, ended: Ended) {
        let (before, discarded) = (self.clock.now().uptime, self.client.counters().discarded);
        let Some(line) = self.units.get(&device).map(|unit| Arc::clone(&unit.modbus.line)) else {
            return;
        };
        if ended != Ended::Answered || !line.endpoint.has_transaction_ids() {
            self.client.settle().await;
        }
        let now = self.clock.now().uptime;
        let ended = match self.client.counters().discarded > discarded {
            true => ended.late(now.since(before).saturating_sub(line.quiet_time)),
            false => ended,
        };
        self.queue.finished(device, ended, now);
    }

    /// What a device answers, and whether something that cost the line time brought no answer.
    async fn poll(&mut self, device: usize, patience: Patience) -> Option<(Polled, bool)> {
        let questions = if self.units.len() == 1 { ALONE } else { SHARED };
        let options = self.options(device, patience)?;
        self.client.set_options(options);
        let unit = self.units.get_mut(&device)?;
        let before = self.clock.now().uptime;
        // One that was silent is to cost no more than one wait.
        let damaged = if matches!(patience, Patience::AtMost(_)) { 1 } else { 2 };
        let poll = unit.poll(&mut self.client, &self.clock, damaged).await;
        let after = self.clock.now();
        if poll.answers.iter().any(is_answer) {
            self.heard.insert(device);
        }
        let profile = Arc::clone(unit.explorer.profile());
        if poll.is_read {
            unit.explorer.polled(&poll.answers, after.uptime);
        }
        if poll.failed.is_none() {
            unit.explore(&mut self.client, &self.clock, questions).await;
        }
        if let Some(known) = unit.explorer.changed() {
            let (device, line) = (&unit.name, &unit.modbus.line.name);
            let refused = known.refused.forbidden.len() + known.refused.barriers.len();
            let models = known.chain.as_ref().map_or(0, |chain| chain.models.len());
            tracing::info!(%device, line, refused, models, "what is known of the device changed");
            self.findings.keep(unit.key.clone(), known.clone());
        }
        let failed = poll.failed.is_some();
        match poll.failed {
            None => {
                self.told.remove(&device);
            }
            Some(error) if self.told.insert(device) => {
                let (device, line) = (&unit.name, &unit.modbus.line.name);
                let error = chain(&error);
                tracing::warn!(%device, line, error, "the device does not answer as it should");
            }
            Some(_) => {}
        }
        let took = after.uptime.since(before);
        let answers = poll.answers;
        Some((Polled { device, profile, answers, time: after.time, took }, failed))
    }
}

impl Task {
    /// How patient to be with a device.
    fn options(&self, device: usize, patience: Patience) -> Option<Options> {
        let unit = self.units.get(&device)?;
        let modbus = &unit.modbus;
        Some(match patience {
            Patience::Latency => options(modbus, true),
            Patience::Longest => options(modbus, false),
            Patience::Usual | Patience::AtMost(_) if modbus.line.endpoint.has_transaction_ids() => {
                options(modbus, self.heard.contains(&device))
            }
            Patience::Usual => cautious(modbus),
            Patience::AtMost(wait) => {
                probe(modbus, wait.saturating_sub(unit.wire_time(&self.client)))
            }
        })
    }
}

impl Unit {
    /// How long the first question of a poll and its answer take on the wire.
    fn wire_time(&self, client: &AnyClient) -> Duration {
        let first = self.explorer.before();
        let first = first.or_else(|| self.explorer.profile().reads().first().copied());
        first.map_or(Duration::ZERO, |read| client.wire_time(&read))
    }

    /// All reads of the device, after its chain of models, when that is not known; they end after so
    /// many `damaged` answers.
    async fn poll(&mut self, client: &mut AnyClient, clock: &Clock, damaged: u32) -> Poll {
        let kept = client.is_connected() || self.modbus.line.close_after_cycle;
        let has_models = self.explorer.has_models();
        if has_models && (!kept || self.explorer.profile().reads().is_empty()) {
            self.explorer.away();
        }
        // Twice: who is at the other end of a new connection is not known before it is made.
        for is_last in [false, true] {
            if let Err(poll) = self.walk(client, clock).await {
                return poll;
            }
            let reads = self.explorer.profile().reads();
            if has_models && reads.is_empty() {
                return self.nothing(Missing::NotAvailable, None);
            }
            let poll = poll(client, self.modbus.unit, reads, damaged).await;
            let renewed = client.counters().connections != self.walked;
            if is_last || !has_models || !renewed || self.modbus.line.close_after_cycle {
                return poll;
            }
            self.explorer.away();
        }
        self.nothing(Missing::NotAvailable, None)
    }

    /// Walks to the end of the chain; otherwise there is the outcome of a poll without reads.
    async fn walk(&mut self, client: &mut AnyClient, clock: &Clock) -> Result<(), Poll> {
        for _ in 0..ALONE {
            let Some(read) = self.explorer.before() else { return Ok(()) };
            let (missing, failed) = match client.read(self.modbus.unit, &read).await {
                Ok(data) => (self.explorer.walked(Ok(&data), clock.now().uptime).err(), None),
                Err(error) => match error.exception() {
                    Some(code) if !is_gateways(code) => {
                        let outcome = Err(Some(code));
                        (self.explorer.walked(outcome, clock.now().uptime).err(), None)
                    }
                    _ => (Some(error.missing()), Some(error)),
                },
            };
            self.walked = client.counters().connections;
            if let Some(missing) = missing {
                self.explorer.away();
                return Err(self.nothing(missing, failed));
            }
        }
        if self.explorer.before().is_none() {
            return Ok(());
        }
        Err(self.nothing(Missing::NotAvailable, None))
    }

    /// A poll in which nothing was read.
    fn nothing(&self, missing: Missing, failed: Option<hallwatch_modbus::Error>) -> Poll {
        let reads = self.explorer.profile().reads().len().max(1);
        Poll { answers: vec![Err(missing); reads], failed, is_read: false }
    }

    /// Asks what is to be found out, as far as there is time for it.
    async fn explore(&mut self, client: &mut AnyClient, clock: &Clock, questions: usize) {
        for _ in 0..questions {
            let Some(read) = self.explorer.question() else { return };
            let outcome = client.read(self.modbus.unit, &read).await;
            let outcome = outcome.as_ref().map_err(hallwatch_modbus::Error::exception);
            self.explorer.answered(outcome, clock.now().uptime);
            if outcome == Err(None) {
                return;
            }
        }
    }
}

/// What came of a poll.
struct Poll {
    answers: Vec<Result<Data, Missing>>,
    /// The last of what went wrong that cost the line time; an exception of the device costs none.
    failed: Option<hallwatch_modbus::Error>,
    /// The answers are those to the profile's reads.
    is_read: bool,
}

/// All reads of a device. After one that brought no answer at all the others are not tried, nor
/// when a gateway waited in vain, and not after so many that were `damaged`: a unit must not hold up
/// its neighbours for long.
async fn poll(client: &mut AnyClient, unit: u8, reads: &[Read], damaged: u32) -> Poll {
    let mut answers = Vec::with_capacity(reads.len());
    let mut failed: Option<hallwatch_modbus::Error> = None;
    let mut patience = damaged;
    for read in reads {
        if let Some(error) = failed.as_ref().filter(|_| patience == 0) {
            answers.push(Err(error.missing()));
            continue;
        }
        match client.read(unit, read).await {
            Ok(data) => answers.push(Ok(data)),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "read failed");
                let missing = error.missing();
                answers.push(Err(missing));
                if error.exception().is_none_or(is_gateways) {
                    patience = match missing {
                        Missing::Malformed => patience.saturating_sub(1),
                        _ => 0,
                    };
                    failed = Some(error);
                }
            }
        }
    }
    Poll { answers, failed, is_read: true }
}

/// An error with its causes.
fn chain(error: &hallwatch_modbus::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
