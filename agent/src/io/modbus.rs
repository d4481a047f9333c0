//! One task for each Modbus endpoint: it asks all units behind it, one question at a time.

use std::collections::HashMap;
use std::time::Duration;

use hallwatch_modbus::{Client, Options, Read, TcpEndpoint};
use hallwatch_model::Missing;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::clock::Clock;
use crate::config::{Device, DeviceSource, Modbus};
use crate::poll::Polled;

/// The endpoints' tasks. They end when this is dropped.
pub(crate) struct Endpoints {
    /// By device.
    jobs: Vec<Option<mpsc::Sender<usize>>>,
    _tasks: JoinSet<()>,
}

impl Endpoints {
    /// Starts a task for each address among `devices`. Results come out of `polled`.
    pub(crate) fn start(devices: &[Device], clock: &Clock, polled: &mpsc::Sender<Polled>) -> Self {
        let mut tasks = JoinSet::new();
        let mut by_address: HashMap<&str, HashMap<usize, Modbus>> = HashMap::new();
        for (index, device) in devices.iter().enumerate() {
            if let DeviceSource::ModbusTcp(modbus) = &device.source {
                by_address.entry(&modbus.address).or_default().insert(index, modbus.clone());
            }
        }
        let mut jobs = Vec::new();
        jobs.resize_with(devices.len(), || None);
        for (address, units) in by_address {
            // Each device has at most one poll under way, so the queue is never full.
            let (sender, receiver) = mpsc::channel(units.len());
            for index in units.keys() {
                if let Some(job) = jobs.get_mut(*index) {
                    *job = Some(sender.clone());
                }
            }
            let client = Client::tcp(TcpEndpoint::new(address), Options::default());
            tasks.spawn(serve(client, units, receiver, clock.clone(), polled.clone()));
        }
        Self { jobs, _tasks: tasks }
    }

    /// Asks for a poll of a device; false when that is not possible.
    pub(crate) fn poll(&self, device: usize) -> bool {
        let job = self.jobs.get(device).and_then(Option::as_ref);
        job.is_some_and(|job| job.try_send(device).is_ok())
    }
}

async fn serve(
    mut client: Client,
    units: HashMap<usize, Modbus>,
    mut jobs: mpsc::Receiver<usize>,
    clock: Clock,
    polled: mpsc::Sender<Polled>,
) {
    while let Some(device) = jobs.recv().await {
        let Some(modbus) = units.get(&device) else { continue };
        let before = clock.now().uptime;
        client.set_options(options(modbus.timeout));
        let answers = poll(&mut client, modbus.unit, modbus.profile.reads()).await;
        let after = clock.now();
        let took = after.uptime.since(before);
        if polled.send(Polled { device, answers, time: after.time, took }).await.is_err() {
            return;
        }
    }
}

fn options(timeout: Duration) -> Options {
    Options {
        connect_timeout: timeout,
        answer_timeout: timeout,
        deadline: timeout.saturating_mul(3),
        ..Options::default()
    }
}

/// All reads of a device. After one that brought no answer at all the others are not tried: a
/// silent unit must not hold up its neighbours for long.
async fn poll(
    client: &mut Client,
    unit: u8,
    reads: &[Read],
) -> Vec<Result<hallwatch_modbus::Data, Missing>> {
    let mut answers = Vec::with_capacity(reads.len());
    let mut silent = None;
    for read in reads {
        if let Some(missing) = silent {
            answers.push(Err(missing));
            continue;
        }
        match client.read(unit, read).await {
            Ok(data) => answers.push(Ok(data)),
            Err(error) => {
                let missing = error.missing();
                tracing::debug!(error = &error as &dyn std::error::Error, "read failed");
                if matches!(missing, Missing::Timeout | Missing::DeviceOffline) {
                    silent = Some(missing);
                }
                answers.push(Err(missing));
            }
        }
    }
    answers
}
