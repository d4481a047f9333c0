//! Whom HTTPS probes believe.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::error::UplinkError;
use crate::uplink::{Host, HttpTarget, Target, Uplink};

/// Where Debian, Ubuntu, Alpine and Arch keep the system's authorities; then Red Hat and SUSE.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// What HTTPS probes of `uplink` connect with; none when there are no such probes.
pub(super) fn client(uplink: &Uplink) -> Result<Option<Arc<ClientConfig>>, UplinkError> {
    let is_https = |target: &Target| matches!(target, Target::Http(page) if page.tls);
    if !uplink.probes.iter().any(|probe| is_https(&probe.target)) {
        return Ok(None);
    }
    let [first, ..] = SYSTEM.map(PathBuf::from);
    let path = match &uplink.ca {
        Some(path) => path.clone(),
        None => SYSTEM.map(PathBuf::from).into_iter().find(|path| path.exists()).unwrap_or(first),
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(UplinkError::Tls)?
        .with_root_certificates(roots(&path)?)
        .with_no_client_auth();
    // Each probe takes the same steps and looks at the certificate.
    config.resumption = Resumption::disabled();
    Ok(Some(Arc::new(config)))
}

fn roots(path: &FilePath) -> Result<RootCertStore, UplinkError> {
    let refuse =
        |source| UplinkError::Authorities { path: path.to_owned(), source: Box::new(source) };
    let found = CertificateDer::pem_file_iter(path)
        .map_err(refuse)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(refuse)?;
    let mut roots = RootCertStore::empty();
    // A system's store may hold some that rustls does not understand.
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 { Err(refuse(PemError::NoItemsFound)) } else { Ok(roots) }
}

/// The name that the certificate of `page` must be for.
pub(super) fn server_name(page: &HttpTarget) -> Result<ServerName<'static>, UplinkError> {
    match &page.host {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned())
            .map_err(|_| UplinkError::ServerName { host: name.to_string() }),
    }
}
