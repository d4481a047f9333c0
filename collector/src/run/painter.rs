//! Makes the picture for the pages that are open, away from the loop.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_model::{Timestamp, chain};
use hallwatch_promql::Matchers;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::health::Board;
use crate::gaps::{Gaps, State};
use crate::page::{Alert, Gap, Picture, SiteFacts};
use crate::store::Reader;

/// Gaps that ended longer ago are no news.
const NEWS: Duration = Duration::from_secs(24 * 60 * 60);

/// The gaps for the page.
fn shown(gaps: &Gaps, now: Timestamp) -> Vec<Gap> {
    let rows = gaps.rows(|row| row.state == State::Open || row.touches(now - NEWS, now));
    let gap = |row: &crate::gaps::Row| Gap {
        key: format!("{} {}", row.agent, row.key),
        site: row.agent.site.to_string(),
        agent: row.agent.agent.to_string(),
        device: row.device.clone(),
        cause: row.cause.clone(),
        state: row.state.word(),
        start: row.start.as_millis(),
        end: row.end.map(Timestamp::as_millis),
    };
    rows.iter().map(gap).collect()
}

/// Paints one picture at a time.
pub(super) struct Painter {
    pub(super) reader: Reader,
    pub(super) collector: String,
    pub(super) board: Board,
    pub(super) gaps: Gaps,
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
        let gaps = self.gaps.clone();
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
                Picture::new(now, &collector, sites, &latest, alerts.to_vec(), board.all())
                    .with_gaps(shown(&gaps, now));
            match serde_json::to_string(&picture) {
                Ok(text) => {
                    pictures.send_replace(text.into());
                }
                Err(error) => tracing::error!(%error, "cannot write a picture for the page"),
            }
        }));
    }
}
