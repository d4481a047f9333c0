//! One task for each line: it asks all units on it, one question at a time.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;

use hallwatch_modbus::{AnyClient, Data, Read};
use hallwatch_model::{Id, Missing};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::clock::Clock;
use super::line::{client, options};
use crate::config::{Device, DeviceSource, Modbus};
use crate::error::Error;
use crate::poll::{Polled, Queue};

/// The lines' tasks. They end when this is dropped.
pub(crate) struct Lines {
    /// By device.
    jobs: Vec<Option<mpsc::Sender<usize>>>,
    _tasks: JoinSet<()>,
}

impl Lines {
    /// Starts a task for each line of `devices`. Results come out of `polled`.
    ///
    /// # Errors
    /// When a certificate or key that a line names cannot be used.
    pub(crate) fn start(
        devices: &[Device],
        clock: &Clock,
        polled: &mpsc::Sender<Polled>,
    ) -> Result<Self, Error> {
        let mut tasks = JoinSet::new();
        let mut by_line: HashMap<&str, HashMap<usize, Unit>> = HashMap::new();
        for (index, device) in devices.iter().enumerate() {
            if let DeviceSource::Modbus(modbus) = &device.source {
                let unit = Unit { name: device.name.clone(), modbus: modbus.clone() };
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
            let queue = Queue::new(units.len());
            let (heard, told, clock) = (HashSet::new(), HashSet::new(), clock.clone());
            let task = Task { client, units, queue, heard, told, clock };
            tasks.spawn(task.serve(receiver, polled.clone()));
        }
        Ok(Self { jobs, _tasks: tasks })
    }

    /// Asks for a poll of a device; false when that is not possible.
    pub(crate) fn poll(&self, device: usize) -> bool {
        let job = self.jobs.get(device).and_then(Option::as_ref);
        job.is_some_and(|job| job.try_send(device).is_ok())
    }
}

/// A device on the line.
struct Unit {
    name: Id,
    modbus: Modbus,
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
    clock: Clock,
}

impl Task {
    async fn serve(mut self, mut jobs: mpsc::Receiver<usize>, polled: mpsc::Sender<Polled>) {
        while let Some(device) = jobs.recv().await {
            self.queue.push(device);
            loop {
                // Those that became due meanwhile, too: whose turn it is depends on all.
                while let Ok(device) = jobs.try_recv() {
                    self.queue.push(device);
                }
                let Some(device) = self.queue.take() else { break };
                let Some(told) = self.poll(device).await else { continue };
                if polled.send(told).await.is_err() {
                    return;
                }
            }
            self.client.end_cycle();
        }
    }

    async fn poll(&mut self, device: usize) -> Option<Polled> {
        let unit = self.units.get(&device)?;
        let modbus = &unit.modbus;
        let before = self.clock.now().uptime;
        self.client.set_options(options(modbus, self.heard.contains(&device)));
        let poll = poll(&mut self.client, modbus.unit, modbus.profile.reads()).await;
        if poll.answers.iter().any(is_answer) {
            self.heard.insert(device);
        }
        self.queue.finished(device, poll.failed.is_none());
        match poll.failed {
            None => {
                self.told.remove(&device);
            }
            Some(error) if self.told.insert(device) => {
                let (device, line) = (&unit.name, &modbus.line.name);
                let error = chain(&error);
                tracing::warn!(%device, line, error, "the device does not answer as it should");
            }
            Some(_) => {}
        }
        let after = self.clock.now();
        let took = after.uptime.since(before);
        Some(Polled { device, answers: poll.answers, time: after.time, took })
    }
}

/// What came of a poll.
struct Poll {
    answers: Vec<Result<Data, Missing>>,
    /// The last of what went wrong that cost the line time; an exception costs none.
    failed: Option<hallwatch_modbus::Error>,
}

/// All reads of a device. After one that brought no answer at all the others are not tried, and
/// not after two that were damaged: a unit must not hold up its neighbours for long.
async fn poll(client: &mut AnyClient, unit: u8, reads: &[Read]) -> Poll {
    let mut answers = Vec::with_capacity(reads.len());
    let mut failed: Option<hallwatch_modbus::Error> = None;
    let mut patience = 2u32;
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
                if error.exception().is_none() {
                    patience = match missing {
                        Missing::Timeout | Missing::DeviceOffline => 0,
                        _ => patience.saturating_sub(1),
                    };
                    failed = Some(error);
                }
            }
        }
    }
    Poll { answers, failed }
}

/// An exception is an answer: the device is there.
fn is_answer(answer: &Result<Data, Missing>) -> bool {
    matches!(answer, Ok(_) | Err(Missing::Exception(_)))
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
