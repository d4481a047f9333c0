//! How the MQTT broker is reached.

use std::path::PathBuf;

use hallwatch_config::{Section, Url};
use hallwatch_link::Version;

use super::files;

/// The connection to the MQTT broker.
#[derive(Clone, Debug)]
pub struct Broker {
    /// `mqtt` or `mqtts`.
    pub url: Url,
    /// Other addresses of the same broker, the nodes of a cluster; tried in turn. Same scheme.
    pub others: Vec<Url>,
    /// What is spoken.
    pub version: Version,
    /// The certificates of an `mqtts` connection.
    pub tls: Option<TlsFiles>,
    /// The user's name and password, where the broker wants them.
    pub login: Option<Login>,
}

impl Broker {
    /// All addresses, for people: `mqtt://b1:1883 or mqtt://b2:1883`.
    #[must_use]
    pub fn addresses(&self) -> String {
        let all: Vec<&str> =
            std::iter::once(&self.url).chain(&self.others).map(Url::as_str).collect();
        all.join(" or ")
    }
}

/// PEM files of a TLS connection; they were there when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that are trusted.
    pub ca: PathBuf,
    /// The client's certificate chain and private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A user's name and password.
#[derive(Clone)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// `[broker]`.
pub(super) fn broker(mut section: Section<'_>, disk: &files::Base<'_>) -> Option<Broker> {
    let url = section.required_url("url", &["mqtt", "mqtts"]);
    let others = section.other_urls(url.as_ref());
    let version = section.choice("version", &Version::ALL, Version::default());
    let paths = section.tls_paths();
    let (username, password_file) = section.login_paths();
    if let Some(url) = &url {
        paths.check(&mut section, url, "the broker");
    }
    let tls = disk.tls(&mut section, &paths);
    let password = password_file.and_then(|path| disk.secret(&mut section, &path));
    Some(Broker {
        url: url?,
        others: others?,
        version,
        tls,
        login: username
            .zip(password)
            .map(|(username, password)| Login { username: username.value, password }),
    })
}

// The password stays out of logs.

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login {{ username: {:?} }}", self.username)
    }
}
