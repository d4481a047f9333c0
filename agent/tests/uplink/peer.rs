//! Those who answer behind a provider. Each is a thread in the provider's namespace that ends with
//! this value.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use hallwatch_agent::uplink::icmp::{self, Family};
use socket2::{Domain, Protocol, Socket, Type};

use crate::site::Namespace;

/// What a peer does with the question of this number (from 0) and identifier.
pub(crate) type Habit = Box<dyn FnMut(usize, u16) -> Reply + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Good,
    None,
    Twice,
    After(Duration),
    /// From the other host.
    Wrongly,
    /// With other bytes than those that were asked.
    Garbled,
}

/// Always the same.
pub(crate) fn always(reply: Reply) -> Habit {
    Box::new(move |_, _| reply)
}

/// A thread that answers until this is dropped.
pub(crate) struct Peer {
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const PATIENCE: Duration = Duration::from_millis(20);

impl Peer {
    /// How many questions came.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// `turn` waits a moment for a question and says whether there was one. Returns when the
    /// sockets are there.
    fn start<F: FnMut(usize) -> bool>(
        namespace: &Namespace,
        open: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        let (asked, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, stopped) = (asked.clone(), stop.clone());
        let (ready, opened) = mpsc::channel();
        let thread = namespace.spawn(move || {
            let mut turn = open();
            ready.send(()).unwrap();
            while !stopped.load(Ordering::SeqCst) {
                if turn(counter.load(Ordering::SeqCst)) {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        opened.recv().unwrap();
        Self { asked, stop, thread: Some(thread) }
    }

    /// Answers echo requests in the kernel's place.
    pub(crate) fn echo(
        namespace: &Namespace,
        address: &str,
        other: &str,
        mut habit: Habit,
    ) -> Self {
        namespace.sysctl("ipv4/icmp_echo_ignore_all", "1");
        let [address, other] = [address, other].map(|a| SocketAddr::new(a.parse().unwrap(), 0));
        Self::start(namespace, move || {
            let [good, wrong] = [address, other].map(|address| {
                let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
                socket.bind(&address.into()).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Arc::new(UdpSocket::from(socket))
            });
            move |number| {
                let mut buffer = [0; 512];
                let Ok((length, from)) = good.recv_from(&mut buffer) else { return false };
                let message = icmp::in_ipv4(&buffer[..length]).unwrap();
                let Some(echo) = icmp::parse_request(Family::V4, message) else { return false };
                let how = habit(number, echo.identifier);
                let garbled = echo.payload.iter().map(|byte| !byte).collect::<Vec<u8>>();
                let payload = if how == Reply::Garbled { &garbled } else { echo.payload };
                let reply = icmp::encode_reply(Family::V4, icmp::Echo { payload, ..echo });
                answer(how, &good, &wrong, reply, from);
                true
            }
        })
    }

    /// Answers DNS questions at `address`.
    pub(crate) fn dns(namespace: &Namespace, address: &str, mut habit: Habit) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        Self::start(namespace, move || {
            let good = UdpSocket::bind(address).unwrap();
            good.set_read_timeout(Some(PATIENCE)).unwrap();
            let wrong = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
            let (good, wrong) = (Arc::new(good), Arc::new(wrong));
            move |number| {
                let mut buffer = [0; 512];
                let Ok((length, from)) = good.recv_from(&mut buffer) else { return false };
                let mut reply = buffer[..length].to_vec();
                reply[2] |= 0x80;
                let how = habit(number, u16::from_be_bytes([reply[0], reply[1]]));
                if how == Reply::Garbled {
                    reply[1] ^= 1;
                }
                answer(how, &good, &wrong, reply, from);
                true
            }
        })
    }

    /// Accepts connections at `address`, reads a little, says `banner` and hangs up.
    pub(crate) fn tcp(namespace: &Namespace, address: &str, banner: &'static str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        Self::start(namespace, move || {
            let listener = TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            move |_| match listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let mut question = [0; 512];
                    // Probes that only connect ask nothing.
                    let _ = stream.read(&mut question);
                    let _ = stream.write_all(banner.as_bytes());
                    true
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    std::thread::sleep(Duration::from_millis(1));
                    false
                }
            }
        })
    }
}

fn answer(
    how: Reply,
    good: &Arc<UdpSocket>,
    wrong: &Arc<UdpSocket>,
    reply: Vec<u8>,
    to: SocketAddr,
) {
    let send = |socket: &UdpSocket| {
        socket.send_to(&reply, to).unwrap();
    };
    match how {
        Reply::None => {}
        Reply::Good | Reply::Garbled => send(good),
        Reply::Wrongly => send(wrong),
        Reply::Twice => {
            send(good);
            send(good);
        }
        Reply::After(pause) => {
            let good = good.clone();
            std::thread::spawn(move || {
                std::thread::sleep(pause);
                // By then the network may be gone.
                let _ = good.send_to(&reply, to);
            });
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("a peer panicked");
        }
    }
}
