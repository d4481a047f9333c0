//! The agent's decisions: events in, actions out, no clock, no socket. Reading order: [`Event`] and
//! [`Action`], `watch` (all devices), `watched` (one of them), `refused` (what of theirs goes to the
//! log instead), `pending` (readings on their way to the journal), `timeline` (what time it is),
//! `clock` (what follows from that), `deliver` (towards the collectors), here the rest.

mod clock;
mod deliver;
mod pending;
mod refused;
#[cfg(test)]
mod tests;
mod timeline;
mod watch;
mod watched;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use hallwatch_link::{self as link, Message};
use hallwatch_model::{AgentPath, Id, Readings, Timestamp, Uptime};

use crate::config::Config;
use crate::dictionary::Dictionary;
use crate::error::Error;
use crate::io::journal::{self, Command, Opened, Told};
use crate::outbox::{Earlier, Outbox, Pace};
use crate::poll::{Due, Polled};
use crate::uplink::Measured;
use clock::Jump;
use pending::Pending;
use timeline::Timeline;
use watch::Watch;

/// How often the broker is told how the agent is.
const STATUS: Duration = Duration::from_secs(10);
/// How often it is logged what the journal writes: what a flash disk can take is finite.
const WEAR: Duration = Duration::from_secs(60 * 60);
/// How often the journal's bounds are enforced.
const TRIM: Duration = Duration::from_secs(10);
/// A collector may ask for the dictionary; it is not sent more often than this.
const DESCRIBE: Duration = Duration::from_secs(5);
/// Commands that wait for the journal's queue; beyond, the oldest entries become a gap.
const COMMANDS: usize = 600;
/// The cause of gaps that a journal makes that does not keep up.
const OVERLOAD: &str = "overload";
/// By how many milliseconds clocks may differ and still agree: the network's delay is in between.
pub(crate) const CLOCKS_AGREE: i64 = timeline::AGREE;
/// How often the collectors are asked for the time while nobody has confirmed it: by a status.
const ASK: Duration = Duration::from_secs(2);
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
    /// Read this device.
    Poll(Due),
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
    /// The agent's own time moves by so many milliseconds.
    Shift(i64),
    /// End with this error.
    Fail(Error),
}

impl From<journal::Run> for Earlier {
    fn from(run: journal::Run) -> Self {
        let journal::Run { boot, first, last, done, acked } = run;
        Self { boot, first, last, done, acked }
    }
}

/// The moment of an event, on all clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The agent's own time, for data.
    pub time: Timestamp,
    /// For timeouts.
    pub uptime: Uptime,
    /// What the gateway's clock says.
    pub wall: Timestamp,
    /// The system says that it keeps the gateway's clock by others.
    pub kept: bool,
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    path: AgentPath,
    boot: u64,
    started: Timestamp,
    /// The sensors are heard on the connection towards the collectors.
    one_broker: bool,
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
    /// When ages were last judged.
    judged: Now,
    doubt_until: Uptime,
    outbox_at: Uptime,
    timeline: Timeline,
    /// By how many milliseconds the own time was ahead of the one that it started with.
    ahead: i64,
    /// The journal was told that nobody has confirmed its times.
    unconfirmed: bool,
    /// The confirmed time at uptime zero, as the journal was told last.
    settled: Option<Timestamp>,
    jump: Option<Jump>,
    /// The stores that the collectors have, as far as they have told.
    stores: BTreeMap<Id, u64>,
    durable: bool,
    bytes: u64,
    written_bytes: u64,
    written_readings: u64,
    disk: Option<(u64, u64)>,
    /// How often a broker refused us for who we are.
    refusals: u64,
    wear_at: Uptime,
    /// Complaints that were swallowed since the last one that was logged.
    complaints: u64,
    complain_at: Uptime,
}

impl Agent {
    /// The agent of `config`, on a journal that was just opened.
    #[must_use]
    pub fn new(config: &Config, opened: Opened, now: Now) -> Self {
        let journalled = opened.series.len();
        let earlier = opened.runs.into_iter().map(Earlier::from);
        let collectors = config.collectors.clone();
        let expected = collectors.len();
        let timeline = Timeline::new(now.wall, now.uptime, opened.known, expected);
        let own = timeline.origin() + now.uptime.elapsed();
        let ahead = own.as_millis().saturating_sub(now.time.as_millis());
        let now = Now { time: own, ..now };
        let mut outbox = Outbox::new(Pace::default(), collectors, opened.boot, earlier.collect());
        let mut watch = Watch::new(&config.devices, now.uptime);
        if !timeline.is_confirmed() {
            outbox.hold();
            watch.believe_sensors(false);
        }
        let mut agent = Self {
            path: config.path.clone(),
            boot: opened.boot,
            started: now.time,
            one_broker: config.sensors.is_none(),
            watch,
            dictionary: Dictionary::new(opened.dictionary, opened.series),
            pending: Pending::new(now.uptime),
            outbox,
            commands: VecDeque::new(),
            connected: false,
            journalled,
            described: 0,
            describe_at: Uptime::ZERO,
            status_at: now.uptime,
            trim_at: now.uptime,
            judged: now,
            doubt_until: Uptime::ZERO,
            outbox_at: now.uptime,
            settled: timeline.is_confirmed().then(|| timeline.origin()),
            timeline,
            ahead,
            unconfirmed: false,
            jump: None,
            stores: opened.stores.into_iter().collect(),
            durable: opened.durable,
            bytes: 0,
            written_bytes: 0,
            written_readings: 0,
            disk: None,
            refusals: 0,
            wear_at: now.uptime + WEAR,
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

    /// By how many milliseconds the own time is to be moved before the first event: an earlier run
    /// knew better.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.ahead
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
        let now = self.look(now, &mut actions);
        match event {
            Event::Tick => {}
            Event::Polled(mut polled) => {
                self.place(&mut polled.time, now);
                self.watch.polled(&polled, now, &mut self.dictionary, &mut self.pending);
            }
            Event::Measured(mut measured) => {
                self.place(&mut measured.time, now);
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
        if self.dictionary.is_changed() && now.uptime >= self.describe_at {
            // With the next entry: what is not journalled yet is not to be told.
            self.describe_at = now.uptime + DESCRIBE;
            self.described = 0;
            self.dictionary.told();
        }
        if now.uptime >= self.trim_at {
            self.trim_at = now.uptime + TRIM;
            // An age of an unknown time is none.
            let known = self.timeline.is_confirmed();
            let now = if known { self.trusted(now) } else { Timestamp::MIN };
            self.commands.push_back(Command::Trim { now });
        }
        if now.uptime >= self.wear_at {
            self.wear_at = now.uptime + WEAR;
            if let Some(each) = self.written_bytes.checked_div(self.written_readings) {
                let (bytes, readings) = (self.written_bytes, self.written_readings);
                tracing::info!(bytes, readings, each, "bytes that the journal wrote in this run");
            }
        }
        if now.uptime >= self.status_at {
            let asks = !self.timeline.is_confirmed();
            self.status_at = now.uptime + if asks { ASK } else { STATUS };
            if self.connected {
                actions.push(Action::Publish(self.status(true, now)));
            }
        }
        if now.uptime >= self.outbox_at {
            self.outbox_at = now.uptime + OUTBOX;
            let order = self.outbox.tick(now.uptime);
            self.orders(order, actions);
        }
        self.bound_commands();
    }

    /// Closes the pending entry and hands it to the journal.
    fn flush(&mut self, now: Now) {
        if !self.timeline.is_set() {
            self.pending.hold(now.uptime);
            return;
        }
        let mut readings = self.pending.take(now.uptime);
        if readings == Readings::default() {
            return;
        }
        readings.dictionary = self.dictionary.number();
        let count = u64::try_from(readings.readings.len()).unwrap_or(u64::MAX);
        let series = self.dictionary.since(self.journalled);
        let series = series.map(|(id, labels)| (id, labels.clone())).collect();
        self.journalled = self.dictionary.len();
        let bytes = Bytes::from(hallwatch_model::wire::encode_readings(&readings));
        let personal = !readings.events.is_empty();
        let append = journal::Append { series, bytes, readings: count, time: now.time, personal };
        self.commands.push_back(Command::Append(append));
    }

    /// When the journal's thread does not keep up for minutes, the oldest entries go.
    fn bound_commands(&mut self) {
        if self.commands.len() <= COMMANDS {
            return;
        }
        // All that was lost so far stands in front, as one gap.
        let mut lost = match self.commands.front() {
            Some(Command::Gap(gap)) if gap.cause == OVERLOAD => {
                let gap = gap.clone();
                self.commands.pop_front();
                Some(gap)
            }
            _ => None,
        };
        while self.commands.len() > COMMANDS {
            let entry = self.commands.iter().position(|one| matches!(one, Command::Append(_)));
            let Some(Command::Append(append)) = self.commands.remove(entry.unwrap_or(0)) else {
                continue;
            };
            let one = journal::lost(append.time, OVERLOAD, append.readings);
            match &mut lost {
                Some(gap) => journal::extend(gap, &one),
                None => lost = Some(one),
            }
            // Its series are needed by what follows.
            if let Some(Command::Append(next)) =
                self.commands.iter_mut().find(|one| matches!(one, Command::Append(_)))
            {
                next.series.splice(0..0, append.series);
            }
        }
        if let Some(gap) = lost {
            self.commands.push_front(Command::Gap(gap));
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
                self.refusals += u64::from(error.is_refused_login());
                self.complain(now, &|count| {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, count, "no connection to the sensors' broker");
                });
            }
            link::Event::Refused { topic, reason_code } => {
                self.refusals += u64::from(link::reason::is_refused_login(reason_code));
                self.complain(now, &|count| {
                    let reason = link::reason::text(reason_code);
                    tracing::error!(topic, reason, count, "subscription refused");
                });
            }
            link::Event::Subscribed { filter } => {
                tracing::info!(filter, "the sensors' broker accepts what it had refused");
            }
            link::Event::Message(message) => {
                self.watch.message(&message, now, &mut self.dictionary, &mut self.pending);
            }
        }
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
