//! The thread that owns the store: it takes jobs in order and tells what came of them.
//!
//! Batches that arrived while the last commit ran are committed together: under load one sync
//! serves many batches, and an idle collector commits each at once.

use std::collections::BTreeMap;
use std::time::Duration;

use hallwatch_model::{Ack, AgentPath, Describe, Labels, Sample, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::store::{Error, Incoming, Outcome, Store};

/// Jobs that may wait. A batch has at most a megabyte; the broker holds what comes beyond.
pub(super) const MAX_JOBS: usize = 256;
/// So many batches are committed at once at most: whoever waits behind them does so for long enough.
const MAX_TOGETHER: usize = 128;

/// What the store is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Keep a part of a dictionary.
    Describe(AgentPath, Describe),
    /// Keep a batch.
    Batch(Incoming),
    /// Keep samples of the collector's own.
    Record(Vec<(Labels, Sample)>, Timestamp),
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
    /// How long it took.
    pub(super) took: Duration,
}

/// Works until every sender of jobs is gone; then writes what waits to be chunks.
pub(super) fn work(mut store: Store, mut jobs: mpsc::Receiver<Job>, done: &mpsc::Sender<Done>) {
    // The run that each agent spoke of last, to acknowledge after a dictionary came.
    let mut boots: BTreeMap<AgentPath, u64> = BTreeMap::new();
    let mut next: Option<Job> = None;
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
                commit(&mut store, &batches, &mut boots).map(Some)
            }
            Job::Describe(agent, describe) => store.describe(&agent, &describe).map(|()| {
                let boot = boots.get(&agent)?;
                let ack = store.ack(&agent, *boot);
                Some(Kept { acks: vec![(agent, ack)], ..Kept::default() })
            }),
            Job::Record(samples, now) => store.record(&samples, now).map(|()| None),
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
            Ok(Some(kept)) => Done::Kept(kept),
            Err(error) if error.is_fatal() => {
                let _ = done.blocking_send(Done::Failed(error));
                return;
            }
            Err(error) => Done::Refused(error),
        };
        if done.blocking_send(message).is_err() {
            break;
        }
    }
    if let Err(error) = store.flush_all() {
        let _ = done.blocking_send(Done::Refused(error));
    }
}

fn commit(
    store: &mut Store,
    batches: &[Incoming],
    boots: &mut BTreeMap<AgentPath, u64>,
) -> Result<Kept, Error> {
    let began = clock::uptime();
    let outcomes = store.commit(batches)?;
    let mut kept =
        Kept { took: clock::uptime().since(began), batches: batches.len(), ..Kept::default() };
    let mut told: Vec<(&AgentPath, u64)> = Vec::new();
    for (incoming, outcome) in batches.iter().zip(outcomes) {
        let agent = &incoming.agent;
        boots.insert(agent.clone(), incoming.batch.boot);
        if !told.contains(&(agent, incoming.batch.boot)) {
            told.push((agent, incoming.batch.boot));
        }
        let lost = match outcome {
            Outcome::Stored { samples, ignored, lost, .. } => {
                kept.stored += 1;
                kept.watermarks.push((agent.clone(), incoming.batch.watermark));
                kept.samples += u64::try_from(samples).unwrap_or(u64::MAX);
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
