//! `/api/v1/query`, `/api/v1/query_range` and `/api/v1/format_query`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hallwatch_promql::{Answer, Error, Kept, Limits, Query, Source, Stop};

use super::params::Params;
use super::reply::{Refusal, RefusalKind, json, success};
use super::{Api, answer, time};
use crate::clock;

/// No query runs longer; `timeout` can only shorten that. As in Prometheus.
const MAX_TIME: Duration = Duration::from_secs(120);
/// Samples that one query may hold: 16 bytes each, and some queries run at once.
pub(super) const MAX_SAMPLES: usize = 10_000_000;
/// As in Prometheus: enough for a point per pixel of any screen.
const MAX_STEPS: i64 = 11_000;

/// One value per series, at one time.
pub(super) async fn instant(State(api): State<Api>, params: Params) -> Result<Response, Refusal> {
    let at = params.time_or("time", (api.clock)())?;
    let (timeout, lookback) = limits(&params)?;
    let shown = Shown::of(&params)?;
    let query = Query::parse(params.get("query").unwrap_or_default())?;
    run(&api, timeout, lookback, shown, move |source, limits| {
        hallwatch_promql::instant_of_kept(&query, at, source, limits)
    })
    .await
}

/// Values per series, from a time to a time, by steps.
pub(super) async fn range(State(api): State<Api>, params: Params) -> Result<Response, Refusal> {
    let start = params.time("start")?;
    let end = params.time("end")?;
    if end < start {
        return Err(Refusal::parameter("end", "end timestamp must not be before start time"));
    }
    let step = params.duration("step")?;
    if step <= 0 {
        let reason = "zero or negative query resolution step widths are not accepted. \
                      Try a positive integer";
        return Err(Refusal::parameter("step", reason));
    }
    if end.as_millis().saturating_sub(start.as_millis()) / step > MAX_STEPS {
        return Err(Refusal::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. \
             Try decreasing the query resolution (?step=XX)",
        ));
    }
    let (timeout, lookback) = limits(&params)?;
    let shown = Shown::of(&params)?;
    let query = Query::parse(params.get("query").unwrap_or_default())?;
    let step = time::to_duration(step);
    run(&api, timeout, lookback, shown, move |source, limits| {
        let answer = hallwatch_promql::range(&query, start, end, step, source, limits)?;
        Ok(answer.map(Kept::from))
    })
    .await
}

/// The query as Prometheus lays it out.
pub(super) async fn format(params: Params) -> Result<Response, Refusal> {
    let query = Query::parse(params.get("query").unwrap_or_default())?;
    Ok(success(&query.expr().prettify()))
}

/// How long the query may take, and how old a sample may be.
fn limits(params: &Params) -> Result<(Duration, Option<Duration>), Refusal> {
    let timeout = params.optional_duration("timeout")?;
    let lookback = params.optional_duration("lookback_delta")?;
    let timeout = timeout.map_or(MAX_TIME, |millis| time::to_duration(millis).min(MAX_TIME));
    Ok((timeout, lookback.map(time::to_duration).filter(|lookback| !lookback.is_zero())))
}

/// What of the answer is shown.
#[derive(Clone, Copy)]
struct Shown {
    /// Series at most.
    limit: usize,
    /// How long it took, too.
    stats: bool,
}

impl Shown {
    fn of(params: &Params) -> Result<Self, Refusal> {
        Ok(Self { limit: params.limit()?, stats: params.get("stats").is_some() })
    }
}

/// Tells the evaluation, when the asker goes away and this is dropped, that nobody waits.
struct Asker(Arc<AtomicBool>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn run(
    api: &Api,
    timeout: Duration,
    lookback: Option<Duration>,
    shown: Shown,
    evaluate: impl FnOnce(&dyn Source, &Limits<'_>) -> Result<Answer<Kept>, Error> + Send + 'static,
) -> Result<Response, Refusal> {
    let began = clock::uptime();
    let deadline = began + timeout;
    let waited = tokio::time::timeout(timeout, api.queries.clone().acquire_owned()).await;
    let Ok(Ok(slot)) = waited else {
        api.telemetry.queries.with_label_values(&["timeout"]).inc();
        let error = "query timed out in query queue".into();
        return Err(Refusal { kind: RefusalKind::Timeout, error });
    };
    let gone = Arc::new(AtomicBool::new(false));
    let asker = Asker(Arc::clone(&gone));
    let archive = Arc::clone(&api.archive);
    let telemetry = api.telemetry.clone();
    let evaluation = tokio::task::spawn_blocking(move || {
        // Held until the work has ended, not until the asker has left.
        let _slot = slot;
        let stop = || {
            if gone.load(Ordering::Relaxed) {
                Some(Stop::Canceled)
            } else if clock::uptime() >= deadline {
                Some(Stop::Timeout)
            } else {
                None
            }
        };
        let mut limits = Limits { max_samples: MAX_SAMPLES, stop: &stop, ..Limits::default() };
        if let Some(lookback) = lookback {
            limits.lookback = lookback;
        }
        // Prometheus allows one step more than points: both ends count. Checked by the caller.
        limits.max_steps = usize::try_from(MAX_STEPS).unwrap_or(usize::MAX) + 1;
        let evaluating = clock::uptime();
        let source: &dyn Source = &*archive;
        let result = evaluate(source, &limits)
            .map(|answer| {
                let stats = shown.stats.then(|| answer::Stats {
                    waited: evaluating.since(began).as_secs_f64(),
                    evaluated: clock::uptime().since(evaluating).as_secs_f64(),
                });
                answer::body(&answer, shown.limit, stats.as_ref())
            })
            .map_err(Refusal::from);
        // Here, because whoever asked may be gone when it has ended.
        telemetry.query_seconds.observe(clock::uptime().since(began).as_secs_f64());
        let word = result.as_ref().map_or_else(|refusal| refusal.kind.word(), |_| "success");
        telemetry.queries.with_label_values(&[word]).inc();
        result
    });
    let result = evaluation.await;
    drop(asker);
    let result = match result {
        Ok(result) => result,
        Err(error) => Err(Refusal::internal(&error)),
    };
    result.map(|body| json(StatusCode::OK, body))
}
