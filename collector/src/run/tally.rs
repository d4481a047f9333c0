//! Counts what the store took, and records what there is to say about gaps, every ten seconds.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::core::chain;
use super::writer::Job;
use crate::clock;
use crate::gaps::Gaps;
use crate::store::Reader;

const INTERVAL: Duration = Duration::from_secs(10);

/// Runs until it is aborted, or the store's thread is gone.
pub(super) async fn run(gaps: Gaps, reader: Reader, jobs: mpsc::Sender<Job>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (gaps, reader) = (gaps.clone(), reader.clone());
        let counted = tokio::task::spawn_blocking(move || {
            let now = clock::now();
            if let Err(error) = gaps.count(&reader, now) {
                tracing::error!(error = chain(&*error), "completeness cannot be counted");
            }
            Job::Record(gaps.samples(now), now)
        });
        let Ok(job) = counted.await else { return };
        if jobs.send(job).await.is_err() {
            return;
        }
    }
}
