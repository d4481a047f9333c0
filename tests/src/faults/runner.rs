//! Does what a plan says, waits until all has healed, and has the oracle judge.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::oracle::{Collector, Evidence, Findings, Gap, Violation, judge};
use super::plan::{Fault, Plan, Who};
use super::rig::{COLLECTORS, Rig};
use super::witness;
use crate::journal::{Journal, Readings, stored};
use crate::pager::now;
use crate::prometheus::try_get;

/// A reading of after the last fault is everywhere within this.
pub const FRESH: &str = "fresh readings within a minute";
/// The backlog is delivered in the end.
pub const DRAINED: &str = "the backlog is delivered";
/// Nothing ends by itself, unless its disk is the reason.
pub const RUNS: &str = "no process ends by itself";

const MINUTE: Duration = Duration::from_secs(60);
/// For the whole backlog.
const DRAIN: Duration = Duration::from_secs(240);
/// How often processes are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Gap rows are asked for in pieces of a minute: an answer has a thousand at most.
const PIECE: i64 = 60_000;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was compared, and what is wrong.
    pub findings: Findings,
    /// How long a fresh reading took after the last fault, by collector.
    pub fresh: Vec<Duration>,
    /// How long until the backlog was delivered, by collector.
    pub drained: Vec<Duration>,
    /// Readings in each store.
    pub stored: Vec<usize>,
    /// Answers of the witnesses.
    pub served: usize,
    /// Rows of the ledgers that stand for something lost.
    pub gaps: Vec<usize>,
}

/// Runs a plan in the present namespaces. `say` is told what happens, with the time since the
/// beginning.
pub async fn run(directory: &Path, plan: &Plan, say: &mut dyn FnMut(Duration, &str)) -> Outcome {
    let mut rig = Rig::start(directory, plan.seed, plan.keeps).await;
    let from = now().as_millis();
    let began = present();
    let mut events: Vec<(Duration, bool, Fault)> = Vec::new();
    for step in &plan.steps {
        events.push((step.at, true, step.fault));
        events.push((step.end(), false, step.fault));
    }
    events.sort_by_key(|(at, begins, _)| (*at, *begins));
    for (at, begins, fault) in events {
        while began.elapsed() < at {
            rig.supervise();
            sleep(LOOK.min(at.saturating_sub(began.elapsed()))).await;
            say(began.elapsed(), "");
        }
        if begins {
            say(began.elapsed(), &format!("{fault}"));
            rig.begin(fault);
        } else {
            rig.end(fault);
            say(began.elapsed(), &format!("end of {fault}"));
        }
    }
    say(began.elapsed(), "all faults have ended");
    settle(rig, plan, from, &mut |text| say(began.elapsed(), text)).await
}

#[expect(clippy::disallowed_methods, reason = "the runner's own clock")]
fn present() -> Instant {
    Instant::now()
}

fn violation(rule: &'static str, collector: usize, found: String) -> Violation {
    Violation { rule, collector: format!("c-{}", collector + 1), found }
}

async fn settle(mut rig: Rig, plan: &Plan, from: i64, say: &mut dyn FnMut(&str)) -> Outcome {
    let mut wrong = Vec::new();
    let (healed, since) = (present(), now().as_seconds());
    let (mut fresh, mut drained) = (Vec::new(), Vec::new());
    for collector in 0..COLLECTORS {
        let expr = format!("agent_watermark_seconds > {since}");
        if !rig.reached(collector, &expr, DRAIN).await {
            wrong.push(violation(FRESH, collector, format!("not within {DRAIN:?}")));
        } else if healed.elapsed() > MINUTE {
            wrong.push(violation(FRESH, collector, format!("{:.0?}", healed.elapsed())));
        }
        fresh.push(healed.elapsed());
    }
    say("fresh readings arrive");
    let mut drain = async |rig: &mut Rig, since: f64, times: &mut Vec<Duration>| {
        for collector in 0..COLLECTORS {
            let expr = format!(
                "agent_journal_backlog < 5 and timestamp(agent_journal_backlog) > {since} + 11"
            );
            if !rig.reached(collector, &expr, DRAIN).await {
                wrong.push(violation(DRAINED, collector, format!("not within {DRAIN:?}")));
            }
            times.push(healed.elapsed());
        }
    };
    drain(&mut rig, since, &mut drained).await;
    say("the backlog is delivered");
    // What is journalled from here on need not have arrived: the agent is asked how far it is.
    rig.finish(Who::Agent).await;
    let to = now().as_millis() - 2_000;
    let last = Journal::open(&rig.journal()).newest();
    rig.resume(Who::Agent);
    let since = now().as_seconds();
    drain(&mut rig, since, &mut Vec::new()).await;
    let gaps = closed(&mut rig, from).await;
    rig.finish(Who::Agent).await;
    let mut collectors = Vec::new();
    for (number, gaps) in gaps.into_iter().enumerate() {
        if !rig.finish(Who::Collector(number)).await {
            rig.ended.push(format!("c-{} did not end well", number + 1));
        }
        let name = format!("c-{}", number + 1);
        let path = rig.store(number);
        let stored = tokio::task::spawn_blocking(move || stored(&path)).await.expect("the store");
        collectors.push(Collector { name, stored, gaps });
    }
    say("reading what is there");
    let journal = Journal::open(&rig.journal());
    let owed = journal.owed_before(to);
    if owed > 0 {
        let found = format!("{owed} entries are still owed");
        wrong.push(Violation { rule: DRAINED, collector: "agent".into(), found });
    }
    let journalled = match plan.keeps {
        true => journal.readings(last, "acme", "fra-1"),
        false => Readings::new(),
    };
    let evidence = Evidence {
        served: witness::read(&rig.served()).expect("the witnesses' record"),
        journalled,
        keeps: plan.keeps,
        undurable: rig.undurable.clone(),
        frozen: rig.frozen.clone(),
        skewed: rig.skewed(),
        intervals: rig.intervals(),
        span: (from, to),
        collectors,
    };
    let mut findings = judge(&evidence);
    for name in ["agent", "c-1", "c-2"] {
        if rig.output(name).contains("panicked at") {
            rig.ended.push(format!("{name} panicked"));
        }
    }
    let ended = rig.ended.drain(..);
    wrong.extend(ended.map(|found| Violation { rule: RUNS, collector: String::new(), found }));
    wrong.append(&mut findings.violations);
    findings.violations = wrong;
    let count = |readings: &Readings| readings.values().map(std::collections::BTreeMap::len).sum();
    let lost = |gaps: &[Gap]| gaps.iter().filter(|gap| gap.state == "lost").count();
    Outcome {
        findings,
        fresh,
        drained,
        stored: evidence.collectors.iter().map(|one| count(&one.stored)).collect(),
        served: evidence.served.len(),
        gaps: evidence.collectors.iter().map(|one| lost(&one.gaps)).collect(),
    }
}

/// The ledgers, when no gap is open in them any more or that was waited for in vain.
async fn closed(rig: &mut Rig, from: i64) -> Vec<Vec<Gap>> {
    let mut ledgers = Vec::new();
    for collector in 0..COLLECTORS {
        let end = present() + MINUTE;
        let gaps = loop {
            rig.supervise();
            let gaps = ledger(collector, from).await;
            let open = |gap: &Gap| gap.state == "open";
            if let Some(gaps) = gaps.filter(|gaps| present() > end || !gaps.iter().any(open)) {
                break gaps;
            }
            assert!(present() < end + MINUTE, "c-{} has no ledger", collector + 1);
            sleep(Duration::from_millis(500)).await;
        };
        ledgers.push(gaps);
    }
    ledgers
}

async fn ledger(collector: usize, from: i64) -> Option<Vec<Gap>> {
    let mut gaps: Vec<Gap> = Vec::new();
    let mut at = from - 30 * PIECE;
    while at < now().as_millis() {
        let seconds = |millis: i64| format!("{}.{:03}", millis / 1_000, millis % 1_000);
        let (start, end) = (seconds(at), seconds(at + PIECE));
        let path = format!("/api/v1/gaps?start={start}&end={end}");
        let answer = try_get(&Rig::api(collector), &path, &[]).await.ok()?;
        assert!(answer["warnings"].is_null(), "more gaps than an answer has: {answer}");
        for row in answer["data"].as_array()? {
            let text = |name: &str| row[name].as_str().map(str::to_owned);
            let gap = Gap {
                device: text("device")?,
                cause: text("cause")?,
                state: text("state")?,
                start: row["start"].as_i64()?,
                end: row["end"].as_i64(),
            };
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
        at += PIECE;
    }
    Some(gaps)
}
