//! As much of HTTP as measuring needs.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection, which stays open from one request to the next, as Grafana's do.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<(u16, Vec<u8>)> {
        self.send(&format!("GET {path}"), "", b"")
    }

    /// With further header lines, each of them ended.
    pub(crate) fn post(
        &mut self,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        self.send(&format!("POST {path}"), headers, body)
    }

    /// A form, posted; panics when it is refused.
    pub(crate) fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let all: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let (status, body) = self.post(path, headers, all.join("&").as_bytes()).expect("an answer");
        assert!(status < 300, "{path} {fields:?}: {status} {}", String::from_utf8_lossy(&body));
        body
    }

    /// Waits for the whole answer: its status and its body. Servers close what was open for some
    /// minutes; then it is sent once more.
    fn send(&mut self, what: &str, headers: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        if let Some(stream) = self.stream.take()
            && let Ok(answer) = self.send_on(stream, what, headers, body)
        {
            return Ok(answer);
        }
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(180)))?;
        self.send_on(BufReader::with_capacity(64 << 10, stream), what, headers, body)
    }

    fn send_on(
        &mut self,
        mut stream: BufReader<TcpStream>,
        what: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let (address, length) = (self.address, body.len());
        let head = format!(
            "{what} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        // In one piece, as libraries send what is short.
        stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let answer = answer(&mut stream)?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<(u16, Vec<u8>)> {
    let status = line(stream)?.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let (mut length, mut is_chunked) = (0, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
            Some(("transfer-encoding", _)) => is_chunked = true,
            Some(_) => (),
            None => break,
        }
    }
    let mut body = Vec::new();
    if !is_chunked {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        return Ok((status, body));
    }
    loop {
        let size = line(stream)?;
        let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        let had = body.len();
        body.resize(had + size, 0);
        stream.read_exact(&mut body[had..])?;
        line(stream)?;
        if size == 0 {
            return Ok((status, body));
        }
    }
}

/// A line without its end.
fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A message of Prometheus' remote write: protobuf within a snappy block that compresses nothing,
/// the cheapest there is for both sides.
pub(crate) fn remote_write(samples: &[(Vec<u8>, i64, f64)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (labels, time, value) in samples {
        let mut sample = vec![0x09];
        sample.extend_from_slice(&value.to_le_bytes());
        sample.push(0x10);
        varint(&mut sample, time.cast_unsigned());
        let mut series = labels.clone();
        field(&mut series, 0x12, &sample);
        field(&mut message, 0x0a, &series);
    }
    let mut block = Vec::with_capacity(message.len() + message.len() / 60_000 * 3 + 16);
    varint(&mut block, message.len() as u64);
    for literal in message.chunks(60_000) {
        block.push(61 << 2);
        block.extend_from_slice(&(literal.len() as u16 - 1).to_le_bytes());
        block.extend_from_slice(literal);
    }
    block
}

/// Labels as remote write has them; sorted by name.
pub(crate) fn wire_labels(labels: &hallwatch_model::Labels) -> Vec<u8> {
    let mut out = Vec::new();
    for label in labels {
        let mut pair = Vec::new();
        field(&mut pair, 0x0a, label.name.as_bytes());
        field(&mut pair, 0x12, label.value.as_bytes());
        field(&mut out, 0x0a, &pair);
    }
    out
}

fn field(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
