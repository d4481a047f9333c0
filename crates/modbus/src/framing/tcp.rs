//! Modbus TCP.

use std::time::Duration;

use super::{Discipline, FrameError, Framing, Step};
use crate::answer::MAX_PDU;
use crate::request::Request;

/// Bytes before the unit in a Modbus TCP frame: transaction, protocol, length.
const PREFIX: usize = 6;
/// Most bytes of a Modbus TCP frame: prefix, unit and protocol data unit.
pub const MAX_TCP_FRAME: usize = PREFIX + 1 + MAX_PDU;
/// So many requests back an answer can be late. Behind that it counts as never asked for.
const STALE_WINDOW: u16 = 1024;

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
    /// Whether answers may have any transaction id.
    lenient: bool,
}

impl Tcp {
    /// Starts after the transaction id `last`.
    #[must_use]
    pub const fn starting_after(last: u16) -> Self {
        Self { transaction: last, earlier: 0, unit: 0, lenient: false }
    }

    /// For gateways that rewrite transaction ids: any id will do. Late answers can then be told
    /// only by their connection.
    #[must_use]
    pub const fn lenient() -> Self {
        Self { transaction: 0, earlier: 0, unit: 0, lenient: true }
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
        let age = if self.lenient { 0 } else { self.transaction.wrapping_sub(transaction) };
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

    fn discipline(&self) -> Discipline {
        if self.lenient { Discipline::Fresh } else { Discipline::Ids }
    }

    fn wire_time(&self, _: &Request) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::framing::{FrameError, Step};
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

    #[test]
    fn a_gateway_may_rewrite_ids_and_nothing_else() {
        let mut framing = Tcp::lenient();
        let read = Read::new(Table::HoldingRegisters, 4, 1).unwrap();
        framing.encode(0x11, &read.into(), &mut Vec::new());
        assert_eq!(framing.discipline(), Discipline::Fresh);
        let frame = [0xab, 0xcd, 0, 0, 0, 5, 0x11, 3, 2, 0, 5];
        assert_eq!(framing.decode(&frame), Ok(Step::Answer { consumed: 11, pdu: 7..11 }));
        let foreign = [0xab, 0xcd, 0, 0, 0, 5, 0x12];
        assert!(matches!(framing.decode(&foreign), Err(FrameError::Unit { .. })));
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
