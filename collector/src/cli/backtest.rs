//! `rules backtest`: rules over the data of the past, hour by hour.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hallwatch_collector::rules::backtest::{Backtest as Run, COLUMNS, Figures, Outcome};
use hallwatch_collector::rules::format_duration;
use hallwatch_collector::{clock, config};
use hallwatch_model::sample::from_float;
use hallwatch_model::{Labels, Sample, Timestamp};
use serde_json::{Value, json};

use super::client::Client;
use super::query::duration;
use super::rules::{Failed, borrowed, read};
use super::{print, wrapped};

/// How much is fetched at once.
const WINDOW: Duration = Duration::from_secs(3600);

/// What is tried.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Backtest {
    /// Rule files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// From so long ago until now: `6h`, `30d`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Duration,
    /// Look at one sample in so much time: quicker, coarser.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    step: Option<Duration>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn backtest(asked: &Backtest, path: &Path) -> Result<(), Failed> {
    let files = read(&asked.files)?;
    let files = borrowed(&files);
    let config = config::load(path).map_err(Failed::Configuration)?;
    let end = clock::now();
    let start = end - asked.since;
    let mut run = Run::new(&files, start, end).map_err(Failed::Invalid)?;
    let selectors = Run::selectors(&files).map_err(Failed::Invalid)?;
    let client = Client::any(&config).map_err(Failed::Refused)?;
    let (mut count, mut from) = (0, start);
    let mut metrics = BTreeSet::new();
    while from < end {
        let to = (from + WINDOW).min(end);
        let moments = window(&client, &selectors, from, to, asked.step).map_err(Failed::Refused)?;
        for (time, samples) in moments {
            count += samples.len();
            for (labels, _) in &samples {
                if let Some(name) = labels.name().filter(|name| !metrics.contains(*name)) {
                    metrics.insert(name.to_owned());
                }
            }
            run.measure(&samples, Timestamp::from_millis(time));
        }
        from = to;
    }
    let left_out = run.left_out();
    let outcomes = run.finish();
    let blind = Run::without_data(&files, &metrics).map_err(Failed::Invalid)?;
    if asked.json {
        let left_out: BTreeMap<_, _> = left_out.into_iter().collect();
        let (start, end) = (start.to_string(), end.to_string());
        let all = json!({
            "start": start, "end": end, "samples": count, "leftOut": left_out, "noData": blind,
            "rules": outcomes,
        });
        print(&all.to_string());
        return Ok(());
    }
    print(&format!("{start} to {end}, {count} samples"));
    if count == 0 {
        print("\nNothing that these rules read is there: nothing can be said of them.");
    }
    let fired = |outcome: &&Outcome| outcome.as_written.fired > 0;
    if outcomes.iter().any(|outcome| fired(&outcome)) {
        let each = end.since(start) / u32::try_from(COLUMNS).unwrap_or(1);
        let each = format_duration(Duration::from_secs(each.as_secs().max(1)));
        print(&format!("Pictures are of all that time, from left to right, {each} a mark."));
    }
    outcomes.iter().filter(fired).for_each(told);
    let never = outcomes.iter().filter(|outcome| !fired(outcome)).map(|outcome| &outcome.rule);
    let never =
        never.filter(|rule| !blind.contains(*rule) && !left_out.iter().any(|(l, _)| l == *rule));
    list("never fired", never);
    list("no data: nothing can be said of them", blind.iter());
    for (rule, why) in left_out {
        print(&format!("\n{rule}: left out, for it is not evaluated by samples:\n  {why}"));
    }
    Ok(())
}

/// How many rules these are, and their names.
fn list<'n>(title: &str, names: impl Iterator<Item = &'n String>) {
    let names: Vec<&String> = names.collect();
    if names.is_empty() {
        return;
    }
    print(&format!("\n{} of the rules: {title}", names.len()));
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    print(&wrapped(&format!("  {}", names.join(", ")), 2));
}

/// What was measured after `from` up to `to`, by time.
fn window(
    client: &Client,
    selectors: &[String],
    from: Timestamp,
    to: Timestamp,
    step: Option<Duration>,
) -> Result<BTreeMap<i64, Vec<(Labels, Sample)>>, String> {
    let mut moments: BTreeMap<i64, Vec<(Labels, Sample)>> = BTreeMap::new();
    // Several selectors may give the same series.
    let mut seen: HashMap<Labels, ()> = HashMap::new();
    let (begin, end) = (from.as_seconds().to_string(), to.as_seconds().to_string());
    for selector in selectors {
        let answer = match step {
            None => {
                let range = format!("{selector}[{}ms]", to.since(from).as_millis());
                client.post("/api/v1/query", &[("query", &range), ("time", &end)])
            }
            Some(step) => {
                let step = step.as_secs_f64().to_string();
                let fields = [
                    ("query", selector.as_str()),
                    ("start", &begin),
                    ("end", &end),
                    ("step", &step),
                ];
                client.post("/api/v1/query_range", &fields)
            }
        };
        let (_, body) = answer?;
        for series in body["data"]["result"].as_array().into_iter().flatten() {
            let metric = series["metric"].as_object().into_iter().flatten();
            let pairs = metric.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
            let labels = Labels::from_pairs(pairs);
            if seen.insert(labels.clone(), ()).is_some() {
                continue;
            }
            for (time, value) in series["values"].as_array().into_iter().flatten().filter_map(point)
            {
                // What was the end of the last window is not told twice.
                if time > from.as_millis() || step.is_none() {
                    let sample =
                        Sample { time: Timestamp::from_millis(time), value: from_float(value) };
                    moments.entry(time).or_default().push((labels.clone(), sample));
                }
            }
        }
    }
    Ok(moments)
}

fn point(point: &Value) -> Option<(i64, f64)> {
    let time = Timestamp::from_seconds(point[0].as_f64()?).as_millis();
    let value = match point[1].as_str()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().ok()?,
    };
    Some((time, value))
}

fn told(outcome: &Outcome) {
    print(&format!("\n{}\n  {:<26} {}", outcome.rule, "as written", figures(&outcome.as_written)));
    let bars = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |part: &f64| {
        // Eight heights; whatever fired at all is seen.
        let height = (1..=8u8).rev().find(|height| *part >= f64::from(*height) / 8.0);
        let height = height.unwrap_or(u8::from(*part > 0.0));
        bars.get(usize::from(height)).copied().unwrap_or('█')
    };
    print(&format!("  {}", outcome.picture.iter().map(bar).collect::<String>()));
    for (name, variant) in &outcome.variants {
        print(&format!("  {name:<26} {}", figures(variant)));
    }
}

fn figures(figures: &Figures) -> String {
    let Figures { fired, short, seconds, longest_seconds } = *figures;
    if fired == 0 {
        return "never fired".to_owned();
    }
    let time = |seconds: f64| format_duration(Duration::from_secs_f64(seconds.round()));
    let times = if fired == 1 { "once".to_owned() } else { format!("{fired} times") };
    let short = if short == 0 { String::new() } else { format!(" ({short} under 1m)") };
    format!("{times}{short}, {} in all, longest {}", time(seconds), time(longest_seconds))
}
