//! The broker inside of the demo. It forgets everything when it ends, and may lose messages: the
//! agent's journal and the collector's acknowledgements are what keeps readings.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

use crate::Error;

/// Starts a broker on a free port of 127.0.0.1 and gives its address. Its threads end with the
/// process: the library has no way to stop them.
pub(crate) fn start() -> Result<SocketAddr, Error> {
    let listen = free_address().map_err(|source| Error::Broker { source })?;
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: 1 << 20,
        max_inflight_count: 200,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "demo".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: 100,
        max_outgoing_packet_count: 200,
        max_segment_size: 16 << 20,
        max_segment_count: 4,
        ..RouterConfig::default()
    };
    let v5 = Some(HashMap::from([("demo".to_owned(), server)]));
    let mut broker = Broker::new(Config { router, v5, ..Config::default() });
    thread::Builder::new()
        .name("broker".to_owned())
        .spawn(move || {
            if let Err(error) = broker.start() {
                tracing::error!(%error, "the embedded broker ended");
            }
        })
        .map_err(|source| Error::Broker { source })?;
    await_listener(listen).map_err(|source| Error::Broker { source })?;
    Ok(listen)
}

/// The library binds by itself and does not tell the port: find a free one first.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn await_listener(address: SocketAddr) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..100 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(last)
}
