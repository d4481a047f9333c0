//! `query`: PromQL on the command line.

use std::time::Duration;

use clap::Args;
use hallwatch_collector::{Config, clock};
use serde_json::Value;

use super::client::Client;
use super::{print, table};

/// Points of a plot, unless a step is given: what fits into 80 columns.
const POINTS: u64 = 60;

/// What is asked.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Query {
    /// The expression, PromQL.
    expression: String,
    /// From so long ago until now, plotted, instead of now alone: `90s`, `15m`, `6h`, `30d`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// The time between two points; what fits the screen, unless told.
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "since")]
    step: Option<Duration>,
    /// The answer as the HTTP API gives it.
    #[arg(long)]
    json: bool,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration such as 90s, 15m, 6h or 30d");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (digits, unit) = text.split_at(at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let total = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(seconds));
    total
        .filter(|total| (1..=100 * 365 * 86_400).contains(total))
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

/// Asks and prints.
pub(crate) fn query(config: &Config, query: &Query) -> Result<(), String> {
    let client = Client::any(config)?;
    let expression = ("query", query.expression.as_str());
    let (_, body) = match query.since {
        None => client.post("/api/v1/query", &[expression])?,
        Some(since) => {
            let step = query.step.map_or((since.as_secs() / POINTS).max(1), |step| step.as_secs());
            // On multiples of the step: the same command gives the same points again.
            let now = clock::now().as_millis() / 1_000;
            let end = now - now.rem_euclid(step.cast_signed());
            let start = end - since.as_secs().cast_signed();
            let (start, end, step) = (start.to_string(), end.to_string(), step.to_string());
            let times = [("start", &*start), ("end", &*end), ("step", &*step)];
            let fields: Vec<_> = [expression].into_iter().chain(times).collect();
            client.post("/api/v1/query_range", &fields)?
        }
    };
    if query.json {
        print(&body.to_string());
        return Ok(());
    }
    for note in ["warnings", "infos"] {
        for text in body.get(note).and_then(Value::as_array).into_iter().flatten() {
            print(&format!("note: {}", text.as_str().unwrap_or_default()));
        }
    }
    print(table::answer(&body["data"]).trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        for text in ["", "1", "h", "1h30m", "-1h", "0s", "99999999999999999999d", "1y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
