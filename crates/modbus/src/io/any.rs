//! One type for clients whose transport is known only from a configuration.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::client::Client;
use super::endpoint::{Connect, TcpEndpoint};
use super::options::Options;
use super::serial::SerialEndpoint;
use super::tls::TlsEndpoint;
use crate::framing::{AnyFraming, Rtu, Tcp};

/// Any of the endpoints.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are documented themselves")]
pub enum AnyEndpoint {
    Tcp(TcpEndpoint),
    Tls(TlsEndpoint),
    Serial(SerialEndpoint),
}

/// Any stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl fmt::Display for AnyEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => endpoint.fmt(f),
            Self::Tls(endpoint) => endpoint.fmt(f),
            Self::Serial(endpoint) => endpoint.fmt(f),
        }
    }
}

impl Connect for AnyEndpoint {
    type Stream = Box<dyn Stream>;

    async fn connect(&self) -> io::Result<Self::Stream> {
        Ok(match self {
            Self::Tcp(endpoint) => Box::new(endpoint.connect().await?),
            Self::Tls(endpoint) => Box::new(endpoint.connect().await?),
            Self::Serial(endpoint) => Box::new(endpoint.connect().await?),
        })
    }

    fn authenticates(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

/// A client of any kind of endpoint.
pub type AnyClient = Client<AnyEndpoint, AnyFraming>;

impl AnyClient {
    /// Modbus TCP.
    #[must_use]
    pub fn over_tcp(endpoint: TcpEndpoint, framing: Tcp, options: Options) -> Self {
        Self::new(AnyEndpoint::Tcp(endpoint), AnyFraming::Tcp(framing), options)
    }

    /// Modbus TCP with TLS.
    #[must_use]
    pub fn over_tls(endpoint: TlsEndpoint, framing: Tcp, options: Options) -> Self {
        Self::new(AnyEndpoint::Tls(endpoint), AnyFraming::Tcp(framing), options)
    }

    /// Modbus RTU on a serial line; `echo`: what is sent comes back first.
    #[must_use]
    pub fn over_serial(endpoint: SerialEndpoint, echo: bool, options: Options) -> Self {
        let framing = Rtu::new(endpoint.line()).with_echo(echo);
        Self::new(AnyEndpoint::Serial(endpoint), AnyFraming::Rtu(framing), options)
    }

    /// Modbus RTU over TCP.
    #[must_use]
    pub fn rtu_over_tcp(endpoint: TcpEndpoint, echo: bool, options: Options) -> Self {
        let framing = AnyFraming::Rtu(Rtu::over_tcp().with_echo(echo));
        Self::new(AnyEndpoint::Tcp(endpoint), framing, options)
    }
}
