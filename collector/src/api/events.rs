//! `/events`: the picture of the page, pushed.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use prometheus::IntGauge;
use tokio::sync::watch;

use super::Api;

/// Counts a page as open for as long as it lives.
struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

struct Follower {
    pictures: watch::Receiver<Arc<str>>,
    _open: Open,
}

/// Whole pictures, the next within a second. A page that is slow skips pictures: nothing is
/// queued for it.
pub(super) async fn events(State(api): State<Api>) -> Response {
    let mut pictures = api.picture.clone();
    // The one that is there may be old: pictures are only made while somebody looks.
    pictures.mark_unchanged();
    api.telemetry.pages_open.inc();
    let open = Open(api.telemetry.pages_open.clone());
    let mut response = Sse::new(follow(Follower { pictures, _open: open })).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn follow(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    stream::unfold(follower, |mut follower| async move {
        loop {
            // Ends with the collector.
            follower.pictures.changed().await.ok()?;
            let picture = follower.pictures.borrow_and_update().clone();
            if !picture.is_empty() {
                return Some((Ok(Event::default().event("picture").data(&*picture)), follower));
            }
        }
    })
}
