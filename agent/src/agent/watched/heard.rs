//! A sensor: what its messages and their absence become.

use std::collections::btree_map::Entry;

use hallwatch_link::Message;
use hallwatch_model::{Labels, Missing, Timestamp, Value};

use super::super::Now;
use super::{Out, State, Watched, float};
use crate::config::DeviceSource;
use crate::sensor::{Heard, Sensor};

/// Doors and results counted of one badge reader, 64 doors with three results; further doors are
/// counted under the reader's own name.
const COUNTS: usize = 192;

impl Watched {
    /// A message came on a topic of the device. `believes`: a time that the sensor gives is taken.
    pub(in crate::agent) fn message(
        &mut self,
        message: &Message,
        now: Now,
        believes: bool,
        out: &mut Out<'_>,
    ) {
        let State::Heard(state) = &mut self.state else { return };
        let DeviceSource::Mqtt(sensor) = &self.device.source else { return };
        let timeless = (!believes).then(|| Sensor { time: None, ..sensor.clone() });
        let sensor = timeless.as_ref().unwrap_or(sensor);
        let (device, clocks) = (self.device.name.as_str(), (now.time, now.uptime));
        let Message { topic, payload, retain } = message;
        let mut heard = state.message(sensor, device, topic, payload, *retain, clocks);
        if let Some(reason) = heard.error {
            self.errors = self.errors.saturating_add(1);
            self.tell_errors(reason, self.errors, now.time, out);
        }
        if let Some(mut event) = heard.event.take() {
            if !believes {
                event.time = now.time;
            }
            let mut key = (event.door.clone(), event.result.clone());
            if self.events.len() >= COUNTS && !self.events.contains_key(&key) {
                key.0 = self.device.name.to_string();
            }
            self.know_door(&key.0, now.time, out);
            let count = self.events.entry(key.clone()).or_insert(0);
            *count = count.saturating_add(1);
            let count = *count;
            self.tell_events(&key.0, &key.1, count, now.time, out);
            out.pending.event(event, out.uptime);
        }
        self.tell_heard(heard, now.time, out);
    }

    pub(super) fn tick_heard(&mut self, now: Now, away: bool, out: &mut Out<'_>) {
        let State::Heard(state) = &mut self.state else { return };
        let DeviceSource::Mqtt(sensor) = &self.device.source else { return };
        let mut heard = state.tick(sensor, now.time, now.uptime);
        let repeated = heard.repeated;
        if away {
            // What holds cannot be known while nobody could say otherwise.
            for (_, _, value) in &mut heard.points {
                *value = Err(Missing::DeviceOffline);
            }
            heard.up = heard.up.map(|_| false);
        }
        self.tell_heard(heard, now.time, out);
        if repeated {
            for ((door, result), count) in self.events.clone() {
                self.tell_events(&door, &result, count, now.time, out);
            }
            self.tell_errors("malformed", self.errors, now.time, out);
        }
    }

    /// A door that was not heard of begins with 0 of each result: who counts what came on top of the
    /// first value, as `increase` does, would not see the first badge otherwise.
    fn know_door(&mut self, door: &str, time: Timestamp, out: &mut Out<'_>) {
        let DeviceSource::Mqtt(Sensor { badge: Some((reader, _)), .. }) = &self.device.source
        else {
            return;
        };
        for result in reader.results() {
            let key = (door.to_owned(), (*result).to_owned());
            if let Entry::Vacant(new) = self.events.entry(key) {
                new.insert(0);
                self.tell_events(door, result, 0, time.moved(-1), out);
            }
        }
    }

    fn tell_events(
        &mut self,
        door: &str,
        result: &str,
        count: u64,
        time: Timestamp,
        out: &mut Out<'_>,
    ) {
        let labels = Labels::metric("access_events_total", [("door", door), ("result", result)]);
        self.tell(&labels, time, Ok(float(count)), out);
    }

    fn tell_heard(&mut self, heard: Heard, now: Timestamp, out: &mut Out<'_>) {
        let DeviceSource::Mqtt(sensor) = &self.device.source else { return };
        let told: Vec<(Labels, Timestamp, Value)> = heard
            .points
            .into_iter()
            .filter_map(|(index, time, value)| {
                Some((sensor.points.get(index)?.labels.clone(), time, value))
            })
            .collect();
        for (labels, time, value) in told {
            self.tell(&labels, time, value, out);
        }
        if let Some(up) = heard.up {
            self.tell_up(up, now, out);
        }
    }
}
