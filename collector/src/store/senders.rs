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
                let Some(series) = index.get(series) else { continue };
                if let Some(device) = series.labels.get("device") {
                    devices.insert((agent, device.to_owned()));
                }
            }
            Ok(devices)
        })
    }
}
