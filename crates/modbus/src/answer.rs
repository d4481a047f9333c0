//! What a device answers, checked against what it was asked.

use thiserror::Error;

use crate::request::{IDENTIFY, Read, Request};

/// Most bytes a protocol data unit has (Modbus Application Protocol 1.1b3, section 4.1).
pub const MAX_PDU: usize = 253;

/// What a read brought: as many bits or registers as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// From coils or discrete inputs.
    Bits(Box<[bool]>),
    /// From holding or input registers.
    Registers(Box<[u16]>),
}

/// One object of a device's identification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// 0 vendor, 1 product code, 2 revision, 3 vendor's address, 4 product, 5 model,
    /// 6 application; from 128 on as the vendor likes.
    pub id: u8,
    /// Mostly text; what is not UTF-8 is replaced.
    pub text: String,
}

/// A part of a device's identification (function 43, MEI type 14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identification {
    /// What the device says it can tell: 1 basic, 2 regular, 3 extended; 0x80 on top when also one
    /// object by one.
    pub conformity: u8,
    /// The objects of this part.
    pub objects: Vec<Object>,
    /// The object to ask for next, when this part is not all.
    pub next: Option<u8>,
}

/// Why an answer's protocol data unit is not one to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// The device says why it does not answer. Codes 0x0A and 0x0B come from a gateway.
    #[error("the {} answered with exception {code:#04x}{}", answerer(*code), exception_name(*code))]
    Exception {
        /// The exception's code.
        code: u8,
    },
    /// Another function than the one asked for.
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
        asked: usize,
        /// How many the answer announces.
        found: usize,
    },
    /// The answer is shorter or longer than it says itself.
    #[error("the answer has {found} bytes, {announced} were announced")]
    Length {
        /// What the answer announces.
        announced: usize,
        /// What there is.
        found: usize,
    },
    /// The request itself, which can look like an answer to a read of bits.
    #[error("the request came back instead of an answer")]
    Echo,
    /// An identification that contradicts itself.
    #[error("the device identification is malformed")]
    Identification,
}

/// Who answers with this exception: two of them are about a device and not from it.
const fn answerer(code: u8) -> &'static str {
    match code {
        0x0a | 0x0b => "gateway",
        _ => "device",
    }
}

/// The standard name of an exception code, in brackets, or nothing.
fn exception_name(code: u8) -> &'static str {
    match code {
        0x01 => " (illegal function)",
        0x02 => " (illegal data address)",
        0x03 => " (illegal data value)",
        0x04 => " (server device failure)",
        0x05 => " (acknowledge)",
        0x06 => " (server device busy)",
        0x08 => " (memory parity error)",
        0x0a => " (no path to the device)",
        0x0b => " (the device behind it did not respond)",
        _ => "",
    }
}

/// Takes the answer to a read apart.
///
/// # Errors
/// When `pdu` is an exception, or not exactly an answer to `read`.
pub fn parse_read(read: Read, pdu: &[u8]) -> Result<Data, AnswerError> {
    let body = body(read.table().function(), pdu)?;
    let (&announced, data) =
        body.split_first().ok_or(AnswerError::Length { announced: 2, found: pdu.len() })?;
    let announced = usize::from(announced);
    let count = usize::from(read.count());
    let asked = usize::from(read.answer_bytes());
    if announced != asked {
        return Err(AnswerError::ByteCount { asked, found: announced });
    }
    if data.len() != announced {
        return Err(AnswerError::Length { announced, found: data.len() });
    }
    Ok(if read.table().is_bits() {
        let bits = data.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
        Data::Bits(bits.take(count).collect())
    } else {
        let (pairs, _) = data.as_chunks::<2>();
        Data::Registers(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
    })
}

/// Takes a device identification apart.
///
/// # Errors
/// When `pdu` is an exception, another function's answer or contradicts itself.
pub fn parse_identification(pdu: &[u8]) -> Result<Identification, AnswerError> {
    let body = body(IDENTIFY.0, pdu)?;
    let [mei, _category, conformity, more, next, count, rest @ ..] = body else {
        return Err(AnswerError::Length { announced: 7, found: pdu.len() });
    };
    let mut rest = rest;
    if *mei != IDENTIFY.1 {
        return Err(AnswerError::Identification);
    }
    let mut objects = Vec::new();
    for _ in 0..*count {
        let [id, length, tail @ ..] = rest else { return Err(AnswerError::Identification) };
        let (text, tail) =
            tail.split_at_checked(usize::from(*length)).ok_or(AnswerError::Identification)?;
        objects.push(Object { id: *id, text: String::from_utf8_lossy(text).into_owned() });
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(AnswerError::Identification);
    }
    Ok(Identification { conformity: *conformity, objects, next: (*more != 0).then_some(*next) })
}

/// Whether `pdu` is an answer to `request`, whatever it says.
///
/// # Errors
/// As [`parse_read`] and [`parse_identification`], and when it is `request` itself.
pub fn check(request: &Request, pdu: &[u8]) -> Result<(), AnswerError> {
    let mut sent = Vec::with_capacity(8);
    request.encode(&mut sent);
    if pdu == sent {
        return Err(AnswerError::Echo);
    }
    match request {
        Request::Read(read) => parse_read(*read, pdu).map(drop),
        Request::Identify { .. } => parse_identification(pdu).map(drop),
    }
}

/// What stands behind the function code, when it is the one that was asked for.
fn body(asked: u8, pdu: &[u8]) -> Result<&[u8], AnswerError> {
    match *pdu {
        [] => Err(AnswerError::Length { announced: 1, found: 0 }),
        [function, ref body @ ..] if function == asked => Ok(body),
        [function, code] if function == asked | 0x80 => Err(AnswerError::Exception { code }),
        [function, ref body @ ..] if function == asked | 0x80 => {
            Err(AnswerError::Length { announced: 1, found: body.len() })
        }
        [function, ..] => Err(AnswerError::Function { asked, found: function }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::Table;

    fn read(table: Table, count: u16) -> Read {
        Read::new(table, 0, count).unwrap()
    }

    #[test]
    fn a_request_that_comes_back_is_no_answer() {
        // 20 coils from 0x0305 on: as an answer it would be three bytes, as many as were asked for.
        let coils = Read::new(Table::Coils, 0x0305, 20).unwrap();
        let echo = [1, 3, 5, 0, 20];
        assert!(parse_read(coils, &echo).is_ok(), "it looks like one");
        assert_eq!(check(&coils.into(), &echo), Err(AnswerError::Echo));
        assert_eq!(check(&coils.into(), &[1, 3, 5, 0, 4]), Ok(()));
        for table in Table::ALL {
            let mut sent = Vec::new();
            Request::Read(read(table, 3)).encode(&mut sent);
            assert_eq!(check(&read(table, 3).into(), &sent), Err(AnswerError::Echo));
        }
    }

    #[test]
    fn the_examples_of_the_specification() {
        // Modbus Application Protocol 1.1b3, 6.1: coils 20 to 38.
        let bits = |pattern: &str| Data::Bits(pattern.bytes().map(|c| c == b'1').collect());
        assert_eq!(
            parse_read(read(Table::Coils, 19), &[1, 3, 0xcd, 0x6b, 0x05]),
            Ok(bits("1011001111010110101"))
        );
        // 6.3: registers 108 to 110.
        assert_eq!(
            parse_read(read(Table::HoldingRegisters, 3), &[3, 6, 2, 0x2b, 0, 0, 0, 0x64]),
            Ok(Data::Registers([0x022b, 0, 0x64].into()))
        );
        // 6.21: basic identification of a device.
        let mut pdu = vec![0x2b, 0x0e, 1, 1, 0, 0, 3, 0, 4];
        pdu.extend(b"ACME\x01\x02P1\x02\x02V2");
        let found = parse_identification(&pdu).unwrap();
        let texts: Vec<_> = found.objects.iter().map(|o| (o.id, o.text.as_str())).collect();
        assert_eq!(texts, [(0, "ACME"), (1, "P1"), (2, "V2")]);
        assert_eq!(found.next, None);
    }

    #[test]
    fn refuses_answers_to_other_questions() {
        let asked = read(Table::HoldingRegisters, 2);
        let cases: [(&str, &[u8], AnswerError); 9] = [
            ("empty", &[], AnswerError::Length { announced: 1, found: 0 }),
            ("no byte count", &[3], AnswerError::Length { announced: 2, found: 1 }),
            ("exception", &[0x83, 2], AnswerError::Exception { code: 2 }),
            ("no code", &[0x83], AnswerError::Length { announced: 1, found: 0 }),
            ("two codes", &[0x83, 2, 2], AnswerError::Length { announced: 1, found: 2 }),
            ("input", &[4, 4, 0, 0, 0, 0], AnswerError::Function { asked: 3, found: 4 }),
            ("other exception", &[0x84, 2], AnswerError::Function { asked: 3, found: 0x84 }),
            ("one register", &[3, 2, 0, 0], AnswerError::ByteCount { asked: 4, found: 2 }),
            ("cut off", &[3, 4, 0, 0, 0], AnswerError::Length { announced: 4, found: 3 }),
        ];
        for (name, pdu, error) in cases {
            assert_eq!(parse_read(asked, pdu), Err(error), "{name}");
        }
    }

    fn any_request() -> impl Strategy<Value = Read> {
        (0..4usize, 1..=125u16).prop_map(|(table, count)| read(Table::ALL[table], count))
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_taken_has_what_was_asked(
            asked in any_request(),
            pdu in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(data) = parse_read(asked, &pdu) {
                let count = match data {
                    Data::Bits(bits) => bits.len(),
                    Data::Registers(registers) => registers.len(),
                };
                prop_assert_eq!(count, usize::from(asked.count()));
            }
            let _ = parse_identification(&pdu);
        }

        #[test]
        fn identifications_that_start_right_do_not_panic(
            tail in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut pdu = vec![0x2b, 0x0e];
            pdu.extend(tail);
            let _ = parse_identification(&pdu);
        }

        #[test]
        fn every_register_comes_through(words in prop::collection::vec(any::<u16>(), 1..=125)) {
            let count = u16::try_from(words.len()).unwrap();
            let mut pdu = vec![3, u8::try_from(words.len() * 2).unwrap()];
            pdu.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            let data = parse_read(read(Table::HoldingRegisters, count), &pdu);
            prop_assert_eq!(data, Ok(Data::Registers(words.into())));
        }
    }
}
