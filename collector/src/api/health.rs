//! How the collector is: for Prometheus, for supervisors, for clients that adapt.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Api;
use super::reply::{Refusal, json, success};
use crate::page::Health;

/// The release of Prometheus whose API this is. Clients such as Grafana ask for it, to know what
/// they may send.
const API_OF_PROMETHEUS: &str = "2.42.0";

/// `/metrics`.
pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Refusal> {
    let text = api.telemetry.render().map_err(|error| Refusal::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// `/healthz`: whoever answers is alive.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    parts: &'a [Health],
}

/// `/readyz`: 200 when every essential part does its work, otherwise 503; both with all reasons.
pub(super) async fn readyz(State(api): State<Api>) -> Result<Response, Refusal> {
    let parts = api.health.borrow().clone();
    let ready = !parts.is_empty() && parts.iter().all(|part| part.ok || !part.essential);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&Ready { ready, parts: &parts })
        .map_err(|error| Refusal::internal(&error))?;
    Ok(json(status, body))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
}

/// `/api/v1/status/buildinfo`.
pub(super) async fn buildinfo() -> Response {
    success(&BuildInfo {
        version: API_OF_PROMETHEUS,
        revision: concat!("hallwatch-", env!("CARGO_PKG_VERSION")),
        branch: "",
        build_user: "",
        build_date: "",
        go_version: "",
    })
}
