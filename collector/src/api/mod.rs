//! One HTTP port: the Prometheus API, `/metrics`, `/healthz`, `/readyz`, and the page.
//!
//! Reading order: `params`, `time`, `number` (how requests are read and answers written), `reply`
//! (the envelope), `refused`, `query`, `series`, `rules`, `inside`, `status`, `admin` (the Prometheus API),
//! `gaps`, `pair`, `health`, `events`, `listen`.

mod admin;
mod answer;
mod events;
mod gaps;
mod health;
mod inside;
mod listen;
mod number;
mod pair;
mod params;
mod query;
mod refused;
mod reply;
mod rules;
mod series;
mod status;
mod time;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::{Matchers, Source, SourceError};
use tokio::sync::{Semaphore, mpsc, watch};
use tower_http::compression::CompressionLayer;

pub use gaps::GapForm;
pub use inside::ReloadRequest;
pub use listen::{Guarded, MAX_CONNECTIONS, Peer};
pub use pair::{Fill, Fills};
pub use params::{MAX_FORM_BYTES, MAX_URL_BYTES};
pub use rules::{AdditionalForm, AlertForm, GroupForm, KnownForm, RuleForm, RulesForm};

use crate::gaps::Gaps;
use crate::notify::Pair;
use crate::page::{self, Health};
use crate::telemetry::Telemetry;
use reply::{Refusal, RefusalKind};

/// Queries that run at once; more wait.
pub const MAX_QUERIES: usize = 8;

/// No request takes longer, its body included: a query may take 2 minutes.
const MAX_REQUEST_TIME: Duration = Duration::from_secs(140);

/// What the API reads: the store, or series in memory.
pub trait Archive: Source + Send + Sync + 'static {
    /// The store, where it is one, for what only a store has: deletions, and numbers of itself.
    fn store(&self) -> Option<&crate::store::Reader> {
        None
    }

    /// The series that match one of `sets` (all, if there is none) and may have samples from
    /// `start` to `end`, sorted, each once.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn series(
        &self,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Labels>, SourceError>;

    /// The names of the labels of those series, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn label_names(
        &self,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<String>, SourceError>;

    /// The values of the label `name` of those series, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn label_values(
        &self,
        name: &str,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<String>, SourceError>;
}

/// What the handlers have at hand. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// The samples.
    pub archive: Arc<dyn Archive>,
    /// The rules and alerts of the last evaluation.
    pub rules: watch::Receiver<Arc<RulesForm>>,
    /// How the parts of the collector are.
    pub health: watch::Receiver<Arc<Vec<Health>>>,
    /// The latest picture for the page, as JSON; empty before the first.
    pub picture: watch::Receiver<Arc<str>>,
    /// Where everything is counted.
    pub telemetry: Telemetry,
    /// The time of day.
    pub clock: fn() -> Timestamp,
    /// The gap ledger.
    pub gaps: Option<Gaps>,
    /// The pair that this collector is one of.
    pub pair: Option<Pair>,
    /// Where samples go that fill what is missing.
    pub fills: Option<Fills>,
    /// Whom to ask to load the rules again.
    pub reload: Option<mpsc::Sender<ReloadRequest>>,
    queries: Arc<Semaphore>,
    last_logged: Arc<refused::LastLogged>,
}

impl Api {
    /// Everything at hand; no query runs yet.
    pub fn new(
        archive: Arc<dyn Archive>,
        rules: watch::Receiver<Arc<RulesForm>>,
        health: watch::Receiver<Arc<Vec<Health>>>,
        picture: watch::Receiver<Arc<str>>,
        telemetry: Telemetry,
        clock: fn() -> Timestamp,
    ) -> Self {
        let queries = Arc::new(Semaphore::new(MAX_QUERIES));
        Self {
            archive,
            rules,
            health,
            picture,
            telemetry,
            clock,
            gaps: None,
            pair: None,
            fills: None,
            reload: None,
            queries,
            last_logged: Arc::default(),
        }
    }

    /// With a gap ledger to show.
    #[must_use]
    pub fn with_gaps(self, gaps: Gaps) -> Self {
        Self { gaps: Some(gaps), ..self }
    }

    /// As one of a pair, whose store may be filled.
    #[must_use]
    pub fn with_pair(self, pair: Option<Pair>, fills: Fills) -> Self {
        Self { pair, fills: Some(fills), ..self }
    }

    /// With rules that can be loaded again.
    #[must_use]
    pub fn with_reload(self, reload: mpsc::Sender<ReloadRequest>) -> Self {
        Self { reload: Some(reload), ..self }
    }

    /// All routes, for `axum::serve` over [`Guarded`].
    pub fn router(self) -> IntoMakeServiceWithConnectInfo<Router, Peer> {
        self.routes().into_make_service_with_connect_info()
    }

    fn routes(self) -> Router {
        let prometheus = Router::new()
            .route("/query", get(query::instant).post(query::instant))
            .route("/query_range", get(query::range).post(query::range))
            .route("/series", get(series::series).post(series::series))
            .route("/labels", get(series::labels).post(series::labels))
            .route("/label/{name}/values", get(series::label_values))
            .route("/metadata", get(series::metadata))
            .route("/format_query", get(query::format).post(query::format))
            .route("/query_exemplars", get(status::exemplars).post(status::exemplars))
            .route("/targets", get(status::targets))
            .route("/targets/metadata", get(status::targets_metadata))
            .route("/scrape_pools", get(status::scrape_pools))
            .route("/alertmanagers", get(status::alertmanagers))
            .route("/status/config", get(status::config))
            .route("/status/flags", get(status::flags))
            .route("/status/runtimeinfo", get(status::runtimeinfo))
            .route("/status/tsdb", get(status::tsdb))
            .route("/status/walreplay", get(status::walreplay))
            .route("/admin/tsdb/delete_series", post(admin::delete).put(admin::delete))
            .route("/admin/tsdb/clean_tombstones", post(admin::clean).put(admin::clean))
            .route("/admin/tsdb/deletions", get(admin::deletions))
            .route("/rules", get(rules::rules))
            .route("/rules/explain", get(inside::why))
            .route("/rules/engine", get(inside::engine))
            .route("/rules/digest", get(inside::digest))
            .route("/alerts", get(rules::alerts))
            .route("/gaps", get(gaps::gaps))
            .route("/completeness", get(gaps::completeness))
            .route("/pair/heartbeat", get(pair::heartbeat))
            .route("/pair/windows", get(pair::windows))
            .route("/pair/window/{number}", get(pair::window))
            .route(
                "/pair/fill",
                post(pair::fill).layer(DefaultBodyLimit::max(pair::MAX_FILL_BYTES)),
            )
            .route(
                "/pair/gaps",
                get(pair::known_gaps)
                    .post(pair::learn_gaps)
                    .layer(DefaultBodyLimit::max(pair::MAX_FILL_BYTES)),
            )
            .route("/status/buildinfo", get(health::buildinfo))
            .route("/{*rest}", any(unknown))
            .method_not_allowed_fallback(wrong_method);
        Router::new()
            .nest("/api/v1", prometheus)
            .route("/metrics", get(health::metrics))
            .route("/-/reload", post(inside::reload).put(inside::reload))
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .route("/events", get(events::events))
            .merge(page::routes())
            // Not what is pushed (it would wait in the compressor), nor what is short.
            .layer(CompressionLayer::new())
            .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
            .layer(middleware::from_fn_with_state(self.clone(), around))
            .with_state(self)
    }
}

async fn unknown() -> Refusal {
    Refusal { kind: RefusalKind::NotFound, error: "there is no such endpoint".into() }
}

async fn wrong_method() -> Refusal {
    Refusal { kind: RefusalKind::Method, error: "not with this method".into() }
}

/// What holds for every request: bounded URLs, bounded time, counted answers, and no guessing of
/// types. The time is that until the answer begins; `/events` begins at once.
async fn around(State(api): State<Api>, request: Request, next: Next) -> Response {
    let length = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    let mut response = if length > MAX_URL_BYTES {
        (StatusCode::URI_TOO_LONG, "the URL is too long: send a form\n").into_response()
    } else {
        let answered = tokio::time::timeout(MAX_REQUEST_TIME, next.run(request)).await;
        answered.unwrap_or_else(|_| {
            (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response()
        })
    };
    let code = response.status();
    api.telemetry.http_requests.with_label_values(&[code.as_str()]).inc();
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
