//! Makes the picture for the pages that are open, away from the loop.

use std::sync::Arc;

use hallwatch_model::Timestamp;
use hallwatch_promql::Matchers;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::core::chain;
use super::health::Board;
use crate::page::{Alert, Picture, SiteFacts};
use crate::store::Reader;

/// Paints one picture at a time.
pub(super) struct Painter {
    pub(super) reader: Reader,
    pub(super) collector: String,
    pub(super) board: Board,
    pub(super) pictures: watch::Sender<Arc<str>>,
    pub(super) busy: Option<JoinHandle<()>>,
}

impl Painter {
    /// Starts a picture of `now`, unless the one before is not finished: the page then shows its
    /// age, as for any other delay.
    pub(super) fn paint(&mut self, now: Timestamp, sites: Vec<SiteFacts>, alerts: Arc<Vec<Alert>>) {
        if self.busy.as_ref().is_some_and(|busy| !busy.is_finished()) {
            return;
        }
        let (reader, board) = (self.reader.clone(), self.board.clone());
        let (pictures, collector) = (self.pictures.clone(), self.collector.clone());
        self.busy = Some(tokio::task::spawn_blocking(move || {
            // Everything: a set without conditions.
            let latest = match reader.latest(&Matchers::new(Vec::new())) {
                Ok(latest) => latest,
                Err(error) => {
                    // No picture: the pages say that they are frozen, and the reason is here.
                    tracing::error!(error = chain(&error), "cannot make a picture for the page");
                    return;
                }
            };
            let picture =
                Picture::new(now, &collector, sites, &latest, alerts.to_vec(), board.all());
            match serde_json::to_string(&picture) {
                Ok(text) => {
                    pictures.send_replace(text.into());
                }
                Err(error) => tracing::error!(%error, "cannot write a picture for the page"),
            }
        }));
    }
}
