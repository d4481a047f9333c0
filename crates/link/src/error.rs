//! What can go wrong with a connection.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::event::{Message, reason};
use crate::options::Version;

/// The broker, as it was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no connection, or no longer.
#[derive(Debug, Error)]
pub enum Error {
    /// The name could not be resolved, or nobody listens.
    #[error("could not connect to the broker at {peer}")]
    Connect {
        /// The broker.
        peer: Peer,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The peer did not do something in time.
    #[error("the broker at {peer} gave no {what} within {after:?}")]
    Timeout {
        /// The broker.
        peer: Peer,
        /// What was waited for.
        what: &'static str,
        /// For how long.
        after: Duration,
    },
    /// The TLS handshake failed: certificate, name, version or alert.
    #[error("could not agree on TLS with the broker at {peer}")]
    Handshake {
        /// The broker.
        peer: Peer,
        /// What the TLS library said.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake went well, and then the broker hung up. In TLS 1.3 this is how a missing
    /// or unknown client certificate shows.
    #[error(
        "the broker at {peer} hung up right after the TLS handshake: it probably wants a client \
         certificate, or another one"
    )]
    Authentication {
        /// The broker.
        peer: Peer,
        /// What the TLS library said, if anything.
        #[source]
        source: Option<io::Error>,
    },
    /// The broker said that it does not speak our version of MQTT.
    #[error("the broker at {peer} does not speak MQTT {version}; try `version = \"{}\"`", version.other())]
    Version {
        /// The broker.
        peer: Peer,
        /// What we spoke.
        version: Version,
    },
    /// The broker hung up on our CONNECT without a word. Some do so when they do not speak our
    /// version of MQTT.
    #[error(
        "the broker at {peer} hung up on our CONNECT; if it does not speak MQTT {version}, try \
         `version = \"{}\"`", version.other()
    )]
    Unanswered {
        /// The broker.
        peer: Peer,
        /// What we spoke.
        version: Version,
        /// What the system said, if anything.
        #[source]
        source: Option<io::Error>,
    },
    /// The broker answered our CONNECT with a refusal.
    #[error("the broker at {peer} refused the connection: {} ({reason_code:#04x})", reason::text(*.reason_code))]
    Refused {
        /// The broker.
        peer: Peer,
        /// MQTT 5's reason code, whatever was spoken.
        reason_code: u8,
    },
    /// The broker said DISCONNECT.
    #[error("the broker at {peer} disconnected us: {} ({reason_code:#04x})", reason::text(*.reason_code))]
    Disconnected {
        /// The broker.
        peer: Peer,
        /// MQTT 5's reason code.
        reason_code: u8,
    },
    /// The broker closed the TCP connection without a word.
    #[error("the broker at {peer} closed the connection")]
    Hangup {
        /// The broker.
        peer: Peer,
    },
    /// Reading or writing failed.
    #[error("could not {what} the broker at {peer}")]
    Io {
        /// The broker.
        peer: Peer,
        /// `read from` or `write to`.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What came is not MQTT, or not as it was agreed.
    #[error("the broker at {peer} broke the protocol: {what}")]
    Protocol {
        /// The broker.
        peer: Peer,
        /// How.
        what: &'static str,
    },
    /// What came could not be decoded, or what was to be sent could not be encoded.
    #[error("a packet from or to the broker at {peer} is malformed")]
    Malformed {
        /// The broker.
        peer: Peer,
        /// What the codec said.
        #[source]
        source: CodecError,
    },
    /// A certificate or key file cannot be used.
    #[error("could not use {what} in {}", path.display())]
    TlsFile {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificates and key do not make a configuration.
    #[error("could not prepare TLS")]
    TlsConfig(#[source] rustls::Error),
}

impl Error {
    /// Whether the other side, or we, refused for who the other is: credentials, certificates,
    /// identities. A broker that is away, busy or of another version refuses nobody.
    #[must_use]
    pub fn is_refused_login(&self) -> bool {
        match self {
            Self::Authentication { .. } => true,
            // Other kinds are of the connection: it broke while the two agreed.
            Self::Handshake { source, .. } => source.kind() == io::ErrorKind::InvalidData,
            Self::Refused { reason_code, .. } | Self::Disconnected { reason_code, .. } => {
                reason::is_refused_login(*reason_code)
            }
            _ => false,
        }
    }
}

/// Bytes that are no packet, or a packet that cannot be written.
#[derive(Debug, Error)]
pub enum CodecError {
    /// Of MQTT 5.
    #[error(transparent)]
    V5(#[from] rumqttc::v5::mqttbytes::Error),
    /// Of MQTT 3.1.1.
    #[error(transparent)]
    V311(#[from] rumqttc::mqttbytes::Error),
}

/// The connection's task has ended; nothing can be published any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the connection is closed for good")]
pub struct Closed;

/// Why a message was not queued. It comes back.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum TryPublishError {
    /// The queue is full, for now.
    #[error("the queue to the broker is full")]
    Full(Message),
    /// The connection's task has ended.
    #[error("the connection is closed for good")]
    Closed(Message),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_is_told_from_what_fails() {
        let peer = || Peer { host: "broker".into(), port: 8883 };
        let io = |kind: io::ErrorKind| io::Error::from(kind);
        let refused = |reason_code| Error::Refused { peer: peer(), reason_code };
        let cases = [
            (refused(0x86), true, "bad password"),
            (refused(0x87), true, "not authorized"),
            (refused(0x85), true, "identifier"),
            (refused(0x8a), true, "banned"),
            (refused(0x88), false, "server unavailable"),
            (refused(0x84), false, "version"),
            (refused(0x9f), false, "too many connections"),
            (Error::Authentication { peer: peer(), source: None }, true, "no certificate"),
            (Error::Disconnected { peer: peer(), reason_code: 0x87 }, true, "not authorized later"),
            (Error::Disconnected { peer: peer(), reason_code: 0x8e }, false, "taken over"),
            (
                Error::Handshake { peer: peer(), source: io(io::ErrorKind::InvalidData) },
                true,
                "its certificate is not trusted",
            ),
            (
                Error::Handshake { peer: peer(), source: io(io::ErrorKind::UnexpectedEof) },
                false,
                "it stopped meanwhile",
            ),
            (
                Error::Connect { peer: peer(), source: io(io::ErrorKind::ConnectionRefused) },
                false,
                "nobody listens",
            ),
            (Error::Hangup { peer: peer() }, false, "it closed the connection"),
        ];
        for (error, wanted, case) in cases {
            assert_eq!(error.is_refused_login(), wanted, "{case}: {error}");
        }
    }
}
