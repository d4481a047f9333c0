//! One type for clients whose framing is known only from a configuration.

use std::time::Duration;

use super::{Discipline, FrameError, Framing, Rtu, Step, Tcp};
use crate::request::Request;

/// Any of the framings.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are documented themselves")]
pub enum AnyFraming {
    Tcp(Tcp),
    Rtu(Rtu),
}

impl Framing for AnyFraming {
    const MAX_FRAME: usize =
        if Rtu::MAX_FRAME > Tcp::MAX_FRAME { Rtu::MAX_FRAME } else { Tcp::MAX_FRAME };

    fn encode(&mut self, unit: u8, request: &Request, out: &mut Vec<u8>) {
        match self {
            Self::Tcp(tcp) => tcp.encode(unit, request, out),
            Self::Rtu(rtu) => rtu.encode(unit, request, out),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Step, FrameError> {
        match self {
            Self::Tcp(tcp) => tcp.decode(bytes),
            Self::Rtu(rtu) => rtu.decode(bytes),
        }
    }

    fn discipline(&self) -> Discipline {
        match self {
            Self::Tcp(tcp) => tcp.discipline(),
            Self::Rtu(rtu) => rtu.discipline(),
        }
    }

    fn wire_time(&self, request: &Request) -> Duration {
        match self {
            Self::Tcp(tcp) => tcp.wire_time(request),
            Self::Rtu(rtu) => rtu.wire_time(request),
        }
    }
}
