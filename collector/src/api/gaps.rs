//! `/api/v1/gaps` and `/api/v1/completeness`: what is missing, and how much of a day is there.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::{Matchers, Select};
use serde::Serialize;

use super::Api;
use super::params::Params;
use super::reply::{Refusal, success, success_with};
use crate::gaps::{Gaps, Ratio, Row};

const DAY: i64 = 24 * 60 * 60 * 1_000;
/// Gaps in one answer, unless fewer are asked for.
const MAX_GAPS: usize = 1_000;
/// Points in one answer: each is counted in the store.
const MAX_POINTS: usize = 500;

/// A gap, as the API tells it. Times are milliseconds since the epoch.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GapForm {
    tenant: String,
    site: String,
    agent: String,
    /// Empty: all devices of the agent.
    device: String,
    cause: String,
    start: i64,
    /// `None` while it lasts.
    end: Option<i64>,
    /// `open`, `filled` or `lost`.
    state: &'static str,
    /// Journal entries that were missing at first.
    entries: u64,
    /// Readings that are missing, as far as anybody has counted them.
    points: u64,
}

impl From<&Row> for GapForm {
    fn from(row: &Row) -> Self {
        Self {
            tenant: row.agent.tenant.to_string(),
            site: row.agent.site.to_string(),
            agent: row.agent.agent.to_string(),
            device: row.device.clone(),
            cause: row.cause.clone(),
            start: row.start.as_millis(),
            end: row.end.map(Timestamp::as_millis),
            state: row.state.word(),
            entries: row.entries,
            points: row.readings,
        }
    }
}

pub(super) fn ledger(api: &Api) -> Result<&Gaps, Refusal> {
    api.gaps.as_ref().ok_or_else(|| Refusal::bad_data("this collector keeps no gap ledger"))
}

/// The gaps that touch the time from `start` to `end`, the latest first; by `tenant`, `site`,
/// `agent`, `device`, `cause` and `state` where these are given.
pub(super) async fn gaps(State(api): State<Api>, params: Params) -> Result<Response, Refusal> {
    let (start, end) =
        (params.time_or("start", Timestamp::MIN)?, params.time_or("end", Timestamp::MAX)?);
    let limit = params.limit()?.min(MAX_GAPS);
    let is = |name: &str, value: &str| params.get(name).is_none_or(|wanted| wanted == value);
    let rows = ledger(&api)?.rows(|row| {
        row.touches(start, end)
            && is("tenant", row.agent.tenant.as_str())
            && is("site", row.agent.site.as_str())
            && is("agent", row.agent.agent.as_str())
            && is("device", &row.device)
            && is("cause", &row.cause)
            && is("state", row.state.word())
    });
    let forms: Vec<GapForm> = rows.iter().take(limit).map(GapForm::from).collect();
    if rows.len() > limit {
        return Ok(success_with(&forms, &["results truncated due to limit".to_owned()]));
    }
    Ok(success(&forms))
}

#[derive(Serialize)]
struct RatioForm {
    tenant: String,
    site: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<String>,
    present: u64,
    expected: f64,
    ratio: Option<f64>,
}

#[derive(Serialize)]
struct CompletenessForm {
    /// Midnight UTC at its beginning, in milliseconds.
    day: i64,
    sites: Vec<RatioForm>,
    devices: Vec<RatioForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<RatioForm>>,
}

fn form(tenant: &str, site: &str, device: &str, point: Option<String>, ratio: Ratio) -> RatioForm {
    RatioForm {
        tenant: tenant.to_owned(),
        site: site.to_owned(),
        device: device.to_owned(),
        point,
        present: ratio.present,
        expected: ratio.expected.round(),
        ratio: ratio.value(),
    }
}

/// Readings present by readings expected on the day of `time` (today), by site and device, where
/// given of one `tenant`, `site` or `device` only. With `points=true` and a `device`, each point
/// counted in the store.
pub(super) async fn completeness(
    State(api): State<Api>,
    params: Params,
) -> Result<Response, Refusal> {
    let gaps = ledger(&api)?;
    let now = (api.clock)();
    let time = params.time_or("time", now)?;
    let is = |name: &str, value: &str| params.get(name).is_none_or(|wanted| wanted == value);
    let mut devices = Vec::new();
    let mut sites: Vec<(String, String, Ratio)> = Vec::new();
    for ((tenant, site, device), ratio) in gaps.ratios(time, now) {
        if !(is("tenant", &tenant) && is("site", &site) && is("device", &device)) {
            continue;
        }
        devices.push(form(&tenant, &site, &device, None, ratio));
        match sites.last_mut() {
            Some((known, of, sum)) if *known == tenant && *of == site => {
                sum.present = sum.present.saturating_add(ratio.present);
                sum.expected += ratio.expected;
            }
            _ => sites.push((tenant, site, ratio)),
        }
    }
    let sites = sites.iter().map(|(tenant, site, ratio)| form(tenant, site, "", None, *ratio));
    let day = time.as_millis().div_euclid(DAY).saturating_mul(DAY);
    let mut answer = CompletenessForm { day, sites: sites.collect(), devices, points: None };
    if params.get("points") == Some("true") {
        if params.get("device").is_none() {
            return Err(Refusal::bad_data("points are told of one device: name it"));
        }
        let label = |labels: &Labels, name: &str| labels.get(name).unwrap_or_default().to_owned();
        let mut series = gaps.points(|labels| {
            ["tenant", "site", "device"].iter().all(|name| is(name, &label(labels, name)))
        });
        series.truncate(MAX_POINTS);
        let end = day.saturating_add(DAY - 1).min(now.as_millis());
        answer.points = Some(points(&api, series, day, end).await?);
    }
    Ok(success(&answer))
}

/// Counts the readings of each series in the store.
async fn points(
    api: &Api,
    series: Vec<(Labels, u32)>,
    day: i64,
    end: i64,
) -> Result<Vec<RatioForm>, Refusal> {
    let slot = Arc::clone(&api.queries).acquire_owned().await;
    let archive = Arc::clone(&api.archive);
    let counted = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        let mut forms = Vec::new();
        for (labels, millis) in series {
            let matchers =
                Matchers::parse(&labels.to_string()).map_err(|error| Refusal::internal(&error))?;
            let request =
                Select::new(&matchers, Timestamp::from_millis(day), Timestamp::from_millis(end));
            let found = archive.select(&request).map_err(|error| Refusal::internal(&error))?;
            // The matchers also fit series that have further labels.
            let own = found.iter().find(|one| one.labels == labels);
            let values = own.map(|one| one.values.as_slice()).unwrap_or_default();
            let present =
                values.iter().filter(|value| !hallwatch_model::sample::is_missing(**value));
            let first = own.and_then(|one| one.times.first()).copied().unwrap_or(day);
            #[expect(clippy::cast_precision_loss, reason = "a day has few milliseconds")]
            let passed = end.saturating_sub(first).max(0) as f64;
            let ratio = Ratio {
                present: u64::try_from(present.count()).unwrap_or(u64::MAX),
                expected: passed / f64::from(millis.max(1)),
            };
            let label = |name| labels.get(name).unwrap_or_default();
            let point = Some(labels.to_string());
            forms.push(form(label("tenant"), label("site"), label("device"), point, ratio));
        }
        Ok(forms)
    });
    counted.await.map_err(|error| Refusal::internal(&error))?
}
