//! A question to a DNS server and what matters of its answer (RFC 1035): whether it is the answer
//! to our question, and whether the server could answer.

use std::fmt;

use thiserror::Error;

/// The longest name in text, without the final dot.
const MAX_NAME_BYTES: usize = 253;
/// The longest part between two dots.
const MAX_LABEL_BYTES: usize = 63;
/// Identifier, flags and four counts.
const HEADER_BYTES: usize = 12;
/// The type of an address (A) and the class of the Internet.
const TYPE_AND_CLASS: [u8; 4] = [0, 1, 0, 1];

/// A host name: labels of 1 to 63 letters, digits, `-` and `_` with dots between them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DnsName(String);

/// Why a text is not a [`DnsName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DnsNameError {
    /// More than 253 bytes.
    #[error("a name has at most 253 characters")]
    TooLong,
    /// Two dots in a row, a dot in front, or nothing at all.
    #[error("there is nothing where a part of the name should be")]
    EmptyLabel,
    /// More than 63 bytes between two dots.
    #[error("a part of a name has at most 63 characters")]
    LongLabel,
    /// Something other than letters, digits, `-` and `_`.
    #[error("a name has letters, digits, `-` and `_` with dots between them")]
    Character,
}

impl DnsName {
    /// Checks `text`; a dot at the end is dropped.
    ///
    /// # Errors
    /// When it is no host name.
    pub fn new(text: &str) -> Result<Self, DnsNameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > MAX_NAME_BYTES {
            return Err(DnsNameError::TooLong);
        }
        for label in text.split('.') {
            if label.is_empty() {
                return Err(DnsNameError::EmptyLabel);
            }
            if label.len() > MAX_LABEL_BYTES {
                return Err(DnsNameError::LongLabel);
            }
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                return Err(DnsNameError::Character);
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The text, without a final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As on the wire: each label after its length, then a zero.
    fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.0.len() + 2);
        for label in self.0.split('.') {
            wire.push(u8::try_from(label.len()).unwrap_or_default());
            wire.extend(label.bytes());
        }
        wire.push(0);
        wire
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What a server made of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0 when it could answer, 2 for a failure, 3 for "no such name", 5 when it refused.
    pub rcode: u8,
    /// There is more than fits into a datagram; for a probe that is as good as all of it.
    pub truncated: bool,
}

/// The question for the address of `name`; the server may ask others.
#[must_use]
pub fn encode_query(id: u16, name: &DnsName) -> Vec<u8> {
    const RECURSION_DESIRED: u8 = 1;
    let mut query = Vec::with_capacity(HEADER_BYTES + name.0.len() + 6);
    query.extend(id.to_be_bytes());
    query.extend([RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(name.wire());
    query.extend(TYPE_AND_CLASS);
    query
}

/// The answer to the question `id` for `name`, or `None` when the bytes are something else: an
/// answer to an earlier question, to another name, or no answer at all.
#[must_use]
pub fn parse_answer(id: u16, name: &DnsName, bytes: &[u8]) -> Option<Answer> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [id1, id0, flags1, flags0, questions1, questions0, ..] = *header;
    let is_answer = flags1 & 0x80 != 0;
    let opcode = flags1 >> 3 & 0x0f;
    if u16::from_be_bytes([id1, id0]) != id || !is_answer || opcode != 0 {
        return None;
    }
    let answer = Answer { rcode: flags0 & 0x0f, truncated: flags1 & 0x02 != 0 };
    match u16::from_be_bytes([questions1, questions0]) {
        // A server that could not read the question may leave it out.
        0 if answer.rcode != 0 => Some(answer),
        1 => {
            let wire = name.wire();
            let (asked, rest) = rest.split_at_checked(wire.len())?;
            // Servers may answer in other letters' case. The lengths are no letters, as they are
            // below 64.
            let same = asked.eq_ignore_ascii_case(&wire) && rest.starts_with(&TYPE_AND_CLASS);
            same.then_some(answer)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::new(text).unwrap()
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(name("example.com.").as_str(), "example.com");
        assert_eq!(DnsName::new(""), Err(DnsNameError::EmptyLabel));
        assert_eq!(DnsName::new("a..b"), Err(DnsNameError::EmptyLabel));
        assert_eq!(DnsName::new("ä.example"), Err(DnsNameError::Character));
        assert_eq!(DnsName::new("a b"), Err(DnsNameError::Character));
        assert_eq!(DnsName::new(&"a".repeat(64)), Err(DnsNameError::LongLabel));
        assert_eq!(DnsName::new(&"a.".repeat(127)).map(|n| n.as_str().len()), Ok(253));
        assert_eq!(DnsName::new(&"a.".repeat(128)), Err(DnsNameError::TooLong));
    }

    #[test]
    fn a_question_has_the_bytes_of_the_standard() {
        let query = encode_query(0xbeef, &name("a.test"));
        assert_eq!(
            query,
            b"\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01"
        );
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let asked = name("a.test");
        let mut answer = encode_query(7, &asked);
        assert_eq!(parse_answer(7, &asked, &answer), None, "the question itself");
        answer[2] |= 0x80;
        let good = Answer { rcode: 0, truncated: false };
        assert_eq!(parse_answer(7, &asked, &answer), Some(good));
        assert_eq!(parse_answer(7, &name("A.Test"), &answer), Some(good));
        assert_eq!(parse_answer(8, &asked, &answer), None, "an earlier question's");
        assert_eq!(parse_answer(7, &name("b.test"), &answer), None, "another name's");
        assert_eq!(parse_answer(7, &asked, &answer[..answer.len() - 1]), None, "cut off");
        answer[3] = 2;
        answer[2] |= 2;
        let failed = Answer { rcode: 2, truncated: true };
        assert_eq!(parse_answer(7, &asked, &answer), Some(failed));
        answer[5] = 0;
        assert_eq!(parse_answer(7, &asked, &answer[..12]), Some(failed), "without the question");
        answer[3] = 0;
        assert_eq!(parse_answer(7, &asked, &answer[..12]), None, "success needs the question");
        answer[2] |= 0x28;
        assert_eq!(parse_answer(7, &asked, &answer), None, "an update's");
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(
            id: u16,
            text in "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}",
            bytes: Vec<u8>,
            cut in 0usize..40,
        ) {
            let name = name(&text);
            let _ = parse_answer(id, &name, &bytes);
            // Close to right reaches further into the parser than noise does.
            let mut near = encode_query(id, &name);
            near[2] |= 0x80;
            near.truncate(near.len().saturating_sub(cut));
            near.extend(&bytes);
            if cut == 0 {
                prop_assert!(parse_answer(id, &name, &near).is_some());
            } else {
                let _ = parse_answer(id, &name, &near);
            }
            prop_assert_eq!(parse_answer(id.wrapping_add(1), &name, &near), None);
        }
    }
}
