//! `/api/v1/pair/…`: what the other collector of a pair asks. Only for who has the pair's secret.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::Response;

use super::Api;
use super::params::Params;
use super::reply::{Refusal, RefusalKind, success};
use crate::clock;
use crate::notify::Pair;

/// Proof that the request comes from who has the secret of the pair.
pub(super) struct Paired(pub(super) Pair);

impl<S: Send + Sync> FromRequestParts<S> for Paired
where
    Api: FromRef<S>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Some(pair) = Api::from_ref(state).pair else {
            let error = "this collector has no peer".into();
            return Err(Refusal { kind: RefusalKind::NotFound, error });
        };
        let given = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| value.strip_prefix("Bearer "));
        match token.is_some_and(|token| pair.admits(token)) {
            true => Ok(Self(pair)),
            false => Err(Refusal {
                kind: RefusalKind::Forbidden,
                error: "this needs the secret of the pair".into(),
            }),
        }
    }
}

/// How this collector is, and what its receivers were told, unless that is what `known` says.
pub(super) async fn heartbeat(Paired(pair): Paired, params: Params) -> Result<Response, Refusal> {
    let known = params.get("known").map(str::parse).transpose();
    let known = known.map_err(|error| Refusal::parameter("known", error))?;
    Ok(success(&pair.answer(known, clock::uptime())))
}
