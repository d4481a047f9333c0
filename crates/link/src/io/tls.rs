//! Certificates and keys from files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// TLS 1.2 or 1.3 towards a server whose certificate must be signed by a given authority and be
/// for the host that we connect to.
#[derive(Clone)]
pub struct Tls {
    pub(crate) config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the authority's certificates from `ca` and, when the server wants to know us, our own
    /// certificate chain and key from `identity`. All files are PEM.
    ///
    /// # Errors
    /// When a file cannot be read, holds nothing of the kind, or key and certificate do not fit.
    pub fn load(ca: &Path, identity: Option<(&Path, &Path)>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("a CA certificate", ca)? {
            roots.add(certificate).map_err(|source| Error::TlsFile {
                what: "a CA certificate",
                path: ca.to_owned(),
                source: Box::new(source),
            })?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::TlsConfig)?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates("a client certificate", certificate)?;
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|source| Error::TlsFile {
                        what: "a private key",
                        path: key.to_owned(),
                        source: Box::new(source),
                    })?;
                builder.with_client_auth_cert(chain, private).map_err(|source| Error::TlsFile {
                    what: "the private key for the client certificate",
                    path: key.to_owned(),
                    source: Box::new(source),
                })?
            }
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// The same for a connection that is not to a broker: there is one way to load certificates.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refuse = |source: rustls::pki_types::pem::Error| Error::TlsFile {
        what,
        path: path.to_owned(),
        source: Box::new(source),
    };
    let found = CertificateDer::pem_file_iter(path)
        .map_err(refuse)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(refuse)?;
    if found.is_empty() {
        return Err(refuse(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}
