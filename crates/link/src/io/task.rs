//! The loop of one connection, and the loop of connections around it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::dial::{Accepted, dial};
use crate::codec::{self, Decoder};
use crate::error::{Error, Peer};
use crate::event::{Event, Message};
use crate::options::Options;
use crate::session::{Fault, Happening, Session};

/// While more than this waits to be written, no further message is taken from the queue.
const OUT_BYTES: usize = 256 << 10;
/// How much is read at once.
const IN_BYTES: usize = 64 << 10;
/// How long what is queued may take to leave once nobody holds a publisher any more.
const GRACE: Duration = Duration::from_secs(2);
/// A connection that held this long was a good one: the next failure is the first again.
const GOOD: Duration = Duration::from_secs(5);

pub(crate) struct Task {
    options: Options,
    /// The addresses, each in turn; the front one is tried or in use.
    peers: VecDeque<Peer>,
    messages: mpsc::Receiver<Message>,
    publishers: mpsc::Receiver<Infallible>,
    events: mpsc::Sender<Event>,
}

/// How a connection ended.
enum End {
    /// Nobody wants it any more.
    Done,
    Broken(Error),
}

impl Task {
    pub(crate) fn new(
        options: Options,
        messages: mpsc::Receiver<Message>,
        publishers: mpsc::Receiver<Infallible>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let first = Peer { host: options.host.clone(), port: options.port };
        let peers = std::iter::once(first).chain(options.others.iter().cloned()).collect();
        Self { options, peers, messages, publishers, events }
    }

    pub(crate) async fn run(mut self) {
        let mut failures = 0u32;
        while let Some(peer) = self.peers.front().cloned() {
            let dialled = tokio::select! {
                dialled = dial(&self.options, &peer) => dialled,
                () = unwanted(&mut self.publishers, &self.events) => return,
            };
            let end = match dialled {
                Ok(accepted) => {
                    if self.peers.len() > 1 {
                        tracing::info!(%peer, "connected");
                    }
                    let started = now();
                    let end = self.hold(&peer, accepted, started).await;
                    if started.elapsed() >= GOOD {
                        failures = 0;
                    }
                    end
                }
                Err(error) => End::Broken(error),
            };
            let End::Broken(error) = end else { return };
            failures = failures.saturating_add(1);
            // All addresses are tried before the pause grows.
            let rounds = failures.div_ceil(u32::try_from(self.peers.len()).unwrap_or(1));
            let pause = self.options.backoff.pause(&self.options.client_id, rounds);
            self.peers.rotate_left(1);
            tracing::debug!(%peer, %error, ?pause, failures, "not connected");
            let tell = async {
                // Nobody listens: found out below.
                let _ = self.events.send(Event::Disconnected { error }).await;
                sleep(pause).await;
            };
            tokio::select! {
                () = tell => {}
                () = unwanted(&mut self.publishers, &self.events) => return,
            }
        }
    }

    /// Holds a connection until it breaks or nobody wants it any more.
    async fn hold(&mut self, peer: &Peer, accepted: Accepted, started: Instant) -> End {
        let Accepted { stream, rest: mut inbox, mut decoder, session_present, limits } = accepted;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let options = &self.options;
        let (keep_alive, ack_timeout) = (options.keep_alive, options.ack_timeout);
        let mut session =
            Session::new(options.version, limits, keep_alive, ack_timeout, started.elapsed());
        if let Some(within) = options.silence {
            session.expect_messages(within, started.elapsed());
        }
        let mut out = BytesMut::new();
        let mut unflushed = false;
        let mut pending = VecDeque::from([Happening::from(Event::Connected { session_present })]);
        let mut closing: Option<Instant> = None;
        let (filters, qos) = (options.subscriptions.clone(), options.subscription_qos());
        if let Err(fault) = session.subscribe(filters, qos, started.elapsed(), &mut out) {
            return End::Broken(broken(peer, fault));
        }
        if let Err(fault) = decode(&mut decoder, &mut inbox, &mut session, started, &mut pending) {
            return End::Broken(broken(peer, fault));
        }
        loop {
            if let Some(since) = closing
                && (since.elapsed() >= GRACE || (session.idle() && out.is_empty()))
            {
                codec::disconnect(&mut out);
                let goodbye = async {
                    writer.write_all(&out).await?;
                    writer.flush().await?;
                    writer.shutdown().await
                };
                // A peer that does not take our goodbye is none of our business any more.
                let _ = timeout(GRACE, goodbye).await;
                return End::Done;
            }
            let deadline = started + session.deadline();
            let deadline = closing.map_or(deadline, |since| deadline.min(since + GRACE));
            // While events wait to be taken nothing is read: the broker is slowed down.
            let reading = pending.is_empty();
            let step = tokio::select! {
                read = reader.read_buf(&mut inbox), if reading => match read {
                    Ok(0) => return End::Broken(Error::Hangup { peer: peer.clone() }),
                    Ok(_) => decode(&mut decoder, &mut inbox, &mut session, started, &mut pending),
                    Err(source) => return End::Broken(io(peer, "read from", source)),
                },
                written = write_some(&mut writer, &mut out), if !out.is_empty() || unflushed => {
                    match written {
                        Ok(written) => {
                            unflushed = written;
                            Ok(())
                        }
                        Err(source) => return End::Broken(io(peer, "write to", source)),
                    }
                }
                permit = self.events.reserve(), if !pending.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(Happening { event, acknowledge }) = pending.pop_front() {
                            permit.send(event);
                            if let Some(id) = acknowledge {
                                codec::puback(id, &mut out);
                            }
                        }
                        Ok(())
                    }
                    Err(_) => {
                        closing.get_or_insert_with(now);
                        pending.clear();
                        Ok(())
                    }
                },
                message = self.messages.recv(),
                    if closing.is_none() && session.ready() && out.len() < OUT_BYTES =>
                {
                    match message {
                        Some(message) => {
                            let sent = session.publish(message, started.elapsed(), &mut out);
                            sent.map(|refused| pending.extend(refused.map(Happening::from)))
                        }
                        None => {
                            closing = Some(now());
                            Ok(())
                        }
                    }
                }
                () = self.events.closed(), if closing.is_none() => {
                    closing = Some(now());
                    Ok(())
                }
                () = sleep_until(deadline) => {
                    if !reading {
                        // Nobody listened to the peer, so its silence says nothing.
                        session.deaf(started.elapsed());
                    }
                    session.tick(started.elapsed(), &mut out)
                }
            };
            if let Err(fault) = step {
                return End::Broken(broken(peer, fault));
            }
            if inbox.capacity() - inbox.len() < IN_BYTES / 4 {
                inbox.reserve(IN_BYTES);
            }
        }
    }
}

fn io(peer: &Peer, what: &'static str, source: std::io::Error) -> Error {
    Error::Io { peer: peer.clone(), what, source }
}

fn broken(peer: &Peer, fault: Fault) -> Error {
    let peer = peer.clone();
    match fault {
        Fault::Silent { what, after } => Error::Timeout { peer, what, after },
        Fault::Protocol(what) => Error::Protocol { peer, what },
        Fault::Disconnected { reason_code } => Error::Disconnected { peer, reason_code },
        Fault::Codec(source) => Error::Malformed { peer, source },
    }
}

/// Writes a part of `out`, or flushes when all is written; whether there is something to flush.
/// Safe to cancel.
async fn write_some(
    writer: &mut (impl AsyncWrite + Unpin),
    out: &mut BytesMut,
) -> std::io::Result<bool> {
    if out.is_empty() {
        writer.flush().await.map(|()| false)
    } else if writer.write_buf(out).await? == 0 {
        Err(std::io::ErrorKind::WriteZero.into())
    } else {
        Ok(true)
    }
}

/// Takes all whole packets from the inbox.
fn decode(
    decoder: &mut Decoder,
    inbox: &mut BytesMut,
    session: &mut Session,
    started: Instant,
    pending: &mut VecDeque<Happening>,
) -> Result<(), Fault> {
    while let Some(packet) = decoder.decode(inbox)? {
        pending.extend(session.receive(packet, started.elapsed())?);
    }
    Ok(())
}

/// Returns when the last publisher or the events' receiver is gone.
async fn unwanted(publishers: &mut mpsc::Receiver<Infallible>, events: &mpsc::Sender<Event>) {
    tokio::select! {
        // Nothing can ever be sent, so this is the end of all senders.
        _ = publishers.recv() => {}
        () = events.closed() => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where this crate reads the clock")]
fn now() -> Instant {
    Instant::now()
}
