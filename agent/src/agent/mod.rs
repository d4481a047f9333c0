//! The agent's decisions: events in, actions out, no clock, no socket. Reading order: [`Event`] and
//! [`Action`], `pending` (readings on their way to the journal), `watch` (devices), here the rest.

mod pending;
mod watch;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use hallwatch_link::{self as link, Message};
use hallwatch_model::wire::{decode_ack, encode_describe, encode_journalled, encode_status};
use hallwatch_model::{
    Ack, AgentPath, Batch, Id, Readings, Status, Timestamp, Topic, TopicKind, Uptime,
};

use crate::config::Config;
use crate::dictionary::Dictionary;
use crate::error::Error;
use crate::io::journal::{Command, Gap, Opened, Told};
use crate::outbox::{Earlier, Order, Outbox, Outgoing, Pace};
use crate::poll::Polled;
use crate::uplink::Measured;
use pending::Pending;
use watch::Watch;

/// How often the broker is told how the agent is.
const STATUS: Duration = Duration::from_secs(10);
/// How often the journal's bounds are enforced.
const TRIM: Duration = Duration::from_secs(10);
/// A collector may ask for the dictionary; it is not sent more often than this.
const DESCRIBE: Duration = Duration::from_secs(5);
/// Commands that wait for the journal's queue; beyond, the oldest entries become a gap.
const COMMANDS: usize = 600;
/// The outbox looks for backlog this often.
const OUTBOX: Duration = Duration::from_millis(50);

/// What can happen.
#[derive(Debug)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// A poll is over.
    Polled(Polled),
    /// An interval of an uplink is over.
    Measured(Measured),
    /// The connection towards the collectors.
    Broker(link::Event),
    /// The connection to the sensors' broker.
    Sensors(link::Event),
    /// The journal.
    Journal(Told),
}

/// What is to be done about it.
#[derive(Debug)]
pub enum Action {
    /// Read this device, by its index.
    Poll(usize),
    /// Publish this towards the collectors.
    Publish(Message),
    /// Publish this entry; when it cannot be queued, say so by [`Agent::unsent`].
    Send {
        /// Its boot.
        boot: u64,
        /// Its number.
        seq: u64,
        /// The message.
        message: Message,
    },
    /// End with this error.
    Fail(Error),
}

/// The moment of an event, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For data.
    pub time: Timestamp,
    /// For timeouts.
    pub uptime: Uptime,
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    path: AgentPath,
    boot: u64,
    started: Timestamp,
    watch: Watch,
    dictionary: Dictionary,
    pending: Pending,
    outbox: Outbox,
    /// For the journal, in order.
    commands: VecDeque<Command>,
    connected: bool,
    /// So many series have been handed to the journal.
    journalled: usize,
    /// So many series have been published on this connection.
    described: usize,
    describe_at: Uptime,
    status_at: Uptime,
    trim_at: Uptime,
    outbox_at: Uptime,
    durable: bool,
    bytes: u64,
    /// Complaints that were swallowed since the last one that was logged.
    complaints: u64,
    complain_at: Uptime,
}

impl Agent {
    /// The agent of `config`, on a journal that was just opened.
    #[must_use]
    pub fn new(config: &Config, opened: Opened, now: Now) -> Self {
        let journalled = opened.series.len();
        let earlier = opened.runs.into_iter().map(|run| Earlier {
            boot: run.boot,
            first: run.first,
            last: run.last,
            done: run.done,
            acked: run.acked,
        });
        let collectors = config.collectors.clone();
        let outbox = Outbox::new(Pace::default(), collectors, opened.boot, earlier.collect());
        let mut agent = Self {
            path: config.path.clone(),
            boot: opened.boot,
            started: now.time,
            watch: Watch::new(&config.devices, now.uptime),
            dictionary: Dictionary::new(opened.dictionary, opened.series),
            pending: Pending::default(),
            outbox,
            commands: VecDeque::new(),
            connected: false,
            journalled,
            described: 0,
            describe_at: Uptime::ZERO,
            status_at: now.uptime,
            trim_at: now.uptime,
            outbox_at: now.uptime,
            durable: true,
            bytes: 0,
            complaints: 0,
            complain_at: now.uptime,
        };
        let orders = agent.outbox.recovered();
        agent.orders(orders, &mut Vec::new());
        agent
    }

    /// Entries that not every collector has yet.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.outbox.backlog()
    }

    /// The next command for the journal.
    pub fn command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The journal's queue is full: `command` comes back.
    pub fn command_back(&mut self, command: Command) {
        self.commands.push_front(command);
    }

    /// A device could not be asked.
    pub fn unpolled(&mut self, device: usize) {
        self.watch.unpolled(device);
    }

    /// An entry could not be queued for the broker.
    pub fn unsent(&mut self, boot: u64, seq: u64) {
        self.outbox.unsent(boot, seq);
    }

    /// A message other than an entry could not be queued: all of them again, later.
    pub fn unpublished(&mut self) {
        self.described = 0;
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Uptime {
        let mut deadline = self.watch.deadline().min(self.trim_at).min(self.status_at);
        if let Some(due) = self.pending.due() {
            deadline = deadline.min(due);
        }
        if self.connected && self.outbox.backlog() > 0 {
            deadline = deadline.min(self.outbox_at);
        }
        deadline
    }

    /// Decides.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => {}
            Event::Polled(polled) => {
                self.watch.polled(&polled, now, &mut self.dictionary, &mut self.pending);
            }
            Event::Measured(measured) => {
                self.watch.measured(measured, now, &mut self.dictionary, &mut self.pending);
            }
            Event::Broker(event) => self.broker(event, now, &mut actions),
            Event::Sensors(event) => self.sensors(event, now),
            Event::Journal(told) => self.journal(told, now, &mut actions),
        }
        self.tick(now, &mut actions);
        actions
    }

    fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        let due = self.watch.tick(now, &mut self.dictionary, &mut self.pending);
        actions.extend(due.into_iter().map(Action::Poll));
        if self.pending.due().is_some_and(|due| now.uptime >= due) {
            self.flush(now);
        }
        if now.uptime >= self.trim_at {
            self.trim_at = now.uptime + TRIM;
            self.commands.push_back(Command::Trim { now: now.time });
        }
        if now.uptime >= self.status_at {
            self.status_at = now.uptime + STATUS;
            if self.connected {
                actions.push(Action::Publish(self.status(true, now)));
            }
        }
        if now.uptime >= self.outbox_at {
            self.outbox_at = now.uptime + OUTBOX;
            let order = self.outbox.tick(now.uptime);
            self.orders(order, actions);
        }
        self.bound_commands(now);
    }

    /// Closes the pending entry and hands it to the journal.
    fn flush(&mut self, now: Now) {
        let (readings, events) = self.pending.take();
        if readings.is_empty() && events.is_empty() {
            return;
        }
        let series = self.dictionary.since(self.journalled);
        let series = series.map(|(id, labels)| (id, labels.clone())).collect();
        self.journalled = self.dictionary.len();
        let readings = Readings { dictionary: self.dictionary.number(), readings, events };
        let bytes = Bytes::from(hallwatch_model::wire::encode_readings(&readings));
        let append = crate::io::journal::Append { series, bytes, time: now.time };
        self.commands.push_back(Command::Append(append));
    }

    /// When the journal's thread does not keep up for minutes, the oldest entries go.
    fn bound_commands(&mut self, now: Now) {
        let mut lost = 0;
        while self.commands.len() > COMMANDS {
            let entry = self.commands.iter().position(|one| matches!(one, Command::Append(_)));
            let Some(Command::Append(append)) = self.commands.remove(entry.unwrap_or(0)) else {
                continue;
            };
            lost += 1;
            // Its series are needed by what follows.
            if let Some(Command::Append(next)) =
                self.commands.iter_mut().find(|one| matches!(one, Command::Append(_)))
            {
                next.series.splice(0..0, append.series);
            }
        }
        if lost > 0 {
            let gap = Gap {
                first_time: now.time,
                last_time: now.time,
                entries: lost,
                cause: "overload".to_owned(),
            };
            self.commands.push_front(Command::Gap(gap));
        }
    }

    fn broker(&mut self, event: link::Event, now: Now, actions: &mut Vec<Action>) {
        match event {
            link::Event::Connected { .. } => {
                tracing::info!("connected to the broker");
                self.connected = true;
                self.described = 0;
                self.outbox.connected();
                self.status_at = now.uptime + STATUS;
                actions.push(Action::Publish(self.status(true, now)));
                self.describe(actions);
            }
            link::Event::Disconnected { error } => {
                if std::mem::take(&mut self.connected) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "broker lost");
                } else {
                    self.complain(now, &|count| {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, count, "no connection to the broker");
                    });
                }
                self.outbox.disconnected();
            }
            link::Event::Refused { topic, reason_code } => self.complain(now, &|count| {
                let reason = link::reason::text(reason_code);
                tracing::error!(topic, reason, count, "refused by the broker");
            }),
            link::Event::Message(message) => {
                let from = Topic::parse(&message.topic).filter(|topic| topic.agent == self.path);
                let Some(TopicKind::Ack(collector)) = from.map(|topic| topic.kind) else { return };
                match decode_ack(&message.payload) {
                    Ok(ack) => self.acknowledged(&collector, &ack, now, actions),
                    Err(error) => self.complain(now, &|count| {
                        tracing::warn!(%collector, %error, count, "acknowledgement not understood");
                    }),
                }
            }
        }
    }

    fn acknowledged(&mut self, from: &Id, ack: &Ack, now: Now, actions: &mut Vec<Action>) {
        let orders = self.outbox.acknowledged(from, ack);
        self.orders(orders, actions);
        let known = self.outbox.collectors().contains(from);
        if ack.describe && known && now.uptime >= self.describe_at {
            self.describe_at = now.uptime + DESCRIBE;
            self.described = 0;
            self.describe(actions);
        }
    }

    fn sensors(&mut self, event: link::Event, now: Now) {
        match event {
            link::Event::Connected { .. } => {
                tracing::info!("connected to the sensors' broker");
                self.watch.sensors_connected();
            }
            link::Event::Disconnected { error } => {
                self.watch.sensors_disconnected(now.uptime);
                self.complain(now, &|count| {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, count, "no connection to the sensors' broker");
                });
            }
            link::Event::Refused { topic, reason_code } => self.complain(now, &|count| {
                let reason = link::reason::text(reason_code);
                tracing::error!(topic, reason, count, "subscription refused");
            }),
            link::Event::Message(message) => {
                self.watch.message(&message, now, &mut self.dictionary, &mut self.pending);
            }
        }
    }

    fn journal(&mut self, told: Told, now: Now, actions: &mut Vec<Action>) {
        match told {
            Told::Committed(entry) => {
                let (seq, time, bytes) = (entry.seq, entry.time, entry.bytes);
                let order = self.outbox.committed(seq, time, bytes, now.time, now.uptime);
                self.orders(order, actions);
            }
            Told::Fetched { boot, first, last, entries } => {
                let entries = entries.into_iter().map(|e| (e.seq, e.time, e.bytes)).collect();
                let orders =
                    self.outbox.fetched(boot, (first, last), entries, now.time, now.uptime);
                self.orders(orders, actions);
            }
            Told::Dropped { boot, upto } => self.outbox.dropped(boot, upto),
            Told::Health { durable, bytes } => {
                if durable != self.durable {
                    self.durable = durable;
                    if durable {
                        tracing::info!("the journal's disk takes writes again");
                    } else {
                        tracing::error!("the journal's disk is full: readings are held in memory");
                    }
                }
                self.bytes = bytes;
            }
            Told::Failed(error) => actions.push(Action::Fail(error)),
            Told::Stopped => actions.push(Action::Fail(Error::JournalEnded)),
        }
    }

    fn orders(&mut self, orders: impl IntoIterator<Item = Order>, actions: &mut Vec<Action>) {
        for order in orders {
            match order {
                Order::Send(outgoing) => {
                    // Data must not come before the words that it is written in.
                    self.describe(actions);
                    actions.push(self.entry(outgoing));
                }
                Order::Fetch { boot, first, last } => {
                    self.commands.push_back(Command::Fetch { boot, first, last });
                }
                Order::Remember { collector, boot, ranges } => {
                    self.commands.push_back(Command::Acked { collector, boot, ranges });
                }
                Order::Done { boot, first, last } => {
                    self.commands.push_back(Command::Done { boot, first, last });
                }
            }
        }
    }

    fn entry(&self, outgoing: Outgoing) -> Action {
        let Outgoing { boot, seq, oldest, watermark, backfill, bytes } = outgoing;
        let readings = Readings::default();
        let batch = Batch { boot, seq, oldest, watermark, backfill, readings };
        let payload = encode_journalled(&batch, bytes.to_vec()).into();
        let topic = self.topic(TopicKind::Data);
        Action::Send { boot, seq, message: Message { topic, payload, retain: false } }
    }

    /// Publishes what of the dictionary was not published on this connection.
    fn describe(&mut self, actions: &mut Vec<Action>) {
        if !self.connected || self.described >= self.dictionary.len() {
            return;
        }
        for part in self.dictionary.parts(self.described) {
            let topic = self.topic(TopicKind::Describe(part.part));
            let payload = encode_describe(&part).into();
            actions.push(Action::Publish(Message { topic, payload, retain: true }));
        }
        self.described = self.dictionary.len();
    }

    /// How the agent is, as a retained message; the last will with `online: false`.
    #[must_use]
    pub fn status(&self, online: bool, now: Now) -> Message {
        let status = Status {
            boot: self.boot,
            online,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            sent: now.time,
            backlog: self.outbox.backlog(),
            journal_bytes: self.bytes,
            durable: self.durable,
        };
        let topic = self.topic(TopicKind::Status);
        Message { topic, payload: encode_status(&status).into(), retain: true }
    }

    fn topic(&self, kind: TopicKind) -> String {
        Topic { agent: self.path.clone(), kind }.to_string()
    }

    /// The last entry, before the end.
    pub fn finish(&mut self, now: Now) {
        self.flush(now);
    }

    /// Logs, but not more than once a minute.
    fn complain(&mut self, now: Now, log: &dyn Fn(u64)) {
        self.complaints += 1;
        if now.uptime >= self.complain_at {
            log(self.complaints);
            self.complaints = 0;
            self.complain_at = now.uptime + Duration::from_secs(60);
        }
    }
}
