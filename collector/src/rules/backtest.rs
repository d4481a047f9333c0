//! What rules would have done with the data of the past, and what they would have done had they
//! waited longer or had a wider deadband.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hallwatch_config::Invalid;
use hallwatch_model::{Labels, Sample, Timestamp};
use hallwatch_promql::MemorySource;
use serde::Serialize;

use super::alert::AlertState;
use super::duration;
use super::engine::{Evaluation, Options};
use super::load::semantics::{bare, clearing, condition, number};
use super::push::{PushEngine, Received, Timing};
use super::rule::{Purpose, RuleSet};
use promql_parser::parser::Expr;

/// Longer delays that are tried.
const DELAYS: [u64; 3] = [60, 5 * 60, 15 * 60];
/// Wider deadbands that are tried, as parts of the limit.
const DEADBANDS: [f64; 2] = [0.02, 0.05];
/// How often time passes when there are no samples.
const TICK: Duration = Duration::from_secs(15);
/// Shorter alerts are called short.
const SHORT: Duration = Duration::from_secs(60);
/// Columns of a picture.
pub const COLUMNS: usize = 60;

/// A run over the past.
#[derive(Debug)]
pub struct Backtest {
    runs: Vec<(Variant, PushEngine, Tally)>,
    nothing: MemorySource,
    start: Timestamp,
    end: Timestamp,
    now: Timestamp,
    ticked: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    AsWritten,
    Delay(Duration),
    Deadband(f64),
}

/// When alerts of each rule fired.
#[derive(Debug, Default)]
struct Tally {
    open: BTreeMap<(String, Labels), Timestamp>,
    spans: BTreeMap<String, Vec<(Timestamp, Timestamp)>>,
}

/// What came of one rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `group/rule`.
    pub rule: String,
    /// As it is written.
    pub as_written: Figures,
    /// The part of each of [`COLUMNS`] equal times in which any of its alerts fired, 0 to 1.
    pub picture: Vec<f64>,
    /// With a longer delay or a wider deadband, where that applies.
    pub variants: Vec<(String, Figures)>,
}

/// How often and for how long a rule would have fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// How many alerts.
    pub fired: usize,
    /// So many of them for less than a minute.
    pub short: usize,
    /// All of them together, in seconds.
    pub seconds: f64,
    /// The longest, in seconds.
    pub longest_seconds: f64,
}

impl Backtest {
    /// A run of the rules in `files` (names and texts) from `start` to `end`.
    ///
    /// # Errors
    /// When the files are wrong.
    pub fn new(files: &[(&str, &str)], start: Timestamp, end: Timestamp) -> Result<Self, Invalid> {
        let delays = DELAYS.map(|seconds| Variant::Delay(Duration::from_secs(seconds)));
        let deadbands = DEADBANDS.map(Variant::Deadband);
        let mut runs = Vec::new();
        for variant in [Variant::AsWritten].into_iter().chain(delays).chain(deadbands) {
            let mut rules = super::load(files)?;
            if variant.apply(&mut rules) || variant == Variant::AsWritten {
                let timing = Timing { wait: Duration::ZERO };
                let options = Options { interval: TICK, ..Options::default() };
                let engine = PushEngine::new(rules, Vec::new(), options, timing);
                runs.push((variant, engine, Tally::default()));
            }
        }
        Ok(Self { runs, nothing: MemorySource::new(), start, end, now: start, ticked: start })
    }

    /// What the rules read, as selectors, each once; not what they record themselves.
    ///
    /// # Errors
    /// When the files are wrong.
    pub fn selectors(files: &[(&str, &str)]) -> Result<Vec<String>, Invalid> {
        let rules = super::load(files)?;
        let all = || rules.groups.iter().flat_map(|group| &group.rules);
        let recorded: BTreeSet<&str> =
            all().filter(|rule| rule.alerting().is_none()).map(|rule| &*rule.name).collect();
        let selectors = all().flat_map(|rule| rule.queries().flat_map(|query| query.selectors()));
        let own =
            |name: &str| recorded.contains(name) || matches!(name, "ALERTS" | "ALERTS_FOR_STATE");
        let read = selectors.filter(|selector| !selector.matchers.metric_name().is_some_and(own));
        let texts: BTreeSet<String> = read.map(|selector| selector.matchers.to_string()).collect();
        Ok(texts.into_iter().collect())
    }

    /// Rules none of whose metrics are among those that were measured: that they never fired says
    /// nothing. What rules record counts as measured.
    ///
    /// # Errors
    /// When the files are wrong.
    pub fn without_data(
        files: &[(&str, &str)],
        metrics: &BTreeSet<String>,
    ) -> Result<Vec<String>, Invalid> {
        let rules = super::load(files)?;
        let all = || rules.groups.iter().flat_map(|group| &group.rules);
        let recorded: BTreeSet<&str> =
            all().filter(|rule| rule.alerting().is_none()).map(|rule| &*rule.name).collect();
        let is_known = |name: &str| metrics.contains(name) || recorded.contains(name);
        let mut blind = Vec::new();
        for group in &rules.groups {
            for rule in group.rules.iter().filter(|rule| rule.alerting().is_some()) {
                let selectors = rule.query.selectors();
                let mut names = selectors.iter().map(|selector| selector.matchers.metric_name());
                let has_any = names.any(|name| name.is_none_or(is_known));
                if !has_any && !selectors.is_empty() {
                    blind.push(format!("{}/{}", group.name, rule.name));
                }
            }
        }
        Ok(blind)
    }

    /// Rules that are not part of it, because samples cannot push them, and why.
    #[must_use]
    pub fn left_out(&self) -> Vec<(String, String)> {
        let engine = self.runs.first().map(|(_, engine, _)| engine.fallbacks());
        let fallbacks = engine.into_iter().flatten();
        fallbacks.map(|of| (of.rule.to_string(), of.obstacle.to_string())).collect()
    }

    /// Takes what was measured at `now`, which never goes back.
    pub fn measure(&mut self, samples: &[(Labels, Sample)], now: Timestamp) {
        self.pass(now);
        for (_, engine, tally) in &mut self.runs {
            let received = Received { samples, watermark: None, backfill: false };
            tally.note(&engine.receive(received, now, &self.nothing));
        }
    }

    /// Lets time pass up to `now`.
    fn pass(&mut self, now: Timestamp) {
        while self.ticked + TICK <= now {
            self.ticked = self.ticked + TICK;
            for (_, engine, tally) in &mut self.runs {
                tally.note(&engine.tick(self.ticked, &self.nothing));
            }
        }
        self.now = self.now.max(now);
    }

    /// What came of it.
    #[must_use]
    pub fn finish(mut self) -> Vec<Outcome> {
        self.pass(self.end);
        for (_, _, tally) in &mut self.runs {
            tally.close(self.end);
        }
        let mut rules = Vec::new();
        if let Some((_, engine, _)) = self.runs.first() {
            for group in &engine.view().groups {
                let alerting = group.rules.iter().filter(|rule| rule.alerting.is_some());
                rules.extend(alerting.map(|rule| format!("{}/{}", group.name, rule.name)));
            }
        }
        rules.sort();
        rules.dedup();
        rules.into_iter().map(|rule| self.outcome(rule)).collect()
    }

    fn outcome(&self, rule: String) -> Outcome {
        let nothing = Vec::new();
        let spans = |tally: &'_ Tally| tally.spans.get(&rule).unwrap_or(&nothing).clone();
        let mut as_written = Figures::default();
        let (mut picture, mut variants) = (Vec::new(), Vec::new());
        for (variant, engine, tally) in &self.runs {
            let spans = spans(tally);
            let figures = Figures::of(&spans);
            if *variant == Variant::AsWritten {
                as_written = figures;
                picture = self.picture(&spans);
            } else if variant.concerns(engine, &rule) {
                variants.push((variant.to_string(), figures));
            }
        }
        Outcome { rule, as_written, picture, variants }
    }

    fn picture(&self, spans: &[(Timestamp, Timestamp)]) -> Vec<f64> {
        let whole = self.end.since(self.start).as_secs_f64().max(1.0);
        let columns = u32::try_from(COLUMNS).unwrap_or(u32::MAX);
        let width = whole / f64::from(columns);
        let at = |time: Timestamp| time.since(self.start).as_secs_f64();
        let part = |column: u32| {
            let (from, to) = (f64::from(column) * width, f64::from(column + 1) * width);
            let within = spans.iter().map(|(a, b)| (at(*b).min(to) - at(*a).max(from)).max(0.0));
            (within.sum::<f64>() / width).min(1.0)
        };
        (0..columns).map(part).collect()
    }
}

impl Tally {
    fn note(&mut self, evaluation: &Evaluation) {
        for change in evaluation.transitions.iter().filter(|change| change.from != change.to) {
            // Rules of one name in one group are told apart by a number; here they are one.
            let rule = change.rule.split('#').next().unwrap_or_default().to_owned();
            let key = (rule, change.alert.labels.clone());
            if change.to == AlertState::Firing {
                self.open.insert(key, change.at);
            } else if let Some(began) = self.open.remove(&key) {
                self.spans.entry(key.0).or_default().push((began, change.at));
            }
        }
    }

    fn close(&mut self, end: Timestamp) {
        for ((rule, _), began) in std::mem::take(&mut self.open) {
            self.spans.entry(rule).or_default().push((began, end));
        }
    }
}

impl Figures {
    fn of(spans: &[(Timestamp, Timestamp)]) -> Self {
        let lengths = || spans.iter().map(|(from, to)| to.since(*from));
        Self {
            fired: spans.len(),
            short: lengths().filter(|length| *length < SHORT).count(),
            // The sum of nothing is -0.
            seconds: 0.0 + lengths().map(|length| length.as_secs_f64()).sum::<f64>(),
            longest_seconds: lengths().max().unwrap_or_default().as_secs_f64(),
        }
    }
}

impl Variant {
    /// Changes the rules that it applies to; whether there are any.
    fn apply(self, rules: &mut RuleSet) -> bool {
        let mut any = false;
        for rule in rules.groups.iter_mut().flat_map(|group| &mut group.rules) {
            let Purpose::Alert(alerting) = &mut rule.purpose else { continue };
            match self {
                Self::AsWritten => {}
                Self::Delay(delay) if alerting.expect.is_none() && alerting.hold < delay => {
                    alerting.hold = delay;
                    any = true;
                }
                Self::Deadband(part) => {
                    let written = alerting.deadband.filter(|_| alerting.clear.is_some());
                    if written.is_none() && alerting.clear.is_some() {
                        continue;
                    }
                    let width = limit(rule.query.expr()).map(|limit| limit.abs() * part);
                    let Some(width) = width.filter(|width| *width > written.unwrap_or(0.0)) else {
                        continue;
                    };
                    let clear = clearing(rule.query.expr(), width).ok();
                    if let Some(clear) = clear.and_then(|text| condition(&text)) {
                        (alerting.clear, alerting.deadband) = (Some(clear), Some(width));
                        any = true;
                    }
                }
                Self::Delay(_) => {}
            }
        }
        any
    }

    /// Whether it has changed this rule.
    fn concerns(self, engine: &PushEngine, key: &str) -> bool {
        let view = engine.view();
        let found = view.groups.iter().find_map(|group| {
            group.rules.iter().find(|rule| {
                rule.alerting.is_some() && format!("{}/{}", group.name, rule.name) == key
            })
        });
        let Some(alerting) = found.and_then(|rule| rule.alerting.as_ref()) else { return false };
        match self {
            Self::AsWritten => true,
            Self::Delay(delay) => alerting.expect.is_none() && alerting.hold == delay,
            Self::Deadband(part) => alerting.deadband.is_some_and(|width| {
                let limit = found.and_then(|rule| {
                    limit(hallwatch_promql::Query::parse(&rule.query).ok()?.expr())
                });
                limit
                    .is_some_and(|limit| (limit.abs() * part - width).abs() <= f64::EPSILON * width)
            }),
        }
    }
}

/// The number that an expression compares with.
fn limit(expr: &Expr) -> Option<f64> {
    let Expr::Binary(binary) = bare(expr) else { return None };
    number(&binary.rhs).or_else(|| number(&binary.lhs))
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AsWritten => f.write_str("as written"),
            Self::Delay(delay) => write!(f, "for: {}", duration::format(*delay)),
            Self::Deadband(part) => write!(f, "deadband: {} % of the limit", part * 100.0),
        }
    }
}
