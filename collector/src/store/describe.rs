//! Who is known: agents, their dictionaries, and the series that these name.

use std::collections::HashMap;

use hallwatch_model::{AgentPath, Describe, Labels};
use rusqlite::{Connection, params};

use super::commit::transact;
use super::dictionary::Agent;
use super::numbers::note_given;
use super::record::{sum_entry, write_labels};
use super::shared::{reading, writing};
use super::{Error, Store};

impl Store {
    /// Takes a part of an agent's dictionary; it is on disk when this returns. Series get the
    /// tenant and the site of the agent, whatever they say themselves.
    ///
    /// # Errors
    /// [`Error::TooManySeries`], or when it cannot be written.
    pub fn describe(&mut self, agent: &AgentPath, describe: &Describe) -> Result<(), Error> {
        self.check()?;
        let number = self.agent(agent)?;
        let known = self.agents.get(agent).and_then(|a| a.dictionaries.get(&describe.dictionary));
        let (mut created, mut entries) = (Created::after(self), Vec::new());
        for (id, labels) in &describe.series {
            let (tenant, site) = (agent.tenant.as_str(), agent.site.as_str());
            let labels = labels.with("tenant", tenant).with("site", site);
            let series = created.id(self, labels);
            if known.and_then(|known| known.get(id.0)) != Some(series) {
                entries.push((id.0, series));
            }
        }
        let most = self.options.most_series;
        if !created.new.is_empty() && reading(&self.shared.index).len() + created.new.len() > most {
            return Err(Error::TooManySeries { agent: agent.clone(), most });
        }
        if !entries.is_empty() || !created.new.is_empty() {
            let dictionary = describe.dictionary.cast_signed();
            let written = transact(&self.connection, |connection| {
                created.write(connection)?;
                let mut insert = connection.prepare_cached(
                    "INSERT OR REPLACE INTO dictionary (agent, dictionary, id, series, sum) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?;
                for (id, series) in &entries {
                    let sum = sum_entry(number, describe.dictionary, *id, *series);
                    insert.execute(params![number, dictionary, id, series, sum])?;
                }
                Ok(())
            });
            self.written(written.map_err(Error::write("keep a dictionary")))?;
            created.publish(self);
        }
        if let Some(known) = self.agents.get_mut(agent) {
            let dictionary = known.dictionaries.entry(describe.dictionary).or_default();
            for (id, series) in entries {
                dictionary.set(id, series);
            }
            known.described(describe.dictionary);
        }
        Ok(())
    }

    /// The number of an agent, who is made known when it is new.
    pub(super) fn agent(&mut self, path: &AgentPath) -> Result<i64, Error> {
        if let Some(known) = self.agents.get(path) {
            return Ok(known.id);
        }
        let inserted = self.connection.execute(
            "INSERT INTO agent (tenant, site, agent) VALUES (?1, ?2, ?3)",
            params![path.tenant.as_str(), path.site.as_str(), path.agent.as_str()],
        );
        self.written(inserted.map_err(Error::write("make an agent known")))?;
        let id = self.connection.last_insert_rowid();
        self.agents.insert(path.clone(), Agent::new(id));
        Ok(id)
    }
}

/// Series to be made.
#[derive(Debug)]
pub(super) struct Created {
    next: u32,
    ids: HashMap<Labels, u32>,
    new: Vec<(u32, Labels)>,
}

impl Created {
    pub(super) fn after(store: &Store) -> Self {
        let next = reading(&store.shared.index).next_id();
        Self { next, ids: HashMap::new(), new: Vec::new() }
    }

    /// The number of the series with these labels, a new one when there is none.
    pub(super) fn id(&mut self, store: &Store, labels: Labels) -> u32 {
        if let Some(id) = reading(&store.shared.index).id(&labels) {
            return id;
        }
        *self.ids.entry(labels).or_insert_with_key(|labels| {
            let id = self.next;
            self.next += 1;
            self.new.push((id, labels.clone()));
            id
        })
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT INTO series (id, labels) VALUES (?1, ?2)")?;
        for (id, labels) in &self.new {
            insert.execute(params![id, write_labels(*id, labels)])?;
        }
        self.new.last().map_or(Ok(()), |(highest, _)| note_given(connection, *highest))
    }

    pub(super) fn publish(self, store: &mut Store) {
        let series: Vec<_> = {
            let mut index = writing(&store.shared.index);
            let insert = |(id, labels): &(u32, Labels)| {
                index.insert(*id, labels.iter().map(|label| (&*label.name, &*label.value)))
            };
            self.new.iter().map(insert).collect()
        };
        for one in series {
            store.know(one);
        }
    }
}
