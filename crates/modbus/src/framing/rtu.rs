//! Modbus RTU: unit, protocol data unit, checksum. Nothing in a frame says where it ends or which
//! question it answers.

use std::time::Duration;

use super::{Discipline, FrameError, Framing, Line, Step};
use crate::answer::MAX_PDU;
use crate::request::{IDENTIFY, Request};

/// Most bytes of a frame: unit, protocol data unit and checksum.
pub const MAX_RTU_FRAME: usize = 1 + MAX_PDU + CHECKSUM;
/// Bytes of a checksum.
const CHECKSUM: usize = 2;
/// Bytes of an exception: unit, function, code, checksum.
const EXCEPTION: usize = 5;
/// Bytes of a request.
const REQUEST: u32 = 8;
/// Between frames over TCP, where characters have no time of their own.
const GAP_OVER_TCP: Duration = Duration::from_millis(2);

/// The checksum of Modbus RTU (Modbus over Serial Line 1.02, section 2.5.1.2); its low byte is
/// sent first.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 }
            },
        )
    })
}

/// Modbus RTU on a line, or over TCP.
///
/// A frame ends where the request says that it must: gaps between characters are of no use as
/// an end, because adapters deliver what they have every few milliseconds.
#[derive(Clone, Debug)]
pub struct Rtu {
    line: Option<Line>,
    echo: bool,
    /// The frame of the current request.
    sent: Vec<u8>,
    request: Option<Request>,
}

impl Rtu {
    /// On a line with these settings.
    #[must_use]
    pub const fn new(line: Line) -> Self {
        Self { line: Some(line), echo: false, sent: Vec::new(), request: None }
    }

    /// Over TCP to a device server, which knows its line itself.
    #[must_use]
    pub const fn over_tcp() -> Self {
        Self { line: None, echo: false, sent: Vec::new(), request: None }
    }

    /// The same for a line on which everything that is sent comes back first.
    #[must_use]
    pub fn with_echo(self, echo: bool) -> Self {
        Self { echo, ..self }
    }

    /// How long the frame that begins `frame` is; none while that cannot be known.
    fn length(&self, frame: &[u8]) -> Result<Option<usize>, FrameError> {
        let (Some(asked), [unit, ..]) = (self.sent.first().copied(), frame) else {
            return Ok(None);
        };
        if *unit != asked {
            return Err(FrameError::Unit { asked, found: *unit });
        }
        let (Some(request), [_, function, body @ ..]) = (self.request, frame) else {
            return Ok(None);
        };
        let asked = request.function();
        if *function == asked | 0x80 {
            return Ok(Some(EXCEPTION));
        }
        if *function != asked {
            return Err(FrameError::Function { asked, found: *function });
        }
        match request {
            Request::Read(read) => {
                let Some(found) = body.first().copied() else { return Ok(None) };
                let asked = read.answer_bytes();
                if found != asked {
                    return Err(FrameError::ByteCount { asked, found });
                }
                Ok(Some(3 + usize::from(asked) + CHECKSUM))
            }
            Request::Identify { .. } => {
                identification(body).map(|length| Some(2 + length? + CHECKSUM))
            }
        }
    }
}

/// How long an identification is behind its function; none while that cannot be known.
fn identification(body: &[u8]) -> Result<Option<usize>, FrameError> {
    if let Some(found) = body.first().copied()
        && found != IDENTIFY.1
    {
        return Err(FrameError::Function { asked: IDENTIFY.1, found });
    }
    let [_, _, _, _, _, count, objects @ ..] = body else { return Ok(None) };
    let mut rest = objects;
    let mut length = 6;
    for _ in 0..*count {
        let [_, size, tail @ ..] = rest else { return Ok(None) };
        length += 2 + usize::from(*size);
        if length + 2 + CHECKSUM > MAX_RTU_FRAME {
            return Err(FrameError::Length { found: u16::try_from(length).unwrap_or(u16::MAX) });
        }
        rest = tail.get(usize::from(*size)..).unwrap_or_default();
    }
    Ok(Some(length))
}

impl Framing for Rtu {
    /// With an echo before it.
    const MAX_FRAME: usize = 2 * MAX_RTU_FRAME;

    fn encode(&mut self, unit: u8, request: &Request, out: &mut Vec<u8>) {
        self.request = Some(*request);
        self.sent.clear();
        self.sent.push(unit);
        request.encode(&mut self.sent);
        self.sent.extend(crc(&self.sent).to_le_bytes());
        out.extend(&self.sent);
    }

    fn decode(&self, bytes: &[u8]) -> Result<Step, FrameError> {
        let mut before = 0;
        if self.echo {
            let common = bytes.iter().zip(&self.sent).take_while(|(a, b)| a == b).count();
            if common < self.sent.len().min(bytes.len()) {
                return Err(FrameError::NoEcho);
            }
            before = self.sent.len();
        } else if bytes.starts_with(&self.sent) && !self.sent.is_empty() {
            return Err(FrameError::Echo);
        }
        let frame = bytes.get(before..).unwrap_or_default();
        let length = match self.length(frame) {
            // An echo that is not expected looks like an answer with a wrong byte count.
            Err(FrameError::ByteCount { .. }) if self.sent.starts_with(bytes) => None,
            length => length?,
        };
        let Some(frame) = length.and_then(|length| frame.get(..length)) else {
            return Ok(Step::Incomplete);
        };
        let (data, [low, high]) = frame.split_last_chunk().ok_or(FrameError::Noise)?;
        let (found, computed) = (u16::from_le_bytes([*low, *high]), crc(data));
        if found != computed {
            return Err(FrameError::Checksum { found, computed });
        }
        let consumed = before + frame.len();
        Ok(Step::Answer { consumed, pdu: before + 1..consumed - CHECKSUM })
    }

    fn discipline(&self) -> Discipline {
        Discipline::Silence { gap: self.line.map_or(GAP_OVER_TCP, |line| line.gap()) }
    }

    fn wire_time(&self, request: &Request) -> Duration {
        let Some(line) = self.line else { return Duration::ZERO };
        let answer = match request {
            Request::Read(read) => 5 + u32::from(read.answer_bytes()),
            Request::Identify { .. } => 256,
        };
        line.characters(REQUEST * (1 + u32::from(self.echo)) + answer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::{Category, Read, Table};

    fn asked(request: impl Into<Request>) -> Rtu {
        let mut rtu = Rtu::new(Line::default());
        rtu.encode(0x11, &request.into(), &mut Vec::new());
        rtu
    }

    fn read(count: u16) -> Read {
        Read::new(Table::HoldingRegisters, 0x6b, count).unwrap()
    }

    fn framed(bytes: &[u8]) -> Vec<u8> {
        [bytes, &crc(bytes).to_le_bytes()].concat()
    }

    #[test]
    fn the_checksum_is_the_standards() {
        // The check value of CRC-16/MODBUS, and the widely published frame 11 03 00 6B 00 03 76 87.
        assert_eq!(crc(b"123456789"), 0x4b37);
        let mut out = Vec::new();
        Rtu::over_tcp().encode(0x11, &read(3).into(), &mut out);
        assert_eq!(out, [0x11, 3, 0, 0x6b, 0, 3, 0x76, 0x87]);
    }

    #[test]
    fn every_kind_of_frame_is_told_apart() {
        let answer = framed(&[0x11, 3, 6, 0xae, 0x41, 0x56, 0x52, 0x43, 0x40]);
        // Published with the request above.
        assert_eq!(answer[9..], [0x49, 0xad]);
        let mut damaged = answer.clone();
        damaged[4] ^= 1;
        let echo = [0x11, 3, 0, 0x6b, 0, 3, 0x76, 0x87];
        let cases: [(&str, Vec<u8>, Result<Step, FrameError>); 12] = [
            ("nothing", vec![], Ok(Step::Incomplete)),
            ("one byte", vec![0x11], Ok(Step::Incomplete)),
            ("all but one", answer[..10].to_vec(), Ok(Step::Incomplete)),
            ("whole", answer.clone(), Ok(Step::Answer { consumed: 11, pdu: 1..9 })),
            (
                "noise after",
                [&answer[..], &[1, 2]].concat(),
                Ok(Step::Answer { consumed: 11, pdu: 1..9 }),
            ),
            ("unit", vec![0x12], Err(FrameError::Unit { asked: 0x11, found: 0x12 })),
            ("function", vec![0x11, 4], Err(FrameError::Function { asked: 3, found: 4 })),
            ("count", vec![0x11, 3, 4], Err(FrameError::ByteCount { asked: 6, found: 4 })),
            ("exception", framed(&[0x11, 0x83, 2]), Ok(Step::Answer { consumed: 5, pdu: 1..3 })),
            (
                "checksum",
                damaged,
                Err(FrameError::Checksum {
                    found: 0xad49,
                    computed: crc(&[0x11, 3, 6, 0xae, 0x40, 0x56, 0x52, 0x43, 0x40]),
                }),
            ),
            ("the beginning of an echo", echo[..5].to_vec(), Ok(Step::Incomplete)),
            ("an echo", echo.to_vec(), Err(FrameError::Echo)),
        ];
        for (name, bytes, step) in cases {
            assert_eq!(asked(read(3)).decode(&bytes), step, "{name}");
        }
    }

    #[test]
    fn an_echo_is_taken_off() {
        let rtu = asked(read(1)).with_echo(true);
        let answer = framed(&[0x11, 3, 2, 0, 5]);
        let both = [&rtu.sent[..], &answer].concat();
        for cut in 0..both.len() {
            assert_eq!(rtu.decode(&both[..cut]), Ok(Step::Incomplete), "{cut}");
        }
        assert_eq!(rtu.decode(&both), Ok(Step::Answer { consumed: 15, pdu: 9..13 }));
        assert_eq!(rtu.decode(&answer), Err(FrameError::NoEcho));
    }

    #[test]
    fn an_identification_says_itself_how_long_it_is() {
        let rtu = asked(Request::Identify { category: Category::Basic, object: 0 });
        let answer = framed(b"\x11\x2b\x0e\x01\x01\x00\x00\x02\x00\x04ACME\x01\x02P1");
        for cut in 0..answer.len() {
            assert_eq!(rtu.decode(&answer[..cut]), Ok(Step::Incomplete), "{cut}");
        }
        assert_eq!(rtu.decode(&answer), Ok(Step::Answer { consumed: 20, pdu: 1..18 }));
        let long = b"\x11\x2b\x0e\x01\x01\x00\x00\x02\x00\xf8";
        assert!(matches!(rtu.decode(long), Err(FrameError::Length { .. })));
        assert!(matches!(rtu.decode(b"\x11\x2b\x0d"), Err(FrameError::Function { .. })));
    }

    #[test]
    fn the_wire_takes_its_time() {
        // 8 + 5 + 250 characters of 11 bits at 19200 bits a second.
        let time = asked(read(125)).wire_time(&read(125).into());
        assert_eq!(time.as_millis(), 150);
        assert_eq!(Rtu::over_tcp().wire_time(&read(125).into()), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_step_reaches_past_them(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            start in 0..4usize,
            echo in any::<bool>(),
        ) {
            let mut bytes = bytes;
            let identify = Request::Identify { category: Category::Basic, object: 0 };
            let rtu = if start == 3 { asked(identify) } else { asked(read(60)) }.with_echo(echo);
            let right: &[u8] = [&[][..], &[0x11, 3, 120], &[0x11, 0x83], &[0x11, 43, 14]][start];
            bytes.splice(0..0, right.iter().copied());
            if echo {
                bytes.splice(0..0, rtu.sent.iter().copied());
            }
            match rtu.decode(&bytes) {
                Ok(Step::Answer { consumed, pdu }) => {
                    prop_assert!(consumed <= bytes.len() && consumed <= Rtu::MAX_FRAME);
                    prop_assert!(pdu.end <= consumed && !pdu.is_empty());
                }
                Ok(Step::Stale { .. }) => prop_assert!(false),
                // A receiver that waits for more can always get it into its buffer.
                Ok(Step::Incomplete) => prop_assert!(bytes.len() < Rtu::MAX_FRAME),
                Err(_) => {}
            }
        }

        #[test]
        fn one_wrong_bit_is_always_found(bit in 0..(11 * 8usize)) {
            let mut frame = framed(&[0x11, 3, 6, 0xae, 0x41, 0x56, 0x52, 0x43, 0x40]);
            frame[bit / 8] ^= 1 << (bit % 8);
            let step = asked(read(3)).decode(&frame);
            prop_assert!(!matches!(step, Ok(Step::Answer { .. })), "{:?}", step);
        }
    }
}
