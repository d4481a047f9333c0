//! The other collector of a pair.

use std::path::PathBuf;

use hallwatch_config::{Section, Spanned, Url};
use hallwatch_model::Id;

use super::broker::TlsFiles;
use super::files;

/// A secret that is shorter is guessed.
const SHORTEST_SECRET: usize = 16;

/// The other collector of a pair.
#[derive(Clone)]
pub struct Peer {
    /// Its name.
    pub id: Id,
    /// `http` or `https`: where it serves.
    pub url: Url,
    /// The secret that both have; whoever has it may read everything, and fill the store.
    pub token: String,
    /// The certificates of an `https` connection; without them those that the system trusts.
    pub tls: Option<TlsFiles>,
}

/// `[peer]`, of the collector `own`.
pub(super) fn peer(
    mut section: Section<'_>,
    own: Option<&Id>,
    disk: &files::Base<'_>,
) -> Option<Peer> {
    let id = section.checked("id", |text| match Id::new(text) {
        Ok(id) if Some(&id) == own => Err("this is the collector itself".to_owned()),
        Ok(id) => Ok(id),
        Err(error) => Err(error.to_string()),
    });
    let url = section.required_url("url", &["http", "https"]);
    let token_file = section.required::<Spanned<PathBuf>>("token_file");
    let ca = section.optional::<Spanned<PathBuf>>("ca");
    let certificate = section.optional::<Spanned<PathBuf>>("certificate");
    let key = section.optional::<Spanned<PathBuf>>("key");
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
    if let (Some(url), false) = (&url, url.as_ref().is_some_and(Url::is_tls)) {
        for given in [&ca, &certificate, &key].into_iter().flatten() {
            section.problem(
                given.span.clone(),
                format!("a certificate or key is given, but `{url}` has no TLS"),
                "not used",
                Some("write `url = \"https://…\"`".into()),
            );
        }
    }
    if let (Some(certificate), None) = (&certificate, &ca) {
        section.problem(
            certificate.span.clone(),
            "`certificate` is given without `ca`",
            "of no use alone",
            Some(
                "add `ca = \"…\"`, the PEM file of the authority that vouches for the peer".into(),
            ),
        );
    }
    let token = token_file.and_then(|path| {
        let token = disk.secret(&mut section, &path)?;
        if token.len() < SHORTEST_SECRET {
            section.problem(
                path.span.clone(),
                format!("the secret in `{}` is too short", path.display()),
                "guessed too easily",
                Some(format!(
                    "it needs {SHORTEST_SECRET} characters; `openssl rand -hex 32` makes one"
                )),
            );
            return None;
        }
        Some(token)
    });
    let ca = ca.and_then(|path| disk.pem(&mut section, &path));
    let certificate = certificate.and_then(|path| disk.pem(&mut section, &path));
    let key = key.and_then(|path| disk.pem(&mut section, &path));
    let tls = ca.map(|ca| TlsFiles { ca, client: certificate.zip(key) });
    Some(Peer { id: id?.value, url: url?, token: token?, tls })
}

// The secret stays out of logs.

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer {{ id: {:?}, url: {:?} }}", self.id, self.url)
    }
}
