//! The broker that the demo embeds, as a process that can be killed: `rumqttd PORT-V5 PORT-V311`,
//! on the loopback.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

fn main() {
    let ports: Vec<u16> = std::env::args().skip(1).filter_map(|port| port.parse().ok()).collect();
    let &[v5, v311] = ports.as_slice() else { panic!("two ports: of MQTT 5 and of MQTT 3.1.1") };
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: 1_100_000,
        max_inflight_count: 200,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = |name: &str, port| {
        let server = ServerSettings {
            name: name.to_owned(),
            listen: (Ipv4Addr::LOCALHOST, port).into(),
            tls: None,
            next_connection_delay_ms: 1,
            connections: connections.clone(),
        };
        Some(HashMap::from([(name.to_owned(), server)]))
    };
    let router = RouterConfig {
        max_connections: 100,
        max_outgoing_packet_count: 200,
        max_segment_size: 16 << 20,
        max_segment_count: 4,
        ..RouterConfig::default()
    };
    let (v5, v4) = (server("v5", v5), server("v311", v311));
    let mut broker = Broker::new(Config { router, v5, v4, ..Config::default() });
    broker.start().expect("a broker");
}
