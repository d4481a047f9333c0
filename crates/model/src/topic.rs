//! The MQTT topics: `hallwatch/v1/<tenant>/<site>/<agent>/…`.

use std::fmt;

use crate::id::{AgentPath, Id};

/// What all topics begin with.
pub const ROOT: &str = "hallwatch/v1";

/// Where a message belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The agent that speaks, or that is spoken to.
    pub agent: AgentPath,
    /// What the message is.
    pub kind: TopicKind,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKind {
    /// `describe/<part>`: a part of the dictionary; retained.
    Describe(u32),
    /// `data`: a batch.
    Data,
    /// `status`: the agent's state; retained, last will.
    Status,
    /// `ack/<collector>`: what a collector has on disk.
    Ack(Id),
}

impl Topic {
    /// Reads a topic; `None` when it is not one of Hallwatch's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(ROOT)?.strip_prefix('/')?.split('/');
        let mut id = || Id::new(parts.next()?).ok();
        let agent = AgentPath { tenant: id()?, site: id()?, agent: id()? };
        let kind = match (parts.next()?, parts.next(), parts.next()) {
            ("describe", Some(part), None) => TopicKind::Describe(part.parse().ok()?),
            ("data", None, None) => TopicKind::Data,
            ("status", None, None) => TopicKind::Status,
            ("ack", Some(collector), None) => TopicKind::Ack(Id::new(collector).ok()?),
            _ => return None,
        };
        Some(Self { agent, kind })
    }

    /// The filters under which a collector hears all agents.
    #[must_use]
    pub fn collector_filters() -> [String; 3] {
        ["describe/+", "data", "status"].map(|kind| format!("{ROOT}/+/+/+/{kind}"))
    }

    /// The filter under which an agent hears all its collectors.
    #[must_use]
    pub fn ack_filter(agent: &AgentPath) -> String {
        format!("{ROOT}/{agent}/ack/+")
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ROOT}/{}/", self.agent)?;
        match &self.kind {
            TopicKind::Describe(part) => write!(f, "describe/{part}"),
            TopicKind::Data => f.write_str("data"),
            TopicKind::Status => f.write_str("status"),
            TopicKind::Ack(collector) => write!(f, "ack/{collector}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back_and_nothing_else_is_read() {
        for text in [
            "hallwatch/v1/acme/fra-1/gw-1/describe/0",
            "hallwatch/v1/acme/fra-1/gw-1/data",
            "hallwatch/v1/acme/fra-1/gw-1/status",
            "hallwatch/v1/acme/fra-1/gw-1/ack/c-1",
        ] {
            assert_eq!(Topic::parse(text).map(|t| t.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "hallwatch/v1",
            "hallwatch/v2/acme/fra-1/gw-1/data",
            "hallwatch/v1/acme/fra-1/gw-1",
            "hallwatch/v1/acme/fra-1/gw-1/data/x",
            "hallwatch/v1/acme/fra-1//data",
            "hallwatch/v1/acme/fra-1/GW/data",
            "hallwatch/v1/acme/fra-1/gw-1/describe/x",
            "hallwatch/v1/acme/fra-1/gw-1/ack/",
            "hallwatch/v1x/acme/fra-1/gw-1/data",
        ] {
            assert_eq!(Topic::parse(text), None, "{text:?}");
        }
    }
}
