//! From the configuration to what the loop works with.

use std::time::Duration;

use hallwatch_link as link;
use hallwatch_model::{AgentPath, Id, Topic};

use super::Error;
use crate::config::{self, Config};
use crate::gaps::Gaps;
use crate::notify::{Channel, Pair, Receiver};
use crate::state::State;
use crate::store::{self, Store};
use crate::{clock, peer};

/// Who the collector is to databases and people that it writes to.
const USER_AGENT: &str = concat!("hallwatch-collector/", env!("CARGO_PKG_VERSION"));

/// Acknowledgements that may wait for the broker.
pub(super) const ACK_QUEUE: usize = 1024;

/// Opens store and state: that reads the disk, and may take seconds.
pub(super) async fn open(config: &Config) -> Result<(Store, State, Gaps), Error> {
    let folder = config.data.clone();
    let options = store::Options {
        retention_age: Some(config.retention.age),
        minute_age: Some(config.retention.minutes),
        hour_age: Some(config.retention.hours),
        retention_bytes: Some(config.retention.size.0),
        ..store::Options::default()
    };
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(&folder, &options).map_err(Error::Store)?;
        let state = State::open(&folder).map_err(Error::State)?;
        if let Some(path) = state.damaged() {
            tracing::error!(path = %path.display(), "the state was damaged and is put aside");
        }
        let damage = store.reader().stats().damage;
        if !damage.is_empty() {
            tracing::error!(?damage, "parts of the store are damaged and left out");
        }
        let have = |agent: &AgentPath, boot| store.ack(agent, boot);
        let gaps = Gaps::open(&folder, have).map_err(Error::Gaps)?;
        Ok((store, state, gaps))
    });
    opened.await.unwrap_or(Err(Error::WriterGone))
}

/// How the broker is reached.
pub(super) fn broker(config: &Config) -> Result<link::Options, Error> {
    let config::Broker { url, others, version, tls, login } = &config.broker;
    let mut options =
        link::Options::new(url.host(), url.port(), &format!("hallwatch-collector-{}", config.id));
    options.others = others
        .iter()
        .map(|url| link::Peer { host: url.host().to_owned(), port: url.port() })
        .collect();
    options.version = *version;
    options.silence = (!others.is_empty()).then_some(link::CLUSTER_SILENCE);
    if let Some(files) = tls {
        let client = files.client.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
        options.tls = Some(link::Tls::load(&files.ca, client).map_err(Error::Tls)?);
    }
    if let Some(login) = login {
        options.username = Some(login.username.clone());
        options.password = Some(login.password.clone());
    }
    options.subscriptions = Topic::collector_filters().into();
    options.queue = ACK_QUEUE;
    Ok(options)
}

/// A receiver as the senders know it.
pub(super) fn receiver(receiver: &config::Receiver) -> Receiver {
    let channel = match &receiver.channel {
        config::Channel::Webhook(config::Webhook { url, timeout }) => {
            Channel::Webhook { url: url.to_string(), timeout: *timeout }
        }
        config::Channel::Alertmanager(config::Alertmanager { urls, timeout }) => {
            let urls = urls.iter().map(ToString::to_string).collect();
            Channel::Alertmanager { urls, timeout: *timeout }
        }
    };
    Receiver { name: receiver.name.clone(), send_resolved: true, channel }
}

/// The pair, when there is a peer.
pub(super) fn pair(
    own: &Id,
    peer: Option<&config::Peer>,
    receivers: &[Receiver],
    state: &State,
    interval: Duration,
) -> Result<Option<Pair>, Error> {
    let Some(config::Peer { id, token, .. }) = peer else { return Ok(None) };
    let shared = receivers.iter().filter(|receiver| !receiver.channel.tells_once());
    let beliefs = state.delivered().map_err(Error::State)?;
    let names = (own.as_str(), id.as_str(), token.as_str());
    let receivers = shared.map(|receiver| receiver.name.clone());
    Ok(Some(Pair::new(names, receivers, interval, beliefs, clock::now())))
}

/// The way to the peer.
pub(super) fn peer(peer: &config::Peer) -> Result<peer::Client, Error> {
    let config::Peer { url, token, tls, .. } = peer;
    peer::Client::new(url.as_str(), token, tls.as_ref()).map_err(Error::Peer)
}

/// What speaks to databases.
pub(super) fn client() -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(USER_AGENT)
        .build()
        .map_err(Error::Client)
}
