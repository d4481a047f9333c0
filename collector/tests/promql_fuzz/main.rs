//! Random expressions over random series, asked of the collector's HTTP API and of Debian's
//! Prometheus: the same status, the same labels, the same values.
//!
//! Without arguments the short form, for every run of the tests. Any number of cases, replayable:
//!
//! ```text
//! cargo test -p hallwatch-collector --test promql_fuzz -- --seed 1 --cases 10000
//! ```
//!
//! A seed makes the series and, with its number, each case; `--case N` runs a single one. What
//! differs is printed with both answers, after parts of the expression were left out as long as it
//! still differed.
//!
//! Reading order: `data` (the series), `expression` and `grammar` (the questions), `case`,
//! `compare` (when answers are the same), `differences` (what may differ, and why).

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it found")]

mod case;
mod compare;
mod data;
mod dice;
mod differences;
mod expression;
mod grammar;
#[path = "../prometheus/mod.rs"]
mod prometheus;

use std::process::ExitCode;

use case::Case;
use prometheus::Pair;

/// The short form: these seeds, so many cases of each.
const SEEDS: [u64; 2] = [1, 2];
const CASES: u64 = 400;
/// Differences that are shown; more are only counted.
const SHOWN: usize = 25;

struct Arguments {
    seeds: Vec<u64>,
    cases: std::ops::Range<u64>,
}

/// `None`: other tests are meant.
fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments { seeds: SEEDS.to_vec(), cases: 0..CASES };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> u64 {
            let value = words.next().unwrap_or_else(|| panic!("{word} needs a number"));
            value.parse().unwrap_or_else(|_| panic!("{word} needs a number, not {value}"))
        };
        match word.as_str() {
            "--seed" => arguments.seeds = vec![number()],
            "--cases" => arguments.cases = 0..number(),
            "--case" => {
                let case = number();
                arguments.cases = case..case + 1;
            }
            "--list" => return None,
            // The harness of other tests has more options, which mean nothing here.
            _ if word.starts_with('-') => {}
            filter if "promql_fuzz".contains(filter) => {}
            _ => return None,
        }
    }
    Some(arguments)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else { return ExitCode::SUCCESS };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut different = 0;
    for seed in arguments.seeds {
        different += runtime.block_on(run(seed, arguments.cases.clone()));
    }
    if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Gives how many cases differ.
async fn run(seed: u64, cases: std::ops::Range<u64>) -> usize {
    let pair = Pair::start(&data::series(seed)).await;
    let (mut different, mut full, mut failed, mut allowed) = (0, 0, 0, 0);
    for number in cases.clone() {
        let case = Case::new(seed, number);
        let answers = case.ask(&pair).await;
        let result = &answers.theirs.body["data"]["result"];
        full += usize::from(result.as_array().is_some_and(|result| !result.is_empty()));
        failed += usize::from(answers.theirs.status != 200);
        if case.differ(&answers).is_none() {
            continue;
        }
        if differences::is_known(&case, &answers, &pair).await {
            allowed += 1;
            continue;
        }
        different += 1;
        if different > SHOWN {
            continue;
        }
        let (small, what, answers) = case.shrunk(&pair, 300).await;
        println!("--seed {seed} --case {number}: {what}\n{small}");
        println!("  hallwatch  {}", shown(&answers.ours.body));
        println!("  prometheus {}\n", shown(&answers.theirs.body));
    }
    let total = cases.end - cases.start;
    println!(
        "seed {seed}: {total} cases, {full} with series in the answer, {failed} with an error, \
         {allowed} with a known difference, {different} different"
    );
    // A fuzzer that asks for nothing finds nothing.
    let least = if total < 100 { 0 } else { total / 3 };
    assert!(full as u64 >= least, "too few cases have an answer");
    different
}

fn shown(body: &serde_json::Value) -> String {
    let text = body.to_string();
    if text.len() <= 1500 {
        return text;
    }
    format!("{}…", text.chars().take(1500).collect::<String>())
}
