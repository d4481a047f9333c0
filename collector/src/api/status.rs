//! What Grafana and people ask of a Prometheus besides samples: `/targets`, `/scrape_pools`,
//! `/alertmanagers`, `/status/*`, `/query_exemplars`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hallwatch_model::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::params::Params;
use super::reply::{Refusal, success};

/// Rows of each list of `/status/tsdb`, unless asked otherwise, and at most.
const ROWS: usize = 10;
const MOST_ROWS: usize = 10_000;

/// There are none: devices give no traces.
pub(super) async fn exemplars(params: Params) -> Result<Response, Refusal> {
    hallwatch_promql::Query::parse(params.get("query").unwrap_or_default())?;
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(Refusal::bad_data("end timestamp must not be before start timestamp"));
    }
    Ok(success(&json!([])))
}

/// Nothing is scraped: agents push.
pub(super) async fn targets() -> Response {
    success(&json!({"activeTargets": [], "droppedTargets": []}))
}

/// Nor is there any pool of what could be scraped.
pub(super) async fn scrape_pools() -> Response {
    success(&json!({"scrapePools": []}))
}

/// No target tells what its metrics are: `/metadata` does.
pub(super) async fn targets_metadata() -> Response {
    success(&json!([]))
}

/// Who is to be paged is told directly, not through an Alertmanager.
pub(super) async fn alertmanagers() -> Response {
    success(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

/// The log was read before the first request was.
pub(super) async fn walreplay() -> Response {
    success(&json!({"min": 0, "max": 0, "current": 0}))
}

/// What of the configuration is nobody's secret: nothing but that it is no Prometheus'.
pub(super) async fn config() -> Response {
    success(&json!({"yaml": "# hallwatch-collector is configured in collector.toml\n"}))
}

/// The limits that hold for queries, under Prometheus' names.
pub(super) async fn flags() -> Response {
    success(&json!({
        "query.lookback-delta": "5m",
        "query.max-concurrency": super::MAX_QUERIES.to_string(),
        "query.max-samples": super::query::MAX_SAMPLES.to_string(),
        "query.timeout": "2m",
        "web.enable-admin-api": "true",
        "web.max-connections": super::MAX_CONNECTIONS.to_string(),
    }))
}

/// How it runs.
pub(super) async fn runtimeinfo(State(api): State<Api>) -> Response {
    let start = Timestamp::from_seconds(api.telemetry.start_seconds.get());
    let stats = api.archive.store().map(crate::store::Reader::stats).unwrap_or_default();
    success(&json!({
        "startTime": start.to_string(),
        "CWD": "",
        "reloadConfigSuccess": true,
        "lastConfigTime": start.to_string(),
        "corruptionCount": stats.damage.chunks + stats.damage.log_rows + stats.damage.series
            + stats.damage.rows,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": "",
    }))
}

#[derive(Serialize)]
struct Row {
    name: String,
    value: usize,
}

/// The longest lists first; by name among equals.
fn rows(counts: BTreeMap<String, usize>, limit: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = counts.into_iter().map(|(name, value)| Row { name, value }).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.value));
    rows.truncate(limit);
    rows
}

/// Which metrics and labels make how many series.
pub(super) async fn tsdb(State(api): State<Api>, params: Params) -> Result<Response, Refusal> {
    let limit = match params.limit()? {
        usize::MAX => ROWS,
        limit => limit.min(MOST_ROWS),
    };
    let archive = Arc::clone(&api.archive);
    let counted = tokio::task::spawn_blocking(move || {
        let series = archive.series(&[], Timestamp::MIN, Timestamp::MAX)?;
        let stats = archive.store().map(crate::store::Reader::stats).unwrap_or_default();
        let (mut metrics, mut values) =
            (BTreeMap::new(), BTreeMap::<&str, BTreeMap<&str, usize>>::new());
        for label in series.iter().flatten() {
            if &*label.name == "__name__" {
                *metrics.entry(label.value.to_string()).or_default() += 1;
            }
            *values.entry(&label.name).or_default().entry(&label.value).or_default() += 1;
        }
        let per_label = values.iter().map(|(name, values)| ((*name).to_owned(), values.len()));
        let bytes = values.iter().map(|(name, values)| {
            ((*name).to_owned(), values.keys().map(|value| value.len()).sum())
        });
        let pairs = values.iter().flat_map(|(name, values)| {
            values.iter().map(move |(value, count)| (format!("{name}={value}"), *count))
        });
        let data = json!({
            "headStats": {
                "numSeries": series.len(),
                "numLabelPairs": values.values().map(BTreeMap::len).sum::<usize>(),
                "chunkCount": stats.windows,
                "minTime": 0,
                "maxTime": 0,
            },
            "seriesCountByMetricName": rows(metrics, limit),
            "labelValueCountByLabelName": rows(per_label.collect(), limit),
            "memoryInBytesByLabelName": rows(bytes.collect(), limit),
            "seriesCountByLabelValuePair": rows(pairs.collect(), limit),
        });
        Ok::<_, hallwatch_promql::SourceError>(data)
    });
    match counted.await {
        Ok(Ok(data)) => Ok(success(&data)),
        Ok(Err(error)) => Err(Refusal::internal(&error)),
        Err(error) => Err(Refusal::internal(&error)),
    }
}
