//! Deletion of what is too old or too much: whole windows, hidden at once, deleted in steps.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::Store;
use super::flush::Step;
use super::head::window_end;
use super::shared::{lock, reading, writing};

/// Chunks deleted with one commit.
const STEP: i64 = 512;

/// A window that is being deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removal {
    window: i64,
}

impl Store {
    /// Samples before this are too old.
    pub(super) fn expired_before(&self) -> i64 {
        let age = self.options.retention_age.map(|age| i64::try_from(age.as_millis()));
        match age {
            Some(Ok(age)) => self.now.saturating_sub(age),
            _ => i64::MIN,
        }
    }

    fn removable(&self) -> Option<i64> {
        let windows = reading(&self.shared.windows);
        let oldest = *windows.first_key_value()?.0;
        if window_end(oldest) < self.expired_before() {
            return Some(oldest);
        }
        let most = self.options.retention_bytes?;
        let chunks: u64 = windows.values().map(|filled| filled.bytes).sum();
        // The newest window stays: it is what people look at.
        (windows.len() > 1 && chunks + self.log_bytes() > most).then_some(oldest)
    }

    pub(super) fn removal_due(&self) -> bool {
        self.removable().is_some()
    }

    pub(super) fn choose_removal(&mut self) {
        let Some(window) = self.removable() else { return };
        if self.flush.passes(window) {
            return;
        }
        self.shared.floor.fetch_max(window_end(window).saturating_add(1), Ordering::Relaxed);
        self.flush.removal = Some(Removal { window });
    }

    pub(super) fn remove_step(
        &self,
        connection: &Connection,
        step: &mut Step,
    ) -> rusqlite::Result<()> {
        let Some(Removal { window }) = self.flush.removal else { return Ok(()) };
        let mut select = connection.prepare_cached(
            "SELECT series FROM chunk WHERE window = ?1 ORDER BY series LIMIT 1 OFFSET ?2",
        )?;
        let next: Option<i64> =
            select.query_map(params![window, STEP], |row| row.get(0))?.next().transpose()?;
        connection
            .prepare_cached("DELETE FROM chunk WHERE window = ?1 AND series < ?2")?
            .execute(params![window, next.unwrap_or(i64::MAX)])?;
        if next.is_none() {
            connection.execute("DELETE FROM window WHERE window = ?1", [window])?;
            connection.execute("DELETE FROM time WHERE window = ?1", [window])?;
            let expired = self.expired_before();
            connection.execute("DELETE FROM event WHERE time < ?1", [expired])?;
            connection.execute("DELETE FROM received WHERE seen < ?1", [expired])?;
            step.removed = Some(window);
        }
        Ok(())
    }

    pub(super) fn removed(&mut self, step: &Step) {
        let Some(window) = step.removed else { return };
        self.flush.removal = None;
        writing(&self.shared.windows).remove(&window);
        for id in self.flush.forget(window) {
            if let Some(series) = self.by_id(id) {
                lock(&series.head).drop_window(window);
            }
        }
        let expired = self.expired_before();
        for agent in self.agents.values_mut() {
            agent.forget_before(expired);
        }
    }
}
