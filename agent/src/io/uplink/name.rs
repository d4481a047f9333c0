//! Names of targets, resolved beside the probes, so that a slow resolver does not count as a slow
//! provider.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::uplink::{DnsName, Host};

/// How often a name is resolved, and how soon again when it could not be.
const RENEW: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(5);

/// Where a target is.
pub(super) enum Place {
    Fixed(SocketAddr),
    Named(Named),
}

/// The last address known of a name.
pub(super) struct Named {
    known: watch::Receiver<Option<SocketAddr>>,
    /// Renews it; ends when this is dropped.
    _renewal: JoinSet<()>,
}

impl Place {
    /// Addresses of the family of `source` only, when there is one.
    pub(super) fn new(host: &Host, port: u16, source: Option<IpAddr>) -> Self {
        match host {
            Host::Address(address) => Self::Fixed(SocketAddr::new(*address, port)),
            Host::Name(name) => {
                let (sender, known) = watch::channel(None);
                let mut renewal = JoinSet::new();
                renewal.spawn(renew(name.clone(), port, source, sender));
                Self::Named(Named { known, _renewal: renewal })
            }
        }
    }

    /// The address; waits up to `patience` for the first.
    pub(super) async fn address(&self, patience: Duration) -> Option<SocketAddr> {
        match self {
            Self::Fixed(address) => Some(*address),
            Self::Named(named) => {
                let mut known = named.known.clone();
                let first = known.wait_for(Option::is_some);
                timeout(patience, first).await.ok()?.ok().and_then(|address| *address)
            }
        }
    }
}

async fn renew(
    name: DnsName,
    port: u16,
    source: Option<IpAddr>,
    known: watch::Sender<Option<SocketAddr>>,
) {
    loop {
        let found = match resolve(&name, port).await {
            Ok(addresses) => addresses
                .into_iter()
                .find(|found| source.is_none_or(|source| source.is_ipv4() == found.is_ipv4())),
            Err(error) => {
                tracing::debug!(%name, %error, "not resolved");
                None
            }
        };
        if found.is_some() {
            known.send_replace(found);
        }
        sleep(if found.is_some() { RENEW } else { RETRY }).await;
    }
}

/// Asks the system's resolver, which gives up after its own time. On a thread of its own: one of
/// tokio's would hold up the end of the process for as long as the resolver takes.
async fn resolve(name: &DnsName, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (sender, resolved) = oneshot::channel();
    let name = name.to_string();
    std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody waits any more: the uplink is not watched any more.
        let _ = sender.send(found);
    })?;
    resolved.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}
