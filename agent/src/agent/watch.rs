//! The devices: what is due, and what answers, messages and silence become.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_link::Message;
use hallwatch_model::vocabulary::{self, Kind};
use hallwatch_model::{Gap, Labels, Missing, Reading, SeriesId, Timestamp, Uptime, Value};

use super::Now;
use super::pending::Pending;
use super::refused::Refusals;
use crate::config::{Device, DeviceSource};
use crate::dictionary::Dictionary;
use crate::poll::{Due, Health, Lag, Missed, PollState, Polled, REASONS, Tell};
use crate::profile::Profile;
use crate::sensor::{Heard, SensorState};
use crate::uplink::Measured;

/// The sensors' broker may be away for so long before its sensors are missing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sensors are looked at this often for values that became too old.
const SENSORS: Duration = Duration::from_secs(1);
/// Doors counted of one badge reader; further ones are counted under the reader's own name.
const DOORS: usize = 64;

#[derive(Debug)]
pub(super) struct Watch {
    devices: Vec<Watched>,
    by_topic: HashMap<String, Vec<usize>>,
    sensors_at: Uptime,
    /// Since when the sensors' broker is away.
    away: Option<Uptime>,
}

#[derive(Debug)]
struct Watched {
    device: Device,
    state: State,
    /// Ids and kinds of the device's series by their labels as the profile or configuration has
    /// them.
    ids: HashMap<Labels, (SeriesId, Kind)>,
    /// Events by door and result.
    events: BTreeMap<(String, String), u64>,
    errors: u64,
    refusals: Refusals,
    /// The last moment at which the device answered; before the first answer, the first question.
    answered: Option<Timestamp>,
    /// It is silent since then, and that was told.
    silent: Option<Timestamp>,
    /// Turns that were missed.
    lag: Lag,
}

#[derive(Debug)]
enum State {
    /// With the profile as it was last placed.
    Polled(PollState, Arc<Profile>),
    Heard(SensorState),
    /// Told from outside, interval by interval.
    Measured,
}

/// Where readings go.
struct Out<'a> {
    dictionary: &'a mut Dictionary,
    pending: &'a mut Pending,
    uptime: Uptime,
}

impl Watch {
    pub(super) fn new(devices: &[Device], now: Uptime) -> Self {
        let mut by_topic: HashMap<String, Vec<usize>> = HashMap::new();
        let watched = devices.iter().enumerate().map(|(index, device)| {
            let mut events = BTreeMap::new();
            let state = match &device.source {
                DeviceSource::Modbus(modbus) => {
                    let state = PollState::new(device.name.as_str(), modbus.interval, now);
                    State::Polled(state, Arc::clone(&modbus.profile))
                }
                DeviceSource::Mqtt(sensor) => {
                    for topic in sensor.topics() {
                        by_topic.entry(topic.to_owned()).or_default().push(index);
                    }
                    if let Some((reader, _)) = &sensor.badge {
                        let door = device.name.to_string();
                        let results = reader.results().iter();
                        events.extend(results.map(|one| ((door.clone(), (*one).to_owned()), 0)));
                    }
                    State::Heard(SensorState::new(sensor, now))
                }
                DeviceSource::Uplink(_) => State::Measured,
            };
            Watched {
                device: device.clone(),
                state,
                ids: HashMap::new(),
                events,
                errors: 0,
                refusals: Refusals::default(),
                answered: None,
                silent: None,
                lag: Lag::default(),
            }
        });
        let devices = watched.collect();
        Self { devices, by_topic, sensors_at: now, away: Some(now) }
    }

    pub(super) fn deadline(&self) -> Uptime {
        let polls = self.devices.iter().filter_map(|watched| match &watched.state {
            State::Polled(state, _) => Some(state.deadline()),
            State::Heard(_) | State::Measured => None,
        });
        polls.fold(self.sensors_at, Uptime::min)
    }

    pub(super) fn unpolled(&mut self, device: usize) {
        if let Some(Watched { state: State::Polled(state, _), .. }) = self.devices.get_mut(device) {
            state.skipped();
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
        let sensors = now.uptime >= self.sensors_at;
        if sensors {
            self.sensors_at = now.uptime + SENSORS;
        }
        let away = self.away.is_some_and(|since| now.uptime.since(since) >= PATIENCE);
        let mut due = Vec::new();
        for (index, watched) in self.devices.iter_mut().enumerate() {
            match &mut watched.state {
                State::Polled(state, _) => {
                    let turn = now.time - now.uptime.since(state.turn());
                    if state.due(now.uptime) {
                        due.push(Due { device: index, next: state.deadline() });
                    }
                    let (count, offline) = (state.missed, state.health().is_offline());
                    let repeat = state.repeat(now.uptime);
                    watched.tick_lag(count, offline, (turn, now.time), &mut out);
                    if repeat {
                        watched.repeat_polled(now.time, &mut out);
                    }
                }
                State::Heard(_) if sensors => watched.tick_heard(now, away, &mut out),
                State::Heard(_) | State::Measured => {}
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
            let interval = match &watched.device.source {
                DeviceSource::Uplink(uplink) => Some(uplink.interval),
                _ => None,
            };
            for (labels, value) in measured.report {
                match interval {
                    Some(interval) => {
                        watched.tell_every(interval, &labels, measured.time, value, &mut out);
                    }
                    None => watched.tell(&labels, measured.time, value, &mut out),
                }
            }
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
                watched.message(message, now, &mut out);
            }
        }
    }
}

impl Watched {
    /// `labels` are those of the profile or the configuration; the device's come on top.
    fn tell(&mut self, labels: &Labels, time: Timestamp, value: Value, out: &mut Out<'_>) {
        let (series, kind) = self.series(labels, out);
        out.pending.reading(Reading { series, time, value }, kind, out.uptime);
    }

    /// As [`Self::tell`], of what is read in a rhythm.
    fn tell_every(
        &mut self,
        interval: Duration,
        labels: &Labels,
        time: Timestamp,
        value: Value,
        out: &mut Out<'_>,
    ) {
        let (series, kind) = self.series(labels, out);
        out.dictionary.every(series, interval);
        out.pending.reading(Reading { series, time, value }, kind, out.uptime);
    }

    fn series(&mut self, labels: &Labels, out: &mut Out<'_>) -> (SeriesId, Kind) {
        match self.ids.get(labels) {
            Some(known) => *known,
            None => {
                let id = out.dictionary.id(&self.device.labels(labels));
                let metric = labels.name().and_then(vocabulary::find);
                let known = (id, metric.map_or(Kind::Gauge, |metric| metric.kind));
                self.ids.insert(labels.clone(), known);
                known
            }
        }
    }

    /// A device that falls silent is a gap that lasts; when it answers again, the gap is over.
    fn tell_silence(&mut self, silent: bool, time: Timestamp, out: &mut Out<'_>) {
        let answered = *self.answered.get_or_insert(time);
        let first = match (self.silent, silent) {
            (None, true) => *self.silent.insert(answered.min(time)),
            (Some(first), false) => {
                self.silent = None;
                first
            }
            _ => return,
        };
        let gap = Gap {
            first,
            last: time.max(first),
            cause: "device_silent".to_owned(),
            device: self.device.name.to_string(),
            open: silent,
            ..Gap::default()
        };
        out.pending.gap(gap, out.uptime);
    }

    /// Before an entry is closed that says that everything up to now has been read.
    fn tick_lag(
        &mut self,
        count: u64,
        offline: bool,
        (turn, now): (Timestamp, Timestamp),
        out: &mut Out<'_>,
    ) {
        if offline {
            self.lag.leave(count);
            return;
        }
        let missed = self.lag.look(count, turn, now);
        self.tell_lag(missed, out);
    }

    /// Turns that were missed are a gap.
    fn tell_lag(&mut self, missed: Option<Missed>, out: &mut Out<'_>) {
        let Some(Missed { first, last, turns, open }) = missed else { return };
        let DeviceSource::Modbus(modbus) = &self.device.source else { return };
        let points = u64::try_from(modbus.profile.series().len()).unwrap_or(u64::MAX);
        let gap = Gap {
            first,
            last,
            cause: "missed_turns".to_owned(),
            device: self.device.name.to_string(),
            readings: turns.saturating_mul(points),
            open,
            ..Gap::default()
        };
        out.pending.gap(gap, out.uptime);
    }

    fn tell_own(
        &mut self,
        name: &str,
        label: Option<(&str, &str)>,
        time: Timestamp,
        value: f64,
        out: &mut Out<'_>,
    ) {
        self.tell(&Labels::metric(name, label), time, Ok(value), out);
    }

    fn tell_up(&mut self, up: bool, time: Timestamp, out: &mut Out<'_>) {
        self.tell_own("device_up", None, time, f64::from(u8::from(up)), out);
    }

    fn polled(&mut self, polled: &Polled, out: &mut Out<'_>) {
        let State::Polled(state, placed) = &mut self.state else { return };
        let DeviceSource::Modbus(modbus) = &self.device.source else { return };
        let profile = Arc::clone(&polled.profile);
        *placed = Arc::clone(&profile);
        let before = state.errors;
        let tell = state.finished(&polled.answers, out.uptime);
        let (errors, up) = (state.errors, !state.health().is_offline());
        let (interval, online) = (modbus.interval, state.health() == Health::Online);
        if online {
            self.tell_silence(false, polled.time, out);
            self.answered = Some(polled.time);
        } else {
            self.tell_silence(!up, polled.time, out);
        }
        let missed = match tell {
            Tell::Answers => self.lag.polled(polled.time),
            Tell::Offline | Tell::Nothing => self.lag.in_time(),
        };
        self.tell_lag(missed, out);
        match tell {
            Tell::Answers => {
                let mut any = false;
                for (series, value) in profile.samples(&polled.answers) {
                    any |= value == Err(Missing::OutOfRange);
                    self.tell_every(interval, &series.labels, polled.time, value, out);
                }
                if !profile.awaited().is_empty() {
                    let reason = polled.answers.iter().find_map(|answer| answer.as_ref().err());
                    let reason = reason.copied().unwrap_or(Missing::NotAvailable);
                    for series in profile.awaited() {
                        self.tell_every(interval, &series.labels, polled.time, Err(reason), out);
                    }
                }
                if any {
                    let refused = profile.refused(&polled.answers);
                    self.refusals.log(self.device.name.as_str(), &refused, out.uptime);
                }
            }
            Tell::Offline => self.tell_offline(polled.time, out),
            Tell::Nothing => {}
        }
        if tell != Tell::Nothing {
            self.tell_up(up, polled.time, out);
            self.tell_own("device_poll_seconds", None, polled.time, polled.took.as_secs_f64(), out);
        }
        for (reason, (count, before)) in REASONS.iter().zip(errors.into_iter().zip(before)) {
            if count != before {
                self.tell_errors(reason.word(), count, polled.time, out);
            }
        }
    }

    fn tell_offline(&mut self, time: Timestamp, out: &mut Out<'_>) {
        let DeviceSource::Modbus(modbus) = &self.device.source else { return };
        let State::Polled(_, profile) = &self.state else { return };
        let (profile, interval) = (Arc::clone(profile), modbus.interval);
        for series in profile.series().iter().chain(profile.awaited()) {
            self.tell_every(interval, &series.labels, time, Err(Missing::DeviceOffline), out);
        }
    }

    fn tell_errors(&mut self, reason: &str, count: u64, time: Timestamp, out: &mut Out<'_>) {
        self.tell_own("device_errors_total", Some(("reason", reason)), time, float(count), out);
    }

    /// What counts, and what is missing, told again in a slow rhythm.
    fn repeat_polled(&mut self, time: Timestamp, out: &mut Out<'_>) {
        let State::Polled(state, _) = &self.state else { return };
        let (missed, errors, health) = (state.missed, state.errors, state.health());
        self.tell_own("device_missed_slots_total", None, time, float(missed), out);
        for (reason, count) in REASONS.iter().zip(errors) {
            self.tell_errors(reason.word(), count, time, out);
        }
        if health.is_offline() {
            self.tell_up(false, time, out);
            self.tell_offline(time, out);
        }
    }

    fn message(&mut self, message: &Message, now: Now, out: &mut Out<'_>) {
        let State::Heard(state) = &mut self.state else { return };
        let DeviceSource::Mqtt(sensor) = &self.device.source else { return };
        let (device, clocks) = (self.device.name.as_str(), (now.time, now.uptime));
        let Message { topic, payload, retain } = message;
        let mut heard = state.message(sensor, device, topic, payload, *retain, clocks);
        if let Some(reason) = heard.error {
            self.errors = self.errors.saturating_add(1);
            self.tell_errors(reason, self.errors, now.time, out);
        }
        if let Some(event) = heard.event.take() {
            let mut key = (event.door.clone(), event.result.clone());
            if self.events.len() >= DOORS && !self.events.contains_key(&key) {
                key.0 = self.device.name.to_string();
            }
            let count = self.events.entry(key.clone()).or_insert(0);
            *count = count.saturating_add(1);
            let count = *count;
            self.tell_events(&key.0, &key.1, count, now.time, out);
            out.pending.event(event, out.uptime);
        }
        self.tell_heard(heard, now.time, out);
    }

    fn tick_heard(&mut self, now: Now, away: bool, out: &mut Out<'_>) {
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

/// Counters as samples: exact up to 2^53.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "no counter gets there")]
fn float(count: u64) -> f64 {
    count as f64
}
