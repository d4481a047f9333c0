//! The thread that owns the store: it takes jobs in order and tells what came of them.
//!
//! Batches that arrived while the last commit ran are committed together: under load one sync
//! serves many batches, and an idle collector commits each at once.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Ack, AgentPath, Describe, Labels, Sample, Timestamp, Uptime, chain};
use tokio::sync::{mpsc, oneshot};

use crate::api::Fill;
use crate::clock;
use crate::disk::Reserve;
use crate::gaps::{Arrived, Gaps};
use crate::store::{Error, Incoming, Outcome, Store};

/// Jobs that may wait. A batch has at most a megabyte; the broker holds what comes beyond.
pub(super) const MAX_JOBS: usize = 256;
/// So many batches are committed at once at most: whoever waits behind them does so for long enough.
const MAX_TOGETHER: usize = 128;
/// For so long after its first entry here nothing of a run counts as given up: what the agent
/// keeps is still to be asked for, and is named as owed only then.
const FIRST_CONTACT: Duration = Duration::from_secs(30);

/// What the store is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Keep a part of a dictionary.
    Describe(AgentPath, Describe),
    /// Keep a batch.
    Batch(Incoming),
    /// Keep samples of the collector's own.
    Record(Vec<(Labels, Sample)>, Timestamp),
    /// An agent has said how it is: tell it what is here of its run.
    Greet {
        /// Which.
        agent: AgentPath,
        /// Its run.
        boot: u64,
        /// Its journal may have something that was not acknowledged.
        owes: bool,
    },
    /// Which agents are heard, for the gap ledger.
    Heard(Vec<(AgentPath, Option<bool>)>, Timestamp),
    /// Fill in samples of another collector.
    Fill(Fill),
    /// Retire what is old, write chunks.
    Maintain(Timestamp),
    /// How far is this exporter? One that is not known starts here.
    Cursor(String, oneshot::Sender<u64>),
    /// This exporter is so far.
    SetCursor(String, u64, oneshot::Sender<()>),
}

/// What came of jobs.
#[derive(Debug)]
pub(super) enum Done {
    /// A dictionary or batches were dealt with; agents are to be told.
    Kept(Kept),
    /// Something could not be kept; the store goes on.
    Refused(Error),
    /// The store is at its end.
    Failed(Error),
}

/// What was kept in one go.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What the agents are to be told.
    pub(super) acks: Vec<(AgentPath, Ack)>,
    /// Batches stored for the first time.
    pub(super) stored: u64,
    /// Batches that were there already.
    pub(super) duplicate: u64,
    /// Batches not taken, by reason.
    pub(super) not_taken: BTreeMap<&'static str, u64>,
    /// Samples stored.
    pub(super) samples: u64,
    /// Samples left out, by reason.
    pub(super) ignored: BTreeMap<&'static str, u64>,
    /// Batches that agents gave up, which will never come.
    pub(super) lost: Vec<(AgentPath, u64, u64)>,
    /// Batches of the commit.
    pub(super) batches: usize,
    /// Up to when the agents have sent everything, by the batches that were stored.
    pub(super) watermarks: Vec<(AgentPath, Timestamp)>,
    /// What agents say is old: from when to when.
    pub(super) backfilled: Vec<(AgentPath, Timestamp, Timestamp)>,
    /// How long it took.
    pub(super) took: Duration,
}

/// Works until every sender of jobs is gone; then writes what waits to be chunks.
pub(super) fn work(
    mut store: Store,
    gaps: &Gaps,
    reserve: &Reserve,
    mut jobs: mpsc::Receiver<Job>,
    done: &mpsc::Sender<Done>,
) {
    // The run that each agent spoke of last, to acknowledge after a dictionary came.
    let mut boots: BTreeMap<AgentPath, u64> = BTreeMap::new();
    let mut next: Option<Job> = None;
    let mut contacts: BTreeMap<(AgentPath, u64), Uptime> = BTreeMap::new();
    loop {
        let Some(job) = next.take().or_else(|| jobs.blocking_recv()) else { break };
        let result = match job {
            Job::Batch(first) => {
                let mut batches = vec![first];
                while batches.len() < MAX_TOGETHER {
                    match jobs.try_recv() {
                        Ok(Job::Batch(batch)) => batches.push(batch),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                first_contact(&store, &mut contacts, &mut batches, clock::uptime());
                let commit = || commit(&mut store, gaps, &batches, &mut boots);
                reserve.spend(Error::is_disk_full, commit).map(Some)
            }
            Job::Describe(agent, describe) => store.describe(&agent, &describe).map(|()| {
                if let Err(error) = gaps.describe(&agent, &describe) {
                    unwritten(&error);
                }
                let boot = boots.get(&agent)?;
                let ack = store.ack(&agent, *boot);
                Some(Kept { acks: vec![(agent, ack)], ..Kept::default() })
            }),
            Job::Greet { agent, boot, owes } => {
                if !owes && let Err(error) = gaps.change(|ledger| ledger.settled(&agent, boot)) {
                    unwritten(&error);
                }
                let ack = store.ack(&agent, boot);
                Ok(Some(Kept { acks: vec![(agent, ack)], ..Kept::default() }))
            }
            Job::Heard(agents, now) => {
                let heard = gaps.change(|ledger| {
                    for (agent, up) in &agents {
                        ledger.heard(agent, *up, now);
                    }
                });
                if let Err(error) = heard.and_then(|()| gaps.save_runs()) {
                    unwritten(&error);
                }
                Ok(None)
            }
            Job::Record(samples, now) => store.record(&samples, now).map(|()| None),
            Job::Fill(Fill { frames, mend, reply }) => {
                let filled = store.fill(&frames, mend, clock::now());
                let fatal = filled.as_ref().is_err_and(Error::is_fatal);
                // Whoever asked may have gone.
                let _ = reply.send(filled);
                if fatal { Err(Error::Broken) } else { Ok(None) }
            }
            Job::Maintain(now) => maintain(&mut store, now).map(|()| None),
            Job::Cursor(exporter, reply) => cursor(&mut store, &exporter).map(|position| {
                // Whoever asked may have gone.
                let _ = reply.send(position);
                None
            }),
            Job::SetCursor(exporter, position, reply) => {
                store.set_cursor(&exporter, position).map(|()| {
                    let _ = reply.send(());
                    None
                })
            }
        };
        let message = match result {
            Ok(None) => continue,
            Ok(Some(mut kept)) => {
                for (_, ack) in &mut kept.acks {
                    (ack.store, ack.time) = (gaps.store(), clock::now());
                }
                Done::Kept(kept)
            }
            Err(error) if error.is_fatal() => {
                let _ = done.blocking_send(Done::Failed(error));
                return;
            }
            Err(error) => {
                if error.is_disk_full() {
                    // What was refused comes again.
                    reserve.give_up();
                }
                Done::Refused(error)
            }
        };
        if done.blocking_send(message).is_err() {
            break;
        }
    }
    if let Err(error) = store.flush_all() {
        let _ = done.blocking_send(Done::Refused(error));
    }
}

/// The ledger is tried again with the next change; a full disk shows at the store, too.
fn unwritten(error: &dyn std::error::Error) {
    tracing::error!(error = chain(error), "the gap ledger cannot be written");
}

/// Of a run that the store has nothing of, everything may still come.
fn first_contact(
    store: &Store,
    contacts: &mut BTreeMap<(AgentPath, u64), Uptime>,
    batches: &mut [Incoming],
    now: Uptime,
) {
    contacts.retain(|_, since| now.since(*since) < FIRST_CONTACT);
    for Incoming { agent, batch, .. } in batches.iter_mut().filter(|one| one.batch.oldest > 1) {
        let ack = store.ack(agent, batch.boot);
        let key = (agent.clone(), batch.boot);
        if ack.upto == 0 && ack.beyond.is_empty() {
            contacts.entry(key.clone()).or_insert(now);
        }
        if contacts.contains_key(&key) {
            batch.oldest = 1;
        }
    }
}

/// The entry of a batch, as the ledger knows it.
fn entry(incoming: &Incoming) -> Arrived {
    let batch = &incoming.batch;
    let first = batch.readings.readings.iter().map(|reading| reading.time).min();
    let start = first.unwrap_or(batch.watermark).min(batch.watermark);
    let (boot, seq, watermark) = (batch.boot, batch.seq, batch.watermark);
    Arrived { boot, seq, start, watermark, sender: batch.sent_by() }
}

/// What batches say of gaps comes to disk before they do: once a batch is acknowledged nobody
/// says it again. Whether that went well.
fn note(store: &Store, gaps: &Gaps, batches: &[Incoming]) -> bool {
    let noteworthy = batches.iter().filter_map(|incoming| {
        let Incoming { agent, batch, .. } = incoming;
        let Ack { upto, beyond, .. } = store.ack(agent, batch.boot);
        // As the store will find it: what is below the oldest and not here.
        let mut lost = Vec::new();
        let mut below = upto;
        for (first, last) in beyond.into_iter().chain([(u64::MAX, u64::MAX)]) {
            let end = first.saturating_sub(1).min(batch.oldest.saturating_sub(1));
            if end > below {
                lost.push((below + 1, end));
            }
            below = below.max(last);
            if below >= batch.oldest {
                break;
            }
        }
        (!lost.is_empty() || !batch.readings.gaps.is_empty()).then_some((incoming, lost))
    });
    let noteworthy: Vec<_> = noteworthy.collect();
    if noteworthy.is_empty() {
        return true;
    }
    let noted = gaps.change(|ledger| {
        for (Incoming { agent, batch, .. }, lost) in &noteworthy {
            if !lost.is_empty() {
                let next = noteworthy.iter().map(|(one, _)| entry(one));
                let next = next.filter(|one| one.boot == batch.boot).min_by_key(|one| one.seq);
                let Some(next) = next else { continue };
                ledger.given_up(agent, batch.boot, lost, next);
            }
            for gap in &batch.readings.gaps {
                ledger.told(agent, batch.boot, gap, |boot| store.ack(agent, boot));
            }
        }
    });
    noted.map_err(|error| unwritten(&error)).is_ok()
}

fn commit(
    store: &mut Store,
    gaps: &Gaps,
    batches: &[Incoming],
    boots: &mut BTreeMap<AgentPath, u64>,
) -> Result<Kept, Error> {
    let began = clock::uptime();
    if !note(store, gaps, batches) {
        // Not acknowledged: the agents send them again.
        let not_taken = BTreeMap::from([("ledger", u64::try_from(batches.len()).unwrap_or(0))]);
        return Ok(Kept { not_taken, ..Kept::default() });
    }
    let outcomes = store.commit(batches)?;
    let mut kept =
        Kept { took: clock::uptime().since(began), batches: batches.len(), ..Kept::default() };
    let mut told: Vec<(&AgentPath, u64)> = Vec::new();
    let (mut arrived, mut refused) = (Vec::new(), Vec::new());
    for (incoming, outcome) in batches.iter().zip(outcomes) {
        let agent = &incoming.agent;
        boots.insert(agent.clone(), incoming.batch.boot);
        if !told.contains(&(agent, incoming.batch.boot)) {
            told.push((agent, incoming.batch.boot));
        }
        if matches!(outcome, Outcome::Stored { .. } | Outcome::Duplicate { .. }) {
            arrived.push((agent, entry(incoming)));
        }
        let lost = match outcome {
            Outcome::Stored { samples, ignored, lost, .. } => {
                kept.stored += 1;
                kept.watermarks.push((agent.clone(), incoming.batch.watermark));
                let times = incoming.batch.readings.readings.iter().map(|reading| reading.time);
                if incoming.batch.backfill
                    && let Some((first, last)) = times.clone().min().zip(times.max())
                {
                    kept.backfilled.push((agent.clone(), first, last));
                }
                kept.samples += u64::try_from(samples).unwrap_or(u64::MAX);
                if ignored.too_old + ignored.in_future > 0 {
                    refused.push((incoming, ignored.too_old + ignored.in_future));
                }
                for (reason, count) in [
                    ("known", ignored.known),
                    ("too_old", ignored.too_old),
                    ("in_future", ignored.in_future),
                ] {
                    if count > 0 {
                        let count = u64::try_from(count).unwrap_or(u64::MAX);
                        *kept.ignored.entry(reason).or_default() += count;
                    }
                }
                lost
            }
            Outcome::Duplicate { lost } => {
                kept.duplicate += 1;
                lost
            }
            Outcome::OutOfWindow => {
                *kept.not_taken.entry("out_of_window").or_default() += 1;
                Vec::new()
            }
            Outcome::UnknownSeries => {
                *kept.not_taken.entry("unknown_series").or_default() += 1;
                Vec::new()
            }
        };
        kept.lost.extend(lost.into_iter().map(|(first, last)| (agent.clone(), first, last)));
    }
    kept.acks =
        told.into_iter().map(|(agent, boot)| (agent.clone(), store.ack(agent, boot))).collect();
    let noted = gaps.change(|ledger| {
        for (agent, entry) in arrived {
            ledger.arrived(agent, entry);
        }
        for (Incoming { agent, batch, received }, count) in refused {
            let times = batch.readings.readings.iter().map(|reading| reading.time);
            let span = (times.clone().min(), times.max());
            let (Some(first), Some(last)) = span else { continue };
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            ledger.refused(agent, (first, last), count, *received);
        }
        for (agent, ack) in &kept.acks {
            ledger.acknowledged(agent, ack, clock::now());
        }
    });
    if let Err(error) = noted {
        unwritten(&error);
    }
    Ok(kept)
}

/// A bounded part of what there is to do: jobs must not wait for long.
fn maintain(store: &mut Store, now: Timestamp) -> Result<(), Error> {
    for _ in 0..8 {
        if !store.maintain(now)? {
            break;
        }
    }
    Ok(())
}

fn cursor(store: &mut Store, exporter: &str) -> Result<u64, Error> {
    if let Some(position) = store.cursor(exporter) {
        return Ok(position);
    }
    store.set_cursor(exporter, 0)?;
    Ok(0)
}
