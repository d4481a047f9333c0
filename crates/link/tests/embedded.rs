//! The connection against `rumqttd`, the broker that the demo embeds: another reading of the
//! standard than mosquitto's.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use hallwatch_link::{Backoff, Event, Events, Message, Options, Publisher, open};
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(15);

fn broker() -> u16 {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: 1 << 21,
        max_inflight_count: 500,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "v5".to_owned(),
        listen: (Ipv4Addr::LOCALHOST, port).into(),
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: 100,
        max_outgoing_packet_count: 200,
        max_segment_size: 10 << 20,
        max_segment_count: 10,
        custom_segment: None,
        initialized_filters: None,
        ..RouterConfig::default()
    };
    let servers = HashMap::from([("v5".to_owned(), server)]);
    let config = Config { id: 0, router, v5: Some(servers), ..Config::default() };
    std::thread::spawn(move || Broker::new(config).start().unwrap());
    port
}

fn options(port: u16, client_id: &str) -> Options {
    let (first, most) = (Duration::from_millis(50), Duration::from_millis(200));
    let (backoff, keep_alive) = (Backoff { first, most }, Duration::from_secs(1));
    Options { backoff, keep_alive, ..Options::new("127.0.0.1", port, client_id) }
}

fn message(topic: &str, payload: &str) -> Message {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    Message { topic: topic.into(), payload, retain: false }
}

async fn connected(options: Options) -> (Publisher, Events) {
    let (publisher, mut events) = open(options);
    loop {
        match timeout(PATIENCE, events.next()).await.unwrap().unwrap() {
            Event::Connected { .. } => return (publisher, events),
            // It may not listen yet.
            Event::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn next(events: &mut Events) -> Event {
    timeout(PATIENCE, events.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn messages_and_retained_ones_go_through_and_silence_breaks_nothing() {
    let port = broker();
    let hears = Options { subscriptions: vec!["t/#".into()], ..options(port, "hears") };
    let (_a, mut hears) = connected(hears).await;
    let (says, mut said) = connected(options(port, "says")).await;
    for number in 0..500 {
        says.publish(message("t/1", &number.to_string())).await.unwrap();
    }
    for number in 0..500 {
        match next(&mut hears).await {
            Event::Message(heard) => assert_eq!(heard, message("t/1", &number.to_string())),
            other => panic!("{other:?}"),
        }
    }
    // Several keep-alives of silence: the pings are answered.
    assert!(timeout(Duration::from_secs(4), said.next()).await.is_err());
    let kept = Message { retain: true, ..message("t/kept", "kept") };
    says.publish(kept.clone()).await.unwrap();
    match next(&mut hears).await {
        Event::Message(heard) => assert_eq!(heard.payload, kept.payload),
        other => panic!("{other:?}"),
    }
    let late = Options { subscriptions: vec!["t/kept".into()], ..options(port, "late") };
    let (_late, mut late) = connected(late).await;
    match next(&mut late).await {
        Event::Message(heard) => assert_eq!(heard.payload, kept.payload),
        other => panic!("{other:?}"),
    }
}
