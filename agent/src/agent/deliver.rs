//! Towards the collectors: connection, acknowledgements, dictionary, entries, status.

use std::error::Error as StdError;

use hallwatch_link::{self as link, Message};
use hallwatch_model::wire::{decode_ack, encode_describe, encode_journalled, encode_status};
use hallwatch_model::{Ack, Batch, Id, Readings, Status, Topic, TopicKind};

use super::{ASK, Action, Agent, DESCRIBE, Now, STATUS};
use crate::error::Error;
use crate::io::journal::{Command, Told};
use crate::outbox::{Order, Outgoing};

impl Agent {
    pub(super) fn broker(&mut self, event: link::Event, now: Now, actions: &mut Vec<Action>) {
        match event {
            link::Event::Connected { .. } => {
                tracing::info!("connected to the broker");
                self.connected = true;
                self.described = 0;
                if self.one_broker {
                    self.watch.sensors_connected();
                }
                self.outbox.connected();
                let asks = !self.timeline.is_confirmed();
                self.status_at = now.uptime + if asks { ASK } else { STATUS };
                actions.push(Action::Publish(self.status(true, now)));
                self.describe(actions);
            }
            link::Event::Disconnected { error } => {
                self.refusals += u64::from(error.is_refused_login());
                if std::mem::take(&mut self.connected) {
                    tracing::warn!(error = &error as &dyn StdError, "broker lost");
                } else {
                    self.complain(now, &|count| {
                        let error: &dyn StdError = &error;
                        tracing::warn!(error, count, "no connection to the broker");
                    });
                }
                self.outbox.disconnected();
                if self.one_broker {
                    self.watch.sensors_disconnected(now.uptime);
                }
            }
            link::Event::Refused { topic, reason_code } => {
                self.refusals += u64::from(link::reason::is_refused_login(reason_code));
                self.complain(now, &|count| {
                    let reason = link::reason::text(reason_code);
                    tracing::error!(topic, reason, count, "refused by the broker");
                });
            }
            link::Event::Subscribed { filter } => {
                tracing::info!(filter, "the broker accepts a subscription that it had refused");
            }
            link::Event::Message(message) => {
                let from = Topic::parse(&message.topic).filter(|topic| topic.agent == self.path);
                let Some(TopicKind::Ack(collector)) = from.map(|topic| topic.kind) else {
                    let (dictionary, pending) = (&mut self.dictionary, &mut self.pending);
                    self.watch.message(&message, now, dictionary, pending);
                    return;
                };
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
        let known = self.outbox.collectors().contains(from);
        if known {
            self.timeline.told(from, ack.time, now.uptime);
            if ack.store != 0 && self.stores.get(from) != Some(&ack.store) {
                tracing::info!(collector = %from, "a collector has a new store: what is kept is sent again");
                self.stores.insert(from.clone(), ack.store);
                self.outbox.forget(from);
                let (collector, store) = (from.clone(), ack.store);
                self.commands.push_back(Command::Replay { collector, store });
            }
        }
        let orders = self.outbox.acknowledged(from, ack);
        self.orders(orders, actions);
        if ack.describe && known && now.uptime >= self.describe_at {
            self.describe_at = now.uptime + DESCRIBE;
            self.described = 0;
            self.describe(actions);
        }
    }

    pub(super) fn journal(&mut self, told: Told, now: Now, actions: &mut Vec<Action>) {
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
            Told::Settled => self.outbox.release(),
            Told::Replay(runs) => {
                self.outbox.replay(runs.into_iter().map(Into::into).collect());
            }
            Told::Health { durable, bytes, written_bytes, written_readings, disk } => {
                if durable != self.durable {
                    self.durable = durable;
                    if durable {
                        tracing::info!("the journal's disk takes writes again");
                    } else {
                        tracing::error!(
                            "the journal's disk takes no writes: readings are held in memory"
                        );
                    }
                    // Soon: it is an alert, or the end of one.
                    self.status_at = now.uptime;
                }
                self.bytes = bytes;
                self.written_bytes = written_bytes;
                self.written_readings = written_readings;
                self.disk = disk;
            }
            Told::Failed(error) => actions.push(Action::Fail(error)),
            Told::Stopped => actions.push(Action::Fail(Error::JournalEnded)),
        }
    }

    pub(super) fn orders(
        &mut self,
        orders: impl IntoIterator<Item = Order>,
        actions: &mut Vec<Action>,
    ) {
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
        let sender = if boot == self.boot { 0 } else { self.boot };
        let readings = Readings::default();
        let batch = Batch { boot, seq, oldest, watermark, backfill, sender, readings };
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
            clock_offset: self.timeline.offset(),
            clock_steps: self.timeline.steps(),
            clock_unset: !self.timeline.is_set(),
            written_bytes: self.written_bytes,
            written_readings: self.written_readings,
            disk_free: self.disk.map_or(0, |(free, _)| free),
            disk_size: self.disk.map_or(0, |(_, size)| size),
            broker_refusals: self.refusals,
        };
        let topic = self.topic(TopicKind::Status);
        Message { topic, payload: encode_status(&status).into(), retain: true }
    }

    fn topic(&self, kind: TopicKind) -> String {
        Topic { agent: self.path.clone(), kind }.to_string()
    }
}
