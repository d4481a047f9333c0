//! One task for each line: it asks all units on it, one question at a time.

mod unit;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_modbus::{AnyClient, Options};
use hallwatch_model::{Uptime, chain};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::clock::Clock;
use super::findings::Findings;
use super::line::{cautious, client, cost, options, probe};
use crate::config::{Device, DeviceSource};
use crate::error::Error;
use crate::poll::{Due, Ended, Patience, Polled, Queue, Turn, is_answer};
use unit::Unit;

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
        let mut by_line: HashMap<&str, HashMap<usize, Box<Unit>>> = HashMap::new();
        for (index, device) in devices.iter().enumerate() {
            if let DeviceSource::Modbus(modbus) = &device.source {
                let unit = Box::new(Unit::new(device, modbus, findings, clock));
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
            let task = Box::new(Task {
                client,
                units,
                queue,
                heard: HashSet::new(),
                told: HashSet::new(),
                findings: findings.clone(),
                clock: clock.clone(),
            });
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

/// What holds a line.
struct Task {
    client: AnyClient,
    /// By device; boxed, as most lines have one, and a map has room for several.
    units: HashMap<usize, Box<Unit>>,
    queue: Queue,
    /// Devices that have ever answered.
    heard: HashSet<usize>,
    /// Devices whose silence has been logged, until they answer again.
    told: HashSet<usize>,
    findings: Findings,
    clock: Clock,
}

impl Task {
    async fn serve(
        mut self: Box<Self>,
        mut jobs: mpsc::Receiver<Due>,
        polled: mpsc::Sender<Polled>,
    ) {
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
                    let (ended, now) = self.settle(device, ended).await;
                    self.queue.finished(device, ended, now);
                    self.aside(device, now);
                    continue;
                }
                Turn::Retry(device, patience) => {
                    let ended = self.retry(device, patience).await;
                    let (ended, now) = self.settle(device, ended).await;
                    self.queue.retried(device, ended, now);
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

    /// A question is over when the line is free again: whose turn it is then depends on who is due
    /// by then. How it ended, with what came after it, and when.
    async fn settle(&mut self, device: usize, ended: Ended) -> (Ended, Uptime) {
        let (before, discarded) = (self.clock.now().uptime, self.client.counters().discarded);
        let Some(line) = self.units.get(&device).map(|unit| Arc::clone(&unit.modbus.line)) else {
            return (ended, before);
        };
        if ended != Ended::Answered || !line.endpoint.has_transaction_ids() {
            self.client.settle().await;
        }
        let now = self.clock.now().uptime;
        let ended = match self.client.counters().discarded > discarded {
            true => ended.late(now.since(before).saturating_sub(line.quiet_time)),
            false => ended,
        };
        (ended, now)
    }

    /// A read of the device that was put aside may be due to be tried again.
    fn aside(&mut self, device: usize, now: Uptime) {
        if let Some(unit) = self.units.get(&device)
            && let Some(read) = unit.reads.due(now)
        {
            let cost = cost(&unit.modbus, self.client.wire_time(&read));
            self.queue.aside(device, cost, now);
        }
    }

    /// Asks for a read of a device that was put aside. Its answer is no reading, because those of
    /// the device's other reads are not with it: it is read again from the next turn on.
    async fn retry(&mut self, device: usize, patience: Patience) -> Ended {
        let due = self.units.get(&device).and_then(|unit| unit.reads.due(self.clock.now().uptime));
        let Some(read) = due else { return Ended::Answered };
        let wire = self.client.wire_time(&read);
        if let Some(options) = self.options(device, patience, wire) {
            self.client.set_options(options);
        }
        match self.units.get_mut(&device) {
            Some(unit) => unit.retry(&mut self.client, &self.clock, read).await,
            None => Ended::Answered,
        }
    }

    /// What a device answers, and whether something that cost the line time brought no answer.
    async fn poll(&mut self, device: usize, patience: Patience) -> Option<(Polled, bool)> {
        let questions = if self.units.len() == 1 { ALONE } else { SHARED };
        let wire = self.units.get(&device)?.wire_time(&self.client);
        let options = self.options(device, patience, wire)?;
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
            unit.polled(&poll, after.uptime);
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
        let (answers, aside) = (poll.answers, poll.aside);
        Some((Polled { device, profile, answers, aside, time: after.time, took }, failed))
    }
}

impl Task {
    /// How patient to be with a device whose first question takes `wire` on the wire.
    fn options(&self, device: usize, patience: Patience, wire: Duration) -> Option<Options> {
        let modbus = &self.units.get(&device)?.modbus;
        Some(match patience {
            Patience::Latency => options(modbus, true),
            Patience::Longest => options(modbus, false),
            Patience::Usual | Patience::AtMost(_) if modbus.line.endpoint.has_transaction_ids() => {
                options(modbus, self.heard.contains(&device))
            }
            Patience::Usual => cautious(modbus),
            Patience::AtMost(wait) => probe(modbus, wait.saturating_sub(wire)),
        })
    }
}
