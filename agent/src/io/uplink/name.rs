//! Names of targets, resolved beside the probes, so that a slow resolver does not count as a slow
//! provider.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::uplink::{DnsName, Host};

/// How often a name is resolved, and how soon again when it could not be.
const RENEW: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(5);
/// How long the resolver may take.
const PATIENCE: Duration = Duration::from_secs(15);

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
        let found = match timeout(PATIENCE, lookup_host((name.as_str(), port))).await {
            Ok(Ok(mut addresses)) => addresses
                .find(|found| source.is_none_or(|source| source.is_ipv4() == found.is_ipv4())),
            Ok(Err(error)) => {
                tracing::debug!(%name, %error, "not resolved");
                None
            }
            Err(_) => None,
        };
        if found.is_some() {
            known.send_replace(found);
        }
        sleep(if found.is_some() { RENEW } else { RETRY }).await;
    }
}
