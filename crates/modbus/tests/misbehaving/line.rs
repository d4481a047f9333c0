//! A line with a strictly sequential device that misbehaves: RTU frames over any stream. What it
//! has to say and cannot, because the stream was closed, it says to whoever comes next.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hallwatch_modbus::framing::crc;
use hallwatch_modbus::io::endpoint::Connect;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::server::{Rng, register};

/// What the device does to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFault {
    None,
    /// Answers after the client has given up, and only then looks at the next request.
    Late,
    Hang,
    /// Slower than any timeout, byte by byte.
    Trickle,
    SlowBytes,
    /// In pieces, as USB adapters deliver.
    Chunks,
    HalfThenHang,
    HalfThenClose,
    Close,
    AnswerThenClose,
    Twice,
    /// One bit is wrong.
    Flip,
    WrongUnit,
    WrongFunction,
    FewerRegisters,
    MoreRegisters,
    ByteCountTooLarge,
    /// The last byte is missing.
    Cut,
    NoiseBefore,
    NoiseAfter,
    /// Noise some time after the answer.
    NoiseLater,
    /// The request comes back before the answer.
    Echo,
    Exception(u8),
    /// Nothing more is heard over this connection, which stays open.
    HalfOpen,
    /// Noise without end.
    Flood,
}

use LineFault::*;

impl LineFault {
    /// None in all but one of `rarity` cases, otherwise any but the flood.
    pub(crate) fn any(rng: &mut Rng, rarity: u64) -> Self {
        let all = [
            Late,
            Hang,
            Trickle,
            SlowBytes,
            Chunks,
            HalfThenHang,
            HalfThenClose,
            Close,
            AnswerThenClose,
            Twice,
            Flip,
            WrongUnit,
            WrongFunction,
            FewerRegisters,
            MoreRegisters,
            ByteCountTooLarge,
            Cut,
            NoiseBefore,
            NoiseAfter,
            NoiseLater,
            Echo,
            HalfOpen,
            Exception(1),
            Exception(4),
            Exception(11),
        ];
        let at = rng.below(rarity * all.len() as u64) as usize;
        all.get(at).copied().unwrap_or(None)
    }

    /// The reasons that it can be to a client for having no value.
    pub(crate) fn reasons(self) -> &'static [&'static str] {
        match self {
            None | SlowBytes | Chunks | AnswerThenClose | Twice | NoiseAfter => &[],
            // A second attempt may meet it, too.
            Late | Hang | Trickle | HalfThenHang | Cut | HalfThenClose | Close | HalfOpen => {
                &["timeout"]
            }
            Exception(_) => &["exception"],
            // The noise stands before the answer to the next question.
            NoiseLater | Flip | WrongUnit | WrongFunction | FewerRegisters | MoreRegisters
            | ByteCountTooLarge | NoiseBefore | Echo | Flood => &["malformed"],
        }
    }
}

/// How slow the device is when it is slow.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) late: Duration,
    pub(crate) trickle: Duration,
    pub(crate) slow: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let [late, trickle, slow] = [1500, 300, 10].map(Duration::from_millis);
        Self { late, trickle, slow }
    }
}

/// The device's side of a line.
pub(crate) struct Device<N> {
    next: N,
    pace: Pace,
    /// What it could not say.
    unsaid: Vec<u8>,
}

/// All faults so far.
pub(crate) type Log = Arc<Mutex<Vec<LineFault>>>;

impl<N: FnMut() -> LineFault> Device<N> {
    pub(crate) fn new(next: N, pace: Pace) -> Self {
        Self { next, pace, unsaid: Vec::new() }
    }

    /// Answers until the stream ends.
    pub(crate) async fn converse(
        &mut self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let unsaid = std::mem::take(&mut self.unsaid);
        stream.write_all(&unsaid).await?;
        let mut request = [0; 8];
        loop {
            stream.read_exact(&mut request).await?;
            let right = answer(&request, 0);
            let half = &right[..right.len() / 2];
            match (self.next)() {
                None => stream.write_all(&right).await?,
                Late => {
                    sleep(self.pace.late).await;
                    let gone = matches!(
                        tokio::time::timeout(Duration::ZERO, stream.read_u8()).await,
                        Ok(Err(_))
                    );
                    if gone || stream.write_all(&right).await.is_err() {
                        self.unsaid = right;
                        return Ok(());
                    }
                }
                Hang => {}
                fault @ (Trickle | SlowBytes) => {
                    let pause = if fault == Trickle { self.pace.trickle } else { self.pace.slow };
                    for byte in &right {
                        sleep(pause).await;
                        stream.write_all(&[*byte]).await?;
                    }
                }
                Chunks => {
                    for chunk in right.chunks(3) {
                        stream.write_all(chunk).await?;
                        stream.flush().await?;
                        sleep(self.pace.slow).await;
                    }
                }
                HalfThenHang => stream.write_all(half).await?,
                HalfThenClose => return stream.write_all(half).await,
                Close => return Ok(()),
                HalfOpen => loop {
                    stream.read_exact(&mut request).await?;
                },
                AnswerThenClose => return stream.write_all(&right).await,
                NoiseLater => {
                    stream.write_all(&right).await?;
                    sleep(self.pace.slow * 5).await;
                    stream.write_all(&NOISE).await?;
                }
                Flood => loop {
                    stream.write_all(&NOISE).await?;
                    sleep(self.pace.slow).await;
                },
                fault => stream.write_all(&spoiled(fault, &request, right.clone())).await?,
            }
        }
    }
}

const NOISE: [u8; 4] = [0xde, 0xad, 0xbe, 0xef];

/// A line in memory.
pub(crate) struct MemoryLine(mpsc::UnboundedSender<DuplexStream>);

impl MemoryLine {
    /// Starts a device that asks `next` what to do to each request.
    pub(crate) fn serve(next: impl FnMut() -> LineFault + Send + 'static) -> Self {
        let (sender, mut connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut device = Device::new(next, Pace::default());
            while let Some(stream) = connections.recv().await {
                let _ = device.converse(stream).await;
            }
        });
        Self(sender)
    }
}

impl std::fmt::Display for MemoryLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("line")
    }
}

impl Connect for MemoryLine {
    type Stream = DuplexStream;

    async fn connect(&self) -> io::Result<DuplexStream> {
        let (near, far) = duplex(4096);
        self.0.send(far).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }
}

fn framed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc(&bytes).to_le_bytes());
    bytes
}

/// The right answer to a read of registers, with `more` registers than were asked for.
fn answer(request: &[u8; 8], more: i32) -> Vec<u8> {
    let [unit, function, a1, a2, c1, c2, ..] = *request;
    let address = u16::from_be_bytes([a1, a2]);
    let count = u16::try_from(i32::from(u16::from_be_bytes([c1, c2])) + more).unwrap();
    let mut frame = vec![unit, function, u8::try_from(2 * count).unwrap()];
    for n in 0..count {
        frame.extend(register(unit, address + n).to_be_bytes());
    }
    framed(frame)
}

fn spoiled(fault: LineFault, request: &[u8; 8], mut frame: Vec<u8>) -> Vec<u8> {
    let body = frame.len() - 2;
    match fault {
        Twice => return [&frame[..], &frame].concat(),
        Flip => frame[4] ^= 0x10,
        WrongUnit => {
            frame[0] ^= 1;
            return framed(frame[..body].to_vec());
        }
        WrongFunction => {
            frame[1] = 4;
            return framed(frame[..body].to_vec());
        }
        FewerRegisters => return answer(request, -1),
        MoreRegisters => return answer(request, 1),
        ByteCountTooLarge => {
            frame[2] += 2;
            return framed(frame[..body].to_vec());
        }
        Cut => drop(frame.pop()),
        NoiseBefore => drop(frame.splice(0..0, NOISE)),
        NoiseAfter => frame.extend(NOISE),
        Echo => drop(frame.splice(0..0, *request)),
        Exception(code) => return framed(vec![request[0], request[1] | 0x80, code]),
        fault => unreachable!("{fault:?} is not a spoiled answer"),
    }
    frame
}
