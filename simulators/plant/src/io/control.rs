//! Control over HTTP: faults, registers, and a look at the plant. The caller binds the port.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::calendar::civil;
use crate::error::Error;
use crate::plant::Plant;
use crate::report::report;

/// No request here needs more.
const BODY_BYTES: usize = 4096;

type Answer = (StatusCode, Json<Value>);

/// Routes: `GET /faults`, `POST` and `DELETE /faults/NAME`, `GET /state`, `GET /devices`, `POST`
/// (with `{"word": 1234}`) and `DELETE /registers/DEVICE/ADDRESS`.
pub fn router(plant: Plant) -> Router {
    Router::new()
        .route("/faults", get(faults))
        .route("/faults/{name}", post(cause).delete(end))
        .route("/state", get(state))
        .route("/devices", get(devices))
        .route("/registers/{device}/{address}", post(set_register).delete(release_register))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(plant)
}

async fn faults(State(plant): State<Plant>) -> Json<Value> {
    let list = plant.faults().into_iter().map(|status| {
        json!({
            "name": status.fault.to_string(),
            "description": status.fault.description(),
            "active": status.active,
            "since": status.since.map(|seconds| format!("{}Z", civil(seconds))),
        })
    });
    Json(list.collect())
}

async fn cause(State(plant): State<Plant>, Path(name): Path<String>) -> Answer {
    answer(plant.cause(&name), || json!({ "name": name, "active": true }))
}

async fn end(State(plant): State<Plant>, Path(name): Path<String>) -> Answer {
    answer(plant.end(&name), || json!({ "name": name, "active": false }))
}

async fn state(State(plant): State<Plant>) -> Json<Value> {
    Json(plant.view(report))
}

async fn devices(State(plant): State<Plant>) -> Json<Value> {
    let list = plant.devices().into_iter().map(|status| {
        let device = status.device;
        json!({
            "name": device.name(),
            "kind": device.kind(),
            "profile": device.profile(),
            "feed": device.feed(),
            "address": status.address.map(|address| address.to_string()),
            "unit": device.unit(),
            "answers_any_unit": device.answers_any_unit(),
        })
    });
    Json(list.collect())
}

async fn set_register(
    State(plant): State<Plant>,
    Path((device, address)): Path<(String, String)>,
    body: Result<Json<Value>, JsonRejection>,
) -> Answer {
    let body = match body {
        Ok(Json(body)) => body,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    let word = body.get("word").and_then(Value::as_u64).and_then(|word| u16::try_from(word).ok());
    let Some(word) = word else {
        return refused(StatusCode::BAD_REQUEST, "`word` must be a number from 0 to 65535");
    };
    let Ok(address) = address.parse::<u16>() else { return bad_address(&address) };
    let done = plant.override_register(&device, address, word);
    answer(done, || json!({ "device": device, "address": address, "word": word }))
}

async fn release_register(
    State(plant): State<Plant>,
    Path((device, address)): Path<(String, String)>,
) -> Answer {
    let Ok(address) = address.parse::<u16>() else { return bad_address(&address) };
    let done = plant.release_register(&device, address);
    answer(done, || json!({ "device": device, "address": address, "word": null }))
}

fn bad_address(address: &str) -> Answer {
    refused(StatusCode::BAD_REQUEST, &format!("`{address}` is not a register address"))
}

fn refused(status: StatusCode, message: &str) -> Answer {
    (status, Json(json!({ "error": message })))
}

fn answer(done: Result<(), Error>, body: impl FnOnce() -> Value) -> Answer {
    match done {
        Ok(()) => (StatusCode::OK, Json(body())),
        Err(error) => {
            let message = error.to_string();
            let known = match error {
                Error::UnknownFault { known, .. } | Error::UnknownDevice { known, .. } => known,
                _ => Vec::new(),
            };
            (StatusCode::NOT_FOUND, Json(json!({ "error": message, "known": known })))
        }
    }
}
