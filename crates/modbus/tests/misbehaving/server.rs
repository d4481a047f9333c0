//! The server: one request after the other, one connection after the other.

use std::io;
use std::time::Duration;

use hallwatch_modbus::io::endpoint::Connect;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// What the server does to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Answers after the client has given up, and only then looks at the next request.
    Late,
    Hang,
    /// A byte every 300 ms.
    Trickle,
    /// A byte every 10 ms, which is slow but in time.
    SlowBytes,
    HalfThenHang,
    HalfThenClose,
    Close,
    AnswerThenClose,
    Twice,
    WrongTransaction,
    WrongProtocol,
    LongFrame,
    EmptyFrame,
    WrongUnit,
    WrongFunction,
    /// One register less, consistently.
    FewerRegisters,
    MoreRegisters,
    /// The byte count alone is wrong.
    ByteCountTooLarge,
    ByteCountTooSmall,
    /// The byte count is right, the data stops short of it.
    CutPdu,
    NoiseBefore,
    NoiseAfter,
    /// The request comes back, and nothing else.
    Echo,
    Exception(u8),
    /// Nothing more is heard over this connection, which stays open.
    HalfOpen,
    /// Answers to the request before, without end.
    Flood,
}

/// What any of many requests meets: faults, and now and then a storm of exceptions.
pub(crate) struct Mix {
    pub(crate) rng: Rng,
    pub(crate) storm: u32,
}

impl Mix {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { rng: Rng(seed), storm: 0 }
    }

    /// The code of an exception while there is a storm; `calm` otherwise.
    pub(crate) fn next<F>(&mut self, calm: impl FnOnce(&mut Rng) -> F) -> Result<F, u8> {
        if self.storm == 0 {
            self.storm = if self.rng.below(100) == 0 { 20 } else { 0 };
            return Ok(calm(&mut self.rng));
        }
        self.storm -= 1;
        Err([4, 6, 11].get(self.rng.below(3) as usize).copied().unwrap_or(6))
    }
}

impl Fault {
    /// None in half of the cases, otherwise any but the flood.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        use Fault::*;
        let all = [
            Late,
            Hang,
            Trickle,
            SlowBytes,
            HalfThenHang,
            HalfThenClose,
            Close,
            AnswerThenClose,
            Twice,
            WrongTransaction,
            WrongProtocol,
            LongFrame,
            EmptyFrame,
            WrongUnit,
            WrongFunction,
            FewerRegisters,
            MoreRegisters,
            ByteCountTooLarge,
            ByteCountTooSmall,
            CutPdu,
            NoiseBefore,
            NoiseAfter,
            Echo,
            HalfOpen,
            Exception(1),
            Exception(4),
            Exception(11),
        ];
        let at = rng.below(2 * all.len() as u64) as usize;
        all.get(at).copied().unwrap_or(None)
    }
}

impl Fault {
    /// The reasons that it can be to a client for having no value.
    pub(crate) fn reasons(self) -> &'static [&'static str] {
        use Fault::*;
        match self {
            None | SlowBytes | AnswerThenClose | Twice => &[],
            Late | Hang | Trickle | HalfThenHang | HalfThenClose | Close | HalfOpen | Flood => {
                &["timeout"]
            }
            Exception(_) => &["exception"],
            // The noise stands before the answer to the next question.
            NoiseAfter | NoiseBefore | Echo | WrongTransaction | WrongProtocol | LongFrame
            | EmptyFrame | WrongUnit | WrongFunction | FewerRegisters | MoreRegisters
            | ByteCountTooLarge | ByteCountTooSmall | CutPdu => &["malformed"],
        }
    }
}

/// What register `address` of `unit` holds: different for all that the tests ask.
pub(crate) fn register(unit: u8, address: u16) -> u16 {
    (address * 4 + u16::from(unit % 4)) ^ 0x5a5a
}

/// Splitmix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// An endpoint in memory.
pub(crate) struct Memory(mpsc::UnboundedSender<DuplexStream>);

impl Memory {
    /// Starts a server that asks `next` what to do to each request.
    pub(crate) fn serve(mut next: impl FnMut() -> Fault + Send + 'static) -> Self {
        let (sender, mut connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(stream) = connections.recv().await {
                // The client's hanging up is the usual end of a connection.
                let _ = converse(stream, &mut next).await;
            }
        });
        Self(sender)
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("memory")
    }
}

impl Connect for Memory {
    type Stream = DuplexStream;

    async fn connect(&self) -> io::Result<DuplexStream> {
        let (near, far) = duplex(4096);
        self.0.send(far).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }
}

async fn converse(mut stream: DuplexStream, next: &mut impl FnMut() -> Fault) -> io::Result<()> {
    let mut request = [0; 12];
    let mut before = Vec::new();
    loop {
        stream.read_exact(&mut request).await?;
        let right = answer(&request, 0);
        match next() {
            Fault::None => stream.write_all(&right).await?,
            Fault::Late => {
                sleep(Duration::from_millis(1500)).await;
                stream.write_all(&right).await?;
            }
            Fault::Hang => {}
            fault @ (Fault::Trickle | Fault::SlowBytes) => {
                let pause = if fault == Fault::Trickle { 300 } else { 10 };
                for byte in &right {
                    sleep(Duration::from_millis(pause)).await;
                    stream.write_all(&[*byte]).await?;
                }
            }
            Fault::HalfThenHang => stream.write_all(&right[..right.len() / 2]).await?,
            Fault::HalfThenClose => return stream.write_all(&right[..right.len() / 2]).await,
            Fault::Close => return Ok(()),
            Fault::HalfOpen => loop {
                stream.read_exact(&mut request).await?;
            },
            Fault::Echo => stream.write_all(&request).await?,
            Fault::AnswerThenClose => return stream.write_all(&right).await,
            Fault::Twice => stream.write_all(&[&right[..], &right].concat()).await?,
            Fault::Flood => loop {
                stream.write_all(&before).await?;
                sleep(Duration::from_millis(1)).await;
            },
            fault => stream.write_all(&spoiled(fault, &request, right.clone())).await?,
        }
        before = right;
    }
}

/// The right answer to a read of registers, with `more` registers than were asked for.
fn answer(request: &[u8; 12], more: i32) -> Vec<u8> {
    let [t1, t2, _, _, _, _, unit, function, a1, a2, c1, c2] = *request;
    let address = u16::from_be_bytes([a1, a2]);
    let count = u16::try_from(i32::from(u16::from_be_bytes([c1, c2])) + more).unwrap();
    let mut frame = vec![t1, t2, 0, 0, 0, u8::try_from(3 + 2 * count).unwrap(), unit, function];
    frame.push(u8::try_from(2 * count).unwrap());
    for n in 0..count {
        frame.extend(register(unit, address + n).to_be_bytes());
    }
    frame
}

fn spoiled(fault: Fault, request: &[u8; 12], mut frame: Vec<u8>) -> Vec<u8> {
    match fault {
        Fault::WrongTransaction => frame[0] ^= 0x55,
        Fault::WrongProtocol => frame[3] = 1,
        Fault::LongFrame => frame[4] = 1,
        Fault::EmptyFrame => frame[5] = 0,
        Fault::WrongUnit => frame[6] ^= 1,
        Fault::WrongFunction => frame[7] = 4,
        Fault::FewerRegisters => return answer(request, -1),
        Fault::MoreRegisters => return answer(request, 1),
        Fault::ByteCountTooLarge => frame[8] += 2,
        Fault::ByteCountTooSmall => frame[8] -= 1,
        Fault::CutPdu => {
            frame.pop();
            frame[5] -= 1;
        }
        Fault::NoiseBefore => drop(frame.splice(0..0, [0xde, 0xad, 0xbe, 0xef])),
        Fault::NoiseAfter => frame.extend([0xde, 0xad, 0xbe, 0xef]),
        Fault::Exception(code) => {
            frame.splice(5.., [3, request[6], request[7] | 0x80, code]).for_each(drop)
        }
        fault => unreachable!("{fault:?} is not a spoiled answer"),
    }
    frame
}
