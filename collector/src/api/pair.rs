//! `/api/v1/pair/…`: what the other collector of a pair asks. Only for who has the pair's secret.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, FromRequestParts, Path, RawQuery, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hallwatch_model::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::admin::Local;
use super::params::Params;
use super::refused::Interface;
use super::reply::{Refusal, RefusalKind, success};
use super::{Api, Archive};
use crate::clock;
use crate::gaps::Report;
use crate::notify::Pair;
use crate::store::{self, Frame, Reader, take_frame};

/// Series that are read at once for an export: with a sample a second 4 MB.
const MANY: usize = 32;
/// Pieces of an export that wait for the network.
const PIECES: usize = 4;
/// The longest body of what is to be filled in.
pub(super) const MAX_FILL_BYTES: usize = store::MAX_FRAME_BYTES + (4 << 20);

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
            false => {
                let error = "this needs the secret of the pair";
                Err(Api::from_ref(state).refuse(Interface::Pair, parts, error))
            }
        }
    }
}

/// How this collector is, and what its receivers were told, unless that is what `known` says.
pub(super) async fn heartbeat(Paired(pair): Paired, params: Params) -> Result<Response, Refusal> {
    let known = params.get("known").map(str::parse).transpose();
    let known = known.map_err(|error| Refusal::parameter("known", error))?;
    Ok(success(&pair.answer(known, clock::uptime())))
}

/// Samples that are to be filled in, for the one who writes the store.
#[derive(Debug)]
pub struct Fill {
    /// The samples.
    pub frames: Vec<Frame>,
    /// Whether damaged chunks of them are given up.
    pub mend: bool,
    /// Where the number of new samples is told.
    pub reply: oneshot::Sender<Result<u64, store::Error>>,
}

/// What an operator fills in takes this way to the one who writes.
pub type Fills = mpsc::Sender<Fill>;

fn reader(archive: &dyn Archive) -> Result<&Reader, Refusal> {
    archive.store().ok_or_else(|| Refusal {
        kind: RefusalKind::NotFound,
        error: "there is no store to read from".into(),
    })
}

/// The windows that have samples from `start` on, by number, the oldest first.
pub(super) async fn windows(
    _paired: Paired,
    State(api): State<Api>,
    params: Params,
) -> Result<Response, Refusal> {
    let start = params.time_or("start", Timestamp::MIN)?;
    let archive: Arc<dyn Archive> = Arc::clone(&api.archive);
    let found = tokio::task::spawn_blocking(move || {
        reader(&*archive).map(|reader| reader.filled_windows(start))
    });
    let windows = found.await.map_err(|error| Refusal::internal(&error))??;
    Ok(success(&windows))
}

/// The samples of a window, of all series or those that match, as frames. What fails on the way
/// breaks the connection, so that half an answer is not taken for a whole.
pub(super) async fn window(
    _paired: Paired,
    State(api): State<Api>,
    Path(window): Path<i64>,
    params: Params,
) -> Result<Response, Refusal> {
    reader(&*api.archive)?;
    let sets = params.matchers()?;
    let (pieces, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(PIECES);
    let archive: Arc<dyn Archive> = Arc::clone(&api.archive);
    // It ends by itself when nobody reads any more.
    tokio::task::spawn_blocking(move || {
        let Some(reader) = archive.store() else { return };
        let read = reader.frames(window, &sets, MANY, |frames| {
            let mut piece = Vec::new();
            frames.iter().for_each(|frame| frame.write(&mut piece));
            piece.is_empty() || pieces.blocking_send(Ok(piece.into())).is_ok()
        });
        if let Err(error) = read {
            tracing::error!(%error, window, "a window cannot be read for the peer");
            drop(pieces.blocking_send(Err(std::io::Error::other("the store cannot be read"))));
        }
    });
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    Ok(([(CONTENT_TYPE, "application/octet-stream")], Body::from_stream(stream)).into_response())
}

/// All frames of a body.
fn take_frames(mut body: &[u8]) -> Result<Vec<Frame>, Refusal> {
    let (mut frames, mut samples) = (Vec::new(), 0);
    while let Some(frame) =
        take_frame(&mut body).map_err(|error| Refusal::bad_data(error.to_string()))?
    {
        samples += frame.samples();
        if samples > store::MAX_FILL_SAMPLES {
            let error = "the frames have more samples than are taken at once".into();
            return Err(Refusal { kind: RefusalKind::TooLarge, error });
        }
        frames.push(frame);
    }
    match body.is_empty() {
        true => Ok(frames),
        false => Err(Refusal::bad_data("the last frame is cut off")),
    }
}

/// Fills in frames; says how many samples were new.
pub(super) async fn fill(
    _local: Local,
    _paired: Paired,
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Refusal> {
    let mend = query.is_some_and(|query| query == "mend=true");
    let frames = tokio::task::spawn_blocking(move || take_frames(&body)).await;
    let frames = frames.map_err(|error| Refusal::internal(&error))??;
    let unwritable =
        || Refusal { kind: RefusalKind::Internal, error: "the store cannot be written".into() };
    let fills = api.fills.as_ref().ok_or_else(unwritable)?;
    let (reply, filled) = oneshot::channel();
    fills.send(Fill { frames, mend, reply }).await.map_err(|_| unwritable())?;
    match filled.await {
        Ok(Ok(samples)) => Ok(success(&Filled { samples })),
        Ok(Err(error)) => Err(Refusal::internal(&error)),
        Err(_) => Err(unwritable()),
    }
}

#[derive(Serialize)]
struct Filled {
    samples: u64,
}

/// What this collector knows of gaps that are closed, and which journal entries it has.
pub(super) async fn known_gaps(
    _paired: Paired,
    State(api): State<Api>,
    params: Params,
) -> Result<Response, Refusal> {
    let start = params.time_or("start", Timestamp::MIN)?;
    let archive: Arc<dyn Archive> = Arc::clone(&api.archive);
    let received = tokio::task::spawn_blocking(move || match archive.store() {
        Some(reader) => reader.received(),
        None => Ok(Vec::new()),
    });
    let received = received.await.map_err(|error| Refusal::internal(&error))?;
    let received = received.map_err(|error| Refusal::internal(&error))?;
    let gaps = super::gaps::ledger(&api)?;
    Ok(success(&Report::new(gaps, received, start)))
}

/// Takes what the peer knows of gaps, once its samples are here.
pub(super) async fn learn_gaps(
    _local: Local,
    _paired: Paired,
    State(api): State<Api>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let known: Report = serde_json::from_slice(&body)
        .map_err(|_| Refusal::bad_data("the body is not what a collector knows of gaps"))?;
    let gaps = super::gaps::ledger(&api)?.clone();
    let learnt = tokio::task::spawn_blocking(move || known.teach(&gaps));
    let learnt = learnt.await.map_err(|error| Refusal::internal(&error))?;
    let rows = learnt.map_err(|error| Refusal::internal(&error))?;
    Ok(success(&Learnt { rows }))
}

#[derive(Serialize)]
struct Learnt {
    rows: usize,
}

#[cfg(test)]
mod tests {
    use hallwatch_model::Labels;

    use super::*;

    #[test]
    fn a_body_holds_so_many_samples_and_is_whole() {
        // A constant every millisecond: some 50 bytes stand for a million samples.
        let frame = |samples: i64| Frame {
            labels: Labels::metric("power_watts", [("device", "d-1")]),
            own: false,
            times: (1..=samples).collect(),
            values: vec![1.5; usize::try_from(samples).unwrap()],
        };
        let fill = i64::try_from(store::FILL_SAMPLES).unwrap();
        let mut body = Vec::new();
        frame(fill - 32).write(&mut body);
        frame(1_000_000).write(&mut body);
        assert!(body.len() < 200, "{} bytes", body.len());
        assert_eq!(take_frames(&body).unwrap().len(), 2);
        frame(32).write(&mut body);
        assert_eq!(take_frames(&body).unwrap_err().kind, RefusalKind::TooLarge);
        let mut few = Vec::new();
        frame(3).write(&mut few);
        assert_eq!(take_frames(&few).unwrap(), [frame(3)]);
        few.pop();
        assert_eq!(take_frames(&few).unwrap_err().kind, RefusalKind::BadData);
        few.push(0xff);
        assert_eq!(take_frames(&few).unwrap_err().kind, RefusalKind::BadData);
        // Nor so many that are next to nothing each.
        let mut many = Vec::new();
        (0..80_000).for_each(|_| frame(1).write(&mut many));
        assert!(many.len() < MAX_FILL_BYTES);
        assert_eq!(take_frames(&many).unwrap_err().kind, RefusalKind::TooLarge);
    }
}
