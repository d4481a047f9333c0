//! Keeps from paging what only follows from an alert that fires already.
//!
//! An alert is suppressed while its *cause* fires: an alert of the same site that explains it by the
//! topology. What a rule's alerts have to do with the topology, the rule says in its annotation
//! `topology`; see [`Part`]. Without it an alert neither causes nor follows, except that the
//! consequences of an agent or device that is offline (missed turns, errors, gaps, a `no_data: fire`)
//! need none. Which agent reads a device is learnt from what the agents send: of several at a site an
//! agent that is offline explains the silence of its own devices only.
//!
//! In doubt an alert pages: when a path that does not go through the cause is not known to be dead,
//! when the cause is held (nobody knows whether it still is one), when it rests on values that were
//! measured although the device is said to be offline, and always when it is about smoke or water.
//!
//! When the cause ends and the alert remains, another cause may explain it. If none does for
//! [`Suppressor::new`]'s `escalate_after`, it is told of as if it had just begun.
//!
//! Reading order: here who is told of what; `explain` (what follows from what).

mod explain;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{AgentPath, Id, Labels, Timestamp};

use super::plan::Plan;
use crate::notify::NotifiedAlert;
use crate::rules::{Alert, AlertState, Transition};
use explain::{Dead, Follower, by_agent};

/// What alerts of a rule have to do with the topology, by the annotation `topology`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `agent offline`: nothing is heard of what the agent (label `agent`) reads.
    AgentOffline,
    /// `device offline`: nothing is read of the device (label `device`).
    DeviceOffline,
    /// `no output`: the node of the power path, or the cooling unit (label `device`), gives nothing.
    NoOutput,
    /// `no input`: the node of the power path (label `device`) gets nothing.
    NoInput,
    /// `lost redundancy`: it follows from the failure of the node that the label `node` names.
    LostRedundancy,
}

impl Part {
    const WORDS: [(&'static str, Self); 5] = [
        ("agent offline", Self::AgentOffline),
        ("device offline", Self::DeviceOffline),
        ("no output", Self::NoOutput),
        ("no input", Self::NoInput),
        ("lost redundancy", Self::LostRedundancy),
    ];

    fn of(alert: &Alert) -> Option<Self> {
        let (_, text) = alert.annotations.iter().find(|(name, _)| &**name == "topology")?;
        Self::WORDS.iter().find(|(word, _)| word == text).map(|(_, part)| *part)
    }
}

/// Alerts whose expressions read these are never suppressed, whatever the topology says: they are
/// about people.
const LIFE_SAFETY: [&str; 2] = ["environment_smoke", "environment_leak"];

/// An alert that is kept from paging.
#[derive(Clone, Debug, PartialEq)]
pub struct Suppressed {
    /// What would have been told.
    pub alert: NotifiedAlert,
    /// The labels of the alert that explains it.
    pub cause: Labels,
    /// Since when that fires no longer, or nobody knows whether it does; `None` while it fires.
    pub cause_ended: Option<Timestamp>,
    /// It says nothing but that readings are missing.
    pub of_absence: bool,
}

/// What is known of an alert that fires and may be a cause.
#[derive(Clone, Debug)]
struct Cause {
    part: Part,
    fired_at: Timestamp,
    held: bool,
}

type Site = (String, String);

/// Of the agents that have sent something of a device the one whose values are the newest, and how new
/// they are.
#[derive(Debug)]
struct ReadBy {
    agent: Id,
    until: Timestamp,
}

/// Decides which alerts are told of.
#[derive(Debug)]
pub struct Suppressor {
    plans: BTreeMap<Site, Arc<Plan>>,
    escalate_after: Duration,
    external_url: String,
    causes: BTreeMap<Site, BTreeMap<Labels, Cause>>,
    /// Who reads each device of a site.
    devices: BTreeMap<Site, HashMap<String, ReadBy>>,
    suppressed: BTreeMap<Labels, Entry>,
    /// Causes are others than when the suppressed alerts were looked at last.
    others: bool,
    changed: bool,
}

/// A suppressed alert, and what decides whether another cause explains it.
#[derive(Clone, Debug)]
struct Entry {
    suppressed: Suppressed,
    follower: Follower,
}

impl Suppressor {
    /// Goes on with the alerts that fire (`active`) and those of them that were suppressed.
    #[must_use]
    pub fn new<'a>(
        plans: impl IntoIterator<Item = Arc<Plan>>,
        escalate_after: Duration,
        external_url: &str,
        active: impl IntoIterator<Item = &'a Alert>,
        saved: Vec<Suppressed>,
    ) -> Self {
        let plans =
            plans.into_iter().map(|plan| ((plan.tenant.to_string(), plan.site.to_string()), plan));
        let mut suppressor = Self {
            plans: plans.collect(),
            escalate_after,
            external_url: external_url.to_owned(),
            causes: BTreeMap::new(),
            devices: BTreeMap::new(),
            suppressed: BTreeMap::new(),
            others: true,
            changed: false,
        };
        let mut saved: BTreeMap<Labels, Suppressed> =
            saved.into_iter().map(|one| (one.alert.labels.clone(), one)).collect();
        for alert in active {
            if alert.state != AlertState::Firing {
                continue;
            }
            suppressor.note(alert);
            if let Some(suppressed) = saved.remove(&alert.labels) {
                let of_absence = suppressed.of_absence;
                let (labels, part) = (alert.labels.clone(), Part::of(alert));
                let follower = Follower { labels, part, of_absence };
                let entry = Entry { suppressed, follower };
                suppressor.suppressed.insert(alert.labels.clone(), entry);
            }
        }
        // What is left ended while nobody ran.
        suppressor.changed = !saved.is_empty();
        suppressor
    }

    /// An agent has sent a value of a device that was read at `time`. When two read the same device,
    /// the one with the newer values counts: while it sends, the other's end explains nothing.
    pub fn read(&mut self, agent: &AgentPath, device: &str, time: Timestamp) {
        let site = (agent.tenant.to_string(), agent.site.to_string());
        let devices = self.devices.entry(site).or_default();
        match devices.get_mut(device) {
            Some(known) if known.until > time => {}
            Some(known) if known.agent == agent.agent => known.until = time,
            Some(known) => {
                *known = ReadBy { agent: agent.agent.clone(), until: time };
                self.others = true;
            }
            None => {
                let by = ReadBy { agent: agent.agent.clone(), until: time };
                devices.insert(device.to_owned(), by);
                self.others = true;
            }
        }
    }

    /// The agents have described themselves in an earlier run so that each of these devices was read by
    /// this agent. A device that several name is nobody's until one of them sends something of it; the
    /// others are given back.
    pub fn described<'a>(
        &mut self,
        devices: impl IntoIterator<Item = (&'a AgentPath, &'a str)>,
    ) -> Vec<(AgentPath, String)> {
        let mut by: BTreeMap<(&str, &str, &str), (&AgentPath, bool)> = BTreeMap::new();
        for (agent, device) in devices {
            let key = (agent.tenant.as_str(), agent.site.as_str(), device);
            by.entry(key)
                .and_modify(|(first, alone)| *alone &= *first == agent)
                .or_insert((agent, true));
        }
        let alone = by.into_iter().filter(|(_, (_, alone))| *alone);
        let alone = alone.map(|((_, _, device), (agent, _))| (agent.clone(), device.to_owned()));
        let alone: Vec<(AgentPath, String)> = alone.collect();
        for (agent, device) in &alone {
            self.read(agent, device, Timestamp::MIN);
        }
        alone
    }

    /// Takes changes in, and says what is told of now: what is not suppressed, and what is no longer.
    pub fn handle(&mut self, transitions: &[Transition], now: Timestamp) -> Vec<NotifiedAlert> {
        // All causes first: what begins with its cause may stand before it.
        for transition in transitions {
            self.note(&transition.alert);
        }
        let mut told = Vec::new();
        for transition in transitions {
            let found = NotifiedAlert::from_transition(transition, &self.external_url);
            let Some(alert) = found else { continue };
            if alert.ends_at.is_some() {
                match self.suppressed.remove(&alert.labels) {
                    // Nobody was told that it began.
                    Some(_) => self.changed = true,
                    None => told.push(alert),
                }
                continue;
            }
            let follower = Follower::new(&transition.alert, &transition.reason);
            let life = LIFE_SAFETY.iter().any(|metric| transition.query.contains(metric));
            match self.cause(&follower).filter(|_| !life) {
                Some(cause) => {
                    self.changed = true;
                    let of_absence = follower.of_absence;
                    let suppressed = Suppressed { alert, cause, cause_ended: None, of_absence };
                    self.suppressed.insert(follower.labels.clone(), Entry { suppressed, follower });
                }
                None => told.push(alert),
            }
        }
        told.extend(self.escalate(now));
        told
    }

    /// What was suppressed, has no cause any more, and has remained for too long.
    fn escalate(&mut self, now: Timestamp) -> Vec<NotifiedAlert> {
        let (mut told, mut gone) = (Vec::new(), Vec::new());
        let mut entries = std::mem::take(&mut self.suppressed);
        for (labels, entry) in &mut entries {
            let Suppressed { alert, cause, cause_ended, .. } = &mut entry.suppressed;
            let found = if self.others {
                let same = self.causes_of(&entry.follower).any(|found| found == cause);
                if same { Some(cause.clone()) } else { self.cause(&entry.follower) }
            } else {
                cause_ended.is_none().then(|| cause.clone())
            };
            match (found, *cause_ended) {
                (Some(found), ended) => {
                    self.changed |= found != *cause || ended.is_some();
                    (*cause, *cause_ended) = (found, None);
                }
                // A clock that was set back must not keep it for long.
                (None, ended) if ended.is_none_or(|ended| ended > now) => {
                    self.changed = true;
                    *cause_ended = Some(now);
                }
                (None, _) => {}
            }
            if cause_ended.is_some_and(|ended| now.since(ended) >= self.escalate_after) {
                told.push(alert.clone());
                gone.push(labels.clone());
            }
        }
        self.others = false;
        self.changed |= !gone.is_empty();
        gone.iter().for_each(|labels| drop(entries.remove(labels)));
        self.suppressed = entries;
        told
    }

    /// Remembers an alert that fires, when it may be a cause; forgets one that does not.
    fn note(&mut self, alert: &Alert) {
        let Some(part) = Part::of(alert) else { return };
        self.others = true;
        let label = |name| alert.labels.get(name).unwrap_or_default().to_owned();
        let site = (label("tenant"), label("site"));
        if alert.state == AlertState::Firing {
            let fired_at = alert.fired_at.unwrap_or(alert.active_at);
            let cause = Cause { part, fired_at, held: alert.held.is_some() };
            self.causes.entry(site).or_default().insert(alert.labels.clone(), cause);
        } else if let Some(causes) = self.causes.get_mut(&site) {
            causes.remove(&alert.labels);
            if causes.is_empty() {
                self.causes.remove(&site);
            }
        }
    }

    /// The alert that explains this one: of several, the one that fired first.
    fn cause(&self, follower: &Follower) -> Option<Labels> {
        let causes = self.causes_of(follower);
        let fired_at = |labels: &&Labels| {
            let site = self.causes.get(&site_of(labels))?;
            site.get(*labels).map(|cause| cause.fired_at)
        };
        causes.min_by_key(fired_at).cloned()
    }

    /// All alerts that explain this one.
    fn causes_of<'s>(&'s self, follower: &'s Follower) -> impl Iterator<Item = &'s Labels> {
        let site = site_of(&follower.labels);
        let plan = self.plans.get(&site);
        let causes = self.causes.get(&site);
        let read_by = follower
            .label("device")
            .and_then(|device| self.devices.get(&site)?.get(device))
            .map(|read_by| &read_by.agent)
            .or_else(|| plan.and_then(|plan| plan.agent.as_ref()));
        let power = causes.zip(plan).map(|(causes, plan)| Dead::new(causes, plan));
        let certain = causes.into_iter().flatten().filter(|(_, cause)| !cause.held);
        let others = certain.filter(|(labels, _)| **labels != follower.labels);
        others
            .filter(move |(labels, cause)| {
                let power = power.as_ref();
                match cause.part {
                    Part::AgentOffline => by_agent(follower, labels, read_by),
                    Part::DeviceOffline => {
                        follower.of_absence
                            && !matches!(
                                follower.part,
                                Some(Part::AgentOffline | Part::DeviceOffline)
                            )
                            && follower.label("device").is_some()
                            && follower.label("device") == labels.get("device")
                    }
                    // A rack may have lost its path at the PDU itself.
                    Part::NoOutput | Part::NoInput
                        if follower.part == Some(Part::LostRedundancy) =>
                    {
                        follower.label("node").is_some()
                            && follower.label("node") == labels.get("device")
                    }
                    Part::NoOutput => power.is_some_and(|power| power.explains(follower, labels)),
                    Part::NoInput => false,
                    Part::LostRedundancy => false,
                }
            })
            .map(|(labels, _)| labels)
    }

    /// Whether an alert is suppressed, and by which.
    #[must_use]
    pub fn suppressed_by(&self, labels: &Labels) -> Option<&Labels> {
        self.suppressed.get(labels).map(|entry| &entry.suppressed.cause)
    }

    /// How many alerts are suppressed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.suppressed.len()
    }

    /// Whether there is anything to save since [`saved`](Self::saved).
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// What [`save`](Self::save) gave is on the disk.
    pub fn saved(&mut self) {
        self.changed = false;
    }

    /// Everything that must survive a restart.
    #[must_use]
    pub fn save(&self) -> Vec<Suppressed> {
        self.suppressed.values().map(|entry| entry.suppressed.clone()).collect()
    }
}

fn site_of(labels: &Labels) -> Site {
    let label = |name| labels.get(name).unwrap_or_default().to_owned();
    (label("tenant"), label("site"))
}
