//! Whose the entries of the log are, and which agent reads which device: those who ask are told
//! when it changes, not with every sample.

use std::collections::HashMap;
use std::num::NonZeroU32;

use hallwatch_model::{AgentPath, Labels, Timestamp};

use crate::store::{Entry, Error, Reader};
use crate::topology::Watch;

/// What is known of the senders, and of the series by the store's numbers: 12 bytes each.
#[derive(Debug, Default)]
pub(in crate::run) struct Senders {
    /// The agents by their numbers in the log.
    agents: HashMap<i64, AgentPath>,
    series: Vec<Option<Series>>,
    /// By numbers from 1.
    devices: Vec<Device>,
    by_name: HashMap<[String; 3], NonZeroU32>,
}

#[derive(Clone, Copy, Debug)]
struct Series {
    device: Option<NonZeroU32>,
    /// Whether the topology asks for its samples, once somebody has asked.
    watched: Option<bool>,
}

/// Which agent has sent the newest sample of it.
#[derive(Clone, Copy, Debug, Default)]
struct Device {
    read_by: Option<(i64, Timestamp)>,
}

impl Senders {
    /// Makes known who was heard in earlier runs.
    pub(super) fn learn(&mut self, agents: HashMap<i64, AgentPath>) {
        self.agents = agents;
    }

    /// Who has sent the entry; `None` for what no agent has sent.
    ///
    /// # Errors
    /// When it is an agent that is not known yet, and the store cannot say who that is.
    pub(super) fn of(
        &mut self,
        entry: &Entry,
        reader: &Reader,
    ) -> Result<Option<&AgentPath>, Error> {
        let Some(number) = entry.agent else { return Ok(None) };
        if !self.agents.contains_key(&number) {
            self.agents = reader.agents()?;
        }
        Ok(self.agents.get(&number))
    }

    /// The labels of a series whose samples the topology asks for; `None` when it does not, or the
    /// series is gone.
    pub(super) fn watched(
        &mut self,
        number: u32,
        watch: &Watch,
        reader: &Reader,
    ) -> Option<Labels> {
        let series = self.series(number, reader)?;
        match series.watched {
            Some(false) => None,
            Some(true) => reader.labels(number),
            None => {
                let labels = reader.labels(number)?;
                let concerns = watch.concerns(&labels);
                let known = self.series.get_mut(number as usize)?.as_mut()?;
                known.watched = Some(concerns);
                concerns.then_some(labels)
            }
        }
    }

    fn series(&mut self, number: u32, reader: &Reader) -> Option<Series> {
        let at = number as usize;
        if let Some(Some(known)) = self.series.get(at) {
            return Some(*known);
        }
        let labels = reader.labels(number)?;
        let series = Series { device: self.device(&labels), watched: None };
        if self.series.len() <= at {
            self.series.resize(at + 1, None);
        }
        *self.series.get_mut(at)? = Some(series);
        Some(series)
    }

    fn device(&mut self, labels: &Labels) -> Option<NonZeroU32> {
        let text = |name| labels.get(name).unwrap_or("").to_owned();
        labels.get("device")?;
        let name = ["tenant", "site", "device"].map(text);
        if let Some(known) = self.by_name.get(&name) {
            return Some(*known);
        }
        self.devices.push(Device::default());
        let number = NonZeroU32::new(u32::try_from(self.devices.len()).ok()?)?;
        self.by_name.insert(name, number);
        Some(number)
    }

    /// Tells of the devices of this entry that another agent reads now, and since when: of several
    /// agents that read one, the one with the newer values counts.
    pub(super) fn note(
        &mut self,
        entry: &Entry,
        reader: &Reader,
        mut tell: impl FnMut(&AgentPath, &str, Timestamp),
    ) {
        let Some(agent) = entry.agent else { return };
        if !matches!(self.of(entry, reader), Ok(Some(_))) {
            return;
        }
        // The points of a device stand together.
        let mut last = None;
        for point in &entry.points {
            let Some(series) = self.series(point.series, reader) else { continue };
            let Some(number) = series.device.filter(|device| Some(*device) != last) else {
                continue;
            };
            last = Some(number);
            let time = Timestamp::from_millis(point.time);
            let Some(device) = self.devices.get_mut(number.get() as usize - 1) else { continue };
            match &mut device.read_by {
                Some((_, until)) if *until > time => continue,
                Some((known, until)) if *known == agent => {
                    *until = time;
                    continue;
                }
                other => *other = Some((agent, time)),
            }
            let labels = reader.labels(point.series);
            if let Some(name) = labels.as_ref().and_then(|labels| labels.get("device"))
                && let Some(agent) = self.agents.get(&agent)
            {
                tell(agent, name, time);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::{Batch, Describe, Id, Reading, Readings, SeriesId};

    use super::*;
    use crate::store::{Incoming, Options, Store};

    fn gateway(name: &str) -> AgentPath {
        let id = |text| Id::new(text).unwrap();
        AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id(name) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_795_276_800_000 + second * 1_000)
    }

    fn send(store: &mut Store, (agent, seq): (&str, u64), second: i64, series: &[u32]) {
        let reading = |series: &u32| {
            let (series, time) = (SeriesId(*series), at(second));
            Reading { series, time, value: Ok(1.0) }
        };
        let readings = series.iter().map(reading).collect();
        let readings = Readings { dictionary: 9, readings, ..Readings::default() };
        let batch = Batch { boot: 7, seq, oldest: 1, readings, ..Batch::default() };
        let incoming = Incoming { agent: gateway(agent), batch, received: at(second) };
        store.commit(&[incoming]).unwrap();
    }

    #[test]
    fn who_reads_a_device_is_told_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path(), &Options::default()).unwrap();
        let metric = |name, device| Labels::metric(name, [("device", device)]);
        let series = vec![
            (SeriesId(1), metric("volts", "ups-a")),
            (SeriesId(2), metric("amps", "ups-a")),
            (SeriesId(3), metric("volts", "ups-b")),
            (SeriesId(4), Labels::metric("clock_seconds", [])),
        ];
        for agent in ["gw-1", "gw-2"] {
            let series = series.clone();
            let describe = Describe { dictionary: 9, series, ..Describe::default() };
            store.describe(&gateway(agent), &describe).unwrap();
        }
        let reader = store.reader();
        let (mut senders, mut position) = (Senders::default(), 0);
        let mut told = |senders: &mut Senders| {
            let mut told = Vec::new();
            for entry in reader.entries(position, 100).unwrap() {
                position = entry.position;
                senders.note(&entry, &reader, |agent, device, time| {
                    told.push(format!("{} {device} {}", agent.agent, time.since(at(0)).as_secs()));
                });
            }
            told
        };
        send(&mut store, ("gw-1", 1), 1, &[1, 2, 3, 4, 1]);
        assert_eq!(told(&mut senders), ["gw-1 ups-a 1", "gw-1 ups-b 1"]);
        send(&mut store, ("gw-1", 2), 5, &[1, 2, 3]);
        assert!(told(&mut senders).is_empty(), "nothing has changed");
        // A backlog of another agent is older than what is known.
        send(&mut store, ("gw-2", 1), 4, &[1]);
        assert!(told(&mut senders).is_empty());
        send(&mut store, ("gw-2", 2), 6, &[2, 4]);
        assert_eq!(told(&mut senders), ["gw-2 ups-a 6"]);
        send(&mut store, ("gw-1", 3), 6, &[3, 1]);
        assert_eq!(told(&mut senders), ["gw-1 ups-a 6"]);
        let own = hallwatch_model::Sample { time: at(9), value: Ok(1.0) };
        store.record(&[(metric("volts", "ups-b"), own)], at(9)).unwrap();
        assert!(told(&mut senders).is_empty(), "what is recorded here says nothing of agents");
    }
}
