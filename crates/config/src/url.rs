//! Addresses of services, as far as their scheme, host and port.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::section::Section;
use crate::suggest;
use crate::value::{FromValue, Value};

/// The schemes there are, with the ports they mean.
const SCHEMES: [(&str, u16); 4] = [("http", 80), ("https", 443), ("mqtt", 1883), ("mqtts", 8883)];

/// A URL with scheme `http`, `https`, `mqtt` or `mqtts`, a host, and a port where one is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    text: String,
    scheme: &'static str,
    host: String,
    port: u16,
}

/// Why a text is not a [`Url`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// None of the schemes.
    #[error("a URL starts with `http://`, `https://`, `mqtt://` or `mqtts://`")]
    Scheme,
    /// No host.
    #[error("a URL needs a host after `//`")]
    Host,
    /// A name or password before the host.
    #[error("a URL must not hold a user or password")]
    User,
    /// Not 1 to 65535.
    #[error("a URL's port is from 1 to 65535")]
    Port,
    /// Blank space or control characters.
    #[error("a URL has no blank space or control characters")]
    Blank,
}

impl Url {
    /// The whole, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `http`, `https`, `mqtt` or `mqtts`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Whether the scheme means TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, "https" | "mqtts")
    }

    /// The name or address; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; where none is written, the scheme's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(UrlError::Blank);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let (scheme, standard_port) =
            SCHEMES.into_iter().find(|(known, _)| *known == scheme).ok_or(UrlError::Scheme)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // Secrets belong in files with their own permissions, not where they get logged.
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']').ok_or(UrlError::Host)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
                let port = if port.is_empty() {
                    None
                } else {
                    Some(port.strip_prefix(':').ok_or(UrlError::Port)?)
                };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let port = match port {
            None => standard_port,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?
            }
            Some(_) => return Err(UrlError::Port),
        };
        Ok(Self { text: text.to_owned(), scheme, host: host.to_owned(), port })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl FromValue for Url {
    fn example() -> String {
        "\"https://collector.example:8443\"".to_owned()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a URL", &Self::example())?;
        text.parse().map_or_else(
            |error: UrlError| {
                let help = Some(value.such_as(&Self::example()));
                value.refuse(format!("{}: {error}", value.name()), "not a URL", help)
            },
            Some,
        )
    }
}

impl Section<'_> {
    /// The URL at `key`, when it is there; it must have one of `schemes`.
    pub fn url(&mut self, key: &str, schemes: &[&str]) -> Option<Url> {
        let value = self.value(key)?;
        let url = Url::from_value(&value)?;
        if schemes.contains(&url.scheme()) {
            return Some(url);
        }
        let message = format!("{} cannot have the scheme `{}`", value.name(), url.scheme());
        let help = format!("possible are {}", suggest::list(schemes));
        value.refuse(message, "not possible here", Some(help))
    }

    /// The URL at `key`, which must be there and have one of `schemes`.
    pub fn required_url(&mut self, key: &str, schemes: &[&str]) -> Option<Url> {
        if !self.has(key) {
            self.known(&[key]);
            let scheme = schemes.first().unwrap_or(&"https");
            self.missing(key, &format!("add `{key} = \"{scheme}://…\"`"));
        }
        self.url(key, schemes)
    }
}
