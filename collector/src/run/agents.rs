//! What is known of the agents: the collector's own series about them, and their lines on the page.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{AgentPath, Labels, Sample, Status, Timestamp};

use crate::page::Agent;

/// An agent sends about once a second. Without data for so long it is taken for gone.
const SILENCE: Duration = Duration::from_secs(15);
/// A status without a batch counts for so long: at the first start an agent may have nothing to say.
const STATUS_COUNTS: Duration = Duration::from_secs(60);
/// What moves slowly is written so often, and whenever the agent says it anew.
const SLOW: Duration = Duration::from_secs(15);

/// All agents that the configuration names.
#[derive(Debug)]
pub(super) struct Agents {
    agents: BTreeMap<AgentPath, Known>,
    started: Timestamp,
}

#[derive(Clone, Debug, Default)]
struct Known {
    status: Option<Status>,
    /// When the status came, unless the broker had kept it.
    heard: Option<Timestamp>,
    /// When the last batch came.
    data: Option<Timestamp>,
    watermark: Option<Timestamp>,
    /// The agent's clock less ours, in seconds.
    offset: Option<f64>,
    /// When what moves slowly was written; `None` when there is something new.
    slow: Option<Timestamp>,
}

impl Agents {
    pub(super) fn new(agents: impl IntoIterator<Item = AgentPath>, started: Timestamp) -> Self {
        let agents = agents.into_iter().map(|path| (path, Known::default())).collect();
        Self { agents, started }
    }

    /// An agent said how it is. What the broker had `retained` may be of yesterday: it tells
    /// nothing about the agent's clock, nor that it is alive.
    pub(super) fn status(
        &mut self,
        agent: &AgentPath,
        status: Status,
        retained: bool,
        now: Timestamp,
    ) {
        let Some(known) = self.agents.get_mut(agent) else { return };
        if !retained {
            known.heard = Some(now);
            // The last will was written when the connection was made.
            if status.online {
                let gateway = status.sent.moved(status.clock_offset);
                known.offset = Some(gateway.as_seconds() - now.as_seconds());
            }
        }
        known.status = Some(status);
        known.slow = None;
    }

    /// A batch of an agent came.
    pub(super) fn data(&mut self, agent: &AgentPath, watermark: Timestamp, now: Timestamp) {
        let Some(known) = self.agents.get_mut(agent) else { return };
        known.data = Some(now);
        known.watermark = Some(known.watermark.map_or(watermark, |had| had.max(watermark)));
    }

    /// The collector's own series about its agents. Nothing about one that was never heard, until
    /// it had time to speak up.
    pub(super) fn samples(
        &mut self,
        now: Timestamp,
        conflict: impl Fn(&AgentPath) -> bool,
    ) -> Vec<(Labels, Sample)> {
        let mut samples = Vec::new();
        let started = self.started;
        for (path, known) in &mut self.agents {
            let mut push = |metric: &str, value: f64| {
                let labels = [
                    ("tenant", path.tenant.as_str()),
                    ("site", path.site.as_str()),
                    ("agent", path.agent.as_str()),
                ];
                let sample = Sample { time: now, value: Ok(value) };
                samples.push((Labels::metric(metric, labels), sample));
            };
            if let Some(up) = known.up(started, now) {
                push("agent_up", f64::from(u8::from(up)));
            }
            if let Some(offset) = known.offset {
                push("agent_clock_offset_seconds", offset);
            }
            if let Some(watermark) = known.watermark {
                push("agent_watermark_seconds", watermark.as_seconds());
            }
            if let Some(status) = &known.status {
                push("agent_journal_backlog", to_float(status.backlog));
                push("agent_journal_bytes", to_float(status.journal_bytes));
                push("agent_journal_durable", f64::from(u8::from(status.durable)));
                push("agent_journal_written_bytes_total", to_float(status.written_bytes));
                push("agent_journal_readings_total", to_float(status.written_readings));
                push("agent_clock_steps_total", to_float(status.clock_steps));
                push("agent_clock_unset", f64::from(u8::from(status.clock_unset)));
                push("agent_identity_conflict", f64::from(u8::from(conflict(path))));
                let due = known.slow.is_none_or(|at| at > now || now.since(at) >= SLOW);
                if due {
                    known.slow = Some(now);
                    push("agent_broker_refusals_total", to_float(status.broker_refusals));
                    // A size of 0: nobody knows.
                    if status.disk_size > 0 {
                        push("agent_disk_free_bytes", to_float(status.disk_free));
                        push("agent_disk_size_bytes", to_float(status.disk_size));
                    }
                }
            }
        }
        samples
    }

    /// Whether each agent is heard; see [`Known::up`].
    pub(super) fn heard(&self, now: Timestamp) -> Vec<(AgentPath, Option<bool>)> {
        let up = |known: &Known| known.up(self.started, now);
        self.agents.iter().map(|(path, known)| (path.clone(), up(known))).collect()
    }

    /// The agents of a site, for the page.
    pub(super) fn of_site(&self, tenant: &str, site: &str, now: Timestamp) -> Vec<Agent> {
        let own = |path: &&AgentPath| path.tenant.as_str() == tenant && path.site.as_str() == site;
        self.agents
            .iter()
            .filter(|(path, _)| own(path))
            .map(|(path, known)| Agent {
                id: path.agent.to_string(),
                up: known.up(self.started, now),
                seen: known.data.map(Timestamp::as_millis),
                backlog: known.status.as_ref().map_or(0, |status| status.backlog),
            })
            .collect()
    }
}

impl Known {
    /// Connected, and sends. `None`: not heard yet, and the collector has only just `started`.
    fn up(&self, started: Timestamp, now: Timestamp) -> Option<bool> {
        let within = |time: Option<Timestamp>, most| time.is_some_and(|t| now.since(t) <= most);
        let says_offline = self.status.as_ref().is_some_and(|status| !status.online);
        let sends = within(self.data, SILENCE);
        let spoke = self.data.is_none() && within(self.heard, STATUS_COUNTS);
        if says_offline {
            return Some(false);
        }
        if sends || spoke {
            return Some(true);
        }
        (self.data.is_some() || now.since(started) > SILENCE).then_some(false)
    }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 nobody counts bytes")]
fn to_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Id;

    use super::*;

    fn path() -> AgentPath {
        let id = |text| Id::new(text).unwrap();
        AgentPath { tenant: id("acme"), site: id("fra-1"), agent: id("gw-1") }
    }

    fn status(online: bool, sent: i64) -> Status {
        Status {
            boot: 1,
            online,
            version: "0.1.0".into(),
            started: Timestamp::from_millis(0),
            sent: Timestamp::from_millis(sent),
            backlog: 3,
            journal_bytes: 4_096,
            durable: true,
            disk_free: 100,
            disk_size: 1_000,
            broker_refusals: 2,
            ..Status::default()
        }
    }

    fn up(agents: &mut Agents, now: i64) -> Option<f64> {
        let samples = agents.samples(Timestamp::from_millis(now), |_| false);
        let found = samples.iter().find(|(labels, _)| labels.name() == Some("agent_up"));
        found.and_then(|(_, sample)| sample.value.ok())
    }

    #[test]
    fn up_means_that_it_sends() {
        let at = Timestamp::from_millis;
        let mut agents = Agents::new([path()], at(0));
        assert_eq!(up(&mut agents, 1_000), None, "it had no time to speak up");
        assert_eq!(up(&mut agents, 15_001), Some(0.0), "it never did");
        agents.status(&path(), status(true, 0), true, at(16_000));
        assert_eq!(up(&mut agents, 16_000), Some(0.0), "what the broker kept proves nothing");
        agents.status(&path(), status(true, 17_500), false, at(17_000));
        assert_eq!(up(&mut agents, 18_000), Some(1.0), "it spoke, and may have nothing to send");
        agents.data(&path(), at(17_000), at(18_000));
        assert_eq!(up(&mut agents, 33_000), Some(1.0));
        assert_eq!(up(&mut agents, 33_001), Some(0.0), "it says it is there, but sends nothing");
        agents.data(&path(), at(40_000), at(40_000));
        assert_eq!(up(&mut agents, 40_001), Some(1.0));
        agents.status(&path(), status(false, 0), false, at(40_002));
        assert_eq!(up(&mut agents, 40_002), Some(0.0), "its last will");
    }

    #[test]
    fn its_own_words_become_series() {
        let at = Timestamp::from_millis;
        let mut agents = Agents::new([path()], at(0));
        agents.status(&path(), status(true, 17_500), false, at(17_000));
        agents.data(&path(), at(16_900), at(17_000));
        agents.data(&path(), at(16_000), at(17_100));
        let samples = agents.samples(at(18_000), |_| true);
        let shown: Vec<String> = samples
            .iter()
            .map(|(labels, sample)| format!("{} {:?}", labels.name().unwrap(), sample.value))
            .collect();
        assert_eq!(
            shown,
            [
                "agent_up Ok(1.0)",
                "agent_clock_offset_seconds Ok(0.5)",
                "agent_watermark_seconds Ok(16.9)",
                "agent_journal_backlog Ok(3.0)",
                "agent_journal_bytes Ok(4096.0)",
                "agent_journal_durable Ok(1.0)",
                "agent_journal_written_bytes_total Ok(0.0)",
                "agent_journal_readings_total Ok(0.0)",
                "agent_clock_steps_total Ok(0.0)",
                "agent_clock_unset Ok(0.0)",
                "agent_identity_conflict Ok(1.0)",
                "agent_broker_refusals_total Ok(2.0)",
                "agent_disk_free_bytes Ok(100.0)",
                "agent_disk_size_bytes Ok(1000.0)",
            ]
        );
        let slow = |agents: &mut Agents, now: i64| {
            let samples = agents.samples(at(now), |_| true);
            let free = |labels: &Labels| labels.name() == Some("agent_disk_free_bytes");
            samples.iter().any(|(labels, _)| free(labels))
        };
        assert!(!slow(&mut agents, 19_000) && slow(&mut agents, 33_000));
        agents.status(&path(), status(true, 17_500), false, at(33_100));
        assert!(slow(&mut agents, 34_000), "said anew");
        let wanted = r#"agent_up{agent="gw-1", site="fra-1", tenant="acme"}"#;
        assert_eq!(samples[0].0.to_string(), wanted);
    }
}
