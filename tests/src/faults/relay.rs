//! A link between two network namespaces that delays, loses, doubles and reorders packets.
//!
//! This kernel need have no `netem`: each side has a TUN interface, of which `socat` hands the
//! packets to a datagram socket of this process and back. What happens to a packet is decided by
//! [`Shaper`], from a seed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::dice::Dice;

/// Packets on their way, at most; further ones are lost, as in any router.
const QUEUE: usize = 4_096;
/// The largest packet of a TUN interface.
const PACKET: usize = 65_536;

/// What happens to packets. Chances are in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// How late each is.
    pub delay: Duration,
    /// By how much more or less.
    pub jitter: Duration,
    /// How many are lost.
    pub loss: u64,
    /// How many come twice.
    pub duplicate: u64,
    /// How many are not late at all, and so overtake those before.
    pub overtake: u64,
}

/// Decides about each packet.
#[derive(Debug)]
pub struct Shaper {
    dice: Dice,
    /// What happens to packets from now on.
    pub shape: Shape,
}

impl Shaper {
    /// All packets pass at once.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), shape: Shape::default() }
    }

    /// How late each copy of the next packet is: none when it is lost.
    pub fn decide(&mut self) -> Vec<Duration> {
        let Shape { delay, jitter, loss, duplicate, overtake } = self.shape;
        if self.dice.hits(loss) {
            return Vec::new();
        }
        let copies = if self.dice.hits(duplicate) { 2 } else { 1 };
        let mut late = || {
            if self.dice.hits(overtake) {
                return Duration::ZERO;
            }
            self.dice.time(delay.saturating_sub(jitter), delay + jitter)
        };
        (0..copies).map(|_| late()).collect()
    }
}

/// A running link; ends when dropped.
#[derive(Debug)]
pub struct Relay {
    shaper: Arc<Mutex<Shaper>>,
    ends: [PathBuf; 2],
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts one with its sockets in `directory`. [`Relay::ends`] are to be attached then.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub fn start(directory: &Path, seed: u64) -> io::Result<Self> {
        let path = |name: &str| directory.join(format!("{name}.sock"));
        let own = [path("relay-a"), path("relay-b")];
        let ends = [path("end-a"), path("end-b")];
        let sockets = [UnixDatagram::bind(&own[0])?, UnixDatagram::bind(&own[1])?];
        let shaper = Arc::new(Mutex::new(Shaper::new(seed)));
        let task = tokio::spawn(copy(sockets, ends.clone(), Arc::clone(&shaper)));
        Ok(Self { shaper, ends, task })
    }

    /// The arguments with which `socat` attaches an interface of this name and address to an end.
    #[must_use]
    pub fn ends(&self, end: usize, name: &str, address: &str) -> [String; 2] {
        let mine = self.ends[end].display();
        let relay = self.ends[end].with_file_name(["relay-a.sock", "relay-b.sock"][end]);
        [
            format!("TUN:{address},iff-no-pi,tun-type=tun,tun-name={name},iff-up"),
            format!("UNIX-SENDTO:{},bind={mine},unlink-early", relay.display()),
        ]
    }

    /// From now on this happens to packets.
    pub fn shape(&self, shape: Shape) {
        self.shaper.lock().unwrap_or_else(PoisonError::into_inner).shape = shape;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where packets wait")]
async fn copy(sockets: [UnixDatagram; 2], ends: [PathBuf; 2], shaper: Arc<Mutex<Shaper>>) {
    let [mut left, mut right] = [vec![0; PACKET], vec![0; PACKET]];
    // By the time to send and a number: to which end, and what.
    let mut queue: BTreeMap<(Instant, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let mut number = 0_u64;
    loop {
        let next = queue.keys().next().map(|(at, _)| *at);
        let wait = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let arrived = tokio::select! {
            Ok(length) = sockets[0].recv(&mut left) => Some((1, left[..length].to_vec())),
            Ok(length) = sockets[1].recv(&mut right) => Some((0, right[..length].to_vec())),
            () = wait => None,
        };
        let now = Instant::now();
        if let Some((to, packet)) = arrived {
            let copies = shaper.lock().unwrap_or_else(PoisonError::into_inner).decide();
            for late in copies {
                if queue.len() < QUEUE {
                    number += 1;
                    queue.insert((now + late, number), (to, packet.clone()));
                }
            }
        }
        while let Some(entry) = queue.first_entry()
            && entry.key().0 <= now
        {
            let (to, packet) = entry.remove();
            // An end that is full or not there loses the packet, as a wire does.
            let _ = sockets[to].try_send_to(&packet, &ends[to]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn packets_are_lost_late_twice_and_early_as_often_as_told() {
        let mut shaper = Shaper::new(1);
        assert!((0..100).all(|_| shaper.decide() == [Duration::ZERO]));
        shaper.shape =
            Shape { delay: millis(500), jitter: millis(100), loss: 30, duplicate: 10, overtake: 5 };
        let all: Vec<Vec<Duration>> = (0..10_000).map(|_| shaper.decide()).collect();
        let count = |test: &dyn Fn(&Vec<Duration>) -> bool| all.iter().filter(|c| test(c)).count();
        assert!((2_800..3_200).contains(&count(&Vec::is_empty)));
        assert!((600..800).contains(&count(&|copies| copies.len() == 2)));
        let late: Vec<Duration> = all.iter().flatten().copied().collect();
        let early = late.iter().filter(|late| late.is_zero()).count();
        assert!((300..480).contains(&early), "{early}");
        let in_range = |late: &&Duration| (millis(400)..=millis(600)).contains(*late);
        assert_eq!(late.iter().filter(in_range).count() + early, late.len());
        let mut again = Shaper { dice: Dice::new(1), shape: Shape::default() };
        (0..100).for_each(|_| drop(again.decide()));
        again.shape = shaper.shape;
        assert_eq!(all, (0..10_000).map(|_| again.decide()).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_packet_comes_out_at_the_other_end_after_its_delay() {
        let directory = tempfile::tempdir().unwrap();
        let relay = Relay::start(directory.path(), 1).unwrap();
        let end = |name: &str| UnixDatagram::bind(directory.path().join(name)).unwrap();
        let (left, right) = (end("end-a.sock"), end("end-b.sock"));
        relay.shape(Shape { delay: millis(80), ..Shape::default() });
        #[expect(clippy::disallowed_methods, reason = "the delay is what is tested")]
        let sent = Instant::now();
        left.send_to(b"there", directory.path().join("relay-a.sock")).await.unwrap();
        right.send_to(b"back", directory.path().join("relay-b.sock")).await.unwrap();
        let mut packet = [0; 16];
        let length = right.recv(&mut packet).await.unwrap();
        assert_eq!(&packet[..length], b"there");
        assert!(sent.elapsed() >= millis(80));
        let length = left.recv(&mut packet).await.unwrap();
        assert_eq!(&packet[..length], b"back");
    }
}
