//! ICMP and ICMPv6 echo (RFC 792, RFC 4443): a request to bytes, bytes to a reply.

/// Type of an echo request and of an echo reply, ICMP.
const V4: (u8, u8) = (8, 0);
/// The same for ICMPv6.
const V6: (u8, u8) = (128, 129);
/// Type, code, checksum, identifier, sequence number.
const HEADER_BYTES: usize = 8;

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ICMP.
    V4,
    /// ICMPv6.
    V6,
}

/// An echo request or its reply. That it is ours is told by all three together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Tells sockets apart.
    pub identifier: u16,
    /// Tells requests of one socket apart.
    pub sequence: u16,
    /// Comes back as it was sent.
    pub payload: &'a [u8],
}

/// The request. The checksum of ICMPv6 is left to the kernel: it covers addresses that only the
/// kernel knows.
#[must_use]
pub fn encode_request(family: Family, echo: Echo<'_>) -> Vec<u8> {
    let kind = if family == Family::V4 { V4.0 } else { V6.0 };
    encode(family, kind, echo)
}

/// The reply: what the other side makes of a request.
#[must_use]
pub fn encode_reply(family: Family, echo: Echo<'_>) -> Vec<u8> {
    let kind = if family == Family::V4 { V4.1 } else { V6.1 };
    encode(family, kind, echo)
}

/// The echo reply in an ICMP message, or `None` when it is something else or damaged.
#[must_use]
pub fn parse_reply(family: Family, message: &[u8]) -> Option<Echo<'_>> {
    let kind = if family == Family::V4 { V4.1 } else { V6.1 };
    parse(family, kind, message)
}

/// The echo request in an ICMP message, or `None` when it is something else or damaged.
#[must_use]
pub fn parse_request(family: Family, message: &[u8]) -> Option<Echo<'_>> {
    let kind = if family == Family::V4 { V4.0 } else { V6.0 };
    parse(family, kind, message)
}

/// What is in an IPv4 packet: a raw socket delivers the header, too. `None` when it is no ICMP.
#[must_use]
pub fn in_ipv4(packet: &[u8]) -> Option<&[u8]> {
    const ICMP: u8 = 1;
    let (first, protocol) = (*packet.first()?, *packet.get(9)?);
    let header = usize::from(first & 0x0f) * 4;
    (first >> 4 == 4 && header >= 20 && protocol == ICMP).then(|| packet.get(header..))?
}

fn encode(family: Family, kind: u8, echo: Echo<'_>) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + echo.payload.len());
    message.extend([kind, 0, 0, 0]);
    message.extend(echo.identifier.to_be_bytes());
    message.extend(echo.sequence.to_be_bytes());
    message.extend(echo.payload);
    if family == Family::V4 {
        let sum = checksum(&message).to_be_bytes();
        if let Some(place) = message.get_mut(2..4) {
            place.copy_from_slice(&sum);
        }
    }
    message
}

fn parse(family: Family, wanted: u8, message: &[u8]) -> Option<Echo<'_>> {
    let ([kind, code, _, _, i1, i0, s1, s0], payload) =
        message.split_first_chunk::<HEADER_BYTES>()?;
    let intact = family == Family::V6 || checksum(message) == 0;
    (*kind == wanted && *code == 0 && intact).then_some(Echo {
        identifier: u16::from_be_bytes([*i1, *i0]),
        sequence: u16::from_be_bytes([*s1, *s0]),
        payload,
    })
}

/// The Internet checksum (RFC 1071); over a message with its checksum it is 0.
fn checksum(message: &[u8]) -> u16 {
    let sum = message.chunks(2).fold(0u16, |sum, pair| {
        let word = match *pair {
            [high, low] => u16::from_be_bytes([high, low]),
            [high] => u16::from_be_bytes([high, 0]),
            _ => 0,
        };
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    });
    !sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_has_the_bytes_of_the_standard() {
        let echo = Echo { identifier: 0x1234, sequence: 2, payload: b"abc" };
        // 0800 + 1234 + 0002 + 6162 + 6300 = de98; its complement is 2167.
        assert_eq!(
            encode_request(Family::V4, echo),
            [8, 0, 0x21, 0x67, 0x12, 0x34, 0, 2, b'a', b'b', b'c']
        );
        assert_eq!(
            encode_request(Family::V6, echo),
            [128, 0, 0, 0, 0x12, 0x34, 0, 2, b'a', b'b', b'c']
        );
    }

    #[test]
    fn only_an_intact_reply_is_a_reply() {
        let echo = Echo { identifier: 7, sequence: 9, payload: b"key" };
        let reply = encode_reply(Family::V4, echo);
        assert_eq!(parse_reply(Family::V4, &reply), Some(echo));
        for at in 0..reply.len() {
            let mut damaged = reply.clone();
            damaged[at] ^= 0x10;
            assert_eq!(parse_reply(Family::V4, &damaged), None, "byte {at}");
        }
        assert_eq!(parse_reply(Family::V4, &encode_request(Family::V4, echo)), None);
        assert_eq!(parse_reply(Family::V4, &reply[..7]), None);
        let unreachable = [1, 0, 0, 0, 0, 7, 0, 9];
        assert_eq!(parse_reply(Family::V6, &unreachable), None);
    }

    #[test]
    fn the_header_of_a_raw_packet_is_taken_off_with_its_options() {
        let mut packet = vec![0u8; 24];
        (packet[0], packet[9]) = (0x46, 1);
        packet.extend(b"icmp");
        assert_eq!(in_ipv4(&packet), Some(&b"icmp"[..]));
        packet[9] = 17;
        assert_eq!(in_ipv4(&packet), None);
        (packet[0], packet[9]) = (0x44, 1);
        assert_eq!(in_ipv4(&packet), None, "a header shorter than a header");
        (packet[0], packet[9]) = (0x4f, 1);
        assert_eq!(in_ipv4(&packet), None, "a header longer than the packet");
    }

    proptest! {
        #[test]
        fn what_is_sent_comes_back(
            identifier: u16, sequence: u16, payload: Vec<u8>, v4: bool,
        ) {
            let family = if v4 { Family::V4 } else { Family::V6 };
            let echo = Echo { identifier, sequence, payload: &payload };
            let request = encode_request(family, echo);
            prop_assert_eq!(parse_request(family, &request), Some(echo));
            let reply = encode_reply(family, echo);
            prop_assert_eq!(parse_reply(family, &reply), Some(echo));
        }

        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>) {
            for family in [Family::V4, Family::V6] {
                if let Some(echo) = parse_reply(family, &bytes) {
                    prop_assert_eq!(echo.payload.len() + 8, bytes.len());
                }
            }
            if let Some(inner) = in_ipv4(&bytes) {
                prop_assert!(inner.len() + 20 <= bytes.len());
            }
        }
    }
}
