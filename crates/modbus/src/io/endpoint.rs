//! Where a client connects to.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A way to a stream of bytes. A transport is this and a [`Framing`](crate::Framing).
pub trait Connect: fmt::Display + Send + Sync {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// Makes a new connection.
    ///
    /// # Errors
    /// When there is none to be had. The time it takes is limited by the caller.
    fn connect(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Whether the other side may refuse us only after the connection is made.
    fn authenticates(&self) -> bool {
        false
    }
}

/// A Modbus TCP server: `host:port`. The name is resolved anew at each connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpEndpoint {
    address: String,
    keepalive: Duration,
}

/// How long a connection may be idle before the kernel asks whether the other side still lives.
const KEEPALIVE: Duration = Duration::from_secs(15);

impl TcpEndpoint {
    /// The server at `address`, which is `host:port` or `[ipv6]:port`.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), keepalive: KEEPALIVE }
    }

    /// The same with another time between probes on an idle connection, in whole seconds.
    #[must_use]
    pub fn with_keepalive(self, keepalive: Duration) -> Self {
        Self { keepalive, ..self }
    }
}

impl fmt::Display for TcpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl Connect for TcpEndpoint {
    type Stream = TcpStream;

    async fn connect(&self) -> io::Result<TcpStream> {
        self.open().await
    }
}

impl TcpEndpoint {
    /// A connection that sends at once and notices when the other side is gone.
    pub(crate) async fn open(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let probes = TcpKeepalive::new().with_time(self.keepalive).with_interval(self.keepalive);
        SockRef::from(&stream).set_tcp_keepalive(&probes)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_sends_at_once_and_notices_a_dead_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stream = TcpEndpoint::new(address)
            .with_keepalive(Duration::from_secs(7))
            .connect()
            .await
            .unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
    }
}
