//! What collectors have, on its way to the disk.

use std::collections::BTreeMap;

use hallwatch_model::Id;

use super::Command;
use super::file::File;
use crate::ranges::Ranges;

/// Entries let go at once at the latest.
const MOST: u64 = 512;

/// What may be lost without harm, and so is not worth a sync of its own.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    acked: BTreeMap<(Id, u64), Ranges>,
    done: BTreeMap<u64, Ranges>,
    entries: u64,
}

impl Deferred {
    /// Takes what concerns it; gives back anything else.
    pub(super) fn take(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::Acked { collector, boot, ranges } => {
                // Always all that it has.
                self.acked.insert((collector, boot), ranges);
            }
            Command::Done { boot, first, last } => {
                self.done.entry(boot).or_default().insert(first, last);
                let count = last.saturating_sub(first).saturating_add(1);
                self.entries = self.entries.saturating_add(count);
            }
            other => return Some(other),
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.acked.is_empty() && self.done.is_empty()
    }

    /// Whether it is to go to the disk without waiting for more.
    pub(super) fn is_full(&self) -> bool {
        self.entries >= MOST
    }

    /// Writes it, in the open transaction.
    pub(super) fn apply(&self, file: &File, keep: bool) -> Result<(), rusqlite::Error> {
        for ((collector, boot), ranges) in &self.acked {
            file.acked(collector, *boot, ranges)?;
        }
        for (boot, ranges) in &self.done {
            for (first, last) in ranges.iter() {
                file.done(*boot, first, last, keep)?;
            }
        }
        Ok(())
    }
}
