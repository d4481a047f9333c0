//! `rules`: what can be known of rules before they wake anyone, and why they did.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use hallwatch_collector::config::{self, LoadError};
use hallwatch_collector::rules::export::prometheus;
use hallwatch_collector::rules::push::Timing;
use hallwatch_collector::rules::unittest;
use hallwatch_collector::rules::{Options, PushEngine, RuleSet, load};
use hallwatch_config::{Finding, Invalid};
use serde_json::Value;

use super::backtest::{Backtest, backtest};
use super::client::{Client, escaped};
use super::{chain, print, print_error};

/// A rule file is wrong (`EX_CONFIG`).
const CONFIG: u8 = 78;
/// A file cannot be read (`EX_NOINPUT`).
const NO_INPUT: u8 = 66;
/// The collector does not answer, or says no (`EX_SOFTWARE`).
const SOFTWARE: u8 = 70;
/// The largest file that is read.
const MAX_BYTES: u64 = 16 << 20;

/// What is to be known.
#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// Tell what is wrong with rule files, or probably not meant: unknown metrics and labels, units
    /// that do not match; and which rules are not evaluated by samples, and why.
    Check {
        /// Rule files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What is probably not meant is wrong: 1 then.
        #[arg(long)]
        strict: bool,
    },
    /// Run unit tests in the format of `promtool test rules`; 1 when any fails.
    Test {
        /// Files of tests.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// As Prometheus behaves: missing data is good news.
        #[arg(long)]
        prometheus: bool,
    },
    /// Tell why an alert is in its state: values, operators, timers. Asks the collector, which must run.
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
    /// Tell how often rules would have fired, for how long, and what a longer delay or a wider
    /// deadband would change: over what the collector has, or its store when it does not run.
    Backtest {
        #[command(flatten)]
        backtest: Backtest,
        /// The collector's configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Write rules for other systems, and tell what was lost.
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
    Unread(String),
}

pub(crate) fn rules(command: &Rules) -> ExitCode {
    let done = match command {
        Rules::Check { files, strict } => check(files).map(|sound| sound || !strict),
        Rules::Test { files, prometheus } => test(files, *prometheus),
        Rules::Explain { alert, json, config } => explain(alert, *json, config).map(|()| true),
        Rules::Backtest { backtest: asked, config } => backtest(asked, config).map(|()| true),
        Rules::Export { files, .. } => export(files).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failed::Invalid(invalid)) => {
            let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
            print_error(&invalid.render(color));
            ExitCode::from(CONFIG)
        }
        Err(Failed::Configuration(LoadError::Invalid(invalid))) => {
            let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
            print_error(&invalid.render(color));
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

fn check(files: &[PathBuf]) -> Result<bool, Failed> {
    let texts = read(files)?;
    let set = loaded(&texts)?;
    let sound = set.warnings.is_empty();
    for warning in &set.warnings {
        let text = texts.iter().find(|(name, _)| *name == warning.file);
        print(&pointed(warning, text.map_or("", |(_, text)| text)));
    }
    let count: usize = set.groups.iter().map(|group| group.rules.len()).sum();
    let engine = PushEngine::new(set, Vec::new(), Options::default(), Timing::default());
    let fallbacks = engine.fallbacks();
    for fallback in &fallbacks {
        print(&format!(
            "{}: not evaluated by samples, but at the interval: {}",
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

fn test(files: &[PathBuf], prometheus: bool) -> Result<bool, Failed> {
    let mut passed = true;
    for ((name, text), path) in read(files)?.iter().zip(files) {
        let suite = unittest::load_suite(name, text).map_err(Failed::Invalid)?;
        let rules = read(&rule_files(path, &suite.rule_files)?)?;
        let failures =
            unittest::run(&suite, &borrowed(&rules), prometheus).map_err(Failed::Invalid)?;
        if failures.is_empty() {
            print(&format!("{name}: {} tests passed", suite.len()));
            continue;
        }
        passed = false;
        print(&format!("{name}: FAILED"));
        for failure in failures {
            print(&format!("  {}: {}", failure.test, failure.text.replace('\n', "\n  ")));
        }
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

fn explain(alert: &str, as_json: bool, path: &Path) -> Result<(), Failed> {
    let config = config::load(path).map_err(Failed::Configuration)?;
    let client = Client::running(&config)
        .ok_or_else(|| Failed::Refused(format!("no collector answers on {}", config.listen)))?;
    let path = format!("/api/v1/rules/explain?alert={}", escaped(alert));
    let answer = client.get(&path).map_err(Failed::Refused)?;
    if as_json {
        print(&answer["data"].to_string());
        return Ok(());
    }
    for alert in answer["data"].as_array().into_iter().flatten() {
        told(alert);
    }
    Ok(())
}

/// An explanation for a terminal.
fn told(alert: &Value) {
    let text = |name: &str| alert[name].as_str().unwrap_or_default();
    let labels = alert["labels"].as_str().unwrap_or("no alert");
    print(&format!("{}  {labels}\n  {}: {}", text("rule"), text("state"), text("reason")));
    for (key, title) in [("activeAt", "holds since"), ("firedAt", "fires since"), ("held", "held")]
    {
        if let Some(value) = alert[key].as_str() {
            print(&format!("  {title}: {value}"));
        }
    }
    for timer in alert["timers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        print(&format!("  timer: {timer}"));
    }
    for (key, title) in [("expression", "expr"), ("clear", "clear"), ("expect", "expect")] {
        if alert[key].is_object() {
            print(&format!("  {title}"));
            part(&alert[key], 4);
        }
    }
    for input in alert["inputs"].as_array().into_iter().flatten() {
        let text = |name: &str| input[name].as_str();
        let reading = match (text("value"), text("at")) {
            (Some(value), Some(at)) => format!("{value} at {at}"),
            _ => "nothing of late".to_owned(),
        };
        print(&format!("  input {}: {reading}", text("series").unwrap_or_default()));
    }
}

fn part(of: &Value, indent: usize) {
    let text = of["text"].as_str().unwrap_or_default();
    let values: Vec<&Value> = of["values"].as_array().into_iter().flatten().collect();
    let shown = |value: &Value| {
        let (labels, number) = (value[0].as_str(), value[1].as_str());
        (labels.unwrap_or_default().to_owned(), number.unwrap_or_default().to_owned())
    };
    let is_range = text.ends_with(']');
    let summary = match (&values[..], of["error"].as_str()) {
        (_, Some(error)) => format!("fails: {error}"),
        ([], None) if is_range => String::new(),
        ([], None) => "nothing".to_owned(),
        ([one], None) => shown(one).1,
        (many, None) => format!("{} values", many.len()),
    };
    let operator = of["operator"].as_str().map(|operator| format!("[{operator}] "));
    print(&format!("{:indent$}{}{text} = {summary}", "", operator.unwrap_or_default()));
    if values.len() > 1 {
        for value in &values {
            let (labels, number) = shown(value);
            print(&format!("{:indent$}  {number}  {labels}", ""));
        }
    }
    if let Some(more @ 1..) = of["more"].as_u64() {
        print(&format!("{:indent$}  and {more} more", ""));
    }
    of["parts"].as_array().into_iter().flatten().for_each(|inner| part(inner, indent + 2));
}

fn export(files: &[PathBuf]) -> Result<(), Failed> {
    let set = loaded(&read(files)?)?;
    let export = prometheus(&set, None);
    print("# For Prometheus. What it does otherwise than Hallwatch:");
    for lost in &export.lost {
        print(&format!("# {}", lost.replace('\n', " ")));
        print_error(&format!("lost: {lost}"));
    }
    print(export.text.trim_end());
    Ok(())
}
