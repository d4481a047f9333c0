//! How protocol data units travel on a stream of bytes: state machines without input or output.

use std::ops::Range;

use thiserror::Error;

use crate::answer::MAX_PDU;
use crate::request::Request;

/// Bytes before the unit in a Modbus TCP frame: transaction, protocol, length.
const PREFIX: usize = 6;
/// Most bytes of a Modbus TCP frame: prefix, unit and protocol data unit.
pub const MAX_TCP_FRAME: usize = PREFIX + 1 + MAX_PDU;
/// So many requests back an answer can be late. Behind that it counts as never asked for.
const STALE_WINDOW: u16 = 1024;

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
}

/// Modbus TCP: each frame carries a transaction id, so that a late answer is told from the
/// current one.
///
/// The ids go on over reconnections: gateways exist that hand an answer from the serial side to
/// whoever is connected when it arrives.
#[derive(Clone, Debug, Default)]
pub struct Tcp {
    transaction: u16,
    /// How many transactions before the current one count as asked lately.
    earlier: u16,
    unit: u8,
}

impl Tcp {
    /// Starts after the transaction id `last`.
    #[must_use]
    pub const fn starting_after(last: u16) -> Self {
        Self { transaction: last, earlier: 0, unit: 0 }
    }
}

impl Framing for Tcp {
    const MAX_FRAME: usize = MAX_TCP_FRAME;

    fn encode(&mut self, unit: u8, request: &Request, out: &mut Vec<u8>) {
        self.transaction = self.transaction.wrapping_add(1);
        self.earlier = (self.earlier + 1).min(STALE_WINDOW);
        self.unit = unit;
        let start = out.len();
        out.extend(self.transaction.to_be_bytes());
        out.extend([0, 0, 0, 0, unit]);
        request.encode(out);
        let length = u16::try_from(out.len() - start - PREFIX).unwrap_or(u16::MAX);
        if let Some(place) = out.get_mut(start + 4..start + PREFIX) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Step, FrameError> {
        // What is wrong is said as soon as it can be seen: noise must not look like a slow answer.
        if let [_, _, high, low, ..] = *bytes
            && [high, low] != [0, 0]
        {
            return Err(FrameError::Protocol { found: u16::from_be_bytes([high, low]) });
        }
        let [t1, t2, _, _, l1, l2, rest @ ..] = bytes else { return Ok(Step::Incomplete) };
        let length = u16::from_be_bytes([*l1, *l2]);
        if !(2..=254).contains(&length) {
            return Err(FrameError::Length { found: length });
        }
        let transaction = u16::from_be_bytes([*t1, *t2]);
        let age = self.transaction.wrapping_sub(transaction);
        if age >= self.earlier.max(1) {
            return Err(FrameError::Transaction { asked: self.transaction, found: transaction });
        }
        let consumed = PREFIX + usize::from(length);
        if let [unit, ..] = *rest
            && age == 0
            && unit != self.unit
        {
            return Err(FrameError::Unit { asked: self.unit, found: unit });
        }
        if bytes.len() < consumed {
            return Ok(Step::Incomplete);
        }
        Ok(if age == 0 {
            Step::Answer { consumed, pdu: PREFIX + 1..consumed }
        } else {
            Step::Stale { consumed }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::{Read, Table};

    fn asked(times: u16) -> Tcp {
        let mut framing = Tcp::starting_after(0x14ff);
        for _ in 0..times {
            let read = Read::new(Table::HoldingRegisters, 4, 1).unwrap();
            framing.encode(0x11, &read.into(), &mut Vec::new());
        }
        framing
    }

    #[test]
    fn a_request_is_framed() {
        let mut out = vec![0xee];
        let read = Read::new(Table::HoldingRegisters, 4, 1).unwrap();
        Tcp::starting_after(0x14ff).encode(0x11, &read.into(), &mut out);
        assert_eq!(out, [0xee, 0x15, 0, 0, 0, 0, 6, 0x11, 3, 0, 4, 0, 1]);
    }

    #[test]
    fn every_kind_of_frame_is_told_apart() {
        let answer = [0x15, 0x02, 0, 0, 0, 5, 0x11, 3, 2, 0, 5];
        let cases: [(&str, &[u8], Result<Step, FrameError>); 12] = [
            ("nothing", &[], Ok(Step::Incomplete)),
            ("half", &answer[..10], Ok(Step::Incomplete)),
            ("whole", &answer, Ok(Step::Answer { consumed: 11, pdu: 7..11 })),
            (
                "two frames",
                &[&answer[..], &[1, 2, 3]].concat(),
                Ok(Step::Answer { consumed: 11, pdu: 7..11 }),
            ),
            (
                "an earlier one",
                &[0x15, 0x01, 0, 0, 0, 3, 9, 0x83, 2],
                Ok(Step::Stale { consumed: 9 }),
            ),
            (
                "the first one",
                &[0x15, 0x00, 0, 0, 0, 3, 9, 0x83, 2],
                Ok(Step::Stale { consumed: 9 }),
            ),
            (
                "before the first",
                &[0x14, 0xff, 0, 0, 0, 3, 0x11, 0x83, 2],
                Err(FrameError::Transaction { asked: 0x1502, found: 0x14ff }),
            ),
            (
                "one not yet asked",
                &[0x15, 0x03, 0, 0, 0, 3, 0x11, 0x83, 2],
                Err(FrameError::Transaction { asked: 0x1502, found: 0x1503 }),
            ),
            ("protocol", &[0x15, 0x02, 0, 1], Err(FrameError::Protocol { found: 1 })),
            ("empty", &[0x15, 0x02, 0, 0, 0, 1], Err(FrameError::Length { found: 1 })),
            ("long", &[0x15, 0x02, 0, 0, 0, 255], Err(FrameError::Length { found: 255 })),
            (
                "unit",
                &[0x15, 0x02, 0, 0, 0, 5, 0x12],
                Err(FrameError::Unit { asked: 0x11, found: 0x12 }),
            ),
        ];
        for (name, bytes, step) in cases {
            assert_eq!(asked(3).decode(bytes), step, "{name}");
        }
    }

    #[test]
    fn ids_wrap_and_old_ones_are_forgotten() {
        let mut framing = Tcp::starting_after(u16::MAX);
        let read = Read::new(Table::Coils, 0, 1).unwrap().into();
        for _ in 0..2000 {
            framing.encode(1, &read, &mut Vec::new());
        }
        let frame = |id: u16| [&id.to_be_bytes()[..], &[0, 0, 0, 4, 1, 1, 1, 0]].concat();
        assert!(matches!(framing.decode(&frame(1999)), Ok(Step::Answer { .. })));
        assert!(matches!(framing.decode(&frame(1000)), Ok(Step::Stale { .. })));
        assert!(matches!(framing.decode(&frame(900)), Err(FrameError::Transaction { .. })));
        assert!(matches!(framing.decode(&frame(2000)), Err(FrameError::Transaction { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_step_reaches_past_them(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            start_right in any::<bool>(),
        ) {
            let mut bytes = bytes;
            if start_right {
                bytes.splice(0..0, [0x15, 0x02, 0, 0, 0]);
            }
            match asked(3).decode(&bytes) {
                Ok(Step::Answer { consumed, pdu }) => {
                    prop_assert!(consumed <= bytes.len() && consumed <= Tcp::MAX_FRAME);
                    prop_assert!(pdu.end == consumed && !pdu.is_empty());
                }
                Ok(Step::Stale { consumed }) => prop_assert!(consumed <= bytes.len()),
                // A receiver that waits for more can always get it into its buffer.
                Ok(Step::Incomplete) => prop_assert!(bytes.len() < Tcp::MAX_FRAME),
                Err(_) => {}
            }
        }

        #[test]
        fn an_answer_never_passes_for_another_request(id in any::<u16>(), unit in any::<u8>()) {
            let bytes = [&id.to_be_bytes()[..], &[0, 0, 0, 5, unit, 3, 2, 0, 5]].concat();
            let taken = matches!(asked(3).decode(&bytes), Ok(Step::Answer { .. }));
            prop_assert_eq!(taken, id == 0x1502 && unit == 0x11);
        }
    }
}
