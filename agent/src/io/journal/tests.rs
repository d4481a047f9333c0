//! The journal on a real disk.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

const BOUNDS: JournalBounds =
    JournalBounds { max_bytes: 1 << 30, max_age: Duration::from_secs(3600), keep: Duration::ZERO };

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn append(number: u32, time: i64, bytes: usize) -> Command {
    let labels = Labels::metric("device_up", [("device", format!("d-{number}").as_str())]);
    Command::Append(Append {
        series: vec![(SeriesId(number), labels)],
        bytes: vec![0x5a; bytes].into(),
        readings: 1,
        time: at(time),
        personal: false,
    })
}

/// The same, of a series that is known already.
fn known(command: Command) -> Command {
    match command {
        Command::Append(append) => Command::Append(Append { series: Vec::new(), ..append }),
        other => other,
    }
}

fn range(first: u64, last: u64) -> Ranges {
    let mut ranges = Ranges::default();
    ranges.insert(first, last);
    ranges
}

/// Tells `commands`, ends the journal and returns what it told.
fn session(
    directory: &TempDir,
    bounds: JournalBounds,
    commands: Vec<Command>,
) -> (Opened, Vec<Told>) {
    session_of(directory, &Machine::default(), bounds, commands)
}

fn session_of(
    directory: &TempDir,
    machine: &Machine,
    bounds: JournalBounds,
    commands: Vec<Command>,
) -> (Opened, Vec<Told>) {
    let (journal, mut tells, opened) = Journal::open(directory.path(), bounds, machine).unwrap();
    for command in commands.into_iter().chain([Command::Stop]) {
        journal.tell(command).unwrap();
    }
    let mut told = Vec::new();
    while let Some(one) = tells.blocking_recv() {
        told.push(one);
    }
    (opened, told)
}

fn committed(told: &[Told]) -> Vec<u64> {
    let seq = |told: &Told| match told {
        Told::Committed(entry) => Some(entry.seq),
        _ => None,
    };
    told.iter().filter_map(seq).collect()
}

fn fetched(told: &[Told]) -> Vec<Entry> {
    let entries = told.iter().filter_map(|told| match told {
        Told::Fetched { entries, .. } => Some(entries.clone()),
        _ => None,
    });
    entries.flatten().collect()
}

/// The gaps in the entries that were committed.
fn told_gaps(told: &[Told]) -> Vec<Gap> {
    let gaps = told.iter().filter_map(|told| match told {
        Told::Committed(entry) => hallwatch_model::wire::decode_readings(&entry.bytes).ok(),
        _ => None,
    });
    gaps.flat_map(|readings| readings.gaps).collect()
}

#[test]
fn a_restart_finds_entries_dictionary_and_acknowledgements() {
    let directory = TempDir::new().unwrap();
    let (first, told) =
        session(&directory, BOUNDS, (0..5).map(|n| append(n, n.into(), 100)).collect());
    assert_eq!(committed(&told), [1, 2, 3, 4, 5]);
    assert!(first.runs.is_empty() && first.series.is_empty());

    let boot = first.boot;
    let collector = Id::new("c-1").unwrap();
    let acked = Command::Acked { collector: collector.clone(), boot, ranges: range(1, 4) };
    let done = Command::Done { boot, first: 1, last: 2 };
    let (second, told) = session(
        &directory,
        BOUNDS,
        vec![append(5, 5, 100), acked, done, Command::Fetch { boot, first: 1, last: 5 }],
    );
    assert_eq!(committed(&told), [1], "numbers start anew with each run");
    assert_ne!(second.boot, boot);
    assert_eq!((second.dictionary, second.series.len()), (first.dictionary, 5));
    assert_eq!((second.runs[0].boot, second.runs[0].first, second.runs[0].last), (boot, 1, 5));
    let fetched = told.iter().find_map(|told| match told {
        Told::Fetched { entries, last: 5, .. } => Some(entries),
        _ => None,
    });
    let seqs: Vec<u64> = fetched.unwrap().iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [3, 4, 5]);

    let (third, _) = session(&directory, BOUNDS, Vec::new());
    assert_eq!(third.series.len(), 6);
    let runs: Vec<(u64, u64, u64)> =
        third.runs.iter().map(|run| (run.boot, run.first, run.last)).collect();
    assert_eq!(runs, [(boot, 3, 5), (second.boot, 1, 1)]);
    assert_eq!(third.runs[0].acked, [(collector, range(1, 4))]);
    assert_eq!(third.runs[0].done, Ranges::default());
}

#[test]
fn what_exceeds_a_bound_goes_oldest_first_and_leaves_a_gap() {
    let directory = TempDir::new().unwrap();
    let bounds = JournalBounds { max_bytes: 1 << 20, ..BOUNDS };
    let mut commands: Vec<Command> = (0..300).map(|n| append(n, n.into(), 10_000)).collect();
    commands.push(Command::Trim { now: at(1_000) });
    let (opened, told) = session(&directory, bounds, commands);
    let upto = told.iter().rev().find_map(|told| match told {
        Told::Dropped { boot, upto } if *boot == opened.boot => Some(*upto),
        _ => None,
    });
    let upto = upto.unwrap();
    assert!((150..300).contains(&upto), "{upto}");
    let path = directory.path().join("journal.sqlite");
    let gaps = read_gaps(&path).unwrap();
    let cause = "max_bytes".to_owned();
    let last_time = at(i64::try_from(upto).unwrap() - 1);
    let ranges = vec![(opened.boot, 1, upto)];
    let gap = Gap { first: at(0), last: last_time, entries: upto, cause, ranges, ..Gap::default() };
    assert_eq!(gaps, std::slice::from_ref(&gap));
    // It is told as an entry, in the same transaction.
    assert_eq!(told_gaps(&told), [gap]);
    let (again, told) = session(&directory, bounds, Vec::new());
    assert_eq!((again.runs[0].first, again.runs[0].last), (upto + 1, 301));
    assert_eq!(told_gaps(&told), [], "it was told before");

    let now = at(3_600_000 + 299);
    let (_, told) = session(&directory, bounds, vec![Command::Trim { now }]);
    assert!(told.iter().any(|told| matches!(told, Told::Dropped { upto: 300, .. })));
    // The entry that told of the first gap stays: it was journalled later than those readings.
    assert!(!told.iter().any(|told| matches!(told, Told::Dropped { upto: 301, .. })));
    let gaps = read_gaps(&path).unwrap();
    assert_eq!((gaps[1].cause.as_str(), gaps[1].entries), ("max_age", 300 - upto));
    let numbers = |opened: &Opened| -> Vec<(u64, u64)> {
        opened.runs.iter().map(|run| (run.first, run.last)).collect()
    };
    assert_eq!(numbers(&session(&directory, bounds, Vec::new()).0), [(301, 301), (1, 1)]);
    // An entry that told of a gap and goes itself: the gap is told again.
    let now = at(9_000_000);
    let (_, told) =
        session(&directory, bounds, vec![append(900, 9_000_000, 10), Command::Trim { now }]);
    let causes: Vec<String> = told_gaps(&told).into_iter().map(|gap| gap.cause).collect();
    assert_eq!(causes, ["max_bytes", "max_age"]);
}

#[test]
fn a_loss_of_before_is_not_hidden_in_a_later_gap_of_the_same_cause() {
    let directory = tempfile::tempdir().unwrap();
    let loss = |first, last| {
        let cause = "queue_full".to_owned();
        Command::Gap(Gap { first: at(first), last: at(last), cause, entries: 1, ..Gap::default() })
    };
    // The own time was an hour ahead, and was set back between the two.
    let commands = vec![append(0, 4_000_000, 10), loss(3_600_000, 3_660_000), loss(90_000, 95_000)];
    let (_, told) = session(&directory, BOUNDS, commands);
    let times: Vec<_> = told_gaps(&told).iter().map(|gap| (gap.first, gap.last)).collect();
    assert_eq!(times, [(at(3_600_000), at(3_660_000)), (at(90_000), at(95_000))]);
}

#[test]
fn what_everyone_has_stays_for_the_time_it_is_kept_and_is_no_gap() {
    let directory = TempDir::new().unwrap();
    let bounds = JournalBounds { keep: Duration::from_secs(60), ..BOUNDS };
    let (journal, mut tells, opened) =
        Journal::open(directory.path(), bounds, &Machine::default()).unwrap();
    let boot = opened.boot;
    for command in [
        append(0, 0, 10),
        append(1, 50_000, 10),
        Command::Done { boot, first: 1, last: 2 },
        Command::Trim { now: at(60_000) },
        Command::Fetch { boot, first: 1, last: 2 },
        Command::Trim { now: at(4_000_000) },
        Command::Stop,
    ] {
        journal.tell(command).unwrap();
    }
    let mut fetched = Vec::new();
    while let Some(told) = tells.blocking_recv() {
        if let Told::Fetched { entries, .. } = told {
            fetched.extend(entries.into_iter().map(|entry| entry.seq));
        }
    }
    assert_eq!(fetched, [2]);
    drop(journal);
    assert_eq!(read_gaps(&directory.path().join("journal.sqlite")).unwrap(), []);
}

#[test]
fn a_damaged_journal_is_set_aside_and_the_agent_starts_with_a_new_dictionary() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("journal.sqlite");
    let commands = (0..200).map(|n| append(n, n.into(), 1_000)).collect();
    let (first, _) = session(&directory, BOUNDS, commands);
    for (number, damage) in [
        // The header, and pages in the middle.
        (1, 0..64usize),
        (2, 8_192..40_960),
    ] {
        let mut bytes = fs::read(&path).unwrap();
        let end = damage.end.min(bytes.len());
        bytes[damage.start.min(end)..end].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let commands = (0..200).map(|n| append(n, n.into(), 1_000)).collect();
        let (opened, told) = session(&directory, BOUNDS, commands);
        let aside = directory.path().join(format!("journal.sqlite.damaged-{number}"));
        assert_eq!(opened.set_aside.as_ref(), Some(&aside));
        assert!(aside.exists());
        assert_ne!(opened.dictionary, first.dictionary);
        assert_eq!(committed(&told).len(), 201);
        assert_eq!(told_gaps(&told)[0].cause, "damaged");
        assert_eq!(read_gaps(&path).unwrap()[0].cause, "damaged");
    }
}

#[test]
fn a_collector_with_a_new_store_is_owed_what_is_kept() {
    let directory = TempDir::new().unwrap();
    let bounds = JournalBounds { keep: Duration::from_secs(3_600), ..BOUNDS };
    let (old, new) = (Id::new("c-1").unwrap(), Id::new("c-2").unwrap());
    let commands = (0..5).map(|n| append(n, n.into(), 100)).collect();
    let (first, _) = session(&directory, bounds, commands);
    let boot = first.boot;
    let acked =
        |collector: &Id| Command::Acked { collector: collector.clone(), boot, ranges: range(1, 5) };
    let commands = vec![
        acked(&old),
        acked(&new),
        Command::Done { boot, first: 1, last: 5 },
        Command::Replay { collector: new.clone(), store: 77 },
    ];
    let (_, told) = session(&directory, bounds, commands);
    let runs = told.iter().find_map(|told| match told {
        Told::Replay(runs) => Some(runs),
        _ => None,
    });
    let run = &runs.unwrap()[0];
    assert_eq!((run.boot, run.first, run.last, run.done.is_empty()), (boot, 1, 5, true));
    assert_eq!(run.acked, [(old.clone(), range(1, 5))]);
    let (again, _) = session(&directory, bounds, Vec::new());
    assert_eq!(again.stores, [(new, 77)]);
    assert_eq!(again.runs[0].acked, [(old, range(1, 5))]);
}

/// Makes version 3 of version 4.
const BEFORE_CLOCKS: &str = "
    DROP TABLE machine;
    ALTER TABLE run DROP COLUMN machine; ALTER TABLE run DROP COLUMN origin;
    ALTER TABLE run DROP COLUMN upto; ALTER TABLE run DROP COLUMN shift;
    PRAGMA user_version = 3;";

#[test]
fn a_journal_of_the_third_version_is_taken_on_and_its_times_are_believed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("journal.sqlite");
    let (first, _) = session(&directory, BOUNDS, vec![append(0, 5, 10), append(1, 6, 10)]);
    rusqlite::Connection::open(&path).unwrap().execute_batch(BEFORE_CLOCKS).unwrap();
    let boot = first.boot;
    let settle = Command::Settle { base: at(9_000_000), now: at(9_000_000) };
    let fetch = Command::Fetch { boot, first: 1, last: 2 };
    let (opened, told) = session(&directory, BOUNDS, vec![settle, fetch]);
    assert_eq!((opened.runs[0].boot, opened.runs[0].last, opened.known), (boot, 2, None));
    assert_eq!(fetched(&told).iter().map(|entry| entry.time).collect::<Vec<_>>(), [at(5), at(6)]);
    assert_eq!(told_gaps(&told), []);
}

#[test]
fn a_journal_of_the_first_version_is_taken_on() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("journal.sqlite");
    session(&directory, BOUNDS, vec![append(0, 0, 10)]);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch(BEFORE_CLOCKS).unwrap();
    connection
        .execute_batch(
            "DROP TABLE gap_range; DROP INDEX gap_entry;
             ALTER TABLE gap DROP COLUMN readings; ALTER TABLE gap DROP COLUMN entry;
             INSERT INTO gap VALUES (1, 5, 7, 3, 'max_age');
             CREATE TABLE first_entry (
                 id INTEGER PRIMARY KEY, run INTEGER NOT NULL, seq INTEGER NOT NULL,
                 time INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0, bytes BLOB NOT NULL,
                 UNIQUE (run, seq)
             ) STRICT;
             INSERT INTO first_entry SELECT 77, run, seq, time, done, bytes FROM entry;
             DROP TABLE entry; ALTER TABLE first_entry RENAME TO entry;
             CREATE INDEX entry_done ON entry (time) WHERE done = 1;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);
    let (opened, told) = session(&directory, BOUNDS, vec![append(1, 9, 10)]);
    assert_eq!((opened.runs.len(), opened.runs[0].first, opened.runs[0].last), (1, 1, 1));
    let [gap] = &told_gaps(&told)[..] else { panic!("{told:?}") };
    assert_eq!((gap.first, gap.last, gap.entries), (at(5), at(7), 3));
}

#[test]
fn two_agents_cannot_use_one_journal() {
    let directory = TempDir::new().unwrap();
    let (_journal, _tells, _) =
        Journal::open(directory.path(), BOUNDS, &Machine::default()).unwrap();
    let second = Journal::open(directory.path(), BOUNDS, &Machine::default());
    assert!(matches!(second, Err(Error::JournalInUse { .. })), "{second:?}");
}

#[test]
fn a_full_disk_is_waited_out_and_what_memory_does_not_hold_becomes_a_gap() {
    let directory = TempDir::new().unwrap();
    let (earlier, _) =
        session(&directory, BOUNDS, (0..20).map(|n| append(n, n.into(), 20_000)).collect());
    let path = directory.path().join("journal.sqlite");
    let (mut file, _) = super::open::open(&path, &Machine::default()).unwrap();
    file.fill();
    let (told, mut tells) = mpsc::channel(4_096);
    let writer = writer::Writer::new(file, BOUNDS, told);
    let (commands, receiver) = std::sync::mpsc::sync_channel(4_096);
    for number in 20..720 {
        commands.send(append(number, number.into(), 300)).unwrap();
    }
    commands.send(Command::Done { boot: earlier.boot, first: 1, last: 20 }).unwrap();
    drop(commands);
    writer.run(&receiver);
    let mut told = Vec::new();
    while let Ok(one) = tells.try_recv() {
        told.push(one);
    }
    let health: Vec<bool> = told
        .iter()
        .filter_map(|told| match told {
            Told::Health { durable, .. } => Some(*durable),
            _ => None,
        })
        .collect();
    assert_eq!((health.first(), health.last()), (Some(&false), Some(&true)));
    let numbers = committed(&told);
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    // The last one tells of the gap.
    let numbers = &numbers[..numbers.len() - 1];
    assert_eq!(told_gaps(&told).len(), 1);
    let gaps = read_gaps(&path).unwrap();
    let lost: u64 = gaps.iter().map(|gap| gap.entries).sum();
    assert_eq!(u64::try_from(numbers.len()).unwrap() + lost, 700);
    assert!(lost >= 100 && gaps.iter().all(|gap| gap.cause == "disk_full"), "{gaps:?}");
    // Also the series of what was lost are known afterwards: ids must not be given twice.
    assert_eq!(session(&directory, BOUNDS, Vec::new()).0.series.len(), 720);
}

/// All bytes that are on the disk.
fn disk(directory: &TempDir) -> Vec<u8> {
    let files = ["journal.sqlite", "journal.sqlite-wal"];
    files
        .iter()
        .flat_map(|name| fs::read(directory.path().join(name)).unwrap_or_default())
        .collect()
}

#[test]
fn damage_that_shows_in_use_ends_the_run_and_the_next_start_sets_the_file_aside() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("journal.sqlite");
    let commands = (0..400).map(|n| known(append(n, n.into(), 3_000))).collect();
    let (first, _) = session(&directory, BOUNDS, commands);
    let mut bytes = fs::read(&path).unwrap();
    // Far from what a start reads: pages of entries in the middle.
    let middle = bytes.len() / 2;
    bytes[middle..middle + 65_536].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let fetch = Command::Fetch { boot: first.boot, first: 1, last: 400 };
    let (opened, told) = session(&directory, BOUNDS, vec![known(append(400, 400, 100)), fetch]);
    assert_eq!(opened.set_aside, None, "a start does not read a gigabyte");
    assert!(matches!(told.last(), Some(Told::Failed(Error::Journal { .. }))), "{:?}", told.last());
    let (opened, told) = session(&directory, BOUNDS, vec![append(0, 500, 100)]);
    assert_eq!(opened.set_aside, Some(directory.path().join("journal.sqlite.damaged-1")));
    assert_eq!(told_gaps(&told)[0].cause, "damaged");
    let (opened, told) = session(&directory, BOUNDS, vec![append(1, 600, 100)]);
    assert_eq!((opened.set_aside, told_gaps(&told).len()), (None, 0), "counted once");
}

#[test]
fn a_power_cut_while_a_damaged_journal_is_set_aside_still_leaves_the_gap() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("journal.sqlite");
    session(&directory, BOUNDS, vec![append(0, 0, 100)]);
    super::open::suspect(&path);
    fs::rename(&path, directory.path().join("journal.sqlite.damaged-1")).unwrap();
    let (_, told) = session(&directory, BOUNDS, vec![append(0, 5, 100)]);
    assert_eq!(told_gaps(&told)[0].cause, "damaged");
    // A sound one that was only suspected stays.
    super::open::suspect(&path);
    let (opened, told) = session(&directory, BOUNDS, vec![append(1, 6, 100)]);
    assert_eq!((opened.set_aside, opened.runs.len(), told_gaps(&told).len()), (None, 1, 0));
}

#[test]
fn what_collectors_have_is_written_with_the_next_look_at_the_bounds() {
    let directory = TempDir::new().unwrap();
    let (journal, mut tells, opened) =
        Journal::open(directory.path(), BOUNDS, &Machine::default()).unwrap();
    let boot = opened.boot;
    let (file, reader) = (directory.path().join("journal.sqlite"), Id::new("c-1").unwrap());
    let until_health = |tells: &mut mpsc::Receiver<Told>| {
        let disk = loop {
            if let Told::Health { disk, .. } = tells.blocking_recv().unwrap() {
                break disk;
            }
        };
        let (free, size) = disk.unwrap();
        assert!(0 < free && free <= size, "{free} of {size}");
    };
    for number in 0..20 {
        journal.tell(append(number, number.into(), 100)).unwrap();
        until_health(&mut tells);
        let seq = u64::from(number) + 1;
        journal
            .tell(Command::Acked { collector: reader.clone(), boot, ranges: range(1, seq) })
            .unwrap();
        journal.tell(Command::Done { boot, first: seq, last: seq }).unwrap();
    }
    journal.tell(Command::Trim { now: at(100) }).unwrap();
    until_health(&mut tells);
    // A kill: the file as it is now.
    let copy = TempDir::new().unwrap();
    for name in ["journal.sqlite", "journal.sqlite-wal"] {
        fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let (found, _) = session(&copy, BOUNDS, Vec::new());
    assert!(found.runs.is_empty(), "all were let go: {:?}", found.runs);
    drop(journal);
    assert!(file.exists());
}

#[test]
fn names_of_people_do_not_stay_on_the_disk_when_their_entry_goes() {
    let directory = TempDir::new().unwrap();
    let (journal, mut tells, opened) =
        Journal::open(directory.path(), BOUNDS, &Machine::default()).unwrap();
    let name = b"Erika Mustermann";
    for number in 0..10 {
        let mut bytes = vec![0x5a; 3_000];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[0x5a; 9_000]);
        let entry = Append {
            series: Vec::new(),
            bytes: bytes.into(),
            readings: 0,
            time: at(number),
            personal: true,
        };
        journal.tell(Command::Append(entry)).unwrap();
    }
    journal.tell(Command::Done { boot: opened.boot, first: 1, last: 10 }).unwrap();
    journal.tell(Command::Stop).unwrap();
    while tells.blocking_recv().is_some() {}
    drop(journal);
    let found = |bytes: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    assert!(!found(&disk(&directory)));
}

#[test]
fn a_journal_that_was_large_gives_its_room_back() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("journal.sqlite");
    let commands = (0..400).map(|n| append(n, n.into(), 50_000)).collect();
    let (opened, _) = session(&directory, BOUNDS, commands);
    let before = fs::metadata(&path).unwrap().len();
    let done = Command::Done { boot: opened.boot, first: 1, last: 400 };
    session(&directory, BOUNDS, vec![done, Command::Trim { now: at(1_000) }]);
    let after = fs::metadata(&path).unwrap().len();
    assert!(before > 18_000_000 && after < 1_000_000, "{before} {after}");
    assert_eq!(session(&directory, BOUNDS, Vec::new()).0.series.len(), 400);
}

#[test]
fn a_disk_that_hangs_is_not_waited_for() {
    let (commands, receiver) = std::sync::mpsc::sync_channel(QUEUE);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let hanging = std::thread::spawn(move || {
        let _ = released.recv();
        drop(receiver);
    });
    let journal = Journal { commands, thread: Some(hanging) };
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(journal);
        let _ = ended.send(());
    });
    assert_eq!(end.recv_timeout(GRACE * 10), Ok(()));
    drop(release);
}

/// The machine's start `start`, when it had run for so many milliseconds at uptime zero.
fn machine(start: &str, uptime: i64) -> Machine {
    Machine { start: Some(start.to_owned()), uptime }
}

/// An entry of real readings, closed at `time`, with one reading and one event just before.
fn read(time: i64) -> Command {
    let reading =
        hallwatch_model::Reading { series: SeriesId(0), time: at(time - 3), value: Ok(1.0) };
    let event = hallwatch_model::Event {
        time: at(time - 2),
        device: "door".into(),
        door: "hall".into(),
        person: "04a1".into(),
        result: "granted".into(),
    };
    let gap = Gap {
        first: at(time - 9),
        last: at(time - 1),
        cause: "device_silent".into(),
        ..Gap::default()
    };
    let since = Gap { last: at(time), cause: "damaged".into(), ..Gap::default() };
    let readings = hallwatch_model::Readings {
        dictionary: 1,
        readings: vec![reading],
        events: vec![event],
        gaps: vec![gap, since],
    };
    let bytes = hallwatch_model::wire::encode_readings(&readings).into();
    Command::Append(Append {
        series: Vec::new(),
        bytes,
        readings: 1,
        time: at(time),
        personal: true,
    })
}

/// Times of an entry: closed, reading, event, gaps.
fn times(entry: &Entry) -> Vec<i64> {
    let found = hallwatch_model::wire::decode_readings(&entry.bytes).unwrap();
    let gaps = found.gaps.iter().flat_map(|gap| [gap.first, gap.last]);
    let read = found.readings.iter().map(|reading| reading.time);
    let all = [entry.time].into_iter().chain(read).chain(found.events.iter().map(|e| e.time));
    all.chain(gaps).map(Timestamp::as_millis).collect()
}

const NOW: i64 = 1_795_276_800_000;
const HOURS: i64 = 3 * 3_600_000;

#[test]
fn what_was_read_by_a_wrong_clock_gets_the_right_times_once_they_are_known() {
    let directory = TempDir::new().unwrap();
    let keep = JournalBounds { keep: Duration::from_secs(3_600), ..BOUNDS };
    // A run that ends before anybody has told it the time, 10 s after the machine's start.
    let wrong = NOW - HOURS;
    let unconfirmed = |base| Command::Unconfirmed { base: at(base) };
    let (first, _) = session_of(
        &directory,
        &machine("a", 10_000),
        keep,
        vec![unconfirmed(wrong + 10_000), read(wrong + 11_000), read(wrong + 12_000)],
    );
    assert_eq!(first.known, None);
    // The next one is told, after it journalled something, too.
    let boot = first.boot;
    let fetch = |boot, last| Command::Fetch { boot, first: 1, last };
    let settle = Command::Settle { base: at(NOW + 20_000), now: at(NOW + 22_000) };
    let (second, told) = session_of(
        &directory,
        &machine("a", 20_000),
        keep,
        vec![
            unconfirmed(wrong + 20_000),
            read(wrong + 21_000),
            settle,
            read(NOW + 22_000),
            fetch(boot, 2),
        ],
    );
    let right = |time: i64| vec![time, time - 3, time - 2, time - 9, time - 1, 0, time];
    let found: Vec<_> = fetched(&told).iter().map(times).collect();
    assert_eq!(found, [right(NOW + 11_000), right(NOW + 12_000)]);
    let corrected: Vec<_> = told_gaps(&told)
        .into_iter()
        .filter(|gap| gap.cause == "clock_corrected")
        .map(|gap| (gap.first.as_millis() - NOW, gap.last.as_millis() - NOW))
        .collect();
    assert_eq!(corrected, [(11_000, 21_000)], "of both runs, which are near");

    // It stays so, whoever asks and however often; what is done with goes by its right age.
    let known = at(NOW + 30_000);
    let (third, told) = session_of(
        &directory,
        &machine("a", 30_000),
        keep,
        vec![fetch(second.boot, 2), Command::Done { boot, first: 1, last: 2 }, fetch(boot, 2)],
    );
    assert_eq!(third.known, Some(known), "the machine still runs");
    let found: Vec<_> = fetched(&told).iter().map(times).collect();
    let all = [21_000, 22_000, 11_000, 12_000].map(|time| right(NOW + time));
    assert_eq!(found, all);
    let trim = |time| Command::Trim { now: at(time) };
    session_of(&directory, &machine("b", 0), keep, vec![trim(NOW + 12_000 + 3_600_000 - 1)]);
    let (_, told) = session_of(&directory, &machine("b", 5), keep, vec![fetch(boot, 2)]);
    let found: Vec<_> = fetched(&told).iter().map(times).collect();
    assert_eq!(found, [right(NOW + 12_000)]);
    let (other, _) = session_of(&directory, &machine("b", 9), keep, Vec::new());
    assert_eq!(other.known, None, "another start has another uptime");
}

#[test]
fn a_difference_within_the_tolerance_of_clocks_moves_nothing() {
    let directory = TempDir::new().unwrap();
    let commands = vec![
        Command::Unconfirmed { base: at(NOW - 4_000) },
        read(NOW),
        Command::Settle { base: at(NOW), now: at(NOW + 1) },
    ];
    let (first, told) = session_of(&directory, &machine("a", 0), BOUNDS, commands);
    assert!(told_gaps(&told).iter().all(|gap| !gap.cause.starts_with("clock")));
    let fetch = Command::Fetch { boot: first.boot, first: 1, last: 1 };
    let (_, told) = session_of(&directory, &machine("a", 0), BOUNDS, vec![fetch]);
    assert_eq!(fetched(&told)[0].time, at(NOW));
}

#[test]
fn of_an_earlier_start_of_the_machine_is_said_between_which_times_it_was() {
    let directory = TempDir::new().unwrap();
    // All is well up to now, and then the power is cut.
    session_of(&directory, &machine("a", 0), BOUNDS, vec![Command::Trim { now: at(NOW) }]);
    // Twice it starts with the time of some minutes before the cut, and nobody is there to ask.
    let start = |name, by: i64| {
        let base = NOW - 600_000 + by;
        let commands =
            vec![Command::Unconfirmed { base: at(base) }, read(base + 1_000), read(base + 9_000)];
        session_of(&directory, &machine(name, 0), BOUNDS, commands).0.boot
    };
    let boots = [start("b", 0), start("c", 0)];
    // An hour after the cut the next one is told.
    let truth = NOW + 3_600_000;
    let fetches = boots.map(|boot| Command::Fetch { boot, first: 1, last: 2 });
    let settle = Command::Settle { base: at(truth), now: at(truth + 1) };
    let (_, told) = session_of(
        &directory,
        &machine("d", 0),
        BOUNDS,
        [settle].into_iter().chain(fetches).collect(),
    );
    let found: Vec<_> = fetched(&told).iter().map(|entry| entry.time.as_millis() - NOW).collect();
    // In order, after what was before and before what came after, with the distances they had.
    assert_eq!(found, [0, 8_000, 8_000, 16_000]);
    let spans: Vec<_> = told_gaps(&told)
        .into_iter()
        .filter(|gap| gap.cause == "clock_uncertain")
        .map(|gap| (gap.first.as_millis() - NOW, gap.last.as_millis() - NOW))
        .collect();
    assert_eq!(spans, [(0, 3_600_000)], "both, as one");
    // A clock that is ahead: they were before this start.
    let base = truth + 7_200_000;
    let commands = vec![Command::Unconfirmed { base: at(base) }, read(base + 5_000)];
    let boot = session_of(&directory, &machine("e", 0), BOUNDS, commands).0.boot;
    let settle = Command::Settle { base: at(truth + 60_000), now: at(truth + 60_001) };
    let fetch = Command::Fetch { boot, first: 1, last: 1 };
    let (_, told) = session_of(&directory, &machine("f", 0), BOUNDS, vec![settle, fetch]);
    assert_eq!(fetched(&told)[0].time, at(truth + 60_000));
}
