//! What a configuration says of a server that is connected to, wherever it says it: its other
//! addresses, its certificates, a login. Paths only: whoever knows the disk reads the files.

use std::path::PathBuf;

use crate::section::Section;
use crate::url::Url;
use crate::value::Spanned;

/// The PEM files of a TLS connection: `ca`, `certificate` and `key`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsPaths {
    /// Certificates of the authorities that are trusted.
    pub ca: Option<Spanned<PathBuf>>,
    /// The client's own certificate chain.
    pub certificate: Option<Spanned<PathBuf>>,
    /// The private key of [`TlsPaths::certificate`].
    pub key: Option<Spanned<PathBuf>>,
}

/// A user's name, and the file that holds nothing but the password.
pub type LoginPaths = (Option<Spanned<String>>, Option<Spanned<PathBuf>>);

impl Section<'_> {
    /// `ca`, `certificate` and `key`. A certificate without its key, or a key without its
    /// certificate, is a problem.
    pub fn tls_paths(&mut self) -> TlsPaths {
        let paths = TlsPaths {
            ca: self.optional("ca"),
            certificate: self.optional("certificate"),
            key: self.optional("key"),
        };
        self.together([
            ("certificate", "the PEM file of its certificate"),
            ("key", "the PEM file of its private key"),
        ]);
        paths
    }

    /// `username` and `password_file`. One without the other is a problem.
    pub fn login_paths(&mut self) -> LoginPaths {
        let paths = (self.optional("username"), self.optional("password_file"));
        self.together([
            ("username", "the name that the server knows"),
            ("password_file", "a file that holds nothing but the password"),
        ]);
        paths
    }

    /// The URLs at `others`: further addresses of the server at `url`, which must all have its
    /// scheme. Empty when there are none.
    pub fn other_urls(&mut self, url: Option<&Url>) -> Option<Vec<Url>> {
        let others = self.optional::<Vec<Spanned<Url>>>("others");
        if !self.has("others") {
            return Some(Vec::new());
        }
        let others = others?;
        if let Some(url) = url {
            for other in others.iter().filter(|other| other.value.scheme() != url.scheme()) {
                self.problem(
                    other.span.clone(),
                    "all addresses of a server have the same scheme",
                    format!("`url` has `{}`", url.scheme()),
                    None,
                );
            }
        }
        Some(others.into_iter().map(|other| other.value).collect())
    }

    /// Records each of two keys that stands without the other. With each key, what is to be
    /// written there.
    fn together(&mut self, keys: [(&str, &str); 2]) {
        let [one, other] = keys;
        for ((given, _), (lacking, what)) in [(one, other), (other, one)] {
            if let Some(value) = self.value(given)
                && !self.has(lacking)
            {
                self.problem(
                    value.span(),
                    format!("`{given}` is given without `{lacking}`"),
                    "of no use alone",
                    Some(format!("add `{lacking} = \"…\"`, {what}")),
                );
            }
        }
    }
}

impl TlsPaths {
    /// Records what is wrong with them for a connection to `url`: that they are given though it has
    /// no TLS, or that it has and nobody is trusted to vouch for `whom`, such as `the broker`.
    pub fn check(&self, section: &mut Section<'_>, url: &Url, whom: &str) {
        if url.is_tls() {
            self.required(section, whom);
        } else {
            self.unused(section, url);
        }
    }

    /// The client's certificate chain and its key, when both are given.
    #[must_use]
    pub fn client(&self) -> Option<(PathBuf, PathBuf)> {
        let path = |given: &Option<Spanned<PathBuf>>| Some(given.as_ref()?.value.clone());
        path(&self.certificate).zip(path(&self.key))
    }

    /// Records that they are given though `url` has no TLS.
    pub fn unused(&self, section: &mut Section<'_>, url: &Url) {
        for given in [&self.ca, &self.certificate, &self.key].into_iter().flatten() {
            let after = url.as_str().strip_prefix(url.scheme()).unwrap_or_default();
            section.problem(
                given.span.clone(),
                format!("a certificate or key is given, but `{url}` has no TLS"),
                "not used",
                Some(match url.scheme() {
                    // Its port is another one with TLS.
                    "mqtt" => format!("write `url = \"mqtts://{}:8883\"`", url.host()),
                    scheme => format!("write `url = \"{scheme}s{after}\"`"),
                }),
            );
        }
    }

    /// Records that nobody is trusted to vouch for `whom`.
    pub fn required(&self, section: &mut Section<'_>, whom: &str) {
        if !section.has("ca") {
            section.problem(
                section.span(),
                format!("`ca` is missing: no authority is trusted to vouch for {whom}"),
                "",
                Some("add `ca = \"…\"`, the PEM file of the authority's certificate".into()),
            );
        }
    }
}
