//! A short form of the fault runner: a minute of faults that overlap, of two plans that are always
//! the same. The long form: `cargo run -p hallwatch-tests --bin faults -- --seed N --minutes 10`.

use std::process::Command;

use serde_json::Value as Json;

/// Runs the plan of a seed; its verdict, or a panic with what the runner said.
fn run(seed: u32) -> Json {
    let output = Command::new(env!("CARGO_BIN_EXE_faults"))
        .args(["--seed", &seed.to_string(), "--seconds", "60", "--json"])
        .output()
        .expect("the fault runner");
    let (said, verdict) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}\n{said}\n{verdict}", output.status);
    serde_json::from_str(&verdict).expect("a verdict")
}

fn number(verdict: &Json, name: &str) -> u64 {
    verdict[name].as_u64().unwrap_or_else(|| panic!("no {name} in {verdict}"))
}

// One test: two at a time would be one more fault, of the machine.
#[test]
fn nothing_is_lost_wrong_or_unexplained_after_a_minute_of_faults() {
    for (seed, keeps) in SEEDS {
        let verdict = run(seed);
        assert_eq!(verdict["holds"], true);
        assert_eq!(verdict["journalKeeps"], keeps, "seed {seed} is another plan");
        assert!(verdict["faults"].as_array().expect("faults").len() > 20);
        // An oracle that has nothing to look at is always content.
        assert!(number(&verdict, "served") > 50, "{verdict:#}");
        assert!(number(&verdict, "traced") > 500, "{verdict:#}");
        assert!(number(&verdict, "turns") > 100, "{verdict:#}");
        assert!(!keeps || number(&verdict, "journalled") > 1_000, "{verdict:#}");
        for collector in 0..2 {
            assert!(verdict["stored"][collector].as_u64() > Some(1_000), "{verdict:#}");
            assert!(verdict["gaps"][collector].as_u64() > Some(0), "{verdict:#}");
        }
    }
}

/// One plan under which the journal keeps nothing that is acknowledged, as in the field, and one
/// under which all of it can be compared.
const SEEDS: [(u32, bool); 2] = [(1, false), (2, true)];
