//! `[broker]` and `[sensors]`.

use std::path::PathBuf;

use hallwatch_config::{Section, Spanned, Url};
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
    let others = others(&mut section, url.as_ref());
    let version = section.choice("version", &Version::ALL, Version::default());
    let ca = section.optional::<PathBuf>("ca");
    let certificate = section.optional::<PathBuf>("certificate");
    let key = section.optional::<PathBuf>("key");
    let username = section.optional::<String>("username");
    let password_file = section.optional::<PathBuf>("password_file");

    let tls = url.as_ref().is_some_and(Url::is_tls);
    if tls && !section.has("ca") {
        let help = Some("add `ca = \"/etc/hallwatch-agent/ca.pem\"`".to_owned());
        let message = "an `mqtts` broker needs `ca`, the authority of its certificate";
        section.problem(section.span(), message, "", help);
    }
    for name in ["ca", "certificate", "key"] {
        if url.is_some()
            && !tls
            && let Some(value) = section.value(name)
        {
            let message = format!("`{name}` means nothing without TLS");
            let help = Some("write the URL with `mqtts://`".to_owned());
            section.problem(value.span(), message, "not used", help);
        }
    }
    for (one, other) in
        [("certificate", "key"), ("key", "certificate"), ("password_file", "username")]
    {
        if let Some(value) = section.value(one)
            && !section.has(other)
        {
            let message = format!("`{one}` needs `{other}`");
            section.problem(value.span(), message, format!("without `{other}`"), None);
        }
    }
    let identity = certificate.zip(key);
    Some(Broker { url: url?, others: others?, version, ca, identity, username, password_file })
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
