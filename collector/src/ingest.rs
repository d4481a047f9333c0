//! What a message from the broker is: a pure decision, so that it can be tested without one.
//!
//! Who speaks is told by the topic, which the broker allows to that agent alone, never by the
//! payload. What is refused is counted by reason, and logged at most once a minute for each reason
//! and agent: a broken agent must not fill the disk with log lines.

mod holder;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use hallwatch_model::wire::{self, MAX_MESSAGE_BYTES};
use hallwatch_model::{AgentPath, Describe, Id, Status, Timestamp, Topic, TopicKind, WireError};

use crate::store::Incoming;
use holder::Holder;

/// How often the same refusal of the same agent is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The agents that are expected, by tenant and site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry(BTreeMap<Id, BTreeMap<Id, BTreeSet<Id>>>);

impl Registry {
    /// Whether this agent is expected.
    ///
    /// # Errors
    /// The first part of its name that is not known.
    pub fn check(&self, path: &AgentPath) -> Result<(), Reason> {
        let sites = self.0.get(&path.tenant).ok_or(Reason::UnknownTenant)?;
        let agents = sites.get(&path.site).ok_or(Reason::UnknownSite)?;
        agents.get(&path.agent).map(|_| ()).ok_or(Reason::UnknownAgent)
    }

    /// All agents, sorted.
    pub fn agents(&self) -> impl Iterator<Item = AgentPath> {
        self.0.iter().flat_map(|(tenant, sites)| {
            sites.iter().flat_map(move |(site, agents)| {
                agents.iter().map(move |agent| AgentPath {
                    tenant: tenant.clone(),
                    site: site.clone(),
                    agent: agent.clone(),
                })
            })
        })
    }
}

impl FromIterator<AgentPath> for Registry {
    fn from_iter<I: IntoIterator<Item = AgentPath>>(agents: I) -> Self {
        let mut registry = Self::default();
        for AgentPath { tenant, site, agent } in agents {
            registry.0.entry(tenant).or_default().entry(site).or_default().insert(agent);
        }
        registry
    }
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not a topic on which agents speak.
    Topic,
    /// The tenant is not configured.
    UnknownTenant,
    /// The tenant has no such site.
    UnknownSite,
    /// The site has no such agent.
    UnknownAgent,
    /// More than [`MAX_MESSAGE_BYTES`].
    Oversized,
    /// Nothing in it: somebody has cleared a retained message.
    Empty,
    /// Of a version of the wire format that is not spoken here.
    Version,
    /// Not what the topic says, or beyond a limit.
    Malformed,
    /// A part of a dictionary under the number of another part.
    Part,
    /// A batch that the broker kept: of unknown age, and never sent so by an agent.
    Retained,
    /// Of a second agent that uses the name of another one.
    SecondAgent,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Topic,
        Self::UnknownTenant,
        Self::UnknownSite,
        Self::UnknownAgent,
        Self::Oversized,
        Self::Empty,
        Self::Version,
        Self::Malformed,
        Self::Part,
        Self::Retained,
        Self::SecondAgent,
    ];

    /// Whether the name of who spoke is not in the configuration.
    #[must_use]
    pub fn is_stranger(self) -> bool {
        matches!(self, Self::UnknownTenant | Self::UnknownSite | Self::UnknownAgent)
    }

    /// The word for labels, such as `unknown_agent`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::UnknownTenant => "unknown_tenant",
            Self::UnknownSite => "unknown_site",
            Self::UnknownAgent => "unknown_agent",
            Self::Oversized => "oversized",
            Self::Empty => "empty",
            Self::Version => "version",
            Self::Malformed => "malformed",
            Self::Part => "part",
            Self::Retained => "retained",
            Self::SecondAgent => "second_agent",
        }
    }
}

/// What a message is.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// A part of an agent's dictionary.
    Describe(AgentPath, Describe),
    /// A batch, to be stored and acknowledged.
    Batch(Incoming),
    /// How an agent is.
    Status(AgentPath, Status),
    /// Nothing to be used.
    Refused {
        /// Why.
        reason: Reason,
        /// From whom, if the topic is one of Hallwatch's.
        agent: Option<AgentPath>,
        /// What the decoder found.
        error: Option<WireError>,
        /// Whether to log it: not when the same was logged just before.
        log: bool,
    },
}

/// Turns messages into decisions.
#[derive(Debug)]
pub struct Ingest {
    registry: Registry,
    refused: BTreeMap<Reason, u64>,
    holders: HashMap<AgentPath, Holder>,
    /// When a refusal was last logged. Agents that are not expected share one entry for a reason,
    /// so that this cannot grow by made-up names.
    logged: HashMap<(Reason, Option<AgentPath>), Timestamp>,
}

impl Ingest {
    /// For these agents.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        let refused = Reason::ALL.into_iter().map(|reason| (reason, 0)).collect();
        Self { registry, refused, holders: HashMap::new(), logged: HashMap::new() }
    }

    /// The agents that are expected.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How many messages were refused, by reason; every reason is there.
    pub fn refused(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.refused.iter().map(|(reason, count)| (*reason, *count))
    }

    /// Whether two agents use this name.
    #[must_use]
    pub fn is_conflict(&self, agent: &AgentPath, now: Timestamp) -> bool {
        self.holders.get(agent).is_some_and(|holder| holder.is_conflict(now))
    }

    /// Whether to listen to the run `sender` of an agent that is expected.
    fn hears(&mut self, agent: &AgentPath, sender: u64, now: Timestamp) -> bool {
        self.holders.entry(agent.clone()).or_default().hears(sender, now)
    }

    /// Decides what the message is that came at `now`.
    pub fn handle(
        &mut self,
        topic: &str,
        payload: &[u8],
        retained: bool,
        now: Timestamp,
    ) -> Decision {
        let Some(Topic { agent, kind }) = Topic::parse(topic) else {
            return self.refuse(Reason::Topic, None, None, now);
        };
        match self.read(&agent, &kind, payload, retained, now) {
            // A goodbye and a last will say nothing about who is alive.
            Ok(Decision::Status(agent, status))
                if !retained && status.online && !self.hears(&agent, status.boot, now) =>
            {
                self.refuse(Reason::SecondAgent, Some(agent), None, now)
            }
            Ok(Decision::Batch(incoming))
                if !self.hears(&incoming.agent, incoming.batch.sent_by(), now) =>
            {
                self.refuse(Reason::SecondAgent, Some(incoming.agent), None, now)
            }
            Ok(decision) => decision,
            Err((reason, error)) => self.refuse(reason, Some(agent), error, now),
        }
    }

    fn read(
        &self,
        agent: &AgentPath,
        kind: &TopicKind,
        payload: &[u8],
        retained: bool,
        now: Timestamp,
    ) -> Result<Decision, (Reason, Option<WireError>)> {
        let refuse = |reason| (reason, None);
        self.registry.check(agent).map_err(refuse)?;
        if payload.len() > MAX_MESSAGE_BYTES {
            return Err(refuse(Reason::Oversized));
        }
        if payload.is_empty() {
            return Err(refuse(Reason::Empty));
        }
        match kind {
            TopicKind::Describe(part) => {
                let describe = wire::decode_describe(payload).map_err(unreadable)?;
                if describe.part != *part {
                    return Err(refuse(Reason::Part));
                }
                Ok(Decision::Describe(agent.clone(), describe))
            }
            TopicKind::Data if retained => Err(refuse(Reason::Retained)),
            TopicKind::Data => {
                let batch = wire::decode_batch(payload).map_err(unreadable)?;
                Ok(Decision::Batch(Incoming { agent: agent.clone(), batch, received: now }))
            }
            TopicKind::Status => {
                let status = wire::decode_status(payload).map_err(unreadable)?;
                Ok(Decision::Status(agent.clone(), status))
            }
            TopicKind::Ack(_) => Err(refuse(Reason::Topic)),
        }
    }

    fn refuse(
        &mut self,
        reason: Reason,
        agent: Option<AgentPath>,
        error: Option<WireError>,
        now: Timestamp,
    ) -> Decision {
        *self.refused.entry(reason).or_default() += 1;
        let known = agent.clone().filter(|agent| self.registry.check(agent).is_ok());
        let last = self.logged.entry((reason, known)).or_insert(Timestamp::MIN);
        // After a step backwards of the clock it is logged, too.
        let log = *last > now || now.since(*last) >= LOG_INTERVAL;
        if log {
            *last = now;
        }
        Decision::Refused { reason, agent, error, log }
    }
}

fn unreadable(error: WireError) -> (Reason, Option<WireError>) {
    let reason = match &error {
        WireError::TooLarge { .. } => Reason::Oversized,
        WireError::Version { .. } => Reason::Version,
        _ => Reason::Malformed,
    };
    (reason, Some(error))
}
