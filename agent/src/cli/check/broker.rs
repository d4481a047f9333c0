//! Whether brokers let us in, and what the MQTT sensors behind them say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hallwatch_agent::config::{Broker, Config, DeviceSource};
use hallwatch_agent::io::broker::options;
use hallwatch_agent::io::clock::Clock;
use hallwatch_agent::sensor::{Sensor, SensorState};
use hallwatch_link::{Backoff, Error, Event, Message, Options, open, reason};
use hallwatch_model::{Topic, chain};
use tokio::time::timeout;

use super::count;
use super::verdict::{Verdict, Word};

/// How long a connection may take, with name resolution, TLS and the broker's word.
const PATIENCE: Duration = Duration::from_secs(10);

/// The verdicts on the brokers, and on the sensors by index.
pub(super) struct Brokers {
    pub(super) brokers: Vec<Verdict>,
    pub(super) sensors: BTreeMap<usize, Verdict>,
}

/// Connects to the brokers of `config`, by each of their addresses, and listens to its sensors for
/// `listen`.
pub(super) async fn check(config: &Config, listen: Duration) -> Brokers {
    let (mut brokers, others) = tokio::join!(first_addresses(config, listen), others(config));
    brokers.brokers.extend(others);
    brokers
}

/// The verdicts on the other addresses of brokers that have several.
async fn others(config: &Config) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (name, broker) in [("broker", Some(&config.broker)), ("sensors", config.sensors.as_ref())] {
        for url in broker.iter().flat_map(|broker| &broker.others) {
            let Some(broker) = broker else { continue };
            let alone = Broker { url: url.clone(), ..broker.clone() };
            // A cluster may refuse an id that comes back at once at another node.
            let id = format!("{}-other-{}", check_id(config), verdicts.len());
            verdicts.push(connect(name, &alone, &id, Vec::new(), Duration::ZERO, &mut []).await.0);
        }
    }
    verdicts
}

/// Never the running agent's: two connections with one id throw each other off.
fn check_id(config: &Config) -> String {
    format!("hallwatch-check-{}-{}", config.path, std::process::id()).replace('/', "-")
}

async fn first_addresses(config: &Config, listen: Duration) -> Brokers {
    let mut heard: Vec<Listener<'_>> = config
        .devices
        .iter()
        .zip(0usize..)
        .filter_map(|(device, index)| match &device.source {
            DeviceSource::Mqtt(sensor) => Some(Listener::new(index, device.name.as_str(), sensor)),
            _ => None,
        })
        .collect();
    let topics: BTreeSet<&str> =
        heard.iter().flat_map(|listener| listener.sensor.topics()).collect();
    let topics: Vec<String> = topics.into_iter().map(str::to_owned).collect();
    let id = check_id(config);
    let acks = Topic::ack_filter(&config.path);
    let mut brokers = Vec::new();
    let is_connected;
    match &config.sensors {
        Some(own) if !topics.is_empty() => {
            let sensors_id = format!("{id}-sensors");
            let (first, second) = tokio::join!(
                connect("broker", &config.broker, &id, vec![acks], Duration::ZERO, &mut []),
                connect("sensors", own, &sensors_id, topics, listen, &mut heard),
            );
            is_connected = second.1;
            brokers.extend([first.0, second.0]);
        }
        _ => {
            let listen = if topics.is_empty() { Duration::ZERO } else { listen };
            let mut all = vec![acks];
            all.extend(topics);
            let (verdict, connected) =
                connect("broker", &config.broker, &id, all, listen, &mut heard).await;
            is_connected = connected;
            brokers.push(verdict);
        }
    }
    let sensors =
        heard.into_iter().map(|listener| (listener.index, listener.verdict(is_connected, listen)));
    Brokers { sensors: sensors.collect(), brokers }
}

/// Connects, subscribes, and listens for `listen`; the verdict, and whether there was a connection.
async fn connect(
    name: &str,
    broker: &Broker,
    id: &str,
    subscriptions: Vec<String>,
    listen: Duration,
    heard: &mut [Listener<'_>],
) -> (Verdict, bool) {
    let verdict = Verdict::new(name, broker.url.to_string(), Word::Unreachable);
    let options = match options(broker, id) {
        Ok(options) => options,
        Err(error) => {
            let verdict = Verdict { word: Word::Failed, ..verdict }
                .problem(chain(&error))
                .hint("the files that the configuration names must be readable for this user");
            return (verdict, false);
        }
    };
    // One attempt at one address only: the next would come after the patience.
    let backoff = Backoff { first: PATIENCE * 2, most: PATIENCE * 2 };
    let others = Vec::new();
    let options = Options { subscriptions, others, backoff, connect_timeout: PATIENCE, ..options };
    // The publisher keeps the connection.
    let (_publisher, mut events) = open(options);
    let mut verdict = match timeout(PATIENCE, events.next()).await {
        Ok(Some(Event::Connected { .. })) => {
            Verdict { word: Word::Ok, ..verdict }.detail("connected")
        }
        Ok(Some(Event::Disconnected { error })) => return (refused(verdict, &error), false),
        Ok(_) | Err(_) => {
            let verdict = verdict
                .problem(format!("no connection within {PATIENCE:?}"))
                .hint("is the broker's address right, and the way to it open?");
            return (verdict, false);
        }
    };
    // The broker's word on the subscriptions comes at once; a moment is enough for that.
    let limit = listen.max(Duration::from_millis(500));
    let clock = Clock::start();
    let listening = async {
        while let Some(event) = events.next().await {
            match event {
                Event::Message(message) => {
                    for listener in heard.iter_mut() {
                        listener.hear(&message, &clock);
                    }
                }
                Event::Refused { topic, reason_code } => {
                    verdict.word = Word::Refused;
                    let why = reason::text(reason_code);
                    verdict.problems.push(format!("no subscription to {topic}: {why}"));
                    verdict.hint =
                        Some("the broker's access list must let the agent read this".into());
                }
                Event::Disconnected { error } => {
                    verdict.word = Word::Failed;
                    verdict.problems.push(chain(&error));
                    break;
                }
                Event::Connected { .. } | Event::Subscribed { .. } => {}
            }
        }
    };
    let _ = timeout(limit, listening).await;
    (verdict, true)
}

/// The broker did not take us.
fn refused(verdict: Verdict, error: &Error) -> Verdict {
    let (word, hint) = match error {
        Error::Connect { .. } | Error::Timeout { .. } => (
            Word::Unreachable,
            "is the broker running, its address and port right, and the way to it open?",
        ),
        Error::Handshake { .. } => (
            Word::Refused,
            "`ca` must be the authority of the broker's certificate, and the certificate must be \
             for the host in `url`",
        ),
        Error::Version { .. } => {
            (Word::Refused, "`version` in the broker's section says what is spoken, 5 where absent")
        }
        Error::Authentication { .. } | Error::Refused { .. } => (
            Word::Refused,
            "are `username` and `password_file`, or `certificate` and `key`, those that the \
             broker knows?",
        ),
        _ => (
            Word::Failed,
            "is it an MQTT broker that listens there, and its `version` the one that is set?",
        ),
    };
    Verdict { word, ..verdict }.problem(chain(error)).hint(hint)
}

/// An MQTT sensor and what was heard from it.
struct Listener<'c> {
    index: usize,
    name: &'c str,
    sensor: &'c Sensor,
    state: SensorState,
    messages: usize,
    retained: usize,
    values: BTreeSet<usize>,
    events: usize,
    problems: BTreeSet<String>,
}

impl<'c> Listener<'c> {
    fn new(index: usize, name: &'c str, sensor: &'c Sensor) -> Self {
        let state = SensorState::new(sensor, Clock::start().now().uptime);
        Self {
            index,
            name,
            sensor,
            state,
            messages: 0,
            retained: 0,
            values: BTreeSet::new(),
            events: 0,
            problems: BTreeSet::new(),
        }
    }

    fn hear(&mut self, message: &Message, clock: &Clock) {
        if !self.sensor.topics().contains(&message.topic.as_str()) {
            return;
        }
        let now = clock.now();
        let heard = self.state.message(
            self.sensor,
            self.name,
            &message.topic,
            &message.payload,
            message.retain,
            (now.time, now.uptime),
        );
        self.messages += 1;
        self.retained += usize::from(message.retain);
        self.events += usize::from(heard.event.is_some());
        if let Some(error) = heard.error {
            self.problems.insert(format!("a message on {} is {error}", message.topic));
        }
        for (point, _, value) in heard.points {
            match value {
                Ok(_) => {
                    self.values.insert(point);
                }
                Err(missing) => {
                    if let Some(point) = self.sensor.points.get(point) {
                        self.problems.insert(format!("{}: {missing}", point.labels));
                    }
                }
            }
        }
    }

    fn verdict(self, connected: bool, listen: Duration) -> Verdict {
        let topic = self.sensor.topics().first().copied().unwrap_or_default();
        let verdict = Verdict::new(self.name, format!("MQTT {topic}"), Word::Quiet);
        if !connected {
            return Verdict { word: Word::Unreachable, ..verdict }.detail("no broker");
        }
        let word = if !self.problems.is_empty() {
            Word::Partly
        } else if self.messages > self.retained || !self.values.is_empty() {
            Word::Ok
        } else {
            Word::Quiet
        };
        let detail = match self.messages {
            0 => format!("nothing heard in {} s", listen.as_secs()),
            messages => {
                format!("{}, {}", count(messages, "message"), count(self.values.len(), "value"))
            }
        };
        let mut verdict = Verdict { word, ..verdict }.detail(detail);
        verdict.problems.extend(self.problems);
        match word {
            Word::Quiet if self.messages == 0 => verdict.hint(
                "sensors speak when they like: `--listen 600` listens longer; is the topic right?",
            ),
            Word::Quiet => verdict.hint("only kept messages of unknown age were heard"),
            Word::Partly => verdict.hint("compare `path`, `scale` and the payload"),
            _ => verdict,
        }
    }
}
