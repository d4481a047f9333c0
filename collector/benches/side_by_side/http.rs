//! As much of HTTP as measuring needs: version 1.0, one request to a connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Sends and waits for the whole answer: its status and its body.
pub(crate) fn send(
    address: SocketAddr,
    head: &str,
    body: &[u8],
) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(180)))?;
    let length = body.len();
    stream.write_all(format!("{head}\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((status, answer.split_off((end + 4).min(answer.len()))))
}

/// A form, posted; panics when it is refused.
pub(crate) fn form(address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\n\
         Content-Type: application/x-www-form-urlencoded"
    );
    let (status, body) = send(address, &head, fields.join("&").as_bytes()).expect("an answer");
    assert!(status < 300, "{path} {fields:?}: {status} {}", String::from_utf8_lossy(&body));
    body
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
