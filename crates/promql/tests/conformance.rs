//! Runs scripts in the language of Prometheus' conformance tests: the project's own ones, and the
//! public ones when they are at hand. Cases that touch native histograms are left out by rule; any
//! other case that cannot pass is listed in `known_failures.txt` with its reason.

mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hallwatch_model::labels::METRIC_NAME;
use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::{Answer, Limits, MemorySource, Query, Series, Value, instant, range};
use script::{Annotation, Command, Description, Eval, Load};

#[derive(Default)]
struct Outcome {
    passed: Vec<String>,
    failed: BTreeMap<String, String>,
    native: usize,
    native_passed: usize,
}

#[test]
fn own_scripts_pass() {
    let outcome = run_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts"));
    println!("own scripts: {} cases passed", outcome.passed.len());
    assert!(outcome.failed.is_empty(), "{:#?}", outcome.failed);
    assert!(outcome.passed.len() > 100, "the scripts were not found");
    assert_eq!(outcome.native, 0, "own scripts have no native histograms");
}

#[test]
fn public_scripts_pass_but_for_the_listed_cases() {
    let Some(folder) = public_scripts() else {
        println!(
            "the public scripts are not here (HALLWATCH_PROMQLTEST names no folder, and there is \
             no ../shared/promqltest): only the project's own scripts were run"
        );
        return;
    };
    let outcome = run_folder(&folder);
    let listed = known_failures();
    println!(
        "public scripts: {} passed, {} failed ({} of them listed), {} left out for native \
         histograms ({} of those pass nevertheless)",
        outcome.passed.len(),
        outcome.failed.len(),
        outcome.failed.keys().filter(|case| listed.contains_key(*case)).count(),
        outcome.native,
        outcome.native_passed,
    );
    assert!(outcome.passed.len() > outcome.native, "the runner leaves out too much");
    let unlisted: BTreeMap<_, _> =
        outcome.failed.iter().filter(|(case, _)| !listed.contains_key(*case)).collect();
    assert!(unlisted.is_empty(), "these cases fail and are not listed: {unlisted:#?}");
    let wrongly: Vec<_> =
        listed.keys().filter(|case| !outcome.failed.contains_key(*case)).collect();
    assert!(wrongly.is_empty(), "these cases are listed and do not fail: {wrongly:#?}");
}

fn public_scripts() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/promqltest");
    let named = std::env::var_os("HALLWATCH_PROMQLTEST").map(PathBuf::from);
    named.or(Some(beside)).filter(|folder| folder.is_dir())
}

/// `script:line` to the reason.
fn known_failures() -> BTreeMap<String, String> {
    include_str!("known_failures.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (case, reason) = line.split_once(' ').expect("a case and its reason");
            (case.to_owned(), reason.to_owned())
        })
        .collect()
}

fn run_folder(folder: &Path) -> Outcome {
    let mut outcome = Outcome::default();
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    for path in paths {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("the script can be read");
        let commands = script::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        run_script(&name, &commands, &mut outcome);
    }
    outcome
}

fn run_script(name: &str, commands: &[Command], outcome: &mut Outcome) {
    let mut stored = Stored::default();
    for command in commands {
        match command {
            Command::Clear => stored = Stored::default(),
            Command::Load(load) => stored.load(load),
            Command::Eval(eval) => {
                let case = format!("{name}:{}", eval.line);
                let result = run_case(eval, &stored.source());
                if stored.touches_native(eval) {
                    outcome.native += 1;
                    outcome.native_passed += usize::from(result.is_ok());
                    continue;
                }
                match result {
                    Ok(()) => outcome.passed.push(case),
                    Err(reason) => {
                        let reason = format!("{}: {reason}", eval.query);
                        outcome.failed.insert(case, reason);
                    }
                }
            }
        }
    }
}

/// What was loaded since the last `clear`.
#[derive(Default)]
struct Stored {
    series: BTreeMap<Labels, BTreeMap<i64, f64>>,
    /// Series with native histogram samples.
    native: BTreeSet<Labels>,
}

impl Stored {
    fn load(&mut self, load: &Load) {
        for Description { labels, values, native, start_timestamps } in &load.series {
            if *start_timestamps {
                continue;
            }
            if *native {
                self.native.insert(labels.clone());
            }
            if load.with_native {
                let name = labels.name().unwrap_or("");
                let ends = ["_bucket", "_count", "_sum"];
                if let Some(base) = ends.iter().find_map(|end| name.strip_suffix(end)) {
                    self.native.insert(labels.with(METRIC_NAME, base).with("le", ""));
                }
            }
            let samples: BTreeMap<i64, f64> = (0..)
                .zip(values)
                .filter_map(|(i, value)| Some((i * load.gap, (*value)?)))
                .collect();
            self.series.entry(labels.clone()).or_default().extend(samples);
        }
    }

    fn source(&self) -> MemorySource {
        let mut source = MemorySource::new();
        source.extend(self.series.iter().map(|(labels, samples)| Series {
            labels: labels.clone(),
            times: samples.keys().copied().collect(),
            values: samples.values().copied().collect(),
        }));
        source
    }

    /// Whether a selector of the query, or what is expected, has native histograms.
    fn touches_native(&self, eval: &Eval) -> bool {
        eval.series.iter().any(|series| series.native)
            || Query::parse(&eval.query).is_ok_and(|query| {
                let selectors = query.selectors();
                selectors
                    .iter()
                    .any(|s| self.native.iter().any(|labels| s.matchers.matches(labels)))
            })
    }
}

fn run_case(eval: &Eval, source: &MemorySource) -> Result<(), String> {
    let limits = Limits::default();
    let at = |millis| Timestamp::from_millis(millis);
    let answer = Query::parse(&eval.query).and_then(|query| match eval.step {
        None => instant(&query, at(eval.start), source, &limits),
        Some(step) => {
            let step = Duration::from_millis(step.unsigned_abs());
            range(&query, at(eval.start), at(eval.end), step, source, &limits)
        }
    });
    let answer = match (answer, &eval.fails) {
        (Err(error), Some(expected)) if expected.fits(&error.to_string()) => return Ok(()),
        (Err(error), _) => return Err(format!("error: {error}")),
        (Ok(_), Some(_)) => return Err("did not fail".into()),
        (Ok(answer), None) => answer,
    };
    check_annotations(eval, &answer)?;
    if eval.step.is_some() {
        let Value::Matrix(found) = &answer.value else { return Err("no matrix".into()) };
        return same_series(found, &expected_series(eval, eval.start, eval.step.unwrap_or(1)));
    }
    check_instant(eval, &answer.value)?;
    check_as_range(eval, source, &limits)
}

/// Any instant query gives the same as one step of a range query.
fn check_as_range(eval: &Eval, source: &MemorySource, limits: &Limits<'_>) -> Result<(), String> {
    let query = Query::parse(&eval.query).map_err(|error| error.to_string())?;
    let depends_on_range = ["step()", "range()", "start()", "end()"];
    let vector = matches!(
        query.kind(),
        hallwatch_promql::ValueType::Vector | hallwatch_promql::ValueType::Scalar
    );
    if !vector || depends_on_range.iter().any(|call| eval.query.contains(call)) {
        return Ok(());
    }
    let minute = 60_000;
    let at = |millis| Timestamp::from_millis(millis);
    let (start, end) = (at(eval.start - minute), at(eval.start + minute));
    let answer = range(&query, start, end, Duration::from_secs(60), source, limits)
        .map_err(|error| format!("as a range query: {error}"))?;
    let Value::Matrix(series) = answer.value else { return Err("no matrix".into()) };
    let middle: Vec<Series> = series
        .into_iter()
        .filter_map(|series| {
            let found = series.times.iter().position(|time| *time == eval.start)?;
            let values = vec![series.values[found]];
            Some(Series { labels: series.labels, times: vec![eval.start], values })
        })
        .collect();
    let expected = match eval.scalar {
        Some(value) => {
            vec![Series { labels: Labels::empty(), times: vec![eval.start], values: vec![value] }]
        }
        None => expected_series(eval, eval.start, 1),
    };
    same_series(&middle, &expected).map_err(|reason| format!("as a range query: {reason}"))
}

fn check_annotations(eval: &Eval, answer: &Answer) -> Result<(), String> {
    for annotation in &eval.annotations {
        let fits = match annotation {
            Annotation::Warn(message) => answer.warnings.iter().any(|text| message.fits(text)),
            Annotation::Info(message) => answer.infos.iter().any(|text| message.fits(text)),
            Annotation::NoWarn => answer.warnings.is_empty(),
            Annotation::NoInfo => answer.infos.is_empty(),
        };
        if !fits {
            return Err(format!("warnings {:?}, infos {:?}", answer.warnings, answer.infos));
        }
    }
    Ok(())
}

fn expected_series(eval: &Eval, start: i64, step: i64) -> Vec<Series> {
    let points = eval.series.iter().map(|series| {
        let present = (0..).zip(&series.values).filter_map(|(i, value)| Some((i, (*value)?)));
        let (times, values) = present.map(|(i, value)| (start + i * step, value)).unzip();
        Series { labels: series.labels.clone(), times, values }
    });
    points.collect()
}

fn check_instant(eval: &Eval, value: &Value) -> Result<(), String> {
    match value {
        Value::String(_, text) => match &eval.text {
            Some(expected) if expected == text => Ok(()),
            expected => Err(format!("found {text:?}, expected {expected:?}")),
        },
        Value::Scalar(_, value) => match eval.scalar {
            Some(expected) if same(*value, expected) => Ok(()),
            expected => Err(format!("found {value}, expected {expected:?}")),
        },
        Value::Matrix(series) => {
            let (start, step) = eval.range_vector.ok_or("a range vector was not expected")?;
            same_series(series, &expected_series(eval, start, step))
        }
        Value::Vector(samples) => {
            let found: Vec<Series> = samples
                .iter()
                .map(|sample| Series {
                    labels: sample.labels.clone(),
                    times: vec![sample.time.as_millis()],
                    values: vec![sample.value],
                })
                .collect();
            let expected = expected_series(eval, eval.start, 1);
            if eval.scalar.is_some() || eval.text.is_some() {
                return Err("found a vector".into());
            }
            same_series(&found, &expected)?;
            let order = |series: &[Series]| {
                series.iter().map(|series| series.labels.clone()).collect::<Vec<_>>()
            };
            if eval.ordered && order(&found) != order(&expected) {
                return Err(format!("wrong order: {:?}", order(&found)));
            }
            Ok(())
        }
    }
}

fn same_series(found: &[Series], expected: &[Series]) -> Result<(), String> {
    let by_labels = |series: &[Series]| {
        series
            .iter()
            .filter(|series| !series.times.is_empty())
            .map(|series| (series.labels.clone(), series.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let (left, right) = (by_labels(found), by_labels(expected));
    let same_points = |a: &Series, b: &Series| {
        a.times == b.times && a.values.iter().zip(&b.values).all(|(a, b)| same(*a, *b))
    };
    let all = left.len() == right.len()
        && found.len() == left.len()
        && right.iter().all(|(labels, b)| left.get(labels).is_some_and(|a| same_points(a, b)));
    if all { Ok(()) } else { Err(format!("found {found:?}, expected {expected:?}")) }
}

/// The scripts give rounded values; this is how far Prometheus lets them differ.
fn same(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < 1e-6
}
