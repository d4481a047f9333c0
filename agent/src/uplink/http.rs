//! A request for a page and the first line of the answer (RFC 9112).

use std::fmt;

use super::{DnsName, Failure, Host};

/// The longest first line that is read; what is longer is no status line.
pub const MAX_STATUS_LINE_BYTES: usize = 1024;

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// The name that the page is asked of, and that its certificate must be for.
    pub host: Host,
    /// Who is connected to: the same, unless an address is given.
    pub connect: Host,
    /// The port.
    pub port: u16,
    /// Whether it is HTTPS.
    pub tls: bool,
    /// Path and query, starting with `/`.
    pub page: String,
}

impl HttpTarget {
    /// The request. The connection is closed after the answer, of which the body is not read.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let (host, page) = (self.authority(), &self.page);
        let agent = concat!("hallwatch-agent/", env!("CARGO_PKG_VERSION"));
        format!(
            "GET {page} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        )
        .into_bytes()
    }

    fn authority(&self) -> String {
        let standard = if self.tls { 443 } else { 80 };
        if self.port == standard {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The name that is to be resolved, when there is one.
    #[must_use]
    pub fn name(&self) -> Option<&DnsName> {
        match &self.connect {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        }
    }
}

impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.page)
    }
}

/// What the bytes that have come say so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The first line is not complete.
    Partial,
    /// The status, 100 to 999.
    Code(u16),
    /// This is no HTTP/1.
    Malformed,
}

impl Status {
    /// Reads the first line of `bytes`.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        const PREFIX: &[u8] = b"HTTP/1.";
        let start = bytes.get(..PREFIX.len()).unwrap_or(bytes);
        if !PREFIX.starts_with(start) {
            return Self::Malformed;
        }
        let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
            let more = bytes.len() < MAX_STATUS_LINE_BYTES;
            return if more { Self::Partial } else { Self::Malformed };
        };
        let line = bytes.get(PREFIX.len()..end).unwrap_or_default();
        match line {
            [b'0' | b'1', b' ', a @ b'1'..=b'9', b, c, rest @ ..]
                if b.is_ascii_digit()
                    && c.is_ascii_digit()
                    && matches!(rest, [] | [b' ' | b'\r', ..]) =>
            {
                let digit = |byte: u8| u16::from(byte.saturating_sub(b'0'));
                Self::Code(digit(*a) * 100 + digit(*b) * 10 + digit(*c))
            }
            _ => Self::Malformed,
        }
    }
}

/// Whether a status is a good answer: 200 to 399. A redirection is one, and is not followed.
///
/// # Errors
/// The class of any other.
pub fn judge(code: u16) -> Result<(), Failure> {
    match code {
        200..=399 => Ok(()),
        400..=499 => Err(Failure::Status4xx),
        500..=599 => Err(Failure::Status5xx),
        _ => Err(Failure::StatusOther),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_request_names_the_host_and_a_port_that_is_not_the_standard_one() {
        let mut target = HttpTarget {
            host: Host::Name(DnsName::new("status.example").unwrap()),
            connect: Host::Address([203, 0, 113, 7].into()),
            port: 443,
            tls: true,
            page: "/up?a=b".into(),
        };
        let request = String::from_utf8(target.request()).unwrap();
        assert!(request.starts_with("GET /up?a=b HTTP/1.1\r\nHost: status.example\r\n"));
        assert!(request.ends_with("\r\nConnection: close\r\n\r\n"));
        target.port = 8443;
        assert_eq!(target.to_string(), "https://status.example:8443/up?a=b");
        target.host = Host::Address(std::net::Ipv6Addr::LOCALHOST.into());
        assert!(String::from_utf8(target.request()).unwrap().contains("\r\nHost: [::1]:8443\r\n"));
    }

    #[test]
    fn the_first_line_tells_the_status() {
        let cases: &[(&[u8], Status)] = &[
            (b"", Status::Partial),
            (b"HT", Status::Partial),
            (b"HTTP/1.1 200 OK\r", Status::Partial),
            (b"HTTP/1.1 200 OK\r\nServer: x", Status::Code(200)),
            (b"HTTP/1.0 503\r\n", Status::Code(503)),
            (b"HTTP/1.1 302\n", Status::Code(302)),
            (b"HTTP/1.1 2000 OK\r\n", Status::Malformed),
            (b"HTTP/1.1 099 x\r\n", Status::Malformed),
            (b"HTTP/1.1\r\n", Status::Malformed),
            (b"HTTP/2 200\r\n", Status::Malformed),
            (b"SSH-2.0-OpenSSH\r\n", Status::Malformed),
            (b"\x15\x03\x01", Status::Malformed),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Status::parse(bytes), *expected, "{:?}", String::from_utf8_lossy(bytes));
        }
        let mut endless = b"HTTP/1.1 200 ".to_vec();
        endless.resize(MAX_STATUS_LINE_BYTES, b'x');
        assert_eq!(Status::parse(&endless), Status::Malformed);
    }

    #[test]
    fn statuses_have_classes() {
        assert_eq!(judge(204), Ok(()));
        assert_eq!(judge(301), Ok(()));
        assert_eq!(judge(404), Err(Failure::Status4xx));
        assert_eq!(judge(502), Err(Failure::Status5xx));
        assert_eq!(judge(100), Err(Failure::StatusOther));
        assert_eq!(judge(999), Err(Failure::StatusOther));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(noise: Vec<u8>, cut in 0usize..20) {
            let _ = Status::parse(&noise);
            let mut near = b"HTTP/1.1 200 OK\r\n".to_vec();
            near.truncate(cut);
            near.extend(noise);
            if let Status::Code(code) = Status::parse(&near) {
                prop_assert!((100..=999).contains(&code));
            }
        }
    }
}
