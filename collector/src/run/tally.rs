//! Counts what the store took, records what there is to say about gaps, and measures the disk, every
//! ten seconds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hallwatch_model::chain;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::writer::Job;
use crate::clock;
use crate::gaps::Gaps;
use crate::store::Reader;
use crate::telemetry::Telemetry;

/// Room for us on the disk of this folder, and the size of that disk, in bytes; `None` when the system
/// does not say.
fn disk(folder: &Path) -> Option<(i64, i64)> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(found.f_frsize)).ok();
    Some((bytes(found.f_bavail)?, bytes(found.f_blocks)?))
}

const INTERVAL: Duration = Duration::from_secs(10);

/// Runs until it is aborted, or the store's thread is gone.
pub(super) async fn run(
    gaps: Gaps,
    reader: Reader,
    jobs: mpsc::Sender<Job>,
    data: PathBuf,
    telemetry: Telemetry,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (gaps, reader) = (gaps.clone(), reader.clone());
        let (data, telemetry) = (data.clone(), telemetry.clone());
        let counted = tokio::task::spawn_blocking(move || {
            if let Some((free, size)) = disk(&data) {
                telemetry.disk_free_bytes.set(free);
                telemetry.disk_size_bytes.set(size);
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
