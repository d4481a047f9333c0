//! The clock of the site's gateway, which faults set.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::disk;

/// Clocks that differ by no more than so many seconds agree: nobody corrects that.
const AGREE: i64 = 5;

/// `command`, for which the clock is wrong by what is set in `directory`.
pub(super) fn wrong(mut command: Command, directory: &Path) -> Command {
    command.env("LD_PRELOAD", faketime());
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_TIMESTAMP_FILE", directory.join("clock"));
    command
}

fn faketime() -> PathBuf {
    let architectures = std::fs::read_dir("/usr/lib").expect("/usr/lib");
    architectures
        .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .find(|path| path.exists())
        .expect("libfaketime is missing: apt-get install libfaketime, or run tests/run")
}

/// Sets the clock by so many seconds from what is right.
pub(super) fn set(directory: &Path, seconds: i64) {
    // At once: half a number would be another step.
    let (file, new) = (directory.join("clock"), directory.join("clock.new"));
    std::fs::write(&new, format!("{seconds:+}")).expect("the clock");
    std::fs::rename(new, file).expect("the clock");
}

/// What this machine's time service says is of this machine's clock, and not of the one that is
/// wrong.
pub(super) fn hide_time_service() {
    let marks = Path::new("/run/systemd/timesync");
    if marks.exists() {
        disk::mount(marks, "1m");
    }
}

/// From when on the own time of an agent may be wrong, and by how many milliseconds: one that finds
/// no journal on its disk does not know what runs before it knew, and starts by a clock that is
/// wrong by less than anybody would correct. `steps` are the settings of the clock, `undurable` the
/// times without disk.
pub(super) fn skews(
    starts: &[i64],
    steps: &[(i64, i64)],
    undurable: &[(i64, i64)],
) -> Vec<(i64, i64)> {
    let by = |start: i64| steps.iter().rev().find(|(at, _)| *at <= start).map_or(0, |(_, by)| *by);
    let starts = starts
        .iter()
        .filter(|start| undurable.iter().any(|(from, to)| (from..=to).contains(start)));
    let skews = starts.map(|start| (*start, by(*start)));
    skews
        .filter(|(_, by)| *by != 0 && by.abs() <= AGREE)
        .map(|(at, by)| (at, by.abs() * 1_000))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_start_without_disk_by_a_slightly_wrong_clock_is_skewed() {
        let steps = [(0, 0), (100, 3), (200, 0), (300, 7_200)];
        let starts = [50, 110, 150, 250, 350];
        assert_eq!(skews(&starts, &steps, &[(120, 400)]), [(150, 3_000)]);
        assert_eq!(skews(&starts, &steps, &[]), []);
    }
}
