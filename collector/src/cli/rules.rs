//! `rules`: what can be known of rules before they wake anyone, and why they did.

mod explain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use hallwatch_collector::config::LoadError;
use hallwatch_collector::rules::export::prometheus;
use hallwatch_collector::rules::push::Timing;
use hallwatch_collector::rules::unittest;
use hallwatch_collector::rules::{Options, PushEngine, RuleSet, load};
use hallwatch_config::{Finding, Invalid};
use hallwatch_model::chain;
use serde_json::{Value, json};

use super::backtest::{Backtest, backtest};
use super::{print, print_error};
use explain::explain;

/// A rule file is wrong (`EX_CONFIG`).
const CONFIG: u8 = 78;
/// A file cannot be read (`EX_NOINPUT`).
const NO_INPUT: u8 = 66;
/// The collector does not answer, or says no (`EX_SOFTWARE`).
const SOFTWARE: u8 = 70;
/// The largest file that is read.
const MAX_BYTES: u64 = 16 << 20;

const CHECK: &str = "\
Mistakes are named with their place. Warnings are for what is probably not
meant: metrics and labels that nobody writes, units that do not match. Rules
that cannot be evaluated by each sample are named with the reason.

Exit codes: 0 in order, 1 warnings and --strict, 66 a file cannot be read,
78 mistakes.

  hallwatch-collector rules check --strict /etc/hallwatch/rules/*.yaml";

const TEST: &str = "\
The files are those of `promtool test rules`: they name rule files, series
and the alerts that are expected. Exit code 1 when any test fails.

  hallwatch-collector rules test /etc/hallwatch/rules/tests/*.yaml";

const EXPLAIN: &str = "\
Asks the collector, which must run, for the values of the expression and of
its parts, the timers and the inputs of every alert of this name.

  hallwatch-collector rules explain UpsOnBattery \\
      --config /etc/hallwatch/collector.toml";

const BACKTEST: &str = "\
Reads what the collector has, or its store when it does not run, and says of
each rule how often it would have fired, for how long, and what a longer
`for` or a wider `deadband` would change. Nobody is paged.

  hallwatch-collector rules backtest my.yaml --since 30d \\
      --config /etc/hallwatch/collector.toml";

const EXPORT: &str = "\
The rules go to the standard output; what Prometheus cannot do is said there
in comments, and on the standard error.

  hallwatch-collector rules export --prometheus my.yaml > prometheus.yaml";

/// What is to be known.
#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// Find mistakes in rule files
    #[command(after_help = CHECK)]
    Check {
        /// Rule files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Warnings count as mistakes: exit code 1.
        #[arg(long)]
        strict: bool,
        /// As JSON, mistakes too.
        #[arg(long)]
        json: bool,
    },
    /// Run unit tests of rules, in promtool's format
    #[command(after_help = TEST)]
    Test {
        /// Files of tests.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// As Prometheus behaves: missing data is good news.
        #[arg(long)]
        prometheus: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say why an alert is in its state, or why it does not fire
    #[command(after_help = EXPLAIN)]
    Explain {
        /// The alert's name.
        alert: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// The collector's configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say how often rules would have fired on the data of the past
    #[command(after_help = BACKTEST)]
    Backtest {
        #[command(flatten)]
        backtest: Backtest,
        /// The collector's configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Write rules for Prometheus, and say what is lost
    #[command(after_help = EXPORT)]
    Export {
        /// Rule files for Prometheus; to the standard output.
        #[arg(long, required = true)]
        prometheus: bool,
        /// Rule files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Why it came to nothing.
pub(super) enum Failed {
    Configuration(LoadError),
    Refused(String),
    Invalid(Invalid),
    /// Mistakes were written to the standard output.
    Told,
    Unread(String),
}

/// Rules and their tests look alike, and the commands are easily confused.
fn hint(command: &Rules) -> Option<String> {
    let has = |path: &Path, keys: [&str; 2]| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| keys.iter().any(|key| line.starts_with(key)))
    };
    let (files, keys, is, other) = match command {
        Rules::Check { files, .. } | Rules::Export { files, .. } => {
            (files, ["tests:", "rule_files:"], "has unit tests, no rules", "test")
        }
        Rules::Test { files, .. } => {
            (files, ["groups:", "groups :"], "has rules, no tests", "check")
        }
        _ => return None,
    };
    let file = files.iter().find(|file| has(file, keys))?.display();
    Some(format!("\n{file} {is}: hallwatch-collector rules {other} {file}"))
}

pub(crate) fn rules(command: &Rules) -> ExitCode {
    let done = match command {
        Rules::Check { files, strict, json } => check(files, *json).map(|sound| sound || !strict),
        Rules::Test { files, prometheus, json } => test(files, *prometheus, *json),
        Rules::Explain { alert, json, config } => explain(alert, *json, config).map(|()| true),
        Rules::Backtest { backtest: asked, config } => backtest(asked, config).map(|()| true),
        Rules::Export { files, .. } => export(files).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // It was told as JSON.
        Err(Failed::Told) => ExitCode::from(CONFIG),
        Err(Failed::Invalid(invalid) | Failed::Configuration(LoadError::Invalid(invalid))) => {
            let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
            print_error(&invalid.render(color));
            if let Some(hint) = hint(command) {
                print_error(&hint);
            }
            ExitCode::from(CONFIG)
        }
        Err(Failed::Configuration(error)) => {
            print_error(&format!("error: {}", chain(&error)));
            ExitCode::from(CONFIG)
        }
        Err(Failed::Refused(message)) => {
            print_error(&format!("error: {message}"));
            ExitCode::from(SOFTWARE)
        }
        Err(Failed::Unread(message)) => {
            print_error(&format!("error: {message}"));
            ExitCode::from(NO_INPUT)
        }
    }
}

/// Names and texts of files.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<(String, String)>, Failed> {
    let read = |path: &PathBuf| {
        let size = std::fs::metadata(path)?.len();
        if size > MAX_BYTES {
            return Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge));
        }
        std::fs::read_to_string(path)
    };
    let one = |path: &PathBuf| match read(path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(error) => Err(Failed::Unread(format!("cannot read {}: {error}", path.display()))),
    };
    files.iter().map(one).collect()
}

pub(super) fn borrowed(texts: &[(String, String)]) -> Vec<(&str, &str)> {
    texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

fn loaded(texts: &[(String, String)]) -> Result<RuleSet, Failed> {
    load(&borrowed(texts)).map_err(Failed::Invalid)
}

fn finding(found: &Finding) -> Value {
    let Finding { file, line, column, message, help, .. } = found;
    json!({"file": file, "line": line, "column": column, "message": message, "help": help})
}

fn check(files: &[PathBuf], as_json: bool) -> Result<bool, Failed> {
    let texts = read(files)?;
    let set = match loaded(&texts) {
        Err(Failed::Invalid(invalid)) if as_json => {
            let errors: Vec<Value> = invalid.problems().iter().map(finding).collect();
            print(&json!({"errors": errors}).to_string());
            return Err(Failed::Told);
        }
        loaded => loaded?,
    };
    let warnings = set.warnings.clone();
    let sound = warnings.is_empty();
    let count: usize = set.groups.iter().map(|group| group.rules.len()).sum();
    let engine = PushEngine::new(set, Vec::new(), Options::default(), Timing::default());
    let fallbacks = engine.fallbacks();
    if as_json {
        let slow =
            fallbacks.iter().map(|of| json!({"rule": *of.rule, "reason": of.obstacle.to_string()}));
        let told = json!({
            "errors": [],
            "warnings": warnings.iter().map(finding).collect::<Vec<_>>(),
            "rules": count,
            "atInterval": slow.collect::<Vec<_>>(),
        });
        print(&told.to_string());
        return Ok(sound);
    }
    for warning in &warnings {
        let text = texts.iter().find(|(name, _)| *name == warning.file);
        print(&pointed(warning, text.map_or("", |(_, text)| text)));
    }
    for fallback in &fallbacks {
        print(&format!(
            "{}: not evaluated by samples, but at the interval:\n  {}",
            fallback.rule, fallback.obstacle
        ));
    }
    let pushed = count.saturating_sub(fallbacks.len());
    print(&format!("{count} rules in order, {pushed} of them evaluated by samples"));
    Ok(sound)
}

/// A warning with the line that it is about.
fn pointed(finding: &Finding, text: &str) -> String {
    let Finding { file, line, column, span, message, help, .. } = finding;
    let mut out = format!("warning: {message}\n  --> {file}:{line}:{column}");
    if let Some(source) = text.lines().nth(line.saturating_sub(1)) {
        let width = span.len().clamp(1, source.len().saturating_sub(column - 1).max(1));
        let (indent, carets) = (" ".repeat(column.saturating_sub(1)), "^".repeat(width));
        out += &format!("\n   | {source}\n   | {indent}{carets}");
    }
    if let Some(help) = help {
        out += &format!("\n   = help: {help}");
    }
    out
}

fn test(files: &[PathBuf], prometheus: bool, as_json: bool) -> Result<bool, Failed> {
    let mut passed = true;
    let mut told = Vec::new();
    for ((name, text), path) in read(files)?.iter().zip(files) {
        let suite = unittest::load_suite(name, text).map_err(Failed::Invalid)?;
        let rules = read(&rule_files(path, &suite.rule_files)?)?;
        let failures =
            unittest::run(&suite, &borrowed(&rules), prometheus).map_err(Failed::Invalid)?;
        passed &= failures.is_empty();
        if as_json {
            let failed =
                failures.iter().map(|failure| json!({"test": failure.test, "text": failure.text}));
            let failed: Vec<Value> = failed.collect();
            told.push(json!({"file": name, "tests": suite.len(), "failures": failed}));
            continue;
        }
        if failures.is_empty() {
            print(&format!("{name}: {} tests passed", suite.len()));
            continue;
        }
        print(&format!("{name}: FAILED"));
        for failure in failures {
            print(&format!("  {}: {}", failure.test, failure.text.replace('\n', "\n  ")));
        }
    }
    if as_json {
        print(&json!({"passed": passed, "files": told}).to_string());
    }
    Ok(passed)
}

/// The rule files that a file of tests names: relative to it; the last part may have `*` in it.
fn rule_files(of: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, Failed> {
    let folder = of.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for pattern in patterns {
        let path = folder.join(pattern);
        let last = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((start, end)) = last.split_once('*') else {
            found.push(path);
            continue;
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let unread = |error| Failed::Unread(format!("cannot list {}: {error}", parent.display()));
        let mut names = Vec::new();
        for entry in std::fs::read_dir(parent).map_err(unread)? {
            let name = entry.map_err(unread)?.file_name().to_string_lossy().into_owned();
            if name.len() + 1 > last.len() && name.starts_with(start) && name.ends_with(end) {
                names.push(name);
            }
        }
        names.sort();
        found.extend(names.into_iter().map(|name| parent.join(name)));
    }
    Ok(found)
}

fn export(files: &[PathBuf]) -> Result<(), Failed> {
    let set = loaded(&read(files)?)?;
    let export = prometheus(&set, None);
    let lost = export.summary();
    print(match lost.is_empty() {
        true => "# For Prometheus, which does the same with it as Hallwatch.",
        false => "# For Prometheus. What it does otherwise than Hallwatch:",
    });
    for lost in &lost {
        print(&format!("# {}", lost.replace('\n', " ")));
        print_error(&format!("lost: {lost}"));
    }
    print(export.text.trim_end());
    Ok(())
}
