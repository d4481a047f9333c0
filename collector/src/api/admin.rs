//! `/api/v1/admin/tsdb/…`: deletion, as Prometheus has it. Only for this machine, and not for what
//! a browser on it is made to send.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hallwatch_model::{Id, Timestamp};
use serde::Serialize;

use super::listen::Peer;
use super::params::Params;
use super::refused::Interface;
use super::reply::{Refusal, RefusalKind, success};
use super::{Api, Archive};
use crate::store::{Deletion, Error, Receipt};

/// The number of a deletion, for who wants to follow it.
const NUMBER: &str = "hallwatch-deletion";

/// Proof that the request comes from a program on this machine.
pub(super) struct Local;

impl<S: Send + Sync> FromRequestParts<S> for Local
where
    Api: FromRef<S>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let near = peer.is_some_and(|ConnectInfo(Peer(address))| is_loopback(address.ip()));
        match near && is_direct(&parts.headers) {
            true => Ok(Self),
            false => {
                let error = "the admin API is for programs on the collector's own machine";
                Err(Api::from_ref(state).refuse(Interface::Admin, parts, error))
            }
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Neither passed on by a proxy, nor sent by a page in a browser, nor under a name that somebody
/// made to mean this machine.
fn is_direct(headers: &HeaderMap) -> bool {
    let foreign = ["forwarded", "x-forwarded-for", "via", "origin", "referer", "sec-fetch-site"];
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !foreign.iter().any(|name| headers.contains_key(*name))
        && (name == "localhost" || address.is_ok_and(is_loopback))
}

/// Deletes the series that match `match[]`, or all of a `tenant`, from `start` to `end`. 204: they
/// are hidden; their bytes go from the disk in the background.
pub(super) async fn delete(
    _local: Local,
    State(api): State<Api>,
    params: Params,
) -> Result<Response, Refusal> {
    let selectors = params.matchers()?;
    let tenant = params.get("tenant").map(Id::new).transpose();
    let tenant = tenant.map_err(|error| Refusal::parameter("tenant", error))?;
    if selectors.is_empty() && tenant.is_none() {
        return Err(Refusal::bad_data("no match[] parameter provided"));
    }
    let start = params.time_or("start", Timestamp::MIN)?;
    let end = params.time_or("end", Timestamp::MAX)?;
    if end < start {
        return Err(Refusal::bad_data("end timestamp must not be before start time"));
    }
    let deletion = Deletion { selectors, tenant: tenant.clone(), start, end };
    let receipt = with_store(&api, move |store| store.delete(deletion)).await?;
    if let (Some(tenant), Some(gaps)) = (tenant, api.gaps.clone()) {
        let work = move || gaps.delete_tenant(&tenant, start, end);
        let deleted = tokio::task::spawn_blocking(work).await;
        let deleted = deleted.map_err(|error| Refusal::internal(&error))?;
        let gaps = deleted.map_err(|error| Refusal::internal(&error))?;
        tracing::info!(id = receipt.id, gaps, "gaps are deleted with their tenant");
    }
    tracing::info!(id = receipt.id, series = receipt.series, "samples are deleted on request");
    Ok((StatusCode::NO_CONTENT, [(NUMBER, receipt.id.to_string())]).into_response())
}

/// Nothing to be done: what is deleted goes from the disk without being told.
pub(super) async fn clean(_local: Local) -> StatusCode {
    StatusCode::NO_CONTENT
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptForm {
    id: i64,
    requested: String,
    purged: Option<String>,
    series: u64,
    chunk_samples: u64,
    log_samples: u64,
    events: u64,
    damaged: u64,
}

impl From<&Receipt> for ReceiptForm {
    fn from(receipt: &Receipt) -> Self {
        Self {
            id: receipt.id,
            requested: receipt.requested.to_string(),
            purged: receipt.purged.map(|time| time.to_string()),
            series: receipt.series,
            chunk_samples: receipt.chunk_samples,
            log_samples: receipt.log_samples,
            events: receipt.events,
            damaged: receipt.damaged,
        }
    }
}

/// The receipts, the newest first.
pub(super) async fn deletions(_local: Local, State(api): State<Api>) -> Result<Response, Refusal> {
    let receipts = with_store(&api, |store| store.deletions()).await?;
    Ok(success(&receipts.iter().map(ReceiptForm::from).collect::<Vec<_>>()))
}

async fn with_store<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&crate::store::Reader) -> Result<T, crate::store::Error> + Send + 'static,
) -> Result<T, Refusal> {
    let archive: Arc<dyn Archive> = Arc::clone(&api.archive);
    let work = move || archive.store().map(work);
    match tokio::task::spawn_blocking(work).await {
        Ok(Some(Ok(done))) => Ok(done),
        Ok(Some(Err(error))) => Err(refused(&error)),
        Ok(None) => {
            let error = "there is no store to delete from".into();
            Err(Refusal { kind: RefusalKind::NotFound, error })
        }
        Err(error) => Err(Refusal::internal(&error)),
    }
}

/// Whether to try again is for the asker to know.
fn refused(error: &Error) -> Refusal {
    let refusal = Refusal::internal(error);
    let (kind, text) = match error {
        Error::NoAnswer => (
            RefusalKind::Unavailable,
            "nothing was deleted: the store has no time for it; try again later",
        ),
        error if error.is_disk_full() => (
            RefusalKind::Unavailable,
            "nothing was deleted: the disk is full; try again when there is room",
        ),
        error if error.is_fatal() => (
            RefusalKind::Unavailable,
            "the store cannot be written, and the collector ends; try again when it is back",
        ),
        _ => return refusal,
    };
    Refusal { kind, error: text.into() }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_deletion_that_failed_says_what_to_do() {
        let sqlite = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let attempt = "note a deletion";
        let cases = [
            (Error::NoAnswer, "no time"),
            (Error::DiskFull { attempt, source: sqlite(ffi::SQLITE_FULL) }, "disk is full"),
            (Error::Write { attempt, source: sqlite(ffi::SQLITE_IOERR) }, "cannot be written"),
            (Error::Broken, "cannot be written"),
        ];
        for (error, words) in cases {
            let refusal = refused(&error);
            assert_eq!(refusal.kind.status(), StatusCode::SERVICE_UNAVAILABLE, "{error}");
            assert!(refusal.error.contains(words), "{error}: {}", refusal.error);
            assert!(refusal.error.contains("try again"), "{error}: {}", refusal.error);
        }
        let read = Error::Read { attempt: "read", source: sqlite(ffi::SQLITE_IOERR) };
        assert_eq!(refused(&read).kind, RefusalKind::Internal);
    }
}
