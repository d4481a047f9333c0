//! How protocol data units travel on a stream of bytes: state machines without input or output.

mod any;
mod line;
mod rtu;
mod tcp;

use std::ops::Range;
use std::time::Duration;

use thiserror::Error;

pub use any::AnyFraming;
pub use line::{DataBits, Line, Parity, StopBits};
pub use rtu::{MAX_RTU_FRAME, Rtu, crc};
pub use tcp::{MAX_TCP_FRAME, Tcp};

use crate::request::Request;

/// How a late answer is kept from passing for the answer to a later question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// Each answer says which question it is to.
    Ids,
    /// It does not, but each connection is its own: after anything odd there is a new one, and
    /// nothing may have come before a question is asked.
    Fresh,
    /// It does not, and a new connection is the same line: after anything odd nothing is asked
    /// until the line has been silent for longer than the slowest answer.
    Silence {
        /// The least silence between any two frames.
        gap: Duration,
    },
}

/// What the bytes received so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The beginning of a frame.
    Incomplete,
    /// An answer to an earlier request, `consumed` bytes long, to be dropped and counted.
    Stale {
        /// Its length in bytes.
        consumed: usize,
    },
    /// A frame for the current request.
    Answer {
        /// Its length in bytes.
        consumed: usize,
        /// Where the protocol data unit stands in the bytes.
        pdu: Range<usize>,
    },
}

/// A way to frame requests and answers. One request is open at a time.
pub trait Framing {
    /// Most bytes that a frame can have; the receiver's buffer is not larger.
    const MAX_FRAME: usize;

    /// Appends the frame of `request` to `out` and remembers what its answer must look like.
    fn encode(&mut self, unit: u8, request: &Request, out: &mut Vec<u8>);

    /// Looks at the bytes received so far, which begin where a frame begins.
    ///
    /// # Errors
    /// When they cannot be an answer to anything asked. The stream is lost then: where the next
    /// frame begins is not known or not to be trusted.
    fn decode(&self, bytes: &[u8]) -> Result<Step, FrameError>;

    /// What keeps late answers apart.
    fn discipline(&self) -> Discipline;

    /// How long `request` and its answer take on the wire alone; zero where that does not matter.
    fn wire_time(&self, request: &Request) -> Duration;
}

/// Why bytes are no frame of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The third and fourth byte are not zero: not Modbus TCP.
    #[error("the answer has protocol {found}, Modbus has 0")]
    Protocol {
        /// What stands there.
        found: u16,
    },
    /// The length is one that no Modbus frame has.
    #[error("the answer announces {found} bytes, 2 to 254 are possible")]
    Length {
        /// What stands there.
        found: u16,
    },
    /// A transaction that was not asked for lately.
    #[error("the answer has transaction {found}, asked was {asked}; does a gateway rewrite it?")]
    Transaction {
        /// The current request's.
        asked: u16,
        /// The answer's.
        found: u16,
    },
    /// Another unit answers.
    #[error("the answer is from unit {found}, asked was unit {asked}")]
    Unit {
        /// The one asked.
        asked: u8,
        /// The one that answers.
        found: u8,
    },
    /// Another function answers.
    #[error("the answer has function {found}, asked was function {asked}")]
    Function {
        /// What was asked.
        asked: u8,
        /// What the answer has.
        found: u8,
    },
    /// The answer says that it has another number of bytes than the request calls for.
    #[error("the answer announces {found} bytes of data, asked were {asked}")]
    ByteCount {
        /// How many bytes the request calls for.
        asked: u8,
        /// How many the answer announces.
        found: u8,
    },
    /// The checksum does not fit: the frame was damaged on the line.
    #[error("the answer has checksum {found:#06x}, its bytes have {computed:#06x}")]
    Checksum {
        /// What stands in the answer.
        found: u16,
        /// What its bytes call for.
        computed: u16,
    },
    /// What was sent comes back.
    #[error("the line echoes what is sent, which has to be said in its settings")]
    Echo,
    /// What was sent should have come back.
    #[error("the line should echo what is sent and does not")]
    NoEcho,
    /// Bytes keep coming that nobody asked for.
    #[error("the line is never silent")]
    Noise,
}
