//! One device on a line: what it is asked, in what order.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_modbus::{AnyClient, Data, Read};
use hallwatch_model::{Id, Missing, Uptime};

use super::super::clock::Clock;
use super::super::findings::{Findings, Key};
use super::ALONE;
use crate::config::{Device, Modbus};
use crate::poll::{Changes, Ended, Explorer, Reads, is_answer, is_gateways};

/// A device on the line.
pub(super) struct Unit {
    pub(super) name: Id,
    pub(super) modbus: Modbus,
    pub(super) key: Key,
    pub(super) explorer: Explorer,
    pub(super) reads: Reads,
    /// How many connections there had been when the chain of its models was walked.
    walked: u64,
}

impl Unit {
    pub(super) fn new(
        device: &Device,
        modbus: &Modbus,
        findings: &Findings,
        clock: &Clock,
    ) -> Self {
        let key = Key::of(modbus);
        let (profile, placement) = (Arc::clone(&modbus.profile), modbus.placement.clone());
        let now = clock.now().uptime;
        let explorer = Explorer::new(profile, placement, findings.of(&key), now);
        let reads = Reads::new(modbus.interval);
        Self { name: device.name.clone(), modbus: modbus.clone(), key, explorer, reads, walked: 0 }
    }
}

impl Unit {
    /// How long the first question of a poll and its answer take on the wire.
    pub(super) fn wire_time(&self, client: &AnyClient) -> Duration {
        let reads = self.explorer.profile().reads();
        let first = || reads.get(*self.reads.order(reads).first()?).copied();
        let first = self.explorer.before().or_else(first);
        first.map_or(Duration::ZERO, |read| client.wire_time(&read))
    }

    /// All reads of the device that are not put aside, after its chain of models, when that is not
    /// known; they end after so many `damaged` answers.
    pub(super) async fn poll(
        &mut self,
        client: &mut AnyClient,
        clock: &Clock,
        damaged: u32,
    ) -> Poll {
        let kept = client.is_connected() || self.modbus.line.close_after_cycle;
        let has_models = self.explorer.has_models();
        if has_models && (!kept || self.explorer.profile().reads().is_empty()) {
            self.explorer.away();
        }
        // Twice: who is at the other end of a new connection is not known before it is made.
        for is_last in [false, true] {
            if let Err(poll) = self.walk(client, clock).await {
                return poll;
            }
            let reads = self.explorer.profile().reads();
            if has_models && reads.is_empty() {
                return self.nothing(Missing::NotAvailable, None);
            }
            let poll = poll(client, self.modbus.unit, reads, &self.reads, damaged).await;
            let renewed = client.counters().connections != self.walked;
            if is_last || !has_models || !renewed || self.modbus.line.close_after_cycle {
                return poll;
            }
            self.explorer.away();
        }
        self.nothing(Missing::NotAvailable, None)
    }

    /// Walks to the end of the chain; otherwise there is the outcome of a poll without reads.
    async fn walk(&mut self, client: &mut AnyClient, clock: &Clock) -> Result<(), Poll> {
        for _ in 0..ALONE {
            let Some(read) = self.explorer.before() else { return Ok(()) };
            let (missing, failed) = match client.read(self.modbus.unit, &read).await {
                Ok(data) => (self.explorer.walked(Ok(&data), clock.now().uptime).err(), None),
                Err(error) => match error.exception() {
                    Some(code) if !is_gateways(code) => {
                        let outcome = Err(Some(code));
                        (self.explorer.walked(outcome, clock.now().uptime).err(), None)
                    }
                    _ => (Some(error.missing()), Some(error)),
                },
            };
            self.walked = client.counters().connections;
            if let Some(missing) = missing {
                self.explorer.away();
                return Err(self.nothing(missing, failed));
            }
        }
        if self.explorer.before().is_none() {
            return Ok(());
        }
        Err(self.nothing(Missing::NotAvailable, None))
    }

    /// A poll in which nothing was read.
    fn nothing(&self, missing: Missing, failed: Option<hallwatch_modbus::Error>) -> Poll {
        let reads = self.explorer.profile().reads().len().max(1);
        let answers = vec![Err(missing); reads];
        Poll { answers, asked: Vec::new(), aside: Vec::new(), failed, is_read: false }
    }

    /// A poll in which all was read.
    pub(super) fn polled(&mut self, poll: &Poll, now: Uptime) {
        let profile = Arc::clone(self.explorer.profile());
        let changes = self.reads.polled(profile.reads(), &poll.answers, &poll.asked, now);
        self.tell(&changes);
        self.explorer.polled(&poll.answers, now);
    }

    /// Asks for a read that was put aside.
    pub(super) async fn retry(
        &mut self,
        client: &mut AnyClient,
        clock: &Clock,
        read: Read,
    ) -> Ended {
        let answer = client.read(self.modbus.unit, &read).await.map_err(|error| error.missing());
        let failed = answer.as_ref().err().copied().filter(|_| !is_answer(&answer));
        let changes = self.reads.retried(read, failed, clock.now().uptime);
        self.tell(&changes);
        Ended::of(&[answer], failed.is_some())
    }

    /// Says which reads are put aside, and which are answered again.
    fn tell(&self, changes: &Changes) {
        let (device, line) = (&self.name, &self.modbus.line.name);
        for (reads, is_aside) in [(&changes.aside, true), (&changes.back, false)] {
            for read in reads {
                let points = self.points(read);
                match is_aside {
                    true => tracing::warn!(
                        %device, line, %read, points,
                        "the device answers other reads and never this one: it is put aside, its \
                         points are missing, and it is tried again in time that nobody needs"
                    ),
                    false => tracing::info!(
                        %device, line, %read, points,
                        "a read that was put aside is answered again"
                    ),
                }
            }
        }
    }

    /// The points that a read brings.
    fn points(&self, read: &Read) -> String {
        let profile = self.explorer.profile();
        let points = profile.points();
        let brought = points.iter().filter(|point| {
            let after = point.address.checked_sub(read.address());
            point.is_read
                && point.table == read.table()
                && after.is_some_and(|after| after < read.count())
        });
        brought.map(|point| point.name).collect::<Vec<_>>().join(", ")
    }

    /// Asks what is to be found out, as far as there is time for it.
    pub(super) async fn explore(
        &mut self,
        client: &mut AnyClient,
        clock: &Clock,
        questions: usize,
    ) {
        for _ in 0..questions {
            let Some(read) = self.explorer.question() else { return };
            let outcome = client.read(self.modbus.unit, &read).await;
            let outcome = outcome.as_ref().map_err(hallwatch_modbus::Error::exception);
            self.explorer.answered(outcome, clock.now().uptime);
            if outcome == Err(None) {
                return;
            }
        }
    }
}

/// What came of a poll.
pub(super) struct Poll {
    /// In the order of the profile's reads.
    pub(super) answers: Vec<Result<Data, Missing>>,
    /// The places of the reads that were asked for, in that order.
    asked: Vec<usize>,
    /// The places of those that are put aside.
    pub(super) aside: Vec<usize>,
    /// The last of what went wrong that cost the line time; an exception of the device costs none.
    pub(super) failed: Option<hallwatch_modbus::Error>,
    /// The answers are those to the profile's reads.
    pub(super) is_read: bool,
}

/// All reads of a device but those that are put aside. After one that brought no answer at all the
/// others are not tried, nor when a gateway waited in vain, and not after so many that were
/// `damaged`: a unit must not hold up its neighbours for long.
async fn poll(
    client: &mut AnyClient,
    unit: u8,
    reads: &[Read],
    known: &Reads,
    damaged: u32,
) -> Poll {
    let missing = |read: &Read| Err(known.missing(read).unwrap_or(Missing::Timeout));
    let mut answers: Vec<_> = reads.iter().map(missing).collect();
    let order = known.order(reads);
    let aside = (0..reads.len()).filter(|at| !order.contains(at)).collect();
    let mut asked = Vec::with_capacity(reads.len());
    let mut failed: Option<hallwatch_modbus::Error> = None;
    let mut patience = damaged;
    for at in order {
        let (Some(read), Some(answer)) = (reads.get(at), answers.get_mut(at)) else { continue };
        if let Some(error) = failed.as_ref().filter(|_| patience == 0) {
            *answer = Err(error.missing());
            continue;
        }
        asked.push(at);
        *answer = match client.read(unit, read).await {
            Ok(data) => Ok(data),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "read failed");
                let missing = error.missing();
                if error.exception().is_none_or(is_gateways) {
                    patience = match missing {
                        Missing::Malformed => patience.saturating_sub(1),
                        _ => 0,
                    };
                    failed = Some(error);
                }
                Err(missing)
            }
        };
    }
    Poll { answers, asked, aside, failed, is_read: true }
}
