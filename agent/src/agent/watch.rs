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
use crate::poll::{Due, Polled};
use crate::uplink::Measured;

/// The sensors' broker may be away for so long before its sensors are missing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sensors are looked at this often for values that became too old.
const SENSORS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Watch {
    devices: Vec<Watched>,
    by_topic: HashMap<String, Vec<usize>>,
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
        let devices = devices.iter().map(|device| Watched::new(device, now)).collect();
        Self { devices, by_topic, sensors_at: now, away: Some(now), believes: true }
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
        let polls = self.devices.iter().filter_map(Watched::deadline);
        polls.fold(self.sensors_at, Uptime::min)
    }

    pub(super) fn unpolled(&mut self, device: usize) {
        if let Some(watched) = self.devices.get_mut(device) {
            watched.unpolled();
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
        let away = self.away.is_some_and(|since| now.uptime.since(since) >= PATIENCE);
        let sensors = (now.uptime >= self.sensors_at).then_some(Away(away));
        if sensors.is_some() {
            self.sensors_at = now.uptime + SENSORS;
        }
        let mut due = Vec::new();
        for (device, watched) in self.devices.iter_mut().enumerate() {
            if let Some(next) = watched.tick(now, sensors, &mut out) {
                due.push(Due { device, next });
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
