//! What becomes of entries that were journalled before anybody had confirmed the gateway's clock.
//!
//! They keep the times that they were given. What is on record beside them, for each run, is what
//! the time at the start of the *machine* would have been by that clock: the uptime does not step,
//! so all of them are wrong by one amount. When the time is known, that amount is written down, once
//! and before anything is sent, and added wherever the entries are read: whoever gets them, and
//! however often, gets the same.
//!
//! Runs of the same start of the machine share its uptime: what is learnt late corrects those that
//! are over, too. Of an earlier start nothing is known but that it was before this one, and after
//! what was confirmed before it: if its entries do not lie there, they are moved there, and the
//! ledger says between which times they may be.

use bytes::Bytes;
use hallwatch_model::wire::{decode_readings, encode_readings};
use hallwatch_model::{Gap, Readings, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::file::{File, MAX_SEQ, entry_id, run_and_seq, signed, unsigned};

/// Times that were wrong by one amount, and were corrected.
const CORRECTED: &str = "clock_corrected";
/// Times of which nobody knows by how much they are wrong.
const UNCERTAIN: &str = "clock_uncertain";
/// A difference that is within the tolerance of clocks is none.
const TOLERANCE: i64 = crate::agent::CLOCKS_AGREE;

/// Since version 4: of which start of the machine a run is, what the time at that start was by the
/// clock of entries that nobody has confirmed, up to which entry that is so, and by how much they
/// are to be moved, once that is known.
pub(super) const SCHEMA: &str = "
    CREATE TABLE machine (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        origin INTEGER
    ) STRICT;
    ALTER TABLE run ADD COLUMN machine INTEGER;
    ALTER TABLE run ADD COLUMN origin INTEGER;
    ALTER TABLE run ADD COLUMN upto INTEGER;
    ALTER TABLE run ADD COLUMN shift INTEGER;
    PRAGMA user_version = 4;
";

/// The machine that an agent runs on, since it was last started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// What tells this start from all others; `None` where the system does not say.
    pub start: Option<String>,
    /// For how many milliseconds it had been running when the agent's uptime began.
    pub uptime: i64,
}

/// By how much the entries of a run are to be moved, up to one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) run: i64,
    pub(super) upto: u64,
    pub(super) by: i64,
}

/// Entries of one start of the machine that nobody has confirmed.
#[derive(Clone, Copy, Debug)]
struct Unknown {
    machine: i64,
    /// The machine's time of its start, by the clock of its last run.
    origin: i64,
    /// Of its first and last entry, since that start.
    first: i64,
    last: i64,
}

/// Where the start of a machine is put of which nobody knows when it was: where its clock says, if
/// all that it journalled is then after `lower` and before `upper`, and otherwise as near to that
/// as can be. Nothing is later than `upper`.
fn place(of: Unknown, lower: Option<i64>, upper: i64) -> i64 {
    let least = lower.map_or(i64::MIN, |lower| lower.saturating_sub(of.first));
    of.origin.max(least).min(upper.saturating_sub(of.last))
}

/// Readings with all times moved, as far as they are of the run `boot`.
pub(super) fn moved(bytes: &[u8], boot: u64, by: i64) -> Option<Bytes> {
    let mut readings: Readings = decode_readings(bytes).ok()?;
    readings.readings.iter_mut().for_each(|reading| reading.time = reading.time.moved(by));
    readings.events.iter_mut().for_each(|event| event.time = event.time.moved(by));
    // A loss of another run's entries has that run's times.
    let own = |gap: &&mut Gap| gap.ranges.iter().all(|(of, _, _)| *of == boot);
    for gap in readings.gaps.iter_mut().filter(own) {
        for time in [&mut gap.first, &mut gap.last] {
            // The epoch is no time, see [`Gap`].
            if *time != Timestamp::default() {
                *time = time.moved(by);
            }
        }
    }
    Some(Bytes::from(encode_readings(&readings)))
}

impl File {
    /// Nobody has confirmed the clock that the entries of this run have their times of: by it, the
    /// uptime was zero at `base`.
    pub(super) fn unconfirmed(&self, base: Timestamp) -> Result<(), rusqlite::Error> {
        let origin = base.as_millis().saturating_sub(self.machine.1);
        self.connection
            .execute("UPDATE run SET origin = ? WHERE id = ?", [origin, self.run])
            .map(drop)
    }

    /// The time is known: at uptime zero it was `base`. What is here of before is settled by that.
    /// Whether there is a gap to be told of.
    pub(super) fn settle(&self, base: Timestamp, last: u64) -> Result<bool, rusqlite::Error> {
        let (machine, uptime) = self.machine;
        let origin = base.as_millis().saturating_sub(uptime);
        self.connection.execute("UPDATE machine SET origin = ? WHERE id = ?", [origin, machine])?;
        self.connection.execute(
            "UPDATE run SET upto = ? WHERE id = ? AND origin IS NOT NULL AND upto IS NULL",
            [signed(last), self.run],
        )?;
        let corrected = self.correct(machine, origin)?;
        let guessed = self.guess(origin)?;
        self.know_shifts()?;
        self.note(base)?;
        Ok(corrected || guessed)
    }

    /// Earlier starts of the machine of which nothing was ever confirmed: all were before `origin`.
    fn guess(&self, origin: i64) -> Result<bool, rusqlite::Error> {
        let unknown = self.unknown()?;
        let Some(oldest) = unknown.first() else { return Ok(false) };
        // Each is after all that was before it.
        let known = self.confirmed_before(oldest.machine)?;
        let mut lower = known;
        let mut bounded = Vec::new();
        for of in unknown {
            bounded.push((of, lower));
            lower = lower.map(|lower| lower.saturating_add(of.last.saturating_sub(of.first)));
        }
        let mut upper = origin;
        for (of, lower) in bounded.into_iter().rev() {
            let at = place(of, lower, upper);
            self.connection.execute(
                "UPDATE run SET shift = ? - origin WHERE machine = ? AND origin IS NOT NULL
                     AND shift IS NULL",
                [at, of.machine],
            )?;
            upper = at.saturating_add(of.first);
        }
        self.gap(&Gap {
            first: Timestamp::from_millis(known.unwrap_or(upper).min(upper)),
            last: Timestamp::from_millis(origin),
            cause: UNCERTAIN.to_owned(),
            ..Gap::default()
        })?;
        Ok(true)
    }

    /// Runs of this start of the machine: the uptime tells by how much they were wrong.
    fn correct(&self, machine: i64, origin: i64) -> Result<bool, rusqlite::Error> {
        let mut query = self.connection.prepare_cached(
            "SELECT id, origin, upto FROM run
             WHERE machine = ? AND origin IS NOT NULL AND shift IS NULL ORDER BY id",
        )?;
        let rows = query.query_map([machine], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
        })?;
        let mut gaps = Vec::new();
        for row in rows {
            let (run, was, upto) = row?;
            let by = origin.saturating_sub(was);
            let by = if by.saturating_abs() <= TOLERANCE { 0 } else { by };
            self.connection.execute("UPDATE run SET shift = ? WHERE id = ?", [by, run])?;
            if by == 0 {
                continue;
            }
            self.move_gaps(run, by)?;
            let upto = upto.map_or(MAX_SEQ, unsigned);
            let Some((first, last)) = self.times(run, upto)? else { continue };
            gaps.push(Gap {
                first: Timestamp::from_millis(first).moved(by),
                last: Timestamp::from_millis(last).moved(by),
                cause: CORRECTED.to_owned(),
                ..Gap::default()
            });
        }
        for gap in &gaps {
            self.gap(gap)?;
        }
        Ok(!gaps.is_empty())
    }

    /// The times of the first and last entry of a run, up to one of them, as they were given.
    fn times(&self, run: i64, upto: u64) -> Result<Option<(i64, i64)>, rusqlite::Error> {
        let time = |order: &str| {
            self.connection
                .prepare_cached(&format!(
                    "SELECT time FROM entry WHERE id BETWEEN ? AND ? ORDER BY id {order} LIMIT 1"
                ))?
                .query_row([entry_id(run, 0), entry_id(run, upto)], |row| row.get::<_, i64>(0))
                .optional()
        };
        Ok(time("ASC")?.zip(time("DESC")?))
    }

    /// Gaps that this run recorded by its own clock, and not by the times of entries.
    fn move_gaps(&self, run: i64, by: i64) -> Result<(), rusqlite::Error> {
        let (first, last) = (entry_id(run, 0), entry_id(run, MAX_SEQ));
        self.connection
            .execute(
                "UPDATE gap SET first_time = first_time + ?1, last_time = last_time + ?1
                 WHERE first_time > 0
                     AND (entry BETWEEN ?2 AND ?3 OR entry IS NULL AND ?4)
                     AND id NOT IN (SELECT gap FROM gap_range)",
                params![by, first, last, run == self.run],
            )
            .map(drop)
    }

    /// Earlier starts of the machine of which nothing was ever confirmed, oldest first.
    fn unknown(&self) -> Result<Vec<Unknown>, rusqlite::Error> {
        let mut query = self.connection.prepare_cached(
            "SELECT id, machine, origin FROM run
             WHERE machine <> ? AND origin IS NOT NULL AND shift IS NULL ORDER BY id",
        )?;
        let rows = query.query_map([self.machine.0], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        let mut unknown: Vec<Unknown> = Vec::new();
        for row in rows {
            let (run, machine, origin) = row?;
            let Some((first, last)) = self.times(run, MAX_SEQ)? else { continue };
            let (first, last) = (first.saturating_sub(origin), last.saturating_sub(origin));
            match unknown.last_mut() {
                Some(known) if known.machine == machine => {
                    *known = Unknown {
                        machine,
                        origin,
                        first: known.first.min(first),
                        last: known.last.max(last),
                    };
                }
                _ => unknown.push(Unknown { machine, origin, first, last }),
            }
        }
        Ok(unknown)
    }

    /// The last time before a start of the machine of which it is known that the agent ran.
    fn confirmed_before(&self, machine: i64) -> Result<Option<i64>, rusqlite::Error> {
        let noted: Option<i64> = self
            .connection
            .query_row("SELECT value FROM meta WHERE name = 'ran'", [], |row| row.get(0))
            .optional()?;
        let first: i64 = self
            .connection
            .prepare_cached("SELECT min(id) FROM run WHERE machine = ?")?
            .query_row([machine], |row| row.get(0))?;
        let entry: Option<(i64, i64)> = self
            .connection
            .prepare_cached("SELECT id, time FROM entry WHERE id < ? ORDER BY id DESC LIMIT 1")?
            .query_row([entry_id(first, 0)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(noted.max(entry.map(|(id, time)| time.saturating_add(self.shift(id)))))
    }

    /// The agent runs, and knows that it is `now`.
    pub(super) fn note(&self, now: Timestamp) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('ran', ?)")?
            .execute([now.as_millis()])
            .map(drop)
    }

    /// By how much an entry is to be moved.
    pub(super) fn shift(&self, id: i64) -> i64 {
        let (run, seq) = run_and_seq(id);
        let shifts = self.shifts.borrow();
        let of = shifts.iter().find(|shift| shift.run == run && seq <= shift.upto);
        of.map_or(0, |shift| shift.by)
    }

    /// Learns from the file what is to be moved.
    pub(super) fn know_shifts(&self) -> Result<(), rusqlite::Error> {
        let shifts = self.read_shifts()?;
        self.shifts.replace(shifts);
        Ok(())
    }

    fn read_shifts(&self) -> Result<Vec<Shift>, rusqlite::Error> {
        let mut query = self
            .connection
            .prepare_cached("SELECT id, upto, shift FROM run WHERE shift <> 0 ORDER BY id")?;
        let rows = query.query_map([], |row| {
            let upto = row.get::<_, Option<i64>>(1)?.map_or(MAX_SEQ, unsigned);
            Ok(Shift { run: row.get(0)?, upto, by: row.get(2)? })
        })?;
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_nobody_confirmed_is_put_where_it_can_have_been(
            origin in -1_000i64..1_000,
            first in 0i64..500,
            lasted in 0i64..500,
            lower in prop::option::of(-1_000i64..0),
            length in 0i64..1_000,
        ) {
            let of = Unknown { machine: 1, origin, first, last: first + lasted };
            let upper = lower.unwrap_or(0) + length;
            let at = place(of, lower, upper);
            prop_assert!(at + of.last <= upper);
            let fits = lasted <= length;
            if let Some(lower) = lower && fits {
                prop_assert!(at + of.first >= lower);
            }
            let plausible = origin + of.last <= upper
                && lower.is_none_or(|lower| origin + of.first >= lower);
            prop_assert!(!plausible || at == origin);
        }
    }
}
