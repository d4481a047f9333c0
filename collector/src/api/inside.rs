//! What the rules do inside: `/api/v1/rules/explain`, `/api/v1/rules/engine`, `/api/v1/rules/digest`,
//! and `/-/reload`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Api;
use super::admin::Local;
use super::params::Params;
use super::reply::{Refusal, RefusalKind, success};
use crate::rules::HistoricalAlert;
use crate::rules::explain::explain;

/// Who wants the rules to be loaded again is told what came of it: how many there are, or what is
/// wrong.
pub type ReloadRequest = oneshot::Sender<Result<usize, String>>;

/// Why the alerts named `alert` are in their states: values, operators, timers.
pub(super) async fn why(State(api): State<Api>, params: Params) -> Result<Response, Refusal> {
    let Some(name) = params.get("alert").map(str::to_owned) else {
        return Err(Refusal::parameter("alert", "it says which alert is to be explained"));
    };
    let inside = api.rules.borrow().inside.clone();
    let (archive, now) = (api.archive.clone(), (api.clock)());
    let rules = inside.view.groups.iter().flat_map(|group| &group.rules);
    let alerting = rules.filter(|rule| rule.alerting.is_some());
    let known: Vec<&str> = alerting.map(|rule| &*rule.name).collect();
    if !known.contains(&name.as_str()) {
        let help = hallwatch_config::suggest::help(&name, "alerts", &known);
        let error = format!("there is no alert named {name:?}: {help}");
        return Err(Refusal { kind: RefusalKind::NotFound, error });
    }
    let work = move || explain(&inside, &name, now, &*archive);
    match tokio::task::spawn_blocking(work).await {
        Ok(explained) => Ok(success(&explained)),
        Err(error) => Err(Refusal::internal(&error)),
    }
}

/// What the engine takes, which rules it cannot evaluate by samples, and how the last reload went.
pub(super) async fn engine(State(api): State<Api>) -> Response {
    let inside = api.rules.borrow().inside.clone();
    let fallbacks = inside
        .fallbacks
        .iter()
        .map(|fallback| json!({"rule": *fallback.rule, "reason": fallback.obstacle.to_string()}));
    let held = inside.held().map(|alert| {
        let held = alert.held.as_ref();
        json!({
            "labels": labels(&alert.labels),
            "state": alert.state.word(),
            "since": held.map(|held| held.since.to_string()),
            "cause": held.map(|held| held.cause.to_string()),
        })
    });
    let (usage, reload) = (inside.usage, &inside.reload);
    success(&json!({
        "fallbacks": fallbacks.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
        "usage": {
            "instances": usage.instances,
            "shards": usage.shards,
            "series": usage.memory.series,
            "samples": usage.memory.samples,
            "operators": usage.memory.operators,
            "bytes": usage.memory.bytes(),
        },
        "reload": {
            "loadedAt": reload.loaded_at.map(|at| at.to_string()),
            "refusedAt": reload.refused.as_ref().map(|(at, _)| at.to_string()),
            "error": reload.refused.as_ref().map(|(_, error)| error),
        },
    }))
}

/// Alerts that would have fired had their data come in time; nobody was paged.
pub(super) async fn digest(State(api): State<Api>) -> Response {
    let inside = api.rules.borrow().inside.clone();
    let one = |alert: &HistoricalAlert| {
        json!({
            "rule": *alert.rule,
            "labels": labels(&alert.labels),
            "annotations": alert.annotations.iter()
                .map(|(name, text)| (name.to_string(), Value::from(text.clone())))
                .collect::<serde_json::Map<_, _>>(),
            "value": alert.value.to_string(),
            "firedAt": alert.fired_at.to_string(),
            "resolvedAt": alert.resolved_at.map(|at| at.to_string()),
            "learntAt": alert.learnt_at.to_string(),
        })
    };
    success(&json!({"alerts": inside.digest.iter().map(one).collect::<Vec<_>>()}))
}

/// Loads the rules again; the old ones stay when anything is wrong with the new ones.
pub(super) async fn reload(_local: Local, State(api): State<Api>) -> Result<Response, Refusal> {
    let Some(reload) = &api.reload else {
        let error = "these rules are not of files".into();
        return Err(Refusal { kind: RefusalKind::NotFound, error });
    };
    let busy = || Refusal::internal(&std::io::Error::other("the collector is ending or busy"));
    let (sender, answer) = oneshot::channel();
    reload.try_send(sender).map_err(|_| busy())?;
    match answer.await {
        Ok(Ok(count)) => Ok(success(&json!({"rules": count})).into_response()),
        Ok(Err(error)) => Err(Refusal { kind: RefusalKind::Execution, error }),
        Err(_) => Err(busy()),
    }
}

fn labels(labels: &hallwatch_model::Labels) -> serde_json::Map<String, Value> {
    labels.iter().map(|label| (label.name.to_string(), Value::from(&*label.value))).collect()
}
