//! What holds with every broker, each with a reading of the standard of its own.

use std::time::Duration;

use hallwatch_link::{Event, Message, Options, Version, open};
use tokio::time::timeout;

use crate::peers::{
    Mosquitto, Nats, PATIENCE, RUMQTTD, closed, connect_and_vanish, connected, message, next,
    options, received, subscriber,
};

#[tokio::test]
async fn mosquitto_in_mqtt_5() {
    let broker = Mosquitto::plain();
    everything(broker.options("mosquitto-5"), true).await;
}

#[tokio::test]
async fn mosquitto_in_mqtt_3_1_1() {
    let broker = Mosquitto::plain();
    let options = Options { version: Version::V311, ..broker.options("mosquitto-311") };
    everything(options, true).await;
}

#[tokio::test]
async fn rumqttd_in_mqtt_5() {
    everything(options(RUMQTTD.v5, "rumqttd-5"), false).await;
}

#[tokio::test]
async fn rumqttd_in_mqtt_3_1_1() {
    let options = Options { version: Version::V311, ..options(RUMQTTD.v311, "rumqttd-311") };
    everything(options, false).await;
}

#[tokio::test]
async fn nats_in_mqtt_3_1_1() {
    let broker = Nats::start();
    everything(Options { version: Version::V311, ..options(broker.port, "nats") }, true).await;
}

/// `marks`: whether the broker says of a message that it was kept.
async fn everything(base: Options, marks: bool) {
    let base = Options { keep_alive: Duration::from_secs(1), ..base };
    let name = base.client_id.clone();
    let named = |role: &str| Options { client_id: format!("{name}-{role}"), ..base.clone() };
    let topic = |leaf: &str| format!("{name}/{leaf}");

    // More messages than any window holds, and a large one, in order.
    let (_hearing, mut hears) = subscriber(named("hears"), &topic("+"));
    connected(&mut hears).await;
    let (says, mut said) = open(named("says"));
    connected(&mut said).await;
    let mut sent: Vec<Message> =
        (0..1_500).map(|number| message(&topic("1"), &number.to_string())).collect();
    sent.push(message(&topic("large"), &"x".repeat(500_000)));
    let queued = sent.clone();
    let publisher = says.clone();
    let sending = tokio::spawn(async move {
        for message in queued {
            publisher.publish(message).await.unwrap();
        }
    });
    for message in sent {
        assert_eq!(received(&mut hears).await, message);
    }
    sending.await.unwrap();

    // Several keep-alives of silence: the pings are answered.
    let silence = timeout(Duration::from_secs(3), async {
        tokio::select! { event = said.next() => event, event = hears.next() => event }
    });
    assert!(silence.await.is_err(), "an event out of silence");

    // What is kept comes at once, and to whoever comes later; the newest counts.
    for payload in ["kept", "kept anew"] {
        let kept = Message { retain: true, ..message(&topic("kept"), payload) };
        says.publish(kept.clone()).await.unwrap();
        assert_eq!(received(&mut hears).await.payload, kept.payload);
        let (late, mut came_later) = subscriber(named("late"), &topic("kept"));
        let heard = received(&mut came_later).await;
        assert_eq!(heard.payload, kept.payload);
        assert!(heard.retain || !marks, "not marked as retained");
        closed(late, came_later).await;
    }

    // The will comes when a client vanishes, but not after a goodbye.
    let with_will =
        |role: &str| Options { will: Some(message(&topic("will"), role)), ..named(role) };
    let (polite, mut events) = open(with_will("polite"));
    connected(&mut events).await;
    closed(polite, events).await;
    connect_and_vanish(with_will("rude"));
    assert_eq!(received(&mut hears).await.payload, "rude");

    // A new connection with the same name ends the older one, which comes back.
    let (again, mut came) = open(named("says"));
    connected(&mut came).await;
    let lost = timeout(PATIENCE, said.next()).await.unwrap();
    assert!(matches!(lost, Some(Event::Disconnected { .. })), "{lost:?}");
    closed(again, came).await;
    loop {
        match next(&mut said).await {
            Event::Connected { .. } => break,
            Event::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}
