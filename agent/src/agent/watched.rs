//! One device: what its answers, messages and silence become.

mod heard;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::vocabulary::{self, Kind};
use hallwatch_model::{Gap, Labels, Missing, Reading, SeriesId, Timestamp, Uptime, Value};

use super::Now;
use super::pending::Pending;
use super::refused::Refusals;
use crate::config::{Device, DeviceSource};
use crate::dictionary::Dictionary;
use crate::poll::{Health, Lag, Missed, PollState, Polled, REASONS, Tell};
use crate::profile::Profile;
use crate::sensor::SensorState;
use crate::uplink::Measured;

/// A device, over time.
#[derive(Debug)]
pub(super) struct Watched {
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
pub(super) struct Out<'a> {
    pub(super) dictionary: &'a mut Dictionary,
    pub(super) pending: &'a mut Pending,
    pub(super) uptime: Uptime,
}

/// Whether the sensors' broker has been away for too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Away(pub(super) bool);

impl Watched {
    /// A device of which nothing has been told.
    pub(super) fn new(device: &Device, now: Uptime) -> Self {
        let mut events = BTreeMap::new();
        let state = match &device.source {
            DeviceSource::Modbus(modbus) => {
                let state = PollState::new(device.name.as_str(), modbus.interval, now);
                State::Polled(state, Arc::clone(&modbus.profile))
            }
            DeviceSource::Mqtt(sensor) => {
                if let Some((reader, _)) = &sensor.badge {
                    let door = device.name.to_string();
                    let results = reader.results().iter();
                    events.extend(results.map(|one| ((door.clone(), (*one).to_owned()), 0)));
                }
                State::Heard(SensorState::new(sensor, now))
            }
            DeviceSource::Uplink(_) => State::Measured,
        };
        Self {
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
    }

    /// When [`Self::tick`] is worth calling again; none of one that is not polled.
    pub(super) fn deadline(&self) -> Option<Uptime> {
        match &self.state {
            State::Polled(state, _) => Some(state.wake()),
            State::Heard(_) | State::Measured => None,
        }
    }

    /// All times that were told move.
    pub(super) fn shift(&mut self, millis: i64) {
        for time in [&mut self.answered, &mut self.silent].into_iter().flatten() {
            *time = time.moved(millis);
        }
        self.lag.shift(millis);
    }

    /// A poll that was due could not be started.
    pub(super) fn unpolled(&mut self) {
        if let State::Polled(state, _) = &mut self.state {
            state.skipped();
        }
    }

    /// Time has passed. When the device is to be asked now: its turn after this one. `sensors`: for
    /// how long nothing was heard is to be looked at, and `away` whether their broker is.
    pub(super) fn tick(
        &mut self,
        now: Now,
        sensors: Option<Away>,
        out: &mut Out<'_>,
    ) -> Option<Uptime> {
        match &mut self.state {
            State::Polled(state, _) => {
                let turn = now.time - now.uptime.since(state.turn());
                let next = state.due(now.uptime).then(|| state.deadline());
                let (count, offline) = (state.missed, state.health().is_offline());
                let repeat = state.repeat(now.uptime);
                self.tick_lag(count, offline, (turn, now.time), out);
                if repeat {
                    self.repeat_polled(now.time, out);
                }
                next
            }
            State::Heard(_) => {
                if let Some(Away(away)) = sensors {
                    self.tick_heard(now, away, out);
                }
                None
            }
            State::Measured => None,
        }
    }

    /// An interval of an uplink is over.
    pub(super) fn measured(&mut self, measured: Measured, out: &mut Out<'_>) {
        let interval = match &self.device.source {
            DeviceSource::Uplink(uplink) => Some(uplink.interval),
            _ => None,
        };
        for (labels, value) in measured.report {
            match interval {
                Some(interval) => self.tell_every(interval, &labels, measured.time, value, out),
                None => self.tell(&labels, measured.time, value, out),
            }
        }
    }

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

    /// What the agent counts and measures of a device.
    fn tell_own(
        &mut self,
        name: &str,
        label: Option<(&str, &str)>,
        time: Timestamp,
        value: f64,
        out: &mut Out<'_>,
    ) {
        let (series, _) = self.series(&Labels::metric(name, label), out);
        let reading = Reading { series, time, value: Ok(value) };
        // Nothing of this is urgent: how long an answer takes jumps all day.
        out.pending.reading(reading, Kind::Counter, out.uptime);
    }

    fn tell_up(&mut self, up: bool, time: Timestamp, out: &mut Out<'_>) {
        let value = f64::from(u8::from(up));
        self.tell(&Labels::metric("device_up", None), time, Ok(value), out);
    }

    /// A poll is over.
    pub(super) fn polled(&mut self, polled: &Polled, out: &mut Out<'_>) {
        let State::Polled(state, placed) = &mut self.state else { return };
        let DeviceSource::Modbus(modbus) = &self.device.source else { return };
        let profile = Arc::clone(&polled.profile);
        *placed = Arc::clone(&profile);
        let before = state.errors;
        let tell = state.finished(&polled.answers, &polled.aside, out.uptime);
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
}

/// Counters as samples: exact up to 2^53.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "no counter gets there")]
fn float(count: u64) -> f64 {
    count as f64
}
