//! How the MQTT broker is reached.

use std::path::PathBuf;

use hallwatch_config::{Section, Spanned, Url};
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
    let others = others(&mut section, url.as_ref());
    let version = section.choice("version", &Version::ALL, Version::default());
    let ca = section.optional::<Spanned<PathBuf>>("ca");
    let certificate = section.optional::<Spanned<PathBuf>>("certificate");
    let key = section.optional::<Spanned<PathBuf>>("key");
    let username = section.optional::<Spanned<String>>("username");
    let password_file = section.optional::<Spanned<PathBuf>>("password_file");

    match (&certificate, &key) {
        (Some(alone), None) => section.problem(
            alone.span.clone(),
            "`certificate` is given without `key`",
            "of no use alone",
            Some("add `key = \"…\"`, the PEM file of its private key".into()),
        ),
        (None, Some(alone)) => section.problem(
            alone.span.clone(),
            "`key` is given without `certificate`",
            "of no use alone",
            Some("add `certificate = \"…\"`, the PEM file of its certificate".into()),
        ),
        _ => {}
    }
    match (&username, &password_file) {
        (Some(alone), None) => section.problem(
            alone.span.clone(),
            "`username` is given without `password_file`",
            "of no use alone",
            Some("add `password_file = \"…\"`, a file that holds nothing but the password".into()),
        ),
        (None, Some(alone)) => section.problem(
            alone.span.clone(),
            "`password_file` is given without `username`",
            "of no use alone",
            Some("add `username = \"…\"`".into()),
        ),
        _ => {}
    }
    let is_tls = url.as_ref().is_some_and(Url::is_tls);
    if let (Some(url), false) = (&url, is_tls) {
        for given in [&ca, &certificate, &key].into_iter().flatten() {
            section.problem(
                given.span.clone(),
                format!("a certificate or key is given, but `{url}` has no TLS"),
                "not used",
                Some(format!("write `url = \"mqtts://{}:8883\"`", url.host())),
            );
        }
    }
    if is_tls && ca.is_none() {
        section.problem(
            section.span(),
            "`ca` is missing: no authority is trusted to vouch for the broker",
            "",
            Some("add `ca = \"…\"`, the PEM file of the authority's certificate".into()),
        );
    }
    let ca = ca.and_then(|path| disk.pem(&mut section, &path));
    let certificate = certificate.and_then(|path| disk.pem(&mut section, &path));
    let key = key.and_then(|path| disk.pem(&mut section, &path));
    let password = password_file.and_then(|path| disk.secret(&mut section, &path));
    Some(Broker {
        url: url?,
        others: others?,
        version,
        tls: ca.map(|ca| TlsFiles { ca, client: certificate.zip(key) }),
        login: username
            .zip(password)
            .map(|(username, password)| Login { username: username.value, password }),
    })
}

/// The URLs at `others`, which must all have the scheme of `url`.
fn others(section: &mut Section<'_>, url: Option<&Url>) -> Option<Vec<Url>> {
    let others = section.optional::<Vec<Spanned<Url>>>("others");
    if !section.has("others") {
        return Some(Vec::new());
    }
    let others = others?;
    if let Some(url) = url {
        for other in others.iter().filter(|other| other.value.scheme() != url.scheme()) {
            section.problem(
                other.span.clone(),
                "all addresses of a broker have the same scheme",
                format!("`url` has `{}`", url.scheme()),
                None,
            );
        }
    }
    Some(others.into_iter().map(|other| other.value).collect())
}

// The password stays out of logs.

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login {{ username: {:?} }}", self.username)
    }
}
