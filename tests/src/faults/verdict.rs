//! What a run says in the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::oracle::{ANSWERED, CLOSED, IDENTITY, JOURNALLED, READ, SLOTS};
use super::plan::Plan;
use super::runner::{DRAINED, FRESH, Outcome, RUNS};

/// Everything that must hold.
const RULES: [&str; 9] =
    [JOURNALLED, READ, IDENTITY, ANSWERED, SLOTS, CLOSED, FRESH, DRAINED, RUNS];
/// Violations of a rule that are shown.
const SHOWN: usize = 6;

/// The plan, a line for each fault.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let keeps = if plan.keeps { "keeps what is acknowledged" } else { "keeps nothing" };
    let mut text = format!(
        "seed {}, {} faults in {:.0?}, the journal {keeps}\n",
        plan.seed,
        plan.steps.len(),
        plan.length
    );
    for step in &plan.steps {
        let (at, lasts) = (step.at.as_secs_f64(), step.lasts.as_secs_f64());
        let _ = writeln!(text, "{at:>8.1} s  {:<36} for {lasts:.1} s", step.fault.to_string());
    }
    text
}

fn by_rule(outcome: &Outcome) -> BTreeMap<&'static str, Vec<String>> {
    let mut rules: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for one in &outcome.findings.violations {
        rules.entry(one.rule).or_default().push(format!("{} {}", one.collector, one.found));
    }
    rules
}

/// The verdict as a table.
#[must_use]
pub fn table(outcome: &Outcome) -> String {
    let findings = &outcome.findings;
    let mut text = String::new();
    let numbers =
        |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let times = |times: &[std::time::Duration]| {
        times
            .iter()
            .map(|time| format!("{:.1} s", time.as_secs_f64()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for (name, value) in [
        ("answers of the witnesses", outcome.served.to_string()),
        ("readings stored, by collector", numbers(&outcome.stored)),
        ("journalled readings looked up", findings.journalled.to_string()),
        ("stored values traced to their answer", findings.traced.to_string()),
        ("answers that only a gap row tells of", findings.in_gaps.to_string()),
        ("turns of devices looked at", findings.turns.to_string()),
        ("gap rows of something lost, by collector", numbers(&outcome.gaps)),
        ("fresh readings after the last fault", times(&outcome.fresh)),
        ("backlog delivered after the last fault", times(&outcome.drained)),
    ] {
        let _ = writeln!(text, "{name:<44}{value}");
    }
    let wrong = by_rule(outcome);
    let _ = writeln!(text);
    for rule in RULES {
        let found = wrong.get(rule).map(Vec::as_slice).unwrap_or_default();
        let verdict =
            if found.is_empty() { "holds".into() } else { format!("BROKEN {}", found.len()) };
        let _ = writeln!(text, "{rule:<50}{verdict}");
        for one in found.iter().take(SHOWN) {
            let _ = writeln!(text, "    {one}");
        }
        if found.len() > SHOWN {
            let _ = writeln!(text, "    and {} more", found.len() - SHOWN);
        }
    }
    text
}

/// The verdict for a program.
#[must_use]
pub fn json(plan: &Plan, outcome: &Outcome) -> Json {
    let seconds = |times: &[std::time::Duration]| -> Vec<f64> {
        times.iter().map(std::time::Duration::as_secs_f64).collect()
    };
    let steps = plan.steps.iter().map(|step| {
        json!({
            "at": step.at.as_secs_f64(),
            "lasts": step.lasts.as_secs_f64(),
            "fault": step.fault.to_string(),
        })
    });
    json!({
        "seed": plan.seed,
        "seconds": plan.length.as_secs_f64(),
        "journalKeeps": plan.keeps,
        "faults": steps.collect::<Vec<_>>(),
        "served": outcome.served,
        "stored": outcome.stored,
        "journalled": outcome.findings.journalled,
        "traced": outcome.findings.traced,
        "inGaps": outcome.findings.in_gaps,
        "turns": outcome.findings.turns,
        "gaps": outcome.gaps,
        "freshSeconds": seconds(&outcome.fresh),
        "drainedSeconds": seconds(&outcome.drained),
        "violations": by_rule(outcome),
        "holds": outcome.findings.violations.is_empty(),
    })
}
