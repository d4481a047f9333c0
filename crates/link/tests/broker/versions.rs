//! What is different in MQTT 3.1.1, brokers that do not speak our version, and several addresses.

use std::fs;
use std::time::Duration;

use hallwatch_link::{Error, Event, Message, Options, Peer, Version, open, reason};
use tempfile::TempDir;

use crate::peers::{
    Mosquitto, Nats, RUMQTTD, closed, connected, failed, free_port, message, next, options,
    received, subscriber,
};

fn old(options: Options) -> Options {
    Options { version: Version::V311, ..options }
}

#[tokio::test]
async fn a_broker_that_does_not_speak_our_version_is_named_with_the_setting() {
    let nats = Nats::start();
    let error = failed(options(nats.port, "gw-1")).await;
    assert!(matches!(error, Error::Version { version: Version::V5, .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("does not speak MQTT 5; try `version = \"3.1.1\"`"),
        "{error}"
    );

    // It hangs up without a word.
    for (options, setting) in [
        (options(RUMQTTD.v311, "newer"), "`version = \"3.1.1\"`"),
        (old(options(RUMQTTD.v5, "older")), "`version = \"5\"`"),
    ] {
        let error = failed(options).await;
        assert!(matches!(error, Error::Unanswered { .. }), "{error:?}");
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[tokio::test]
async fn a_message_larger_than_we_take_is_passed_over_in_mqtt_3_1_1_and_never_comes_again() {
    let broker = Mosquitto::plain();
    let hears = Options { max_packet_bytes: 1_000, ..old(broker.options("hears")) };
    let (says, mut said) = open(broker.options("says"));
    connected(&mut said).await;
    // Kept: it would break every connection to come.
    let large = Message { retain: true, ..message("t/large", &"x".repeat(700_000)) };
    says.publish(large).await.unwrap();
    for round in 0..2 {
        let (hearing, mut heard) = subscriber(hears.clone(), "t/+");
        connected(&mut heard).await;
        match next(&mut heard).await {
            Event::Refused { topic, reason_code: reason::PACKET_TOO_LARGE } => {
                assert_eq!(topic, "t/large");
            }
            other => panic!("{other:?}"),
        }
        let small = message("t/small", &format!("round {round}"));
        says.publish(small.clone()).await.unwrap();
        assert!(matches!(next(&mut heard).await, Event::Message(message) if message == small));
        closed(hearing, heard).await;
    }
}

#[tokio::test]
async fn a_denied_publish_passes_for_delivered_in_mqtt_3_1_1_and_the_connection_goes_on() {
    let directory = TempDir::new().unwrap();
    let acl = directory.path().join("acl");
    fs::write(&acl, "topic readwrite allowed\n").unwrap();
    let acl = acl.display();
    let broker = Mosquitto::start(&format!("allow_anonymous true\nuser root\nacl_file {acl}"));
    let (publisher, mut events) = subscriber(old(broker.options("gw-1")), "allowed");
    connected(&mut events).await;
    for topic in ["denied", "allowed"] {
        publisher.publish(message(topic, "x")).await.unwrap();
    }
    // This is why nothing counts but an acknowledgement from end to end.
    assert!(matches!(next(&mut events).await, Event::Message(heard) if heard.topic == "allowed"));
}

#[tokio::test]
async fn a_wrong_password_is_named_in_mqtt_3_1_1() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("passwords");
    fs::write(&file, "").unwrap();
    let file = file.display();
    let broker =
        Mosquitto::start(&format!("allow_anonymous false\nuser root\npassword_file {file}"));
    let login = Options {
        username: Some("gw".into()),
        password: Some("wrong".into()),
        ..old(broker.options("gw-1"))
    };
    let error = failed(login).await;
    assert!(matches!(error, Error::Refused { reason_code: 0x86 | 0x87, .. }), "{error:?}");
}

#[tokio::test]
async fn a_slow_consumer_slows_the_broker_down_in_mqtt_3_1_1_and_loses_nothing() {
    let broker = Mosquitto::start("allow_anonymous true\nuser root\nmax_inflight_messages 0");
    let slow =
        Options { queue: 4, keep_alive: Duration::from_secs(1), ..old(broker.options("slow")) };
    let (_slow, mut heard) = subscriber(slow, "t");
    connected(&mut heard).await;
    let (says, mut said) = open(old(broker.options("says")));
    connected(&mut said).await;
    let large = |number: usize| message("t", &format!("{number} {}", "x".repeat(10_000)));
    for number in 0..300 {
        says.publish(large(number)).await.unwrap();
    }
    // Longer than the keep-alive: our own slowness must not look like the broker's death.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for number in 0..300 {
        match next(&mut heard).await {
            Event::Message(heard) => assert_eq!(heard, large(number)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn each_failure_goes_on_to_the_next_address_and_from_the_last_to_the_first() {
    let mut brokers = [Mosquitto::plain(), Mosquitto::plain()];
    let peer = |port| Peer { host: "127.0.0.1".into(), port };
    let nobody = free_port();
    let others = vec![peer(nobody), peer(brokers[1].port)];
    let options = Options { others, ..brokers[0].options("gw-1") };
    let (publisher, mut events) = subscriber(options, "t");
    connected(&mut events).await;
    for (down, up) in [(0, 1), (1, 0), (0, 1)] {
        brokers[up].restart();
        brokers[down].kill();
        connected(&mut events).await;
        let (_witness, mut heard) = subscriber(brokers[up].options("witness"), "t");
        connected(&mut heard).await;
        publisher.publish(message("t", "here")).await.unwrap();
        assert_eq!(received(&mut heard).await, message("t", "here"));
        assert_eq!(received(&mut events).await, message("t", "here"));
    }
}
