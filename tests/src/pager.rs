//! A webhook receiver that remembers what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::routing::post;
use axum::{Json as Body, Router};
use hallwatch_model::Timestamp;
use serde_json::Value as Json;

use crate::wait::wait_for;

/// A running receiver. Ends with the test's runtime.
pub struct Pager {
    address: SocketAddr,
    pages: Pages,
}

type Pages = Arc<Mutex<Vec<(Timestamp, Json)>>>;

/// Now, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "a test's own clock")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default() + since
}

impl Pager {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let pages = Pages::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let keep = async |State(pages): State<Pages>, Body(page): Body<Json>| {
            pages.lock().expect("pages").push((now(), page));
        };
        let router = Router::new().route("/page", post(keep)).with_state(pages.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, pages }
    }

    /// Where to send pages.
    pub fn url(&self) -> String {
        format!("http://{}/page", self.address)
    }

    /// All pages so far, with the time of their arrival and in its order.
    pub fn pages(&self) -> Vec<(Timestamp, Json)> {
        self.pages.lock().expect("pages").clone()
    }

    /// All alerts of all pages so far, in the order of their arrival.
    pub fn alerts(&self) -> Vec<Json> {
        let pages = self.pages();
        pages.iter().filter_map(|(_, page)| page["alerts"].as_array().cloned()).flatten().collect()
    }

    /// Waits for an alert with this name in this status (`firing` or `resolved`).
    pub async fn alert(&self, name: &str, status: &str, within: Duration) -> Json {
        let what = format!("a page that {name} is {status}");
        wait_for(&what, within, async || {
            self.alerts()
                .into_iter()
                .find(|alert| alert["labels"]["alertname"] == name && alert["status"] == status)
        })
        .await
    }

    /// At which place an alert first came in this status.
    pub fn place(&self, name: &str, status: &str) -> Option<usize> {
        self.alerts()
            .iter()
            .position(|alert| alert["labels"]["alertname"] == name && alert["status"] == status)
    }
}
