//! From nothing to a broker that took us in.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::codec::{self, Decoder, Incoming, Limits};
use crate::error::{Error, Peer};
use crate::event::reason;
use crate::options::Options;

/// A byte stream to the broker, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection on which the broker said yes.
pub(crate) struct Accepted {
    pub(crate) stream: Box<dyn Stream>,
    /// What came after the CONNACK.
    pub(crate) rest: BytesMut,
    pub(crate) decoder: Decoder,
    pub(crate) session_present: bool,
    pub(crate) limits: Limits,
}

/// Connects to `peer`, agrees on TLS if wanted, says CONNECT and hears CONNACK.
pub(crate) async fn dial(options: &Options, peer: &Peer) -> Result<Accepted, Error> {
    let mut stream = stream(options, peer).await?;
    let mut out = BytesMut::new();
    let mut decoder = Decoder::new(options.version, options.max_packet_bytes);
    codec::connect(options, &mut out)
        .map_err(|source| Error::Malformed { peer: peer.clone(), source })?;
    let answer = within(options.connect_timeout, peer, "answer to our CONNECT", async {
        let ended = |source| early_end(options, peer, source);
        stream.write_all(&out).await.map_err(|e| ended(Some(e)))?;
        stream.flush().await.map_err(|e| ended(Some(e)))?;
        let mut buffer = BytesMut::with_capacity(1024);
        loop {
            let decoded = decoder
                .decode(&mut buffer)
                .map_err(|source| Error::Malformed { peer: peer.clone(), source })?;
            if let Some(packet) = decoded {
                return Ok((packet, buffer));
            }
            match stream.read_buf(&mut buffer).await {
                Ok(0) => return Err(ended(None)),
                Ok(_) => {}
                Err(source) => return Err(ended(Some(source))),
            }
        }
    });
    let (packet, rest) = answer.await?;
    match packet {
        Incoming::ConnAck { session_present, reason_code: 0, limits } => {
            Ok(Accepted { stream, rest, decoder, session_present, limits })
        }
        Incoming::ConnAck { reason_code: reason::UNSUPPORTED_VERSION, .. } => {
            Err(Error::Version { peer: peer.clone(), version: options.version })
        }
        Incoming::ConnAck { reason_code, .. } => {
            Err(Error::Refused { peer: peer.clone(), reason_code })
        }
        Incoming::Disconnect { reason_code } => {
            Err(Error::Disconnected { peer: peer.clone(), reason_code })
        }
        _ => Err(Error::Protocol {
            peer: peer.clone(),
            what: "it answered our CONNECT with something else than a CONNACK",
        }),
    }
}

async fn stream(options: &Options, peer: &Peer) -> Result<Box<dyn Stream>, Error> {
    let tcp = within(options.connect_timeout, peer, "TCP connection", async {
        TcpStream::connect((peer.host.as_str(), peer.port))
            .await
            .map_err(|source| Error::Connect { peer: peer.clone(), source })
    });
    let tcp = tcp.await?;
    tcp.set_nodelay(true).map_err(|source| Error::Connect { peer: peer.clone(), source })?;
    let Some(tls) = &options.tls else { return Ok(Box::new(tcp)) };
    let refuse = |source| Error::Handshake { peer: peer.clone(), source };
    let name = ServerName::try_from(peer.host.clone())
        .map_err(|error| refuse(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let connector = TlsConnector::from(tls.config.clone());
    let handshake = within(options.connect_timeout, peer, "TLS handshake", async {
        connector.connect(name, tcp).await.map_err(refuse)
    });
    Ok(Box::new(handshake.await?))
}

/// The end of a connection before the CONNACK.
fn early_end(options: &Options, peer: &Peer, source: Option<io::Error>) -> Error {
    let peer = peer.clone();
    match (&options.tls, source) {
        (Some(_), source) => Error::Authentication { peer, source },
        (None, source) => Error::Unanswered { peer, version: options.version, source },
    }
}

async fn within<T>(
    after: Duration,
    peer: &Peer,
    what: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match timeout(after, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout { peer: peer.clone(), what, after }),
    }
}
