//! The page's files, and what they may do.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;

/// Nothing but the page's own script, style, icon and stream. No inline code, no frames, no forms;
/// text can never become markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types";

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");
const GRAPH_HTML: &str = include_str!("graph.html");
const GRAPH_JS: &str = include_str!("graph.js");
const ICON: &str = include_str!("icon.svg");

/// `/` and what it loads, `/graph`, where the links of pages lead, and the runbook pages.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", HTML)))
        .route("/page/page.css", get(async || file("text/css; charset=utf-8", CSS)))
        .route("/page/page.js", get(async || file("text/javascript; charset=utf-8", JS)))
        .route("/graph", get(async || file("text/html; charset=utf-8", GRAPH_HTML)))
        .route("/page/graph.js", get(async || file("text/javascript; charset=utf-8", GRAPH_JS)))
        .route("/page/icon.svg", get(async || file("image/svg+xml", ICON)))
        .merge(super::runbooks::routes())
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A collector that was upgraded must not be shown by a page that was not.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    ([(header::CONTENT_TYPE, content_type)], axum::response::AppendHeaders(headers), text)
}
