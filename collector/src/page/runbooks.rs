//! The runbook pages, at `/runbooks/<name>.md`: where the annotation `runbook_url` of a shipped rule
//! leads from the collector's own address. They are compiled in: they have to be there when the
//! network is not.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

macro_rules! pages {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../runbooks/", $name, ".md")))),*]
    };
}

/// Names, without `.md`, and texts. Sorted; `README` is the index.
#[rustfmt::skip]
pub const PAGES: &[(&str, &str)] = pages! {
    "README"
    "access-out-of-hours"
    "access-tamper"
    "agent-backlog"
    "agent-behind"
    "agent-clock-jumps"
    "agent-clock-off"
    "agent-disk-filling"
    "agent-disk-low"
    "agent-identity-conflict"
    "agent-journal-filling"
    "agent-not-durable"
    "agent-offline"
    "agent-time-unknown"
    "ats-alarm"
    "ats-not-in-auto"
    "ats-not-retransferred"
    "ats-not-transferring"
    "ats-source-fault"
    "ats-transfers-often"
    "badge-denied-burst"
    "badges-denied-at-many-doors"
    "broker-refuses-agent"
    "broker-refuses-collector"
    "collector-broker-lost"
    "collector-commit-slow"
    "collector-disk-filling"
    "collector-disk-full"
    "collector-disk-low"
    "collector-disk-reserve-used"
    "collector-down"
    "collector-messages-refused"
    "collector-notifier-failing"
    "collector-peer-down"
    "collector-queue-filling"
    "collector-restarting"
    "collector-rules-failing"
    "collector-rules-late"
    "collector-sink-behind"
    "collector-store-near-limit"
    "completeness-low"
    "cooling-alarm"
    "cooling-off-setpoint"
    "cooling-redundancy-lost"
    "cooling-unit-stopped"
    "device-errors"
    "device-offline"
    "dew-point-high"
    "dew-point-low"
    "dew-point-raised"
    "door-forced"
    "door-held-open"
    "gap-open"
    "generator-alarm"
    "generator-coolant-hot"
    "generator-failed-to-start"
    "generator-fuel-critical"
    "generator-fuel-low"
    "generator-not-delivering"
    "generator-not-in-auto"
    "generator-oil-pressure-low"
    "generator-on-test"
    "generator-running"
    "generator-starter-battery-low"
    "generator-test-overdue"
    "generator-unloaded"
    "hall-temperature-cool"
    "hall-temperature-critical"
    "hall-temperature-high"
    "hall-temperature-low"
    "humidity-critical"
    "humidity-high"
    "humidity-low"
    "load-on-generator"
    "loading-bay-open"
    "loading-bay-out-of-hours"
    "logins-refused-slowly"
    "logins-refused"
    "no-cooling"
    "no-power-source"
    "pdu-breaker-load-high"
    "pdu-breaker-overload"
    "pdu-feed-lost"
    "pdu-inlet-load-high"
    "pdu-inlet-overload"
    "pdu-phases-unbalanced"
    "phase-lost"
    "polling-too-slow"
    "rack-power-lost"
    "rack-power-redundancy-lost"
    "rack-power-redundancy-unsure"
    "readings-lost"
    "sensor-battery-low"
    "sensor-fault"
    "site-uplink-redundancy-lost"
    "site-uplink-redundancy-unsure"
    "smoke"
    "stranger-at-broker"
    "supply-frequency-off"
    "supply-voltage-high"
    "supply-voltage-low"
    "temperature-rises-fast"
    "uplink-down"
    "uplink-latency-high"
    "uplink-lossy"
    "uplink-redundancy-lost"
    "ups-battery-hot"
    "ups-battery-low"
    "ups-battery-replace"
    "ups-fault"
    "ups-load-high"
    "ups-on-battery"
    "ups-on-bypass"
    "ups-output-off"
    "ups-overload"
    "ups-runtime-short"
    "utility-lost"
    "vibration"
    "water-leak"
};

/// `/runbooks/` is the index, `/runbooks/<name>` a page, with or without `.md`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/runbooks/", get(async |headers: HeaderMap| page("README", &headers)))
        .route(
            "/runbooks/{name}",
            get(async |Path(name): Path<String>, headers: HeaderMap| page(&name, &headers)),
        )
}

fn page(name: &str, asked: &HeaderMap) -> Response {
    let name = name.strip_suffix(".md").unwrap_or(name);
    let Some((_, text)) = PAGES.iter().find(|(known, _)| *known == name) else {
        return (StatusCode::NOT_FOUND, "there is no such runbook\n").into_response();
    };
    // A browser shows plain text, and saves a type that it does not know.
    let accepts = asked.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let content_type = if accepts.is_some_and(|types| types.contains("text/html")) {
        "text/plain; charset=utf-8"
    } else {
        "text/markdown; charset=utf-8"
    };
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "accept"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    ([(header::CONTENT_TYPE, content_type)], axum::response::AppendHeaders(headers), *text)
        .into_response()
}
