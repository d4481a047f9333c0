//! A whole site under a random mixture of faults, and whether anything was lost.
//!
//! `cargo build --workspace --bins && cargo run -p hallwatch-tests --bin faults -- --seed 1 --minutes 10`
//!
//! The plan follows from the seed alone: what fails once can be run again. Needs root, and what
//! `tests/run` installs. Exit status 0: everything holds; 1: something does not; any other: there is
//! no verdict.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use hallwatch_tests::faults::plan::Plan;
use hallwatch_tests::faults::{runner, verdict, witness};
use hallwatch_tests::peers::program;

/// Set in the process that is in its namespaces already.
const INSIDE: &str = "HALLWATCH_FAULTS_INSIDE";
/// Where a file system in memory is mounted for all that is written.
const DIRECTORY: &str = "/mnt";
/// Everything before the first fault and after the last, at most.
const AROUND: Duration = Duration::from_secs(20 * 60);
/// No verdict.
const NONE: u8 = 3;

#[derive(Debug, Parser)]
struct Arguments {
    /// Decides what happens when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long faults are caused.
    #[arg(long, default_value_t = 10.0, conflicts_with = "seconds")]
    minutes: f64,
    /// As --minutes, in seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// Print the verdict as JSON.
    #[arg(long)]
    json: bool,
    /// Print the plan and end.
    #[arg(long)]
    plan: bool,
    /// Copy the logs, the journal and the stores here when something does not hold.
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Serve the devices whose answers are on record in this file.
    #[arg(long, value_name = "FILE", hide = true)]
    witness: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(record) = &arguments.witness {
        return match witness::serve(record) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => none(&format!("cannot serve the witnesses: {error}")),
        };
    }
    let seconds = arguments.seconds.unwrap_or(arguments.minutes * 60.0);
    if !(20.0..=24.0 * 3_600.0).contains(&seconds) {
        return none("faults take from 20 seconds to a day");
    }
    let plan = Plan::new(arguments.seed, Duration::from_secs_f64(seconds));
    if arguments.plan {
        return print(&verdict::plan(&plan));
    }
    if std::env::var_os(INSIDE).is_none() { outside() } else { inside(&arguments, &plan) }
}

#[expect(clippy::print_stderr, reason = "this is what the command line is for")]
fn none(text: &str) -> ExitCode {
    eprintln!("error: {text}");
    ExitCode::from(NONE)
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn print(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

/// Runs this program again as the first process of namespaces of its own.
fn outside() -> ExitCode {
    let Ok(this) = std::env::current_exe() else { return none("this program has no path") };
    let mut command = Command::new(program("unshare", "util-linux"));
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(this).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    match command.status() {
        Ok(status) => match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code @ 0..=1) => ExitCode::from(code),
            _ => none(&format!("no verdict: {status} (namespaces and mounts need root)")),
        },
        Err(error) => none(&format!("unshare: {error}")),
    }
}

#[expect(clippy::print_stderr, reason = "what happens is told while it happens")]
fn inside(arguments: &Arguments, plan: &Plan) -> ExitCode {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs", DIRECTORY]).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return none("cannot mount a file system in memory: this needs root");
    }
    let directory = Path::new(DIRECTORY).join("faults");
    if let Err(error) = std::fs::create_dir(&directory) {
        return none(&format!("{}: {error}", directory.display()));
    }
    eprintln!("{}", verdict::plan(plan));
    let bar = indicatif::ProgressBar::new(plan.length.as_secs());
    let shown = std::io::stderr().is_terminal();
    let mut say = |at: Duration, text: &str| {
        if !text.is_empty() {
            let line = format!("{:>8.1} s  {text}", at.as_secs_f64());
            if shown { bar.println(line) } else { eprintln!("{line}") }
        }
        bar.set_position(at.as_secs().min(plan.length.as_secs()));
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return none(&format!("cannot start the runtime: {error}")),
    };
    let outcome = runtime.block_on(async {
        let limit = plan.length + AROUND;
        tokio::select! {
            outcome = runner::run(&directory, plan, &mut say) => Some(outcome),
            () = tokio::time::sleep(limit) => None,
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    bar.finish_and_clear();
    let Some(outcome) = outcome else { return none("interrupted, or not over in time") };
    let text = if arguments.json {
        format!("{:#}", verdict::json(plan, &outcome))
    } else {
        verdict::table(&outcome)
    };
    print(&text);
    if outcome.findings.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("again: --seed {} --seconds {}", plan.seed, plan.length.as_secs_f64());
    if let Some(evidence) = &arguments.evidence {
        let copied = Command::new("cp").arg("-r").arg(&directory).arg(evidence).status();
        if !copied.is_ok_and(|status| status.success()) {
            eprintln!("the evidence could not be copied to {}", evidence.display());
        }
    }
    ExitCode::from(1)
}
