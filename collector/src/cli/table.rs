//! Answers of the API as text of at most 80 columns.

use serde_json::Value;

const COLUMNS: usize = 80;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The `data` of an answer: a line for each value, or a plot for each series.
pub(super) fn answer(data: &Value) -> String {
    let result = &data["result"];
    let Some(kind) = data["resultType"].as_str() else { return "no answer".to_owned() };
    match (kind, result.as_array()) {
        ("vector", Some(samples)) if !samples.is_empty() => vector(samples),
        ("matrix", Some(series)) if !series.is_empty() => {
            series.iter().map(plot).collect::<Vec<_>>().join("\n")
        }
        ("scalar" | "string", Some(point)) => {
            point.get(1).and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => "nothing".to_owned(),
    }
}

fn name(metric: &Value) -> String {
    let Some(labels) = metric.as_object() else { return "{}".to_owned() };
    let text = |value: &Value| clean(value.as_str().unwrap_or_default());
    let own = labels.get("__name__").map(text).unwrap_or_default();
    let rest: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    format!("{own}{{{}}}", rest.join(","))
}

/// Labels come from devices: nothing of them may move the cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

fn vector(samples: &[Value]) -> String {
    let value = |sample: &Value| sample["value"][1].as_str().unwrap_or_default().to_owned();
    let rows: Vec<(String, String)> =
        samples.iter().map(|sample| (name(&sample["metric"]), value(sample))).collect();
    let wide = rows.iter().map(|(_, value)| value.len()).max().unwrap_or(0).min(COLUMNS / 2);
    let room = COLUMNS - wide - 2;
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(room);
    let row = |(name, value): &(String, String)| {
        format!("{:<longest$}  {value:>wide$}", cut(name, longest))
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

fn plot(series: &Value) -> String {
    let points: Vec<(f64, f64)> = series["values"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|point| Some((point[0].as_f64()?, point[1].as_str()?.parse().ok()?)))
        .collect();
    let finite = || points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    let (least, most) =
        (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    // The shortest distance is the step; where a point is missing, there is a blank.
    let step = points.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(f64::INFINITY, f64::min);
    let first = points.first().map_or(0.0, |(time, _)| *time);
    let mut bars = vec![' '; 0];
    for (time, value) in &points {
        let at = if step.is_finite() { ((time - first) / step).round() } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        let at = at.clamp(0.0, 100_000.0) as usize;
        bars.resize(bars.len().max(at + 1), ' ');
        let height = if most > least { (value - least) / (most - least) * 7.0 } else { 3.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
        let height = height.round().clamp(0.0, 7.0) as usize;
        if let (Some(place), true) = (bars.get_mut(at), value.is_finite()) {
            *place = BARS.get(height).copied().unwrap_or('█');
        }
    }
    // More points than columns: each column shows its highest.
    let part = bars.len().div_ceil(COLUMNS - 2).max(1);
    let shown: String =
        bars.chunks(part).map(|bars| bars.iter().copied().max().unwrap_or(' ')).collect();
    let last = points.last().map_or(f64::NAN, |(_, value)| *value);
    format!(
        "{}\n  {}\n  least {least}  most {most}  last {last}\n",
        cut(&name(&series["metric"]), COLUMNS),
        shown.trim_end()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_and_plots_fit_into_80_columns() {
        let long = "x".repeat(200);
        let data = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "device": "a\u{1b}[2J"}, "value": [1, "1"]},
            {"metric": {"__name__": long}, "value": [1, "230.25"]},
        ]});
        let text = answer(&data);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(
            text.starts_with("up{device=a\u{fffd}[2J}") && text.ends_with("…  230.25"),
            "{text}"
        );
        let values: Vec<_> = (0..4).chain(6..8).map(|i| json!([i * 10, i.to_string()])).collect();
        let data = json!({"resultType": "matrix", "result": [{"metric": {}, "values": values}]});
        assert_eq!(answer(&data), "{}\n  ▁▂▃▄  ▇█\n  least 0  most 7  last 7\n");
        let many: Vec<_> = (0..1_000).map(|i| json!([i, "5"])).collect();
        let data = json!({"resultType": "matrix", "result": [{"metric": {}, "values": many}]});
        assert!(answer(&data).lines().all(|line| line.chars().count() <= 80));
        assert_eq!(answer(&json!({"resultType": "vector", "result": []})), "nothing");
    }
}
