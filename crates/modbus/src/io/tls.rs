//! Modbus TCP with TLS ("Modbus/TCP Security", port 802, and any gateway's).

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::endpoint::{Connect, TcpEndpoint};

/// A Modbus server behind TLS. Which authorities it may be signed by and who we are is said by
/// the configuration.
#[derive(Clone)]
pub struct TlsEndpoint {
    tcp: TcpEndpoint,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl TlsEndpoint {
    /// The server at `tcp`, whose certificate must be for `name`.
    #[must_use]
    pub const fn new(
        tcp: TcpEndpoint,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
    ) -> Self {
        Self { tcp, name, config }
    }
}

impl fmt::Debug for TlsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsEndpoint").field("tcp", &self.tcp).field("name", &self.name).finish()
    }
}

impl fmt::Display for TlsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (TLS)", self.tcp)
    }
}

impl Connect for TlsEndpoint {
    type Stream = TlsStream<TcpStream>;

    async fn connect(&self) -> io::Result<Self::Stream> {
        let stream = self.tcp.open().await?;
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await
    }

    /// In TLS 1.3 the client's certificate is looked at after the client has finished.
    fn authenticates(&self) -> bool {
        true
    }
}
