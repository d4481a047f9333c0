//! All devices: which are due, and which an answer or message belongs to.

use std::collections::HashMap;
use std::time::Duration;

use hallwatch_link::Message;
use hallwatch_model::Uptime;

use super::Now;
use super::pending::Pending;
use super::watched::{Away, Out, Watched};
use crate::config::{Device, DeviceSource};
use crate::dictionary::Dictionary;
use crate::poll::{Deadlines, Due, Polled};
use crate::uplink::Measured;

/// The sensors' broker may be away for so long before its sensors are missing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sensors are looked at this often for values that became too old.
const SENSORS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Watch {
    devices: Vec<Watched>,
    by_topic: HashMap<String, Vec<usize>>,
    /// Those that are polled.
    deadlines: Deadlines,
    /// Those whose turn came and could not be taken.
    unpolled: Vec<usize>,
    /// Those that are not polled.
    sensors: Vec<usize>,
    sensors_at: Uptime,
    /// Since when the sensors' broker is away.
    away: Option<Uptime>,
    /// Times that sensors give can be compared with the own time.
    believes: bool,
}

impl Watch {
    pub(super) fn new(devices: &[Device], now: Uptime) -> Self {
        let mut by_topic: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, device) in devices.iter().enumerate() {
            if let DeviceSource::Mqtt(sensor) = &device.source {
                for topic in sensor.topics() {
                    by_topic.entry(topic.to_owned()).or_default().push(index);
                }
            }
        }
        let devices: Vec<_> = devices.iter().map(|device| Watched::new(device, now)).collect();
        let (mut deadlines, mut sensors) = (Deadlines::default(), Vec::new());
        for (index, watched) in devices.iter().enumerate() {
            match watched.deadline() {
                Some(at) => deadlines.add(index, at),
                None => sensors.push(index),
            }
        }
        let (unpolled, sensors_at, away) = (Vec::new(), now, Some(now));
        Self { devices, by_topic, deadlines, unpolled, sensors, sensors_at, away, believes: true }
    }

    /// Whether times that sensors give are taken: as long as the own time may be wrong, and is to be
    /// corrected, all times must be of one clock.
    pub(super) fn believe_sensors(&mut self, believes: bool) {
        self.believes = believes;
    }

    /// All times that were told move.
    pub(super) fn shift(&mut self, millis: i64) {
        for watched in &mut self.devices {
            watched.shift(millis);
        }
    }

    pub(super) fn deadline(&self) -> Uptime {
        self.deadlines.soonest().map_or(self.sensors_at, |polls| polls.min(self.sensors_at))
    }

    pub(super) fn unpolled(&mut self, device: usize) {
        if let Some(watched) = self.devices.get_mut(device) {
            watched.unpolled();
            self.unpolled.push(device);
        }
    }

    pub(super) fn sensors_connected(&mut self) {
        self.away = None;
    }

    pub(super) fn sensors_disconnected(&mut self, now: Uptime) {
        self.away.get_or_insert(now);
    }

    /// Devices to be asked now.
    pub(super) fn tick(
        &mut self,
        now: Now,
        dictionary: &mut Dictionary,
        pending: &mut Pending,
    ) -> Vec<Due> {
        let mut out = Out { dictionary, pending, uptime: now.uptime };
        if now.uptime >= self.sensors_at {
            self.sensors_at = now.uptime + SENSORS;
            let away = self.away.is_some_and(|since| now.uptime.since(since) >= PATIENCE);
            for device in &self.sensors {
                if let Some(watched) = self.devices.get_mut(*device) {
                    watched.tick(now, Some(Away(away)), &mut out);
                }
            }
        }
        // Those that missed their turn are told of at once.
        let mut all = std::mem::take(&mut self.unpolled);
        let missed = all.len();
        all.extend(std::iter::from_fn(|| self.deadlines.take(now.uptime)));
        let mut due = Vec::new();
        for (at, device) in all.into_iter().enumerate() {
            let Some(watched) = self.devices.get_mut(device) else { continue };
            if let Some(next) = watched.tick(now, None, &mut out) {
                due.push(Due { device, next });
            }
            if let Some(deadline) = watched.deadline().filter(|_| at >= missed) {
                self.deadlines.add(device, deadline);
            }
        }
        due
    }

    pub(super) fn polled(
        &mut self,
        polled: &Polled,
        now: Now,
        dictionary: &mut Dictionary,
        pending: &mut Pending,
    ) {
        let mut out = Out { dictionary, pending, uptime: now.uptime };
        if let Some(watched) = self.devices.get_mut(polled.device) {
            watched.polled(polled, &mut out);
        }
    }

    pub(super) fn measured(
        &mut self,
        measured: Measured,
        now: Now,
        dictionary: &mut Dictionary,
        pending: &mut Pending,
    ) {
        let mut out = Out { dictionary, pending, uptime: now.uptime };
        if let Some(watched) = self.devices.get_mut(measured.device) {
            watched.measured(measured, &mut out);
        }
    }

    pub(super) fn message(
        &mut self,
        message: &Message,
        now: Now,
        dictionary: &mut Dictionary,
        pending: &mut Pending,
    ) {
        let mut out = Out { dictionary, pending, uptime: now.uptime };
        for index in self.by_topic.get(&message.topic).into_iter().flatten() {
            if let Some(watched) = self.devices.get_mut(*index) {
                watched.message(message, now, self.believes, &mut out);
            }
        }
    }
}
