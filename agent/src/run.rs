//! The shell around [`Agent`]: waits for what happens, reads the clocks, does what is decided.

use std::time::Duration;

use hallwatch_link::{CLUSTER_SILENCE, Events, Options, Publisher, open};
use hallwatch_model::Topic;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use crate::agent::{Action, Agent, Event};
use crate::config::{Config, DeviceSource};
use crate::error::Error;
use crate::io::broker;
use crate::io::clock::Clock;
use crate::io::findings::Findings;
use crate::io::journal::{Command, Journal, Told};
use crate::io::modbus::Lines;
use crate::io::uplink::Uplinks;

/// How long the end may take: the last entry to the disk, the goodbye to the broker.
const GRACE: Duration = Duration::from_secs(5);

/// The connection to the sensors' own broker, if they have one.
type Sensors = Option<(Publisher, Events)>;

/// Runs the agent of `config` until `shutdown` is ready. Several can run in one process.
///
/// # Errors
/// When the journal cannot be opened or fails, or a file that the configuration names cannot be
/// used. A broker or device that is not there is no error.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let clock = Clock::start();
    let (data, bounds) = (config.data.clone(), config.journal);
    let machine = clock.machine();
    let opening = tokio::task::spawn_blocking(move || {
        let journal = Journal::open(&data, bounds, &machine)?;
        Ok::<_, Error>((journal, Findings::open(&data)))
    });
    let ((journal, told, opened), findings) = opening.await.map_err(|_| Error::JournalEnded)??;
    if let Some(path) = &opened.set_aside {
        let path = path.display();
        tracing::error!(%path, "the journal was damaged; it was set aside and a new one made");
    }
    for device in &config.devices {
        if let Some(profile) = device.unverified() {
            let device = &device.name;
            tracing::warn!(%device, profile, "the profile was never checked at a device");
        }
    }
    let agent = Agent::new(&config, opened, clock.now());
    clock.shift(agent.ahead());
    let (publisher, broker, sensors) = connect(&config, &agent, &clock)?;
    let (polled_sender, polled) = mpsc::channel(1024);
    let lines = Lines::start(&config.devices, &findings, &clock, &polled_sender)?;
    let uplinks = Uplinks::start(&config.devices, &clock)?;
    // Everybody has what concerns them.
    drop(config);
    let mut shell = Shell { agent, clock, journal, publisher, lines, uplinks };
    let result = shell.work(told, broker, sensors, polled, shutdown).await;
    match result {
        Ok((told, broker)) => {
            shell.finish(told, broker).await;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The connection towards the collectors, and one more when the sensors have a broker of their
/// own. At one broker there is one connection: brokers that make the user name the client id would
/// have two throw each other off.
fn connect(
    config: &Config,
    agent: &Agent,
    clock: &Clock,
) -> Result<(Publisher, Events, Sensors), Error> {
    let client_id = format!("hallwatch-agent-{}", config.path).replace('/', "-");
    let mut topics: Vec<String> = config
        .devices
        .iter()
        .filter_map(|device| match &device.source {
            DeviceSource::Mqtt(sensor) => Some(sensor.topics()),
            DeviceSource::Modbus(_) | DeviceSource::Uplink(_) => None,
        })
        .flatten()
        .map(str::to_owned)
        .collect();
    topics.sort_unstable();
    topics.dedup();
    let mut subscriptions = vec![Topic::ack_filter(&config.path)];
    let sensors = match &config.sensors {
        Some(sensors) if !topics.is_empty() => {
            let options = broker::options(sensors, &format!("{client_id}-sensors"))?;
            Some(open(Options { subscriptions: topics, ..options }))
        }
        _ => {
            subscriptions.extend(topics);
            None
        }
    };
    let options = Options {
        will: Some(agent.status(false, clock.now())),
        subscriptions,
        silence: (!config.broker.others.is_empty()).then_some(CLUSTER_SILENCE),
        ..broker::options(&config.broker, &client_id)?
    };
    let (publisher, events) = open(options);
    Ok((publisher, events, sensors))
}

struct Shell {
    agent: Agent,
    clock: Clock,
    journal: Journal,
    publisher: Publisher,
    lines: Lines,
    uplinks: Uplinks,
}

impl Shell {
    /// Until `shutdown`; gives back what the end still needs.
    async fn work(
        &mut self,
        mut told: mpsc::Receiver<Told>,
        mut broker: Events,
        mut sensors: Sensors,
        mut polled: mpsc::Receiver<crate::poll::Polled>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(mpsc::Receiver<Told>, Events), Error> {
        tokio::pin!(shutdown);
        let mut event = Event::Tick;
        loop {
            let actions = self.agent.handle(event, self.clock.now());
            self.act(actions)?;
            let deadline = self.clock.instant(self.agent.deadline());
            event = tokio::select! {
                () = &mut shutdown => return Ok((told, broker)),
                told = told.recv() => Event::Journal(told.unwrap_or(Told::Stopped)),
                Some(event) = broker.next() => Event::Broker(event),
                Some(event) = next(&mut sensors) => Event::Sensors(event),
                Some(polled) = polled.recv() => Event::Polled(polled),
                Some(measured) = self.uplinks.next() => Event::Measured(measured),
                () = sleep_until(deadline) => Event::Tick,
            };
        }
    }

    fn act(&mut self, actions: Vec<Action>) -> Result<(), Error> {
        for action in actions {
            match action {
                Action::Poll(due) => {
                    if !self.lines.poll(due) {
                        self.agent.unpolled(due.device);
                    }
                }
                Action::Publish(message) => {
                    if self.publisher.try_publish(message).is_err() {
                        self.agent.unpublished();
                    }
                }
                Action::Send { boot, seq, message } => {
                    if self.publisher.try_publish(message).is_err() {
                        self.agent.unsent(boot, seq);
                    }
                }
                Action::Shift(millis) => self.clock.shift(millis),
                Action::Fail(error) => return Err(error),
            }
        }
        // What the journal's queue does not take now it takes when the next thing happens.
        while let Some(command) = self.agent.command() {
            if let Err(command) = self.journal.tell(command) {
                self.agent.command_back(command);
                break;
            }
        }
        Ok(())
    }

    /// The last entry goes to the disk and, if it can, to the broker; then goodbye.
    async fn finish(mut self, mut told: mpsc::Receiver<Told>, mut broker: Events) {
        self.agent.finish(self.clock.now());
        let journalled = async {
            // The queue drains within milliseconds, unless the disk hangs.
            let mut stop = Some(Command::Stop);
            loop {
                while let Some(command) = self.agent.command().or_else(|| stop.take()) {
                    match self.journal.tell(command) {
                        Ok(()) => {}
                        Err(Command::Stop) => {
                            stop = Some(Command::Stop);
                            break;
                        }
                        Err(command) => {
                            self.agent.command_back(command);
                            break;
                        }
                    }
                }
                match told.recv().await {
                    None | Some(Told::Stopped | Told::Failed(_)) => return,
                    Some(told) => {
                        let actions = self.agent.handle(Event::Journal(told), self.clock.now());
                        // Only what concerns the broker still matters.
                        for action in actions {
                            if let Action::Publish(message) | Action::Send { message, .. } = action
                            {
                                let _ = self.publisher.try_publish(message);
                            }
                        }
                    }
                }
            }
        };
        if timeout(GRACE, journalled).await.is_err() {
            tracing::error!("the journal did not end in time");
        }
        // A goodbye keeps the broker from publishing the will, so it is said here.
        let _ = self.publisher.try_publish(self.agent.status(false, self.clock.now()));
        drop(self.publisher);
        let goodbye = async { while broker.next().await.is_some() {} };
        if timeout(GRACE, goodbye).await.is_err() {
            tracing::warn!("the broker did not take the goodbye in time");
        }
    }
}

async fn next(sensors: &mut Sensors) -> Option<hallwatch_link::Event> {
    match sensors {
        Some((_, events)) => events.next().await,
        None => std::future::pending().await,
    }
}
