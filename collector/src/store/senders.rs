//! Who the agents are whose numbers stand in the log, and which devices their dictionaries name.

use std::collections::{BTreeSet, HashMap};

use hallwatch_model::{AgentPath, Id};

use super::shared::reading;
use super::{Error, Reader};

impl Reader {
    /// All agents that were ever heard, by their numbers in [`Logged::agent`](super::Logged::agent).
    /// A number is never given twice.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn agents(&self) -> Result<HashMap<i64, AgentPath>, Error> {
        self.with_connection("read who the agents are", |connection| {
            let mut select =
                connection.prepare_cached("SELECT id, tenant, site, agent FROM agent")?;
            let rows = select.query_map([], |row| {
                let text = |at: usize| row.get::<_, String>(at);
                Ok((row.get::<_, i64>(0)?, text(1)?, text(2)?, text(3)?))
            })?;
            let mut agents = HashMap::new();
            for row in rows {
                let (number, tenant, site, agent) = row?;
                // What is damaged names nobody.
                if let (Ok(tenant), Ok(site), Ok(agent)) =
                    (Id::new(&tenant), Id::new(&site), Id::new(&agent))
                {
                    agents.insert(number, AgentPath { tenant, site, agent });
                }
            }
            Ok(agents)
        })
    }

    /// The devices of which agents have ever said that they read them, by the agent's number, sorted.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn described_devices(&self) -> Result<BTreeSet<(i64, String)>, Error> {
        self.with_connection("read what the agents describe", |connection| {
            let mut select =
                connection.prepare_cached("SELECT DISTINCT agent, series FROM dictionary")?;
            let mut rows = select.query([])?;
            let index = reading(&self.shared.index);
            let mut devices = BTreeSet::new();
            while let Some(row) = rows.next()? {
                let (agent, series): (i64, u32) = (row.get(0)?, row.get(1)?);
                let Some(labels) = index.labels(series) else { continue };
                if let Some(device) = labels.get("device") {
                    devices.insert((agent, device.to_owned()));
                }
            }
            Ok(devices)
        })
    }
}

#[cfg(test)]
mod tests {
    use hallwatch_model::{
        Batch, Describe, Labels, Reading, Readings, Sample, SeriesId, Timestamp,
    };

    use super::super::{Incoming, Options, Store};
    use super::*;

    #[test]
    fn the_log_says_who_sent_and_the_dictionaries_who_reads_what() {
        let id = |text| Id::new(text).unwrap();
        let gateway = |name| AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id(name) };
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path(), &Options::default()).unwrap();
        let time = Timestamp::from_millis(1_795_276_800_000);
        for (name, device) in [("gw-1", "ups-a"), ("gw-2", "ups-b")] {
            let series = vec![(SeriesId(1), Labels::metric("device_up", [("device", device)]))];
            let describe = Describe { dictionary: 9, series, ..Describe::default() };
            store.describe(&gateway(name), &describe).unwrap();
            let readings = vec![Reading { series: SeriesId(1), time, value: Ok(1.0) }];
            let batch = Batch {
                boot: 7,
                seq: 1,
                oldest: 1,
                watermark: time,
                backfill: false,
                sender: 0,
                readings: Readings { dictionary: 9, readings, ..Readings::default() },
            };
            store.commit(&[Incoming { agent: gateway(name), batch, received: time }]).unwrap();
        }
        let own = Labels::metric("agent_up", [("agent", "gw-1")]);
        store.record(&[(own, Sample { time, value: Ok(1.0) })], time).unwrap();

        drop(store);
        let store = Store::open(directory.path(), &Options::default()).unwrap();
        let reader = store.reader();
        let agents = reader.agents().unwrap();
        let named = |number: Option<i64>| number.map(|number| agents[&number].agent.to_string());
        let sent: Vec<Option<String>> =
            reader.log(0, 100).unwrap().iter().map(|entry| named(entry.agent)).collect();
        assert_eq!(sent, [Some("gw-1".into()), Some("gw-2".into()), None]);
        let devices = reader.described_devices().unwrap();
        let devices: Vec<_> =
            devices.iter().map(|(agent, device)| (named(Some(*agent)), device.as_str())).collect();
        assert_eq!(devices, [(Some("gw-1".into()), "ups-a"), (Some("gw-2".into()), "ups-b")]);
    }
}
