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
    let paths = section.tls_paths();
    if let Some(url) = url.as_ref().filter(|url| !url.is_tls()) {
        paths.unused(&mut section, url);
    }
    if let (Some(certificate), None) = (&paths.certificate, &paths.ca) {
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
    let tls = disk.tls(&mut section, &paths);
    Some(Peer { id: id?.value, url: url?, token: token?, tls })
}

// The secret stays out of logs.

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer {{ id: {:?}, url: {:?} }}", self.id, self.url)
    }
}
