//! From `[broker]` to the options of a connection.

use std::fs;

use hallwatch_config::Url;
use hallwatch_link::{Options, Peer, Tls};

use crate::config::Broker;
use crate::error::Error;

/// Reads the files that `broker` names.
///
/// # Errors
/// When one of them cannot be read or used.
pub fn options(broker: &Broker, client_id: &str) -> Result<Options, Error> {
    let url = &broker.url;
    let mut options = Options::new(url.host(), url.port(), client_id);
    let peer = |url: &Url| Peer { host: url.host().to_owned(), port: url.port() };
    options.others = broker.others.iter().map(peer).collect();
    options.version = broker.version;
    options.username.clone_from(&broker.username);
    if let Some(path) = &broker.password_file {
        let password = fs::read_to_string(path)
            .map_err(|source| Error::Password { path: path.clone(), source })?;
        options.password = Some(password.trim_end_matches(['\r', '\n']).to_owned());
    }
    if let Some(ca) = &broker.ca {
        let identity = broker.identity.as_ref();
        let identity = identity.map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let tls = Tls::load(ca, identity)
            .map_err(|source| Error::Tls { url: url.to_string(), source })?;
        options.tls = Some(tls);
    }
    Ok(options)
}
