//! Deletion of what is too old or too much: whole windows, hidden at once, deleted in steps.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::Store;
use super::flush::Step;
use super::head::window_end;
use super::shared::{reading, writing};
use super::summaries::{DAY_MILLIS, RESOLUTIONS, day_of_window};

/// Chunks deleted with one commit.
const STEP: i64 = 512;

/// The part of all bytes that summaries by minutes, and by hours, may take at most: one of so many.
const SHARES: [u64; 2] = [2, 4];

/// What is being deleted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Removal {
    /// The chunks of a window.
    Window(i64),
    /// The summaries of a day, of one resolution.
    Day(i64, i64),
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
        let summaries: u64 = reading(&self.shared.rolled).values().map(|one| one.bytes).sum();
        // The newest window stays: it is what people look at.
        (windows.len() > 1 && chunks + summaries + self.log_bytes() > most).then_some(oldest)
    }

    /// A day of summaries that is too old, or beyond the share of its resolution in all bytes.
    fn removable_day(&self) -> Option<(i64, i64)> {
        let rolled = reading(&self.shared.rolled);
        let ages = [self.options.minute_age, self.options.hour_age];
        for ((resolution, age), share) in RESOLUTIONS.into_iter().zip(ages).zip(SHARES) {
            let all = || rolled.range((resolution, i64::MIN)..=(resolution, i64::MAX));
            let Some(((_, day), _)) = all().next() else { continue };
            let age = age.and_then(|age| i64::try_from(age.as_millis()).ok());
            let expired = age.map_or(i64::MIN, |age| self.now.saturating_sub(age));
            let most = self.options.retention_bytes.map_or(u64::MAX, |most| most / share);
            let much = all().count() > 1 && all().map(|(_, one)| one.bytes).sum::<u64>() > most;
            let end = day.saturating_add(1).saturating_mul(DAY_MILLIS);
            if (end < expired || much) && !self.rolls(*day) {
                return Some((resolution, *day));
            }
        }
        None
    }

    pub(super) fn removal_due(&self) -> bool {
        self.removable().is_some() || self.removable_day().is_some()
    }

    pub(super) fn choose_removal(&mut self) {
        if let Some((resolution, day)) = self.removable_day() {
            self.flush.removal = Some(Removal::Day(resolution, day));
            return;
        }
        let Some(window) = self.removable() else { return };
        // What came late for a window before it is in the head alone, and is to be summed up, too.
        let window = self.flush.first_window().map_or(window, |first| window.min(first));
        if self.flush.passes(window) || self.rolls(day_of_window(window)) {
            return;
        }
        if !self.is_summed_up(window) {
            self.closed = self.closed.max(window_end(window).saturating_add(1));
            return;
        }
        self.shared.floor.fetch_max(window_end(window).saturating_add(1), Ordering::Relaxed);
        self.flush.removal = Some(Removal::Window(window));
    }

    pub(super) fn remove_step(
        &self,
        connection: &Connection,
        step: &mut Step,
    ) -> rusqlite::Result<()> {
        match self.flush.removal {
            Some(Removal::Window(window)) => self.remove_window(connection, window, step),
            Some(Removal::Day(resolution, day)) => remove_day(connection, (resolution, day), step),
            None => Ok(()),
        }
    }

    fn remove_window(
        &self,
        connection: &Connection,
        window: i64,
        step: &mut Step,
    ) -> rusqlite::Result<()> {
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
            connection
                .prepare_cached(
                    "INSERT INTO meta (key, value) VALUES ('floor', ?1) \
                     ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
                )?
                .execute([window_end(window).saturating_add(1)])?;
            step.removed = Some(Removal::Window(window));
        }
        Ok(())
    }

    pub(super) fn removed(&mut self, step: &Step) {
        let Some(removed) = step.removed else { return };
        self.flush.removal = None;
        let window = match removed {
            Removal::Window(window) => window,
            Removal::Day(resolution, day) => {
                writing(&self.shared.rolled).remove(&(resolution, day));
                return;
            }
        };
        writing(&self.shared.windows).remove(&window);
        for id in self.flush.forget(window) {
            if let Some(mut head) = self.head(id) {
                head.drop_window(window);
            }
        }
        let expired = self.expired_before();
        for agent in self.agents.values_mut() {
            agent.forget_before(expired);
        }
    }
}

fn remove_day(
    connection: &Connection,
    (resolution, day): (i64, i64),
    step: &mut Step,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached(
        "SELECT series FROM rollup WHERE resolution = ?1 AND day = ?2 \
         ORDER BY series LIMIT 1 OFFSET ?3",
    )?;
    let next: Option<i64> =
        select.query_map(params![resolution, day, STEP], |row| row.get(0))?.next().transpose()?;
    connection
        .prepare_cached("DELETE FROM rollup WHERE resolution = ?1 AND day = ?2 AND series < ?3")?
        .execute(params![resolution, day, next.unwrap_or(i64::MAX)])?;
    if next.is_none() {
        connection
            .prepare_cached("DELETE FROM rolled WHERE resolution = ?1 AND day = ?2")?
            .execute(params![resolution, day])?;
        step.removed = Some(Removal::Day(resolution, day));
    }
    Ok(())
}
