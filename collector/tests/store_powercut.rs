//! What was acknowledged is there after the power is cut: a file system that forgets everything
//! that was not synced. Needs root, for it mounts one; without, it says so and checks nothing but
//! that. `HALLWATCH_POWER_CUTS=100` for more rounds, which is what the figures of the README are of.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![expect(clippy::print_stdout, reason = "the process that is cut off says how far it is")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hallwatch_collector::store::{Options, Store};
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::{Matchers, Select, Source as _};

const NAME: &str = "every_acknowledged_sample_survives_a_power_cut";
const FOLDER: &str = "HALLWATCH_TEST_POWERCUT";
const ROUNDS: &str = "HALLWATCH_POWER_CUTS";
const START: i64 = 1_795_276_800_000;
const SERIES: i64 = 20;
/// `FS_IOC_SHUTDOWN` without writing the journal: as if the power went.
const CUT: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

fn open(dir: &Path) -> Store {
    // A small log makes many chunks and many deletions.
    Store::open(dir, &Options { replay_bytes: 40_000, ..Options::default() }).unwrap()
}

fn value(number: i64, series: i64) -> f64 {
    ((number * 37 + series) % 5_000) as f64 / 10.0
}

fn write_until_cut(dir: &Path) {
    let mut store = open(dir);
    for number in 1.. {
        let time = Timestamp::from_millis(START + number * 60_000);
        let sample = |series: i64| {
            let device = series.to_string();
            let labels = Labels::metric("power_watts", [("device", device.as_str())]);
            (labels, Sample { time, value: Ok(value(number, series)) })
        };
        let samples: Vec<_> = (0..SERIES).map(sample).collect();
        if store.record(&samples, time).is_err() {
            return;
        }
        println!("\nacknowledged {number}");
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
}

struct Mounted<'a>(&'a str);

impl<'a> Mounted<'a> {
    fn new(image: &str, at: &'a str) -> Self {
        run("mount", &["-o", "loop", image, at]);
        Self(at)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

fn can_mount() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    let tools = ["/sbin/mkfs.ext4", "/usr/bin/python3", "/dev/loop-control"];
    id.stdout == b"0\n" && tools.iter().all(|tool| Path::new(tool).exists())
}

#[test]
fn every_acknowledged_sample_survives_a_power_cut() {
    if let Ok(dir) = std::env::var(FOLDER) {
        return write_until_cut(Path::new(&dir));
    }
    if !can_mount() {
        eprintln!("no power is cut here: that needs root, mkfs.ext4, python3 and loop devices");
        return;
    }
    let rounds: u64 = std::env::var(ROUNDS).ok().map_or(3, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (image, at) = (dir.path().join("disk"), dir.path().join("mounted"));
    std::fs::create_dir(&at).unwrap();
    let (image, at) = (image.to_str().unwrap(), at.to_str().unwrap());
    let (mut total, mut slowest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let _ = std::fs::remove_file(image);
        run("truncate", &["-s", "160M", image]);
        run("/sbin/mkfs.ext4", &["-q", "-F", image]);
        let mounted = Mounted::new(image, at);
        let folder = format!("{at}/data");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (said, lines) =
            (AtomicI64::new(0), BufReader::new(child.stdout.take().unwrap()).lines());
        let acknowledged = std::thread::scope(|scope| {
            scope.spawn(|| {
                for line in lines.map_while(Result::ok) {
                    let number = line.strip_prefix("acknowledged ").and_then(|n| n.parse().ok());
                    said.fetch_max(number.unwrap_or(0), Ordering::SeqCst);
                }
            });
            while said.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(200 + round.wrapping_mul(7_919) % 1_300));
            // What is said while the power goes may be lost: only what was said before counts.
            let before = said.load(Ordering::SeqCst);
            run("python3", &["-c", CUT, at]);
            child.kill().unwrap();
            child.wait().unwrap();
            before
        });
        drop(mounted);
        let _mounted = Mounted::new(image, at);
        let began = hallwatch_collector::clock::uptime();
        let store = open(Path::new(&folder));
        slowest = slowest.max(hallwatch_collector::clock::uptime().since(began));
        let matchers = Matchers::parse("power_watts").unwrap();
        let request = Select { matchers: &matchers, start: Timestamp::MIN, end: Timestamp::MAX };
        let found = store.reader().select(&request).unwrap();
        assert_eq!(found.len() as i64, SERIES);
        for series in found {
            let device: i64 = series.labels.get("device").unwrap().parse().unwrap();
            let count = series.times.len() as i64;
            assert!(count >= acknowledged, "round {round}: {count} of {acknowledged}");
            for (number, (time, found)) in (1..).zip(series.times.iter().zip(&series.values)) {
                assert_eq!((*time, *found), (START + number * 60_000, value(number, device)));
            }
        }
        assert!(store.reader().stats().damage.is_empty());
        total += acknowledged * SERIES;
        drop(store);
    }
    assert!(total > 0);
    println!("{rounds} power cuts, {total} acknowledged samples, 0 lost; opened in {slowest:.0?}");
}
