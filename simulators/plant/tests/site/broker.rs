//! Enough of an MQTT 5 broker to hear what the sensors say.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet};
use rumqttc::v5::mqttbytes::{Error, QoS};

/// What a client did.
#[derive(Debug)]
pub(crate) enum Heard {
    Connected { client: String, will: Option<LastWill>, stream: TcpStream },
    Nonsense(String),
    Published { client: String, topic: String, payload: String, retain: bool },
}

pub(crate) struct Broker {
    pub(crate) port: u16,
    heard: Receiver<Heard>,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (sender, heard) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), sender) = (stream, sender.clone()) else { return };
                thread::spawn(move || serve(stream, &sender));
            }
        });
        Self { port, heard }
    }

    /// Waits until `pick` makes something of what is heard.
    pub(crate) fn wait<T>(&self, mut pick: impl FnMut(Heard) -> Option<T>) -> T {
        #[expect(clippy::disallowed_methods, reason = "bounds the wait")]
        let start = Instant::now();
        loop {
            let left = Duration::from_secs(15).saturating_sub(start.elapsed());
            let heard = self.heard.recv_timeout(left).expect("heard in time");
            if let Heard::Nonsense(what) = &heard {
                panic!("{what}");
            }
            if let Some(found) = pick(heard) {
                return found;
            }
        }
    }

    /// Waits for a message on `topic` that `pick` likes.
    pub(crate) fn message<T>(
        &self,
        wanted: &str,
        mut pick: impl FnMut(&str, bool) -> Option<T>,
    ) -> T {
        self.wait(|heard| match heard {
            Heard::Published { topic, payload, retain, .. } if topic == wanted => {
                pick(&payload, retain)
            }
            _ => None,
        })
    }
}

fn serve(mut stream: TcpStream, sender: &Sender<Heard>) {
    let mut client = String::new();
    let mut buffer = BytesMut::new();
    let mut chunk = [0; 4096];
    loop {
        match Packet::read(&mut buffer, Some(65_536)) {
            Ok(Packet::Connect(connect, will, _)) => {
                client = connect.client_id;
                let handle = stream.try_clone().unwrap();
                let connected = Heard::Connected { client: client.clone(), will, stream: handle };
                let _ = sender.send(connected);
                // Accepted, no session, no properties.
                let _ = stream.write_all(&[0x20, 3, 0, 0, 0]);
            }
            Ok(Packet::Publish(publish)) => {
                if publish.qos == QoS::AtLeastOnce {
                    let [high, low] = publish.pkid.to_be_bytes();
                    let _ = stream.write_all(&[0x40, 2, high, low]);
                }
                let _ = sender.send(Heard::Published {
                    client: client.clone(),
                    topic: String::from_utf8(publish.topic.to_vec()).unwrap(),
                    payload: String::from_utf8(publish.payload.to_vec()).unwrap(),
                    retain: publish.retain,
                });
            }
            Ok(Packet::PingReq(_)) => drop(stream.write_all(&[0xd0, 0])),
            Ok(other) => {
                let _ = sender.send(Heard::Nonsense(format!("{client} sent {other:?}")));
                return;
            }
            Err(Error::InsufficientBytes(_)) => match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            },
            Err(error) => {
                let _ = sender.send(Heard::Nonsense(format!("{client} sent {error}")));
                return;
            }
        }
    }
}
