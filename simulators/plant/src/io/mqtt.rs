//! Keeps each station connected to the broker for as long as there is one.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Clock, unix_seconds};
use crate::plant::Plant;
use crate::sensors::{Message, Moment, Station};

/// How often a station looks whether something is due.
const LOOK: Duration = Duration::from_millis(100);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// Messages between station and connection, at most; more are lost, as on a real radio.
const QUEUE: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The broker that the sensors publish to.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port; plain MQTT 5, as small sensors speak it.
    pub port: u16,
    /// Begins every client identifier, so that several plants can share one broker.
    pub client_prefix: String,
    /// User name and password, when the broker wants them.
    pub login: Option<(String, String)>,
    /// What the Tasmota probe's local clock is ahead of UTC, in seconds.
    pub local_offset_seconds: i64,
}

impl Broker {
    /// A broker that asks for nothing.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            client_prefix: "hall".to_owned(),
            login: None,
            local_offset_seconds: 0,
        }
    }

    fn options(&self, station: &Station) -> MqttOptions {
        let id = format!("{}-{}", self.client_prefix, station.suffix());
        let mut options = MqttOptions::new(id, self.host.clone(), self.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_connection_timeout(CONNECT.as_secs());
        if let Some((user, password)) = &self.login {
            options.set_credentials(user.clone(), password.clone());
        }
        if let Some(Message { topic, payload, retain }) = station.will() {
            let will = LastWill::new(topic, payload, QoS::AtLeastOnce, retain, None);
            options.set_last_will(will);
        }
        options
    }

    fn moment(&self, clock: &Clock) -> Moment {
        Moment {
            unix_seconds: unix_seconds(),
            uptime: clock.elapsed(),
            local_offset: self.local_offset_seconds,
        }
    }
}

/// Publishes what `station` has to say until `stop` becomes true.
pub(crate) async fn keep(
    plant: Plant,
    broker: Arc<Broker>,
    mut station: Station,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        // A client is used for one connection only: after an error its state is not to be trusted.
        let (client, events) = AsyncClient::new(broker.options(&station), QUEUE);
        let before = clock.elapsed();
        let error = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            error = session(&plant, &broker, &mut station, &clock, &client, events) => error,
        };
        let name = station.suffix();
        tracing::debug!(station = name, %error, "no broker, trying again");
        if clock.elapsed().saturating_sub(before) > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One connection from its first packet to its end, which is always an error.
async fn session(
    plant: &Plant,
    broker: &Broker,
    station: &mut Station,
    clock: &Clock,
    client: &AsyncClient,
    mut events: EventLoop,
) -> ConnectionError {
    let connected = timeout(CONNECT, async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    });
    match connected.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return error,
        Err(elapsed) => return ConnectionError::Timeout(elapsed),
    }
    for message in station.birth(broker.moment(clock)) {
        publish(client, message);
    }
    let speak = async {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            look.tick().await;
            let moment = broker.moment(clock);
            for message in station.messages(plant, moment) {
                publish(client, message);
            }
        }
    };
    let listen = async {
        loop {
            if let Err(error) = events.poll().await {
                return error;
            }
        }
    };
    // Both run to the end of the connection; neither is ever cancelled in between.
    tokio::select! {
        error = listen => error,
        () = speak => ConnectionError::RequestsDone,
    }
}

fn publish(client: &AsyncClient, message: Message) {
    let Message { topic, payload, retain } = message;
    // Telemetry of small sensors goes out once, and nobody asks again.
    let qos = if retain { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    if client.try_publish(topic, qos, retain, payload).is_err() {
        tracing::debug!(topic, "queue full, message lost");
    }
}
