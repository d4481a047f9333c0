//! The port, guarded: a bounded number of connections, and none that is silent for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Connections at once; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 512;
/// A request must be whole so long after its first byte, and its answer must move on as often.
/// Longer than any query may take. A connection that has nothing to say is closed after that.
const MAX_SILENCE: Duration = Duration::from_secs(150);
/// After a failed `accept` (no file descriptors left), a pause, so that it is not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A listener whose connections are counted and watched.
#[derive(Debug)]
pub struct Guarded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    patience: Duration,
}

impl Guarded {
    /// Guards `listener`.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        Self { listener, permits, patience: MAX_SILENCE }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Guarded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Guarded>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Listener for Guarded {
    type Io = Watched;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Watched, SocketAddr) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // The semaphore is never closed.
                std::future::pending::<()>().await;
                continue;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Small answers go out at once; that it cannot be set is no reason to refuse.
                    let _ = stream.set_nodelay(true);
                    let patience = self.patience;
                    let timer = Box::pin(tokio::time::sleep(patience));
                    let watched =
                        Watched { stream, timer, patience, is_reading: false, _permit: permit };
                    return (watched, peer);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when a request, or the next piece of its answer, takes too long.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    timer: Pin<Box<Sleep>>,
    patience: Duration,
    /// A request has begun to come in, and nothing was answered yet.
    is_reading: bool,
    _permit: OwnedSemaphorePermit,
}

impl Watched {
    /// The timer starts anew with a request's first byte and with each piece of an answer, but not
    /// with each byte of a request: those could drip in for ever.
    fn moved(&mut self, is_read: bool) {
        if is_read && self.is_reading {
            return;
        }
        self.is_reading = is_read;
        #[expect(clippy::disallowed_methods, reason = "a timeout of the shell")]
        let next = Instant::now() + self.patience;
        self.timer.as_mut().reset(next);
    }

    fn check<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
        is_read: bool,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.moved(is_read);
        }
        // Also after a read that got something: who drips is never pending for long.
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => poll,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.check(context, poll, true)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check(context, poll, false)
    }

    /// Without it, every answer would be copied to stand in one piece.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.check(context, poll, false)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let guarded = Guarded { patience: Duration::from_millis(400), ..Guarded::new(listener) };
        let router = axum::Router::new().route("/", axum::routing::get(async || "hello"));
        tokio::spawn(async move { axum::serve(guarded, router).await });
        address
    }

    #[tokio::test]
    async fn a_request_that_drips_in_is_cut_off() {
        let mut stream = TcpStream::connect(server().await).await.unwrap();
        let drip = async {
            for byte in b"GET / HTTP/1.1\r\nX: ".iter().chain([b'x'; 1000].iter()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
            panic!("it listens for ever");
        };
        tokio::time::timeout(Duration::from_secs(20), drip).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_is_used_stays_open() {
        let mut stream = TcpStream::connect(server().await).await.unwrap();
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut answer = [0; 1000];
            let count = stream.read(&mut answer).await.unwrap();
            assert!(answer[..count].ends_with(b"hello"));
        }
    }
}
