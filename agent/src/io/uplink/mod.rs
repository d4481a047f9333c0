//! The sockets of uplink probes. What to send when, and what an answer means, is decided by
//! [`Monitor`].

mod ask;
mod echo;
mod error;
mod name;
mod socket;
mod tls;

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use hallwatch_model::Uptime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::clock::Clock;
use crate::config::{Device, DeviceSource};
use crate::error::Error;
use crate::uplink::{Action, Event, Measured, Monitor, ProbeId, Report, Target, Unasked, Uplink};
use ask::Ask;
use echo::Echo;
pub use error::UplinkError;

/// Events that may wait to be handled. When there are more, answers wait in their sockets.
const QUEUE: usize = 64;

/// The uplinks' tasks. They end when this is dropped.
pub(crate) struct Uplinks {
    measured: mpsc::Receiver<Measured>,
    _tasks: JoinSet<()>,
}

impl Uplinks {
    /// Starts a task for each uplink among `devices`.
    pub(crate) fn start(devices: &[Device], clock: &Clock) -> Result<Self, Error> {
        let (sender, measured) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        for (index, device) in devices.iter().enumerate() {
            let DeviceSource::Uplink(uplink) = &device.source else { continue };
            let mut watcher = Watcher::start(device.name.as_str(), uplink)
                .map_err(|source| Error::Uplink { device: device.name.clone(), source })?;
            for (probe, error) in check(uplink) {
                let error: &dyn std::error::Error = &error;
                tracing::error!(device = %device.name, probe, error, "the probe is not possible");
            }
            let (sender, clock) = (sender.clone(), clock.clone());
            tasks.spawn(async move {
                loop {
                    let report = watcher.next().await;
                    let time = clock.time();
                    if sender.send(Measured { device: index, report, time }).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { measured, _tasks: tasks })
    }

    /// The next interval that is over; `None` when there are no uplinks.
    pub(crate) async fn next(&mut self) -> Option<Measured> {
        self.measured.recv().await
    }
}

/// Watches one uplink. Its sockets and tasks end when it is dropped.
pub struct Watcher {
    name: String,
    started: Instant,
    monitor: Monitor,
    askers: Vec<Asker>,
    /// Per probe, why it could not be asked when that was last logged.
    unasked: Vec<Option<Unasked>>,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    under_way: JoinSet<()>,
    reports: VecDeque<Report>,
}

/// How a probe is asked.
enum Asker {
    /// Over a socket that stays, so that late and second answers are recognized and the path
    /// through the network stays the same.
    Echo(Echo),
    /// Each time anew.
    Ask(Arc<Ask>),
}

impl Watcher {
    /// Watches `uplink`, the device called `name`, from now on. Needs a tokio runtime.
    ///
    /// # Errors
    /// When there are no usable certificates of authorities and a probe needs them. That a probe
    /// cannot be asked is no error; it is logged and its readings are missing.
    pub fn start(name: &str, uplink: &Uplink) -> Result<Self, UplinkError> {
        let (sender, events) = mpsc::channel(QUEUE);
        let roots = tls::client(uplink)?;
        let mut askers = Vec::with_capacity(uplink.probes.len());
        for (probe, asked) in uplink.probes.iter().enumerate() {
            askers.push(match &asked.target {
                Target::Icmp(target) => Asker::Echo(Echo::new(
                    probe,
                    *target,
                    asked.path.clone(),
                    uplink.timeout,
                    sender.clone(),
                )),
                _ => Asker::Ask(Arc::new(Ask::new(asked, uplink.timeout, roots.clone())?)),
            });
        }
        let monitor = Monitor::new(uplink, slot(name), Uptime::ZERO);
        Ok(Self {
            name: name.to_owned(),
            started: Clock::stopwatch(),
            monitor,
            unasked: vec![None; askers.len()],
            askers,
            events,
            sender,
            under_way: JoinSet::new(),
            reports: VecDeque::new(),
        })
    }

    /// Waits for the next report. The probes are only sent while someone waits here. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Report {
        loop {
            if let Some(report) = self.reports.pop_front() {
                return report;
            }
            let wake = self.started + self.monitor.wake_at().elapsed();
            let event = tokio::select! {
                // What has come is taken before it is judged to be late.
                biased;
                Some(event) = self.events.recv() => event,
                Some(_) = self.under_way.join_next() => continue,
                () = sleep_until(wake) => Event::Tick,
            };
            self.handle(event);
        }
    }

    /// The state, with what reports do not show.
    #[must_use]
    pub const fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.log(event);
            let actions = self.monitor.handle(event, Uptime::new(self.started.elapsed()));
            for action in actions {
                match action {
                    Action::Send(id) => events.extend(self.send(id)),
                    Action::Report(report) => self.reports.push_back(report),
                }
            }
        }
    }

    /// Sends a probe; what becomes of it is told later, or returned when it failed at once.
    fn send(&mut self, id: ProbeId) -> Option<Event> {
        match self.askers.get_mut(id.probe)? {
            Asker::Echo(echo) => echo.send(id).err(),
            Asker::Ask(ask) => {
                let (ask, sender) = (ask.clone(), self.sender.clone());
                self.under_way.spawn(async move {
                    if let Some(event) = ask.ask(id).await {
                        // Nobody is there any more: nothing to tell.
                        let _ = sender.send(event).await;
                    }
                });
                None
            }
        }
    }

    /// Tells once that a probe cannot be asked, and once that it can again.
    fn log(&mut self, event: Event) {
        let (id, why) = match event {
            Event::Tick => return,
            Event::Answered(id, _) | Event::Failed(id, _) => (id, None),
            Event::Unasked(id, why) => (id, Some(why)),
        };
        let Some(logged) = self.unasked.get_mut(id.probe).filter(|logged| **logged != why) else {
            return;
        };
        *logged = why;
        let (device, probe) = (&self.name, id.probe + 1);
        match why {
            None => tracing::info!(device, probe, "the probe can be sent again"),
            Some(Unasked::NotPermitted) => {
                let error = UplinkError::Denied;
                tracing::error!(device, probe, %error, "the probe cannot be sent");
            }
            Some(why) => tracing::warn!(device, probe, %why, "the probe cannot be sent"),
        }
    }
}

/// Tries what the probes of `uplink` need of this machine, and sends nothing: sockets and their
/// permission, source addresses, interfaces, certificates. Each problem once, with the name of the
/// first probe that has it.
#[must_use]
pub fn check(uplink: &Uplink) -> Vec<(String, UplinkError)> {
    let mut problems: Vec<(String, UplinkError)> = Vec::new();
    let mut add = |name: &str, error: UplinkError| {
        if !problems.iter().any(|(_, known)| known.to_string() == error.to_string()) {
            problems.push((name.to_owned(), error));
        }
    };
    let roots = match tls::client(uplink) {
        Ok(roots) => roots,
        Err(error) => {
            add("http", error);
            None
        }
    };
    for probe in &uplink.probes {
        let opened = match &probe.target {
            Target::Icmp(target) => socket::echo(*target, &probe.path).map(drop),
            target => socket::any(target.address(), &probe.path).map(drop),
        };
        if let Err(source) = opened {
            add(&probe.name, UplinkError::of_socket(&probe.path, source));
        }
        if let (Target::Http(page), Some(_)) = (&probe.target, &roots)
            && let Err(error) = tls::server_name(page)
        {
            add(&probe.name, error);
        }
    }
    problems
}

/// Where in the second a device's probes start: the same after each start, another for each name.
fn slot(name: &str) -> u64 {
    // FNV-1a: short and the same in every version, unlike the standard library's.
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A number that others cannot guess; for matching answers, not for secrets.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
