//! The ledger, as the threads of the collector share it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hallwatch_model::{Ack, AgentPath, Describe, Id, Labels, Sample, Timestamp};

use super::Ledger;
use super::file::{Content, Error, File};
use super::row::Row;
use super::tally::{Device, Ratio, Tally, day_of};
use crate::store::Reader;

/// Log rows counted at once.
const ROWS: usize = 256;

/// Ledger and tally, with the file that they are written to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gaps(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Mutex<Ledger>,
    tally: Mutex<Tally>,
    file: Mutex<File>,
    store: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gaps {
    /// Opens the ledger in the folder `dir`, which must exist. `have` says what the store has of a
    /// run: when it lacks what was there, it is another store, and gets another number.
    ///
    /// # Errors
    /// When the file cannot be opened, or is of a newer version.
    pub fn open(dir: &Path, have: impl Fn(&AgentPath, u64) -> Ack) -> Result<Self, Error> {
        let (mut file, Content { mut store, mut ledger, mut tally }) = File::open(dir)?;
        let lost = ledger.agents().any(|(agent, known)| {
            let mut runs = known.runs.iter().filter(|(_, run)| run.last > 0);
            runs.any(|(boot, _)| {
                let ack = have(agent, *boot);
                ack.upto == 0 && ack.beyond.is_empty()
            })
        });
        if lost {
            tracing::error!("the store has lost what it had: agents are asked for a replay");
            store = file.forget()?;
            ledger.forget();
            tally.forget();
        }
        // 0 stands for "does not say".
        let store = AtomicU64::new(store.max(1));
        let inner = Inner {
            ledger: Mutex::new(ledger),
            tally: Mutex::new(tally),
            file: Mutex::new(file),
            store,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The number of the store, for acknowledgements.
    #[must_use]
    pub fn store(&self) -> u64 {
        self.0.store.load(Ordering::Relaxed)
    }

    /// Works on the ledger, and writes what changed by that.
    ///
    /// # Errors
    /// When it cannot be written; it is written with the next change then.
    pub fn change<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> Result<T, Error> {
        // One at a time, so that rows are written in the order in which they changed.
        let mut file = lock(&self.0.file);
        let mut ledger = lock(&self.0.ledger);
        let done = work(&mut ledger);
        ledger.bound();
        let dirty = ledger.take_dirty();
        drop(ledger);
        if !dirty.is_empty()
            && let Err(error) = file.save_rows(&dirty)
        {
            lock(&self.0.ledger).dirty.extend(dirty.into_iter().map(|(key, _)| key));
            return Err(error);
        }
        Ok(done)
    }

    /// Writes what is known of runs that changed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_runs(&self) -> Result<(), Error> {
        let mut file = lock(&self.0.file);
        let mut ledger = lock(&self.0.ledger);
        let mut changed = Vec::new();
        for (agent, known) in &mut ledger.agents {
            if std::mem::take(&mut known.changed) {
                changed.push((agent.clone(), known.clone()));
            }
        }
        drop(ledger);
        if changed.is_empty() { Ok(()) } else { file.save_runs(&changed) }
    }

    /// Forgets what is known of a tenant's gaps that touch the time from `start` to `end`, and how
    /// complete its devices were on days that lie in it. The bytes are gone from the file when
    /// this returns. Gives how many gaps there were.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn delete_tenant(
        &self,
        tenant: &Id,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<usize, Error> {
        let count = self.change(|ledger| ledger.delete_tenant(tenant, start, end))?;
        let mut file = lock(&self.0.file);
        let mut tally = lock(&self.0.tally);
        let all = start == Timestamp::MIN && end == Timestamp::MAX;
        let days = (day_of(start), day_of(end));
        tally.delete_tenant(tenant.as_str(), days, all);
        file.delete_tenant(tenant.as_str(), days, all)?;
        Ok(count)
    }

    /// Rows that match, the latest first.
    #[must_use]
    pub fn rows(&self, matches: impl Fn(&Row) -> bool) -> Vec<Row> {
        let ledger = lock(&self.0.ledger);
        let mut rows: Vec<Row> = ledger.rows().filter(|row| matches(row)).cloned().collect();
        drop(ledger);
        rows.sort_by(|a, b| (b.start, &a.agent, &a.key).cmp(&(a.start, &b.agent, &b.key)));
        rows
    }

    /// Takes the intervals of a dictionary.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn describe(&self, agent: &AgentPath, describe: &Describe) -> Result<(), Error> {
        let mut file = lock(&self.0.file);
        let mut tally = lock(&self.0.tally);
        if tally.describe(agent, describe) { file.save_tally(&tally, &[], true) } else { Ok(()) }
    }

    /// Counts what the store took since the last time. Reads the disk.
    ///
    /// # Errors
    /// When the counts cannot be written, or the log cannot be read: then it is tried again.
    pub fn count(&self, reader: &Reader, now: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
        loop {
            let position = lock(&self.0.tally).position;
            let logged = reader.log(position, ROWS)?;
            let mut file = lock(&self.0.file);
            let mut tally = lock(&self.0.tally);
            tally.turn(now);
            let Some(last) = logged.last() else { return Ok(()) };
            let before: BTreeMap<_, _> = tally.days.clone();
            tally.position = last.position;
            tally.count(logged.iter().flat_map(|one| &one.samples));
            let changed: Vec<(i64, Device)> = tally
                .days
                .iter()
                .filter(|(key, day)| before.get(*key) != Some(*day))
                .map(|(key, _)| key.clone())
                .collect();
            if let Err(error) = file.save_tally(&tally, &changed, false) {
                tally.days = before;
                tally.position = position;
                return Err(error.into());
            }
            if logged.len() < ROWS {
                return Ok(());
            }
        }
    }

    /// How complete devices are on a day, given by any of its moments.
    #[must_use]
    pub fn ratios(&self, day: Timestamp, now: Timestamp) -> Vec<(Device, Ratio)> {
        let tally = lock(&self.0.tally);
        tally.ratios(day_of(day), now).map(|(device, ratio)| (device.clone(), ratio)).collect()
    }

    /// Series with their intervals in milliseconds.
    #[must_use]
    pub fn points(&self, matches: impl Fn(&Labels) -> bool) -> Vec<(Labels, u32)> {
        let tally = lock(&self.0.tally);
        tally.points().filter(|(labels, _)| matches(labels)).cloned().collect()
    }

    /// The collector's own series about gaps and completeness.
    #[must_use]
    pub fn samples(&self, now: Timestamp) -> Vec<(Labels, Sample)> {
        let mut samples = Vec::new();
        let mut push = |name: &str, labels: &[(&str, &str)], value: f64| {
            let labels = Labels::metric(name, labels.iter().copied());
            samples.push((labels, Sample { time: now, value: Ok(value) }));
        };
        let mut ledger = lock(&self.0.ledger);
        for ((agent, cause), count) in ledger.open() {
            let [tenant, site, agent] =
                [&agent.tenant, &agent.site, &agent.agent].map(|id| id.as_str());
            let labels = [("tenant", tenant), ("site", site), ("agent", agent), ("cause", &*cause)];
            push("gaps_open", &labels, f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        }
        for ((agent, cause, device), seconds) in ledger.lost_seconds() {
            let [tenant, site, agent] =
                [&agent.tenant, &agent.site, &agent.agent].map(|id| id.as_str());
            let labels = [
                ("tenant", tenant),
                ("site", site),
                ("agent", agent),
                ("cause", cause),
                ("device", device),
            ];
            push("gap_seconds_total", &labels, *seconds);
        }
        drop(ledger);
        let mut sites: BTreeMap<(String, String), Ratio> = BTreeMap::new();
        for ((tenant, site, device), ratio) in self.ratios(now, now) {
            if let Some(value) = ratio.value() {
                let labels = [("tenant", &*tenant), ("site", &*site), ("device", &*device)];
                push("completeness_ratio", &labels, value);
            }
            let sum = sites.entry((tenant, site)).or_default();
            sum.present = sum.present.saturating_add(ratio.present);
            sum.expected += ratio.expected;
        }
        for ((tenant, site), ratio) in sites {
            if let Some(value) = ratio.value() {
                push("completeness_ratio", &[("tenant", &*tenant), ("site", &*site)], value);
            }
        }
        samples
    }
}
