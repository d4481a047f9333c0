//! What a connection is told before it is opened.

use std::fmt;
use std::time::Duration;

use crate::error::Peer;
use crate::event::Message;
use crate::io::tls::Tls;

/// How to reach a broker, as whom, and what to hear.
#[derive(Clone)]
pub struct Options {
    /// Name or address of the broker.
    pub host: String,
    /// Its port: 1883, or 8883 with TLS, by convention.
    pub port: u16,
    /// Other addresses of the same broker: nodes of a cluster, on which whatever is published to one
    /// is heard at all. Each failure goes on to the next address, and from the last to the first.
    pub others: Vec<Peer>,
    /// What is spoken. There is no falling back: a broker that is down, or an attacker in between,
    /// must not talk us out of what MQTT 5 reports.
    pub version: Version,
    /// TLS, when the broker wants it.
    pub tls: Option<Tls>,
    /// Who we are. Two connections with one client id throw each other off.
    pub client_id: String,
    /// User name, if any.
    pub username: Option<String>,
    /// Password, if any. Not sent without a user name.
    pub password: Option<String>,
    /// A silent peer is noticed after one and a half times this; in whole seconds, at least one.
    pub keep_alive: Duration,
    /// Whether the broker shall forget the session of an earlier connection.
    pub clean_start: bool,
    /// How long the broker keeps the session after a disconnect; in whole seconds. In MQTT 3.1.1 the
    /// broker decides how long, and keeps one only if this is above 0 and `clean_start` false.
    pub session_expiry: Duration,
    /// What the broker publishes for us when we vanish.
    pub will: Option<Message>,
    /// The largest packet taken from the broker, in bytes. A broker that sends a larger one breaks
    /// the protocol and is disconnected; in MQTT 3.1.1 it cannot know, and the message is passed over.
    pub max_packet_bytes: u32,
    /// How many messages the broker may have on the way to us unacknowledged; at least 1. Not known
    /// in MQTT 3.1.1, where only TCP holds the broker back.
    pub receive_maximum: u16,
    /// Topic filters, subscribed at every connect, with QoS 1, or QoS 0 where there are `others`;
    /// those that are refused, again after a pause of a second, that doubles up to a minute.
    pub subscriptions: Vec<String>,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// How many messages may wait in each direction.
    pub queue: usize,
    /// How long to wait for the TCP connection, the TLS handshake and the CONNACK, each.
    pub connect_timeout: Duration,
    /// A broker that does not acknowledge a message or a subscription for so long is taken for stuck,
    /// and left.
    pub ack_timeout: Duration,
    /// A broker that delivers no message for so long is left; none: it may be quiet for ever. For
    /// clusters, where a subscription can die with the node that kept it while the connection, to
    /// another node, looks well.
    pub silence: Option<Duration>,
}

/// A good [`Options::silence`] for a connection that hears something every few seconds.
pub const CLUSTER_SILENCE: Duration = Duration::from_secs(30);

impl Options {
    /// A plain connection to `host:port` as `client_id`; everything else as it is best for a
    /// journal with acknowledgements above: clean start, no session, 10 s keep-alive, 1 MiB
    /// packets and a little more, a queue of 1,024.
    #[must_use]
    pub fn new(host: &str, port: u16, client_id: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            others: Vec::new(),
            version: Version::default(),
            tls: None,
            client_id: client_id.to_owned(),
            username: None,
            password: None,
            keep_alive: Duration::from_secs(10),
            clean_start: true,
            session_expiry: Duration::ZERO,
            will: None,
            max_packet_bytes: (1 << 20) + (1 << 16),
            receive_maximum: 256,
            subscriptions: Vec::new(),
            backoff: Backoff::default(),
            queue: 1024,
            connect_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(30),
            silence: None,
        }
    }

    /// What to subscribe with. For QoS 1 a NATS cluster makes a replicated queue with an elected
    /// leader out of each subscription. One that is made while a node is down is not always copied to
    /// that node when it is back, so that the loss of another one ends it, and a queue without a
    /// leader delays each CONNECT of its client by seconds. QoS 0 needs no queue. Nothing is lost by
    /// it: what matters is acknowledged above, and said again until it is. A sensor's reading on its
    /// way when a node dies is lost with either, as no session outlives its connection.
    pub(crate) fn subscription_qos(&self) -> Qos {
        if self.others.is_empty() { Qos::AtLeastOnce } else { Qos::AtMostOnce }
    }
}

/// What a broker promises of what it delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qos {
    AtMostOnce,
    AtLeastOnce,
}

/// A version of MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// MQTT 5: reasons for refusals, limits of both sides.
    #[default]
    V5,
    /// MQTT 3.1.1, for brokers that know nothing newer. Nothing is lost by it, but refusals are not
    /// explained.
    V311,
}

impl Version {
    /// The name of each version, as it is written in configurations.
    pub const ALL: [(&'static str, Self); 2] = [("5", Self::V5), ("3.1.1", Self::V311)];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::V5 => Self::V311,
            Self::V311 => Self::V5,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, version)| version == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("others", &self.others)
            .field("version", &self.version)
            .field("tls", &self.tls.is_some())
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}

/// The pauses between attempts to connect: they double from `first` to `most`; each is shortened
/// by up to half, differently for each client, so that a site does not reconnect as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause is longer.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), most: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_asked_for_no_queues() {
        let one = Options::new("192.0.2.21", 1883, "c-1");
        assert_eq!(one.subscription_qos(), Qos::AtLeastOnce);
        let others = vec![Peer { host: "192.0.2.22".into(), port: 1883 }];
        assert_eq!(Options { others, ..one }.subscription_qos(), Qos::AtMostOnce);
    }
}
