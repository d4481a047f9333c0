//! `/api/v1/series`, `/labels`, `/label/NAME/values`, `/metadata`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use hallwatch_model::{Timestamp, vocabulary};
use hallwatch_promql::{Matchers, SourceError};
use serde::Serialize;

use super::params::Params;
use super::reply::{Refusal, json, success, success_with};
use super::{Api, Archive, answer};

/// So many series at once are more than any dashboard wants.
const MAX_SERIES: usize = 100_000;

/// Which series are asked for.
struct Asked {
    sets: Vec<Matchers>,
    start: Timestamp,
    end: Timestamp,
    limit: usize,
}

fn asked(params: &Params) -> Result<Asked, Refusal> {
    Ok(Asked {
        start: params.time_or("start", Timestamp::MIN)?,
        end: params.time_or("end", Timestamp::MAX)?,
        limit: params.limit()?.min(MAX_SERIES),
        sets: params.matchers()?,
    })
}

/// Reads from the archive on a thread where waiting for the disk harms nobody.
async fn read<T: Send + 'static>(
    api: &Api,
    read: impl FnOnce(&dyn Archive) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, Refusal> {
    let slot = Arc::clone(&api.queries).acquire_owned().await;
    let archive = Arc::clone(&api.archive);
    let task = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        read(&*archive)
    });
    match task.await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Refusal::internal(&error)),
        Err(error) => Err(Refusal::internal(&error)),
    }
}

/// The series that match.
pub(super) async fn series(State(api): State<Api>, params: Params) -> Result<Response, Refusal> {
    if params.all("match[]").next().is_none() {
        return Err(Refusal::bad_data("no match[] parameter provided"));
    }
    let Asked { sets, start, end, limit } = asked(&params)?;
    let found = read(&api, move |archive| archive.series(&sets, start, end)).await?;
    let mut out = String::from(r#"{"status":"success","data":["#);
    for (i, labels) in found.iter().take(limit).enumerate() {
        if i > 0 {
            out.push(',');
        }
        answer::labels(&mut out, labels);
    }
    out.push(']');
    if found.len() > limit {
        out.push_str(r#","warnings":["results truncated due to limit"]"#);
    }
    out.push('}');
    Ok(json(StatusCode::OK, out))
}

/// The names of labels.
pub(super) async fn labels(State(api): State<Api>, params: Params) -> Result<Response, Refusal> {
    let Asked { sets, start, end, limit } = asked(&params)?;
    let names = read(&api, move |archive| archive.label_names(&sets, start, end)).await?;
    Ok(list(names, limit))
}

/// The values of a label.
pub(super) async fn label_values(
    State(api): State<Api>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let digit_first = name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || digit_first || !name.chars().all(allowed) {
        return Err(Refusal::bad_data(format!("invalid label name: {name:?}")));
    }
    let Asked { sets, start, end, limit } = asked(&params)?;
    let found = read(&api, move |archive| archive.label_values(&name, &sets, start, end));
    Ok(list(found.await?, limit))
}

fn list(mut found: Vec<String>, limit: usize) -> Response {
    if found.len() <= limit {
        return success(&found);
    }
    found.truncate(limit);
    success_with(&found, &["results truncated due to limit".to_owned()])
}

#[derive(Serialize)]
struct Metadata {
    #[serde(rename = "type")]
    kind: &'static str,
    help: &'static str,
    unit: &'static str,
}

/// What is known of metrics: the vocabulary.
pub(super) async fn metadata(params: Params) -> Result<Response, Refusal> {
    let limit = match params.get("limit") {
        None => usize::MAX,
        // As in Prometheus: a negative one means no limit.
        Some(text) => match text.parse::<i64>() {
            Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
            Err(_) => return Err(Refusal::bad_data("limit must be a number")),
        },
    };
    let metric = params.get("metric");
    let known: BTreeMap<&str, [Metadata; 1]> = vocabulary::METRICS
        .iter()
        .filter(|known| metric.is_none_or(|metric| metric == known.name))
        .take(limit)
        .map(|known| {
            let unit = known.unit.suffix();
            (known.name, [Metadata { kind: known.kind.prometheus_type(), help: known.help, unit }])
        })
        .collect();
    Ok(success(&known))
}
