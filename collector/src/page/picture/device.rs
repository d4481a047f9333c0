//! A device as the page shows it, gathered from the latest samples of its series.

use std::collections::BTreeSet;

use hallwatch_model::{Labels, Sample, Timestamp};
use serde::Serialize;

use crate::page::reading::{Flag, MAX_VALUES, Reading, flag, reading};

#[derive(Clone, Debug, Serialize)]
pub(super) struct Device {
    pub(super) device: String,
    pub(super) rack: String,
    pub(super) feed: String,
    /// `false`: it does not answer.
    pub(super) up: Option<bool>,
    /// When its newest value was read; `None` when none of its values is there.
    pub(super) time: Option<i64>,
    /// The worst severity of its firing alerts; empty for none.
    pub(super) severity: String,
    pub(super) flags: Vec<Flag>,
    pub(super) values: Vec<Reading>,
}

#[derive(Default)]
pub(super) struct Gathered {
    room: String,
    rack: String,
    feed: String,
    up: Option<bool>,
    time: Option<Timestamp>,
    flags: BTreeSet<Flag>,
    values: Vec<Reading>,
    /// As [`Device::severity`].
    pub(super) severity: Option<String>,
}

impl Gathered {
    pub(super) fn add(&mut self, labels: &Labels, sample: &Sample) {
        for (field, name) in
            [(&mut self.room, "room"), (&mut self.rack, "rack"), (&mut self.feed, "feed")]
        {
            if let (true, Some(value)) = (field.is_empty(), labels.get(name)) {
                *field = value.to_owned();
            }
        }
        let name = labels.name().unwrap_or_default();
        if name == "device_up" {
            self.up = Some(sample.value == Ok(1.0));
        }
        // What the agent says about a device says nothing about the age of the device's values.
        if sample.value.is_ok() && !name.starts_with("device_") {
            self.time = self.time.max(Some(sample.time));
        }
        self.flags.extend(flag(labels, sample.value));
        self.values.extend(reading(labels, sample.value));
    }

    pub(super) fn take(&mut self, name: &str) -> (String, Device) {
        let group = if self.room.is_empty() { "No room".to_owned() } else { self.room.clone() };
        self.values.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
        self.values.dedup_by(|a, b| a.name == b.name);
        for at in 0..self.values.len() {
            let same = self.values.iter().filter(|other| other.rank == self.values[at].rank);
            if same.count() == 1 {
                self.values[at].name = self.values[at].alone.to_owned();
            }
        }
        self.values.truncate(MAX_VALUES);
        let mut flags: Vec<Flag> = std::mem::take(&mut self.flags).into_iter().collect();
        flags.sort_by(|a, b| b.bad.cmp(&a.bad).then_with(|| a.text.cmp(&b.text)));
        let device = Device {
            device: name.to_owned(),
            rack: self.rack.clone(),
            feed: self.feed.clone(),
            up: self.up,
            time: self.time.map(Timestamp::as_millis),
            severity: self.severity.take().unwrap_or_default(),
            flags,
            values: std::mem::take(&mut self.values),
        };
        (group, device)
    }
}
