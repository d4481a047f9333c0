//! ICMP echo over one socket that stays open.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::error::{Trouble, of_socket, of_use};
use super::{random, socket};
use crate::io::clock::Clock;
use crate::uplink::icmp::{self, Family};
use crate::uplink::{Event, Failure, Path, ProbeId};

/// How many sendings are remembered; answers to older ones are dropped.
const REMEMBERED: usize = 1024;
/// After so many sendings, and twice the timeout, without any answer a new socket is opened, for its
/// new identifier: a NAT on the way may remember a path that is gone for as long as it sees the old
/// one, and never let it through again.
const REOPEN: u32 = 5;
/// A pause after an error of the socket, lest a lasting one keeps a processor busy.
const PAUSE: Duration = Duration::from_millis(20);

/// One target that is asked to echo.
pub(super) struct Echo {
    probe: usize,
    target: IpAddr,
    path: Path,
    timeout: Duration,
    events: mpsc::Sender<Event>,
    open: Option<Open>,
}

struct Open {
    socket: Arc<UdpSocket>,
    /// What is sent as the identifier. An unprivileged socket's is replaced by the kernel.
    identifier: u16,
    key: [u8; 16],
    sent: Arc<Mutex<Sent>>,
    /// Ends when this is dropped.
    _reader: JoinSet<()>,
}

#[derive(Default)]
struct Sent {
    times: VecDeque<(u16, Instant)>,
    /// Sendings since the last answer, and when the first of them was.
    unanswered: Option<(u32, Instant)>,
}

impl Echo {
    pub(super) fn new(
        probe: usize,
        target: IpAddr,
        path: Path,
        timeout: Duration,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self { probe, target, path, timeout, events, open: None }
    }

    /// Sends a request. The answer comes as an event; what fails at once is returned.
    pub(super) fn send(&mut self, id: ProbeId) -> Result<(), Event> {
        if self.open.as_ref().is_some_and(|open| open.is_deaf(self.timeout)) {
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.open().map_err(|error| event(id, of_socket(&error)))?,
        };
        // The first error may be that of an earlier request, which a socket tells at the next
        // occasion.
        match open.send(self.target, id.number).or_else(|_| open.send(self.target, id.number)) {
            Ok(()) => {
                self.open = Some(open);
                Ok(())
            }
            Err(error) => Err(event(id, of_use(&error))),
        }
    }

    fn open(&self) -> io::Result<Open> {
        let opened = socket::echo(self.target, &self.path)?;
        let socket = Arc::new(opened.socket);
        let [i1, i0, ..] = random().to_be_bytes();
        let identifier = opened.identifier.unwrap_or(u16::from_be_bytes([i1, i0]));
        let mut key = [0; 16];
        let halves = [random().to_be_bytes(), random().to_be_bytes()];
        key.iter_mut().zip(halves.as_flattened()).for_each(|(to, from)| *to = *from);
        let sent = Arc::default();
        let reader = Reader {
            probe: self.probe,
            target: self.target,
            socket: socket.clone(),
            raw: opened.identifier.is_none(),
            identifier,
            key,
            sent: Arc::clone(&sent),
            events: self.events.clone(),
        };
        let mut task = JoinSet::new();
        task.spawn(reader.run());
        Ok(Open { socket, identifier, key, sent, _reader: task })
    }
}

fn event(id: ProbeId, trouble: Trouble) -> Event {
    match trouble {
        Trouble::Unasked(why) => Event::Unasked(id, why),
        Trouble::Failed(Failure::PathGone) => Event::Failed(id, Failure::PathGone),
        // An echo cannot be refused: it is a router that says so.
        Trouble::Failed(_) => Event::Failed(id, Failure::Unreachable),
    }
}

impl Open {
    fn is_deaf(&self, timeout: Duration) -> bool {
        let unanswered = lock(&self.sent).unanswered;
        unanswered.is_some_and(|(count, since)| count >= REOPEN && since.elapsed() > 2 * timeout)
    }

    fn send(&self, target: IpAddr, number: u16) -> io::Result<()> {
        let echo = icmp::Echo { identifier: self.identifier, sequence: number, payload: &self.key };
        let request = icmp::encode_request(family(target), echo);
        let mut sent = lock(&self.sent);
        let before = Clock::stopwatch();
        // Not through tokio, whose first look at a new socket finds it not writable.
        SockRef::from(&*self.socket).send(&request)?;
        if sent.times.len() == REMEMBERED {
            sent.times.pop_front();
        }
        sent.times.push_back((number, before));
        let (count, since) = sent.unanswered.unwrap_or((0, before));
        sent.unanswered = Some((count.saturating_add(1), since));
        Ok(())
    }
}

/// Hears the answers.
struct Reader {
    probe: usize,
    target: IpAddr,
    socket: Arc<UdpSocket>,
    raw: bool,
    identifier: u16,
    key: [u8; 16],
    sent: Arc<Mutex<Sent>>,
    events: mpsc::Sender<Event>,
}

impl Reader {
    async fn run(self) {
        let mut buffer = [0; 512];
        loop {
            let received = self.socket.recv_from(&mut buffer).await;
            let after = Clock::stopwatch();
            let (bytes, from) = match received {
                Ok((length, from)) => (buffer.get(..length).unwrap_or_default(), from),
                Err(error) => {
                    // A router's complaint; the request it is about times out.
                    tracing::debug!(target = %self.target, %error, "no echo");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            // Unprivileged sockets hear any host, connected or not.
            if from.ip() != self.target {
                continue;
            }
            let Some((number, sent)) = self.answered(bytes) else { continue };
            let id = ProbeId { probe: self.probe, number };
            let event = Event::Answered(id, after.saturating_duration_since(sent));
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    /// Which sending the bytes are an answer to, and when that was.
    fn answered(&self, bytes: &[u8]) -> Option<(u16, Instant)> {
        let family = family(self.target);
        let message = if self.raw && family == Family::V4 { icmp::in_ipv4(bytes)? } else { bytes };
        let echo = icmp::parse_reply(family, message)?;
        if echo.identifier != self.identifier || echo.payload != self.key {
            return None;
        }
        let mut sent = lock(&self.sent);
        let found = sent.times.iter().rev().find(|(number, _)| *number == echo.sequence).copied();
        if found.is_some() {
            sent.unanswered = None;
        }
        found
    }
}

fn family(target: IpAddr) -> Family {
    if target.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// Nothing that holds the lock can panic half-way through a change.
fn lock(sent: &Mutex<Sent>) -> std::sync::MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}
