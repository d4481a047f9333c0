//! `[broker]` and `[sensors]`.

use std::path::PathBuf;

use hallwatch_config::{Section, Url};

/// An MQTT broker and how to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// `mqtt://` or `mqtts://`.
    pub url: Url,
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
    Some(Broker { url: url?, ca, identity: certificate.zip(key), username, password_file })
}
