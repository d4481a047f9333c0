//! `[broker]` and `[sensors]`.

use std::path::PathBuf;

use hallwatch_config::{Section, Url};
use hallwatch_link::Version;

/// An MQTT broker and how to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// `mqtt://` or `mqtts://`.
    pub url: Url,
    /// Other addresses of the same broker, the nodes of a cluster; tried in turn. Same scheme.
    pub others: Vec<Url>,
    /// What is spoken.
    pub version: Version,
    /// The authority that the broker's certificate must be signed by; there with `mqtts` only.
    pub ca: Option<PathBuf>,
    /// Our own certificate chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// User name.
    pub username: Option<String>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
}

pub(super) fn broker(mut section: Section<'_>) -> Option<Broker> {
    let url = section.required_url("url", &["mqtt", "mqtts"]);
    let others = section.other_urls(url.as_ref());
    let version = section.choice("version", &Version::ALL, Version::default());
    let paths = section.tls_paths();
    let (username, password_file) = section.login_paths();
    if let Some(url) = &url {
        paths.check(&mut section, url, "the broker");
    }
    Some(Broker {
        url: url?,
        others: others?,
        version,
        identity: paths.client(),
        ca: paths.ca.map(|path| path.value),
        username: username.map(|name| name.value),
        password_file: password_file.map(|path| path.value),
    })
}
