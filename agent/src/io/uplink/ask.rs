//! Probes over a socket of their own each time: TCP, DNS and HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

use super::error::{Trouble, UplinkError, of_socket, of_use};
use super::name::Place;
use super::{random, socket, tls};
use crate::io::clock::Clock;
use crate::uplink::dns;
use crate::uplink::http::{self, MAX_STATUS_LINE_BYTES, Status};
use crate::uplink::{DnsName, Event, Failure, Host, Path, Probe, ProbeId, Target, Unasked};

/// Something that is asked anew each time.
pub(super) struct Ask {
    place: Place,
    path: Path,
    timeout: Duration,
    question: Question,
}

enum Question {
    Connect,
    Dns(DnsName),
    Http { request: Vec<u8>, tls: Option<(TlsConnector, ServerName<'static>)> },
}

impl Ask {
    /// Echo is asked elsewhere; here its target would be connected to.
    pub(super) fn new(
        probe: &Probe,
        timeout: Duration,
        roots: Option<Arc<ClientConfig>>,
    ) -> Result<Self, UplinkError> {
        let (host, port, question) = match &probe.target {
            Target::Icmp(address) => (Host::Address(*address), 0, Question::Connect),
            Target::Tcp(host, port) => (host.clone(), *port, Question::Connect),
            Target::Dns(server, name) => {
                (Host::Address(server.ip()), server.port(), Question::Dns(name.clone()))
            }
            Target::Http(page) => {
                let tls = match roots.filter(|_| page.tls) {
                    Some(roots) => Some((TlsConnector::from(roots), tls::server_name(page)?)),
                    None => None,
                };
                let question = Question::Http { request: page.request(), tls };
                (page.connect.clone(), page.port, question)
            }
        };
        let place = Place::new(&host, port, probe.path.source);
        Ok(Self { place, path: probe.path.clone(), timeout, question })
    }

    /// Asks once. `None` when there was no answer in time: the monitor knows.
    pub(super) async fn ask(&self, id: ProbeId) -> Option<Event> {
        // Shorter than the timeout, or the monitor would take a missing address for a lost probe.
        let Some(address) = self.place.address(self.timeout / 2).await else {
            return Some(Event::Unasked(id, Unasked::Unresolved));
        };
        let started = Clock::stopwatch();
        let asked = async {
            match &self.question {
                Question::Connect => self.connect(address).await.map(drop),
                Question::Dns(name) => self.dns(address, name).await,
                Question::Http { request, tls } => self.http(address, request, tls.as_ref()).await,
            }
        };
        Some(match timeout(self.timeout, asked).await.ok()? {
            Ok(()) => Event::Answered(id, started.elapsed()),
            Err(Trouble::Failed(failure)) => Event::Failed(id, failure),
            Err(Trouble::Unasked(why)) => Event::Unasked(id, why),
        })
    }

    async fn connect(&self, address: SocketAddr) -> Result<TcpStream, Trouble> {
        let socket = socket::tcp(address.ip(), &self.path).map_err(|e| of_socket(&e))?;
        socket.connect(address).await.map_err(|e| of_use(&e))
    }

    async fn dns(&self, server: SocketAddr, name: &DnsName) -> Result<(), Trouble> {
        // Errors here have no `Closed`: nothing was open.
        let socket = socket::udp(server, &self.path).map_err(|e| of_socket(&e))?;
        let [id1, id0, ..] = random().to_be_bytes();
        let id = u16::from_be_bytes([id1, id0]);
        socket.send(&dns::encode_query(id, name)).await.map_err(|e| of_use(&e))?;
        let mut buffer = [0; 1232];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(|e| of_use(&e))?;
            let bytes = buffer.get(..length).unwrap_or_default();
            // What is no answer to this question is as if it had never come.
            match dns::parse_answer(id, name, bytes) {
                Some(answer) if answer.rcode == 0 => return Ok(()),
                Some(_) => return Err(Trouble::Failed(Failure::Rcode)),
                None => {}
            }
        }
    }

    async fn http(
        &self,
        address: SocketAddr,
        request: &[u8],
        tls: Option<&(TlsConnector, ServerName<'static>)>,
    ) -> Result<(), Trouble> {
        let stream = self.connect(address).await?;
        // Otherwise the request may wait for the acknowledgement of the handshake.
        stream.set_nodelay(true).map_err(|e| of_use(&e))?;
        match tls {
            None => status(stream, request).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                status(stream.map_err(|e| of_tls(&e))?, request).await
            }
        }
    }
}

/// Asks for the page and reads the first line of the answer.
async fn status(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> Result<(), Trouble> {
    stream.write_all(request).await.map_err(|e| of_tls(&e))?;
    stream.flush().await.map_err(|e| of_tls(&e))?;
    let mut buffer = [0; MAX_STATUS_LINE_BYTES];
    let mut filled = 0;
    loop {
        let free = buffer.get_mut(filled..).unwrap_or_default();
        let length = stream.read(free).await.map_err(|e| of_tls(&e))?;
        if length == 0 {
            return Err(Trouble::Failed(Failure::Closed));
        }
        filled += length;
        match Status::parse(buffer.get(..filled).unwrap_or_default()) {
            Status::Partial => {}
            Status::Malformed => return Err(Trouble::Failed(Failure::Malformed)),
            Status::Code(code) => return http::judge(code).map_err(Trouble::Failed),
        }
    }
}

/// An error of a stream that may be TLS: what rustls does not accept is told from a connection
/// that broke.
fn of_tls(error: &io::Error) -> Trouble {
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    if is_tls {
        tracing::debug!(%error, "no agreement on TLS");
        Trouble::Failed(Failure::Tls)
    } else {
        of_use(error)
    }
}
