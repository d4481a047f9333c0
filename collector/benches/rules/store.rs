//! Hallwatch's store with the engine behind it, in a process of its own: batches of ten agents are
//! committed, the thread with the rules reads the log and pushes it, as in the collector.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hallwatch_collector::clock;
use hallwatch_collector::rules::push::Timing;
use hallwatch_collector::rules::{self, AlertState, Feed, PushEngine};
use hallwatch_collector::store::{Incoming, Options, Reader, Store};
use hallwatch_model::{
    AgentPath, Batch, Describe, Id, Labels, Reading, Readings, SeriesId, Timestamp,
};

use super::facility::{Bounds, SITES, labels, probe, rule_file, site, value};
use super::process::{Measured, cpu_seconds, own_cpu};

/// Says to the child what it has to do.
const CHILD: &str = "HALLWATCH_BENCH_RULES";
/// Until the windows are full, and what holds them has grown for the last time.
const WARM: u32 = 72;
/// So many seconds, after those whose CPU time counts, ten alerts fire or end each: what these cost
/// is a figure of its own, and of the peers none fires while their CPU time is taken.
const RAISED: u32 = 20;

/// A process with the store and so many rules.
pub(crate) fn hallwatch(series: u32, rules: u32, seconds: u32) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(CHILD, format!("{series} {rules} {seconds} {}", dir.path().display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut measured = Measured::default();
    // The child says when the time starts that counts, and when it ends.
    assert_eq!(output.next().as_deref(), Some("begins"));
    let (from, began) = (cpu_seconds(child.id()), Instant::now());
    assert_eq!(output.next().as_deref(), Some("ends"));
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    measured.cpu = (cpu_seconds(child.id()) - from) / minutes;
    let numbers: Vec<f64> = output.map(|line| line.parse().unwrap()).collect();
    assert!(child.wait().unwrap().success());
    let [of_rules, raised, kept_up, latencies @ ..] = &numbers[..] else { panic!("{numbers:?}") };
    measured.cpu_of_rules = Some(of_rules / minutes);
    if rules > 0 {
        let spent = raised / f64::from(RAISED) - of_rules / f64::from(seconds);
        let micros = spent * 1e6 / f64::from(SITES);
        println!("  an alert that fires or ends: {micros:.0} us of the thread with the rules");
    }
    measured.kept_up = *kept_up;
    for latency in latencies.chunks_exact(2) {
        measured.latencies.push(Duration::from_secs_f64(latency[0]));
        measured.commits.push(Duration::from_secs_f64(latency[1]));
    }
    measured
}

/// In the child.
pub(crate) fn serve_if_child() -> bool {
    let Ok(task) = std::env::var(CHILD) else { return false };
    let words: Vec<&str> = task.splitn(4, ' ').collect();
    let [series, rules, seconds, folder] = words[..] else { panic!("{task}") };
    let number = |word: &str| word.parse::<u32>().unwrap();
    serve(number(series), number(rules), number(seconds), Path::new(folder));
    true
}

fn agent(number: u32) -> AgentPath {
    let id = |text: &str| Id::new(text).unwrap();
    AgentPath { tenant: id("acme"), site: id(&site(number)), agent: id("gw-1") }
}

/// What the thread with the rules is told.
enum Told {
    Stored(Option<Asked>, Vec<(u32, Timestamp)>),
    /// A part begins whose CPU time counts.
    Part,
}

/// A sample that raises or ends the alert: when it came, and how long it took to commit it.
struct Asked {
    at: Instant,
    commit: Duration,
}

fn serve(series: u32, rules: u32, seconds: u32, folder: &Path) {
    let mut store = Store::open(folder, &Options::default()).unwrap();
    let each = series.div_ceil(SITES);
    for number in 0..SITES {
        let mut own: Vec<(SeriesId, Labels)> = (0..each)
            .map(|at| (SeriesId(at), labels((number * each + at).min(series - 1), series)))
            .collect();
        own.push((SeriesId(each), probe()));
        for (part, series) in own.chunks(2_000).enumerate() {
            let part = u32::try_from(part).unwrap();
            let describe =
                Describe { dictionary: 1, part, series: series.to_vec(), ..Describe::default() };
            store.describe(&agent(number), &describe).unwrap();
        }
    }
    let (tell, told) = mpsc::channel();
    let reader = store.reader();
    // As in the collector: what the thread with the rules has not read yet stays in memory.
    if rules > 0 {
        reader.keep_log(0);
    }
    let thread = std::thread::Builder::new().name("rules".to_owned());
    let thread =
        thread.spawn(move || (rules > 0).then(|| evaluate(rules, &reader, &told))).unwrap();
    let mut sequence = vec![0; usize::try_from(SITES).unwrap()];
    let mut commit = |number: u32, readings: Vec<Reading>, now: Timestamp, asked: bool| {
        let seq = &mut sequence[usize::try_from(number).unwrap()];
        *seq += 1;
        let readings = Readings { dictionary: 1, readings, ..Readings::default() };
        let (boot, seq, oldest, watermark) = (1, *seq, 1, now);
        let batch = Batch { boot, seq, oldest, watermark, readings, ..Batch::default() };
        let at = Instant::now();
        store.commit(&[Incoming { agent: agent(number), batch, received: now }]).unwrap();
        let asked = asked.then(|| Asked { at, commit: at.elapsed() });
        // Without rules nobody listens.
        let _ = tell.send(Told::Stored(asked, vec![(number, now)]));
    };
    let (began, mut late, whole) = (Instant::now(), 0_u32, WARM + seconds + RAISED);
    for second in 0..whole {
        if second == WARM {
            println!("begins");
            let _ = tell.send(Told::Part);
        } else if second == WARM + seconds {
            println!("ends");
            let _ = tell.send(Told::Part);
        }
        for number in 0..SITES {
            let due = Duration::from_secs(second.into()) + Duration::from_millis(100) * number;
            match due.checked_sub(began.elapsed()) {
                Some(early) => std::thread::sleep(early),
                // Who falls back further than a second does not keep up.
                None if began.elapsed() - due > Duration::from_secs(1) => late += 1,
                None => {}
            }
            let now = clock::now();
            let reading = |at: u32| Reading {
                series: SeriesId(at),
                time: now,
                value: Ok(value(number * each + at, second)),
            };
            commit(number, (0..each).map(reading).collect(), now, false);
            if second >= WARM + seconds {
                std::thread::sleep(Duration::from_millis(20));
                let (now, series) = (clock::now(), SeriesId(each));
                let value = Ok(f64::from(u8::from(number % 2 == 0)));
                let reading = Reading { series, time: now, value };
                commit(0, vec![reading], now, true);
            }
        }
    }
    drop(tell);
    let (cpu, latencies) = thread.join().unwrap().unwrap_or_default();
    println!("{}\n{}", cpu[0].as_secs_f64(), cpu[1].as_secs_f64());
    println!("{}", 1.0 - f64::from(late) / f64::from(whole * SITES));
    for (whole, commit) in latencies {
        println!("{}\n{}", whole.as_secs_f64(), commit.as_secs_f64());
    }
}

/// The thread with the rules: its CPU time while nothing fires and while alerts do, and how long it
/// was from before a sample was committed until its alert fired or ended, and until it was committed.
fn evaluate(
    rules: u32,
    reader: &Reader,
    told: &mpsc::Receiver<Told>,
) -> ([Duration; 2], Vec<(Duration, Duration)>) {
    let set = rules::load(&[("bench.yaml", &rule_file(rules, 0, Bounds::Far))]).unwrap();
    // The probe changes all the time on purpose.
    let options = rules::Options { flapping: None, ..rules::Options::default() };
    let mut engine = PushEngine::new(set, Vec::new(), options, Timing::default());
    let mut feed = Feed::default();
    let (mut position, mut latencies, mut began) = (0, Vec::new(), Vec::new());
    for told in told {
        let (asked, watermarks) = match told {
            Told::Part => {
                began.push(own_cpu());
                continue;
            }
            Told::Stored(asked, watermarks) => (asked, watermarks),
        };
        let now = clock::now();
        for (number, upto) in watermarks {
            engine.watermark("acme", &site(number), "gw-1", upto);
        }
        let mut changed = false;
        while let Ok(entries) = reader.entries(position, 256)
            && let Some(last) = entries.last()
        {
            position = last.position;
            reader.keep_log(position);
            for entry in &entries {
                let points = entry.points.iter();
                let points =
                    points.map(|one| (one.series, Timestamp::from_millis(one.time), one.value));
                let pushed = feed.resolve(&mut engine, points, |series| reader.labels(series));
                let evaluation = engine.take(pushed, false, now, reader);
                let ends = [AlertState::Firing, AlertState::Resolved];
                changed |= evaluation.transitions.iter().any(|change| ends.contains(&change.to));
            }
        }
        if let Some(asked) = asked
            && changed
        {
            latencies.push((asked.at.elapsed(), asked.commit));
        }
    }
    let ([first, second], ended) = (began.try_into().unwrap(), own_cpu());
    ([second - first, ended - second], latencies)
}
