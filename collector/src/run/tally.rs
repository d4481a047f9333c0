//! Counts what the store took, records what there is to say about gaps, measures the disk and looks
//! after its reserve, every ten seconds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::chain;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::writer::Job;
use crate::clock;
use crate::disk::{self, Reserve};
use crate::gaps::Gaps;
use crate::store::Reader;
use crate::telemetry::Telemetry;

const INTERVAL: Duration = Duration::from_secs(10);

/// Runs until it is aborted, or the store's thread is gone.
pub(super) async fn run(
    gaps: Gaps,
    reader: Reader,
    jobs: mpsc::Sender<Job>,
    (data, reserve): (PathBuf, Arc<Reserve>),
    telemetry: Telemetry,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (gaps, reader) = (gaps.clone(), reader.clone());
        let (data, reserve) = (data.clone(), Arc::clone(&reserve));
        let telemetry = telemetry.clone();
        let counted = tokio::task::spawn_blocking(move || {
            if let Ok(room) = disk::room(&data) {
                let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
                telemetry.disk_reserve_bytes.set(bytes(reserve.keep(room)));
                telemetry.disk_free_bytes.set(bytes(room.free));
                telemetry.disk_size_bytes.set(bytes(room.size));
            }
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
